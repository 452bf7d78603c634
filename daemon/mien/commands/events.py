"""`mien events`: follow what the box says over MQTT."""

import argparse
import json
import re
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from mien.commands.run import load_config, parse_broker
from mien.config import BoxId
from mien.events import EpisodeEvent, Health, MienError, Reminder, Response, State, Today

_KINDS: dict[str, tuple[type[msgspec.Struct], ...]] = {
    "state": (State,),
    "event": (EpisodeEvent, Reminder),
    "health": (Health,),
    "today": (Today,),
}
_TOKEN = re.compile(rb"mien_[\w-]{20,}")


def add(subcommands: Any) -> None:
    parser = subcommands.add_parser(
        "events",
        help="follow the MQTT events in the terminal",
        description="Follow what boxes say over MQTT until Ctrl-C.",
    )
    parser.add_argument("--config", type=Path, help="config file with the broker")
    parser.add_argument("--broker", metavar="HOST:PORT", help="instead of the config's")
    parser.add_argument("--box", default="+", help="id of one box; default: all")
    parser.add_argument("--json", action="store_true", help="print a JSON line a message")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from mien.line import follow

    config = parse_broker(load_config(args.config), args.broker)
    if args.box != "+":
        try:
            msgspec.convert(args.box, BoxId)
        except msgspec.ValidationError:
            raise MienError(
                f"--box: {args.box!r} is no id of a box; ids are such as mien-k3x9pd"
            ) from None
    follow(config.mqtt, args.box, _json_line if args.json else _words)
    return 0


def _json_line(topic: str, payload: bytes) -> None:
    print(json.dumps({"topic": topic, "payload": _decoded(payload)}), flush=True)


def _words(topic: str, payload: bytes) -> None:
    line = f"{topic}: {_told(topic.rsplit('/', 1)[-1], _decoded(payload))}"
    # Whoever is at the broker wrote it: nothing of it steers the terminal.
    line = "".join(letter if letter.isprintable() else " " for letter in line)
    print(f"{datetime.now():%H:%M:%S} {line}", flush=True)


def _decoded(payload: bytes) -> Any:
    payload = _TOKEN.sub("mien_…".encode(), payload)  # no matter for terminals and logs
    try:
        message = msgspec.json.decode(payload)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return payload.decode(errors="replace")
    if isinstance(message, dict) and "token" in message:
        return {**message, "token": "…"}  # of a command, and perhaps a passphrase by mistake
    return message


def _told(leaf: str, message: Any) -> str:
    for kind in _KINDS.get(leaf, (Response,)):
        with suppress(msgspec.ValidationError):
            return _in_words(msgspec.convert(message, kind))
    return message if isinstance(message, str) else json.dumps(message, ensure_ascii=False)


def _in_words(message: msgspec.Struct) -> str:
    match message:
        case Reminder():
            return "time for a check-in"
        case EpisodeEvent():
            return f"looked like {message.expression} for {message.seconds} s"
        case State(paused=True):
            return "paused, the camera is off"
        case State(people=0):
            return "no one in the seat"
        case State(expression=None):
            return f"cannot tell: {message.reason}"
        case State():
            return f"looks like {message.expression}, {message.confidence or 0:.0%}"
        case Health():
            told = "; ".join(f"{p.name}: {p.text}" for p in message.parts if p.status != "ok")
            return f"{message.status}{': ' + told if told else ''}"
        case Today():
            said = f"; {message.checkins} check-ins" if message.checkins is not None else ""
            mood = f", mood {message.mood:g} of 5" if message.mood is not None else ""
            return (
                f"{message.date}: seen for {message.seen_minutes} of "
                f"{message.watched_minutes} minutes{said}{mood}"
            )
        case Response():
            return "done" if message.ok else f"refused: {message.error}"
    raise AssertionError(message)
