"""The whole path in small, for real: drawn faces → train → quantise → bundle → evaluate."""

import json
import logging
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from mien.bundle import load_bundle
from mien.classifier import LiteRTClassifier, known_answer
from mien_convert.__main__ import main
from mien_convert.dataset import Dataset
from mien_convert.errors import DatasetError, TrainingError
from mien_convert.network import build
from mien_convert.preset import load_preset
from mien_convert.quantize import quantize
from mien_convert.train import train

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # TensorFlow's own are not ours to mend
    pytest.mark.timeout(900),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 drawn faces, the mouth tells the label; 280 to learn from and 20 of PublicTest."""
    pytest.importorskip("tensorflow")
    pytest.importorskip("keras")
    random = np.random.default_rng(5)
    images, labels = [], random.integers(0, 7, 300)
    for label in labels:
        face = np.full((48, 48), random.integers(20, 80), np.uint8)
        cv2.ellipse(face, (24, 24), (17, 21), 0, 0, 360, [180], -1)
        cv2.circle(face, (17, 20), 3, [60], -1)
        cv2.circle(face, (31, 20), 3, [60], -1)
        cv2.ellipse(face, (24, 35), (4 + int(label), 2 + int(label) % 4), 0, 0, 180, [50], 2)
        images.append(face + random.integers(0, 20, face.shape, dtype=np.uint8))
    votes = np.zeros((300, 10), np.uint8)
    votes[np.arange(300), np.array([4, 5, 6, 1, 3, 2, 0])[labels]] = 10
    path = tmp_path_factory.mktemp("data") / "drawn.npz"
    usage = np.array([0] * 280 + [1] * 20)
    np.savez(path, images=np.stack(images), labels=labels, fer_plus=votes, usage=usage)
    return path


def test_one_command_makes_a_bundle_that_the_box_reads(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "drawn-1"
    command = ["make", "--data", str(data), "--out", str(out), "--epochs", "2", "--json"]
    assert main(command) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["name"] == "drawn-1"
    assert document["lineage"]["epochs"] == 2
    assert document["lineage"]["parameters"] == 2460231
    figures = document["accuracy"]["public_test"]
    assert figures["n"] == 20
    assert figures["agreement_with_float"] >= 0.8

    bundle = load_bundle(out)
    classifier = LiteRTClassifier(bundle)
    known_answer(classifier)
    with np.load(out / "head.npz") as head, np.load(out / "known_answer.npz") as known:
        answer = classifier.classify(known["images"][0])
        again = answer.features.mean(axis=(0, 1)) @ head["weights"] + head["bias"]
        spread = np.ptp(known["logits"])
    assert answer.features.shape == (6, 6, 192)
    assert np.abs(again - answer.logits).max() < 0.1 * spread, "the head belongs to the features"
    assert "drawn-1" in (out / "MODEL_CARD.md").read_text("utf-8")
    assert bundle.model.stat().st_size < 2_000_000

    evaluate = ["evaluate", str(out), "--data", str(data), "--usage", "PublicTest", "--json"]
    assert main(evaluate) == 0
    evaluated = json.loads(capsys.readouterr().out)
    assert evaluated["accuracy"] == pytest.approx(figures["accuracy"])
    assert evaluated["ece"] == pytest.approx(figures["ece"])

    assert main(command) == 2
    assert "is not an empty folder" in capsys.readouterr().err
    other = tmp_path / "other.npz"
    shutil.copy(data, other)
    np.savez(other, **dict(np.load(data)), more=np.zeros(1))
    run = str(tmp_path / "drawn-1-run")
    assert main(["quantize", run, "--data", str(other), "--out", str(tmp_path / "b")]) == 2
    assert "is not the file" in capsys.readouterr().err


class Keeper(logging.Handler):
    """Copies the checkpoint when the first epoch is reported: all that a killed run leaves."""

    def __init__(self, run: Path, copy: Path) -> None:
        super().__init__()
        self.run, self.copy = run, copy

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage().startswith("epoch 1 "):
            shutil.copytree(self.run, self.copy)


def test_a_killed_run_goes_on_with_the_same_curve(data: Path, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    keeper, log = Keeper(whole, killed), logging.getLogger("mien_convert")
    before = log.level
    log.addHandler(keeper)
    log.setLevel(logging.INFO)
    try:
        wanted = train(data, whole, epochs=3, seed=4).history
    finally:
        log.removeHandler(keeper)
        log.setLevel(before)

    with pytest.raises(TrainingError, match="add --resume"):
        train(data, killed, epochs=3, seed=4)
    with pytest.raises(TrainingError, match="another preset, seed"):
        train(data, killed, epochs=3, seed=5, resume=True)
    resumed = train(data, killed, epochs=3, seed=4, resume=True).history
    assert [e.epoch for e in resumed] == [1, 2, 3]
    # bfloat16 sums in another order differ in the third figure; another curve differs in the first.
    assert [e.loss for e in resumed] == pytest.approx([e.loss for e in wanted], rel=0.01)


def test_pictures_that_set_no_range_are_refused(data: Path, tmp_path: Path) -> None:
    black = Dataset(np.zeros((5, 48, 48), np.uint8), np.zeros(5, np.uint8))
    with pytest.raises(DatasetError, match="all of one grey"):
        quantize(build(load_preset("mien")), black.images, tmp_path / "x.tflite")
