"""Sessions, and what a therapist notes in them: topics, excluded stretches and notes.

A session lives within one boot. Times in it are whole milliseconds since its start. What a tap
does is the matter of `taps`.
"""

import unicodedata
import uuid
from collections.abc import Iterable
from typing import Any, Literal

from msgspec import Struct

from mien.clock import Stamp
from mien.events import MienError

QUIET_MS = 90 * 60_000
"""After so long without a tap it is asked whether the session is still going on."""
FORGOTTEN_MS = QUIET_MS + 15 * 60_000
"""Without an answer it stops by itself."""
AFTERWARDS_MS = 15 * 60_000
"""What a forgotten session keeps after its last tap."""

KEYWORD_CHARACTERS = 60

Ended = Literal["stopped", "forgotten", "restart", "withdrawn", "restored"]


class Session(Struct, frozen=True):
    """A session of a client, led by a user. `utc` in milliseconds, `clock_ok`: whether to trust
    it; `length_ms` is None while it runs. `numbers`, `pictures`: whether the client consented to
    their being kept when it began (a withdrawal takes it back). `bundle` is the network's name,
    `head` the id of the personal head. `active_ms`: its last tap. `counted`: the map knows it."""

    id: str
    client: str
    user: int
    boot: str
    boot_ms: int
    utc: int
    clock_ok: bool
    length_ms: int | None
    ended: str | None
    numbers: bool
    pictures: bool
    bundle: str | None
    head: str | None
    active_ms: int
    counted: bool


class Keyword(Struct, frozen=True):
    """A topic of a user's own list."""

    id: str
    text: str
    hidden: bool


class Tag(Struct, frozen=True):
    """A topic in a session. A moment has `to_ms` = `from_ms`; a stretch that goes on has none."""

    id: str
    keyword: str
    text: str
    from_ms: int
    to_ms: int | None


class Exclusion(Struct, frozen=True):
    """A stretch that counts in no figure; one that goes on has no end."""

    id: str
    from_ms: int
    to_ms: int | None


class Note(Struct, frozen=True):
    id: str
    at_ms: int
    text: str


class KeywordError(MienError, ValueError):
    """Why a text cannot be a topic: `fault` is empty, long or taken."""

    def __init__(self, fault: Literal["empty", "long", "taken"], text: str) -> None:
        super().__init__(text)
        self.fault = fault


# ── finding ──────────────────────────────────────────────────────────────────────────────────────

_SELECT = (
    "SELECT s.id, s.client, s.user, s.boot, s.boot_ms, s.utc, s.clock_ok, s.length_ms, s.ended, "
    "s.numbers, s.pictures, s.bundle, s.head, s.active_ms, s.counted FROM sessions s "
)


def find(db: Any, id: str, owner: int) -> Session | None:
    """The session with this id, if its client is this user's."""
    row = db.execute(
        _SELECT + "JOIN clients c ON c.id = s.client WHERE s.id = ? AND c.owner = ?", (id, owner)
    ).fetchone()
    return _session(row) if row else None


def running(db: Any, owner: int) -> Session | None:
    """The newest session of this user's clients that was not stopped."""
    row = db.execute(
        _SELECT + "JOIN clients c ON c.id = s.client WHERE c.owner = ? AND s.length_ms IS NULL "
        "ORDER BY s.utc DESC, s.rowid DESC LIMIT 1",
        (owner,),
    ).fetchone()
    return _session(row) if row else None


def running_here(db: Any, boot: str) -> Session | None:
    """The newest session of anybody that runs in this boot."""
    row = db.execute(
        _SELECT + "WHERE s.boot = ? AND s.length_ms IS NULL ORDER BY s.boot_ms DESC, s.rowid DESC",
        (boot,),
    ).fetchone()
    return _session(row) if row else None


CLOSING_MS = 3000
"""How long after its end the camera may still hold a picture of a session."""


def in_sight(db: Any, boot: str, boot_ms: int) -> Session | None:
    """Return the session whose client the camera sees, or saw a moment ago.

    Args:
        boot, boot_ms: The boot, and milliseconds since it began.
    """
    row = db.execute(
        _SELECT + "WHERE s.boot = ? AND (s.length_ms IS NULL OR s.boot_ms + s.length_ms > ?) "
        "ORDER BY s.length_ms IS NULL DESC, s.boot_ms DESC LIMIT 1",
        (boot, boot_ms - CLOSING_MS),
    ).fetchone()
    return _session(row) if row else None


def of_client(db: Any, client: str) -> list[Session]:
    """All sessions of a client, by id, the oldest first."""
    rows = db.execute(_SELECT + "WHERE s.client = ? ORDER BY s.utc, s.boot_ms", (client,))
    return [_session(row) for row in rows]


def tags(db: Any, session: str) -> list[Tag]:
    """The topics of a session, by its id, in order of time, without deleted ones."""
    rows = db.execute(
        "SELECT t.id, t.keyword, k.text, t.from_ms, t.to_ms FROM tags t "
        "JOIN keywords k ON k.id = t.keyword WHERE t.session = ? AND NOT t.deleted "
        "ORDER BY t.from_ms, t.id",
        (session,),
    )
    return [Tag(*row) for row in rows]


def exclusions(db: Any, session: str) -> list[Exclusion]:
    """The excluded stretches of a session, by its id, in order of time, without deleted ones."""
    rows = db.execute(
        "SELECT id, from_ms, to_ms FROM exclusions WHERE session = ? AND NOT deleted "
        "ORDER BY from_ms, id",
        (session,),
    )
    return [Exclusion(*row) for row in rows]


def notes(db: Any, session: str) -> list[Note]:
    """The notes of a session, by its id, in order of time, without deleted ones."""
    rows = db.execute(
        "SELECT id, at_ms, text FROM notes WHERE session = ? AND NOT deleted ORDER BY at_ms, id",
        (session,),
    )
    return [Note(*row) for row in rows]


def changed(db: Any, session: str) -> None:
    """What the map knows of a session, by its id, is stale."""
    db.execute("UPDATE sessions SET counted = 0 WHERE id = ?", (session,))


def now_ms(session: Session, now: Stamp) -> int:
    """How far a running session is; the length of one that ended."""
    if session.length_ms is not None:
        return session.length_ms
    if session.boot != now.boot_id:
        return session.active_ms
    return max(0, round(now.boot_time * 1000) - session.boot_ms)


# ── keywords ─────────────────────────────────────────────────────────────────────────────────────


def clean(text: str) -> str:
    """A text as a keyword is kept: composed (NFC), without control characters and such as turn the
    direction of writing, single spaces.

    Raises:
        KeywordError: nothing is left, or too much.
    """
    kept = "".join(
        " " if unicodedata.category(letter) in ("Cc", "Zl", "Zp") else letter
        for letter in unicodedata.normalize("NFC", text[:100_000])
        if unicodedata.category(letter) not in ("Cs", "Cf") or letter in _JOINERS
    )
    kept = " ".join(kept.split())
    if not kept.strip(_JOINERS + " "):
        raise KeywordError("empty", "a topic needs at least one letter, digit or sign")
    if len(kept) > KEYWORD_CHARACTERS:
        raise KeywordError(
            "long", f"a topic may have {KEYWORD_CHARACTERS} characters, not {len(kept)}"
        )
    return kept


def keywords(db: Any, user: int) -> list[Keyword]:
    """A user's topics, the one used last first, hidden ones too."""
    rows = db.execute(
        "SELECT id, text, hidden FROM keywords WHERE user = ? ORDER BY used_utc DESC, text", (user,)
    )
    return [Keyword(id, text, bool(hidden)) for id, text, hidden in rows]


def keyword(db: Any, user: int, text: str, utc: float, id: str | None = None) -> str:
    """The id of a user's topic of this text, made (as `id`) where there is none; a hidden one
    shows again. Capitals do not count. `utc` in seconds.

    Raises:
        KeywordError: see `clean`.
    """
    text = clean(text)
    found = _same(db, user, text)
    if found:
        db.execute("UPDATE keywords SET hidden = 0 WHERE id = ?", (found,))
        return found
    made = id or str(uuid.uuid4())
    db.execute(
        "INSERT INTO keywords (id, user, text, used_utc) VALUES (?, ?, ?, ?)",
        (made, user, text, round(utc * 1000)),
    )
    return made


def rename(db: Any, user: int, id: str, text: str) -> None:
    """Give a topic another text, in all sessions.

    Raises:
        KeywordError: see `clean`; or another topic has this text.
    """
    text = clean(text)
    if (_same(db, user, text) or id) != id:
        raise KeywordError("taken", f"there is a topic {text!r} already")
    db.execute("UPDATE keywords SET text = ? WHERE id = ? AND user = ?", (text, id, user))


def hide(db: Any, user: int, id: str, *, hidden: bool = True) -> None:
    """Take a topic out of the list, or put it back; sessions keep it."""
    db.execute("UPDATE keywords SET hidden = ? WHERE id = ? AND user = ?", (hidden, id, user))


def _same(db: Any, user: int, text: str) -> str | None:
    folded = text.casefold()
    rows: Iterable[tuple[str, str]] = db.execute(
        "SELECT id, text FROM keywords WHERE user = ?", (user,)
    )
    return next((id for id, known in rows if known.casefold() == folded), None)


_JOINERS = "\u200c\u200d\ufe0f"  # they hold emoji and Persian words together


# ── beginning and end ────────────────────────────────────────────────────────────────────────────


def start(
    db: Any, id: str, client: str, user: int, now: Stamp, *, numbers: bool, pictures: bool
) -> None:
    """Begin a session under an id made up by the page. It notes the network and the client's
    personal head that read from now on."""
    bundle = _bundle(db)
    head = db.execute(
        "SELECT id FROM heads WHERE client = ? AND active AND bundle = ? ORDER BY utc DESC",
        (client, bundle),
    ).fetchone()
    db.execute(
        "INSERT INTO sessions (id, client, user, boot, boot_ms, utc, clock_ok, numbers, pictures, "
        "bundle, head) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            id, client, user, now.boot_id, round(now.boot_time * 1000), round(now.utc * 1000),
            now.clock_ok, numbers, pictures, bundle, head[0] if head else None,
        ),
    )  # fmt: skip


def sweep(db: Any, owner: int) -> None:
    """Erase for good what was deleted in the sessions of this user's clients: whoever begins a new
    one undoes nothing in the old ones any more."""
    for table in ("tags", "exclusions", "notes", "captures"):
        db.execute(
            f"DELETE FROM {table} WHERE deleted AND session IN (SELECT s.id FROM sessions s "
            "JOIN clients c ON c.id = s.client WHERE c.owner = ? AND s.length_ms IS NOT NULL)",
            (owner,),
        )


def end(db: Any, session: Session, length_ms: int, ended: Ended, now: Stamp) -> None:
    """End a session at `length_ms`; what is going on in it ends with it, and what was read after
    it is asked to be erased: it belongs to nobody's record."""
    db.execute(
        "UPDATE sessions SET length_ms = ?, ended = ?, bundle = ifnull(bundle, ?), counted = 0 "
        "WHERE id = ?",
        (length_ms, ended, _bundle(db), session.id),
    )
    for table in ("tags", "exclusions"):
        for column in ("from_ms", "to_ms"):
            db.execute(
                f"UPDATE {table} SET {column} = ? WHERE session = ? AND ({column} > ? "
                f"OR {column} IS NULL)",
                (length_ms, session.id, length_ms),
            )
    for table in ("notes", "captures"):
        db.execute(
            f"UPDATE {table} SET at_ms = ? WHERE session = ? AND at_ms > ?",
            (length_ms, session.id, length_ms),
        )
    first, last = session.boot_ms + length_ms, _last_ms(db, session, now)
    if last - first > 1000:
        db.execute(
            "INSERT INTO erasures (client, boot, from_ms, to_ms, asked_utc) VALUES (?, ?, ?, ?, ?)",
            (session.client, session.boot, first, last, round(now.utc * 1000)),
        )


def end_restored(db: Any, boot: str, boot_ms: int, now: Stamp) -> int:
    """End what ran when a backup was made, at that moment of that boot; how many."""
    rows = db.execute(_SELECT + "WHERE s.length_ms IS NULL").fetchall()
    for session in map(_session, rows):
        last = boot_ms if session.boot == boot else _last_ms(db, session, now)
        end(db, session, max(session.active_ms, last - session.boot_ms), "restored", now)
    return len(rows)


def tidy(db: Any, now: Stamp) -> list[Session]:
    """End the sessions of former boots and those that somebody forgot; the ended ones, as they
    were. Dates the sessions of this boot once the clock is right."""
    backfill(db, now)
    ended = []
    for row in db.execute(_SELECT + "WHERE s.length_ms IS NULL").fetchall():
        session = _session(row)
        here = session.boot == now.boot_id
        last_ms = max(session.active_ms, _last_ms(db, session, now) - session.boot_ms)
        if last_ms - session.active_ms >= FORGOTTEN_MS:
            end(db, session, session.active_ms + AFTERWARDS_MS, "forgotten", now)
        elif not here:
            end(db, session, last_ms, "restart", now)
        else:
            continue
        ended.append(session)
    return ended


def backfill(db: Any, now: Stamp) -> int:
    """Date this boot's sessions from before the clock was right; how many."""
    if not now.clock_ok:
        return 0
    return int(
        db.execute(
            "UPDATE sessions SET utc = ? + boot_ms, clock_ok = 1 WHERE boot = ? AND clock_ok = 0",
            (round((now.utc - now.boot_time) * 1000), now.boot_id),
        ).rowcount
    )


def _last_ms(db: Any, session: Session, now: Stamp) -> int:
    """Until when the box may have read for a session, in ms since its boot: now, or the end of the
    last second that was kept in a former boot."""
    if session.boot == now.boot_id:
        return round(now.boot_time * 1000)
    boot = db.execute("SELECT id FROM boots WHERE boot_id = ?", (session.boot,)).fetchone()
    if not boot:
        return session.boot_ms
    (last,) = db.execute(
        "SELECT max(id) FROM readings WHERE id >= ? AND id < ?",
        (boot[0] << 40 | session.boot_ms, boot[0] + 1 << 40),
    ).fetchone()
    return session.boot_ms if last is None else int(last & (1 << 40) - 1) + 1000


def _bundle(db: Any) -> str | None:
    """The network that read last."""
    found = db.execute("SELECT name FROM models ORDER BY boot DESC, boot_ms DESC LIMIT 1")
    row = found.fetchone()
    return row[0] if row else None


def _session(row: tuple[Any, ...]) -> Session:
    return Session(
        id=row[0], client=row[1], user=row[2], boot=row[3], boot_ms=row[4], utc=row[5],
        clock_ok=bool(row[6]), length_ms=row[7], ended=row[8], numbers=bool(row[9]),
        pictures=bool(row[10]), bundle=row[11], head=row[12], active_ms=row[13],
        counted=bool(row[14]),
    )  # fmt: skip
