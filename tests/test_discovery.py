"""The document by which Home Assistant finds the box: whole, by ids that never change.

Here against what Home Assistant's own schemas take (2025.1.4); `test_home_assistant.py` has that
itself look, where it is installed.
"""

from typing import Any

import msgspec
from jsonschema import Draft202012Validator

from mien import discovery
from mien.events import EXPRESSIONS
from mien.topics import Topics

TOPICS = Topics("mien-abc234", "homeassistant", "mien-abc234")

_COMMON = """device_class enabled_by_default entity_category icon json_attributes_template
    json_attributes_topic name platform qos unique_id"""
_TAKES = {
    "sensor": (
        "state_topic",
        "expire_after force_update options state_class suggested_display_precision "
        "unit_of_measurement value_template",
    ),
    "binary_sensor": (
        "state_topic",
        "expire_after off_delay payload_off payload_on value_template",
    ),
    "switch": (
        "command_topic",
        "command_template optimistic payload_off payload_on retain state_off state_on state_topic "
        "value_template",
    ),
    "button": ("command_topic", "command_template payload_press retain"),
    "event": ("event_types state_topic", "value_template"),
}


def _component(platform: str) -> dict[str, Any]:
    required, optional = _TAKES[platform]
    keys = f"{_COMMON} {required} {optional}".split()
    return {
        "properties": {key: {} for key in keys} | {"platform": {"const": platform}},
        "required": ["platform", "unique_id", *required.split()],
        "additionalProperties": False,
    }


SCHEMA = {
    "type": "object",
    "required": ["device", "origin", "components"],
    "additionalProperties": False,
    "properties": {
        "availability_topic": {"type": "string"},
        "device": {
            "required": ["identifiers"],
            "additionalProperties": False,
            "properties": {
                key: {"type": "string"}
                for key in (
                    "name",
                    "manufacturer",
                    "model",
                    "serial_number",
                    "suggested_area",
                    "sw_version",
                )
            }
            | {"identifiers": {"type": "array", "minItems": 1}},
        },
        "origin": {
            "required": ["name"],
            "additionalProperties": False,
            "properties": {"name": {"type": "string"}, "sw_version": {"type": "string"}},
        },
        "components": {
            "minProperties": 1,
            "additionalProperties": {"oneOf": [_component(platform) for platform in _TAKES]},
        },
    },
}


def test_it_holds_what_home_assistant_takes_and_nothing_else() -> None:
    validator = Draft202012Validator(SCHEMA)
    validator.validate(discovery.document(TOPICS, "1.0"))
    strange = discovery.document(TOPICS, "1.0")
    strange["components"]["person"]["colour"] = "red"
    assert not validator.is_valid(strange)


def test_renaming_the_box_changes_topics_but_no_id() -> None:
    renamed = Topics("bedroom", "homeassistant", "mien-abc234")
    before, after = (discovery.document(topics, "1.0") for topics in (TOPICS, renamed))
    assert TOPICS.discovery == renamed.discovery == "homeassistant/device/mien-abc234/config"
    assert before["device"]["identifiers"] == after["device"]["identifiers"] == ["mien-abc234"]
    ids = [
        {name: one["unique_id"] for name, one in each["components"].items()}
        for each in (before, after)
    ]
    assert ids[0] == ids[1]
    assert len(set(ids[0].values())) == len(ids[0])
    assert after["device"]["name"] == "Mien bedroom"
    assert "mien-abc234/" not in discovery.payload(renamed, "1.0").decode()


def test_the_room_names_it_and_says_where_it_is() -> None:
    document = discovery.document(TOPICS, "1.0", "Living room")
    Draft202012Validator(SCHEMA).validate(document)
    assert document["device"]["name"] == "Mien Living room"
    assert document["device"]["suggested_area"] == "Living room"
    without = discovery.document(TOPICS, "1.0")
    assert document["components"] == without["components"]
    assert "suggested_area" not in without["device"]


def test_every_topic_is_one_of_the_box() -> None:
    document = discovery.document(TOPICS, "1.0")
    said = {TOPICS.state, TOPICS.today, TOPICS.health, TOPICS.event}
    heard = {TOPICS.command(name) for name in ("pause", "capture", "snooze")}
    assert document["availability_topic"] == TOPICS.availability
    for name, one in document["components"].items():
        for key, value in one.items():
            if key.endswith("_topic"):
                assert value in (heard if key == "command_topic" else said), (name, key)


def test_what_needs_somebody_to_agree_is_off_at_first() -> None:
    components = discovery.document(TOPICS, "1.0")["components"]
    assert components["capture"]["enabled_by_default"] is False
    assert components["expression"]["options"] == list(EXPRESSIONS)


def test_it_is_small_json() -> None:
    payload = discovery.payload(TOPICS, "1.0")
    assert msgspec.json.decode(payload) == discovery.document(TOPICS, "1.0")
    assert len(payload) < 8192
