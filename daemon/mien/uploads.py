"""What the page hands to `mien.intake` and gets back, and what a file says it is before anything
decodes it."""

import re
import struct
from typing import Annotated, Literal, NamedTuple

from msgspec import Meta, Struct

from mien import config
from mien.events import EXPRESSIONS, Expression
from mien.spelling import CLASS_OF, plain

MAX_FILE = 25 << 20
"""Bytes a picture may have."""
MAX_REQUEST = 200 << 20
"""Bytes an upload may have, a zip with all that is in it."""
MAX_FILES = 5000
"""Pictures in one upload."""
MAX_UNPACKED = 1 << 30
"""Bytes a zip may unpack to."""
MAX_RATIO = 100
"""Times its own size that a zip may unpack to, beyond the first ten megabytes."""
MAX_PIXELS = 40_000_000

Reason = Literal[
    "empty", "heavy", "no picture", "svg", "pdf", "tiff", "nested", "two in one", "huge", "broken",
    "memory", "time", "crashed", "no face", "several faces", "small", "blank", "locked", "bomb",
    "crowd", "broken zip", "no consent", "altered",
]  # fmt: skip
"""Why a file was not taken."""
PICTURES: frozenset[Reason] = frozenset({"no face", "several faces", "small", "blank"})
"""Of these the file was a picture that could be decoded."""


class Item(Struct, frozen=True):
    """One file of an upload: where it lies in an open file of the parent's, and its name, which is
    only a name. A capture brings its crop along, which is then not made anew."""

    name: str
    fd: int
    start: int
    length: int
    crop: bytes | None = None


class Task(Struct, frozen=True):
    """On the standard input of `mien.intake`, as JSON. `first`: how many files were done before."""

    items: list[Item]
    models_dir: str
    faces: config.Faces = config.Faces()
    min_face_px: float = config.Limits().min_face_px
    first: int = 0


class At(Struct, frozen=True, tag="at"):
    """The file that is looked at next, of how many."""

    number: int
    total: int
    name: str


class Notice(Struct, frozen=True, tag="notice"):
    """A sentence about the finder, where it is not the one that was asked for."""

    text: str


class Refused(Struct, frozen=True, tag="refused"):
    name: str
    reason: Reason
    detail: str = ""


class Found(Struct, frozen=True, tag="found"):
    """A face. `sha256` is of the file; `dhash` see `mien.gallery`; `face` is a JPEG of at most 320
    pixels a side, `crop` a PNG, 48×48 grey. `whole`: the picture was a cut-out face already."""

    number: int
    name: str
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    dhash: Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
    color: Literal["color", "gray"]
    width: int
    height: int
    face: bytes
    crop: bytes
    quality: float
    whole: bool = False
    label: Expression | None = None


Line = At | Notice | Refused | Found
"""What `mien.intake` prints, a line of JSON each."""


# ── what a file says it is ───────────────────────────────────────────────────────────────────────


class Header(NamedTuple):
    kind: Literal["jpeg", "png", "webp", "bmp", "gif"]
    width: int
    height: int


ZIP = (b"PK\x03\x04", b"PK\x05\x06")


def header(data: bytes) -> Header | Reason:
    """Kind and size of a picture by its first bytes, or why it is none that is taken.

    Never decodes anything. The sizes are those that the decoders go by: ISO/IEC 10918-1 B.2.2,
    PNG (RFC 2083), WebP (RFC 9649), BMP (BITMAPINFOHEADER), GIF89a.
    """
    if not data:
        return "empty"
    if data.startswith(ZIP):
        return "nested"
    if data.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return "tiff"
    if b"%PDF-" in data[:1024]:
        return "pdf" if data.lstrip().startswith(b"%PDF-") else "two in one"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        found = _fields(">II", data, 16)
        kind: Literal["jpeg", "png", "webp", "bmp", "gif"] = "png"
    elif data.startswith(b"\xff\xd8\xff"):
        found, kind = _jpeg(data), "jpeg"
    elif data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        found, kind = _webp(data), "webp"
    elif data.startswith((b"GIF87a", b"GIF89a")):
        found, kind = _fields("<HH", data, 6), "gif"
    elif data.startswith(b"BM"):
        found, kind = _fields("<ii", data, 18), "bmp"
    else:
        return "svg" if re.search(rb"<svg[\s>]", data[:4096], re.I) else "no picture"
    if not found or not found[0] or not found[1]:
        return "broken"
    if _something_else(data):
        return "two in one"
    return Header(kind, abs(found[0]), abs(found[1]))


def _fields(form: str, data: bytes, at: int) -> tuple[int, int] | None:
    try:
        first, second = struct.unpack_from(form, data, at)
    except struct.error:
        return None
    return first, second


def _jpeg(data: bytes) -> tuple[int, int] | None:
    """From the frame header, which any number of other segments may precede."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            size = _fields(">HH", data, at + 5)
            return (size[1], size[0]) if size else None
        if marker in (0xD9, 0xDA):
            return None
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def _webp(data: bytes) -> tuple[int, int] | None:
    if len(data) < 30:
        return None
    if data[12:16] == b"VP8X":
        wide, high = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
        return wide, high
    if data[12:16] == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    size = _fields("<HH", data, 26)
    return (size[0] & 0x3FFF, size[1] & 0x3FFF) if size else None


_FOREIGN = re.compile(
    rb"<(?:script|html|iframe)[\s>]|<\?php\s|<svg\s[^>]{0,200}xmlns|#!/bin/", re.IGNORECASE
)


def _something_else(data: bytes) -> bool:
    """Whether a picture is also an archive, a page or a program to those who read it as such."""
    end = data[-65_557:].rfind(b"PK\x05\x06")
    return (end >= 0 and b"PK\x01\x02" in data) or _FOREIGN.search(data) is not None


# ── names ────────────────────────────────────────────────────────────────────────────────────────


def clean(name: str) -> str:
    """A file's name to show and to keep: no way up, no invisible signs, 200 letters."""
    parts = [part for part in re.split(r"[/\\]+", name) if part not in ("", ".", "..")]
    shown = "/".join(parts)
    shown = "".join(c if c.isprintable() else "�" for c in shown)
    return shown[-200:] or "?"


def expression_of(name: str) -> int | None:
    """The expression that the nearest folder of a file is called by, the place in `EXPRESSIONS`:
    `train/3_happy/a.png` is happiness."""
    for folder in reversed(clean(name).split("/")[:-1]):
        found = CLASS_OF.get(plain(folder))
        if found is not None and found != "other":
            return EXPRESSIONS.index(found)
    return None


def hidden(name: str) -> bool:
    """Files that systems leave beside pictures; nobody means to upload them."""
    parts = re.split(r"[/\\]+", name)
    return parts[-1].startswith(".") or "__MACOSX" in parts or parts[-1].lower() == "thumbs.db"
