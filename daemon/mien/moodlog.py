"""The home log as it was seen: what the seat's expressions were by day, hour and weekday.

Reading only. Times are milliseconds of UTC, days are local ones of `zone`. All sums are of seconds
that were watched; where nobody was seen nothing stands. `since_ms` is where the log begins (see
`since`): nothing seen before is in any answer, but for quarters that were taken over from another
box since then. See docs/decisions/log.md.
"""

from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import Struct

from mien import mandate, settings
from mien.events import EXPRESSIONS, Expression, Quarter
from mien.quarters import BESIDE_SESSIONS, COUNTS, QUARTER_MS, SUMS, rolled
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
    found = _grouped(db, first, last, zone, since_ms, _DAY)
    return {date.fromordinal(_EPOCH + day): seen for day, seen in found.items()}


def hours(db: Any, day: date, zone: ZoneInfo, since_ms: int = 0) -> list[Hour]:
    """All hours of a day, also those in which nothing was seen."""
    made: list[Hour] = []
    told: set[int] = set()
    for start, end, offset in spans(*bounds(day, day, zone), zone):
        sums = _sums(db, start, end, offset, since_ms, "at / 3600000")
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


def by_hour(db: Any, first: date, last: date, zone: ZoneInfo, since_ms: int = 0) -> dict[int, Seen]:
    """Each hour of the wall clock, 0–23, over these days; those in which the box watched."""
    return _grouped(db, first, last, zone, since_ms, "at / 3600000 % 24")


def by_weekday(
    db: Any, first: date, last: date, zone: ZoneInfo, since_ms: int = 0
) -> dict[int, Seen]:
    """Each weekday, 1 Monday – 7 Sunday, over these days; those on which the box watched."""
    found: dict[int, Seen] = {}
    for day, seen in days(db, first, last, zone, since_ms).items():
        here = found.get(day.isoweekday())
        found[day.isoweekday()] = here + seen if here else seen
    return dict(sorted(found.items()))


def first_day(db: Any, zone: ZoneInfo, since_ms: int = 0) -> date | None:
    """The first day on which the box watched."""
    rows = (
        next(_of_minutes(db, since_ms, _above(since_ms), 0, "at", "ORDER BY 1 LIMIT 1"), None),
        db.execute(
            f"SELECT min(quarter) * {QUARTER_MS} FROM quarters WHERE quarter >= ? OR imported >= ?",
            (_above(since_ms) // QUARTER_MS, max(1, since_ms)),
        ).fetchone(),
        next(_of_minutes(db, _unrolled(db, since_ms), _EVER, 0, "at", "ORDER BY 1 LIMIT 1"), None),
    )
    known = [int(row[0]) for row in rows if row and row[0] is not None]
    return local(min(known), zone).date() if known else None


def quarters(db: Any, since_ms: int, until_ms: int, from_ms: int = 0) -> list[Quarter]:
    """A log that began at `since_ms`: the quarters that began in from ≤ t < until."""
    found = _sums(db, from_ms, until_ms, 0, since_ms, f"at / {QUARTER_MS}")
    return [_quarter(quarter, counts) for quarter, counts in sorted(found.items())]


# ── by the minute ────────────────────────────────────────────────────────────────────────────────


def between(db: Any, since_ms: int, until_ms: int) -> Seen:
    """What was seen in the minutes that began in since ≤ t < until."""
    found = next(_of_minutes(db, since_ms, until_ms, 0, "0", "GROUP BY 1"), None)
    return _seen(found[1:] if found else _NOTHING)


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


_DAY = "at / 86400000"
_QUARTERS = DAY_MS // QUARTER_MS
_NOTHING = (0,) * len(COUNTS)
_COLUMNS = ", ".join(COUNTS)


def _grouped(
    db: Any, first: date, last: date, zone: ZoneInfo, since_ms: int, group: str
) -> dict[int, Seen]:
    found: dict[int, list[int]] = {}
    if last < first:
        return {}
    for start, end, offset in spans(*bounds(first, last, zone), zone):
        _add(found, _sums(db, start, end, offset, since_ms, group).items())
    return {key: _seen(counts) for key, counts in sorted(found.items())}


def _sums(
    db: Any, start: int, end: int, offset: int, since_ms: int, group: str
) -> dict[int, list[int]]:
    """The counts of start ≤ t < end by `group`, an expression of `at`, local ms since 1970.

    Of the quarter in which the log began, and of those not rolled up yet, the minutes are summed.
    """
    found: dict[int, list[int]] = {}
    above, fresh = _above(since_ms), _unrolled(db, since_ms)
    span = (-(-start // QUARTER_MS), -(-end // QUARTER_MS))
    query = f"{SUMS} FROM quarters WHERE quarter >= ?1 AND quarter < ?2"
    if start < above:
        query += f" AND (quarter >= {above // QUARTER_MS} OR imported >= {max(1, since_ms)})"
    if group == _DAY:  # one after the other, which is faster than to sort a year
        _add(found, _by_day(db, f"SELECT {query}", span, offset // QUARTER_MS))
    else:
        key = group.replace("at", f"(quarter * {QUARTER_MS} + {offset})")
        rows = db.execute(f"SELECT {key} AS it, {query} GROUP BY it", span)
        _add(found, ((row[0], row[1:]) for row in rows))
    for low, high in ((since_ms, min(above, fresh)), (fresh, _EVER)):
        low, high = max(low, start), min(high, end)
        if low < high:
            rows = _of_minutes(db, low, high, offset, group, "GROUP BY 1")
            _add(found, ((row[0], row[1:]) for row in rows))
    return found


def _by_day(
    db: Any, query: str, span: tuple[int, int], offset: int
) -> Iterator[tuple[int, tuple[int, ...]]]:
    """The sums of each day of a clock that is ahead by so many quarters, where there are any."""
    start, end = span
    while start < end:
        day = (start + offset) // _QUARTERS
        stop = min(end, (day + 1) * _QUARTERS - offset)
        counts = db.execute(query, (start, stop)).fetchone()
        if counts[0] is not None:
            yield day, counts
        start = stop


def _of_minutes(
    db: Any, start: int, end: int, offset: int, group: str, rest: str
) -> Iterator[tuple[int, ...]]:
    counts = SUMS if rest.startswith("GROUP") else _COLUMNS
    return iter(
        db.execute(
            f"SELECT {group.replace('at', '(utc_ms + ?1)')} AS it, {counts} FROM minutes m "
            f"WHERE clock_ok = 1 AND utc_ms >= ?2 AND utc_ms < ?3 AND {BESIDE_SESSIONS} {rest}",
            (offset, start, end),
        )
    )


def _above(since_ms: int) -> int:
    """The first quarter that lies wholly in the log."""
    return -(-since_ms // QUARTER_MS) * QUARTER_MS


def _unrolled(db: Any, since_ms: int) -> int:
    return max(since_ms, rolled(db) * QUARTER_MS)


def _add(found: dict[int, list[int]], rows: Iterable[tuple[int, Any]]) -> None:
    for key, counts in rows:
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


def _quarter(quarter: int, counts: list[int]) -> Quarter:
    seconds, seen, facing, read, several, *expressions, valence = counts
    said = dict(zip(EXPRESSIONS, expressions, strict=True))
    return Quarter(quarter, seconds, seen, facing, read, several, said, valence)
