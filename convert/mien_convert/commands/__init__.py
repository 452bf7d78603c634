"""One module a command: `add(subcommands)` declares it, its `run` returns what `--json` prints and
its `show` prints the same for people."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mien_convert.preset import preset_names


def add_command(
    subcommands: Any, name: str, run: Callable[..., Any], show: Callable[..., None], text: str
) -> argparse.ArgumentParser:
    """Declare a command, with `--json`. `show` gets the result of `run` as plain dicts."""
    parser: argparse.ArgumentParser = subcommands.add_parser(name, help=text, description=text)
    parser.set_defaults(run=run, show=show)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    return parser


def add_data(parser: argparse.ArgumentParser, text: str) -> None:
    parser.add_argument("--data", type=Path, required=True, metavar="FILE", help=text)


def add_preset(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--preset",
        default="mien",
        metavar="PRESET",
        help=f"{', '.join(preset_names())}, or a file that ends in .toml; default: %(default)s",
    )
    parser.add_argument("--epochs", type=positive, metavar="N", help="instead of the preset's")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="default: %(default)s")


def positive(text: str) -> int:
    """An argparse type: an integer of 1 or more."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number


TRAINING_DATA = (
    "npz file with images u8 [N,48,48], labels in the order of FER-2013, usage (0 Training, "
    "1 PublicTest) and, if there are votes, fer_plus u8 [N,10]"
)
EVALUATION_DATA = "npz file with images u8 [N,48,48], labels, and where known fer_plus and usage"
