"""What the smart home may do without a token: ticked by the administrator, obeyed by the box."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

import pages
from mien import orders
from mien.events import Part
from mien.orders import DEFAULT, TICKABLE, Order, OrderError
from mien_web.smart_home import named
from pages import Box, text


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Box]:
    yield from pages.box(tmp_path, monkeypatch)


def may(box: Box, name: str) -> bool:
    try:
        box.db.read(lambda db: orders.allowed(db, Order(name, None, None, {})))
    except OrderError:
        return False
    return True


def test_what_is_ticked_is_obeyed(box: Box) -> None:
    browser = box.browser()
    shown = browser.get("/box/smart-home").text
    for name in TICKABLE:
        assert (f'value="{name}" checked' in shown) == (name in DEFAULT) == may(box, name)
    answer = browser.post("/box/smart-home", {"command": ["resume", "start"]})
    assert answer.status_code == 303
    assert {name for name in orders.SCOPES if may(box, name)} == {"resume"}
    assert 'value="pause" checked' not in browser.get("/box/smart-home").text
    assert box.rows("SELECT action, detail FROM audit") == [
        ("smart-home.changed", '{"may":["resume"],"before":["pause","snooze"]}')
    ]
    browser.post("/box/smart-home")
    assert not any(may(box, name) for name in orders.SCOPES)


def test_only_an_administrator_ticks(box: Box) -> None:
    assert box.browser("ben", "home therapist").get("/box/smart-home").status_code == 403
    assert box.browser("ben", "home therapist").post("/box/smart-home").status_code == 403
    box.set("demo")
    box.write("DELETE FROM users")
    demo = pages.Browser(box.app.test_client())
    assert demo.get("/box/smart-home").status_code == 200
    assert demo.post("/box/smart-home").status_code == 403


def test_home_assistant_finds_a_box_at_home_alone(box: Box) -> None:
    box.set("clinic")
    assert "Home Assistant finds" not in text(box.browser().get("/box/smart-home"))
    box.set("home")
    assert "Home Assistant finds" in text(box.browser().get("/box/smart-home"))


def test_how_the_broker_is(box: Box) -> None:
    browser = box.browser()
    bad = Part("broker", "degraded", "the broker at x cannot be reached: no route", "start it")
    box.daemon.health = msgspec.structs.replace(box.daemon.health, parts=[bad])
    assert "cannot be reached" in text(browser.get("/box/smart-home"))
    box.server.stop()
    assert "does not answer" in text(browser.get("/box/smart-home"))


def test_every_command_that_can_be_ticked_has_words(box: Box) -> None:
    with box.app.test_request_context():
        assert set(named()) == set(TICKABLE)
