"""What the form of a check-in shows, and what it says when it comes back."""

from datetime import datetime

from flask import request
from flask_babel import gettext
from msgspec import Struct

from mien import zone
from mien.checkins import Checkin
from mien_web import checkin_list, desk, languages, when
from mien_web.when import WhenError

LATEST_MS = 1 << 53
"""What lies ahead where nobody knows the time."""


class Draft(Struct, frozen=True):
    """What stands in the form."""

    id: str
    mood: int | None = None
    emotions: frozenset[str] = frozenset()
    none: bool = False
    activities: tuple[str, ...] = ()
    note: str = ""
    new: str = ""
    when: str = "now"
    date: str = ""
    time: str = ""


def of(one: Checkin) -> Draft:
    """A check-in, to be changed."""
    at = checkin_list.moment(one, languages.zone())
    return Draft(
        one.id,
        one.mood,
        frozenset(one.emotions or ()),
        one.emotions == (),
        one.activities,
        one.note,
        when="other",
        date=f"{at:%Y-%m-%d}" if at else "",
        time=f"{at:%H:%M}" if at else "",
    )


def entered(id: str) -> Draft:
    """What was filled in."""
    said = request.form
    return Draft(
        id,
        _mood(said.get("mood", "")),
        frozenset(said.getlist("emotion")),
        "none" in said,
        tuple(said.getlist("activity")),
        said.get("note", ""),
        said.get("new", ""),
        said.get("when", "now"),
        said.get("date", ""),
        said.get("time", ""),
    )


def moment(now: int) -> datetime:
    """When it was, by what was filled in. Raises WhenError."""
    said = request.form
    if desk.now().clock_ok or "wall" in said:
        return when.of_form(said, now, languages.zone())
    if said.get("when", "now") == "now":
        raise WhenError(gettext("The box does not know the time yet. Say when this was."))
    return when.of_form(said, LATEST_MS, languages.zone())


def untouched(draft: Draft, former: Checkin) -> bool:
    """Whether an edit leaves the time as it is."""
    shown = of(former)
    as_shown = (draft.when, draft.date, draft.time) == (shown.when, shown.date, shown.time)
    return as_shown and "fold" not in request.form


def lived(one: Checkin) -> datetime:
    """Any moment of a check-in that has none: those of others know only the hour."""
    return checkin_list.moment(one, languages.zone()) or zone.local(one.made_utc, languages.zone())


def now_ms() -> int:
    """The box's time; while that is not set, what the visitor's own device says."""
    stamp, wall = desk.now(), request.form.get("wall", "")
    if not stamp.clock_ok and wall.isascii() and wall.isdecimal() and len(wall) == 13:
        return int(wall)
    return round(stamp.utc * 1000)


def _mood(said: str) -> int | None:
    return int(said) if said in ("1", "2", "3", "4", "5") else None
