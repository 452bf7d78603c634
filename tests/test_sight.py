"""During a session its therapist alone sees the client, whatever page or address is asked."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

import mien_web
import pages
from mien import sessions
from pages import Box, Browser
from samples import HAPPY

VIEWER = "0123456789abcdef"
JPEG = b"\xff\xd8 a picture of the client \xff\xd9"
CODE = "Quillfeather"
OTHERS = {
    "ben": "therapist",
    "cleo": "administrator",
    "dora": "therapist administrator home",
    "emil": "home",
}


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Box]:
    yield from pages.box(tmp_path, monkeypatch)


@pytest.fixture
def client(box: Box) -> str:
    box.clock.advance(300)
    client = box.client(CODE, "live", "numbers", "pictures")
    box.daemon.show(replace(HAPPY, frame=7), JPEG)
    return client


def look(browser: Browser) -> tuple[bytes, str]:
    """Return what the live page's script gets: a picture, or the state without one."""
    answer = browser.get(f"/live/picture?viewer={VIEWER}&after=0")
    assert answer.status_code == 200
    return answer.data, "live" if answer.mimetype == "image/jpeg" else answer.json["state"]


@pytest.mark.parametrize("name", OTHERS)
def test_others_see_that_it_is_in_use_and_may_pause(box: Box, client: str, name: str) -> None:
    box.session(client)
    other = box.browser(name, OTHERS[name])
    assert look(other)[1] == "in-use"
    page = pages.text(other.get("/"))
    assert "In use: a session is running" in page
    assert "62 %" not in page
    assert other.post("/live/pause").status_code == 303


def test_its_therapist_sees_it(box: Box, client: str) -> None:
    box.session(client)
    anna = box.browser("anna")
    assert look(anna) == (JPEG, "live")
    assert "happiness 62 %" in pages.text(anna.get("/"))


def test_without_a_session_the_picture_is_there_for_all(box: Box, client: str) -> None:
    assert look(box.browser("ben", "therapist"))[1] == "live"


def test_the_last_picture_of_a_session_is_not_shown_either(box: Box, client: str) -> None:
    box.session(client, 60)
    ben = box.browser("ben", "therapist")
    assert look(ben)[1] == "in-use"
    box.clock.advance(sessions.CLOSING_MS / 1000 + 0.1)
    assert look(ben)[1] == "live"


def test_a_session_of_an_earlier_boot_hides_nothing(box: Box, client: str) -> None:
    session = box.session(client)
    box.write("UPDATE sessions SET boot = 'earlier' WHERE id = ?", session)
    assert look(box.browser("ben", "therapist"))[1] == "live"


def test_the_seat_wizard_of_another_shows_no_client(box: Box, client: str) -> None:
    box.session(client)
    ben = box.browser("ben", "therapist administrator")
    answer = ben.get(f"/seat/picture?viewer={VIEWER}&after=0")
    assert answer.json["state"] == "session"


@pytest.mark.parametrize("name", OTHERS)
def test_no_address_shows_the_client_of_somebody_else(box: Box, client: str, name: str) -> None:
    """Every address that can be read, with the ids of the client and the session put in."""
    session = box.session(client)
    box.write(
        "INSERT INTO captures (id, session, at_ms, face, crop, expression, probabilities, bundle) "
        "VALUES ('capture-1', ?, 0, ?, ?, 3, ?, 'mien-fer-2')",
        session, JPEG, JPEG, b"\x00" * 28,
    )  # fmt: skip
    values = {"client": client, "session": session, "capture": "capture-1"}
    browser = box.browser(name, OTHERS[name])
    asked = 0
    for rule in box.app.url_map.iter_rules():
        if "GET" not in (rule.methods or ()) or rule.endpoint == "static":
            continue
        path = rule.rule
        for argument in rule.arguments:
            path = re.sub(rf"<(?:[^:<>]+:)?{argument}>", values.get(argument, "1"), path)
        path += f"?viewer={VIEWER}&after=0" if path.endswith("/picture") else ""
        answer = browser.get(path)
        asked += 1
        assert JPEG not in answer.data, path
        assert CODE.encode() not in answer.data, path
        assert "Mien-Live" not in answer.headers, path
    assert asked > 60


def test_every_page_asks_here_for_a_picture() -> None:
    for path in Path(mien_web.__file__).parent.rglob("*.py"):
        if path.name != "sight.py":
            assert "control().preview(" not in path.read_text(), path
