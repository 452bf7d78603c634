"""`mien.moodlog`: days and hours of the wall clock, and nothing filled in."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from mien import moodlog
from mien.events import EXPRESSIONS, Quarter
from mien.moodlog import Seen
from seat_log import HomeLog, at

BERLIN = ZoneInfo("Europe/Berlin")
DAY = date(2026, 11, 18)  # a Wednesday
NOON = at(BERLIN, "2026-11-18 12:00")


@pytest.fixture
def box(tmp_path: Path) -> Iterator[HomeLog]:
    made = HomeLog(tmp_path, at(BERLIN, "2026-03-01 00:00"))
    made.people.client("a", "home", resident=True)
    yield made
    made.close()


def days(box: HomeLog, first: date, last: date, zone: ZoneInfo = BERLIN, since: int = 0) -> dict:  # type: ignore[type-arg]
    found = box.read(moodlog.days, first, last, zone, since)
    assert isinstance(found, dict)
    return found


def hours(box: HomeLog, day: date, zone: ZoneInfo = BERLIN, since: int = 0) -> list[moodlog.Hour]:
    found = box.read(moodlog.hours, day, zone, since)
    assert isinstance(found, list)
    return found


def ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def roll(box: HomeLog, after_h: float = 1) -> None:
    box.clock.advance(after_h * 3600)
    box.roll()


# ── a day ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("rolled", [False, True])
def test_a_day_of_seconds_rolled_up_or_not(box: HomeLog, rolled: bool) -> None:
    box.see(NOON, 90, "happiness", valence=0.5)
    box.see(NOON + timedelta(hours=1), 30, "sadness", valence=-1.0)
    box.see(NOON + timedelta(hours=1, minutes=5), 60, None)
    if rolled:
        roll(box)
    seen = days(box, DAY, DAY)[DAY]
    assert (seen.seconds, seen.seen, seen.facing, seen.read) == (180, 180, 180, 120)
    assert seen.share("happiness") == 0.75
    assert seen.top == "happiness"
    assert seen.valence == pytest.approx((90 * 0.5 - 30) / 120)
    found = {hour.hour: hour.seen for hour in hours(box, DAY)}
    assert len(found) == 24
    assert (found[12].read, found[13].read, found[13].seen) == (90, 30, 90)
    assert found[14].seconds == 0
    assert (found[14].valence, found[14].top, found[14].share("fear")) == (None, None, None)
    assert found[12] + found[13] == seen


def test_half_of_a_day_rolled_up_and_half_not(box: HomeLog) -> None:
    box.see(NOON, 60)
    roll(box)
    box.see(NOON + timedelta(hours=3), 60)
    assert days(box, DAY, DAY)[DAY].seconds == 120


def test_days_begin_at_midnight_of_the_wall_clock(box: HomeLog) -> None:
    box.see(at(BERLIN, "2026-11-18 23:59"), 60)
    box.see(at(BERLIN, "2026-11-19 00:00"), 120)
    roll(box)
    found = days(box, DAY - timedelta(3), DAY + timedelta(3))
    assert {day: seen.seconds for day, seen in found.items()} == {
        DAY: 60, DAY + timedelta(1): 120,
    }  # fmt: skip
    assert days(box, DAY + timedelta(1), DAY) == {}, "no days at all"


def test_a_person_never_seen_all_week(box: HomeLog) -> None:
    for day in range(7):
        box.see(NOON + timedelta(day), 60, people=0)
    roll(box)
    found = days(box, DAY, DAY + timedelta(6))
    assert len(found) == 7
    for seen in found.values():
        assert (seen.seconds, seen.seen, seen.read, seen.top, seen.valence) == (
            60,
            0,
            0,
            None,
            None,
        )
    assert days(box, DAY + timedelta(7), DAY + timedelta(13)) == {}, "not watched is not unseen"


def test_two_people_in_the_room_are_told_and_not_read(box: HomeLog) -> None:
    box.see(NOON, 60, people=2)
    box.see(NOON + timedelta(minutes=1), 30)
    roll(box)
    seen = days(box, DAY, DAY)[DAY]
    assert (seen.seen, seen.several, seen.read) == (90, 60, 30)


def test_sessions_are_not_part_of_the_log(box: HomeLog) -> None:
    box.see(NOON, 60)
    box.people.session("s", "a", length=60)
    box.see(NOON + timedelta(minutes=1), 60)
    for _ in range(2):
        assert days(box, DAY, DAY)[DAY].seconds == 60
        assert box.read(moodlog.between, ms(NOON), ms(NOON) + 600_000).seconds == 60
        roll(box)


def test_between_is_of_minutes(box: HomeLog) -> None:
    for minute in range(40):
        box.see(NOON + timedelta(minutes=minute), 1)
    roll(box)
    assert box.read(moodlog.between, ms(NOON) + 300_000, ms(NOON) + 1_200_000).seconds == 15
    assert box.read(moodlog.between, 0, 1).seconds == 0


# ── clocks that are set, and odd zones ───────────────────────────────────────────────────────────


def test_the_day_of_23_hours(box: HomeLog) -> None:
    day = date(2026, 3, 29)
    box.see(at(BERLIN, "2026-03-29 01:59"), 60)
    box.see(at(BERLIN, "2026-03-29 03:00"), 30)
    roll(box)
    found = hours(box, day)
    assert [hour.hour for hour in found] == [0, 1, *range(3, 24)]
    assert [hour.seen.seconds for hour in found[1:3]] == [60, 30]
    assert found[2].start_ms - found[1].start_ms == 3_600_000
    assert not any(hour.again for hour in found)
    assert days(box, day, day)[day].seconds == 90


def test_the_day_of_25_hours(box: HomeLog) -> None:
    day = date(2026, 10, 25)
    first = at(BERLIN, "2026-10-25 02:15")
    box.see(first, 60)
    box.see(first.replace(fold=1), 30)
    roll(box)
    found = hours(box, day)
    assert [hour.hour for hour in found] == [0, 1, 2, *range(2, 24)]
    assert [(hour.again, hour.seen.seconds) for hour in found[2:4]] == [(False, 60), (True, 30)]
    assert days(box, day - timedelta(9), day + timedelta(9))[day].seconds == 90


@pytest.mark.parametrize(
    ("name", "lengths"),
    [
        ("Asia/Kathmandu", {60: 24}),  # 5:45 from UTC
        ("Asia/Kolkata", {60: 24}),
        ("Australia/Lord_Howe", {60: 24, 30: 1}),  # sets its clock by half an hour
    ],
)
def test_zones_of_half_and_quarter_hours(box: HomeLog, name: str, lengths: dict[int, int]) -> None:
    zone = ZoneInfo(name)
    day = date(2026, 4, 5)
    box.see(at(zone, "2026-04-05 00:00") - timedelta(minutes=1), 60)
    box.see(at(zone, "2026-04-05 00:00"), 30)
    box.see(at(zone, "2026-04-05 18:00") - timedelta(minutes=1), 20)
    roll(box)
    found = hours(box, day, zone)
    minutes = [hour.length_ms // 60_000 for hour in found]
    assert {length: minutes.count(length) for length in set(minutes)} == lengths
    assert {hour.hour: hour.seen.seconds for hour in found if hour.seen.seconds} == {0: 30, 17: 20}
    assert days(box, day, day, zone)[day].seconds == 50


@given(
    moments=st.lists(st.integers(0, 200 * 96), min_size=1, max_size=8, unique=True),
    name=st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe",
                          "Asia/Kathmandu", "Pacific/Chatham", "America/Santiago"]),
)  # fmt: skip
@hypothesis(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
def test_days_and_hours_are_those_of_the_wall_clock(
    tmp_path_factory: pytest.TempPathFactory, moments: list[int], name: str
) -> None:
    zone = ZoneInfo(name)
    box = HomeLog(tmp_path_factory.mktemp("home"), at(BERLIN, "2026-03-01 00:00"))
    start = datetime(2026, 3, 2, tzinfo=UTC)
    local = []
    for quarter in sorted(moments):
        moment = start + timedelta(minutes=15 * quarter)
        box.see(moment, 1)
        local.append(moment.astimezone(zone))
    box.clock.advance(1800)
    box.store.roll()
    first, last = local[0].date(), local[-1].date()
    by_day = {day: seen.seconds for day, seen in days(box, first, last, zone).items()}
    assert by_day == {day: [one.date() for one in local].count(day) for day in by_day}
    assert set(by_day) == {one.date() for one in local}
    for day in by_day:
        told = [hour for hour in hours(box, day, zone) if hour.seen.seconds]
        assert [hour.hour for hour in told] == list(
            dict.fromkeys(one.hour for one in local if one.date() == day)
        ) or any(hour.again for hour in told)
    assert box.read(moodlog.first_day, zone) == first
    box.close()


# ── times that are not known ─────────────────────────────────────────────────────────────────────


def test_a_clock_that_was_wrong_for_a_week(box: HomeLog) -> None:
    box.see(NOON, 60)
    box.reboot(datetime(2024, 1, 1, tzinfo=UTC), clock_ok=False)
    box.see(datetime(2024, 1, 2, tzinfo=UTC), 60)
    for day in range(7):
        box.see(datetime(2024, 1, 2 + day, 12, tzinfo=UTC), 60)
    (found,) = box.read(moodlog.undated)
    assert (found.seen.seconds, found.seen.read) == (480, 480)
    assert (found.after_ms, found.before_ms) == (ms(NOON) + 60_000, None)
    assert days(box, date(2024, 1, 1), DAY)[DAY].seconds == 60
    assert len(days(box, date(2024, 1, 1), DAY)) == 1, "nothing is put on a day that is not known"
    # The network is back: what was seen in the last 168 hours is where it belongs.
    box.clock.synchronise((NOON + timedelta(8)).timestamp())
    box.store.backfill()
    roll(box)
    assert box.read(moodlog.undated) == []
    seen = days(box, DAY, DAY + timedelta(9))
    assert sum(one.seconds for one in seen.values()) == 540
    assert max(seen) == DAY + timedelta(8)


def test_a_boot_that_never_learnt_its_time_lies_between_its_neighbours(box: HomeLog) -> None:
    box.see(NOON, 60)
    box.reboot(clock_ok=False)
    box.see(box.clock.stamp().utc, 60)
    box.reboot(clock_ok=False)
    box.see(box.clock.stamp().utc + 60, 30)
    box.reboot(NOON + timedelta(2))
    box.see(NOON + timedelta(2, hours=1), 60)
    found = box.read(moodlog.undated)
    assert [one.seen.seconds for one in found] == [60, 30]
    bounds = (ms(NOON) + 60_000, ms(NOON + timedelta(2, hours=1)))
    assert {(one.after_ms, one.before_ms) for one in found} == {bounds}
    assert box.read(moodlog.undated, bounds[1] - 1) == found, "it may be later"
    assert box.read(moodlog.undated, bounds[1]) == []


# ── whose log it is ──────────────────────────────────────────────────────────────────────────────


def test_the_log_is_of_the_first_resident_who_consents(box: HomeLog) -> None:
    box.people.client("b", "home", resident=True)
    box.people.client("c", resident=True)
    box.people.write("UPDATE consents SET given_utc = 70 WHERE client = 'a'")
    assert [box.read(moodlog.since, one) for one in "abc"] == [70, None, None]
    box.people.withdraw("a", "home")
    assert [box.read(moodlog.since, one) for one in "abc"] == [None, 0, None]
    box.people.write(
        "INSERT INTO consents (client, kind, version, given_utc, user) "
        "VALUES ('a', 'home', 1, 90, 'anna')"
    )
    assert box.read(moodlog.since, "a") == 90, "what was withdrawn does not count"
    box.people.put("setting", "demo")
    assert box.read(moodlog.since, "c") == 0


@pytest.mark.parametrize("rolled", [False, True])
def test_nothing_before_the_consent(box: HomeLog, rolled: bool) -> None:
    for minute in range(30):
        box.see(NOON + timedelta(minutes=minute), 1)
    if rolled:
        roll(box)
    since = ms(NOON) + 7 * 60_000
    assert days(box, DAY, DAY, BERLIN, since)[DAY].seconds == 23
    assert sum(hour.seen.seconds for hour in hours(box, DAY, BERLIN, since)) == 23
    assert [q.seconds for q in box.read(moodlog.quarters, since, 1 << 50)] == [8, 15]
    assert box.read(moodlog.first_day, BERLIN, since) == DAY
    assert box.read(moodlog.first_day, BERLIN, ms(NOON) + 86_400_000) is None


def test_what_was_taken_over_since_the_consent_is_in_it_however_old(box: HomeLog) -> None:
    said = {**dict.fromkeys(EXPRESSIONS, 0), "fear": 60}
    old = ms(NOON - timedelta(400)) // 900_000
    box.see(NOON, 1)
    box.store.take_over([Quarter(old, 100, 90, 80, 60, 0, said, -60)])
    day = DAY - timedelta(400)
    since = ms(NOON - timedelta(1))
    assert days(box, day, DAY, BERLIN, since)[day].read == 60
    assert box.read(moodlog.first_day, BERLIN, since) == day
    taken = box.read(moodlog.quarters, since, 1 << 50)
    assert [quarter.quarter for quarter in taken] == [old, ms(NOON) // 900_000]
    assert taken[0].expressions["fear"] == 60
    assert days(box, day, DAY, BERLIN, ms(NOON + timedelta(1))) == {}, "of an earlier consent"


def test_quarters_of_an_export_are_taken_over_as_they_were(
    box: HomeLog, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for hour in range(5):
        box.see(NOON + timedelta(hours=hour), 60, "fear", valence=-0.25)
    roll(box)
    told = box.read(moodlog.quarters, 0, 1 << 50)
    other = HomeLog(tmp_path_factory.mktemp("other"), NOON + timedelta(9))
    other.people.client("b", "home", resident=True)
    assert other.store.take_over(told) == 5
    assert days(other, DAY, DAY) == days(box, DAY, DAY)
    assert other.read(moodlog.quarters, 0, 1 << 50) == told
    other.close()


def test_no_log_at_all(box: HomeLog) -> None:
    assert box.read(moodlog.first_day, BERLIN) is None
    assert box.read(moodlog.undated) == []
    assert box.read(moodlog.quarters, 0, 1 << 50) == []
    assert len(hours(box, DAY)) == 24


def test_nothing_and_nothing_is_nothing() -> None:
    nothing = Seen(0, 0, 0, 0, 0, dict.fromkeys(EXPRESSIONS, 0), None)
    assert nothing + nothing == nothing
