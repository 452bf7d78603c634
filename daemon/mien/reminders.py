"""When a person wants to be asked how they are. Chosen by them; off until then; never late."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import Struct, field
from msgspec.structs import replace

from mien import settings
from mien.clock import Stamp
from mien.events import MienError
from mien.zone import TIME, local

LATE_MS = 600_000
"""A reminder that could not be given for so long is not given any more."""
MOST_TIMES = 6
_LONGEST_SNOOZE_MIN = 240
_KEY = "reminders:"


class ReminderError(MienError, ValueError):
    """A plan makes no sense; the text says what to change."""


class Plan(Struct, frozen=True):
    """What one person chose."""

    on: bool = False
    times: list[str] = field(default_factory=lambda: ["20:00"])
    """Wall clock, "HH:MM"."""
    days: list[int] = field(default_factory=lambda: [1, 2, 3, 4, 5, 6, 7])
    """1 Monday – 7."""
    unless_h: int = 2
    """Hours since the last check-in within which nobody is asked."""
    snoozed_until_ms: int = 0
    """Milliseconds of UTC. When this moment comes, the person is asked again."""
    snooze_min: int = 30


def plan(db: Any, client: str) -> Plan:
    """The person's plan; off where none was made."""
    return settings.get(db, _KEY + client, Plan) or Plan()


def put(db: Any, client: str, plan: Plan) -> None:
    """Keep the plan, its times in order.

    Raises:
        ReminderError: a time, a day or a number is none.
    """
    for text in plan.times:
        if not TIME.fullmatch(text):
            raise ReminderError(f"“{text}” is no time of day; write it as 22:30.")
    times = sorted(set(plan.times))
    if len(times) > MOST_TIMES:
        raise ReminderError(f"{len(times)} times are too many; choose {MOST_TIMES} at most.")
    days = sorted(set(plan.days))
    if any(not 1 <= day <= 7 for day in days):
        raise ReminderError("Days go from 1, Monday, to 7, Sunday.")
    if plan.on and not (times and days):
        raise ReminderError("Choose at least one time and one day, or switch reminders off.")
    if not 0 <= plan.unless_h <= 24:
        raise ReminderError("The hours since the last check-in must be from 0 to 24.")
    if not 5 <= plan.snooze_min <= _LONGEST_SNOOZE_MIN:
        raise ReminderError("A reminder can be put off by 5 to 240 minutes.")
    settings.put(db, _KEY + client, replace(plan, times=times, days=days))


def snooze(db: Any, client: str, now: Stamp) -> None:
    """Be asked again after `snooze_min` minutes, and not before."""
    chosen = plan(db, client)
    until = round(now.utc * 1000) + chosen.snooze_min * 60_000
    settings.put(db, _KEY + client, replace(chosen, snoozed_until_ms=until))


def put_off(plan: Plan, now_ms: int) -> int:
    """Until when nobody is asked because they said "later"; 0 when that is over, or so far ahead
    that it was said while the clock was wrong."""
    until = plan.snoozed_until_ms
    return until if now_ms < until <= now_ms + _LONGEST_SNOOZE_MIN * 60_000 else 0


def due(db: Any, now: Stamp, zone: ZoneInfo, last_ms: int) -> list[str]:
    """Ids of the people to ask now: a moment of theirs came after `last_ms`, when this was asked
    last, in milliseconds of UTC. Nobody while the clock may be wrong.
    """
    if not now.clock_ok:
        return []
    now_ms = round(now.utc * 1000)
    ahead = last_ms - now_ms  # the clock was put back
    since = max(last_ms if ahead < LATE_MS else 0, now_ms - LATE_MS)
    found = db.execute("SELECT key FROM settings WHERE key GLOB ?", (_KEY + "*",)).fetchall()
    return [
        client
        for (key,) in sorted(found)
        if _asked(db, client := key.removeprefix(_KEY), plan(db, client), zone, since, now_ms)
    ]


def moments(plan: Plan, first: date, last: date, zone: ZoneInfo) -> Iterator[int]:
    """Each time of these local days in milliseconds of UTC. A time that the clocks skip comes as
    much later as they are put forward; one that comes twice counts the first time."""
    for ordinal in range(first.toordinal(), last.toordinal() + 1):
        day = date.fromordinal(ordinal)
        if day.isoweekday() in plan.days:
            for text in plan.times:
                hour, minute = text.split(":")
                moment = datetime.combine(day, time(int(hour), int(minute)), zone)
                yield round(moment.astimezone(UTC).timestamp() * 1000)


def _asked(db: Any, client: str, plan: Plan, zone: ZoneInfo, since: int, now: int) -> bool:
    if not plan.on or put_off(plan, now):
        return False
    today = local(now, zone).date()
    snoozed = since < plan.snoozed_until_ms
    # Yesterday's, too: a moment shortly before midnight may be due after it.
    at = moments(plan, today - timedelta(1), today, zone)
    if not snoozed and not any(since < moment <= now for moment in at):
        return False
    (gone,) = db.execute(
        "SELECT coalesce(max(archived), 1) FROM clients WHERE id = ?", (client,)
    ).fetchone()
    if gone:
        return False
    lately = now - max(plan.unless_h * 3_600_000, plan.snooze_min * 60_000 if snoozed else 0)
    # One about a moment long past counts as well when it was made just now: they were here.
    (answered,) = db.execute(
        "SELECT count(*) FROM checkins WHERE client = ?1 AND NOT deleted AND "
        "(utc BETWEEN ?2 AND ?3 OR (made_utc BETWEEN ?2 AND ?3 AND source IN ('page', 'api')))",
        (client, lately + 1, now),
    ).fetchone()
    return not answered
