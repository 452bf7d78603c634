"""Which of the tracked faces do not move at all, as a photograph on the wall: the same place of
the picture shows the same, whatever light and noise do. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.crop import SIDE, crop
from mien.faces import Face

SAME = 0.93
"""Each part of a face must correlate at least so much with itself before, or it has moved."""
SHIFT = 0.15
"""Pixels of the crop by which a face as a whole must have moved, to have moved: half a millimetre
of a head."""
EVERY_S = 1.0
_PARTS = 3
_PART = SIDE // _PARTS
_DETAIL = 13  # pixels of the crop: what is coarser is light, not face
_FLICKERS = 1  # looks in a row that may differ, when a light flickers or an insect passes


@dataclass
class _Watched:
    face: Face
    detail: NDArray[np.float32]
    since: float
    looked: float
    moved: int = 0


class Stillness:
    """Looks once a second at the place where each face was first seen, without following it.

    A face counts as still once nothing has moved there for `still_s`. A living one never holds so
    still: it breathes, sways, blinks and speaks.
    """

    def __init__(self, still_s: float) -> None:
        self._still_s = still_s
        self._watched: dict[int, _Watched] = {}

    def update(
        self, t: float, image: NDArray[np.uint8], faces: Sequence[Face], tracks: Sequence[int]
    ) -> list[bool]:
        """Say which of the faces of the picture of `t` seconds, BGR u8 [h, w, 3], do not move."""
        self._watched = {n: self._watched[n] for n in tracks if n in self._watched}
        return [
            self._still(t, image, face, number) for face, number in zip(faces, tracks, strict=True)
        ]

    def _still(self, t: float, image: NDArray[np.uint8], face: Face, number: int) -> bool:
        watched = self._watched.get(number)
        if watched is None:
            self._watched[number] = _Watched(face, _detail(image, face), t, t)
            return False
        if t - watched.looked >= EVERY_S:
            watched.looked = t
            now = _detail(image, watched.face)
            same = likeness(watched.detail, now) >= SAME and shift(watched.detail, now) <= SHIFT
            watched.moved = 0 if same else watched.moved + 1
        if watched.moved > _FLICKERS:
            self._watched[number] = _Watched(face, _detail(image, face), t, t)
            return False
        return t - watched.since >= self._still_s


def likeness(before: NDArray[np.float32], now: NDArray[np.float32]) -> float:
    """The least correlation of a part of a face with itself before, −1 to 1.

    Correlation leaves out how bright and how contrasty the light makes it. Parts with little in
    them, such as a cheek, do not count.
    """
    one, other = _parts(before), _parts(now)
    energy, other_energy = (one**2).sum(axis=1), (other**2).sum(axis=1)
    if not energy.any():
        return 1.0
    telling = energy > 0.5 * energy.mean()
    together = (one * other).sum(axis=1) / np.sqrt(energy * other_energy + 1e-9)
    return float(together[telling].min())


def shift(before: NDArray[np.float32], now: NDArray[np.float32]) -> float:
    """How far a face has moved as a whole, in pixels of the crop, for small distances.

    Least squares over the gradients, as in B. D. Lucas and T. Kanade, "An iterative image
    registration technique with an application to stereo vision", IJCAI 1981; one step of it.
    """
    gain = float((before * now).sum()) / max(float((before * before).sum()), 1e-9)
    if gain <= 0:
        return math.inf
    down, across = (np.asarray(g, np.float64).ravel() for g in np.gradient(before))
    gradients = np.stack([down, across])
    change = (now / gain - before).ravel()
    step = np.linalg.lstsq(gradients @ gradients.T, gradients @ change, rcond=None)[0]
    return float(np.hypot(*step))


def _detail(image: NDArray[np.uint8], face: Face) -> NDArray[np.float32]:
    """What is neither noise nor light, [48, 48], where a face was."""
    smooth = cv2.GaussianBlur(crop(image, face).astype(np.float32), (0, 0), 0.8)
    return np.asarray(smooth - cv2.blur(smooth, (_DETAIL, _DETAIL)), np.float32)


def _parts(detail: NDArray[np.float32]) -> NDArray[np.float32]:
    """[9, 256]"""
    parts = detail.reshape(_PARTS, _PART, _PARTS, _PART).transpose(0, 2, 1, 3)
    return parts.reshape(_PARTS * _PARTS, _PART * _PART)
