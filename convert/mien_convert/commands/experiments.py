"""`mien-convert experiments`: what was trained, side by side."""

import argparse
from pathlib import Path
from typing import Any

import msgspec

from mien_convert.commands import add_command
from mien_convert.experiments import SORTS, find_runs, in_order, text_table, write


def add(subcommands: Any) -> None:
    parser = add_command(
        subcommands, "experiments", run, show, "compare training runs: a table, and their curves"
    )
    parser.add_argument(
        "folders", type=Path, nargs="+", metavar="FOLDER", help="a run, or a folder with runs in it"
    )
    parser.add_argument(
        "--sort", choices=SORTS, default="accuracy", help="the best first; default: %(default)s"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER",
        help="write the curves (PNG, SVG) and the table (CSV, Markdown)",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> Any:
    experiments, broken = find_runs(arguments.folders)
    rows = msgspec.to_builtins(in_order(experiments, arguments.sort))
    result = {"runs": rows, "broken": broken}
    if arguments.out:
        result["files"] = write(arguments.out, rows)
    return result


def show(result: dict[str, Any]) -> None:
    if result["runs"]:
        print(text_table(result["runs"]))
    for one in result["broken"]:
        print(f"left out: {one['name']}: {one['reason']}")
    if "files" in result:
        print(f"written: {', '.join(result['files'])}")
