"""Seeing, from a frame to readings: zones → faces → crop → network → reading → smoothing. Pure:
no threads, no I/O; frames and their times come in, values go out."""

import time
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mien.blankness import Blankness
from mien.bundle import Bundle
from mien.camera import Frame
from mien.classifier import Classifier, Output, probabilities
from mien.config import Config, Seat
from mien.crop import crop
from mien.events import EXPRESSIONS, Episode, Live, Reading
from mien.faces import Face, FaceFinder
from mien.layer import Layer
from mien.pose import turn
from mien.reading import look, measure, moves, named, read, valence, widest
from mien.smoothing import Attention, Smoother
from mien.stillness import Stillness
from mien.tracks import Tracker
from mien.zones import Zones

COMPANY = 0.5
"""A face at least this share of the widest face's width sits beside it; a smaller one is behind."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What one frame gave."""

    frame: Frame
    image: NDArray[np.uint8]
    """The frame with zones blacked out: the only picture that may be shown."""
    readings: list[Reading]
    ended: list[Episode]
    """Episodes that this frame ended."""
    ms: dict[str, float]
    """Milliseconds: `faces` (zones and finder), `expression` (crops and network), `total`."""
    crops: list[NDArray[np.uint8]] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)
    """What the network got and gave for each of the readings; none where it did not run."""


class Pipeline:
    """The seeing pipeline of one seat."""

    def __init__(
        self, config: Config, finder: FaceFinder, classifier: Classifier, bundle: Bundle
    ) -> None:
        self._limits = config.limits
        self.bundle = bundle
        self._temperature = bundle.calibration.temperature
        given = config.limits.min_confidence
        self._min_confidence = bundle.thresholds.confidence if given is None else given
        self._view = config.camera
        self._zones = Zones(config.seat, self._view)
        self._finder = finder
        self._classifier = classifier
        self._smoothing = config.smoothing
        self.layer: Layer | None = None
        """A personal last layer, which answers in place of the network's own. This and what `sit`
        changes may be set from any thread and count from the next frame on."""
        self._begin()

    def _begin(self) -> None:
        self._tracker = Tracker()
        self._stillness = Stillness(self._limits.still_s)
        self._smoother = Smoother(self._smoothing)
        self._attention = Attention()
        self._seat: Reading | None = None
        self._blankness = Blankness()

    def sit(self, seat: Seat) -> None:
        """The seat is elsewhere."""
        self._zones = Zones(seat, self._view)
        self._finder.far = seat.far

    @property
    def unfit(self) -> str | None:
        """Why nobody is read: the picture is not of the shape that the zones were drawn on."""
        return self._zones.trouble

    @property
    def blank(self) -> str | None:
        """What is wrong with pictures that have shown nothing for some seconds."""
        return self._blankness.trouble

    def see(self, frame: Frame) -> Seen:
        """Read a frame of a stream, whose times must not go back.

        A frame that does not fit the zones comes back black, with nobody in it.
        """
        self._blankness.look(frame.t, frame.image)
        if not self._zones.fits(frame.image):
            self._seat = None
            ended = self._follow(frame.t, [], [])
            return Seen(
                frame, np.zeros_like(frame.image), [], ended, dict.fromkeys(("faces", "total"), 0.0)
            )
        return self._see(frame, stream=True)

    def see_still(self, frame: Frame) -> Seen:
        """Read a picture that stands on its own: no tracks, no smoothing, no seat to share."""
        return self._see(frame, stream=False)

    def aim(self, frame: Frame) -> Seen:
        """Find faces in the whole picture, masked seats too, so that the camera can be aimed: how
        well each could be read, but no expression."""
        self._blankness.look(frame.t, frame.image)
        started = time.perf_counter()
        faces = self._finder.find(frame.image)
        found = time.perf_counter()
        readings = [
            measure(
                box=_whole(face.box),
                score=face.score,
                track=track,
                look=look(crop(frame.image, face), face.box[2], turn(face.keypoints, face.box)),
                limits=self._limits,
            )
            for track, face in enumerate(faces, 1)
        ]
        done = time.perf_counter()
        ms = {"faces": (found - started) * 1e3, "total": (done - started) * 1e3}
        return Seen(frame, frame.image, readings, [], ms)

    def end(self) -> list[Episode]:
        """The stream is over or paused: what goes on ends, and all that was seen is forgotten."""
        ended = self._smoother.end()
        self._begin()
        return ended

    def live(self, seen: Seen, note: str | None = None) -> Live:
        """The newest frame together with what the seat's expression has been like."""
        t = seen.frame.t
        smoothed = self._smoother.probabilities
        episode = self._smoother.episode(t)
        seat = self._seat
        reason = seat.reason if seat else None
        expression = None
        if seat and reason is None and smoothed is not None:
            top = int(smoothed.argmax())
            if smoothed[top] >= self._min_confidence:
                expression = EXPRESSIONS[top]
            else:
                reason = "low confidence"
        height, width = seen.image.shape[:2]
        return Live(
            frame=seen.frame.index,
            width=width,
            height=height,
            readings=seen.readings,
            expression=expression,
            reason=reason,
            probabilities=named(np.zeros(7) if smoothed is None else smoothed),
            valence=None if smoothed is None else round(valence(smoothed), 3),
            facing_share=self._attention.share(t),
            episode=episode[0] if episode else None,
            episode_s=round(episode[1], 1) if episode else None,
            note=note,
        )

    def _see(self, frame: Frame, *, stream: bool) -> Seen:
        started = time.perf_counter()
        image = self._zones.apply(frame.image)
        faces = self._finder.find(image, thorough=not stream)
        found = time.perf_counter()
        crops = [crop(image, face) for face in faces]
        outputs = [self._classifier.classify(picture) for picture in crops]
        layer = self.layer
        answers = [
            probabilities(
                layer.logits(output.features) if layer else output.logits, self._temperature
            )
            for output in outputs
        ]
        classified = time.perf_counter()
        tracks = (
            self._tracker.update(frame.t, [face.box for face in faces])
            if stream
            else list(range(1, len(faces) + 1))
        )
        still = (
            self._stillness.update(frame.t, image, faces, tracks)
            if stream
            else [False] * len(faces)
        )
        living = [face for face, stays in zip(faces, still, strict=True) if not stays]
        crowded = stream and _company(living) > 1
        readings = [
            read(
                box=_whole(face.box),
                score=face.score,
                track=track,
                look=look(picture, face.box[2], turn(face.keypoints, face.box)),
                probabilities=answer,
                limits=self._limits,
                min_confidence=self._min_confidence,
                crowded=crowded,
                still=stays,
            )
            for face, picture, answer, track, stays in zip(
                faces, crops, answers, tracks, still, strict=True
            )
        ]
        ended = self._follow(frame.t, readings, answers) if stream else []
        done = time.perf_counter()
        ms = {
            "faces": (found - started) * 1e3,
            "expression": (classified - found) * 1e3,
            "total": (done - started) * 1e3,
        }
        return Seen(frame, image, readings, ended, ms, crops, outputs)

    def _follow(
        self, t: float, readings: list[Reading], answers: list[NDArray[np.float64]]
    ) -> list[Episode]:
        """Smooth the seat's face: the widest, as long as it is one and the same track."""
        seat = widest(readings)
        ended = []
        if seat and self._seat and seat.track != self._seat.track:
            ended = self._smoother.end()
        self._seat = seat
        if seat and moves(seat):
            self._attention.add(t, seat.facing)
        # A low-confidence answer is evidence too, that no expression stands out; a face that
        # cannot be seen well is none.
        if seat and seat.reason in (None, "low confidence"):
            return ended + self._smoother.add(t, answers[readings.index(seat)])
        return ended + self._smoother.idle(t)


def _company(faces: list[Face]) -> int:
    widths = [face.box[2] for face in faces]
    return sum(width >= COMPANY * max(widths) for width in widths)


def _whole(box: tuple[float, float, float, float]) -> tuple[int, int, int, int]:
    x, y, width, height = box
    return round(x), round(y), round(width), round(height)
