"""What a network answered for the pictures of the library, of each bundle and head the newest."""

import struct
from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from mien import gallery
from mien.events import EXPRESSIONS
from mien.gallery import Filter


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


class Summary(Struct, frozen=True):
    """Labels against answers over a selection of the library.

    `table`: [7][8], rows the labels, columns the answers, the last one: cannot tell. `total`
    pictures were selected; `waiting` of them have no prediction yet; `unlabelled` have one, but
    nobody said what they look like.
    """

    table: list[list[int]]
    total: int
    waiting: int
    unlabelled: int


class Mistake(Struct, frozen=True):
    """A picture whose label and answer differ. `confidence`: 0–1, of the answer."""

    picture: int
    name: str
    expression: int
    answer: int
    confidence: float


_COUNTED = "INDEXED BY predictions_counted"  # else SQLite reads the rows with their embeddings


def summary(db: Any, user: int, chosen: Filter, bundle: str, head: str) -> Summary:
    """What is predicted of those pictures that this user may see."""
    fits, values = gallery.where(user, chosen)
    rows = db.execute(
        "SELECT p.expression, r.picture IS NOT NULL, r.expression, count(*) FROM pictures p "
        f"LEFT JOIN predictions r {_COUNTED} ON r.picture = p.id AND r.bundle = ? AND r.head = ? "
        f"{fits} GROUP BY 1, 2, 3",
        (bundle, head, *values),
    ).fetchall()
    table = [[0] * (len(EXPRESSIONS) + 1) for _ in EXPRESSIONS]
    for expression, predicted, answer, count in rows:
        if predicted and expression is not None:
            table[expression][len(EXPRESSIONS) if answer is None else answer] += count
    return Summary(
        table,
        total=sum(row[3] for row in rows),
        waiting=sum(row[3] for row in rows if not row[1]),
        unlabelled=sum(row[3] for row in rows if row[1] and row[0] is None),
    )


def mistakes(
    db: Any, user: int, chosen: Filter, bundle: str, head: str, most: int
) -> list[Mistake]:
    """The answers that are wrong by the label, the surest first."""
    fits, values = gallery.where(user, chosen)
    rows = db.execute(
        "SELECT p.id, p.name, p.expression, r.expression, "
        "substr(r.probabilities, 1 + 4 * r.expression, 4) FROM pictures p "
        "JOIN predictions r ON r.picture = p.id AND r.bundle = ? AND r.head = ? "
        "WHERE p.id IN (SELECT p.id FROM pictures p "
        f"JOIN predictions r {_COUNTED} ON r.picture = p.id AND r.bundle = ? AND r.head = ? "
        f"{fits} AND p.expression <> r.expression)",
        (bundle, head, bundle, head, *values),
    )
    found = [
        Mistake(id, name, expression, answer, struct.unpack("<f", confidence)[0])
        for id, name, expression, answer, confidence in rows
    ]
    return sorted(found, key=lambda mistake: (-mistake.confidence, mistake.picture))[:most]


def crops(db: Any, user: int, chosen: Filter, after: int, most: int) -> list[Crop]:
    """The next pictures with an id above `after`, by id."""
    fits, values = gallery.where(user, chosen)
    rows = db.execute(
        f"SELECT p.id, p.crop FROM pictures p {fits} AND p.id > ? ORDER BY p.id LIMIT ?",
        (*values, after, most),
    )
    return [Crop(id, bytes(png)) for id, png in rows]
