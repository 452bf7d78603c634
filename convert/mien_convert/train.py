"""Training: seeded by epoch, a checkpoint after each, so that a killed run goes on as it was."""

import contextlib
import logging
import math
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from mien_convert import network
from mien_convert.augment import augment
from mien_convert.dataset import Dataset, clean, file_sha256, load_dataset, targets
from mien_convert.errors import TrainingError
from mien_convert.preset import Cycle, Preset, load_preset

log = logging.getLogger(__name__)

CHECKPOINT = "epoch-"


class Epoch(msgspec.Struct, frozen=True):
    """One epoch: the mean loss, the accuracy of the averaged weights on PublicTest, the time."""

    epoch: int
    loss: float
    accuracy: float | None
    seconds: float


class Run(msgspec.Struct):
    """What a run was asked to do and how far it came; `run.json` in each checkpoint."""

    preset_name: str
    preset: Preset
    seed: int
    data_sha256: str
    pictures: int
    left_out: dict[str, int]
    parameters: int
    multiply_adds: int
    history: list[Epoch]


def train(
    data: Path,
    out: Path,
    preset_name: str = "mien",
    epochs: int | None = None,
    seed: int = 1,
    resume: bool = False,
) -> Run:
    """Train on the part Training of `data` (all of it where there is no `usage`) into folder `out`.

    Raises DatasetError for data that cannot be used, TrainingError when the run cannot begin, the
    loss is no number or a checkpoint cannot be written.
    """
    preset = load_preset(preset_name)
    if epochs is not None:
        preset = preset.lasting(epochs)
    dataset = load_dataset(data)
    training, held_out = split(dataset)
    training, left_out = clean(training, held_out)
    if len(training) < preset.batch:
        raise TrainingError(
            f"{data} has {len(training)} pictures to learn from; "
            f"expected at least one batch of {preset.batch}."
        )
    log.info("%d pictures to learn from; left out: %s", len(training), left_out)

    keras = network.require("keras")
    keras.utils.set_random_seed(seed)
    averaged = network.build(preset)
    run = Run(
        preset_name, preset, seed, file_sha256(data), len(training), left_out,
        averaged.count_params(), network.multiply_adds(averaged), [],
    )  # fmt: skip
    checkpoint = latest_checkpoint(out)
    if checkpoint is not None and not resume:
        raise TrainingError(f"{out} already holds a run; add --resume to go on, or name another.")
    if checkpoint is None:
        model = network.build(preset, fast=True)
        model.set_weights(averaged.get_weights())
    else:
        before = read_run(checkpoint)
        run.history = before.history
        if msgspec.to_builtins(before) != msgspec.to_builtins(run):
            raise TrainingError(
                f"{out} was begun with another preset, seed, number of epochs or data file; "
                "repeat these as they were, or name another folder."
            )
        network.build(preset, fast=True)  # registers the layer that the checkpoint names
        model = keras.saving.load_model(checkpoint / "model.keras")
        averaged = keras.saving.load_model(checkpoint / "averaged.keras", compile=False)
        log.info("going on after epoch %d", len(run.history))

    wanted = targets(training, preset.label_weight, preset.label_smoothing)
    for epoch in range(len(run.history) + 1, preset.epochs + 1):
        begun = time.monotonic()
        cycle, is_first = preset.cycle_of(epoch)
        if is_first:
            _compile(model, cycle, preset.weight_decay, len(training) // preset.batch)
        loss = _one_epoch(model, averaged, training, wanted, run, epoch)
        accuracy = None if held_out is None else _accuracy(averaged, held_out)
        run.history.append(Epoch(epoch, loss, accuracy, round(time.monotonic() - begun, 1)))
        _save(out, run, model, averaged)
        log.info("epoch %d of %d: loss %.4f, accuracy %s, %.0f s", epoch, preset.epochs, loss,
                 "not measured" if accuracy is None else f"{accuracy:.4f}",
                 run.history[-1].seconds)  # fmt: skip
    return run


def split(dataset: Dataset) -> tuple[Dataset, Dataset | None]:
    """The rows to learn from and, where the file says which, those of PublicTest."""
    if dataset.usage is None:
        return dataset, None
    held_out = dataset[dataset.usage == 1]
    return dataset[dataset.usage == 0], held_out if len(held_out) else None


def latest_checkpoint(run: Path) -> Path | None:
    """The folder of the last finished epoch of a run, or None."""
    return max(run.glob(f"{CHECKPOINT}[0-9]*"), default=None)


def read_run(checkpoint: Path) -> Run:
    """Read `run.json` of a checkpoint. Raises TrainingError when it is missing or broken."""
    try:
        return msgspec.json.decode((checkpoint / "run.json").read_bytes(), type=Run)
    except (OSError, msgspec.DecodeError) as error:
        raise TrainingError(f"{checkpoint} is not a whole checkpoint: {error}.") from error


def as_input(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Pictures u8 [N, 48, 48] as the network takes them: f32 [N, 48, 48, 1] in 0…1."""
    return images[..., None].astype(np.float32) / np.float32(255)


def _compile(model: Any, cycle: Cycle, weight_decay: float, steps: int) -> None:
    keras = network.require("keras")
    warm_up = round(cycle.warm_up_epochs * steps)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, max(cycle.epochs * steps - warm_up, 1),
        warmup_target=cycle.learning_rate, warmup_steps=warm_up,
    )  # fmt: skip
    optimizer = keras.optimizers.SGD(
        schedule, momentum=0.9, nesterov=True, weight_decay=weight_decay
    )
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, jit_compile=False)


def _one_epoch(
    model: Any, averaged: Any, training: Dataset, wanted: NDArray[np.float32], run: Run, epoch: int
) -> float:
    """Returns the mean loss. Raises TrainingError when it is no number."""
    steps = len(training) // run.preset.batch
    total = 0.0
    strength = run.preset.cycle_of(epoch)[0].augmentation
    batches = _batches(training, wanted, run.preset.batch, [run.seed, epoch], strength)
    bar = tqdm(batches, f"epoch {epoch}/{run.preset.epochs}", steps, leave=False, disable=None)
    for number, (images, answers) in enumerate(bar, 1):
        # Keras reports a running mean; reset, so that a broken batch can be named.
        model.reset_metrics()
        loss = float(model.train_on_batch(images, answers))
        if not math.isfinite(loss):
            raise TrainingError(
                f"The loss became {loss} in batch {number} of epoch {epoch}; the last checkpoint "
                "is sound. Lower the learning rate or look for broken pictures."
            )
        total += loss
        step = (epoch - 1) * steps + number
        _average(averaged, model, min(run.preset.average_decay, step / (step + 10)))
    return total / steps


def _average(averaged: Any, model: Any, decay: float) -> None:
    """Move the averaged weights and batch statistics towards the present ones."""
    for slow, now in zip(averaged.weights, model.weights, strict=True):
        slow.assign(slow * decay + now * (1 - decay))


def _batches(
    training: Dataset, wanted: NDArray[np.float32], size: int, seed: list[int], strength: float
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Shuffled, augmented batches; the next one is made while the network works on the last."""
    random = np.random.default_rng(seed)
    order = random.permutation(len(training))

    def make(start: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        rows = order[start : start + size]
        return as_input(augment(training.images[rows], random, strength)), wanted[rows]

    starts = range(0, len(training) - size + 1, size)
    with ThreadPoolExecutor(1) as worker:
        coming = worker.submit(make, 0)
        for start in starts[1:]:
            ready, coming = coming.result(), worker.submit(make, start)
            yield ready
        yield coming.result()


def _accuracy(model: Any, dataset: Dataset) -> float:
    logits = model.predict(as_input(dataset.images), batch_size=512, verbose=0)
    return float((logits.argmax(axis=1) == dataset.labels).mean())


def _save(out: Path, run: Run, model: Any, averaged: Any) -> None:
    """Write the checkpoint beside the last one, then let it take its place."""
    final = out / f"{CHECKPOINT}{len(run.history):04d}"
    unfinished = out / "unfinished"
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        model.save(unfinished / "model.keras")
        averaged.save(unfinished / "averaged.keras")
        (unfinished / "run.json").write_bytes(msgspec.json.format(msgspec.json.encode(run)))
        unfinished.rename(final)
    except OSError as error:
        with contextlib.suppress(OSError):
            shutil.rmtree(unfinished)
        raise TrainingError(
            f"The checkpoint of epoch {len(run.history)} could not be written to {out}: {error}. "
            "Free some space and go on with --resume."
        ) from error
    for older in out.glob(f"{CHECKPOINT}[0-9]*"):
        if older != final:
            shutil.rmtree(older)
