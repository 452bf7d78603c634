"""The settings of the home log: quiet hours, the box's time zone, and whether the smart home may
know of one's mood."""

from typing import Any, Literal

from babel.dates import get_day_names
from flask import abort, flash, redirect, render_template, request, url_for
from flask_babel import gettext
from werkzeug.wrappers import Response as Answer

from mien import audit, quiet, zone
from mien import settings as kept
from mien.events import MienError
from mien.quiet import Hours
from mien_web import desk, door, languages, log, log_state, person, words

page = log.page

WEEKDAYS = range(1, 8)


@page.get("/log/settings")
def settings() -> str:
    return _page()


@page.post("/log/settings/quiet")
def add_quiet() -> Any:
    """One more stretch of quiet hours."""
    days = [day for day in WEEKDAYS if str(day) in request.form.getlist("day")]
    more = Hours(days, request.form.get("start", ""), request.form.get("end", ""))

    def work(db: Any) -> None:
        held = quiet.of(db)
        if more not in held:
            quiet.put(db, [*held, more])
            _note(db, "quiet.changed", added=f"{more.start}–{more.end}")

    try:
        desk.write(work)
    except MienError as error:
        return _page(words.sentence(error), more), 400
    return _done(gettext("The quiet hours count from now on."))


@page.post("/log/settings/quiet/remove")
def remove_quiet() -> Answer:
    """The stretch that the form shows; one that is gone already is no matter."""
    days = [day for day in WEEKDAYS if str(day) in request.form.get("days", "")]
    gone = Hours(days, request.form.get("start", ""), request.form.get("end", ""))

    def work(db: Any) -> None:
        held = quiet.of(db)
        if gone in held:
            quiet.put(db, [one for one in held if one != gone])
            _note(db, "quiet.changed", removed=f"{gone.start}–{gone.end}")

    desk.write(work)
    return _done(gettext("These quiet hours are removed."))


@page.post("/log/settings/zone")
def change_zone() -> Answer:
    """By whose days and hours everything is shown; empty for the system's own."""
    wanted = request.form.get("zone", "")
    if wanted and wanted not in zone.names():
        abort(400, gettext("There is no such time zone. Choose one of the list."))

    def work(db: Any) -> None:
        kept.put(db, zone.KEY, wanted or None)
        _note(db, "zone.changed", zone=wanted or "system")

    desk.write(work)
    return _done(gettext("Days and hours are those of this time zone from now on."))


@page.post("/log/settings/mood")
def share_mood() -> Answer:
    """Whether the broker, and so the smart home, hears of today's check-ins."""
    who, shared = person.current(), request.form.get("shared") == "1"

    def work(db: Any) -> None:
        kept.put(db, _mood_key(who.id), True if shared else None)
        _note(db, "mood.shared" if shared else "mood.unshared", who.code)

    desk.write(work)
    if shared:
        return _done(gettext("The smart home hears of your mood from now on."))
    return _done(gettext("The smart home hears nothing of your mood any more."))


def _page(problem: str = "", draft: Hours | None = None) -> str:
    who, now_ms = person.current(), round(desk.now().utc * 1000)

    def work(db: Any) -> tuple[list[Hours], str, bool]:
        chosen = kept.get(db, zone.KEY, str) or ""
        return quiet.of(db), chosen, bool(kept.get(db, _mood_key(who.id), bool))

    hours, chosen, shared = desk.read(work)
    return render_template(
        "log/settings.html",
        tab="settings",
        who=who,
        book=log.book(),
        whose=log_state.whose(who),
        state=log_state.state(who),
        hours=hours,
        said=_said,
        until=quiet.until(hours, now_ms, languages.zone()),
        weekdays=_weekdays("abbreviated"),
        full_weekdays=_weekdays("wide"),
        draft=draft or Hours(list(WEEKDAYS), "22:00", "07:00"),
        problem=problem,
        chosen=chosen,
        system=zone.system().key,
        zones=zone.names(),
        now_ms=now_ms,
        shared=shared,
        may_administer="administrator" in desk.user().roles,
    )


def _said(hours: Hours) -> str:
    """On which days: `every day`, `Mon to Fri`, `Sat, Sun`."""
    days, names = hours.days, _weekdays("abbreviated")
    if len(days) == len(WEEKDAYS):
        return str(gettext("every day"))
    if len(days) > 2 and days == list(range(days[0], days[-1] + 1)):
        return str(gettext("%(first)s to %(last)s", first=names[days[0]], last=names[days[-1]]))
    return ", ".join(names[day] for day in days)


def _weekdays(width: Literal["abbreviated", "wide"]) -> dict[int, str]:
    names = get_day_names(width, "stand-alone", languages.locale())
    return {day: str(names[day - 1]) for day in WEEKDAYS}


def _mood_key(client: str) -> str:
    return f"share_mood:{client}"


def _note(db: Any, action: str, subject: str = "", **detail: object) -> None:
    audit.note(db, desk.now().utc, desk.user().name, action, subject, **detail)


def _done(sentence: str) -> Answer:
    door.tell_daemon()
    flash(sentence)
    return redirect(url_for("log.settings"), 303)
