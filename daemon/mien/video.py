"""A video file, decoded by OpenCV's FFmpeg as fast as it is read."""

import logging
import math
import threading
from pathlib import Path
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.camera import CameraError, Frame
from mien.filenames import openable, printable

log = logging.getLogger(__name__)


class VideoFile:
    """Every frame of a video, with its time in the video."""

    live = False
    still = False

    def __init__(self, path: Path) -> None:
        """
        Raises:
            CameraError: it cannot be read, or is no video.
        """
        self.name = f"video {printable(path)}"
        self._path = path
        self._told = printable(path)
        self._lock = threading.Lock()
        self._t = 0.0
        self._video: cv2.VideoCapture | None = None
        self.rewind()

    def __len__(self) -> int:
        """Frames that the file's header promises; 0 when it does not say."""
        return self._promised

    def read(self, timeout: float) -> Frame | None:
        with self._lock:
            if self._video is None:
                return None
            done, image = self._video.read()
            if not done:
                self._end()
                return None
            if self._frames:
                t = self._video.get(cv2.CAP_PROP_POS_MSEC) / 1000
                # Some files tell no times, or the same one twice.
                self._t = t if math.isfinite(t) and t > self._t else self._t + 1 / self._fps
            self._frames += 1
            return Frame(cast(NDArray[np.uint8], image), t=self._t, index=self._frames - 1)

    def rewind(self) -> None:
        """Begin anew.

        Raises:
            CameraError: it is no video any more.
        """
        try:
            with self._path.open("rb") as file:
                empty = not file.read(1)
        except OSError as error:
            raise CameraError(f"{self._told} cannot be read: {error.strerror}") from None
        if empty:
            raise CameraError(f"{self._told} is empty (0 bytes)")
        with self._lock:
            # An absolute path, so that a name with a colon is not taken for a URL.
            with openable(self._path) as name:
                self._video = cv2.VideoCapture(name, cv2.CAP_FFMPEG)
            if not self._video.isOpened():
                self._video = None
                raise CameraError(
                    f"{self._told} is neither a picture nor a video that can be read; it may be "
                    "cut off, or something else under this name"
                )
            fps = self._video.get(cv2.CAP_PROP_FPS)
            self._fps = fps if math.isfinite(fps) and fps > 0 else 25.0
            promised = self._video.get(cv2.CAP_PROP_FRAME_COUNT)
            self._promised = int(promised) if math.isfinite(promised) and promised > 0 else 0
            self._frames = 0
            self._t = 0.0

    def close(self) -> None:
        with self._lock:
            if self._video is not None:
                self._video.release()
                self._video = None

    def _end(self) -> None:
        assert self._video is not None
        self._video.release()
        self._video = None
        if self._frames == 0:
            raise CameraError(f"{self._told} has not one frame that can be decoded")
        # Headers of whole files were seen to promise 1 to 3 % too many.
        if self._promised - self._frames > 2 + 0.02 * self._promised:
            log.warning(
                "%s ends after %d of the %d frames that it promises: it is cut off or damaged",
                self._told,
                self._frames,
                self._promised,
            )
