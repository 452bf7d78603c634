"""`mien-convert`: from pictures to a verified bundle, and how right a bundle is."""

import argparse
import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from mien.bundle import load_bundle
from mien.classifier import LiteRTClassifier
from mien.events import MienError
from mien_convert.bundle import make_bundle
from mien_convert.dataset import LABELS, USAGES, load_dataset
from mien_convert.evaluate import measure, read_logits
from mien_convert.preset import preset_names
from mien_convert.train import latest_checkpoint, train

TRAINING_DATA = (
    "npz file with images u8 [N,48,48], labels in the order of FER-2013, usage (0 Training, "
    "1 PublicTest) and, if there are votes, fer_plus u8 [N,10]"
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns 0, or 2 after a sentence on stderr, or 130 when interrupted."""
    arguments = _parser().parse_args(argv)
    # TensorFlow tells much at INFO that helps nobody here.
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.getLogger("mien_convert").setLevel(logging.INFO)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    command: Callable[[argparse.Namespace], Any] = arguments.command
    try:
        result = command(arguments)
    except MienError as error:
        print(f"mien-convert: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("mien-convert: stopped; what was saved is kept.", file=sys.stderr)
        return 130
    if arguments.json:
        print(json.dumps(msgspec.to_builtins(result), ensure_ascii=False))
    else:
        arguments.show(msgspec.to_builtins(result))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("mien-convert", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(
        name: str, command: Callable[..., Any], show: Callable[..., None], text: str
    ) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(command=command, show=show)
        added.add_argument("--json", action="store_true", help="print the result as JSON")
        return added

    def add_training(added: argparse.ArgumentParser) -> None:
        added.add_argument(
            "--preset", default="mien", choices=preset_names(), help="default: %(default)s"
        )
        added.add_argument("--epochs", type=_positive, metavar="N", help="instead of the preset's")
        added.add_argument("--seed", type=int, default=1, metavar="S", help="default: %(default)s")

    making = add("make", _make, _show_bundle, "train, quantise, write the bundle: all in one")
    making.add_argument("--data", type=Path, required=True, metavar="FILE", help=TRAINING_DATA)
    making.add_argument("--out", type=Path, required=True, metavar="BUNDLE", help="a new folder")
    making.add_argument(
        "--run", type=Path, metavar="RUN",
        help="folder of the training run, gone on with if it is there; default: BUNDLE-run",
    )  # fmt: skip
    add_training(making)

    training = add("train", _train, _show_run, "train a network; a checkpoint after each epoch")
    training.add_argument("--data", type=Path, required=True, metavar="FILE", help=TRAINING_DATA)
    training.add_argument(
        "--out", type=Path, required=True, metavar="RUN", help="folder of the run"
    )
    training.add_argument("--resume", action="store_true", help="go on after the last checkpoint")
    add_training(training)

    quantising = add("quantize", _quantize, _show_bundle, "make a run's last epoch an int8 bundle")
    quantising.add_argument("run", type=Path, metavar="RUN", help="folder of a training run")
    quantising.add_argument(
        "--data", type=Path, required=True, metavar="FILE", help="the file it was trained on"
    )
    quantising.add_argument(
        "--out", type=Path, required=True, metavar="BUNDLE", help="a new folder"
    )

    evaluating = add(
        "evaluate", _evaluate, _show_figures, "how right a bundle is on labelled faces"
    )
    evaluating.add_argument("bundle", type=Path, metavar="BUNDLE", help="folder of a bundle")
    evaluating.add_argument(
        "--data", type=Path, required=True, metavar="FILE",
        help="npz file with images u8 [N,48,48], labels, and where known fer_plus and usage",
    )  # fmt: skip
    evaluating.add_argument("--usage", choices=USAGES, help="only this part of the file")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number


def _make(arguments: argparse.Namespace) -> Any:
    out: Path = arguments.out
    run: Path = arguments.run or out.with_name(f"{out.name}-run")
    train(
        arguments.data, run, arguments.preset, arguments.epochs, arguments.seed,
        resume=latest_checkpoint(run) is not None,
    )  # fmt: skip
    return make_bundle(run, arguments.data, out)


def _train(arguments: argparse.Namespace) -> Any:
    return train(
        arguments.data, arguments.out, arguments.preset, arguments.epochs, arguments.seed,
        arguments.resume,
    )  # fmt: skip


def _quantize(arguments: argparse.Namespace) -> Any:
    return make_bundle(arguments.run, arguments.data, arguments.out)


def _evaluate(arguments: argparse.Namespace) -> Any:
    bundle = load_bundle(arguments.bundle)
    dataset = load_dataset(arguments.data, arguments.usage)
    logits = read_logits(LiteRTClassifier(bundle), dataset.images)
    return measure(logits, dataset, bundle.calibration.temperature)


def _show_run(run: dict[str, Any]) -> None:
    print(f"{run['parameters']} parameters, {run['pictures']} pictures, seed {run['seed']}")
    print("epoch   loss  PublicTest  seconds")
    for epoch in run["history"]:
        accuracy = "–" if epoch["accuracy"] is None else f"{epoch['accuracy']:.4f}"
        print(f"{epoch['epoch']:5} {epoch['loss']:6.4f} {accuracy:>11} {epoch['seconds']:8.1f}")


def _show_bundle(document: dict[str, Any]) -> None:
    print(f"bundle {document['name']}, on PublicTest:")
    for name, value in document["accuracy"]["public_test"].items():
        if isinstance(value, float | int):
            print(f"  {name.replace('_', ' '):22} {value:.4g}")


def _show_figures(figures: dict[str, Any]) -> None:
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


if __name__ == "__main__":
    raise SystemExit(main())
