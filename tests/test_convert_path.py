"""The whole path in small, for real: drawn faces, library, training, bundle, and a daemon that
reads a face with it."""

import contextlib
import json
import logging
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from drawn import drawn
from mien.__main__ import main as mien
from mien.bundle import load_bundle
from mien.classifier import LiteRTClassifier, known_answer
from mien.clock import SystemClock
from mien.commands.demo import portrait
from mien.config import Store as StoreConfig
from mien.config import default_state_dir
from mien.control import ControlClient, ControlError
from mien.events import EXPRESSIONS
from mien.store import Store
from mien_convert.__main__ import main
from mien_convert.bundle import drawings
from mien_convert.dataset import Dataset, load_dataset
from mien_convert.errors import DatasetError, TrainingError
from mien_convert.heads import read_answers
from mien_convert.network import build
from mien_convert.preset import load_preset
from mien_convert.quantize import quantize
from mien_convert.train import train

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # TensorFlow's own are not ours to mend
    pytest.mark.timeout(900),
]


COUNT, HELD_OUT = 300, 20


@pytest.fixture(scope="module")
def faces() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """300 drawn faces and their labels."""
    pytest.importorskip("tensorflow")
    pytest.importorskip("keras")
    random = np.random.default_rng(5)
    labels = random.integers(0, 7, COUNT)
    return np.stack([drawn(int(label), random) for label in labels]), labels


@pytest.fixture(scope="module")
def data(
    faces: tuple[NDArray[np.uint8], NDArray[np.int64]], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The drawn faces with votes; 280 to learn from and 20 of PublicTest."""
    images, labels = faces
    votes = np.zeros((COUNT, 10), np.uint8)
    votes[np.arange(COUNT), np.array([4, 5, 6, 1, 3, 2, 0])[labels]] = 10
    path = tmp_path_factory.mktemp("data") / "drawn.npz"
    usage = np.array([0] * (COUNT - HELD_OUT) + [1] * HELD_OUT)
    np.savez(path, images=images, labels=labels, fer_plus=votes, usage=usage)
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> Any:
    """What `mien-convert … --json` printed."""
    assert main([*(str(argument) for argument in arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_from_pictures_to_a_face_that_the_box_reads(
    faces: tuple[NDArray[np.uint8], NDArray[np.int64]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The whole path in small: folders → library → data → bundle → zip → box → a reading."""
    for number, (image, label) in enumerate(zip(*faces, strict=True)):
        folder = tmp_path / "pictures" / EXPRESSIONS[label]
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"{number}.png"), image)
    library, data, out = tmp_path / "library", tmp_path / "drawn.npz", tmp_path / "drawn-1"
    run(capsys, "import", library, tmp_path / "pictures", "--cropped", "--licence", "drawn here")
    run(capsys, "library", library, "split", "--shares", "0.9,0.1,0")
    run(capsys, "library", library, "export", "--out", data)

    command = ("make", "--data", data, "--out", out, "--epochs", "2")
    document = run(capsys, *command)
    assert document["name"] == "drawn-1"
    assert document["lineage"]["epochs"] == 2
    figures = document["accuracy"]["public_test"]
    assert figures["agreement_with_float"] >= 0.8
    evaluated = run(capsys, "evaluate", out, "--data", data, "--usage", "PublicTest")
    assert evaluated["n"] == figures["n"] > 10
    assert evaluated["accuracy"] == pytest.approx(figures["accuracy"])
    assert evaluated["ece"] == pytest.approx(figures["ece"], abs=1e-3)
    packed = tmp_path / "drawn-1.zip"
    run(capsys, "bundle", out, "--out", packed)

    box = tmp_path / "box.toml"
    box.write_text(f'[box]\nid = "testbox"\nstate_dir = "{tmp_path / "state"}"\n')
    models = tmp_path / "state" / "models"
    models.mkdir(parents=True)
    fetched = default_state_dir() / "models" / "blazeface"  # by `make setup`
    (models / "blazeface").symlink_to(fetched)
    config = ["--config", str(box)]
    assert mien(["models", "install", str(packed), *config]) == 0
    assert mien(["models", "activate", "drawn-1", *config]) == 0
    capsys.readouterr()
    health, live = first_look(tmp_path / "state", config)
    assert "drawn-1" in health
    (face,) = live["readings"]
    assert sum(face["probabilities"].values()) == pytest.approx(1, abs=0.02)

    assert main([str(argument) for argument in command]) == 2
    assert "is not an empty folder" in capsys.readouterr().err


def first_look(state: Path, config: list[str]) -> tuple[str, dict[str, Any]]:
    """What a daemon that looks at the portrait says of its networks and of the face."""
    store = Store.open(state, SystemClock(), StoreConfig())
    store.set_up("demo")
    store.close()
    command = [sys.executable, "-m", "mien", "run", *config, "--source", str(portrait())]
    daemon = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    client = ControlClient(state / "control.sock")
    try:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with contextlib.suppress(ControlError):
                picture = client.preview(-1, 5.0)
                if picture and (live := json.loads(picture.live))["readings"]:
                    return str(client.status()), live
            time.sleep(0.1)
        raise AssertionError("the daemon showed no face")
    finally:
        client.close()
        daemon.terminate()
        daemon.communicate(timeout=30)


def test_the_heads_belong_to_the_features(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "drawn-2"
    document = run(capsys, "make", "--data", data, "--out", out, "--epochs", "2")
    assert document["lineage"]["parameters"] == 2460231
    assert set(document["calibration"]) == {"temperature", "word_temperature"}
    bundle = load_bundle(out)
    classifier = LiteRTClassifier(bundle)
    known_answer(classifier)
    answers = read_answers(classifier, load_dataset(data).images[:20])
    share = load_preset("mien").answer_weight
    mixed = share * answers.word + (1 - share) * answers.votes
    assert np.abs(mixed - answers.said).max() < 0.1 * np.ptp(answers.said)
    assert np.abs(answers.word - answers.votes).max() > 0
    assert classifier.classify(drawings()[0]).features.shape == (6, 6, 224)
    assert bundle.model.stat().st_size < 5_000_000

    other = tmp_path / "other.npz"
    np.savez(other, **dict(np.load(data)), more=np.zeros(1))
    folder = str(tmp_path / "drawn-2-run")
    assert main(["quantize", folder, "--data", str(other), "--out", str(tmp_path / "b")]) == 2
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
