"""What a person says of themselves: a check-in in two taps, the list of them, and their activities.

A check-in has the id that the form brought along. So one that is sent again, by a phone that lost
its Wi-Fi meanwhile or by a second tap, is known and changes nothing.
"""

import math
import uuid
from contextlib import suppress
from datetime import date
from typing import Any

from flask import Blueprint, abort, current_app, flash, jsonify, redirect, render_template, request
from flask import url_for as to
from flask_babel import gettext, ngettext
from msgspec.structs import replace
from werkzeug.wrappers import Response as Answer

from mien import checkins, zone
from mien.checkins import Checkin, CheckinError
from mien.database import StoreError
from mien.emotions import EMOTIONS, MOODS, NEGATIVE, POSITIVE
from mien_web import (
    almanac,
    checkin_draft,
    checkin_files,
    checkin_list,
    desk,
    door,
    languages,
    mood_words,
    parts,
    person,
    when,
)
from mien_web.checkin_draft import Draft
from mien_web.when import WhenError

page = Blueprint("checkins", __name__)
door.needs(page, "home")

page.url_value_preprocessor(checkin_files.room)
page.register_error_handler(413, checkin_files.too_much)
for rule, method, view in (
    ("/log/import", "GET", checkin_files.import_file),
    ("/log/import", "POST", checkin_files.upload),
    ("/log/import/bring", "POST", checkin_files.bring),
    ("/log/import/drop", "POST", checkin_files.drop),
    ("/log/import/forget", "POST", checkin_files.forget),
):
    page.add_url_rule(rule, view.__name__, view, methods=[method])

TEXT_MAX = checkins.LONGEST_NOTE
KEPT_MS = 86_400_000
"""A deleted check-in can be brought back for so long."""
SWEPT_S = 6 * 3600.0
"""What was deleted before is looked for so often: with a diary of years, that takes a while."""


# ── the form ─────────────────────────────────────────────────────────────────────────────────────


@page.get("/checkin")
def new() -> str:
    """An empty form; `at` is the local time of what is entered later."""
    draft, problem = Draft(str(uuid.uuid4())), None
    if said := request.args.get("at"):
        try:
            at = when.parsed(said, languages.zone())
            draft = Draft(draft.id, when="other", date=f"{at:%Y-%m-%d}", time=f"{at:%H:%M}")
        except WhenError as error:
            problem = error
    return form(draft, problem)


@page.post("/checkin")
def save() -> Any:
    who, id = person.current().id, _id(request.form.get("id", ""))
    owner = desk.read(
        lambda db: db.execute("SELECT client FROM checkins WHERE id = ?", (id,)).fetchone()
    )
    if owner:  # it arrived before, and the answer was lost
        if owner[0] != who:
            abort(409, gettext("This check-in is another person’s. Load the page again."))
        return saved(id)
    return keep(id, "page", None)


@page.get("/checkins/<id>/edit")
def edit(id: str) -> str:
    return form(checkin_draft.of(found(id)), None, "edit")


@page.post("/checkins/<id>/edit")
def change(id: str) -> Any:
    former = found(id)
    return keep(former.id, former.source, former)


def keep(id: str, source: str, former: Checkin | None) -> Any:
    """Save what the form says, or show it again with what is wrong."""
    draft, now = checkin_draft.entered(id), checkin_draft.now_ms()
    try:
        untouched = former is not None and checkin_draft.untouched(draft, former)
        at = checkin_draft.lived(former) if former and untouched else checkin_draft.moment(now)
        # Where the clock of the box is not set yet, nobody can know what lies ahead.
        entered = now if desk.now().clock_ok else max(now, round(at.timestamp() * 1000))
        checkin = checkins.made(
            person.current().id,
            at,
            mood=draft.mood,
            emotions=[] if draft.none else draft.emotions or None,
            activities=[*draft.activities, *draft.new.split(",")],
            note=draft.note,
            source=source,
            made_utc=entered,
            id=id,
        )
    except (WhenError, CheckinError) as error:
        if _scripted():
            timely = isinstance(error, WhenError)
            return jsonify(error=_say(error), when=timely, twice=_twice(error)), 400
        return form(draft, error, "edit" if former else "new"), 400
    if former and untouched:  # the very moment, as it was lived
        checkin = replace(
            checkin, utc=former.utc, day=former.day, hour=former.hour, weekday=former.weekday
        )
    desk.write(lambda db: checkins.save(db, checkin))
    return saved(id, "changed" if former else "saved")


def saved(id: str, how: str = "saved") -> Any:
    place = to("checkins.show", id=id, how=how)
    return jsonify(saved=id, url=place) if _scripted() else redirect(place, 303)


def form(draft: Draft, error: Exception | None, act: str = "new") -> str:
    who = person.current()
    known = desk.read(lambda db: checkins.activities(db, who.id))
    texts = [one.text for one in known]
    # One that was hidden since stays where it was said.
    texts += [one for one in draft.activities if one.casefold() not in map(str.casefold, texts)]
    local = zone.local(checkin_draft.now_ms(), languages.zone())
    return render_template(
        "checkins/form.html",
        who=who,
        act=act,
        draft=draft,
        problem=None if error is None else _say(error),
        twice=_twice(error),
        said_when=_said_when(draft),
        activities=texts,
        choices=when.choices(local),
        local=local,
        clock_ok=desk.now().clock_ok,
        moods=MOODS,
        positive=POSITIVE,
        negative=NEGATIVE,
        words=mood_words,
        almanac=almanac,
        most=TEXT_MAX,
    )


# ── one check-in ─────────────────────────────────────────────────────────────────────────────────


@page.get("/checkins/<id>")
def show(id: str) -> str:
    """What was saved; `how` says what just happened to it."""
    one = found(id)
    return render_template(
        "checkins/show.html",
        one=one,
        how=request.args.get("how", ""),
        at=checkin_list.moment(one, languages.zone()),
        words=mood_words,
        almanac=almanac,
        day=date.fromordinal(one.day) if one.day else None,
    )


@page.post("/checkins/<id>/delete")
def delete(id: str) -> Answer:
    who, now = person.current().id, round(desk.now().utc * 1000)
    if not desk.write(lambda db: checkins.delete(db, who, id, now)):
        _missing()
    return redirect(to("checkins.index", deleted=id), 303)


@page.post("/checkins/<id>/back")
def bring_back(id: str) -> Answer:
    who = person.current().id
    if not desk.write(lambda db: checkins.bring_back(db, who, id)):
        abort(404, gettext("This check-in was erased for good already."))
    return redirect(to("checkins.show", id=id, how="back"), 303)


@page.before_app_request
def _sweep() -> None:
    """Erase for good what nobody brought back, whatever is asked for; the watchdog asks, too."""
    clock = desk.clock()
    now, stamp = clock.monotonic(), clock.stamp()
    if now - current_app.extensions.get("mien.swept", -math.inf) < SWEPT_S or not stamp.clock_ok:
        return
    current_app.extensions["mien.swept"] = now
    with suppress(StoreError):  # who has asked is told by what they asked for
        desk.write(lambda db: checkins.sweep(db, round(stamp.utc * 1000) - KEPT_MS))


# ── all of them ──────────────────────────────────────────────────────────────────────────────────


@page.get("/checkins")
def index() -> str:
    who, said = person.current(), request.args
    emotion = next((name for name in EMOTIONS if name == said.get("emotion")), None)
    activity, before = said.get("activity", ""), said.get("before", "")
    deleted = said.get("deleted", "")
    searched: dict[str, Any] = {"activity": activity or None, "emotion": emotion}

    def ask(db: Any) -> tuple[Any, ...]:
        listed = checkin_list.page(db, who.id, activity, emotion, before)
        known = checkins.activities(db, who.id, hidden=True)
        return (
            *listed,
            known,
            checkin_list.undated(db, who.id),
            checkin_list.gone(db, who.id, deleted),
        )

    ones, more, known, undated, undo = desk.read(ask)
    return render_template(
        "checkins/index.html",
        days=checkin_list.by_day(ones, languages.zone()),
        older=to("checkins.index", before=ones[-1].id, **searched) if more else None,
        newest=to("checkins.index", **searched) if before else None,
        activities=known,
        activity=activity,
        emotion=emotion,
        undated=undated,
        undo=deleted if undo else None,
        emotions=EMOTIONS,
        words=mood_words,
        almanac=almanac,
    )


# ── activities ───────────────────────────────────────────────────────────────────────────────────


@page.get("/checkins/activities")
def activities() -> str:
    who = person.current().id
    known = desk.read(lambda db: checkins.activities(db, who, hidden=True))
    return render_template("checkins/activities.html", activities=known)


@page.post("/checkins/activities/<id>")
def change_activity(id: str) -> Answer:
    """Rename it, which puts two of one name together, or hide or show it."""
    who, said = person.current().id, request.form
    known = desk.read(lambda db: checkins.activities(db, who, hidden=True))
    one = next((one for one in known if one.id == id), None) or abort(
        404, gettext("There is no such activity; it may have been put together with another.")
    )
    if said.get("act") in ("hide", "show"):
        hidden = said["act"] == "hide"
        desk.write(lambda db: checkins.hide_activity(db, who, id, hidden))
        return redirect(to("checkins.activities"), 303)
    text = said.get("text", "")
    try:
        desk.write(lambda db: checkins.rename_activity(db, who, id, text))
    except CheckinError as error:
        flash(_say(error), "problem")
    else:
        merged = any(
            other.text.casefold() == text.strip().casefold() for other in known if other.id != id
        )
        flash(
            ngettext(
                "“%(old)s” is part of “%(new)s” now, with its %(num)s check-in.",
                "“%(old)s” is part of “%(new)s” now, with its %(num)s check-ins.",
                one.used,
                old=one.text,
                new=text.strip(),
            )
            if merged
            else gettext("“%(old)s” is called “%(new)s” now.", old=one.text, new=text.strip())
        )
    return redirect(to("checkins.activities"), 303)


# ── what a request says ──────────────────────────────────────────────────────────────────────────


def found(id: str) -> Checkin:
    who = person.current().id
    return desk.read(lambda db: checkins.find(db, who, id)) or _missing()


def _missing() -> Any:
    abort(404, gettext("This check-in is not there any more."))


def _id(said: str) -> str:
    """What the browser made, if it is a UUID."""
    try:
        return str(uuid.UUID(said))
    except ValueError:
        return str(uuid.uuid4())


def _twice(error: Exception | None) -> list[str]:
    """What the two moments are called that a time of the clock on the wall may be."""
    if not isinstance(error, WhenError) or error.twice is None:
        return []
    first, second = ({"time": f"{at:%H:%M}", "zone": at.tzname()} for at in error.twice)
    return [
        gettext("the first %(time)s (%(zone)s)", **first),
        gettext("the second %(time)s (%(zone)s)", **second),
    ]


def _said_when(draft: Draft) -> str:
    """The chosen time in words, as far as it is one."""
    day = when.day_of(draft.date)
    return f"{almanac.medium(day)}, {draft.time}" if day else ""


def _say(error: Exception) -> str:
    return str(error) if isinstance(error, WhenError) else parts.say(str(error))


def _scripted() -> bool:
    return "Mien-Token" in request.headers
