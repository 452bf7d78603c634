"""`mien-convert quantize`: the last epoch of a run as an int8 bundle."""

import argparse
from pathlib import Path
from typing import Any

from mien_convert.bundle import make_bundle
from mien_convert.commands import add_command, add_data


def add(subcommands: Any) -> None:
    parser = add_command(
        subcommands, "quantize", run, show, "make a run's last epoch an int8 bundle"
    )
    parser.add_argument("run_folder", type=Path, metavar="RUN", help="folder of a training run")
    add_data(parser, "the file it was trained on")
    parser.add_argument("--out", type=Path, required=True, metavar="BUNDLE", help="a new folder")


def run(arguments: argparse.Namespace) -> Any:
    return make_bundle(arguments.run_folder, arguments.data, arguments.out)


def show(document: dict[str, Any]) -> None:
    print(f"bundle {document['name']}, on PublicTest:")
    for name, value in document["accuracy"]["public_test"].items():
        if isinstance(value, float | int):
            print(f"  {name.replace('_', ' '):22} {value:.4g}")
