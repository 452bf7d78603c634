"""Small pictures and data files for the tests of the picture library."""

import csv
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien import exchange
from mien.faces import Face, FaceFinder
from mien_convert.dataset import LABELS, USAGES
from mien_convert.intake import Imported, Intake
from mien_convert.library import Library, SourceRow
from mien_convert.sources import Found, Source
from mien_convert.spelling import Class
from mien_convert.tables import VOTES

Picture = NDArray[np.uint8]
Row = tuple[int, Picture, str]


def face(seed: int, side: int = 48) -> Picture:
    """A picture unlike that of any other seed, grey u8 [side, side]."""
    noise = np.random.default_rng(seed).integers(0, 256, (12, 12), np.uint8)
    large = cv2.resize(noise, (side, side), interpolation=cv2.INTER_CUBIC)
    return large.astype(np.uint8)


def png(picture: Picture) -> bytes:
    return bytes(cv2.imencode(".png", picture)[1])


def write(path: Path, picture: Picture) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png(picture))
    return path


def fer_csv(path: Path, rows: Sequence[Row]) -> Path:
    """A file like fer2013.csv of (emotion, picture, Usage)."""
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["emotion", "pixels", "Usage"])
        for emotion, picture, usage in rows:
            table.writerow([emotion, " ".join(map(str, picture.ravel())), usage])
    return path


def fer_rows(count: int, first: int = 0) -> list[Row]:
    """Of all labels in turn; four in five of Training, the rest of PublicTest."""
    return [(i % 7, face(first + i), USAGES[i % 5 == 4]) for i in range(count)]


def fer_plus_csv(path: Path, usages: Sequence[str], votes: Sequence[Sequence[int]]) -> Path:
    """A file like fer2013new.csv."""
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["Usage", "Image name", *VOTES[:-1], "NF"])
        for i, (usage, ballot) in enumerate(zip(usages, votes, strict=True)):
            table.writerow([usage, "" if ballot[-1] == 10 else f"fer{i:07d}.png", *ballot])
    return path


def exported(picture: Picture, **changed: Any) -> tuple[dict[str, Any], bytes]:
    """What the manifest of a box's zip says of a face, and its PNG."""
    data = png(picture)
    digest = sha256(data).hexdigest()
    told = {"file": f"faces/{digest[:8]}.png", "sha256": digest, "label": "happiness"}
    return told | {"consents": [exchange.IMPROVE]} | changed, data


def box_zip(
    path: Path,
    faces: Sequence[tuple[Mapping[str, Any], bytes]],
    others: Mapping[str, bytes] | None = None,
    **changed: Any,
) -> Path:
    manifest: dict[str, Any] = {
        "format": exchange.FORMAT, "v": exchange.VERSION, "box": "testbox",
        "created": "2026-11-20T09:30:00.000Z", "faces": [told for told, _ in faces],
    } | changed  # fmt: skip
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(exchange.MANIFEST, json.dumps(manifest))
        for told, data in faces:
            archive.writestr(str(told["file"]), data)
        for name, data in (others or {}).items():
            archive.writestr(name, data)
    return path


class FixedFinder:
    """Finds the faces it was told to, in every picture."""

    name = "fixed"

    def __init__(self, *boxes: tuple[float, float, float, float]) -> None:
        none = np.full((6, 2), np.nan, np.float32)
        self.faces = [Face(box, 0.9, none) for box in boxes]

    def find(self, image: Picture, thorough: bool = False) -> list[Face]:
        return self.faces


def take(folder: Path, source: Source, finder: FaceFinder | None = None) -> Imported:
    """Import a source into the library in a folder."""

    def none() -> FaceFinder:
        assert finder is not None, "nothing here should need its face found"
        return finder

    with Library.open(folder, make=True) as library:
        return Intake(library, none).take(source)


def rows(folder: Path, columns: str = "address, label, why, stage") -> list[Any]:
    """What is in the library, in the order of import."""
    with Library.open(folder) as library:
        return library._all(f"SELECT {columns} FROM rows ORDER BY id")


Labelled = tuple[Class, Picture, str | None, int | None]
TERMS = {"licence": "research", "consent": "not asked"}


class Faces:
    """A source of faces cut out already: (label, picture, person, part)."""

    def __init__(self, *faces: Labelled, name: str = "s") -> None:
        self.row = SourceRow(name, name, "list", name, **TERMS)
        self.notices: list[str] = []
        self.withdrawn: list[str] = []
        self.faces = faces

    def __len__(self) -> int:
        return len(self.faces)

    def __iter__(self) -> Iterator[Found]:
        for i, (label, picture, person, usage) in enumerate(self.faces):
            yield Found(
                str(i),
                picture,
                label,
                person=person,
                usage=usage,
                cropped=True,
            )


def many(count: int, persons: int = 0) -> Faces:
    return Faces(
        *(
            (LABELS[i % 7], face(i), f"p{i % persons}" if persons else None, None)
            for i in range(count)
        )
    )


def packed(picture: Picture, how: str) -> Picture:
    if how == "jpeg":
        data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 40])[1]
        return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), np.uint8)
    if how == "dim":
        return (picture * 0.4 + 20).astype(np.uint8)
    if how == "coarse":
        small = cv2.resize(picture, (32, 32), interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.resize(small, (48, 48)), np.uint8)
    marked = picture.copy()
    cv2.putText(marked, "STOCK", (2, 30), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255,), 1)
    return marked
