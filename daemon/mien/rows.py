"""How seconds, minutes and episodes stand in the tables: whole numbers, milliseconds, 1/1000 and
1/255, with a boot's number in place of its id."""

import typing
from typing import Any

import msgspec

from mien import quarters
from mien.clock import Stamp
from mien.events import EXPRESSIONS, Expression, Reason

_REASONS: tuple[Reason, ...] = typing.get_args(Reason)


class SecondReading(msgspec.Struct, frozen=True, kw_only=True):
    """What the seat looked like in one second."""

    stamp: Stamp
    people: int
    """Faces in the seat."""
    expression: Expression | None = None
    """Smoothed, or None when it cannot tell."""
    reason: Reason | None = None
    confidence: float | None = None
    """0–1, kept to 1/1000, as is `valence`, −1 to 1."""
    valence: float | None = None
    probabilities: dict[Expression, float] | None = None
    """Smoothed, over the seven expressions, kept to 1/255."""
    facing: bool | None = None


class MinuteRow(msgspec.Struct, frozen=True, kw_only=True):
    """Roll-up of a minute: how many of its seconds were what. Minutes are counted from the boot."""

    start: Stamp
    seconds: int
    """Seconds that were watched at all."""
    seen: int
    """Seconds with a face."""
    facing: int
    read: int
    """Seconds with an expression."""
    expressions: dict[Expression, int]
    valence: float | None
    """Mean over the seconds read, None when there are none."""


class EpisodeRow(msgspec.Struct, frozen=True, kw_only=True):
    """An episode that ended. `id` is a UUID and goes with its MQTT event."""

    id: str
    expression: Expression
    start: Stamp
    end: Stamp
    peak: float


class OutboxRow(msgspec.Struct, frozen=True):
    """An episode that the broker has not acknowledged yet."""

    id: int
    episode: EpisodeRow


_STAMP = "b.boot_id, t.boot_ms, t.utc_ms, t.clock_ok"
READINGS = """
    SELECT b.boot_id, r.id & 0xffffffffff, m.utc_ms + (r.id & 0xffffffffff) % 60000 AS utc,
        m.clock_ok, people, expression, reason, confidence, r.valence, probabilities, r.facing
    FROM (SELECT *, boot << 40 | minute * 60000 AS first FROM minutes) m
        JOIN boots b ON b.id = m.boot
        JOIN readings r ON r.id BETWEEN m.first AND m.first + 59999
    WHERE m.utc_ms > ? AND m.utc_ms < ? AND utc >= ? AND utc < ? ORDER BY utc"""
MINUTE = (
    "b.boot_id, t.minute * 60000, t.utc_ms, t.clock_ok, seconds, seen, facing, read, valence, "
    + ", ".join(EXPRESSIONS)
)
EPISODE = f"uuid, {_STAMP}, length_ms, expression, peak"
_COUNTS = ", ".join(quarters.COUNTS)
_ROLL_UP = (
    f"INSERT INTO minutes (boot, minute, utc_ms, clock_ok, {_COUNTS}) "
    f"VALUES ({', '.join('?' * (4 + len(quarters.COUNTS)))}) "
    "ON CONFLICT (boot, minute) DO UPDATE SET "
    + ", ".join(f"{name} = {name} + excluded.{name}" for name in quarters.COUNTS)
)


def ms(seconds: float) -> int:
    """Milliseconds, as all times are kept."""
    return round(seconds * 1000)


def _thousandths(share: float | None) -> int | None:
    return None if share is None else round(share * 1000)


def _share(thousandths: int | None) -> float | None:
    return None if thousandths is None else thousandths / 1000


def _stamp(boot_id: str, boot_ms: int, utc_ms: int, clock_ok: int) -> Stamp:
    return Stamp(boot_id, boot_ms / 1000, utc_ms / 1000, bool(clock_ok))


def add_reading(db: Any, reading: SecondReading) -> tuple[int, int]:
    """With its roll-up; the number of its boot, and its minute."""
    stamp = reading.stamp
    boot, boot_ms, utc_ms = boot_number(db, stamp.boot_id), ms(stamp.boot_time), ms(stamp.utc)
    expression = None if reading.expression is None else EXPRESSIONS.index(reading.expression)
    reason = None if reading.reason is None else _REASONS.index(reading.reason)
    valence = _thousandths(reading.valence)
    shares = reading.probabilities
    probabilities = shares and bytes(round(255 * shares[name]) for name in EXPRESSIONS)
    added = db.execute(
        "INSERT OR IGNORE INTO readings VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (boot << 40 | boot_ms, reading.people, expression, reason,
         _thousandths(reading.confidence), valence, probabilities, reading.facing),
    ).rowcount  # fmt: skip
    minute, past = divmod(boot_ms, 60_000)
    if not added:
        return boot, minute  # a reading of this very moment is there already
    read = expression is not None
    counted = [place == expression for place in range(len(EXPRESSIONS))]
    db.execute(
        _ROLL_UP,
        (boot, minute, utc_ms - past, stamp.clock_ok, 1,
         reading.people > 0 and reading.reason != "does not move",
         reading.facing is True, read, reading.people > 1 or reason == 0, *counted,
         valence if read and valence else 0),
    )  # fmt: skip
    return boot, minute


def add_episode(db: Any, episode: EpisodeRow) -> None:
    """With its row in the outbox."""
    # The later stamp knows the time better, unless the clock was lost in between.
    known = episode.start if episode.start.clock_ok > episode.end.clock_ok else episode.end
    start_ms, end_ms = ms(episode.start.boot_time), ms(episode.end.boot_time)
    utc_ms = start_ms + ms(known.utc) - ms(known.boot_time)
    number = db.execute(
        "INSERT INTO episodes VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)",
        (episode.id, boot_number(db, known.boot_id), start_ms, utc_ms, known.clock_ok,
         end_ms - start_ms, EXPRESSIONS.index(episode.expression), _thousandths(episode.peak)),
    ).lastrowid  # fmt: skip
    db.execute("INSERT INTO outbox VALUES (?)", (number,))


def boot_number(db: Any, boot_id: str) -> int:
    """The number that stands for a boot id in the tables."""
    query = "SELECT id FROM boots WHERE boot_id = ?"
    found = db.execute(query, (boot_id,)).fetchone()
    if found is None:
        return int(db.execute("INSERT INTO boots VALUES (NULL, ?)", (boot_id,)).lastrowid)
    return int(found[0])


def reading_of(row: tuple[Any, ...]) -> SecondReading:
    """From a row of `READINGS`."""
    *stamp, people, expression, reason, confidence, valence, probabilities, facing = row
    return SecondReading(
        stamp=_stamp(*stamp),
        people=people,
        expression=None if expression is None else EXPRESSIONS[expression],
        reason=None if reason is None else _REASONS[reason],
        confidence=_share(confidence),
        valence=_share(valence),
        probabilities=None
        if probabilities is None
        else {name: byte / 255 for name, byte in zip(EXPRESSIONS, probabilities, strict=True)},
        facing=None if facing is None else bool(facing),
    )


def minute_of(row: tuple[Any, ...]) -> MinuteRow:
    """From the columns of `MINUTE`."""
    stamp, (seconds, seen, facing, read, valence), counts = row[:4], row[4:9], row[9:]
    return MinuteRow(
        start=_stamp(*stamp),
        seconds=seconds,
        seen=seen,
        facing=facing,
        read=read,
        expressions=dict(zip(EXPRESSIONS, counts, strict=True)),
        valence=valence / 1000 / read if read else None,
    )


def episode_of(row: tuple[Any, ...]) -> EpisodeRow:
    """From the columns of `EPISODE`."""
    uuid, boot_id, boot_ms, utc_ms, clock_ok, length_ms, expression, peak = row
    return EpisodeRow(
        id=uuid,
        expression=EXPRESSIONS[expression],
        start=_stamp(boot_id, boot_ms, utc_ms, clock_ok),
        end=_stamp(boot_id, boot_ms + length_ms, utc_ms + length_ms, clock_ok),
        peak=peak / 1000,
    )
