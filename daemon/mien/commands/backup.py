"""`mien backup`: all that the store holds, in one file under a passphrase; while the box runs."""

import argparse
import getpass
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from mien import backup, database
from mien.clock import SystemClock, iso
from mien.commands.run import load_config
from mien.commands.users import SHELL, first_line
from mien.events import MienError


def add(subcommands: Any) -> None:
    parser = subcommands.add_parser(
        "backup",
        help="everything in one file under a passphrase",
        description="Write what the store holds into one encrypted file, while the box runs. "
        "`mien restore` reads it, on this box or another.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help=f"such as box{backup.SUFFIX}")
    arguments(parser)
    parser.set_defaults(run=run)


def arguments(parser: argparse.ArgumentParser) -> None:
    """What `mien restore` takes too."""
    parser.add_argument("--config", type=Path, help="config file")
    parser.add_argument(
        "--passphrase-file",
        type=Path,
        metavar="FILE",
        help="its first line is the passphrase, instead of asking for it; - reads standard input",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    config, clock = load_config(args.config), SystemClock()
    box = database.box_name(config)
    said = passphrase(args.passphrase_file, anew=True)
    with progress("backup") as step:
        content = backup.make(config.state_dir, box, clock, said, args.file, step)
    size = args.file.stat().st_size
    base = database.open_for_people(config.state_dir, clock)
    try:
        base.write(lambda db: backup.note(db, clock.stamp(), SHELL, content, size))
    finally:
        base.close()
    if args.json:
        print(json.dumps({"file": str(args.file), "bytes": size, **told(content)}))
        return 0
    print(f"{args.file}: {size / 1e6:.1f} MB; {in_words(content)}")
    print("keep the passphrase apart from the file: without it nobody can open it")
    return 0


def told(content: backup.Content) -> dict[str, Any]:
    """What is in a backup, for JSON."""
    return {
        "box": content.box,
        "version": content.version,
        "made": iso(content.utc_ms / 1000),
        "clock_ok": content.clock_ok,
        "counts": msgspec.to_builtins(content.counts),
    }


def in_words(content: backup.Content) -> str:
    return ", ".join(f"{count} {name}" for name, count in content.said().items())


def passphrase(file: Path | None, *, anew: bool) -> str:
    """Asked for, twice when it is a new one; or the first line of a file.

    Raises:
        MienError: there is nobody to ask, it may not be one, or the file cannot be read.
    """
    if file is not None:
        said = first_line(file)
    elif not sys.stdin.isatty():
        raise MienError("there is no terminal to ask on; use --passphrase-file")
    else:
        if anew:
            print(f"The passphrase of the backup: {backup.HINT}.", file=sys.stderr)
        said = getpass.getpass("Passphrase of the backup: ")
        if anew and getpass.getpass("Once more: ") != said:
            raise MienError("the two passphrases differ")
    if anew and (fault := backup.fault(said)):
        why = {
            "short": "it is too short",
            "long": f"it has more than {backup.LONGEST} characters, or some that cannot be seen",
            "repeated": "it repeats the same few characters",
        }
        raise MienError(f"this cannot be the passphrase: {why[fault]}; it needs {backup.HINT}")
    return said


class progress:
    """Says on a terminal how far something is; `with progress("backup") as step`."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._shown = -1

    def __enter__(self) -> Callable[[int, int], None]:
        return self._step

    def __exit__(self, *_: object) -> None:
        if self._shown >= 0:
            print(file=sys.stderr)

    def _step(self, done: int, total: int) -> None:
        share = 100 * done // max(total, 1)
        if share != self._shown and os.isatty(2):
            self._shown = share
            print(f"\r{self._what}: {share} %", end="", file=sys.stderr, flush=True)
