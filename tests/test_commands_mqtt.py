"""Commands by MQTT through everything: a real mosquitto, the real daemon, the real page."""

import json
import os
import re
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from appliance import Box, wait_for
from mien import tokens
from mien.clock import SystemClock
from mien.commands.demo import portrait
from mien.users import User
from mosquitto import Mosquitto
from people import People

pytestmark = pytest.mark.slow

DASHBOARD = Path(__file__).parent.parent / "examples" / "grafana" / "dashboard.json"
METRIC = re.compile(r"\b(?:mien|process)_[a-z_]+\b")


class Commander:
    """Somebody at the broker who gives commands and hears the answers."""

    def __init__(self, broker: Mosquitto) -> None:
        self._answers: dict[str, list[Any]] = {}
        self._came = threading.Condition()
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = self._received
        self._client.connect("127.0.0.1", broker.port)
        self._client.subscribe("mien/testbox/response/#", qos=1)
        self._client.loop_start()

    def _received(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        said = json.loads(message.payload)
        with self._came:
            self._answers.setdefault(said["request"], []).append(said)
            self._came.notify_all()

    def order(self, name: str, id: str | None = None, count: int = 1, **said: Any) -> Any:
        """Give a command; its answer (the `count`th under this id)."""
        id = id or str(uuid.uuid4())
        payload = json.dumps({"id": id, **said})
        self._client.publish(f"mien/testbox/command/{name}", payload, qos=1).wait_for_publish(5)
        with self._came:
            assert self._came.wait_for(lambda: len(self._answers.get(id, [])) >= count, 30)
            return self._answers[id][count - 1]

    def retain(self, name: str) -> None:
        topic = f"mien/testbox/command/{name}"
        self._client.publish(topic, b"", qos=1).wait_for_publish(5)
        self._client.publish(topic, b"{}", qos=1, retain=True).wait_for_publish(5)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@contextmanager
def page(box: Box) -> Iterator[None]:
    environment = {k: v for k, v in os.environ.items() if k != "RUNTIME_DIRECTORY"}
    command = [sys.executable, "-m", "mien_web", "--config", str(box.config), "--port=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            assert "http://" in process.stdout.readline()
            yield
        finally:
            process.terminate()
            process.communicate(timeout=15)


@pytest.fixture
def broker() -> Iterator[Mosquitto]:
    with Mosquitto() as running:
        yield running


@pytest.fixture
def commander(broker: Mosquitto) -> Iterator[Commander]:
    running = Commander(broker)
    yield running
    running.close()


def test_a_session_by_mqtt_with_a_token_and_not_without(
    tmp_path: Path, broker: Mosquitto, commander: Commander
) -> None:
    box = Box(tmp_path, broker, "clinic")
    people = People(box.state, SystemClock())
    people.client("K-17", "live", "numbers")
    anna = User(1, "anna", frozenset({"therapist"}), None, None)
    may = people.database.write(
        lambda db: tokens.make(db, anna, "Node-RED", {"sessions", "control"}, 0)
    )
    with box.running(portrait()):
        wait_for(box.control.status)
        wait_for(lambda: "connected to" in str(box.control.status().parts))

        away = commander.order("start", token=may, client="K-17")
        assert not away["ok"]
        assert "page does not run" in away["error"]

        with page(box):
            refused = commander.order("start", client="K-17")
            assert not refused["ok"]
            assert "needs a token" in refused["error"]
            assert box.control.status().mandate is None

            begun = commander.order("start", token=may, client="K-17")
            assert (begun["ok"], begun["error"]) == (True, None)
            wait_for(lambda: box.control.status().mandate == "session")

            key = str(uuid.uuid4())
            tagged = commander.order("tag", key, token=may, text="Mother", how="moment")
            assert tagged["ok"]
            assert commander.order("tag", key, 2, token=may, text="Mother", how="moment") == tagged
            assert people.rows("SELECT count(*) FROM tags") == [(1,)]

            assert commander.order("pause")["ok"]  # anybody may close the camera
            assert box.control.status().paused
            assert not commander.order("resume")["ok"]
            assert not commander.order("pause", paused=False)["ok"]
            assert box.control.status().paused
            assert commander.order("resume", token=may)["ok"]
            assert not box.control.status().paused

            ended = commander.order("stop", token=may)
            assert ended["ok"]
            assert ended["result"]["running"] is False
            wait_for(lambda: box.control.status().mandate is None)
            assert people.rows("SELECT ended FROM sessions") == [("stopped",)]
            acts = people.rows("SELECT user, action FROM audit ORDER BY id")
            assert acts == [("anna", "session.started"), ("anna", "session.ended")]

            people.write("DELETE FROM tokens")
            assert "not known" in commander.order("start", token=may, client="K-17")["error"]
    people.close()


def test_a_retained_command_is_not_obeyed_at_each_start(
    tmp_path: Path, broker: Mosquitto, commander: Commander
) -> None:
    commander.retain("pause")
    box = Box(tmp_path, broker)
    with box.running(portrait()) as process:
        wait_for(lambda: "connected to" in str(box.control.status().parts))
        assert not commander.order("stop")["ok"]  # it came after the retained one
        assert not box.control.status().paused
        told = set(METRIC.findall(box.control.metrics()))
        assert set(METRIC.findall(DASHBOARD.read_text())) == told
        process.terminate()
        _, errors = process.communicate(timeout=15)
        assert "it is retained" in errors
