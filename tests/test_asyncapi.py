"""The description of the MQTT topics tells all of what is sent, and is not stale."""

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from mien import asyncapi
from mien.events import EpisodeEvent, Response, State, Today
from mien.orders import SCOPES

ROOT = Path(__file__).parent.parent
DOCUMENT = asyncapi.document()


def test_the_file_in_the_docs_is_the_one_that_is_printed() -> None:
    kept = json.loads((ROOT / "docs" / "asyncapi.json").read_text())
    assert plain(kept) == plain(DOCUMENT), "stale: mien mqtt describe > docs/asyncapi.json"


def plain(part: Any) -> Any:
    """Return it without what only newer versions of msgspec write: the names of a dict's keys."""
    if isinstance(part, dict):
        return {name: plain(each) for name, each in part.items() if name != "propertyNames"}
    return [plain(each) for each in part] if isinstance(part, list) else part


def references(part: Any) -> list[str]:
    if isinstance(part, dict):
        own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
        return own + [found for value in part.values() for found in references(value)]
    if isinstance(part, list):
        return [found for value in part for found in references(value)]
    return []


def test_every_reference_leads_somewhere() -> None:
    found = references(DOCUMENT)
    assert len(found) > 20
    for reference in found:
        place: Any = DOCUMENT
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]


def test_every_parameter_of_an_address_is_described() -> None:
    for channel in DOCUMENT["channels"].values():
        names = set(re.findall(r"{(\w+)}", channel["address"]))
        assert names == set(channel["parameters"])
    operations = {one["channel"]["$ref"] for one in DOCUMENT["operations"].values()}
    assert operations == {f"#/channels/{name}" for name in DOCUMENT["channels"]}


@pytest.mark.parametrize("name", list(asyncapi.schemas()))
def test_each_schema_is_one(name: str) -> None:
    Draft202012Validator.check_schema(DOCUMENT["components"]["schemas"][name])


def test_fields_are_described_as_in_the_source() -> None:
    episode = DOCUMENT["components"]["schemas"]["EpisodeEvent"]["properties"]
    assert episode["to"]["description"] == "UTC, ISO 8601."
    assert episode["from"]["format"] == "date-time"
    assert set(DOCUMENT["channels"]["command"]["parameters"]["name"]["enum"]) == set(SCOPES)


TODAY = Today(
    id="1", box="a", time="2027-01-15T08:00:00.000Z", date="2027-01-15", watched_minutes=1,
    seen_minutes=1, read_minutes=1, expression=None, valence=None, checkins=None, mood=None,
)  # fmt: skip
EPISODE = EpisodeEvent(
    id="1", box="a", expression="anger", start="2027-01-15T08:00:00.000Z",
    end="2027-01-15T08:00:01.000Z", seconds=1.0, peak=0.5, clock_ok=True,
)  # fmt: skip
STATE = State(
    id="1", box="a", time="2027-01-15T08:00:00.000Z", clock_ok=True, paused=True, people=0,
    expression=None, reason=None, confidence=None, valence=None, probabilities=None, facing=None,
)  # fmt: skip
RESPONSE = Response(id="1", box="a", command="pause", request=None, ok=True, result={"n": 1.5})


@pytest.mark.parametrize(
    ("message", "sent"),
    [("today", TODAY), ("episode", EPISODE), ("state", STATE), ("response", RESPONSE)],
)
def test_what_is_sent_fits_and_what_is_not_does_not(message: str, sent: msgspec.Struct) -> None:
    validator = Draft202012Validator(asyncapi.schema(message))
    payload = json.loads(msgspec.json.encode(sent))
    validator.validate(payload)
    for field in payload:
        less = {name: value for name, value in payload.items() if name != field}
        assert not validator.is_valid(less), field
        assert not validator.is_valid({**payload, field: [[]]}), field
