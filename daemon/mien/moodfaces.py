"""What the face looked like beside what was said, and what changed since last month. Pure.

Neither corrects the other: a face is not a feeling, and where the two differ that is told as it is.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Literal

from msgspec import Struct

from mien import dayfigures, moodpatterns
from mien.checkins import Report
from mien.dayfigures import Figure
from mien.events import EXPRESSIONS, Expression
from mien.moodlog import Seen
from mien.student import quantile

AROUND_MS = 1_800_000
"""What was seen so long before and after a check-in stands beside it."""
MOSTLY = 0.5
"""An expression that fills so much of the readable time is what the face mostly looked like."""
LEAST_PAIRED_DAYS = 10
"""A correlation from fewer days says nothing."""

Said = Literal["good", "so-so", "bad"]
Look = Expression | Literal["mixed"]


class Saying(Struct, frozen=True):
    """Check-ins with such a mood of which enough was seen, by what the face mostly looked like."""

    said: Said
    n: int
    looks: dict[Look, int]


class Beside(Struct, frozen=True):
    """Of `made` check-ins with a mood, `enough` were seen enough. `correlation`: of mood and how
    pleasant the face looked, by rank."""

    made: int
    enough: int
    seconds: int
    sayings: list[Saying]
    correlation: Figure


class Change(Struct, frozen=True):
    """`name`: "mood", "positive", "negative", "minutes" (seen a day) or an expression. For
    expressions `n` of a figure is in seconds."""

    name: str
    now: Figure
    before: Figure
    difference: Figure
    clear: bool = False


def beside(pairs: Sequence[tuple[Report, Seen]], enough_s: int) -> Beside:
    """`pairs`: check-ins and what was seen around each; `enough_s` seconds have to be readable."""
    said = [(report, seen) for report, seen in pairs if report.mood is not None]
    held = [(report, seen) for report, seen in said if seen.read >= enough_s]
    sayings: dict[Said, dict[Look, int]] = {"good": {}, "so-so": {}, "bad": {}}
    for report, seen in held:
        looks = sayings[spoken(report.mood or 0)]
        look = mostly(seen)
        looks[look] = looks.get(look, 0) + 1
    return Beside(
        len(said),
        len(held),
        sum(seen.read for _, seen in held),
        [
            Saying(kind, sum(looks.values()), dict(sorted(looks.items(), key=lambda i: -i[1])))
            for kind, looks in sayings.items()
        ],
        correlation(
            [
                (report.day or 0, float(report.mood or 0), seen.valence)
                for report, seen in held
                if seen.valence is not None
            ]
        ),
    )


def spoken(mood: int) -> Said:
    return "good" if mood > 3 else "bad" if mood < 3 else "so-so"


def mostly(seen: Seen) -> Look:
    top = max(seen.expressions, key=lambda name: seen.expressions[name])
    return top if seen.expressions[top] >= MOSTLY * seen.read else "mixed"


def correlation(rows: Sequence[tuple[int, float, float]]) -> Figure:
    """Spearman's, of rows (day, a, b); Fisher's z with the variance of D. G. Bonett and T. A.
    Wright, Psychometrika 65 (2000) 23–28, and the number of days for that of looks."""
    n, days = len(rows), len({day for day, _, _ in rows})
    if days < LEAST_PAIRED_DAYS:
        return Figure(None, n=n, days=days)
    a, b = ranks([x for _, x, _ in rows]), ranks([y for _, _, y in rows])
    middle = (n + 1) / 2
    both = sum((x - middle) * (y - middle) for x, y in zip(a, b, strict=True))
    spread = sum((x - middle) ** 2 for x in a) * sum((y - middle) ** 2 for y in b)
    if not spread:  # always the same mood: nothing to go along with
        return Figure(None, n=n, days=days)
    r = both / math.sqrt(spread)
    z = math.atanh(max(-0.999, min(0.999, r)))
    reach = quantile(days - 2) * math.sqrt((1 + r * r / 2) / (days - 3))
    return Figure(r, math.tanh(z - reach), math.tanh(z + reach), n, days)


def ranks(values: Sequence[float]) -> list[float]:
    """From 1; equal ones share the middle of their places."""
    order = sorted(range(len(values)), key=lambda i: values[i])
    found, at = [0.0] * len(values), 0
    while at < len(order):
        end = at
        while end + 1 < len(order) and values[order[end + 1]] == values[order[at]]:
            end += 1
        for place in order[at : end + 1]:
            found[place] = (at + end) / 2 + 1
        at = end + 1
    return found


def changes(
    now: tuple[Sequence[Report], Mapping[date, Seen]],
    before: tuple[Sequence[Report], Mapping[date, Seen]],
    enough_s: int,
) -> list[Change]:
    """One month against another: check-ins and days as seen. Expressions are compared where in both
    at least `enough_s` seconds could be read."""
    held = [_figures(reports, days, enough_s) for reports, days in (now, before)]
    made = [
        Change(name, new, held[1][name], dayfigures.difference(new, held[1][name]))
        for name, new in held[0].items()
    ]
    flags = dayfigures.marked([one.difference for one in made])
    return [
        Change(one.name, one.now, one.before, one.difference, flag)
        for one, flag in zip(made, flags, strict=True)
    ]


def _figures(
    reports: Sequence[Report], days: Mapping[date, Seen], enough_s: int
) -> dict[str, Figure]:
    said = moodpatterns.overall(reports)
    watched = {day.toordinal(): seen for day, seen in days.items()}
    found = {
        "mood": said.mood,
        "positive": said.positive,
        "negative": said.negative,
        "minutes": dayfigures.mean(
            {day: (1, seen.seen / 60) for day, seen in watched.items()}, (0, 1500)
        ),
    }
    read = {day: seen for day, seen in watched.items() if seen.read}
    total = sum(seen.read for seen in read.values())
    for name in EXPRESSIONS:
        of_days = {day: (seen.read, seen.expressions[name]) for day, seen in read.items()}
        found[name] = (
            dayfigures.share(of_days)
            if total >= enough_s
            else Figure(None, n=total, days=len(read))
        )
    return found
