"""The whole box as processes: the real daemon, a real mosquitto, the real page, one portrait."""

import json
import os
import queue
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from mosquitto import Mosquitto  # the helper beside this file
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from mien.commands.demo import portrait
from mien.config import default_state_dir
from mien.control import ControlClient, ControlError

pytestmark = pytest.mark.slow


class Box:
    """A daemon as a process, its state folder, and what it says at the broker."""

    def __init__(self, folder: Path, broker: Mosquitto | None) -> None:
        self.state = folder / "state"
        (self.state / "models").parent.mkdir(parents=True, exist_ok=True)
        (self.state / "models").symlink_to(default_state_dir() / "models")
        self.config = folder / "mien.toml"
        port = broker.port if broker else 1
        self.config.write_text(
            f'[box]\nid = "testbox"\nstate_dir = "{self.state}"\n'
            f'[mqtt]\nhost = "127.0.0.1"\nport = {port}\n'
        )
        self.control = ControlClient(self.state / "control.sock")

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
            if process.poll() is None:
                process.kill()
            process.communicate()


@pytest.fixture
def broker() -> Iterator[Mosquitto]:
    with Mosquitto() as running:
        yield running


@contextmanager
def subscribed(broker: Mosquitto, topic: str) -> Iterator["queue.Queue[tuple[str, bytes, bool]]"]:
    messages: queue.Queue[tuple[str, bytes, bool]] = queue.Queue()

    def received(_client: Client, _data: Any, message: MQTTMessage) -> None:
        messages.put((message.topic.rsplit("/", 1)[1], message.payload, message.retain))

    client = Client(CallbackAPIVersion.VERSION2)
    client.on_message = received
    client.connect("127.0.0.1", broker.port)
    client.subscribe(topic)
    client.loop_start()
    try:
        yield messages
    finally:
        client.disconnect()
        client.loop_stop()


def until(messages: "queue.Queue[tuple[str, bytes, bool]]", leaf: str, **wanted: Any) -> Any:
    """The first message on this topic whose payload has these values."""
    deadline = time.monotonic() + 30
    while True:
        name, payload, _ = messages.get(timeout=max(0.1, deadline - time.monotonic()))
        if name != leaf:
            continue
        if not wanted:
            return payload
        message = json.loads(payload)
        if all(message.get(key) == value for key, value in wanted.items()):
            return message


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


def test_a_face_becomes_a_state_an_episode_and_a_picture(tmp_path: Path, broker: Mosquitto) -> None:
    box = Box(tmp_path, broker)
    with subscribed(broker, "mien/testbox/#") as messages, box.running(portrait()) as process:
        assert until(messages, "availability") == b"online"
        state = until(messages, "state", people=1)
        assert state["box"] == "testbox"
        assert abs(sum(state["probabilities"].values()) - 1) < 0.01

        picture = wait_for(lambda: box.control.preview(-1, 5.0))
        assert picture.jpeg[:2] == b"\xff\xd8"
        live = json.loads(picture.live)
        assert len(live["readings"]) == 1

        metrics = box.control.metrics()
        assert "mien_frames_total" in metrics
        assert 'mien_part_ok{part="camera"} 1' in metrics

        # An episode goes on for as long as the picture does; pausing ends it, and says so.
        wait_for(lambda: json.loads(box.control.preview(-1, 5.0).live)["episode_s"] or 0 > 2)
        box.control.pause()
        assert box.control.status().paused
        episode = until(messages, "event", kind="episode")
        assert episode["seconds"] >= 1
        assert until(messages, "state", paused=True)["people"] == 0
        with pytest.raises(ControlError, match="paused, the camera is off"):
            box.control.preview(-1, 1.0)

        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
        assert until(messages, "availability") == b"offline"

    # A restart must not open the camera behind somebody's back.
    with box.running(portrait()):
        assert wait_for(box.control.status).paused
        box.control.resume()
        wait_for(lambda: box.control.preview(-1, 5.0))


def test_it_starts_degraded_without_camera_and_broker(tmp_path: Path) -> None:
    box = Box(tmp_path, None)
    with box.running("/dev/video99") as process:
        health = wait_for(box.control.status)
        parts = {part.name: part for part in health.parts}
        assert health.status == "degraded"
        assert parts["camera"].status == "degraded"
        assert "/dev/video99" in parts["camera"].text
        assert parts["camera"].cure
        assert parts["broker"].status == "degraded"
        assert parts["faces"].status == "ok"
        process.terminate()
        assert process.wait(15) == 0


def test_systemd_is_told(tmp_path: Path, broker: Mosquitto) -> None:
    box = Box(tmp_path, broker)
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(address)
        systemd.settimeout(30)
        with box.running(portrait(), {"NOTIFY_SOCKET": address}) as process:
            assert systemd.recv(4096) == b"READY=1"
            assert systemd.recv(4096).startswith(b"WATCHDOG=1")
            process.terminate()
            while (message := systemd.recv(4096)) != b"STOPPING=1":
                assert message.startswith(b"WATCHDOG=1")
            assert process.wait(15) == 0


def test_a_second_daemon_is_refused_with_a_sentence(tmp_path: Path, broker: Mosquitto) -> None:
    box = Box(tmp_path, broker)
    with box.running(portrait()):
        wait_for(box.control.status)
        with box.running(portrait()) as second:
            assert second.wait(30) == 1
            assert second.stderr is not None
            said = second.stderr.read()
            assert "Traceback" not in said
            assert "control.sock" in said


def test_the_demo_serves_the_page(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    box = Box(tmp_path, None)
    box.config.write_text(box.config.read_text() + f"[page]\nport = {port}\n")
    command = [sys.executable, "-m", "mien", "demo", "--portrait", "--config", str(box.config)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        wait_for(box.control.status, 40)
        with urlopen(f"http://127.0.0.1:{port}/") as answer:
            page = answer.read().decode()
        assert "Mien" in page
        live = json.loads(wait_for(lambda: box.control.preview(-1, 5.0)).live)
        assert live["note"].startswith("Demo:")
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=30)
        assert process.returncode == 0
        assert f"http://localhost:{port}/" in output
        assert "Traceback" not in errors
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
