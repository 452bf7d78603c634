"""The picamera2 adapter, against the stand-in for that module."""

import contextlib
import importlib.util
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from mien import picamera
from mien.camera import CameraError, CameraStalled, Reopening, find_camera, open_source
from mien.clock import ManualClock, SystemClock
from mien.config import Camera

CONFIG = Camera(source="picamera2", width=320, height=240, fps=15)
WAIT_S = 5.0


@pytest.fixture
def rig(monkeypatch):
    spec = importlib.util.spec_from_file_location(
        "picamera2", Path(__file__).with_name("picamera2_standin.py")
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setitem(sys.modules, "picamera2", module)
    yield module.rig
    assert module.rig.closed == module.rig.opened, "the camera was not released"


@pytest.fixture
def source(rig):
    source = open_source("picamera2", CONFIG, SystemClock())
    yield source
    source.close()


def test_gives_frames_in_the_size_and_rate_of_the_config(rig, source):
    first, second = source.read(WAIT_S), source.read(WAIT_S)
    assert first.image.shape == (240, 320, 3)
    assert (first.index < second.index, first.t < second.t) == (True, True)
    assert (source.live, source.still) == (True, False)
    assert rig.controls == {"FrameDurationLimits": (66667, 66667)}


def test_closing_releases_the_camera_and_wakes_the_reader(rig, source):
    source.read(WAIT_S)
    source.close()
    source.close()
    assert rig.closed == 1
    with pytest.raises(CameraError, match="was closed"):
        source.read(WAIT_S)


def test_a_camera_in_use_is_a_sentence_with_the_cure(rig):
    rig.taken = True
    source = open_source("picamera2", CONFIG, SystemClock())
    with pytest.raises(CameraError, match=r"cannot be opened \(.*\): .*no other program uses it"):
        source.read(WAIT_S)
    source.close()


def test_no_camera_connected_is_a_sentence_with_the_cure(rig):
    rig.connected.clear()
    source = open_source("picamera2", CONFIG, SystemClock())
    with pytest.raises(CameraError, match=r"no camera is connected.*ribbon cable"):
        source.read(WAIT_S)
    source.close()


def test_a_format_nobody_knows_is_refused_and_the_camera_released(rig):
    rig.format = "SRGGB10_CSI2P"
    source = open_source("picamera2", CONFIG, SystemClock())
    with pytest.raises(CameraError, match="SRGGB10_CSI2P; known are RGB888"):
        source.read(WAIT_S)
    source.close()


def test_a_hanging_camera_stalls_the_read_only(rig, source):
    source.read(WAIT_S)
    hang(rig, source)
    with pytest.raises(CameraStalled, match="no frame within"):
        source.read(0.05)
    rig.streaming.set()
    assert source.read(WAIT_S) is not None


def test_a_camera_that_hangs_is_closed_and_opened_again(rig):
    clock = ManualClock()
    source = Reopening(
        lambda: open_source("picamera2", CONFIG, clock), clock, name="picamera2", stall_s=5
    )
    source.read(WAIT_S)
    hang(rig, source)
    clock.advance(6)
    with pytest.raises(CameraStalled, match="no frame for 5 s"):
        source.read(0.0)
    rig.streaming.set()
    clock.advance(1)
    assert source.read(WAIT_S) is not None
    assert (source.stalls, source.reconnects, rig.closed, rig.opened) == (1, 1, 1, 2)
    source.close()


def test_auto_takes_the_pis_own_camera_first(rig):
    assert picamera.listed()
    assert find_camera() == "picamera2"


def test_a_usb_camera_is_left_to_v4l2(rig):
    rig.connected[:] = [sys.modules["picamera2"].USB]
    assert not picamera.listed()
    assert find_camera() != "picamera2"


def test_a_module_that_does_not_load_is_told_and_passed_over(monkeypatch, tmp_path, caplog):
    (tmp_path / "picamera2.py").write_text("raise ValueError('numpy.dtype size changed')")
    monkeypatch.delitem(sys.modules, "picamera2", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    assert not picamera.listed()
    assert "built for another NumPy (numpy.dtype size changed)" in caplog.text
    assert "put simplejpeg into the box's environment" in caplog.text


def test_without_the_module_the_sentence_names_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "picamera2", None)
    with pytest.raises(CameraError, match="sudo apt install python3-picamera2"):
        open_source("picamera2", CONFIG, SystemClock())


@pytest.mark.parametrize("padding", [0, 64])
@pytest.mark.parametrize(
    "name", ["RGB888", "BGR888", "XRGB8888", "XBGR8888", "YUYV", "NV12", "YUV420"]
)
def test_every_format_becomes_bgr_whatever_the_stride(rig, name, padding):
    rig.format, rig.padding, rig.frame = name, padding, picture
    source = open_source("picamera2", CONFIG, SystemClock())
    image = source.read(WAIT_S).image
    source.close()
    assert (image.shape, image.dtype) == ((240, 320, 3), np.uint8)
    left, right = image[:, :150].mean((0, 1)), image[:, 170:].mean((0, 1))
    assert left == pytest.approx([200, 60, 20], abs=4), "left is blue"
    assert right == pytest.approx([20, 60, 200], abs=4), "right is red"
    cv2.resize(image, (160, 120))  # OpenCV takes it as it is


def hang(rig, source):
    """Let no frame come any more, and take those that were on their way."""
    rig.streaming.clear()
    with contextlib.suppress(CameraStalled):
        while True:
            source.read(0.05)


def picture(stream):
    """The bytes of a frame, blue on the left and red on the right, as libcamera lays them out."""
    (width, height), kind = stream["size"], stream["format"]
    bgr = np.empty((height, width, 3), np.uint8)
    bgr[:, : width // 2], bgr[:, width // 2 :] = (200, 60, 20), (20, 60, 200)
    i420 = cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420).reshape(-1)
    y = i420[: width * height].reshape(height, width)
    u, v = i420[width * height :].reshape(2, height // 2, width // 2)
    planes = {
        "RGB888": lambda: [bgr],
        "BGR888": lambda: [cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)],
        "XRGB8888": lambda: [cv2.cvtColor(bgr, cv2.COLOR_BGR2BGRA)],
        "XBGR8888": lambda: [cv2.cvtColor(bgr, cv2.COLOR_BGR2RGBA)],
        "YUYV": lambda: [np.stack([y[:, ::2], u.repeat(2, 0), y[:, 1::2], v.repeat(2, 0)], -1)],
        "NV12": lambda: [y, np.stack([u, v], -1)],
        "YUV420": lambda: [y, u, v],
    }[kind]()
    padded = []
    for plane in planes:
        rows = plane.reshape(len(plane), -1)
        stride = stream["stride"] // 2 if kind == "YUV420" and plane is not y else stream["stride"]
        padded.append(np.pad(rows, ((0, 0), (0, stride - rows.shape[1]))).reshape(-1))
    return np.concatenate([*padded, np.zeros(64, np.uint8)])
