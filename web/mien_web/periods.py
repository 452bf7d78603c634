"""Which sessions a page looks at: since when, until when, in days of the box's own time zone."""

from datetime import date, timedelta

from flask import abort, request
from flask_babel import gettext
from msgspec import Struct

from mien import zone
from mien_web import desk, languages

_EVER = (-(1 << 62), 1 << 62)


class Period(Struct, frozen=True):
    """From ≤ ms of UTC < to; `name` is the preset, `first` and `last` the dates of the form."""

    name: str
    between: tuple[int, int]
    first: str = ""
    last: str = ""


def asked() -> Period:
    """The period of the address: `period` names a preset, `from` and `to` are dates, both included.

    A date that is none ends the request with a sentence.
    """
    first, last = request.args.get("from", ""), request.args.get("to", "")
    now = zone.local(round(desk.now().utc * 1000), languages.zone())
    if first or last:
        try:
            start = _midnight(date.fromisoformat(first)) if first else _EVER[0]
            end = _midnight(date.fromisoformat(last) + timedelta(days=1)) if last else _EVER[1]
        except (ValueError, OverflowError, OSError):
            abort(400, gettext("A date must be like %(date)s.", date=now.date().isoformat()))
        if end <= start:
            abort(400, gettext("The period ends before it begins. Exchange its two dates."))
        return Period("", (start, end), first, last)
    match request.args.get("period"):
        case "weeks":
            return Period("weeks", (_midnight(now.date() - timedelta(days=27)), _EVER[1]))
        case "year":
            return Period("year", (_midnight(date(now.year, 1, 1)), _EVER[1]))
        case _:
            return Period("all", _EVER)


def _midnight(day: date) -> int:
    """When a day of the box's own time zone begins, in ms of UTC."""
    return zone.bounds(day, day, languages.zone())[0]
