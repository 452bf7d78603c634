"""What is changed of a session afterwards: topics added, moved, renamed, deleted, and stretches
excluded or counted again. Each change gives back the one that undoes it."""

import uuid
from typing import Any

from msgspec import Struct

from mien.events import MienError


class Gone(MienError, LookupError):
    """What was to be changed is not in this session."""


class Exclude(Struct, frozen=True, tag=True):
    """Leave a stretch out of every figure."""

    from_ms: int
    to_ms: int


class Count(Struct, frozen=True, tag=True):
    """Take an excluded stretch back, or exclude it again."""

    exclusion: str
    counted: bool = True


class Add(Struct, frozen=True, tag=True):
    """A topic that was not tagged at the time; `keyword` is its id."""

    keyword: str
    from_ms: int
    to_ms: int


class Move(Struct, frozen=True, tag=True):
    """Another beginning and end of a tag."""

    tag: str
    from_ms: int
    to_ms: int | None


class Rename(Struct, frozen=True, tag=True):
    """Another keyword, by its id."""

    tag: str
    keyword: str


class Delete(Struct, frozen=True, tag=True):
    """Delete a tag, or put it back."""

    tag: str
    deleted: bool = True


Edit = Exclude | Count | Add | Move | Rename | Delete


def apply(db: Any, session: str, edit: Edit) -> Edit:
    """Change a session, by its id; the change that undoes it.

    Raises:
        Gone: the tag or the excluded stretch is not one of this session, or no longer.
    """
    match edit:
        case Exclude(from_ms, to_ms):
            key = str(uuid.uuid4())
            db.execute(
                "INSERT INTO exclusions (id, session, from_ms, to_ms) VALUES (?, ?, ?, ?)",
                (key, session, from_ms, to_ms),
            )
            return Count(key)
        case Count(exclusion, counted):
            _one(
                db.execute(
                    "UPDATE exclusions SET deleted = ? WHERE id = ? AND session = ? "
                    "AND deleted != ?",
                    (counted, exclusion, session, counted),
                )
            )
            return Count(exclusion, not counted)
        case Add(keyword, from_ms, to_ms):
            key = str(uuid.uuid4())
            db.execute(
                "INSERT INTO tags (id, session, keyword, from_ms, to_ms) VALUES (?, ?, ?, ?, ?)",
                (key, session, keyword, from_ms, to_ms),
            )
            return Delete(key)
        case Move(tag, from_ms, to_ms):
            _, old_from, old_to = _tag(db, session, tag)
            db.execute("UPDATE tags SET from_ms = ?, to_ms = ? WHERE id = ?", (from_ms, to_ms, tag))
            return Move(tag, old_from, old_to)
        case Rename(tag, keyword):
            old, _, _ = _tag(db, session, tag)
            db.execute("UPDATE tags SET keyword = ? WHERE id = ?", (keyword, tag))
            return Rename(tag, old)
        case Delete(tag, deleted):
            _tag(db, session, tag, deleted=not deleted)
            db.execute("UPDATE tags SET deleted = ? WHERE id = ?", (deleted, tag))
            return Delete(tag, not deleted)


def _tag(db: Any, session: str, tag: str, *, deleted: bool = False) -> tuple[str, int, int | None]:
    found = db.execute(
        "SELECT keyword, from_ms, to_ms FROM tags WHERE id = ? AND session = ? AND deleted = ?",
        (tag, session, deleted),
    ).fetchone()
    if not found:
        raise Gone("This topic is not in this session any more. Load the page again.")
    return found[0], found[1], found[2]


def _one(done: Any) -> None:
    if not done.rowcount:
        raise Gone("This stretch is not in this session any more. Load the page again.")
