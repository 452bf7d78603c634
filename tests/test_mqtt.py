"""The real daemon at a real mosquitto: every message as described, and no ghosts."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.publish import single

from appliance import Box, wait_for  # the helpers beside this file
from mien import asyncapi, config
from mien.clock import synchronised
from mien.commands.demo import portrait
from mien.commands.events import _told
from mien.line import BrokerError, clear
from mosquitto import Mosquitto

pytestmark = pytest.mark.slow

DOCUMENT = asyncapi.document()


@pytest.fixture
def broker() -> Iterator[Mosquitto]:
    with Mosquitto() as running:
        yield running


class Everything:
    """Every message at a broker, in order, and what lay there when it came."""

    def __init__(self, broker: Mosquitto) -> None:
        self.messages: list[tuple[str, bytes]] = []
        self.lying: dict[str, bytes] = {}
        self.client = Client(CallbackAPIVersion.VERSION2)
        self.client.on_message = self._received
        self.client.connect("127.0.0.1", broker.port)
        self.client.subscribe("#", qos=1)
        self.client.loop_start()

    def _received(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        if message.retain:
            self.lying[message.topic] = message.payload
        self.messages.append((message.topic, message.payload))

    def on(self, leaf: str) -> list[bytes]:
        return [payload for topic, payload in list(self.messages) if topic.endswith(f"/{leaf}")]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def everything(broker: Mosquitto) -> Iterator[Everything]:
    running = Everything(broker)
    yield running
    running.close()


def lying(broker: Mosquitto) -> set[str]:
    """The topics on which something is retained, as a subscriber that comes now is told."""
    here = Everything(broker)
    mark = "mark/of/the/end"  # mosquitto sends what is retained before what comes later
    wait_for(lambda: single(mark, b"1", port=broker.port) or here.on("end"))
    here.close()
    return set(here.lying)


def episode_s(box: Box) -> float:
    """For how long the expression is the same by now."""
    picture = box.control.preview(-1, 5.0)
    return float((picture and json.loads(picture.live)["episode_s"]) or 0)


def check(topic: str, payload: bytes) -> str:
    """The message must be one of those that the document has for its topic; which."""
    for channel in DOCUMENT["channels"].values():
        pattern = re.sub(r"{\w+}", "[^/]+", channel["address"])
        if not re.fullmatch(pattern, topic):
            continue
        wrong = []
        for name in channel["messages"]:
            text = DOCUMENT["components"]["messages"][name]["contentType"] == "text/plain"
            value = payload.decode() if text else json.loads(payload)
            validator = Draft202012Validator(asyncapi.schema(name))
            if not (errors := list(validator.iter_errors(value))):
                if name not in ("command", "discovery") and isinstance(value, dict):
                    schema = DOCUMENT["components"]["schemas"]
                    kind = DOCUMENT["components"]["messages"][name]["payload"]["$ref"].split("/")[
                        -1
                    ]
                    assert value.keys() == schema[kind]["properties"].keys(), "nothing beside"
                return str(name)
            wrong += errors
        raise AssertionError(f"{topic}: {payload!r}: {wrong}")
    raise AssertionError(f"no channel is described for {topic}")


def test_every_message_is_as_described_and_told_in_words(
    tmp_path: Path, broker: Mosquitto, everything: Everything
) -> None:
    box = Box(tmp_path, broker)
    with box.running(portrait()) as process:
        wait_for(lambda: everything.on("config"))
        wait_for(lambda: episode_s(box) > 1.5)  # it ends, and is sent, when the box is paused
        before = len(everything.on("config"))
        single("homeassistant/status", b"online", port=broker.port)
        wait_for(lambda: len(everything.on("config")) == before + 1)
        single("mien/testbox/command/pause", b'{"id": "r-1"}', qos=1, port=broker.port)
        wait_for(lambda: everything.on("pause")[1:])
        single("mien/testbox/command/resume", b"", qos=1, port=broker.port)
        wait_for(lambda: everything.on("resume")[1:])
        wait_for(lambda: everything.on("event"))
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
        wait_for(lambda: b"offline" in everything.on("availability"))
    told = [(topic, payload) for topic, payload in everything.messages if payload]
    kinds = [check(topic, payload) for topic, payload in told]
    wanted = {"availability", "state", "episode", "health", "discovery", "birth"}
    wanted |= {"command", "response"} | ({"today"} if synchronised() else set())
    assert set(kinds) == wanted
    answers = [json.loads(everything.on(name)[-1]) for name in ("pause", "resume")]
    assert [(one["request"], one["ok"]) for one in answers] == [("r-1", True), (None, False)]
    for kind, (topic, payload) in zip(kinds, told, strict=True):
        if kind in ("state", "episode", "health", "today", "response"):
            assert not _told(topic.rsplit("/", 1)[-1], json.loads(payload)).startswith("{"), kind


def test_nothing_of_a_former_name_is_left(tmp_path: Path, broker: Mosquitto) -> None:
    box = Box(tmp_path, broker)
    text = box.config.read_text()

    def run(config: str, wanted: set[str], *, kill: bool = False) -> None:
        box.config.write_text(config)
        with box.running(portrait()) as process:
            wait_for(lambda: lying(broker) == wanted)
            process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
            process.wait(15)
        assert lying(broker) == wanted

    today = {"today"} if synchronised() else set()

    def of(name: str) -> set[str]:
        return {f"mien/{name}/{leaf}" for leaf in {"availability", "state", "health"} | today}

    found = f"homeassistant/device/{(box.state / 'box-id').read_text().strip()}/config"
    run(text, of("testbox") | {found}, kill=True)
    renamed = text.replace("testbox", "bedroom")
    run(renamed, of("bedroom") | {found})
    elsewhere = renamed + 'discovery_prefix = "ha"\n'
    run(elsewhere, of("bedroom") | {found.replace("homeassistant", "ha")})
    run(elsewhere + "discovery = false\n", of("bedroom"))

    mien = [sys.executable, "-m", "mien", "mqtt", "clear", "--config", str(box.config)]
    with box.running(portrait()):
        wait_for(box.control.status)
        refused = subprocess.run(mien, capture_output=True, text=True)
        assert refused.returncode == 1
        assert "The daemon runs" in refused.stderr
        box.control.close()
    cleared = subprocess.run(mien, capture_output=True, text=True)
    assert cleared.returncode == 0, cleared.stderr
    assert "cleared mien/bedroom/state" in cleared.stdout
    assert lying(broker) == set()
    again = subprocess.run(mien, capture_output=True, text=True)
    assert "nothing of this box lies at" in again.stdout


def test_clearing_says_when_the_broker_is_away(tmp_path: Path, broker: Mosquitto) -> None:
    box = Box(tmp_path, broker)
    with box.running(portrait()) as process:
        wait_for(lambda: "mien/testbox/state" in lying(broker))
        process.terminate()
        process.wait(15)
    broker.kill()
    mien = [sys.executable, "-m", "mien", "mqtt", "clear", "--config", str(box.config)]
    told = subprocess.run(mien, capture_output=True, text=True)
    assert told.returncode == 1
    assert "does not answer" in told.stderr
    assert "not cleared; try again" in told.stderr
    assert "mien/testbox/state" in (box.state / "retained.json").read_text()
    other = subprocess.run([*mien, "--broker", "localhost:1"], capture_output=True, text=True)
    assert f"at 127.0.0.1:{broker.port} (--broker)" in other.stdout


def test_clearing_says_when_the_broker_refuses() -> None:
    with Mosquitto({"mien": "secret"}) as closed:
        settings = config.Mqtt(host="127.0.0.1", port=closed.port)
        with pytest.raises(BrokerError, match=r"refuses us: Not authorized\. What lies"):
            clear(settings, ["mien/a/state"])
