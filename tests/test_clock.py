"""`mien.clock`: stamps that survive a wrong UTC."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.clock import ManualClock, SystemClock, iso


def test_the_system_clock_stamps_now_and_earlier() -> None:
    clock = SystemClock()
    earlier = clock.monotonic()
    now = clock.stamp()
    then = clock.stamp(earlier - 60)
    assert now.boot_id == then.boot_id
    assert now.utc - then.utc == pytest.approx(60, abs=0.5)
    assert now.boot_time >= earlier


@given(st.lists(st.floats(0, 1e4), max_size=10))
def test_a_manual_clock_moves_only_forward(steps: list[float]) -> None:
    clock = ManualClock()
    before = clock.monotonic()
    for step in steps:
        clock.advance(step)
    assert clock.monotonic() == pytest.approx(before + sum(steps))
    with pytest.raises(ValueError, match="cannot go back"):
        clock.advance(-1)


def test_being_set_by_the_network_does_not_move_the_monotonic_clock() -> None:
    clock = ManualClock(utc=0.0, clock_ok=False)
    clock.advance(100)
    wrong = clock.stamp()
    clock.synchronise(1_800_000_000.0)
    right = clock.stamp()
    assert not wrong.clock_ok
    assert right.clock_ok
    assert wrong.boot_time == right.boot_time
    assert right.utc == 1_800_000_000.0


def test_iso() -> None:
    assert iso(0.25) == "1970-01-01T00:00:00.250Z"
