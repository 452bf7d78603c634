"""What the session page says: its script, why a tap was refused, and what the camera sees."""

from typing import Any

from flask_babel import gettext, lazy_gettext

from mien import sessions, taps
from mien.events import Live
from mien.taps import Fault
from mien_web import words

FAULTS: dict[Fault, Any] = {
    "id": lazy_gettext("This tap has no valid id, so it could not be saved. Tap again."),
    "kind": lazy_gettext("The box does not know this kind of tap. Load the page again."),
    "keyword": lazy_gettext("This topic is not in your list. Load the page again."),
    "tap": lazy_gettext("What was to be undone is not known here."),
    "after the end": lazy_gettext("This was tapped after the session had ended; it is not kept."),
    "empty": lazy_gettext("A topic needs at least one letter, digit or sign."),
    "long": lazy_gettext(
        "A topic may have %(most)s characters. Shorten it.", most=sessions.KEYWORD_CHARACTERS
    ),
    "taken": lazy_gettext("There is a topic of this name already."),
    "note too long": lazy_gettext(
        "A note may have %(most)s characters. Begin a new one.", most=taps.NOTE_CHARACTERS
    ),
}


def browser() -> dict[str, Any]:
    """For the script; what is in braces it fills in."""
    return {
        "on": gettext("{topic}: on"),
        "off": gettext("{topic}: off"),
        "moment": gettext("{topic}: a moment"),
        "momentOf": gettext("A moment: {topic}"),
        "excludeOn": gettext("This stretch is excluded"),
        "excludeOff": gettext("Counting again"),
        "added": gettext("{topic}: new in your list"),
        "hidden": gettext("{topic}: hidden"),
        "shown": gettext("{topic}: in the list again"),
        "renamed": gettext("{topic}: renamed"),
        "captured": gettext("Face captured"),
        "undone": gettext("Taken back: {act}"),
        "exclude": gettext("Exclude"),
        "include": gettext("Count again"),
        "rename": gettext("Rename"),
        "hide": gettext("Hide"),
        "show": gettext("Show"),
        "topic": gettext("Topic"),
        "saved": gettext("Saved"),
        "unsaved": [gettext("1 not yet saved"), gettext("{count} not yet saved")],
        "noteUnsaved": gettext("Not yet saved"),
        "offline": gettext("No connection to the box. Taps are kept here and sent later."),
        "kept": gettext("Taps are kept here and sent later."),
        "failed": gettext("The box did not answer. Try again."),
        "noFace": gettext(
            "The box did not answer. If a face was captured, it is among the captures afterwards."
        ),
        "noCapture": gettext("Not without a connection"),
        "noConsent": gettext("No consent to pictures"),
        "signIn": gettext("You are not signed in any more. What you tapped is kept here."),
        "reload": gettext("This page is too old. What you tapped is kept here."),
        "again": {
            "signIn": gettext("Sign in again"),
            "reload": gettext("Load the page again"),
            "clients": gettext("To the clients"),
        },
        "gone": gettext("This session is not there any more."),
        "ask": gettext("Is this session still going on? It stops by itself in {minutes} min."),
        "pause": gettext("Pause"),
        "resume": gettext("Go on"),
        "edit": [gettext("Edit the list"), gettext("Done")],
        "ended": {
            "stopped": gettext("The session is over"),
            "forgotten": gettext(
                "Nobody tapped for %(quiet)s minutes, so the session has stopped by itself. It "
                "counts up to %(after)s minutes after the last tap.",
                quiet=sessions.FORGOTTEN_MS // 60_000,
                after=sessions.AFTERWARDS_MS // 60_000,
            ),
            "restart": gettext("The box was restarted, which has ended the session"),
            "withdrawn": gettext("A consent was withdrawn, which has ended the session"),
            "restored": gettext("A backup was restored, which has ended the session"),
        },
        "reads": gettext("The camera is on"),
        "lost": gettext("No connection to the box"),
        "hideStrip": gettext("Hide"),
        "showStrip": gettext("Show the expressions"),
    }


def unseen(name: str, why: str = "") -> dict[str, Any]:
    """Why there is no picture: a state of `words.STATES`, with the daemon's own sentence."""
    said = words.STATES[name]
    return {
        "state": name,
        "title": str(said.title),
        "advice": words.sentence(why) if why else str(said.advice),
    }


def seen(live: Live) -> dict[str, Any]:
    """One moment of the camera. `expression` is "unknown" of a face that cannot be read, None of
    an empty seat."""
    if live.expression:
        title = words.looks(live.expression, live.probabilities[live.expression])
        return {"expression": live.expression, "title": title, "advice": ""}
    if live.reason:
        title = words.cannot_tell(live.reason)
        return {"expression": "unknown", "title": title, "advice": str(words.ADVICE[live.reason])}
    said = words.SETTLING if live.readings else words.EMPTY
    kind = "unknown" if live.readings else None
    return {"expression": kind, "title": str(said.title), "advice": str(said.advice)}
