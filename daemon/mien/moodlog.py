"""The home log as it was seen: what the seat's expressions were, by day and hour.

Reading only. Times are milliseconds of UTC, days are local ones of `zone`. All sums are of seconds
that were watched; where nobody was seen nothing stands. `since_ms` is where the log begins (see
`since`): nothing seen before is in any answer, but for quarters that were taken over from another
box since then. See docs/decisions/log.md.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import Struct

from mien import mandate, settings
from mien.events import EXPRESSIONS, Expression, Quarter
from mien.quarters import BESIDE_SESSIONS, COUNTS, OWN_MINUTES, QUARTER_MS, SUMS, of_row, rolled
from mien.zone import bounds, local, spans

ENOUGH_S = {"hour": 120, "day": 600, "week": 1800, "month": 3600}
"""Seconds read under which a figure says too little: it is hatched."""

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
_EPOCH = date(1970, 1, 1).toordinal()
_EVER = 1 << 62


class Seen(Struct, frozen=True):
    """Seconds of each kind; `read` are those with an expression, `several` those with more than
    one person in the seat, of whom nobody is read."""

    seconds: int
    seen: int
    facing: int
    read: int
    several: int
    expressions: dict[Expression, int]
    valence: float | None
    """Mean over the seconds read, −1 to 1; None when there are none."""

    def share(self, expression: Expression) -> float | None:
        """Of the seconds read; None when there are none."""
        return self.expressions[expression] / self.read if self.read else None

    @property
    def top(self) -> Expression | None:
        """The most frequent expression; None when none was read."""
        if not self.read:
            return None
        return max(self.expressions, key=lambda name: self.expressions[name])

    def __add__(self, other: "Seen") -> "Seen":
        return _seen([a + b for a, b in zip(_counts(self), _counts(other), strict=True)])


class Hour(Struct, frozen=True):
    """An hour of the wall clock, of which there are 23 to 25 in a day; shorter where the clock is
    set within it."""

    start_ms: int
    length_ms: int
    hour: int
    again: bool
    """The clock was set back, and this is the hour's second time."""
    seen: Seen


class Undated(Struct, frozen=True):
    """What was seen while the box did not know the time and never learnt it, in one of its boots:
    it lies between these dated minutes; None: there is none on that side."""

    seen: Seen
    after_ms: int | None
    before_ms: int | None


def since(db: Any, client: str) -> int | None:
    """From when on the log of the box is this person's; None when it is not. The demo's is
    anybody's, from the beginning."""
    if settings.setting(db) == "demo":
        return 0
    if mandate.resident(db) != client:
        return None
    given = "SELECT min(given_utc) FROM consents WHERE client = ? AND kind = 'home' "
    found = db.execute(f"{given} AND withdrawn_utc IS NULL", (client,)).fetchone()
    return int(found[0])


# ── by the calendar ──────────────────────────────────────────────────────────────────────────────


def days(db: Any, first: date, last: date, zone: ZoneInfo, since_ms: int = 0) -> dict[date, Seen]:
    """The days, `last` included, on which the box watched, in order."""
    found: dict[int, list[int]] = {}
    for start, end, offset in spans(*bounds(first, last, zone), zone):
        _add(found, _sums(db, start, end, offset, since_ms, DAY_MS))
    return {date.fromordinal(_EPOCH + day): _seen(found[day]) for day in sorted(found)}


def hours(db: Any, day: date, zone: ZoneInfo, since_ms: int = 0) -> list[Hour]:
    """All hours of a day, also those in which nothing was seen."""
    made: list[Hour] = []
    told: set[int] = set()
    for start, end, offset in spans(*bounds(day, day, zone), zone):
        sums = dict(_sums(db, start, end, offset, since_ms, HOUR_MS))
        here = set()
        while start < end:
            number = (start + offset) // HOUR_MS
            stop = min(end, (number + 1) * HOUR_MS - offset)
            hour = number % 24
            seen = _seen(sums.get(number, _NOTHING))
            made.append(Hour(start, stop - start, hour, hour in told, seen))
            here.add(hour)
            start = stop
        told |= here
    return made


def first_day(db: Any, zone: ZoneInfo, since_ms: int = 0) -> date | None:
    """The first day on which the box watched."""
    of_minutes = f"SELECT min(utc_ms) {OWN_MINUTES}"
    of_quarters = (
        f"SELECT min(quarter) * {QUARTER_MS} FROM quarters WHERE quarter >= ? OR imported >= ?"
    )
    above = _above(since_ms)
    asked = (
        (of_minutes, (since_ms, above)),
        (of_quarters, (above // QUARTER_MS, max(1, since_ms))),
        (of_minutes, (_unrolled(db, since_ms), _EVER)),
    )
    found = [db.execute(query, span).fetchone()[0] for query, span in asked]
    known = [first for first in found if first is not None]
    return local(min(known), zone).date() if known else None


def quarters(db: Any, since_ms: int, until_ms: int, from_ms: int = 0) -> list[Quarter]:
    """A log that began at `since_ms`: the quarters that began in from ≤ t < until."""
    found = dict(_sums(db, from_ms, until_ms, 0, since_ms, QUARTER_MS))
    return [of_row([quarter, *counts]) for quarter, counts in sorted(found.items())]


# ── by the minute ────────────────────────────────────────────────────────────────────────────────


def between(db: Any, since_ms: int, until_ms: int) -> Seen:
    """What was seen in the minutes that began in since ≤ t < until."""
    counts = db.execute(f"SELECT {SUMS} {OWN_MINUTES}", (since_ms, until_ms)).fetchone()
    return _seen(_NOTHING if counts[0] is None else counts)


def undated(db: Any, since_ms: int = 0) -> list[Undated]:
    """What has no true time, by the boot; without what was certainly seen before `since_ms`."""
    rows = db.execute(
        f"SELECT boot, min(minute), max(minute), {SUMS} FROM minutes m INDEXED BY minutes_undated "
        f"WHERE clock_ok = 0 AND {BESIDE_SESSIONS} GROUP BY boot ORDER BY boot"
    ).fetchall()
    made = []
    for boot, first, last, *counts in rows:
        after = db.execute(
            "SELECT utc_ms + 60000 FROM minutes WHERE (boot, minute) < (?, ?) AND clock_ok = 1 "
            "ORDER BY boot DESC, minute DESC LIMIT 1",
            (boot, first),
        ).fetchone()
        before = db.execute(
            "SELECT utc_ms FROM minutes WHERE (boot, minute) > (?, ?) AND clock_ok = 1 "
            "ORDER BY boot, minute LIMIT 1",
            (boot, last),
        ).fetchone()
        if before is None or before[0] > since_ms:
            ends = (after and after[0], before and before[0])
            made.append(Undated(_seen(counts), *ends))
    return made


# ── within ───────────────────────────────────────────────────────────────────────────────────────


_DAY = DAY_MS // QUARTER_MS
_NOTHING = (0,) * len(COUNTS)
_Sums = Iterable[tuple[int, Sequence[int]]]
"""Numbers of days, hours or quarters since 1970, and the `COUNTS` of each."""


def _sums(db: Any, start: int, end: int, offset: int, since_ms: int, unit_ms: int) -> _Sums:
    """The counts of start ≤ t < end by the day, hour or quarter of a clock that is ahead of UTC.

    Of the quarter in which the log began, and of those not rolled up yet, the minutes are summed.
    """
    found: dict[int, list[int]] = {}
    above, fresh = _above(since_ms), _unrolled(db, since_ms)
    span = (-(-start // QUARTER_MS), -(-end // QUARTER_MS))
    query = f"{SUMS} FROM quarters WHERE quarter >= ?1 AND quarter < ?2"
    if start < above:
        query += f" AND (quarter >= {above // QUARTER_MS} OR imported >= {max(1, since_ms)})"
    if unit_ms == DAY_MS:  # one after the other, which is faster than to sort a year
        _add(found, _by_day(db, f"SELECT {query}", span, offset // QUARTER_MS))
    else:
        key = f"(quarter * {QUARTER_MS} + {offset}) / {unit_ms}"
        _add(found, _keyed(db.execute(f"SELECT {key}, {query} GROUP BY 1", span)))
    for low, high in ((since_ms, min(above, fresh)), (fresh, _EVER)):
        low, high = max(low, start), min(high, end)
        if low < high:
            query = f"SELECT (utc_ms + {offset}) / {unit_ms}, {SUMS} {OWN_MINUTES} GROUP BY 1"
            _add(found, _keyed(db.execute(query, (low, high))))
    return found.items()


def _by_day(db: Any, query: str, span: tuple[int, int], offset: int) -> _Sums:
    """The sums of each day of a clock that is ahead by so many quarters, where there are any."""
    start, end = span
    while start < end:
        day = (start + offset) // _DAY
        stop = min(end, (day + 1) * _DAY - offset)
        counts = db.execute(query, (start, stop)).fetchone()
        if counts[0] is not None:
            yield day, counts
        start = stop


def _keyed(rows: Iterable[tuple[int, ...]]) -> _Sums:
    return ((row[0], row[1:]) for row in rows)


def _above(since_ms: int) -> int:
    """The first quarter that lies wholly in the log."""
    return -(-since_ms // QUARTER_MS) * QUARTER_MS


def _unrolled(db: Any, since_ms: int) -> int:
    return max(since_ms, rolled(db) * QUARTER_MS)


def _add(found: dict[int, list[int]], more: _Sums) -> None:
    for key, counts in more:
        here = found.get(key)
        found[key] = [a + b for a, b in zip(here, counts, strict=True)] if here else list(counts)


def _seen(counts: Any) -> Seen:
    seconds, seen, facing, read, several, *expressions, valence = counts
    return Seen(
        seconds, seen, facing, read, several, dict(zip(EXPRESSIONS, expressions, strict=True)),
        valence / 1000 / read if read else None,
    )  # fmt: skip


def _counts(seen: Seen) -> list[Any]:
    valence = 1000 * seen.read * (seen.valence or 0)
    each = [seen.expressions[name] for name in EXPRESSIONS]
    return [seen.seconds, seen.seen, seen.facing, seen.read, seen.several, *each, valence]
