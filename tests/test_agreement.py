import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.agreement import classes, measure


def pairs(table: list[list[int]]) -> list[tuple[int, int]]:
    return [
        (person, network)
        for person, row in enumerate(table)
        for network, count in enumerate(row)
        for _ in range(count)
    ]


def test_kappa_by_hand() -> None:
    # 50 faces: both say 0 of 20, both 1 of 15. Same 35/50 = 0.7; chance (25·30 + 25·20)/2500 = 0.5.
    found = measure(pairs([[20, 5], [10, 15]]), 2)
    assert found.n == 50
    assert found.share == pytest.approx(0.7)
    assert found.kappa == pytest.approx(0.4)
    # Σ p_ii (1−pe−(p_i.+p_.i)(1−po))²: 0.4·(0.5−1.1·0.3)² + 0.3·(0.5−0.9·0.3)² = 0.02743
    # (1−po)² Σ p_ij (p_.i+p_j.)²:      0.09·(0.1·1.1² + 0.2·0.9²)             = 0.02547
    # (po·pe − 2pe + po)²:              (0.35 − 1 + 0.7)²                        = 0.0025
    error = math.sqrt((0.02743 + 0.02547 - 0.0025) / (50 * 0.5**4))
    assert found.low == pytest.approx(0.4 - 1.959964 * error, abs=1e-6)
    assert found.high == pytest.approx(0.4 + 1.959964 * error, abs=1e-6)


def test_kappa_of_nothing_is_not_defined() -> None:
    found = measure([], 8)
    assert (found.n, found.share, found.kappa, found.low) == (0, None, None, None)


def test_kappa_of_one_answer_only_is_not_defined() -> None:
    found = measure([(3, 3)] * 12, 8)
    assert found.share == 1
    assert found.kappa is None


def test_full_agreement_claims_no_certainty() -> None:
    found = measure([(0, 0)] * 6 + [(1, 1)] * 6, 8)
    assert found.kappa == pytest.approx(1)
    assert found.low is None


def test_one_who_always_says_the_same_agrees_by_chance_alone() -> None:
    found = measure([(k, 2) for k in range(4) for _ in range(5)], 8)
    assert found.kappa == pytest.approx(0)
    assert found.share == pytest.approx(0.25)


def test_full_disagreement_is_below_chance() -> None:
    found = measure([(0, 1)] * 5 + [(1, 0)] * 5, 2)
    assert found.kappa == pytest.approx(-1)


def test_each_answer_from_both_sides() -> None:
    first, second, third = classes(measure(pairs([[6, 2, 0], [3, 9, 0], [0, 0, 0]]), 3))
    assert (first.person, first.network, first.both) == (8, 9, 6)
    assert first.precision == pytest.approx(6 / 9)
    assert first.recall == pytest.approx(6 / 8)
    assert second.recall == pytest.approx(0.75)
    assert (third.precision, third.recall) == (None, None)


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7))))
def test_it_always_lies_in_its_range_and_does_not_care_who_is_who(
    said: list[tuple[int, int]],
) -> None:
    found = measure(said, 8)
    assert sum(map(sum, found.table)) == found.n == len(said)
    assert sum(one.both for one in classes(found)) == sum(a == b for a, b in said)
    turned = measure([(b, a) for a, b in said], 8)
    if found.kappa is None:
        assert turned.kappa is None
        return
    assert -1 <= found.kappa <= 1 + 1e-12
    assert turned.kappa == pytest.approx(found.kappa)
    if found.low is not None and found.high is not None:
        assert -1 <= found.low <= found.kappa <= found.high <= 1
        assert turned.low == pytest.approx(found.low, abs=1e-9)
