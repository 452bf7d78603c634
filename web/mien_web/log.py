"""(being built)"""

from datetime import date

from flask import Blueprint, redirect, render_template, url_for
from werkzeug.wrappers import Response as Answer

from mien import zone
from mien_web import desk, door, person

page = Blueprint("log", __name__)
door.needs(page, "home")


@page.get("/log")
def today() -> str:
    return _shown("day")


@page.get("/log/day/<date>")
def day(date: str) -> str:
    return _shown("day")


@page.get("/log/week")
def this_week() -> Answer:
    return redirect(url_for("log.week", date=_today().isoformat()))


@page.get("/log/week/<date>")
def week(date: str) -> str:
    return _shown("week")


@page.get("/log/month")
def this_month() -> Answer:
    return redirect(url_for("log.month", month=f"{_today():%Y-%m}"))


@page.get("/log/month/<month>")
def month(month: str) -> str:
    return _shown("month")


@page.get("/log/year")
def this_year() -> Answer:
    return redirect(url_for("log.year", year=_today().year))


@page.get("/log/year/<int:year>")
def year(year: int) -> str:
    return _shown("year")


@page.get("/log/settings")
def settings() -> str:
    return _shown("settings")


def _today() -> date:
    return zone.local(round(desk.now().utc * 1000), desk.read(zone.of_box)).date()


def _shown(tab: str) -> str:
    return render_template("log/day.html", tab=tab)


@page.app_context_processor
def _persons() -> dict[str, object]:
    return {"person_current": person.current, "person_everybody": person.everybody}
