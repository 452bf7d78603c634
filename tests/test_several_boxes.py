"""Two real daemons at a real broker with the appliance's rights, brokers joined as the docs say,
and the page about the others in a real browser."""

import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from axe_playwright_python.sync_playwright import Axe
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from playwright.sync_api import Browser, expect

from appliance import Box, wait_for  # the helpers beside this file
from mien.clock import SystemClock
from mien.commands.demo import portrait
from mien.config import Store as StoreConfig
from mien.control import ControlServer
from mien.events import Neighbour, Neighbourhood
from mien.scripted import ScriptedDaemon
from mien.store import Store
from mosquitto import Mosquitto, free_port
from samples import HEALTH
from served import PHONE, outside

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
RIGHTS = f"acl_file {ROOT / 'firmware_config' / 'mosquitto' / 'mien.acl'}"


def box_of(folder: Path, broker: Mosquitto, name: str, user: str) -> Box:
    """A box in the demo, at that broker as this user, whose password is its name."""
    folder.mkdir()
    box = Box(folder, broker)
    (folder / "password").write_text(user)
    box.config.write_text(
        box.config.read_text().replace(
            'id = "testbox"', f'id = "{name}"\nroom = "{name.capitalize().replace("-", " ")}"'
        )
        + f'neighbours = true\nusername = "{user}"\npassword_file = "{folder / "password"}"\n'
    )
    return box


def only(box: Box) -> Neighbour | None:
    """The one other box that it hears of."""
    boxes = box.control.neighbours().boxes
    assert len(boxes) <= 1
    return boxes[0] if boxes else None


def becomes(asked: Box, **wanted: Any) -> Neighbour:
    def found() -> Neighbour | None:
        other = only(asked)
        fits = other and all(getattr(other, key) == value for key, value in wanted.items())
        return other if fits else None

    told: Neighbour = wait_for(found, 90)  # joined brokers wait half a minute between attempts
    return told


class Listener:
    """Somebody at the broker, and on which topics they got something."""

    def __init__(self, broker: Mosquitto, user: str) -> None:
        self.topics: set[str] = set()
        self.client = Client(CallbackAPIVersion.VERSION2)
        self.client.username_pw_set(user, user)
        self.client.on_message = lambda _client, _data, message: self.topics.add(message.topic)
        self.client.connect("127.0.0.1", broker.port)
        self.client.subscribe("#", qos=1)
        self.client.loop_start()

    def publish(self, topic: str, payload: bytes) -> None:
        self.client.publish(topic, payload, qos=1, retain=True).wait_for_publish(10)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def test_two_boxes_at_one_broker_hear_how_the_other_is(tmp_path: Path) -> None:
    with Mosquitto({"mien": "mien", "room-2": "room-2"}, more=RIGHTS) as broker:
        first = box_of(tmp_path / "1", broker, "room-1", "mien")
        second = box_of(tmp_path / "2", broker, "room-2", "room-2")
        with first.running(portrait()):
            wait_for(first.control.status, 90)
            with second.running(portrait()) as process:
                told = becomes(first, state="heard", box="room-2", room="Room 2", open=True)
                assert told.witnessed
                assert {part.name for part in told.parts} >= {"camera", "broker", "clock"}
                becomes(second, box="room-1", room="Room 1")
                second.control.pause()
                becomes(first, paused=True, open=False)
                process.send_signal(signal.SIGKILL)
                told = becomes(first, state="offline")
                assert told.unheard_s < 30
            with second.running(portrait()):
                becomes(first, state="heard", paused=True)
                broker.kill()
                wait_for(lambda: not first.control.neighbours().connected)
                assert only(first) is not None
            assert first.control.neighbours().ignored == 0


def test_another_box_may_not_look_further(tmp_path: Path) -> None:
    with Mosquitto({"mien": "mien", "room-2": "room-2"}, more=RIGHTS) as broker:
        box = box_of(tmp_path / "1", broker, "room-1", "mien")
        other = Listener(broker, "room-2")
        everything = Listener(broker, "mien")
        try:
            with box.running(portrait()):
                wait_for(
                    lambda: {"mien/room-1/state", "mien/room-1/health"} <= everything.topics, 90
                )
                other.publish("mien/room-1/command/pause", b"")
                other.publish("mien/room-3/health", b"{}")
                other.publish("mien/room-2/health", b"{}")
                wait_for(lambda: "mien/room-2/health" in everything.topics)
                assert not box.control.status().paused
            wait_for(lambda: "mien/room-2/health" in other.topics)
            allowed = {"mien/room-1/health", "mien/room-1/availability", "mien/room-2/health"}
            assert other.topics == allowed
            assert "mien/room-3/health" not in everything.topics
        finally:
            other.close()
            everything.close()


def test_brokers_joined_as_the_docs_say(tmp_path: Path) -> None:
    docs = (ROOT / "docs" / "mqtt.md").read_text()
    (lines,) = re.findall(r"```\n(connection .*?)```", docs, re.DOTALL)
    tls, port = tmp_path / "tls", free_port()
    script = ROOT / "firmware_config" / "certificates.sh"
    subprocess.run(["sh", script, tls], check=True, capture_output=True)
    outside = f"listener {port}\ncertfile {tls}/server.crt\nkeyfile {tls}/server.key\n"
    with Mosquitto({"mien": "mien", "room-2": "room-2"}, more=f"{RIGHTS}\n{outside}") as hub:
        lines = lines.replace("mien-1.local:8883", f"localhost:{port}")
        lines = lines.replace("/etc/mosquitto/certs/mien-1.crt", str(tls / "ca.crt"))
        lines = lines.replace("THE-PASSWORD", "room-2")
        with Mosquitto({"mien": "mien"}, more=f"{RIGHTS}\n{lines}") as own:
            first = box_of(tmp_path / "1", hub, "room-1", "mien")
            second = box_of(tmp_path / "2", own, "room-2", "mien")
            there = Listener(hub, "mien")
            try:
                with first.running(portrait()), second.running(portrait()):
                    becomes(first, state="heard", room="Room 2")
                    becomes(second, state="heard", room="Room 1")
                    second.control.pause()
                    becomes(first, paused=True)
                of_second = {topic for topic in there.topics if topic.startswith("mien/room-2/")}
                assert of_second == {"mien/room-2/health", "mien/room-2/availability"}
            finally:
                there.close()


# ── in a browser ─────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[ScriptedDaemon]:
    daemon = ScriptedDaemon(HEALTH)
    daemon.neighbourhood = Neighbourhood(on=True, connected=True)
    server = ControlServer(tmp_path / "control.sock", daemon)
    server.start()
    yield daemon
    server.stop()


@pytest.fixture
def address(tmp_path: Path, daemon: ScriptedDaemon) -> Iterator[str]:
    store = Store.open(tmp_path, SystemClock(), StoreConfig())
    store.set_up("demo")  # asks for no log-in
    store.close()
    with outside(tmp_path) as address:
        yield address


def test_the_page_learns_of_it_by_itself(
    address: str, daemon: ScriptedDaemon, chromium: Browser
) -> None:
    well = Neighbour(
        box="room-2", room="Room 2", state="heard", unheard_s=4.0, witnessed=True, said="",
        status="ok", paused=False, open=False, version="0.1.0", parts=HEALTH.parts,
    )  # fmt: skip
    page = chromium.new_page(viewport=PHONE, locale="en")
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.clock.install()
    page.goto(address + "/box/neighbours")
    expect(page.get_by_role("heading", name="No other box was heard yet")).to_be_visible()
    with page.expect_navigation():  # how to begin goes, the list comes
        daemon.neighbourhood = Neighbourhood(on=True, connected=True, boxes=[well])
        page.clock.run_for(11_000)
    expect(page.get_by_text("Everything works")).to_be_visible()
    expect(page.get_by_role("heading", name="No other box was heard yet")).to_have_count(0)
    silent = msgspec.structs.replace(well, state="silent", unheard_s=720.0)
    daemon.neighbourhood = Neighbourhood(on=True, connected=True, boxes=[silent])
    page.clock.run_for(11_000)
    expect(page.get_by_text("Not heard for 12 min")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert Axe().run(page).response["violations"] == []
    page.route("**/box/neighbours/list", lambda route: route.abort())
    page.clock.run_for(11_000)
    expect(page.locator("#lost")).to_be_visible()
    page.unroute("**/box/neighbours/list")
    page.clock.run_for(11_000)
    expect(page.locator("#lost")).to_be_hidden()
    expect(page.get_by_text("Not heard for 12 min")).to_be_visible()
    page.close()
    assert complaints == []
