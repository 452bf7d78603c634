"""How a head is turned, from the six keypoints of a face. Pure geometry."""

import math

import numpy as np
from numpy.typing import NDArray

from mien.events import Turn

HEAD = np.array(
    [
        [-0.50, -0.33, -0.15],
        [0.50, -0.33, -0.15],
        [0.00, 0.19, -0.70],
        [0.00, 0.70, -0.33],
        [-1.03, -0.12, 0.67],
        [1.03, -0.12, 0.67],
    ]
)
"""The keypoints of a mean head that looks at the camera, in the order of `Face.keypoints`: to the
picture's right, down, away from the camera; 1 is the distance between the eyes. Fitted to what the
face finder says on 478 faces whose turn a 468-point face mesh gave (docs/decisions/faces.md)."""


def turn(keypoints: NDArray[np.float32], box: tuple[float, float, float, float]) -> Turn:
    """The head turn under which `HEAD`, seen from afar, comes closest to the keypoints.

    Weak perspective: the affine map from head to picture by least squares, then the rotation next
    to it, as in D. F. DeMenthon and L. S. Davis, "Model-based object pose in 25 lines of code",
    IJCV 15 (1995). The rotation is taken apart as roll · yaw · pitch, so that tilting the picture
    changes roll alone.

    Args:
        keypoints: [6, 2], pixels. Those that are NaN are left out; with fewer than four known the
            turn is 0, 0, 0: a finder without keypoints finds only faces that look at the camera.
        box: of the face; nothing is taken from it.

    Returns:
        Degrees, to a tenth.
    """
    known = ~np.isnan(keypoints).any(axis=1)
    if known.sum() < 4:
        return Turn(0.0, 0.0, 0.0)
    head = HEAD[known] - HEAD[known].mean(axis=0)
    seen = keypoints[known].astype(np.float64)
    affine = (np.linalg.pinv(head) @ (seen - seen.mean(axis=0))).T
    u, _, v = np.linalg.svd(affine, full_matrices=False)
    x, y = u @ v  # what a point of the head adds to the picture's x and y, and to the distance, z
    z = np.cross(x, y)
    yaw = math.atan2(z[0], math.hypot(x[0], y[0]))
    pitch = math.atan2(-z[1], z[2])
    roll = math.atan2(y[0], x[0])
    return Turn(*(round(math.degrees(angle), 1) + 0.0 for angle in (yaw, pitch, roll)))


def facing(turn: Turn, max_yaw: float, max_pitch: float) -> bool:
    """Whether the head is turned to the camera, within the given degrees to each side."""
    return abs(turn.yaw) <= max_yaw and abs(turn.pitch) <= max_pitch
