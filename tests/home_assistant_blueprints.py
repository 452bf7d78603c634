"""Home Assistant's own judgement of blueprints, filled in and as automations.

Run by Home Assistant's Python, never imported by ours: `home_assistant_blueprints.py FILE INPUTS`,
INPUTS as JSON. Ends with an error where a blueprint, or the automation made of it, is none.
"""

import json
import sys

from homeassistant.components.automation.config import AUTOMATION_BLUEPRINT_SCHEMA, PLATFORM_SCHEMA
from homeassistant.components.blueprint.models import Blueprint, BlueprintInputs
from homeassistant.util import yaml

path, inputs = sys.argv[1], json.loads(sys.argv[2])
blueprint = Blueprint(
    yaml.load_yaml(path),
    path=path,
    expected_domain="automation",
    schema=AUTOMATION_BLUEPRINT_SCHEMA,
)
assert not blueprint.validate(), blueprint.validate()
filled = BlueprintInputs(blueprint, {"use_blueprint": {"path": path, "input": inputs}})
filled.validate()
PLATFORM_SCHEMA({"id": "1", "alias": "test", **filled.async_substitute()})
print("valid")
