"""What the live page says. The script in the browser gets the same words, so both always agree."""

import re
from typing import Any

from msgspec import Struct

from mien.events import Health, Live, Part, Reason

LOOKS = "Expression looks like {expression}, {percent} %"
CANNOT_TELL = "Cannot tell: {reason}"

LOOKS_ADVICE = "A look, not a feeling. The figure is how sure the program is."

ADVICE: dict[Reason, str] = {
    "several people in the seat": "One person is read at a time. Let the others move out of view.",
    "too small": "Move the camera closer to the seat.",
    "turned away": "Reading goes on when the face turns back towards the camera.",
    "too dark": "Light the face from the front: a lamp beside the camera, or an open curtain.",
    "too bright": "Soften the light on the face: move the lamp back, or draw the curtain a little.",
    "blurred": "Wipe the lens, and see that the camera stands still.",
    "low confidence": "No expression stands out from the others. Nothing needs doing.",
}


class Said(Struct, frozen=True):
    """A headline and one plain line under it."""

    title: str
    advice: str


EMPTY = Said("No one in the seat", "Reading begins when a face comes into view.")
SETTLING = Said("One moment", "A face is in view; a steady look takes a second or two to read.")
STATES = {
    "starting": Said("Looking …", "The first picture is on its way."),
    "closing": Said("Closing the camera …", "The picture is gone already."),
    "paused": Said("Paused – the camera is off", "Nothing is seen, read or kept until you resume."),
    "no-picture": Said("No picture from the camera", "It is tried again by itself."),
    "busy": Said("Other screens are watching", "Close the page on one of them to see it here."),
    "lost": Said(
        "The service does not answer; trying again", "The page goes on by itself once it is back."
    ),
}

NOTHING_NEW = "The camera has sent nothing new for some seconds"

PILLS = {
    "starting": "Starting",
    "live": "Live",
    "closing": "Pausing",
    "paused": "Paused",
    "no-picture": "No picture",
    "busy": "Full",
    "lost": "No answer",
}
"""The state of the page in a word or two, for the top line."""

FOR_THE_BROWSER: dict[str, Any] = {
    "looks": LOOKS,
    "looksAdvice": LOOKS_ADVICE,
    "cannotTell": CANNOT_TELL,
    "advice": ADVICE,
    "empty": {"title": EMPTY.title, "advice": EMPTY.advice},
    "settling": {"title": SETTLING.title, "advice": SETTLING.advice},
    "pills": PILLS,
    "states": {name: {"title": s.title, "advice": s.advice} for name, s in STATES.items()},
}


def percent(share: float) -> int:
    return round(100 * share)


def headline(live: Live) -> Said:
    """What one moment looks like."""
    if live.expression:
        share = percent(live.probabilities[live.expression])
        return Said(LOOKS.format(expression=live.expression, percent=share), LOOKS_ADVICE)
    if live.reason:
        return Said(CANNOT_TELL.format(reason=live.reason), ADVICE[live.reason])
    return SETTLING if live.readings else EMPTY


def seconds(length: float) -> str:
    """A length of time: `8 s`, `3 min 05 s`."""
    minutes, rest = divmod(int(length), 60)
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def attention(parts: list[Part]) -> str:
    """The one line that stands over the parts of the box."""
    count = sum(part.status != "ok" for part in parts)
    if not count:
        return "Everything works"
    return f"{count} thing{'s' if count > 1 else ''} need{'' if count > 1 else 's'} attention"


def sentence(text: str) -> str:
    """An error's words with a capital and a full stop."""
    return plain(text[:1].upper() + text[1:].rstrip(".") + ".")


def plain(text: str) -> str:
    """A command between backticks, as the terminal shows it, between quotation marks."""
    return re.sub("`([^`]+)`", "“\\1”", text)


def silent(why: str) -> Health:
    """The health to show while the service gives none."""
    part = Part("service", "failed", sentence(why))
    return Health(id="", box="", time="", status="failed", paused=False, version="", parts=[part])
