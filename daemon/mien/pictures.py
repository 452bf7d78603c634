"""Pictures from files: decoded by content, upright, 8-bit BGR, within a bound of memory.

Formats: whatever OpenCV decodes (JPEG, PNG, WebP, BMP, TIFF, JPEG 2000, …) and the first picture
of a GIF. An alpha channel is dropped. EXIF orientation is applied where OpenCV reads it (JPEG,
PNG, TIFF).
"""

import logging
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.camera import MAX_PIXELS, CameraError, Frame
from mien.filenames import openable, printable

log = logging.getLogger(__name__)

MAX_BYTES = 256 << 20
_FULL = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
_REDUCED = {
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
_STREAM_BYTES = 16 << 20
"""So much of a file is looked at for further JPEGs."""
_stderr = threading.Lock()


class Skipped(NamedTuple):
    """A file of a folder that gave no frame."""

    file: str
    reason: str


def is_picture(path: Path) -> bool:
    """Whether the file's first bytes are those of a picture; a GIF counts as a video."""
    with suppress(OSError), openable(path) as name:
        return cv2.haveImageReader(name) and not _is_gif(path)
    return False


def is_stream(path: Path) -> bool:
    """Whether it is a video of JPEGs one after the other, as `rpicam-vid --codec mjpeg` writes; by
    its name too, for FFmpeg goes by that, and a photograph may hold further JPEGs as well."""
    if path.suffix.lower() not in (".mjpeg", ".mjpg"):
        return False
    with suppress(OSError), path.open("rb") as file:
        return b"\xff\xd9\xff\xd8" in file.read(_STREAM_BYTES)
    return False


def decode(path: Path) -> NDArray[np.uint8]:
    """H×W×3 BGR, upright.

    Raises:
        CameraError: the file cannot be read or decoded, or is too big.
    """
    try:
        size = path.stat().st_size
        data = np.fromfile(path, np.uint8) if size <= MAX_BYTES else None
    except OSError as error:
        raise CameraError(f"{printable(path.name)} cannot be read: {error.strerror}") from None
    if size == 0:
        raise CameraError(f"{printable(path.name)} is empty (0 bytes)")
    if data is None:
        raise CameraError(
            f"{printable(path.name)} has {size >> 20} MB; a picture may have {MAX_BYTES >> 20} MB"
        )
    with _overheard() as complaints:
        image = _decode(data, path)
    if image is None:
        why = f" ({complaints[0]})" if complaints else ""
        raise CameraError(
            f"{printable(path.name)} cannot be decoded{why}: it is broken, cut off or no picture; "
            "expected is JPEG, PNG, WebP, BMP, TIFF or GIF"
        )
    if complaints:
        log.warning(
            "%s is damaged (%s); what could be decoded is used",
            printable(path.name),
            complaints[0],
        )
    return _eight_bits(image)


def _decode(data: NDArray[np.uint8], path: Path) -> NDArray[Any] | None:
    if _promises_too_much(data):
        return None
    try:
        image = cv2.imdecode(data, _FULL)
    except cv2.error as error:
        if "CV_IO_MAX_IMAGE_PIXELS" not in str(error):
            return None
        return _reduced(data, path)
    if image is None and any(
        data[:2].tobytes() == begin and data[-len(end) :].tobytes() == end
        for begin, end in ((b"\xff\xd8", b"\xff\xd9"), (b"GI", b";"))
    ):
        # FFmpeg knows GIF, and the JPEGs of 12 bits or without loss that libjpeg refuses. It fills
        # up what was cut off and does not say so: only a file with its end mark goes there.
        return _first_frame(path)
    return image


def _promises_too_much(data: NDArray[np.uint8]) -> bool:
    """Whether this is a PNG with a chunk that is longer than the rest of the file. OpenCV takes,
    and clears, as much memory as the chunk promises: 2 GB for a file of 20 bytes."""
    if data[:8].tobytes() != b"\x89PNG\r\n\x1a\n":
        return False
    at, name = 8, b""
    while name != b"IEND":
        head = data[at : at + 8].tobytes()
        at, name = at + 12 + int.from_bytes(head[:4]), head[4:]
        if len(head) < 8 or at > len(data):
            return True
    return False


def _reduced(data: NDArray[np.uint8], path: Path) -> NDArray[np.uint8]:
    for factor, flag in _REDUCED.items():
        with suppress(cv2.error):  # still too big
            image = cv2.imdecode(data, flag)
            if image is not None:
                height, width = image.shape[:2]
                log.warning(
                    "%s is read at 1/%d of its size, %d×%d, to save memory",
                    printable(path.name),
                    factor,
                    width,
                    height,
                )
                return cast(NDArray[np.uint8], image)
    raise CameraError(
        f"{printable(path.name)} has more than {MAX_PIXELS / 1e6:.0f} megapixels, which would take "
        "too much memory: make it smaller (only a JPEG can be read at a part of its size)"
    )


def _first_frame(path: Path) -> NDArray[np.uint8] | None:
    try:
        with openable(path) as name:
            video = cv2.VideoCapture(name, cv2.CAP_FFMPEG)
    except OSError:  # it went away meanwhile
        return None
    try:
        pixels = video.get(cv2.CAP_PROP_FRAME_WIDTH) * video.get(cv2.CAP_PROP_FRAME_HEIGHT)
        done, image = video.read() if pixels <= MAX_PIXELS else (False, None)
    finally:
        video.release()
    return cast(NDArray[np.uint8], image) if done else None


def _eight_bits(image: NDArray[Any]) -> NDArray[np.uint8]:
    if image.dtype == np.uint8:
        return image
    peak = float(image.max(initial=0))
    if image.dtype == np.uint16:
        # Cameras store 12 bits in 16; a true 16-bit picture this dark would show nothing.
        peak = 4095.0 if peak <= 4095 else 65535.0
    return cast(NDArray[np.uint8], cv2.convertScaleAbs(image, alpha=255 / max(peak, 1e-9)))


def _is_gif(path: Path) -> bool:
    with suppress(OSError), path.open("rb") as file:
        return file.read(4) == b"GIF8"
    return False


@contextmanager
def _overheard() -> Iterator[list[str]]:
    """What libjpeg and libpng print to stderr meanwhile, which is all they say about damage.

    Lines that others printed in that moment are passed on.
    """
    heard: list[str] = []
    with _stderr, open(os.memfd_create("stderr"), "r+b") as file:
        kept = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            yield heard
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            file.seek(0)
            for line in file:
                if re.search(rb"JPEG|libpng", line):
                    heard.append(line.decode(errors="replace").strip())
                else:
                    os.write(2, line)


class PictureFile:
    """One picture, once."""

    live = False
    still = True

    def __init__(self, path: Path) -> None:
        self.name = f"picture {printable(path)}"
        self._path = path
        self._given = False

    def read(self, timeout: float) -> Frame | None:
        if self._given:
            return None
        image = decode(self._path)
        self._given = True
        return Frame(image, t=0.0, index=0, file=self._path.name)

    def rewind(self) -> None:
        self._given = False

    def close(self) -> None:
        self._given = True


class PictureFolder:
    """The pictures of a folder in name order (`2.jpg` before `10.jpg`), without its subfolders.

    `skipped` holds every file that gave no frame; hidden files are passed over.
    """

    live = False
    still = True

    def __init__(self, path: Path) -> None:
        """
        Raises:
            CameraError: there is no picture in it, or it cannot be read.
        """
        self.name = f"folder {printable(path)}"
        self.skipped: list[Skipped] = []
        self._path = path
        try:
            entries = [entry for entry in path.iterdir() if not entry.name.startswith(".")]
        except OSError as error:
            raise CameraError(
                f"the folder {printable(path)} cannot be read: {error.strerror}"
            ) from None
        self._pictures = []
        for entry in sorted(entries, key=lambda entry: _natural(entry.name)):
            if entry.is_file() and (is_picture(entry) or _is_gif(entry)):
                self._pictures.append(entry)
            else:
                self._skip(entry.name, _no_picture(entry))
        if not self._pictures:
            raise CameraError(
                f"there is no picture in the folder {printable(path)}; expected is JPEG, PNG, "
                "WebP, BMP, TIFF or GIF"
            )
        self._next = 0
        self._frames = 0

    def __len__(self) -> int:
        """Files that look like pictures; a broken one among them will be skipped."""
        return len(self._pictures)

    def read(self, timeout: float) -> Frame | None:
        """
        Raises:
            CameraError: at the end, when not one picture could be decoded.
        """
        for path in self._pictures[self._next :]:
            self._next += 1
            try:
                image = decode(path)
            except CameraError as error:
                self._skip(path.name, str(error))
                continue
            self._frames += 1
            index = self._frames - 1
            return Frame(image, t=float(index), index=index, file=path.name)
        if self._pictures and not self._frames:
            raise CameraError(
                f"none of the {len(self)} pictures in {printable(self._path)} can be decoded"
            )
        return None

    def rewind(self) -> None:
        self._next = self._frames = 0

    def close(self) -> None:
        self._next = len(self._pictures)

    def _skip(self, file: str, reason: str) -> None:
        if all(file != skipped.file for skipped in self.skipped):
            self.skipped.append(Skipped(file, reason))
            log.warning("skipped: %s", reason)


def _no_picture(path: Path) -> str:
    name = printable(path.name)
    if path.is_dir():
        return f"{name} is a folder; only the pictures beside it are read"
    try:
        size = path.stat().st_size
    except OSError as error:
        return f"{name} cannot be read: {error.strerror}"
    return f"{name} is no picture of a known kind" if size else f"{name} is empty (0 bytes)"


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorts numbers in names by value: each part is (number, text), one of them neutral."""
    return [
        (int(part), "") if part.isdecimal() else (-1, part)
        for part in re.split(r"(\d+)", name.lower())
    ]
