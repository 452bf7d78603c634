"""What the store keeps no longer: readings that are too old, and what somebody had erased."""

import bisect
from collections.abc import Iterator, Sequence
from typing import Any

from mien import quarters
from mien.events import EXPRESSIONS, Stretch

PIECE_MS = 6 * 3_600_000
"""How much is erased in one transaction, so that a year neither blocks the store nor is begun anew
from the start when the plug is pulled. A multiple of a minute."""
_LAST_MS = (1 << 40) - 1

Span = tuple[int, int]
"""Ids of readings, from the first to the one after the last."""


def first_id(boot: int, minute: int) -> int:
    """The least id that a reading of this minute can have."""
    return boot << 40 | minute * 60_000


# ── because somebody asked ───────────────────────────────────────────────────────────────────────


def pieces(stretches: Sequence[Stretch]) -> Iterator[Stretch]:
    """The same in pieces that one transaction can do; a stretch without length gives none."""
    for stretch in stretches:
        if stretch.boot == quarters.IMPORTED:
            yield stretch
            continue
        start, end = max(stretch.from_ms, 0), min(stretch.to_ms, _LAST_MS)
        while start < end:
            stop = min(end, (start // PIECE_MS + 1) * PIECE_MS)
            yield Stretch(stretch.boot, start, stop)
            start = stop


def erase(db: Any, stretch: Stretch) -> int:
    """Delete the readings of a stretch, the minutes and episodes that it touches and their events
    in the outbox; how many rows that were. A minute that is only touched is counted again from
    what is left of it. The roll-up of the home log follows.

    Runs in one transaction of the caller's; `secure_delete` overwrites what stood there.
    """
    if stretch.boot == quarters.IMPORTED:
        return quarters.erase_imported(db, stretch)
    found = db.execute("SELECT id FROM boots WHERE boot_id = ?", (stretch.boot,)).fetchone()
    if not found:
        return 0
    (boot,) = found
    last = (stretch.to_ms - 1) // 60_000
    touched = quarters.of_minutes(db, boot, stretch.from_ms // 60_000, last)
    start, end = boot << 40 | stretch.from_ms, boot << 40 | stretch.to_ms
    readings = "DELETE FROM readings WHERE id >= ? AND id < ?"
    rows: int = 0
    for minute in {stretch.from_ms // 60_000, last}:
        first = first_id(boot, minute)
        if start <= first and first + 60_000 <= end:
            continue
        # A minute whose readings went by age cannot be counted again; then it goes as a whole.
        whole = db.execute(
            "SELECT seconds <= (SELECT count(*) FROM readings WHERE id BETWEEN ? AND ?) "
            "FROM minutes WHERE boot = ? AND minute = ?",
            (first, first + 59_999, boot, minute),
        ).fetchone()
        rows += db.execute(readings, (max(start, first), min(end, first + 60_000))).rowcount
        if whole:
            rows += _count_again(db, boot, minute) if whole[0] else _drop(db, boot, minute)
    rows += db.execute(readings, (start, end)).rowcount
    rows += db.execute(
        "DELETE FROM minutes WHERE boot = ? AND minute >= ? AND minute < ?",
        (boot, -(-stretch.from_ms // 60_000), stretch.to_ms // 60_000),
    ).rowcount
    quarters.touch(db, touched)
    return rows + _erase_episodes(db, boot, stretch)


def _count_again(db: Any, boot: int, minute: int) -> int:
    first = first_id(boot, minute)
    counts = ", ".join(f"ifnull(sum(expression IS {n}), 0)" for n in range(len(EXPRESSIONS)))
    db.execute(
        f"UPDATE minutes SET (seconds, seen, facing, read, several, valence, "
        f"{', '.join(EXPRESSIONS)}) = "
        "(SELECT count(*), ifnull(sum(people > 0), 0), ifnull(sum(facing IS 1), 0), "
        "count(expression), ifnull(sum(people > 1 OR reason IS 0), 0), "
        "ifnull(sum(iif(expression IS NULL, 0, ifnull(valence, 0))), 0), "
        f"{counts} FROM readings WHERE id BETWEEN ? AND ?) WHERE boot = ? AND minute = ?",
        (first, first + 59_999, boot, minute),
    )
    return int(
        db.execute(
            "DELETE FROM minutes WHERE boot = ? AND minute = ? AND seconds = 0", (boot, minute)
        ).rowcount
    )


def _drop(db: Any, boot: int, minute: int) -> int:
    return int(
        db.execute("DELETE FROM minutes WHERE boot = ? AND minute = ?", (boot, minute)).rowcount
    )


def _erase_episodes(db: Any, boot: int, stretch: Stretch) -> int:
    keys = db.execute(
        "SELECT id FROM episodes WHERE boot = ? AND boot_ms < ? "
        "AND (boot_ms + length_ms > ? OR boot_ms >= ?)",
        (boot, stretch.to_ms, stretch.from_ms, stretch.from_ms),
    ).fetchall()
    rows = 0
    for query in ("DELETE FROM outbox WHERE episode = ?", "DELETE FROM episodes WHERE id = ?"):
        rows += max(0, db.executemany(query, keys).rowcount) if keys else 0
    return rows


def done(db: Any, id: int, utc_ms: int, rows: int) -> None:
    """Note that an erasure was done."""
    db.execute(
        "UPDATE erasures SET done_utc = ?, rows = ? WHERE id = ? AND done_utc IS NULL",
        (utc_ms, rows, id),
    )


def undone(db: Any) -> list[tuple[int, Stretch]]:
    """The erasures that were asked for and are not done yet, each with its id."""
    rows = db.execute(
        "SELECT id, boot, from_ms, to_ms FROM erasures WHERE done_utc IS NULL ORDER BY id"
    )
    return [(id, Stretch(*stretch)) for id, *stretch in rows]


# ── by age ───────────────────────────────────────────────────────────────────────────────────────


def kept_spans(db: Any) -> list[Span]:
    """Where readings belong to a session whose numbers are kept: in order, none overlapping."""
    rows = db.execute(
        "SELECT b.id << 40 | s.boot_ms, b.id << 40 | min(?, s.boot_ms + ifnull(s.length_ms, ?)) "
        "FROM sessions s JOIN boots b ON b.boot_id = s.boot WHERE s.numbers ORDER BY 1",
        (_LAST_MS, _LAST_MS),
    )
    spans: list[Span] = []
    for start, end in rows:
        if spans and start <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(spans[-1][1], end))
        else:
            spans.append((start, end))
    return spans


def delete_before(db: Any, utc_ms: int, kept: list[Span]) -> None:
    """Delete the readings of minutes that began before then, each judged by its own time, but
    none in a span that is kept.

    A minute without a true time goes when a later one went: order of writing is order of time.
    """
    first = _first_beside(db, kept)
    if first is None:
        return
    old = db.execute(
        "SELECT boot, minute, clock_ok FROM minutes "
        "WHERE (boot, minute) >= (?, ?) AND (clock_ok = 0 OR utc_ms < ?) ORDER BY boot, minute",
        (first >> 40, (first & 0xFF_FFFF_FFFF) // 60_000, utc_ms),
    ).fetchall()
    while old and not old[-1][2]:
        old.pop()
    for boot, minute, _ in old:
        start = first_id(boot, minute)
        _delete_beside(db, start, start + 60_000, kept)


def delete_under(db: Any, id: int, kept: list[Span]) -> None:
    """Delete the readings with a smaller id, but none in a span that is kept."""
    first = _first_beside(db, kept)
    if first is not None and first < id:
        _delete_beside(db, first, id, kept)


def _first_beside(db: Any, kept: list[Span]) -> int | None:
    """The first reading that is in no span. A look for each span at most, however much it holds."""
    least = 0
    while True:
        (first,) = db.execute("SELECT min(id) FROM readings WHERE id >= ?", (least,)).fetchone()
        if first is None:
            return None
        span = _span_at(kept, first)
        if span is None:
            return int(first)
        least = span[1]


def _span_at(kept: list[Span], id: int) -> Span | None:
    place = bisect.bisect_right(kept, (id, 1 << 63)) - 1
    return kept[place] if place >= 0 and id < kept[place][1] else None


def _delete_beside(db: Any, start: int, end: int, kept: list[Span]) -> None:
    place = max(0, bisect.bisect_right(kept, (start, 1 << 63)) - 1)
    for low, high in kept[place:]:
        if low >= end:
            break
        if start < low:
            db.execute("DELETE FROM readings WHERE id >= ? AND id < ?", (start, low))
        start = max(start, high)
    if start < end:
        db.execute("DELETE FROM readings WHERE id >= ? AND id < ?", (start, end))
