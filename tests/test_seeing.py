"""`mien.seeing`: frames flow until somebody pauses, and then none does."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from mien.camera import Reopening
from mien.clock import SystemClock
from mien.control import Picture
from mien.events import Episode, Live
from mien.pipeline import Seen
from mien.preview import Preview
from mien.replay import ReplaySource
from mien.seeing import Seeing
from test_pipeline import SHARP, ScriptedFinder, face, pipeline


class Room:
    """A running `Seeing` before a camera that can misbehave."""

    def __init__(self, *, paused: bool = False) -> None:
        clock = SystemClock()
        self.camera = ReplaySource([SHARP], clock, fps=100)
        self.preview = Preview(2, clock)
        self.frames = 0
        self.lost: list[list[Episode]] = []
        self.failures: list[Any] = []
        self.changed = threading.Condition()
        self.finder: ScriptedFinder
        pipe, self.finder = pipeline([face()])
        self.seeing = Seeing(
            lambda: Reopening(self.camera.open, clock, name="camera", stall_s=0.5),
            pipe,
            self.preview,
            seen=self._seen,
            lost=self._lost,
            failed=lambda *failure: self.failures.append(failure),
            clock=clock,
            fps=60,
            paused=paused,
        )

    def _seen(self, seen: Seen, live: Live) -> None:
        with self.changed:
            self.frames += 1
            self.changed.notify_all()

    def _lost(self, ended: list[Episode]) -> None:
        with self.changed:
            self.lost.append(ended)
            self.changed.notify_all()

    def wait(self, condition: Any, seconds: float = 10) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, seconds)

    def look(self) -> Picture | None:
        return self.preview.wait(-1, 5.0)


@contextmanager
def running(room: Room) -> Iterator[Room]:
    room.seeing.start()
    try:
        yield room
    finally:
        room.seeing.stop()
        assert room.failures == []
        assert not any(stage.is_alive() for stage in room.seeing.stages)


@pytest.fixture
def room() -> Iterator[Room]:
    with running(Room()) as made:
        yield made


def test_frames_are_read_and_shown(room: Room) -> None:
    room.wait(lambda: room.frames >= 3)
    picture = room.look()
    assert picture is not None
    assert picture.jpeg.startswith(b"\xff\xd8")
    assert room.seeing.part.status == "ok"
    assert room.seeing.frames >= 3
    assert room.seeing.seconds["total"] > 0


def test_pause_closes_the_camera_and_resume_opens_it(room: Room) -> None:
    room.wait(lambda: room.frames >= 3)
    room.seeing.pause()
    assert room.seeing.paused
    assert room.seeing.camera is None
    assert room.seeing.part.text == "paused, the camera is off"
    room.wait(lambda: len(room.lost) == 1)
    at_rest = room.frames
    assert room.preview.wait(-1, 0.05) is None
    assert room.frames == at_rest
    room.seeing.resume()
    room.wait(lambda: room.frames > at_rest)


def test_a_frame_that_was_in_work_at_the_pause_is_neither_shown_nor_kept() -> None:
    room = Room()
    find, looking, go_on = room.finder.find, threading.Event(), threading.Event()

    def slow(image: Any, thorough: bool = False) -> list[Any]:
        looking.set()
        go_on.wait(10)
        return find(image, thorough)

    room.finder.find = slow  # type: ignore[method-assign]
    with running(room):
        assert looking.wait(10)
        room.seeing.pause()
        go_on.set()
        room.wait(lambda: len(room.lost) == 1)
        assert room.frames == 0
        assert room.preview.wait(-1, 0.05) is None


def test_a_camera_that_vanishes_is_told_and_comes_back(room: Room) -> None:
    room.wait(lambda: room.frames >= 3)
    room.camera.vanish()
    room.wait(lambda: len(room.lost) == 1)
    assert room.seeing.part.status == "degraded"
    assert room.seeing.part.cure
    before = room.frames
    room.camera.come_back()
    room.wait(lambda: room.frames > before)


def test_a_start_while_paused_opens_nothing() -> None:
    with running(Room(paused=True)) as room:
        assert room.seeing.camera is None
        assert room.preview.wait(-1, 0.05) is None
        assert room.frames == 0


def test_a_finder_that_breaks_ends_the_service_with_its_reason() -> None:
    room = Room()

    def broken(image: Any, thorough: bool = False) -> list[Any]:
        raise RuntimeError("the network broke")

    room.finder.find = broken  # type: ignore[method-assign]
    room.seeing.start()
    room.seeing.stages[1].join(10)
    room.seeing.stop()
    ((stage, error),) = room.failures
    assert (stage, str(error)) == ("inference", "the network broke")
