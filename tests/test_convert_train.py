"""Training stops in a sentence: a loss that is no number, a disk that is full."""

import errno
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mien_convert.dataset import Dataset
from mien_convert.errors import TrainingError
from mien_convert.preset import load_preset
from mien_convert.train import Epoch, Run, _batches, _one_epoch, _save, latest_checkpoint, read_run


class FakeNetwork:
    """Stands in for a keras.Model: gives the losses in turn, fills `room` bytes, then no more."""

    def __init__(self, losses: list[float], room: int | None = None) -> None:
        self.losses, self.room = losses, room
        self.weights: list[object] = []

    def reset_metrics(self) -> None:
        pass

    def train_on_batch(self, images: NDArray[np.float32], answers: NDArray[np.float32]) -> float:
        assert images.shape[1:] == (48, 48, 1)
        assert len(images) == len(answers)
        return self.losses.pop(0)

    def save(self, path: Path) -> None:
        path.write_bytes(bytes(10))
        if self.room is not None and self.room < 10:
            raise OSError(errno.ENOSPC, "No space left on device")


def run(history: list[Epoch]) -> Run:
    return Run("mien", load_preset("mien"), 1, "00", 400, {}, 7, 7, history)


def faces(count: int) -> Dataset:
    images = np.random.default_rng(0).integers(0, 256, (count, 48, 48), dtype=np.uint8)
    return Dataset(images, np.zeros(count, np.uint8))


def test_a_loss_that_is_no_number_stops_and_names_the_batch() -> None:
    network = FakeNetwork([1.0, float("nan"), 1.0])
    wanted = np.zeros((400, 7), np.float32)
    with pytest.raises(TrainingError, match="nan in batch 2 of epoch 5"):
        _one_epoch(network, FakeNetwork([]), faces(400), wanted, run([]), 5)


def test_the_loss_of_an_epoch_is_the_mean() -> None:
    network = FakeNetwork([1.0, 2.0, 3.0])
    wanted = np.zeros((400, 7), np.float32)
    assert _one_epoch(network, FakeNetwork([]), faces(400), wanted, run([]), 1) == 2.0


def test_batches_are_the_same_for_the_same_epoch_only() -> None:
    wanted = np.arange(20, dtype=np.float32)[:, None]

    def answers(epoch: int) -> list[float]:
        batches = _batches(faces(20), wanted, 8, [1, epoch], strength=1.0)
        return [float(row[0]) for _, batch in batches for row in batch]

    assert len(answers(1)) == 16
    assert answers(1) == answers(1)
    assert answers(1) != answers(2)


def test_a_checkpoint_takes_the_place_of_the_last(tmp_path: Path) -> None:
    network, history = FakeNetwork([]), [Epoch(1, 1.5, 0.5, 2.0)]
    _save(tmp_path, run(history), network, network)
    history.append(Epoch(2, 1.25, None, 2.0))
    _save(tmp_path, run(history), network, network)
    checkpoint = latest_checkpoint(tmp_path)
    assert checkpoint is not None
    assert [folder.name for folder in tmp_path.iterdir()] == ["epoch-0002"]
    assert read_run(checkpoint).history == history


def test_a_full_disk_keeps_the_last_checkpoint(tmp_path: Path) -> None:
    network, history = FakeNetwork([]), [Epoch(1, 1.5, 0.5, 2.0)]
    _save(tmp_path, run(history), network, network)
    history.append(Epoch(2, 1.25, None, 2.0))
    with pytest.raises(TrainingError, match=r"epoch 2 could not be written.*--resume"):
        _save(tmp_path, run(history), FakeNetwork([], room=0), network)
    assert [folder.name for folder in tmp_path.iterdir()] == ["epoch-0001"]


def test_a_broken_checkpoint_is_told(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(TrainingError, match="not a whole checkpoint"):
        read_run(tmp_path)
    assert latest_checkpoint(tmp_path) is None


def test_epochs_belong_to_cycles() -> None:
    preset = load_preset("mien")
    first, second = preset.cycles
    assert preset.epochs == first.epochs + second.epochs
    assert preset.cycle_of(1) == (first, True)
    assert preset.cycle_of(first.epochs) == (first, False)
    assert preset.cycle_of(first.epochs + 1) == (second, True)
    with pytest.raises(ValueError, match="beyond the last"):
        preset.cycle_of(preset.epochs + 1)


@pytest.mark.parametrize("epochs", [1, 2, 3, 28, 56, 100])
def test_fewer_epochs_are_shared_among_the_cycles(epochs: int) -> None:
    assert load_preset("mien").lasting(epochs).epochs == epochs
