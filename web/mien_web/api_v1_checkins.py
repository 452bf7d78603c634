"""Check-ins over the API and by MQTT: what somebody said, read and written by their programs."""

from datetime import date
from typing import Any

from flask import abort
from flask_babel import gettext
from msgspec import Struct

from mien import checkins, zone
from mien.checkins import Checkin, CheckinError
from mien.clients import Client
from mien.clock import iso
from mien.emotions import Emotion
from mien_web import desk, door, parts, when
from mien_web.api_v1_gate import key_of, offer
from mien_web.api_v1_log import PERSON, SPAN, span, whom
from mien_web.when import WhenError

MOST = 2000
"""Check-ins in an answer."""


class Said(Struct, frozen=True, forbid_unknown_fields=True):
    """A check-in to be kept. `mood` is 1 (awful) to 5; `emotions`: null, nothing was said of them,
    an empty list, none of them; `at` is a local time of the box as ISO 8601, or one with an offset
    from UTC, now if left out. `id` is a UUID of yours: sent again, it is the same check-in."""

    mood: int | None = None
    emotions: list[Emotion] | None = None
    activities: list[str] = []
    note: str = ""
    at: str | None = None
    person: str | None = None
    id: str | None = None


class CheckinTold(Struct, frozen=True):
    """A check-in. `at` is UTC, and null, as are `date` and `hour`, where it is not known; `weekday`
    is 1 (Monday) to 7. `source` tells by what it was entered."""

    id: str
    person: str
    at: str | None
    date: str | None
    hour: int | None
    weekday: int
    mood: int | None
    emotions: list[Emotion] | None
    activities: list[str]
    note: str
    source: str


class Checkins(Struct, frozen=True):
    """In order of time. `more`: there are more in these days than an answer holds."""

    person: str
    checkins: list[CheckinTold]
    more: bool


class ActivityUsed(Struct, frozen=True):
    """`used`: in how many check-ins."""

    text: str
    used: int


class Activities(Struct, frozen=True):
    """What is offered, the most used first."""

    person: str
    activities: list[ActivityUsed]


@offer(
    "GET", "/checkins", "checkins", "Check-ins of some days",
    answer=Checkins, parameters=(*SPAN, PERSON), problems=(404,),
)  # fmt: skip
def listed() -> Checkins:
    who, (first, last) = whom(), span()
    found = desk.read(lambda db: checkins.of_days(db, who.id, first, last))
    return Checkins(who.code, [_told(who, one) for one in found[:MOST]], len(found) > MOST)


@offer(
    "POST", "/checkins", "checkins", "Keep a check-in",
    answer=CheckinTold, body=Said, status=201, problems=(404, 409),
)  # fmt: skip
def add(body: Said) -> CheckinTold:
    return keep(whom(body.person), body, key_of(body.id), "api")


@offer("GET", "/checkins/<id>", "checkins", "One check-in",
       answer=CheckinTold, parameters=(PERSON,), problems=(404,))  # fmt: skip
def one(id: str) -> CheckinTold:
    who = whom()
    return _told(who, _found(who, id))


@offer(
    "PUT", "/checkins/<id>", "checkins", "Keep a check-in under an id of yours, or change it",
    answer=CheckinTold, body=Said, problems=(404, 409),
)  # fmt: skip
def put(id: str, body: Said) -> CheckinTold:
    if body.id is not None and body.id != id:
        abort(422, gettext("“id” in the body is not the one in the address."))
    return keep(whom(body.person), body, key_of(id), "api", again=True)


@offer("DELETE", "/checkins/<id>", "checkins", "Take a check-in out; the page can bring it back",
       answer=None, parameters=(PERSON,), status=204, problems=(404,))  # fmt: skip
def remove(id: str) -> None:
    who, now = whom(), door.now_ms()
    if not desk.write(lambda db: checkins.delete(db, who.id, id, now)):
        _missing()


@offer("GET", "/activities", "checkins", "What the person does, as check-ins tell",
       answer=Activities, parameters=(PERSON,), problems=(404,))  # fmt: skip
def activities() -> Activities:
    who = whom()
    found = desk.read(lambda db: checkins.activities(db, who.id))
    return Activities(who.code, [ActivityUsed(one.text, one.used) for one in found])


def keep(who: Client, said: Said, id: str, source: str, *, again: bool = False) -> CheckinTold:
    """Keep what was said under this id; sent again it is kept once, or, with `again`, changed."""
    now = door.now_ms()
    row = desk.read(
        lambda db: db.execute("SELECT client, deleted FROM checkins WHERE id = ?", (id,)).fetchone()
    )
    if row and (row[0] != who.id or row[1]):
        abort(409, gettext("This id belongs to another check-in, or to a deleted one."))
    former = desk.read(lambda db: checkins.find(db, who.id, id))
    if former is not None and not again:
        return _told(who, former)
    try:
        checkin = _made(who, said, former, id, source, now)
    except (CheckinError, WhenError) as error:
        abort(422, parts.say(str(error)))

    def work(db: Any) -> None:
        checkins.save(db, checkin)

    desk.write(work)
    return _told(who, checkin)


def _made(
    who: Client, said: Said, former: Checkin | None, id: str, source: str, now: int
) -> Checkin:
    box = desk.read(zone.of_box)
    if said.at is not None:
        moment = when.of_form({"when": said.at}, now, box)
    else:
        moment = zone.local(former.utc if former and former.utc is not None else now, box)
    # Where the clock of the box is not set yet, nobody can know what lies ahead.
    entered = now if desk.now().clock_ok else max(now, round(moment.timestamp() * 1000))
    return checkins.made(
        who.id,
        moment,
        mood=said.mood,
        emotions=said.emotions,
        activities=said.activities,
        note=said.note,
        source=former.source if former else source,
        made_utc=entered,
        id=id,
    )


def _found(who: Client, id: str) -> Checkin:
    return desk.read(lambda db: checkins.find(db, who.id, id)) or _missing()


def _missing() -> Any:
    abort(404, gettext("There is no such check-in of this person."))


def _told(who: Client, one: Checkin) -> CheckinTold:
    return CheckinTold(
        one.id,
        who.code,
        None if one.utc is None else iso(one.utc / 1000),
        None if one.day is None else date.fromordinal(one.day).isoformat(),
        one.hour,
        one.weekday,
        one.mood,
        None if one.emotions is None else list(one.emotions),
        list(one.activities),
        one.note,
        one.source,
    )
