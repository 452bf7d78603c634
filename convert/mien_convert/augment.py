"""Changes a picture may go through in a living room: moved, turned, dim, covered, far away."""

import cv2
import numpy as np
from numpy.typing import NDArray


def augment(
    images: NDArray[np.uint8], random: np.random.Generator, strength: float = 1.0
) -> NDArray[np.uint8]:
    """A changed copy of each picture, u8 [N, H, W] → u8 [N, H, W].

    Flip (half of them), rotation ±12°, size ±15 %, shift ±9 %, contrast and light, for some gamma,
    a low resolution, blur, a camera's noise or an erased rectangle. `strength`
    0…1 scales all of it but the flip; at 0 the pictures stay as they are.
    """
    if strength == 0:
        return images
    return np.stack([_one(image, random, strength) for image in images])


def _one(
    image: NDArray[np.uint8], random: np.random.Generator, strength: float
) -> NDArray[np.uint8]:
    height, width = image.shape
    angle = strength * random.uniform(-12, 12)
    size = random.uniform(0.87, 1.15) ** strength
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, size)
    matrix[0, 2] += strength * random.uniform(-0.09, 0.09) * width
    matrix[1, 2] += strength * random.uniform(-0.09, 0.09) * height
    if random.random() < 0.5:
        matrix[0] = -matrix[0]
        matrix[0, 2] += width - 1
    changed = cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)

    if random.random() < strength * 0.15:
        small = int(random.integers(width // 3, width * 3 // 4))
        changed = cv2.resize(changed, (small, small), interpolation=cv2.INTER_AREA)
        changed = cv2.resize(changed, (width, height), interpolation=cv2.INTER_LINEAR)

    if random.random() < strength * 0.12:
        changed = cv2.GaussianBlur(changed, (0, 0), random.uniform(0.5, 1.6))

    levels = np.arange(256, dtype=np.float32)
    if random.random() < strength * 0.3:
        levels = 255 * (levels / 255) ** (random.uniform(0.6, 1.6) ** strength)
    mean = float(changed.mean())
    contrast, light = 1 + strength * random.uniform(-0.3, 0.3), strength * random.uniform(-25, 25)
    levels = (levels - mean) * contrast + mean + light
    changed = cv2.LUT(changed, np.clip(levels, 0, 255).astype(np.uint8))

    if random.random() < strength * 0.15:
        noise = random.normal(0, random.uniform(3, 14), changed.shape)
        changed = np.clip(changed + noise, 0, 255).astype(np.uint8)

    if random.random() < strength * 0.3:
        tall, wide = random.integers(height // 6, height * 2 // 5, size=2)
        top, left = random.integers(0, height - tall), random.integers(0, width - wide)
        changed[top : top + tall, left : left + wide] = random.integers(0, 256)
    return np.asarray(changed, np.uint8)


def resized(images: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Pictures u8 [N, H, W] as u8 [N, size, size]."""
    if images.shape[1:] == (size, size):
        return images
    return np.stack([cv2.resize(i, (size, size), interpolation=cv2.INTER_AREA) for i in images])
