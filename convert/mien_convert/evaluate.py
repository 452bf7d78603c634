"""How right a bundle is: the int8 file on the CPU over pictures with known labels.

Needs neither TensorFlow nor Keras: the same classifier as on the box reads the pictures.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from mien.bundle import Bundle
from mien.classifier import Classifier, probabilities
from mien_convert.dataset import LABELS, USAGES, Dataset, vote_majority
from mien_convert.errors import DatasetError
from mien_convert.heads import Answers

ECE_BINS = 15
RESAMPLES = 1000  # of the bootstrap, always the same ones
LEVEL = 0.95
SEED = 1


def read_logits(classifier: Classifier, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Logits f32 [N, 7] of pictures u8 [N, 48, 48], one by one as on the box."""
    bar = tqdm(images, "reading pictures", leave=False, disable=None)
    return np.stack([classifier.classify(image).logits for image in bar])


def evaluate(answers: Answers, dataset: Dataset, bundle: Bundle) -> dict[str, Any]:
    """All figures of `mien-convert evaluate` that follow from the answers alone: those of
    `measure_answers`, then what the bundle's threshold leaves, intervals and curves.

    `answer` holds what the box says against both truths, where the heads were asked apart.
    `restricted` is there when not all seven expressions occur: the same answers, chosen among
    those that do.
    """
    logits, temperature = answers.word, word_temperature(answers, bundle)
    figures = measure_answers(answers, dataset, bundle)
    occur = [row for row, label in enumerate(LABELS) if figures["per_class"][label]["n"]]
    figures |= {
        "bundle": bundle.name,
        "balanced_accuracy": _balanced(figures),
        "temperature": temperature,
        "at_threshold": _said_at(answers, dataset, bundle, bundle.thresholds.confidence),
        "intervals": intervals(logits, dataset, temperature)
        | {"fer_plus_accuracy": intervals(answers.votes, dataset, 1.0)["fer_plus_accuracy"]},
    }
    if answers.are_apart:
        figures["answer"] = _answer(answers.said, dataset, bundle)
    if len(occur) < len(LABELS):
        among = restricted(logits, occur)
        narrow = measure(among, dataset, temperature)
        ranges = intervals(among, dataset, temperature)
        figures["restricted"] = {
            "classes": [LABELS[row] for row in occur],
            "accuracy": narrow["accuracy"],
            "balanced_accuracy": _balanced(narrow),
            "intervals": {name: ranges[name] for name in ("accuracy", "balanced_accuracy")},
            "recall": {LABELS[row]: narrow["per_class"][LABELS[row]]["recall"] for row in occur},
            "confusion": narrow["confusion"],
        }
    return figures | {
        "reliability": reliability(logits, dataset, temperature),
        "coverage_curve": [_said_at(answers, dataset, bundle, step / 100) for step in range(100)],
    }


def measure_answers(answers: Answers, dataset: Dataset, bundle: Bundle) -> dict[str, Any]:
    """The figures of `measure`: labels are held against the head that learnt such labels, the FER+
    majority against the head that learnt the votes."""
    figures = measure(answers.word, dataset, word_temperature(answers, bundle))
    if dataset.votes is not None:
        figures["fer_plus_accuracy"] = measure(answers.votes, dataset, 1.0)["fer_plus_accuracy"]
    return figures


def word_temperature(answers: Answers, bundle: Bundle) -> float:
    """The temperature of `answers.word`: that of the answer where nothing was asked apart."""
    calibration = bundle.calibration
    own = calibration.word_temperature if answers.are_apart else None
    return calibration.temperature if own is None else own


def _answer(said: NDArray[np.float32], dataset: Dataset, bundle: Bundle) -> dict[str, float | None]:
    temperature = bundle.calibration.temperature
    figures = measure(said, dataset, temperature)
    told = {name: figures[name] for name in ("accuracy", "macro_f1", "ece")}
    told |= {"balanced_accuracy": _balanced(figures), "temperature": temperature}
    if dataset.votes is not None:
        truth = vote_majority(dataset.votes)
        clear = truth >= 0
        told["fer_plus_accuracy"] = figures["fer_plus_accuracy"]
        told["fer_plus_ece"] = None
        if clear.any():
            seen = Dataset(dataset.images[clear], truth[clear].astype(np.uint8))
            told["fer_plus_ece"] = measure(said[clear], seen, temperature)["ece"]
    return told


def _said_at(
    answers: Answers, dataset: Dataset, bundle: Bundle, threshold: float
) -> dict[str, float | None]:
    return at_threshold(answers.said, dataset, bundle.calibration.temperature, threshold)


def restricted(logits: NDArray[np.float32], classes: Sequence[int]) -> NDArray[np.float32]:
    """The logits with all but `classes` out of the question."""
    among = np.full_like(logits, -np.inf)
    among[:, classes] = logits[:, classes]
    return among


def read_sources(path: Path, usage: str | None = None) -> NDArray[np.str_] | None:
    """The array `source` [N] of a data file that `load_dataset` has read, of the same rows; None
    where it has none. Raises DatasetError when it is not one name for each picture."""
    with np.load(path, allow_pickle=False) as stored:
        if "source" not in stored.files:
            return None
        try:
            sources = stored["source"]
        except ValueError as error:
            raise DatasetError(f"{path}: `source` cannot be read: {error}.") from error
        parts = stored["usage"] if "usage" in stored.files else None
        count = len(stored["labels"])
    if sources.shape != (count,) or sources.dtype.kind != "U":
        raise DatasetError(
            f"{path}: `source` is {sources.dtype} {list(sources.shape)}; "
            f"expected strings [{count}]."
        )
    rows = slice(None) if usage is None or parts is None else parts == USAGES.index(usage)
    return np.asarray(sources[rows], np.str_)


def by_source(
    answers: Answers, dataset: Dataset, sources: NDArray[np.str_], bundle: Bundle
) -> dict[str, dict[str, Any]]:
    """n, accuracy, macro_f1, ece and fer_plus_accuracy of the pictures of each source."""
    table = {}
    for source in np.unique(sources):
        rows = sources == source
        figures = measure_answers(answers.of(rows), dataset[rows], bundle)
        table[str(source)] = {
            name: figure for name, figure in figures.items() if not isinstance(figure, list | dict)
        }
    return table


def measure(logits: NDArray[np.float32], dataset: Dataset, temperature: float) -> dict[str, Any]:
    """The figures of `mien-convert evaluate`.

    A figure of a class is None where it is not defined: recall of a class that has no picture,
    precision of one never answered, F1 where both hold; `macro_f1` is the mean of those defined.
    `fer_plus_accuracy` is there with votes: over the pictures whose majority is one of the seven.
    """
    answers = logits.argmax(axis=1)
    counts = confusion(dataset.labels, answers)
    per_class = {label: _class_figures(counts, row) for row, label in enumerate(LABELS)}
    f1 = [figures["f1"] for figures in per_class.values() if figures["f1"] is not None]
    right = answers == dataset.labels
    confidence = probabilities(logits, temperature).max(axis=1)
    result: dict[str, Any] = {
        "n": len(dataset),
        "accuracy": float(right.mean()),
        "macro_f1": float(np.mean(f1)),
        "ece": calibration_error(confidence, right),
        "per_class": per_class,
        "confusion": counts.tolist(),
    }
    if dataset.votes is not None:
        majority = vote_majority(dataset.votes)
        clear = majority >= 0
        result["fer_plus_accuracy"] = (
            float((answers[clear] == majority[clear]).mean()) if clear.any() else None
        )
    return result


def confusion(labels: NDArray[Any], answers: NDArray[Any]) -> NDArray[np.int64]:
    """How often each label [N] got each answer [N]: i64 [7, 7], a row a label."""
    counts = np.zeros((len(LABELS), len(LABELS)), np.int64)
    np.add.at(counts, (labels, answers), 1)
    return counts


def _class_figures(counts: NDArray[np.int64], row: int) -> dict[str, float | int | None]:
    hits = int(counts[row, row])
    true, answered = int(counts[row].sum()), int(counts[:, row].sum())
    return {
        "recall": hits / true if true else None,
        "precision": hits / answered if answered else None,
        "f1": 2 * hits / (true + answered) if true + answered else None,
        "n": true,
    }


def calibration_error(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """Expected calibration error over 15 bins of equal width (Guo et al. 2017): the mean distance
    between how sure the answers [N] were and how many were right, weighted by pictures."""
    surplus = np.bincount(_bins(confidence), confidence - right, minlength=ECE_BINS)
    return float(np.abs(surplus).sum() / len(confidence))


def at_threshold(
    logits: NDArray[np.float32], dataset: Dataset, temperature: float, threshold: float
) -> dict[str, float | None]:
    """What is left when answers under a confidence become "cannot tell".

    `coverage` is the share of pictures still labelled, `right` the share of these that has the
    data's label. The same with `fer_plus_` over the pictures that have a majority. None where
    there is nothing to take a share of.
    """
    answers = logits.argmax(axis=1)
    labelled = probabilities(logits, temperature).max(axis=1) >= threshold
    left: dict[str, float | None] = {
        "threshold": threshold,
        "coverage": _mean(labelled),
        "right": _mean((answers == dataset.labels)[labelled]),
    }
    if dataset.votes is not None:
        majority = vote_majority(dataset.votes)
        clear = majority >= 0
        left["fer_plus_coverage"] = _mean(labelled[clear])
        left["fer_plus_right"] = _mean((answers == majority)[clear & labelled])
    return left


def reliability(
    logits: NDArray[np.float32], dataset: Dataset, temperature: float
) -> list[dict[str, float | int | None]]:
    """How sure and how right the answers are in each of the bins of `calibration_error`."""
    confidence = probabilities(logits, temperature).max(axis=1)
    right = logits.argmax(axis=1) == dataset.labels
    bins = _bins(confidence)
    return [
        {
            "from": round(cell / ECE_BINS, 4),
            "to": round((cell + 1) / ECE_BINS, 4),
            "n": int((bins == cell).sum()),
            "confidence": _mean(confidence[bins == cell]),
            "right": _mean(right[bins == cell]),
        }
        for cell in range(ECE_BINS)
    ]


def intervals(logits: NDArray[np.float32], dataset: Dataset, temperature: float) -> dict[str, Any]:
    """Percentile bootstrap intervals (Efron and Tibshirani 1993, chapter 13), pictures drawn with
    replacement: [low, high] for accuracy, balanced_accuracy, macro_f1, ece, fer_plus_accuracy and
    the recall of each class; None where the figure itself is not defined.

    Every figure is made of sums over pictures, so a resample is only a weighted sum of rows.
    """
    count, answers = len(LABELS), logits.argmax(axis=1)
    confidence = probabilities(logits, temperature).max(axis=1)
    majority = np.full(len(dataset), -1)
    if dataset.votes is not None:
        majority = vote_majority(dataset.votes)
    surplus = confidence - (answers == dataset.labels)
    summed = np.column_stack(
        [
            np.eye(count * count)[dataset.labels.astype(int) * count + answers],
            np.eye(ECE_BINS)[_bins(confidence)] * surplus[:, None],
            majority == answers,
            majority >= 0,
        ]
    )
    sums = _resampled(summed)
    confusion = sums[:, : count * count].reshape(-1, count, count)
    bins, (hits, clear) = sums[:, count * count : -2], sums[:, -2:].T
    found = np.diagonal(confusion, axis1=1, axis2=2)
    true, answered = confusion.sum(axis=2), confusion.sum(axis=1)
    with np.errstate(invalid="ignore"):  # a resample without a class has no recall of it
        recall, f1, fer_plus = found / true, 2 * found / (true + answered), hits / clear
    return {
        "level": LEVEL,
        "resamples": RESAMPLES,
        "accuracy": _range(found.sum(axis=1) / len(dataset)),
        "macro_f1": _range(np.nanmean(f1, axis=1)),
        "ece": _range(np.abs(bins).sum(axis=1) / len(dataset)),
        "fer_plus_accuracy": _range(fer_plus),
        "balanced_accuracy": _range(np.nanmean(recall, axis=1)),
        "recall": {label: _range(recall[:, row]) for row, label in enumerate(LABELS)},
    }


def difference(
    logits: NDArray[np.float32], other: NDArray[np.float32], truth: NDArray[Any]
) -> dict[str, Any]:
    """Accuracy of `logits` less that of `other` on the same pictures, with its bootstrap interval,
    and how often both answer the same. A truth below 0 leaves a picture out."""
    known = truth >= 0
    answers, others = logits.argmax(axis=1)[known], other.argmax(axis=1)[known]
    gained = (answers == truth[known]).astype(float) - (others == truth[known])
    return {
        "accuracy": _mean(gained),
        "interval": _range(_resampled(gained[:, None])[:, 0] / len(gained))
        if known.any()
        else None,
        "agreement": _mean(answers == others),
    }


def _resampled(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums over pictures drawn with replacement, [N, K] → [RESAMPLES, K]; the same draws each time
    for the same N."""
    n, random = len(rows), np.random.default_rng(SEED)
    return np.stack(
        [
            np.bincount(random.integers(0, n, n), minlength=n).astype(np.float64) @ rows
            for _ in range(RESAMPLES)
        ]
    )


def _range(resampled: NDArray[np.float64]) -> list[float] | None:
    defined = resampled[~np.isnan(resampled)]
    if not len(defined):
        return None
    tail = (1 - LEVEL) / 2
    return [float(bound) for bound in np.quantile(defined, (tail, 1 - tail))]


def _balanced(figures: dict[str, Any]) -> float:
    recalls = [one["recall"] for one in figures["per_class"].values()]
    return float(np.mean([recall for recall in recalls if recall is not None]))


def _bins(confidence: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.minimum((confidence * ECE_BINS).astype(np.int64), ECE_BINS - 1)


def _mean(values: NDArray[Any]) -> float | None:
    return float(values.mean()) if len(values) else None


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
