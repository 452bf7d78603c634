"""Batch prediction over crops, in a process of its own."""

import subprocess
import sys
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest

from mien.bundle import load_bundle, shipped_bundle
from mien.classifier import probabilities
from mien.predicting import CropError, outputs, predict
from mien.predictions import Crop, Prediction, Task

BUNDLE = load_bundle(shipped_bundle())
with np.load(BUNDLE.path / "known_answer.npz") as _known:
    IMAGES, LOGITS = _known["images"], _known["logits"]
CROPS = [Crop(9 - n, cv2.imencode(".png", image)[1].tobytes()) for n, image in enumerate(IMAGES)]


def shares(prediction: Prediction) -> Any:
    return np.frombuffer(prediction.probabilities, "<f4")


def test_the_answers_are_the_networks() -> None:
    found = list(predict(Task(str(BUNDLE.path), CROPS, min_confidence=0)))
    assert [one.id for one in found] == [crop.id for crop in CROPS]
    for one, logits in zip(found, LOGITS, strict=True):
        expected = probabilities(logits, BUNDLE.calibration.temperature)
        assert shares(one) == pytest.approx(expected, abs=0.1)
        assert one.expression == shares(one).argmax()
        assert len(one.embedding) == 4 * 224


def test_below_the_limit_it_cannot_tell() -> None:
    for limit in (None, 0.95):
        least = BUNDLE.thresholds.confidence if limit is None else limit
        for one in predict(Task(str(BUNDLE.path), CROPS, min_confidence=limit)):
            assert (one.expression is None) == (shares(one).max() < least)


def test_a_personal_head_answers_instead() -> None:
    layer = np.zeros((225, 7), "<f4")
    layer[-1, 5] = 9  # surprise, whatever is seen
    found = list(predict(Task(str(BUNDLE.path), CROPS, layer.tobytes())))
    assert {one.expression for one in found} == {5}


@pytest.mark.parametrize(
    "png", [b"", b"no picture", cv2.imencode(".png", IMAGES[0][:40])[1].tobytes()]
)
def test_a_crop_that_is_none(png: bytes) -> None:
    with pytest.raises(CropError, match="no grey picture of 48×48 pixels"):
        list(outputs(BUNDLE, [png]))


@pytest.mark.parametrize("text", [b"{", b'{"bundle": "/nowhere", "crops": []}'])
def test_the_process_says_what_is_wrong(text: bytes) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mien.predicting"], input=text, capture_output=True, check=False
    )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert b"Traceback" not in done.stderr


def test_the_process() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mien.predicting"],
        input=msgspec.json.encode(Task(str(BUNDLE.path), CROPS)),
        capture_output=True,
        check=True,
    )
    found = [msgspec.json.decode(line, type=Prediction) for line in done.stdout.splitlines()]
    assert [one.id for one in found] == [crop.id for crop in CROPS]
