"""The log of a home by day, week, month and year: what the person said, and what was seen."""

from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint, abort, g, redirect, render_template, request, url_for
from flask_babel import gettext
from msgspec import Struct
from werkzeug.wrappers import Response as Answer

from mien import checkins, emotions, moodlog, zone
from mien.checkins import Checkin, Daily
from mien.clients import Client
from mien.moodlog import Seen, Undated
from mien_web import (
    almanac,
    checkin_list,
    desk,
    door,
    languages,
    log_state,
    mood_words,
    person,
    pixels,
    seen,
)
from mien_web.almanac import ENDPOINTS, Kind, Span

page = Blueprint("log", __name__)
door.needs(page, "home")


MARK = 7.0
"""Percent of the width of a phone's picture that a check-in's mark takes."""


class Book(Struct, frozen=True):
    """Whose log is open. `since_ms`: from when on the box's log is this person's, None where it is
    another's or nobody's."""

    person: Client
    zone: ZoneInfo
    since_ms: int | None
    now_ms: int
    today: date


class Day(Struct, frozen=True):
    """A day of a week or a month: None where nothing was said, or the camera was off."""

    date: date
    said: Daily | None
    seen: Seen | None
    ahead: bool

    @property
    def mood(self) -> int | None:
        return pixels.step(self.said)


def book() -> Book:
    """Of the person whose log is open, looked up once a request."""
    if "book" not in g:
        who, where, now = person.current(), languages.zone(), round(desk.now().utc * 1000)
        since = desk.read(lambda db: moodlog.since(db, who.id))
        g.book = Book(who, where, since, now, zone.local(now, where).date())
    opened: Book = g.book
    return opened


# ── the pages ────────────────────────────────────────────────────────────────────────────────────


@page.get("/log")
def today() -> str:
    return _day(almanac.around("day", book().today))


@page.get("/log/day/<day>")
def day(day: str) -> str:
    return _day(_span("day", day))


@page.get("/log/week")
def this_week() -> Answer:
    return _to(almanac.around("week", book().today))


@page.get("/log/week/<day>")
def week(day: str) -> str:
    return _days(_span("week", day))


@page.get("/log/month")
def this_month() -> Answer:
    return _to(almanac.around("month", book().today))


@page.get("/log/month/<month>")
def month(month: str) -> str:
    return _days(_span("month", month))


@page.get("/log/year")
def this_year() -> Answer:
    return _to(almanac.around("year", book().today))


@page.get("/log/year/<year>")
def year(year: str) -> str:
    span, opened = _span("year", year), book()
    said, watched = _found(span)
    asked = request.args.get("show", "")
    show = asked if asked in pixels.SHOWN else "said" if said or not watched else "look"
    if opened.since_ms is None:
        show = "said"  # there is nothing else that this person may see
    return _page(
        "year",
        span,
        watched,
        said=pixels.sentences(said),
        show=show,
        shown=pixels.shown(),
        months=pixels.months(span, opened.today, said, watched, show),
        rows=pixels.rows(span, opened.today, said, watched),
        names=almanac.month_names("abbreviated"),
        narrow=almanac.month_names("narrow"),
    )


@page.get("/log/jump")
def jump() -> Answer:
    """To the page of a date that was chosen; which kind of page says `to`."""
    wanted = request.args.get("to")
    kind: Kind = next((kind for kind in ENDPOINTS if kind == wanted), "day")
    said = request.args.get("date", "")
    return _to(_span(kind, said) if said else almanac.around(kind, book().today))


# ── what they have in common ─────────────────────────────────────────────────────────────────────


def _day(span: Span) -> str:
    opened = book()

    def work(db: Any) -> tuple[list[Checkin], list[moodlog.Hour]]:
        since = opened.since_ms
        return (
            checkins.of_days(db, opened.person.id, span.first, span.last),
            [] if since is None else moodlog.hours(db, span.first, opened.zone, since),
        )

    said, hours = desk.read(work)
    start, end = zone.bounds(span.first, span.last, opened.zone)
    whole = seen.total(hour.seen for hour in hours)
    return _page(
        "day",
        span,
        {span.first: whole} if whole.seconds else {},
        said=[(one, checkin_list.moment(one, opened.zone)) for one in said],
        columns=seen.columns(hours, opened.now_ms),
        hours=hours,
        back=_clocks(hours),
        marks=(marks := _marks(said, start, end)),
        top=28 + 23 * max((lane for _, lane, _ in marks), default=0),
    )


def _marks(said: list[Checkin], start: int, end: int) -> list[tuple[float, int, Checkin]]:
    """Where check-ins stand above the picture of the day: percent from the left, and the lane, for
    those that lie close together."""
    found: list[tuple[float, int, Checkin]] = []
    ends: list[float] = []
    for one in said:
        if one.utc is not None and start <= one.utc < end:
            left = round(100 * (one.utc - start) / (end - start), 2)
            lane = next((n for n, until in enumerate(ends) if left >= until), len(ends))
            ends[lane : lane + 1] = [left + MARK]
            found.append((left, lane, one))
    return found


def _days(span: Span) -> str:
    """A week or a month."""
    said, watched = _found(span)
    days = [Day(day, said.get(day), watched.get(day), day > book().today) for day in span.days]
    fullest = max((found.seen for found in watched.values()), default=0)
    return _page(span.kind, span, watched, said=pixels.sentences(said), days=days, fullest=fullest)


def _found(span: Span) -> tuple[dict[date, Daily], dict[date, Seen]]:
    """What was said and what was seen on the days of a span."""
    opened = book()

    def work(db: Any) -> tuple[dict[date, Daily], dict[date, Seen]]:
        said = checkins.daily(db, opened.person.id, span.first, span.last)
        if opened.since_ms is None:
            return said, {}
        return said, moodlog.days(db, span.first, span.last, opened.zone, opened.since_ms)

    return desk.read(work)


def _page(name: str, span: Span, watched: dict[date, Seen], **more: Any) -> str:
    opened = book()
    whole = seen.total(watched.values())
    scale: seen.Scale = "month" if span.kind == "year" else span.kind
    later = span.after
    return render_template(
        f"log/{name}.html",
        tab=name,
        span=span,
        earlier=span.before,
        later=later if later and later.first <= opened.today else None,
        current=span.first <= opened.today <= span.last,
        link=link,
        book=opened,
        whole=whole,
        scale=scale,
        whose=log_state.whose(opened.person) if opened.since_ms is None else None,
        undated=_undated(span),
        state=log_state.state(opened.person) if not whole.seen else None,
        watched_days=sum(found.seen > 0 for found in watched.values()),
        almanac=almanac,
        figures=seen,
        mood_words=mood_words,
        POSITIVE=emotions.POSITIVE,
        **more,
    )


def _undated(span: Span) -> list[Undated]:
    """What was seen without knowing the time, where it may have been within the span."""
    opened = book()
    since = opened.since_ms
    if since is None:
        return []
    start, end = zone.bounds(span.first, span.last, opened.zone)
    return [
        one
        for one in desk.read(lambda db: moodlog.undated(db, since))
        if (one.after_ms is None or one.after_ms < end)
        and (one.before_ms if one.before_ms is not None else opened.now_ms) >= start
    ]


def _clocks(hours: list[moodlog.Hour]) -> str:
    """What the day's length says of the clocks: they were put back or forward, or neither."""
    again = next((hour.hour for hour in hours if hour.again), None)
    if again is not None:
        said = gettext(
            "The clocks were put back on this day: %(hour)s:00 to %(next)s:00 comes twice.",
            hour=again,
            next=again + 1,
        )
        return str(said)
    if sum(hour.length_ms for hour in hours) < 24 * 3_600_000 and hours:
        return str(gettext("The clocks were put forward on this day: it is shorter."))
    return ""


def link(span: Span) -> str:
    """The address of a span's page; from year to year the pixels show the same."""
    endpoint, name = ENDPOINTS[span.kind]
    values: dict[str, Any] = {name: span.value}
    if span.kind == "year" and request.args.get("show") in pixels.SHOWN:
        values["show"] = request.args["show"]
    return url_for(endpoint, **values)


def _to(span: Span) -> Answer:
    return redirect(link(span))


def _span(kind: Kind, said: str) -> Span:
    """Of an address; one that names no date ends the request with a sentence."""
    found = almanac.parsed(said)
    if found is None:
        abort(
            404,
            gettext(
                "There is no such date. Write it like %(date)s, from %(first)s to %(last)s.",
                date=book().today.isoformat(), first=almanac.EARLIEST, last=almanac.LATEST,
            ),
        )  # fmt: skip
    return almanac.around(kind, found)


@page.app_context_processor
def _persons() -> dict[str, object]:
    return {"person_current": person.current, "person_everybody": person.everybody}
