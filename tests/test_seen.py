"""What was seen, as the log's pages draw it: nothing is counted twice, and nothing left out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pages
from mien.clock import ManualClock
from mien.config import Config
from mien.events import EXPRESSIONS
from mien.moodlog import Hour, Seen
from mien_web import seen

COUNTS = st.integers(0, 3600)


@given(st.integers(0, 3600), st.lists(COUNTS, min_size=3, max_size=3))
def test_the_pieces_of_an_hour_are_that_hour(read: int, others: list[int]) -> None:
    watched = min(3600, read + others[0] + others[1])
    there = min(watched, read + others[0])
    looks = dict.fromkeys(EXPRESSIONS, 0) | {"neutral": read}
    found = Seen(watched, there, min(there, read), read, min(others[2], there - read), looks, 0.0)
    assert sum(seconds for _, seconds in seen.parts(found)) == there


def test_a_column_fills_its_hour_and_no_more() -> None:
    looks = dict.fromkeys(EXPRESSIONS, 0) | {"neutral": 900}
    hour = Hour(0, 3_600_000, 5, False, Seen(1800, 1200, 1000, 900, 60, looks, 0.0))
    with pages.page(Config(), ManualClock()).test_request_context():
        whole, half = (seen.columns([hour], ms)[0] for ms in (1 << 60, 1_800_000))
    assert sum(piece.height for piece in whole.pieces) == pytest.approx(seen.HEIGHT)
    assert [piece.name for piece in whole.pieces] == [
        "neutral", "unknown", "away", "several", "nobody", "unwatched",
    ]  # fmt: skip
    assert sum(piece.height for piece in half.pieces) == pytest.approx(seen.HEIGHT / 2)
