"""Training: seeded by epoch, a checkpoint after each, so that a killed run goes on as it was."""

import contextlib
import logging
import math
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from mien.bundle import load_bundle
from mien.classifier import probabilities
from mien.filenames import printable
from mien_convert import network
from mien_convert.augment import augment, resized
from mien_convert.cleaning import clean
from mien_convert.dataset import (
    LABELS,
    Dataset,
    file_sha256,
    load_dataset,
    missing,
    of_classes,
    targets,
    vote_majority,
)
from mien_convert.errors import TrainingError
from mien_convert.heads import BundleTeacher, has_heads
from mien_convert.preset import Phase, Preset, load_preset, with_classes
from mien_convert.run import (
    CHECKPOINT,
    UNFINISHED,
    Epoch,
    Run,
    check_name,
    checkpoint_folder,
    chosen_checkpoint,
    latest_checkpoint,
    read_run,
)

log = logging.getLogger(__name__)


@dataclass
class Networks:
    """The network that learns, fast; the running average of its weights, exact; its teachers."""

    model: Any
    averaged: Any
    teachers: Sequence[Any] = ()


def train(
    data: Path,
    out: Path,
    preset_name: str = "mien",
    epochs: int | None = None,
    seed: int = 1,
    resume: bool = False,
    classes: list[str] | None = None,
    teachers: Sequence[Path] = (),
) -> Run:
    """Train on the part Training of `data` (all of it where there is no `usage`) into folder `out`.

    With `teachers`, folders of finished runs or bundles, it also learns what these say, on average,
    of the same changed picture (Hinton et al. 2015, "Distilling the knowledge in a neural
    network").

    Raises DatasetError for data that cannot be used, TrainingError when the run cannot begin, the
    loss is no number or a checkpoint cannot be written.
    """
    preset = load_preset(preset_name)
    if epochs is not None:
        preset = preset.lasting(epochs)
    if classes is not None:
        preset = with_classes(preset, classes)
    return train_preset(preset, data, out, preset_name, seed, resume, teachers)


def train_preset(
    preset: Preset,
    data: Path,
    out: Path,
    preset_name: str,
    seed: int,
    resume: bool,
    teachers: Sequence[Path] = (),
    goes_on: Callable[[Run], bool] = lambda run: True,
) -> Run:
    """The same for a preset at hand. Before each epoch `goes_on` may say that it is enough; with
    `resume` the run can go on from there.

    Raises what `train` raises, and what `goes_on` does.
    """
    check_name(out)
    training, held_out, left_out = learnable(data, preset)
    log.info("%d pictures to learn from; left out: %s", len(training), left_out)

    network.require("keras").utils.set_random_seed(seed)
    averaged = network.build(preset)
    answering = network.answering(averaged, preset)
    run = Run(
        printable(preset_name), preset, seed, file_sha256(data), len(training), left_out,
        [file_sha256(_teacher_file(teacher)) for teacher in teachers],
        answering.count_params(), network.multiply_adds(answering), [],
    )  # fmt: skip
    nets = _begin(out, run, averaged, resume)
    nets.teachers = [_teacher(folder, preset) for folder in teachers]
    wanted = targets(training, preset.classes, preset.label_smoothing)
    weights = _weights(training, preset)
    while not run.is_over and goes_on(run):
        epoch, begun = len(run.history) + 1, time.monotonic()
        loss, right = _one_epoch(nets, training, wanted, weights, run, epoch)
        held_out_loss, accuracy, fer_plus = None, None, None
        if held_out is not None:
            held_out_loss, accuracy, fer_plus = _held_out(nets, held_out, preset, epoch)
        seconds = round(time.monotonic() - begun, 1)
        run.history.append(Epoch(epoch, loss, right, held_out_loss, accuracy, seconds, fer_plus))
        _save(out, run, nets)
        _tell(out, run)
    return run


def learnable(data: Path, preset: Preset) -> tuple[Dataset, Dataset | None, dict[str, int]]:
    """The pictures to learn from, those of PublicTest, and why others are left out.

    Raises TrainingError where a class has no picture, or they are fewer than a batch.
    """
    training, held_out = split(of_classes(load_dataset(data), preset.classes))
    training, left_out = clean(training, held_out)
    if empty := missing(training, preset.classes):
        raise TrainingError(
            f"{data} has no picture to learn {' or '.join(empty)} from ({len(training)} in all); "
            f"expected some of each of {', '.join(preset.classes)}. Add pictures, or leave the "
            "class out with --classes."
        )
    if held_out is not None and (empty := missing(held_out, preset.classes)):
        log.warning("No picture of PublicTest is labelled %s.", " or ".join(empty))
    if len(training) < preset.batch:
        raise TrainingError(
            f"{data} has {len(training)} pictures to learn from; "
            f"expected at least one batch of {preset.batch}."
        )
    return training, held_out, left_out


def split(dataset: Dataset) -> tuple[Dataset, Dataset | None]:
    """The rows to learn from and, where the file says which, those of PublicTest."""
    if dataset.usage is None:
        return dataset, None
    held_out = dataset[dataset.usage == 1]
    return dataset[dataset.usage == 0], held_out if len(held_out) else None


def as_input(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Pictures u8 [N, H, W] as the network takes them: f32 [N, H, W, 1] in 0…1."""
    return images[..., None].astype(np.float32) / np.float32(255)


def _begin(out: Path, run: Run, averaged: Any, resume: bool) -> Networks:
    """New networks, or those of the last checkpoint, whose history `run` takes over."""
    keras = network.require("keras")
    checkpoint = latest_checkpoint(out)
    if checkpoint is None:
        model = network.build(run.preset, fast=True)
        model.set_weights(averaged.get_weights())
        _compile(model, run.preset)
        return Networks(model, averaged)
    if not resume:
        raise TrainingError(f"{out} already holds a run; add --resume to go on, or name another.")
    before = read_run(checkpoint)
    run.history = before.history
    if msgspec.to_builtins(before) != msgspec.to_builtins(run):
        raise TrainingError(
            f"{out} was begun with another preset, seed, number of epochs, teacher or data file; "
            "repeat these as they were, or name another folder."
        )
    network.build(run.preset, fast=True)  # registers the layer that the checkpoint names
    log.info("going on after epoch %d", len(run.history))
    return Networks(
        keras.saving.load_model(checkpoint / "model.keras"),
        keras.saving.load_model(checkpoint / "averaged.keras", compile=False),
    )


def _compile(model: Any, preset: Preset) -> None:
    keras = network.require("keras")
    # The rate is set before each batch.
    match preset.optimizer:
        case "sgd":
            optimizer = keras.optimizers.SGD(0.0, momentum=0.9, nesterov=True)
        case "adam":
            optimizer = keras.optimizers.Adam(0.0)
        case "rmsprop":
            optimizer = keras.optimizers.RMSprop(0.0)
    if preset.weight_decay:
        optimizer.weight_decay = preset.weight_decay
        optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    shares = [preset.label_weight, 1 - preset.label_weight][: len(model.outputs)]
    model.compile(
        optimizer,
        loss=[keras.losses.CategoricalCrossentropy(from_logits=True) for _ in shares],
        loss_weights=shares,
        metrics=[["accuracy"] for _ in shares],
        jit_compile=False,
    )


def _weights(training: Dataset, preset: Preset) -> NDArray[np.float32]:
    """The weight of each picture f32 [N] in the loss, 1 on average."""
    if preset.class_weights == "equal":
        return np.ones(len(training), np.float32)
    count = np.bincount(training.labels, minlength=len(LABELS))
    weight = len(training) / (len(preset.classes) * np.maximum(count, 1))
    return weight[training.labels].astype(np.float32)


def _one_epoch(
    nets: Networks,
    training: Dataset,
    wanted: tuple[NDArray[np.float32], ...],
    weights: NDArray[np.float32],
    run: Run,
    epoch: int,
) -> tuple[float, float]:
    """Returns the mean loss and accuracy. Raises TrainingError when the loss is no number."""
    model, preset = nets.model, run.preset
    steps = len(training) // preset.batch
    phase, over = preset.phase_of(epoch)
    heads = len(model.outputs)
    loss_sum = right_sum = 0.0
    batches = _batches(training, preset.batch, [run.seed, epoch], phase)
    random = np.random.default_rng([run.seed, epoch, 1])
    bar = tqdm(batches, f"epoch {epoch}/{preset.epochs}", steps, leave=False, disable=None)
    for number, (rows, changed) in enumerate(bar, 1):
        part = (over + number / steps) / phase.epochs
        model.optimizer.learning_rate = phase.rate + part * (phase.final_rate - phase.rate)
        answers = [one[rows] for one in wanted[:heads]]
        if preset.mixup:
            changed, answers = _mixed(changed, answers, random.beta(preset.mixup, preset.mixup))
        # Keras reports a running mean; reset, so that a broken batch can be named.
        model.reset_metrics()
        told = model.train_on_batch(
            as_input(resized(changed, phase.size)),
            _taught(nets, changed, answers, preset),
            sample_weight=[weights[rows]] * heads,
            return_dict=True,
        )
        loss = float(told["loss"])
        if not math.isfinite(loss):
            raise TrainingError(
                f"The loss became {loss} in batch {number} of epoch {epoch}; the last checkpoint "
                "is sound. Lower the learning rate or look for broken pictures."
            )
        loss_sum += loss
        right_sum += float(told["accuracy" if heads == 1 else "logits_accuracy"])
        step = (epoch - 1) * steps + number
        _average(nets, min(preset.average_decay, step / (step + 10)))
    return loss_sum / steps, right_sum / steps


def _mixed(
    images: NDArray[np.uint8], answers: list[NDArray[np.float32]], share: float
) -> tuple[NDArray[np.uint8], list[NDArray[np.float32]]]:
    """Each picture of a batch mixed with the next, and their targets in the same shares (Zhang et
    al. 2018, "mixup: Beyond empirical risk minimization")."""
    other = np.roll(images, 1, axis=0)
    mixed = np.rint(share * images.astype(np.float32) + (1 - share) * other).astype(np.uint8)
    rest = np.float32(1 - share)
    return mixed, [one * (1 - rest) + np.roll(one, 1, axis=0) * rest for one in answers]


def _teacher_file(folder: Path) -> Path:
    bundle = folder / "expression.tflite"
    return bundle if bundle.exists() else chosen_checkpoint(folder) / "averaged.keras"


def _teacher(folder: Path, preset: Preset) -> Any:
    """A bundle, or the averaged network of a finished run in its fast form.

    Raises TrainingError, and BundleError for a damaged bundle.
    """
    if (folder / "bundle.toml").exists():
        bundle = load_bundle(folder)
        if list(preset.classes) != bundle.labels or (
            preset.label_weight < 1 and not has_heads(bundle)
        ):
            raise _strange_teacher(folder)
        return BundleTeacher(bundle)
    checkpoint = chosen_checkpoint(folder)
    taught = read_run(checkpoint).preset
    has_votes, needs_votes = taught.label_weight < 1, preset.label_weight < 1
    if taught.classes != preset.classes or needs_votes > has_votes:
        raise _strange_teacher(folder)
    averaged = network.require("keras").saving.load_model(
        checkpoint / "averaged.keras", compile=False
    )
    model = network.build(taught, fast=True)
    model.set_weights(averaged.get_weights())
    return model


def _strange_teacher(folder: Path) -> TrainingError:
    return TrainingError(
        f"{folder} cannot teach this run: it has other classes, or learnt nothing of the votes."
    )


def _taught(
    nets: Networks,
    changed: NDArray[np.uint8],
    wanted: list[NDArray[np.float32]],
    preset: Preset,
) -> list[NDArray[np.float32]]:
    """`wanted`, f32 [N, classes] of each head, mixed with what the teachers say."""
    if not nets.teachers:
        return wanted
    images, count, share = as_input(changed), len(nets.teachers), preset.teacher_weight
    wanted = [answers * (1 - share) for answers in wanted]
    for teacher in nets.teachers:
        told = teacher.predict_on_batch(images)
        for answers, logits in zip(
            wanted, told if isinstance(told, list) else [told], strict=False
        ):
            answers += share / count * probabilities(logits, 1.0)
    return wanted


def _average(nets: Networks, decay: float) -> None:
    """Move the averaged weights and batch statistics towards the present ones."""
    for slow, now in zip(nets.averaged.weights, nets.model.weights, strict=True):
        slow.assign(slow * decay + now * (1 - decay))


def _batches(
    training: Dataset, size: int, seed: list[int], phase: Phase
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint8]]]:
    """Rows and changed pictures, shuffled; the next batch is made while the network works on the
    last."""
    random = np.random.default_rng(seed)
    order = random.permutation(len(training))

    def make(start: int) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        rows = order[start : start + size]
        return rows, augment(training.images[rows], random, phase.augmentation)

    starts = range(0, len(training) - size + 1, size)
    with ThreadPoolExecutor(1) as worker:
        coming = worker.submit(make, 0)
        for start in starts[1:]:
            ready, coming = coming.result(), worker.submit(make, start)
            yield ready
        yield coming.result()


def _held_out(
    nets: Networks, held_out: Dataset, preset: Preset, epoch: int
) -> tuple[float, float, float | None]:
    """Loss and accuracy of the averaged weights against the label, and of the head for the votes
    against their majority, at the phase's size."""
    images = as_input(resized(held_out.images, preset.phase_of(epoch)[0].size))
    learning = nets.model.get_weights()
    # The fast form takes every size; it lends itself for the moment.
    nets.model.set_weights(nets.averaged.get_weights())
    outputs = nets.model.predict(images, batch_size=512, verbose=0)
    nets.model.set_weights(learning)
    word, *others = outputs if isinstance(outputs, list) else [outputs]
    truth = np.array([preset.classes.index(LABELS[label]) for label in held_out.labels])
    likelihood = probabilities(word, 1.0)[np.arange(len(truth)), truth]
    loss = float(-np.log(np.maximum(likelihood, 1e-12)).mean())
    accuracy = float((word.argmax(axis=1) == truth).mean())
    if not others or held_out.votes is None:
        return loss, accuracy, None
    classes = np.array([LABELS.index(name) for name in preset.classes])
    seen, majority = classes[others[0].argmax(axis=1)], vote_majority(held_out.votes)
    clear = np.isin(majority, classes)
    return loss, accuracy, float((seen == majority)[clear].mean()) if clear.any() else None


def _save(out: Path, run: Run, nets: Networks) -> None:
    """Write the checkpoint beside the last one, then let it take its place."""
    final = checkpoint_folder(out, len(run.history))
    unfinished = out / UNFINISHED
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        nets.model.save(unfinished / "model.keras")
        nets.averaged.save(unfinished / "averaged.keras")
        (unfinished / "run.json").write_bytes(msgspec.json.format(msgspec.json.encode(run)))
        unfinished.rename(final)
    except OSError as error:
        with contextlib.suppress(OSError):
            shutil.rmtree(unfinished)
        raise TrainingError(
            f"The checkpoint of epoch {len(run.history)} could not be written to {out}: {error}. "
            "Free some space and go on with --resume."
        ) from error
    kept = {final}
    if run.preset.patience is not None and run.best is not None:
        kept.add(checkpoint_folder(out, run.best.epoch))
    for older in out.glob(f"{CHECKPOINT}[0-9]*"):
        if older not in kept:
            shutil.rmtree(older)


def _tell(out: Path, run: Run) -> None:
    """Log the epoch, and write its figures where TensorBoard finds them."""
    last = run.history[-1]
    log.info(
        "epoch %d of %d: loss %.4f, accuracy %s, %.0f s",
        last.epoch, run.preset.epochs, last.loss,
        "not measured" if last.accuracy is None else f"{last.accuracy:.4f}", last.seconds,
    )  # fmt: skip
    if network.require("keras").backend.backend() != "tensorflow":
        return
    summary = network.require("tensorflow").summary
    with summary.create_file_writer(str(out / "tensorboard")).as_default(last.epoch):
        for name, value in msgspec.structs.asdict(last).items():
            if name != "epoch" and value is not None:
                summary.scalar(name, value)
