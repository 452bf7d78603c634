"""What tells a flood from many."""

from mien.rate import Rate


def test_so_many_in_any_stretch_and_no_more() -> None:
    rate = Rate(2, 10)
    assert [rate.over(now) for now in (0, 5, 9, 9.9)] == [False, False, True, True]
    assert [rate.over(now) for now in (10, 14, 15, 19, 20)] == [False, True, False, True, False]
