"""Shares of time and their intervals: formulas against known figures, promises against chains."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.shares import (
    NOTHING,
    PLACES,
    Counts,
    design_effects,
    differences,
    shares,
    thin,
    total,
    wilson,
)

TRUTH = (0.05, 0.01, 0.02, 0.15, 0.12, 0.03, 0.50, 0.12)
DWELL = (6, 5, 5, 8, 10, 4, 25, 12)


def counts(**seconds: tuple[int, int]) -> Counts:
    """happiness=(seconds, runs) and so on."""
    names = ["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral", "unknown"]
    pairs = [seconds.get(name, (0, 0)) for name in names]
    return Counts(tuple(s for s, _ in pairs), tuple(r for _, r in pairs))


def drawn(chance: random.Random, seconds: int, truth: tuple[float, ...] = TRUTH) -> Counts:
    """A face that keeps each expression for a while, watched for so many seconds."""
    spent, runs = [0] * PLACES, [0] * PLACES
    weights = [share / dwell for share, dwell in zip(truth, DWELL, strict=True)]
    last = -1
    while seconds > 0:
        (look,) = chance.choices(range(PLACES), weights)
        length = min(seconds, 1 + int(chance.expovariate(1 / DWELL[look])))
        spent[look] += length
        runs[look] += look != last
        last, seconds = look, seconds - length
    return Counts(tuple(spent), tuple(runs))


def test_wilson_is_as_published() -> None:
    # Newcombe (1998), "Two-sided confidence intervals for the single proportion", table I
    for right, n, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        assert wilson(right / n, n) == pytest.approx((low, high), abs=6e-5)


def test_a_second_like_the_one_before_adds_little() -> None:
    flicker = counts(happiness=(100, 50), neutral=(100, 50))
    steady = counts(happiness=(100, 5), neutral=(100, 5))
    assert max(design_effects(flicker)) < max(design_effects(steady))
    narrow, wide = shares([flicker])[3], shares([steady])[3]
    assert narrow.value == wide.value == 0.5
    assert wide.low < narrow.low < narrow.high < wide.high


def test_one_long_look_is_no_evidence() -> None:
    only = counts(neutral=(600, 1))
    assert all(share.thin for share in shares([only]))
    assert shares([only])[6].value == 1


@pytest.mark.parametrize(
    ("seen", "is_thin"),
    [
        (counts(neutral=(20, 5), happiness=(9, 5)), True),  # under 30 s
        (counts(neutral=(300, 4), happiness=(60, 4)), True),  # under ten runs
        (counts(neutral=(300, 30), happiness=(60, 30)), False),
    ],
)
def test_too_little_is_told(seen: Counts, is_thin: bool) -> None:
    assert shares([seen])[3].thin == is_thin


def test_an_effective_number_under_ten_is_too_little() -> None:
    plenty = counts(neutral=(300, 30))
    assert thin(plenty, 9.9)
    assert not thin(plenty, 10)


def test_nothing_seen_gives_nothing() -> None:
    assert shares([]) == shares([NOTHING]) == []
    assert differences([]) == differences([(NOTHING, NOTHING)]) == []
    assert differences([(counts(neutral=(60, 12)), NOTHING)]) == []
    assert total([]) == NOTHING


def test_sessions_that_disagree_widen_the_interval() -> None:
    low, high = (
        counts(happiness=(10, 5), neutral=(190, 25)),
        counts(happiness=(110, 25), neutral=(90, 25)),
    )
    middle = counts(happiness=(60, 15), neutral=(140, 25))
    apart, alike = shares([low, high] * 3)[3], shares([middle] * 6)[3]
    assert apart.value == pytest.approx(alike.value)
    assert apart.high - apart.low > 1.5 * (alike.high - alike.low)


def test_what_a_whole_day_was_like_cancels_in_the_difference() -> None:
    def day(sad: int) -> tuple[Counts, Counts]:
        under = counts(sadness=(sad + 20, 20), neutral=(180 - sad, 20))
        return under, counts(sadness=(5 * sad, 60), neutral=(1000 - 5 * sad, 60))

    days = [day(sad) for sad in (5, 25, 60, 90, 120)]
    sadness = differences(days)[4]
    assert sadness.value == pytest.approx(0.1)
    assert sadness.clear
    alone, rest = shares([under for under, _ in days])[4], shares([rest for _, rest in days])[4]
    assert alone.low < rest.high, "seen apart, the two overlap"


some = st.integers(0, 500).flatmap(
    lambda n: st.tuples(st.just(n), st.integers(min(n, 1), max(min(n, 40), 0)))
)
anything = st.lists(some, min_size=PLACES, max_size=PLACES).map(
    lambda pairs: Counts(tuple(s for s, _ in pairs), tuple(r for _, r in pairs))
)


@given(st.lists(st.tuples(anything, anything), max_size=4))
def test_every_interval_holds_its_share(sessions: list[tuple[Counts, Counts]]) -> None:
    for share in shares([under for under, _ in sessions]):
        assert 0 <= share.low <= share.value <= share.high <= 1
    for share in differences(sessions):
        assert -1 <= share.low <= share.value <= share.high <= 1


@pytest.mark.parametrize(("sessions", "seconds"), [(1, 300), (1, 1500), (4, 200)])
def test_nineteen_of_twenty_intervals_hold_the_truth(sessions: int, seconds: int) -> None:
    chance = random.Random(sessions * seconds)
    held = asked = held_apart = 0
    for _ in range(120):
        under = [drawn(chance, seconds) for _ in range(sessions)]
        rest = [drawn(chance, 3 * seconds) for _ in range(sessions)]
        found = shares(under)
        apart = differences(list(zip(under, rest, strict=True)))
        for share, difference, truth in zip(found, apart, TRUTH, strict=True):
            if not share.thin:
                asked += 1
                held += share.low <= truth <= share.high
                held_apart += not difference.clear
    assert asked > 700
    assert 0.92 <= held / asked <= 0.985
    assert 0.92 <= held_apart / asked <= 0.99


def test_also_when_no_two_sessions_are_alike() -> None:
    chance = random.Random(5)
    held = asked = 0
    for _ in range(80):
        days = []
        for _ in range(6):
            drawn_shares = [chance.gammavariate(25 * share, 1) + 1e-6 for share in TRUTH]
            whole = sum(drawn_shares)
            truth = tuple(share / whole for share in drawn_shares)
            days.append(drawn(chance, chance.randrange(150, 400), truth))
        for share, truth_ in zip(shares(days), TRUTH, strict=True):
            asked += not share.thin
            held += not share.thin and share.low <= truth_ <= share.high
    assert asked > 500
    assert 0.90 <= held / asked <= 0.99
