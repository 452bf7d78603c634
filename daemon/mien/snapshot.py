"""The seat's face in one frame, as somebody pressed "capture" for it. Nothing is written here."""

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.clock import Stamp
from mien.events import Capture, Reading
from mien.layer import Layer, embedding
from mien.pipeline import Seen
from mien.reading import widest

MARGIN = 0.3
"""Around the face's box, as a share of its sides."""
LONGEST = 320
"""Pixels of the longer side; a bigger face is shrunk."""
QUALITY = 90
"""JPEG quality."""


def snapshot(seen: Seen, at: Stamp, layer: Layer | None, bundle: str) -> Capture | None:
    """The face nearest to the camera with all that was read of it; None where none was read.

    Args:
        layer: the one that read it, for the class-activation maps; without one there are none.
    """
    reading = widest(seen.readings)
    if reading is None or not seen.outputs:
        return None
    place = seen.readings.index(reading)
    features = seen.outputs[place].features
    maps = layer.maps(features) if layer else np.zeros((0, 0, 0), np.uint8)
    return Capture(
        frame=seen.frame.index,
        boot=at.boot_id,
        boot_ms=round(at.boot_time * 1000),
        face=_encoded(_cut(seen.image, reading), ".jpg", [cv2.IMWRITE_JPEG_QUALITY, QUALITY]),
        crop=_encoded(seen.crops[place], ".png", []),
        expression=reading.label,
        reason=reading.reason,
        probabilities=reading.probabilities,
        embedding=embedding(features).astype("<f4").tobytes(),
        maps=maps.tobytes(),
        side=maps.shape[1],
        bundle=bundle,
        quality=reading.quality,
    )


def _cut(image: NDArray[np.uint8], reading: Reading) -> NDArray[np.uint8]:
    x, y, width, height = reading.box
    rows, columns = image.shape[:2]
    left, right = max(0, round(x - MARGIN * width)), round(x + (1 + MARGIN) * width)
    top, bottom = max(0, round(y - MARGIN * height)), round(y + (1 + MARGIN) * height)
    part = image[top : min(bottom, rows), left : min(right, columns)]
    longest = max(part.shape[:2])
    if longest <= LONGEST:
        return part
    size = (
        max(1, round(part.shape[1] * LONGEST / longest)),
        max(1, round(part.shape[0] * LONGEST / longest)),
    )
    return cv2.resize(part, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def _encoded(image: NDArray[np.uint8], kind: str, settings: list[int]) -> bytes:
    done, data = cv2.imencode(kind, image, settings)
    if not done:
        raise ValueError(f"OpenCV could not encode a picture of shape {image.shape} as {kind}")
    return data.tobytes()
