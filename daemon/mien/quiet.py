"""Quiet hours: when the home log rests and the camera is off, by the clock on the wall."""

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import Struct

from mien import settings, zone
from mien.events import MienError

KEY = "quiet"
"""Of the settings: a list of `Hours`."""
MOST = 14


class Hours(Struct, frozen=True):
    """From `start` to `end` (HH:MM) on these weekdays, 1 Monday – 7 Sunday. An `end` that is not
    later than `start` is one of the next day: a night belongs to the day on which it begins."""

    days: list[int]
    start: str
    end: str


def of(db: Any) -> list[Hours]:
    """What somebody chose on the page."""
    return settings.get(db, KEY, list[Hours]) or []


def put(db: Any, hours: Sequence[Hours]) -> None:
    """Keep them, in place of those before.

    Raises:
        MienError: a time or a weekday that is none.
    """
    if len(hours) > MOST:
        raise MienError(f"{len(hours)} quiet hours are more than {MOST}; put some together.")
    for one in hours:
        for text in (one.start, one.end):
            if not zone.TIME.fullmatch(text):
                raise MienError(f"“{text}” is no time of day; write it as 22:30.")
        if not one.days:
            raise MienError(f"Choose the days on which {one.start} to {one.end} is quiet.")
        if wrong := [day for day in one.days if not 1 <= day <= 7]:
            raise MienError(f"{wrong[0]} is no weekday; they go from 1, Monday, to 7, Sunday.")
    kept = [Hours(sorted(set(one.days)), one.start, one.end) for one in hours]
    settings.put(db, KEY, kept or None)


def until(hours: Sequence[Hours], utc_ms: int, at: ZoneInfo) -> int | None:
    """When the quiet time of this moment ends, in ms of UTC; None when it is not quiet. Hours that
    meet are one; where they never end, it is a time more than a week away."""
    end, moment = None, utc_ms
    while moment <= utc_ms + 8 * 86_400_000:
        found = max((to for since, to in _around(hours, moment, at) if since <= moment < to),
                    default=None)  # fmt: skip
        if found is None:
            break
        end = moment = found
    return end


def _around(hours: Sequence[Hours], utc_ms: int, at: ZoneInfo) -> list[tuple[int, int]]:
    """The stretches of UTC that begin on the local day of this moment or on the one before."""
    today = zone.local(utc_ms, at).date()
    made = []
    for day in (today - timedelta(1), today):
        for one in hours:
            if day.isoweekday() in one.days:
                last = day + timedelta(one.end <= one.start)
                # A time that the clock shows twice or never: rather too much quiet than too little.
                made.append((min(_moments(day, one.start, at)), max(_moments(last, one.end, at))))
    return made


def _moments(day: date, text: str, at: ZoneInfo) -> list[int]:
    moment = datetime.combine(day, time.fromisoformat(text), at)
    return [round(moment.replace(fold=fold).timestamp() * 1000) for fold in (0, 1)]
