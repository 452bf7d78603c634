"""Blacking out what must not be looked at, before anything looks: everything outside the client's
seat, and every masked seat.

Zones are fractions of the picture, so they hold at any size of the same shape. In a picture of
another shape, or turned otherwise, they cover something else: there nobody may be read.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.config import Camera, Polygon, Seat
from mien.shape import drawn, same_shape


class Zones:
    """The zones of one seat; the client's seat and a masked one may overlap, and the mask wins."""

    def __init__(self, seat: Seat, view: Camera | None = None) -> None:
        """`view` tells how the camera's picture is turned before it comes here."""
        self._seat = seat
        self._view = view or Camera()
        self._drawn_on = seat.drawn
        self.trouble: str | None = None
        """Why the last picture did not fit."""
        self._mask: NDArray[np.uint8] | None = None

    def fits(self, image: NDArray[np.uint8]) -> bool:
        """Whether the picture has the shape that the zones were drawn on: a seat without one takes
        that of the first picture. Without zones every picture fits."""
        if self._seat.client is None and not self._seat.masked:
            self.trouble = None
            return True
        height, width = image.shape[:2]
        now = drawn(width, height, self._view)
        if self._drawn_on is None:
            self._drawn_on = now
        if same_shape(self._drawn_on, now):
            self.trouble = None
            return True
        self.trouble = (
            f"the picture is {now}, but the seat was drawn on {self._drawn_on}, so that its zones "
            "would cover something else: nobody is read"
        )
        return False

    def apply(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The picture, BGR u8 [h, w, 3], with what is outside black: a copy, or the picture
        itself where there are no zones."""
        if self._seat.client is None and not self._seat.masked:
            return image
        height, width = image.shape[:2]
        if self._mask is None or self._mask.shape != (height, width, 3):
            self._mask = self._drawn(width, height)
        return cv2.bitwise_and(image, self._mask).astype(np.uint8, copy=False)

    def _drawn(self, width: int, height: int) -> NDArray[np.uint8]:
        """255 where one may look, in each channel: `bitwise_and` with it costs a memory pass."""
        mask = np.full((height, width, 3), 255 if self._seat.client is None else 0, np.uint8)
        if self._seat.client is not None:
            cv2.fillPoly(mask, [_corners(self._seat.client, width, height)], (255, 255, 255))
        for polygon in self._seat.masked:
            cv2.fillPoly(mask, [_corners(polygon, width, height)], (0, 0, 0))
        return mask


def _corners(polygon: Polygon, width: int, height: int) -> NDArray[np.int32]:
    """Fractions of the picture's sides → whole pixels; 0 is the first pixel, 1 the last."""
    last = np.array([width - 1, height - 1], np.float64)
    corners: NDArray[np.float64] = np.array(polygon, np.float64) * last
    return np.rint(corners).astype(np.int32)
