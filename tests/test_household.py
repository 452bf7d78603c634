"""The box's own pages: users, settings, oneself and the audit list."""

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import mien
import mien_web
import pages
from mien import audit, passphrase, users
from mien_web import acts
from pages import Box, text

WORDS = "four unrelated plain words"
OTHER = "other words than these"
HASHED = passphrase.hashed(WORDS)


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Box]:
    yield from pages.box(tmp_path, monkeypatch)


def signed_in(box: Box, name: str = "anna") -> pages.Browser:
    """An administrator with a passphrase."""
    browser = box.browser(name)
    box.write("UPDATE users SET passphrase = ? WHERE name = ?", HASHED, name)
    return browser


def last(box: Box) -> audit.Entry:
    return box.db.read(audit.entries)[0]


def once(page: str) -> str:
    found = re.search(r'class="once"[^>]*>([^<]+)<', page)
    assert found
    return found[1]


class TestUsers:
    def test_a_new_one_comes_in_once_and_chooses_an_own_passphrase(self, box: Box) -> None:
        browser = signed_in(box)
        page = browser.post("/users", {"name": " ben ", "role": ["therapist"]})
        said = once(page.text)
        assert passphrase.fault(said, "ben") is None
        assert (last(box).action, last(box).subject) == ("user.added", "ben")
        assert said not in last(box).detail
        assert "ben Therapist" in text(browser.get("/users"))

        ben = pages.Browser(box.app.test_client())
        assert ben.post("/login", {"name": "ben", "passphrase": said}).status_code == 303
        for path in ("/", "/box"):
            assert ben.get(path).location == "/me"
        assert "Choose your own passphrase" in text(ben.get("/me"))
        change = {"old": said, "passphrase": said, "again": said}
        assert "This is the old passphrase." in text(ben.post("/me/passphrase", change))
        change |= {"passphrase": WORDS, "again": WORDS}
        assert ben.post("/me/passphrase", change).location == "/me"
        assert ben.get("/").status_code == 200

    @pytest.mark.parametrize(
        ("form", "status", "said"),
        [
            ({"name": "", "role": ["home"]}, 400, "1 to 40 letters"),
            ({"name": "ben"}, 400, "at least one role"),
            ({"name": "ben", "role": ["king"]}, 400, "at least one role"),
            ({"name": "ANNA", "role": ["home"]}, 409, "a user of this name already"),
        ],
    )
    def test_who_cannot_be_added(
        self, box: Box, form: dict[str, object], status: int, said: str
    ) -> None:
        answer = signed_in(box).post("/users", form)
        assert answer.status_code == status
        assert said in text(answer)
        assert box.rows("SELECT count(*) FROM users") == [(1,)]

    def test_roles_disabling_and_reset(self, box: Box) -> None:
        browser, ben = signed_in(box), signed_in(box, "ben")
        page = f"/users/{box.user('ben')}"
        box.write("UPDATE users SET pin = ? WHERE name = 'ben'", passphrase.hashed("2580"))
        assert "Signed in on 1 browser." in text(browser.get(page))
        assert browser.post(f"{page}/roles", {"role": ["therapist", "home"]}).status_code == 303
        assert ben.get("/box").status_code == 403

        assert browser.post(f"{page}/disable").status_code == 303
        assert ben.get("/").location == "/login?next=/"
        assert "disabled" in text(browser.get("/users"))
        browser.post(f"{page}/enable")
        assert ben.post("/login", {"name": "ben", "passphrase": WORDS}).status_code == 303

        said = once(browser.post(f"{page}/reset").text)
        assert ben.get("/").location == "/login?next=/"
        assert box.rows("SELECT pin FROM users WHERE name = 'ben'") == [(None,)]
        assert ben.post("/login", {"name": "ben", "passphrase": WORDS}).status_code == 401
        assert ben.post("/login", {"name": "ben", "passphrase": said}).status_code == 303
        actions = [entry.action for entry in box.db.read(audit.entries)]
        assert [a for a in actions if a.startswith("user.")] == [
            "user.reset", "user.enabled", "user.disabled", "user.roles",
        ]  # fmt: skip

    def test_the_last_administrator_stays(self, box: Box) -> None:
        browser = signed_in(box)
        page = f"/users/{box.user()}"
        for answer in (
            browser.post(f"{page}/roles", {"role": ["therapist"]}),
            browser.post(f"{page}/disable"),
        ):
            assert answer.status_code == 409
            assert "Somebody must stay administrator." in text(answer)
        assert box.db.read(audit.entries) == []
        assert browser.get("/box").status_code == 200

    def test_nobody(self, box: Box) -> None:
        browser = signed_in(box)
        for path in ("/users/99", f"/users/{1 << 70}", "/users/0"):
            assert browser.get(path).status_code == 404
        assert browser.post("/users/99/reset").status_code == 404

    @pytest.mark.parametrize("path", ["/box", "/users", "/users/1", "/audit"])
    def test_for_administrators_alone(self, box: Box, path: str) -> None:
        box.user()
        therapist = box.browser("ben", "therapist home")
        assert therapist.get(path).status_code == 403
        assert pages.Browser(box.app.test_client()).get(path).status_code == 303

    def test_a_form_from_elsewhere(self, box: Box) -> None:
        browser = signed_in(box)
        answer = browser.client.post(
            "/users", data={"name": "eve", "role": "administrator", "token": browser.token},
            headers={"Sec-Fetch-Site": "cross-site"},
        )  # fmt: skip
        assert answer.status_code == 403
        assert box.rows("SELECT count(*) FROM users") == [(1,)]


class TestBox:
    def test_settings(self, box: Box) -> None:
        browser = signed_in(box)
        answer = browser.post("/box", {"setting": "home", "idle": "5"})
        assert answer.location == "/box"
        assert 'value="5"' in browser.get("/box").text
        assert last(box).detail == '{"setting":"home","before":"clinic","idle":5}'

    def test_who_was_added_from_the_shell_is_asked_where_it_stands(self, box: Box) -> None:
        signed_in(box)
        box.set(None)
        browser = pages.Browser(box.app.test_client())
        assert browser.post("/login", {"name": "anna", "passphrase": WORDS}).location == "/box"
        assert "Until then nobody is read." in text(browser.get("/box"))
        browser.post("/box", {"setting": "clinic", "idle": "10"})
        assert "Until then nobody is read." not in text(browser.get("/box"))

    @pytest.mark.parametrize(
        "form",
        [
            {"setting": "workplace", "idle": "5"}, {"setting": "clinic", "idle": "0"},
            {"setting": "clinic", "idle": "121"}, {"setting": "clinic", "idle": "soon"},
            {"setting": "demo", "idle": "5"}, {},
        ],
    )  # fmt: skip
    def test_what_cannot_be_set(self, box: Box, form: dict[str, str]) -> None:
        assert signed_in(box).post("/box", form).status_code == 400
        assert box.rows("SELECT value FROM settings WHERE key = 'setting'") == [('"clinic"',)]

    def test_the_demo_changes_nothing(self, box: Box) -> None:
        box.set("demo")
        browser = pages.Browser(box.app.test_client())
        assert "This is the demo" in text(browser.get("/box"))
        for path in ("/box", "/users", "/audit.csv"):
            assert browser.post(path).status_code == 403
        for path in ("/me/passphrase", "/me/pin"):
            assert "Set up this box first" in text(browser.post(path))
        browser.post("/me/theme", {"theme": "night"})
        assert 'data-theme="night"' in browser.get("/box").text


class TestMe:
    def test_language_and_colours(self, box: Box) -> None:
        browser = signed_in(box)
        assert browser.post("/me", {"language": "de", "theme": "night"}).location == "/me"
        page = browser.get("/me").text
        assert '<html lang="de" data-theme="night">' in page
        browser.post("/me", {"language": "", "theme": ""})
        assert '<html lang="en">' in browser.get("/me").text
        for form in ({"language": "tlh"}, {"theme": "pink"}):
            assert browser.post("/me", form).status_code == 400

    def test_colours_from_the_menu_lead_back(self, box: Box) -> None:
        browser = signed_in(box)
        headers = {**pages.SAME, "Referer": "http://localhost/audit?action=x"}
        form = {"theme": "dark", "token": browser.token}
        answer = browser.client.post("/me/theme", data=form, headers=headers)
        assert answer.location == "/audit?action=x"
        headers["Referer"] = "http://localhost/me/pin"  # the answer to a form: no page to go to
        assert browser.client.post("/me/theme", data=form, headers=headers).location == "/"
        headers["Referer"] = "https://evil.example/"
        assert browser.client.post("/me/theme", data=form, headers=headers).location == "/"

    def test_passphrase(self, box: Box) -> None:
        browser, other = signed_in(box), signed_in(box)
        change = {"old": "wrong", "passphrase": OTHER, "again": OTHER}
        assert browser.post("/me/passphrase", change).status_code == 401
        change["old"] = WORDS
        for wrong, said in (({"again": WORDS}, "differ"), ({"passphrase": "short"}, "too short")):
            answer = browser.post("/me/passphrase", change | wrong)
            assert answer.status_code == 400
            assert said in text(answer)
        assert browser.post("/me/passphrase", change).status_code == 303
        assert browser.get("/me").status_code == 200
        assert other.get("/me").location == "/login?next=/me"
        assert last(box).detail == '{"logins":1}'

    def test_guessing_the_old_one_waits(self, box: Box) -> None:
        browser = signed_in(box)
        change = {"old": "wrong", "passphrase": OTHER, "again": OTHER}
        statuses = [browser.post("/me/passphrase", change).status_code for _ in range(4)]
        assert statuses == [401, 401, 401, 429]

    def test_pin(self, box: Box) -> None:
        browser = signed_in(box)
        answer = browser.post("/me/pin", {"pin": "2580", "passphrase": "wrong"})
        assert answer.status_code == 401
        for pin, said in (("12", "4 to 8 digits"), ("1234", "guessed at once")):
            answer = browser.post("/me/pin", {"pin": pin, "passphrase": WORDS})
            assert said in text(answer)
        assert browser.post("/me/pin", {"pin": "2580", "passphrase": WORDS}).status_code == 303
        account = box.db.read(lambda db: users.account(db, "anna"))
        assert account
        assert passphrase.fits(account.pin, "2580")
        browser.post("/me/pin", {"pin": "", "passphrase": WORDS})
        assert box.rows("SELECT pin FROM users") == [(None,)]
        assert last(box).action == "pin.removed"


class TestAudit:
    def fill(self, box: Box, count: int) -> None:
        def write(db: object) -> None:
            for at in range(count):
                action = "consent.given" if at % 2 else "signed-in"
                audit.note(db, at, "anna", action, f"K-{at}")

        box.db.write(write)

    def numbers(self, page: str) -> list[int]:
        return [int(number) for number in re.findall(r"<td>(\d+)</td>", page)]

    def test_pages(self, box: Box) -> None:
        self.fill(box, 250)
        browser = signed_in(box)
        first = browser.get("/audit")
        assert self.numbers(first.text) == list(range(250, 150, -1))
        assert "The chain is whole" in text(first)
        older = re.search(r'href="([^"]+before=[^"]+)"', first.text)
        assert older
        assert self.numbers(browser.get(older[1]).text) == list(range(150, 50, -1))
        last_page = browser.get("/audit?before=51")
        assert self.numbers(last_page.text) == list(range(50, 0, -1))
        assert "Older" not in text(last_page)

    def test_filter(self, box: Box) -> None:
        self.fill(box, 10)
        page = signed_in(box).get("/audit?action=consent.given")
        assert self.numbers(page.text) == [10, 8, 6, 4, 2]

    def test_a_broken_chain(self, box: Box) -> None:
        self.fill(box, 10)
        box.write("UPDATE audit SET user = 'eve' WHERE id = 4")
        page = signed_in(box).get("/audit")
        assert "The chain is broken at entry 4" in text(page)
        assert "The chain is whole" not in text(page)

    def test_empty(self, box: Box) -> None:
        assert "Nothing yet." in text(signed_in(box).get("/audit"))

    @pytest.mark.parametrize("query", ["before=x", "before=-1", f"before={1 << 63}", "action=%00"])
    def test_strange_questions(self, box: Box, query: str) -> None:
        self.fill(box, 3)
        assert signed_in(box).get(f"/audit?{query}").status_code == 200

    def test_as_csv(self, box: Box) -> None:
        self.fill(box, 3)
        box.db.write(lambda db: audit.note(db, 9, "anna", "client.added", '=HYPERLINK("x")'))
        answer = signed_in(box).post("/audit.csv")
        assert "mien-audit-" in answer.headers["Content-Disposition"]
        lines = list(csv.DictReader(io.StringIO(answer.text.lstrip("\ufeff"))))
        assert [line["id"] for line in lines] == ["1", "2", "3", "4"]
        assert lines[1]["time"] == "1970-01-01T00:00:01.000+00:00"
        assert lines[3]["subject"] == '\'=HYPERLINK("x")'
        assert [line["action"] for line in lines].count("audit.exported") == 0
        assert last(box).action == "audit.exported"

    def test_every_action_has_words(self, box: Box) -> None:
        """Whatever stands in an `audit.note` or a `downloads.audited` anywhere."""
        called = re.compile(
            r'(?:note|audited|_audited)\(\s*(?:[^")]|\)(?!\n))*?"([a-z]+[.-][a-z-]+)"'
        )
        folders = (Path(mien.__file__).parent, Path(mien_web.__file__).parent)
        sources = [path.read_text() for folder in folders for path in folder.rglob("*.py")]
        found = {action for source in sources for action in called.findall(source)}
        assert {"user.added", "consent.given", "session.started"} <= found
        with box.app.test_request_context():
            assert [action for action in sorted(found) if acts.named(action) == action] == []
