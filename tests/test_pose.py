"""`mien.pose`: the head turn from keypoints, on heads that are projected here."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from mien.events import Turn
from mien.pose import HEAD, facing, turn

BOX = (0.0, 0.0, 100.0, 100.0)
# Keypoints of the mirrored head: left and right eye, left and right ear change places.
MIRRORED = [1, 0, 2, 3, 5, 4]

yaws, pitches, rolls = st.floats(-60, 60), st.floats(-40, 40), st.floats(-90, 90)


def rotation(yaw: float, pitch: float, roll: float) -> NDArray[np.float64]:
    """Head → camera (right, down, away); signs as `events.Turn` has them."""
    (cy, cp, cr), (sy, sp, sr) = (f(np.radians([yaw, pitch, roll])) for f in (np.cos, np.sin))
    tilt = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    swing = np.array([[cy, 0, -sy], [0, 1, 0], [sy, 0, cy]])
    nod = np.array([[1, 0, 0], [0, cp, sp], [0, -sp, cp]])
    turned: NDArray[np.float64] = tilt @ swing @ nod
    return turned


def project(
    head: NDArray[np.float64],
    yaw: float,
    pitch: float,
    roll: float,
    *,
    distance: float = np.inf,
    size: float = 60.0,
) -> NDArray[np.float32]:
    """What a camera sees of a head `distance` eye distances away, the eyes `size` pixels apart."""
    points = head @ rotation(yaw, pitch, roll).T
    nearer = 1 / (1 + points[:, 2:] / distance)
    return (points[:, :2] * nearer * size + (640, 360)).astype(np.float32)


def degrees(found: Turn) -> NDArray[np.float64]:
    return np.array([found.yaw, found.pitch, found.roll])


def test_signs() -> None:
    def moved(point: int, x: float, y: float) -> Turn:
        keypoints = project(HEAD, 0, 0, 0)
        keypoints[point] += (x, y)
        return turn(keypoints, BOX)

    assert turn(project(HEAD, 0, 0, 0), BOX) == Turn(0, 0, 0)
    nose, left_eye = 2, 1
    assert moved(nose, 12, 0).yaw > 3
    assert moved(nose, 0, -12).pitch > 3
    assert moved(left_eye, 0, 12).roll > 1


@given(yaws, pitches, rolls)
def test_a_mean_head_seen_from_afar_is_read_exactly(yaw: float, pitch: float, roll: float) -> None:
    found = degrees(turn(project(HEAD, yaw, pitch, roll), BOX))
    assert np.allclose(found, (yaw, pitch, roll), atol=0.1)


@given(yaws, pitches, rolls)
def test_ears_are_not_needed(yaw: float, pitch: float, roll: float) -> None:
    keypoints = project(HEAD, yaw, pitch, roll)
    keypoints[4:] = np.nan
    assert np.allclose(degrees(turn(keypoints, BOX)), (yaw, pitch, roll), atol=0.1)


def test_the_error_on_other_heads_in_a_room() -> None:
    """400 heads whose features lie elsewhere by 6 % of the eye distance, 1.5 m away (24 eye
    distances), with keypoints 4 % of it wrong: what the finder's keypoints scatter by."""
    random = np.random.default_rng(4)
    errors = []
    for _ in range(400):
        asked = random.uniform((-40, -25, -30), (40, 25, 30))
        head = HEAD + random.normal(0, 0.06, HEAD.shape)
        keypoints = project(head, *asked, distance=24) + random.normal(0, 0.04 * 60, (6, 2))
        errors.append(np.abs(degrees(turn(keypoints.astype(np.float32), BOX)) - asked))
    yaw, pitch, roll = np.mean(errors, axis=0)
    assert yaw < 4
    assert pitch < 5
    assert roll < 3


@given(yaws, pitches, rolls)
def test_a_mirror_flips_yaw_and_roll(yaw: float, pitch: float, roll: float) -> None:
    random = np.random.default_rng(7)
    keypoints = project(HEAD + random.normal(0, 0.05, HEAD.shape), yaw, pitch, roll)
    mirrored = (keypoints * (-1, 1) + (1280, 0)).astype(np.float32)[MIRRORED]
    here, there = degrees(turn(keypoints, BOX)), degrees(turn(mirrored, BOX))
    assert np.allclose(here * (-1, 1, -1), there, atol=0.11)


@given(yaws, pitches, st.floats(-60, 60), st.floats(-60, 60))
def test_tilting_the_picture_adds_roll_and_nothing_else(
    yaw: float, pitch: float, roll: float, tilt: float
) -> None:
    keypoints = project(HEAD, yaw, pitch, roll)
    c, s = np.cos(np.radians(tilt)), np.sin(np.radians(tilt))
    tilted = (keypoints @ np.array([[c, s], [-s, c]])).astype(np.float32)
    here, there = degrees(turn(keypoints, BOX)), degrees(turn(tilted, BOX))
    assert np.allclose(here + np.array([0, 0, tilt]), there, atol=0.15)


@given(st.floats(0.2, 10), st.floats(-500, 500), st.floats(-500, 500))
def test_size_and_place_change_nothing(scale: float, x: float, y: float) -> None:
    keypoints = project(HEAD, 20, -10, 5)
    moved = (keypoints * scale + (x, y)).astype(np.float32)
    assert np.allclose(degrees(turn(keypoints, BOX)), degrees(turn(moved, BOX)), atol=0.15)


@given(arrays(np.float32, (6, 2), elements=st.floats(-2000, 2000, width=32) | st.just(np.nan)))
def test_whatever_the_keypoints_there_is_an_answer(keypoints: NDArray[np.float32]) -> None:
    assert np.isfinite(degrees(turn(keypoints, BOX))).all()


def test_a_face_without_keypoints_counts_as_facing() -> None:
    found = turn(np.full((6, 2), np.nan, np.float32), BOX)
    assert found == Turn(0, 0, 0)
    assert facing(found, 10, 10)


@pytest.mark.parametrize(
    ("yaw", "pitch", "expected"),
    [(0, 0, True), (40, 35, True), (-40, -35, True), (40.1, 0, False), (0, -35.1, False)],
)
def test_facing_is_within_both_limits(yaw: float, pitch: float, expected: bool) -> None:
    assert facing(Turn(yaw, pitch, 90), 40, 35) is expected
