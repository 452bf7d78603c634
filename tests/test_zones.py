"""`mien.zones`: what must not be looked at is black, and the camera's frame stays as it was."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mien.config import Camera, Polygon, Seat
from mien.zones import Zones

LEFT: Polygon = [(0, 0), (0.5, 0), (0.5, 1), (0, 1)]
RIGHT: Polygon = [(0.5, 0), (1, 0), (1, 1), (0.5, 1)]
WHOLE: Polygon = [(0, 0), (1, 0), (1, 1), (0, 1)]


def picture(width: int = 201, height: int = 101) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(1, 256, (height, width, 3)).astype(np.uint8)


def test_without_zones_the_picture_itself_comes_back() -> None:
    image = picture()
    assert Zones(Seat()).apply(image) is image


def test_outside_the_seat_all_is_black_and_inside_nothing_changes() -> None:
    image = picture()
    seen = Zones(Seat(client=LEFT)).apply(image)
    assert not seen[:, 102:].any()
    assert (seen[:, :100] == image[:, :100]).all()


def test_a_masked_seat_is_black_even_inside_the_clients() -> None:
    image = picture()
    seen = Zones(Seat(client=WHOLE, masked=[RIGHT])).apply(image)
    assert not seen[:, 100:].any()
    assert (seen[:, :99] == image[:, :99]).all()


def test_every_masked_seat_is_black() -> None:
    seen = Zones(Seat(masked=[LEFT, RIGHT])).apply(picture())
    assert not seen.any()


def test_the_cameras_frame_is_not_touched() -> None:
    image = picture()
    before = image.copy()
    Zones(Seat(masked=[LEFT])).apply(image)
    assert (image == before).all()


def test_a_seat_to_the_edges_reaches_the_last_pixel() -> None:
    image = picture()
    assert (Zones(Seat(client=WHOLE)).apply(image) == image).all()


def test_each_size_of_picture_gets_its_own_mask() -> None:
    zones = Zones(Seat(masked=[RIGHT]))
    for size in ((200, 100), (640, 480), (1, 1), (200, 100), (1, 50), (3, 1)):
        image = picture(*size)
        seen = zones.apply(image)
        assert seen.shape == image.shape
        assert not seen[:, -1].any()


corner = st.tuples(st.floats(0, 1), st.floats(0, 1))
polygon = st.lists(corner, min_size=3, max_size=8)


@pytest.mark.parametrize("size", [(64, 48), (1, 1)])
@given(client=st.none() | polygon, masked=st.lists(polygon, max_size=3))
def test_a_pixel_is_black_or_unchanged_in_all_three_colours(
    size: tuple[int, int], client: Polygon | None, masked: list[Polygon]
) -> None:
    image = picture(*size)
    seen = Zones(Seat(client=client, masked=masked)).apply(image)
    same, black = (seen == image).all(axis=2), (seen == 0).all(axis=2)
    assert (same | black).all()


@given(masked=polygon, more=polygon)
def test_one_more_masked_seat_never_shows_more(masked: Polygon, more: Polygon) -> None:
    image = picture(64, 48)
    one = Zones(Seat(masked=[masked])).apply(image)
    two = Zones(Seat(masked=[masked, more])).apply(image)
    assert not two[(one == 0).all(axis=2)].any()


@pytest.mark.parametrize(
    ("size", "fits"),
    [
        ((640, 360), True),
        ((1920, 1080), True),
        ((854, 480), True),
        ((640, 480), False),
        ((720, 1280), False),
    ],
)
def test_zones_hold_at_any_size_of_the_shape_they_were_drawn_on(size, fits) -> None:
    zones = Zones(Seat(masked=[LEFT], drawn="1280x720"))
    assert zones.fits(picture(*size)) is fits
    assert (zones.trouble is None) is fits
    assert zones.fits(picture(1280, 720)), "the former shape is back"
    assert zones.trouble is None


def test_a_seat_without_a_shape_takes_that_of_the_first_picture() -> None:
    zones = Zones(Seat(masked=[LEFT]))
    assert zones.fits(picture(160, 90))
    assert not zones.fits(picture(160, 120))


def test_a_camera_turned_otherwise_does_not_fit() -> None:
    seat = Seat(masked=[LEFT], drawn="1280x720")
    assert not Zones(seat, Camera(rotate=180)).fits(picture(1280, 720))
    assert not Zones(seat, Camera(mirror=True)).fits(picture(1280, 720))
    turned = Seat(masked=[LEFT], drawn="1280x720+180m")
    assert Zones(turned, Camera(rotate=180, mirror=True)).fits(picture(1280, 720))


def test_without_zones_every_picture_fits() -> None:
    assert Zones(Seat(drawn="4x3")).fits(picture(160, 90))
