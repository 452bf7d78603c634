"""Student's t against the printed tables."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien import student


@pytest.mark.parametrize(
    ("freedom", "point"),
    [(1, 12.706), (2, 4.303), (4, 2.776), (10, 2.228), (30, 2.042), (120, 1.980), (1e9, 1.960)],
)
def test_the_point_between_which_lie_95_percent(freedom: float, point: float) -> None:
    assert student.quantile(freedom) == pytest.approx(point, abs=6e-4)


@pytest.mark.parametrize(
    ("t", "freedom", "p"), [(1.0, 1, 0.5), (2.0, 2, 0.18350), (3.0, 10, 0.013344), (0.0, 5, 1.0)]
)
def test_how_often_chance_goes_beyond(t: float, freedom: float, p: float) -> None:
    assert student.two_sided(t, freedom) == pytest.approx(p, rel=1e-3)


@given(st.floats(0, 50), st.floats(0.5, 1e5))
def test_chance_is_a_chance_and_falls_with_distance(t: float, freedom: float) -> None:
    p = student.two_sided(t, freedom)
    assert 0 <= p <= 1
    assert (
        student.two_sided(t + 0.1, freedom) <= p + 1e-7
    )  # what rounding leaves when the freedom is large
    assert student.two_sided(t, math.inf) <= p + 1e-7, "the normal has the thinnest tails"
