"""Who did what: a list in which each entry's hash covers the one before, so that none can be
changed or taken out unseen."""

import hashlib
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

FIRST = "0" * 64


class Entry(Struct, frozen=True):
    """One act. `action` is a verb with its object, such as `consent.withdrawn`; `subject` names
    whom or what it was about, by code name or id; `detail` is JSON: counts, versions, file names,
    never content."""

    id: int
    utc: int
    user: str
    action: str
    subject: str
    detail: str
    hash: str


def note(db: Any, utc: float, user: str, action: str, subject: str = "", **detail: object) -> None:
    """Add an entry in the transaction of the act itself. `utc` in seconds."""
    last = db.execute("SELECT hash FROM audit ORDER BY id DESC LIMIT 1").fetchone()
    row = (round(utc * 1000), user, action, subject, msgspec.json.encode(detail).decode())
    db.execute(
        "INSERT INTO audit (utc, user, action, subject, detail, hash) VALUES (?, ?, ?, ?, ?, ?)",
        (*row, _hash(last[0] if last else FIRST, row)),
    )


def entries(
    db: Any, before: int | None = None, limit: int = 100, action: str | None = None
) -> list[Entry]:
    """The newest entries first, those with an id under `before`; of one action, or all."""
    rows = db.execute(
        "SELECT id, utc, user, action, subject, detail, hash FROM audit "
        "WHERE id < ? AND (? IS NULL OR action = ?) ORDER BY id DESC LIMIT ?",
        (before if before is not None else 1 << 62, action, action, limit),
    )
    return [Entry(*row) for row in rows]


def actions(db: Any) -> list[str]:
    """Every action that occurs, by name."""
    rows = db.execute("SELECT DISTINCT action FROM audit ORDER BY action")
    return [action for (action,) in rows]


def every(db: Any) -> list[Entry]:
    """All entries, oldest first, for a file."""
    return list(_all(db))


def broken(db: Any) -> int | None:
    """The id of the first entry that does not follow from the one before it, None when all do."""
    before = FIRST
    for entry in _all(db):
        row = (entry.utc, entry.user, entry.action, entry.subject, entry.detail)
        if entry.hash != _hash(before, row):
            return entry.id
        before = entry.hash
    return None


def _all(db: Any) -> Iterator[Entry]:
    for row in db.execute(
        "SELECT id, utc, user, action, subject, detail, hash FROM audit ORDER BY id"
    ):
        yield Entry(*row)


def _hash(before: str, row: tuple[object, ...]) -> str:
    return hashlib.sha256(msgspec.json.encode([before, *row])).hexdigest()
