"""The newest frame as a JPEG, made only while somebody looks.

Nobody looks: `offer` compares two numbers and keeps nothing. Somebody looks: the frame is encoded
once, in the first viewer's thread, for all of them.
"""

import math
import threading

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from mien.clock import Clock
from mien.control import Busy, Picture
from mien.events import Live

WIDEST = 960
"""Pixels; a wider frame is shrunk to this."""
QUALITY = 75
"""JPEG quality."""
ATTENTION = 3.0
"""Seconds after a viewer's last question in which frames are still held for the next one."""


class Preview:
    """Hands frames from the inference thread to at most `viewers` waiting threads."""

    def __init__(self, viewers: int, clock: Clock) -> None:
        self._viewers = viewers
        self._clock = clock
        self._changed = threading.Condition()
        self._encoding = threading.Lock()
        self._waiting = 0
        self._attention_until = -math.inf
        self._newest: tuple[NDArray[np.uint8], Live] | None = None
        self._picture: Picture | None = None
        self._cleared = 0

    def offer(self, frame: NDArray[np.uint8], live: Live) -> None:
        """The next frame, u8 [height, width, 3] blue-green-red or [height, width] grey, masked
        zones already black. It is kept, not copied: nobody may write into it afterwards."""
        if self._clock.monotonic() > self._attention_until and not self._waiting:
            if self._newest:
                self._forget()
            return
        with self._changed:
            self._newest = (frame, live)
            self._changed.notify_all()

    def wait(self, after: int, timeout: float) -> Picture | None:
        """The newest frame whose number is not `after`; None when none came within `timeout`
        seconds or the camera was closed meanwhile.

        Raises:
            Busy: `viewers` threads wait already.
        """
        with self._changed:
            if self._waiting >= self._viewers:
                raise Busy(
                    f"{self._viewers} screens watch already, which is all that may; close the "
                    "page on one of them, or raise viewers in the section [page]"
                )
            self._waiting += 1
            cleared = self._cleared
            try:
                self._changed.wait_for(lambda: self._new(after) or self._cleared > cleared, timeout)
                if not self._new(after) or self._cleared > cleared:
                    return None
            finally:
                self._waiting -= 1
                self._attention_until = self._clock.monotonic() + ATTENTION
        return self._encoded()

    def clear(self) -> None:
        """Forget every picture and send the viewers away; for when the camera closes."""
        with self._changed:
            self._forget()
            self._attention_until = -math.inf
            self._cleared += 1
            self._changed.notify_all()

    def _new(self, after: int) -> bool:
        # Not "greater than": a restarted service counts from the beginning.
        return self._newest is not None and self._newest[1].frame != after

    def _forget(self) -> None:
        self._newest = self._picture = None

    def _encoded(self) -> Picture | None:
        with self._encoding:
            with self._changed:
                newest, picture, cleared = self._newest, self._picture, self._cleared
            if newest is None:
                return None
            frame, live = newest
            if picture is None or picture.frame != live.frame:
                picture = Picture(live.frame, jpeg(frame), msgspec.json.encode(live))
            with self._changed:
                if self._cleared > cleared:
                    return None
                self._picture = picture
            return picture


def jpeg(frame: NDArray[np.uint8]) -> bytes:
    """A frame as JPEG, at most `WIDEST` pixels wide."""
    height, width = frame.shape[:2]
    if width > WIDEST:
        size = (WIDEST, round(height * WIDEST / width))
        frame = cv2.resize(frame, size, interpolation=cv2.INTER_LINEAR)  # type: ignore[assignment]
    done, data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not done:
        raise ValueError(f"OpenCV could not encode a frame of shape {frame.shape} as JPEG")
    return data.tobytes()
