"""What people say of themselves, in the visitor's language: the five steps of a mood and the
eighteen everyday emotions. The store, files and MQTT have the emotions in English."""

from typing import Any

from flask_babel import lazy_gettext

from mien.emotions import Emotion

MOODS: dict[int, Any] = {
    1: lazy_gettext("awful"),
    2: lazy_gettext("bad"),
    3: lazy_gettext("so-so"),
    4: lazy_gettext("good"),
    5: lazy_gettext("great"),
}

EMOTIONS: dict[Emotion, Any] = {
    "pride": lazy_gettext("pride"),
    "love": lazy_gettext("love"),
    "hope": lazy_gettext("hope"),
    "gratitude": lazy_gettext("gratitude"),
    "joy": lazy_gettext("joy"),
    "satisfaction": lazy_gettext("satisfaction"),
    "awe": lazy_gettext("awe"),
    "amusement": lazy_gettext("amusement"),
    "alertness": lazy_gettext("alertness"),
    "anxiety": lazy_gettext("anxiety"),
    "disdain": lazy_gettext("disdain"),
    "offence": lazy_gettext("offence"),
    "guilt": lazy_gettext("guilt"),
    "disgust": lazy_gettext("disgust"),
    "fear": lazy_gettext("fear"),
    "embarrassment": lazy_gettext("embarrassment"),
    "sadness": lazy_gettext("sadness"),
    "anger": lazy_gettext("anger"),
}


def mood(step: int | None) -> str:
    """A step in a word, a dash where none was said."""
    return "–" if step is None else str(MOODS[step])


def emotion(name: Emotion) -> str:
    return str(EMOTIONS[name])
