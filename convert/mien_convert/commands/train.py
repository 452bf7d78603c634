"""`mien-convert train`."""

import argparse
from pathlib import Path
from typing import Any

from mien_convert.commands import TRAINING_DATA, add_command, add_data, add_preset
from mien_convert.train import train


def add(subcommands: Any) -> None:
    parser = add_command(
        subcommands, "train", run, show, "train a network; a checkpoint after each epoch"
    )
    add_data(parser, TRAINING_DATA)
    parser.add_argument("--out", type=Path, required=True, metavar="RUN", help="folder of the run")
    parser.add_argument("--resume", action="store_true", help="go on after the last checkpoint")
    add_preset(parser)


def run(arguments: argparse.Namespace) -> Any:
    return train(
        arguments.data, arguments.out, arguments.preset, arguments.epochs, arguments.seed,
        arguments.resume,
    )  # fmt: skip


def show(result: dict[str, Any]) -> None:
    print(
        f"{result['parameters']} parameters, {result['pictures']} pictures, seed {result['seed']}"
    )
    print("epoch   loss  PublicTest  seconds")
    for epoch in result["history"]:
        accuracy = "–" if epoch["accuracy"] is None else f"{epoch['accuracy']:.4f}"
        print(f"{epoch['epoch']:5} {epoch['loss']:6.4f} {accuracy:>11} {epoch['seconds']:8.1f}")
