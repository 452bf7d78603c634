"""Backups: everything in one file under a passphrase, made here and taken away by the browser."""

from pathlib import Path
from secrets import token_hex
from typing import Any

from flask import (
    Blueprint,
    Response,
    abort,
    g,
    redirect,
    render_template,
    request,
    url_for,
)
from flask_babel import gettext
from msgspec import Struct

from mien import backup, database
from mien.backup import Content
from mien.events import MienError
from mien_web import desk, door, downloads, jobs, restoring
from mien_web.jobs import Job

page = Blueprint("backups", __name__)
door.needs(page, "administrator")


class Made(Struct, frozen=True):
    """A backup that waits to be fetched."""

    file: Path
    name: str
    size: int
    content: Content

    @property
    def there(self) -> bool:
        return self.file.exists()


@page.before_request
def _no_demo() -> None:
    if g.login is None and request.method == "POST":
        abort(403, gettext("In the demo nothing can be changed here. Set up this box first."))


@page.get("/box/backup")
def index() -> str:
    return _index({})


def _index(problems: dict[str, str]) -> str:
    def work(db: Any) -> dict[str, Any]:
        return {"last": backup.last_utc(db), "stale": backup.stale(db, desk.now())}

    job = jobs.last("backup")
    made = job.result if job and job.state == "done" and job.result.there else None
    return render_template(
        "backups/index.html",
        job=job,
        made=made,
        shortest=backup.SHORTEST,
        longest=backup.LONGEST,
        days=backup.STALE_DAYS,
        named=restoring.named(made.content) if made else [],
        problems=problems,
        **desk.read(work),
    )


@page.post("/box/backup")
def make() -> Any:
    said = request.form.get("passphrase", "")
    if problem := _problem(said, request.form.get("again", "")):
        return _index({"passphrase": problem}), 400
    user, config, clock = desk.user().name, desk.config(), desk.clock()
    box = database.box_name(desk.config())

    def work(job: Job) -> Made:
        file = backup.folder(config.state_dir) / f"made-{token_hex(8)}{backup.SUFFIX}"

        def step(done: int, total: int) -> None:
            mb = gettext("%(done)s of about %(total)s MB", done=done >> 20, total=(total >> 20) + 1)
            job.step(done, total, mb)

        with restoring.in_words():
            content = backup.make(config.state_dir, box, clock, said, file, step)
        size, now = file.stat().st_size, clock.stamp()
        desk.write(lambda db: backup.note(db, now, user, content, size))
        return Made(file, backup.file_name(box, now), size, content)

    old = jobs.last("backup")
    try:
        jobs.start("backup", work)
    except MienError as error:
        abort(409, str(error))
    if old and isinstance(old.result, Made):
        old.result.file.unlink(missing_ok=True)
    return redirect(url_for("backups.index"), 303)


@page.post("/box/backup/<job>/file")
def download(job: str) -> Response:
    """The file, which is gone from the box once all of it was sent."""
    made = jobs.find(job).result
    if not isinstance(made, Made) or not made.there:
        abort(404, gettext("The backup is not on the box any more. Make another one."))
    note = downloads.audited("backup.downloaded", bytes=made.size)
    try:
        body = made.file.open("rb")
    except FileNotFoundError:
        abort(404, gettext("The backup is not on the box any more. Make another one."))

    def left() -> None:
        note()
        made.file.unlink(missing_ok=True)

    return downloads.send(body, "application/octet-stream", made.name, left, made.size)


@page.post("/box/restore")
def restore() -> Any:
    """Begin to restore; the pages from here on are those of `restoring`."""
    return restoring.begin(desk.user().id)


def _problem(said: str, again: str) -> str | None:
    """What is wrong with the passphrase of a backup, as a sentence."""
    faults = {
        "short": gettext(
            "The passphrase is too short: it needs at least %(count)s characters, more than a "
            "log-in, for whoever has the file may try as often as they like. Take five or six "
            "unrelated words.",
            count=backup.SHORTEST,
        ),
        "long": gettext(
            "The passphrase is too long or has signs that cannot be seen: %(count)s characters "
            "are the most.",
            count=backup.LONGEST,
        ),
        "repeated": gettext("The passphrase repeats the same few characters. Take other words."),
    }
    if fault := backup.fault(said):
        return str(faults[fault])
    differ = gettext("The two passphrases differ. Enter the same one twice.")
    return None if said == again else str(differ)
