"""The two threads that see: one takes frames from the camera, one reads the newest of them."""

import logging
import queue
import threading
from collections.abc import Callable

from mien.bundle import Bundle
from mien.bundles import Chosen, instead, open_bundle
from mien.camera import CameraError, Frame, Reopening
from mien.classifier import LiteRTClassifier, open_classifier
from mien.clock import Clock
from mien.config import Config
from mien.events import Episode, Live, MienError, Part
from mien.faces import open_finder
from mien.pipeline import Pipeline, Seen
from mien.preview import Preview
from mien.stage import LatestSlot, Stage

log = logging.getLogger(__name__)

CAMERA_CURE = "check that the camera is plugged in and that no other program uses it"
SEAT_CURE = "draw the seat anew on the page, or give the camera its former size"
BLANK_CURE = (
    "take the cap off the lens and see that there is light; if that is so, restart the camera"
)
BUNDLE_CURE = (
    "install it again, or go back with `mien models rollback`; either counts from the next start"
)
WAIT_S = 0.5  # longest a turn of either loop may wait, so that stopping and heartbeats stay prompt


def open_pipeline(config: Config) -> tuple[Pipeline, list[Part]]:
    """The pipeline that this config asks for, and how its two networks are; a fallback is told.

    Raises:
        MienError: a bundle or finder that was asked for cannot be used.
    """
    finder, finder_trouble = open_finder(
        config.faces,
        models_dir=config.state_dir / "models",
        far=config.seat.far,
        threads=config.expression.threads,
    )
    bundle, classifier, expression = open_expression(config)
    parts = [_model_part("faces", finder.name, finder_trouble), expression]
    return Pipeline(config, finder, classifier, bundle), parts


def open_expression(config: Config) -> tuple[Bundle, LiteRTClassifier, Part]:
    """The bundle to read with, its network, and how they are.

    An activated bundle that cannot be used gives way to the shipped one, loudly.

    Raises:
        MienError: the one that the config names, or the shipped one, cannot be used.
    """
    chosen = open_bundle(config)
    try:
        classifier, notice = _open_classifier(chosen, config)
    except MienError as error:
        if chosen.origin != "activated":
            raise
        chosen = instead(error)
        classifier, notice = _open_classifier(chosen, config)
    if chosen.trouble:
        log.error("%s", chosen.trouble)
    part = _model_part(
        "expression",
        f"{chosen.words} on the {classifier.name}",
        chosen.trouble or notice,
        BUNDLE_CURE if chosen.trouble else None,
    )
    return chosen.bundle, classifier, part


def _open_classifier(chosen: Chosen, config: Config) -> tuple[LiteRTClassifier, str | None]:
    settings = config.expression
    return open_classifier(chosen.bundle, settings.accelerator, settings.threads)


def _model_part(name: str, text: str, trouble: str | None, cure: str | None = None) -> Part:
    return Part(name, "degraded", trouble, cure) if trouble else Part(name, "ok", text)


class Watch:
    """What the camera is open for: whose face is read, until it is another's or nobody's.

    Two are the same only when they are one and the same object. `keep` is taken back when a consent
    is withdrawn meanwhile; then what still goes on is not kept either.
    """

    def __init__(self, *, aim: bool = False, keep: bool = False) -> None:
        self.aim = aim
        """Whether the camera is only being aimed: faces are found, and nothing is read."""
        self.keep = keep


class Seeing:
    """Camera → newest frame → pipeline → `seen`, as long as it watches.

    Args:
        open_camera: makes the source, each time that it begins to watch.
        seen: called in the inference thread with each frame's result and the live view of it.
        lost: called there with the episodes that end when the stream breaks off, because the
            camera was closed or is gone, or watches for something else.
        fps: frames a second to read at most; a camera may give more.
        closed: why the camera is closed until `watch` is called.
    """

    def __init__(
        self,
        open_camera: Callable[[], Reopening],
        pipeline: Pipeline,
        preview: Preview,
        *,
        seen: Callable[[Seen, Live, Watch], None],
        lost: Callable[[list[Episode], Watch], None],
        failed: Callable[[str, Exception], None],
        clock: Clock,
        fps: float,
        closed: str = "the camera is off",
        note: str | None = None,
    ) -> None:
        self._open_camera = open_camera
        self._pipeline = pipeline
        self._preview = preview
        self._seen = seen
        self._lost = lost
        self._clock = clock
        self._note = note
        # A camera's own jitter must not make every second frame count as too early.
        self._min_gap_s = 0.8 / fps
        self._last_t = float("-inf")
        self._slot: LatestSlot[tuple[Frame, Watch]] = LatestSlot()
        self._lock = threading.Lock()
        self._camera: Reopening | None = None
        self._closed = closed
        self._watch: Watch | None = None
        self._since = 0.0  # when it began; frames from before belong to what was watched then
        self._opened = threading.Event()
        self._seen_for: Watch | None = None  # what the pipeline remembers was seen for
        self._wishes: list[queue.SimpleQueue[Seen]] = []
        self.frames = 0
        self.faces = 0
        self.seconds = {"faces": 0.0, "expression": 0.0, "total": 0.0}
        self.stages = [
            Stage("capture", self._capture, failed, clock, wake=self._opened.set),
            Stage("inference", self._infer, failed, clock, wake=self._slot.clear),
        ]

    def start(self) -> None:
        for stage in self.stages:
            stage.start()

    def stop(self) -> None:
        self.close("the camera is off")
        for stage in self.stages:
            stage.stop()
        self._break_off()

    @property
    def skipped(self) -> int:
        """Frames that were replaced by a newer one before they could be read."""
        return self._slot.skipped

    @property
    def camera(self) -> Reopening | None:
        """The open source; None while it is closed."""
        return self._camera

    def watch(self, watch: Watch) -> None:
        """Open the camera, if it is not, for this; returns when nothing more is seen for what it
        was open for before."""
        with self._lock:
            self._watch, self._since = watch, self._clock.monotonic()
            self._slot.clear()
            if self._camera is None:
                self._camera = self._open_camera()
                self._opened.set()
            else:
                self._preview.clear()

    def close(self, why: str) -> None:
        """Close the camera; returns when it is closed and nothing of it can be seen any more."""
        with self._lock:
            self._closed = why
            camera, self._camera, self._watch = self._camera, None, None
            self._opened.clear()
            if camera:
                camera.close()
                self._slot.clear()
                self._preview.clear()

    def face(self, timeout: float) -> Seen | None:
        """The next frame with a face in it, None when there was none within `timeout` seconds."""
        wish: queue.SimpleQueue[Seen] = queue.SimpleQueue()
        with self._lock:
            self._wishes.append(wish)
        try:
            return wish.get(timeout=timeout)
        except queue.Empty:
            return None
        finally:
            with self._lock:
                self._wishes.remove(wish)

    @property
    def part(self) -> Part:
        camera = self._camera
        if camera is None:
            return Part("camera", "ok", self._closed)
        status, text = camera.status
        if status == "ok" and self._watch and not self._watch.aim and self._pipeline.unfit:
            return Part("camera", "degraded", self._pipeline.unfit, SEAT_CURE)
        if status == "ok" and self._pipeline.blank:
            return Part("camera", "degraded", self._pipeline.blank, BLANK_CURE)
        return Part("camera", status, text, None if status == "ok" else CAMERA_CURE)

    def _capture(self) -> None:
        camera = self._camera
        if camera is None:
            self._opened.wait(WAIT_S)
            return
        try:
            frame = camera.read(WAIT_S)
        except CameraError as error:
            log.debug("no frame: %s", error)
            return
        if frame is None or frame.t - self._last_t < self._min_gap_s:
            return
        self._last_t = frame.t
        with self._lock:  # `close` may have closed the camera while this frame was on its way
            if self._camera is camera and self._watch and frame.t >= self._since:
                self._slot.put((frame, self._watch))

    def _infer(self) -> None:
        taken = self._slot.take(WAIT_S)
        if taken is None:
            if self._watch is not self._seen_for or self.part.status != "ok":
                self._break_off()
            return
        frame, watch = taken
        if watch is not self._seen_for:
            self._break_off()
            self._seen_for = watch
        result = self._pipeline.aim(frame) if watch.aim else self._pipeline.see(frame)
        self.frames += 1
        self.faces += bool(result.readings)
        for name, ms in result.ms.items():
            self.seconds[name] += ms / 1e3
        live = self._pipeline.live(result, self._note)
        with self._lock:  # once `close` has returned, nothing is shown, published or kept
            if self._watch is watch:
                self._preview.offer(result.image, live)
                self._seen(result, live, watch)
                if self._wishes and result.outputs:
                    for wish in self._wishes:
                        wish.put(result)

    def _break_off(self) -> None:
        """Nothing of what was seen goes on."""
        watch, self._seen_for = self._seen_for, None
        if watch:
            self._preview.clear()
            self._lost(self._pipeline.end(), watch)
