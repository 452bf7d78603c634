"""What a person may take with them: a month for the therapist, tables, everything; and everything
brought in from another box. Nothing leaves unless they press it, and each time is noted."""

import io
import secrets
from collections.abc import Callable
from datetime import date
from functools import partial
from typing import Any

from flask import (
    Blueprint,
    abort,
    current_app,
    flash,
    g,
    redirect,
    render_template,
    request,
    url_for,
)
from flask_babel import gettext, ngettext
from msgspec import Struct
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as Answer

from mien import checkins, homefile, quiet, reminders
from mien.control import ControlError
from mien.events import MienError
from mien.homefile import Everything, HomeFileError
from mien_web import (
    almanac,
    desk,
    door,
    downloads,
    home_export,
    month_report,
    parts,
    pdf,
    words,
)
from mien_web.almanac import Span
from mien_web.log import book

page = Blueprint("keeping", __name__)
door.needs(page, "home")

PIECE = 1000
"""Quarters that the service takes at once."""
BATCH = 300
"""Check-ins a transaction."""
WAITS_MS = 1_800_000
"""So long a file that was looked at waits to be taken over."""


class Waiting(Struct):
    """A file that a person looked at and has not decided about, in memory only."""

    key: str
    person: str
    since_ms: int
    body: bytes


@page.url_value_preprocessor
def _room(endpoint: str | None, values: dict[str, Any] | None) -> None:
    """An upload of somebody who is signed in may be large."""
    if endpoint == "keeping.look":
        door.recognise()
        if g.user is not None:
            request.max_content_length = homefile.MAX_FILE + 65_536


@page.errorhandler(413)
def _too_much(error: HTTPException) -> tuple[str, int]:
    error.description = gettext(
        "The file is larger than %(mb)s MB, which no home log is. Choose the everything.zip that "
        "a box exported.",
        mb=homefile.MAX_FILE >> 20,
    )
    return render_template("problem.html", error=error), 413


@page.get("/log/keeping")
def index() -> str:
    opened = book()
    return render_template(
        "keeping/index.html",
        tab="keeping",
        book=opened,
        month=almanac.around("month", opened.today).value,
        names=month_report.names(),
        usual=month_report.USUAL,
    )


# ── the month for the therapist ──────────────────────────────────────────────────────────────────


@page.get("/log/keeping/report")
def preview() -> str:
    """Just what the PDF will hold, to read before."""
    span, chosen = _asked(request.args)
    return render_template(
        "keeping/report.html",
        tab="keeping",
        span=span,
        parts=chosen,
        document=month_report.document(book(), span, chosen),
    )


@page.post("/log/keeping/report.pdf")
def report() -> Answer:
    span, chosen = _asked(request.form)
    try:
        body = pdf.render(month_report.document(book(), span, chosen))
    except pdf.PdfError as error:
        flash(words.sentence(str(error)), "error")
        return redirect(url_for("keeping.index"), 303)
    left = _audited("home.report", month=span.value, parts=sorted(chosen))
    return downloads.send(body, "application/pdf", f"{_name()}-{span.value}.pdf", left)


def _asked(given: Any) -> tuple[Span, frozenset[str]]:
    """The month and the parts that were ticked."""
    day = almanac.parsed(given.get("month", ""))
    if day is None:
        abort(
            400, gettext("Choose a month, such as %(month)s.", month=book().today.isoformat()[:7])
        )
    chosen = frozenset(given.getlist("part")) & set(month_report.PARTS)
    if not chosen:
        abort(400, gettext("Tick at least one thing that is to go into the report."))
    return almanac.around("month", day), chosen


# ── taking along ─────────────────────────────────────────────────────────────────────────────────


@page.post("/log/keeping/checkins.csv")
def checkins_csv() -> Answer:
    return _sent(home_export.checkins_csv(book()), "text/csv; charset=utf-8", "checkins.csv")


@page.post("/log/keeping/hours.csv")
def hours_csv() -> Answer:
    return _sent(home_export.hours_csv(book()), "text/csv; charset=utf-8", "hours.csv")


@page.post("/log/keeping/everything.zip")
def everything() -> Answer:
    return _sent(home_export.everything(book()), "application/zip", "everything.zip")


def _sent(body: downloads.Body, kind: str, what: str) -> Answer:
    left = _audited("home.exported", what=what)
    return downloads.send(body, kind, f"{_name()}-{what}", left)


def _name() -> str:
    """The code name and the day as the beginning of a file's name."""
    return downloads.stem(book().person.code, book().today.isoformat())


# ── bringing in ──────────────────────────────────────────────────────────────────────────────────


@page.post("/log/keeping/import")
def look() -> Any:
    """Check a file and tell what would be taken over; nothing is kept yet."""
    sent = request.files.get("file")
    if sent is None or not sent.filename:
        abort(400, gettext("Choose a file first."))
    body = sent.stream.read()
    found = _read(body)
    key = secrets.token_urlsafe(16)
    now = round(desk.now().utc * 1000)
    _put(Waiting(key, book().person.id, now, body))
    new, there = _new(found)
    days = [one.day for one in found.checkins if one.day]
    return render_template(
        "keeping/import.html",
        tab="keeping",
        key=key,
        book=book(),
        found=found,
        new=new,
        there=there,
        first=min(days, default=None),
        last=max(days, default=None),
        almanac=almanac,
        seen_first=_quarter_day(found, min),
        seen_last=_quarter_day(found, max),
    )


@page.post("/log/keeping/import/take")
def take() -> Answer:
    """Take over the file that was looked at."""
    held = _take(request.form.get("key", ""))
    if held is None:
        abort(404, gettext("This file is not held any more. Choose it again."))
    found = _read(held.body)
    opened = book()
    who, now = opened.person.id, round(desk.now().utc * 1000)
    # Before the check-ins, which would bring those that are hidden as if they were not.
    desk.write(lambda db: homefile.keep_activities(db, who, found.activities, now))
    added = 0
    for start in range(0, len(found.checkins), BATCH):
        some = found.checkins[start : start + BATCH]
        added += desk.write(partial(homefile.keep, client=who, said=some))
    said = [
        ngettext("%(num)s check-in was taken over.", "%(num)s check-ins were taken over.", added)
    ]
    if left := len(found.checkins) - added:
        said.append(ngettext("%(num)s was there already.", "%(num)s were there already.", left))
    quarters, trouble = _log(found) if opened.since_ms is not None else (0, "")
    if quarters:
        said.append(
            ngettext(
                "%(num)s quarter of an hour of what was seen was taken over.",
                "%(num)s quarters of an hour of what was seen were taken over.",
                quarters,
            )
        )
    said += _settings(found)
    _noted(
        "home.imported", box=found.box[:40], checkins=added, there=left, quarters=quarters,
        settings="settings" in request.form,
    )  # fmt: skip
    flash(" ".join(said))
    if trouble:
        flash(trouble, "error")
    return redirect(url_for("keeping.index"), 303)


@page.post("/log/keeping/import/drop")
def drop() -> Answer:
    """Think better of it."""
    _take(request.form.get("key", ""))
    flash(gettext("Nothing was taken over."))
    return redirect(url_for("keeping.index"), 303)


def _read(body: bytes) -> Everything:
    try:
        return homefile.read(io.BytesIO(body))
    except HomeFileError as error:
        abort(400, words.sentence(parts.say(str(error))))


def _log(found: Everything) -> tuple[int, str]:
    """Hand the quarters to the service, which keeps the log; how many it took, and what went
    wrong."""
    taken = 0
    rows = list(homefile.seen(found))
    try:
        for start in range(0, len(rows), PIECE):
            taken += desk.control().import_log(rows[start : start + PIECE])
    except ControlError as error:
        why = words.sentence(parts.say(str(error)))
        return taken, gettext(
            "What was seen could not be taken over wholly: %(why)s Bring the file again; what is "
            "there already is left as it is.",
            why=why,
        )
    return taken, ""


def _settings(found: Everything) -> list[str]:
    if "settings" not in request.form:
        return []
    who = book().person.id

    def work(db: Any) -> None:
        if found.settings.reminders is not None:
            reminders.put(db, who, found.settings.reminders)
        if found.settings.quiet:
            quiet.put(db, found.settings.quiet)

    try:
        desk.write(work)
    except MienError as error:
        return [
            gettext("The settings were not: %(why)s", why=words.sentence(parts.say(str(error))))
        ]
    return [gettext("Reminders and quiet hours were taken over.")]


def _new(found: Everything) -> tuple[int, int]:
    """How many check-ins of a file are new, and how many are there already."""
    there = len(desk.read(lambda db: checkins.known(db, [one.id for one in found.checkins])))
    return len(found.checkins) - there, there


def _quarter_day(found: Everything, which: Any) -> date | None:
    rows = found.quarters.rows
    if not rows:
        return None
    place = found.quarters.columns.index("quarter")
    return home_export.day(book(), which(row[place] for row in rows))


def _held() -> dict[int, Waiting]:
    held: dict[int, Waiting] = current_app.extensions.setdefault("mien.keeping", {})
    now = round(desk.now().utc * 1000)
    for user, one in list(held.items()):
        if not 0 <= now - one.since_ms < WAITS_MS:
            del held[user]
    return held


def _put(waiting: Waiting) -> None:
    _held()[desk.user().id] = waiting


def _take(key: str) -> Waiting | None:
    """The file of this key, and of the person whose log is open; nobody has it afterwards."""
    held = _held()
    one = held.get(desk.user().id)
    if one is None or one.key != key or one.person != book().person.id:
        return None
    return held.pop(desk.user().id)


def _noted(action: str, **detail: object) -> None:
    _audited(action, **detail)()


def _audited(action: str, **detail: object) -> Callable[[], None]:
    return downloads.audited(action, book().person.code, **detail)
