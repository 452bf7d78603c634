"""Work that takes longer than a page may: a thread that minds a child process, how far it is, and
how to stop it. What a job is doing lives in the memory of the page and ends with it.
"""

import atexit
import logging
import re
import secrets
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Literal

import msgspec
from flask import Blueprint, Flask, Response, abort, current_app, redirect, request, url_for
from flask_babel import force_locale, gettext
from msgspec import Struct
from werkzeug.wrappers import Response as Answer

from mien.events import MienError
from mien_web import desk, door
from mien_web.languages import language
from mien_web.words import sentence

log = logging.getLogger(__name__)
page = Blueprint("jobs", __name__)
door.needs(page)

KEPT = 20
"""Jobs that are remembered with their results."""

State = Literal["running", "done", "failed", "cancelled"]


class Busy(MienError, RuntimeError):
    """A job of this kind is running already."""


class Cancelled(MienError):
    """Somebody stopped the job."""


class ChildError(MienError, RuntimeError):
    """A child process ended badly. `code` is its exit status, negative for a signal; `lines` the
    end of what it wrote to stderr."""

    def __init__(self, code: int, lines: list[str]) -> None:
        super().__init__(lines[-1] if lines else f"the program ended with status {code}")
        self.code = code
        self.lines = lines


class Told(Struct, frozen=True):
    """The answer of `/jobs/<id>`. `total` is 0 while nobody knows how much there is to do."""

    id: str
    kind: str
    state: State
    done: int
    total: int
    text: str


class Job:
    """One piece of work. `result` is what it returned, once `state` is `done`, or what it put there
    before it was stopped; `text` a sentence: how far it is or, at the end, why it failed."""

    def __init__(self, kind: str, subject: str, user: int) -> None:
        self.id = secrets.token_urlsafe(12)
        self.kind = kind
        self.subject = subject
        self.user = user
        self.state: State = "running"
        self.done = self.total = 0
        self.text = ""
        self.result: Any = None
        self._child: subprocess.Popen[bytes] | None = None
        self._stop = threading.Event()
        self._ended = threading.Event()
        self._lock = threading.Lock()

    def step(self, done: int, total: int, text: str = "") -> None:
        """Say how far the work is.

        Raises:
            Cancelled: it shall go no further.
        """
        self.done, self.total, self.text = done, total, text or self.text
        if self._stop.is_set():
            raise Cancelled("stopped")

    def child(
        self, module: str, *arguments: str, task: bytes = b"", files: Sequence[int] = ()
    ) -> Iterator[bytes]:
        """Run `python -m module`, with `task` on its standard input and these open files under the
        same numbers; the lines that it prints.

        Raises:
            Cancelled: somebody stopped the job; the child is gone.
            ChildError: it ended with anything but 0.
        """
        command = [sys.executable, "-m", module, *arguments]
        with tempfile.TemporaryFile() as said:
            with self._lock:
                self.step(self.done, self.total)
                self._child = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=said,
                    pass_fds=files,
                )
            child = self._child
            assert child.stdin
            assert child.stdout
            try:
                with suppress(BrokenPipeError), child.stdin:
                    child.stdin.write(task)
                with child.stdout:
                    yield from child.stdout
                code = child.wait()
            finally:
                child.kill()
                child.wait()
                with self._lock:
                    self._child = None
            self.step(self.done, self.total)
            if code:
                said.seek(max(0, said.tell() - 4096))
                lines = said.read().decode(errors="replace").strip().splitlines()
                raise ChildError(code, lines)

    def cancel(self) -> None:
        """Stop it; returns at once."""
        with self._lock:
            self._stop.set()
            if self._child:
                self._child.kill()

    def wait(self, timeout: float | None = None) -> bool:
        """Whether it has ended, within this many seconds."""
        return self._ended.wait(timeout)

    def told(self) -> Told:
        return Told(self.id, self.kind, self.state, self.done, self.total, self.text)

    def run(self, app: Flask, work: "Work", locale: str) -> None:
        """Do the work, as it is called in a thread of its own, in the words of this locale."""
        with app.app_context(), force_locale(locale):
            try:
                self.result = work(self)
                state: State = "done"
            except Cancelled:
                state = "cancelled"
                self.text = gettext("Stopped before it was done.")
            except MienError as error:
                state, self.text = "failed", sentence(str(error))
            except Exception as error:
                log.exception("The job %s failed", self.kind)
                state, self.text = "failed", sentence(f"{type(error).__name__}: {error}")
            self.state = state
            self._ended.set()


Work = Callable[[Job], Any]


class Jobs:
    """Those of this page: one at a time of each kind."""

    def __init__(self) -> None:
        self._jobs: list[Job] = []
        self._lock = threading.Lock()

    def add(self, job: Job) -> None:
        """Raises Busy."""
        with self._lock:
            if any(other.kind == job.kind and other.state == "running" for other in self._jobs):
                raise Busy(
                    gettext("The same is being done already. Wait until that is done, or stop it.")
                )
            ended = [other for other in self._jobs if other.state != "running"]
            for old in ended[: max(0, len(self._jobs) - KEPT + 1)]:
                self._jobs.remove(old)
            self._jobs.append(job)

    def of(self, user: int) -> list[Job]:
        """The newest first."""
        with self._lock:
            return [job for job in reversed(self._jobs) if job.user == user]

    def clear(self, but: Job) -> None:
        with self._lock:
            gone, self._jobs = [job for job in self._jobs if job is not but], [but]
        for job in gone:
            job.cancel()

    def close(self) -> None:
        """Stop all, and wait until they are gone."""
        for job in list(self._jobs):
            job.cancel()
        for job in list(self._jobs):
            job.wait(5)


def _jobs() -> Jobs:
    found = current_app.extensions.get("mien.jobs")
    if found is None:
        found = current_app.extensions.setdefault("mien.jobs", Jobs())  # two may ask at once
        atexit.register(found.close)  # no child outlives the page
    jobs: Jobs = found
    return jobs


def start(kind: str, work: Work, subject: str = "", user: int | None = None) -> Job:
    """Begin `work` in a thread of its own, for the user who asks; what it returns becomes the
    job's `result`. Within it `desk`, `gettext` and the application work, a request does not.

    Args:
        kind: what is done; only one of a kind runs at a time.
        subject: whom or what it is about, for `last`.
        user: for this one, where nobody is signed in.

    Raises:
        Busy: one of the kind is running.
    """
    job = Job(kind, subject, desk.user().id if user is None else user)
    _jobs().add(job)
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    threading.Thread(
        target=job.run, args=(app, work, language()), name=f"job {kind}", daemon=True
    ).start()
    return job


def forget(but: Job) -> None:
    """Stop all others and forget what came of them: their users are not who they were."""
    _jobs().clear(but)


def last(kind: str, subject: str = "") -> Job | None:
    """This user's newest job of a kind and subject."""
    mine = _jobs().of(desk.user().id)
    return next((job for job in mine if (job.kind, job.subject) == (kind, subject)), None)


def find(id: str) -> Job:
    """One of this user's jobs; 404 for any other."""
    job = next((job for job in _jobs().of(desk.user().id) if job.id == id), None)
    return job or abort(
        404,
        gettext("This job is not known any more: the page was started anew since. Begin it again."),
    )


@page.get("/jobs/<id>")
def show(id: str) -> Response:
    return Response(msgspec.json.encode(find(id).told()), mimetype="application/json")


@page.post("/jobs/<id>/cancel")
def cancel(id: str) -> Answer:
    """Stop it, and go back to the page that shows it, a path of this site."""
    job = find(id)
    job.cancel()
    job.wait(5)
    back = request.form.get("back", "")
    ours = re.fullmatch(r"/[\w/.-]*", back, re.ASCII) and not back.startswith("//")
    return redirect(back if ours else url_for("live.show"), 303)
