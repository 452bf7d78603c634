"""How right a bundle stays when pictures get worse: far, blurred, dim, covered, turned, moved.

In the manner of D. Hendrycks and T. Dietterich, "Benchmarking neural network robustness to common
corruptions and perturbations", ICLR 2019. All changes are made to 48×48 crops and are the same in
every run and for every bundle.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from mien.bundle import Bundle
from mien.classifier import LiteRTClassifier, Output
from mien.crop import SIDE
from mien_convert.dataset import Dataset
from mien_convert.evaluate import at_threshold, measure_answers
from mien_convert.heads import Answers, answers

SEED = 1
Image = NDArray[np.uint8]

# Where the eyes and the mouth lie in a 48×48 picture of FER-2013, see `mien.crop`: first row and
# the one after the last.
EYES = (13, 23)
MOUTH = (33, 43)
PATCH = 16


class Condition(NamedTuple):
    """One way and degree of getting worse: `change` takes a picture u8 [48, 48] to another."""

    group: str
    name: str
    change: Callable[[Image, np.random.Generator], Any]


def _far(side: int) -> Condition:
    def change(image: Image, _: np.random.Generator) -> Any:
        small = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
        return cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)

    return Condition("face size", f"{side} px", change)


def _blur(sigma: float) -> Condition:
    return Condition("blur", f"σ {sigma:g} px", lambda i, _: cv2.GaussianBlur(i, (0, 0), sigma))


def _noise(sigma: int) -> Condition:
    def change(image: Image, random: np.random.Generator) -> Any:
        return _bytes(image + random.normal(0, sigma, image.shape))

    return Condition("noise", f"σ {sigma}", change)


def _light(offset: int) -> Condition:
    return Condition("brightness", _signed(offset), lambda i, _: _bytes(i + float(offset)))


def _contrast(factor: float) -> Condition:
    def change(image: Image, _: np.random.Generator) -> Any:
        return _bytes((image - image.mean()) * factor + image.mean())

    return Condition("contrast", f"× {factor:g}", change)


def _gamma(gamma: float) -> Condition:
    levels = _bytes(255 * (np.arange(256) / 255) ** gamma)
    return Condition("gamma", f"{gamma:g}", lambda i, _: cv2.LUT(i, levels))


def _jpeg(quality: int) -> Condition:
    def change(image: Image, _: np.random.Generator) -> Any:
        _done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
        return cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)

    return Condition("JPEG", f"quality {quality}", change)


def _band(name: str, rows: tuple[int, int]) -> Condition:
    def change(image: Image, _: np.random.Generator) -> Any:
        covered = image.copy()
        covered[slice(*rows)] = round(float(image.mean()))
        return covered

    return Condition("occlusion", name, change)


def _patch(image: Image, random: np.random.Generator) -> Any:
    top, left = random.integers(0, SIDE - PATCH + 1, 2)
    covered = image.copy()
    covered[top : top + PATCH, left : left + PATCH] = round(float(image.mean()))
    return covered


def _moved(
    group: str, name: str, roll: float = 0, scale: float = 1, shift: tuple[int, int] = (0, 0)
) -> Condition:
    middle = (SIDE - 1) / 2
    turned = cv2.getRotationMatrix2D((middle, middle), roll, scale)
    matrix = turned + np.array([[0, 0, shift[0]], [0, 0, shift[1]]])

    def change(image: Image, _: np.random.Generator) -> Any:
        return cv2.warpAffine(image, matrix, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)

    return Condition(group, name, change)


def _bytes(values: NDArray[Any]) -> Image:
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)


def _signed(number: float, unit: str = "") -> str:
    return f"{number:+g}{unit}".replace("-", "−")


CONDITIONS = (
    *(_far(side) for side in (40, 32, 28, 24, 20, 16)),
    *(_blur(sigma) for sigma in (0.5, 1, 1.5, 2, 3)),
    *(_noise(sigma) for sigma in (5, 10, 20, 40)),
    *(_light(offset) for offset in (-100, -75, -50, -25, 25, 50, 75, 100)),
    *(_contrast(factor) for factor in (0.25, 0.5, 1.5, 2)),
    *(_gamma(gamma) for gamma in (0.4, 0.6, 1.6, 2.5)),
    *(_jpeg(quality) for quality in (75, 50, 30, 15)),
    _band("eyes", EYES),
    _band("mouth", MOUTH),
    Condition("occlusion", f"patch {PATCH}×{PATCH}", _patch),
    *(_moved("roll", _signed(a, "°"), roll=a) for a in (-20, -15, -10, -5, 5, 10, 15, 20)),
    *(_moved("shift across", _signed(x, " px"), shift=(x, 0)) for x in (-6, -3, 3, 6)),
    *(_moved("shift down", _signed(y, " px"), shift=(0, y)) for y in (-6, -3, 3, 6)),
    *(_moved("crop scale", f"× {s:g}", scale=s) for s in (0.8, 0.9, 1.1, 1.25)),
)
"""In the order of the table. Sizes are pixels of the whole 48×48 crop, of which a face is 40 wide:
`24 px` is a face 20 pixels wide in the camera's picture. What comes in from beyond the edge repeats
it; what is covered takes the picture's mean grey; noise and light are grey levels out of 255."""


def degrade(images: Image, condition: Condition) -> Image:
    """Each of the pictures u8 [N, 48, 48] under the condition."""
    return np.stack(list(_degraded(images, condition)))


def _degraded(images: Image, condition: Condition) -> Iterator[Image]:
    random = np.random.default_rng(SEED)
    for image in images:
        yield condition.change(image, random)


def robustness(
    classifiers: Sequence[LiteRTClassifier], dataset: Dataset
) -> list[list[dict[str, Any]]]:
    """One table for each classifier, its first row the clean pictures.

    A row holds `group`, `name`, `accuracy`, `change` (of the accuracy, against the clean pictures),
    `fer_plus_accuracy` and `fer_plus_change` (None without votes), `cannot_tell` (share under the
    bundle's confidence threshold) and `ece`.
    """
    clean = Condition("clean", "", lambda image, _: image)
    tables: list[list[dict[str, Any]]] = [[] for _ in classifiers]
    reads = (len(CONDITIONS) + 1) * len(classifiers) * len(dataset)
    with tqdm(total=reads, desc="conditions", leave=False, disable=None) as bar:
        for condition in (clean, *CONDITIONS):
            outputs: list[list[Output]] = [[] for _ in classifiers]
            for image in _degraded(dataset.images, condition):
                for classifier, told in zip(classifiers, outputs, strict=True):
                    told.append(classifier.classify(image))
                bar.update(len(classifiers))
            for classifier, told, table in zip(classifiers, outputs, tables, strict=True):
                bundle = classifier.bundle
                table.append(_row(condition, answers(bundle, told), dataset, bundle, table))
    return tables


def _row(
    condition: Condition,
    read: Answers,
    dataset: Dataset,
    bundle: Bundle,
    above: Sequence[dict[str, Any]],
) -> dict[str, Any]:
    figures = measure_answers(read, dataset, bundle)
    temperature, threshold = bundle.calibration.temperature, bundle.thresholds.confidence
    left = at_threshold(read.said, dataset, temperature, threshold)
    accuracy, fer_plus = figures["accuracy"], figures.get("fer_plus_accuracy")
    clean = above[0] if above else {"accuracy": accuracy, "fer_plus_accuracy": fer_plus}
    return {
        "group": condition.group,
        "name": condition.name,
        "accuracy": accuracy,
        "change": accuracy - clean["accuracy"],
        "fer_plus_accuracy": fer_plus,
        "fer_plus_change": None if fer_plus is None else fer_plus - clean["fer_plus_accuracy"],
        "cannot_tell": 1 - (left["coverage"] or 0.0),
        "ece": figures["ece"],
    }
