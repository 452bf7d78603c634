"""`mien.crop`: level, framed as FER-2013 frames, without aliasing, whatever the face."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mien.crop import BOX_MIDDLE, MIDDLE, SIDE, SPAN, crop
from mien.faces import Face

# Eyes, nose, mouth, ears of a face that looks straight ahead, its eyes one apart.
FACE = np.array([(-0.5, 0), (0.5, 0), (0, 0.55), (0, 1.05), (-1, 0.2), (1, 0.2)])


def face(x: float, y: float, eyes: float, roll: float = 0.0) -> Face:
    c, s = np.cos(np.radians(roll)), np.sin(np.radians(roll))
    points = FACE @ np.array([[c, s], [-s, c]]) * eyes + (x, y)
    box = (x - 1.12 * eyes, y - 0.6 * eyes, 2.24 * eyes, 2.24 * eyes)
    return Face(box, 0.9, points.astype(np.float32))


def blobs(shape: tuple[int, int], face: Face, radius: float) -> NDArray[np.uint8]:
    """Black, with a white disc on the middle of each eye and of the mouth."""
    image = np.zeros((*shape, 3), np.uint8)
    for x, y in face.keypoints[[0, 1, 3]]:
        centre = (round(float(x) * 16), round(float(y) * 16))
        cv2.circle(image, centre, round(radius * 16), (255, 255, 255), -1, cv2.LINE_AA, 4)
    return image


def centres(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Of its bright spots, from left to right."""
    count, _, _, found = cv2.connectedComponentsWithStats((picture > 90).astype(np.uint8))
    assert count == 4, "three spots and the background"
    return np.array(sorted(found[1:].tolist()))


@pytest.mark.parametrize("roll", [-35, -10, 0, 20, 90])
@pytest.mark.parametrize("eyes", [20, 63.7, 150, 400])
def test_eyes_and_mouth_lie_where_fer_has_them(eyes: float, roll: float) -> None:
    there = face(700, 600, eyes, roll)
    right_eye, mouth, left_eye = centres(crop(blobs((1400, 1400), there, eyes / 8), there))
    middle_of_eyes = (right_eye + left_eye) / 2
    assert right_eye[1] == pytest.approx(left_eye[1], abs=0.3), "level"
    assert (middle_of_eyes + mouth) / 2 == pytest.approx(MIDDLE, abs=0.4)
    span = np.hypot(left_eye[0] - right_eye[0], mouth[1] - middle_of_eyes[1])
    assert span == pytest.approx(SPAN, abs=0.5)


@pytest.mark.parametrize("eyes", [60, 200, 500])
def test_fine_detail_becomes_grey_and_no_pattern(eyes: float) -> None:
    checks = np.indices((1600, 1600)).sum(axis=0) % 2 * 255
    image = np.repeat(checks[:, :, None], 3, axis=2).astype(np.uint8)
    picture = crop(image, face(800, 700, eyes, roll=7))
    assert picture.std() < 12
    assert picture.mean() == pytest.approx(127.5, abs=4)


def test_without_keypoints_the_box_frames_it() -> None:
    there = face(300, 300, 50)
    unknown = Face(there.box, 0.9, np.full((6, 2), np.nan, np.float32))
    image = np.zeros((600, 600, 3), np.uint8)
    x, y, width, height = there.box
    cv2.circle(image, (round(x + width / 2), round(y + height / 2)), 6, (255, 255, 255), -1)
    bright = np.argwhere(crop(image, unknown) > 90).mean(axis=0)[::-1]
    assert bright == pytest.approx(BOX_MIDDLE, abs=0.6)


def test_both_framings_agree() -> None:
    there = face(300, 300, 50)
    unknown = Face(there.box, 0.9, np.full((6, 2), np.nan, np.float32))
    image = blobs((600, 600), there, 6)
    assert centres(crop(image, unknown)) == pytest.approx(centres(crop(image, there)), abs=2.0)


def test_beyond_the_picture_its_edge_is_repeated() -> None:
    image = np.full((200, 200, 3), 180, np.uint8)
    assert (crop(image, face(0, 0, 40, roll=15)) == 180).all()


def test_the_picture_is_not_touched() -> None:
    image = np.random.default_rng(2).integers(0, 256, (300, 300, 3)).astype(np.uint8)
    before = image.copy()
    crop(image, face(150, 120, 40, roll=20))
    assert (image == before).all()


places = st.floats(-3000, 3000, width=32)


@given(
    st.tuples(st.integers(1, 70), st.integers(1, 70)),
    st.lists(st.tuples(places, places), min_size=6, max_size=6),
    st.tuples(places, places, st.floats(0, 3000), st.floats(0, 3000)),
    st.booleans(),
)
def test_whatever_the_face_there_is_a_crop(
    shape: tuple[int, int],
    points: list[tuple[float, float]],
    box: tuple[float, float, float, float],
    known: bool,
) -> None:
    image = np.full((*shape, 3), 99, np.uint8)
    keypoints = np.array(points, np.float32)
    picture = crop(image, Face(box, 0.5, keypoints if known else keypoints * np.nan))
    assert picture.shape == (SIDE, SIDE)
    assert picture.dtype == np.uint8
    assert (picture == 99).all()
