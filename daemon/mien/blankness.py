"""A picture that shows nothing: black, as under a lens cap, or of one colour, as of a broken
stream. Pure."""

import math

import numpy as np
from numpy.typing import NDArray

CONTRAST = 6.0
"""Grey levels by which the parts of a picture must differ, else it shows nothing."""
DARK, BRIGHT = 40, 230
"""A picture that shows nothing is called black below the one on average, white above the other."""
LASTS_S = 3.0
"""So long it must last: many cameras begin with black pictures until they know the light."""
_EVERY_S = 0.5
_PARTS = (8, 6)
_SAMPLES = 20_000  # 400 pixels in each of the 48 parts average a sensor's noise away

BLACK = "the picture is black: the lens is covered, or there is no light"
WHITE = "the picture is white and shows nothing: far too much light falls into the lens"
PLAIN = "the picture is of one colour and shows nothing: the camera or its stream is broken"


def blank(image: NDArray[np.uint8]) -> str | None:
    """Say in a sentence why a picture, BGR u8 [h, w, 3], shows nothing; None if it shows something.

    The picture is cut into 8×6 parts. The noise of a sensor is the same in each of them and leaves
    their means alike, while any scene makes them differ.
    """
    height, width = image.shape[:2]
    step = max(1, math.isqrt(height * width // _SAMPLES))
    few = image[step // 2 :: step, step // 2 :: step]
    columns, rows = min(_PARTS[0], few.shape[1]), min(_PARTS[1], few.shape[0])
    across, down = few.shape[1] // columns, few.shape[0] // rows
    parts = few[: rows * down, : columns * across].reshape(rows, down, columns, across, 3)
    means = parts.mean(axis=(1, 3), dtype=np.float32).reshape(-1, 3)
    if float(np.ptp(means, axis=0).max()) >= CONTRAST:
        return None
    colour = means.mean(axis=0)
    if colour.max() < DARK:
        return BLACK
    return WHITE if colour.min() > BRIGHT else PLAIN


class Blankness:
    """Watches the frames of a stream, two a second, for pictures that show nothing."""

    def __init__(self) -> None:
        self.trouble: str | None = None
        """What has been wrong with the pictures for `LASTS_S`; None while they show something."""
        self._looked = -math.inf
        self._since: float | None = None

    def look(self, t: float, image: NDArray[np.uint8]) -> None:
        """Take the picture, BGR u8 [h, w, 3], of `t` seconds."""
        if t - self._looked < _EVERY_S:
            return
        self._looked = t
        found = blank(image)
        if found is None:
            self._since = self.trouble = None
            return
        if self._since is None:
            self._since = t
        if t - self._since >= LASTS_S:
            self.trouble = found
