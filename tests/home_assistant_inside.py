"""Home Assistant itself, with its MQTT integration and nothing else, on a folder of its own.

Run by Home Assistant's Python, never imported by ours: `home_assistant_inside.py PORT FOLDER`. Each
line on stdin is a JSON list, the first item a name of `Inside`; each answer is a line on stdout.
"""

import asyncio
import importlib
import json
import sys
from pathlib import Path
from typing import Any

from homeassistant import bootstrap, config_entries, core, loader
from homeassistant.components.mqtt import schemas
from homeassistant.const import __version__
from homeassistant.helpers import device_registry, entity_registry
from homeassistant.setup import async_setup_component


class Inside:
    """What can be asked."""

    def __init__(self, hass: core.HomeAssistant) -> None:
        self.hass = hass

    async def version(self) -> str:
        return __version__

    async def states(self) -> dict[str, Any]:
        """Every entity by its unique id: where it is, its state and attributes."""
        registry = entity_registry.async_get(self.hass)
        found = {}
        for entry in registry.entities.values():
            state = self.hass.states.get(entry.entity_id)
            found[entry.unique_id] = {
                "entity_id": entry.entity_id,
                "disabled": entry.disabled_by is not None,
                "state": state and state.state,
                "attributes": dict(state.attributes) if state else {},
            }
        return found

    async def devices(self) -> list[Any]:
        found = device_registry.async_get(self.hass).devices.values()
        return [[sorted(map(list, each.identifiers)), each.name, each.sw_version] for each in found]

    async def call(self, domain: str, service: str, entity_id: str) -> None:
        await self.hass.services.async_call(
            domain, service, {"entity_id": entity_id}, blocking=True
        )

    async def template(self, text: str, payload: str) -> str:
        """What Home Assistant makes of a payload by a value_template."""
        from homeassistant.components.mqtt.models import MqttValueTemplate
        from homeassistant.helpers.template import Template

        template = MqttValueTemplate(Template(text, self.hass))
        return str(template.async_render_with_possible_json_value(payload))

    async def schema(self, document: dict[str, Any]) -> list[str]:
        """What is wrong with a document: by the schema of devices, and by that of each platform,
        which unlike discovery itself drops no key in silence."""
        wrong = []
        try:
            schemas.DEVICE_DISCOVERY_SCHEMA(json.loads(json.dumps(document)))
        except Exception as error:
            wrong.append(f"device: {error}")
        shared = {name: document[name] for name in schemas.SHARED_OPTIONS if name in document}
        for name, component in document["components"].items():
            config = dict(component)
            platform = config.pop("platform")
            module = importlib.import_module(f"homeassistant.components.mqtt.{platform}")
            takes = {str(key) for key in _keys(module.PLATFORM_SCHEMA_MODERN)}
            config |= {key: value for key, value in shared.items() if key in takes}
            try:
                module.PLATFORM_SCHEMA_MODERN(config)
            except Exception as error:
                wrong.append(f"{name}: {error}")
        return wrong


def _keys(schema: Any) -> Any:
    if hasattr(schema, "validators"):  # vol.All: the first holds the keys
        return _keys(schema.validators[0])
    return schema.schema


async def main(port: int, folder: str) -> None:
    hass = core.HomeAssistant(folder)
    loader.async_setup(hass)
    hass.config_entries = config_entries.ConfigEntries(hass, {})
    await bootstrap.async_load_base_functionality(hass)
    hass.config.components |= {"http", "file_upload"}  # what only the dialogue needs
    for component in ("homeassistant", "mqtt"):
        assert await async_setup_component(hass, component, {})
    known = hass.config_entries.async_entries("mqtt")
    if not known:
        entry = config_entries.ConfigEntry(
            domain="mqtt", title="broker", data={"broker": "127.0.0.1", "port": port},
            version=1, minor_version=2, source="user", unique_id=None, options={},
            discovery_keys={},
        )  # fmt: skip
        await hass.config_entries.async_add(entry)
    await hass.async_start()
    (entry,) = hass.config_entries.async_entries("mqtt")
    assert entry.state is config_entries.ConfigEntryState.LOADED, entry.reason
    inside = Inside(hass)
    print(json.dumps("ready"), flush=True)
    lines = asyncio.StreamReader()
    await hass.loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        name, *arguments = json.loads(line)
        try:
            answer = await getattr(inside, name)(*arguments)
        except Exception as error:
            answer = {"error": repr(error)}
        print(json.dumps(answer, default=str), flush=True)
    await hass.async_stop(force=True)


if __name__ == "__main__":
    (Path(sys.argv[2]) / "configuration.yaml").touch()
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
