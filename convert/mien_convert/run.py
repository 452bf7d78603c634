"""A run: what was asked of a training, how far it came, and its checkpoints on disk."""

from pathlib import Path
from typing import Any

import msgspec

from mien.filenames import printable, reason
from mien_convert import network
from mien_convert.errors import TrainingError, WorkshopError
from mien_convert.preset import Preset

CHECKPOINT, UNFINISHED = "epoch-", "unfinished"


class Epoch(msgspec.Struct, frozen=True):
    """One epoch: mean loss and accuracy on the changed pictures it learnt from; of the averaged
    weights on PublicTest loss and accuracy against the label and, with a head for the votes, its
    accuracy against their majority, None without that part; seconds."""

    epoch: int
    loss: float
    training_accuracy: float
    public_test_loss: float | None
    accuracy: float | None
    seconds: float
    fer_plus_accuracy: float | None = None


class Run(msgspec.Struct):
    """What a run was asked to do and how far it came; `run.json` in each checkpoint."""

    preset_name: str
    preset: Preset
    seed: int
    data_sha256: str
    pictures: int
    left_out: dict[str, int]
    teachers: list[str]
    """The SHA-256 of each teacher's averaged network."""
    parameters: int
    multiply_adds: int
    history: list[Epoch]

    @property
    def best(self) -> Epoch | None:
        """The epoch that was most often right on PublicTest, the first of equals."""
        measured = [epoch for epoch in self.history if epoch.accuracy is not None]
        return max(measured, key=lambda epoch: epoch.accuracy or 0.0, default=None)

    @property
    def chosen(self) -> Epoch | None:
        """The epoch that counts: the last, or with `patience` the best."""
        if self.preset.patience is not None and self.best is not None:
            return self.best
        return self.history[-1] if self.history else None

    @property
    def is_over(self) -> bool:
        """Whether all epochs are done, or `patience` ran out."""
        if len(self.history) >= self.preset.epochs:
            return True
        patience, best = self.preset.patience, self.best
        return patience is not None and best is not None and (
            len(self.history) - best.epoch >= patience
        )  # fmt: skip


def check_name(out: Path) -> None:
    """Raises WorkshopError for a folder that TensorFlow cannot write to for its name."""
    if printable(out) != str(out):
        raise WorkshopError(
            f"The name of the folder {out} is not UTF-8, and TensorFlow cannot write there; "
            "name another with --out."
        )


def latest_checkpoint(run: Path) -> Path | None:
    """The folder of the last finished epoch of a run, or None."""
    return max(run.glob(f"{CHECKPOINT}[0-9]*"), default=None)


def chosen_checkpoint(run: Path) -> Path:
    """The folder of the epoch that counts: the last, or with `patience` the best.

    Raises TrainingError when there is none."""
    latest = latest_checkpoint(run)
    if latest is None:
        raise TrainingError(f"{run} holds no finished epoch; begin with mien-convert train.")
    chosen = read_run(latest).chosen
    return latest if chosen is None else checkpoint_folder(run, chosen.epoch)


def read_run(checkpoint: Path) -> Run:
    """Read `run.json` of a checkpoint. Raises TrainingError when it is missing or broken."""
    try:
        return msgspec.json.decode((checkpoint / "run.json").read_bytes(), type=Run)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise TrainingError(f"{checkpoint} is not a whole checkpoint: {reason(error)}.") from error


def load_averaged(checkpoint: Path) -> Any:
    """The averaged float32 network of a checkpoint with all its heads, in TensorFlow;
    `network.answering` makes one head of them.

    Raises TrainingError when the checkpoint is broken, WorkshopError on another backend.
    """
    keras = network.require("keras")
    if keras.backend.backend() != "tensorflow":
        raise WorkshopError(
            f"This needs Keras on TensorFlow, not on {keras.backend.backend()}; "
            "set KERAS_BACKEND=tensorflow."
        )
    try:
        return keras.saving.load_model(checkpoint / "averaged.keras", compile=False)
    except (OSError, ValueError) as error:
        raise TrainingError(f"{checkpoint} is not a whole checkpoint: {reason(error)}.") from error


def load_network(checkpoint: Path) -> Any:
    """The network of `load_averaged` with the one output `logits`, the answer. Raises as that."""
    return network.answering(load_averaged(checkpoint), read_run(checkpoint).preset)


def checkpoint_folder(out: Path, epoch: int) -> Path:
    return out / f"{CHECKPOINT}{epoch:04d}"
