"""From a library to the .npz file that `train` takes, with a sidecar that says where it is from."""

import hashlib
import io
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from mien.filenames import printable
from mien_convert.dataset import LABELS, USAGES
from mien_convert.errors import WorkshopError
from mien_convert.library import Library

VERSION = 1


class ExportError(WorkshopError, OSError):
    """The file cannot be written."""


def export(library: Library, out: Path) -> dict[str, Any]:
    """Write every face that is in a part to `out`, and beside it `<name>.json`; return the latter.

    Arrays: images u8 [N, 48, 48], labels, usage, fer_plus u8 [N, 10] (zeros where nobody voted) and
    align where any face has votes, source (the source's name), picture (id in the library). The
    same library gives the same bytes.

    Raises:
        WorkshopError: the library is not split.
        ExportError: the disk is full, or `out` cannot be written.
    """
    faces = library.faces("part IS NOT NULL")
    how = library.split()
    if how is None or len(faces) == 0:
        raise WorkshopError(
            f"The library {library.folder} is not split yet; run first: "
            f"mien-convert library {library.folder} split"
        )
    names = {source["id"]: source["name"] for source in library.sources()}
    arrays: dict[str, Any] = {
        "images": faces.crops,
        "labels": faces.labels.astype(np.uint8),
        "usage": faces.parts.astype(np.uint8),
        "source": np.array([names[source] for source in faces.sources.tolist()]),
        "picture": faces.ids,
    }
    if faces.votes.any():
        arrays |= {"fer_plus": faces.votes, "align": faces.align.astype(np.uint8)}
    sidecar = out.with_suffix(".json")
    parts = [out.with_name(f".{out.name}.part"), out.with_name(f".{sidecar.name}.part")]
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        data = io.BytesIO()  # a zip that meets a full disk cannot be closed
        np.savez(data, **arrays)
        parts[0].write_bytes(data.getbuffer())
        told = {
            "version": VERSION,
            "data": printable(out.name),
            "sha256": hashlib.sha256(data.getbuffer()).hexdigest(),
            "labels": list(LABELS),
            "pictures": len(faces),
            "split": how,
            "parts": {
                usage: {
                    label: int(((faces.parts == p) & (faces.labels == k)).sum())
                    for k, label in enumerate(LABELS)
                }
                for p, usage in enumerate(USAGES)
            },
            "sources": _sources(library, Counter(faces.sources.tolist())),
            "left_out": dict(library.left_out()),
        }
        parts[1].write_text(json.dumps(told, ensure_ascii=False, indent=2) + "\n", "utf-8")
        os.replace(parts[0], out)
        os.replace(parts[1], sidecar)
    except OSError as error:
        raise ExportError(
            f"{out} cannot be written: {error.strerror or error}; it needs "
            f"{len(faces) * 2500 >> 20} MB in a folder that can be written. "
            "What stood there before is untouched."
        ) from error
    finally:
        for part in parts:
            part.unlink(missing_ok=True)
    return told


def _sources(library: Library, used: Counter[int]) -> list[dict[str, Any]]:
    """Sources that pictures were taken from; their addresses stay in the library, for they may tell
    of the machine."""
    return [
        {key: source[key] for key in ("name", "kind", "licence", "consent", "sha256")}
        | {"pictures": used[source["id"]]}
        for source in library.sources()
        if used[source["id"]]
    ]
