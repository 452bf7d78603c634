"""Training stops in a sentence: a loss that is no number, a disk that is full."""

import errno
from dataclasses import replace
from importlib import resources
from pathlib import Path
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from mien.bundle import load_bundle, shipped_bundle
from mien.classifier import LiteRTClassifier
from mien_convert.dataset import Dataset
from mien_convert.errors import TrainingError, WorkshopError
from mien_convert.heads import read_answers
from mien_convert.preset import Convolution, Dense, Dropout, Residual, load_preset, with_classes
from mien_convert.run import Epoch, Run, chosen_checkpoint, latest_checkpoint, read_run
from mien_convert.train import (
    Networks,
    _batches,
    _mixed,
    _one_epoch,
    _save,
    _taught,
    _teacher,
    _weights,
    as_input,
)


class FakeNetwork:
    """Stands in for a keras.Model: gives the losses in turn, fills `room` bytes, then no more."""

    def __init__(self, losses: list[float], room: int | None = None) -> None:
        self.losses, self.room = losses, room
        self.weights: list[object] = []

        self.outputs, self.optimizer = [None, None], SimpleNamespace(learning_rate=0.0)
        self.rates: list[float] = []

    def reset_metrics(self) -> None:
        pass

    def train_on_batch(
        self,
        images: NDArray[np.float32],
        answers: list[NDArray[np.float32]],
        sample_weight: list[NDArray[np.float32]],
        return_dict: bool,
    ) -> dict[str, float]:
        assert return_dict
        assert [len(rows) for rows in answers + sample_weight] == [len(images)] * 4
        self.sizes = images.shape[1:]
        self.rates.append(self.optimizer.learning_rate)
        return {"loss": self.losses.pop(0), "logits_accuracy": 0.25}

    def save(self, path: Path) -> None:
        path.write_bytes(bytes(10))
        if self.room is not None and self.room < 10:
            raise OSError(errno.ENOSPC, "No space left on device")


def run(history: list[Epoch]) -> Run:
    preset = msgspec.structs.replace(load_preset("mien"), patience=None)
    return Run("mien", preset, 1, "00", 400, {}, [], 7, 7, history)


def faces(count: int) -> Dataset:
    images = np.random.default_rng(0).integers(0, 256, (count, 48, 48), dtype=np.uint8)
    return Dataset(images, np.zeros(count, np.uint8))


def one_epoch(network: FakeNetwork, epoch: int) -> tuple[float, float]:
    answers = np.zeros((400, 7), np.float32)
    nets = Networks(network, FakeNetwork([]))
    weights = np.ones(400, np.float32)
    return _one_epoch(nets, faces(400), (answers, answers), weights, run([]), epoch)


def test_a_loss_that_is_no_number_stops_and_names_the_batch() -> None:
    with pytest.raises(TrainingError, match="nan in batch 2 of epoch 5"):
        one_epoch(FakeNetwork([1.0, float("nan"), 1.0]), 5)


def test_the_loss_of_an_epoch_is_the_mean() -> None:
    assert one_epoch(FakeNetwork([1.0, 2.0, 3.0]), 1) == (2.0, 0.25)


def test_the_phase_sets_the_size_and_the_rate() -> None:
    preset = load_preset("mien")
    first, last = FakeNetwork([1.0] * 3), FakeNetwork([1.0] * 3)
    one_epoch(first, 1)
    one_epoch(last, preset.epochs)
    assert first.sizes == (preset.phases[0].size, preset.phases[0].size, 1)
    assert last.sizes == (preset.phases[-1].size, preset.phases[-1].size, 1)
    assert first.rates == sorted(first.rates)
    assert last.rates == sorted(last.rates, reverse=True)
    assert last.rates[-1] == pytest.approx(preset.phases[-1].final_rate)


def test_batches_are_the_same_for_the_same_epoch_only() -> None:
    phase = load_preset("mien").phases[0]

    def rows(epoch: int) -> list[int]:
        return [int(row) for batch, _ in _batches(faces(20), 8, [1, epoch], phase) for row in batch]

    assert len(rows(1)) == 16
    assert rows(1) == rows(1)
    assert rows(1) != rows(2)


def test_pictures_are_mixed_with_their_targets() -> None:
    images = np.stack([np.full((48, 48), grey, np.uint8) for grey in (0, 100, 200)])
    mixed, (answers,) = _mixed(images, [np.eye(3, dtype=np.float32)], 0.75)
    assert mixed[:, 0, 0].tolist() == [50, 75, 175]
    assert answers.tolist() == [[0.75, 0, 0.25], [0.25, 0.75, 0], [0, 0.25, 0.75]]


class FakeTeacher:
    """Says on every picture that the first class is likely to these odds, in both heads."""

    def __init__(self, odds: float) -> None:
        self.odds = odds

    def predict_on_batch(self, images: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        logits = np.zeros((len(images), 7), np.float32)
        logits[:, 0] = np.log(6 * self.odds)
        return [logits, logits]


def test_teachers_are_mixed_into_what_is_learnt() -> None:
    wanted = [np.eye(7, dtype=np.float32)[[6, 6]]] * 2
    preset = msgspec.structs.replace(load_preset("mien"), teacher_weight=0.5)
    nets = Networks(None, None, [FakeTeacher(1), FakeTeacher(3)])
    for answers in _taught(nets, faces(2).images, wanted, preset):
        assert answers.sum(axis=1) == pytest.approx([1, 1])
        assert answers[:, 0] == pytest.approx([0.5 * (1 / 2 + 3 / 4) / 2] * 2)
    assert wanted[0][0].tolist() == [0, 0, 0, 0, 0, 0, 1], "the targets stay as they were"


def test_a_bundle_teaches_with_its_two_heads() -> None:
    bundle = load_bundle(shipped_bundle())
    images = np.random.default_rng(1).integers(0, 256, (3, 48, 48)).astype(np.uint8)
    told = _teacher(bundle.path, load_preset("mien")).predict_on_batch(as_input(images))
    expected = read_answers(LiteRTClassifier(bundle), images)
    assert np.array_equal(told[0], expected.word)
    assert np.array_equal(told[1], expected.votes)


def test_a_bundle_of_other_classes_cannot_teach() -> None:
    with pytest.raises(TrainingError, match=r"cannot teach this run: it has other classes"):
        _teacher(shipped_bundle(), with_classes(load_preset("mien"), ["anger", "fear"]))


def test_balanced_classes_weigh_the_same() -> None:
    preset = msgspec.structs.replace(
        load_preset("mien"), class_weights="balanced", classes=["anger", "fear"]
    )
    training = replace(faces(10), labels=np.array([0] * 8 + [2] * 2, np.uint8))
    weights = _weights(training, preset)
    assert weights[:8].sum() == pytest.approx(weights[8:].sum())
    assert weights.mean() == pytest.approx(1)


def test_patience_ends_a_run_and_its_best_epoch_counts(tmp_path: Path) -> None:
    patient = run([])
    patient.preset = msgspec.structs.replace(patient.preset, patience=2)
    network = FakeNetwork([])
    for number, accuracy in enumerate([0.3, 0.5, 0.4], 1):
        patient.history.append(Epoch(number, 1.0, 0.5, 1.0, accuracy, 2.0))
        assert not patient.is_over
        _save(tmp_path, patient, Networks(network, network))
    patient.history.append(Epoch(4, 1.0, 0.5, 1.0, 0.5, 2.0))
    assert patient.is_over
    assert sorted(folder.name for folder in tmp_path.iterdir()) == ["epoch-0002", "epoch-0003"]
    assert chosen_checkpoint(tmp_path).name == "epoch-0002"


def test_a_checkpoint_takes_the_place_of_the_last(tmp_path: Path) -> None:
    network, history = FakeNetwork([]), [Epoch(1, 1.5, 0.4, 1.6, 0.5, 2.0)]
    _save(tmp_path, run(history), Networks(network, network))
    history.append(Epoch(2, 1.25, 0.5, None, None, 2.0))
    _save(tmp_path, run(history), Networks(network, network))
    checkpoint = latest_checkpoint(tmp_path)
    assert checkpoint is not None
    assert [folder.name for folder in tmp_path.iterdir()] == ["epoch-0002"]
    assert read_run(checkpoint).history == history


def test_a_full_disk_keeps_the_last_checkpoint(tmp_path: Path) -> None:
    network, history = FakeNetwork([]), [Epoch(1, 1.5, 0.4, 1.6, 0.5, 2.0)]
    _save(tmp_path, run(history), Networks(network, network))
    history.append(Epoch(2, 1.25, 0.5, None, None, 2.0))
    with pytest.raises(TrainingError, match=r"epoch 2 could not be written.*--resume"):
        _save(tmp_path, run(history), Networks(FakeNetwork([], room=0), network))
    assert [folder.name for folder in tmp_path.iterdir()] == ["epoch-0001"]


def test_a_broken_checkpoint_is_told(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(TrainingError, match="not a whole checkpoint"):
        read_run(tmp_path)
    assert latest_checkpoint(tmp_path) is None


def test_epochs_belong_to_phases() -> None:
    preset = load_preset("mien")
    first, second = preset.phases[:2]
    assert preset.epochs == sum(phase.epochs for phase in preset.phases)
    assert preset.phase_of(1) == (first, 0)
    assert preset.phase_of(first.epochs) == (first, first.epochs - 1)
    assert preset.phase_of(first.epochs + 1) == (second, 0)
    with pytest.raises(ValueError, match="beyond the last"):
        preset.phase_of(preset.epochs + 1)


@pytest.mark.parametrize("epochs", [1, 2, 3, 28, 56, 100])
def test_fewer_epochs_are_shared_among_the_phases(epochs: int) -> None:
    assert load_preset("mien").lasting(epochs).epochs == epochs


def test_a_preset_may_be_a_file_and_says_what_is_wrong_in_it(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    text = (resources.files("mien_convert") / "presets" / "mien.toml").read_text("utf-8")
    file.write_text(text)
    assert load_preset(str(file)) == load_preset("mien")
    file.write_text(text.replace("batch = 128", "batch = 0"))
    with pytest.raises(WorkshopError, match=r"own.toml is not complete.*>= 1.*batch"):
        load_preset(str(file))
    with pytest.raises(WorkshopError, match="cannot be read"):
        load_preset(str(tmp_path / "none.toml"))


def test_layers_that_do_not_fit_together_are_told_before_anything_is_built() -> None:
    preset = load_preset("mien")
    with pytest.raises(ValueError, match="layer 2 is a residual block of 8 filters after"):
        msgspec.structs.replace(preset, layers=[Convolution(4), Residual(8)])
    with pytest.raises(ValueError, match="layer 3 needs a map, but the dense layer 1 laid it out"):
        msgspec.structs.replace(preset, layers=[Dense(4), Dropout(0.5), Convolution(4)])


@pytest.mark.parametrize("classes", [["anger", "joy"], ["anger", "anger"]])
def test_classes_are_some_of_the_seven(classes: list[str]) -> None:
    with pytest.raises(WorkshopError, match=r"These classes are anger.*out of: anger, disgust"):
        with_classes(load_preset("mien"), classes)
