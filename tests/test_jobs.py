"""Long work of the page: how far it is, what comes of it, and how it is stopped."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

import pages
from mien_web import door, jobs
from mien_web.jobs import Job

PATIENCE = 30


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pages.Box]:
    yield from pages.box(tmp_path, monkeypatch)


@pytest.fixture
def browser(box: pages.Box) -> pages.Browser:
    return box.browser()


@pytest.fixture
def start(box: pages.Box, browser: pages.Browser) -> Iterator[Any]:
    """Begins a job as somebody who is signed in would."""
    cookie = browser.client.get_cookie(door.COOKIE)
    login = cookie.value if cookie else ""

    def start(work: jobs.Work, kind: str = "test") -> Job:
        with box.app.test_request_context("/", headers=[("Cookie", f"{door.COOKIE}={login}")]):
            box.app.preprocess_request()
            return jobs.start(kind, work)

    yield start
    if running := box.app.extensions.get("mien.jobs"):
        running.close()


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes a program that a child process can run."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def module(code: str) -> str:
        (tmp_path / "the_child.py").write_text(code)
        return "the_child"

    return module


def test_a_job_tells_how_far_it_is_and_keeps_its_result(start: Any, browser: pages.Browser) -> None:
    def work(job: Job) -> int:
        job.step(3, 4, "3 of 4")
        return 42

    job = start(work)
    assert job.wait(PATIENCE)
    assert job.result == 42
    answer = browser.get(f"/jobs/{job.id}").json
    assert answer == {
        "id": job.id, "kind": "test", "state": "done", "done": 3, "total": 4, "text": "3 of 4",
    }  # fmt: skip


def test_a_child_gets_its_task_and_gives_line_by_line(start: Any, module: Any) -> None:
    name = module("import sys; print(sys.stdin.read().upper()); print(sys.argv[1])")
    job = start(lambda job: list(job.child(name, "more", task=b"x" * 1_000_000)))
    assert job.wait(PATIENCE)
    assert job.result == [b"X" * 1_000_000 + b"\n", b"more\n"]


def test_a_child_that_fails_says_why(start: Any, module: Any, browser: pages.Browser) -> None:
    name = module("raise SystemExit('there is no bundle')")
    job = start(lambda job: list(job.child(name)))
    assert job.wait(PATIENCE)
    answer = browser.get(f"/jobs/{job.id}").json
    assert (answer["state"], answer["text"]) == ("failed", "There is no bundle.")


def test_a_child_that_crashes_is_told_by_its_signal(start: Any, module: Any) -> None:
    name = module("import os; print('one', flush=True); os.kill(os.getpid(), 11)")
    seen: list[object] = []

    def work(job: Job) -> None:
        try:
            seen.extend(job.child(name))
        except jobs.ChildError as error:
            seen.append(error.code)

    assert start(work).wait(PATIENCE)
    assert seen == [b"one\n", -signal.SIGSEGV]


def test_stopping_a_job_kills_its_child(start: Any, module: Any, browser: pages.Browser) -> None:
    name = module("import os, time; print(os.getpid(), flush=True); time.sleep(600)")
    children: SimpleQueue[int] = SimpleQueue()

    def work(job: Job) -> None:
        for line in job.child(name):
            children.put(int(line))

    job = start(work)
    child = children.get(timeout=PATIENCE)
    answer = browser.post(f"/jobs/{job.id}/cancel", {"back": "/about"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/about")
    answer = browser.get(f"/jobs/{job.id}").json
    assert (answer["state"], answer["text"]) == ("cancelled", "Stopped before it was done.")
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def test_closing_the_page_ends_every_child(start: Any, module: Any, box: pages.Box) -> None:
    name = module("import time; print('here', flush=True); time.sleep(600)")

    def work(job: Job) -> None:
        for _ in job.child(name):
            closer = threading.Thread(target=box.app.extensions["mien.jobs"].close)
            closer.start()

    job = start(work)
    assert job.wait(PATIENCE)
    assert job.state == "cancelled"


def test_only_one_of_a_kind_runs(start: Any, module: Any) -> None:
    name = module("import time; time.sleep(600)")
    first = start(lambda job: list(job.child(name)))
    with pytest.raises(jobs.Busy):
        start(lambda job: None)
    assert start(lambda job: None, kind="another").wait(PATIENCE)
    first.cancel()
    assert first.wait(PATIENCE)
    assert start(lambda job: None).wait(PATIENCE)


def test_another_user_learns_nothing_of_a_job(start: Any, box: pages.Box) -> None:
    job = start(lambda job: None)
    other = box.browser("berta")
    assert other.get(f"/jobs/{job.id}").status_code == 404
    assert other.post(f"/jobs/{job.id}/cancel").status_code == 404
    assert box.app.test_client().get(f"/jobs/{job.id}", headers=pages.SAME).status_code in (
        303,
        403,
    )


@pytest.mark.parametrize("back", ["//evil.example/", "https://evil.example/", "/\\evil.example"])
def test_after_stopping_a_browser_stays_on_this_site(
    start: Any, browser: pages.Browser, back: str
) -> None:
    job = start(lambda job: None)
    answer = browser.post(f"/jobs/{job.id}/cancel", {"back": back})
    assert answer.headers["Location"] == "/"


def test_an_error_nobody_thought_of_is_a_failed_job(
    start: Any, browser: pages.Browser, caplog: pytest.LogCaptureFixture
) -> None:
    job = start(lambda job: 1 / 0)
    assert job.wait(PATIENCE)
    assert browser.get(f"/jobs/{job.id}").json["state"] == "failed"
    assert "division by zero" in caplog.text


def test_old_jobs_are_forgotten(start: Any, browser: pages.Browser) -> None:
    first = start(lambda job: None)
    assert first.wait(PATIENCE)
    for _ in range(jobs.KEPT):
        assert start(lambda job: None).wait(PATIENCE)
    assert browser.get(f"/jobs/{first.id}").status_code == 404
