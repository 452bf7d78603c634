"""The door, through Flask's client: who comes in, who waits, who is locked out."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from werkzeug.test import TestResponse

import pages
from mien import audit, firstrun, passphrase, users
from mien_web import live
from pages import SAME, Box, text

WORDS = "four unrelated plain words"
HASHED = passphrase.hashed(WORDS)
MINUTE = 60


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Box]:
    yield from pages.box(tmp_path, monkeypatch)


def stranger(box: Box) -> pages.Browser:
    return pages.Browser(box.app.test_client())


def first_run(box: Box, folder: Path, browser: pages.Browser, **fields: str) -> TestResponse:
    form = {
        "code": firstrun.code(folder), "setting": "clinic", "name": "anna",
        "passphrase": WORDS, "again": WORDS, **fields,
    }  # fmt: skip
    return browser.post("/welcome", form)


def known(box: Box, name: str = "anna", pin: str | None = None) -> pages.Browser:
    """A user with a passphrase, not signed in."""
    box.user(name)
    box.write("UPDATE users SET passphrase = ?, pin = ? WHERE name = ?", HASHED, pin, name)
    return stranger(box)


def sign_in(
    browser: pages.Browser, said: str = WORDS, name: str = "anna", **more: str
) -> TestResponse:
    return browser.post("/login", {"name": name, "passphrase": said, **more})


class TestFirstRun:
    def test_then_out_and_in_again(self, box: Box, tmp_path: Path) -> None:
        box.set(None)
        browser = stranger(box)
        assert browser.get("/").location == "/welcome"
        assert browser.get("/login").location == "/welcome"
        answer = first_run(box, tmp_path, browser)
        assert (answer.status_code, answer.location) == (303, "/clients")
        assert not (tmp_path / firstrun.FILE).exists()
        assert box.rows("SELECT value FROM settings WHERE key = 'setting'") == [('"clinic"',)]
        assert box.rows("SELECT roles FROM users") == [("therapist administrator",)]
        assert browser.get("/").status_code == 200
        assert browser.post("/logout").location == "/login"
        assert browser.get("/").location == "/login?next=/"
        answer = sign_in(browser, name="Anna", next="/about")
        assert (answer.status_code, answer.location) == (303, "/about")
        assert browser.get("/").status_code == 200
        actions = [entry.action for entry in box.db.read(audit.entries)]
        assert actions == ["signed-in", "signed-out", "signed-in", "box.set-up"]

    def test_a_home_has_no_therapist(self, box: Box, tmp_path: Path) -> None:
        box.set(None)
        first_run(box, tmp_path, stranger(box), setting="home")
        assert box.rows("SELECT roles FROM users") == [("administrator home",)]

    @pytest.mark.parametrize("setting", ["workplace", "school", "demo", "", "CLINIC"])
    def test_nothing_else_can_be_chosen(self, box: Box, tmp_path: Path, setting: str) -> None:
        box.set(None)
        answer = first_run(box, tmp_path, stranger(box), setting=setting)
        assert answer.status_code == 400
        assert "Choose where the box stands" in text(answer)
        assert box.rows("SELECT * FROM users") == []

    def test_the_page_says_why_not(self, box: Box) -> None:
        page = stranger(box).get("/welcome")
        assert "Article 5(1)(f)" in text(page)
        for place in ("workplace", "school"):
            assert f'value="{place}" disabled' in page.text

    @pytest.mark.parametrize(
        ("fields", "said"),
        [
            ({"code": "AAAA-AAAA"}, "This is not the code"),
            ({"code": ""}, "This is not the code"),
            ({"name": " "}, "1 to 40 letters"),
            ({"name": "x" * 41}, "1 to 40 letters"),
            ({"passphrase": "short", "again": "short"}, "at least 12 characters"),
            ({"passphrase": "x" * 201, "again": "x" * 201}, "200 characters are the most"),
            ({"again": "another one than before"}, "The two passphrases differ"),
            ({"name": WORDS}, "must not be the name"),
        ],
    )
    def test_mistakes_keep_what_was_entered(
        self, box: Box, tmp_path: Path, fields: dict[str, str], said: str
    ) -> None:
        answer = first_run(box, tmp_path, stranger(box), **fields)
        assert answer.status_code in (400, 403)
        assert said in text(answer)
        assert 'value="clinic" required checked' in answer.text
        assert WORDS not in answer.text.replace(f'value="{WORDS}" maxlength', "")
        assert box.rows("SELECT * FROM users") == []

    def test_the_code_cannot_be_guessed(self, box: Box, tmp_path: Path) -> None:
        browser = stranger(box)
        for _ in range(3):
            assert first_run(box, tmp_path, browser, code="AAAA-AAAA").status_code == 403
        answer = first_run(box, tmp_path, browser)  # even the right one has to wait now
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "1")
        assert "Try again in 1 second." in text(answer)
        box.clock.advance(1)
        assert first_run(box, tmp_path, browser).status_code == 303

    def test_works_once(self, box: Box, tmp_path: Path) -> None:
        code = firstrun.code(tmp_path)
        first_run(box, tmp_path, stranger(box))
        (tmp_path / firstrun.FILE).write_text(code)  # it could not be removed
        late = stranger(box)
        assert late.get("/welcome").location == "/login"
        answer = first_run(box, tmp_path, late, name="eve")
        assert answer.location == "/login"
        assert box.rows("SELECT name FROM users") == [("anna",)]

    def test_ends_the_demo(self, box: Box, tmp_path: Path) -> None:
        box.set("demo")
        assert stranger(box).get("/").status_code == 200
        assert first_run(box, tmp_path, stranger(box), name="demo").status_code == 303
        assert stranger(box).get("/").location == "/login?next=/"
        assert box.rows("SELECT name, disabled FROM users ORDER BY id") == [
            ("demo (ended)", 1), ("demo", 0),
        ]  # fmt: skip


class TestLogIn:
    def test_the_cookie(self, box: Box) -> None:
        answer = sign_in(known(box))
        (cookie,) = [c for c in answer.headers.getlist("Set-Cookie") if "mien_login" in c]
        for part in ("HttpOnly", "SameSite=Strict", "Path=/"):
            assert part in cookie
        assert "Secure" not in cookie
        assert cookie.split("=")[1].split(";")[0] not in str(box.rows("SELECT id FROM logins"))

    def test_the_cookies_over_https(self, box: Box) -> None:
        client = known(box).client
        client.set_cookie("mien_form", "x", secure=True)
        form = {"name": "anna", "passphrase": WORDS, "token": "x"}
        answer = client.post("/login", data=form, headers=SAME, base_url="https://localhost")
        assert all("; Secure" in cookie for cookie in answer.headers.getlist("Set-Cookie"))
        answer = client.post("/welcome", data=form, headers=SAME, base_url="https://localhost")
        (said,) = answer.headers.getlist("Set-Cookie")  # a message for the next page
        assert "; Secure" in said
        assert "HttpOnly" in said

    @pytest.mark.parametrize("name", ["anna", "nobody", "", "x" * 5000, "demo"])
    def test_wrong_says_the_same_to_everybody(self, box: Box, name: str) -> None:
        answer = sign_in(known(box), "not the passphrase", name)
        assert answer.status_code == 401
        assert "Name and passphrase do not belong together." in text(answer)
        assert "not the passphrase" not in answer.text

    def test_unknown_names_wait_as_known_ones(self, box: Box) -> None:
        browser = known(box)
        for name in ("anna", "nobody"):
            statuses = [sign_in(browser, "wrong", name).status_code for _ in range(4)]
            assert statuses == [401, 401, 401, 429]
        told = [(entry.action, entry.subject) for entry in box.db.read(audit.entries)]
        assert told == [("sign-in.refused", ""), ("sign-in.refused", "anna")]

    def test_waits_survive_a_restart_and_end(self, box: Box, tmp_path: Path) -> None:
        browser = known(box)
        for _ in range(8):
            sign_in(browser, "wrong")
            box.clock.advance(16)
        assert "Try again in 16 seconds." in text(sign_in(browser))
        box.app.extensions.pop("mien.store").close()
        assert sign_in(browser).status_code == 429
        box.clock.advance(16)
        assert sign_in(browser).status_code == 303
        assert sign_in(browser, "wrong").status_code == 401  # the count begins anew

    def test_a_disabled_user_is_nobody(self, box: Box) -> None:
        browser = known(box)
        sign_in(browser)
        box.write("UPDATE users SET disabled = 1")
        assert browser.get("/").location == "/login?next=/"
        assert sign_in(browser).status_code == 401

    def test_a_new_log_in_ends_the_browsers_old_one(self, box: Box) -> None:
        browser = known(box)
        sign_in(browser)
        sign_in(browser)
        assert box.rows("SELECT count(*) FROM logins") == [(1,)]

    @pytest.mark.parametrize(
        ("next_page", "to"),
        [
            ("/about", "/about"), ("/about?x=1", "/about?x=1"), ("//evil.example", None),
            ("https://evil.example", None), ("/\\evil.example", None), ("\\/evil", None),
            ("/\tevil", None), ("about", None), ("", None), ("/login?next=/", None),
            ("javascript:alert(1)", None), ("/me/pin", None), ("/nowhere", None),
            ("/ok\r\nX: y", None),
        ],
    )  # fmt: skip
    def test_leads_on_within_the_page_only(self, box: Box, next_page: str, to: str | None) -> None:
        answer = sign_in(known(box), next=next_page)
        assert answer.location in ((to,) if to else ("/", "/clients"))

    def test_ends_after_twelve_hours_however_busy(self, box: Box) -> None:
        browser = known(box)
        sign_in(browser)
        for _ in range(12 * 60 // 9):
            assert browser.get("/me").status_code == 200
            box.clock.advance(9 * MINUTE)
        assert browser.get("/").location == "/login?next=/"

    def test_a_clock_set_back_by_a_day_asks_again(self, box: Box) -> None:
        browser = known(box)
        sign_in(browser)
        box.clock.offset -= 24 * 3600
        assert browser.get("/").location == "/login?next=/"
        assert sign_in(browser).status_code == 303
        assert browser.get("/").status_code == 200


class TestTurnedAway:
    def test_a_script_is_told_in_json(self, box: Box) -> None:
        browser = known(box)
        answer = browser.get("/live/health", headers={"Sec-Fetch-Mode": "cors"})
        assert answer.status_code == 401
        assert answer.get_json() == {"error": "You are not signed in."}
        assert browser.post_json("/live/pause", {}).status_code == 401

    def test_a_form_leads_back_to_where_it_stood(self, box: Box) -> None:
        browser = known(box)
        browser.get("/login")
        headers = {**SAME, "Referer": "http://localhost/about?x=1"}
        answer = browser.client.post("/live/pause", data={"token": browser.token}, headers=headers)
        assert (answer.status_code, answer.location) == (303, "/login?next=/about?x%3D1")

    def test_a_wrong_role_is_told_so(self, box: Box) -> None:
        answer = box.browser("ben", "home").get("/box")
        assert answer.status_code == 403
        assert "Your roles do not open this page" in text(answer)

    def test_what_is_open_to_everybody(self, box: Box) -> None:
        browser = known(box)
        for path in ("/about", "/login"):
            assert browser.get(path).status_code == 200
        with browser.get("/static/mien.css") as style:
            assert style.status_code == 200
        assert 'href="/clients"' not in browser.get("/about").text

    def test_a_store_that_is_not_there(self, box: Box) -> None:
        browser = box.browser()
        box.app.extensions["mien.store"] = broken = type(box.db)(
            Path("/nowhere/mien.db"), "0" * 64, box.clock, "page"
        )
        answer = browser.get("/")
        assert answer.status_code == 503
        assert "Cannot use /nowhere/mien.db" in text(answer)
        assert browser.get("/about").status_code == 200
        broken.close()


class TestDemo:
    def test_opens_on_the_box_alone(self, box: Box) -> None:
        box.set("demo")
        browser = stranger(box)
        assert "demo" in text(browser.get("/"))
        far = {"REMOTE_ADDR": "10.0.0.7"}
        assert browser.get("/", environ_overrides=far).location == "/welcome"

    def test_not_where_somebody_can_sign_in(self, box: Box) -> None:
        browser = known(box)
        box.set("demo")
        assert browser.get("/").location == "/login?next=/"


class TestLock:
    PIN = passphrase.hashed("2580")

    def signed_in(self, box: Box, pin: str | None = PIN) -> pages.Browser:
        browser = known(box, pin=pin)
        sign_in(browser)
        return browser

    def left(self, browser: pages.Browser) -> float | None:
        found: float | None = browser.get("/door", headers={"Mien-Background": "1"}).json["left"]
        return found

    def test_after_ten_minutes_and_the_pin_opens(self, box: Box) -> None:
        browser = self.signed_in(box)
        box.clock.advance(10 * MINUTE - 1)
        assert self.left(browser) == 1
        box.clock.advance(2)
        assert browser.get("/?x=1").location == "/lock?next=/?x%3D1"
        assert self.left(browser) == 0
        page = browser.get("/lock?next=/about")
        assert "PIN of anna" in text(page)
        answer = browser.post("/lock", {"pin": "2580", "next": "/about"})
        assert (answer.status_code, answer.location) == (303, "/about")
        assert browser.get("/").status_code == 200

    def test_only_what_a_person_does_counts(
        self, box: Box, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(live, "WAIT", 0.01)
        browser = self.signed_in(box)
        for _ in range(9):
            box.clock.advance(MINUTE)
            browser.get(f"/live/picture?viewer={'a' * 16}")
            browser.get("/live/health")
            browser.get(f"/seat/picture?viewer={'a' * 16}")
            browser.post("/seat/aim")
            browser.get("/about", headers={"Mien-Background": "1"})
        assert self.left(browser) == MINUTE
        browser.get("/door")
        assert self.left(browser) == 10 * MINUTE

    def test_the_minutes_are_a_setting(self, box: Box) -> None:
        box.write("INSERT INTO settings VALUES ('idle_minutes', '2')")
        browser = self.signed_in(box)
        box.clock.advance(2 * MINUTE)
        assert browser.get("/").location == "/lock?next=/"

    def test_a_running_session_keeps_it_open_for_longer(self, box: Box) -> None:
        browser = self.signed_in(box)
        box.session(box.client())
        box.clock.advance(89 * MINUTE)
        assert self.left(browser) == MINUTE
        box.clock.advance(2 * MINUTE)
        assert browser.get("/").location == "/lock?next=/"

    def test_five_wrong_pins_end_the_log_in(self, box: Box) -> None:
        browser = self.signed_in(box)
        browser.post("/lock/now")
        for left in (4, 3, 2, 1):
            answer = browser.post("/lock", {"pin": "0258"})
            assert answer.status_code == 401
            assert f"{left} attempt" in text(answer)
        assert browser.post("/lock", {"pin": "0258", "next": "/about"}).location == (
            "/login?next=/about"
        )
        assert "wrong 5 times" in text(browser.get("/login"))
        assert browser.post("/lock", {"pin": "2580"}).location == "/login"
        assert box.rows("SELECT * FROM logins") == []

    def test_without_a_pin_the_passphrase(self, box: Box) -> None:
        browser = self.signed_in(box, None)
        browser.post("/lock/now")
        assert "Passphrase of anna" in text(browser.get("/lock"))
        for wrong in ({"pin": ""}, {"passphrase": "wrong"}):
            assert browser.post("/lock", wrong).status_code == 401
        assert browser.post("/lock", {"passphrase": WORDS}).status_code == 303
        assert browser.get("/").status_code == 200

    def test_what_is_locked_stays_locked(self, box: Box) -> None:
        browser = self.signed_in(box)
        browser.post("/lock/now")
        box.clock.advance(1)
        assert browser.get("/").location == "/lock?next=/"
        assert browser.get("/live/health", headers={"Sec-Fetch-Mode": "cors"}).status_code == 401
        assert "anna" not in text(browser.get("/about"))
        assert browser.post("/logout").location == "/login"
        assert browser.get("/lock").location == "/login"

    def test_a_clock_set_back_a_little_does_not_lock_and_not_keep_open(self, box: Box) -> None:
        browser = self.signed_in(box)
        box.clock.offset -= 30
        assert browser.get("/").status_code == 200
        assert self.left(browser) == 10 * MINUTE
        assert box.db.read(lambda db: users.logins(db, box.utc_ms)) == {box.user(): 1}
