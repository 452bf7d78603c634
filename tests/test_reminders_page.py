"""Reminders on the page: chosen, shown on open pages, put off."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

import pages
from mien import reminders, settings
from pages import Box, Browser, text
from test_checkins_page import resident

ZONE = ZoneInfo("Europe/Berlin")


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Box]:
    for box in pages.box(tmp_path, monkeypatch):
        box.set("home")
        box.db.write(lambda db: settings.put(db, "zone", "Europe/Berlin"))
        box.user("anna", "home")
        at(box, 19, 55)
        yield box


@pytest.fixture
def anna(box: Box) -> Browser:
    resident(box, "Anna")
    return box.browser("anna", "home")


def at(box: Box, hour: int, minute: int) -> Browser:
    """Saturday evening; somebody signs in anew then, for a screen left alone locks."""
    box.clock.synchronise(datetime(2026, 11, 21, hour, minute, tzinfo=ZONE).timestamp())
    return box.browser("anna", "home")


def person(box: Box) -> str:
    return str(box.rows("SELECT id FROM clients WHERE code = 'Anna'")[0][0])


def plan(box: Box) -> reminders.Plan:
    who = person(box)
    return box.db.read(lambda db: reminders.plan(db, who))


WANTED = {
    "on": "1", "time": ["20:00", "", "08:30"], "day": ["6", "7"], "unless_h": "2",
    "snooze_min": "15",
}  # fmt: skip


def asked(anna: Browser) -> list[dict[str, object]]:
    answer = anna.get("/reminders/due", headers={"Mien-Background": "1"}).json
    assert answer is not None
    found: list[dict[str, object]] = answer["asked"]
    return found


def test_chosen_and_said_when_the_next_one_comes(box: Box, anna: Browser) -> None:
    assert "Next:" not in text(anna.get("/reminders"))
    saved = anna.post("/reminders", WANTED, follow_redirects=True)
    assert "Saved." in text(saved)
    assert "Next: Saturday, 21 November 2026, 20:00." in text(saved)
    assert plan(box) == reminders.Plan(True, ["08:30", "20:00"], [6, 7], 2, 0, 15)
    off = anna.post("/reminders", {**WANTED, "on": []}, follow_redirects=True)
    assert "Next:" not in text(off)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"time": ["25:00"]}, "no time of day"),
        ({"time": []}, "at least one time"),
        ({"day": []}, "at least one time and one day"),
        ({"time": [f"1{n}:00" for n in range(7)]}, "7 times are too many"),
        ({"unless_h": "x"}, "from 0 to 24"),
        ({"snooze_min": "99999"}, "5 to 240 minutes"),
    ],
)
def test_nonsense_is_refused_with_a_sentence(
    box: Box, anna: Browser, wrong: dict[str, object], sentence: str
) -> None:
    answer = anna.post("/reminders", {**WANTED, **wrong})
    assert answer.status_code == 400
    assert sentence in text(answer)
    assert not plan(box).on


def test_an_open_page_asks_once_it_is_time_and_never_late(box: Box, anna: Browser) -> None:
    assert 'id="reminder"' not in anna.get("/reminders").text
    anna.post("/reminders", WANTED)
    assert 'id="reminder"' in anna.get("/reminders").text
    assert 'id="reminder"' not in anna.get("/checkin").text
    assert asked(anna) == []
    anna = at(box, 20, 1)
    (one,) = asked(anna)
    assert one["person"] == person(box)
    assert "time for a check-in" in str(one["text"])
    anna = at(box, 20, 11)
    assert asked(anna) == []


def test_a_check_in_answers_it_also_one_about_an_earlier_time(box: Box, anna: Browser) -> None:
    anna.post("/reminders", {**WANTED, "unless_h": "0"})
    anna = at(box, 20, 1)
    assert len(asked(anna)) == 1
    anna.post("/checkin", {"mood": "4", "when": "2026-11-20T20:00"})
    assert asked(anna) == []


def test_nobody_is_asked_soon_after_a_check_in(box: Box, anna: Browser) -> None:
    anna.post("/reminders", WANTED)
    anna.post("/checkin", {"mood": "4"})
    anna = at(box, 20, 9)
    assert asked(anna) == []


def test_put_off_and_asked_again(box: Box, anna: Browser) -> None:
    anna.post("/reminders", WANTED)
    anna = at(box, 20, 1)
    anna.post("/reminders/snooze", {"person": person(box)})
    assert asked(anna) == []
    assert "20:16" in text(anna.get("/reminders"))
    anna = at(box, 20, 16)
    assert len(asked(anna)) == 1


def test_two_persons_of_one_household(box: Box, anna: Browser) -> None:
    ben = resident(box, "Ben")
    plan = reminders.Plan(on=True, times=["20:00"])
    box.db.write(lambda db: reminders.put(db, ben, plan))
    anna = at(box, 20, 1)
    (one,) = asked(anna)
    assert one["text"] == "Ben: how are you?"
    answered = anna.post("/person", {"person": ben, "to": "checkin"})
    assert answered.location == "/checkin"
    anna.post("/checkin", {"mood": "4"})
    assert box.rows("SELECT client FROM checkins") == [(ben,)]


def test_others_are_not_asked_and_put_nothing_off(box: Box, anna: Browser) -> None:
    anna.post("/reminders", WANTED)
    resident(box, "Carl", "carl")
    at(box, 20, 1)
    carl = box.browser("carl", "home")
    assert asked(carl) == []
    assert 'id="reminder"' not in carl.get("/reminders").text
    assert carl.post("/reminders/snooze", {"person": person(box)}).status_code == 404


def test_while_the_clock_is_not_set_nobody_is_asked(box: Box, anna: Browser) -> None:
    anna.post("/reminders", WANTED)
    anna = at(box, 20, 1)
    box.clock.clock_ok = False
    assert asked(anna) == []
    assert "clock of the box is not set yet" in text(anna.get("/reminders"))
