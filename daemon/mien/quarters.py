"""The roll-up of the home log: what the seat saw in each quarter of an hour of UTC, summed from the
minutes that know their time and lie outside of all sessions.

Up to the quarter in `rolled`, the table `quarters` says what the minutes say, always: whoever
changes minutes calls `touch` in the same transaction. From that quarter on, readers look at the
minutes themselves. See docs/decisions/log.md.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from mien.events import EXPRESSIONS, Quarter, Stretch

QUARTER_MS = 900_000
SETTLED_MS = 120_000
"""So long after its end a quarter is rolled up: what was seen in it is in the store by then."""
IMPORTED = "imported"
"""Stands for the boot in a stretch of quarters that another box saw; its times are of UTC."""
COUNTS = ("seconds", "seen", "facing", "read", "several", *EXPRESSIONS, "valence")
SUMS = ", ".join(f"sum({name})" for name in COUNTS)
BESIDE_SESSIONS = (
    "NOT EXISTS (SELECT 1 FROM boots b JOIN sessions s ON s.boot = b.boot_id WHERE b.id = m.boot "
    "AND s.boot_ms < (m.minute + 1) * 60000 "
    "AND s.boot_ms + ifnull(s.length_ms, 1 << 40) > m.minute * 60000)"
)
"""Of a minute `m`: no session touches it. One that nobody stopped goes on to the end of its boot.
"""
OWN_MINUTES = (
    f"FROM minutes m WHERE clock_ok = 1 AND utc_ms >= ? AND utc_ms < ? AND {BESIDE_SESSIONS}"
)
"""What the log of a stretch of UTC is made of."""
_PIECE = 96
"""Quarters, a day, that one transaction rolls up."""
_SUMMED = f"SELECT utc_ms / {QUARTER_MS} AS quarter, {SUMS}, 0 {OWN_MINUTES} GROUP BY 1"
_OF_STRETCH = (
    "FROM quarters WHERE imported AND (quarter >= ? AND quarter < ? "
    "OR imported >= ? AND imported < ?)"
)


def row(quarter: Quarter) -> list[int]:
    """The number of a quarter and its `COUNTS`."""
    return [
        quarter.quarter, quarter.seconds, quarter.seen, quarter.facing, quarter.read,
        quarter.several, *(quarter.expressions.get(name, 0) for name in EXPRESSIONS),
        quarter.valence,
    ]  # fmt: skip


def of_row(row: Sequence[int]) -> Quarter:
    """The other way round."""
    quarter, seconds, seen, facing, read, several, *looks, valence = row
    said = dict(zip(EXPRESSIONS, looks, strict=True))
    return Quarter(quarter, seconds, seen, facing, read, several, said, valence)


def rolled(db: Any) -> int:
    """The first quarter that is not rolled up yet."""
    return int(db.execute("SELECT quarter FROM rolled").fetchone()[0])


def recount(db: Any, quarters: Iterable[int]) -> None:
    """Sum these anew from their minutes. One without any goes, unless another box saw it; what
    this box saw itself stands in place of what another did."""
    for quarter in sorted(set(quarters)):
        start = quarter * QUARTER_MS
        own = db.execute(_SUMMED, (start, start + QUARTER_MS)).fetchone()
        if own:
            _put(db, [own])
        else:
            db.execute("DELETE FROM quarters WHERE quarter = ? AND NOT imported", (quarter,))


def touch(db: Any, quarters: Iterable[int]) -> None:
    """The minutes of these quarters changed: bring the roll-up into line with them."""
    until = rolled(db)
    touched = set(quarters)
    recount(db, (quarter for quarter in touched if quarter < until))
    for quarter in touched:
        if quarter >= until:
            start = quarter * QUARTER_MS
            db.execute(
                f"DELETE FROM quarters WHERE quarter = ? AND EXISTS (SELECT 1 {OWN_MINUTES})",
                (quarter, start, start + QUARTER_MS),
            )


def of_minutes(db: Any, boot: int, first: int, last: int) -> set[int]:
    """The quarters in which the dated minutes first ≤ m ≤ last of a boot (its number) began."""
    rows = db.execute(
        f"SELECT DISTINCT utc_ms / {QUARTER_MS} FROM minutes "
        "WHERE boot = ? AND minute BETWEEN ? AND ? AND clock_ok = 1",
        (boot, first, last),
    )
    return {quarter for (quarter,) in rows}


def roll(db: Any, now_ms: int) -> bool:
    """Do a piece of what is to be done at this UTC in ms; whether there may be more.

    First come the minutes beside which a session was begun, ended or deleted meanwhile; then the
    quarters that ended `SETTLED_MS` ago. One transaction of the caller's.
    """
    if _settle(db):
        return True
    begin, end = rolled(db), (now_ms - SETTLED_MS) // QUARTER_MS
    if begin >= end:
        return False
    (first,) = db.execute(
        "SELECT min(utc_ms) FROM minutes WHERE clock_ok = 1 AND utc_ms >= ? AND utc_ms < ?",
        (begin * QUARTER_MS, end * QUARTER_MS),
    ).fetchone()
    stop = end if first is None else min(end, first // QUARTER_MS + _PIECE)
    if first is not None:
        span = (first // QUARTER_MS * QUARTER_MS, stop * QUARTER_MS)
        _put(db, db.execute(_SUMMED, span).fetchall())
    db.execute("UPDATE rolled SET quarter = ?", (stop,))
    return stop < end


def take_over(db: Any, quarters: Sequence[Quarter], utc_ms: int) -> int:
    """Keep what another box saw, in quarters in which this one saw nothing; how many those are.
    What was taken over before is replaced. `utc_ms`: when it was taken over."""
    taken = 0
    for quarter in quarters:
        start = quarter.quarter * QUARTER_MS
        taken += db.execute(
            f"INSERT OR REPLACE INTO quarters SELECT ?, {', '.join('?' * len(COUNTS))}, ? WHERE "
            "NOT EXISTS (SELECT 1 FROM quarters WHERE quarter = ? AND NOT imported) "
            f"AND NOT EXISTS (SELECT 1 {OWN_MINUTES})",
            (*row(quarter), max(1, utc_ms), quarter.quarter, start, start + QUARTER_MS),
        ).rowcount
    return taken


def flaw(quarter: Quarter) -> str | None:
    """What no box can have seen, in words; None when all is well."""
    said = quarter.expressions
    if not 0 <= quarter.quarter < 1 << 23:
        return f"quarter {quarter.quarter} is no time of this or the next century"
    if not 0 <= quarter.seconds <= 4 * 900:
        return f"{quarter.seconds} seconds of a quarter of an hour were watched"
    within: list[tuple[str, int]] = [
        ("seen", quarter.seen), ("facing", quarter.facing), ("read", quarter.read),
        ("several", quarter.several), *said.items(),
    ]  # fmt: skip
    for name, seconds in within:
        if not 0 <= seconds <= quarter.seconds:
            return f"{seconds} seconds of {quarter.seconds} are {name}"
    if sum(said.values()) != quarter.read:
        return f"expressions of {sum(said.values())} seconds, but {quarter.read} were read"
    if abs(quarter.valence) > 1000 * quarter.read:
        return f"valence of {quarter.valence} thousandths over {quarter.read} seconds"
    return None


def erase_imported(db: Any, stretch: Stretch) -> int:
    """Delete what another box saw and what was taken over in a stretch of UTC, or taken over
    within it, whenever it was seen; how many rows that were."""
    return int(db.execute(f"DELETE {_OF_STRETCH}", _times(stretch)).rowcount)


def imported(db: Any, stretch: Stretch) -> int:
    """How many rows `erase_imported` would delete."""
    return int(db.execute(f"SELECT count(*) {_OF_STRETCH}", _times(stretch)).fetchone()[0])


def _times(stretch: Stretch) -> tuple[int, int, int, int]:
    start, end = stretch.from_ms, stretch.to_ms
    return start // QUARTER_MS, -(-end // QUARTER_MS), start, end


def _put(db: Any, rows: Sequence[tuple[Any, ...]]) -> None:
    if rows:
        places = ", ".join("?" * (len(COUNTS) + 2))
        db.executemany(f"INSERT OR REPLACE INTO quarters VALUES ({places})", rows)


def _settle(db: Any) -> bool:
    """Recount up to a day of minutes of a session that changed; False when there is none."""
    found = db.execute("SELECT rowid, boot, from_ms, to_ms FROM unsettled LIMIT 1").fetchone()
    if not found:
        return False
    row, boot_id, start, end = found
    minute = db.execute(
        "SELECT boot, minute FROM minutes WHERE boot = (SELECT id FROM boots WHERE boot_id = ?) "
        "AND minute >= ? AND minute < ? ORDER BY minute LIMIT 1",
        (boot_id, start // 60_000, -(-end // 60_000)),
    ).fetchone()
    if minute is None:
        db.execute("DELETE FROM unsettled WHERE rowid = ?", (row,))
        return True
    boot, first = minute
    stop = min(first + 1440, -(-end // 60_000))
    touch(db, of_minutes(db, boot, first, stop - 1))
    db.execute("UPDATE unsettled SET from_ms = ? WHERE rowid = ?", (stop * 60_000, row))
    return True
