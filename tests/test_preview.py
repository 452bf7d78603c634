"""The preview: one JPEG a frame, and only while somebody looks."""

import threading
from collections.abc import Callable
from contextlib import suppress

import cv2
import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from mien.clock import ManualClock
from mien.control import Busy, Picture
from mien.events import EXPRESSIONS, Live
from mien.preview import ATTENTION, Preview, jpeg


def live(frame: int) -> Live:
    return Live(
        frame=frame,
        width=1280,
        height=720,
        readings=[],
        expression="happiness",
        reason=None,
        probabilities=dict.fromkeys(EXPRESSIONS, 1 / 7),
        valence=0.5,
        facing_share=1.0,
        episode=None,
        episode_s=None,
    )


def grey(level: int) -> NDArray[np.uint8]:
    return np.full((720, 1280, 3), level, np.uint8)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def preview(clock: ManualClock) -> Preview:
    return Preview(2, clock)


class Viewer(threading.Thread):
    """Waits in a thread of its own; `picture` afterwards."""

    def __init__(self, ask: Callable[[], Picture | None]) -> None:
        super().__init__(daemon=True)
        self._ask = ask
        self.picture: Picture | None = None
        self.start()

    def run(self) -> None:
        self.picture = self._ask()

    def seen(self) -> Picture | None:
        self.join(10)
        assert not self.is_alive()
        return self.picture


def offer_until_seen(preview: Preview, viewers: list[Viewer], frame: int) -> None:
    """Frames keep coming, as from a camera, so that no viewer can miss the one it waits for."""
    while any(viewer.is_alive() for viewer in viewers):
        preview.offer(grey(frame), live(frame))


def test_a_viewer_gets_the_frame_and_its_readings(preview: Preview) -> None:
    viewer = Viewer(lambda: preview.wait(0, 10))
    offer_until_seen(preview, [viewer], 5)
    picture = viewer.seen()
    assert picture is not None
    assert picture.frame == 5
    assert msgspec.json.decode(picture.live, type=Live) == live(5)
    shown = cv2.imdecode(np.frombuffer(picture.jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert shown.shape == (540, 960, 3)
    assert abs(int(shown.mean()) - 5) <= 1


def test_all_viewers_share_one_jpeg(preview: Preview) -> None:
    viewers = [Viewer(lambda: preview.wait(0, 10)) for _ in range(2)]
    offer_until_seen(preview, viewers, 5)
    first, second = (viewer.seen() for viewer in viewers)
    assert first is not None
    assert first is second


def test_frames_are_held_only_while_somebody_looks(preview: Preview, clock: ManualClock) -> None:
    preview.offer(grey(1), live(1))
    assert preview.wait(0, 0) is None  # nobody had looked: it was not kept
    preview.offer(grey(2), live(2))
    picture = preview.wait(0, 0)
    assert picture is not None
    assert picture.frame == 2
    clock.advance(ATTENTION + 1)
    preview.offer(grey(3), live(3))
    assert preview.wait(0, 0) is None


def test_the_same_frame_is_not_shown_twice(preview: Preview) -> None:
    preview.wait(0, 0)
    preview.offer(grey(2), live(2))
    assert preview.wait(2, 0) is None


def test_a_restarted_count_is_new(preview: Preview) -> None:
    preview.wait(9000, 0)
    preview.offer(grey(1), live(1))
    assert preview.wait(9000, 0) is not None


def test_the_cap(preview: Preview) -> None:
    def patient() -> Picture | None:
        while True:
            with suppress(Busy):
                return preview.wait(0, 20)

    def refused() -> bool:
        try:
            preview.wait(0, 0.01)
        except Busy as error:
            return "2 screens watch already" in str(error)
        return False

    viewers = [Viewer(patient) for _ in range(2)]
    while not refused():
        pass
    offer_until_seen(preview, viewers, 1)
    assert preview.wait(0, 0) is not None


def test_clear_takes_the_picture_away_and_wakes_the_viewers(preview: Preview) -> None:
    viewer = Viewer(lambda: preview.wait(0, 20))
    offer_until_seen(preview, [viewer], 1)
    waiting = Viewer(lambda: preview.wait(1, 20))
    while waiting.is_alive():
        preview.clear()
    assert waiting.seen() is None
    assert preview.wait(0, 0) is None


@pytest.mark.parametrize("shape", [(1, 1, 3), (48, 48), (480, 640, 3), (2160, 3840, 3)])
def test_any_size_becomes_a_jpeg_of_bounded_width(shape: tuple[int, ...]) -> None:
    picture = cv2.imdecode(
        np.frombuffer(jpeg(np.zeros(shape, np.uint8)), np.uint8), cv2.IMREAD_UNCHANGED
    )
    assert picture.shape[1] == min(shape[1], 960)
