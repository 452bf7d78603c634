"""English and German: which one a visitor gets, and how dates and shares look in it."""

from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_datetime
from babel.numbers import format_decimal
from flask import Flask, g, request
from flask_babel import Babel, get_locale

from mien import zone as zones
from mien.database import StoreError
from mien_web import desk

LANGUAGES = ("en", "de")


def speak(app: Flask) -> None:
    """Translate every template and answer of this page."""
    app.config["BABEL_TRANSLATION_DIRECTORIES"] = "translations"
    Babel(app, locale_selector=language)
    app.jinja_env.globals["language"] = language
    app.jinja_env.globals["percent"] = percent
    app.jinja_env.filters.update(day=day, moment=moment, hour_minute=hour_minute, percent=percent)


def language() -> str:
    """The user's own choice, else the first of the browser's that Mien speaks, else English."""
    login = g.get("login")
    user = login.user if login else g.get("user")  # a locked screen too speaks one's language
    if user is not None and user.language in LANGUAGES:
        return str(user.language)
    return request.accept_languages.best_match(LANGUAGES, "en") or "en"


def day(utc_ms: int) -> str:
    """A date of the box's own time zone, from milliseconds of UTC: `20 Nov 2026`."""
    return format_date(_local(utc_ms), "medium", locale())


def moment(utc_ms: int) -> str:
    """The same with the time of day: `20 Nov 2026, 09:30`."""
    return format_datetime(_local(utc_ms), _MOMENT[locale()], locale=locale())


def hour_minute(utc_ms: int) -> str:
    """The time of day alone: `09:30`."""
    return f"{_local(utc_ms):%H:%M}"


def percent(share: float | None, digits: int = 0) -> str:
    """A share, 0–1, as `66 %`, in both languages with a space; what is not known is a dash."""
    if share is None:
        return "–"
    return _percent(round(100 * share, digits) + 0.0, digits, str(get_locale() or "en"))


@lru_cache(4096)  # a map has hundreds of them
def _percent(number: float, digits: int, locale: str) -> str:
    return f"{format_decimal(number, '0.' + '0' * digits, locale)}\N{NO-BREAK SPACE}%"


_MOMENT = {"en_GB": "d MMM y, HH:mm", "de": "d. MMM y, HH:mm"}


def locale() -> str:
    """English dates as in Europe: day before month, 24 hours."""
    return "de" if language() == "de" else "en_GB"


def zone() -> ZoneInfo:
    """The box's own time zone, looked up once a request."""
    if "zone" not in g:
        try:
            g.zone = desk.read(zones.of_box)
        except StoreError:  # the page that says so has dates, too
            g.zone = zones.system()
    found: ZoneInfo = g.zone
    return found


def _local(utc_ms: int) -> datetime:
    return zones.local(utc_ms, zone())
