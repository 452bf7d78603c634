"""What the live page says. The script in the browser gets the same words, so both always agree."""

import re
from typing import Any

from flask_babel import gettext, lazy_gettext, ngettext
from msgspec import Struct

from mien.events import Expression, Health, Live, Part, Reason
from mien_web import labels, parts
from mien_web.languages import percent

LOOKS_ADVICE = lazy_gettext("A look, not a feeling. The figure is how sure the program is.")

ADVICE: dict[Reason, Any] = {
    "several people in the seat": lazy_gettext(
        "One person is read at a time. Let the others move out of view."
    ),
    "too small": lazy_gettext("Move the camera closer to the seat."),
    "turned away": lazy_gettext("Reading goes on when the face turns back towards the camera."),
    "too dark": lazy_gettext(
        "Light the face from the front: a lamp beside the camera, or an open curtain."
    ),
    "too bright": lazy_gettext(
        "Soften the light on the face: move the lamp back, or draw the curtain a little."
    ),
    "blurred": lazy_gettext("Wipe the lens, and see that the camera stands still."),
    "low confidence": lazy_gettext(
        "No expression stands out from the others. Nothing needs doing."
    ),
    "does not move": lazy_gettext(
        "What does not move at all is taken for a picture, not for a person. Reading goes on when "
        "it moves."
    ),
}


class Said(Struct, frozen=True):
    """A headline and one plain line under it; each becomes text in the visitor's language."""

    title: Any
    advice: Any

    def texts(self) -> dict[str, str]:
        return {"title": str(self.title), "advice": str(self.advice)}


EMPTY = Said(
    lazy_gettext("No one in the seat"),
    lazy_gettext("Reading begins when a face comes into view."),
)
SETTLING = Said(
    lazy_gettext("One moment"),
    lazy_gettext("A face is in view; a steady look takes a second or two to read."),
)
STATES = {
    "starting": Said(lazy_gettext("Looking …"), lazy_gettext("The first picture is on its way.")),
    "closing": Said(
        lazy_gettext("Closing the camera …"), lazy_gettext("The picture is gone already.")
    ),
    "paused": Said(
        lazy_gettext("Paused – the camera is off"),
        lazy_gettext("Nothing is seen, read or kept until you resume."),
    ),
    "closed": Said(
        lazy_gettext("The camera is closed"), lazy_gettext("Nobody is read at this time.")
    ),
    "no-picture": Said(
        lazy_gettext("No picture from the camera"), lazy_gettext("It is tried again by itself.")
    ),
    "in-use": Said(
        lazy_gettext("In use: a session is running"),
        lazy_gettext("Only its therapist sees the picture and what is read. You may pause it."),
    ),
    "busy": Said(
        lazy_gettext("Other screens are watching"),
        lazy_gettext("Close the page on one of them to see it here."),
    ),
    "lost": Said(
        lazy_gettext("The service does not answer; trying again"),
        lazy_gettext("The page goes on by itself once it is back."),
    ),
}

NOTHING_NEW = lazy_gettext("The camera has sent nothing new for some seconds")

PILLS: dict[str, Any] = {
    "starting": lazy_gettext("Starting"),
    "live": lazy_gettext("Live"),
    "closing": lazy_gettext("Pausing"),
    "paused": lazy_gettext("Paused"),
    "closed": lazy_gettext("Camera closed"),
    "no-picture": lazy_gettext("No picture"),
    "in-use": lazy_gettext("In use"),
    "busy": lazy_gettext("Full"),
    "lost": lazy_gettext("No answer"),
}
"""The state of the page in a word or two, for the top line."""

TITLE = "Mien"
PAUSED_TITLE = lazy_gettext("Paused – Mien")


def for_the_browser() -> dict[str, Any]:
    """For the script, in the visitor's language; what is in braces it fills in."""
    return {
        "names": labels.names(),
        "reasons": {reason: str(word) for reason, word in labels.WHY.items()},
        "looks": gettext(
            "Expression looks like %(name)s, %(percent)s", name="{name}", percent="{percent}"
        ),
        "looksSpoken": gettext("Expression looks like %(name)s", name="{name}"),
        "looksAdvice": str(LOOKS_ADVICE),
        "cannotTell": gettext("Cannot tell: %(reason)s", reason="{reason}"),
        "advice": {reason: str(advice) for reason, advice in ADVICE.items()},
        "empty": EMPTY.texts(),
        "settling": SETTLING.texts(),
        "pills": {state: str(word) for state, word in PILLS.items()},
        "states": {state: said.texts() for state, said in STATES.items()},
        "titles": {"paused": str(PAUSED_TITLE), "else": TITLE},
        "pause": gettext("Pause"),
        "resume": gettext("Resume"),
        "lastMinute": gettext("of the last minute"),
        "seconds": gettext("%(seconds)s s", seconds="{seconds}"),
        "minutes": gettext(
            "%(minutes)s min %(seconds)s s", minutes="{minutes}", seconds="{seconds}"
        ),
        "head": {
            "straight": gettext("Straight on"),
            "right": gettext("%(degrees)s° right", degrees="{degrees}"),
            "left": gettext("%(degrees)s° left", degrees="{degrees}"),
            "up": gettext("%(degrees)s° up", degrees="{degrees}"),
            "down": gettext("%(degrees)s° down", degrees="{degrees}"),
        },
        "failed": gettext("That did not work."),
        "unreached": gettext("The page did not get through to the box. Try again."),
    }


def looks(expression: Expression, share: float) -> str:
    """What an expression looks like, and how sure that is."""
    return str(
        gettext(
            "Expression looks like %(name)s, %(percent)s",
            name=labels.NAMES[expression],
            percent=percent(share),
        )
    )


def cannot_tell(reason: Reason | str | None) -> str:
    return str(gettext("Cannot tell: %(reason)s", reason=labels.why(reason)))


def headline(live: Live) -> Said:
    """What one moment looks like."""
    if live.expression:
        return Said(looks(live.expression, live.probabilities[live.expression]), LOOKS_ADVICE)
    if live.reason:
        return Said(cannot_tell(live.reason), ADVICE[live.reason])
    return SETTLING if live.readings else EMPTY


def capital(word: object) -> str:
    """With its first letter a capital, for a word that stands alone."""
    text = str(word)
    return text[:1].upper() + text[1:]


def seconds(length: float) -> str:
    """A length of time: `8 s`, `3 min 05 s`."""
    minutes, rest = divmod(int(length), 60)
    if minutes:
        said = gettext("%(minutes)s min %(seconds)s s", minutes=minutes, seconds=f"{rest:02}")
    else:
        said = gettext("%(seconds)s s", seconds=rest)
    return str(said)


def attention(all_parts: list[Part]) -> str:
    """The one line that stands over the parts of the box."""
    count = sum(part.status != "ok" for part in all_parts)
    needing = ngettext("%(num)s thing needs attention", "%(num)s things need attention", count)
    return str(needing if count else gettext("Everything works"))


def sentence(text: object) -> str:
    """An error's words, in the visitor's language if they are known there, with a capital and a
    full stop."""
    return plain(capital(parts.say(str(text))).rstrip(".") + ".")


def plain(text: str) -> str:
    """A command between backticks, as the terminal shows it, between quotation marks."""
    return re.sub("`([^`]+)`", lambda found: gettext("“%(command)s”", command=found[1]), text)


def silent(why: str) -> Health:
    """The health to show while the service gives none."""
    part = Part("service", "failed", sentence(why))
    return Health(id="", box="", time="", status="failed", paused=False, version="", parts=[part])
