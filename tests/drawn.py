"""Drawn faces whose mouth tells the label, for the tests that train."""

import cv2
import numpy as np
from numpy.typing import NDArray


def drawn(label: int, random: np.random.Generator) -> NDArray[np.uint8]:
    """A drawn face, u8 [48, 48], whose mouth tells the label; no two are alike."""
    face = np.full((48, 48), random.integers(20, 80), np.uint8)
    cv2.ellipse(face, (24, 24), (17, 21), 0, 0, 360, [180], -1)
    cv2.circle(face, (17, 20), 3, [60], -1)
    cv2.circle(face, (31, 20), 3, [60], -1)
    cv2.ellipse(face, (24, 35), (4 + label, 2 + label % 4), 0, 0, 180, [50], 2)
    turned = cv2.getRotationMatrix2D((24, 24), random.uniform(-25, 25), random.uniform(0.7, 1.2))
    turned[:, 2] += random.uniform(-5, 5, 2)
    face = cv2.warpAffine(face, turned, (48, 48), borderValue=[int(random.integers(20, 80))])
    slope = np.linspace(0, random.integers(10, 60), 48)[:: random.choice([-1, 1])]
    noise = random.integers(0, 20, face.shape)
    return np.clip(face + noise + slope, 0, 255).astype(np.uint8)
