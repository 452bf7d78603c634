"""Review: the timeline of a session, and what is changed of it afterwards."""

from collections.abc import Callable
from typing import Any

import msgspec
from flask import Blueprint, Response, abort, flash, redirect, render_template, request, url_for
from flask import session as cookie
from flask_babel import format_decimal, gettext
from msgspec import Struct
from werkzeug.wrappers import Response as Answer

from mien import captures, cells, edits, sessions, timeline
from mien.events import EXPRESSIONS
from mien.sessions import KeywordError, Session, Tag
from mien.timeline import REASONS, Column, Second
from mien_web import desk, door, drawing, labels
from mien_web.session import find

page = Blueprint("review", __name__)
door.needs(page, "therapist")

COLUMNS = 600
"""At most, in the picture that comes with the page."""
ROWS = 30
"""At most, in the table that tells the timeline in words."""
STEPS = (10, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)
"""Seconds between two marks of the time axis."""


PICTURE: dict[str, Any] = {
    "EXPRESSIONS": EXPRESSIONS,
    "ORDER": drawing.ORDER,
    "REASONS": REASONS,
    "clock": timeline.clock,
    "labels": labels,
    "number": format_decimal,
}
"""What the templates of this page work with."""


class Topic(Struct, frozen=True):
    """A row of the timeline, and one of the table by topic, where exclusions do not count."""

    name: str
    tags: list[Tag]
    counted: Column


@page.get("/sessions/<session>")
def show(session: str) -> str:
    found, client = find(session)
    owner = desk.user().id
    rows, tags, exclusions, notes, marks, keywords = desk.read(
        lambda db: (
            timeline.seconds(db, found),
            sessions.tags(db, found.id),
            sessions.exclusions(db, found.id),
            sessions.notes(db, found.id),
            captures.of_session(db, found.id),
            sessions.keywords(db, owner),
        )
    )
    length = sessions.now_ms(found, desk.now())
    phase = found.boot_ms % 1000
    excluded = timeline.merged(exclusions, length)
    counted = timeline.kept(rows, exclusions)
    drawn = timeline.columns(rows, 0, length, timeline.width(0, length, COLUMNS, phase), phase)
    step = next((step for step in STEPS if length <= 1000 * step * ROWS), STEPS[-1])
    return render_template(
        "review/timeline.html",
        session=found,
        client=client,
        length=length,
        watched=bool(rows),
        columns=len(drawn),
        band=drawing.band(drawn),
        attention=drawing.attention(drawn),
        ticks=_ticks(length),
        moment_s=cells.MOMENT_MS // 1000,
        topics=_topics(tags, counted),
        exclusions=exclusions,
        excluded=excluded,
        notes=notes,
        captures=marks,
        total=timeline.total(counted),
        excluded_s=round(sum(stop - start for start, stop in excluded) / 1000),
        unwatched=max(0, round(length / 1000) - len(rows)),
        minutes=timeline.columns(counted, 0, length, step, phase) if rows else [],
        keywords=keywords,
        undo=_undo(found.id),
        **PICTURE,
    )


@page.get("/sessions/<session>/timeline.json")
def seconds(session: str) -> Response:
    """Every second of a stretch, for the script to draw it at any size. In each text one character
    stands for one second of the boot, beginning with `first` (of those since the one in which the
    session began): in `states` a digit for the expression, a letter for the reason why it cannot
    tell (`z`: not read yet), `-` for nobody, a space where nothing was noted; in `facing` 1, 0 or a
    space. `sure` is the expression's probability in percent."""
    found, _ = find(session)
    rows = desk.read(lambda db: timeline.seconds(db, found))
    phase = found.boot_ms % 1000
    from_ms = max(0, request.args.get("from", 0, type=int))
    to_ms = min(request.args.get("to", 1 << 40, type=int), sessions.now_ms(found, desk.now()))
    first = (from_ms + phase) // 1000
    size = max(0, -(-(to_ms + phase) // 1000) - first)
    states, facing, sure = [" "] * size, [" "] * size, [0] * size
    for row in rows:
        if from_ms <= row.at_ms < to_ms:
            at = (row.at_ms + phase) // 1000 - first
            states[at] = _state(row)
            facing[at] = " " if row.facing is None else str(int(row.facing))
            if row.expression is not None and row.probabilities:
                sure[at] = round(row.probabilities[row.expression] / 2.55)
    body = {
        "first": first,
        "phase": phase,
        "states": "".join(states),
        "facing": "".join(facing),
        "sure": sure,
    }
    return Response(msgspec.json.encode(body), mimetype="application/json")


@page.post("/sessions/<session>/edits")
def edit(session: str) -> Answer:
    """Change the record; the form says what by `kind`."""
    found, _ = find(session)
    if found.length_ms is None:
        abort(409, gettext("This session is still running. Stop it first, then change its record."))
    wish, said = _wish(found)

    def work(db: Any) -> edits.Edit:
        undone = edits.apply(db, found.id, wish(db) if callable(wish) else wish)
        sessions.changed(db, found.id)
        return undone

    try:
        undone = desk.write(work)
    except edits.Gone:
        abort(409, gettext("This was changed on another screen. Load the page again."))
    cookie["undo"] = {"session": found.id, "edit": msgspec.to_builtins(undone)}
    flash(said)
    return redirect(url_for("review.show", session=found.id), 303)


page.add_app_template_filter(timeline.clock, "clock")


@page.app_template_global()
def session_captures(session: Session) -> int:
    """How many captures there are, for the row of tabs."""
    return desk.read(lambda db: captures.count(db, session.id))


def _ticks(length: int) -> list[int]:
    step = next((1000 * step for step in STEPS if length <= 1000 * step * 8), 1000 * STEPS[-1])
    return list(range(0, length + 1, step))


def _topics(tags: list[Tag], counted: list[Second]) -> list[Topic]:
    """By keyword, in the order in which they came up."""
    grouped: dict[str, list[Tag]] = {}
    for tag in tags:
        grouped.setdefault(tag.keyword, []).append(tag)
    return [
        Topic(own[0].text, own, timeline.total(timeline.within(counted, cells.spans(own))))
        for own in grouped.values()
    ]


def _state(row: Second) -> str:
    if not row.people:
        return "-"
    if row.expression is not None:
        return str(row.expression)
    return "z" if row.reason is None else chr(ord("a") + REASONS.index(row.reason))


Wish = edits.Edit | Callable[[Any], edits.Edit]


def _wish(session: Session) -> tuple[Wish, str]:
    """What the form asks for, and the sentence that says it was done."""
    form = request.form
    tag = form.get("tag", "")
    match form.get("kind"):
        case "exclude":
            start, stop = _stretch(session)
            return edits.Exclude(start, stop), gettext(
                "%(start)s–%(end)s no longer counts.",
                start=timeline.clock(start),
                end=timeline.clock(stop),
            )
        case "count":
            return edits.Count(form.get("exclusion", "")), gettext("The stretch counts again.")
        case "add":
            start, stop = _stretch(session)
            text = _keyword()
            return (lambda db: edits.Add(_keyword_id(db, text), start, stop)), gettext(
                "“%(topic)s” was added.", topic=text
            )
        case "move":
            start, stop = _stretch(session)
            return edits.Move(tag, start, stop), gettext(
                "The topic now lasts from %(start)s to %(end)s.",
                start=timeline.clock(start),
                end=timeline.clock(stop),
            )
        case "rename":
            text = _keyword()
            return (lambda db: edits.Rename(tag, _keyword_id(db, text))), gettext(
                "The topic is called “%(topic)s” now.", topic=text
            )
        case "delete":
            return edits.Delete(tag), gettext("The topic was deleted here.")
    if form.get("kind") != "undo":
        abort(400, gettext("This form does not say what to change. Load the page again."))
    undone = _undo(session.id)
    if undone is None:
        abort(409, gettext("There is nothing to undo any more."))
    return undone, gettext("Undone.")


def _undo(session: str) -> edits.Edit | None:
    """What undoes the last change of this session, made in this browser."""
    kept = cookie.get("undo")
    if not isinstance(kept, dict) or kept.get("session") != session:
        return None
    try:
        undone: edits.Edit = msgspec.convert(kept.get("edit"), edits.Edit)
    except msgspec.ValidationError:
        return None
    return undone


def _stretch(session: Session) -> tuple[int, int]:
    start, stop = (_time(name, session) for name in ("from", "to"))
    if stop < start:
        abort(
            400,
            gettext(
                "The end, %(end)s, lies before the beginning, %(start)s. Change one of them.",
                start=timeline.clock(start),
                end=timeline.clock(stop),
            ),
        )
    if stop == start and request.form.get("kind") == "exclude":
        abort(400, gettext("From %(start)s to itself is no stretch.", start=timeline.clock(start)))
    return start, stop


def _time(name: str, session: Session) -> int:
    text = request.form.get(name, "")
    at_ms = timeline.parse(text)
    if at_ms is None:
        abort(
            400,
            gettext(
                "“%(text)s” is no time. Write minutes and seconds of the session, such as 12:05.",
                text=text[:20],
            ),
        )
    # A time that was left as the form showed it keeps its fraction of a second.
    shown = request.form.get(f"{name}_ms", type=int)
    if shown is not None and timeline.clock(shown) == text.strip():
        at_ms = shown
    end = session.length_ms or 0
    if at_ms > end and timeline.clock(at_ms) != timeline.clock(end):
        abort(
            400,
            gettext(
                "%(time)s is after the end of the session, %(end)s.",
                time=timeline.clock(at_ms),
                end=timeline.clock(end),
            ),
        )
    return min(at_ms, end)


def _keyword() -> str:
    try:
        return sessions.clean(request.form.get("keyword", ""))
    except KeywordError as error:
        if error.fault == "empty":
            abort(400, gettext("Write the topic, with at least one letter, digit or sign."))
        abort(
            400,
            gettext(
                "A topic may have %(most)s characters; this one has more. Shorten it.",
                most=sessions.KEYWORD_CHARACTERS,
            ),
        )


def _keyword_id(db: Any, text: str) -> str:
    return sessions.keyword(db, desk.user().id, text, desk.now().utc)
