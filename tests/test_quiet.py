"""`mien.quiet`: when it is quiet, over midnight and where the clock is set."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from mien import mandate, quiet
from mien.events import MienError
from mien.quiet import Hours
from seat_log import HomeLog, at

BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = Hours([1, 2, 3, 4, 5, 6, 7], "22:00", "07:00")
DAILY = [1, 2, 3, 4, 5, 6, 7]


def until(hours: list[Hours], text: str, fold: int = 0) -> str | None:
    """When it ends, as the clock on the wall shows it then."""
    moment = at(BERLIN, text).replace(fold=fold)
    end = quiet.until(hours, round(moment.timestamp() * 1000), BERLIN)
    return None if end is None else f"{datetime.fromtimestamp(end / 1000, BERLIN):%d %H:%M}"


@pytest.mark.parametrize(
    ("moment", "end"),
    [
        ("2026-11-18 21:59", None),
        ("2026-11-18 22:00", "19 07:00"),
        ("2026-11-18 23:59", "19 07:00"),
        ("2026-11-19 00:00", "19 07:00"),
        ("2026-11-19 06:59", "19 07:00"),
        ("2026-11-19 07:00", None),
    ],
)
def test_a_night(moment: str, end: str | None) -> None:
    assert until([NIGHT], moment) == end


def test_a_night_belongs_to_the_day_on_which_it_begins() -> None:
    friday = [Hours([5], "22:00", "07:00")]
    assert until(friday, "2026-11-20 03:00") is None  # the night from Thursday
    assert until(friday, "2026-11-21 03:00") == "21 07:00"  # Saturday morning
    assert until(friday, "2026-11-21 22:30") is None


def test_a_day_has_several_and_those_that_meet_are_one() -> None:
    hours = [Hours(DAILY, "12:00", "13:00"), Hours(DAILY, "13:00", "15:00"), NIGHT,
             Hours([6], "06:30", "10:00")]  # fmt: skip
    assert until(hours, "2026-11-19 12:30") == "19 15:00"
    assert until(hours, "2026-11-19 11:00") is None
    assert until(hours, "2026-11-20 23:00") == "21 10:00"


def test_the_same_time_twice_is_a_whole_day() -> None:
    sunday = [Hours([7], "00:00", "00:00")]
    assert until(sunday, "2026-11-22 00:00") == "23 00:00"
    assert until(sunday, "2026-11-22 23:59") == "23 00:00"
    assert until(sunday, "2026-11-23 00:00") is None


def test_always_is_quiet_without_end() -> None:
    moment = round(at(BERLIN, "2026-11-18 12:00").timestamp() * 1000)
    end = quiet.until([Hours(DAILY, "00:00", "00:00")], moment, BERLIN)
    assert end is not None
    assert end > moment + 7 * 86_400_000


@pytest.mark.parametrize(
    ("moment", "fold", "end"),
    [
        ("2026-03-29 01:59", 0, "29 03:30"),  # 02:30 never was; an hour later rather than earlier
        ("2026-03-29 03:15", 0, "29 03:30"),
        ("2026-03-29 03:30", 0, None),
        ("2026-10-25 02:15", 0, "25 02:30"),
        ("2026-10-25 02:45", 0, "25 02:30"),  # it is half past two once more
        ("2026-10-25 02:15", 1, "25 02:30"),
        ("2026-10-25 02:30", 1, None),
    ],
)
def test_where_the_clock_is_set_it_is_rather_too_quiet(
    moment: str, fold: int, end: str | None
) -> None:
    assert until([Hours(DAILY, "01:00", "02:30")], moment, fold) == end


@given(
    hours=st.lists(
        st.builds(
            Hours,
            st.lists(st.integers(1, 7), min_size=1, unique=True),
            st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59)),
            st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59)),
        ),
        max_size=3,
    ),
    minute=st.integers(0, 14 * 1440),
)
@hypothesis(max_examples=150)
def test_it_is_quiet_until_it_is_not(hours: list[Hours], minute: int) -> None:
    moment = datetime(2026, 6, 1, tzinfo=ZoneInfo("UTC")) + timedelta(minutes=minute)
    now = round(moment.timestamp() * 1000)
    local = moment.astimezone(BERLIN)
    clock, day = f"{local:%H:%M}", local.isoweekday()
    before = (day - 2) % 7 + 1
    expected = any(
        (day in one.days and one.start <= clock and (clock < one.end or one.end <= one.start))
        or (before in one.days and one.end <= one.start and clock < one.end)
        for one in hours
    )
    end = quiet.until(hours, now, BERLIN)
    assert (end is not None) == expected
    if end is not None and end < now + 8 * 86_400_000:
        assert end > now
        assert quiet.until(hours, end, BERLIN) is None
        assert quiet.until(hours, end - 1, BERLIN) == end


# ── as somebody chose them ───────────────────────────────────────────────────────────────────────


@pytest.fixture
def box(tmp_path: Path) -> Iterator[HomeLog]:
    made = HomeLog(tmp_path, at(BERLIN, "2026-11-18 21:59"))
    made.people.client("a", "home", resident=True)
    made.people.put("zone", "Europe/Berlin")
    yield made
    made.close()


def put(box: HomeLog, hours: list[Hours]) -> None:
    box.people.database.write(lambda db: quiet.put(db, hours))


def test_they_are_kept_in_order(box: HomeLog) -> None:
    assert box.read(quiet.of) == []
    put(box, [Hours([3, 1, 3], "22:00", "07:00")])
    assert box.read(quiet.of) == [Hours([1, 3], "22:00", "07:00")]
    put(box, [])
    assert box.read(quiet.of) == []


@pytest.mark.parametrize(
    ("hours", "says"),
    [
        ([Hours(DAILY, "25:00", "07:00")], "“25:00” is no time of day"),
        ([Hours(DAILY, "22:00", "7")], "“7” is no time of day; write it as 22:30."),
        ([Hours(DAILY, "22:00", "07:00\n")], "is no time of day"),
        ([Hours(DAILY, "0٣:30", "07:00")], "is no time of day"),  # digits, but not a clock's
        ([Hours([], "22:00", "07:00")], "Choose the days on which 22:00 to 07:00 is quiet."),
        ([Hours([0], "22:00", "07:00")], "0 is no weekday"),
        ([NIGHT] * 15, "15 quiet hours are more than 14"),
    ],
)
def test_nonsense_is_refused_with_a_sentence(box: HomeLog, hours: list[Hours], says: str) -> None:
    put(box, [NIGHT])
    with pytest.raises(MienError, match=says):
        put(box, hours)
    assert box.read(quiet.of) == [NIGHT]


# ── what they do: the mandate at home ────────────────────────────────────────────────────────────


def ruled(box: HomeLog) -> mandate.Mandate:
    found = box.read(mandate.mandate, box.clock.stamp())
    assert isinstance(found, mandate.Mandate)
    return found


def test_the_camera_rests_at_night(box: HomeLog) -> None:
    put(box, [NIGHT])
    assert ruled(box).kind == "home"
    box.clock.advance(60)
    found = ruled(box)
    assert (found.kind, found.client, found.keep) == (None, None, False)
    assert found.text == "quiet hours until 07:00, so the camera is off"
    box.clock.advance(9 * 3600)
    assert ruled(box).kind == "home"


def test_what_was_seen_before_the_night_is_still_kept(box: HomeLog) -> None:
    put(box, [NIGHT])
    before = ruled(box)
    box.clock.advance(60)
    assert ruled(box).kind is None
    assert box.read(mandate.still_kept, before)


def test_a_session_in_the_night_runs(box: HomeLog) -> None:
    put(box, [NIGHT])
    box.clock.advance(60)
    box.people.session("s", box.people.client("guest", "live"))
    assert ruled(box).kind == "session"


def test_a_box_that_does_not_know_the_time_rests_if_there_are_quiet_hours(box: HomeLog) -> None:
    box.clock.clock_ok = False
    assert ruled(box).kind == "home"
    put(box, [NIGHT])
    assert ruled(box).text == (
        "there are quiet hours, and the box does not know the time yet, so the camera is off: "
        "connect the network, which sets the clock"
    )
    box.clock.clock_ok = True
    assert ruled(box).kind == "home"


def test_quiet_hours_go_by_the_zone_of_the_box(box: HomeLog) -> None:
    put(box, [NIGHT])
    box.people.put("zone", "America/New_York")
    box.clock.advance(60)
    assert ruled(box).kind == "home", "there it is 16:00"


def test_without_consent_there_is_no_quiet_either(box: HomeLog) -> None:
    put(box, [NIGHT])
    box.clock.advance(60)
    box.people.withdraw("a", "home")
    assert "nobody of the house consents" in ruled(box).text
