"""`mien-convert train`: a network learns by a preset; a run that was broken off goes on."""

import argparse
from pathlib import Path
from typing import Any

from mien_convert.commands import TRAINING_DATA, add_command, add_data, add_preset
from mien_convert.dataset import LABELS
from mien_convert.train import train


def add(subcommands: Any) -> None:
    parser = add_command(
        subcommands, "train", run, show, "train a network; a checkpoint after each epoch"
    )
    add_data(parser, TRAINING_DATA)
    parser.add_argument("--out", type=Path, required=True, metavar="RUN", help="folder of the run")
    parser.add_argument("--resume", action="store_true", help="go on after the last checkpoint")
    add_preset(parser)
    parser.add_argument(
        "--teacher",
        type=Path,
        action="append",
        default=[],
        metavar="RUN",
        help="a finished run or a bundle whose answers are learnt too; may be given several times",
    )
    parser.add_argument(
        "--classes",
        type=lambda text: [name.strip() for name in text.split(",")],
        metavar="A,B,…",
        help=f"tell only these apart, out of {', '.join(LABELS)}; default: the preset's",
    )


def run(arguments: argparse.Namespace) -> Any:
    return train(
        arguments.data, arguments.out, arguments.preset, arguments.epochs, arguments.seed,
        arguments.resume,
        arguments.classes,
        arguments.teacher,
    )  # fmt: skip


def show(result: dict[str, Any]) -> None:
    print(
        f"{result['parameters']} parameters, {result['pictures']} pictures, seed {result['seed']}"
    )
    print("          training          PublicTest")
    print("epoch     loss  accuracy    loss  accuracy  seconds")
    for epoch in result["history"]:
        loss, accuracy = (
            "–" if epoch[name] is None else f"{epoch[name]:.4f}"
            for name in ("public_test_loss", "accuracy")
        )
        print(
            f"{epoch['epoch']:5} {epoch['loss']:8.4f} {epoch['training_accuracy']:9.4f} "
            f"{loss:>7} {accuracy:>9} {epoch['seconds']:8.1f}"
        )
