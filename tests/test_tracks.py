"""`mien.tracks`: numbers follow overlap, and only that."""

from hypothesis import given
from hypothesis import strategies as st

from mien.tracks import Box, Tracker, overlap

boxes = st.tuples(st.floats(0, 500), st.floats(0, 500), st.floats(1, 300), st.floats(1, 300))


def test_a_moving_face_keeps_its_number() -> None:
    tracker = Tracker()
    numbers = {tracker.update(i / 15, [(10.0 * i, 50, 100, 100)])[0] for i in range(30)}
    assert numbers == {1}


def test_two_faces_that_swap_places_in_the_list_keep_theirs() -> None:
    tracker = Tracker()
    left, right = (0.0, 0.0, 50.0, 50.0), (200.0, 0.0, 50.0, 50.0)
    assert tracker.update(0.0, [left, right]) == [1, 2]
    assert tracker.update(0.1, [right, left]) == [2, 1]


def test_a_face_that_was_away_too_long_is_a_new_one() -> None:
    tracker = Tracker(forget_s=1.0)
    box = (0.0, 0.0, 50.0, 50.0)
    assert tracker.update(0.0, [box]) == [1]
    assert tracker.update(0.9, []) == []
    assert tracker.update(1.0, [box]) == [1]
    assert tracker.update(2.5, [box]) == [2]


@given(st.lists(st.lists(boxes, max_size=5), max_size=8))
def test_numbers_are_unique_in_a_frame(frames: list[list[Box]]) -> None:
    tracker = Tracker()
    for index, frame in enumerate(frames):
        numbers = tracker.update(index * 0.5, frame)
        assert len(set(numbers)) == len(frame)


@given(boxes, boxes)
def test_overlap_is_symmetric_and_bounded(a: Box, b: Box) -> None:
    assert 0 <= overlap(a, b) <= 1 + 1e-9
    assert abs(overlap(a, b) - overlap(b, a)) < 1e-9
    assert overlap(a, a) > 0.99
