"""`mien.blankness`: pictures that show nothing are told apart from dark and plain scenes."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mien.blankness import BLACK, LASTS_S, PLAIN, WHITE, Blankness, blank
from mien.commands.demo import portrait
from mien.pictures import decode

Image = NDArray[np.uint8]


def plain(
    colour: tuple[int, int, int], noise: float = 0, size: tuple[int, int] = (720, 1280)
) -> Image:
    chance = np.random.default_rng(1)
    picture = np.full((*size, 3), colour, np.float32)
    return np.clip(picture + chance.normal(0, noise, picture.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("size", [(720, 1280), (480, 640), (120, 160), (1, 1)])
@pytest.mark.parametrize(
    ("colour", "noise", "said"),
    [
        ((0, 0, 0), 0, BLACK),
        ((16, 16, 16), 0, BLACK),
        ((4, 4, 4), 15, BLACK),
        ((0, 135, 0), 0, PLAIN),
        ((128, 128, 128), 3, PLAIN),
        ((255, 0, 255), 0, PLAIN),
        ((255, 255, 255), 4, WHITE),
    ],
)
def test_one_colour_shows_nothing_with_noise_too(
    size: tuple[int, int], colour: tuple[int, int, int], noise: float, said: str
) -> None:
    if size[0] > 1 or not noise:
        assert blank(plain(colour, min(noise, 5) if size[0] < 200 else noise, size)) == said


def test_a_dark_room_and_a_plain_wall_show_something() -> None:
    room = cv2.resize(decode(portrait()), (1280, 720))
    assert blank(room) is None
    assert blank((room * 0.1).astype(np.uint8)) is None
    wall = np.linspace(120, 132, 1280)[None, :, None].repeat(720, 0).repeat(3, 2)
    assert blank(wall.astype(np.uint8)) is None


def test_a_camera_that_has_just_begun_may_be_black_for_a_while() -> None:
    watch, black = Blankness(), plain((0, 0, 0), size=(48, 64))
    for t in np.arange(0, LASTS_S, 0.25):
        watch.look(float(t), black)
        assert watch.trouble is None
    watch.look(LASTS_S, black)
    assert watch.trouble == BLACK
    watch.look(LASTS_S + 1, cv2.resize(decode(portrait()), (64, 48)).astype(np.uint8))
    assert watch.trouble is None
