"""The list of check-ins: by day, the newest first, a page at a time, and what it is searched by."""

from collections.abc import Iterable
from datetime import date, datetime
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from mien import checkins, emotions, zone
from mien.checkins import Checkin
from mien.emotions import Emotion

SIZE = 50


def page(
    db: Any, client: str, activity: str = "", emotion: Emotion | None = None, before: str = ""
) -> tuple[list[Checkin], bool]:
    """The newest check-ins with a date, and whether there are more. `activity` is an id, `before`
    the id of the last one on the page before."""
    query = "SELECT id FROM checkins WHERE client = ? AND NOT deleted AND day NOT NULL"
    values: list[Any] = [client]
    last = db.execute(
        "SELECT day, utc, id FROM checkins WHERE client = ? AND id = ?", (client, before)
    ).fetchone()
    if before and last and last[0] is not None:
        query += " AND day <= ? AND (day, utc, id) < (?, ?, ?)"
        values += [last[0], *last]
    if activity:
        query += (
            " AND EXISTS (SELECT 1 FROM checkin_activities WHERE checkin = id AND activity = ?)"
        )
        values.append(activity)
    if emotion:
        query += " AND emotions & ?"
        values.append(emotions.mask([emotion]))
    query += " ORDER BY day DESC, utc DESC, id DESC LIMIT ?"
    ids = [id for (id,) in db.execute(query, (*values, SIZE + 1)).fetchall()]
    found = [checkins.find(db, client, id) for id in ids[:SIZE]]
    return [one for one in found if one], len(ids) > SIZE


def undated(db: Any, client: str) -> int:
    """How many know no date; the list leaves them out, and so they are deleted as imports only.
    Counted by the index alone: there may be a million."""
    query = "SELECT count(*) FROM checkins WHERE client = ? AND day IS NULL"
    return int(db.execute(query, (client,)).fetchone()[0])


def gone(db: Any, client: str, id: str) -> bool:
    """Whether it was deleted and can be brought back."""
    query = "SELECT 1 FROM checkins WHERE id = ? AND client = ? AND deleted"
    return db.execute(query, (id, client)).fetchone() is not None


def by_day(
    ones: Iterable[Checkin], box: ZoneInfo
) -> list[tuple[date, list[tuple[Checkin, datetime | None]]]]:
    """The check-ins of each day, with their local times."""
    return [
        (date.fromordinal(day), [(one, moment(one, box)) for one in of_day])
        for day, of_day in groupby(ones, key=lambda one: one.day or 1)
    ]


def moment(one: Checkin, box: ZoneInfo) -> datetime | None:
    """When it was, by the clock on the wall; None where it does not say."""
    if one.utc is None or one.day is None:
        return None
    found = zone.local(one.utc, box)
    if one.hour is not None and (found.toordinal(), found.hour) != (one.day, one.hour):
        # It was said in another zone: the day and hour as they were lived.
        lived = date.fromordinal(one.day)
        return found.replace(lived.year, lived.month, lived.day, one.hour)
    return found
