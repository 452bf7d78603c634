"""Where frames come from: one `Source` for cameras, streams, videos and pictures.

`open_source` picks the module that adapts what was asked for: `capture` (V4L2, RTSP, HTTP),
`picamera`, `video` or `pictures`. `Reopening` keeps a live one alive. `replay` has sources that
misbehave when told.
"""

import dataclasses
import fcntl
import logging
import os
import stat
import struct
import threading
from collections.abc import Callable, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from mien.clock import Clock
from mien.config import Camera
from mien.events import MienError, Status
from mien.filenames import printable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

MAX_PIXELS = 32_000_000
"""32 megapixels, 96 MB decoded. A bigger JPEG is read at 1/2, 1/4 or 1/8 of its size; any other
bigger picture is refused."""

# OpenCV reads these once, when it is loaded or first used: import this module before cv2.
for _name, _value in {
    "OPENCV_IO_MAX_IMAGE_PIXELS": str(MAX_PIXELS),  # checked by the header, before memory is taken
    "OPENCV_LOG_LEVEL": "SILENT",  # what goes wrong is told in our own words
    "OPENCV_FFMPEG_LOGLEVEL": "-8",
    "OPENCV_FFMPEG_CAPTURE_OPTIONS": "rtsp_transport;tcp",  # lost packets would smear faces
    "OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT": "4",  # seconds, instead of 10
}.items():
    os.environ.setdefault(_name, _value)

OPEN_S = 10.0
"""Seconds that opening a camera or a stream, up to its first frame, may take."""
_BACKOFF_S = (1.0, 30.0)
SETTLED_S = 10.0
"""Seconds of frames after which a source that was lost counts as well again."""

_QUERYCAP = 0x80685600  # VIDIOC_QUERYCAP of <linux/videodev2.h>
_CAPTURE, _OUTPUT, _M2M, _M2M_MPLANE = 0x1, 0x2, 0x8000, 0x4000
# Parts of a Raspberry Pi's own camera path: they give raw sensor data, or nothing by themselves.
_PI_DRIVERS = ("unicam", "bcm2835", "rp1-cfe", "pispbe", "rpi")


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a source. Treat `image` as read-only: the source does not copy it."""

    image: "NDArray[np.uint8]"
    """H×W×3, BGR."""
    t: float
    """Seconds: of the clock when it was read (live), in the video, or the number of the picture."""
    index: int
    """Counts the frames read, from 0."""
    file: str | None = None
    """The file's name, for pictures."""


class CameraError(MienError, OSError):
    """A source cannot be opened or has gone; the sentence says what, why and what to do."""


class CameraStalled(CameraError, TimeoutError):
    """No frame came in the time that `read` was given."""


class Source(Protocol):
    @property
    def name(self) -> str:
        """For people, such as `video x.mp4`; never with a password."""
        ...

    @property
    def live(self) -> bool:
        """A live source never ends; a file does."""
        ...

    @property
    def still(self) -> bool:
        """Each picture stands on its own: nothing may be smoothed from one to the next."""
        ...

    def read(self, timeout: float) -> Frame | None:
        """The newest frame of a live source, the next of a file, None at a file's end.

        Raises:
            CameraStalled: nothing came within `timeout` seconds; reading again may succeed.
            CameraError: the source is gone, or was closed.
        """
        ...

    def close(self) -> None:
        """Release what it holds; may be called twice, and from another thread than `read`."""
        ...


def open_source(spec: str, config: Camera, clock: Clock) -> Source:
    """Open what `spec` names: `auto`, `picamera2`, a device such as `/dev/video0`, part of a name
    in `/dev/v4l/by-id`, a URL (RTSP, or MJPEG over HTTP), a video, a picture or a folder of them.

    A live source is opened by a thread of its own: if that fails, its `read` says so.

    Raises:
        CameraError: there is no such thing, or the file is neither a picture nor a video.
    """
    source = _open(spec, config, clock)
    return Turned(source, config) if config.rotate or config.mirror else source


def _open(spec: str, config: Camera, clock: Clock) -> Source:
    if spec == "auto":
        found = find_camera()
        if found is None:
            raise CameraError(
                "no camera was found: plug one in, or name a source: a device, URL, video or folder"
            )
        log.info("camera.source = auto opens %s", found)
        spec = found
    if spec == "picamera2":
        from mien import picamera

        return picamera.open_picamera(config, clock)
    if "://" in spec:
        from mien import capture

        return capture.open_stream(spec, config, clock)
    path = Path(spec).expanduser()
    if path.is_dir():
        from mien import pictures

        return pictures.PictureFolder(path)
    if path.is_file():
        return _open_file(path)
    from mien import capture

    return capture.open_device(_device(spec, path), config, clock)


def checked(image: Any, name: str) -> "NDArray[np.uint8]":
    """The picture, if it is one: H×W×3 in bytes, whatever the library made of the stream.

    Raises:
        CameraError: it is anything else.
    """
    shape: tuple[int, ...] = getattr(image, "shape", ())
    kind = str(getattr(image, "dtype", type(image).__name__))
    if len(shape) != 3 or shape[2] != 3 or not shape[0] or not shape[1] or kind != "uint8":
        raise CameraError(f"{name} gives pixels of a kind that OpenCV cannot turn to BGR")
    return cast("NDArray[np.uint8]", image)


class Turned:
    """A source whose pictures are turned, then mirrored, as the config says."""

    def __init__(self, source: Source, config: Camera) -> None:
        self._source = source
        self._config = config

    @property
    def name(self) -> str:
        return self._source.name

    @property
    def live(self) -> bool:
        return self._source.live

    @property
    def still(self) -> bool:
        return self._source.still

    def __getattr__(self, name: str) -> Any:  # what only some have: `rewind`, `skipped`
        return getattr(self._source, name)

    def __len__(self) -> int:
        return len(self._source) if isinstance(self._source, Sized) else 0

    def read(self, timeout: float) -> Frame | None:
        frame = self._source.read(timeout)
        if frame is None:
            return None
        return dataclasses.replace(frame, image=turned(frame.image, self._config))

    def close(self) -> None:
        self._source.close()


def turned(image: "NDArray[np.uint8]", config: Camera) -> "NDArray[np.uint8]":
    """The picture turned clockwise by `rotate` degrees, then mirrored; rows lie one after the
    other in memory, as OpenCV wants them."""
    import numpy as np

    result = np.rot90(image, -config.rotate // 90)
    return np.ascontiguousarray(result[:, ::-1] if config.mirror else result)


def _open_file(path: Path) -> Source:
    from mien import pictures, video

    if pictures.is_picture(path) and not pictures.is_stream(path):
        return pictures.PictureFile(path)
    return video.VideoFile(path)


def _device(spec: str, path: Path) -> str:
    """The device that `spec` names, by path or by part of its stable name."""
    if path.exists():
        if not stat.S_ISCHR(path.stat().st_mode):
            raise CameraError(f"{printable(spec)} is neither a camera, a file nor a folder")
        # A link may be called in a way that no library takes; a device is not.
        return str(path if printable(path) == str(path) else path.resolve())
    stable = [entry for entry in _entries("/dev/v4l/by-id") if _captures(entry)]
    named = [entry for entry in stable if spec.lower() in Path(entry).name.lower()]
    if len(named) == 1 and "/" not in spec:
        return named[0]
    if len(named) > 1 and "/" not in spec:
        raise CameraError(f"several cameras are called '{spec}': {', '.join(named)}; name one")
    known = ", ".join(stable) or "none with a stable name"
    raise CameraError(
        f"there is no camera, file or folder '{printable(spec)}'; cameras plugged in now: {known}"
    )


def find_camera() -> str | None:
    """What `auto` opens: the Raspberry Pi's own camera, else the first V4L2 capture device, by its
    stable name where it has one; None without any."""
    from mien import picamera

    if picamera.listed():
        return "picamera2"
    for entry in (
        *_entries("/dev/v4l/by-id"),
        *_entries("/dev/v4l/by-path"),
        *_entries("/dev", "video*"),
    ):
        if _captures(entry):
            return entry
    return None


def _entries(folder: str, pattern: str = "*") -> list[str]:
    return sorted(map(str, Path(folder).glob(pattern)), key=lambda entry: (len(entry), entry))


def _captures(device: str) -> bool:
    """Whether it is a camera: most have a second device that only gives metadata, and a Pi has a
    dozen that are parts of its own video path (`struct v4l2_capability`)."""
    answer = bytearray(104)
    try:
        handle = os.open(device, os.O_RDWR | os.O_NONBLOCK)
    except OSError as error:
        log.debug("%s cannot be asked what it is: %s", device, error)
        # A device that exists but may not be opened is still what the user means.
        return isinstance(error, PermissionError)
    try:
        fcntl.ioctl(handle, _QUERYCAP, answer)
    except OSError:
        return False
    finally:
        os.close(handle)
    driver = bytes(answer[:16]).rstrip(b"\0").decode(errors="replace")
    able = struct.unpack_from("<I", answer, 88)[0]
    return bool(able & _CAPTURE and not able & (_OUTPUT | _M2M | _M2M_MPLANE)) and not (
        driver.startswith(_PI_DRIVERS)
    )


class Reopening:
    """A live source that is opened again whenever it fails or stalls, waiting 1, 2, 4 … 30 s.

    One thread reads; `status`, the counters and `close` are for any.
    """

    live = True
    still = False

    def __init__(
        self, factory: Callable[[], Source], clock: Clock, *, name: str, stall_s: float = 5.0
    ) -> None:
        """`factory` opens the source or raises `CameraError`; it is called by `read`."""
        self.name = name
        self.frames = 0
        """Frames given."""
        self.stalls = 0
        """Times that it was reopened because no frame came for `stall_s`."""
        self.reconnects = 0
        """Times that frames came again after it was lost."""
        self._factory = factory
        self._clock = clock
        self._stall_s = stall_s
        self._lock = threading.Lock()  # guards the next two against close()
        self._source: Source | None = None
        self._closer: threading.Thread | None = None  # releases the one before
        self._closed = threading.Event()
        self._wait_s = _BACKOFF_S[0]
        self._due = clock.monotonic()
        self._alive = self._due  # when the last frame came, or it was opened
        self._since = self._due  # when frames came (again)
        self._fresh = True  # no frame since it was opened
        self._unsettled = True  # has not yet given frames for `SETTLED_S`
        self._lost = False
        self._reason = ""
        self._status: tuple[Status, str] = ("degraded", f"{name} is being opened")

    @property
    def status(self) -> tuple[Status, str]:
        return self._status

    def read(self, timeout: float) -> Frame | None:
        """As `Source.read`; while the source is away, waits at most `timeout` for the next try.

        Raises:
            CameraStalled: no frame yet.
            CameraError: the source is away, with the present reason.
        """
        begun = self._clock.monotonic()
        source = self._source or self._reopen(timeout)
        try:
            frame = source.read(max(0.0, timeout - (self._clock.monotonic() - begun)))
        except CameraStalled:
            patience = max(self._stall_s, OPEN_S) if self._fresh else self._stall_s
            if self._clock.monotonic() - self._alive < patience or self._closed.is_set():
                raise
            self.stalls += 1
            reason = f"{self.name} has given no frame for {patience:g} s"
            self._lose(reason)
            raise CameraStalled(reason) from None
        except CameraError as error:
            self._lose(str(error))
            raise
        if frame is None:
            return None
        self._alive = self._clock.monotonic()
        if self._fresh:
            self._welcome()
        if self._unsettled and self._alive - self._since >= SETTLED_S:
            self._settle()
        self.frames += 1
        return dataclasses.replace(frame, index=self.frames - 1)

    def close(self) -> None:
        self._closed.set()
        with self._lock:
            source, self._source = self._source, None
            closer = self._closer
        if source is not None:
            source.close()
        if closer is not None:
            closer.join()

    def _reopen(self, timeout: float) -> Source:
        began = self._clock.monotonic()
        if self._due > began:
            self._closed.wait(min(self._due - began, timeout))
        if self._closed.is_set():
            raise CameraError(f"{self.name} was closed")
        now = self._clock.monotonic()
        if self._due > now:
            raise CameraError(self._status[1])
        if self._closer is not None:
            self._closer.join(max(0.0, timeout - (now - began)))
            if self._closer.is_alive():
                raise CameraError(f"{self._reason}; it is still being released")
            self._closer = None
        try:
            source = self._factory()
        except CameraError as error:
            self._lose(str(error))
            raise
        if self._lost:
            self._status = ("degraded", f"{self._reason}; it is being tried again")
        with self._lock:
            if not self._closed.is_set():
                self._source, self.name = source, source.name
                self._alive, self._fresh = self._clock.monotonic(), True
                return source
        source.close()
        raise CameraError(f"{self.name} was closed")

    def _welcome(self) -> None:
        """The first frame since it was opened. It counts as healed once it has given frames for
        `SETTLED_S`: a source that gives one picture and ends must not flap."""
        self._fresh = False
        self._since = self._alive
        if self._lost and self.frames:
            self.reconnects += 1
        if not self._lost:
            log.info("%s gives frames", self.name)
            self._status = ("ok", f"{self.name} gives frames")
        self._unsettled = True

    def _settle(self) -> None:
        self._unsettled = False
        self._wait_s = _BACKOFF_S[0]
        if self._lost:
            log.info("%s gives frames again", self.name)
            self._lost = False
            self._status = ("ok", f"{self.name} gives frames")

    def _lose(self, reason: str) -> None:
        if self._closed.is_set():
            return
        with self._lock:
            if self._source is not None:
                # A device that hangs takes seconds to release, which `read` does not have.
                self._closer = threading.Thread(target=self._source.close, daemon=True)
                self._closer.start()
                self._source = None
        self._reason = reason
        text = f"{reason}; next try in {self._wait_s:g} s"
        log.log(logging.DEBUG if self._lost else logging.WARNING, "%s", text)
        self._lost = True
        self._status = ("degraded", text)
        self._due = self._clock.monotonic() + self._wait_s
        self._wait_s = min(2 * self._wait_s, _BACKOFF_S[1])
