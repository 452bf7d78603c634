"""`mien events`: follow what the box says over MQTT."""

import argparse
import json
from datetime import datetime
from pathlib import Path
from typing import Any

from mien.commands.run import parse_broker
from mien.config import load


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

    config = parse_broker(load(args.config), args.broker)
    follow(config.mqtt, args.box, _json_line if args.json else _words)
    return 0


def _json_line(topic: str, payload: bytes) -> None:
    print(json.dumps({"topic": topic, "payload": _decoded(payload)}), flush=True)


def _words(topic: str, payload: bytes) -> None:
    leaf = topic.rsplit("/", 1)[-1]
    message = _decoded(payload)
    now = datetime.now().strftime("%H:%M:%S")
    print(f"{now} {topic}: {_told(leaf, message)}", flush=True)


def _decoded(payload: bytes) -> Any:
    try:
        message = json.loads(payload)
    except ValueError:
        return payload.decode(errors="replace")
    if isinstance(message, dict) and "token" in message:
        return {**message, "token": "…"}  # of a command: no matter for terminals and logs
    return message


def _told(leaf: str, message: Any) -> str:
    if not isinstance(message, dict):
        return str(message)
    if leaf == "event" and message.get("kind") == "reminder":
        return "time for a check-in"
    if leaf == "event":
        return f"looked like {message.get('expression')} for {message.get('seconds')} s"
    if leaf == "state":
        if message.get("paused"):
            return "paused, the camera is off"
        if not message.get("people"):
            return "no one in the seat"
        if message.get("expression"):
            return f"looks like {message['expression']}, {message.get('confidence') or 0:.0%}"
        return f"cannot tell: {message.get('reason')}"
    if leaf == "health":
        parts = [p for p in message.get("parts", []) if p.get("status") != "ok"]
        told = "; ".join(f"{p.get('name')}: {p.get('text')}" for p in parts)
        return f"{message.get('status')}{': ' + told if told else ''}"
    if leaf == "today":
        said = f"; {message['checkins']} check-ins" if message.get("checkins") is not None else ""
        mood = f", mood {message['mood']:g} of 5" if message.get("mood") is not None else ""
        return (
            f"{message.get('date')}: seen for {message.get('seen_minutes')} of "
            f"{message.get('watched_minutes')} minutes{said}{mood}"
        )
    if "command" in message and "ok" in message:
        return "done" if message["ok"] else f"refused: {message.get('error')}"
    return json.dumps(message, ensure_ascii=False)
