"""Tokens: whose they are, what they may do, and the page where they are made and revoked."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import pages
from mien import passphrase, tokens
from mien.tokens import SCOPES, TokenError
from mien.users import User
from mien_web.tokens import words
from pages import Box, text

HOUR_MS = 3_600_000


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Box]:
    yield from pages.box(tmp_path, monkeypatch)


def user(box: Box, name: str = "anna", *roles: str) -> User:
    return User(box.user(name, " ".join(roles)), name, frozenset(roles), None, None)


def test_a_token_is_its_users_and_kept_as_a_hash(box: Box) -> None:
    anna = user(box, "anna", "home")
    made = box.db.write(lambda db: tokens.make(db, anna, " Home  Assistant ", {"log"}, 1000))
    held = box.db.read(lambda db: tokens.find(db, made))
    assert held is not None
    assert (held.user, held.name, held.scopes) == (anna, "Home Assistant", {"log"})
    assert made.startswith("mien_")
    assert made not in str(box.rows("SELECT * FROM tokens"))
    assert box.db.read(lambda db: tokens.find(db, made[:-1])) is None
    assert box.db.read(lambda db: tokens.find(db, "\ud800")) is None
    assert box.db.write(lambda db: tokens.revoke(db, anna.id + 1, held.id)) is None
    assert box.db.write(lambda db: tokens.revoke(db, anna.id, held.id)) == "Home Assistant"
    assert box.db.read(lambda db: tokens.find(db, made)) is None


@pytest.mark.parametrize(
    ("roles", "may"),
    [
        ({"administrator"}, {"status", "control"}),
        ({"therapist"}, {"status", "control", "sessions"}),
        ({"home"}, set(SCOPES)),
    ],
)
def test_a_user_gives_away_no_more_than_its_roles_allow(
    box: Box, roles: set[str], may: set[str]
) -> None:
    assert set(tokens.allowed(roles)) == may
    anna = user(box, "anna", *roles)
    for scope in set(SCOPES) - may:
        with pytest.raises(TokenError, match=scope):
            box.db.write(lambda db, scope=scope: tokens.make(db, anna, "x", {"status", scope}, 0))
    assert box.db.write(lambda db: tokens.make(db, anna, "x", may, 0))


@pytest.mark.parametrize(
    ("name", "scopes", "said"),
    [
        ("  ", {"log"}, "name"),
        ("a" * 61, {"log"}, "60 characters"),
        ("a\x07b", {"log"}, "name"),
        ("a", set(), "tick"),
        ("a", {"everything"}, "everything"),
    ],
)
def test_a_token_that_cannot_be_made(box: Box, name: str, scopes: set[str], said: str) -> None:
    anna = user(box, "anna", "home")
    with pytest.raises(TokenError, match=said):
        box.db.write(lambda db: tokens.make(db, anna, name, scopes, 0))


def test_nobody_has_tokens_without_end(box: Box) -> None:
    anna = user(box, "anna", "home")

    def work(db: object) -> None:
        for number in range(tokens.MOST):
            tokens.make(db, anna, f"{number}", {"log"}, 0)

    box.db.write(work)
    with pytest.raises(TokenError, match="revoke one"):
        box.db.write(lambda db: tokens.make(db, anna, "one more", {"log"}, 0))


def test_what_a_role_gave_goes_with_it(box: Box) -> None:
    anna = user(box, "anna", "home")
    made = box.db.write(lambda db: tokens.make(db, anna, "x", {"log", "status"}, 0))
    box.write("UPDATE users SET roles = 'administrator'")
    held = box.db.read(lambda db: tokens.find(db, made))
    assert held is not None
    assert held.scopes == {"status"}
    box.write("UPDATE users SET disabled = 1")
    assert box.db.read(lambda db: tokens.find(db, made)) is None


def test_the_last_use_is_noted_each_hour(box: Box) -> None:
    anna = user(box, "anna", "home")
    made = box.db.write(lambda db: tokens.make(db, anna, "x", {"log"}, 0))
    held = box.db.read(lambda db: tokens.find(db, made))
    assert held is not None
    assert tokens.stale(held, 5)
    box.db.write(lambda db: tokens.used(db, held.id, 5))
    held = box.db.read(lambda db: tokens.find(db, made))
    assert held is not None
    assert not tokens.stale(held, 5 + HOUR_MS - 1)
    assert tokens.stale(held, 5 + HOUR_MS)
    assert tokens.stale(held, 4)  # the clock was set back
    assert [one.used_utc for one in box.db.read(lambda db: tokens.of(db, anna.id))] == [5]


# ── the page ─────────────────────────────────────────────────────────────────────────────────────


def anna_with_passphrase(box: Box) -> pages.Browser:
    browser = box.browser("anna", "home administrator")
    box.write("UPDATE users SET passphrase = ?", passphrase.hashed("correct horse battery"))
    return browser


def test_a_token_is_made_shown_once_and_revoked(box: Box) -> None:
    browser = anna_with_passphrase(box)
    assert "You have no tokens." in text(browser.get("/me/tokens"))
    form = {"name": "Grafana", "scope": ["status", "log"], "passphrase": "correct horse battery"}
    shown = browser.post("/me/tokens", form)
    (made,) = re.findall(r'id="token"[^>]*>(mien_[\w-]+)<', shown.text)
    assert "localhost/api/v1/status" in shown.text  # something that it may
    held = box.db.read(lambda db: tokens.find(db, made))
    assert held is not None
    assert held.scopes == {"status", "log"}
    listed = browser.get("/me/tokens")
    assert made not in listed.text
    assert "Grafana" in text(listed)
    assert "never used" in text(listed)
    after = browser.post(f"/me/tokens/{held.id}/revoke", follow_redirects=True)
    assert "“Grafana” is revoked" in text(after)
    assert browser.post(f"/me/tokens/{held.id}/revoke").status_code == 404
    acts = [(e[0], e[1]) for e in box.rows("SELECT action, subject FROM audit ORDER BY id")]
    assert acts == [("token.made", "Grafana"), ("token.revoked", "Grafana")]
    assert made not in str(box.rows("SELECT * FROM audit"))


@pytest.mark.parametrize(
    ("form", "status", "said"),
    [
        ({"passphrase": "wrong"}, 401, "do not belong together"),
        ({"name": " "}, 400, "Give the token a name"),
        ({"scope": []}, 400, "Tick at least one"),
        ({"scope": ["root"]}, 400, "only what the own roles allow"),
    ],
)
def test_a_form_that_makes_none(box: Box, form: dict[str, object], status: int, said: str) -> None:
    browser = anna_with_passphrase(box)
    good = {"name": "x", "scope": ["log"], "passphrase": "correct horse battery"}
    answer = browser.post("/me/tokens", {**good, **form})
    assert answer.status_code == status
    assert said in text(answer)
    assert not box.rows("SELECT * FROM tokens")


def test_a_wrong_passphrase_makes_the_next_try_wait(box: Box) -> None:
    browser = anna_with_passphrase(box)
    tries = [browser.post("/me/tokens", {"passphrase": "no"}).status_code for _ in range(5)]
    assert tries[0] == 401
    assert tries[-1] == 429


def test_one_cannot_revoke_anothers(box: Box) -> None:
    ben = user(box, "ben", "home")
    made = box.db.write(lambda db: tokens.make(db, ben, "x", {"log"}, 0))
    held = box.db.read(lambda db: tokens.find(db, made))
    assert held is not None
    assert box.browser("anna", "home").post(f"/me/tokens/{held.id}/revoke").status_code == 404
    assert box.db.read(lambda db: tokens.find(db, made)) is not None


def test_every_scope_has_words(box: Box) -> None:
    with box.app.test_request_context():
        assert set(words()) == set(SCOPES)
