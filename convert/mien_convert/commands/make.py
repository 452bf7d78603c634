"""`mien-convert make`: from pictures to a bundle in one go."""

import argparse
from pathlib import Path
from typing import Any

from mien_convert.bundle import make_bundle
from mien_convert.commands import TRAINING_DATA, add_command, add_data, add_preset
from mien_convert.commands.quantize import show
from mien_convert.run import latest_checkpoint
from mien_convert.train import train


def add(subcommands: Any) -> None:
    parser = add_command(
        subcommands, "make", run, show, "train, quantise, write the bundle: all in one"
    )
    add_data(parser, TRAINING_DATA)
    parser.add_argument("--out", type=Path, required=True, metavar="BUNDLE", help="a new folder")
    parser.add_argument(
        "--run", dest="run_folder", type=Path, metavar="RUN",
        help="folder of the training run, gone on with if it is there; default: BUNDLE-run",
    )  # fmt: skip
    add_preset(parser)


def run(arguments: argparse.Namespace) -> Any:
    out: Path = arguments.out
    folder: Path = arguments.run_folder or out.with_name(f"{out.name}-run")
    train(
        arguments.data, folder, arguments.preset, arguments.epochs, arguments.seed,
        resume=latest_checkpoint(folder) is not None,
    )  # fmt: skip
    return make_bundle(folder, arguments.data, out)
