"""What taps on the session page do. Each is done once, however often and however late it arrives.

A tap carries its age by the tablet's own clock: a difference, which a clock wrong by a day does
not touch. Taps of two tablets may arrive in any order; each is fitted in at its own time, so that
the stretches of a topic never overlap. What a tap made has the tap's id.
"""

import re
import unicodedata
from collections.abc import Sequence
from typing import Any, Literal, get_args

import msgspec
from msgspec import Struct

from mien import captures, sessions
from mien.clock import Stamp
from mien.sessions import KeywordError, Session

Kind = Literal[
    "tag_on", "tag_off", "moment", "exclude_on", "exclude_off", "note",
    "keyword_new", "keyword_rename", "keyword_hide", "keyword_show", "here", "undo", "stop",
]  # fmt: skip
KINDS: tuple[Kind, ...] = get_args(Kind)

Fault = Literal[
    "id", "kind", "keyword", "tap", "after the end", "empty", "long", "taken", "note too long",
]  # fmt: skip
"""Why a tap was refused. `id`: it has none, or one that is in use; `keyword`, `tap`: what it is
about is not there; `empty`, `long`, `taken`: see `sessions.KeywordError`."""

NOTE_CHARACTERS = 4000
LATE_MS = 2000
"""A tap made so shortly after the end still counts, as made at the end."""


class Tap(Struct, frozen=True):
    """`age_ms`: how long ago it was made. `keyword`, `note` and `of` (the tap to undo) are ids."""

    id: str
    kind: str
    age_ms: float = 0
    keyword: str = ""
    note: str = ""
    of: str = ""
    text: str = ""


class Back(Struct, frozen=True):
    """How to take an effect back: put an old value into a row."""

    table: Literal["tags", "exclusions", "keywords", "captures"]
    id: str
    column: Literal["deleted", "to_ms", "text", "hidden"]
    value: int | str | None


class Done(Struct, frozen=True, omit_defaults=True):
    """What became of a tap, as it is kept and answered each time the tap arrives.

    `at_ms` is its time in the session, `clamped` when its age cannot have been right; `keyword`
    the topic it is about; `back` how to undo it, empty when it had no effect.
    """

    id: str
    fault: Fault | None = None
    at_ms: int = 0
    clamped: bool = False
    keyword: str = ""
    back: tuple[Back, ...] = ()
    undone: bool = False


class _Refused(Exception):
    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self.fault: Fault = fault


def perform(db: Any, session: str, owner: int, taps: Sequence[Tap], now: Stamp) -> list[Done]:
    """Do taps on a session of this user's, by its id, in their order; what became of each."""
    answers = []
    for tap in taps:
        found = sessions.find(db, session, owner)
        assert found is not None, "the caller has found it"
        answers.append(_once(db, found, owner, tap, now))
    return answers


def keep(db: Any, session: str, done: Done) -> None:
    """Remember what became of a tap, so that it is not done again and can be undone."""
    db.execute(
        "INSERT INTO taps (id, session, answer) VALUES (?, ?, ?)",
        (done.id, session, msgspec.json.encode(done).decode()),
    )


def known(db: Any, session: str, id: str) -> Done | None:
    """What became of a tap that arrived before."""
    row = db.execute("SELECT answer FROM taps WHERE id = ? AND session = ?", (id, session))
    found = row.fetchone()
    return msgspec.json.decode(found[0], type=Done) if found else None


def is_id(text: str) -> bool:
    """Whether this is an id as browsers make them."""
    return re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text) is not None


def _once(db: Any, session: Session, owner: int, tap: Tap, now: Stamp) -> Done:
    if not is_id(tap.id):
        return Done(tap.id[:36], fault="id")
    if before := known(db, session.id, tap.id):
        return before
    if db.execute("SELECT 1 FROM taps WHERE id = ?", (tap.id,)).fetchone():
        return Done(tap.id, fault="id")
    at_ms, clamped = _when(session, tap.age_ms, now)
    try:
        if session.length_ms is not None:
            if at_ms > session.length_ms + LATE_MS and tap.kind in _IN_TIME:
                raise _Refused("after the end")
            at_ms = min(at_ms, session.length_ms)
        keyword, back = _do(db, session, owner, tap, at_ms, now)
        done = Done(tap.id, at_ms=at_ms, clamped=clamped, keyword=keyword, back=tuple(back))
    except _Refused as refused:
        done = Done(tap.id, fault=refused.fault, at_ms=at_ms, clamped=clamped)
    except KeywordError as error:
        done = Done(tap.id, fault=error.fault, at_ms=at_ms, clamped=clamped)
    keep(db, session.id, done)
    if done.fault is None and session.length_ms is None:
        db.execute(
            "UPDATE sessions SET active_ms = max(active_ms, ?) WHERE id = ?", (at_ms, session.id)
        )
    if done.back or tap.kind == "undo":
        sessions.changed(db, session.id)
    return done


_IN_TIME = {"tag_on", "tag_off", "moment", "exclude_on", "exclude_off", "stop"}


def _when(session: Session, age_ms: float, now: Stamp) -> tuple[int, bool]:
    """When in the session a tap was made, and whether that had to be guessed."""
    if session.boot == now.boot_id:
        passed = round(now.boot_time * 1000) - session.boot_ms
    elif session.clock_ok and now.clock_ok:
        passed = round(now.utc * 1000) - session.utc
    else:
        return sessions.now_ms(session, now), True
    passed = max(0, passed)
    sane = 0 <= age_ms <= passed  # also false of NaN
    at_ms = round(passed - age_ms) if sane else 0 if age_ms > passed else passed
    return at_ms, not sane


def _do(
    db: Any, session: Session, owner: int, tap: Tap, at_ms: int, now: Stamp
) -> tuple[str, list[Back]]:
    """Do it: the keyword that it is about, if any, and how to take it back."""
    match tap.kind:
        case "tag_on" | "tag_off" | "moment":
            keyword = _keyword(db, session, owner, tap.keyword)
            if tap.kind == "tag_off":
                return keyword, _off(db, "tags", session, keyword, at_ms)
            used = "UPDATE keywords SET used_utc = max(used_utc, ?), hidden = 0 WHERE id = ?"
            db.execute(used, (round(now.utc * 1000), keyword))
            if tap.kind == "moment":
                return keyword, _insert(db, "tags", session, keyword, tap.id, at_ms, at_ms)
            return keyword, _on(db, "tags", session, keyword, tap.id, at_ms)
        case "exclude_on":
            return "", _on(db, "exclusions", session, None, tap.id, at_ms)
        case "exclude_off":
            return "", _off(db, "exclusions", session, None, at_ms)
        case "note":
            _note(db, session, tap, at_ms)
            return "", []
        case "keyword_new":
            before = {known.id: known.hidden for known in sessions.keywords(db, owner)}
            if tap.id in before or _elsewhere(db, "keywords", tap.id):
                raise _Refused("id")
            keyword = sessions.keyword(db, owner, tap.text, now.utc, tap.id)
            back = [Back("keywords", keyword, "hidden", 1)] if before.get(keyword, True) else []
            return keyword, back
        case "keyword_rename":
            keyword = _keyword(db, session, owner, tap.keyword)
            old = next(k.text for k in sessions.keywords(db, owner) if k.id == keyword)
            sessions.rename(db, owner, keyword, tap.text)
            return keyword, [Back("keywords", keyword, "text", old)]
        case "keyword_hide" | "keyword_show":
            keyword = _keyword(db, session, owner, tap.keyword)
            hidden = tap.kind == "keyword_hide"
            was = next(k.hidden for k in sessions.keywords(db, owner) if k.id == keyword)
            sessions.hide(db, owner, keyword, hidden=hidden)
            return keyword, [Back("keywords", keyword, "hidden", int(was))] if was != hidden else []
        case "here":
            return "", []
        case "undo":
            _undo(db, session, owner, tap.of)
            return "", []
        case "stop":
            if session.length_ms is None:
                # Another tablet may have noted something since: that is not to be lost.
                sessions.end(db, session, max(at_ms, session.active_ms), "stopped", now)
            return "", []
    raise _Refused("kind")


def _keyword(db: Any, session: Session, owner: int, id: str) -> str:
    """A keyword of this user's, also by the id of the tap that asked for it and found it there."""
    before = known(db, session.id, id)
    id = before.keyword if before and before.keyword else id
    found = db.execute("SELECT 1 FROM keywords WHERE id = ? AND user = ?", (id, owner)).fetchone()
    if not found:
        raise _Refused("keyword")
    return id


# ── stretches ────────────────────────────────────────────────────────────────────────────────────

Table = Literal["tags", "exclusions"]


def _spans(
    db: Any, table: Table, session: str, keyword: str | None
) -> list[tuple[str, int, int | None]]:
    """The stretches of a topic, or the excluded ones, without moments."""
    of = "AND keyword = ?" if table == "tags" else ""
    rows = db.execute(
        f"SELECT id, from_ms, to_ms FROM {table} WHERE session = ? AND NOT deleted {of} "
        "AND (to_ms IS NULL OR to_ms > from_ms) ORDER BY from_ms",
        (session, keyword) if of else (session,),
    )
    return list(rows)


def _on(
    db: Any, table: Table, session: Session, keyword: str | None, id: str, at_ms: int
) -> list[Back]:
    """Begin a stretch; it lasts to the next one that was tapped already, if any."""
    spans = _spans(db, table, session.id, keyword)
    if any(start <= at_ms and (end is None or at_ms < end) for _, start, end in spans):
        return []
    following = min((start for _, start, _ in spans if start > at_ms), default=session.length_ms)
    return _insert(db, table, session, keyword, id, at_ms, following)


def _off(db: Any, table: Table, session: Session, keyword: str | None, at_ms: int) -> list[Back]:
    """End the stretch that went on then."""
    for id, start, end in _spans(db, table, session.id, keyword):
        if start <= at_ms and (end is None or at_ms < end):
            db.execute(f"UPDATE {table} SET to_ms = ? WHERE id = ?", (at_ms, id))
            return [Back(table, id, "to_ms", end)]
    return []


def _insert(
    db: Any, table: Table, session: Session, keyword: str | None, id: str,
    from_ms: int, to_ms: int | None,
) -> list[Back]:  # fmt: skip
    if _elsewhere(db, table, id):
        raise _Refused("id")
    columns = {"id": id, "session": session.id, "from_ms": from_ms, "to_ms": to_ms}
    if table == "tags":
        columns["keyword"] = keyword
    db.execute(
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",
        tuple(columns.values()),
    )
    return [Back(table, id, "deleted", 1)]


def _elsewhere(db: Any, table: str, id: str) -> bool:
    return db.execute(f"SELECT 1 FROM {table} WHERE id = ?", (id,)).fetchone() is not None


# ── notes and undo ───────────────────────────────────────────────────────────────────────────────


def _note(db: Any, session: Session, tap: Tap, at_ms: int) -> None:
    """A note is sent whole each time it grew; an empty one is gone."""
    text = "".join(
        letter
        for letter in tap.text.replace("\r\n", "\n")
        if letter in "\n\t" or unicodedata.category(letter) not in ("Cc", "Cs")
    )
    if len(text) > NOTE_CHARACTERS:
        raise _Refused("note too long")
    id = tap.note or tap.id
    if not is_id(id):
        raise _Refused("id")
    row = db.execute("SELECT session FROM notes WHERE id = ?", (id,)).fetchone()
    if row and row[0] != session.id:
        raise _Refused("id")
    db.execute(
        "INSERT INTO notes (id, session, at_ms, text, deleted) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (id) DO UPDATE SET text = excluded.text, deleted = excluded.deleted",
        (id, session.id, at_ms, text, not text.strip()),
    )


def _undo(db: Any, session: Session, owner: int, of: str) -> None:
    done = known(db, session.id, of)
    if done is None:
        raise _Refused("tap")
    if done.undone:
        return
    for back in reversed(done.back):
        _take_back(db, session, owner, back)
    done = msgspec.structs.replace(done, undone=True)
    db.execute("UPDATE taps SET answer = ? WHERE id = ?", (msgspec.json.encode(done).decode(), of))


def _take_back(db: Any, session: Session, owner: int, back: Back) -> None:
    match back.table, back.column, back.value:
        case "captures", _, _:
            captures.delete(db, back.id)
        case "keywords", "hidden", hidden:
            if not (hidden and _on_now(db, session, back.id)):
                sessions.hide(db, owner, back.id, hidden=bool(hidden))
        case "keywords", _, text:
            sessions.rename(db, owner, back.id, str(text))
        case ("tags" | "exclusions") as table, "to_ms", end:
            assert not isinstance(end, str)
            _put_end_back(db, table, session, back.id, end)
        case table, _, _:
            db.execute(f"UPDATE {table} SET deleted = 1 WHERE id = ?", (back.id,))


def _on_now(db: Any, session: Session, keyword: str) -> bool:
    query = "SELECT 1 FROM tags WHERE session = ? AND keyword = ? AND NOT deleted AND to_ms IS NULL"
    return db.execute(query, (session.id, keyword)).fetchone() is not None


def _put_end_back(db: Any, table: Table, session: Session, id: str, end: int | None) -> None:
    """A stretch goes on as before, but not into what was tapped meanwhile."""
    keyword = "keyword" if table == "tags" else "NULL"
    row = db.execute(f"SELECT from_ms, {keyword} FROM {table} WHERE id = ?", (id,)).fetchone()
    if not row:
        return
    start, topic = row
    others = [span for span in _spans(db, table, session.id, topic) if span[0] != id]
    if any(since < start and (to is None or to > start) for _, since, to in others):
        return
    limits = [since for _, since, _ in others if since >= start]
    limits += [limit for limit in (end, session.length_ms) if limit is not None]
    db.execute(
        f"UPDATE {table} SET to_ms = ? WHERE id = ?",
        (max(start, min(limits)) if limits else None, id),
    )
