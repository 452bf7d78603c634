"""The home log over the API: what was seen by day and hour, with the seconds that each figure
stands on; and patterns of check-ins. Days and hours are local ones of the box."""

from datetime import date, timedelta
from typing import Any

from flask import abort, request
from flask_babel import gettext
from msgspec import Struct

from mien import checkins, clients, moodlog, moodpatterns, settings, zone
from mien.clients import Client
from mien.clock import iso
from mien.events import Expression
from mien.moodlog import ENOUGH_S, Seen
from mien_web import desk, door, person
from mien_web.api_v1_gate import Parameter, offer

MOST_DAYS = 366
DATE = {"type": "string", "format": "date"}

PERSON = Parameter(
    "person", {"type": "string"}, "Code name of whom; the one chosen on the page if left out."
)
SPAN = (
    Parameter("from", DATE, "The first day; 29 days before the last if left out."),
    Parameter("to", DATE, f"The last day, at most {MOST_DAYS} days in all; today if left out."),
)


class Figures(Struct, frozen=True, kw_only=True):
    """Seconds of each kind. What was not watched or not seen is in none of them. `cannot_tell_s`:
    with a face, but no expression that could be told. `expression` is the one read most, null where
    `enough` is false: then too little was read to say so. `valence` is the mean over the seconds
    read, −1 to 1, null where none were."""

    watched_s: int
    seen_s: int
    facing_s: int
    read_s: int
    cannot_tell_s: int
    several_s: int
    expressions_s: dict[Expression, int]
    expression: Expression | None
    valence: float | None
    enough: bool


class Day(Figures, frozen=True, kw_only=True):
    """A local day. `weekday` is 1 (Monday) to 7."""

    date: str
    weekday: int


class Hour(Figures, frozen=True, kw_only=True):
    """An hour of the wall clock. `again`: the clocks were set back, and it came before."""

    hour: int
    again: bool
    start: str
    length_s: int


class Days(Struct, frozen=True):
    """Days on which the box watched; the others are left out. `zone` is the IANA name of the zone
    whose days they are. Nothing from before `since` belongs to this person."""

    person: str
    zone: str
    since: str | None
    days: list[Day]


class Hours(Struct, frozen=True):
    """All hours of a day, 23 to 25. `day` is null where the box did not watch at all."""

    person: str
    zone: str
    day: Day | None
    hours: list[Hour]


class ActivityPattern(Struct, frozen=True):
    """`text` is what the person calls it."""

    text: str
    pattern: moodpatterns.Activity


class Patterns(Struct, frozen=True):
    """What check-ins have in common, each figure with its 95 % interval. A figure whose `value` is
    null stands on too little; `n` says on how much."""

    person: str
    overall: moodpatterns.Overall
    by_hour: list[moodpatterns.Group]
    by_weekday: list[moodpatterns.Group]
    by_activity: list[ActivityPattern]


@offer(
    "GET", "/log/days", "log", "What was seen, day by day",
    answer=Days, parameters=(*SPAN, PERSON), problems=(404,),
)  # fmt: skip
def days() -> Days:
    who, (first, last) = whom(), span()
    since = _since(who)
    where = desk.read(zone.of_box)
    found = desk.read(lambda db: moodlog.days(db, first, last, where, since))
    told = [_day(one, seen) for one, seen in found.items()]
    return Days(who.code, where.key, iso(since / 1000) if since else None, told)


@offer(
    "GET", "/log/days/<day>", "log", "What was seen on a day, hour by hour",
    answer=Hours, parameters=(PERSON,), problems=(404,),
)  # fmt: skip
def hours(day: str) -> Hours:
    who, wanted = whom(), _date("day", day)
    since = _since(who)
    where = desk.read(zone.of_box)

    def work(db: Any) -> Hours:
        whole = moodlog.days(db, wanted, wanted, where, since).get(wanted)
        parts = moodlog.hours(db, wanted, where, since)
        return Hours(
            who.code, where.key, _day(wanted, whole) if whole else None, [*map(_hour, parts)]
        )

    return desk.read(work)


@offer(
    "GET", "/patterns", "checkins", "Patterns of check-ins, each figure with its interval",
    answer=Patterns, parameters=(PERSON,), problems=(404,),
)  # fmt: skip
def patterns() -> Patterns:
    who = whom()
    reports, known = desk.read(
        lambda db: (
            checkins.reports(db, who.id),
            {one.id: one.text for one in checkins.activities(db, who.id, hidden=True)},
        )
    )
    return Patterns(
        who.code,
        moodpatterns.overall(reports),
        moodpatterns.by_hour(reports),
        moodpatterns.by_weekday(reports),
        [ActivityPattern(known[one.id], one) for one in moodpatterns.by_activity(reports)],
    )


# ── what is asked ────────────────────────────────────────────────────────────────────────────────


def whom(code: str | None = None) -> Client:
    """The person meant, by code name; else the one that the user chose on the page."""
    code = request.args.get("person") if code is None else code
    everybody = person.everybody()
    if code:
        for one in everybody:
            if one.code.casefold() == code.casefold():
                return one
        abort(404, gettext("You take care of nobody of this code name."))
    if not everybody and desk.read(settings.setting) != "demo":
        abort(404, gettext("You take care of nobody yet. Add somebody on the page first."))
    return person.current()


def span() -> tuple[date, date]:
    """The days asked for."""
    today = zone.local(door.now_ms(), desk.read(zone.of_box)).date()
    last = _date("to", request.args["to"]) if "to" in request.args else today
    earliest = date.min + timedelta(MOST_DAYS)
    if "from" in request.args:
        first = _date("from", request.args["from"])
    else:
        first = max(last, earliest) - timedelta(29)
    if not 0 <= (last - first).days < MOST_DAYS or first < earliest or last.year > 9998:
        abort(
            422,
            gettext(
                "“from” must not be after “to”, and at most %(most)s days may be asked for at "
                "once.",
                most=MOST_DAYS,
            ),
        )
    return first, last


def _date(name: str, said: str) -> date:
    try:
        found = date.fromisoformat(said)
    except ValueError:
        found = date.min
    if found.year < 2 or found.year > 9998 or said != found.isoformat():
        abort(422, gettext("“%(name)s” must be a day such as 2026-11-20.", name=name))
    return found


def _since(who: Client) -> int:
    found = desk.read(lambda db: moodlog.since(db, who.id))
    if found is not None:
        return found
    if desk.read(lambda db: clients.valid(db, who.id, "home")):
        abort(404, gettext("The log of this box is another person’s."))
    return abort(404, gettext("This person has no home log here: there is no consent to it."))


# ── answers ──────────────────────────────────────────────────────────────────────────────────────


def _figures(seen: Seen, enough_s: int) -> dict[str, Any]:
    enough = seen.read >= enough_s
    return {
        "watched_s": seen.seconds,
        "seen_s": seen.seen,
        "facing_s": seen.facing,
        "read_s": seen.read,
        "cannot_tell_s": seen.seen - seen.read,
        "several_s": seen.several,
        "expressions_s": seen.expressions,
        "expression": seen.top if enough else None,
        "valence": None if seen.valence is None else round(seen.valence, 3),
        "enough": enough,
    }


def _day(day: date, seen: Seen) -> Day:
    figures = _figures(seen, ENOUGH_S["day"])
    return Day(date=day.isoformat(), weekday=day.isoweekday(), **figures)


def _hour(hour: moodlog.Hour) -> Hour:
    return Hour(
        hour=hour.hour,
        again=hour.again,
        start=iso(hour.start_ms / 1000),
        length_s=hour.length_ms // 1000,
        **_figures(hour.seen, ENOUGH_S["hour"]),
    )
