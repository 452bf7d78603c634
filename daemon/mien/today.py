"""How the day went so far, for the topic `today`: what was seen, and what the person shares of
what they said themselves."""

import uuid
from datetime import date
from typing import Any

from msgspec import Struct

from mien import checkins, mandate, moodlog, settings, zone
from mien.clock import Stamp
from mien.events import Today

SHARE_MOOD = "share_mood:"
"""Of the settings, with the person's id: whether their own word may leave the box. Off at first."""


class Glance(Struct, frozen=True):
    """What is quickly looked up; when it changes, there is news before the minute is over."""

    day: date
    whose: str | None
    """None in a demo where nobody lives: anybody's."""
    since_ms: int
    said: checkins.Daily | None
    """What they said today; None unless they share it."""


def glance(db: Any, now: Stamp) -> Glance | None:
    """None while there is nothing to tell: in a clinic, and while the log is nobody's."""
    setting, whose = settings.setting(db), mandate.resident(db)
    if not (setting == "demo" or (setting == "home" and whose)):
        return None
    day = zone.local(round(now.utc * 1000), zone.of_box(db)).date()
    said = None
    if whose and settings.get(db, SHARE_MOOD + whose, bool):
        nothing = checkins.Daily(0, None, 0, 0, 0)
        said = checkins.daily(db, whose, day, day).get(day, nothing)
    since = moodlog.since(db, whose) if whose else 0
    return Glance(day, whose, since or 0, said)


def today(db: Any, now: Stamp, box: str, seen: Glance) -> Today:
    """The payload."""
    day, here = seen.day, zone.of_box(db)
    log = moodlog.days(db, day, day, here, seen.since_ms).get(day)
    enough = log is not None and log.read >= moodlog.ENOUGH_S["day"]
    valence = log.valence if log and enough else None
    return Today(
        id=str(uuid.uuid4()),
        box=box,
        time=now.iso,
        date=day.isoformat(),
        watched_minutes=log.seconds // 60 if log else 0,
        seen_minutes=log.seen // 60 if log else 0,
        read_minutes=log.read // 60 if log else 0,
        expression=log.top if log and enough else None,
        valence=None if valence is None else round(valence, 3),
        checkins=seen.said.count if seen.said else None,
        mood=None if not seen.said or seen.said.mood is None else round(seen.said.mood, 2),
    )
