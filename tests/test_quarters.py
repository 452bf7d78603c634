"""`mien.quarters`: whatever happens to minutes, the roll-up says what they say."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st
from msgspec.structs import replace

from mien import quarters
from mien.events import EXPRESSIONS, MienError, Quarter, Stretch
from mien.quarters import COUNTS, QUARTER_MS
from mien.store import SecondReading
from seat_log import HomeLog

START = 1_800_000_000.0  # a whole quarter of an hour
FIRST = round(START * 1000) // QUARTER_MS
OTHERS = Quarter(
    FIRST, 900, 800, 700, 600, 5,
    {**dict.fromkeys(EXPRESSIONS, 0), "fear": 400, "neutral": 200}, -1000,
)  # fmt: skip


@pytest.fixture
def box(tmp_path: Path) -> Iterator[HomeLog]:
    made = HomeLog(tmp_path)
    made.people.client("a", "home", resident=True)
    yield made
    made.close()


def rows(box: HomeLog) -> dict[int, dict[str, int]]:
    names = ("quarter", *COUNTS, "imported")
    found = box.people.rows(f"SELECT {', '.join(names)} FROM quarters")
    return {row[0]: dict(zip(names[1:], row[1:], strict=True)) for row in found}


def reckoned(box: HomeLog) -> dict[int, dict[str, int]]:
    """The same by plain arithmetic over rows."""
    (until,) = box.people.rows("SELECT quarter FROM rolled")[0]
    boots = dict(box.people.rows("SELECT id, boot_id FROM boots"))
    sessions = box.people.rows("SELECT boot, boot_ms, length_ms FROM sessions")
    sums: dict[int, dict[str, int]] = {}
    names = ", ".join(COUNTS)
    query = f"SELECT boot, minute, utc_ms, {names} FROM minutes WHERE clock_ok"
    for boot, minute, utc_ms, *counts in box.people.rows(query):
        if any(
            boots[boot] == where
            and start < (minute + 1) * 60_000
            and (length is None or start + length > minute * 60_000)
            for where, start, length in sessions
        ):
            continue
        if utc_ms // QUARTER_MS < until:
            row = sums.setdefault(utc_ms // QUARTER_MS, dict.fromkeys((*COUNTS, "imported"), 0))
            for name, count in zip(COUNTS, counts, strict=True):
                row[name] += count
    return sums


def test_a_quarter_is_rolled_two_minutes_after_its_end(box: HomeLog) -> None:
    box.see(START, 15 * 60, step=10)
    box.clock.now = START + 15 * 60 + 119 - box.clock.offset
    box.roll()
    assert rows(box) == {}
    box.clock.advance(1)
    box.roll()
    assert set(rows(box)) == {FIRST}
    row = rows(box)[FIRST]
    assert (row["seconds"], row["read"], row["happiness"]) == (90, 90, 90)
    assert row["valence"] == 90 * 500
    assert rows(box) == reckoned(box)


def test_nothing_is_rolled_while_the_clock_is_not_right(box: HomeLog) -> None:
    box.see(START)
    box.clock.advance(3600)
    box.clock.clock_ok = False
    assert not box.store.roll()
    assert rows(box) == {}


def test_minutes_that_come_late_find_their_way_in(box: HomeLog) -> None:
    box.see(START)
    box.clock.advance(7200)
    box.roll()
    late = [
        SecondReading(stamp=box.clock.stamp(START + 300 - box.clock.offset), people=0),
        SecondReading(stamp=box.clock.stamp(START + 1800 - box.clock.offset), people=1),
    ]
    box.store.add(late)  # the disk was full for two hours
    assert {q - FIRST: row["seconds"] for q, row in rows(box).items()} == {0: 61, 2: 1}
    assert rows(box) == reckoned(box)


def test_a_year_is_rolled_in_pieces_with_a_beat_after_each(box: HomeLog) -> None:
    for day in range(365):
        box.see(START + day * 86_400, 1)
    box.clock.advance(86_400)
    beats: list[None] = []
    times = 1
    while box.store.roll(lambda: beats.append(None)):
        times += 1
    assert len(beats) >= 360
    assert times == 12
    assert len(rows(box)) == 365
    assert rows(box) == reckoned(box)


def test_what_was_seen_in_sessions_is_no_part_of_it(box: HomeLog) -> None:
    for quarter in range(3):
        box.see(START + quarter * 900, 60)
    start = START - box.clock.offset
    box.people.session("s", "a", start=start + 930, length=10)
    box.people.session("t", "a", boot="another boot", start=start, length=3600)
    box.clock.advance(7200)
    box.roll()
    assert [q - FIRST for q in rows(box)] == [0, 2], "a minute that a session touches is its own"
    box.people.write("UPDATE sessions SET boot_ms = boot_ms + 900000 WHERE id = 's'")
    box.roll()
    assert [q - FIRST for q in rows(box)] == [0, 1]
    box.people.write("UPDATE sessions SET length_ms = NULL, boot_ms = boot_ms - 900000")
    box.roll()
    assert [q - FIRST for q in rows(box)] == [0], "nobody stopped it, so it goes on"
    box.people.write("DELETE FROM sessions WHERE id = 's'")
    box.roll()
    assert [q - FIRST for q in rows(box)] == [0, 1, 2]
    assert box.people.rows("SELECT count(*) FROM unsettled") == [(0,)]


def test_a_session_begun_while_nobody_rolled_is_settled_day_by_day(box: HomeLog) -> None:
    box.people.session("s", "a", start=START - box.clock.offset)
    for day in range(5):
        box.see(START + day * 86_400, 1)
    box.clock.advance(86_400)
    box.roll()
    assert rows(box) == {}
    box.people.write("DELETE FROM sessions")
    box.roll()
    assert len(rows(box)) == 5
    assert rows(box) == reckoned(box)


def test_seconds_with_several_people_are_counted(box: HomeLog) -> None:
    box.see(START, 20)
    box.see(START + 20, 10, people=2)
    box.clock.advance(7200)
    box.roll()
    assert (rows(box)[FIRST]["several"], rows(box)[FIRST]["read"]) == (10, 20)
    ms = round((START - box.clock.offset) * 1000)
    box.store.erase([Stretch(box.clock.boot_id, ms + 10_000, ms + 25_000)])
    row = rows(box)[FIRST]
    assert (row["seconds"], row["several"], row["read"]) == (15, 5, 10)


# ── from another box ─────────────────────────────────────────────────────────────────────────────


def test_what_another_box_saw_stands_where_this_one_saw_nothing(box: HomeLog) -> None:
    others = [replace(OTHERS, quarter=FIRST + n) for n in range(4)]
    box.see(START, 60)
    box.clock.advance(1800)
    box.roll()
    box.see(START + 2700, 60)  # in the last, which is not rolled up yet
    assert box.store.take_over(others) == 2
    assert {q - FIRST: bool(row["imported"]) for q, row in rows(box).items()} == {
        0: False, 1: True, 2: True,
    }  # fmt: skip
    assert box.store.take_over(others) == 2, "taken over again, it is the same"
    assert rows(box)[FIRST + 1]["fear"] == 400


@pytest.mark.parametrize("rolled", [False, True])
def test_own_minutes_replace_what_another_box_saw(box: HomeLog, rolled: bool) -> None:
    box.store.take_over([OTHERS])
    box.clock.advance(7200 if rolled else 0)
    box.roll()
    assert rows(box)[FIRST]["seconds"] == 900
    late = box.clock.stamp(START + 5 - box.clock.offset)
    box.store.add([SecondReading(stamp=late, people=0)])
    box.clock.advance(7200)
    box.roll()
    assert (rows(box)[FIRST]["seconds"], rows(box)[FIRST]["imported"]) == (1, 0)


def test_with_the_consent_goes_what_was_taken_over(box: HomeLog) -> None:
    box.store.take_over([replace(OTHERS, quarter=FIRST - 40_000), OTHERS])
    before = Stretch(quarters.IMPORTED, 0, round(START * 1000))
    assert box.read(quarters.imported, before) == 1
    assert box.store.erase([before]) == 1
    since = Stretch(quarters.IMPORTED, round(START * 1000) - 10, 1 << 62)
    box.store.take_over([replace(OTHERS, quarter=FIRST - 40_000)])
    assert box.store.erase([since]) == 2, "also what is older, for it was brought since"
    assert rows(box) == {}


def test_without_anybodys_consent_nothing_is_taken_over(box: HomeLog) -> None:
    box.people.withdraw("a", "home")
    with pytest.raises(MienError, match="Nobody of the house consents"):
        box.store.take_over([OTHERS])
    assert rows(box) == {}
    box.people.put("setting", "demo")
    assert box.store.take_over([OTHERS]) == 1


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"quarter": -1}, "no time"),
        ({"quarter": 1 << 23}, "no time"),  # in 2209
        ({"seconds": 5000}, "5000 seconds of a quarter"),
        ({"seen": 901}, "901 seconds of 900 are seen"),
        ({"several": -1}, "-1 seconds of 900 are several"),
        ({"read": 599}, "expressions of 600 seconds, but 599 were read"),
        ({"valence": 600_001}, "valence of 600001"),
    ],
)
def test_what_no_box_can_have_seen_is_refused(
    box: HomeLog, change: dict[str, Any], says: str
) -> None:
    with pytest.raises(MienError, match=says) as refused:
        box.store.take_over([OTHERS, replace(OTHERS, **change)])
    assert "quarter 2 of 2" in str(refused.value)
    assert rows(box) == {}


# ── whatever happens ─────────────────────────────────────────────────────────────────────────────

MINUTES = st.integers(0, 50)
STEPS = st.one_of(
    st.tuples(st.just("see"), MINUTES, st.integers(1, 200)),
    st.tuples(st.just("erase"), MINUTES, st.integers(1, 2000)),
    st.tuples(st.just("session"), MINUTES, st.integers(0, 2000)),
    st.tuples(st.just("forgotten session"), MINUTES, st.just(0)),
    st.tuples(st.just("no session"), st.integers(0, 3), st.just(0)),
    st.tuples(st.just("roll"), MINUTES, st.just(0)),
    st.tuples(st.just("boot"), MINUTES, st.integers(0, 1)),
    st.tuples(st.just("clock"), MINUTES, st.just(0)),
    st.tuples(st.just("a night without a clock"), MINUTES, st.integers(1, 200)),
)


@given(steps=st.lists(STEPS, min_size=3, max_size=10), hours=st.sampled_from([0.3, 2.0]))
@hypothesis(max_examples=50, suppress_health_check=[HealthCheck.too_slow])
def test_the_roll_up_is_the_sum_of_the_minutes(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, int]], hours: float
) -> None:
    box = HomeLog(tmp_path_factory.mktemp("home"))
    box.people.client("a", "home", resident=True)
    clock = box.clock
    shift = clock.offset
    box.see(START, 45 * 60, step=60)
    clock.now = START + hours * 3600 - shift  # part of what comes now is late, or all
    box.roll()
    for number, (what, minute, count) in enumerate(steps):
        moment = START + minute * 60 - shift
        if what == "see":
            box.see(moment + clock.offset, count, step=7)
        elif what == "erase":
            ms = round(moment * 1000)
            box.store.erase([Stretch(clock.boot_id, ms, ms + count * 1000)])
        elif what.endswith(" session") or what == "session":
            if what == "no session":
                box.people.write(
                    "DELETE FROM sessions WHERE id = "
                    "(SELECT id FROM sessions ORDER BY id LIMIT 1 OFFSET ?)",
                    minute,
                )
            else:
                length = None if what.startswith("forgotten") else float(count)
                box.people.session(str(number), "a", start=moment, length=length)
        elif what == "roll":
            clock.now = moment
            box.roll()
        elif what == "boot":
            clock.boot_id = f"boot {number}"
            clock.clock_ok = bool(count)
            clock.offset = shift + (0 if count else 5_000_000)
        else:
            if what == "a night without a clock":
                clock.boot_id, clock.clock_ok = f"boot {number}", False
                box.see(moment + clock.offset, count, step=7)
            clock.offset, clock.clock_ok = shift, True
            box.store.backfill()
        if not box.people.rows("SELECT 1 FROM unsettled"):
            assert rows(box) == reckoned(box), (number, what)
    clock.offset, clock.clock_ok = shift, True
    clock.now = START + 3 * 3600 - shift
    box.roll()
    assert rows(box) == reckoned(box)
    box.close()
