"""`mien users`: who may open the page, from the shell; it works while the box runs.

Whoever may read the state folder is in charge of the box, so nothing is asked but the new
passphrase. What is done here stands in the audit list under the name `shell`.
"""

import argparse
import getpass
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from mien import attempts, audit, database, firstrun, settings, users
from mien.clock import SystemClock, iso
from mien.commands.run import load_config
from mien.database import Database, StoreError
from mien.events import MienError
from mien.users import Account, UserError

SHELL = "shell"

_T = TypeVar("_T")


def add(subcommands: Any) -> None:
    parser = subcommands.add_parser(
        "users",
        help="who may open the page",
        description="List, add, reset and disable the users of the page, and say the one-time "
        "code of a box that is not set up yet. Works while the box runs.",
    )
    verbs = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _verb(verbs, "list", _list, "who there is", json=True)
    one = _verb(verbs, "add", _add, "a new user")
    one.add_argument("name", metavar="NAME")
    one.add_argument(
        "--role", action="append", choices=users.ROLES, required=True, help="once for each role"
    )
    _passphrase_file(one)
    reset = _verb(verbs, "reset", _reset, "a new passphrase; ends log-ins, lock-outs and the PIN")
    reset.add_argument("name", metavar="NAME")
    _passphrase_file(reset)
    for verb, says in (("disable", "nobody signs in as this user"), ("enable", "the reverse")):
        _verb(verbs, verb, _switch, says).add_argument("name", metavar="NAME")
    _verb(verbs, "code", _code, "the one-time code with which the page sets this box up", json=True)


def _verb(
    verbs: Any, name: str, run: Callable[..., int], says: str, *, json: bool = False
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=says, description=says)
    parser.add_argument("--config", type=Path, help="config file")
    if json:
        parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run, verb=name)
    return parser


def _passphrase_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--passphrase-file",
        type=Path,
        metavar="FILE",
        help="its first line is the passphrase, instead of asking for it; - reads standard input",
    )


def _list(args: argparse.Namespace) -> int:
    everybody = _with_store(args, lambda base: base.read(users.accounts))
    found = [each for each in everybody if each.passphrase != users.DEMO]
    if args.json:
        told = [
            {
                "name": each.user.name,
                "roles": [role for role in users.ROLES if role in each.user.roles],
                "disabled": each.disabled,
                "pin": each.pin is not None,
                "created": iso(each.created_utc / 1000),
            }
            for each in found
        ]
        print(json.dumps({"users": told}))
        return 0
    for each in found:
        roles = ", ".join(role for role in users.ROLES if role in each.user.roles)
        print(f"{each.user.name:20}  {roles}{'  (disabled)' if each.disabled else ''}")
    if not found:
        print("nobody yet; `mien users code` says the code with which the page sets this box up")
    return 0


def _add(args: argparse.Namespace) -> int:
    name = users.name_of(args.name)
    if name is None:
        raise UserError(f"a name has 1 to 40 letters, and {args.name!r} is none")

    def work(base: Database) -> str | None:
        if base.read(lambda db: users.account(db, name)):
            raise UserError(f"there is a user {name!r} already; `mien users reset` mends a log-in")
        hashed = _new_passphrase(args.passphrase_file, name)
        utc = SystemClock().stamp().utc

        def write(db: Any) -> str | None:
            if settings.setting(db) == "demo":  # which ends with the first who can sign in
                settings.put(db, "setting", None)
                users.end_demo(db)
            users.add(db, round(utc * 1000), name, set(args.role), hashed)
            audit.note(db, utc, SHELL, "user.added", name, roles=sorted(set(args.role)))
            return settings.setting(db)

        return base.write(write)

    setting = _with_store(args, work)
    print(f"{name} may sign in now")
    if setting is None:
        print("the page asks an administrator next where the box stands; until then nobody is read")
    return 0


def _reset(args: argparse.Namespace) -> int:
    def work(base: Database) -> int:
        account = _account(base, args.name)
        hashed = _new_passphrase(args.passphrase_file, account.user.name)
        utc = SystemClock().stamp().utc

        def write(db: Any) -> int:
            users.set_passphrase(db, account.user.id, hashed)
            users.set_pin(db, account.user.id, None)
            attempts.forget(db, attempts.door("user", account.user.name))
            ended = users.end_logins(db, account.user.id)
            audit.note(db, utc, SHELL, "user.reset", account.user.name, logins=ended)
            return ended

        return base.write(write)

    ended = _with_store(args, work)
    print(f"the passphrase is changed; {ended} log-in{'' if ended == 1 else 's'} ended")
    return 0


def _switch(args: argparse.Namespace) -> int:
    disabled = args.verb == "disable"

    def work(base: Database) -> str:
        account = _account(base, args.name)
        utc = SystemClock().stamp().utc

        def write(db: Any) -> None:
            users.set_disabled(db, account.user.id, disabled)
            action = "user.disabled" if disabled else "user.enabled"
            audit.note(db, utc, SHELL, action, account.user.name)

        base.write(write)
        return account.user.name

    name = _with_store(args, work)
    print(f"{name} may {'no longer' if disabled else 'again'} sign in")
    return 0


def _code(args: argparse.Namespace) -> int:
    config = load_config(args.config)
    if _with_store(args, lambda base: base.read(users.set_up)):
        raise UserError("this box is set up; `mien users add` and `mien users reset` let people in")
    try:
        code = firstrun.code(config.state_dir)
    except OSError as error:
        raise StoreError(f"Cannot write the code into {config.state_dir}: {error}.") from None
    print(json.dumps({"code": code}) if args.json else code)
    return 0


def _account(base: Database, name: str) -> Account:
    found = base.read(lambda db: users.account(db, users.name_of(name) or ""))
    if found is None:
        raise UserError(f"there is no user {name!r}; `mien users list` names them")
    if found.passphrase == users.DEMO:
        raise UserError(f"{name!r} is the user of the demo and never signs in")
    return found


def _new_passphrase(file: Path | None, name: str) -> str:
    """Its hash.

    Raises:
        MienError: it may not be one, or the file cannot be read.
    """
    try:
        from mien import passphrase
    except ImportError:
        raise MienError("log-ins need the extra of the page: pip install 'mien[web]'") from None
    if file is None:
        if not sys.stdin.isatty():
            raise MienError("there is no terminal to ask on; use --passphrase-file")
        print(f"A passphrase has {passphrase.HINT}.")
        said = getpass.getpass(f"Passphrase of {name}: ")
        if getpass.getpass("Once more: ") != said:
            raise MienError("the two passphrases differ")
    else:
        said = first_line(file)
    if fault := passphrase.fault(said, name):
        why = {
            "short": "it is too short",
            "long": f"it has more than {passphrase.LONGEST} characters",
            "name": "it is the name",
            "repeated": "it repeats the same few characters",
        }
        raise MienError(f"this cannot be the passphrase: {why[fault]}; it needs {passphrase.HINT}")
    return passphrase.hashed(said)


def first_line(file: Path) -> str:
    """Of a file with a passphrase, `-` for standard input. Raises MienError."""
    try:
        text = sys.stdin.readline() if str(file) == "-" else file.read_text(encoding="utf-8")
    except OSError as error:
        raise MienError(f"cannot read the passphrase from {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise MienError(f"cannot read the passphrase from {file}: it is no text in UTF-8") from None
    return text.splitlines()[0] if text.splitlines() else ""


def _with_store(args: argparse.Namespace, work: Callable[[Database], _T]) -> _T:
    base = database.open_for_people(load_config(args.config).state_dir, SystemClock())
    try:
        return work(base)
    finally:
        base.close()
