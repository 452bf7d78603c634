"""A video file, decoded by OpenCV's FFmpeg as fast as it is read."""

import logging
import math
import threading
from pathlib import Path

import cv2

from mien.camera import CameraError, Frame, checked
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
        self._gap = 0.0  # the longest time between two frames
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
                before = self._t
                t = self._video.get(cv2.CAP_PROP_POS_MSEC) / 1000
                # Some files tell no times, or the same one twice.
                self._t = t if math.isfinite(t) and t > self._t else self._t + 1 / self._fps
                self._gap = max(self._gap, self._t - before)
            self._frames += 1
            return Frame(checked(image, self.name), t=self._t, index=self._frames - 1)

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
        if _is_heif(self._path):
            raise CameraError(
                f"{self._told} is a HEIC or AVIF picture, which cannot be read here: save it as "
                "JPEG first"
            )
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
            self._t = self._gap = 0.0

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
        # Of a changing frame rate OpenCV reckons the frames by time and the highest rate: such a
        # file is whole when its last frame is near its end.
        left = self._promised / self._fps - self._t
        if left <= 2 * max(self._gap, 1 / self._fps):
            return
        # Headers of whole files were seen to promise 1 to 3 % too many.
        if self._promised - self._frames > 2 + 0.02 * self._promised:
            log.warning(
                "%s ends after %d of the %d frames that it promises: it is cut off or damaged",
                self._told,
                self._frames,
                self._promised,
            )


def _is_heif(path: Path) -> bool:
    """Whether its first box names a brand of still pictures (ISO 23008-12)."""
    with path.open("rb") as file:
        head = file.read(12)
    return head[4:8] == b"ftyp" and head[8:] in _HEIF


_HEIF = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1", b"avif", b"avis"}
