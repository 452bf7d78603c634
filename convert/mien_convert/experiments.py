"""Training runs side by side: found in folders, as a table and as curves."""

import csv
import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec

from mien.filenames import printable, reason
from mien_convert import plots
from mien_convert.errors import TrainingError, WorkshopError
from mien_convert.network import require
from mien_convert.preset import Convolution, Dense, MobileNetV2, Preset, Residual
from mien_convert.run import CHECKPOINT, UNFINISHED, Epoch, latest_checkpoint, read_run


class Experiment(msgspec.Struct, frozen=True):
    """One run. Losses and accuracies are those of `epoch`, the one that counts; `rate` is the
    highest learning rate; `seconds` an epoch took, in the middle."""

    name: str
    preset: str
    layers: str
    units: str
    activation: str
    rate: float
    batch: int
    epoch: int
    epochs: int
    planned: int
    parameters: int
    multiply_adds: int
    training_loss: float
    training_accuracy: float
    public_test_loss: float | None
    accuracy: float | None
    seconds: float
    classes: list[str]
    seed: int
    history: list[Epoch]


class Broken(msgspec.Struct, frozen=True):
    """A folder that was to be a run, and what is wrong with it."""

    name: str
    reason: str


# What a table can be sorted by, and whether the largest comes first.
SORTS = {
    "accuracy": True,
    "public_test_loss": False,
    "training_loss": False,
    "parameters": False,
    "multiply_adds": False,
    "seconds": False,
    "name": False,
}


def find_runs(folders: Sequence[Path]) -> tuple[list[Experiment], list[Broken]]:
    """All runs in `folders` and below them, and those that are broken or were never finished.

    Raises WorkshopError when a folder is missing or none holds a run.
    """
    runs: dict[Path, str] = {}
    for folder in folders:
        if not folder.is_dir():
            raise WorkshopError(f"There is no folder {folder}; name one with training runs in it.")
        marks = [*folder.rglob(f"{CHECKPOINT}[0-9]*"), *folder.rglob(UNFINISHED)]
        for run in (mark.parent for mark in marks):
            inside = len(folders) == 1 and run != folder
            runs.setdefault(run.resolve(), printable(run.relative_to(folder) if inside else run))
    if not runs:
        raise WorkshopError(
            f"There is no training run in {' or '.join(map(str, folders))}; a run is a folder "
            f"with checkpoints {CHECKPOINT}0001 … in it, as mien-convert train makes it."
        )
    experiments, broken = [], []
    for run, name in runs.items():
        checkpoint = latest_checkpoint(run)
        if checkpoint is None:
            broken.append(Broken(name, "it has not finished its first epoch"))
            continue
        try:
            experiments.append(_experiment(name, checkpoint))
        except TrainingError as error:
            broken.append(Broken(name, printable(error)))
    return experiments, broken


def _experiment(name: str, checkpoint: Path) -> Experiment:
    run = read_run(checkpoint)
    chosen = run.chosen
    if chosen is None:
        raise TrainingError(f"{checkpoint} is not a whole checkpoint: it tells of no epoch.")
    layers, units, activation = shape(run.preset)
    return Experiment(
        name, run.preset_name, layers, units, activation,
        max(max(phase.rate, phase.final_rate) for phase in run.preset.phases),
        run.preset.batch, chosen.epoch, len(run.history), run.preset.epochs,
        run.parameters, run.multiply_adds,
        chosen.loss, chosen.training_accuracy, chosen.public_test_loss, chosen.accuracy,
        statistics.median(epoch.seconds for epoch in run.history),
        run.preset.classes, run.seed, run.history,
    )  # fmt: skip


def shape(preset: Preset) -> tuple[str, str, str]:
    """The layers that learn, by kind; their filters or neurons; their activations."""
    told: list[tuple[str, str, str]] = []
    for layer in preset.layers:
        match layer:
            case Convolution():
                told.append(("convolution", str(layer.filters), layer.activation))
            case Residual():
                told.append(("residual", str(layer.filters), "relu"))
            case Dense():
                told.append(("dense", str(layer.units), layer.activation))
            case MobileNetV2():
                told.append(("MobileNetV2", f"width {layer.width:g}", "relu6"))
    kinds = Counter(kind for kind, _, _ in told)
    units = [(text, len(list(same))) for text, same in groupby(units for _, units, _ in told)]
    return (
        ", ".join(f"{count} {kind}" for kind, count in kinds.items()),
        " ".join(text if count == 1 else f"{text}×{count}" for text, count in units),
        "/".join(dict.fromkeys(activation for _, _, activation in told)),
    )


def in_order(experiments: Sequence[Experiment], sort: str) -> list[Experiment]:
    """Sorted by one of SORTS; those without such a figure come last."""
    known = [one for one in experiments if getattr(one, sort) is not None]
    known.sort(key=lambda one: getattr(one, sort), reverse=SORTS[sort])
    return known + [one for one in experiments if getattr(one, sort) is None]


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def _loss(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


# The columns of the table: heading, and the text of a row as the JSON has it.
COLUMNS: dict[str, Callable[[dict[str, Any]], str]] = {
    "run": lambda row: row["name"],
    "preset": lambda row: row["preset"],
    "layers": lambda row: row["layers"],
    "units": lambda row: row["units"],
    "activation": lambda row: row["activation"],
    "rate": lambda row: f"{row['rate']:g}",
    "batch": lambda row: str(row["batch"]),
    "epochs": lambda row: f"{row['epochs']}/{row['planned']}",
    "counts": lambda row: str(row["epoch"]),
    "parameters": lambda row: f"{row['parameters'] / 1e6:.2f} M",
    "multiply-adds": lambda row: f"{row['multiply_adds'] / 1e6:.1f} M",
    "training loss": lambda row: _loss(row["training_loss"]),
    "PublicTest loss": lambda row: _loss(row["public_test_loss"]),
    "training accuracy": lambda row: _share(row["training_accuracy"]),
    "PublicTest accuracy": lambda row: _share(row["accuracy"]),
    "s/epoch": lambda row: f"{row['seconds']:.1f}",
    "classes": lambda row: str(len(row["classes"])),
    "seed": lambda row: str(row["seed"]),
}
WORDS = 5  # so many columns hold words and stand to the left


def text_table(rows: Sequence[dict[str, Any]]) -> str:
    """For a terminal. A heading of two words stands on two lines, which keeps columns narrow."""
    heads = [(*([""] * (2 - len(head.split()))), *head.split()) for head in COLUMNS]
    cells = [
        *zip(*heads, strict=True),
        *([column(row) for column in COLUMNS.values()] for row in rows),
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(
            text.ljust(width) if number < WORDS else text.rjust(width)
            for number, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    )


def markdown_table(rows: Sequence[dict[str, Any]]) -> str:
    """The same table in Markdown."""
    rule = [":---" if number < WORDS else "---:" for number in range(len(COLUMNS))]
    lines = [list(COLUMNS), rule, *([text(row) for text in COLUMNS.values()] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def curves(rows: Sequence[dict[str, Any]]) -> Any:
    """Loss and accuracy over the epochs, one line a run; a dot marks the epoch that counts."""
    # Eight colours apart for every kind of colour vision (Okabe and Ito 2008), then again dashed.
    colours = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000",
               "#8a8a8a"]  # fmt: skip
    dashes = ["-", "--", ":"]
    panels = [
        ("loss", "loss", "training_loss"), ("public_test_loss", "loss", "public_test_loss"),
        ("training_accuracy", "accuracy", "training_accuracy"),
        ("accuracy", "accuracy", "accuracy"),
    ]  # fmt: skip
    height = max(6.0, 0.8 + 0.19 * len(rows))
    with require("matplotlib").rc_context(plots.STYLE):
        figure = require("matplotlib.figure").Figure((12.5, height), layout="constrained")
        axes = figure.subplots(2, 2, sharex=True, sharey="row")
        for axis, (per_epoch, _, of_run) in zip(axes.flat, panels, strict=True):
            for number, row in enumerate(rows):
                colour = colours[number % len(colours)]
                points = [(e["epoch"], e[per_epoch]) for e in row["history"]
                          if e[per_epoch] is not None]  # fmt: skip
                axis.plot(
                    *zip(*points, strict=True) if points else ((), ()), color=colour,
                    linestyle=dashes[number // len(colours) % len(dashes)], linewidth=1.3,
                    label=f"{row['name']}, {_share(row['accuracy'])}",
                )  # fmt: skip
                if row[of_run] is not None:
                    axis.plot([row["epoch"]], [row[of_run]], "o", color=colour, markersize=4)
            axis.grid(color="#e4e4e4", linewidth=0.6)
        for axis, part in zip(axes[0], ("training, changed pictures", "PublicTest"), strict=True):
            axis.set_title(part)
        for axis, (_, name, _) in zip(axes[:, 0], panels[::2], strict=True):
            axis.set_ylabel(name)
        for axis in axes[1]:
            axis.set_xlabel("epoch")
            # Whole epochs only.
            axis.xaxis.get_major_locator().set_params(integer=True)
        figure.legend(
            *axes[0, 0].get_legend_handles_labels(), loc="outside right upper", frameon=False,
            fontsize=8, title="run, accuracy on PublicTest", title_fontsize=8,
        )  # fmt: skip
    return figure


def write(folder: Path, rows: Sequence[dict[str, Any]]) -> list[str]:
    """Write the curves as PNG and SVG, the table as CSV and Markdown. Returns the files' names.

    Raises WorkshopError when `folder` cannot be written to.
    """
    table, text = folder / "experiments.csv", folder / "experiments.md"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with table.open("w", newline="", encoding="utf-8") as file:
            names = [name for name in Experiment.__struct_fields__ if name != "history"]
            lines = csv.DictWriter(file, names, extrasaction="ignore")
            lines.writeheader()
            lines.writerows(row | {"classes": " ".join(row["classes"])} for row in rows)
        text.write_text(markdown_table(rows), "utf-8")
    except OSError as error:
        raise WorkshopError(f"{folder} cannot be written to: {reason(error)}.") from error
    return [table.name, text.name, *plots.save(curves(rows), folder, "curves")]
