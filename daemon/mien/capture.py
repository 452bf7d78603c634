"""Live pictures through OpenCV: V4L2 cameras, RTSP cameras and MJPEG over HTTP.

Any of them may block for ever, so a thread of its own opens the device, takes every frame, keeps
only the newest and releases it; `LiveSource.read` waits for that thread, and no longer than told.
"""

import logging
import os
import socket
import threading
from collections.abc import Callable
from typing import Protocol
from urllib.parse import urlsplit

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.address import shown
from mien.camera import OPEN_S, CameraError, CameraStalled, Frame, checked
from mien.clock import Clock
from mien.config import Camera
from mien.filenames import printable

log = logging.getLogger(__name__)

_READ_S = 4.0  # as V4L2's in `camera`: so long a device may be silent before it counts as gone
_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
_EXAMPLES = ("rtsp://user:password@192.168.1.20/stream", "http://192.168.1.20:8080/video")
FROZEN_S = 10.0
"""So long a live camera may repeat one picture."""
_CLOSE_S = _READ_S + 1.0  # so that closing outlives a read that is silent


class Device(Protocol):
    """What a `LiveSource` reads; used by its thread only."""

    def grab(self) -> NDArray[np.uint8] | None:
        """The next frame, H×W×3 BGR; None to ask again. Should not block for over 4 s.

        Raises:
            CameraError: it gives no more.
        """
        ...

    def release(self) -> None: ...


class LiveSource:
    """The newest frame of a device that a thread of its own opens, reads and releases."""

    live = True
    still = False

    def __init__(self, name: str, open_it: Callable[[], Device], clock: Clock) -> None:
        self.name = name
        self._open = open_it
        self._clock = clock
        self._changed = threading.Condition()
        self._frame: Frame | None = None
        self._error: Exception | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def read(self, timeout: float) -> Frame:
        with self._changed:
            self._changed.wait_for(lambda: self._frame or self._error or self._closed, timeout)
            if self._closed:
                raise CameraError(f"{self.name} was closed")
            frame, self._frame = self._frame, None
            if frame is not None:
                return frame
            if self._error is not None:
                raise self._error
            raise CameraStalled(f"{self.name} gave no frame within {timeout:.3g} s")

    def close(self) -> None:
        """Returns when the device is released; complains about one that does not answer."""
        with self._changed:
            self._closed, self._frame = True, None
            self._changed.notify_all()
        if self._thread is not threading.current_thread():
            self._thread.join(_CLOSE_S)
            if self._thread.is_alive():
                log.error(
                    "%s does not answer and could not be released; it stays taken until it answers",
                    self.name,
                )

    def _run(self) -> None:
        frames = 0
        frozen = _Frozen(self.name, self._clock)
        try:
            device = self._open()
            try:
                while not self._closed:
                    image = device.grab()
                    if image is not None:
                        frozen.look(checked(image, self.name))
                        frame = Frame(image, self._clock.monotonic(), frames)
                        frames += 1
                        with self._changed:
                            self._frame = None if self._closed else frame
                            self._changed.notify()
            finally:
                device.release()
        except Exception as error:  # raised where it can be handled, in `read`
            with self._changed:
                self._error = error
                self._changed.notify_all()


class _Frozen:
    """Watches for a camera that gives the same picture over and over. A sensor's noise makes each
    picture differ, so one that does not change in a single pixel is no camera's any more."""

    def __init__(self, name: str, clock: Clock) -> None:
        self._name = name
        self._clock = clock
        self._last: NDArray[np.uint8] | None = None
        self._since = clock.monotonic()

    def look(self, image: NDArray[np.uint8]) -> None:
        """
        Raises:
            CameraError: nothing has changed for `FROZEN_S`.
        """
        now = self._clock.monotonic()
        if self._last is None or not np.array_equal(image, self._last):
            self._last, self._since = image, now
        elif now - self._since >= FROZEN_S:
            raise CameraError(f"{self._name} has given one and the same picture for {FROZEN_S:g} s")


class Capture:
    """A `Device` through cv2.VideoCapture, giving at most `fps` frames a second."""

    def __init__(
        self, name: str, capture: cv2.VideoCapture, fps: float, clock: Clock, gone: str
    ) -> None:
        self._name = name
        self._capture = capture
        self._period = 1 / fps
        self._clock = clock
        self._due = clock.monotonic()
        self._gone = gone

    def grab(self) -> NDArray[np.uint8] | None:
        if not self._capture.grab():
            raise CameraError(f"{self._name} {self._gone}")
        now = self._clock.monotonic()
        # A frame that is a little early by jitter is taken; decoding the others would be wasted.
        if now < self._due - self._period / 4:
            return None
        self._due = max(self._due + self._period, now - self._period)
        done, image = self._capture.retrieve()
        if not done:  # one damaged frame
            return None
        return checked(image, self._name)

    def release(self) -> None:
        self._capture.release()


def open_device(device: str, config: Camera, clock: Clock) -> LiveSource:
    """A V4L2 camera, asked for MJPEG in the size and rate of `config`."""
    name = f"camera {device}"

    def open_it() -> Device:
        capture = cv2.VideoCapture(device, cv2.CAP_V4L2)
        if not capture.isOpened():
            raise CameraError(f"{name} {_why_no_device(device)}")
        # USB 2 carries 1280×720 in motion only as MJPEG; else what every other camera has.
        for kind in ("MJPG", "YUYV"):
            fourcc = cv2.VideoWriter.fourcc(*kind)
            capture.set(cv2.CAP_PROP_FOURCC, fourcc)
            if capture.get(cv2.CAP_PROP_FOURCC) == fourcc:
                break
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, config.width)
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, config.height)
        capture.set(cv2.CAP_PROP_FPS, config.fps)
        # One buffer to decode from and one to fill: with one alone every second frame is lost.
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 2)
        width = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH))
        height = int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        if (width, height) != (config.width, config.height):
            log.warning(
                "%s gives %d×%d, not the %d×%d of camera.width and camera.height",
                name,
                width,
                height,
                config.width,
                config.height,
            )
        gone = "gives no more frames: it was unplugged, or it is in use by another program"
        return Capture(name, capture, config.fps, clock, gone)

    return LiveSource(name, open_it, clock)


def _why_no_device(device: str) -> str:
    if not os.path.exists(device):
        return "is not there: plug it in"
    if not os.access(device, os.R_OK | os.W_OK):
        return "may not be opened: let this user into the group 'video'"
    return "cannot be opened: it is in use by another program, or no camera"


def open_stream(url: str, config: Camera, clock: Clock) -> LiveSource:
    """An RTSP camera (over TCP), or MJPEG over HTTP, through FFmpeg."""
    name = f"camera {printable(shown(url))}"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or _PORTS.get(parts.scheme)
    except ValueError:  # a port that is none
        host = port = None
    if host is None or port is None or printable(url) != url:
        raise CameraError(f"{name}: this is no URL such as {' or '.join(_EXAMPLES)}")

    def open_it() -> Device:
        capture = cv2.VideoCapture(
            url,
            cv2.CAP_FFMPEG,
            [
                cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
                int(OPEN_S * 1000),
                cv2.CAP_PROP_READ_TIMEOUT_MSEC,
                int(_READ_S * 1000),
                # More threads would hold back one frame each.
                cv2.CAP_PROP_N_THREADS,
                1,
            ],
        )
        if not capture.isOpened():
            raise CameraError(f"{name} {_why_no_stream(host, port)}")
        return Capture(name, capture, config.fps, clock, "has ended or broken off")

    return LiveSource(name, open_it, clock)


def _why_no_stream(host: str, port: int) -> str:
    """FFmpeg does not tell; whether anybody listens is half of the answer."""
    try:
        socket.create_connection((host, port), timeout=2).close()
    except OSError as error:
        return f"cannot be reached ({error.strerror or error}): check the address and the network"
    return "answers, but gives no video: check the path, the user and the password of the URL"
