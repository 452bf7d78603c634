"""Live sources: the thread that may hang alone, and streams from servers written here."""

import http.server
import logging
import socket
import threading

import cv2
import numpy as np
import pytest

from mien import capture
from mien.camera import CameraError, CameraStalled, Reopening, open_source
from mien.capture import Capture, LiveSource
from mien.clock import ManualClock, SystemClock
from mien.config import Camera

WAIT_S = 10.0
IMAGE = np.zeros((4, 6, 3), np.uint8)


class Puppet:
    """A device that gives a frame for each `step`, and can fail or hang."""

    def __init__(self):
        self.steps = threading.Semaphore(0)
        self.error = None
        self.released = threading.Event()

    def grab(self):
        if not self.steps.acquire(timeout=0.02):
            return None
        if self.error:
            raise self.error
        return IMAGE

    def release(self):
        self.released.set()


@pytest.fixture
def puppet():
    return Puppet()


@pytest.fixture
def live(puppet):
    source = LiveSource("camera puppet", lambda: puppet, SystemClock())
    yield source
    source.close()


def test_gives_each_frame_with_the_time_it_was_read(puppet, live):
    puppet.steps.release()
    first = live.read(WAIT_S)
    puppet.steps.release()
    second = live.read(WAIT_S)
    assert (first.index, second.index) == (0, 1)
    assert first.t < second.t < SystemClock().monotonic()
    assert first.image is IMAGE, "not copied"


def test_waits_no_longer_than_told(live):
    with pytest.raises(CameraStalled, match=r"camera puppet gave no frame within 0.01 s"):
        live.read(0.01)


def test_an_error_of_the_device_comes_out_of_read_after_the_last_frame(puppet, live):
    puppet.error = CameraError("it was unplugged")
    puppet.steps.release()
    for _ in range(2):
        with pytest.raises(CameraError, match="unplugged"):
            live.read(WAIT_S)
    assert puppet.released.wait(WAIT_S)


def test_a_bug_is_not_hidden_in_the_thread():
    def open_it():
        raise ZeroDivisionError("a bug")

    source = LiveSource("camera puppet", open_it, SystemClock())
    with pytest.raises(ZeroDivisionError, match="a bug"):
        source.read(WAIT_S)
    source.close()


def test_close_releases_the_device_and_wakes_the_reader(puppet, live):
    errors = []

    def wait():
        try:
            live.read(WAIT_S)
        except CameraError as error:
            errors.append(str(error))

    reader = threading.Thread(target=wait)
    reader.start()
    live.close()
    live.close()
    reader.join(WAIT_S)
    assert puppet.released.is_set()
    assert errors == ["camera puppet was closed"]


def test_a_device_that_hangs_is_left_behind_aloud(monkeypatch, caplog):
    monkeypatch.setattr(capture, "_CLOSE_S", 0.02)
    answers = threading.Event()

    def open_it():
        answers.wait(WAIT_S)
        raise CameraError("too late")

    source = LiveSource("camera dead", open_it, SystemClock())
    source.close()
    assert "camera dead does not answer and could not be released" in caplog.text
    answers.set()


class Film:
    """Stands for cv2.VideoCapture: each frame comes `gap` seconds after the one before."""

    def __init__(self, clock, gap):
        self.clock, self.gap = clock, gap
        self.decoded = 0

    def grab(self):
        self.clock.advance(self.gap)
        return True

    def retrieve(self):
        self.decoded += 1
        return True, IMAGE


@pytest.mark.parametrize(("given", "wanted", "got"), [(30, 15, 15), (30, 10, 10), (15, 15, 15)])
def test_frames_beyond_the_wanted_rate_are_not_even_decoded(given, wanted, got):
    clock = ManualClock()
    film = Film(clock, 1 / given)
    device = Capture("film", film, wanted, clock, "has ended")
    frames = [device.grab() for _ in range(10 * given)]
    taken = [frame for frame in frames if frame is not None]
    assert len(taken) == film.decoded == pytest.approx(10 * got, abs=2)


# ── over the network ─────────────────────────────────────────────────────────────────────────────


class MjpegCamera(http.server.BaseHTTPRequestHandler):
    """MJPEG over HTTP as network cameras do it, the frame's number in its brightness."""

    def do_GET(self):
        self.server.authorization.append(self.headers.get("Authorization"))
        if self.server.password and not self.headers.get("Authorization"):
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="camera"')
            self.end_headers()
            return
        if self.path.startswith("/nothing"):
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        try:
            for number in range(self.server.frames):
                self.server.pace.wait(0.01)
                picture = np.full((48, 64, 3), 10 * number % 250, np.uint8)
                jpeg = cv2.imencode(".jpg", picture)[1].tobytes()
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                self.wfile.write(head.encode() + jpeg + b"\r\n")
            self.server.stop.wait(self.server.linger)
        except OSError:
            pass  # the viewer went away

    def log_message(self, *args):
        pass


@pytest.fixture
def camera():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), MjpegCamera)
    server.daemon_threads = True
    server.frames, server.linger, server.password = 10_000, 0, False
    server.authorization, server.pace, server.stop = [], threading.Event(), threading.Event()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.stop.set()
    server.shutdown()
    server.server_close()
    thread.join()


def opened(server, path="/video", user="", fps=60):
    port = server.server_address[1]
    return open_source(f"http://{user}127.0.0.1:{port}{path}", Camera(fps=fps), SystemClock())


def error_after_frames(source, timeout):
    while True:
        try:
            source.read(timeout)
        except CameraError as error:
            return error


def test_plays_mjpeg_over_http(camera):
    source = opened(camera)
    frames = [source.read(WAIT_S) for _ in range(5)]
    source.close()
    assert source.name == f"camera http://127.0.0.1:{camera.server_address[1]}"
    assert (source.live, source.still) == (True, False)
    assert frames[0].image.shape == (48, 64, 3)
    times = [frame.t for frame in frames]
    assert times == sorted(set(times))


def test_the_password_is_used_but_never_shown(camera, caplog):
    caplog.set_level(logging.DEBUG)
    camera.password = True
    source = opened(camera, "/video?key=s3cret", "bob:s3cret@")
    source.read(WAIT_S)
    source.close()
    with pytest.raises(CameraError) as closed:
        source.read(0)
    assert "Basic Ym9iOnMzY3JldA==" in camera.authorization
    assert "s3cret" not in source.name + str(closed.value) + caplog.text


def test_a_wrong_path_is_a_sentence(camera):
    source = opened(camera, "/nothing", "bob:s3cret@")
    with pytest.raises(CameraError, match=r"answers, but gives no video: check the path"):
        source.read(WAIT_S)
    source.close()


def test_nobody_there_is_a_sentence():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    source = open_source(f"rtsp://127.0.0.1:{port}/live", Camera(), SystemClock())
    with pytest.raises(
        CameraError, match=r"cannot be reached \(Connection refused\): check the ad"
    ):
        source.read(WAIT_S)
    source.close()


@pytest.mark.parametrize("scheme", ["http", "rtsp"])
def test_a_url_that_hangs_does_not_hang_the_reader(scheme):
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"{scheme}://127.0.0.1:{server.getsockname()[1]}/live"
        source = open_source(url, Camera(), SystemClock())
        line, _ = server.accept()  # and never an answer
        with pytest.raises(CameraStalled, match=r"no frame within 0.05 s"):
            source.read(0.05)
        line.close()
    source.close()


def test_a_stream_that_ends_is_told_and_opened_again(camera):
    camera.frames = 5
    clock = SystemClock()
    source = Reopening(lambda: opened(camera), clock, name="camera x", stall_s=5)
    assert str(error_after_frames(source, WAIT_S)).endswith(" has ended or broken off")
    frame = source.read(WAIT_S)  # after a second
    assert (frame.index, source.reconnects) == (source.frames - 1, 1)
    source.close()


def test_a_stream_that_falls_silent_stalls(camera):
    camera.frames, camera.linger = 5, WAIT_S
    source = opened(camera)
    source.read(WAIT_S)
    assert isinstance(error_after_frames(source, 0.3), CameraStalled)
    camera.stop.set()
    source.close()


class Pictures:
    """A device whose pictures come one a second."""

    def __init__(self, clock, pictures):
        self.clock, self.pictures = clock, list(pictures)

    def grab(self):
        if not self.pictures:
            raise CameraError("no more pictures")
        self.clock.advance(1)
        return self.pictures.pop(0)

    def release(self):
        pass


def end_of(pictures):
    clock = ManualClock()
    source = LiveSource("camera x", lambda: Pictures(clock, pictures), clock)
    try:
        return str(error_after_frames(source, 10))
    finally:
        source.close()


def test_one_and_the_same_picture_over_and_over_is_a_stall():
    still = np.zeros((4, 4, 3), np.uint8)
    assert end_of([still] * 20) == "camera x has given one and the same picture for 10 s"
    moving = [np.full((4, 4, 3), n % 2, np.uint8) for n in range(40)]
    assert end_of(moving) == "no more pictures"
    assert end_of([*[still] * 9, still + 1, *[still] * 9]) == "no more pictures"


@pytest.mark.parametrize(
    ("shape", "kind"),
    [((4, 4), "u1"), ((4, 4, 2), "u1"), ((4, 4, 4), "u1"), ((0, 4, 3), "u1"), ((4, 4, 3), "u2")],
)
def test_pixels_of_another_kind_are_refused(shape, kind):
    assert "gives pixels of a kind" in end_of([np.zeros(shape, kind)])
