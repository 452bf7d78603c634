"""What check-ins tell over weeks: by hour, by weekday, by activity. Pure.

Every comparison is one of many, of which some stand out by chance: `clear` are those that survive
the procedure of Benjamini and Hochberg over all of their table (`dayfigures.marked`).
"""

from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from operator import or_
from typing import NamedTuple

from msgspec import Struct

from mien.checkins import Report
from mien.dayfigures import LEAST, Figure, Marks, Whole, marked, mean, ratio, series, share
from mien.emotions import EMOTIONS, NEGATIVE_MASK, POSITIVE_MASK, Emotion

MOST = 12
"""Of so many activities, the most used, the emotions are compared: fewer comparisons, of which
each can then be clear."""

_QUARTERS = (range(6), range(6, 12), range(12, 18), range(18, 24))


class Overall(Struct, frozen=True):
    n: int
    mood: Figure
    positive: Figure
    """Share of the check-ins that said emotions in which at least one was a positive one."""
    negative: Figure
    ratio: Figure
    """Of the check-ins with a positive one to those with a negative one."""


class Group(Struct, frozen=True):
    """Check-ins of some hours or of a weekday. `difference` is the mean mood against all others,
    or, where nobody said a mood, the positive share; `clear` survives the many comparisons."""

    first: int
    last: int
    n: int
    mood: Figure
    positive: Figure
    negative: Figure
    difference: Figure
    clear: bool = False


class Feeling(Struct, frozen=True):
    emotion: Emotion
    share: Figure
    difference: Figure


class Activity(Struct, frozen=True):
    """`difference`: mean mood with it less that without it."""

    id: str
    n: int
    mood: Figure
    difference: Figure
    feelings: list[Feeling]
    """Those that are clearly more or less frequent with it, the clearest first."""
    clear: bool = False


class _Row(NamedTuple):
    day: int
    report: Report


def overall(reports: Sequence[Report]) -> Overall:
    rows = _dated(reports)
    both: dict[int, tuple[float, float]] = {}
    for day, report in rows:
        if report.emotions is not None:
            a, b = both.get(day, (0, 0))
            both[day] = a + _has(report, POSITIVE_MASK), b + _has(report, NEGATIVE_MASK)
    return Overall(
        len(rows), mean(_moods(rows)), share(_said(rows, POSITIVE_MASK)),
        share(_said(rows, NEGATIVE_MASK)), ratio(both),
    )  # fmt: skip


def by_hour(reports: Sequence[Report]) -> list[Group]:
    """Hours with too few check-ins are joined with their neighbours of the same quarter of the day;
    an hour without any is in no group."""
    rows = _dated(reports)
    held: dict[int, set[int]] = {}
    for day, report in rows:
        if report.hour is not None:
            held.setdefault(report.hour, set()).add(day)
    spans: list[tuple[int, int]] = []
    for quarter in _QUARTERS:
        found: list[tuple[int, int]] = []
        days: set[int] = set()
        first: int | None = None
        for hour in quarter:
            if hour not in held:
                continue
            first = hour if first is None else first
            days |= held[hour]
            if len(days) >= LEAST:
                found.append((first, hour))
                first, days = None, set()
        if first is not None:
            last = max(hour for hour in quarter if hour in held)
            first = found.pop()[0] if found else first
            found.append((first, last))
        spans += found
    return _groups(rows, spans, lambda report: report.hour)


def by_weekday(reports: Sequence[Report]) -> list[Group]:
    """From Monday, 1; a weekday without check-ins is left out."""
    rows = _dated(reports)
    held = {report.weekday for _, report in rows}
    return _groups(rows, [(n, n) for n in range(1, 8) if n in held], lambda r: r.weekday)


def by_activity(reports: Sequence[Report]) -> list[Activity]:
    """Activities against mood and emotions, the greatest difference first, those with too little
    last."""
    rows = _dated(reports)
    with_it: dict[str, list[_Row]] = {}
    for row in rows:
        for activity in row.report.activities:
            with_it.setdefault(activity, []).append(row)
    if not with_it:
        return []
    moods, said = Whole(_moods(rows)), _bits(rows)
    feelings = Marks(said, len(EMOTIONS))
    spoken = reduce(or_, (bits for _, bits in said), 0)
    found: list[tuple[str, list[_Row], Figure]] = []
    tried: list[tuple[str, Feeling]] = []
    for place, (id, part) in enumerate(sorted(with_it.items(), key=lambda i: (-len(i[1]), i[0]))):
        found.append((id, part, moods.means(_moods(part))))
        if place >= MOST:
            continue
        tried += [
            (id, Feeling(EMOTIONS[bit], held, apart))
            for bit, (held, apart) in enumerate(feelings.parted(_bits(part)))
            if apart.value is not None and spoken >> bit & 1
        ]
    clear: dict[str, list[Feeling]] = {}
    for (id, feeling), sure in zip(tried, marked([f.difference for _, f in tried]), strict=True):
        if sure:
            clear.setdefault(id, []).append(feeling)
    flags = marked([figure for _, _, figure in found])
    listed = [
        Activity(
            id, len(part), mean(_moods(part), reach=3), figure,
            sorted(clear.get(id, []), key=lambda f: f.difference.p), flag,
        )
        for (id, part, figure), flag in zip(found, flags, strict=True)
    ]  # fmt: skip
    return sorted(listed, key=_order)


def _order(activity: Activity) -> tuple[bool, float, int, str]:
    value = activity.difference.value
    return value is None, -(value or 0.0), -activity.n, activity.id


def _groups(
    rows: Sequence[_Row], spans: Sequence[tuple[int, int]], place: Callable[[Report], int | None]
) -> list[Group]:
    moods = Whole(_moods(rows))
    positive = Whole(_said(rows, POSITIVE_MASK))
    parts: dict[int | None, list[_Row]] = {}
    for row in rows:
        parts.setdefault(place(row.report), []).append(row)
    made = []
    for first, last in spans:
        part = [row for n in range(first, last + 1) for row in parts.get(n, [])]
        said, apart = positive.shares(_said(part, POSITIVE_MASK))
        made.append(
            Group(
                first, last, len(part), mean(_moods(part), reach=3), said,
                share(_said(part, NEGATIVE_MASK), reach=3),
                moods.means(_moods(part)) if moods.total.n else apart,
            )
        )  # fmt: skip
    flags = marked([group.difference for group in made])
    return [
        Group(g.first, g.last, g.n, g.mood, g.positive, g.negative, g.difference, flag)
        for g, flag in zip(made, flags, strict=True)
    ]


def _dated(reports: Sequence[Report]) -> list[_Row]:
    """With the day that each counts to. What knows no day is of a day of its own, far from all."""
    return [
        _Row(report.day if report.day is not None else -1000 * (n + 1), report)
        for n, report in enumerate(reports)
    ]


def _moods(rows: Iterable[_Row]) -> dict[int, tuple[float, float]]:
    return series((day, r.mood) for day, r in rows if r.mood is not None)


def _bits(rows: Iterable[_Row]) -> list[tuple[int, int]]:
    return [(day, r.emotions) for day, r in rows if r.emotions is not None]


def _said(rows: Iterable[_Row], mask: int) -> dict[int, tuple[float, float]]:
    return series((day, _has(r, mask)) for day, r in rows if r.emotions is not None)


def _has(report: Report, mask: int) -> int:
    return 1 if (report.emotions or 0) & mask else 0
