"""What leaves the box about a client, as plain values: the record, the seconds, everything."""

import base64
from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import Struct

from mien import captures, sessions, timeline
from mien.clock import iso
from mien.events import EXPRESSIONS
from mien.sessions import Session
from mien.timeline import Column, Second

COLUMNS = (
    "client", "session", "second", "time", "excluded", "people", "expression", "reason", "facing",
    *(f"p_{name}" for name in EXPRESSIONS), "topics",
)  # fmt: skip
"""Of the research table; docs/exports.md says what each means."""


class Line(Struct, frozen=True):
    """A session in the record: what was spoken about for how long, and what was seen."""

    session: Session
    topics: list[tuple[str, int, int]]
    """Text, how often it was tagged, seconds; a moment has none."""
    seen: Column
    """Of the seconds that count: not excluded, and kept."""
    excluded_ms: int
    captures: int
    corrected: int


def between(db: Any, client: str, since: float, until: float) -> list[Session]:
    """A client's sessions that began at `since` ≤ UTC < `until`, in seconds, the oldest first."""
    found = [s for s in sessions.of_client(db, client) if since <= s.utc / 1000 < until]
    return sorted(found, key=lambda session: (session.utc, session.id))


def line(db: Any, session: Session) -> Line:
    """A session's line in the record."""
    length = session.length_ms or session.active_ms
    topics: dict[str, tuple[int, int]] = {}
    for tag in sessions.tags(db, session.id):
        times, ms = topics.get(tag.text, (0, 0))
        end = length if tag.to_ms is None else tag.to_ms
        topics[tag.text] = (times + 1, ms + max(0, end - tag.from_ms))
    out = sessions.exclusions(db, session.id)
    kept = captures.of_session(db, session.id)
    return Line(
        session=session,
        topics=[(text, times, round(ms / 1000)) for text, (times, ms) in sorted(topics.items())],
        seen=timeline.total(timeline.kept(timeline.seconds(db, session), out)),
        excluded_ms=sum(to - since for since, to in timeline.merged(out, length)),
        captures=len(kept),
        corrected=sum(capture.correction is not None for capture in kept),
    )


def research(db: Any, code: str, number: int, session: Session) -> Iterator[list[str]]:
    """The rows of a session in the research table, one a second, in the order of `COLUMNS`.

    A second that was excluded keeps its row and its topics, and nothing of what was seen in it.
    """
    seconds = timeline.seconds(db, session)
    tags = sessions.tags(db, session.id)
    counted = {
        second.at_ms for second in timeline.kept(seconds, sessions.exclusions(db, session.id))
    }
    for second in seconds:
        # A moment is noted in the second in which it was tapped.
        topics = sorted(
            {
                tag.text
                for tag in tags
                if tag.from_ms < second.at_ms + 1000
                and (tag.to_ms is None or max(tag.to_ms, tag.from_ms + 1) > second.at_ms)
            }
        )
        seen = _seen(second) if second.at_ms in counted else ["1", *[""] * 11]
        yield [
            code,
            str(number),
            str(second.at_ms // 1000),
            iso((session.utc + second.at_ms) / 1000),
            *seen,
            " | ".join(topics),
        ]


def _seen(second: Second) -> list[str]:
    shares: Sequence[int] | None = second.probabilities
    return [
        "0",
        str(second.people),
        "" if second.expression is None else EXPRESSIONS[second.expression],
        second.reason or "",
        "" if second.facing is None else str(int(second.facing)),
        *(f"{share / 255:.3f}" for share in shares or ()),
        *([] if shares else [""] * len(EXPRESSIONS)),
    ]


def everything(db: Any, client: str, *, notes: bool) -> dict[str, Any]:
    """All rows about a client except the seconds (see `research`) and pictures, for JSON.

    Times are ISO 8601 in UTC; those within a session are milliseconds since its start. With
    `notes` the therapist's notes too.
    """
    told: dict[str, Any] = _rows(db, "clients", "id", client)[0]
    told["notices"] = _rows(db, "notices", "client", client)
    told["consents"] = _rows(db, "consents", "client", client)
    told["erasures"] = _rows(db, "erasures", "client", client)
    told["baselines"] = _rows(db, "baselines", "client", client)
    told["personal_heads"] = _rows(db, "heads", "client", client)
    told["library_pictures"] = _rows(db, "pictures", "client", client, without=("face", "crop"))
    told["sessions"] = []
    for session in sessions.of_client(db, client):
        row = _rows(db, "sessions", "id", session.id)[0]
        row["topics"] = [
            {"text": t.text, "from_ms": t.from_ms, "to_ms": t.to_ms}
            for t in sessions.tags(db, session.id)
        ]
        row["exclusions"] = [
            {"from_ms": e.from_ms, "to_ms": e.to_ms} for e in sessions.exclusions(db, session.id)
        ]
        row["captures"] = [_capture(db, one) for one in captures.of_session(db, session.id)]
        if notes:
            row["notes"] = [
                {"at_ms": n.at_ms, "text": n.text} for n in sessions.notes(db, session.id)
            ]
        told["sessions"].append(row)
    return told


def pictures(db: Any, id: str | int) -> tuple[bytes, bytes]:
    """The face (JPEG) and the crop (PNG) of a capture, or of a library picture (whose id is a
    number)."""
    table = "captures" if isinstance(id, str) else "pictures"
    face, crop = db.execute(f"SELECT face, crop FROM {table} WHERE id = ?", (id,)).fetchone()
    return bytes(face), bytes(crop)


def _capture(db: Any, capture: captures.Capture) -> dict[str, Any]:
    return {
        "id": capture.id,
        "at_ms": capture.at_ms,
        "expression": _name(capture.expression),
        "reason": capture.reason,
        "probabilities": dict(zip(EXPRESSIONS, capture.probabilities, strict=True)),
        "bundle": capture.bundle,
        "corrections": [
            {**row, "expression": _name(row["expression"])}
            for row in _rows(db, "corrections", "capture", capture.id)
        ],
    }


def _name(expression: int | None) -> str | None:
    return None if expression is None else EXPRESSIONS[expression]


def _rows(
    db: Any, table: str, column: str, value: str, without: tuple[str, ...] = ()
) -> list[dict[str, Any]]:
    rows = db.execute(f"SELECT * FROM {table} WHERE {column} = ?", (value,))
    names = [described[0] for described in rows.description]
    return [
        {
            name: _plain(name, cell)
            for name, cell in zip(names, row, strict=True)
            if name not in without
        }
        for row in rows
    ]


def _plain(name: str, cell: Any) -> Any:
    if isinstance(cell, bytes):
        return base64.b64encode(cell).decode()
    if cell is not None and (name == "utc" or name.endswith("_utc")):
        return iso(cell / 1000)
    return cell
