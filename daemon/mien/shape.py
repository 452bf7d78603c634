"""The shape of the picture that a seat was drawn on: in another one a mask covers another place."""

import re

from mien.config import Camera


def drawn(width: int, height: int, view: Camera) -> str:
    """Return what a seat says about the picture it was drawn on, such as `1280x720` or
    `720x1280+90`: the number after the plus is `camera.rotate`, an `m` at the end stands for
    `camera.mirror`."""
    turned = f"+{view.rotate}" if view.rotate else ""
    return f"{width}x{height}{turned}{'m' if view.mirror else ''}"


def same_shape(one: str, other: str) -> bool:
    """Return whether both are turned alike, with sides in the same ratio but for rounding."""
    shapes = [re.fullmatch(r"([1-9]\d*)x([1-9]\d*)(.*)", text) for text in (one, other)]
    if shapes[0] is None or shapes[1] is None:
        return False
    ratios = [int(shape[1]) / int(shape[2]) for shape in shapes if shape]
    return shapes[0][3] == shapes[1][3] and abs(ratios[0] / ratios[1] - 1) <= 0.01
