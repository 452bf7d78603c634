"""When something was, as a form says it: now, or a local date and time of the box's zone. Where the
clocks are put forward an hour is missing, where they are put back one comes twice."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from flask_babel import gettext

from mien import zone as zones
from mien.events import MienError
from mien_web import almanac

EARLIEST = 1900
OLDEST_MS = 400 * 86_400_000
"""A check-in waits on a phone without Wi-Fi for so long at most."""


class WhenError(MienError, ValueError):
    """No time, or one of two; the text says what to do. `twice`: both, where it is one of two."""

    def __init__(self, text: str, twice: tuple[datetime, datetime] | None = None) -> None:
        super().__init__(text)
        self.twice = twice


def of_form(form: Mapping[str, str], now_ms: int, zone: ZoneInfo) -> datetime:
    """The moment that a form's fields tell: `when` is `now` (`age_ms` before it, where a script
    says so), a local time as ISO 8601, or `other` with `date`, `time` and, for the hour that comes
    twice, `fold`.

    Raises:
        WhenError: a sentence.
    """
    said = form.get("when", "now") or "now"
    if said == "now":
        return zones.local(now_ms - _age(form.get("age_ms", "")), zone)
    if said == "other":
        said = f"{form.get('date', '')}T{form.get('time', '') or '?'}"
    fold = {"0": 0, "1": 1}.get(form.get("fold", ""))
    found = exact(parsed(said, zone), zone, fold)
    if found.timestamp() * 1000 >= now_ms + 60_000:
        raise WhenError(
            gettext("This lies ahead: a check-in tells how it was. Choose a time that is over.")
        )
    return found


def parsed(said: str, zone: ZoneInfo) -> datetime:
    """A local time without zone, from ISO 8601; one with an offset from UTC is put into the zone.

    Raises:
        WhenError: it is none.
    """
    try:
        found = datetime.fromisoformat(said)
        if found.tzinfo is not None:
            found = found.astimezone(zone).replace(tzinfo=None)
    except (ValueError, OverflowError):
        found = datetime.min
    if found.year < EARLIEST:
        raise WhenError(gettext("Enter a date and a time, such as 20 November 2026 and 21:00."))
    return found.replace(second=0, microsecond=0)


def exact(local: datetime, zone: ZoneInfo, fold: int | None = None) -> datetime:
    """A local time with its zone. `fold`: 0 the first, 1 the second, where it comes twice.

    Raises:
        WhenError: it does not exist; or it comes twice, and `fold` is not said.
    """
    first, second = (local.replace(tzinfo=zone, fold=n) for n in (0, 1))
    back = first.astimezone(UTC).astimezone(zone)
    if back.replace(tzinfo=None) != local:
        raise WhenError(
            gettext(
                "There was no %(time)s on %(day)s: the clocks were put forward. "
                "Choose another time, such as %(other)s.",
                time=f"{local:%H:%M}",
                day=almanac.medium(local.date()),
                other=f"{back:%H:%M}",
            )
        )
    if first.utcoffset() == second.utcoffset():
        return first
    if fold is None:
        raise WhenError(
            gettext(
                "%(time)s came twice on %(day)s, for the clocks were put back. Say which one.",
                time=f"{local:%H:%M}",
                day=almanac.medium(local.date()),
            ),
            (first, second),
        )
    return second if fold else first


def choices(now: datetime) -> list[tuple[str, str]]:
    """Times that people often mean when they come late: the form's value, and its words."""
    today, found = now.date(), []
    offered = (
        (today, 12, 14, gettext("Today at noon")),
        (today, 8, 10, gettext("This morning, 8:00")),
        (today - timedelta(1), 20, 0, gettext("Yesterday evening, 20:00")),
        (today - timedelta(1), 12, 0, gettext("Yesterday at noon")),
    )
    for day, hour, since, words in offered:
        if now.hour >= since:
            found.append((iso(datetime.combine(day, time(hour))), words))
    return found


def iso(moment: datetime) -> str:
    """As an address and a form have it: `2026-11-20T21:00`."""
    return moment.strftime("%Y-%m-%dT%H:%M")


def day_of(said: str) -> date | None:
    try:
        return date.fromisoformat(said)
    except ValueError:
        return None


def _age(said: str) -> int:
    known = said.isascii() and said.isdecimal() and len(said) < 15
    return min(int(said), OLDEST_MS) if known else 0
