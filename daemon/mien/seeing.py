"""The two threads that see: one takes frames from the camera, one reads the newest of them."""

import logging
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


class Seeing:
    """Camera → newest frame → pipeline → `seen`, until it is paused or stopped.

    Args:
        open_camera: makes the source, at the start and after each pause.
        seen: called in the inference thread with each frame's result and the live view of it.
        lost: called there with the episodes that end when the stream breaks off, because it was
            paused or the camera is gone.
        fps: frames a second to read at most; a camera may give more.
    """

    def __init__(
        self,
        open_camera: Callable[[], Reopening],
        pipeline: Pipeline,
        preview: Preview,
        *,
        seen: Callable[[Seen, Live], None],
        lost: Callable[[list[Episode]], None],
        failed: Callable[[str, Exception], None],
        clock: Clock,
        fps: float,
        paused: bool,
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
        self._slot: LatestSlot[Frame] = LatestSlot()
        self._lock = threading.Lock()
        self._camera: Reopening | None = None if paused else open_camera()
        self._resumed = threading.Event()
        self._streaming = False
        self.frames = 0
        self.faces = 0
        self.seconds = {"faces": 0.0, "expression": 0.0, "total": 0.0}
        self.stages = [
            Stage("capture", self._capture, failed, clock),
            Stage("inference", self._infer, failed, clock),
        ]

    def start(self) -> None:
        for stage in self.stages:
            stage.start()

    def stop(self) -> None:
        self.pause()
        for stage in self.stages:
            stage.stop()
        self._break_off()

    @property
    def paused(self) -> bool:
        return self._camera is None

    @property
    def skipped(self) -> int:
        """Frames that were replaced by a newer one before they could be read."""
        return self._slot.skipped

    @property
    def camera(self) -> Reopening | None:
        """The open source; None while paused."""
        return self._camera

    def pause(self) -> None:
        """Close the camera; returns when it is closed and nothing of it can be seen any more."""
        with self._lock:
            camera, self._camera = self._camera, None
            self._resumed.clear()
            if camera:
                camera.close()
                self._slot.clear()
                self._preview.clear()

    def resume(self) -> None:
        with self._lock:
            if self._camera is None:
                self._camera = self._open_camera()
                self._resumed.set()

    @property
    def part(self) -> Part:
        camera = self._camera
        if camera is None:
            return Part("camera", "ok", "paused, the camera is off")
        status, text = camera.status
        return Part("camera", status, text, None if status == "ok" else CAMERA_CURE)

    def _capture(self) -> None:
        camera = self._camera
        if camera is None:
            self._resumed.wait(WAIT_S)
            return
        try:
            frame = camera.read(WAIT_S)
        except CameraError as error:
            log.debug("no frame: %s", error)
            return
        if frame is None or frame.t - self._last_t < self._min_gap_s:
            return
        self._last_t = frame.t
        with self._lock:  # `pause` may have closed the camera while this frame was on its way
            if self._camera is camera:
                self._slot.put(frame)

    def _infer(self) -> None:
        frame = self._slot.take(WAIT_S)
        if frame is None:
            if self.paused or self.part.status != "ok":
                self._break_off()
            return
        self._streaming = True
        result = self._pipeline.see(frame)
        self.frames += 1
        self.faces += bool(result.readings)
        for name, ms in result.ms.items():
            self.seconds[name] += ms / 1e3
        live = self._pipeline.live(result, self._note)
        with self._lock:  # once `pause` has returned, nothing is shown, published or kept
            if self._camera is not None:
                self._preview.offer(result.image, live)
                self._seen(result, live)

    def _break_off(self) -> None:
        """Nothing of what was seen goes on."""
        if self._streaming:
            self._streaming = False
            self._preview.clear()
            self._lost(self._pipeline.end())
