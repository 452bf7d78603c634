"""Photographs with a word for each face, seen as the box sees them: face finder, then crop."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from mien.camera import CameraError
from mien.config import Config
from mien.crop import SIDE, crop
from mien.events import EXPRESSIONS
from mien.faces import Face, FaceFinder, open_finder
from mien.filenames import quoted
from mien.pictures import decode, is_picture
from mien.pose import turn
from mien.reading import Look, look
from mien_convert.errors import DatasetError
from mien_convert.sources import SourceError
from mien_convert.spelling import Classes, nearest
from mien_convert.tables import Beside, opened

log = logging.getLogger(__name__)

LABELS_FILE = "labels.csv"


class Photograph(NamedTuple):
    file: Path
    label: int | None
    """Index into `EXPRESSIONS`, None where nobody said."""


@dataclass
class Faces:
    """The faces of photographs, the widest of each."""

    crops: NDArray[np.uint8]
    """u8 [N, 48, 48]."""
    photographs: list[Photograph]
    """Of each crop."""
    looks: list[Look | None]
    """What was measured of each; None for a picture that was a crop already."""
    several: int = 0
    """Photographs in which more than one face was found."""
    without_face: list[Photograph] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    """A sentence for each file that could not be read."""


def labelled_photographs(folder: Path, labels: Path | None = None) -> list[Photograph]:
    """The pictures of a folder with their labels.

    From `labels`, or `labels.csv` in the folder: a file name and a word in each line; else from one
    subfolder for each expression. Files that are no pictures are passed over with a warning.

    Raises:
        DatasetError: something is misspelt, missing or empty.
    """
    if not folder.is_dir():
        raise DatasetError(f"There is no folder {folder}; expected one with pictures of faces.")
    if labels is None and (folder / LABELS_FILE).is_file():
        labels = folder / LABELS_FILE
    if labels is not None:
        return _from_csv(folder, labels)
    classes = [entry for entry in _entries(folder) if entry.is_dir()]
    if not classes:
        raise DatasetError(
            f"{folder} has neither {LABELS_FILE} nor a folder for each expression "
            f"({', '.join(EXPRESSIONS)}); without labels nothing can be counted as right."
        )
    labelled = [(one, _label(one.name, f"the folder {one}")) for one in classes]
    return _wanted([Photograph(file, row) for one, row in labelled for file in pictures_in(one)])


def photographs_at(path: Path) -> list[Photograph]:
    """A picture, or those of a folder with or without labels. Raises DatasetError."""
    if not path.is_dir():
        if not path.exists():
            raise DatasetError(f"There is no picture or folder {path}.")
        return [Photograph(path, None)]
    if any(entry.is_dir() for entry in _entries(path)) or (path / LABELS_FILE).is_file():
        return labelled_photographs(path)
    return [Photograph(file, None) for file in pictures_in(path)]


def pictures_in(folder: Path) -> list[Path]:
    """The pictures of a folder by name, without its subfolders.

    Raises:
        DatasetError: there are none.
    """
    files = [entry for entry in _entries(folder) if entry.is_file()]
    pictures = [file for file in files if is_picture(file)]
    others = [file.name for file in files if file not in pictures]
    if not pictures:
        found = f"only {_some(others)}" if others else "nothing"
        raise DatasetError(
            f"The folder {folder} holds no pictures, {found}; put JPEG or PNG files in it, or "
            "remove it."
        )
    if others:
        log.warning("passed over in %s, for they are no pictures: %s", folder, _some(others))
    return pictures


def _entries(folder: Path) -> list[Path]:
    """What lies in a folder, by name; hidden files are passed over."""
    try:
        return [entry for entry in sorted(folder.iterdir()) if not entry.name.startswith(".")]
    except OSError as error:
        raise DatasetError(f"The folder {folder} cannot be read: {error.strerror}.") from error


def _from_csv(folder: Path, labels: Path) -> list[Photograph]:
    try:
        with opened(labels) as table:
            lines = [(1, table.header), *table]
    except SourceError as error:
        raise DatasetError(f"{labels} cannot be read as a CSV file: {error}") from None
    beside = Beside(folder)
    # A first line with neither a picture nor an expression names the columns.
    _, head = lines[0]
    named = beside(head[0].strip()) is not None
    if not named and (len(head) < 2 or Classes().find(head[1]) is None):
        del lines[0]
    if not lines:
        raise DatasetError(
            f"{labels} names no pictures; expected lines such as 0001.jpg,happiness."
        )
    photographs, missing = [], []
    for number, row in lines:
        if len(row) < 2:
            raise DatasetError(
                f"{labels}, line {number}: expected a file and an expression, not {quoted(row[0])}."
            )
        label = _label(row[1], f"{labels}, line {number}")
        name = row[0].strip()
        file = beside(name)
        if file is None:
            missing.append(name)
        else:
            photographs.append(Photograph(file, label))
    if missing:
        raise DatasetError(
            f"{labels} names {len(missing)} of {len(lines)} pictures that are not in "
            f"{folder}: {_some(missing)}."
        )
    return _wanted(photographs)


def _label(text: str, where: str) -> int | None:
    """The index that a word means, None for one outside the seven, such as contempt."""
    found = Classes().find(text)
    if found is None:
        near = nearest(text)
        raise DatasetError(
            f"{where}: {quoted(text.strip())} is no expression; expected one of "
            f"{', '.join(EXPRESSIONS)}" + (f" (did you mean {near}?)." if near else ".")
        )
    return None if found == "other" else EXPRESSIONS.index(found)


def _wanted(photographs: list[Photograph]) -> list[Photograph]:
    wanted = [photo for photo in photographs if photo.label is not None]
    if len(wanted) < len(photographs):
        log.warning(
            "left out: %d pictures with a word outside the seven expressions",
            len(photographs) - len(wanted),
        )
    return wanted


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def box_finder() -> tuple[FaceFinder, str | None]:
    """The face finder of a box with default settings and, if it is a fallback, why."""
    config = Config()
    return open_finder(config.faces, models_dir=config.state_dir / "models")


def read_faces(photographs: Sequence[Photograph], finder: FaceFinder) -> Faces:
    """Find the widest face of each photograph and crop it; a picture of 48×48 is a crop already.

    Raises:
        DatasetError: not one face was found.
    """
    faces = Faces(np.empty((0, SIDE, SIDE), np.uint8), [], [])
    crops = []
    for photograph in tqdm(photographs, "finding faces", leave=False, disable=None):
        try:
            image = decode(photograph.file)
        except CameraError as error:
            faces.skipped.append(str(error))
            log.warning("skipped: %s", error)
            continue
        measured = None
        if image.shape[:2] == (SIDE, SIDE):
            picture = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.uint8, copy=False)
        else:
            found = finder.find(image, thorough=True)
            if not found:
                faces.without_face.append(photograph)
                continue
            faces.several += len(found) > 1
            face: Face = max(found, key=lambda face: face.box[2])
            picture = crop(image, face)
            measured = look(picture, face.box[2], turn(face.keypoints, face.box))
        crops.append(picture)
        faces.photographs.append(photograph)
        faces.looks.append(measured)
    if not crops:
        raise DatasetError(
            f"No face was found in any of the {len(photographs)} pictures"
            + (f" ({len(faces.skipped)} could not be read)" if faces.skipped else "")
            + "; expected photographs of faces, or crops of 48×48 pixels."
        )
    faces.crops = np.stack(crops)
    return faces
