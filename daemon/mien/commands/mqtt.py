"""`mien mqtt`: what the box says over MQTT, described; and what lies at the broker, cleared."""

import argparse
import json
from pathlib import Path
from typing import Any

from mien.commands.run import load_config, parse_broker
from mien.config import Config, control_socket
from mien.events import MienError


class MqttError(MienError):
    """Nothing can be cleared; the text says why."""


def add(subcommands: Any) -> None:
    parser = subcommands.add_parser(
        "mqtt",
        help="describe the MQTT topics, or clear this box from the broker",
        description="What this box says over MQTT.",
    )
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    describe = verbs.add_parser(
        "describe",
        help="print every topic and payload as an AsyncAPI 3.0 document",
        description="Print every topic and payload as an AsyncAPI 3.0 document, in JSON.",
    )
    describe.set_defaults(run=_describe)
    clear = verbs.add_parser(
        "clear",
        help="remove all that lies at the broker in this box's name",
        description="Empty every retained topic of this box at its broker, also those of former "
        "names, so that nothing is left of it there: before it is uninstalled, or gets another "
        "broker. The daemon must not run.",
    )
    clear.add_argument("--config", type=Path, help="config file")
    clear.add_argument("--broker", metavar="HOST:PORT", help="a former one, not the config's")
    clear.set_defaults(run=_clear)


def _describe(args: argparse.Namespace) -> int:
    from mien import asyncapi

    print(json.dumps(asyncapi.document(), indent=1, ensure_ascii=False))
    return 0


def _clear(args: argparse.Namespace) -> int:
    from mien.line import clear
    from mien.retained import FILE, Ledger

    config = parse_broker(load_config(args.config), args.broker)
    _insist_on_silence(config)
    address = f"{config.mqtt.host}:{config.mqtt.port}"
    ledger = Ledger(config.state_dir / FILE, address)
    if not ledger.topics:
        told = ", ".join(f"{count} at {broker}" for broker, count in ledger.elsewhere().items())
        print(
            f"mien: nothing of this box lies at {address}"
            + (f"; there may be {told} (--broker)" if told else "")
        )
        return 0
    topics = sorted(ledger.topics)
    clear(config.mqtt, topics)
    ledger.remove(topics)  # now that the broker said that they are empty
    for topic in topics:
        print(f"mien: cleared {topic}")
    return 0


def _insist_on_silence(config: Config) -> None:
    from mien.control import ControlClient, ControlError

    client = ControlClient(control_socket(config))
    try:
        client.status()
    except ControlError:
        return
    finally:
        client.close()
    raise MqttError(
        "The daemon runs and would say everything anew. Stop it first: systemctl stop mien"
    )
