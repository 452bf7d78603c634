"""The scene that is measured: a portrait that wanders over a 1280×720 picture, as a video file."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.commands.demo import portrait
from mien.pictures import decode

WIDTH, HEIGHT, FPS = 1280, 720, 15


def frames(count: int) -> list[NDArray[np.uint8]]:
    """BGR frames, u8 [720, 1280, 3]: a face about 200 pixels wide, at another place in each."""
    picture = decode(portrait())
    scale = 560 / picture.shape[0]
    face = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    rng = np.random.default_rng(7)
    room = cv2.GaussianBlur(rng.integers(90, 160, (HEIGHT, WIDTH, 3)).astype(np.uint8), (0, 0), 9)
    made = []
    for index in range(count):
        phase = 2 * np.pi * index / count
        x = round((WIDTH - face.shape[1]) * (0.5 + 0.4 * np.sin(phase)))
        y = round((HEIGHT - face.shape[0]) * (0.5 + 0.4 * np.cos(2 * phase)))
        frame = room.copy()
        frame[y : y + face.shape[0], x : x + face.shape[1]] = face
        made.append(frame)
    return made


def video(path: Path, seconds: int) -> None:
    """Write the scene as MPEG-4 at 15 frames a second."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), FPS, (WIDTH, HEIGHT))
    for frame in frames(seconds * FPS):
        writer.write(frame)
    writer.release()
