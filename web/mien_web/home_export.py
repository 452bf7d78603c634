"""The files of a home log, made piece by piece while they are sent: three years take no more memory
than a month."""

import zipfile
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

import msgspec
from flask_babel import gettext

from mien import (
    activities,
    checkins,
    database,
    homefile,
    moodlog,
    quarters,
    quiet,
    reminders,
    zone,
)
from mien.checkins import Checkin
from mien.events import EXPRESSIONS
from mien.homefile import Chosen, Doing, Everything
from mien.quarters import QUARTER_MS
from mien_web import checkin_list, desk, languages, sheets
from mien_web.log import Book

PAGE = 500
"""Check-ins read at once."""
SPAN_MS = 30 * 86_400_000
"""Of the log so much is read at once."""

CHECKIN_COLUMNS = (
    "id", "date", "time", "weekday", "utc", "mood", "emotions", "activities", "note", "source",
)  # fmt: skip
HOUR_COLUMNS = (
    "date", "hour", "again", "start_utc", "seconds", "seen", "facing", "read", "several",
    *EXPRESSIONS, "valence",
)  # fmt: skip
_BOM = "\ufeff"


def checkins_csv(book: Book) -> Iterator[str]:
    """All check-ins, the newest first, those without a date last."""
    yield _BOM + sheets.table(CHECKIN_COLUMNS, [])
    for some in _checkins(book):
        yield sheets.table(None, (_row(book, one) for one in some))


def hours_csv(book: Book) -> Iterator[str]:
    """Each hour of the log in which the box watched, in seconds."""
    yield _BOM + sheets.table(HOUR_COLUMNS, [])
    since = book.since_ms
    if since is None:
        return
    first = desk.read(lambda db: moodlog.first_day(db, book.zone, since))
    while first is not None and first <= book.today:
        last = min(book.today, first + timedelta(days=30))
        days = desk.read(partial(moodlog.days, first=first, last=last, zone=book.zone,
                                 since_ms=since))  # fmt: skip
        for day in days:
            yield sheets.table(None, _hours(book, day, since))
        first = last + timedelta(days=1)


def everything(book: Book) -> Iterator[bytes]:
    """The zip: one JSON that another box reads, the two tables, and what they are."""
    pipe = _Pipe()
    made = datetime.fromtimestamp(book.now_ms / 1000, UTC)
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:  # type: ignore[call-overload]
        archive.writestr(_named("README.txt", made), _readme(book))
        yield pipe.taken()
        for name, parts in (
            (homefile.NAME, _json(book)),
            ("checkins.csv", map(str.encode, checkins_csv(book))),
            ("hours.csv", map(str.encode, hours_csv(book))),
        ):
            with archive.open(_named(name, made), "w") as member:
                for part in parts:
                    member.write(part)
                    if piece := pipe.taken():
                        yield piece
    yield pipe.taken()


def day(book: Book, quarter: int) -> date:
    """The local day of a quarter of an hour."""
    return zone.local(quarter * QUARTER_MS, book.zone).date()


class _Pipe:
    """What a zip is written into when it cannot go back: it only ever grows at its end."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        pass

    def taken(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)


def _named(name: str, made: datetime) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, made.timetuple()[:6])
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


def _json(book: Book) -> Iterator[bytes]:
    who = book.person.id

    def chosen(db: Any) -> tuple[Chosen, list[Doing]]:
        kept = [Doing(one.text, one.hidden) for one in activities.of(db, who, hidden=True)]
        return Chosen(reminders.plan(db, who), quiet.of(db)), kept

    settings, doings = desk.read(chosen)
    head = Everything(
        format=homefile.FORMAT,
        v=homefile.VERSION,
        person=book.person.code,
        box=database.box_id(desk.config().state_dir, make=False),
        made=desk.now().iso,
        zone=book.zone.key or "UTC",
        settings=settings,
        activities=doings,
    )
    said = (msgspec.json.encode(homefile.said(one)) for some in _checkins(book) for one in some)
    return homefile.written(head, said, _quarters(book))


def _quarters(book: Book) -> Iterator[bytes]:
    """Whole quarters only: the one that is running would be a piece of itself for ever."""
    since = book.since_ms
    if since is None:
        return
    first = desk.read(lambda db: moodlog.first_day(db, book.zone, since))
    if first is None:
        return
    start, end = zone.bounds(first, first, book.zone)[0], book.now_ms // QUARTER_MS * QUARTER_MS
    start = start // QUARTER_MS * QUARTER_MS
    while start < end:
        until = min(end, start + SPAN_MS)
        for quarter in desk.read(
            partial(moodlog.quarters, since_ms=since, until_ms=until, from_ms=start)
        ):
            yield msgspec.json.encode(quarters.row(quarter))
        start = until


def _checkins(book: Book) -> Iterator[list[Checkin]]:
    before: Checkin | None = None
    while some := desk.read(
        partial(checkins.newest, client=book.person.id, limit=PAGE, before=before)
    ):
        yield some
        before = some[-1]


def _row(book: Book, one: Checkin) -> list[str]:
    at = checkin_list.moment(one, book.zone)
    hour = "" if one.hour is None else f"{one.hour:02}:00"
    return [
        one.id,
        "" if one.day is None else date.fromordinal(one.day).isoformat(),
        f"{at:%H:%M}" if at else hour,
        str(one.weekday),
        "" if one.utc is None else _iso(one.utc),
        "" if one.mood is None else str(one.mood),
        "" if one.emotions is None else " ".join(one.emotions) or "none",
        " | ".join(one.activities),
        one.note,
        one.source,
    ]


def _hours(book: Book, day: date, since: int) -> Iterator[list[str]]:
    hours = desk.read(partial(moodlog.hours, day=day, zone=book.zone, since_ms=since))
    for hour in hours:
        seen = hour.seen
        if seen.seconds:
            yield [
                day.isoformat(), str(hour.hour), str(int(hour.again)), _iso(hour.start_ms),
                *map(str, (seen.seconds, seen.seen, seen.facing, seen.read, seen.several)),
                *(str(seen.expressions[name]) for name in EXPRESSIONS),
                "" if seen.valence is None else f"{seen.valence:.3f}",
            ]  # fmt: skip


def _iso(utc_ms: int) -> str:
    return datetime.fromtimestamp(utc_ms // 1000, UTC).isoformat().replace("+00:00", "Z")


def _readme(book: Book) -> str:
    lines = [
        gettext("Everything of the home log of %(code)s", code=book.person.code),
        gettext("Made on %(day)s.", day=languages.moment(book.now_ms)),
        "",
        gettext("everything.json: check-ins, activities, reminders, quiet hours, and what the box"),
        gettext("saw by the quarter of an hour. Another Mien box takes it over."),
        gettext("checkins.csv: the check-ins as a table."),
        gettext("hours.csv: what was seen, by the hour, in seconds. Hours in which the camera was"),
        gettext("off are not in it; minutes without a true time are in none of these files."),
        "",
        gettext("The file is not encrypted. It holds your notes."),
        gettext("A face is not a feeling: labels say what an expression looked like."),
    ]
    return "\r\n".join(lines) + "\r\n"
