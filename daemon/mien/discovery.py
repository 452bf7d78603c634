"""How Home Assistant finds the box by itself: one document that describes the device and all that
it shows, https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload (2024.12 on).

Nothing here reaches out; `tests/test_home_assistant.py` has Home Assistant itself look at it.
"""

from typing import Any

import msgspec

from mien.events import EXPRESSIONS
from mien.topics import Topics

STALE_S = 300
"""`health` and `today` come once a minute: without them for so long nothing is known any more."""

_HEALTH = (
    "{% set bad = value_json.parts | rejectattr('status', 'eq', 'ok') | list %}"
    "{{ {'status': value_json.status, 'text': bad | map(attribute='text') | join('; '), "
    "'cure': bad | map(attribute='cure') | select | join('; ')} | tojson }}"
)


def document(topics: Topics, version: str, room: str | None = None) -> dict[str, Any]:
    """The document for a box of this name. The keys of `components` and the ids in it are how Home
    Assistant knows them again; never change one."""
    serial = topics.serial
    return {
        "device": {
            "identifiers": [serial],
            "name": f"Mien {room or topics.box.removeprefix('mien-')}",
            **({"suggested_area": room} if room else {}),
            "manufacturer": "Mien",
            "model": "Expression reader",
            "serial_number": serial,
            "sw_version": version,
        },
        "origin": {"name": "Mien", "sw_version": version},
        "availability_topic": topics.availability,
        "components": {
            # QoS is none of the options that Home Assistant takes over from above.
            name: {"unique_id": f"{serial}_{name}", "qos": 1, **component}
            for name, component in _components(topics).items()
        },
    }


def payload(topics: Topics, version: str, room: str | None = None) -> bytes:
    """The document as it is sent; never empty."""
    return msgspec.json.encode(document(topics, version, room))


def _components(topics: Topics) -> dict[str, dict[str, Any]]:
    return {
        "expression": {
            "platform": "sensor",
            "name": "Expression looks like",
            "icon": "mdi:emoticon-outline",
            "device_class": "enum",
            "options": list(EXPRESSIONS),
            "state_topic": topics.state,
            "value_template": "{{ value_json.expression }}",
        },
        "valence": {
            "platform": "sensor",
            "name": "Valence of the expression",
            "icon": "mdi:emoticon-happy-outline",
            "state_class": "measurement",
            "suggested_display_precision": 1,
            "state_topic": topics.state,
            # In tenths: a row in Home Assistant's database for each change is enough.
            "value_template": "{{ value_json.valence | round(1) "
            "if value_json.valence is not none else none }}",
        },
        "minutes_seen": {
            "platform": "sensor",
            "name": "Seen today",
            "icon": "mdi:timer-outline",
            "device_class": "duration",
            "unit_of_measurement": "min",
            "state_class": "total_increasing",
            "state_topic": topics.today,
            "value_template": "{{ value_json.seen_minutes }}",
            "expire_after": STALE_S,
        },
        "mood": {
            "platform": "sensor",
            "name": "Mood today, as reported",
            "icon": "mdi:notebook-heart-outline",
            "state_class": "measurement",
            "suggested_display_precision": 1,
            "state_topic": topics.today,
            "value_template": "{{ value_json.mood }}",
            "json_attributes_topic": topics.today,
            "json_attributes_template": "{{ {'checkins': value_json.checkins} | tojson }}",
            "expire_after": STALE_S,
        },
        "person": {
            "platform": "binary_sensor",
            "name": "Person in the seat",
            "device_class": "occupancy",
            "state_topic": topics.state,
            # Nobody looked is not nobody there, and what does not move is no person.
            "value_template": "{{ none if not value_json.watching else 'ON' if value_json.people "
            "and value_json.reason != 'does not move' else 'OFF' }}",
        },
        "health": {
            "platform": "binary_sensor",
            "name": "Health",
            "device_class": "problem",
            "entity_category": "diagnostic",
            "state_topic": topics.health,
            "value_template": "{{ 'OFF' if value_json.status == 'ok' else 'ON' }}",
            "json_attributes_topic": topics.health,
            "json_attributes_template": _HEALTH,
            "expire_after": STALE_S,
        },
        "pause": {
            "platform": "switch",
            "name": "Pause",
            "icon": "mdi:eye-off-outline",
            "state_topic": topics.state,
            "value_template": "{{ 'ON' if value_json.paused else 'OFF' }}",
            # A switch has one topic for both: `pause` takes which of them is meant.
            "command_topic": topics.command("pause"),
            "payload_on": '{"paused": true}',
            "payload_off": '{"paused": false}',
            "state_on": "ON",
            "state_off": "OFF",
        },
        "capture": {
            "platform": "button",
            "name": "Capture",
            "icon": "mdi:camera-outline",
            "enabled_by_default": False,
            "command_topic": topics.command("capture"),
            "payload_press": "{}",
        },
        "snooze": {
            "platform": "button",
            "name": "Remind me later",
            "icon": "mdi:alarm-snooze",
            "command_topic": topics.command("snooze"),
            "payload_press": "{}",
        },
        "reminder": {
            "platform": "event",
            "name": "Check-in reminder",
            "icon": "mdi:bell-outline",
            "event_types": ["reminder"],
            "state_topic": topics.event,
            # Episodes come on this topic, too; what renders to nothing is ignored.
            "value_template": "{% if value_json.kind == 'reminder' %}"
            "{{ {'event_type': 'reminder', 'time': value_json.time} | tojson }}{% endif %}",
        },
    }
