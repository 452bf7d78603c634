"""When somebody is asked how they are: at their times, once, never late, not while they were just
here, and right when the clocks change."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from mien import config, reminders
from mien.clock import ManualClock, Stamp
from mien.reminders import Plan, ReminderError
from mien.store import Store
from people import People

BERLIN = ZoneInfo("Europe/Berlin")
MINUTE = 60_000
HOUR = 60 * MINUTE


def ms(text: str, zone: ZoneInfo = BERLIN) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp() * 1000)


def stamp(utc_ms: int, clock_ok: bool = True) -> Stamp:
    return Stamp("boot", 0.0, utc_ms / 1000, clock_ok)


class Room:
    """Ida, who wants to be asked at eight in the evening, and when this was asked last."""

    def __init__(self, folder: Path) -> None:
        self.store = Store.open(folder, ManualClock(), config.Store())
        self.people = People(folder, ManualClock())
        self.ida = self.people.client("ida", "home", resident=True)
        self.plan(on=True)

    def plan(self, **chosen: object) -> None:
        plan = replace(self.people.database.read(lambda db: reminders.plan(db, "ida")), **chosen)
        self.people.database.write(lambda db: reminders.put(db, "ida", plan))

    def due(self, at: str | int, last: str | int, clock_ok: bool = True) -> list[str]:
        now, before = (t if isinstance(t, int) else ms(t) for t in (at, last))
        look = stamp(now, clock_ok)
        return self.store.read(lambda db: reminders.due(db, look, BERLIN, before))

    def checkin(self, at: str, made: str | None = None, source: str = "page") -> None:
        self.people.write(
            "INSERT INTO checkins (id, client, utc, weekday, source, made_utc) "
            "VALUES (?, 'ida', ?, 1, ?, ?)",
            at, ms(at), source, ms(made or at),
        )  # fmt: skip


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    room = Room(tmp_path)
    yield room
    room.people.close()
    room.store.close()


def test_it_is_due_once_at_its_time(room: Room) -> None:
    assert room.due("2027-02-03T19:59:59", "2027-02-03T19:59:58") == []
    assert room.due("2027-02-03T20:00:00", "2027-02-03T19:59:59") == ["ida"]
    assert room.due("2027-02-03T20:00:01", "2027-02-03T20:00:00") == []


def test_it_is_never_late(room: Room) -> None:
    assert room.due("2027-02-03T20:09:59", "2027-02-03T12:00:00") == ["ida"]
    assert room.due("2027-02-03T20:10:01", "2027-02-03T12:00:00") == []


def test_only_on_the_chosen_days_and_shortly_after_midnight_too(room: Room) -> None:
    room.plan(days=[3], times=["23:58"])  # Wednesdays
    assert room.due("2027-02-04T00:03:00", "2027-02-03T23:57:00") == ["ida"]
    assert room.due("2027-02-05T00:03:00", "2027-02-04T23:57:00") == []


def test_nobody_is_asked_who_was_just_here(room: Room) -> None:
    room.checkin("2027-02-03T17:59:00")
    assert room.due("2027-02-03T20:00:00", "2027-02-03T19:59:00") == ["ida"]
    room.checkin("2027-02-03T18:01:00")
    assert room.due("2027-02-03T20:00:00", "2027-02-03T19:59:00") == []
    room.plan(unless_h=0)
    assert room.due("2027-02-03T20:00:00", "2027-02-03T19:59:00") == ["ida"]


def test_an_entry_about_yesterday_made_just_now_counts_and_an_import_does_not(room: Room) -> None:
    room.checkin("2027-02-02T12:00:00", "2027-02-03T19:30:00", "daylio")
    assert room.due("2027-02-03T20:00:00", "2027-02-03T19:59:00") == ["ida"]
    room.checkin("2027-02-02T13:00:00", "2027-02-03T19:30:00")
    assert room.due("2027-02-03T20:00:00", "2027-02-03T19:59:00") == []


def test_putting_it_off(room: Room) -> None:
    room.plan(times=["20:00", "20:15"])
    now = stamp(ms("2027-02-03T20:01:00"))
    room.people.database.write(lambda db: reminders.snooze(db, "ida", now))
    assert room.due("2027-02-03T20:15:00", "2027-02-03T20:14:00") == []
    assert room.due("2027-02-03T20:31:00", "2027-02-03T20:30:59") == ["ida"]
    assert room.due("2027-02-03T20:31:01", "2027-02-03T20:31:00") == []
    room.plan(unless_h=0)
    room.checkin("2027-02-03T20:20:00")
    assert room.due("2027-02-03T20:31:00", "2027-02-03T20:30:59") == []


def test_off_archived_and_gone(room: Room) -> None:
    asked = ("2027-02-03T20:00:00", "2027-02-03T19:59:00")
    room.plan(on=False)
    assert room.due(*asked) == []
    room.plan(on=True)
    room.people.write("UPDATE clients SET archived = 1")
    assert room.due(*asked) == []
    room.people.write("DELETE FROM clients")
    assert room.due(*asked) == []


def test_a_clock_that_may_be_wrong_reminds_nobody(room: Room) -> None:
    assert room.due("2027-02-03T20:00:00", "2027-02-03T19:59:00", clock_ok=False) == []


def test_a_clock_that_was_put_back(room: Room) -> None:
    # A little: not again. A lot: what was asked in the wrong time counts for nothing.
    assert room.due("2027-02-03T20:00:01", "2027-02-03T20:00:03") == []
    assert room.due("2027-02-03T20:00:01", "2029-01-01T00:00:00") == ["ida"]
    wrong = stamp(ms("2029-01-01T00:00:00"))
    room.people.database.write(lambda db: reminders.snooze(db, "ida", wrong))
    assert room.due("2027-02-03T20:00:01", "2027-02-03T19:59:59") == ["ida"], "for two years?"


@pytest.mark.parametrize(
    ("day", "text", "utc"),
    [
        ("2027-03-28", "02:30", "2027-03-28T01:30:00"),  # skipped: given at 03:30
        ("2027-03-28", "03:30", "2027-03-28T01:30:00"),
        ("2027-10-31", "02:30", "2027-10-31T00:30:00"),  # twice: given the first time
        ("2027-10-31", "20:00", "2027-10-31T19:00:00"),
    ],
)
def test_when_the_clocks_change(day: str, text: str, utc: str) -> None:
    at = date.fromisoformat(day)
    told = list(reminders.moments(Plan(times=[text]), at, at, BERLIN))
    assert told == [ms(utc, UTC)]  # type: ignore[arg-type]


TIMES = st.lists(
    st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59)), min_size=1, max_size=6
)


@given(TIMES, st.lists(st.integers(1, 600), min_size=1, max_size=40), st.integers(0, 86_400 * 400))
def test_each_moment_is_given_once_however_often_one_asks(
    times: list[str], steps: list[int], start: int
) -> None:
    plan = Plan(on=True, times=times)
    began = now = ms("2027-01-01T00:00:00") + start * 1000
    given: list[int] = []
    for step in steps:  # as `due` does, between two of its looks
        last, now = now, now + step * 1000
        today = datetime.fromtimestamp(now / 1000, BERLIN).date()
        yesterday = date.fromordinal(today.toordinal() - 1)
        given += {m for m in reminders.moments(plan, yesterday, today, BERLIN) if last < m <= now}
    first, last_day = (datetime.fromtimestamp(t / 1000, BERLIN).date() for t in (began, now))
    wanted = {m for m in reminders.moments(plan, first, last_day, BERLIN) if began < m <= now}
    assert sorted(given) == sorted(wanted)


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"times": ["25:00"]}, "“25:00” is no time of day; write it as 22:30"),
        ({"times": ["0٣:00"]}, "is no time of day"),
        ({"times": ["7:30"]}, "is no time of day"),
        ({"times": [f"{hour:02}:00" for hour in range(7)]}, "7 times are too many; choose 6"),
        ({"times": []}, "at least one time and one day"),
        ({"days": []}, "at least one time and one day"),
        ({"days": [8]}, "from 1, Monday, to 7, Sunday"),
        ({"unless_h": 25}, "from 0 to 24"),
        ({"snooze_min": 4}, "by 5 to 240 minutes"),
    ],
)
def test_nonsense_is_told(room: Room, chosen: dict[str, object], words: str) -> None:
    with pytest.raises(ReminderError, match=words):
        room.plan(**chosen)


def test_times_and_days_are_kept_in_order(room: Room) -> None:
    room.plan(times=["20:00", "07:30", "20:00"], days=[7, 1])
    kept = room.store.read(lambda db: reminders.plan(db, "ida"))
    assert (kept.times, kept.days) == (["07:30", "20:00"], [1, 7])
