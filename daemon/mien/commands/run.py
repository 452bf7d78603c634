"""`mien run`: the daemon in the foreground."""

import argparse
import re
import signal
import threading
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from mien.commands.check import SYSTEM_CONFIG
from mien.config import Config, load
from mien.events import MienError


def add(subcommands: Any) -> None:
    parser = subcommands.add_parser(
        "run",
        help="run the daemon in the foreground",
        description="See, read, store and publish until stopped. Reads "
        f"{SYSTEM_CONFIG} where it exists and no --config is given.",
    )
    parser.add_argument("--config", type=Path, help="config file")
    parser.add_argument("--source", help="camera, URL, video or picture, instead of the config's")
    parser.add_argument("--broker", metavar="HOST:PORT", help="instead of the config's")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from mien import chatter
    from mien.clock import SystemClock
    from mien.service import Service  # pulls in the networks, which the other commands need not

    config = parse_broker(load_config(args.config), args.broker)
    if args.source:
        config = replace(config, camera=replace(config.camera, source=args.source))
    with chatter.limited(SystemClock()), stop_on_signals() as stop:
        return Service(config).run(stop)


def load_config(path: Path | None) -> Config:
    """The given config file, else the system's where there is one, else the defaults."""
    if path is None and SYSTEM_CONFIG.exists():
        path = SYSTEM_CONFIG
    return load(path)


def parse_broker(config: Config, broker: str | None) -> Config:
    """The config with the broker HOST[:PORT] of the command line.

    Raises:
        MienError: it cannot be read.
    """
    if broker is None:
        return config
    host, _, port = broker.rpartition(":") if ":" in broker else (broker, "", "1883")
    bare = ":" in host and not re.fullmatch(r"\[.*\]", host)  # an IPv6 address without brackets
    if not host or bare or not port.isdecimal() or not 1 <= int(port) <= 65535:
        raise MienError(
            "--broker must be HOST or HOST:PORT, such as localhost:1883 or [::1]:1883, not "
            f"{broker!r}"
        )
    return replace(config, mqtt=replace(config.mqtt, host=host.strip("[]"), port=int(port)))


class stop_on_signals:
    """A context whose event is set by SIGTERM or SIGINT, for a clean stop."""

    def __enter__(self) -> threading.Event:
        stop = threading.Event()
        self._before = {
            number: signal.signal(number, lambda *_: stop.set())
            for number in (signal.SIGTERM, signal.SIGINT)
        }
        return stop

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
