"""The whole box as processes: the real daemon, a real mosquitto, the real page, one portrait."""

import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from appliance import Box, Subscriber, free_port, wait_for  # the helpers beside this file
from edgetpu import EdgeTpu, with_edgetpu_file
from mien import firstrun
from mien.bundle import load_bundle, shipped_bundle
from mien.clock import SystemClock
from mien.commands.demo import portrait
from mien.control import ControlError, NoPicture
from mien.events import Stretch
from mosquitto import Mosquitto
from people import People

pytestmark = pytest.mark.slow


@pytest.fixture
def broker() -> Iterator[Mosquitto]:
    with Mosquitto() as running:
        yield running


@pytest.fixture
def subscriber(broker: Mosquitto) -> Iterator[Subscriber]:
    running = Subscriber(broker)
    yield running
    running.close()


def live_view(box: Box) -> dict[str, Any]:
    picture = box.control.preview(-1, 5.0)
    assert picture is not None
    view: dict[str, Any] = json.loads(picture.live)
    return view


def test_a_face_becomes_a_state_an_episode_and_a_picture(
    tmp_path: Path, broker: Mosquitto, subscriber: Subscriber
) -> None:
    box = Box(tmp_path, broker)
    with box.running(portrait()) as process:
        subscriber.got("availability", b"online")
        state = subscriber.first("state", people=1)
        assert state["box"] == "testbox"
        assert abs(sum(state["probabilities"].values()) - 1) < 0.01

        picture = wait_for(lambda: box.control.preview(-1, 5.0))
        assert picture.jpeg[:2] == b"\xff\xd8"
        assert len(live_view(box)["readings"]) == 1

        metrics = box.control.metrics()
        assert "mien_frames_total" in metrics
        assert 'mien_part_ok{part="camera"} 1' in metrics

        # An episode goes on for as long as the picture does; pausing ends it, and says so.
        wait_for(lambda: (live_view(box)["episode_s"] or 0) > 1.5)
        box.control.pause()
        assert box.control.status().paused
        assert subscriber.first("event", kind="episode")["seconds"] >= 1
        assert subscriber.first("state", paused=True)["people"] == 0
        with pytest.raises(ControlError, match="paused, the camera is off"):
            box.control.preview(-1, 1.0)

        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
        subscriber.got("availability", b"offline")

    # A restart must not open the camera behind somebody's back.
    with box.running(portrait()):
        assert wait_for(box.control.status).paused
        box.control.resume()
        wait_for(lambda: box.control.preview(-1, 5.0))


def test_nobody_is_read_without_a_session_nor_after_consent_was_withdrawn(
    tmp_path: Path, broker: Mosquitto, subscriber: Subscriber
) -> None:
    box = Box(tmp_path, broker, "clinic")
    people = People(box.state, SystemClock())
    client = people.client("K-17", "live", "numbers", "pictures")
    with box.running(portrait()):
        parts = {part.name: part for part in wait_for(box.control.status).parts}
        assert parts["camera"].text == parts["consent"].text
        assert parts["consent"].text == "no session is running, so the camera is off"
        subscriber.first("state", people=0)
        with pytest.raises(NoPicture, match="no session is running"):
            box.control.preview(-1, 1.0)
        with pytest.raises(NoPicture, match="no session is running"):
            box.control.capture()

        box.control.aim(60)
        wait_for(lambda: box.control.preview(-1, 5.0))
        assert live_view(box)["expression"] is None
        health = box.control.status()
        assert health.mandate == "aim"
        assert "being aimed" in next(p.text for p in health.parts if p.name == "consent")

        people.session("s-1", client)
        box.control.refresh()
        health = box.control.status()
        assert (health.mandate, health.session) == ("session", "s-1")
        subscriber.first("state", people=1)
        with pytest.raises(ControlError, match="a session is running"):
            box.control.aim(60)
        taken = wait_for(box.control.capture)
        assert taken.face[:2] == b"\xff\xd8"
        assert len(taken.maps) == 7 * taken.side**2
        wait_for(lambda: (live_view(box)["episode_s"] or 0) > 1.5)
        people.withdraw(client, "pictures")
        with pytest.raises(ControlError, match="consents to pictures"):
            box.control.capture()

        people.withdraw(client, "live")
        box.control.refresh()
        assert box.control.status().mandate is None
        with pytest.raises(NoPicture):
            box.control.preview(-1, 1.0)
        wait_for(lambda: subscriber.all("state")[-1]["people"] == 0)
        told = len(subscriber.all("state"))
        time.sleep(2.5)
        assert len(subscriber.all("state")) == told
        assert subscriber.all("event") == [], "what was going on is not kept either"
        assert all(health["session"] is None for health in subscriber.all("health"))
        people.stop("s-1", 3600)
        wait_for(lambda: people.rows("SELECT 1 FROM minutes"))
        now = SystemClock().stamp()
        assert box.control.erase([Stretch(now.boot_id, 0, round(now.boot_time * 1000))]) >= 1
    assert people.rows("SELECT count(*) FROM readings") == [(0,)]
    assert people.rows("SELECT count(*) FROM minutes") == [(0,)]
    people.close()


def test_a_daemon_that_starts_in_a_session_goes_on_with_it(
    tmp_path: Path, broker: Mosquitto
) -> None:
    box = Box(tmp_path, broker, "clinic")
    people = People(box.state, SystemClock())
    people.session("s-1", people.client("K-17", "live"))
    people.write(
        "INSERT INTO erasures (client, boot, from_ms, to_ms, asked_utc) VALUES ('x', 'b', 0, 9, 0)"
    )
    with box.running(portrait()):
        wait_for(lambda: box.control.preview(-1, 5.0))
        assert box.control.status().session == "s-1"
        # What was asked for while it was away is done at its start.
        wait_for(lambda: people.rows("SELECT rows FROM erasures WHERE done_utc") == [(0,)])
    people.close()


def test_a_box_that_was_not_set_up_says_so(tmp_path: Path) -> None:
    box = Box(tmp_path, None, None)
    with box.running(portrait()) as process:
        parts = {part.name: part for part in wait_for(box.control.status).parts}
        assert parts["consent"].text == "not set up yet: open the page"
        process.terminate()
        said = process.communicate(timeout=20)[1]
        assert said.count("This box was not set up yet, so it reads nobody: open its page.") == 1
        code = re.search(r"one-time code (\w{4}-\w{4})$", said, re.MULTILINE)
        assert code
        assert firstrun.fits(box.state, code[1])


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


def test_an_edge_tpu_pulled_out_ends_it_and_the_cpu_reads_on(
    tmp_path: Path, broker: Mosquitto, subscriber: Subscriber, edgetpu: EdgeTpu
) -> None:
    box = Box(tmp_path, broker)
    compiled = with_edgetpu_file(load_bundle(shipped_bundle()), tmp_path)
    with box.config.open("a") as config:
        config.write(f'[expression]\nbundle = "{compiled.path}"\naccelerator = "edgetpu"\n')
    with box.running(portrait(), edgetpu.environment) as process:
        subscriber.first("state", people=1)
        edgetpu.pull_out()
        assert process.wait(20) == 1  # which systemd mends
        assert process.stderr is not None
        assert "inference stage failed: the Edge TPU stopped answering" in process.stderr.read()
    subscriber.got("availability", b"offline")
    before = len(subscriber.all("state"))
    with box.running(portrait(), edgetpu.environment):
        wait_for(lambda: any(s["people"] == 1 for s in subscriber.all("state")[before:]))
        part = next(part for part in box.control.status().parts if part.name == "expression")
        assert part.status == "degraded"
        assert part.text.startswith("the Edge TPU cannot be used, the CPU reads instead")


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
    port = free_port()
    box = Box(tmp_path, None, None)  # a box that nobody set up
    box.config.write_text(box.config.read_text() + f"[page]\nport = {port}\n")
    command = [sys.executable, "-m", "mien", "demo", "--portrait", "--config", str(box.config)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        wait_for(box.control.status, 40)
        with urlopen(f"http://127.0.0.1:{port}/") as answer:
            page = answer.read().decode()
        assert "Live picture of the seat" in page  # at once, without a log-in
        wait_for(lambda: box.control.preview(-1, 5.0))
        assert live_view(box)["note"].startswith("Demo:")
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=30)
        assert process.returncode == 0
        assert f"http://localhost:{port}/" in output
        assert "one-time code" not in errors
        assert "Traceback" not in errors
    finally:
        box.control.close()
        if process.poll() is None:
            process.kill()
            process.communicate()


def test_a_second_demo_promises_no_address(tmp_path: Path, broker: Mosquitto) -> None:
    box = Box(tmp_path, broker)
    with box.running(portrait()):
        wait_for(box.control.status)
        command = [sys.executable, "-m", "mien", "demo", "--portrait", "--config", str(box.config)]
        second = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (second.returncode, second.stdout) == (1, "")
    assert "another Mien daemon already listens" in second.stderr


def test_events_are_followed_until_the_reader_goes(broker: Mosquitto) -> None:
    mien = [sys.executable, "-m", "mien", "events", "--json"]
    with subprocess.Popen(
        [*mien, "--broker", f"127.0.0.1:{broker.port}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as follower:
        assert follower.stdout is not None
        assert follower.stderr is not None
        client = Client(CallbackAPIVersion.VERSION2)
        client.connect("127.0.0.1", broker.port)
        client.loop_start()
        client.publish("mien/testbox/availability", b"online", qos=1, retain=True)
        line = json.loads(follower.stdout.readline())
        assert line == {"topic": "mien/testbox/availability", "payload": "online"}
        follower.stdout.close()
        for _ in range(2):  # the first one that cannot be written ends it
            client.publish("mien/testbox/availability", b"offline", qos=1).wait_for_publish(5)
        assert follower.wait(10) == 0
        assert follower.stderr.read() == ""
        client.disconnect()
        client.loop_stop()
