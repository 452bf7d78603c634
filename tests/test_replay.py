"""Sources without a camera: the replay and its misbehaviour, and the demo."""

import threading

import cv2
import numpy as np
import pytest

from mien.camera import SETTLED_S, CameraError, CameraStalled, Frame, Reopening, open_source
from mien.clock import ManualClock, SystemClock
from mien.config import Camera
from mien.replay import PHASES, DemoSource, ReplaySource, damaged, phase_at

WAIT_S = 5.0
PICTURES = [np.full((8, 12, 3), 20 * n, np.uint8) for n in range(3)]


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def replay(clock):
    source = ReplaySource(PICTURES, clock, fps=10)
    yield source
    source.close()


def shades(source, clock, count, step=0.1):
    """The first pixel of each of the next frames, one a step of the clock."""
    seen = []
    for _ in range(count):
        seen.append(int(source.read(0).image[0, 0, 0]))
        clock.advance(step)
    return seen


def test_plays_pictures_again_and_again_at_their_pace(replay, clock):
    assert (replay.live, replay.still) == (True, False)
    assert shades(replay, clock, 7) == [0, 20, 40, 0, 20, 40, 0]


def test_a_frame_is_not_given_before_it_is_due(replay, clock):
    assert replay.read(0).t == 0
    with pytest.raises(CameraStalled, match="no frame within 0 s"):
        replay.read(0)
    clock.advance(0.05)
    with pytest.raises(CameraStalled):
        replay.read(0)
    clock.advance(0.05)
    frame = replay.read(0)
    assert (frame.t, frame.index) == (pytest.approx(0.1), 1)


def test_what_was_missed_is_not_handed_out_later(replay, clock):
    replay.read(0)
    clock.advance(10)
    assert replay.read(0).t == 10
    with pytest.raises(CameraStalled):
        replay.read(0)


def test_a_manual_clock_wakes_a_waiting_reader(replay, clock):
    replay.read(0)
    frames = []
    reader = threading.Thread(target=lambda: frames.append(replay.read(WAIT_S)))
    reader.start()
    clock.advance(0.1)
    reader.join(WAIT_S)
    assert [frame.index for frame in frames] == [1]


def test_plays_in_real_time():
    clock = SystemClock()
    source = ReplaySource(PICTURES, clock, fps=100)
    times = [source.read(WAIT_S).t for _ in range(11)]
    assert times[-1] - times[0] == pytest.approx(0.1, abs=0.05)


def test_stalls_until_it_comes_back(replay, clock):
    replay.read(0)
    replay.stall()
    clock.advance(60)
    with pytest.raises(CameraStalled):
        replay.read(0.01)
    replay.come_back()
    assert replay.read(0).index == 1


def test_a_reader_that_waits_sees_it_vanish(replay):
    replay.read(0)
    replay.stall()
    errors = []

    def wait():
        try:
            replay.read(WAIT_S)
        except CameraError as error:
            errors.append(str(error))

    reader = threading.Thread(target=wait)
    reader.start()
    replay.vanish()
    reader.join(WAIT_S)
    assert errors == ["replay of 3 pictures gives no more frames: it was unplugged"]


def test_vanished_it_can_be_opened_only_when_it_is_back(replay, clock):
    camera = Reopening(replay.open, clock, name="camera", stall_s=5)
    camera.read(0)
    replay.vanish()
    with pytest.raises(CameraError, match="unplugged"):
        camera.read(0)
    clock.advance(1)
    with pytest.raises(CameraError, match="is not there: plug it in"):
        camera.read(WAIT_S)
    replay.come_back()
    clock.advance(2)
    assert camera.read(WAIT_S).index == 1
    assert (camera.reconnects, camera.status[0]) == (1, "degraded")
    clock.advance(SETTLED_S)
    camera.read(WAIT_S)
    assert camera.status[0] == "ok"


def test_a_stall_is_cured_by_opening_it_again(replay, clock):
    camera = Reopening(replay.open, clock, name="camera", stall_s=5)
    camera.read(0)
    replay.stall()
    clock.advance(6)
    with pytest.raises(CameraStalled):
        camera.read(0)
    replay.come_back()
    clock.advance(1)
    assert (camera.read(WAIT_S).index, camera.stalls) == (1, 1)


def test_corrupt_frames_are_half_grey_and_the_pictures_stay_whole(replay, clock):
    replay.corrupt()
    image = replay.read(0).image
    assert (image[:4] == 0).all()
    assert (image[4:] == 128).all()
    assert (PICTURES[0] == 0).all()
    clock.advance(0.1)
    replay.come_back()
    assert (replay.read(0).image == 20).all()


def test_closed_it_gives_nothing(replay):
    replay.close()
    replay.close()
    with pytest.raises(CameraError, match="was closed"):
        replay.read(0)


@pytest.fixture
def clip(tmp_path):
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 4.0, (64, 48))
    for shade in (0, 100, 200):
        writer.write(np.full((48, 64, 3), shade, np.uint8))
    writer.release()
    return path


def test_plays_a_video_at_its_own_pace_again_and_again(clip, clock):
    source = ReplaySource(open_source(str(clip), Camera(), clock), clock)
    assert source.name == f"video {clip}"
    assert shades(source, clock, 7, step=0.25) == pytest.approx([0, 100, 200] * 2 + [0], abs=3)
    source.close()
    source.open()
    assert shades(source, clock, 2, step=0.25) == pytest.approx([0, 100], abs=3)
    source.close()


def test_plays_a_single_picture_and_a_folder(clock, tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), PICTURES[1])
    single = ReplaySource(open_source(str(tmp_path / "a.png"), Camera(), clock), clock, fps=10)
    assert shades(single, clock, 3) == [20, 20, 20]
    cv2.imwrite(str(tmp_path / "b.png"), PICTURES[2])
    folder = ReplaySource(open_source(str(tmp_path), Camera(), clock), clock)
    assert shades(folder, clock, 5, step=1.0) == [20, 40, 20, 40, 20]


def test_a_source_that_cannot_be_rewound_plays_once(clock):
    class Once:
        name, live, still = "once", False, False

        def __init__(self):
            self.frames = [Frame(PICTURES[1], 0.0, 0), Frame(PICTURES[2], 0.5, 1)]

        def read(self, timeout):
            return self.frames.pop(0) if self.frames else None

        def close(self):
            pass

    source = ReplaySource(Once(), clock)
    assert shades(source, clock, 2, step=0.5) == [20, 40]
    assert source.read(0) is None


# ── the demo ─────────────────────────────────────────────────────────────────────────────────────

PORTRAIT = np.full((120, 100, 3), (60, 120, 180), np.uint8)
PORTRAIT[::2] = (20, 40, 60)


@pytest.fixture
def demo(clock):
    return DemoSource(PORTRAIT, clock, width=320, height=240, fps=10)


def middle_of(name):
    """Seconds at which the phase of that name has fully come."""
    begin = 0.0
    for phase in PHASES:
        if phase.name == name:
            return begin + phase.seconds / 2
        begin += phase.seconds
    raise KeyError(name)


def area(picture):
    """Share of the picture that is not wall: the wall is grey, the portrait is not."""
    return float((np.ptp(picture, axis=2) > 25).mean())


def test_the_demo_gives_frames_on_the_clock(demo, clock):
    frames = []
    for _ in range(3):
        frames.append(demo.read(0))
        clock.advance(0.1)
    assert [frame.index for frame in frames] == [0, 1, 2]
    assert [frame.t for frame in frames] == pytest.approx([0, 0.1, 0.2])
    assert frames[0].image.shape == (240, 320, 3)
    assert (demo.live, demo.still) == (True, False)


def test_the_picture_is_a_function_of_time(demo):
    assert (demo.picture(33.3) == demo.picture(33.3)).all()
    assert (demo.picture(1.0) != demo.picture(2.0)).any()
    loop = sum(phase.seconds for phase in PHASES)
    assert phase_at(7.0 + loop) == phase_at(7.0)


def test_every_phase_can_be_seen(demo):
    near, far, very_far, dark, bright, blurred, nobody = (
        demo.picture(middle_of(name))
        for name in ("near", "far", "very far", "dark", "bright", "out of focus", "nobody")
    )
    assert area(near) > 2 * area(far) > 4 * area(very_far) > 0
    assert area(nobody) == 0
    assert dark.mean() < 0.2 * near.mean()
    assert bright.mean() > 1.5 * near.mean()
    assert sharpness(blurred) < 0.2 * sharpness(near)


def sharpness(picture):
    return float(cv2.Laplacian(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), cv2.CV_64F).var())


def test_one_phase_fades_into_the_next():
    step = max(
        abs(phase_at(t / 100 + 0.01).size - phase_at(t / 100).size)
        for t in range(int(100 * sum(phase.seconds for phase in PHASES)))
    )
    assert step < 0.02


def test_damaged_leaves_the_original():
    image = np.zeros((5, 4, 3), np.uint8)
    assert damaged(image)[2:].min() == 128
    assert image.max() == 0
