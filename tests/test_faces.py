"""`mien.faces`: the real networks on a real portrait, put into pictures of many kinds."""

import functools
import os
from pathlib import Path

import cv2
import matplotlib.cbook
import numpy as np
import pytest
from numpy.typing import NDArray

import yunet_file
from mien import facemodel
from mien.config import Faces, default_state_dir
from mien.faces import BlazeFace, Face, FaceFinder, FacesError, Haar, YuNet, open_finder
from mien.tracks import overlap

Picture = NDArray[np.uint8]
RIGHT_EYE, LEFT_EYE, NOSE, MOUTH, RIGHT_EAR, LEFT_EAR = range(6)


@pytest.fixture(scope="session")
def models() -> Path:
    folder = default_state_dir() / "models"
    facemodel.fetch(folder)
    return folder


@pytest.fixture(scope="session")
def finder(models: Path) -> BlazeFace:
    return BlazeFace(models, 0.5)


@pytest.fixture(scope="session")
def far_finder(models: Path) -> BlazeFace:
    return BlazeFace(models, 0.5, far=True)


@pytest.fixture(scope="session")
def portrait() -> Picture:
    """Grace Hopper, 512×600, her face about 200 pixels wide; in the public domain."""
    file = matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)
    image = cv2.imread(str(file))
    assert image is not None
    return image.astype(np.uint8)


@pytest.fixture(scope="session")
def known(finder: BlazeFace, portrait: Picture) -> Face:
    """The portrait's one face, where it is in the portrait."""
    (face,) = finder.find(portrait)
    return face


@functools.cache
def room(width: int = 1280, height: int = 720) -> Picture:
    """A wall, a floor, some furniture; nobody. Nothing may be drawn into it: it is made once."""
    image = np.full((height, width, 3), (150, 160, 165), np.uint8)
    image[height * 3 // 4 :] = (70, 90, 120)
    cv2.rectangle(image, (width // 8, height // 3), (width // 4, height), (60, 70, 110), -1)
    cv2.rectangle(image, (width * 3 // 4, 0), (width, height // 2), (210, 200, 190), -1)
    noise = np.random.default_rng(8).normal(0, 4, image.shape)
    noisy = np.clip(image + noise, 0, 255).astype(np.uint8)
    noisy.flags.writeable = False
    return noisy


def hang(
    portrait: Picture,
    known: Face,
    canvas: Picture,
    x: float,
    y: float,
    width: float,
    tilt: float = 0,
) -> tuple[Picture, NDArray[np.float64]]:
    """The portrait in a canvas, its face's middle at x, y and `width` wide, tilted clockwise by
    `tilt` degrees; and the transform from portrait to canvas, [2, 3]."""
    left, top, wide, high = known.box
    scale = width / wide
    middle = (left + wide / 2, top + high / 2)
    matrix = cv2.getRotationMatrix2D(middle, -tilt, scale).astype(np.float64)
    matrix[:, 2] += (x - middle[0], y - middle[1])
    small = cv2.resize(
        portrait, None, fx=min(scale, 1), fy=min(scale, 1), interpolation=cv2.INTER_AREA
    )
    draw = matrix.copy()
    draw[:, :2] /= min(scale, 1)
    drawn = cv2.warpAffine(
        small,
        draw,
        (canvas.shape[1], canvas.shape[0]),
        dst=canvas.copy(),
        borderMode=cv2.BORDER_TRANSPARENT,
    )
    return drawn.astype(np.uint8), matrix


def check(face: Face, known: Face, matrix: NDArray[np.float64], tolerance: float = 0.12) -> None:
    """Each keypoint lies where the transform puts it, within a share of the eyes' distance."""
    expected = known.keypoints @ matrix[:, :2].T + matrix[:, 2]
    apart = np.linalg.norm(expected[LEFT_EYE] - expected[RIGHT_EYE])
    wrong = np.linalg.norm(face.keypoints - expected, axis=1) / apart
    assert wrong[:MOUTH].max() < tolerance
    assert wrong.max() < 2 * tolerance


# ── BlazeFace ────────────────────────────────────────────────────────────────────────────────────


def test_the_portrait_has_one_face_and_its_points_are_in_their_places(known: Face) -> None:
    x, y, width, height = known.box
    assert 160 < width < 240
    assert 0.9 < width / height < 1.1
    assert 0.7 < known.score <= 1
    points = known.keypoints
    assert points.shape == (6, 2)
    assert points.dtype == np.float32
    # A person's right is the picture's left.
    assert points[RIGHT_EAR, 0] < points[RIGHT_EYE, 0] < points[NOSE, 0] < points[LEFT_EYE, 0]
    assert points[LEFT_EYE, 0] < points[LEFT_EAR, 0]
    assert points[RIGHT_EYE, 1] < points[NOSE, 1] < points[MOUTH, 1]
    assert ((points[:4] > (x, y)) & (points[:4] < (x + width, y + height))).all()


@pytest.mark.parametrize("width", [70, 110, 160, 240, 360, 500])
@pytest.mark.parametrize("place", [(0.3, 0.4), (0.5, 0.5), (0.7, 0.45)])
def test_a_face_is_found_where_it_is_at_every_size(
    finder: BlazeFace, portrait: Picture, known: Face, width: int, place: tuple[float, float]
) -> None:
    image, matrix = hang(portrait, known, room(), 1280 * place[0], 720 * place[1], width)
    (face,) = finder.find(image)
    check(face, known, matrix)


@pytest.mark.parametrize("size", [(640, 480), (720, 1280), (900, 900), (1500, 1000), (2000, 500)])
def test_every_shape_of_picture(
    finder: BlazeFace, portrait: Picture, known: Face, size: tuple[int, int]
) -> None:
    width, height = size
    image, matrix = hang(portrait, known, room(width, height), width * 0.4, height * 0.45, 150)
    (face,) = finder.find(image)
    check(face, known, matrix)


@pytest.mark.parametrize("tilt", [-25, -10, 10, 25])
def test_a_tilted_face(finder: BlazeFace, portrait: Picture, known: Face, tilt: int) -> None:
    image, matrix = hang(portrait, known, room(), 600, 330, 180, tilt)
    (face,) = finder.find(image)
    check(face, known, matrix, 0.16)


@pytest.mark.parametrize("light", [0.25, 0.5, 1.4])
def test_dim_and_bright_light(
    finder: BlazeFace, portrait: Picture, known: Face, light: float
) -> None:
    image, matrix = hang(portrait, known, room(), 640, 360, 180)
    (face,) = finder.find(np.clip(image * light, 0, 255).astype(np.uint8))
    check(face, known, matrix)


def test_a_mirrored_face_has_its_points_changed_over(
    finder: BlazeFace, portrait: Picture, known: Face
) -> None:
    (face,) = finder.find(portrait[:, ::-1])
    flip = np.array([[-1.0, 0, portrait.shape[1]], [0, 1, 0]])
    swapped = Face(known.box, known.score, known.keypoints[[1, 0, 2, 3, 5, 4]])
    check(face, swapped, flip)


def test_a_close_up_that_fills_the_picture(
    finder: BlazeFace, portrait: Picture, known: Face
) -> None:
    x, y, width, height = (round(value) for value in known.box)
    cut = portrait[y - height // 5 : y + height, x : x + width]
    (face,) = finder.find(cv2.resize(cut, None, fx=4, fy=4).astype(np.uint8))
    check(face, known, np.array([[4.0, 0, -4 * x], [0, 4, -4 * (y - height // 5)]]), 0.2)


def test_several_people_best_first(finder: BlazeFace, portrait: Picture, known: Face) -> None:
    image = room()
    for x, width in ((250, 90), (640, 130), (1050, 170)):
        image, _ = hang(portrait, known, image, x, 300, width)
    faces = finder.find(image)
    assert len(faces) == 3
    assert sorted(round((face.box[0] + face.box[2] / 2) / 100) for face in faces) == [2, 6, 10]
    assert [face.score for face in faces] == sorted((face.score for face in faces), reverse=True)


def test_two_tiles_see_farther(
    finder: BlazeFace, far_finder: BlazeFace, portrait: Picture, known: Face
) -> None:
    places = [(x, y) for x in (200, 420, 640, 860, 1080) for y in (250, 400)]
    near = far = 0
    for x, y in places:
        image, matrix = hang(portrait, known, room(), x, y, 44)
        near += len(finder.find(image))
        found = far_finder.find(image)
        far += len(found)
        for face in found:
            check(face, known, matrix, 0.3)
    assert far == len(places)
    assert near < far


def test_two_tiles_find_a_face_between_them_once(
    far_finder: BlazeFace, portrait: Picture, known: Face
) -> None:
    image, _ = hang(portrait, known, room(), 640, 360, 120)
    assert len(far_finder.find(image)) == 1


def test_a_thorough_look_finds_what_a_first_one_misses(
    finder: BlazeFace, portrait: Picture, known: Face
) -> None:
    places = [(x, y) for x in (200, 420, 860, 1080) for y in (250, 400)]
    images = [hang(portrait, known, room(), x, y, 44)[0] for x, y in places]
    first = sum(len(finder.find(image)) for image in images)
    thorough = sum(len(finder.find(image, thorough=True)) for image in images)
    assert first < thorough == len(places)


@pytest.mark.parametrize("thorough", [False, True])
@pytest.mark.parametrize(
    "image",
    [
        np.zeros((720, 1280, 3), np.uint8),
        np.full((480, 640, 3), 255, np.uint8),
        np.full((480, 640, 3), 128, np.uint8),
        np.random.default_rng(1).integers(0, 256, (480, 640, 3)).astype(np.uint8),
        room(),
        *(
            np.full((h, w, 3), 90, np.uint8)
            for h, w in ((1, 1), (1, 500), (500, 1), (3, 2), (7, 4000))
        ),
    ],
    ids=lambda image: "×".join(map(str, image.shape)),
)
def test_where_there_is_nobody_nobody_is_found(
    finder: BlazeFace, far_finder: BlazeFace, image: Picture, thorough: bool
) -> None:
    assert finder.find(image, thorough) == []
    assert far_finder.find(image, thorough) == []


def test_a_huge_picture(finder: BlazeFace, portrait: Picture, known: Face) -> None:
    large = cv2.resize(room(1000, 750), (4000, 3000)).astype(np.uint8)
    image, matrix = hang(portrait, known, large, 1800, 1300, 1000)
    (face,) = finder.find(image)
    check(face, known, matrix)


def test_a_grey_picture(finder: BlazeFace, portrait: Picture, known: Face) -> None:
    grey = cv2.cvtColor(portrait, cv2.COLOR_BGR2GRAY)
    (face,) = finder.find(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR).astype(np.uint8))
    check(face, known, np.eye(2, 3))


def test_half_a_face_at_the_edge_has_a_box_inside_the_picture(
    finder: BlazeFace, portrait: Picture, known: Face
) -> None:
    x, _, width, _ = known.box
    half = portrait[:, round(x + width * 0.3) :]
    (face,) = finder.find(half)
    left, top, wide, high = face.box
    assert left >= 0
    assert top >= 0
    assert left + wide <= half.shape[1]
    assert top + high <= half.shape[0]


def test_a_look_leaves_no_trace(finder: BlazeFace, portrait: Picture) -> None:
    before = portrait.copy()
    first = finder.find(portrait)
    finder.find(room())
    again = finder.find(portrait)
    assert (portrait == before).all()
    assert [face.score for face in first] == [face.score for face in again]
    assert (first[0].keypoints == again[0].keypoints).all()


def test_the_score_must_reach_the_configs(models: Path, portrait: Picture, known: Face) -> None:
    assert BlazeFace(models, known.score - 0.01).find(portrait)
    assert not BlazeFace(models, 0.99).find(portrait)


# ── Which finder ─────────────────────────────────────────────────────────────────────────────────


def test_blazeface_is_the_first_choice(models: Path) -> None:
    finder, notice = open_finder(Faces(), models_dir=models)
    assert finder.name == "blazeface"
    assert notice is None


@pytest.mark.parametrize("damage", ["missing", "damaged"])
def test_without_it_haar_is_announced_with_reason_and_cure(
    tmp_path: Path, models: Path, damage: str, portrait: Picture
) -> None:
    if damage == "damaged":
        (tmp_path / "blazeface").mkdir()
        for network in facemodel.SHA256:
            content = facemodel.path(models, network).read_bytes()
            facemodel.path(tmp_path, network).write_bytes(content[:-1])
    finder, notice = open_finder(Faces(), models_dir=tmp_path)
    assert finder.name == "haar"
    assert notice is not None
    assert "Haar" in notice
    assert ("damaged" if damage == "damaged" else "there is no") in notice
    assert "mien models fetch" in notice
    assert len(finder.find(portrait)) == 1
    with pytest.raises(FacesError, match="mien models fetch"):
        open_finder(Faces(finder="blazeface"), models_dir=tmp_path)


def test_haar_finds_the_same_face_but_no_points(portrait: Picture, known: Face) -> None:
    finder, notice = open_finder(Faces(finder="haar"), models_dir=Path("nowhere"))
    assert notice is None, "asked for, so no fallback"
    (face,) = finder.find(portrait)
    assert overlap(face.box, known.box) > 0.6
    assert 0.5 <= face.score < 1
    assert np.isnan(face.keypoints).all()
    assert face.keypoints.shape == (6, 2)


def test_haar_wants_more_agreement_for_a_higher_score(portrait: Picture) -> None:
    (face,) = Haar(0.5).find(portrait)
    assert not Haar(min(face.score + 0.01, 0.999)).find(portrait)


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (720, 1280)])
def test_haar_in_empty_pictures(size: tuple[int, int]) -> None:
    assert Haar(0.5).find(np.full((*size, 3), 40, np.uint8)) == []


# ── YuNet ────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def bright_finder(tmp_path: Path) -> FaceFinder:
    """A real `FaceDetectorYN` with a network of YuNet's form that takes bright spots for faces."""
    file = yunet_file.write(tmp_path / os.fsdecode(b"yun\xe9t.onnx"))
    finder, notice = open_finder(
        Faces(finder="yunet", yunet_model=str(file)), models_dir=Path("nowhere")
    )
    assert notice is None
    return finder


@pytest.mark.parametrize("shrunk", [1, 2, 3])
def test_a_yunet_file_gives_box_and_points(bright_finder: FaceFinder, shrunk: int) -> None:
    image = np.zeros((480 * shrunk, 640 * shrunk, 3), np.uint8)
    image[96 * shrunk : 104 * shrunk, 160 * shrunk : 168 * shrunk] = 240
    image[296 * shrunk : 304 * shrunk, 400 * shrunk : 408 * shrunk] = 200
    first, second = bright_finder.find(image)
    assert first.score == pytest.approx(240 / 255, abs=0.02)
    assert second.score == pytest.approx(200 / 255, abs=0.02)
    width, height = yunet_file.BOX
    corner = np.array([160, 96])
    box = (*(corner - (width / 2, height / 2)), width, height)
    assert first.box == pytest.approx([value * shrunk for value in box], abs=shrunk)
    eyes_nose = (corner + yunet_file.LANDMARKS[:3]) * shrunk
    mouth = (corner + np.mean(yunet_file.LANDMARKS[3:], axis=0)) * shrunk
    assert first.keypoints[: NOSE + 1] == pytest.approx(eyes_nose, abs=shrunk)
    assert first.keypoints[MOUTH] == pytest.approx(mouth, abs=shrunk)
    assert np.isnan(first.keypoints[RIGHT_EAR:]).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (2000, 3)])
def test_yunet_in_empty_pictures(bright_finder: FaceFinder, size: tuple[int, int]) -> None:
    assert bright_finder.find(np.zeros((*size, 3), np.uint8)) == []


def test_yunet_needs_a_file(tmp_path: Path) -> None:
    with pytest.raises(FacesError, match="needs yunet_model"):
        open_finder(Faces(finder="yunet"), models_dir=tmp_path)
    with pytest.raises(FacesError, match=r"there is no YuNet file .*gone\.onnx"):
        YuNet(str(tmp_path / "gone.onnx"), 0.5)


def test_a_file_that_is_no_yunet(tmp_path: Path, models: Path) -> None:
    text = tmp_path / "text.onnx"
    text.write_text("not a network")
    with pytest.raises(FacesError, match=r"cannot use .*text\.onnx as a YuNet"):
        YuNet(str(text), 0.5)
    other = tmp_path / "other.onnx"
    other.write_bytes(facemodel.path(models).read_bytes())
    with pytest.raises(FacesError, match=r"cannot use .*other\.onnx as a YuNet"):
        YuNet(str(other), 0.5)
