"""When the box asks how somebody is: chosen times, and a gentle line on the pages that are open.

A reminder is never late: one that came while no page was open is not made up for. The daemon tells
the same to Home Assistant (see docs/decisions/reminders.md).
"""

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, flash, g, jsonify, redirect, render_template, request
from flask import url_for as to
from flask_babel import gettext
from msgspec import Struct
from msgspec.structs import replace
from werkzeug.wrappers import Response as Answer

from mien import reminders, settings, zone
from mien.clients import Client
from mien.reminders import LATE_MS, MOST_TIMES, Plan
from mien_web import almanac, desk, door, languages, parts, person

page = Blueprint("reminders", __name__)
door.needs(page, "home")

SNOOZES = (10, 15, 30, 60, 120)
LATELY = (0, 1, 2, 3, 4, 6, 8, 12)
"""Hours that the form offers."""


class Asked(Struct, frozen=True):
    """Somebody to ask now. `at` is the same as long as it is the same reminder."""

    person: str
    text: str
    at: int


@page.get("/reminders")
def show() -> str:
    who = person.current().id
    return _form(desk.read(lambda db: reminders.plan(db, who)), "")


@page.post("/reminders")
def save() -> Any:
    who, said = person.current().id, request.form

    def number(name: str, otherwise: int) -> int:
        text = said.get(name, "")
        return int(text) if text.isascii() and text.isdecimal() and len(text) < 6 else otherwise

    former = desk.read(lambda db: reminders.plan(db, who))
    wanted = replace(
        former,
        on="on" in said,
        times=[text for text in said.getlist("time") if text],
        days=[int(day) for day in said.getlist("day") if day in tuple("1234567")],
        unless_h=number("unless_h", -1),
        snooze_min=number("snooze_min", -1),
        snoozed_until_ms=former.snoozed_until_ms if "on" in said else 0,
    )
    try:
        desk.write(lambda db: reminders.put(db, who, wanted))
    except reminders.ReminderError as error:
        return _form(wanted, parts.say(str(error))), 400
    flash(gettext("Saved."))
    return redirect(to("reminders.show"), 303)


def _form(plan: Plan, problem: str) -> str:
    now = round(desk.now().utc * 1000)
    box = languages.zone()
    monday = almanac.around("week", zone.local(now, box).date()).first
    upcoming = _next(plan, now) if plan.on and not problem else None
    return render_template(
        "reminders/show.html",
        plan=plan,
        problem=problem,
        upcoming=upcoming,
        fields=[*plan.times, *[""] * (MOST_TIMES - len(plan.times))][:MOST_TIMES],
        days=[(n + 1, almanac.weekday(monday + timedelta(n))) for n in range(7)],
        snoozes=sorted({*SNOOZES, max(plan.snooze_min, 5)}),
        lately=sorted({*LATELY, max(plan.unless_h, 0)}),
        clock_ok=desk.now().clock_ok,
        zone=box.key,
    )


def _next(plan: Plan, now_ms: int) -> str | None:
    """When the next reminder comes, in words, unless there is a check-in before."""
    box = languages.zone()
    today = zone.local(now_ms, box).date()
    later = reminders.put_off(plan, now_ms)
    coming = [*reminders.moments(plan, today, today + timedelta(7), box), later]
    left = [at for at in coming if at > max(now_ms, later - 1)]
    if not left:
        return None
    at = zone.local(min(left), box)
    return f"{almanac.full(at.date())}, {at:%H:%M}"


# ── on the pages that are open ───────────────────────────────────────────────────────────────────


@page.get("/reminders/due")
def due() -> Response:
    """Whom to ask now, of the persons that this user takes care of; a page's script asks it."""
    ours, box = person.everybody(), languages.zone()
    found = desk.read(lambda db: _asked(db, ours, box))
    response: Response = jsonify(asked=[_as_json(one) for one in found])
    return response


def _as_json(asked: Asked) -> dict[str, Any]:
    return {"person": asked.person, "text": asked.text, "at": asked.at}


def _asked(db: Any, ours: list[Client], box: ZoneInfo) -> list[Asked]:
    now = desk.now()
    now_ms = round(now.utc * 1000)
    wanted = set(reminders.due(db, now, box, now_ms - LATE_MS))
    found = []
    for one in ours:
        if one.id in wanted and not _answered(db, one.id, now_ms):
            text = (
                gettext("%(name)s: how are you?", name=one.code)
                if len(ours) > 1
                else gettext("How are you? There is time for a check-in.")
            )
            found.append(Asked(one.id, text, now_ms // LATE_MS))
    return found


def _answered(db: Any, client: str, now_ms: int) -> bool:
    """Whether somebody checked in since the reminder came, whatever moment it was about."""
    query = "SELECT 1 FROM checkins WHERE client = ? AND NOT deleted AND made_utc > ? LIMIT 1"
    return db.execute(query, (client, now_ms - LATE_MS)).fetchone() is not None


@page.post("/reminders/snooze")
def snooze() -> Answer:
    """Ask again later."""
    who = person.current().id
    desk.write(lambda db: reminders.snooze(db, who, desk.now()))
    return redirect(to("reminders.show"), 303)


@page.app_context_processor
def _here() -> dict[str, object]:
    return {"reminds": reminds}


def reminds() -> bool:
    """Whether an open page should ask for reminders: somebody of this user's wants any."""
    user = g.get("user")
    if user is None or "home" not in user.roles or request.endpoint == "checkins.new":
        return False

    def ask(db: Any) -> bool:
        if settings.setting(db) == "clinic":
            return False
        plans = db.execute(
            "SELECT 1 FROM settings WHERE key GLOB 'reminders:*' AND value GLOB '*\"on\":true*' "
            "AND substr(key, 11) IN (SELECT id FROM clients WHERE owner = ?) LIMIT 1",
            (user.id,),
        )
        return plans.fetchone() is not None

    return bool(desk.read(ask))
