"""A session by the second: what was seen when, and the same in columns for a picture of it."""

import re
import typing
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct, field

from mien.events import EXPRESSIONS, Reason

if TYPE_CHECKING:
    from mien.sessions import Session

REASONS: tuple[Reason, ...] = typing.get_args(Reason)

_END_OF_BOOT = 1 << 40
_TIME = re.compile(r"(?:(\d{1,2}):)?(\d{1,3}):([0-5]\d)(?:[.,](\d{1,3}))?", re.ASCII)


class Second(Struct, frozen=True):
    """What the seat looked like in one second; nothing at all is known of one that is missing."""

    at_ms: int
    """Since the session's start."""
    expression: int | None
    """Smoothed, the place in `EXPRESSIONS`; None when it cannot tell or nobody is there."""
    reason: Reason | None
    """Why it cannot tell; None also while a face that just came is not read yet."""
    facing: bool | None
    probabilities: bytes | None
    """Seven bytes of 1/255 in the order of `EXPRESSIONS`."""
    people: int
    """Faces in the seat."""


class Span(Protocol):
    """A stretch of a session, from ≤ t < to; one that goes on has no end."""

    @property
    def from_ms(self) -> int: ...
    @property
    def to_ms(self) -> int | None: ...


class Column(Struct):
    """How many of a column's seconds were what. One with no seconds was not watched."""

    from_ms: int
    to_ms: int
    expressions: list[int] = field(default_factory=lambda: [0] * len(EXPRESSIONS))
    unknown: dict[Reason | None, int] = field(default_factory=dict)
    """Seconds with a face and no expression, by reason; None: not read yet."""
    nobody: int = 0
    facing: int = 0
    away: int = 0

    @property
    def read(self) -> int:
        """Seconds with an expression."""
        return sum(self.expressions)

    @property
    def unread(self) -> int:
        """Seconds with a face of which it cannot tell."""
        return sum(self.unknown.values())

    @property
    def seconds(self) -> int:
        return self.read + self.unread + self.nobody

    @property
    def unwatched(self) -> int:
        """Seconds of which nothing is known: the camera was closed or gave no picture."""
        return max(0, round((self.to_ms - self.from_ms) / 1000) - self.seconds)


def seconds(db: Any, session: "Session") -> list[Second]:
    """The readings of a session in order of time, one a second while it was watched; none where
    its numbers are not kept."""
    if not session.numbers:
        return []
    found = db.execute("SELECT id FROM boots WHERE boot_id = ?", (session.boot,)).fetchone()
    if not found:
        return []
    start = found[0] << 40 | session.boot_ms
    end = found[0] + 1 << 40 if session.length_ms is None else start + session.length_ms
    rows = db.execute(
        "SELECT id - ?, expression, reason, facing, probabilities, people FROM readings "
        "WHERE id >= ? AND id < ? ORDER BY id",
        (start, start, min(end, found[0] + 1 << 40)),
    )
    return [
        Second(
            at_ms,
            expression,
            None if reason is None else REASONS[reason],
            None if facing is None else facing == 1,
            probabilities,
            people,
        )
        for at_ms, expression, reason, facing, probabilities, people in rows
    ]


def merged(spans: Iterable[Span], end_ms: int) -> list[tuple[int, int]]:
    """Stretches put together where they touch or overlap, in order; an open one lasts to the end.

    Only what lies between 0 and `end_ms` is left.
    """
    joined: list[tuple[int, int]] = []
    for start, stop in sorted(
        (max(0, span.from_ms), end_ms if span.to_ms is None else min(span.to_ms, end_ms))
        for span in spans
    ):
        if stop <= start:
            continue
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], stop))
        else:
            joined.append((start, stop))
    return joined


def kept(seconds: Sequence[Second], exclusions: Iterable[Span]) -> list[Second]:
    """The seconds outside every excluded stretch: all that ever counts."""
    return _split(seconds, merged(exclusions, _END_OF_BOOT))[1]


def within(seconds: Sequence[Second], stretches: Sequence[tuple[int, int]]) -> list[Second]:
    """The seconds inside stretches as `merged` gives them."""
    return _split(seconds, stretches)[0]


def columns(
    seconds: Iterable[Second], from_ms: int, to_ms: int, width: int, phase_ms: int = 0
) -> list[Column]:
    """The stretch from ≤ t < to in columns of `width` whole seconds; the outer two may be cut off.

    Args:
        phase_ms: the session's start within its second of the boot. The box notes the first frame
            of each second of the boot; columns along those seconds hold exactly one row of each.
    """
    first, last = _grid(from_ms, to_ms, phase_ms)
    made = [
        Column(max(from_ms, start * 1000 - phase_ms), min(to_ms, (start + width) * 1000 - phase_ms))
        for start in range(first, last, width)
    ]
    for second in seconds:
        if from_ms <= second.at_ms < to_ms:
            count(made[((second.at_ms + phase_ms) // 1000 - first) // width], second)
    return made


def width(from_ms: int, to_ms: int, most: int, phase_ms: int = 0) -> int:
    """Whole seconds a column must have so that there are at most `most` of them."""
    first, last = _grid(from_ms, to_ms, phase_ms)
    return max(1, -(-(last - first) // most))


def total(seconds: Iterable[Second]) -> Column:
    """All these seconds in one column, whose times mean nothing."""
    column = Column(0, 0)
    for second in seconds:
        count(column, second)
    return column


def count(column: Column, second: Second) -> None:
    """Add one second to a column."""
    if not second.people:
        column.nobody += 1
        return
    if second.expression is not None:
        column.expressions[second.expression] += 1
    else:
        column.unknown[second.reason] = column.unknown.get(second.reason, 0) + 1
    if second.facing is not None:
        if second.facing:
            column.facing += 1
        else:
            column.away += 1


def clock(at_ms: int) -> str:
    """A time within a session: `12:05`, `1:02:05`."""
    minutes, second = divmod(at_ms // 1000, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def parse(text: str) -> int | None:
    """Milliseconds of a time as `clock` writes it, with or without a fraction of a second; None of
    what is no such time."""
    found = _TIME.fullmatch(text.strip())
    if not found:
        return None
    hours, minutes, second, fraction = found.groups(default="0")
    if hours != "0" and int(minutes) > 59:
        return None
    return (int(hours) * 3600 + int(minutes) * 60 + int(second)) * 1000 + int(
        fraction.ljust(3, "0")
    )


def _grid(from_ms: int, to_ms: int, phase_ms: int) -> tuple[int, int]:
    """The first second of the boot that a stretch touches, counted from that of the session's
    start, and the one after its last."""
    first = (from_ms + phase_ms) // 1000
    return first, max(first, -(-(to_ms + phase_ms) // 1000))


def _split(
    seconds: Sequence[Second], stretches: Sequence[tuple[int, int]]
) -> tuple[list[Second], list[Second]]:
    """The seconds inside and outside of stretches that are in order and apart."""
    inside: list[Second] = []
    outside: list[Second] = []
    place = 0
    for second in seconds:
        while place < len(stretches) and stretches[place][1] <= second.at_ms:
            place += 1
        held = place < len(stretches) and stretches[place][0] <= second.at_ms
        (inside if held else outside).append(second)
    return inside, outside
