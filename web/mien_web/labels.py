"""Expressions and reasons in the visitor's language; the store and MQTT have them in English."""

from typing import Any

from flask_babel import lazy_gettext

from mien.events import EXPRESSIONS, Expression, Reason

NAMES: dict[Expression, Any] = {
    "anger": lazy_gettext("anger"),
    "disgust": lazy_gettext("disgust"),
    "fear": lazy_gettext("fear"),
    "happiness": lazy_gettext("happiness"),
    "sadness": lazy_gettext("sadness"),
    "surprise": lazy_gettext("surprise"),
    "neutral": lazy_gettext("neutral"),
}

WHY: dict[Reason, Any] = {
    "several people in the seat": lazy_gettext("several people in the seat"),
    "too small": lazy_gettext("too small"),
    "turned away": lazy_gettext("turned away"),
    "too dark": lazy_gettext("too dark"),
    "too bright": lazy_gettext("too bright"),
    "blurred": lazy_gettext("blurred"),
    "low confidence": lazy_gettext("low confidence"),
    "does not move": lazy_gettext("does not move"),
}

SETTLING = lazy_gettext("not read yet")
"""Of a face that came into view a second ago."""


def name(place: int | None) -> str:
    """An expression by its place in `EXPRESSIONS`; None is "cannot tell"."""
    return str(lazy_gettext("cannot tell") if place is None else NAMES[EXPRESSIONS[place]])


def why(reason: Reason | str | None) -> str:
    """A reason in words."""
    return str(next((word for known, word in WHY.items() if known == reason), SETTLING))


def names() -> dict[str, str]:
    """Every expression, for a script in the browser."""
    return {name: str(word) for name, word in NAMES.items()}


def reasons() -> list[str]:
    """Every reason in the order of `events.Reason`, for a script in the browser."""
    return [str(word) for word in WHY.values()]
