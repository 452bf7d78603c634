"""The real daemon as a process, and what it says at a real broker: for tests of the whole box."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from mien.clock import SystemClock
from mien.config import Store as StoreConfig
from mien.config import default_state_dir
from mien.control import ControlClient, ControlError
from mien.settings import Setting
from mien.store import Store
from mosquitto import Mosquitto  # the helper beside this file


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Box:
    """A daemon as a process, its state folder, and what it says at the broker."""

    def __init__(
        self, folder: Path, broker: Mosquitto | None, setting: Setting | None = "demo"
    ) -> None:
        self.state = folder / "state"
        (self.state / "models").parent.mkdir(parents=True, exist_ok=True)
        (self.state / "models").symlink_to(default_state_dir() / "models")
        self.config = folder / "mien.toml"
        port = broker.port if broker else free_port()
        self.config.write_text(
            f'[box]\nid = "testbox"\nstate_dir = "{self.state}"\n'
            f'[mqtt]\nhost = "127.0.0.1"\nport = {port}\n'
        )
        self.control = ControlClient(self.state / "control.sock")
        if setting:
            store = Store.open(self.state, SystemClock(), StoreConfig())
            store.set_up(setting)
            store.close()

    @contextmanager
    def running(
        self, source: str | Path, env: dict[str, str] | None = None
    ) -> Iterator[subprocess.Popen[str]]:
        command = [sys.executable, "-m", "mien", "run", "--config", str(self.config)]
        process = subprocess.Popen(
            [*command, "--source", str(source)],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(env or {})},
        )
        try:
            yield process
        finally:
            self.control.close()
            if process.poll() is None:
                process.kill()
            process.communicate()


class Subscriber:
    """Everything that came on the box's topics, in order."""

    def __init__(self, broker: Mosquitto) -> None:
        self._messages: list[tuple[str, bytes]] = []
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = self._received
        self._client.connect("127.0.0.1", broker.port)
        self._client.subscribe("mien/testbox/#")
        self._client.loop_start()

    def _received(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        self._messages.append((message.topic.rsplit("/", 1)[1], message.payload))

    def got(self, leaf: str, payload: bytes) -> None:
        """Wait until this came."""
        wait_for(lambda: (leaf, payload) in self._messages)

    def first(self, leaf: str, **wanted: Any) -> Any:
        """Wait for a message on this topic with these values."""

        def found() -> Any:
            fit = (
                m for m in self.all(leaf) if all(m[key] == value for key, value in wanted.items())
            )
            return next(fit, None)

        return wait_for(found)

    def all(self, leaf: str) -> list[Any]:
        """Every message on this topic so far."""
        return [json.loads(payload) for name, payload in self._messages if name == leaf]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def wait_for(what: Any, seconds: float = 20) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if found := what():
                return found
        except ControlError:
            pass
        time.sleep(0.05)
    raise AssertionError("it did not come")
