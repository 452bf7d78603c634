"""The page about the other boxes, and the room's name where people look for it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

import pages
from mien import __version__
from mien.config import Box as BoxConfig
from mien.config import Mqtt
from mien.events import Neighbour, Neighbourhood, Part, worst
from pages import Box, text
from samples import HEALTH

SILENT = 720.0
CAMERA = Part(
    "camera", "degraded", "camera /dev/video0 was closed",
    "check that the camera is plugged in and that no other program uses it",
)  # fmt: skip
GERMAN = {"Accept-Language": "de"}


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Box]:
    yield from pages.box(tmp_path, monkeypatch)


def other(**changed: Any) -> Neighbour:
    parts = changed.pop("parts", HEALTH.parts)
    values: dict[str, Any] = {
        "box": "room-2", "room": "Room 2", "state": "heard", "unheard_s": 4.0, "witnessed": True,
        "said": "2027-01-15T07:48:00.000Z", "paused": False, "open": False,
        "version": __version__, "parts": parts, "status": worst(parts),
    }  # fmt: skip
    return Neighbour(**{**values, **changed})


def tell(box: Box, *boxes: Neighbour, **changed: Any) -> None:
    known = Neighbourhood(on=True, connected=True, boxes=list(boxes))
    box.daemon.neighbourhood = replace(known, **changed)


def said(box: Box, *boxes: Neighbour, **changed: Any) -> str:
    """The list as the page asks for it by itself."""
    tell(box, *boxes, **changed)
    answer = box.browser().get("/box/neighbours/list", headers={"Mien-Background": "1"})
    assert answer.status_code == 200
    return text(answer)


def test_a_box_that_is_well(box: Box) -> None:
    told = said(box, other(open=True))
    assert told == (
        f"1 other box: it is well Room 2 room-2 Everything works Camera open Version {__version__}"
    )
    assert "Paused: its camera is off" in said(box, other(paused=True))
    assert "Camera closed Version 0.0.9, here " in said(box, other(version="0.0.9"))
    assert said(box, other(room=None)).startswith("1 other box: it is well room-2 Everything")


def test_what_is_not_well_comes_with_its_cure(box: Box) -> None:
    told = said(box, other(parts=[*HEALTH.parts, CAMERA]))
    assert "1 thing needs attention camera degraded Camera /dev/video0 was closed." in told
    assert "Check that the camera is plugged in and that no other program uses it." in told
    assert "15.0 frames" not in told, "what is well is not told"


def test_a_camera_that_fails_is_neither_open_nor_closed(box: Box) -> None:
    told = said(box, other(open=True, parts=[CAMERA]))
    assert "No picture from the camera" in told
    assert "Camera closed" in said(box, other(open=False, parts=[CAMERA]))


def test_in_german_what_the_service_says_is_translated(box: Box) -> None:
    tell(box, other(parts=[CAMERA]))
    shown = text(box.browser().get("/box/neighbours", headers=GERMAN))
    assert "Kamera eingeschränkt Kamera /dev/video0 wurde geschlossen." in shown
    assert "1 Sache braucht Aufmerksamkeit" in shown


def test_one_that_fell_silent(box: Box) -> None:
    box.db.write(lambda db: db.execute("INSERT INTO settings VALUES ('zone', '\"UTC\"')"))
    told = said(box, other(state="silent", unheard_s=SILENT, open=True, parts=[CAMERA]))
    assert told.startswith(
        "1 other box: 1 needs attention Room 2 room-2 "
        "Not heard for 12 min (since 15 Jan 2027, 07:48) "
        "See whether it has power and reaches the network. What it said last: camera degraded "
    )
    assert "Camera: not known" in told
    assert "Camera open" not in told, "it may be closed by now"
    assert told.endswith("Last word by its own clock: 15 Jan 2027, 07:48")
    assert "for 2 h 05 min (since" in said(box, other(state="silent", unheard_s=7530))


def test_with_a_clock_that_may_be_wrong_no_time_of_day_is_told(box: Box) -> None:
    box.clock.clock_ok = False
    told = said(box, other(state="silent", unheard_s=SILENT, said="yesterday"))
    assert "Not heard for 12 min See whether" in told
    assert "clock" not in told


@pytest.mark.parametrize(
    ("state", "witnessed", "words"),
    [
        ("offline", True, "Off for 12 min (since "),
        ("offline", False, "Off for longer than this box has listened: 12 min It was"),
        ("silent", False, "Not heard since this box listens: 12 min See"),
        ("waiting", True, "Not heard for 12 min (since "),
        ("waiting", False, "Waiting for its word It speaks once a minute."),
    ],
)
def test_each_way_of_not_being_heard(box: Box, state: Any, witnessed: bool, words: str) -> None:
    told = said(box, other(state=state, unheard_s=SILENT, witnessed=witnessed))
    assert words in told
    assert "Everything works" not in told


def test_who_needs_somebody_comes_first(box: Box) -> None:
    told = said(
        box,
        other(room="Attic"),
        other(room="Cellar", parts=[CAMERA]),
        other(room="Dock", state="waiting", witnessed=False),
        other(room="Bath", state="offline"),
    )
    assert told.startswith("4 other boxes: 2 need attention Bath ")
    places = [told.index(room) for room in ("Bath", "Cellar", "Dock", "Attic")]
    assert places == sorted(places)
    assert said(box, other(), other(state="waiting")).startswith("2 other boxes: not all heard yet")
    assert said(box, other(), other()).startswith("2 other boxes: all are well")


def test_what_others_say_is_text_and_nothing_else(box: Box) -> None:
    evil = "<script>alert(1)</script>"
    part = Part(evil, "failed", evil, evil)
    tell(box, other(room=evil[:40], version=evil, said="0001-01-01T00:00:00+23:59", parts=[part]))
    page = box.browser().get("/box/neighbours")
    assert page.status_code == 200
    assert evil not in page.text.replace("<script type", "")
    assert "&lt;script&gt;alert(1)" in page.text


@pytest.mark.parametrize(
    "when", ["", "9999-12-31T23:59:59-23:59", "2027-01-15", "-", "１９９９-01-01"]
)
def test_a_time_that_is_none_is_left_out(box: Box, when: str) -> None:
    told = said(box, other(state="silent", said=when))
    assert "Last word" not in told


def test_our_own_line_is_down(box: Box) -> None:
    told = said(box, other(state="waiting"), connected=False)
    assert "This box does not hear the others now" in told
    alone = text_of(box)
    assert "No other box was heard yet" not in alone, "who does not listen cannot say so"


def text_of(box: Box, **changed: Any) -> str:
    return text(box.browser().get("/box/neighbours", **changed))


def test_what_was_left_out_is_counted(box: Box) -> None:
    assert "3 messages on the topics of other boxes were left out" in said(box, ignored=3)
    assert "1 message on the topics of other boxes was left out" in said(box, ignored=1)


def test_how_to_begin(box: Box) -> None:
    shown = text_of(box)
    assert "This box does not listen for others" in shown
    assert "neighbours = true" in shown
    assert "no expressions, and nothing of who is there" in shown
    tell(box)
    shown = text_of(box)
    assert "No other box was heard yet" in shown
    assert "localhost:1883" in shown
    tell(box, other())
    assert "neighbours = true" not in text_of(box)
    box.app.extensions["mien.config"] = replace(box.config, mqtt=Mqtt(enabled=False))
    box.daemon.neighbourhood = Neighbourhood(on=False)
    assert "No broker is in use" in text_of(box)


def test_a_service_that_does_not_answer(box: Box) -> None:
    box.server.stop()
    shown = text_of(box)
    assert "The Mien service does not answer" in shown
    assert "No other box was heard yet" not in shown


@pytest.mark.parametrize("url", ["/box/neighbours", "/box/neighbours/list"])
def test_only_an_administrator_looks(box: Box, url: str) -> None:
    assert box.browser("ben", "home therapist").get(url).status_code == 403
    assert pages.Browser(box.app.test_client()).get(url).status_code in (302, 303, 401)
    box.set("demo")
    box.write("DELETE FROM users")
    assert pages.Browser(box.app.test_client()).get(url).status_code == 200


def test_asking_by_itself_keeps_no_screen_open(box: Box) -> None:
    browser = box.browser()
    before = box.rows("SELECT seen_utc FROM logins")
    box.clock.advance(60)
    browser.get("/box/neighbours/list", headers={"Mien-Background": "1"})
    assert box.rows("SELECT seen_utc FROM logins") == before


def test_the_box_page_leads_there_and_names_the_room(box: Box) -> None:
    index = box.browser().get("/box")
    assert 'href="/box/neighbours"' in index.text
    assert 'class="room"' not in index.text + box.browser().get("/").text
    named = replace(box.config, box=BoxConfig(state_dir=box.config.box.state_dir, room="A & B"))
    box.app.extensions["mien.config"] = named
    for url in ("/box", "/"):
        assert "A &amp; B" in box.browser().get(url).text.split('class="room"')[1][:40]
