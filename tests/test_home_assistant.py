"""The box as Home Assistant itself sees it: the package of that name, run against a real broker."""

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from paho.mqtt.publish import single

from appliance import Box, wait_for  # the helpers beside this file
from home_assistant import HomeAssistant
from mien import discovery
from mien.clock import ManualClock, synchronised
from mien.commands.demo import portrait
from mien.events import EXPRESSIONS, EpisodeEvent, Health, Part, Reminder, State, Today
from mien.topics import Topics
from mosquitto import Mosquitto

pytestmark = pytest.mark.slow

TOPICS = Topics("hall", "homeassistant", "mien-abc234")
NOW = ManualClock().stamp().iso


@pytest.fixture(scope="module")
def broker() -> Iterator[Mosquitto]:
    with Mosquitto() as running:
        yield running


@pytest.fixture(scope="module")
def home(broker: Mosquitto) -> Iterator[HomeAssistant]:
    with HomeAssistant(broker.port) as running:
        yield running


def state(**changed: Any) -> State:
    values: dict[str, Any] = {
        "id": "1", "box": "hall", "time": NOW, "clock_ok": True, "paused": False, "people": 1,
        "expression": "happiness", "reason": None, "confidence": 0.7, "valence": 0.5512,
        "probabilities": None, "facing": True,
    }  # fmt: skip
    return State(**{**values, **changed})


NOBODY = state(people=0, expression=None, confidence=None, valence=None, facing=None)
CLOSED = msgspec.structs.replace(NOBODY, watching=False)
TODAY = Today(
    id="1", box="hall", time=NOW, date="2027-01-15", watched_minutes=90, seen_minutes=42,
    read_minutes=30, expression="happiness", valence=0.2, checkins=2, mood=3.5,
)  # fmt: skip
HEALTH = Health(
    id="1", box="hall", time=NOW, status="degraded", paused=False, version="1",
    parts=[
        Part("camera", "degraded", "no camera was found", "plug one in"),
        Part("clock", "ok", "set by the network"),
    ],
)  # fmt: skip
EPISODE = EpisodeEvent(
    id="1", box="hall", expression="anger", start=NOW, end=NOW, seconds=1.0, peak=0.9,
    clock_ok=True,
)  # fmt: skip


def test_its_schemas_know_every_key(home: HomeAssistant) -> None:
    version = home.ask("version")
    assert [int(part) for part in version.split(".")[:2]] >= [2024, 12]
    assert home.ask("schema", discovery.document(TOPICS, "1.0")) == []
    assert home.ask("schema", discovery.document(TOPICS, "1.0", "Living room")) == []


def test_the_check_would_find_a_key_that_is_none(home: HomeAssistant) -> None:
    document = discovery.document(TOPICS, "1.0")
    document["components"]["valence"]["colour"] = "red"
    document["components"]["person"]["device_class"] = "occupied"
    wrong = home.ask("schema", document)
    assert [line.partition(":")[0] for line in wrong] == ["valence", "person"]


@pytest.mark.parametrize(
    ("component", "message", "shown"),
    [
        ("expression", state(), "happiness"),
        ("expression", NOBODY, "None"),  # which it takes for unknown
        ("valence", state(), "0.6"),
        ("valence", NOBODY, "None"),
        ("person", state(), "ON"),
        ("person", NOBODY, "OFF"),
        ("person", CLOSED, "None"),
        ("pause", state(), "OFF"),
        ("pause", state(paused=True), "ON"),
        ("minutes_seen", TODAY, "42"),
        ("mood", TODAY, "3.5"),
        ("mood", msgspec.structs.replace(TODAY, mood=None), "None"),
        ("health", HEALTH, "ON"),
        ("health", msgspec.structs.replace(HEALTH, status="ok"), "OFF"),
        ("reminder", EPISODE, ""),  # which it ignores
    ],
)
def test_what_its_templates_make_of_what_is_sent(
    home: HomeAssistant, component: str, message: msgspec.Struct, shown: str
) -> None:
    template = discovery.document(TOPICS, "1")["components"][component]["value_template"]
    assert home.ask("template", template, msgspec.json.encode(message).decode()) == shown


def test_attributes(home: HomeAssistant) -> None:
    components = discovery.document(TOPICS, "1")["components"]

    def told(component: str, key: str, message: msgspec.Struct) -> Any:
        template, payload = components[component][key], msgspec.json.encode(message).decode()
        return json.loads(home.ask("template", template, payload))

    assert told("health", "json_attributes_template", HEALTH) == {
        "status": "degraded", "text": "no camera was found", "cure": "plug one in",
    }  # fmt: skip
    assert told("mood", "json_attributes_template", TODAY) == {"checkins": 2}
    reminder = Reminder(id="1", box="hall", time=NOW)
    assert told("reminder", "value_template", reminder) == {"event_type": "reminder", "time": NOW}


def test_what_comes_over_the_broker_becomes_a_state(home: HomeAssistant, broker: Mosquitto) -> None:
    def publish(topic: str, payload: bytes, retain: bool = True) -> None:
        single(topic, payload, retain=retain, qos=1, hostname="127.0.0.1", port=broker.port)

    publish(str(TOPICS.discovery), discovery.payload(TOPICS, "1.0"))
    publish(TOPICS.availability, b"online")
    publish(TOPICS.today, msgspec.json.encode(TODAY))
    publish(TOPICS.health, msgspec.json.encode(HEALTH))
    home.until("mien-abc234_minutes_seen", lambda it: it["state"] == "42")
    mood = home.until("mien-abc234_mood", lambda it: it["state"] == "3.5")
    assert mood["attributes"]["checkins"] == 2
    health = home.until("mien-abc234_health", lambda it: it["state"] == "on")
    assert health["attributes"]["cure"] == "plug one in"
    publish(TOPICS.event, msgspec.json.encode(EPISODE), retain=False)
    publish(TOPICS.event, msgspec.json.encode(Reminder(id="1", box="hall", time=NOW)), retain=False)
    event = home.until("mien-abc234_reminder", lambda it: it["state"] != "unknown")
    assert event["attributes"]["event_type"] == "reminder"
    publish(str(TOPICS.discovery), b"")
    wait_for(lambda: home.ask("states") == {})


def test_the_real_box_is_found_renamed_and_forgotten(
    home: HomeAssistant, broker: Mosquitto, tmp_path: Path
) -> None:
    box = Box(tmp_path, broker)
    with box.running(portrait()) as process:
        wait_for(box.control.status)
        serial = (box.state / "box-id").read_text().strip()

        def of(component: str) -> str:
            return f"{serial}_{component}"

        shown = home.until(of("expression"), lambda it: it["state"] in EXPRESSIONS)
        assert shown["entity_id"] == "sensor.mien_testbox_expression_looks_like"
        home.until(of("person"), lambda it: it["state"] == "on")
        if synchronised():  # else the box does not know which day it is, and tells of none
            home.until(of("minutes_seen"), lambda it: it["state"].isdecimal())
            home.until(of("mood"), lambda it: it["state"] == "unknown")
        health = home.until(of("health"), lambda it: it["state"] in ("on", "off"))
        assert health["attributes"]["device_class"] == "problem"
        everything = home.ask("states")
        assert everything[of("capture")]["disabled"]
        assert not everything[of("pause")]["disabled"]
        # Paused from there, as is allowed at first; opened only from here.
        switch = everything[of("pause")]["entity_id"]
        home.ask("call", "switch", "turn_on", switch)
        home.until(of("pause"), lambda it: it["state"] == "on")
        home.until(of("person"), lambda it: it["state"] == "unknown")
        assert box.control.status().paused
        box.control.resume()
        home.until(of("pause"), lambda it: it["state"] == "off")
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
    home.until(of("expression"), lambda it: it["state"] == "unavailable")

    renamed = re.sub(r'id = "testbox"', 'id = "bedroom"', box.config.read_text())
    box.config.write_text(renamed)
    with box.running(portrait()) as process:
        shown = home.until(of("expression"), lambda it: it["state"] in EXPRESSIONS)
        assert shown["entity_id"] == "sensor.mien_testbox_expression_looks_like", "still the same"
        ((ids, name, _),) = home.ask("devices")
        assert (ids, name) == ([["mqtt", serial]], "Mien bedroom")
        assert home.ask("states").keys() == everything.keys()
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0

    box.config.write_text(renamed.replace("[mqtt]\n", "[mqtt]\ndiscovery = false\n"))
    with box.running(portrait()):
        wait_for(lambda: not home.ask("states"))
        assert home.ask("devices") == []
    assert "ERROR" not in home.log
