"""The face beside the word, and what changed since last month."""

import random
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien import moodfaces
from mien.checkins import Report
from mien.events import EXPRESSIONS, Expression
from mien.moodlog import Seen


def seen(read: int, look: Expression = "neutral", share: float = 1.0, valence: float = 0.0) -> Seen:
    """`share` of what was read looked like `look`, the rest like surprise."""
    of = dict.fromkeys(EXPRESSIONS, 0)
    of[look] = round(share * read)
    of["surprise"] += read - of[look]
    return Seen(read, read, read, read, 0, of, valence)


def report(day: int, mood: int | None) -> Report:
    return Report(day, 12, 1, day * 86_400_000, mood, 0, frozenset())


def test_word_and_face_stand_side_by_side() -> None:
    pairs = [(report(day, 4), seen(600)) for day in range(6)]
    pairs += [(report(day, 5), seen(600, "happiness")) for day in range(8)]
    pairs += [(report(day, 2), seen(600, "neutral", 0.4)) for day in range(3)]
    pairs += [(report(1, 4), seen(60)), (report(1, None), seen(600))]
    found = moodfaces.beside(pairs, 120)
    assert (found.made, found.enough, found.seconds) == (18, 17, 17 * 600)
    good, middle, bad = found.sayings
    assert (good.n, good.looks) == (14, {"happiness": 8, "neutral": 6})
    assert (middle.n, middle.looks) == (0, {})
    assert bad.looks == {"surprise": 3}, "six tenths of it"


def test_a_look_that_changes_is_mixed() -> None:
    of = dict.fromkeys(EXPRESSIONS, 0) | {"neutral": 40, "sadness": 35, "happiness": 25}
    assert moodfaces.mostly(Seen(100, 100, 100, 100, 0, of, 0.0)) == "mixed"


def test_together_opposite_and_nothing() -> None:
    up = moodfaces.correlation([(n, n, n * n) for n in range(20)])
    down = moodfaces.correlation([(n, n, -n) for n in range(20)])
    assert up.value == pytest.approx(1)
    assert up.low > 0.9
    assert down.value == pytest.approx(-1)
    assert moodfaces.correlation([(n, 3, n) for n in range(20)]).value is None
    assert moodfaces.correlation([(n // 5, n, n) for n in range(20)]).value is None, "four days"


def test_the_interval_of_a_correlation_holds_nought_when_there_is_nothing() -> None:
    chance, held, times = random.Random(2), 0, 300
    for _ in range(times):
        rows = [(n, float(chance.randint(1, 5)), chance.gauss(0, 1)) for n in range(25)]
        found = moodfaces.correlation(rows)
        held += found.low <= 0 <= found.high
    assert held >= 0.92 * times


@given(st.lists(st.integers(-3, 3), max_size=30))
def test_ranks_keep_order_and_sum(values: list[int]) -> None:
    found = moodfaces.ranks(values)
    assert sum(found) == len(values) * (len(values) + 1) / 2
    for a, x in zip(found, values, strict=True):
        assert all((x < y) == (a < b) for b, y in zip(found, values, strict=True))


def month(end: date, mood: int, happy: float) -> tuple[list[Report], dict[date, Seen]]:
    days = [end - timedelta(n) for n in range(30)]
    return (
        [report(day.toordinal(), mood + day.day % 2) for day in days],
        {
            day: seen(900 + 60 * (day.day % 3), "happiness", happy + day.day % 4 / 20)
            for day in days
        },
    )


def test_what_changed_and_what_did_not() -> None:
    end = date(2026, 11, 20)
    found = {
        one.name: one
        for one in moodfaces.changes(month(end, 3, 0.6), month(end - timedelta(30), 3, 0.2), 3600)
    }
    assert set(found) == {"mood", "positive", "negative", "minutes", *EXPRESSIONS}
    assert found["happiness"].clear
    assert found["happiness"].difference.value == pytest.approx(0.4, abs=0.03)
    assert not found["mood"].clear
    assert not found["mood"].difference.apart
    assert found["minutes"].now.value == pytest.approx(16, abs=0.5)


def test_a_month_of_which_little_was_seen_is_not_compared() -> None:
    end = date(2026, 11, 20)
    little = {end - timedelta(n): seen(100) for n in range(20)}
    found = moodfaces.changes(([], little), month(end - timedelta(30), 3, 0.2), 3600)
    looks = [one for one in found if one.name in EXPRESSIONS]
    assert all(one.difference.value is None for one in looks)
