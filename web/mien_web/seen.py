"""What was seen, as the log's pages say and draw it: never without how long it was seen for."""

from collections.abc import Iterable
from functools import lru_cache, reduce
from operator import add
from typing import Literal

from flask_babel import format_decimal, get_locale, gettext
from msgspec import Struct

from mien import moodlog
from mien.events import EXPRESSIONS, Expression
from mien.moodlog import Hour, Seen
from mien_web import labels
from mien_web.drawing import ORDER
from mien_web.languages import percent

Scale = Literal["hour", "day", "week", "month"]
PARTS = (*ORDER, "unknown", "away", "several")
"""Of the seconds with somebody in the seat, in the order in which they are stacked."""
NOTHING = Seen(0, 0, 0, 0, 0, dict.fromkeys(EXPRESSIONS, 0), None)
STEPS = (-0.3, -0.1, 0.1, 0.3)
"""Between the five steps of how pleasant a face looked."""
AMOUNTS = (3600, 10_800, 21_600)
"""Seconds seen in a day, between the four shades of it."""
BESIDE = 0.05
"""Share of what was read from which on an expression stands out beside neutral."""
HEIGHT = 180
"""Pixels that an hour of 60 minutes is high."""


def total(found: Iterable[Seen]) -> Seen:
    return reduce(add, found, NOTHING)


def parts(seen: Seen) -> list[tuple[str, int]]:
    """Seconds of each of `PARTS`; together they are the seconds seen."""
    several = min(seen.several, seen.seen - seen.read)
    rest = seen.seen - several - seen.read
    away = min(rest, max(0, seen.seen - several - seen.facing))
    counts = [seen.expressions.get(name, 0) for name in ORDER]
    return list(zip(PARTS, [*counts, rest - away, away, several], strict=True))


def part_names() -> dict[str, str]:
    return {
        **labels.names(),
        "unknown": gettext("cannot tell"),
        "away": gettext("turned away"),
        "several": gettext("several people: cannot tell"),
    }


def thin(seen: Seen, scale: Scale) -> bool:
    """Whether too little was read to say anything of it."""
    return seen.read < moodlog.ENOUGH_S[scale]


def standing_out(seen: Seen) -> Expression | None:
    """Beside neutral, in which most faces are most of the time, the most frequent expression; one
    that is rare does not count. None where nothing was read."""
    others = (name for name in EXPRESSIONS if name != "neutral")
    most = max(others, key=lambda name: seen.expressions[name])
    rare = seen.expressions[most] < BESIDE * seen.read
    return ("neutral" if rare else most) if seen.read else None


def step(valence: float | None) -> int | None:
    """1 clearly unpleasant – 5 clearly pleasant."""
    return None if valence is None else 1 + sum(valence > limit for limit in STEPS)


def amount(seconds: int) -> int:
    """1–4: how much was seen in a day."""
    return 1 + sum(seconds >= limit for limit in AMOUNTS)


# ── in words ─────────────────────────────────────────────────────────────────────────────────────


def duration(seconds: int, locale: str = "") -> str:
    """`3 h 10 min`, `12 min`, `under a minute`; a nought is `0 min`, and over 100 hours minutes do
    not matter. `locale`: the visitor's, where it was looked up already."""
    minutes = round(seconds / 60) if seconds >= 60 else -bool(seconds)
    return _duration(minutes, locale or str(get_locale()))


@lru_cache(4096)  # a year has more than a thousand
def _duration(minutes: int, locale: str) -> str:
    hours, minute = divmod(minutes, 60)
    if minutes < 0:
        said = gettext("under a minute")
    elif not hours:
        said = gettext("%(minutes)s min", minutes=minute)
    elif hours >= 100:
        said = gettext("%(hours)s h", hours=format_decimal(round(minutes / 60)))
    else:
        said = gettext("%(hours)s h %(minutes)s min", hours=hours, minutes=minute)
    return str(said)


@lru_cache(64)
def look(name: Expression, locale: str) -> str:
    """An expression in words; looked up often."""
    return str(labels.NAMES[name])


def brief(seconds: int) -> str:
    """The same where there is little room: `3:10 h`, `12 min`."""
    minutes = round(seconds / 60)
    if minutes < 60:
        return str(gettext("%(minutes)s min", minutes=minutes or "<1"))
    return str(gettext("%(hours)s h", hours=f"{minutes // 60}:{minutes % 60:02}"))


def top(seen: Seen, scale: Scale) -> str:
    """`happiness, 43 %`, or why nothing can be said."""
    if not seen.seconds:
        return str(gettext("not watched"))
    if not seen.seen:
        return str(gettext("nobody seen"))
    most = seen.top
    if thin(seen, scale) or most is None:
        return str(gettext("too little to say"))
    return f"{look(most, str(get_locale()))}, {percent(seen.share(most))}"


def steps() -> dict[int, str]:
    """How pleasant a face looked, in words."""
    words = (
        gettext("unpleasant"),
        gettext("rather unpleasant"),
        gettext("neither"),
        gettext("rather pleasant"),
        gettext("pleasant"),
    )
    return {number: str(word) for number, word in enumerate(words, 1)}


# ── the picture of a day ─────────────────────────────────────────────────────────────────────────


class Piece(Struct, frozen=True):
    """A part of a column: `top` and `height` in pixels."""

    name: str
    top: float
    height: float


class Column(Struct, frozen=True):
    """An hour: the pieces that fill it from the bottom; `left` and `width` in percent."""

    hour: Hour
    left: float
    width: float
    pieces: list[Piece]
    thin: Piece | None
    """What is hatched, for too little of it was read."""
    title: str


def columns(hours: list[Hour], now_ms: int) -> list[Column]:
    """Every hour, whole: who was read, who was not, when nobody was there, and when the camera was
    off; only the time that is still to come stays empty."""
    found = []
    width = 100 / max(1, len(hours))
    for place, hour in enumerate(hours):
        passed = min(max(0, now_ms - hour.start_ms), hour.length_ms) // 1000
        seen = hour.seen
        counts = [
            *parts(seen),
            ("nobody", max(0, seen.seconds - seen.seen)),
            ("unwatched", max(0, passed - seen.seconds)),
        ]
        pieces, below = [], 0.0
        for name, seconds in counts:
            height = seconds * HEIGHT / 3600
            if height:
                pieces.append(Piece(name, round(HEIGHT - below - height, 2), round(height, 2)))
            below += height
        high = round(seen.seen * HEIGHT / 3600, 2)
        hatched = Piece("thin", HEIGHT - high, high) if high and thin(seen, "hour") else None
        found.append(
            Column(hour, round(place * width, 3), round(width, 3), pieces, hatched, _title(hour))
        )
    return found


def clock(hour: Hour) -> str:
    """`14:00`; of the hour that comes twice the second `2:00 (again)`."""
    said = f"{hour.hour}:00"
    return str(gettext("%(time)s (again)", time=said)) if hour.again else said


def _title(hour: Hour) -> str:
    seen = hour.seen
    said = gettext(
        "%(time)s – seen %(seen)s, read %(read)s: %(top)s",
        time=clock(hour),
        seen=duration(seen.seen),
        read=duration(seen.read),
        top=top(seen, "hour"),
    )
    return str(said)
