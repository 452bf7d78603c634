"""Personal heads: last layers fitted to one client's corrected captures, and what they may be
fitted to. Only captures of a client whose consent to training is valid are ever handed out."""

from collections import Counter
from typing import Any, Literal

import msgspec
from msgspec import Struct

from mien.events import EXPRESSIONS
from mien.intervals import mcnemar

FEWEST = 10
"""Corrected captures without which no head is fitted."""
BALLAST_EACH = 100
"""Pictures of the library that go along at most, of each expression."""


class Settings(Struct, frozen=True):
    """What a head is fitted with, see `mien.fitting.fit`."""

    strength: float = 30.0
    library: bool = True
    iterations: int = 500


class Result(Struct, frozen=True):
    """What came of it, measured on captures that the fitting had not seen.

    `before` and `after` count, [7][7] in the order of `EXPRESSIONS`, what the person said (rows)
    against what the bundle's own layer and the fitted one found most likely.
    """

    captures: int
    sessions: int
    ballast: int
    """Pictures of the library."""
    folds: int
    by: Literal["session", "capture"]
    """What was held out together: whole sessions, or single captures."""
    before: list[list[int]]
    after: list[list[int]]
    gained: int
    """Right only after."""
    lost: int
    """Right only before."""
    seconds: float
    settled: bool
    """Whether the minimum was reached within the iterations."""

    @property
    def right_before(self) -> int:
        return sum(row[k] for k, row in enumerate(self.before))

    @property
    def right_after(self) -> int:
        return sum(row[k] for k, row in enumerate(self.after))

    @property
    def better(self) -> bool:
        return self.gained > self.lost

    @property
    def luck(self) -> float:
        """How likely luck alone makes such a difference, 0–1."""
        return mcnemar(self.gained, self.lost)


class Head(Struct, frozen=True):
    """A fitted head, without its weights. `utc` in milliseconds."""

    id: str
    client: str
    bundle: str
    utc: int
    settings: Settings
    result: Result
    active: bool


class Example(Struct, frozen=True):
    """A face and what it is said to look like.

    `embedding` is f32 little-endian [C] of the bundle asked for, or None where another one was at
    work; `crop` is a PNG, 48×48 grey; `expression` the place in `EXPRESSIONS`; `group` keeps
    together what resembles each other: the session.
    """

    expression: int
    crop: bytes
    embedding: bytes | None = None
    group: str = ""


class Task(Struct, frozen=True):
    """What the process that fits (`mien.fitting`) gets."""

    bundle: str
    """The folder of the bundle."""
    settings: Settings
    captures: list[Example]
    ballast: list[Example]


class Fitted(Struct, frozen=True):
    """What it gives back."""

    weights: bytes
    """f32 little-endian: weights [C, 7], then bias [7]."""
    result: Result


# A consent is valid while it is not withdrawn. What a therapist excluded counts nowhere.
_CORRECTED = """
    FROM captures c
    JOIN sessions s ON s.id = c.session
    JOIN corrections k ON k.id = (SELECT max(id) FROM corrections WHERE capture = c.id)
    WHERE s.client = ? AND NOT c.deleted AND k.expression IS NOT NULL
        AND EXISTS (SELECT 1 FROM consents WHERE client = s.client AND kind = 'training'
            AND withdrawn_utc IS NULL)
        AND NOT EXISTS (SELECT 1 FROM exclusions WHERE session = s.id AND NOT deleted
            AND from_ms <= c.at_ms AND (to_ms IS NULL OR c.at_ms < to_ms)) """
# Faces of people without a client's record: no picture that came from anybody's session.
_BALLAST = "FROM pictures WHERE client IS NULL AND capture IS NULL AND expression IS NOT NULL "


def corrected(db: Any, client: str) -> Counter[int]:
    """How many captures a head of this client may be fitted to, by expression."""
    rows = db.execute(f"SELECT k.expression, count(*) {_CORRECTED} GROUP BY 1", (client,))
    return Counter(dict(rows.fetchall()))


def examples(db: Any, client: str, bundle: str) -> list[Example]:
    """The corrected captures of a client, the oldest first; none without consent to training."""
    rows = db.execute(
        "SELECT k.expression, c.crop, CASE WHEN c.bundle = ? THEN c.embedding END, s.id "
        f"{_CORRECTED} ORDER BY s.utc, s.id, c.at_ms, c.id",
        (bundle, client),
    )
    return [
        Example(expression, bytes(crop), bytes(embedding) if embedding else None, session)
        for expression, crop, embedding, session in rows
    ]


def ballast_size(db: Any) -> int:
    """How many pictures of the library would go along."""
    rows = db.execute(f"SELECT count(*) {_BALLAST} GROUP BY expression")
    return sum(min(count, BALLAST_EACH) for (count,) in rows)


def ballast(db: Any, bundle: str) -> list[Example]:
    """Labelled pictures of the library: of each expression the same ones each time, spread by
    their hashes; with the embedding where the bundle has predicted them."""
    found = []
    for expression in range(len(EXPRESSIONS)):
        rows = db.execute(
            "SELECT p.crop, (SELECT embedding FROM predictions WHERE picture = p.id "
            "AND bundle = ? AND head = '') FROM (SELECT id, crop, sha256 "
            f"{_BALLAST} AND expression = ? ORDER BY sha256 LIMIT ?) p",
            (bundle, expression, BALLAST_EACH),
        )
        found += [
            Example(expression, bytes(crop), bytes(embedding) if embedding else None)
            for crop, embedding in rows
        ]
    return found


def add(
    db: Any, id: str, client: str, bundle: str, utc: float, weights: bytes,
    settings: Settings, result: Result,
) -> None:  # fmt: skip
    """Keep a fitted head, not active. `weights`: f32 little-endian [C, 7], then bias [7]; `utc` in
    seconds."""
    db.execute(
        "INSERT INTO heads (id, client, bundle, utc, weights, settings, result) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        (id, client, bundle, round(utc * 1000), weights,
         msgspec.json.encode(settings).decode(), msgspec.json.encode(result).decode()),
    )  # fmt: skip


_SELECT = "SELECT id, client, bundle, utc, settings, result, active FROM heads "


def of_client(db: Any, client: str) -> list[Head]:
    """The heads of a client, the newest first."""
    rows = db.execute(_SELECT + "WHERE client = ? ORDER BY utc DESC, id", (client,))
    return [_head(row) for row in rows]


def of_owner(db: Any, owner: int, bundle: str) -> list[tuple[Head, str]]:
    """The heads that fit a bundle, of all clients of a user, each with the client's code name."""
    rows = db.execute(
        "SELECT h.id, h.client, h.bundle, h.utc, h.settings, h.result, h.active, p.code "
        "FROM heads h JOIN clients p ON p.id = h.client WHERE p.owner = ? AND h.bundle = ? "
        "ORDER BY p.code, h.utc DESC",
        (owner, bundle),
    )
    return [(_head(row[:7]), row[7]) for row in rows]


def weights(db: Any, id: str) -> bytes:
    """The layer of a head, as `add` took it."""
    return bytes(db.execute("SELECT weights FROM heads WHERE id = ?", (id,)).fetchone()[0])


def activate(db: Any, client: str, id: str | None) -> None:
    """Read this client with this head from now on; None: with the bundle's own layer."""
    db.execute("UPDATE heads SET active = (id IS ?) WHERE client = ?", (id, client))


def delete(db: Any, client: str, id: str) -> None:
    """Erase a head of a client; a trigger erases what was predicted with it."""
    db.execute("DELETE FROM heads WHERE client = ? AND id = ?", (client, id))


def _head(row: tuple[Any, ...]) -> Head:
    id, client, bundle, utc, settings, result, active = row
    return Head(
        id, client, bundle, utc,
        msgspec.json.decode(settings, type=Settings),
        msgspec.json.decode(result, type=Result),
        bool(active),
    )  # fmt: skip
