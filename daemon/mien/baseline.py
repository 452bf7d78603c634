"""A client's neutral face as the network reads it, and every reading seen relative to that.

Some faces at rest read as sad or angry: the shape of brows and mouth passes for an expression. Half
a minute of a neutral face tells by how much, and what the face always adds is taken off again: for
each expression the mean of ln p over the recording, less that of other people's neutral faces.
docs/decisions/map.md tells what this can and cannot do.
"""

import math
import struct
from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from mien.events import EXPRESSIONS
from mien.sessions import Session
from mien.timeline import Second

REFERENCE = (-4.62, -5.72, -5.43, -4.23, -3.10, -5.38, -0.59)
"""Mean ln p of each of the `EXPRESSIONS` over the 607 pictures that FER-2013's PublicTest calls
neutral, as mien-fer-2 reads them, calibrated and rounded to 1/255 as readings are: what a neutral
face looks like to the box on average. Standard errors are 0.03 to 0.08."""

LENGTH_MS = 30_000
LEAST_SECONDS = 20
"""Of the last half minute, how many seconds must have been readable."""

_FLOOR = 0.5  # of 1/255: what a probability that was rounded to 0 may have been
_LOGS = [math.log(max(value, _FLOOR) / 255) for value in range(256)]


class Baseline(Struct, frozen=True):
    """A recording of a neutral face. Only sessions read by the same `network` can use it, which
    `bundle` names. `mean` is the mean ln p of each of the `EXPRESSIONS`; `utc` in milliseconds."""

    id: str
    client: str
    session: str | None
    utc: int
    seconds: int
    bundle: str
    mean: tuple[float, ...]
    active: bool

    @property
    def offsets(self) -> tuple[float, ...]:
        """What this face at rest adds to each ln p, beside other people's at rest."""
        return tuple(own - usual for own, usual in zip(self.mean, REFERENCE, strict=True))


class Corrector:
    """Labels of seconds relative to a neutral face: p′ ∝ p · exp(−offset), and the box's threshold.

    A second keeps the box's own answer unless the correction changes the most likely expression or
    whether it reaches the threshold. One that could not be read stays so.
    """

    def __init__(self, offsets: Iterable[float], threshold: float) -> None:
        self._factors = [math.exp(-offset) for offset in offsets]
        self._threshold = threshold
        self._known: dict[bytes, tuple[int | None, int | None]] = {}

    def label(self, second: Second) -> int | None:
        """The place in `EXPRESSIONS`, or None when it cannot tell."""
        if not readable(second) or second.probabilities is None:
            return second.expression
        known = self._known.get(second.probabilities)
        if known is None:
            plain = [max(value, _FLOOR) for value in second.probabilities]
            moved = [value * f for value, f in zip(plain, self._factors, strict=True)]
            known = self._known[second.probabilities] = self._decide(plain), self._decide(moved)
        before, after = known
        return second.expression if before == after else after

    def _decide(self, weights: list[float]) -> int | None:
        most = max(weights)
        return weights.index(most) if most >= self._threshold * sum(weights) else None


def network(session: Session) -> str:
    """What read a session: the name of its bundle, and after a slash its personal head."""
    return "/".join(name for name in (session.bundle, session.head) if name)


def readable(second: Second) -> bool:
    """Whether its probabilities are those of a face that could be read."""
    read = second.expression is not None or second.reason == "low confidence"
    return read and second.probabilities is not None


def mean(seconds: Iterable[Second]) -> tuple[tuple[float, ...], int]:
    """Mean ln p of each expression over the readable seconds, and how many these are."""
    rows = [second.probabilities or b"" for second in seconds if readable(second)]
    if not rows:
        return (0.0,) * len(EXPRESSIONS), 0
    columns = zip(*rows, strict=True)
    return tuple(sum(_LOGS[value] for value in column) / len(rows) for column in columns), len(rows)


# ── the table ────────────────────────────────────────────────────────────────────────────────────

_SELECT = "SELECT id, client, session, utc, seconds, bundle, mean, active FROM baselines "


def add(db: Any, baseline: Baseline) -> None:
    """Keep a recording; when it is active, no other of this client is."""
    if baseline.active:
        db.execute("UPDATE baselines SET active = 0 WHERE client = ?", (baseline.client,))
    db.execute(
        "INSERT INTO baselines (id, client, session, utc, seconds, bundle, mean, active) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (baseline.id, baseline.client, baseline.session, baseline.utc, baseline.seconds,
         baseline.bundle, struct.pack("<7f", *baseline.mean), baseline.active),
    )  # fmt: skip


def of_client(db: Any, client: str) -> list[Baseline]:
    """A client's recordings, the newest first."""
    rows = db.execute(_SELECT + "WHERE client = ? ORDER BY utc DESC, id", (client,))
    return [_baseline(row) for row in rows]


def active(db: Any, client: str) -> Baseline | None:
    """The one that a client's map can use."""
    row = db.execute(_SELECT + "WHERE client = ? AND active", (client,)).fetchone()
    return _baseline(row) if row else None


def activate(db: Any, client: str, id: str | None) -> None:
    """Use this one, or none."""
    db.execute("UPDATE baselines SET active = (id IS ?) WHERE client = ?", (id, client))


def delete(db: Any, client: str, id: str) -> None:
    """Delete a recording and what was counted with it."""
    db.execute("DELETE FROM baselines WHERE client = ? AND id = ?", (client, id))
    db.execute("DELETE FROM cells WHERE baseline = ?", (id,))


def _baseline(row: tuple[Any, ...]) -> Baseline:
    id, client, session, utc, seconds, bundle, packed, is_active = row
    means = struct.unpack("<7f", packed)
    return Baseline(id, client, session, utc, seconds, bundle, means, bool(is_active))
