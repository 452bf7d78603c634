"""A diary from elsewhere: uploaded, looked at, brought in by a job, and taken back whole.

The uploaded file lies in a nameless file of this process, until it is brought in, put aside for
another or forgotten; what reads it is a process of its own (`mien.checkin_intake`).
"""

import tempfile
from datetime import date
from functools import partial
from typing import IO, Any

import msgspec
from babel.dates import get_day_names
from flask import abort, current_app, flash, g, redirect, render_template, request
from flask import url_for as to
from flask_babel import format_decimal, gettext, ngettext
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as Answer

from mien import audit, checkin_import, checkin_intake
from mien.checkin_import import Import, Imported
from mien.checkin_intake import Done, Preview, Refused, Step, Task
from mien.emotions import MOODS
from mien.events import MienError
from mien_web import almanac, desk, door, jobs, languages, mood_words, parts, person
from mien_web.jobs import ChildError, Job

MOST_BYTES = 200 << 20
LOOK, BRING, FORGET = "checkins.look", "checkins.bring", "checkins.forget"
"""Kinds of jobs."""


class Upload:
    """A file that somebody sent, and whose check-ins it is to become."""

    def __init__(self, sent: FileStorage, client: str) -> None:
        self.name = (sent.filename or "").rpartition("/")[2][:100] or "CSV"
        self.client = client
        self.file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        sent.save(self.file, 1 << 20)
        self.file.flush()

    def close(self) -> None:
        self.file.close()


class NothingKept(MienError):
    """An import was given up; of it nothing is there."""


def room(endpoint: str | None, _: Any) -> None:
    """An upload of somebody who is signed in may be large. This runs before any check, and before
    anything of the form is read."""
    if endpoint == "checkins.upload":
        door.recognise()
        if g.user is not None:
            request.max_content_length = MOST_BYTES + 4096


def too_much(error: HTTPException) -> tuple[str, int]:
    error.description = gettext(
        "This file is larger than %(mb)s MB. Send it in parts.", mb=MOST_BYTES >> 20
    )
    return render_template("problem.html", error=error), 413


# ── the page ─────────────────────────────────────────────────────────────────────────────────────


def import_file() -> Any:
    """Whatever comes next: choosing a file, what is in it, how far it is, what came of it."""
    return _page("")


def _page(problem: str) -> str:
    who = person.current()
    running = next(
        (
            job
            for kind in (BRING, FORGET, LOOK)
            if (job := jobs.last(kind, who.id)) and job.state == "running"
        ),
        None,
    )
    look, upload = jobs.last(LOOK, who.id), _held(who.id)
    ended = jobs.last(BRING, who.id)
    told = look.result if look and upload and look.state == "done" else None
    if not problem and look and look.state == "failed" and upload is None and look.text:
        problem, look.text = look.text, ""
    # Counting a million rows takes a second, and a job's page is loaded often.
    imports = [] if running else desk.read(lambda db: checkin_import.imports(db, who.id))
    return render_template(
        "checkins/import.html",
        who=who,
        problem=problem,
        job=running,
        kinds={"look": LOOK, "bring": BRING, "forget": FORGET},
        upload=upload,
        preview=told,
        days=[date.fromisoformat(text) for text in (told.first, told.last)]
        if told and told.first
        else [],
        last=ended if ended and ended.state != "running" and not told else None,
        imports=[_listed(one) for one in imports],
        most_mb=MOST_BYTES >> 20,
        moods=MOODS,
        words=mood_words,
        almanac=almanac,
        weekdays=get_day_names("abbreviated", locale=languages.locale()),
        kind_words=kind_words(),
        problems=problems,
        zone=languages.zone().key,
    )


def kind_words() -> dict[str, str]:
    return {
        "daylio": gettext("a diary of Daylio"),
        "csv": gettext("a file of reports of everyday emotions"),
    }


def _listed(one: Import) -> tuple[Import, str, str]:
    """An import, when it was made, and from when to when it goes."""
    span = (
        f"{almanac.medium(one.first)} – {almanac.medium(one.last)}"
        if one.first and one.last
        else gettext("no dates")
    )
    return one, languages.moment(one.made_utc), span


def problems(said: list[str]) -> list[str]:
    return [parts.say(text) for text in said]


def upload() -> Any:
    """Take a file, and look at it."""
    who, sent = person.current(), request.files.get("file")
    if sent is None or not sent.filename:
        return _page(gettext("Choose a file first.")), 400
    _no_job(who.id)
    drop_held(who.id)
    held = Upload(sent, who.id)
    _uploads()[who.id, desk.user().id] = held
    user = desk.user().id

    def look(job: Job) -> Preview:
        try:
            job.step(0, 0, gettext("The file is being read. Nothing is written yet."))
            told = _child(job, Task(held.file.fileno(), held.name))
            if not isinstance(told, Preview):
                raise NothingKept(gettext("The file could not be read."))
            return told
        except BaseException:
            drop_held(who.id, user)
            raise

    return _started(LOOK, look, who.id)


def bring() -> Any:
    """Bring the file in that was looked at."""
    who = person.current()
    held, look = _held(who.id), jobs.last(LOOK, who.id)
    if held is None or look is None or look.state != "done":
        abort(409, gettext("The file is not at hand any more. Choose it again."))
    told: Preview = look.result
    moods, of = {}, None
    for n, word in enumerate(told.unknown):
        step = request.form.get(f"mood{n}", "")
        if step not in ("0", "1", "2", "3", "4", "5"):
            problem = gettext("Say what the mood “%(word)s” means.", word=word)
            return _page(problem), 400
        moods[word] = int(step) or None
    if told.kind == "csv" and told.persons > 1:
        of = request.form.get("whose", "")
        if of == "all":
            of = None
        elif of.removeprefix("id:") not in [id for id, _ in told.people]:
            return _page(gettext("Say whose reports these are.")), 400
        else:
            of = of.removeprefix("id:")
    _no_job(who.id)
    now, user = desk.now(), desk.user()
    task = Task(
        held.file.fileno(),
        held.name,
        str(desk.config().state_dir),
        who.id,
        round(now.utc * 1000),
        languages.zone().key,
        moods,
        of,
    )
    total = told.rows if of is None else dict(told.people)[of]

    def work(job: Job) -> Imported:
        job.step(0, total, gettext("It begins …"))
        try:
            done = _child(job, task, total)
        except BaseException:
            _clean(task)
            raise
        finally:
            drop_held(who.id, user.id)
        if not isinstance(done, Done):
            raise NothingKept(gettext("The file could not be read."))
        found = done.imported
        desk.write(
            lambda db: audit.note(
                db, now.utc, user.name, "checkins.imported", who.code,
                added=found.added, source=found.source,
            )
        )  # fmt: skip
        return found

    return _started(BRING, work, who.id)


def _child(job: Job, task: Task, total: int = 0) -> checkin_intake.Line | None:
    """What the process says last. Raises NothingKept: why it could not."""
    last: checkin_intake.Line | None = None
    encoded = msgspec.json.encode(task)
    try:
        for line in job.child("mien.checkin_intake", task=encoded, files=[task.fd]):
            last = msgspec.json.decode(line, type=checkin_intake.Line)
            if isinstance(last, Step):
                text = gettext(
                    "%(done)s of %(total)s check-ins",
                    done=format_decimal(last.done),
                    total=format_decimal(total),
                )
                job.step(min(last.done, total), total, text)
    except ChildError as error:
        raise NothingKept(
            gettext("Reading the file ended badly: %(why)s", why=str(error))
        ) from error
    if isinstance(last, Refused):
        raise NothingKept(parts.say(last.text))
    return last


def _clean(task: Task) -> None:
    """Of an import that was stopped nothing stays."""
    query = "SELECT DISTINCT source FROM checkins WHERE client = ? AND made_utc = ?"
    sources = desk.read(lambda db: db.execute(query, (task.client, task.made_utc)).fetchall())
    for (source,) in sources:
        if source.partition(":")[0] in ("daylio", "csv"):
            _take_out(task.client, source, lambda done: None)


def _take_out(client: str, source: str, told: Any) -> None:
    """In pieces: a transaction of a million rows would keep everybody else waiting."""
    done = 0
    while desk.write(partial(checkin_import.forget_import, client=client, source=source)):
        done += checkin_import.A_TIME
        told(done)


def drop() -> Answer:
    """Put the uploaded file aside, unread."""
    who = person.current()
    _no_job(who.id)  # it would read a file that is closed under it
    drop_held(who.id)
    return redirect(to("checkins.import_file"), 303)


def forget() -> Any:
    """Take a whole import back, once asked whether that is meant."""
    who, source = person.current(), request.form.get("source", "")
    found = next(
        (
            one
            for one in desk.read(lambda db: checkin_import.imports(db, who.id))
            if one.source == source
        ),
        None,
    ) or abort(404, gettext("This import is not there any more."))
    if "sure" not in request.form:
        return render_template(
            "checkins/forget.html", one=found, listed=_listed(found), kind_words=kind_words()
        )
    _no_job(who.id)
    now, user = desk.now(), desk.user()

    def work(job: Job) -> int:
        def told(done: int) -> None:
            text = gettext("The check-ins of the import are being deleted.")
            job.step(min(done, found.count), found.count, text)

        told(0)
        # Noted first: a part that was deleted is deleted also when somebody stops it.
        desk.write(
            lambda db: audit.note(
                db, now.utc, user.name, "checkins.unimported", who.code,
                count=found.count, source=source,
            )
        )  # fmt: skip
        _take_out(who.id, source, told)
        return found.count

    job = jobs.start(FORGET, work, who.id)
    if job.wait(2) and job.state == "done":
        flash(
            ngettext(
                "%(count)s check-in was deleted.",
                "%(count)s check-ins were deleted.",
                found.count,
                count=format_decimal(found.count),
            )
        )
    return redirect(to("checkins.import_file"), 303)


# ── what is at hand ──────────────────────────────────────────────────────────────────────────────


def _started(kind: str, work: jobs.Work, client: str) -> Answer:
    try:
        jobs.start(kind, work, client)
    except jobs.Busy as error:
        abort(409, str(error))
    return redirect(to("checkins.import_file"), 303)


def _no_job(client: str) -> None:
    """Nobody shall change what a running job works with."""
    for kind in (LOOK, BRING, FORGET):
        job = jobs.last(kind, client)
        if job and job.state == "running":
            abort(
                409,
                gettext("The same is being done already. Wait until that is done, or stop it."),
            )


def _uploads() -> dict[tuple[str, int], Upload]:
    found: dict[tuple[str, int], Upload] = current_app.extensions.setdefault("mien.diaries", {})
    return found


def _held(client: str) -> Upload | None:
    return _uploads().get((client, desk.user().id))


def drop_held(client: str, user: int | None = None) -> None:
    held = _uploads().pop((client, desk.user().id if user is None else user), None)
    if held:
        held.close()
