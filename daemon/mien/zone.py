"""The box's own time zone: which local day and hour a moment belongs to. Days may have 23 or 25
hours."""

import os
import re
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from mien import settings

KEY = "zone"
"""Of the settings: an IANA name, where somebody chose one on the page."""
TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
"""A time of day as settings keep it: HH:MM."""


def of_box(db: Any) -> ZoneInfo:
    """What somebody chose on the page, else the system's own."""
    return named(settings.get(db, KEY, str)) or system()


def named(name: str | None) -> ZoneInfo | None:
    """The zone of this IANA name, None where there is none."""
    if not name:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def names() -> list[str]:
    """All IANA names that a person would choose, in order."""
    areas = ("Africa/", "America/", "Asia/", "Atlantic/", "Australia/", "Europe/", "Indian/")
    found = available_timezones()
    return sorted(n for n in found if n.startswith((*areas, "Pacific/")) or n == "UTC")


def system() -> ZoneInfo:
    """`TZ`, else what /etc/localtime leads to, else UTC."""
    if told := named(os.environ.get("TZ", "").lstrip(":")):
        return told
    _, found, name = str(Path("/etc/localtime").resolve()).partition("zoneinfo/")
    return (named(name) if found else None) or ZoneInfo("UTC")


def local(utc_ms: int, zone: ZoneInfo) -> datetime:
    """The wall clock at this time, milliseconds of UTC."""
    return datetime.fromtimestamp(utc_ms / 1000, zone)


def bounds(first: date, last: date, zone: ZoneInfo) -> tuple[int, int]:
    """These local days, the last one included, in milliseconds of UTC: from ≤ t < to."""
    return _midnight(first, zone), _midnight(last + timedelta(1), zone)


def spans(since_ms: int, until_ms: int, zone: ZoneInfo) -> list[tuple[int, int, int]]:
    """A stretch of UTC parted where the wall clock is set: from, to and the offset of the wall
    clock from UTC within, all in milliseconds. Whole quarters of an hour stay whole.
    """
    step, parts, start = 86_400_000, [], since_ms
    while start < until_ms:
        offset, low, high = _offset(start, zone), start, min(start + step, until_ms)
        while high < until_ms and _offset(high, zone) == offset:
            low, high = high, min(high + step, until_ms)
        # The change, if there is one, lies after `low`, where the offset still held.
        while high - low > 900_000:
            middle = (low + high) // 2 // 900_000 * 900_000
            if middle <= low:
                break
            low, high = (middle, high) if _offset(middle, zone) == offset else (low, middle)
        end = high if _offset(high, zone) != offset else until_ms
        parts.append((start, end, offset))
        start = end
    return parts


def _offset(utc_ms: int, zone: ZoneInfo) -> int:
    away = local(utc_ms, zone).utcoffset() or timedelta()
    return round(away.total_seconds() * 1000)


def _midnight(day: date, zone: ZoneInfo) -> int:
    moment = datetime.combine(day, time(), zone).astimezone(UTC)
    return round(moment.timestamp() * 1000)
