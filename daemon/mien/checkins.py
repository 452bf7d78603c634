"""Check-ins: what a person says of a moment: a mood, everyday emotions, activities and a note.

A check-in knows its local day, hour and weekday as they were lived, whatever zone the box stands in
later. Reports of others (see `checkin_import`) know only hour and weekday.
"""

import unicodedata
import uuid
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from functools import lru_cache
from typing import Any, get_args

from msgspec import Struct

from mien import emotions as everyday
from mien.activities import Activity, CheckinError, named
from mien.activities import hide as hide_activity
from mien.activities import ids as activity_ids
from mien.activities import of as activities
from mien.activities import rename as rename_activity
from mien.emotions import MOODS, NEGATIVE_MASK, POSITIVE_MASK, Emotion

__all__ = [
    "Activity", "Checkin", "CheckinError", "Daily", "Report", "activities", "add", "bring_back",
    "daily", "delete", "find", "hide_activity", "known", "made", "newest", "of_days",
    "rename_activity", "reports", "save", "sweep",
]  # fmt: skip

LONGEST_NOTE = 4000
MOST_ACTIVITIES = 30
FIRST_YEAR = 1900
_AHEAD_MS = 60_000


class Checkin(Struct, frozen=True):
    """`utc`, `made_utc` in milliseconds; `day` is `date.toordinal()` of the local date, `weekday`
    1 (Monday) – 7. `mood` 1 (awful) – 5; no `emotions`: not said, an empty tuple: none of them.
    `activities` are texts. `source`: who said it how: "page", "api", or one import's own name."""

    id: str
    client: str
    utc: int | None
    day: int | None
    hour: int | None
    weekday: int
    mood: int | None
    emotions: tuple[Emotion, ...] | None
    activities: tuple[str, ...]
    note: str
    source: str
    made_utc: int


class Daily(Struct, frozen=True):
    """The check-ins of a day. `mood` is the mean of those that say one; `answered` say emotions,
    `positive` and `negative` at least one such."""

    count: int
    mood: float | None
    positive: int
    negative: int
    answered: int


class Report(Struct, frozen=True, gc=False):
    """A check-in as figures need it: `emotions` is a mask, `activities` are ids."""

    day: int | None
    hour: int | None
    weekday: int
    utc: int | None
    mood: int | None
    emotions: int | None
    activities: frozenset[str]


# ── making ───────────────────────────────────────────────────────────────────────────────────────


def made(
    client: str,
    moment: datetime,
    *,
    mood: int | None,
    emotions: Iterable[str] | None,
    activities: Iterable[str],
    note: str,
    source: str,
    made_utc: int,
    id: str | None = None,
    whole: bool = False,
) -> Checkin:
    """A check-in of this local `moment`, which knows its zone, entered at `made_utc` (ms).
    `whole`: taken over as it was written elsewhere, whatever its length.

    Raises:
        CheckinError: it says nothing, or something that cannot be; the sentence tells which.
    """
    utc = _utc(moment, made_utc)
    if mood is not None and mood not in MOODS:
        raise CheckinError(f"A mood is one of five steps, 1 to 5, not {mood}. Choose one.")
    named = None if emotions is None else _emotions(emotions)
    done = _activities(activities, whole=whole)
    text = _note(note, whole=whole)
    if mood is None and not named and not done and not text:
        raise CheckinError(
            "This check-in says nothing yet. Choose a mood, an emotion or an activity, "
            "or write a note."
        )
    return Checkin(
        id=id or str(uuid.uuid4()),
        client=client,
        utc=utc,
        day=moment.toordinal(),
        hour=moment.hour,
        weekday=moment.isoweekday(),
        mood=mood,
        emotions=named,
        activities=done,
        note=text,
        source=source,
        made_utc=made_utc,
    )


def _utc(moment: datetime, made_utc: int) -> int:
    if moment.utcoffset() is None:
        raise ValueError("a check-in's moment must know its zone")
    if moment.year < FIRST_YEAR:
        raise CheckinError(f"A check-in cannot be from before {FIRST_YEAR}. Correct the date.")
    utc = round(moment.timestamp() * 1000)
    if utc > made_utc + _AHEAD_MS:
        raise CheckinError("This moment has not come yet. Choose one that has passed.")
    return utc


def _emotions(names: Iterable[str]) -> tuple[Emotion, ...]:
    told = set(names)
    if strange := sorted(told - set(get_args(Emotion))):
        raise CheckinError(f"“{strange[0]}” is none of the eighteen emotions. Choose among them.")
    return tuple(name for name in everyday.EMOTIONS if name in told)


def _activities(texts: Iterable[str], *, whole: bool) -> tuple[str, ...]:
    """Each once, without regard to case, and no blank ones."""
    found: dict[str, str] = {}
    for text in texts:
        if text.strip():
            kept = named(text, shorten=whole)
            found.setdefault(kept.casefold(), kept)
    if len(found) > MOST_ACTIVITIES and not whole:
        raise CheckinError(
            f"A check-in may have {MOST_ACTIVITIES} activities, not {len(found)}. Take some out."
        )
    return tuple(found.values())


def _note(note: str, *, whole: bool) -> str:
    lines = note.replace("\r\n", "\n").replace("\r", "\n")
    text = "".join(c for c in lines if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cs"))
    text = text.strip()
    if len(text) > LONGEST_NOTE and not whole:
        raise CheckinError(
            f"A note may have {LONGEST_NOTE} characters, this one has {len(text)}. Shorten it."
        )
    return text


# ── keeping ──────────────────────────────────────────────────────────────────────────────────────

_COLUMNS = "id, client, utc, day, hour, weekday, mood, emotions, note, source, made_utc"
_INSERT = f"INSERT INTO checkins ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_mask = lru_cache(1 << 14)(everyday.mask)


def _row(one: Checkin) -> tuple[Any, ...]:
    """As of `_COLUMNS`."""
    return (
        one.id, one.client, one.utc, one.day, one.hour, one.weekday, one.mood,
        None if one.emotions is None else _mask(one.emotions), one.note, one.source, one.made_utc,
    )  # fmt: skip


def save(db: Any, checkin: Checkin) -> None:
    """Keep a check-in: a new one, or in place of the client's former one of this id, also where
    that was deleted.

    Raises:
        CheckinError: the id is another client's.
    """
    done = db.execute(
        f"{_INSERT} ON CONFLICT (id) DO UPDATE SET "
        "utc = excluded.utc, day = excluded.day, hour = excluded.hour, "
        "weekday = excluded.weekday, mood = excluded.mood, emotions = excluded.emotions, "
        "note = excluded.note, source = excluded.source, made_utc = excluded.made_utc, "
        "deleted = 0 WHERE client = excluded.client",
        _row(checkin),
    )
    if not done.rowcount:
        raise CheckinError("This check-in belongs to somebody else. Load the page again.")
    db.execute("DELETE FROM checkin_activities WHERE checkin = ?", (checkin.id,))
    used = dict.fromkeys(checkin.activities, checkin.made_utc)
    ids = activity_ids(db, checkin.client, used)
    db.executemany("INSERT INTO checkin_activities VALUES (?, ?)", [(checkin.id, id) for id in ids])


def add(db: Any, client: str, found: Sequence[Checkin]) -> int:
    """Keep those of the client that are not there yet, not even deleted; how many."""
    there = known(db, [one.id for one in found])
    new = [one for one in found if one.id not in there]
    db.executemany(_INSERT, map(_row, new))
    used: dict[str, int] = {}
    for one in new:
        for text in one.activities:
            used[text] = max(used.get(text, 0), one.utc or one.made_utc)
    if used:
        id_of = dict(zip(used, activity_ids(db, client, used), strict=True))
        db.executemany(
            "INSERT OR IGNORE INTO checkin_activities VALUES (?, ?)",
            [(one.id, id_of[text]) for one in new for text in one.activities],
        )
    return len(new)


def delete(db: Any, client: str, id: str, utc: int = 1) -> bool:
    """Take a check-in out of every list and figure at this time (ms), until `sweep` erases it;
    False where there is none."""
    query = "UPDATE checkins SET deleted = ? WHERE id = ? AND client = ? AND NOT deleted"
    return bool(db.execute(query, (max(1, utc), id, client)).rowcount)


def bring_back(db: Any, client: str, id: str) -> bool:
    """Undo `delete`; False where there is nothing to undo."""
    query = "UPDATE checkins SET deleted = 0 WHERE id = ? AND client = ? AND deleted"
    return bool(db.execute(query, (id, client)).rowcount)


def sweep(db: Any, before_utc: int) -> int:
    """Erase for good what anybody deleted before this time (ms); how many check-ins it was."""
    done = db.execute("DELETE FROM checkins WHERE deleted AND deleted < ?", (before_utc,))
    return int(done.rowcount)


# ── finding ──────────────────────────────────────────────────────────────────────────────────────

_SELECT = f"SELECT {_COLUMNS} FROM checkins WHERE client = ? AND NOT deleted "


def find(db: Any, client: str, id: str) -> Checkin | None:
    """The client's check-in with this id."""
    found = _checkins(db, db.execute(_SELECT + "AND id = ?", (client, id)))
    return found[0] if found else None


def known(db: Any, ids: Sequence[str]) -> set[str]:
    """Which of these are there already, whosever they are, deleted ones too."""
    found: set[str] = set()
    for start in range(0, len(ids), 500):
        some = ids[start : start + 500]
        marks = ", ".join("?" * len(some))
        rows = db.execute(f"SELECT id FROM checkins WHERE id IN ({marks})", some)
        found.update(id for (id,) in rows)
    return found


def of_days(db: Any, client: str, first: date, last: date) -> list[Checkin]:
    """The check-ins of these local days, the last one included, in order of time."""
    span = (client, first.toordinal(), last.toordinal())
    rows = db.execute(_SELECT + "AND day BETWEEN ? AND ? ORDER BY day, utc, id", span)
    return _checkins(db, rows)


def newest(db: Any, client: str, limit: int = 50, before: Checkin | None = None) -> list[Checkin]:
    """The newest check-ins that come before this one, the newest first; at the end of all those
    that know no date."""
    found: list[Checkin] = []
    if before is None or before.day is not None:
        later, at = "", []
        if before is not None:
            later = "AND day <= ? AND (day, utc, id) < (?, ?, ?)"
            at = [before.day, before.day, before.utc, before.id]
        query = f"{_SELECT} AND day NOT NULL {later} ORDER BY day DESC, utc DESC, id DESC LIMIT ?"
        found = _checkins(db, db.execute(query, (client, *at, limit)))
    if len(found) < limit:
        after = before.id if before is not None and before.day is None else ""
        query = f"{_SELECT} AND day IS NULL AND id > ? ORDER BY id LIMIT ?"
        found += _checkins(db, db.execute(query, (client, after, limit - len(found))))
    return found


def daily(db: Any, client: str, first: date, last: date) -> dict[date, Daily]:
    """What was said on each of these local days, the last one included, on which anything was."""
    rows = db.execute(
        "SELECT day, count(*), avg(mood), ifnull(sum(emotions & ? != 0), 0), "
        "ifnull(sum(emotions & ? != 0), 0), count(emotions) FROM checkins "
        "WHERE client = ? AND NOT deleted AND day BETWEEN ? AND ? GROUP BY day",
        (POSITIVE_MASK, NEGATIVE_MASK, client, first.toordinal(), last.toordinal()),
    )
    return {date.fromordinal(day): Daily(*row) for day, *row in rows}


def reports(
    db: Any, client: str, first: date | None = None, last: date | None = None
) -> list[Report]:
    """What was said on these local days, the last one included; without any bounds all there is,
    also what knows no date."""
    links: dict[str, list[str]] = {}
    for checkin, activity in db.execute(
        "SELECT checkin, activity FROM checkin_activities WHERE activity IN "
        "(SELECT id FROM activities WHERE client = ?)",
        (client,),
    ):
        links.setdefault(checkin, []).append(activity)
    span: tuple[int, ...] = ()
    if first is not None or last is not None:
        span = ((first or date.min).toordinal(), (last or date.max).toordinal())
    rows = db.execute(
        "SELECT id, day, hour, weekday, utc, mood, emotions FROM checkins "
        f"WHERE client = ? AND NOT deleted {'AND day BETWEEN ? AND ? ' if span else ''}"
        "ORDER BY day, utc, id",
        (client, *span),
    )
    # Years of check-ins have few different sets of activities: each is kept once.
    sets: dict[frozenset[str], frozenset[str]] = {}
    found = []
    for id, day, hour, weekday, utc, mood, bits in rows:
        done = frozenset(links.get(id, ()))
        done = sets.setdefault(done, done)
        found.append(Report(day, hour, weekday, utc, mood, bits, done))
    return found


def _checkins(db: Any, rows: Iterable[tuple[Any, ...]]) -> list[Checkin]:
    found = []
    for row in rows:
        id, client, utc, day, hour, weekday, mood, bits, note, source, made_utc = row
        texts = db.execute(
            "SELECT text FROM checkin_activities JOIN activities a ON a.id = activity "
            "WHERE checkin = ? ORDER BY text COLLATE NOCASE",
            (id,),
        )
        named = None if bits is None else everyday.of_mask(bits)
        done = tuple(text for (text,) in texts.fetchall())
        found.append(
            Checkin(id, client, utc, day, hour, weekday, mood, named, done, note, source, made_utc)
        )
    return found
