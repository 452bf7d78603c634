"""`python -m bench.founding`: the founding documents' experiments, run again by their presets.

Each network learns from the rows Training of the same file and is judged, in floating point, on
those of PublicTest that have its classes. Beside it stands what a bundle answers to the same
pictures, through its int8 file as on the box and chosen among the same classes. A run goes on
where it was stopped, and one that is finished is not run again.
"""

import argparse
import itertools
import json
import logging
import os
import platform
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from mien.bundle import load_bundle, shipped_bundle
from mien.classifier import open_classifier
from mien.events import MienError
from mien_convert import network
from mien_convert.dataset import LABELS, Dataset, file_sha256, load_dataset, of_classes
from mien_convert.errors import DatasetError, WorkshopError
from mien_convert.evaluate import intervals, measure, restricted
from mien_convert.heads import read_answers
from mien_convert.preset import (
    Convolution,
    Dense,
    Layer,
    MobileNetV2,
    Preset,
    Residual,
    load_preset,
)
from mien_convert.run import chosen_checkpoint, load_network
from mien_convert.train import as_input, split, train

SHORT_PICTURES = 8000  # of Training, drawn once

Form = Literal["full", "short"]


@dataclass(frozen=True)
class Experiment:
    """A preset, what the documents say of it, and the epochs of its short form."""

    name: str
    claimed: str
    short_epochs: int

    def preset(self, form: Form) -> Preset:
        preset = load_preset(self.name)
        return preset if form == "full" else preset.lasting(self.short_epochs)


EXPERIMENTS = [
    Experiment("three-class", ".7251 test", 17),
    Experiment("vgg11", ".60–.66 validation", 4),
    Experiment("cnn3", "≤ .32", 10),
    Experiment("mobilenetv2", ".265", 4),
    *[Experiment(f"dense-P{row}", "≤ .29", 10) for row in range(1, 15)],
]


class Figures(msgspec.Struct, frozen=True):
    """Accuracy with its 95 % bootstrap interval; recall and precision of each class."""

    accuracy: float
    interval: list[float]
    recall: dict[str, float | None]
    precision: dict[str, float | None]


class Result(msgspec.Struct, frozen=True):
    """A finished run: `result.json` in its folder. `epochs` were done, `best_epoch` counts."""

    form: Form
    preset: Preset
    data_sha256: str
    pictures: int
    parameters: int
    multiply_adds: int
    epochs: int
    best_epoch: int
    seconds: float
    date: str
    machine: str
    figures: Figures


class Row(msgspec.Struct, frozen=True):
    """One line of the table. `commonest`: how often the commonest class of Training is right."""

    experiment: str
    claimed: str
    classes: list[str]
    network: str
    pictures: int
    commonest: float
    result: Result | None
    ours: Figures


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it counts our networks as one
    try:
        for experiment in tqdm(_chosen(arguments.only), "experiments", disable=None):
            again(experiment, arguments.data, arguments.out, "full" if arguments.full else "short")
        name, rows = compare(arguments.data, arguments.out, arguments.bundle)
        if arguments.write is not None:
            write(arguments.write, table(name, rows))
    except MienError as error:
        print(f"bench.founding: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("bench.founding: stopped; finished epochs are kept.", file=sys.stderr)
        return 130
    if arguments.json:
        document = {"bundle": name, "experiments": msgspec.to_builtins(rows)}
        print(json.dumps(document, ensure_ascii=False))
    else:
        print(table(name, rows))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("bench.founding", description=__doc__)
    add = parser.add_argument
    add("--data", type=Path, required=True, metavar="FILE", help="npz with Training and PublicTest")
    add("--out", type=Path, required=True, metavar="FOLDER", help="of the runs; kept between calls")
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "--short", action="store_true",
        help=f"few epochs on {SHORT_PICTURES} pictures, about ten minutes in all; the default",
    )  # fmt: skip
    form.add_argument("--full", action="store_true", help="all epochs on all pictures, hours")
    names = [experiment.name for experiment in EXPERIMENTS]
    add(
        "--only", nargs="*", choices=names, metavar="NAME",
        help=f"run these, or none, only showing what was run: {', '.join(names)}",
    )  # fmt: skip
    add("--bundle", type=Path, metavar="BUNDLE", help="ours; default: the one that Mien ships")
    add("--write", type=Path, metavar="PAGE", help="put the table into this Markdown page")
    add("--json", action="store_true", help="print the rows as JSON")
    return parser


def _chosen(only: list[str] | None) -> list[Experiment]:
    return [e for e in EXPERIMENTS if only is None or e.name in only]


def again(experiment: Experiment, data: Path, out: Path, form: Form) -> Result:
    """Run an experiment into out/FORM/NAME, unless it is finished there."""
    sha256, preset = file_sha256(data), experiment.preset(form)
    if (done := finished(experiment, out, form, sha256)) is not None:
        return done
    training, held_out = parts(data)
    source = data if form == "full" else short_data(out, training, held_out)
    folder = out / form / experiment.name
    network.require("keras").utils.clear_session()
    run = train(source, folder / "run", experiment.name, preset.epochs, resume=True)

    held_out = of_classes(held_out, preset.classes)
    logits = np.full((len(held_out), len(LABELS)), -np.inf, np.float32)
    numbers = [LABELS.index(name) for name in preset.classes]
    model = load_network(chosen_checkpoint(folder / "run"))
    logits[:, numbers] = model.predict(as_input(held_out.images), batch_size=512, verbose=0)
    best = run.history[-1] if preset.patience is None or run.best is None else run.best
    result = Result(
        form, preset, sha256, run.pictures, run.parameters, run.multiply_adds,
        len(run.history), best.epoch, round(sum(epoch.seconds for epoch in run.history), 1),
        datetime.now(UTC).date().isoformat(), f"{os.cpu_count()} cores of {platform.machine()}",
        judge(logits, held_out),
    )  # fmt: skip
    (folder / "result.json").write_bytes(msgspec.json.format(msgspec.json.encode(result)))
    return result


def finished(experiment: Experiment, out: Path, form: Form, sha256: str) -> Result | None:
    """The result of an experiment, or None where it is not over.

    Raises WorkshopError when it is broken, or of other data or another preset.
    """
    folder = out / form / experiment.name
    try:
        result = msgspec.json.decode((folder / "result.json").read_bytes(), type=Result)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise WorkshopError(
            f"The result in {folder} cannot be read: {error}; remove it to run again."
        ) from error
    if (result.preset, result.data_sha256) != (experiment.preset(form), sha256):
        raise WorkshopError(
            f"{folder} was run with another preset or data file; name another --out, or remove "
            "that folder."
        )
    return result


def parts(data: Path) -> tuple[Dataset, Dataset]:
    """The rows of Training and of PublicTest. Raises DatasetError when one part has none."""
    training, held_out = split(load_dataset(data))
    if held_out is None or not len(training):
        raise DatasetError(
            f"{data} has no rows of {'PublicTest' if held_out is None else 'Training'} by its "
            "array `usage`; expected both, to learn from and to judge by."
        )
    return training, held_out


def short_data(out: Path, training: Dataset, held_out: Dataset) -> Path:
    """Write the file of the short form: some rows to learn from, always the same; all to judge."""
    drawn = np.random.default_rng(1).permutation(len(training))[:SHORT_PICTURES]
    fields = {"fer_plus": "votes", "images": "images", "labels": "labels", "align": "align"}
    arrays = {"usage": np.repeat(np.array([0, 1], np.uint8), [len(drawn), len(held_out)])}
    for name, field in fields.items():
        of_training, of_held_out = getattr(training[drawn], field), getattr(held_out, field)
        if of_training is not None:
            arrays[name] = np.concatenate([of_training, of_held_out])
    path = out / "short.npz"
    out.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)
    return path


def judge(logits: NDArray[np.float32], dataset: Dataset) -> Figures:
    """The figures of logits f32 [N, 7], minus infinity for classes out of the question."""
    figures, ranges = measure(logits, dataset, 1.0), intervals(logits, dataset, 1.0)
    recall, precision = (
        {label: one[name] for label, one in figures["per_class"].items()}
        for name in ("recall", "precision")
    )
    return Figures(figures["accuracy"], ranges["accuracy"], recall, precision)


def compare(data: Path, out: Path, bundle: Path | None) -> tuple[str, list[Row]]:
    """The name of our bundle, and a row for each experiment: its full form where that was run,
    else the short one, else none."""
    training, held_out = parts(data)
    sha256 = file_sha256(data)
    ours = load_bundle(bundle or shipped_bundle())
    logits = read_answers(open_classifier(ours, "cpu")[0], held_out.images).word
    rows = []
    for experiment in EXPERIMENTS:
        preset = experiment.preset("full")
        numbers = [LABELS.index(name) for name in preset.classes]
        among = np.isin(held_out.labels, numbers)
        commonest = np.bincount(of_classes(training, preset.classes).labels).argmax()
        rows.append(
            Row(
                experiment.name,
                experiment.claimed,
                preset.classes,
                described(preset),
                int(among.sum()),
                float((held_out.labels[among] == commonest).mean()),
                finished(experiment, out, "full", sha256)
                or finished(experiment, out, "short", sha256),
                judge(restricted(logits[among], numbers), held_out[among]),
            )
        )
    return ours.name, rows


def described(preset: Preset) -> str:
    """The layers that learn, their activation, and the numbers of the training, in a line."""

    def kind(layer: Layer) -> tuple[str, str]:
        return type(layer).__name__.lower(), getattr(layer, "activation", "")

    told = []
    learning = [one for one in preset.layers if isinstance(one, LEARNING)]
    for (name, activation), group in itertools.groupby(learning, kind):
        sizes = [str(getattr(one, "units", getattr(one, "filters", ""))) for one in group]
        told.append(" ".join(filter(None, [name, ", ".join(sizes), activation])))
    phase = preset.phases[0]
    told.append(f"{preset.optimizer} {phase.rate:g}, batch {preset.batch}")
    return "; ".join(told)


LEARNING = (Convolution, Residual, Dense, MobileNetV2)

HEAD = (
    "| experiment | classes | claimed | always the commonest | its network and training here "
    "| run here | accuracy here | its best class | ours | our best class |\n"
    "|---|---|---|---|---|---|---|---|---|---|\n"
)


def table(name: str, rows: list[Row]) -> str:
    """Markdown: a sentence on what was run, then the table."""
    results = [row.result for row in rows if row.result is not None]
    told = [
        "Accuracy on PublicTest with its 95 % interval; the best class with its recall and, in "
        f"brackets, precision. Ours is the int8 file of `{name}`."
    ]
    for form in ("full", "short"):
        when = sorted({(one.date, one.machine) for one in results if one.form == form})
        if when:
            where = "; ".join(f"{date} on {machine}" for date, machine in when)
            told.append(f"Runs in {form} form: {where}.")
    return "\n".join([" ".join(told), "", HEAD + "\n".join(_line(row) for row in rows)]) + "\n"


def _line(row: Row) -> str:
    classes = "all seven" if len(row.classes) == len(LABELS) else ", ".join(row.classes)
    here = ["not run", "–", "–"]
    if (result := row.result) is not None:
        epochs = f"{result.epochs} of {load_preset(row.experiment).epochs} epochs"
        if result.best_epoch < result.epochs:
            epochs += f", the best {result.best_epoch}"
        form = f"{result.form}: {epochs}, {result.pictures} pictures"
        here = [form, _shown(result.figures), _best(result.figures)]
    cells = [
        f"`{row.experiment}`", f"{classes}; {row.pictures} pictures", row.claimed,
        f"{row.commonest:.3f}", row.network, *here, _shown(row.ours), _best(row.ours),
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def _shown(figures: Figures) -> str:
    low, high = figures.interval
    return f"{figures.accuracy:.3f} [{low:.3f}, {high:.3f}]"


def _best(figures: Figures) -> str:
    """The class with the highest recall, that, and in brackets its precision."""
    found = {label: recall for label, recall in figures.recall.items() if recall is not None}
    label = max(found, key=lambda one: found[one])
    return f"{label} {found[label]:.2f} ({figures.precision[label] or 0:.2f})"


def write(page: Path, text: str) -> None:
    """Put the table between the two marks in a page. Raises WorkshopError when it has none."""
    try:
        before = page.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WorkshopError(f"The page {page} cannot be read: {error}.") from error
    between = re.compile(r"(?<=<!-- table -->\n).*(?=<!-- end of table -->)", re.DOTALL)
    after, count = between.subn(lambda _: text, before)
    if count != 1:
        raise WorkshopError(
            f"{page} has no lines <!-- table --> and <!-- end of table --> to write between."
        )
    page.write_text(after, "utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
