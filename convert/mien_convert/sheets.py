"""Contact sheets: what a library holds, class by class, to be looked at."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mien_convert.dataset import LABELS
from mien_convert.errors import WorkshopError
from mien_convert.library import Faces, Library

COLUMNS = 20
CELL = 64
"""Pixels; a face fills all of it but a rim, its number stands below."""
RIM = 3
CAPTION = 14
HEAD = 34
FAMILIES = ("duplicate", "label conflict")
FAULTS = ("not a face", "votes of another picture", "blank")


def write_sheets(library: Library, folder: Path, count: int) -> list[Path]:
    """Write `happiness.png` and so on, at most `count` faces each, evenly drawn from what is there,
    and one sheet for each reason why faces were dropped; those of doubles show whole families.

    Raises:
        WorkshopError: there are no faces, or the folder cannot be written.
    """
    sheets: list[tuple[str, str]] = [
        (label, f"label = {i} AND stage = 2") for i, label in enumerate(LABELS)
    ]
    sheets += [
        (why, f"family IN (SELECT family FROM rows WHERE why = '{why}')") for why in FAMILIES
    ]
    sheets += [(why, f"why = '{why}'") for why in FAULTS]
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, where in sheets:
            faces = library.faces(where)
            if len(faces):
                target = folder / f"{name}.png"
                done, data = cv2.imencode(".png", sheet(name, faces, count))
                assert done
                target.write_bytes(data.tobytes())
                written.append(target)
    except OSError as error:
        if isinstance(error, WorkshopError):
            raise
        raise WorkshopError(
            f"The sheets cannot be written to {folder}: {error.strerror or error}; give a folder "
            "that can be written, with room for some megabytes."
        ) from error
    if not written:
        raise WorkshopError(f"The library {library.folder} holds no faces to show; import some.")
    return written


def sheet(name: str, faces: Faces, count: int) -> NDArray[np.uint8]:
    """Faces in rows under a heading, each with its id, u8 [h, w]. Families lie side by side."""
    order = np.lexsort([faces.ids, faces.families])
    chosen = order[np.unique(np.linspace(0, len(order) - 1, min(count, len(order))).astype(int))]
    if name in FAMILIES:
        chosen = order[:count]  # they are not torn
    rows = -(-len(chosen) // COLUMNS)
    height = CELL + CAPTION
    page = np.full((HEAD + rows * height, COLUMNS * CELL), 250, np.uint8)
    _write(page, f"{name}: {len(faces)} faces, {len(chosen)} shown", (RIM, HEAD - 12), 0.6)
    side = CELL - 2 * RIM
    for place, index in enumerate(chosen):
        x, y = place % COLUMNS * CELL, HEAD + place // COLUMNS * height
        face = cv2.resize(faces.crops[index], (side, side), interpolation=cv2.INTER_CUBIC)
        page[y + RIM : y + RIM + side, x + RIM : x + RIM + side] = face
        caption = _caption(name, faces, index)
        _write(page, caption, (x + RIM, y + CELL + CAPTION - 5), 0.33)
    return page


def _caption(name: str, faces: Faces, index: int) -> str:
    if name in LABELS:
        return str(faces.ids[index])
    return f"{faces.ids[index]} {LABELS[faces.labels[index]][:3]}"


def _write(page: NDArray[np.uint8], text: str, at: Sequence[int], scale: float) -> None:
    cv2.putText(page, text, at, cv2.FONT_HERSHEY_SIMPLEX, scale, (30,), 1, cv2.LINE_AA)
