"""What a map is summed from: for each session and topic, how many seconds looked like what and in
how many unbroken runs, under the topic and in the rest of the session.

What is counted stays in the table `cells` until something of its session changes.
"""

import bisect
import struct
from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct

from mien import baseline, sessions, timeline
from mien.baseline import Baseline
from mien.sessions import Session
from mien.shares import NOTHING, PLACES, UNKNOWN, Counts
from mien.timeline import Second

MOMENT_MS = 5_000
"""A topic tagged as a moment counts this long before and after it."""
WHOLE = ""
"""Stands for the whole session where a topic's id stands otherwise."""
PLAIN = ""
"""Stands for "as the box read it" where a baseline's id stands otherwise."""

_GAP_MS = 2_000  # a second that is missing in between breaks a run
_END_MS = 1 << 40
_FORM = struct.Struct(f"<{4 * PLACES}I")

Label = Callable[[Second], int | None]
Under = tuple[Counts, Counts]
"""Under a topic, and in the rest of its session."""


class Run(Struct, frozen=True):
    """An unbroken stretch in which the expression looked the same. `place` as in `shares`."""

    place: int
    first: int
    """Its first second, counted among those of the session that count."""
    last: int
    from_ms: int
    to_ms: int


class Topic(Struct, frozen=True):
    """What a map shows of a topic: (under it, the rest) for each session in which it came up."""

    keyword: str
    sessions: tuple[Under, ...]


class _Span(Struct, frozen=True):
    from_ms: int
    to_ms: int | None


# ── counting, without the store ──────────────────────────────────────────────────────────────────


def spans(tags: Sequence[sessions.Tag]) -> list[tuple[int, int]]:
    """The stretches that these tags of one topic cover, in order, each second once."""
    widened = [
        _Span(max(0, tag.from_ms - MOMENT_MS), tag.to_ms + MOMENT_MS)
        if tag.to_ms == tag.from_ms
        else _Span(tag.from_ms, tag.to_ms)
        for tag in tags
    ]
    return timeline.merged(widened, _END_MS)


def runs(seconds: Sequence[Second], label: Label | None = None) -> list[Run]:
    """The unbroken runs in these seconds, which are those that count. With nobody in the seat
    there is none."""
    found: list[Run] = []
    place = start = -1
    before = -_END_MS
    for index, second in enumerate(seconds):
        now = -1
        if second.people:
            look = label(second) if label else second.expression
            now = UNKNOWN if look is None else look
        if now != place or second.at_ms - before > _GAP_MS:
            if place >= 0:
                found.append(Run(place, start, index - 1, seconds[start].at_ms, before + 1000))
            place, start = now, index
        before = second.at_ms
    if place >= 0:
        found.append(Run(place, start, len(seconds) - 1, seconds[start].at_ms, before + 1000))
    return found


def within(
    found: Sequence[Run], times: Sequence[int], stretches: Sequence[tuple[int, int]]
) -> list[Run]:
    """What of these runs lies in the stretches, cut where a stretch begins or ends.

    `times` are the `at_ms` of the seconds in which the runs were found.
    """
    cut = []
    ends = [run.last for run in found]
    for start_ms, end_ms in stretches:
        first = bisect.bisect_left(times, start_ms)
        last = bisect.bisect_left(times, end_ms) - 1
        for index in range(bisect.bisect_left(ends, first), len(found)):
            run = found[index]
            if run.first > last or first > last:
                break
            a, b = max(run.first, first), min(run.last, last)
            cut.append(Run(run.place, a, b, times[a], times[b] + 1000))
    return cut


def count(
    seconds: Sequence[Second],
    topics: dict[str, list[tuple[int, int]]],
    label: Label | None = None,
) -> dict[str, Under]:
    """Each topic's seconds and runs and those of the rest, and under `WHOLE` those of all.

    Args:
        seconds: those that count, exclusions left out.
        topics: stretches by keyword, see `spans`.
        label: what a second looks like, where not as the box read it.
    """
    found = runs(seconds, label)
    times = [second.at_ms for second in seconds]
    counted = {WHOLE: (_counts(found), NOTHING)}
    for keyword, stretches in topics.items():
        under = _counts(within(found, times, stretches))
        rest = _counts(within(found, times, _gaps(stretches)))
        counted[keyword] = under, rest
    return counted


def _gaps(stretches: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    edges = [0, *(edge for stretch in stretches for edge in stretch), _END_MS]
    return list(zip(edges[::2], edges[1::2], strict=True))


def _counts(found: Sequence[Run]) -> Counts:
    seconds, number = [0] * PLACES, [0] * PLACES
    for run in found:
        seconds[run.place] += run.last - run.first + 1
        number[run.place] += 1
    return Counts(tuple(seconds), tuple(number))


# ── the table ────────────────────────────────────────────────────────────────────────────────────


def topics(db: Any, session: Session) -> dict[str, list[tuple[int, int]]]:
    """The stretches of each topic of a session, by keyword."""
    tags: dict[str, list[sessions.Tag]] = {}
    for tag in sessions.tags(db, session.id):
        tags.setdefault(tag.keyword, []).append(tag)
    return {keyword: spans(of_one) for keyword, of_one in tags.items()}


def kept(db: Any, session: Session) -> list[Second]:
    """The seconds of a session that count; none where its numbers are not kept."""
    if not session.numbers:
        return []
    return timeline.kept(timeline.seconds(db, session), sessions.exclusions(db, session.id))


def label(session: Session, neutral: Baseline | None, threshold: float) -> Label | None:
    """How this session's seconds are labelled with a baseline: None when it cannot be used."""
    if neutral is None or neutral.bundle != baseline.network(session):
        return None
    return baseline.Corrector(neutral.offsets, threshold).label


def of_session(
    db: Any, session: Session, neutral: Baseline | None = None, threshold: float = 0.0
) -> dict[str, Under]:
    """A session's cells by keyword, counted now: also those of one that still runs."""
    how = label(session, neutral, threshold)
    return count(kept(db, session), topics(db, session), how)


def due(db: Any, client: str, neutral: Baseline | None = None) -> list[str]:
    """Ids of a client's stopped sessions that are to be counted, the newest first; never one whose
    numbers are not kept."""
    rows = db.execute(
        "SELECT id FROM sessions s WHERE client = ? AND numbers AND length_ms IS NOT NULL "
        "AND (NOT counted OR NOT EXISTS "
        "(SELECT 1 FROM cells WHERE session = s.id AND baseline = ? AND keyword = ?)) "
        "ORDER BY utc DESC",
        (client, neutral.id if neutral else PLAIN, WHOLE),
    )
    return [id for (id,) in rows]


def refresh(
    db: Any, session: Session, neutral: Baseline | None = None, threshold: float = 0.0
) -> None:
    """Count a stopped session, plain and with the client's baseline, and keep it."""
    seconds, stretches = kept(db, session), topics(db, session)
    db.execute("DELETE FROM cells WHERE session = ?", (session.id,))
    ways: list[tuple[str, Label | None]] = [(PLAIN, None)]
    if neutral:
        ways.append((neutral.id, label(session, neutral, threshold)))
    rows: dict[str, Under] = {}
    for way, how in ways:
        if how or not rows:
            rows = count(seconds, stretches, how)
        db.executemany(
            "INSERT INTO cells (session, baseline, keyword, counts) VALUES (?, ?, ?, ?)",
            [
                (session.id, way, keyword, _FORM.pack(
                    *under.seconds, *under.runs, *rest.seconds, *rest.runs))
                for keyword, (under, rest) in rows.items()
            ],
        )  # fmt: skip
    db.execute("UPDATE sessions SET counted = 1 WHERE id = ?", (session.id,))


def of_client(
    db: Any, client: str, neutral: Baseline | None, between: tuple[int, int]
) -> list[Topic]:
    """What was counted of a client's sessions, the whole ones first.

    `between`: they began at from ≤ ms of UTC < to.
    """
    rows = db.execute(
        "SELECT c.keyword, c.counts FROM sessions s JOIN cells c ON c.session = s.id "
        "AND c.baseline = ? WHERE s.client = ? AND s.utc >= ? AND s.utc < ? AND s.counted",
        (neutral.id if neutral else PLAIN, client, *between),
    )
    found: dict[str, list[Under]] = {WHOLE: []}
    for keyword, packed in rows:
        numbers = _FORM.unpack(packed)
        parts = [numbers[start : start + PLACES] for start in range(0, 4 * PLACES, PLACES)]
        found.setdefault(keyword, []).append((Counts(*parts[:2]), Counts(*parts[2:])))
    return [Topic(keyword, tuple(under)) for keyword, under in found.items()]


def holding(
    db: Any,
    client: str,
    neutral: Baseline | None,
    cell: tuple[str, int],
    between: tuple[int, int],
    limit: int,
) -> list[str]:
    """Ids of the newest sessions in which a cell, of a keyword and a place, has any seconds.

    `between`: they began at from ≤ ms of UTC < to.
    """
    rows = db.execute(
        "SELECT s.id, c.counts FROM sessions s JOIN cells c ON c.session = s.id "
        "AND c.baseline = ? AND c.keyword = ? WHERE s.client = ? AND s.utc >= ? AND s.utc < ? "
        "AND s.counted ORDER BY s.utc DESC, s.id",
        (neutral.id if neutral else PLAIN, cell[0], client, *between),
    )
    found = []
    for id, packed in rows:
        if _FORM.unpack(packed)[cell[1]]:
            found.append(id)
            if len(found) == limit:
                break
    return found
