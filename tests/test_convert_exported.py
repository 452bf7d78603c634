"""The zip of a box: only what has consent is taken, and what else is in it is refused."""

import json
import subprocess
import sys
import zipfile
from hashlib import sha256
from pathlib import Path

import cv2
import numpy as np
import pytest

from library_samples import (
    box_zip,
    exported,
    face,
    png,
    rows,
    take,
)
from mien import exchange
from mien_convert.exported import BoxZip
from mien_convert.library import Library
from mien_convert.sources import SourceError


def test_only_faces_with_consent_are_taken_from_a_box(tmp_path: Path) -> None:
    faces = [
        exported(face(1), person="p1"),
        exported(face(2), consents=[]),
        exported(face(3), consents=["keep a diary"]),
        exported(face(4), label=None),
    ]
    source = BoxZip(box_zip(tmp_path / "box.zip", faces, {"notes.txt": b"hello"}))
    done = take(tmp_path / "library", source)
    assert (done.source, done.added, done.refused) == ("box testbox", 2, 2)
    assert done.notices[:2] == [
        "2 faces were refused: nobody agreed to “improve the model”",
        "1 files in box.zip are not in its manifest (notes.txt, …)",
    ]
    assert rows(tmp_path / "library", "address, label, person, why, colour") == [
        (faces[0][0]["sha256"], 3, "box testbox/p1", None, "grey"),
        (faces[3][0]["sha256"], None, None, "no label", "grey"),
    ]
    with Library.open(tmp_path / "library") as library:
        (told,) = library.sources()
    assert (told["consent"], told["refused"]) == ("improve the model", 2)


def test_a_later_zip_adds_corrections_and_takes_back_what_lost_its_consent(tmp_path: Path) -> None:
    library = tmp_path / "library"
    first = [exported(face(1)), exported(face(2), label=None), exported(face(3))]
    take(library, BoxZip(box_zip(tmp_path / "1.zip", first)))
    later = [
        exported(face(1), consents=[]), exported(face(2), label="sadness"), exported(face(3)),
        exported(face(4)),
    ]  # fmt: skip
    done = take(library, BoxZip(box_zip(tmp_path / "2.zip", later)))
    assert (done.added, done.known, done.refused) == (2, 1, 1)
    assert rows(library, "address, label") == [
        (later[2][0]["sha256"], 3), (later[1][0]["sha256"], 4), (later[3][0]["sha256"], 3),
    ]  # fmt: skip


def test_pictures_that_are_not_as_told_are_unreadable(tmp_path: Path) -> None:
    huge = np.zeros((1025, 1025), np.uint8)
    jpeg = bytes(cv2.imencode(".jpg", face(5))[1])
    faces = [
        (exported(face(1))[0], png(face(2))),
        exported(huge),
        (exported(face(3))[0] | {"file": "missing.png"}, b""),
    ]
    told, _ = exported(face(5))
    faces.append((told | {"sha256": sha256(jpeg).hexdigest()}, jpeg))
    path = box_zip(tmp_path / "box.zip", faces[:2] + faces[3:])
    with zipfile.ZipFile(path) as archive:
        manifest = json.loads(archive.read(exchange.MANIFEST))
        data = {name: archive.read(name) for name in archive.namelist()}
    manifest["faces"].append(faces[2][0])
    data[exchange.MANIFEST] = json.dumps(manifest).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in data.items():
            archive.writestr(name, content)
    take(tmp_path / "library", BoxZip(path))
    assert [row[0] for row in rows(tmp_path / "library", "why")] == ["unreadable"] * 4


@pytest.mark.parametrize("name", ["../evil.png", "/etc/evil.png", "a\\..\\evil.png", "C:/evil.png"])
def test_a_zip_that_reaches_out_of_itself_is_refused(tmp_path: Path, name: str) -> None:
    path = box_zip(tmp_path / "box.zip", [exported(face(1))], {name: b"evil"})
    with pytest.raises(SourceError, match="it names a file outside of itself"):
        BoxZip(path)


def test_a_bomb_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(exchange.MANIFEST, bytes(65 << 20))
    assert path.stat().st_size < 100_000
    with pytest.raises(SourceError, match=r"refused, for manifest.json unpacks to more than 64 MB"):
        BoxZip(path)

    # Each of a few entries is said to unpack to a gigabyte: only the directory needs to lie.
    path = box_zip(tmp_path / "liar.zip", [exported(face(i)) for i in range(3)])
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02")
    while at >= 0:
        data[at + 24 : at + 28] = (1 << 30).to_bytes(4, "little")
        at = data.find(b"PK\x01\x02", at + 1)
    path.write_bytes(data)
    with pytest.raises(SourceError, match="it would take 4096 MB, more than 2048"):
        BoxZip(path)


def test_a_picture_that_unpacks_to_too_much_is_unreadable(tmp_path: Path) -> None:
    told, _ = exported(face(1))
    bomb = png(face(1)) + bytes(exchange.MAX_PICTURE_BYTES)
    take(tmp_path / "library", BoxZip(box_zip(tmp_path / "box.zip", [(told, bomb)])))
    assert rows(tmp_path / "library", "why") == [("unreadable",)]


def _broken(path: Path, folder: Path, what: str) -> None:
    if what == "text":
        path.write_text("no zip")
    elif what == "cut":
        whole = box_zip(folder / "whole.zip", [exported(face(1))]).read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
    elif what == "twice":
        with pytest.warns(UserWarning, match="Duplicate name"):
            box_zip(path, [exported(face(1)), exported(face(1))])
    elif what == "no manifest":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("happy/1.png", png(face(1)))
    elif what == "newer":
        box_zip(path, [], v=2, people="as nobody knows yet")
    elif what == "label":
        box_zip(path, [exported(face(1), label="hapy")])
    elif what == "locked":
        data = bytearray(box_zip(path, [exported(face(1))]).read_bytes())
        data[data.index(b"PK\x01\x02") + 8] |= 1
        path.write_bytes(data)
    elif what == "damaged":
        data = bytearray(box_zip(path, [exported(face(1))]).read_bytes())
        data[60:64] = b"\xff\xff\xff\xff"
        path.write_bytes(data)


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("missing", "There is no file"),
        ("text", "is no zip, or only a part of one"),
        ("cut", "is no zip, or only a part of one"),
        ("twice", r"it has 'faces/\w+.png' twice"),
        ("no manifest", r"has no manifest.json; expected a zip exported from a box"),
        ("newer", "was written by a newer Mien .its version is 2"),
        ("label", r"not as it should be: .*\$.faces\[0\].label"),
        ("locked", "is locked with a password"),
        ("damaged", "is damaged|is not as it should be"),
    ],
)
def test_other_zips_are_refused_in_a_sentence(tmp_path: Path, what: str, sentence: str) -> None:
    path = tmp_path / "box.zip"
    _broken(path, tmp_path, what)
    with pytest.raises(SourceError, match=sentence):
        BoxZip(path)


def test_the_box_can_import_the_manifest_and_write_it() -> None:
    """The exporter runs on the box: nothing heavy, and what it encodes is what is read."""
    code = (
        "import sys, msgspec, mien.exchange as e; "
        "m = e.Manifest(box='b', created='now', faces=[]); "
        "assert msgspec.json.decode(msgspec.json.encode(m), type=e.Manifest) == m; "
        "assert msgspec.json.decode(msgspec.json.encode(m))['format'] == 'mien faces'; "
        "sys.exit(bool({'cv2', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
