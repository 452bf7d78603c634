"""The picture library: what is in it, putting pictures in, naming them, taking them out."""

from collections.abc import Callable
from typing import Any

from flask import (
    Blueprint,
    Response,
    abort,
    current_app,
    flash,
    g,
    redirect,
    render_template,
    request,
    url_for,
)
from flask_babel import format_decimal, gettext, ngettext
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as Answer

from mien import audit, gallery, uploads
from mien.events import EXPRESSIONS
from mien_web import api, desk, door, downloads, jobs, labels, receiving

page = Blueprint("library", __name__)
door.needs(page, "therapist", "administrator")

SIZE = 60
"""Pictures a page."""
LONGEST = 5000
"""Pictures a form may name."""


@page.url_value_preprocessor
def _room(endpoint: str | None, values: dict[str, Any] | None) -> None:
    """An upload of somebody who is signed in may be large. This runs before any check, and before
    anything of the form is read."""
    if endpoint != "library.upload":
        return
    door.recognise()
    if g.user is not None:
        request.max_content_length = uploads.MAX_REQUEST
        request.max_form_parts = uploads.MAX_FILES + 20


@page.errorhandler(413)
def _too_much(error: HTTPException) -> tuple[str, int]:
    error.description = gettext(
        "This is more than an upload may have: %(mb)s MB and %(files)s files. Send it in parts.",
        mb=uploads.MAX_REQUEST >> 20,
        files=format_decimal(uploads.MAX_FILES),
    )
    return render_template("problem.html", error=error), 413


# ── what is there ────────────────────────────────────────────────────────────────────────────────


@page.get("/library")
def index() -> str:
    chosen = api.filter_of(request.args)
    number, user = api.whole("page", 1, api.PAGES), desk.user().id

    def ask(db: Any) -> tuple[Any, ...]:
        return (
            *gallery.page(db, user, chosen, number, SIZE),
            gallery.counts(db, user),
            gallery.sources(db, user),
        )

    total, pictures, counts, sources = desk.read(ask)
    return render_template(
        "library/index.html",
        pictures=pictures,
        total=total,
        everything=sum(counts.values()),
        counts=counts,
        sources=sources,
        number=number,
        pages=max(1, -(-total // SIZE)),
        said=request.args,
        chosen=chosen,
        undo=len(_former().get(user, {})),
        link=_link,
        labels=labels,
        expressions=EXPRESSIONS,
    )


def _link(**changed: Any) -> str:
    """This page with other parameters; an empty one is left out, and pages begin anew."""
    said: dict[str, Any] = {k: v for k, v in request.args.items() if k != "page"} | changed
    return url_for("library.index", **{k: v for k, v in said.items() if v not in (None, "", 1)})


@page.get("/library/duplicates")
def duplicates() -> str:
    groups, total, conflicts = desk.read(lambda db: gallery.same(db, desk.user().id, SIZE))
    return render_template(
        "library/duplicates.html",
        groups=groups,
        total=total,
        conflicts=conflicts,
        undo=len(_former().get(desk.user().id, {})),
        labels=labels,
        expressions=EXPRESSIONS,
    )


# ── naming and taking out ────────────────────────────────────────────────────────────────────────


@page.post("/library/change")
def change() -> Any:
    """The form around the pictures: its buttons say what is done with those that are ticked."""
    ids, act = _ticked(), request.form.get("act")
    if act == "delete":
        return _delete(ids)
    if act != "label":
        abort(400, gettext("Choose what to do with the pictures: label or delete."))
    expression = _label(request.form.get("label", ""))
    now, user = desk.now(), desk.user()

    def relabel(db: Any) -> dict[int, int | None]:
        return gallery.relabel(db, user.id, user.name, dict.fromkeys(ids, expression), now.utc)

    before = desk.write(relabel)
    if before:
        _former()[user.id] = before
        return redirect(_back(), 303)  # where the change can be taken back
    flash(gettext("Nothing changed: they are called so already."))
    return redirect(_back(), 303)


@page.post("/library/undo")
def undo() -> Answer:
    """Take back the last change of labels."""
    now, user = desk.now(), desk.user()
    before = _former().pop(user.id, {})
    changed = desk.write(lambda db: gallery.relabel(db, user.id, user.name, before, now.utc))
    flash(
        ngettext(
            "%(num)s picture has its former label again.",
            "%(num)s pictures have their former labels again.",
            len(changed),
        )
    )
    return redirect(_back(), 303)


def _former() -> dict[int, dict[int, int | None]]:
    """Of each user, what the labels were before the last change; while this page runs."""
    kept: dict[int, dict[int, int | None]] = current_app.extensions.setdefault("mien.former", {})
    return kept


def _delete(ids: list[int]) -> Any:
    user, now = desk.user(), desk.now()
    if "sure" not in request.form:
        known = desk.read(lambda db: gallery.known(db, user.id, ids))
        return render_template("library/delete.html", ids=known, back=_back())

    def delete(db: Any) -> int:
        count = gallery.delete(db, user.id, ids)
        audit.note(db, now.utc, user.name, "library.deleted", "", pictures=count)
        return count

    count = desk.write(delete)
    _former().pop(user.id, None)
    flash(ngettext("%(num)s picture was deleted.", "%(num)s pictures were deleted.", count))
    return redirect(_back(), 303)


def _ticked() -> list[int]:
    said = request.form.getlist("picture")[:LONGEST]
    ids = [int(id) for id in said if id.isascii() and id.isdecimal() and len(id) < 19]
    return ids or abort(400, gettext("Tick at least one picture first."))


def _label(said: str) -> int | None:
    """The place of a chosen expression, None for “no label”."""
    if said == "none":
        return None
    known = [str(name) for name in EXPRESSIONS]
    if said not in known:
        abort(400, gettext("Choose one of the seven expressions, or “no label”."))
    return known.index(said)


def _back() -> str:
    """Where the form stood, a page of the library."""
    back = request.form.get("back", "")
    ours = back.startswith(("/library?", "/library/duplicates")) and back.isprintable()
    return back if ours and "\\" not in back else url_for("library.index")


# ── putting in ───────────────────────────────────────────────────────────────────────────────────


@page.get("/library/add")
def add() -> str:
    return _form("")


def _form(fault: str) -> str:
    user = desk.user().id

    def ask(db: Any) -> tuple[Any, ...]:
        return gallery.sources(db, user), gallery.candidates(db, user)

    sources, (candidates, refused) = desk.read(ask)
    return render_template(
        "library/add.html",
        fault=fault,
        said=request.form,
        sources=sources,
        ready=[one for one in candidates if one.taken is None or one.taken_as != one.expression],
        taken=sum(one.taken is not None for one in candidates),
        refused=refused,
        uploads=uploads,
        labels=labels,
        expressions=EXPRESSIONS,
    )


@page.post("/library/add")
def upload() -> Any:
    source, label = request.form.get("source", "").strip(), request.form.get("label", "folder")
    fault = ""
    if not source or len(source) > 300 or not source.isprintable():
        fault = gettext("Say in up to 300 letters where the pictures are from.")
    elif "may" not in request.form:
        fault = gettext(
            "Only pictures that may be learnt from belong here. If these may, say so with the tick."
        )
    elif label != "folder":
        _label(label)
    spool = receiving.Spool()
    if not fault:
        for field in ("pictures", "folder", "zip"):
            for file in request.files.getlist(field):
                spool.take(file)
        if not spool.items:
            fault = gettext("Choose pictures, a folder or a zip first.")
    if fault:
        spool.close()
        return _form(fault), 400
    said: Callable[[uploads.Found], int | None] = receiving.label_of
    if label != "folder":
        place = _label(label)
        said = lambda found: place  # noqa: E731
    return _start(receiving.of_files(spool, source, said))


@page.post("/library/captures")
def take_over() -> Any:
    """Bring the corrected captures of those who agreed."""
    return _start(receiving.of_captures())


def _start(work: receiving.Work) -> Any:
    try:
        jobs.start("intake", work)
    except jobs.Busy as error:
        work.close()
        abort(409, str(error))
    return redirect(url_for("library.added"), 303)


@page.get("/library/added")
def added() -> Any:
    """How far the last intake is, or what came of it."""
    job = jobs.last("intake")
    if job is None:
        return redirect(url_for("library.add"))
    return render_template(
        "library/added.html",
        job=job,
        outcome=job.result,
        reasons=receiving.REASONS,
        labels=labels,
        expressions=EXPRESSIONS,
    )


@page.post("/library/added/undo")
def take_back() -> Answer:
    """Take the pictures out again that the last intake brought."""
    job = jobs.last("intake")
    if job is None or job.state == "running" or not job.result or not job.result.added:
        abort(404, gettext("There is nothing that could be taken back."))
    user, now = desk.user(), desk.now()

    def delete(db: Any) -> int:
        count = gallery.delete(db, user.id, job.result.added)
        audit.note(db, now.utc, user.name, "library.deleted", "", pictures=count)
        return count

    count = desk.write(delete)
    job.result.added.clear()
    flash(ngettext("%(num)s picture was taken out.", "%(num)s pictures were taken out.", count))
    return redirect(url_for("library.index"), 303)


# ── for the workshop ─────────────────────────────────────────────────────────────────────────────


@page.post("/library/export.zip")
def export() -> Response:
    """The labelled pictures, as the workshop imports them."""
    file, pictures, of_clients = receiving.box_zip()
    left = downloads.audited("library.exported", pictures=pictures, clients=of_clients)
    size = file.tell()
    file.seek(0)
    name = f"mien-library-{desk.now().iso[:10]}.zip"
    return downloads.send(file, "application/zip", name, left, size)
