"""Every topic and payload as an AsyncAPI 3.0 document, https://www.asyncapi.com/docs/reference,
with a JSON Schema each: made from `events`, so that it cannot tell of what is not sent."""

import ast
import inspect
from typing import Any

import msgspec

from mien import events, orders
from mien.topics import Topics

REF = "#/components/schemas/"
_SENT: dict[str, type[msgspec.Struct]] = {
    "state": events.State,
    "episode": events.EpisodeEvent,
    "reminder": events.Reminder,
    "health": events.Health,
    "today": events.Today,
    "response": events.Response,
}
_FORMATS = {"time": "date-time", "from": "date-time", "to": "date-time", "date": "date"}
_BOX = {"box": {"description": "What the box is called: [box] id, or the name it made up."}}
_PREFIX = {"prefix": {"description": "[mqtt] discovery_prefix.", "default": "homeassistant"}}
_NAME = {"name": {"description": "The command.", "enum": sorted(orders.SCOPES)}}
_COMMAND = {
    "description": "May be empty. What is no JSON object says no more than the topic does.",
    "type": "object",
    "properties": {
        "id": {
            "description": "Comes back in the response; the same id is not obeyed twice.",
            "type": "string",
            "maxLength": orders.LONGEST_ID,
        },
        "token": {"description": "Made on the page; allows the command.", "type": "string"},
        "paused": {
            "description": "Of pause and resume: which of them is meant.",
            "type": "boolean",
        },
    },
    "additionalProperties": True,
}
_DISCOVERY = {
    "description": "Home Assistant's own: https://www.home-assistant.io/integrations/mqtt/"
    "#device-discovery-payload.",
    "type": "object",
    "required": ["device", "origin", "components"],
}


def document() -> dict[str, Any]:
    """The whole document, of plain dicts."""
    topics = Topics("{box}", "{prefix}", "{serial}")
    serial = {"serial": {"description": "The name made up at the first start, kept for ever."}}
    channels = {
        "availability": _channel(topics.availability, _BOX, "availability"),
        "state": _channel(topics.state, _BOX, "state"),
        "event": _channel(topics.event, _BOX, "episode", "reminder"),
        "health": _channel(topics.health, _BOX, "health"),
        "today": _channel(topics.today, _BOX, "today"),
        "command": _channel(topics.command("{name}"), {**_BOX, **_NAME}, "command"),
        "response": _channel(topics.response("{name}"), {**_BOX, **_NAME}, "response"),
        "discovery": _channel(str(topics.discovery), {**_PREFIX, **serial}, "discovery"),
        "homeAssistant": _channel(str(topics.home_assistant), _PREFIX, "birth"),
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Mien over MQTT",
            "version": f"{events.VERSION}.0.0",
            "description": "What an expression looks like, never what somebody feels. No picture, "
            "crop or name is sent. In words: docs/mqtt.md.",
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": {
            **{
                name: _operation("send", name, qos=0, retain=True)
                for name in ("availability", "state", "health", "today", "discovery")
            },
            "neighbourAvailability": _operation("receive", "availability", qos=1, retain=True),
            "neighbourHealth": _operation("receive", "health", qos=1, retain=True),
            "event": _operation("send", "event", qos=1, retain=False),
            "command": {
                **_operation("receive", "command", qos=1, retain=False),
                "reply": {"channel": {"$ref": "#/channels/response"}},
            },
            "response": _operation("send", "response", qos=1, retain=False),
            "homeAssistant": _operation("receive", "homeAssistant", qos=1, retain=False),
        },
        "components": {
            "messages": {
                **{name: _message(REF + kind.__name__) for name, kind in _SENT.items()},
                "command": _message(f"{REF}Command"),
                "discovery": _message(f"{REF}Discovery"),
                "availability": _text("online", "offline"),
                "birth": _text("online", "offline"),
            },
            "schemas": schemas(),
        },
    }


def schemas() -> dict[str, Any]:
    """A JSON Schema for each payload and its parts, by the name of its type."""
    kinds = list(_SENT.values())
    _, found = msgspec.json.schema_components(kinds, ref_template=REF + "{name}")
    for name, schema in found.items():
        told = _told(getattr(events, name))
        for field, property in schema["properties"].items():
            if field in told:
                property["description"] = told[field]
            if field in _FORMATS and property.get("type") == "string":
                property["format"] = _FORMATS[field]
        schema["required"] = list(schema["properties"])  # nothing is ever left out
    return {**found, "Command": _COMMAND, "Discovery": _DISCOVERY}


def schema(kind: str) -> dict[str, Any]:
    """One that stands alone: that of the message of this name in the document."""
    of = document()["components"]
    payload: dict[str, Any] = of["messages"][kind]["payload"]
    return {**payload, "components": {"schemas": of["schemas"]}}


def _channel(address: str, parameters: dict[str, Any], *messages: str) -> dict[str, Any]:
    return {
        "address": address,
        "parameters": parameters,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
    }


def _operation(action: str, channel: str, *, qos: int, retain: bool) -> dict[str, Any]:
    binding = {"qos": qos, "retain": retain, "bindingVersion": "0.2.0"}
    of = {"$ref": f"#/channels/{channel}"}
    return {"action": action, "channel": of, "bindings": {"mqtt": binding}}


def _message(reference: str) -> dict[str, Any]:
    return {"contentType": "application/json", "payload": {"$ref": reference}}


def _text(*words: str) -> dict[str, Any]:
    return {"contentType": "text/plain", "payload": {"type": "string", "enum": list(words)}}


def _told(kind: type[msgspec.Struct]) -> dict[str, str]:
    """What is said of its fields in the source, by the name they have in JSON."""
    names = {field.name: field.encode_name for field in msgspec.structs.fields(kind)}
    (body,) = ast.parse(inspect.getsource(kind)).body
    assert isinstance(body, ast.ClassDef)
    told, before = {}, None
    for line in body.body:
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
            before = names[line.target.id]
        elif before and isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant):
            told[before] = " ".join(str(line.value.value).split())
            before = None
    return told
