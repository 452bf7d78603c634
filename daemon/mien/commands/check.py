"""`mien check`: every problem of a config file at once."""

import argparse
import json
from pathlib import Path
from typing import Any

from mien.config import ConfigError, load

SYSTEM_CONFIG = Path("/etc/mien/mien.toml")


def add(subcommands: Any) -> None:
    parser = subcommands.add_parser(
        "check",
        help="check a config file",
        description="Tell every problem of a config file: line, key, value and what is allowed. "
        "Exits 0 when there is none, 78 when there are some.",
    )
    parser.add_argument(
        "config", nargs="?", type=Path, default=SYSTEM_CONFIG, help=f"default: {SYSTEM_CONFIG}"
    )
    parser.add_argument("--json", action="store_true", help="print a list of problems as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    problems = []
    try:
        load(args.config)
    except ConfigError as error:
        problems = error.problems
    if args.json:
        names = ("file", "line", "section", "key", "value", "message")
        told = [{name: getattr(problem, name) for name in names} for problem in problems]
        print(json.dumps({"problems": told}, default=str))
    elif problems:
        print("\n".join(str(problem) for problem in problems))
        print(f"{len(problems)} problem{'s' if len(problems) > 1 else ''} found")
    else:
        print(f"{args.config}: no problem found")
    return 78 if problems else 0
