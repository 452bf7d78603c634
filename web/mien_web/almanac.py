"""Days, weeks, months and years as the log's pages name them: their bounds, their neighbours, and
what they are called in the visitor's language."""

from calendar import monthrange
from datetime import date, timedelta
from functools import lru_cache
from typing import Literal

from babel.dates import format_date, format_skeleton, get_month_names
from flask_babel import gettext
from msgspec import Struct

from mien_web import languages

Kind = Literal["day", "week", "month", "year"]
EARLIEST, LATEST = 1900, 2999
"""Years that the pages go to; further ones no clock was ever set to."""

ENDPOINTS: dict[Kind, tuple[str, str]] = {
    "day": ("log.day", "day"),
    "week": ("log.week", "day"),
    "month": ("log.month", "month"),
    "year": ("log.year", "year"),
}
"""The page of each kind, and what its address calls the value of `Span.value`."""


class Span(Struct, frozen=True):
    """A day, a week from Monday on, a month or a year; `last` is within it."""

    kind: Kind
    first: date
    last: date

    @property
    def value(self) -> str:
        """As an address has it."""
        forms = {"day": "%Y-%m-%d", "week": "%Y-%m-%d", "month": "%Y-%m", "year": "%Y"}
        return self.first.strftime(forms[self.kind])

    @property
    def days(self) -> list[date]:
        count = (self.last - self.first).days + 1
        return [self.first + timedelta(n) for n in range(count)]

    @property
    def before(self) -> "Span | None":
        """The one before it, None where the pages end."""
        day = self.first - timedelta(1)
        return around(self.kind, day) if day.year >= EARLIEST else None

    @property
    def after(self) -> "Span | None":
        day = self.last + timedelta(1)
        return around(self.kind, day) if day.year <= LATEST else None

    @property
    def title(self) -> str:
        """`Saturday, 21 November 2026`, `16 – 22 Nov 2026`, `November 2026`, `2026`."""
        match self.kind:
            case "day":
                return full(self.first)
            case "week":
                said = gettext(
                    "%(first)s to %(last)s", first=short(self.first), last=medium(self.last)
                )
                return str(said)
            case "month":
                return month_title(self.first)
            case "year":
                return str(self.first.year)


def around(kind: Kind, day: date) -> Span:
    """The day itself, or the week, month or year in which it lies."""
    match kind:
        case "day":
            return Span(kind, day, day)
        case "week":
            first = day - timedelta(day.weekday())
            return Span(kind, first, first + timedelta(6))
        case "month":
            return Span(kind, day.replace(day=1), day.replace(day=monthrange(*_month(day))[1]))
        case "year":
            return Span(kind, date(day.year, 1, 1), date(day.year, 12, 31))


def parsed(said: str) -> date | None:
    """A date from `2026-11-20`, `2026-11` or `2026`; None for what is none, or is out of reach."""
    missing = {4: "-01-01", 7: "-01", 10: ""}.get(len(said))
    try:
        day = None if missing is None else date.fromisoformat(said + missing)
    except ValueError:
        return None
    return day if day and EARLIEST <= day.year <= LATEST else None


def _month(day: date) -> tuple[int, int]:
    return day.year, day.month


# ── names ────────────────────────────────────────────────────────────────────────────────────────


def full(day: date) -> str:
    """`Saturday, 21 November 2026`."""
    return _named(day, "full", languages.locale())


def medium(day: date) -> str:
    """`21 Nov 2026`."""
    return _named(day, "medium", languages.locale())


def short(day: date) -> str:
    """`21 Nov`."""
    return _short(day.month, day.day, languages.locale())


def shorts(days: list[date]) -> dict[date, str]:
    """The same of many days; to find out whose language it is takes longer than the name."""
    locale = languages.locale()
    return {day: _short(day.month, day.day, locale) for day in days}


def weekday(day: date) -> str:
    """`Sat`."""
    return _named(day, "EEE", languages.locale())


def month_title(day: date) -> str:
    """`November 2026`."""
    return _named(day, "LLLL y", languages.locale())


def month_names(width: Literal["wide", "abbreviated", "narrow"] = "wide") -> list[str]:
    """The twelve."""
    names = get_month_names(width, "stand-alone", languages.locale())
    return [str(names[month]) for month in range(1, 13)]


@lru_cache(4096)  # a year has 365 of them
def _named(day: date, form: str, locale: str) -> str:
    return str(format_date(day, form, locale))


@lru_cache(1024)
def _short(month: int, day: int, locale: str) -> str:
    return str(format_skeleton("MMMd", date(2000, month, day), locale=locale))
