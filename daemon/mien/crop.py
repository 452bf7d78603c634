"""The picture that the expression network gets: grey, 48×48, levelled by the eyes, framed as the
faces of FER-2013 are, on which it was trained."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.faces import Face, halved

SIDE = 48

# Where a face lies in a 48×48 picture of FER-2013: medians over the 1,643 pictures of every second
# PublicTest row in which the face finder placed the keypoints well. A scan on natural photographs
# came out at the same tightness (docs/decisions/faces.md).
MIDDLE = (23.5, 27.5)
"""The point halfway between the middle of the eyes and the mouth."""
SPAN = 25.5
"""Eyes apart and eyes to mouth as the sides of a right-angled triangle: its longest side. A turned
head foreshortens the one and a nodding head the other, and this changes least."""
BOX_MIDDLE = (23.5, 27.0)
BOX_WIDTH = 40.0
"""The same for a finder that gives a box but no keypoints."""


def crop(image: NDArray[np.uint8], face: Face) -> NDArray[np.uint8]:
    """Cut a face out of a picture.

    Args:
        image: BGR u8 [h, w, 3], the picture in which the face was found.
        face: where; its eyes level the crop, or, where it has no keypoints, its box frames it.

    Returns:
        Grey u8 [48, 48]; what lies beyond the picture repeats its edge.
    """
    matrix, scale = _placed(face)
    # Only the part that is needed is turned grey and shrunk: a circle around the crop.
    inverse = cv2.invertAffineTransform(matrix)
    x, y = inverse @ (SIDE / 2, SIDE / 2, 1)
    reach = SIDE / scale / math.sqrt(2) + 2
    height, width = image.shape[:2]
    left, right = _inside(x - reach, x + reach, width)
    top, bottom = _inside(y - reach, y + reach, height)
    part = cv2.cvtColor(image[top:bottom, left:right], cv2.COLOR_BGR2GRAY)
    small, factor = halved(part.astype(np.uint8, copy=False), scale)
    # Pixel u of the small picture has its centre at (u + ½) · factor − ½ of the part.
    half = (factor - 1) / 2
    to_image = np.array([[factor, 0, left + half], [0, factor, top + half], [0, 0, 1]])
    picture = cv2.warpAffine(
        small, matrix @ to_image, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE
    )
    return picture.astype(np.uint8, copy=False)


def _placed(face: Face) -> tuple[NDArray[np.float64], float]:
    """The transform from the picture to the crop, [2, 3], and its scale."""
    right_eye, left_eye, _, mouth = face.keypoints[:4].astype(np.float64)
    eyes = (right_eye + left_eye) / 2
    across, down = left_eye - right_eye, mouth - eyes
    span = math.hypot(*across, *down)
    if math.isnan(span):
        x, y, width, height = face.box
        return _similarity(
            (x + width / 2, y + height / 2), 0, BOX_WIDTH / max(width, 1), BOX_MIDDLE
        )
    centre = (eyes + mouth) / 2
    roll = math.atan2(across[1], across[0])
    return _similarity((centre[0], centre[1]), roll, SPAN / max(span, 1), MIDDLE)


def _similarity(
    centre: tuple[float, float], roll: float, scale: float, target: tuple[float, float]
) -> tuple[NDArray[np.float64], float]:
    cos, sin = math.cos(roll) * scale, math.sin(roll) * scale
    turn = np.array([[cos, sin], [-sin, cos]])
    return np.column_stack([turn, np.array(target) - turn @ centre]), scale


def _inside(low: float, high: float, length: int) -> tuple[int, int]:
    """Whole pixels from `low` to `high` that exist, at least one."""
    first = min(max(math.floor(low), 0), length - 1)
    return first, min(max(math.ceil(high), first + 1), length)
