"""Sources that need no camera: a replay that can misbehave like one, and the demo's portrait."""

import math
import threading
import time
from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.camera import CameraError, CameraStalled, Frame, Source
from mien.clock import Clock

Image = NDArray[np.uint8]


@runtime_checkable
class Rewindable(Protocol):
    def rewind(self) -> None:
        """Begin anew; raises `CameraError` where that cannot be."""
        ...


class _Paced:
    """A live source whose frames fall due on a clock, and which can be told to misbehave."""

    live = True
    still = False

    def __init__(self, name: str, clock: Clock) -> None:
        self.name = name
        self._clock = clock
        self._due = clock.monotonic()
        self._ready = False  # the next frame was made ready; it is given when it is due
        self._frames = 0
        self._told = threading.Condition()  # guards what follows
        self._closed = self._stalled = self._vanished = self._corrupt = False

    def read(self, timeout: float) -> Frame | None:
        """Waits on the clock for the next frame to fall due, `timeout` real seconds at most."""
        if not self._ready:
            self._refuse()
            gap_s = self._advance()
            if gap_s is None:
                return None
            self._due += gap_s
            self._ready = True
        deadline = time.monotonic() + timeout
        with self._told:
            while (early := self._due - self._clock.monotonic()) > 0 or self._stalled:
                self._refuse()
                left = deadline - time.monotonic()
                if left <= 0:
                    raise CameraStalled(f"{self.name} gave no frame within {timeout:.3g} s")
                # In short turns, because a ManualClock tells nobody that it moved.
                self._told.wait(min(left, early if early > 0 else left, 0.05))
            self._refuse()
            corrupt = self._corrupt
        now = self._clock.monotonic()
        if now - self._due > 0.1:
            self._due = now  # a camera does not hand out later what nobody took in time
        self._ready = False
        image = self._image(now)
        self._frames += 1
        return Frame(damaged(image) if corrupt else image, now, self._frames - 1)

    def close(self) -> None:
        with self._told:
            self._closed = True
            self._told.notify_all()

    def open(self) -> Source:
        """Begin anew after `close`, as a camera is opened again: the factory for `Reopening`.

        Raises:
            CameraError: it has vanished.
        """
        with self._told:
            if self._vanished:
                raise CameraError(f"{self.name} is not there: plug it in")
            self._closed = self._ready = False
        self._frames = 0
        self._due = self._clock.monotonic()
        self._begin()
        return self

    def stall(self) -> None:
        """Give no frame any more, and no error."""
        self._tell(stalled=True)

    def vanish(self) -> None:
        """Be unplugged: reading and opening fail."""
        self._tell(vanished=True)

    def corrupt(self) -> None:
        """Give half frames, as a line that loses data does."""
        self._tell(corrupt=True)

    def come_back(self) -> None:
        """Be well again; after `vanish` it must be opened again."""
        self._tell()

    def _tell(
        self, *, stalled: bool = False, vanished: bool = False, corrupt: bool = False
    ) -> None:
        with self._told:
            self._closed = self._closed or self._vanished
            self._stalled, self._vanished, self._corrupt = stalled, vanished, corrupt
            self._told.notify_all()

    def _refuse(self) -> None:
        if self._vanished:
            raise CameraError(f"{self.name} gives no more frames: it was unplugged")
        if self._closed:
            raise CameraError(f"{self.name} was closed")

    def _begin(self) -> None:
        """Go back to the first frame."""

    def _advance(self) -> float | None:
        """Make the next frame ready; seconds from the one before, None at the end."""
        raise NotImplementedError

    def _image(self, now: float) -> Image:
        """The frame made ready."""
        raise NotImplementedError


class ReplaySource(_Paced):
    """Plays pictures or a file as a camera would give them, again and again.

    The clock times it: in real time, or by the steps of a `ManualClock`.
    """

    def __init__(
        self, frames: Source | Sequence[Image], clock: Clock, *, fps: float = 15.0
    ) -> None:
        """
        Args:
            frames: H×W×3 BGR arrays, or an open file, which keeps its own pace and is closed with
                the replay. A source that is no file plays once, to its end.
            fps: pace of arrays, and of a single picture.
        """
        self._source = _Pictures(frames, fps) if isinstance(frames, Sequence) else frames
        super().__init__(self._source.name, clock)
        self._gap_s = 1 / fps
        self._next: Frame | None = None

    def close(self) -> None:
        super().close()
        self._source.close()

    def _begin(self) -> None:
        self._next = None
        if isinstance(self._source, Rewindable):
            self._source.rewind()

    def _advance(self) -> float | None:
        before, self._next = self._next, self._source.read(1.0)
        if self._next is None and before is not None and isinstance(self._source, Rewindable):
            self._refuse()
            self._source.rewind()
            self._next = self._source.read(1.0)
        elif self._next is not None and before is not None:
            self._gap_s = self._next.t - before.t
        if self._next is None:
            return None
        return self._gap_s if before is not None else 0.0

    def _image(self, now: float) -> Image:
        assert self._next is not None
        return self._next.image


class _Pictures:
    """Arrays as a file that can be rewound."""

    live = False
    still = False

    def __init__(self, images: Sequence[Image], fps: float) -> None:
        self.name = f"replay of {len(images)} pictures"
        self._images = images
        self._fps = fps
        self._index = 0

    def read(self, timeout: float) -> Frame | None:
        index = self._index
        if index >= len(self._images):
            return None
        self._index += 1
        return Frame(self._images[index], index / self._fps, index)

    def rewind(self) -> None:
        self._index = 0

    def close(self) -> None: ...


def damaged(image: Image) -> Image:
    """A copy whose lower half is grey, as decoders fill up a frame that was cut off."""
    half = image.copy()
    half[len(half) // 2 :] = 128
    return half


class Phase(NamedTuple):
    """How the demo shows the portrait for a while."""

    name: str
    seconds: float
    size: float = 0.95
    """Height of the portrait as a share of the frame's."""
    light: float = 1.0
    """Brightness of the whole frame; 1 leaves it."""
    blur: float = 0.0
    """0 sharp to 1 out of focus."""


PHASES = (
    Phase("near", 10.0),
    Phase("far", 6.0, size=0.4),
    Phase("very far", 5.0, size=0.14),
    Phase("dark", 6.0, light=0.1),
    Phase("near again", 6.0),
    Phase("bright", 5.0, light=5.0),
    Phase("out of focus", 6.0, blur=1.0),
    Phase("nobody", 4.0, size=0.0),
)
_FADE_S = 1.5  # from one phase into the next


class DemoSource(_Paced):
    """A portrait that moves, comes near and is re-lit, so that readings and each "cannot tell" can
    be seen without a camera. The picture is a function of the time since the start alone."""

    def __init__(
        self,
        portrait: Image,
        clock: Clock,
        *,
        width: int = 1280,
        height: int = 720,
        fps: float = 15.0,
    ) -> None:
        super().__init__("the demo portrait", clock)
        self._size = width, height
        self._portrait = portrait
        self._blurred = cv2.GaussianBlur(portrait, (0, 0), portrait.shape[0] / 100)
        self._gap_s = 1 / fps
        self._began = clock.monotonic()
        shade = np.linspace((96, 88, 80), (56, 60, 64), height)  # a wall, BGR from top to bottom
        self._wall = np.repeat(shade.astype(np.uint8)[:, np.newaxis], width, axis=1)

    def picture(self, t: float) -> Image:
        """The picture `t` seconds after the start, H×W×3 BGR."""
        phase = phase_at(t)
        width, height = self._size
        rows, columns = self._portrait.shape[:2]
        picture = self._wall.copy()
        if phase.size > 0.02:
            scale = phase.size * height / rows
            turn = 5 * math.sin(math.tau * t / 9)
            place = cv2.getRotationMatrix2D((columns / 2, rows / 2), turn, scale)
            place[0, 2] += width * (0.5 + 0.15 * math.sin(math.tau * t / 13)) - columns / 2
            place[1, 2] += height * (0.5 + 0.03 * math.sin(math.tau * t / 7)) - rows / 2
            portrait = self._portrait
            if phase.blur > 0:
                blurred = cv2.addWeighted(portrait, 1 - phase.blur, self._blurred, phase.blur, 0)
                portrait = blurred.astype(np.uint8, copy=False)
            cv2.warpAffine(
                portrait,
                place,
                self._size,
                picture,
                borderMode=cv2.BORDER_TRANSPARENT,
            )
        if phase.light != 1:
            cv2.convertScaleAbs(picture, picture, alpha=phase.light)
        return picture

    def _begin(self) -> None:
        self._began = self._clock.monotonic()

    def _advance(self) -> float | None:
        return self._gap_s if self._frames else 0.0

    def _image(self, now: float) -> Image:
        return self.picture(now - self._began)


def phase_at(t: float) -> Phase:
    """What the demo shows at `t`: a phase, or a smooth mixture with the one before it."""
    t %= sum(phase.seconds for phase in PHASES)
    before = PHASES[-1]
    for phase in PHASES:
        if t < phase.seconds:
            break
        t -= phase.seconds
        before = phase
    share = min(t / _FADE_S, 1.0)
    share *= share * (3 - 2 * share)

    def mixed(old: float, new: float) -> float:
        return old + (new - old) * share

    return phase._replace(
        size=mixed(before.size, phase.size),
        light=mixed(before.light, phase.light),
        blur=mixed(before.blur, phase.blur),
    )
