"""What may leave the box about a client, and the list of what did: each goes into the audit log."""

import zipfile
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from functools import partial
from typing import Any

import msgspec
from flask import (
    Blueprint,
    abort,
    flash,
    redirect,
    render_template,
    request,
    url_for,
)
from flask_babel import gettext
from werkzeug.wrappers import Response as Answer

from mien import captures, dossier, sessions, timeline, zone
from mien.clients import Client
from mien.events import EXPRESSIONS
from mien.sessions import Session
from mien_web import desk, door, downloads, elan, languages, pdf, sheets, words
from mien_web.clients import find as find_client
from mien_web.elan import Annotation
from mien_web.receiving import in_memory
from mien_web.record import document, header, row
from mien_web.session import find as find_session

page = Blueprint("exports", __name__)
door.needs(page, "therapist")

Period = tuple[float, float]
"""Seconds of UTC, from ≤ t < to."""


@page.get("/clients/<client>/exports")
def index(client: str) -> str:
    found = find_client(client)
    held = desk.read(lambda db: sessions.of_client(db, found.id))
    today = desk.clock().stamp().utc
    return render_template(
        "exports/index.html",
        client=found,
        sessions=[session for session in held if session.length_ms],
        first=_iso_day(min((s.utc / 1000 for s in held), default=today)),
        last=_iso_day(today),
        columns=dossier.COLUMNS,
    )


@page.post("/clients/<client>/exports/record.<any(pdf, csv):form>")
def record(client: str, form: str) -> Answer:
    """Dates, topics and counts; no pictures, no notes."""
    found, period = find_client(client), _period()
    held = _sessions(found, period)
    lines = [desk.read(partial(dossier.line, session=session)) for session in held]
    if form == "csv":
        body = sheets.table(header(), map(row, lines)).encode("utf-8-sig")
        kind = "text/csv; charset=utf-8"
    else:
        try:
            body = pdf.render(document(found.code, _days(period), lines))
        except pdf.PdfError as error:
            flash(words.sentence(str(error)), "error")
            return redirect(url_for("exports.index", client=found.id), 303)
        kind = "application/pdf"
    left = _audited(found, f"export.record.{form}", period, sessions=len(lines))
    return downloads.send(body, kind, f"{downloads.stem(found.code)}-record.{form}", left)


@page.post("/clients/<client>/exports/notes.txt")
def notes(client: str) -> Answer:
    """The therapist's own notes, apart from everything else."""
    found, period = find_client(client), _period()
    text = [gettext("Notes on %(code)s – private", code=found.code)]
    count = 0
    for session in _sessions(found, period):
        written = desk.read(partial(sessions.notes, session=session.id))
        if written:
            text += ["", languages.moment(session.utc)]
            text += [f"{_clock(note.at_ms)}  {note.text}" for note in written]
            count += len(written)
    body = ("\n".join(text) + "\n").encode()
    left = _audited(found, "export.notes", period, notes=count)
    name = f"{downloads.stem(found.code)}-notes.txt"
    return downloads.send(body, "text/plain; charset=utf-8", name, left)


@page.post("/clients/<client>/exports/seconds.csv")
def seconds(client: str) -> Answer:
    """The research table, one row a second, sent as it is read."""
    found, period = find_client(client), _period()
    held = _sessions(found, period)
    # Numbers of sessions count from the first there is, so that they mean the same in each export.
    numbers = {s.id: n for n, s in enumerate(_sessions(found, (0.0, float("inf"))), 1)}

    def table() -> Iterator[str]:
        yield "\ufeff" + sheets.table(dossier.COLUMNS, [])
        for session in held:
            yield _seconds(found, numbers, session)

    left = _audited(found, "export.seconds", period, sessions=len(held))
    name = f"{downloads.stem(found.code)}-seconds.csv"
    return downloads.send(table(), "text/csv; charset=utf-8", name, left)


@page.post("/clients/<client>/exports/everything.zip")
def everything(client: str) -> Answer:
    """Complete data of one client: what a person may ask for (GDPR, articles 15 and 20)."""
    found = find_client(client)
    with_notes = "notes" in request.form
    told = desk.read(lambda db: dossier.everything(db, found.id, notes=with_notes))
    folder = in_memory()  # closed, and so gone, once it was sent
    pictures = 0
    with zipfile.ZipFile(folder, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("README.txt", _readme(found, with_notes))
        archive.writestr("client.json", msgspec.json.format(msgspec.json.encode(told), indent=2))
        held = _sessions(found, (0.0, float("inf")))
        numbers = {session.id: number for number, session in enumerate(held, 1)}
        with archive.open("seconds.csv", "w") as file:
            file.write(("\ufeff" + sheets.table(dossier.COLUMNS, [])).encode())
            for session in held:
                file.write(_seconds(found, numbers, session).encode())
        for session in told["sessions"]:
            for capture in session["captures"]:
                pictures += _pictures(archive, f"captures/{capture['id']}", capture["id"])
        for picture in told["library_pictures"]:
            pictures += _pictures(archive, f"library/{picture['id']}", picture["id"])
    left = _audited(
        found, "export.everything", None, sessions=len(held), pictures=pictures, notes=with_notes
    )
    size = folder.tell()
    folder.seek(0)
    name = f"{downloads.stem(found.code)}-everything.zip"
    return downloads.send(folder, "application/zip", name, left, size)


@page.post("/sessions/<session>/exports/elan.eaf")
def eaf(session: str) -> Answer:
    """A session with one tier for what was seen and one for each topic, for ELAN."""
    held, found = find_session(session)
    with_notes = "notes" in request.form
    body = elan.eaf(desk.read(lambda db: _tiers(db, held, with_notes)), f"Mien, {found.code}")
    left = _audited(found, "export.elan", None, session=held.id, notes=with_notes)
    name = f"{downloads.stem(found.code, _iso_day(held.utc / 1000))}.eaf"
    return downloads.send(body, "application/xml", name, left)


def _period() -> Period:
    """From the form's two dates, the last one included, in the box's time zone."""
    try:
        first = date.fromisoformat(request.form.get("from", ""))
        last = date.fromisoformat(request.form.get("to", "")) + timedelta(days=1)
        since, until = _midnight(first), _midnight(last)
    except (ValueError, OverflowError):
        abort(400, gettext("Give both days of the period as dates, such as 2026-11-20."))
    if since >= until:
        abort(400, gettext("The period ends before it begins. Swap the two days."))
    return since, until


def _midnight(day: date) -> float:
    return zone.bounds(day, day, languages.zone())[0] / 1000


def _days(period: Period) -> str:
    first, last = round(period[0] * 1000), round(period[1] * 1000) - 1
    return f"{languages.day(first)} – {languages.day(last)}"


def _iso_day(utc: float) -> str:
    return zone.local(round(utc * 1000), languages.zone()).date().isoformat()


def _sessions(client: Client, period: Period) -> list[Session]:
    return desk.read(lambda db: dossier.between(db, client.id, *period))


def _seconds(client: Client, numbers: dict[str, int], session: Session) -> str:
    """The rows of one session, as CSV."""
    number = numbers[session.id]
    return sheets.table(
        None, desk.read(lambda db: list(dossier.research(db, client.code, number, session)))
    )


def _pictures(archive: zipfile.ZipFile, name: str, id: str | int) -> int:
    """Put a capture's two pictures, or those of a picture of the library, into the archive."""
    face, crop = desk.read(partial(dossier.pictures, id=id))
    archive.writestr(f"{name}-face.jpg", face)
    archive.writestr(f"{name}-crop.png", crop)
    return 1


def _audited(
    client: Client, action: str, period: Period | None, **detail: object
) -> Callable[[], None]:
    if period:
        detail["days"] = f"{_iso_day(period[0])} – {_iso_day(period[1] - 1)}"
    return downloads.audited(action, client.code, **detail)


# ── a session for ELAN ───────────────────────────────────────────────────────────────────────────


def _tiers(db: Any, session: Session, with_notes: bool) -> dict[str, list[Annotation]]:
    length = session.length_ms or session.active_ms
    out = timeline.merged(sessions.exclusions(db, session.id), length)
    seen = timeline.kept(timeline.seconds(db, session), sessions.exclusions(db, session.id))
    looks = [
        (
            second.at_ms,
            EXPRESSIONS[second.expression]
            if second.expression is not None
            else f"cannot tell: {second.reason}"
            if second.reason
            else None,
        )
        for second in seen
    ]
    turned = [
        (s.at_ms, None if s.facing is None else "facing" if s.facing else "turned away")
        for s in seen
    ]
    tiers = {
        "Expression looks like": list(elan.runs(looks)),
        "Attention": list(elan.runs(turned)),
        "Excluded": [Annotation(since, to, "excluded") for since, to in out],
        "Captures": [],
    }
    for capture in captures.of_session(db, session.id):
        label = captures.label(capture)
        value = "cannot tell" if label is None else EXPRESSIONS[label]
        _add(tiers["Captures"], Annotation(capture.at_ms, capture.at_ms + 1000, value))
    for tag in sorted(sessions.tags(db, session.id), key=lambda tag: tag.from_ms):
        tier = tiers.setdefault(f"Topic: {tag.text}", [])
        end = length if tag.to_ms is None else tag.to_ms
        _add(tier, Annotation(tag.from_ms, max(end, tag.from_ms + 1000), tag.text))
    if with_notes:
        tier = tiers.setdefault("Notes (private)", [])
        for note in sorted(sessions.notes(db, session.id), key=lambda note: note.at_ms):
            _add(tier, Annotation(note.at_ms, note.at_ms + 1000, note.text))
    return tiers


def _add(tier: list[Annotation], annotation: Annotation) -> None:
    """At the end of a tier, in which ELAN allows no two at the same time."""
    if tier and tier[-1].to_ms > annotation.from_ms:
        before = tier.pop()
        if annotation.from_ms - before.from_ms > 0:
            tier.append(before._replace(to_ms=annotation.from_ms))
        else:
            annotation = Annotation(
                before.from_ms,
                max(before.to_ms, annotation.to_ms),
                before.value
                if before.value == annotation.value
                else f"{before.value} / {annotation.value}",
            )
    tier.append(annotation)


def _clock(ms: int) -> str:
    minutes, rest = divmod(ms // 1000, 60)
    return f"{minutes:02}:{rest:02}"


def _readme(client: Client, with_notes: bool) -> str:
    lines = [
        gettext("Everything this Mien box keeps about %(code)s", code=client.code),
        gettext("Made on %(day)s.", day=languages.moment(round(desk.now().utc * 1000))),
        "",
        gettext("client.json: consents, notices, sessions, topics, captures, corrections."),
        gettext("seconds.csv: one row a second; the columns are named in the handbook."),
        gettext("captures/: the pictures somebody pressed “capture” for, as JPEG and as the"),
        gettext("48×48 grey picture that the program read."),
        gettext("library/: pictures of this person in the box's picture library."),
        gettext("The therapist's notes are inside, in client.json.")
        if with_notes
        else gettext("The therapist's notes are not inside."),
        "",
        gettext("A face is not a feeling: labels say what an expression looked like."),
    ]
    return "\r\n".join(lines) + "\r\n"
