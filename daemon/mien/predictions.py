"""What a network answered for the pictures of the library, of each bundle and head the newest."""

from collections.abc import Iterable
from typing import Any

from msgspec import Struct


class Crop(Struct, frozen=True):
    id: int
    """Of the picture."""
    png: bytes
    """48×48 grey."""


class Task(Struct, frozen=True):
    """What the process that predicts (`mien.predicting`) gets."""

    bundle: str
    """The folder of the bundle."""
    crops: list[Crop]
    head: bytes = b""
    """A personal last layer, f32 little-endian [C, 7] then [7]; empty: the bundle's own answer."""
    min_confidence: float | None = None
    """The config's own limit, if it has one, instead of the bundle's."""


class Prediction(Struct, frozen=True):
    """What it gives back for each crop."""

    id: int
    expression: int | None
    """Place in `EXPRESSIONS`; None: cannot tell."""
    probabilities: bytes
    """f32 little-endian [7], calibrated."""
    embedding: bytes
    """f32 little-endian [C]."""


def put(db: Any, bundle: str, head: str, found: Iterable[Prediction]) -> None:
    """Keep predictions, in place of older ones of the same bundle and head (`head` "" for none).

    A picture that was deleted meanwhile is passed over.
    """
    db.executemany(
        "INSERT OR REPLACE INTO predictions (picture, bundle, head, expression, probabilities, "
        "embedding) SELECT id, ?, ?, ?, ?, ? FROM pictures WHERE id = ?",
        [(bundle, head, p.expression, p.probabilities, p.embedding, p.id) for p in found],
    )
