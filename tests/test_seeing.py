"""`mien.seeing`: frames flow while there is something to watch for, and else none does."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from mien.camera import Frame, Reopening
from mien.clock import SystemClock
from mien.control import Picture
from mien.events import Episode, Live
from mien.pipeline import Seen
from mien.preview import Preview
from mien.replay import ReplaySource
from mien.seeing import Seeing, Watch
from test_pipeline import SHARP, ScriptedFinder, face, pipeline


class Room:
    """A running `Seeing` before a camera that can misbehave."""

    def __init__(self, *, closed: bool = False) -> None:
        clock = SystemClock()
        self.camera = ReplaySource([SHARP], clock, fps=100)
        self.preview = Preview(2, clock)
        self.frames = 0
        self.seen: list[tuple[Live, Watch]] = []
        self.lost: list[tuple[list[Episode], Watch]] = []
        self.failures: list[Any] = []
        self.changed = threading.Condition()
        self.finder: ScriptedFinder
        self.pipe, self.finder = pipeline([face()])
        self.seeing = Seeing(
            lambda: Reopening(self.camera.open, clock, name="camera", stall_s=0.5),
            self.pipe,
            self.preview,
            seen=self._seen,
            lost=self._lost,
            failed=lambda *failure: self.failures.append(failure),
            clock=clock,
            fps=60,
        )
        self.session = Watch(keep=True)
        if not closed:
            self.seeing.watch(self.session)

    def _seen(self, seen: Seen, live: Live, watch: Watch) -> None:
        with self.changed:
            self.frames += 1
            self.seen.append((live, watch))
            self.changed.notify_all()

    def _lost(self, ended: list[Episode], watch: Watch) -> None:
        with self.changed:
            self.lost.append((ended, watch))
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


def test_closing_closes_the_camera_and_watching_opens_it(room: Room) -> None:
    room.wait(lambda: room.frames >= 3)
    room.seeing.close("no session is running")
    assert room.seeing.camera is None
    assert room.seeing.part.text == "no session is running"
    room.wait(lambda: len(room.lost) == 1)
    at_rest = room.frames
    assert room.preview.wait(-1, 0.05) is None
    assert room.frames == at_rest
    room.seeing.watch(room.session)
    room.wait(lambda: room.frames > at_rest)


def test_nothing_crosses_from_one_watch_to_the_next(room: Room) -> None:
    room.wait(lambda: any(live.episode for live, _ in room.seen))
    other = Watch(keep=True)
    room.seeing.watch(other)
    at_rest = room.frames
    room.wait(lambda: room.frames > at_rest)
    ((ended, watch),) = room.lost
    assert [episode.expression for episode in ended] == ["neutral"]
    assert watch is room.session
    assert all(watch is other for _, watch in room.seen[at_rest:])
    assert room.seen[at_rest][0].episode is None
    assert room.seeing.camera is not None
    assert room.seeing.camera.frames > at_rest, "the camera stayed open meanwhile"


def test_while_the_camera_is_aimed_nothing_is_read(room: Room) -> None:
    room.wait(lambda: room.frames >= 3)
    room.seeing.watch(Watch(aim=True))
    at_rest = room.frames
    room.wait(lambda: room.frames > at_rest)
    live, watch = room.seen[at_rest]
    assert watch.aim
    assert live.expression is None
    (reading,) = live.readings
    assert (reading.label, reading.reason, reading.confidence) == (None, None, 0.0)
    assert reading.quality > 0.5
    assert room.seeing.face(0.2) is None


def test_a_face_is_handed_out_when_it_is_asked_for(room: Room) -> None:
    seen = room.seeing.face(10)
    assert seen is not None
    assert len(seen.crops) == len(seen.outputs) == 1
    room.seeing.close("closed")
    assert room.seeing.face(0.05) is None


def test_a_frame_that_was_in_work_when_it_closed_is_neither_shown_nor_kept() -> None:
    room = Room()
    find, looking, go_on = room.finder.find, threading.Event(), threading.Event()

    def slow(image: Any, thorough: bool = False) -> list[Any]:
        looking.set()
        go_on.wait(10)
        return find(image, thorough)

    room.finder.find = slow  # type: ignore[method-assign]
    with running(room):
        assert looking.wait(10)
        room.seeing.close("closed")
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


def test_a_start_without_a_watch_opens_nothing() -> None:
    with running(Room(closed=True)) as room:
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


def test_a_lens_cap_is_told_as_the_cameras_state() -> None:
    room = Room()
    assert room.seeing.camera
    room.seeing.camera.read(5.0)
    assert room.seeing.part.status == "ok"
    for index in range(5):
        room.pipe.see(Frame(np.zeros_like(SHARP), float(index), index))
    part = room.seeing.part
    assert part.status == "degraded"
    assert "black" in part.text
    assert part.cure
    room.seeing.close("the camera is off")
    assert room.seeing.part.status == "ok"
