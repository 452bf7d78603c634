"""The figures of a bundle against values worked out by hand."""

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mien.classifier import ScriptedClassifier, probabilities
from mien_convert.dataset import LABELS, VOTE_COLUMNS, Dataset
from mien_convert.evaluate import (
    calibration_error,
    choose_threshold,
    fit_temperature,
    measure,
    read_logits,
)


def dataset(labels: list[int], votes: Any = None) -> Dataset:
    images = np.zeros((len(labels), 48, 48), np.uint8)
    ballots = None if votes is None else np.array(votes, np.uint8)
    return Dataset(images, np.array(labels, np.uint8), ballots)


def logits(answers: list[int], confidence: float = 0.9) -> NDArray[np.float32]:
    """Logits whose softmax gives `confidence` to the answer and the same to each other label."""
    height = math.log(confidence / ((1 - confidence) / 6))
    return np.eye(7, dtype=np.float32)[answers] * np.float32(height)


def test_figures_of_a_small_confusion() -> None:
    # anger, anger, anger, fear → anger, anger, fear, fear
    figures = measure(logits([0, 0, 2, 2]), dataset([0, 0, 0, 2]), temperature=1.0)
    assert list(figures) == ["n", "accuracy", "macro_f1", "ece", "per_class", "confusion"]
    assert figures["n"] == 4
    assert figures["accuracy"] == 0.75
    anger, fear = figures["per_class"]["anger"], figures["per_class"]["fear"]
    assert anger == {"recall": pytest.approx(2 / 3), "precision": 1.0, "f1": 0.8, "n": 3}
    assert fear == {"recall": 1.0, "precision": 0.5, "f1": pytest.approx(2 / 3), "n": 1}
    absent = {"recall": None, "precision": None, "f1": None, "n": 0}
    assert figures["per_class"]["disgust"] == absent
    assert figures["macro_f1"] == pytest.approx((0.8 + 2 / 3) / 2)
    assert figures["confusion"][0] == [2, 0, 1, 0, 0, 0, 0]
    assert figures["confusion"][2] == [0, 0, 1, 0, 0, 0, 0]
    assert figures["ece"] == pytest.approx(0.15, abs=1e-6)
    assert list(figures["per_class"]) == list(LABELS)


def test_a_class_never_answered_counts_against_the_mean() -> None:
    figures = measure(logits([0, 0]), dataset([0, 1]), 1.0)
    disgust = figures["per_class"]["disgust"]
    assert disgust == {"recall": 0.0, "precision": None, "f1": 0.0, "n": 1}
    assert figures["macro_f1"] == pytest.approx((2 / 3 + 0) / 2)


def test_fer_plus_accuracy_is_over_clear_majorities() -> None:
    ballots = np.zeros((4, VOTE_COLUMNS), np.uint8)
    ballots[0, 4] = 10  # anger
    ballots[1, 0] = 10  # neutral
    ballots[2, [0, 4]] = 5  # a tie
    ballots[3, 7] = 10  # contempt
    figures = measure(logits([0, 0, 0, 0]), dataset([1, 1, 1, 1], ballots), 1.0)
    assert figures["fer_plus_accuracy"] == 0.5
    assert figures["accuracy"] == 0.0


def test_without_any_majority_there_is_no_fer_plus_accuracy() -> None:
    ballots = np.zeros((1, VOTE_COLUMNS), np.uint8)
    assert measure(logits([0]), dataset([0], ballots), 1.0)["fer_plus_accuracy"] is None


def test_calibration_error_over_bins() -> None:
    # Two bins: .9 sure and half of it right, .5 sure and all right; 2 and 1 pictures.
    confidence = np.array([0.9, 0.9, 0.5])
    right = np.array([True, False, True])
    assert calibration_error(confidence, right) == pytest.approx((2 * 0.4 + 1 * 0.5) / 3)
    assert calibration_error(np.ones(5), np.ones(5, bool)) == 0.0


def test_calibration_error_uses_the_temperature() -> None:
    answers, labels = logits([0] * 10, 0.9), dataset([0] * 5 + [1] * 5)
    assert measure(answers, labels, 1.0)["ece"] == pytest.approx(0.4, abs=1e-6)
    assert measure(answers, labels, 100.0)["ece"] == pytest.approx(0.5 - 1 / 7, abs=0.02)


def test_the_temperature_makes_confidence_what_it_is_worth() -> None:
    labels = np.array([0] * 70 + [1] * 30, np.uint8)
    overconfident = logits([0] * 100, 0.98)
    temperature = fit_temperature(overconfident, labels)
    assert temperature > 1
    # The other six share the rest evenly, so the optimum on these is the share that is right.
    assert probabilities(overconfident, temperature)[0, 0] == pytest.approx(0.7, abs=0.01)


def test_the_threshold_is_the_lowest_that_is_right_enough() -> None:
    sure, unsure = logits([0] * 50, 0.9), logits([0] * 50, 0.505)
    labels = dataset([0] * 46 + [1] * 4 + [0] * 25 + [1] * 25)
    answers = np.concatenate([sure, unsure])
    threshold, coverage, right = choose_threshold(answers, labels, 1.0, wanted=0.85)
    assert (threshold, coverage) == (0.51, 0.5)
    assert right == pytest.approx(0.92)
    assert choose_threshold(answers, labels, 1.0, wanted=0.5)[:2] == (0.0, 1.0)


def test_a_threshold_out_of_reach_still_labels_a_quarter() -> None:
    answers = np.concatenate([logits([0] * 30, 0.6), logits([0] * 70, 0.3)])
    threshold, coverage, right = choose_threshold(answers, dataset([1] * 100), 1.0)
    assert coverage == 0.3
    assert right == 0.0
    assert threshold == pytest.approx(0.59, abs=0.011)


def test_pictures_are_read_one_by_one() -> None:
    read = read_logits(ScriptedClassifier(["anger", "neutral"]), np.zeros((3, 48, 48), np.uint8))
    assert read.shape == (3, 7)
    assert read.argmax(axis=1).tolist() == [0, 6, 6]
