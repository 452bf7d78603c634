"""Captures: faces that somebody kept on purpose, what the network said of them, and what a person
says. The person's word beats the network's everywhere: `label`."""

import struct
from typing import Any

from msgspec import Struct

from mien import events
from mien.events import EXPRESSIONS


class Correction(Struct, frozen=True):
    """What a person says a capture looks like. `expression` is the place in `EXPRESSIONS`; None:
    the person cannot tell either. `blind`: said without having seen what the network said."""

    id: int
    expression: int | None
    user: str
    utc: int
    blind: bool


class Capture(Struct, frozen=True):
    """One captured face, without its pictures (`face`, `crop`) and arrays (`maps`, `embedding`).

    `expression` is the network's, the place in `EXPRESSIONS`, or None with the `reason` why it
    cannot tell; `probabilities` are seven, 0–1; `side` is that of a map, in cells.
    """

    id: str
    session: str
    at_ms: int
    expression: int | None
    reason: str | None
    probabilities: tuple[float, ...]
    side: int
    bundle: str
    quality: float
    deleted: bool
    correction: Correction | None


class Judged(Struct, frozen=True):
    """What was said of one capture: by the network of a bundle, and by a person."""

    network: int | None
    bundle: str
    labelled: bool
    """Whether a person said anything."""
    person: int | None
    """None also when the person could not tell either."""
    blind: bool


def label(capture: Capture) -> int | None:
    """What a capture counts as: the newest correction if there is one, else the prediction."""
    return capture.correction.expression if capture.correction else capture.expression


def add(db: Any, id: str, session: str, at_ms: int, capture: events.Capture) -> bool:
    """Keep a capture under an id made up by the browser; False when it is there already.

    `session` is the session's id, `at_ms` milliseconds since its start.
    """
    row = db.execute(
        "INSERT OR IGNORE INTO captures (id, session, at_ms, face, crop, expression, reason, "
        "probabilities, embedding, maps, side, bundle, quality) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            id, session, at_ms, capture.face, capture.crop,
            None if capture.expression is None else EXPRESSIONS.index(capture.expression),
            capture.reason,
            struct.pack("<7f", *(capture.probabilities[name] for name in EXPRESSIONS)),
            capture.embedding, capture.maps, capture.side, capture.bundle, capture.quality,
        ),
    )  # fmt: skip
    return bool(row.rowcount)


_SELECT = """
    SELECT c.id, c.session, c.at_ms, c.expression, c.reason, c.probabilities, c.side, c.bundle,
        c.quality, c.deleted, k.id, k.expression, k.user, k.utc, k.blind
    FROM captures c LEFT JOIN corrections k
        ON k.id = (SELECT max(id) FROM corrections WHERE capture = c.id) """


def of_session(db: Any, session: str) -> list[Capture]:
    """The captures of a session, by its id, in order of time, without deleted ones."""
    rows = db.execute(
        _SELECT + "WHERE c.session = ? AND NOT c.deleted ORDER BY c.at_ms, c.id", (session,)
    )
    return [_capture(row) for row in rows]


def of_client(db: Any, client: str) -> list[Capture]:
    """The captures of a client, by id, the oldest session first, without deleted ones."""
    rows = db.execute(
        _SELECT + "JOIN sessions s ON s.id = c.session WHERE s.client = ? AND NOT c.deleted "
        "ORDER BY s.utc, s.id, c.at_ms, c.id",
        (client,),
    )
    return [_capture(row) for row in rows]


def judged(db: Any, owner: int, client: str | None = None) -> list[Judged]:
    """What was said of the captures of a user's clients, or of one of them; not deleted ones."""
    rows = db.execute(
        "SELECT c.expression, c.bundle, k.id IS NOT NULL, k.expression, k.blind "
        "FROM clients p JOIN sessions s ON s.client = p.id JOIN captures c ON c.session = s.id "
        "LEFT JOIN corrections k ON k.id = (SELECT max(id) FROM corrections WHERE capture = c.id) "
        "WHERE p.owner = ? AND (? IS NULL OR p.id = ?) AND NOT c.deleted",
        (owner, client, client),
    )
    return [
        Judged(network, bundle, bool(said), person, bool(blind))
        for network, bundle, said, person, blind in rows
    ]


def count(db: Any, session: str) -> int:
    """How many captures a session has, by its id."""
    query = "SELECT count(*) FROM captures WHERE session = ? AND NOT deleted"
    return int(db.execute(query, (session,)).fetchone()[0])


def find(db: Any, id: str, owner: int) -> Capture | None:
    """A capture of one of this user's clients, deleted or not."""
    row = db.execute(
        _SELECT + "JOIN sessions s ON s.id = c.session JOIN clients p ON p.id = s.client "
        "WHERE c.id = ? AND p.owner = ?",
        (id, owner),
    ).fetchone()
    return _capture(row) if row else None


def face(db: Any, id: str) -> bytes:
    """JPEG in colour."""
    return _blob(db, "face", id)


def crop(db: Any, id: str) -> bytes:
    """PNG, 48×48 grey: what the network saw."""
    return _blob(db, "crop", id)


def maps(db: Any, id: str) -> bytes:
    """Class-activation maps, u8 [7, side, side]; empty where the bundle gave none."""
    return _blob(db, "maps", id)


def embedding(db: Any, id: str) -> bytes:
    """f32 little-endian [C]; empty where the bundle gave none."""
    return _blob(db, "embedding", id)


def correct(
    db: Any, id: str, expression: int | None, user: str, utc: float, *, blind: bool = False
) -> int:
    """Note what a person says a capture looks like; the number of this correction.

    `utc` in seconds; `expression` None when the person cannot tell either.
    """
    row = db.execute(
        "INSERT INTO corrections (capture, expression, user, utc, blind) VALUES (?, ?, ?, ?, ?)",
        (id, expression, user, round(utc * 1000), blind),
    )
    return int(row.lastrowid)


def take_back(db: Any, id: str) -> bool:
    """Take back the newest correction of a capture; False when there is none."""
    return bool(
        db.execute(
            "DELETE FROM corrections WHERE id = "
            "(SELECT max(id) FROM corrections WHERE capture = ?)",
            (id,),
        ).rowcount
    )


def delete(db: Any, id: str, *, deleted: bool = True) -> None:
    """Take a capture out of every list and count, or put it back while `sweep` has not run."""
    db.execute("UPDATE captures SET deleted = ? WHERE id = ?", (deleted, id))


def sweep(db: Any, owner: int) -> int:
    """Erase for good what was deleted of this user's clients; how many captures it was."""
    return int(
        db.execute(
            "DELETE FROM captures WHERE deleted AND session IN (SELECT s.id FROM sessions s "
            "JOIN clients p ON p.id = s.client WHERE p.owner = ?)",
            (owner,),
        ).rowcount
    )


def _capture(row: tuple[Any, ...]) -> Capture:
    id, session, at_ms, expression, reason, probabilities, side, bundle, quality, deleted = row[:10]
    correction, said, user, utc, blind = row[10:]
    return Capture(
        id=id,
        session=session,
        at_ms=at_ms,
        expression=expression,
        reason=reason,
        probabilities=struct.unpack("<7f", probabilities),
        side=side or 0,
        bundle=bundle,
        quality=quality or 0.0,
        deleted=bool(deleted),
        correction=None
        if correction is None
        else Correction(correction, said, user, utc, bool(blind)),
    )


def _blob(db: Any, column: str, id: str) -> bytes:
    found = db.execute(f"SELECT {column} FROM captures WHERE id = ?", (id,)).fetchone()
    return bytes(found[0]) if found and found[0] is not None else b""
