"""What happens to a picture on its way into the library: read, judged, the face found and cut."""

import hashlib
import io
import logging
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from mien import config
from mien.camera import CameraError
from mien.crop import crop
from mien.faces import Face, FaceFinder, open_finder
from mien.pictures import decode
from mien_convert.dataset import BLANK_BELOW, LABELS, NOT_A_FACE, VOTES_NOT_TRUSTWORTHY
from mien_convert.duplicates import mark, thumbnail
from mien_convert.library import SIDE, Library, Picture, Reason
from mien_convert.network import require
from mien_convert.sources import Found, Later, Source, Unusable

log = logging.getLogger(__name__)

BATCH = 200
"""Pictures a transaction: what a kill can cost."""
STANDS_OUT = 2.0
"""Of several faces the largest is meant if its area is this many times the next one's."""
MIN_FACE_PX = config.Limits().min_face_px
COLOURS = {
    "1": "grey", "L": "grey", "LA": "grey", "I": "grey", "F": "grey", "I;16": "grey",
    "I;16B": "grey", "P": "palette", "PA": "palette",
}  # fmt: skip
"""Pillow's names of modes, where they are not the usual name of the colour space."""


class Imported(msgspec.Struct, frozen=True):
    """What an import did."""

    source: str
    id: int
    added: int
    known: int
    """Pictures that were in the library already."""
    refused: int
    """Pictures without consent: not taken, and removed if they had been."""
    notices: list[str]


def blazeface() -> FaceFinder:
    """The finder of the box. Raises FacesError when its networks are not on this machine: another
    finder would frame faces in another way."""
    models = config.default_state_dir() / "models"
    return open_finder(config.Faces(finder="blazeface"), models_dir=models)[0]


@dataclass
class Intake:
    """Puts pictures into a library.

    Args:
        open_finder: called when the first picture needs its face found.
    """

    library: Library
    open_finder: Callable[[], FaceFinder] = blazeface

    @cached_property
    def _finder(self) -> FaceFinder:
        return self.open_finder()

    def take(self, source: Source) -> Imported:
        """Import what is new of a source. What was read stays when this is broken off; the same
        source again goes on from there, and adds nothing once it is complete.

        Raises:
            WorkshopError: the source cannot go on, or the disk is full.
        """
        library = self.library
        id = library.source(source.row)
        before = library.labels(id)
        added, small, batch, later = 0, 0, list[Picture](), list[str]()
        bar = tqdm(source, total=len(source), unit="picture", disable=None, desc=source.row.name)
        try:
            for found in bar:
                if found.address in before:
                    if before[found.address] == _index(found):
                        continue
                    library.remove(id, [found.address])  # its label was mended at the source
                try:
                    picture = self.examine(found)
                except Later as error:
                    later.append(str(error))
                    continue
                small += picture.crop is not None and not found.cropped and _is_crop(picture)
                batch.append(picture)
                added += 1
                if len(batch) >= BATCH:
                    library.add(id, batch)
                    batch = []
        finally:
            bar.close()
            library.add(id, batch)
        if source.withdrawn:
            library.remove(id, source.withdrawn)
            library.set_refused(id, len(source.withdrawn))
        mark(library)
        notices = list(source.notices)
        if small:
            notices.append(
                f"{small} pictures of {SIDE}×{SIDE} were taken for faces cut out already"
            )
        if later:
            notices.append(f"{len(later)} pictures are left for another import: {later[0]}, …")
        for notice in notices:
            log.info("Note: %s.", notice)
        (name,) = (row["name"] for row in library.sources() if row["id"] == id)
        refused = len(source.withdrawn)
        return Imported(name, id, added, len(library.labels(id)) - added, refused, notices)

    def examine(self, found: Found) -> Picture:
        """One picture: read, judged, and its face cut out if that is worth it. Raises Later."""
        picture = Picture(
            found.address, found.page, label=_index(found), votes=found.votes, align=found.align,
            person=found.person, usage=found.usage,
        )  # fmt: skip
        try:
            content = found.content() if callable(found.content) else found.content
            if isinstance(content, np.ndarray):
                pixels = content
                image: NDArray[np.uint8] = cv2.cvtColor(content, cv2.COLOR_GRAY2BGR)  # type: ignore[assignment]
                digest, colour = hashlib.sha256(pixels.tobytes()).hexdigest(), "grey"
            else:
                image, digest, colour = _read(content)
        except (Unusable, CameraError, OSError) as error:
            log.warning("%s: %s", found.address, error)
            return replace(picture, reason="unreadable")
        height, width = image.shape[:2]
        picture = replace(
            picture, sha256=digest, width=width, height=height, colour=colour,
            thumb=thumbnail(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)).tobytes(),
        )  # fmt: skip
        reason = _unselected(found, width, height)
        if reason:
            return replace(picture, reason=reason)
        face, reason = self._face(image, found.cropped)
        if face is None:
            return replace(picture, reason=reason)
        if face.std() < BLANK_BELOW:
            reason = "blank"
        elif found.align == VOTES_NOT_TRUSTWORTHY:
            reason = "votes of another picture"
        elif _no_face_to_most(found):
            reason = "not a face"
        return replace(picture, reason=reason, crop=face.tobytes())

    def _face(
        self, image: NDArray[np.uint8], cropped: bool
    ) -> tuple[NDArray[np.uint8] | None, Reason | None]:
        """The crop, grey u8 [48, 48], or why there is none."""
        if cropped or image.shape[:2] == (SIDE, SIDE):
            grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
            small = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
            return small.astype(np.uint8, copy=False), None
        faces = sorted(self._finder.find(image, thorough=True), key=_area, reverse=True)
        if not faces:
            return None, "no face"
        if len(faces) > 1 and _area(faces[0]) < STANDS_OUT * _area(faces[1]):
            return None, "several faces"
        if faces[0].box[2] < MIN_FACE_PX:
            return None, "face too small"
        return crop(image, faces[0]), None


def _area(face: Face) -> float:
    return face.box[2] * face.box[3]


def _index(found: Found) -> int | None:
    return None if found.label in (None, "other") else LABELS.index(found.label)


def _is_crop(picture: Picture) -> bool:
    return (picture.width, picture.height) == (SIDE, SIDE)


def _no_face_to_most(found: Found) -> bool:
    """Whether most of the voters saw no face."""
    votes = found.votes
    return votes is not None and votes.index(max(votes)) == NOT_A_FACE


def _unselected(found: Found, width: int, height: int) -> Reason | None:
    if found.label in (None, "other") and _no_face_to_most(found):
        return "not a face"
    if found.label is None:
        return "no label"
    if found.label == "other":
        return "not one of the seven"
    return "too small" if min(width, height) < SIDE else None


def _read(content: Path | bytes) -> tuple[NDArray[np.uint8], str, str]:
    """BGR u8 [h, w, 3], SHA-256 of the file, colour space."""
    if isinstance(content, bytes):
        with tempfile.NamedTemporaryFile(prefix="mien-") as file:
            file.write(content)
            file.flush()
            image = decode(Path(file.name))
        data = content
    else:
        image = decode(content)
        data = content.read_bytes()
    return image, hashlib.sha256(data).hexdigest(), header(data)[2]


def header(data: bytes) -> tuple[int, int, str]:
    """Width, height and colour space that a picture file says it has; (0, 0, "unknown") for one
    that Pillow does not know."""
    pillow: Any = require("PIL.Image")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its size, which is judged elsewhere
        try:
            with pillow.open(io.BytesIO(data)) as image:
                width, height = image.size
                return width, height, COLOURS.get(image.mode, image.mode.lower())
        except Exception:  # Pillow's readers raise many kinds on a broken header
            return 0, 0, "unknown"
