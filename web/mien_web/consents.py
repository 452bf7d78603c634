"""The five consents in plain words. Whoever changes what one of them promises counts up
`mien.clients.VERSION`, in both languages at once."""

from typing import Any

from flask_babel import lazy_gettext, ngettext
from msgspec import Struct

from mien.clients import Hindrance
from mien.erasures import Counts


class Text(Struct, frozen=True):
    """What a person agrees to: what is kept, for how long, who sees it, and what is not done."""

    title: Any
    lead: Any
    kept: Any
    long: Any
    who: Any
    never: Any


TEXTS: dict[str, Text] = {
    "live": Text(
        lazy_gettext("Live analysis"),
        lazy_gettext(
            "During a session a camera looks at your seat, and the box says what the expression on "
            "your face looks like."
        ),
        lazy_gettext("Nothing. Each picture is gone within a second of being read."),
        lazy_gettext("Only while a session runs."),
        lazy_gettext("Your therapist, on this tablet."),
        lazy_gettext(
            "No sound is recorded. Nobody is recognised. No picture is written down or leaves the "
            "box."
        ),
    ),
    "numbers": Text(
        lazy_gettext("Keep numbers"),
        lazy_gettext(
            "What the expression looked like is kept as numbers, so that a session can be looked "
            "through afterwards."
        ),
        lazy_gettext(
            "For each second of a session: what the expression looked like, how sure the box was, "
            "and whether you faced the camera."
        ),
        lazy_gettext("Until you withdraw this consent, or your record is deleted."),
        lazy_gettext(
            "Your therapist. The numbers are encrypted in the box. They leave it when your "
            "therapist exports them, which is listed, and as messages to a system in this house "
            "that the box was connected with."
        ),
        lazy_gettext("No pictures. Nothing is sent to the internet or to the maker of the box."),
    ),
    "pictures": Text(
        lazy_gettext("Keep pictures"),
        lazy_gettext("Your therapist may press “Capture” to keep a moment."),
        lazy_gettext(
            "A picture of your face, cut out, with what it looked like to the box and what your "
            "therapist says of it."
        ),
        lazy_gettext("Until you withdraw this consent, or your record is deleted."),
        lazy_gettext(
            "Your therapist. The pictures are encrypted in the box. They leave it only when your "
            "therapist exports them, and each export is listed."
        ),
        lazy_gettext("No video. No picture that nobody pressed the button for."),
    ),
    "training": Text(
        lazy_gettext("Use captures for training"),
        lazy_gettext("The box may learn from your captures to read your face better."),
        lazy_gettext(
            "A small part of the program that was fitted to your captures. It is used for you "
            "alone. Your therapist may also hand your captures on to those who train the program "
            "for everybody."
        ),
        lazy_gettext(
            "Until you withdraw this consent, or your record is deleted. What was handed on "
            "before cannot be called back by this box."
        ),
        lazy_gettext(
            "Your therapist; and, if captures are handed on, those who train the program. They "
            "get the faces with a made-up number, without your code name."
        ),
        lazy_gettext("Your care does not depend on it in any way."),
    ),
    "home": Text(
        lazy_gettext("Home log"),
        lazy_gettext(
            "At home, the box keeps a log through the day of what the expression of whoever is in "
            "the seat looks like."
        ),
        lazy_gettext(
            "For each second in which somebody is in the seat: what the expression looked like. "
            "And a summary of each minute."
        ),
        lazy_gettext(
            "Seconds for some weeks, as the box is set; minutes until you withdraw this consent."
        ),
        lazy_gettext(
            "Who may sign in to this box. It is encrypted in the box. It leaves the box when "
            "somebody exports it, which is listed, and as messages to a system in this house that "
            "the box was connected with."
        ),
        lazy_gettext(
            "No pictures, no sound. The box does not know who sits there: a guest is read as "
            "well, so tell your guests, or pause it."
        ),
    ),
}

NEEDED: dict[str, Any] = {
    "numbers": lazy_gettext("Works only together with live analysis."),
    "pictures": lazy_gettext("Works only together with live analysis."),
    "training": lazy_gettext("Works only together with keeping pictures."),
}

HINDRANCES: dict[Hindrance, Any] = {
    "archived": lazy_gettext("This client is archived. Take the client back into the list first."),
    "no notice": lazy_gettext(
        "The notice was not shown yet as it is now. Show it to the client, then press "
        "“It was shown”."
    ),
    "no consent": lazy_gettext("There is no valid consent to live analysis."),
    "old consent": lazy_gettext(
        "The consent to live analysis was given under an older text, which the client was never "
        "shown as a notice. Ask for it again."
    ),
}

ERASED: dict[str, Any] = {
    "running": lazy_gettext("Sessions that run"),
    "readings": lazy_gettext("Numbers, by the second"),
    "minutes": lazy_gettext("Numbers, by the minute"),
    "episodes": lazy_gettext("Episodes of an expression"),
    "sessions": lazy_gettext("Stretches of time with numbers"),
    "cells": lazy_gettext("Sums for the map"),
    "baselines": lazy_gettext("Neutral baselines"),
    "captures": lazy_gettext("Captured pictures"),
    "corrections": lazy_gettext("Corrections of captures"),
    "pictures": lazy_gettext("Pictures in the library"),
    "predictions": lazy_gettext("Predictions on library pictures"),
    "heads": lazy_gettext("Personal heads"),
    "embeddings": lazy_gettext("Captures made ready for training"),
    "visits": lazy_gettext("Sessions"),
    "tags": lazy_gettext("Topics that were tagged"),
    "notes": lazy_gettext("Notes"),
    "exclusions": lazy_gettext("Excluded stretches"),
    "consents": lazy_gettext("Consents"),
    "notices": lazy_gettext("Notices shown"),
    "checkins": lazy_gettext("Check-ins"),
    "activities": lazy_gettext("Activities of check-ins"),
    "imported": lazy_gettext("Quarters of an hour taken over from another box"),
}


def in_words(before: dict[str, Counts]) -> list[str]:
    """What will be erased, as a list a person can picture; empty when there is nothing."""
    most: Counts = {}
    for kind, found in before.items():
        for name, count in found.items():
            # The log of a home and a session are apart; a picture may be under two consents.
            name = f"home {name}" if kind == "home" else name
            most[name] = max(count, most.get(name, 0))

    def many(name: str) -> int:
        return most.get(name, 0)

    minutes = -(-many("readings") // 60) or many("minutes")
    at_home = -(-many("home readings") // 60) or many("home minutes")
    said = [
        (many("running"), ngettext(
            "%(num)s session that runs now ends", "%(num)s sessions that run now end",
            many("running"))),
        (many("visits"), ngettext(
            "%(num)s session with its topics and notes",
            "%(num)s sessions with their topics and notes", many("visits"))),
        (many("captures"), ngettext("%(num)s capture", "%(num)s captures", many("captures"))),
        (many("pictures"), ngettext(
            "%(num)s picture in the library", "%(num)s pictures in the library",
            many("pictures"))),
        (minutes, _in_sessions(minutes, many("sessions"))),
        (many("baselines"), ngettext(
            "%(num)s neutral baseline", "%(num)s neutral baselines", many("baselines"))),
        (many("heads"), ngettext(
            "%(num)s personal head", "%(num)s personal heads", many("heads"))),
        (many("embeddings"), ngettext(
            "what makes %(num)s capture ready for training",
            "what makes %(num)s captures ready for training", many("embeddings"))),
        (at_home, ngettext(
            "%(num)s minute of the home log", "%(num)s minutes of the home log", at_home)),
        (many("home imported"), ngettext(
            "%(num)s quarter of an hour taken over from another box",
            "%(num)s quarters of an hour taken over from another box", many("home imported"))),
        (many("checkins"), ngettext(
            "%(num)s check-in with its note", "%(num)s check-ins with their notes",
            many("checkins"))),
    ]  # fmt: skip
    return [words for count, words in said if count]


def _in_sessions(minutes: int, sessions: int) -> str:
    counted = ngettext("%(num)s minute of numbers", "%(num)s minutes of numbers", minutes)
    return str(
        ngettext(
            "%(counted)s in %(num)s session",
            "%(counted)s in %(num)s sessions",
            sessions,
            counted=counted,
        )
    )
