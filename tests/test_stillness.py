"""`mien.stillness`: a photograph is told under noise and flicker, and who moves is never one."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mien.clock import ManualClock
from mien.commands.demo import portrait
from mien.config import Config
from mien.faces import Face, Haar
from mien.pictures import decode
from mien.replay import DemoSource
from mien.stillness import Stillness
from mien.tracks import Tracker

STILL_S = 30.0
Image = NDArray[np.uint8]
# Where the finder sees her in the portrait, as shares of its height.
BOX = (0.25, 0.21, 0.33, 0.33)
POINTS = ((0.30, 0.35), (0.68, 0.33), (0.5, 0.58), (0.53, 0.78), (0.05, 0.42), (0.95, 0.4))


def shown(width: float, dx: float = 0, dy: float = 0) -> tuple[Image, Face]:
    """The portrait in a room, so that her face is `width` pixels wide, moved by some pixels."""
    picture = decode(portrait())
    scale = width / (BOX[2] * picture.shape[0])
    place = np.array([[scale, 0, 60 + dx], [0, scale, 40 + dy]])
    room = cv2.warpAffine(
        cv2.GaussianBlur(picture, (0, 0), max(0.1, 0.4 / scale)),
        place,
        (640, 480),
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(90, 90, 90),
    )
    x, y = (np.array(BOX[:2]) * picture.shape[0] * scale + (60, 40)).tolist()
    points = np.array([(x + u * width, y + v * width) for u, v in POINTS], np.float32)
    return room.astype(np.uint8), Face((x, y, width, width), 0.9, points)


def noisy(picture: Image, chance: np.random.Generator, noise: float, gain: float = 1) -> Image:
    lit = picture * gain + chance.normal(0, noise, picture.shape) if noise else picture * gain
    return np.clip(lit, 0, 255).astype(np.uint8)


def first_still(pictures: list[Image], face: Face) -> int | None:
    """The number of the first picture, one a second, in which the face counts as still."""
    watch = Stillness(STILL_S)
    for t, picture in enumerate(pictures):
        if watch.update(float(t), picture, [face], [1]) == [True]:
            return t
    return None


@pytest.mark.parametrize("width", [40, 120])
@pytest.mark.parametrize(("noise", "flicker"), [(0, 0.0), (6, 0.0), (3, 0.25)])
def test_a_photograph_is_told_whatever_noise_and_light_do(
    width: int, noise: float, flicker: float
) -> None:
    picture, face = shown(width)
    chance = np.random.default_rng(4)
    gains = 1 - flicker * chance.random(40)
    frames = [noisy(picture, chance, noise, float(gain)) for gain in gains]
    assert first_still(frames, face) == STILL_S


def test_a_photograph_in_a_video_of_low_quality_is_told() -> None:
    picture, face = shown(80)
    chance = np.random.default_rng(5)
    frames = []
    for _ in range(40):
        _, file = cv2.imencode(".jpg", noisy(picture, chance, 3), [cv2.IMWRITE_JPEG_QUALITY, 40])
        frames.append(cv2.imdecode(file, cv2.IMREAD_COLOR).astype(np.uint8))
    assert first_still(frames, face) == STILL_S


@pytest.mark.parametrize("width", [60, 160])
def test_who_sits_still_and_breathes_is_no_photograph(width: int) -> None:
    """A millimetre and a half up and down: a face is some 150 mm wide."""
    chance = np.random.default_rng(6)
    frames = []
    for t in range(120):
        dy = 0.01 * width * np.sin(2 * np.pi * t / 4.3)
        frames.append(noisy(shown(width, dy=float(dy))[0], chance, 3))
    assert first_still(frames, shown(width)[1]) is None


def test_who_only_moves_the_mouth_is_no_photograph() -> None:
    picture, face = shown(120)
    x, y = (int(v) for v in face.keypoints[3])
    frames = []
    for t in range(90):
        frame = picture.copy()
        if t % 4 >= 2:
            cv2.ellipse(frame, (x, y), (18, 9), 0, 0, 360, (30, 20, 60), -1)
        frames.append(frame)
    assert first_still(frames, face) is None


def test_one_odd_look_does_not_wake_a_photograph_and_a_movement_does() -> None:
    picture, face = shown(100)
    other, moved = shown(100, dx=12)
    frames = [picture] * 40
    frames[20] = other
    assert first_still(frames, face) == STILL_S
    watch = Stillness(STILL_S)
    for t in range(41):
        still = watch.update(float(t), picture, [face], [1])
    assert still == [True]
    told = [watch.update(41.0 + t, other, [moved], [1])[0] for t in range(int(STILL_S) + 2)]
    assert told[1] is False
    assert told[-1] is True


def test_a_track_that_is_new_begins_anew() -> None:
    picture, face = shown(100)
    watch = Stillness(STILL_S)
    assert not any(watch.update(float(t), picture, [face], [t // 20])[0] for t in range(200))


def test_the_demos_portrait_moves() -> None:
    source = DemoSource(decode(portrait()), ManualClock(), width=640, height=360)
    finder, tracker, watch = Haar(0.5), Tracker(forget_s=3.0), Stillness(STILL_S)
    seen = 0
    for t in range(200):
        picture = source.picture(float(t))
        faces = finder.find(picture)
        seen += bool(faces)
        tracks = tracker.update(float(t), [face.box for face in faces])
        assert not any(watch.update(float(t), picture, faces, tracks))
    assert seen > 50
    assert Config().limits.still_s == STILL_S
