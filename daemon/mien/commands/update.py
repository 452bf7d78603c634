"""`mien update`: another release or network on an installed box, or the former one again."""

import argparse
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from mien.bundle import Bundle
from mien.bundles import UNUSABLE
from mien.commands.models import self_test
from mien.commands.run import load_config
from mien.control import ControlClient, ControlError
from mien.events import MienError
from mien.update import Trouble, Updater, alone

OPT, STATE = Path("/opt/mien"), Path("/var/lib/mien")
CONFIG, SIGNERS = Path("/etc/mien/mien.toml"), Path("/etc/mien/allowed_signers")
LOCK = Path("/run/lock/mien-install")
RESTARTS = 3
"""A release whose services end that often on trial is no good."""
CONTROL, PAGE = Path("/run/mien/control.sock"), Path("/run/mien-web.sock")

_SAID = {
    "verified": "the signature and every file are right",
    "tested": "the network gives the answers that it must, fast enough",
    "staged": "the new release is in its folder",
    "checked": "it can use the config of this box",
    "copied": "the store is copied",
    "started": "it starts; up to a minute on trial",
    "kept": "it runs well and stays",
}


def add(subcommands: Any) -> None:
    parser = subcommands.add_parser(
        "update",
        help="another release or network on an installed box",
        description="Verify a release (.tar) or a network alone (.zip, with its signature .zip.sig "
        "beside it), try it, and keep it or go back. The page is away for about a minute, so not "
        "while a session runs.",
    )
    parser.add_argument("source", nargs="?", metavar="FILE|URL", help="a release or a network")
    parser.add_argument("--now", action="store_true", help="even while a session runs")
    parser.add_argument(
        "--recover", action="store_true", help="take back an update that was broken off"
    )
    parser.add_argument("--boot", action="store_true", help=argparse.SUPPRESS)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    if os.geteuid() != 0:
        raise MienError("an update needs the administrator's rights: sudo mien update …")
    if not args.recover and not args.source:
        raise MienError("name a release: mien update FILE, or an https:// address")
    if args.source and not args.now:
        _no_session()
    machine = AtBoot() if args.boot else Systemd()
    with alone(LOCK):
        updater = Updater(OPT, STATE, CONFIG, SIGNERS, machine, _tell)
        if args.recover:
            if said := updater.recover():
                print(f"mien: {said}")
                machine.open()
            return 0
        if args.source.endswith(".zip"):
            print(f"mien: the box reads with {updater.update_network(args.source, _test())}")
        else:
            print(f"mien: release {updater.update(args.source)} runs")
    return 0


def _test() -> Callable[[Bundle], None]:
    """What a network must pass here."""
    config = load_config(CONFIG)
    if named := config.expression.bundle:
        raise MienError(
            f"the config names the network {named}, which wins over any other: take `bundle` out "
            f"of the section [expression] of {CONFIG}"
        )

    def test(bundle: Bundle) -> None:
        self_test(bundle, config)

    return test


def _tell(step: str) -> None:
    if step in _SAID:
        print(f"  {_SAID[step]}", flush=True)


def _no_session() -> None:
    with suppress(ControlError):  # a daemon that is away runs none
        if ControlClient(CONTROL).status().mandate == "session":
            raise MienError("a session is running; stop it first, or say --now")


class Systemd:
    """The box as it runs; see `update.Machine`."""

    def stop(self) -> None:
        # The page's door first: what a tablet had acknowledged is then in the copy of the store.
        _systemctl("stop", "nginx.service", "mien-web.socket", "mien-web.service", "mien.service")

    def trial(self) -> None:
        _systemctl("daemon-reload")
        _systemctl("reset-failed", "mien.service", "mien-web.service")  # its restarts count anew
        _systemctl("start", "--no-block", "mien.service", "mien-web.socket", "mien-web.service")

    def open(self) -> None:
        _systemctl("daemon-reload")
        _systemctl("start", "mien.service", "mien-web.socket", "mien-web.service", "nginx.service")

    def lay(self, release: Path) -> None:
        _install(release / "share" / "mien", "--lay")

    def stage(self, bundle: Path) -> None:
        _install(bundle, "--stage")

    def trouble(self) -> Trouble | None:
        for unit in ("mien.service", "mien-web.service"):
            if trouble := _unit(unit):
                return trouble
        try:
            health = ControlClient(CONTROL).status()
        except ControlError as error:
            return Trouble(str(error))
        failed = [part.text for part in health.parts if part.status == "failed"]
        if failed:
            return Trouble(failed[0])
        return None if _page_answers() else Trouble("the page does not answer")

    def unread(self) -> Trouble | None:
        try:
            parts = ControlClient(CONTROL).status().parts
        except ControlError as error:  # it was well a moment ago
            return Trouble(str(error))
        said = [part.text for part in parts if part.text.startswith(UNUSABLE)]
        return Trouble(said[0]) if said else None


class AtBoot(Systemd):
    """Before the services start, which they do by themselves."""

    def stop(self) -> None:
        pass

    def open(self) -> None:
        pass


def _systemctl(*arguments: str) -> None:
    subprocess.run(["systemctl", *arguments], check=False)


def _unit(name: str) -> Trouble | None:
    """What is wrong with a unit on trial: one that systemd had to start again some times will not
    mend itself."""
    command = ["systemctl", "show", "-p", "ActiveState,NRestarts", name]
    said = subprocess.run(command, capture_output=True, text=True).stdout
    shown = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    state, restarts = shown.get("ActiveState", "unknown"), int(shown.get("NRestarts") or 0)
    if restarts >= RESTARTS:
        return Trouble(f"{name} stopped {restarts} times: {_last_words(name)}", lasting=True)
    if state == "failed":
        return Trouble(f"{name} stopped: {_last_words(name)}", lasting=True)
    return None if state == "active" else Trouble(f"{name} is {state}")


def _last_words(unit: str) -> str:
    """What its program wrote last into the journal; of systemd's own lines none says why."""
    command = ["journalctl", "--no-pager", "-o", "cat", "-n", "1", "-b", f"_SYSTEMD_UNIT={unit}"]
    said = subprocess.run(command, capture_output=True, text=True).stdout.strip()
    return said or f"see journalctl -u {unit}"


def _install(folder: Path, wish: str) -> None:
    environment = {**os.environ, "MIEN_LOCKED": "1"}
    sys.stdout.flush()
    done = subprocess.run(["sh", folder / "install.sh", wish, "--yes"], env=environment)
    if done.returncode:
        raise MienError(f"{folder.name}/install.sh {wish} failed; it says why above")


def _page_answers() -> bool:
    try:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(10)
            line.connect(str(PAGE))
            line.sendall(b"GET /about HTTP/1.0\r\nHost: localhost\r\n\r\n")
            return b" 200 " in line.recv(64)
    except OSError:
        return False
