"""Uploaded pictures, on their way into the library: `python -m mien.intake`, an `uploads.Task` as
JSON on standard input, a line of JSON for each file on standard output.

What is uploaded may be made to break a decoder. So this is a process of its own, without more
memory, time and disk than a picture needs. When it dies over one, its parent starts it again behind
that one. It writes no file.
"""

import ctypes
import hashlib
import lzma
import math
import os
import resource
import signal
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from mien import config, exchange, uploads
from mien.camera import CameraError
from mien.crop import SIDE, crop
from mien.events import Expression, MienError
from mien.exchange import ExportedFace, Manifest
from mien.faces import Face, FaceFinder, open_finder
from mien.pictures import decode
from mien.pose import turn
from mien.reading import look, qualities
from mien.uploads import At, Found, Item, Line, Notice, Refused, Task

MEMORY = 1 << 30
"""Bytes of address space."""
MARGIN, LONGEST, QUALITY = 0.3, 320, 90
"""Of the face that is kept, as of a captured one: what is left around its box as a share of that,
pixels of its longer side, JPEG quality."""
PICTURE_S = 30
"""Seconds of a processor that one picture may take."""
STANDS_OUT = 2.0
"""Of several faces the largest is meant if its area is this many times the next one's."""
CUT_OUT = 64
"""Pixels up to which a square grey picture is taken for a face that was cut out before."""
BLANK = 5.0
"""Standard deviation of a crop's greys under which there is nothing to see."""
GREY = 6
"""How far apart the colours of a pixel may be in a picture that is grey."""

_BROKEN = (
    OSError, EOFError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error,
    lzma.LZMAError,
)  # fmt: skip


class Refuse(Exception):
    """A file is not taken."""

    def __init__(self, reason: uploads.Reason, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


class Entry(NamedTuple):
    """A file, read when it is its turn. `content` raises Refuse."""

    name: str
    content: Callable[[], bytes]
    label: Expression | None = None
    crop: bytes | None = None


def run(task: Task, say: Callable[[Line], None]) -> None:
    """Look at every file of a task from the number `first` on."""
    finder, notice = open_finder(task.faces, models_dir=Path(task.models_dir))
    if notice:
        say(Notice(notice))
    files = [entry for item in task.items for entry in entries(item)]
    for number, entry in enumerate(files):
        if number < task.first:
            continue
        say(At(number, len(files), uploads.clean(entry.name)))
        _allow(PICTURE_S)
        say(examine(number, entry, finder, task.min_face_px))


def entries(item: Item) -> Iterator[Entry]:
    """The file itself, or what is in it when it is a zip."""
    if item.length < 4 or os.pread(item.fd, 4, item.start) not in uploads.ZIP:
        yield Entry(item.name, partial(_part, item), crop=item.crop)
        return
    try:
        yield from _members(item)
    except Refuse as refused:
        yield Entry(item.name, partial(_raise, refused))
    except _BROKEN as error:
        yield Entry(item.name, partial(_raise, Refuse("broken zip", str(error))))


def examine(number: int, entry: Entry, finder: FaceFinder, min_face_px: float) -> Found | Refused:
    """One file: judged by its first bytes, decoded, its face found and cut out."""
    name = uploads.clean(entry.name)
    try:
        data = entry.content()
        told = uploads.header(data)
        if isinstance(told, str):
            raise Refuse(told)
        if told.width * told.height > uploads.MAX_PIXELS:
            raise Refuse("huge", f"{told.width * told.height / 1e6:.0f}")
        image = _decoded(data)
        if entry.crop is not None:
            face, small, quality, whole = image, _given(entry.crop), 0.0, False
        else:
            face, small, quality, whole = _cut(image, finder, min_face_px)
        if small.std() < BLANK:
            raise Refuse("blank")
        height, width = image.shape[:2]
        return Found(
            number, name, hashlib.sha256(data).hexdigest(), dhash(image), _color(image), width,
            height, _encoded(_shrunk(face), ".jpg", [cv2.IMWRITE_JPEG_QUALITY, QUALITY]),
            _encoded(small, ".png", []), round(quality, 3), whole, entry.label,
        )  # fmt: skip
    except Refuse as refused:
        return Refused(name, refused.reason, refused.detail)
    except MemoryError:
        return Refused(name, "memory")
    except cv2.error as error:
        memory = error.code == cv2.Error.StsNoMem
        return Refused(name, "memory" if memory else "broken", "" if memory else error.err)


def dhash(image: NDArray[np.uint8]) -> str:
    """128 bits: whether it grows brighter to the right, 8×8, then downwards, 8×8 (the "difference
    hash", N. Krawetz 2013, both ways). BGR u8 [h, w, 3]."""
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    across = cv2.resize(grey, (9, 8), interpolation=cv2.INTER_AREA)
    down = cv2.resize(grey, (8, 9), interpolation=cv2.INTER_AREA)
    bits = np.concatenate(
        [(across[:, 1:] > across[:, :-1]).ravel(), (down[1:] > down[:-1]).ravel()]
    )
    return np.packbits(bits).tobytes().hex()


# ── files and zips ───────────────────────────────────────────────────────────────────────────────


def _part(item: Item) -> bytes:
    if item.length > uploads.MAX_FILE:
        raise Refuse("heavy")
    data = bytearray()
    while len(data) < item.length:
        piece = os.pread(item.fd, item.length - len(data), item.start + len(data))
        if not piece:
            break
        data += piece
    return bytes(data)


def _raise(refused: Refuse) -> bytes:
    raise refused


def _members(item: Item) -> Iterator[Entry]:
    """Raises Refuse or one of _BROKEN."""
    archive = zipfile.ZipFile(f"/proc/self/fd/{item.fd}")
    members = [
        member
        for member in archive.infolist()
        if not member.is_dir() and not uploads.hidden(member.filename)
    ]
    _judge(members, item.length)
    manifest = _manifest(archive)
    for member in members:
        if manifest is None:
            read = partial(_member, archive, member, None)
            yield Entry(f"{item.name}/{member.filename}", read)
        elif member.filename != exchange.MANIFEST:
            told = manifest.get(member.filename)
            read = partial(_member, archive, member, told or _NOBODY)
            yield Entry(f"{item.name}/{member.filename}", read, told.label if told else None)


def _judge(members: list[zipfile.ZipInfo], size: int) -> None:
    """Raises Refuse for a zip that would burst."""
    if len(members) > uploads.MAX_FILES:
        raise Refuse("crowd", str(len(members)))
    unpacked = sum(member.file_size for member in members)
    if (
        unpacked > uploads.MAX_UNPACKED
        or unpacked > uploads.MAX_RATIO * size + (10 << 20)
        or sum(member.compress_size for member in members) > size  # members that overlap
    ):
        raise Refuse("bomb", f"{unpacked >> 20}")


_NOBODY = ExportedFace(file="?", sha256="0" * 64)


def _manifest(archive: zipfile.ZipFile) -> dict[str, ExportedFace] | None:
    """What a box says of the faces in its zip, by file; None for any other zip."""
    try:
        with archive.open(exchange.MANIFEST) as member:
            data = member.read(uploads.MAX_FILE)
        faces = msgspec.json.decode(data, type=Manifest).faces
    except (KeyError, msgspec.MsgspecError, UnicodeDecodeError, *_BROKEN):
        return None
    return {face.file: face for face in faces}


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, told: ExportedFace | None) -> bytes:
    if member.flag_bits & 1:
        raise Refuse("locked")
    if told and exchange.IMPROVE not in told.consents:
        raise Refuse("no consent")
    try:
        with archive.open(member) as file:
            data = file.read(uploads.MAX_FILE + 1)
    except _BROKEN as error:
        raise Refuse("broken", str(error)) from None
    if len(data) > uploads.MAX_FILE:
        raise Refuse("heavy")
    if told and hashlib.sha256(data).hexdigest() != told.sha256:
        raise Refuse("altered")
    return data


# ── pictures ─────────────────────────────────────────────────────────────────────────────────────


def _decoded(data: bytes) -> NDArray[np.uint8]:
    """BGR u8 [h, w, 3]. Raises Refuse."""
    file = os.memfd_create("picture")
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(file, rest) :]
        return decode(Path(f"/proc/self/fd/{file}"))
    except CameraError as error:
        raise Refuse("huge" if "megapixels" in str(error) else "broken") from None
    finally:
        os.close(file)


def _given(png: bytes) -> NDArray[np.uint8]:
    small = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_GRAYSCALE)
    if small is None or small.shape != (SIDE, SIDE):
        raise Refuse("broken")
    return small.astype(np.uint8, copy=False)


def _cut(
    image: NDArray[np.uint8], finder: FaceFinder, min_face_px: float
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], float, bool]:
    """The face in colour, the crop u8 [48, 48], its quality, whether it was cut out before."""
    height, width = image.shape[:2]
    if height == width <= CUT_OUT and _color(image) == "gray":
        if width < min_face_px:
            raise Refuse("small", str(width))
        grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        resized = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        whole: NDArray[np.uint8] = resized.astype(np.uint8, copy=False)
        return image, whole, _quality(whole, width, None), True
    faces = sorted(finder.find(image, thorough=True), key=_area, reverse=True)
    if not faces:
        raise Refuse("no face")
    if len(faces) > 1 and _area(faces[0]) < STANDS_OUT * _area(faces[1]):
        raise Refuse("several faces", str(len(faces)))
    face = faces[0]
    if face.box[2] < min_face_px:
        raise Refuse("small", f"{face.box[2]:.0f}")
    small = crop(image, face)
    x, y, wide, high = face.box
    left, right = max(0, round(x - MARGIN * wide)), round(x + (1 + MARGIN) * wide)
    top, bottom = max(0, round(y - MARGIN * high)), round(y + (1 + MARGIN) * high)
    return image[top:bottom, left:right], small, _quality(small, wide, face), False


def _area(face: Face) -> float:
    return face.box[2] * face.box[3]


def _quality(small: NDArray[np.uint8], width: float, face: Face | None) -> float:
    none = np.full((6, 2), np.nan, np.float32)
    turned = turn(face.keypoints, face.box) if face else turn(none, (0, 0, 0, 0))
    return min(qualities(look(small, width, turned), config.Limits()).values())


def _color(image: NDArray[np.uint8]) -> Literal["color", "gray"]:
    small = cv2.resize(image, (64, 64), interpolation=cv2.INTER_AREA).astype(int)
    return "gray" if int(np.ptp(small, axis=2).max()) <= GREY else "color"


def _shrunk(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    scale = LONGEST / max(height, width)
    if scale >= 1:
        return image
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def _encoded(image: NDArray[np.uint8], kind: str, settings: list[int]) -> bytes:
    done, data = cv2.imencode(kind, image, settings)
    if not done:
        raise Refuse("broken")
    return data.tobytes()


# ── the process ──────────────────────────────────────────────────────────────────────────────────


def _confine() -> None:
    """No more memory than a picture needs, no file, no dump of what was in memory; and no life
    after the page."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    limit = uploads.MAX_FILE + (1 << 20)  # what lies in memory as a file counts too
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def _allow(seconds: int) -> None:
    """Of processor time from now on; the kernel ends this process when they are over."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    soft = math.ceil(used.ru_utime + used.ru_stime) + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


def main() -> int:
    _confine()
    encoder = msgspec.json.Encoder()

    def say(line: Line) -> None:
        sys.stdout.buffer.write(encoder.encode(line) + b"\n")
        sys.stdout.buffer.flush()

    try:
        run(msgspec.json.decode(sys.stdin.buffer.read(), type=Task), say)
    except MienError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
