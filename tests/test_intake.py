"""Uploaded files, from their first bytes to a face for the library; hostile ones too."""

import io
import os
import struct
import subprocess
import sys
import tempfile
import zipfile
import zlib
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

import cv2
import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from library_samples import FixedFinder, Picture, exported, face
from mien import exchange, uploads
from mien.config import Faces
from mien.intake import dhash, entries, examine
from mien.uploads import Found, Header, Item, Refused, Task


def encoded(picture: Picture, kind: str = ".png") -> bytes:
    return bytes(cv2.imencode(kind, picture)[1])


def photograph(side: int = 200) -> Picture:
    """In colour, with no face that anybody would find."""
    return np.stack([face(seed, side) for seed in (1, 2, 3)], axis=2)


def png_of_size(width: int, height: int) -> bytes:
    """The first bytes of a PNG that says it is so large."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    crc = struct.pack(">I", zlib.crc32(body))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + crc


def item(data: bytes, name: str = "a.png", **more: Any) -> tuple[Item, IO[bytes]]:
    file = tempfile.TemporaryFile()  # noqa: SIM115
    file.write(data)
    file.flush()
    return Item(name, file.fileno(), 0, len(data), **more), file


def looked_at(data: bytes, finder: Any = None, name: str = "a.png", **more: Any) -> list[Any]:
    """What comes of one uploaded file, which may be a zip."""
    one, file = item(data, name, **more)
    with file:
        finder = finder or FixedFinder((50, 50, 80, 80))
        return [examine(n, entry, finder, 24) for n, entry in enumerate(entries(one))]


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in files.items():
            # Of no time of day: the bytes name a test, which must be the same in each process.
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return file.getvalue()


# ── what a file says it is ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", [".jpg", ".png", ".webp", ".bmp"])
def test_kind_and_size_are_told_without_decoding(kind: str) -> None:
    told = uploads.header(encoded(photograph()[:, :120], kind))
    assert told == Header("jpeg" if kind == ".jpg" else kind[1:], 120, 200)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"hello", "no picture"),
        (b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>", "svg"),
        (b"%PDF-1.7 ...", "pdf"),
        (b"II*\0rest", "tiff"),
        (zipped({"a": b""}), "nested"),
        (b"\xff\xd8\xff\xe0", "broken"),
        (b"\x89PNG\r\n\x1a\n", "broken"),
        (b"GIF89a\0\0\0\0", "broken"),
    ],
)
def test_what_is_no_picture_is_refused_by_its_first_bytes(data: bytes, reason: str) -> None:
    assert uploads.header(data) == reason


@pytest.mark.parametrize(
    "tail",
    [
        zipped({"payload.exe": b"x"}),
        b"<script>alert(1)</script>",
        b"<?php system($_GET[0]); ?>",
        b'<svg onload="x" xmlns="http://www.w3.org/2000/svg">',
    ],
)
def test_a_picture_that_is_something_else_too_is_refused(tail: bytes) -> None:
    (told,) = looked_at(encoded(photograph()) + tail)
    assert told == Refused("a.png", "two in one")


def test_a_pdf_within_a_picture_is_refused() -> None:
    jpeg = encoded(photograph(), ".jpg")
    assert uploads.header(jpeg[:2] + b"\xff\xfe\x00\x0b%PDF-1.4\n" + jpeg[2:]) == "two in one"


STARTS = [
    b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"GIF89a", b"RIFF\0\0\0\0WEBPVP8 ",
    b"RIFF\0\0\0\0WEBPVP8X", b"RIFF\0\0\0\0WEBPVP8L",
]  # fmt: skip


@given(st.binary(max_size=64), st.sampled_from(STARTS))
def test_no_bytes_surprise_the_reader_of_headers(rest: bytes, start: bytes) -> None:
    told = uploads.header(start + rest)
    assert isinstance(told, str) or (told.width > 0 and told.height > 0)


def test_names_are_only_names() -> None:
    assert uploads.clean("../../etc/passwd") == "etc/passwd"
    assert uploads.clean("C:\\pictures\\a.png") == "C:/pictures/a.png"
    assert uploads.clean("gnp.\u202egpj.exe") == "gnp.�gpj.exe"
    assert len(uploads.clean("x" * 5000)) == 200


@given(st.text(max_size=60))
def test_any_name_can_be_shown(name: str) -> None:
    shown = uploads.clean(name)
    assert shown.isprintable()
    assert ".." not in shown.split("/")
    assert 0 < len(shown) <= 200


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("train/3_happy/a.png", 3), ("Wut/a.png", 0), ("überraschung/b.jpg", 5), ("sad.png", None),
        ("happy/more/a.png", 3), ("happy/sad/a.png", 4), ("Überrascht 2/a.png", 5),
    ],
)  # fmt: skip
def test_the_nearest_folder_that_is_called_so_gives_the_label(name: str, place: int | None) -> None:
    assert uploads.expression_of(name) == place


# ── pictures ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", [".jpg", ".png", ".webp", ".bmp"])
def test_a_face_is_cut_out(kind: str) -> None:
    data = encoded(photograph(), kind)
    (found,) = looked_at(data, name="folder/a.jpg")
    assert isinstance(found, Found)
    assert (found.name, found.width, found.height, found.color) == (
        "folder/a.jpg",
        200,
        200,
        "color",
    )
    assert found.sha256 == sha256(data).hexdigest()
    small = cv2.imdecode(np.frombuffer(found.crop, np.uint8), cv2.IMREAD_UNCHANGED)
    assert small is not None
    assert small.shape == (48, 48)
    cut = cv2.imdecode(np.frombuffer(found.face, np.uint8), cv2.IMREAD_COLOR)
    assert cut is not None
    assert cut.shape == (128, 128, 3)  # the box of 80 and 30 % around it
    assert not found.whole


def test_a_large_face_is_kept_at_320_pixels() -> None:
    (found,) = looked_at(encoded(photograph(900)), FixedFinder((50, 50, 800, 800)))
    cut = cv2.imdecode(np.frombuffer(found.face, np.uint8), cv2.IMREAD_COLOR)
    assert cut is not None
    assert max(cut.shape) == 320


@pytest.mark.parametrize("side", [48, 64])
def test_a_small_grey_square_is_a_face_already(side: int) -> None:
    (found,) = looked_at(encoded(face(5, side)), FixedFinder())
    assert found.whole
    assert found.color == "gray"


@pytest.mark.parametrize(
    ("picture", "finder", "reason"),
    [
        (photograph(), FixedFinder(), "no face"),
        (photograph(), FixedFinder((0, 0, 80, 80), (90, 90, 75, 75)), "several faces"),
        (photograph(), FixedFinder((0, 0, 20, 20)), "small"),
        (np.full((200, 200, 3), 90, np.uint8), FixedFinder((50, 50, 80, 80)), "blank"),
        (face(1, 16), FixedFinder((0, 0, 16, 16)), "small"),
    ],
)
def test_a_picture_without_one_clear_face_is_refused(
    picture: Picture, finder: Any, reason: str
) -> None:
    (told,) = looked_at(encoded(picture), finder)
    assert told.reason == reason
    assert told.reason in uploads.PICTURES


def test_a_huge_picture_is_refused_before_it_is_decoded() -> None:
    (told,) = looked_at(png_of_size(100_000, 100_000))
    assert told == Refused("a.png", "huge", "10000")


def test_a_picture_that_is_cut_off_is_refused() -> None:
    (told,) = looked_at(encoded(photograph())[:900])
    assert told.reason == "broken"


def test_a_file_that_is_too_large_is_not_even_read() -> None:
    one = Item("a.png", -1, 0, uploads.MAX_FILE + 1)
    (told,) = [examine(0, entry, FixedFinder(), 24) for entry in [_entry(one)]]
    assert told.reason == "heavy"


def _entry(one: Item) -> Any:
    from mien.intake import Entry, _part

    return Entry(one.name, lambda: _part(one))


def test_a_capture_keeps_the_crop_that_the_network_got() -> None:
    crop = encoded(face(9))
    (found,) = looked_at(encoded(photograph(), ".jpg"), FixedFinder(), crop=crop)
    again = cv2.imdecode(np.frombuffer(found.crop, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert np.array_equal(again, face(9))  # type: ignore[arg-type]


def test_a_picture_that_was_saved_anew_hashes_nearly_alike() -> None:
    picture = photograph()
    poorer = cv2.resize(picture, (320, 320))
    poorer = cv2.imdecode(np.frombuffer(encoded(poorer.astype(np.uint8), ".jpg"), np.uint8), 1)
    distance = int(dhash(picture), 16) ^ int(dhash(poorer), 16)  # type: ignore[arg-type]
    assert distance.bit_count() <= 8
    other = int(dhash(picture), 16) ^ int(dhash(cv2.rotate(picture, 0).astype(np.uint8)), 16)
    assert other.bit_count() > 30


# ── zips ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_zip_is_read_file_by_file() -> None:
    told = looked_at(
        zipped({
            "happy/a.png": encoded(face(1)), "../../b.png": encoded(face(2)), "read.me": b"hello",
            "__MACOSX/happy/._a.png": b"x", "happy/.DS_Store": b"x", "c.zip": zipped({"d": b""}),
        }),
        name="faces.zip",
    )  # fmt: skip
    assert [one.name for one in told] == [
        "faces.zip/happy/a.png", "faces.zip/b.png", "faces.zip/read.me", "faces.zip/c.zip",
    ]  # fmt: skip
    assert [getattr(one, "reason", None) for one in told] == [None, None, "no picture", "nested"]


def test_a_zip_bomb_is_refused_unread() -> None:
    bomb = zipped({"a.bmp": bytes(40 << 20)}, zipfile.ZIP_DEFLATED)
    assert len(bomb) < 50_000
    assert looked_at(bomb, name="b.zip") == [Refused("b.zip", "bomb", "40")]


def test_a_zip_whose_members_overlap_is_refused() -> None:
    data = bytearray(zipped({"a.bmp": bytes(1000), "b.bmp": bytes(1000)}))
    at = data.index(b"PK\x01\x02")
    data[at + 20 : at + 24] = struct.pack("<I", 5000)  # says it takes more room than the zip has
    assert looked_at(bytes(data), name="b.zip")[0].reason == "bomb"


def test_a_zip_of_too_many_files_is_refused() -> None:
    crowd = zipped({f"{n}.png": b"" for n in range(uploads.MAX_FILES + 1)})
    assert looked_at(crowd, name="b.zip") == [Refused("b.zip", "crowd", "5001")]


def test_a_zip_that_is_cut_off_is_refused() -> None:
    (told,) = looked_at(zipped({"a.png": encoded(face(1))})[:-30], name="b.zip")
    assert told.reason == "broken zip"


def test_a_file_that_is_damaged_within_is_refused() -> None:
    data = bytearray(zipped({"a.png": encoded(face(1))}, zipfile.ZIP_LZMA))
    data[100:120] = b"\xff" * 20
    assert looked_at(bytes(data))[0].reason == "broken"


def test_a_file_locked_with_a_password_is_refused() -> None:
    data = bytearray(zipped({"a.png": encoded(face(1))}))
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + offset] |= 1
    assert looked_at(bytes(data))[0].reason == "locked"


@given(st.binary(max_size=300))
def test_no_bytes_that_say_they_are_a_zip_surprise(rest: bytes) -> None:
    for told in looked_at(b"PK\x03\x04" + rest):
        assert isinstance(told, Refused)


def test_the_zip_of_a_box_brings_its_labels_and_its_consents() -> None:
    agreed, one = exported(face(1), label="sadness")
    refused, other = exported(face(2), consents=[])
    altered, third = exported(face(3))
    faces = [agreed, refused, {**altered, "sha256": "0" * 64}]
    manifest: dict[str, Any] = {
        "format": exchange.FORMAT, "v": 1, "box": "testbox", "created": "2026-11-20T09:30:00Z",
        "faces": faces,
    }  # fmt: skip
    pictures = {told["file"]: data for told, data in zip(faces, (one, other, third), strict=True)}
    told = looked_at(
        zipped({"manifest.json": msgspec.json.encode(manifest), **pictures, "x.png": one})
    )
    assert told[0].label == "sadness"
    assert [getattr(t, "reason", None) for t in told] == [
        None, "no consent", "altered", "no consent",
    ]  # fmt: skip


# ── the process ──────────────────────────────────────────────────────────────────────────────────


def told_by_the_process(items: list[Item], folder: Path, first: int = 0) -> tuple[int, list[Any]]:
    task = Task(items, str(folder), Faces(finder="haar"), first=first)
    done = subprocess.run(
        [sys.executable, "-m", "mien.intake"],
        input=msgspec.json.encode(task), capture_output=True, pass_fds=[i.fd for i in items],
        check=False,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    return done.returncode, [msgspec.json.decode(line, type=uploads.Line) for line in lines]


def test_the_process_tells_each_file_and_begins_where_it_is_told(tmp_path: Path) -> None:
    one, file = item(encoded(face(1)))
    two, other = item(encoded(photograph()), "b.png")
    with file, other:
        code, lines = told_by_the_process([one, two], tmp_path)
        assert code == 0
        assert [type(line).__name__ for line in lines] == ["At", "Found", "At", "Refused"]
        _, lines = told_by_the_process([one, two], tmp_path, first=1)
    assert lines[0] == uploads.At(1, 2, "b.png")
    assert lines[1] == Refused("b.png", "no face")


def test_the_process_may_use_no_more_memory_than_a_picture_needs() -> None:
    code = (
        "from mien.intake import _confine; _confine(); import os, resource\n"
        "assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)\n"
        "try: bytearray(2 << 30)\n"
        "except MemoryError: print('no memory')\n"
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "try: os.ftruncate(os.memfd_create('x'), 100 << 20)\n"
        "except OSError: print('no file')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["no memory", "no file"]


def test_a_picture_that_takes_too_long_ends_the_process() -> None:
    code = "from mien.intake import _allow; _allow(1)\nwhile True: pass"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode < 0


def test_nothing_is_left_open() -> None:
    before = os.listdir("/proc/self/fd")
    looked_at(encoded(photograph()))
    looked_at(zipped({"a.png": encoded(face(1))}))
    assert len(os.listdir("/proc/self/fd")) == len(before)
