"""English and German: which one a visitor gets, and how dates and numbers look in it."""

from datetime import datetime

from babel.dates import format_date, format_datetime
from flask import Flask, g, request
from flask_babel import Babel

LANGUAGES = ("en", "de")


def speak(app: Flask) -> None:
    """Translate every template and answer of this page."""
    app.config["BABEL_TRANSLATION_DIRECTORIES"] = "translations"
    Babel(app, locale_selector=language)
    app.jinja_env.globals["language"] = language
    app.jinja_env.filters.update(day=day, moment=moment)


def language() -> str:
    """The user's own choice, else the first of the browser's that Mien speaks, else English."""
    login = g.get("login")
    user = login.user if login else g.get("user")  # a locked screen too speaks one's language
    if user is not None and user.language in LANGUAGES:
        return str(user.language)
    return request.accept_languages.best_match(LANGUAGES, "en") or "en"


def day(utc_ms: int) -> str:
    """A date of the box's own time zone, from milliseconds of UTC: `20 Nov 2026`."""
    return format_date(_local(utc_ms), "medium", _locale())


def moment(utc_ms: int) -> str:
    """The same with the time of day: `20 Nov 2026, 09:30`."""
    return format_datetime(_local(utc_ms), _MOMENT[_locale()], locale=_locale())


_MOMENT = {"en_GB": "d MMM y, HH:mm", "de": "d. MMM y, HH:mm"}


def _locale() -> str:
    """English dates as in Europe: day before month, 24 hours."""
    return "de" if language() == "de" else "en_GB"


def _local(utc_ms: int) -> datetime:
    return datetime.fromtimestamp(utc_ms / 1000).astimezone()
