"""The document by which Home Assistant finds the box: whole, by ids that never change."""

import msgspec

from mien import discovery
from mien.events import EXPRESSIONS
from mien.topics import Topics

TOPICS = Topics("mien-abc234", "homeassistant", "mien-abc234")


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
