"""How right a bundle is: the int8 file on the CPU over pictures with known labels.

Needs neither TensorFlow nor Keras: the same classifier as on the box reads the pictures.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from mien.classifier import Classifier, probabilities
from mien_convert.dataset import LABELS, Dataset, vote_majority

ECE_BINS = 15


def read_logits(classifier: Classifier, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Logits f32 [N, 7] of pictures u8 [N, 48, 48], one by one as on the box."""
    bar = tqdm(images, "reading pictures", leave=False, disable=None)
    return np.stack([classifier.classify(image).logits for image in bar])


def measure(logits: NDArray[np.float32], dataset: Dataset, temperature: float) -> dict[str, Any]:
    """The figures of `mien-convert evaluate`.

    A figure of a class is None where it is not defined: recall of a class that has no picture,
    precision of one never answered, F1 where both hold; `macro_f1` is the mean of those defined.
    `fer_plus_accuracy` is there with votes: over the pictures whose majority is one of the seven.
    """
    answers = logits.argmax(axis=1)
    confusion = np.zeros((len(LABELS), len(LABELS)), np.int64)
    np.add.at(confusion, (dataset.labels, answers), 1)
    per_class = {label: _class_figures(confusion, row) for row, label in enumerate(LABELS)}
    f1 = [figures["f1"] for figures in per_class.values() if figures["f1"] is not None]
    right = answers == dataset.labels
    confidence = probabilities(logits, temperature).max(axis=1)
    result: dict[str, Any] = {
        "n": len(dataset),
        "accuracy": float(right.mean()),
        "macro_f1": float(np.mean(f1)),
        "ece": calibration_error(confidence, right),
        "per_class": per_class,
        "confusion": confusion.tolist(),
    }
    if dataset.votes is not None:
        majority = vote_majority(dataset.votes)
        clear = majority >= 0
        result["fer_plus_accuracy"] = (
            float((answers[clear] == majority[clear]).mean()) if clear.any() else None
        )
    return result


def _class_figures(confusion: NDArray[np.int64], row: int) -> dict[str, float | int | None]:
    hits = int(confusion[row, row])
    true, answered = int(confusion[row].sum()), int(confusion[:, row].sum())
    return {
        "recall": hits / true if true else None,
        "precision": hits / answered if answered else None,
        "f1": 2 * hits / (true + answered) if true + answered else None,
        "n": true,
    }


def calibration_error(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """Expected calibration error over 15 bins of equal width (Guo et al. 2017): the mean distance
    between how sure the answers [N] were and how many were right, weighted by pictures."""
    bins = np.minimum((confidence * ECE_BINS).astype(int), ECE_BINS - 1)
    surplus = np.bincount(bins, confidence - right, minlength=ECE_BINS)
    return float(np.abs(surplus).sum() / len(confidence))


def fit_temperature(logits: NDArray[np.float32], labels: NDArray[np.uint8]) -> float:
    """The temperature between 0.2 and 5 under which the labels are likeliest (Guo et al. 2017)."""
    rows = np.arange(len(labels))

    def surprise(temperature: float) -> float:
        likelihood = probabilities(logits, temperature)[rows, labels]
        return float(-np.log(np.maximum(likelihood, 1e-12)).mean())

    candidates = np.geomspace(0.2, 5, 400)
    return round(float(min(candidates, key=surprise)), 3)


def choose_threshold(
    logits: NDArray[np.float32], dataset: Dataset, temperature: float, wanted: float = 0.85
) -> tuple[float, float, float]:
    """The lowest confidence from which a share `wanted` of the labelled pictures is right.

    Right is the majority of the FER+ votes, or the label where there are no votes. Returns the
    threshold (in steps of 0.01), the share of pictures it labels, and the share of these that is
    right. Where nothing above reaches `wanted` while a quarter is still labelled, the highest
    threshold that labels a quarter.
    """
    truth = dataset.labels if dataset.votes is None else vote_majority(dataset.votes)
    clear = truth >= 0
    confidence = probabilities(logits, temperature).max(axis=1)[clear]
    right = logits.argmax(axis=1)[clear] == truth[clear]
    chosen = (0.0, 1.0, float(right.mean()))
    for threshold in np.round(np.arange(0.01, 1.0, 0.01), 2):
        labelled = confidence >= threshold
        if chosen[2] >= wanted or labelled.mean() < 0.25:
            break
        chosen = (float(threshold), float(labelled.mean()), float(right[labelled].mean()))
    return chosen
