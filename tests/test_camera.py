"""Which source a name opens, and how a live one is opened again."""

import logging
import os
import threading

import cv2
import numpy as np
import pytest

from mien.address import shown
from mien.camera import (
    SETTLED_S,
    CameraError,
    CameraStalled,
    Frame,
    Reopening,
    find_camera,
    open_source,
)
from mien.clock import ManualClock, SystemClock
from mien.config import Camera
from mien.events import MienError

WAIT_S = 5.0
IMAGE = np.zeros((4, 6, 3), np.uint8)


def opened(spec):
    return open_source(str(spec), Camera(), SystemClock())


def test_errors_are_builtin_errors_too():
    assert issubclass(CameraError, (MienError, OSError))
    assert issubclass(CameraStalled, (CameraError, TimeoutError))


@pytest.mark.parametrize("spec", ["/dev/video99", "no such camera", "missing.mp4", "/no/folder/"])
def test_an_unknown_camera_is_a_sentence_that_names_what_there_is(spec):
    with pytest.raises(CameraError, match=r"there is no camera, file or folder.*plugged in now"):
        opened(spec)


def test_what_is_neither_file_nor_device_is_no_camera(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CameraError, match="neither a camera, a file nor a folder"):
        opened(tmp_path / "pipe")


@pytest.mark.parametrize("url", ["ftp://host/x", "rtsp://host:99999/x", "http:///x", "://"])
def test_a_url_that_is_none_is_a_sentence(url):
    with pytest.raises(CameraError, match="is no URL such as rtsp://"):
        opened(url)


def test_auto_without_a_camera_says_what_to_do():
    if find_camera() is not None:
        pytest.skip("this machine has a camera")
    with pytest.raises(CameraError, match="no camera was found: plug one in, or name a source"):
        opened("auto")


@pytest.mark.parametrize(
    ("spec", "public"),
    [
        ("rtsp://bob:s3cret@cam.local:8554/live?pwd=s3cret", "rtsp://cam.local:8554"),
        ("http://s3cret@[fe80::1]/v", "http://[fe80::1]"),
        ("rtsp://cam/user=admin&password=s3cret&stream=0.sdp?real_stream", "rtsp://cam"),
        ("bob:s3cret@cam.local/live", "…@cam.local"),
        ("rtsp:/bob:s3@cret@cam.local/live", "…@cam.local"),
        ("http://bob:s3cret@host:99999999/v", "http://…"),
        ("/dev/video0", "/dev/video0"),
    ],
)
def test_passwords_are_never_shown(spec, public):
    assert shown(spec) == public


class Scripted:
    """A live source that answers as it is told: a frame, or an error to raise."""

    name, live, still = "camera scripted", True, False

    def __init__(self, *answers):
        self.answers = list(answers)
        self.closed = threading.Event()

    def read(self, timeout):
        answer = self.answers.pop(0) if self.answers else CameraStalled("nothing")
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self):
        self.closed.set()


class Shelf:
    """Hands out sources, one at each opening; raises those that are errors."""

    def __init__(self, *sources):
        self.sources = list(sources)
        self.openings = 0

    def __call__(self):
        self.openings += 1
        source = self.sources.pop(0)
        if isinstance(source, Exception):
            raise source
        return source


def frame(index=0):
    return Frame(IMAGE, t=0.0, index=index)


GONE = CameraError("it was unplugged")


def reopening(shelf, clock=None):
    return Reopening(shelf, clock or ManualClock(), name="camera x", stall_s=5)


def test_frames_are_counted_on_over_a_reconnection():
    clock = ManualClock()
    source = reopening(
        Shelf(Scripted(frame(), frame(1), GONE), Scripted(*map(frame, range(3)))), clock
    )
    assert source.status == ("degraded", "camera x is being opened")
    assert [source.read(0).index, source.read(0).index] == [0, 1]
    assert source.status == ("ok", "camera scripted gives frames")
    with pytest.raises(CameraError, match="unplugged"):
        source.read(0)
    assert source.status == ("degraded", "it was unplugged; next try in 1 s")
    clock.advance(1)
    assert [source.read(WAIT_S).index, source.read(0).index] == [2, 3]
    assert (source.frames, source.reconnects, source.status[0]) == (4, 1, "degraded")
    clock.advance(SETTLED_S)
    assert source.read(0).index == 4
    assert (source.frames, source.reconnects, source.stalls) == (5, 1, 0)
    assert source.status[0] == "ok"


def test_the_wait_doubles_to_30_s_and_begins_anew_once_it_has_settled():
    clock = ManualClock()
    shelf = Shelf(*[GONE] * 7, Scripted(frame(), frame(), GONE), Scripted(frame()))
    source = reopening(shelf, clock)
    waits = []
    for _ in range(7):
        with pytest.raises(CameraError, match="unplugged"):
            source.read(0)
        openings, began = shelf.openings, clock.now
        with pytest.raises(CameraError, match=r"unplugged; next try in \d+ s"):
            source.read(0)  # too early: nothing is tried
        assert shelf.openings == openings
        waits.append(float(source.status[1].split()[-2]))
        clock.now = began + waits[-1]
    assert waits == [1, 2, 4, 8, 16, 30, 30]
    assert source.read(0) is not None
    assert source.reconnects == 0, "it had never been there"
    clock.advance(SETTLED_S)
    assert source.read(0) is not None
    with pytest.raises(CameraError):
        source.read(0)
    assert source.status[1].endswith("next try in 1 s")


def test_a_stall_is_told_by_the_monotonic_clock():
    clock = ManualClock()
    stalled = Scripted(frame())
    source = reopening(Shelf(stalled, Scripted(frame())), clock)
    source.read(0)
    clock.advance(4.9)
    with pytest.raises(CameraStalled, match="nothing"):
        source.read(0)
    assert (source.stalls, stalled.closed.is_set(), source.status[0]) == (0, False, "ok")
    clock.advance(0.2)
    with pytest.raises(CameraStalled, match="no frame for 5 s"):
        source.read(0)
    assert stalled.closed.wait(WAIT_S)
    assert (source.stalls, source.status[0]) == (1, "degraded")
    clock.advance(1)
    assert source.read(WAIT_S).index == 1


def test_opening_may_take_longer_than_a_stall():
    clock = ManualClock()
    source = reopening(Shelf(Scripted()), clock)
    for _ in range(2):
        with pytest.raises(CameraStalled, match="nothing"):
            source.read(0)
        clock.advance(6)
    with pytest.raises(CameraStalled, match="no frame for 10 s"):
        source.read(0)


def test_the_loss_is_logged_once_and_so_is_the_return(caplog):
    clock = ManualClock()
    caplog.set_level(logging.INFO)
    source = reopening(Shelf(GONE, GONE, GONE, Scripted(frame(), frame())), clock)
    for wait in (1, 2, 4):
        with pytest.raises(CameraError):
            source.read(0)
        clock.advance(wait)
    source.read(0)
    clock.advance(SETTLED_S)
    source.read(0)
    assert [record.getMessage() for record in caplog.records] == [
        "it was unplugged; next try in 1 s",
        "camera scripted gives frames again",
    ]


def test_a_source_that_gives_one_picture_and_ends_does_not_flap(caplog):
    clock = ManualClock()
    caplog.set_level(logging.INFO)
    source = reopening(Shelf(*[Scripted(frame(), GONE) for _ in range(9)]), clock)
    waits = []
    for _ in range(6):
        source.read(WAIT_S)
        with pytest.raises(CameraError):
            source.read(0)
        assert source.status[0] == "degraded"
        waits.append(float(source.status[1].split()[-2]))
        clock.advance(waits[-1])
    assert waits == [1, 2, 4, 8, 16, 30]
    assert len(caplog.records) == 2, "that it came, and that it went"


@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
@pytest.mark.parametrize("mirror", [False, True])
def test_a_picture_is_turned_clockwise_and_then_mirrored(rotate, mirror, tmp_path):
    image = np.zeros((40, 60, 3), np.uint8)
    image[:10, :10] = 255  # white in the upper left
    cv2.imwrite(str(tmp_path / "a.png"), image)
    config = Camera(rotate=rotate, mirror=mirror)
    seen = open_source(str(tmp_path / "a.png"), config, ManualClock()).read(0).image
    assert seen.shape[:2] == ((40, 60) if rotate in (0, 180) else (60, 40))
    corners = [seen[2, 2], seen[2, -3], seen[-3, -3], seen[-3, 2]]  # clockwise
    white = [int(corner.min()) == 255 for corner in corners].index(True)
    assert white == ([1, 0, 3, 2][rotate // 90] if mirror else rotate // 90)


def test_a_device_that_is_slow_to_release_does_not_hold_up_the_reader():
    clock = ManualClock()
    stuck = Scripted(frame(), GONE)
    released = threading.Event()
    stuck.close = lambda: released.wait(WAIT_S)
    shelf = Shelf(stuck, Scripted(frame()))
    source = reopening(shelf, clock)
    source.read(0)
    with pytest.raises(CameraError, match="unplugged"):
        source.read(0)
    clock.advance(1)
    with pytest.raises(CameraError, match="unplugged; it is still being released"):
        source.read(0)
    assert shelf.openings == 1
    released.set()
    assert source.read(WAIT_S).index == 1


def test_a_file_that_ends_ends():
    assert reopening(Shelf(Scripted(None))).read(0) is None


def test_close_releases_and_wakes_a_waiting_read():
    source = reopening(Shelf(GONE), SystemClock())
    with pytest.raises(CameraError):
        source.read(0)
    errors = []

    def wait():
        try:
            source.read(WAIT_S)  # for the next try, in 1 s
        except CameraError as error:
            errors.append(str(error))

    reader = threading.Thread(target=wait)
    reader.start()
    source.close()
    source.close()
    reader.join(WAIT_S)
    assert errors == ["camera x was closed"]
    with pytest.raises(CameraError, match="was closed"):
        source.read(0)


def test_a_source_that_opens_while_it_is_closed_is_closed_too():
    late = Scripted(frame())

    def slow():
        source.close()
        return late

    source = reopening(slow)
    with pytest.raises(CameraError, match="was closed"):
        source.read(0)
    assert late.closed.is_set()
