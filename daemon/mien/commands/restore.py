"""`mien restore`: a backup in place of all that the box holds; while the box runs, or stopped."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from mien import backup, database, restore
from mien.clock import Clock, SystemClock, iso
from mien.commands.backup import arguments, in_words, passphrase, progress, told
from mien.commands.run import load_config
from mien.commands.users import SHELL
from mien.config import Config, control_socket
from mien.control import place_held
from mien.control_client import ControlClient, ControlError
from mien.events import MienError
from mien.store import Store


def add(subcommands: Any) -> None:
    parser = subcommands.add_parser(
        "restore",
        help="a backup in place of all that is on this box",
        description="Read a backup and, after asking, put it in place of all that this box holds. "
        "The box keeps its name and its key.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="what `mien backup` wrote")
    arguments(parser)
    parser.add_argument("--yes", action="store_true", help="do not ask; what was here is gone")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    config, clock = load_config(args.config), SystemClock()
    if not args.yes and (args.json or not sys.stdin.isatty()):
        raise MienError("nobody can be asked here; --yes says that what is on this box may go")
    said = passphrase(args.passphrase_file, anew=False)
    # A box that never ran has no store yet.
    Store.open(config.state_dir, clock, config.store).close()
    with progress("reading the backup") as step:
        prepared, content = restore.prepare(config.state_dir, clock, args.file, said, SHELL, step)
    try:
        if not args.yes and not _sure(config, content):
            print("nothing was changed")
            return 1
        _replace(config, clock, prepared)
    finally:
        prepared.unlink(missing_ok=True)
    if args.json:
        print(json.dumps({"file": str(args.file), **told(content)}))
    else:
        print("the backup is restored; the passphrases of its users are good again")
    return 0


def _sure(config: Config, content: backup.Content) -> bool:
    box = database.box_name(config)
    print(f"{content.box}, made {iso(content.utc_ms / 1000)}: {in_words(content)}")
    print(
        f"It takes the place of ALL that is on this box ({box}). Everybody is signed out. To keep "
        "what is here, make a backup of it first (`mien backup`)."
    )
    return input(f"Type {box} to go on: ").strip() == box


def _replace(config: Config, clock: Clock, prepared: Path) -> None:
    """By the daemon where it runs, else here, and none starts meanwhile."""
    client = ControlClient(control_socket(config))
    try:
        client.status()
    except ControlError:
        with place_held(control_socket(config)):
            restore.replace(config.state_dir, clock, prepared, lambda: None)
    else:
        client.restore(prepared)
    finally:
        client.close()
