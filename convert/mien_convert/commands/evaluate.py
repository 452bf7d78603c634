"""`mien-convert evaluate`: how right a bundle is."""

import argparse
from pathlib import Path
from typing import Any

from mien.bundle import load_bundle
from mien.classifier import LiteRTClassifier
from mien_convert.commands import EVALUATION_DATA, add_command, add_data
from mien_convert.dataset import LABELS, USAGES, load_dataset
from mien_convert.evaluate import measure, read_logits


def add(subcommands: Any) -> None:
    parser = add_command(
        subcommands, "evaluate", run, show, "how right a bundle is on labelled faces"
    )
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="folder of a bundle")
    add_data(parser, EVALUATION_DATA)
    parser.add_argument("--usage", choices=USAGES, help="only this part of the file")


def run(arguments: argparse.Namespace) -> Any:
    bundle = load_bundle(arguments.bundle)
    dataset = load_dataset(arguments.data, arguments.usage)
    logits = read_logits(LiteRTClassifier(bundle), dataset.images)
    return measure(logits, dataset, bundle.calibration.temperature)


def show(figures: dict[str, Any]) -> None:
    for name in ("n", "accuracy", "macro_f1", "ece", "fer_plus_accuracy"):
        if figures.get(name) is not None:
            print(f"{name.replace('_', ' '):18} {figures[name]:.4g}")
    print(f"\n{'':10} recall precision     f1     n   answered as {' '.join(LABELS)}")
    for label, row in zip(LABELS, figures["confusion"], strict=True):
        one = figures["per_class"][label]
        recall, precision, f1 = (
            "–" if one[name] is None else f"{one[name]:.3f}"
            for name in ("recall", "precision", "f1")
        )
        counts = " ".join(f"{n:>{len(name)}}" for n, name in zip(row, LABELS, strict=True))
        print(f"{label:10} {recall:>6} {precision:>9} {f1:>6} {one['n']:5}   {'':11} {counts}")
