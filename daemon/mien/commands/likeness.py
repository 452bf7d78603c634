"""`mien export-config` and `mien import-config`: set a second box up like the first. How it is set
goes along; who it is, its keys, its users and what it recorded do not."""

import argparse
import os
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from mien import audit, config, database, settings
from mien.clock import SystemClock
from mien.commands.check import SYSTEM_CONFIG
from mien.commands.run import load_config
from mien.commands.users import SHELL
from mien.config import ConfigError
from mien.events import MienError

FORM = 1
SETTINGS = ("setting", "idle_minutes", "zone", "quiet", "smart_home", "seat")
"""Of the table `settings`; the others belong to persons."""
LARGEST = 1 << 20
_BOX = re.compile(r"^[ \t]*\[box\][^\n]*\n(?:(?![ \t]*\[)[^\n]*\n?)*", re.MULTILINE)


class Likeness(Struct, frozen=True, forbid_unknown_fields=True):
    """The file. `toml` is the config without its section [box]."""

    mien_config: int
    made: str
    toml: str
    settings: dict[str, Any]


def add(subcommands: Any) -> None:
    out = subcommands.add_parser(
        "export-config",
        help="how this box is set, for another one",
        description="Write config and settings to a file: no keys, passwords, users or records.",
    )
    into = subcommands.add_parser(
        "import-config",
        help="set this box as another one",
        description="Take over config and settings from such a file; this box keeps its id and "
        "room, and the config it had beside the new one.",
    )
    for parser, run, says in ((out, _export, "- for standard output"), (into, _import, "the file")):
        parser.add_argument("file", metavar="FILE", help=says)
        parser.add_argument("--config", type=Path, help="config file")
        parser.set_defaults(run=run)


def _export(args: argparse.Namespace) -> int:
    path, loaded = _config(args)
    text = _BOX.sub("", path.read_text(encoding="utf-8")) if path.exists() else ""
    if _names_a_box(text):
        raise MienError(f"in {path}, write what is under box as a section that begins with [box]")
    db = database.open_for_people(loaded.state_dir, SystemClock())
    try:
        if db.read(settings.setting) == "demo":
            raise MienError("this box is a demo; set it up on its page first")
        found = db.read(lambda db: {key: settings.get(db, key, Any) for key in SETTINGS})
    finally:
        db.close()
    made = Likeness(
        FORM,
        SystemClock().stamp().iso,
        text,
        {key: value for key, value in found.items() if value is not None},
    )
    body = msgspec.json.format(msgspec.json.encode(made), indent=2) + b"\n"
    if args.file == "-":
        sys.stdout.buffer.write(body)
        return 0
    try:
        Path(args.file).write_bytes(body)
    except OSError as error:
        raise MienError(f"{args.file} cannot be written: {error.strerror or error}") from None
    print(f"mien: how this box is set stands in {args.file}; passwords and files it names do not")
    return 0


def _import(args: argparse.Namespace) -> int:
    path, loaded = _config(args)
    told = _read(Path(args.file))
    had = path.exists()
    own = _BOX.search(path.read_text(encoding="utf-8")) if had else None
    text = (own[0].rstrip("\n") + "\n\n" if own else "") + told.toml.lstrip("\n")
    draft, before = (path.with_name(path.name + end) for end in (".new", ".before"))
    clock = SystemClock()
    db = database.open_for_people(loaded.state_dir, clock)
    try:
        draft.write_text(text, encoding="utf-8")
        config.load(draft)
        db.write(lambda db: _put(db, told, clock.stamp().utc))
        if had:
            os.replace(path, before)
        os.replace(draft, path)
    except ConfigError as error:
        raise MienError(
            f"the config in {args.file} does not fit this box, so nothing was changed:\n"
            + str(error).replace(str(draft), str(path))
        ) from None
    except database.StoreError:
        raise
    except OSError as error:
        raise MienError(
            f"{path} cannot be written ({error.strerror or error}); run this with sudo"
        ) from None
    finally:
        draft.unlink(missing_ok=True)
        db.close()
    kept = f"; the config it had is {before}" if had else ""
    print(f"mien: this box is set as {args.file} says{kept}")
    print("mien: start it anew for it: sudo systemctl restart mien mien-web")
    return 0


def _config(args: argparse.Namespace) -> tuple[Path, config.Config]:
    return args.config or SYSTEM_CONFIG, load_config(args.config)


def _read(file: Path) -> Likeness:
    try:
        with open(file, "rb") as opened:
            told = msgspec.json.decode(opened.read(LARGEST), type=Likeness)
    except OSError as error:
        raise MienError(f"{file} cannot be read: {error.strerror or error}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise MienError(f"{file} was not made by `mien export-config`: {error}") from None
    if told.mien_config != FORM:
        raise MienError(f"{file} is of a newer Mien (form {told.mien_config}); update this box")
    if _names_a_box(told.toml):
        raise MienError(f"{file} sets which box this is, which is nobody's to take over")
    if told.settings.get("setting") == "demo":
        raise MienError(f"{file} is of a demo, which reads people without their consent")
    if strange := sorted(set(told.settings) - set(SETTINGS)):
        raise MienError(f"{file} sets what is nobody's to take over: {', '.join(strange)}")
    return told


def _names_a_box(toml: str) -> bool:
    try:
        return "box" in tomllib.loads(toml)
    except tomllib.TOMLDecodeError:
        return False  # told better where it is loaded


def _put(db: Any, told: Likeness, utc: float) -> None:
    for key, value in told.settings.items():
        settings.put(db, key, value)
    audit.note(db, utc, SHELL, "box.config", made=told.made, settings=sorted(told.settings))
