"""What a person does: the activities of check-ins, a list of each client's own."""

import unicodedata
import uuid
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from mien.events import MienError

LONGEST = 40
_UNSEEN = ("Cc", "Cs", "Zl", "Zp")


class CheckinError(MienError, ValueError):
    """Why a check-in, or an activity of check-ins, cannot be kept."""


class Activity(Struct, frozen=True):
    """`used`: in how many check-ins. Hidden ones are not offered any more."""

    id: str
    text: str
    hidden: bool
    used: int


def of(db: Any, client: str, *, hidden: bool = False) -> list[Activity]:
    """A client's activities, the most used first, of these the last used; the hidden ones too where
    asked for."""
    rows = db.execute(
        "SELECT id, text, hidden, (SELECT count(*) FROM checkin_activities l JOIN checkins c "
        "ON c.id = l.checkin WHERE l.activity = a.id AND NOT c.deleted) FROM activities a "
        "WHERE client = ? AND hidden <= ? ORDER BY 4 DESC, used_utc DESC, text, id",
        (client, hidden),
    )
    return [Activity(id, text, bool(gone), used) for id, text, gone, used in rows]


def rename(db: Any, client: str, id: str, text: str) -> str:
    """Another text for an activity of the client; where one of this text is there already, the two
    become that one. The id under which it is found now.

    Raises:
        CheckinError: the text cannot be one, or the activity is not there any more.
    """
    new = named(text)
    query = "SELECT used_utc FROM activities WHERE id = ? AND client = ?"
    found = db.execute(query, (id, client)).fetchone()
    if not found:
        raise CheckinError("This activity is not there any more. Load the page again.")
    other = _ids(db, client).get(new.casefold(), id)
    if other != id:
        db.execute(
            "INSERT OR IGNORE INTO checkin_activities SELECT checkin, ? FROM checkin_activities "
            "WHERE activity = ?",
            (other, id),
        )
        db.execute("DELETE FROM activities WHERE id = ?", (id,))
    db.execute(
        "UPDATE activities SET text = ?, used_utc = max(used_utc, ?) WHERE id = ?",
        (new, found[0], other),
    )
    return other


def hide(db: Any, client: str, id: str, hidden: bool) -> None:
    """Offer an activity no more, or again; check-ins keep it."""
    db.execute("UPDATE activities SET hidden = ? WHERE id = ? AND client = ?", (hidden, id, client))


def ids(db: Any, client: str, used: Mapping[str, int]) -> list[str]:
    """The ids of these activities, each `named`, with when each was used (ms); new ones are
    added."""
    known, found = _ids(db, client), []
    for text, utc in used.items():
        id = known.get(text.casefold())
        if id is None:
            id = known[text.casefold()] = str(uuid.uuid4())
            db.execute(
                "INSERT INTO activities (id, client, text, used_utc) VALUES (?, ?, ?, ?)",
                (id, client, text, utc),
            )
        found.append(id)
    db.executemany(
        "UPDATE activities SET used_utc = max(used_utc, ?) WHERE id = ?",
        zip(used.values(), found, strict=True),
    )
    return found


def named(text: str, *, shorten: bool = False) -> str:
    """A text as an activity is called: on one line, no space too many.

    Raises:
        CheckinError: it is empty or too long.
    """
    plain = "".join(" " if unicodedata.category(c) in _UNSEEN else c for c in text)
    kept = unicodedata.normalize("NFC", " ".join(plain.split()))
    if not kept:
        raise CheckinError("An activity needs a name. Type one.")
    if len(kept) > LONGEST and shorten:
        return kept[: LONGEST - 1].rstrip() + "…"
    if len(kept) > LONGEST:
        raise CheckinError(
            f"An activity may have {LONGEST} characters, “{kept[:20]}…” has {len(kept)}. "
            "Shorten it."
        )
    return kept


def _ids(db: Any, client: str) -> dict[str, str]:
    """By text: SQLite knows upper and lower case in ASCII only."""
    rows = db.execute("SELECT text, id FROM activities WHERE client = ?", (client,))
    return {text.casefold(): id for text, id in rows}
