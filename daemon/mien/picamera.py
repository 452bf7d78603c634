"""The Raspberry Pi's own camera through picamera2, which comes with its system (apt).

It is imported only when asked for. Never run on a real camera so far: see docs/hardware.md.
API: the Picamera2 manual, https://datasheets.raspberrypi.com/camera/picamera2-manual.pdf.
"""

import importlib.util
import logging
import os
import re
from types import ModuleType
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.camera import CameraError
from mien.capture import LiveSource
from mien.clock import Clock
from mien.config import Camera

log = logging.getLogger(__name__)

_CURE = (
    "check that its ribbon cable sits at both ends, that no other program uses it, and that "
    "`rpicam-hello --list-cameras` lists it"
)
_WAIT_S = 0.25  # how long to wait for a frame before looking whether to close

# How each libcamera format lies in memory: rows for each row of the picture, bytes for each pixel
# in a row, what turns it into BGR. libcamera names the little-endian word: RGB888 is B, G, R.
_FORMATS: dict[str, tuple[float, int, int | None]] = {
    "RGB888": (1, 3, None),
    "BGR888": (1, 3, cv2.COLOR_RGB2BGR),
    "XRGB8888": (1, 4, cv2.COLOR_BGRA2BGR),
    "XBGR8888": (1, 4, cv2.COLOR_RGBA2BGR),
    "YUYV": (1, 2, cv2.COLOR_YUV2BGR_YUYV),
    "NV12": (1.5, 1, cv2.COLOR_YUV2BGR_NV12),
    "YUV420": (1.5, 1, cv2.COLOR_YUV2BGR_I420),
}


def listed() -> bool:
    """Whether picamera2 is there and lists a camera of its own; USB cameras go through V4L2."""
    if importlib.util.find_spec("picamera2") is None:
        return False
    try:
        return _number(_picamera2()) is not None
    except CameraError as error:
        log.warning("%s", error)
        return False


def open_picamera(config: Camera, clock: Clock) -> LiveSource:
    """The first camera on the Pi's connector, in the size and rate of `config`.

    Raises:
        CameraError: picamera2 is not installed or does not work here.
    """
    module = _picamera2()
    return LiveSource("camera picamera2", lambda: PiCamera(module, config), clock)


def _picamera2() -> ModuleType:
    # libcamera prints a dozen lines at each start.
    os.environ.setdefault("LIBCAMERA_LOG_LEVELS", "*:ERROR")
    try:
        import picamera2
    except ModuleNotFoundError as error:
        raise CameraError(
            f"picamera2 cannot be used ({error}): `sudo apt install python3-picamera2`, and make "
            "the virtual environment with --system-site-packages"
        ) from None
    except Exception as error:  # an ABI that does not fit shows as ValueError, OSError …
        if re.search("numpy.*(binary incompatible|compiled using|size changed)", str(error)):
            raise CameraError(
                "picamera2 is installed but does not load, for a library of it was built for "
                f"another NumPy ({error}): put simplejpeg into the box's environment with pip"
            ) from error
        raise CameraError(f"picamera2 is installed but does not load: {error}") from error
    return cast(ModuleType, picamera2)


def _number(module: ModuleType) -> int | None:
    """The number of the first camera that is not on USB."""
    cameras: list[dict[str, Any]] = module.Picamera2.global_camera_info()
    own = [number for number, camera in enumerate(cameras) if "usb" not in str(camera.get("Id"))]
    return own[0] if own else None


class PiCamera:
    """A `capture.Device` through Picamera2; its frames come copied from the camera's buffers."""

    def __init__(self, module: ModuleType, config: Camera) -> None:
        """
        Raises:
            CameraError: there is no camera, it is in use, or refuses the configuration.
        """
        number = _number(module)
        if number is None:
            raise CameraError(f"no camera is connected to this Raspberry Pi: {_CURE}")
        try:
            self._camera: Any = module.Picamera2(number)
        except (RuntimeError, IndexError) as error:
            raise CameraError(f"camera picamera2 cannot be opened ({error}): {_CURE}") from None
        self._job: Any = None
        try:
            frame_us = round(1e6 / config.fps)
            self._camera.configure(
                self._camera.create_video_configuration(
                    main={"format": "RGB888", "size": (config.width, config.height)},
                    controls={"FrameDurationLimits": (frame_us, frame_us)},
                )
            )
            self._stream = dict(self._camera.camera_configuration()["main"])
            if self._stream["format"] not in _FORMATS:
                raise CameraError(
                    f"camera picamera2 gives {self._stream['format']}; known are "
                    f"{', '.join(_FORMATS)}: use it through V4L2 (/dev/video…)"
                )
            self._camera.start()
        except RuntimeError as error:
            self.release()
            raise CameraError(f"camera picamera2 cannot be started ({error}): {_CURE}") from None
        except BaseException:
            self.release()
            raise

    def grab(self) -> NDArray[np.uint8] | None:
        # A job that timed out stays queued: wait for the same one again, rather than pile them up.
        self._job = self._job or self._camera.capture_buffer("main", wait=False)
        try:
            buffer = self._job.get_result(timeout=_WAIT_S)
        except TimeoutError:
            return None
        except RuntimeError as error:
            raise CameraError(f"camera picamera2 gives no more frames ({error}): {_CURE}") from None
        self._job = None
        return to_bgr(buffer, self._stream)

    def release(self) -> None:
        if self._job is not None:
            self._camera.cancel_all_and_flush()
        try:
            self._camera.close()
        except RuntimeError as error:
            log.error("camera picamera2 could not be released: %s", error)


def to_bgr(buffer: NDArray[np.uint8], stream: dict[str, Any]) -> NDArray[np.uint8]:
    """A camera buffer as H×W×3 BGR.

    Args:
        buffer: the bytes of one frame.
        stream: Picamera2's `format`, `size` (width, height) and `stride`, the bytes of a row, which
            may be longer than its pixels.
    """
    width, height = stream["size"]
    rows, depth, code = _FORMATS[stream["format"]]
    stride, rows = stream["stride"], round(height * rows)
    image: NDArray[np.uint8] = buffer[: rows * stride].reshape(rows, stride)
    if stream["format"] != "YUV420":  # whose half-wide planes hold two rows, and padding, in each
        image = image[:, : width * depth]
    if depth > 1:
        image = image.reshape(rows, -1, depth)
    if code is None:
        return image
    return cast(NDArray[np.uint8], cv2.cvtColor(image, code)[:, :width])
