"""Restoring a backup: the file comes in pieces, is looked through, shown, and takes the place of
all that the box holds. In the end every log-in is gone, and before the first run there is none: so
these pages go by a secret in their address instead.
"""

import hmac
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import msgspec
from flask import (
    Blueprint,
    abort,
    current_app,
    flash,
    g,
    jsonify,
    redirect,
    render_template,
    request,
    url_for,
)
from flask_babel import gettext
from werkzeug.wrappers import Response as Answer

from mien import audit, backup, database, firstrun, restore, users
from mien.backup import BackupError, Content
from mien.events import MienError
from mien_web import desk, jobs, parts
from mien_web.jobs import Job

page = Blueprint("restoring", __name__)

LARGEST = 4 * 10**9
"""Bytes of a backup; three years of a home log have some 130 MB."""
PIECE = 480 << 10
"""Bytes sent at once. The server keeps requests up to 512 KiB in memory and puts longer ones into
a temporary file, which may be memory too."""

State = Literal["upload", "checking", "ready", "going", "done"]


class Restoring:
    """The one that is under way. `user`: who began it; None before the first run."""

    def __init__(self, user: int | None, folder: Path) -> None:
        self.id = secrets.token_urlsafe(24)
        self.user = user
        self.file = folder / f"upload-{secrets.token_hex(8)}"
        self.state: State = "upload"
        self.job: Job | None = None
        self.problem = ""
        self.prepared: Path | None = None
        self.content: Content | None = None

    @property
    def size(self) -> int:
        try:
            return self.file.stat().st_size
        except OSError:
            return 0

    def discard(self) -> None:
        """Remove its files."""
        if self.job and self.job.state == "running":
            self.job.cancel()
            self.job.wait(10)
        for path in (self.file, self.prepared):
            if path:
                with suppress(OSError):
                    path.unlink()


@contextmanager
def in_words() -> Iterator[None]:
    """What the service says of a backup, in the visitor's language."""
    try:
        yield
    except jobs.Cancelled:
        raise
    except MienError as error:
        raise MienError(parts.say(str(error))) from error


def named(content: Content) -> list[tuple[str, int]]:
    """What is in a backup: name and count."""
    names = {
        "users": gettext("Users"),
        "clients": gettext("Clients and people"),
        "sessions": gettext("Sessions"),
        "captures": gettext("Captured faces"),
        "checkins": gettext("Check-ins"),
        "minutes": gettext("Minutes watched"),
        "readings": gettext("Seconds read"),
        "pictures": gettext("Pictures of the library"),
    }
    return [(names[table], count) for table, count in content.said().items()]


# ── which one, and who may ────────────────────────────────────────────────────────────────────────


def _now() -> Restoring | None:
    found: Restoring | None = current_app.extensions.get("mien.restoring")
    return found


def begin(user: int | None) -> Answer:
    """A new one, in place of one that got stuck; leads to its page."""
    old = _now()
    if old and old.state == "going":
        abort(409, gettext("A backup is being restored already. Wait until that is done."))
    if old:
        old.discard()
    try:
        new = Restoring(user, backup.folder(desk.config().state_dir))
    except BackupError as error:
        abort(507, parts.say(str(error)))
    current_app.extensions["mien.restoring"] = new
    return redirect(url_for("restoring.show", id=new.id), 303)


def _mine(id: str) -> Restoring:
    """The one with this id. Until it has begun, its user must be signed in, or nobody able to."""
    found = _now()
    if found is None or not hmac.compare_digest(found.id.encode(), id.encode()):
        abort(404, gettext("This restore is not known any more. Begin it again."))
    if found.state in ("going", "done"):
        return found
    if found.user is None:
        allowed = not desk.read(users.set_up)
    else:
        allowed = g.user is not None and g.user.id == found.user and "administrator" in g.user.roles
    if not allowed:
        abort(403, gettext("Only who began this restore may go on with it. Sign in again."))
    return found


def _settle(found: Restoring) -> None:
    """Take in what its job did meanwhile."""
    job = found.job
    if job is None or job.state == "running":
        return
    found.job = None
    if found.state == "checking":
        if job.state == "done":
            found.prepared, found.content = job.result
            found.state = "ready"
            with suppress(OSError):
                found.file.unlink()
        else:
            found.state, found.problem = "upload", job.text
    elif found.state == "going":
        done = job.state == "done"
        found.state, found.problem = "done" if done else "ready", "" if done else job.text


# ── the pages ────────────────────────────────────────────────────────────────────────────────────


@page.url_value_preprocessor
def _room(endpoint: str | None, values: dict[str, Any] | None) -> None:
    if endpoint == "restoring.piece":
        request.max_content_length = PIECE


@page.get("/restore/<id>")
def show(id: str) -> Any:
    found = _mine(id)
    _settle(found)
    problem, found.problem = found.problem, ""
    return _shown(found, problem)


def _shown(found: Restoring, problem: str) -> str:
    if found.job is not None:
        return render_template("backups/progress.html", found=found, job=found.job)
    if found.state == "upload":
        return render_template(
            "backups/upload.html", found=found, problem=problem, piece=PIECE,
            limit_gb=LARGEST // 10**9, first_run=found.user is None,
        )  # fmt: skip
    assert found.content
    told = {"content": found.content, "named": named(found.content), "problem": problem}
    if found.state == "ready":
        box = database.box_name(desk.config())
        content = found.content
        known = desk.read(lambda db: backup.known(db, content))
        there = desk.read(lambda db: {t: _count(db, t) for t in ("users", "clients", "sessions")})
        return render_template(
            "backups/ready.html", found=found, box=box, there=there,
            first_run=found.user is None, known=known, **told,
        )  # fmt: skip
    entries = desk.read(lambda db: audit.entries(db, limit=1, action="box.restored"))
    noted = msgspec.json.decode(entries[0].detail) if entries else {}
    return render_template("backups/done.html", told=noted, **told)


def _count(db: Any, table: str) -> int:
    return int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


@page.get("/restore/<id>/state")
def state(id: str) -> Any:
    """How far it is, for the script."""
    job = _mine(id).job
    if job is None:
        return jsonify(state="done", done=0, total=0, text="")
    told = job.told()
    return jsonify(state=told.state, done=told.done, total=told.total, text=told.text)


@page.post("/restore/<id>/piece")
def piece(id: str) -> Any:
    """A piece of the file, the body of the request, at a place of it; answers how much is there.
    One that was sent twice, or comes out of turn, is answered by where to go on (409)."""
    found = _mine(id)
    at, whole = request.args.get("at", -1, type=int), request.args.get("of", -1, type=int)
    if found.state != "upload" or found.job is not None:
        return jsonify(error=gettext("The file is being looked through already.")), 409
    if not 0 <= at < whole:
        return jsonify(error=gettext("The file is empty.")), 400
    if whole > LARGEST:
        most = LARGEST // 10**9
        said = gettext("It has more than %(gb)s GB, the most a backup may have here.", gb=most)
        return jsonify(error=said), 413
    body = request.get_data()
    try:
        with in_words():
            # The file itself, its copy, and the journal of the transaction.
            backup.room(found.file.parent, 3 * whole - found.size + 64_000_000)
            there = _put(found.file, at, body)
    except MienError as error:
        return jsonify(error=str(error)), 507
    if there != at:
        return jsonify(at=there), 409
    return jsonify(at=at + len(body))


def _put(path: Path, at: int, body: bytes) -> int:
    """Write a piece where the file ends; where that is."""
    flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if at == 0 else 0)
    try:
        with open(os.open(path, flags, 0o600), "r+b" if at else "wb") as file:
            end = file.seek(0, 2)
            if end == at:
                file.write(body)
            return end
    except OSError as error:
        raise BackupError(f"{path} cannot be written: {error.strerror or error}") from None


@page.post("/restore/<id>/check")
def check(id: str) -> Any:
    """All of the file is there: open it with the passphrase and look it through."""
    found = _mine(id)
    said = request.form.get("passphrase", "")
    if found.state != "upload" or found.job is not None:
        return redirect(url_for("restoring.show", id=id), 303)
    if not found.size:
        problem = gettext("Choose the file of the backup first.")
        return _shown(found, problem), 400
    user = g.user.name if g.user else gettext("first run")
    config, clock, file = desk.config(), desk.clock(), found.file

    def work(job: Job) -> tuple[Path, Content]:
        def step(done: int, total: int) -> None:
            mb = gettext("%(done)s of %(total)s MB", done=done >> 20, total=(total >> 20) + 1)
            job.step(done, total, mb)

        job.step(0, 0, gettext("Every page of the file is being checked."))
        with in_words():
            return restore.prepare(config.state_dir, clock, file, said, user, step)

    found.state, found.job = "checking", _started(found, work)
    return redirect(url_for("restoring.show", id=id), 303)


@page.post("/restore/<id>/go")
def go(id: str) -> Any:
    """Replace all that the box holds."""
    found = _mine(id)
    _settle(found)
    if found.state != "ready" or found.job is not None or found.prepared is None:
        return redirect(url_for("restoring.show", id=id), 303)
    box = database.box_name(desk.config())
    if request.form.get("box", "").strip().casefold() != box.casefold():
        problem = gettext("This is not the name of this box. Type it as it stands there.")
        return _shown(found, problem), 400
    prepared, state_dir = found.prepared, desk.config().state_dir

    def work(job: Job) -> None:
        job.text = gettext("The box takes the backup over. The camera is off meanwhile.")
        with in_words():
            desk.control().restore(prepared)
        firstrun.used(state_dir)
        # Results of former users lie in memory, and their numbers are others' now.
        jobs.forget(job)
        current_app.extensions.pop("mien.former", None)

    found.state, found.job = "going", _started(found, work)
    return redirect(url_for("restoring.show", id=id), 303)


def _started(found: Restoring, work: jobs.Work) -> Job:
    try:
        return jobs.start("restore", work, user=found.user or 0)
    except jobs.Busy as error:
        abort(409, str(error))


@page.post("/restore/<id>/stop")
def stop(id: str) -> Answer:
    """Leave it; nothing was changed."""
    found = _mine(id)
    if found.state in ("going", "done"):
        return redirect(url_for("restoring.show", id=id), 303)
    found.discard()
    current_app.extensions.pop("mien.restoring", None)
    flash(gettext("Nothing was restored, and nothing changed."))
    return redirect(url_for("welcome.show" if found.user is None else "backups.index"), 303)
