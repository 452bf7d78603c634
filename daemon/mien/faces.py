"""Finding faces: BlazeFace, or OpenCV's Haar cascade as fallback, or a YuNet the operator brings.

BlazeFace here is two networks that vouch for each other. The *full-range* one looks at the whole
picture and proposes places; the *short-range* one looks closely at each place, decides whether it
is a face and says where eyes, nose, mouth and ears are. docs/decisions/faces.md has the figures.
"""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from mien import facemodel
from mien.classifier import ClassifierError, interpreter
from mien.config import Faces
from mien.facemodel import FacesError as FacesError
from mien.filenames import openable, printable
from mien.tracks import overlap

log = logging.getLogger(__name__)

SAME = 0.3
"""Boxes that overlap more than this (intersection over union) are one face; MediaPipe's value."""

Box = tuple[float, float, float, float]
"""x, y of the upper left corner, width, height, in pixels."""
Span = tuple[int, int]
"""First pixel and the one after the last."""
Region = tuple[float, float, float]
"""x, y of the middle and width, in pixels; its height follows from the network's own. It may reach
beyond the picture."""


@dataclass(frozen=True, slots=True)
class Face:
    """A face found in a picture."""

    box: Box
    """Clipped to the picture; from above the brows to the chin, as wide as it is high."""
    score: float
    """0–1, 0.5 where a finder's faces and everything else part best."""
    keypoints: NDArray[np.float32]
    """[6, 2], pixels: the person's right eye, left eye, nose tip, mouth centre, right ear, left
    ear; NaN where the finder has none."""


class FaceFinder(Protocol):
    name: str
    far: bool
    """Whether the seat is beyond two metres; only BlazeFace looks harder then."""

    def find(self, image: NDArray[np.uint8], thorough: bool = False) -> list[Face]:
        """The faces in a picture, BGR u8 [h, w, 3] of any size, best score first.

        Args:
            thorough: take longer over a picture in which there seems to be none: right for one
                that stands on its own, too dear for a stream.
        """
        ...


def open_finder(
    config: Faces, *, models_dir: Path, far: bool = False, threads: int = 1
) -> tuple[FaceFinder, str | None]:
    """The finder that the config asks for and, if it is a fallback, the sentence that says so.

    Raises:
        FacesError: the finder that was asked for by name cannot be opened, or none at all.
    """
    cv2.setNumThreads(threads)  # a second thread for a small picture only costs
    if config.finder == "yunet":
        return YuNet(config.yunet_model, config.min_score), None
    if config.finder == "haar":
        return Haar(config.min_score), None
    try:
        return BlazeFace(models_dir, config.min_score, far=far, threads=threads), None
    except FacesError as error:
        if config.finder == "blazeface":
            raise
        notice = (
            "faces are found with OpenCV's Haar cascade, which is slower, misses turned and "
            f"distant faces and measures no head turn, because {error}"
        )
        log.warning("%s", notice)
        return Haar(config.min_score), notice


# ── BlazeFace ────────────────────────────────────────────────────────────────────────────────────


class BlazeFace:
    """MediaPipe's BlazeFace, full-range to propose and short-range to decide.

    Args:
        models_dir: where `facemodel.fetch` put the networks.
        min_score: 0–1, what `Face.score` must reach.
        far: look in two overlapping tiles, for a seat beyond two metres; one look more a frame.

    Raises:
        FacesError: a network is missing, damaged or cannot be run here.
    """

    name = "blazeface"

    PROPOSE = 0.4
    """Score of the full-range network that is worth a close look."""
    PROPOSE_CLOSE_UP = 0.65
    """The same for the short-range network's look at the whole picture."""
    DOUBT = 1.3
    """What the log-odds of the close look and half those of the proposal must add up to."""
    CLOSE_UP = 0.7
    """Share of the network's picture that a close-up is shrunk to."""
    CLOSE_LOOK = 0.5
    """Share of the network's picture that the box of a proposal takes up in the close look."""
    MAX_CLOSE_LOOKS = 12
    """Bounds what a crowd can cost."""

    def __init__(
        self, models_dir: Path, min_score: float, *, far: bool = False, threads: int = 1
    ) -> None:
        facemodel.verify(models_dir)
        self._models_dir = models_dir
        self._threads = threads
        self._min_score = min_score
        self.far = far
        self._short_range = self._network(facemodel.SHORT_RANGE, [(8, 2), (16, 6)])

    # A camera needs one of these two, and each takes ten megabytes: opened when it is needed.

    @cached_property
    def _full_range(self) -> "_Network":
        return self._network(facemodel.FULL_RANGE, [(4, 1)])

    @cached_property
    def _full_range_wide(self) -> "_Network":
        return self._network(facemodel.WIDE, [(4, 1)])

    def _network(self, file: str, layers: list[tuple[int, int]]) -> "_Network":
        try:
            return _Network(facemodel.path(self._models_dir, file), layers, self._threads)
        except ClassifierError as error:
            raise FacesError(str(error)) from None

    def find(self, image: NDArray[np.uint8], thorough: bool = False) -> list[Face]:
        height, width = image.shape[:2]
        longer, shorter = max(width, height), min(width, height)
        whole = max(0.6 * longer, shorter) if self.far else longer
        faces = self._decide(image, self._propose(image, whole))
        if not faces:
            # A face that fills the picture is too big for the full-range network.
            region = (width / 2, height / 2, longer / self.CLOSE_UP)
            close_ups = self._short_range.look(image, region, self.PROPOSE_CLOSE_UP)
            faces = self._decide(image, close_ups)
        if not faces and thorough:
            faces = self._decide(image, self._propose(image, 0.57 * longer))
        return faces

    def _propose(self, image: NDArray[np.uint8], side: float) -> list[Face]:
        """What the full-range network sees in overlapping tiles of `side` pixels."""
        height, width = image.shape[:2]
        wide = side >= width >= 1.5 * height
        network = self._full_range_wide if wide else self._full_range
        return [
            face
            for x in _middles(width, side)
            for y in _middles(height, side)
            for face in network.look(image, (x, y, side), self.PROPOSE)
        ]

    def _decide(self, image: NDArray[np.uint8], proposals: Sequence[Face]) -> list[Face]:
        """Look closely at each proposal; both looks together must be sure enough."""
        faces = []
        for proposal in _distinct(proposals)[: self.MAX_CLOSE_LOOKS]:
            x, y, width, height = proposal.box
            side = max(width, height) / self.CLOSE_LOOK
            region = (x + width / 2, y + height / 2, side)
            for face in self._short_range.look(image, region, self.PROPOSE):
                if overlap(face.box, proposal.box) > SAME:
                    odds = _logit(face.score) + 0.5 * _logit(proposal.score) - self.DOUBT
                    score = 1 / (1 + math.exp(-odds))
                    if score >= self._min_score:
                        faces.append(Face(_clipped(face.box, image), score, face.keypoints))
                    break
        return _distinct(faces)


class _Network:
    """One BlazeFace network: an SSD whose every anchor gives a score, a box and six keypoints.

    Anchors, decoding and weighted non-maximum suppression are those of MediaPipe's graphs
    (modules/face_detection/face_detection_{full,short}_range.pbtxt).

    Args:
        layers: (stride in pixels, anchors a cell) of each output layer.
    """

    def __init__(self, path: Path, layers: list[tuple[int, int]], threads: int) -> None:
        self._interpreter = interpreter(path, threads)
        given = self._interpreter.get_input_details()[0]
        self._input = given["index"]
        self._rows, self._columns = (int(length) for length in given["shape"][1:3])
        outputs = {
            int(out["shape"][-1]): out["index"] for out in self._interpreter.get_output_details()
        }
        self._boxes, self._scores = outputs[16], outputs[1]
        self._anchors = np.concatenate([self._grid(*layer) for layer in layers])
        self._canvas = np.zeros((self._rows, self._columns, 3), np.uint8)

    def _grid(self, stride: int, anchors: int) -> NDArray[np.float32]:
        """Middles of a layer's anchors, [n, 2], pixels of the network's picture."""
        y, x = np.mgrid[: self._rows // stride, : self._columns // stride]
        middles = (np.stack([x, y], axis=-1).reshape(-1, 2) + 0.5) * stride
        return np.repeat(middles, anchors, axis=0).astype(np.float32)

    def look(self, image: NDArray[np.uint8], region: Region, min_score: float) -> list[Face]:
        """Faces in a region of the picture, in pixels of the picture, best first."""
        scale = self._columns / region[2]
        corner = (region[0] - self._columns / scale / 2, region[1] - self._rows / scale / 2)
        self._show(image, corner, scale)
        rgb = cv2.cvtColor(self._canvas, cv2.COLOR_BGR2RGB)
        tensor = np.multiply(rgb[None], 1 / 127.5, dtype=np.float32)
        tensor -= 1
        self._interpreter.set_tensor(self._input, tensor)
        self._interpreter.invoke()
        logits = self._interpreter.get_tensor(self._scores)[0, :, 0].clip(-20, 20)
        chosen = np.flatnonzero(logits >= _logit(min_score))
        if not chosen.size:
            return []
        points = self._interpreter.get_tensor(self._boxes)[0, chosen].reshape(-1, 8, 2)
        # Of the eight points the second is width and height; all others are relative to the anchor.
        points[:, [0, 2, 3, 4, 5, 6, 7]] += self._anchors[chosen, None]
        points /= scale
        points[:, [0, 2, 3, 4, 5, 6, 7]] += corner
        scores = 1 / (1 + np.exp(-logits[chosen].astype(np.float64)))
        return _merged(scores, points)

    def _show(self, image: NDArray[np.uint8], corner: tuple[float, float], scale: float) -> None:
        """Draw the region on the network's canvas, black where it is beyond the picture."""
        self._canvas[:] = 0
        height, width = image.shape[:2]
        (left, right), (u0, u1) = _drawn(corner[0], self._columns, scale, width)
        (top, bottom), (v0, v1) = _drawn(corner[1], self._rows, scale, height)
        part, _ = halved(image[top:bottom, left:right], scale)
        cv2.resize(part, (u1 - u0, v1 - v0), dst=self._canvas[v0:v1, u0:u1])


def _drawn(start: float, cells: int, scale: float, length: int) -> tuple[Span, Span]:
    """Along one side: from which to which pixel of the picture, from which to which of the canvas.

    At least one pixel of each, so that a region beyond the picture shows its edge.
    """
    first = min(max(round(start), 0), length - 1)
    last = min(max(round(start + cells / scale), first + 1), length)
    u = min(max(round((first - start) * scale), 0), cells - 1)
    return (first, last), (u, min(max(round((last - start) * scale), u + 1), cells))


def halved(image: NDArray[np.uint8], scale: float) -> tuple[NDArray[np.uint8], int]:
    """The picture, halved as often as `scale` leaves room for, and by what it is smaller now.

    Sampled afterwards at what is left of `scale`, it does not alias: an eighth of the cost of
    `INTER_AREA` at an odd factor. An odd last row or column is left out, for exact halves.
    """
    factor = 1
    while scale * factor <= 0.5 and min(image.shape[:2]) > 1:
        height, width = image.shape[0] // 2, image.shape[1] // 2
        even = image[: 2 * height, : 2 * width]
        image = cv2.resize(even, (width, height)).astype(np.uint8, copy=False)
        factor *= 2
    return image, factor


def _merged(scores: NDArray[np.float64], points: NDArray[np.float32]) -> list[Face]:
    """Weighted non-maximum suppression: boxes of one face are averaged, weighted by their score."""
    low, high = points[:, 0] - points[:, 1] / 2, points[:, 0] + points[:, 1] / 2
    area = (high - low).prod(axis=1)
    left = np.argsort(-scores)
    faces = []
    while left.size:
        best = left[0]
        inner = np.minimum(high[best], high[left]) - np.maximum(low[best], low[left])
        both = inner.clip(min=0).prod(axis=1)
        same = both > SAME * (area[best] + area[left] - both)
        same[0] = True
        centre, size, *keypoints = np.average(
            points[left[same]], axis=0, weights=scores[left[same]]
        )
        x, y = centre - size / 2
        faces.append(
            Face(
                (float(x), float(y), float(size[0]), float(size[1])),
                float(scores[best]),
                np.array(keypoints, np.float32),
            )
        )
        left = left[~same]
    return faces


def _distinct(faces: Sequence[Face]) -> list[Face]:
    """Best first, without those that are a better one's double."""
    kept: list[Face] = []
    for face in sorted(faces, key=lambda face: -face.score):
        if all(overlap(face.box, other.box) <= SAME for other in kept):
            kept.append(face)
    return kept


def _middles(length: float, side: float) -> list[float]:
    """Of the fewest tiles that cover a length and overlap by a fifth or more."""
    if side >= length:
        return [length / 2]
    tiles = max(2, math.ceil((length / side - 0.2) / 0.8))
    return [float(x) for x in np.linspace(side / 2, length - side / 2, tiles)]


def _clipped(box: Box, image: NDArray[np.uint8]) -> Box:
    height, width = image.shape[:2]
    left, top = min(max(box[0], 0.0), width - 1.0), min(max(box[1], 0.0), height - 1.0)
    right, bottom = min(box[0] + box[2], width), min(box[1] + box[3], height)
    return left, top, max(right - left, 1.0), max(bottom - top, 1.0)


def _logit(score: float) -> float:
    return math.log(score / (1 - score))


# ── OpenCV's own ─────────────────────────────────────────────────────────────────────────────────


class Haar:
    """OpenCV's frontal cascade `alt2`: no keypoints, frontal faces only.

    Its score is n / (n + 4) for n windows that agree: 4 are what OpenCV's customary
    `minNeighbors` of 3 asks for.

    Raises:
        FacesError: this OpenCV comes without cascades.
    """

    name = "haar"
    far = False

    LONGEST = 480
    """Pixels that a picture's longer side is shrunk to."""
    DOWN = 0.117
    """Share of its height by which Haar's box lies above BlazeFace's, of which the size is the
    same; the median of 455 faces that both found."""

    def __init__(self, min_score: float) -> None:
        folder = getattr(getattr(cv2, "data", None), "haarcascades", "")
        file = Path(folder) / "haarcascade_frontalface_alt2.xml"
        if not file.exists():
            raise FacesError(
                f"OpenCV {cv2.__version__} comes without Haar cascades; install an OpenCV older "
                "than 5, or fetch the face model with `mien models fetch`"
            )
        with openable(file) as name:
            self._cascade = cv2.CascadeClassifier(name)
        self._min_score = min_score

    def find(self, image: NDArray[np.uint8], thorough: bool = False) -> list[Face]:
        small, scale = _shrunk(image, self.LONGEST)
        grey = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)
        boxes, votes = self._cascade.detectMultiScale2(
            grey, scaleFactor=1.15, minNeighbors=1, minSize=(20, 20)
        )
        faces = []
        for box, count in zip(boxes, votes, strict=True):
            score = float(count / (count + 4))
            if score >= self._min_score:
                x, y, width, height = (float(value) / scale for value in box)
                lower = _clipped((x, y + self.DOWN * height, width, height), image)
                faces.append(Face(lower, score, np.full((6, 2), np.nan, np.float32)))
        return _distinct(faces)


class YuNet:
    """OpenCV's `FaceDetectorYN` with a YuNet file that the operator brings.

    Raises:
        FacesError: no file is named, it is not there, or OpenCV cannot use it.
    """

    name = "yunet"
    far = False

    LONGEST = 640
    """Pixels that a picture's longer side is shrunk to."""

    def __init__(self, model: str | None, min_score: float) -> None:
        if model is None:
            raise FacesError('finder = "yunet" needs yunet_model, the path of a YuNet .onnx file')
        file = Path(model).expanduser()
        if not file.is_file():
            raise FacesError(
                f"there is no YuNet file {printable(file)}; give yunet_model the path of one"
            )
        try:
            network = np.fromfile(file, np.uint8)
            self._detector = cv2.FaceDetectorYN.create(
                "onnx", network, np.empty(0, np.uint8), (320, 320),
                score_threshold=min_score, nms_threshold=SAME,
            )  # fmt: skip
            # Only a first picture shows whether the network is a YuNet.
            self.find(np.zeros((64, 64, 3), np.uint8))
        except (cv2.error, OSError) as error:
            raise FacesError(
                f"OpenCV cannot use {printable(file)} as a YuNet network ({_reason(error)}); give "
                "yunet_model the path of a face_detection_yunet .onnx file"
            ) from None

    def find(self, image: NDArray[np.uint8], thorough: bool = False) -> list[Face]:
        small, scale = _shrunk(image, self.LONGEST)
        self._detector.setInputSize((small.shape[1], small.shape[0]))
        _, rows = self._detector.detect(small)
        return _distinct([self._face(row, scale, image) for row in ([] if rows is None else rows)])

    @staticmethod
    def _face(row: NDArray[np.float32], scale: float, image: NDArray[np.uint8]) -> Face:
        """A row is the box, the eyes, the nose tip, the corners of the mouth and the score."""
        x, y, width, height = (float(value) / scale for value in row[:4])
        eyes, nose, mouth = np.split(row[4:14].reshape(5, 2) / scale, [2, 3])
        ears = np.full((2, 2), np.nan)
        keypoints = np.concatenate([eyes, nose, mouth.mean(axis=0, keepdims=True), ears])
        box = _clipped((x, y, width, height), image)
        return Face(box, min(max(float(row[14]), 0.0), 1.0), keypoints.astype(np.float32))


def _shrunk(image: NDArray[np.uint8], longest: int) -> tuple[NDArray[np.uint8], float]:
    """The picture with its longer side at most `longest` pixels, and the scale of that."""
    height, width = image.shape[:2]
    scale = min(1.0, longest / max(height, width))
    if scale == 1:
        return image, scale
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(halved(image, scale)[0], size).astype(np.uint8, copy=False), scale


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines() or ["no reason given"]
    return lines[-1].strip()
