"""Figures over days: what their intervals promise, and when there is none."""

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien import dayfigures
from mien.dayfigures import Figure, Marks, Whole

LOOKS = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 5)), max_size=120)
BITS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 7)), min_size=1, max_size=80)


def whole(figure: Figure) -> bool:
    numbers = (figure.value or 0.0, figure.low, figure.high, figure.p)
    held = figure.value is None or figure.low <= figure.value <= figure.high
    return held and all(map(math.isfinite, numbers)) and 0 <= figure.p <= 1


@given(LOOKS)
def test_a_mean_lies_in_its_interval_and_both_within_the_scale(rows: list[tuple[int, int]]) -> None:
    found = dayfigures.mean(dayfigures.series(rows))
    assert whole(found)
    assert found.value is None or 1 <= found.low <= found.high <= 5
    few = len(rows) < dayfigures.LEAST or len({d for d, _ in rows}) < dayfigures.LEAST_DAYS
    assert (found.value is None) == few


@given(LOOKS)
def test_a_share_lies_in_its_interval(rows: list[tuple[int, int]]) -> None:
    found = dayfigures.share(dayfigures.series((day, value > 3) for day, value in rows))
    assert whole(found)
    assert found.value is None or 0 <= found.low <= found.high <= 1
    assert found.value is None or found.low < found.high, "nothing is known for sure"


@given(LOOKS, st.integers(0, 100))
def test_a_part_against_the_rest_is_the_difference_of_their_means(
    rows: list[tuple[int, int]], parted: int
) -> None:
    part = rows[:parted]
    rest = rows[parted:]
    found = Whole(dayfigures.series(rows)).means(dayfigures.series(part))
    assert whole(found)
    if found.value is not None:
        means = [sum(v for _, v in some) / len(some) for some in (part, rest)]
        assert found.value == pytest.approx(means[0] - means[1])


@given(BITS, st.integers(0, 80))
def test_many_marks_at_once_are_what_each_is_alone(
    rows: list[tuple[int, int]], parted: int
) -> None:
    part = rows[:parted]
    together = Marks(rows, 3).parted(part)
    for bit in range(3):
        only = dayfigures.series((day, bits >> bit & 1) for day, bits in rows)
        share, apart = together[bit]
        alone = Whole(only)
        one, other = alone.shares(dayfigures.series((d, b >> bit & 1) for d, b in part))
        assert (share.value, share.n, apart.n) == (one.value, one.n, other.n)
        assert (apart.value is None) == (other.value is None)
        if apart.value is not None:
            assert apart.value == pytest.approx(other.value, abs=1e-9)


def test_days_alike_tell_less_than_days_apart() -> None:
    """The same 60 looks: from 60 days, from 20 days alike within, and from weeks of one mood."""
    apart = dayfigures.mean({day: (1, 2.0 + 2 * (day * 7 % 5 > 1)) for day in range(60)})
    alike = dayfigures.mean({day: (3, 3 * (2.0 + 2 * (day * 7 % 5 > 1))) for day in range(20)})
    weeks = dayfigures.mean({day: (1, 2.0 + 2 * (day // 12 % 5 > 1)) for day in range(60)})
    assert apart.value == alike.value == weeks.value
    assert apart.high - apart.low < alike.high - alike.low
    assert apart.high - apart.low < weeks.high - weeks.low


def test_always_the_same_is_no_proof_of_exactness() -> None:
    found = dayfigures.mean(dict.fromkeys(range(10), (1, 4.0)))
    assert (found.value, found.n, found.days) == (4.0, 10, 10)
    assert found.low < 3.9
    assert found.high > 4.1
    never = dayfigures.share(dict.fromkeys(range(10), (1, 0.0)))
    assert never.low == 0
    assert never.high > 0.25


def test_a_ratio_needs_enough_of_both() -> None:
    assert dayfigures.ratio(dict.fromkeys(range(20), (3.0, 0.0))).value is None
    found = dayfigures.ratio({day: (2.0 + day % 2, 1.0 - day % 3 / 2) for day in range(20)})
    assert whole(found)
    assert found.value is not None
    assert found.value > 1
    assert dayfigures.ratio(dict.fromkeys(range(20), (1.0, 1.0))).low < 1, "not sure either"


@pytest.mark.parametrize(
    ("chances", "expected"),
    [
        ([0.01, 0.02, 0.03, 0.04, 0.05], [True] * 5),
        ([0.04, 0.2, 0.3, 0.9], [False] * 4),
        ([0.001, 0.02, 0.03, 0.9], [True, True, True, False]),
        ([], []),
    ],
)
def test_of_many_comparisons_those_that_survive(
    chances: Sequence[float], expected: list[bool]
) -> None:
    assert dayfigures.marked([Figure(1.0, 0.5, 1.5, p=p) for p in chances]) == expected


def test_too_little_is_never_marked() -> None:
    assert dayfigures.marked([Figure(None, p=0.0), Figure(1.0, 0.5, 1.5, p=0.01)]) == [False, True]
