"""What check-ins and readings tell over weeks: by hour, weekday and activity, the face beside the
word, and what changed. Each figure with its interval, or "too little data"."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any, Literal

from babel.dates import get_day_names
from flask import Blueprint, render_template, request
from flask_babel import gettext
from msgspec import Struct

from mien import checkins, moodfaces, moodlog, moodpatterns
from mien.checkins import Report
from mien.moodfaces import Beside, Change
from mien.moodlog import Seen
from mien.moodpatterns import Group
from mien_web import desk, door, languages, pattern_words
from mien_web.log import book
from mien_web.pattern_words import Row, Scale

page = Blueprint("patterns", __name__)
door.needs(page, "home")

FACES = 100
"""So many check-ins, the newest, are laid beside what was seen."""
MONTH = timedelta(days=30)

Period = Literal["30", "90", "year", "all"]
Shown = Literal["mood", "positive", "negative"]


class Choice(Struct, frozen=True):
    """A period or a measure that can be chosen."""

    value: str
    label: str
    chosen: bool


@page.get("/patterns")
def show() -> str:
    opened, period = book(), _period()
    first = _first(period, opened.today)

    def work(db: Any) -> tuple[Any, ...]:
        who, since = opened.person.id, opened.since_ms
        every = checkins.reports(db, who)
        held = [r for r in every if first is None or (r.day or 0) >= first.toordinal()]
        names = {one.id: one.text for one in checkins.activities(db, who, hidden=True)}
        return every, held, names, _faces(db, held, since), _changes(db, every)

    every, held, names, beside, changes = desk.read(work)
    dated = [report for report in held if report.day is not None]
    # Where nobody said a mood – the published form has none – the positive share stands for it.
    measure = _shown(any(report.mood is not None for report in held))
    return render_template(
        "patterns/show.html",
        tab="patterns",
        book=opened,
        periods=_periods(period),
        measures=_measures(measure),
        period=period,
        measure=measure,
        n=len(held),
        days=len({report.day for report in dated}),
        undated=sum(report.day is None for report in every),
        overall=pattern_words.overall(moodpatterns.overall(dated)),
        hours=_rows(moodpatterns.by_hour(held), measure, pattern_words.hours),
        weekdays=_rows(moodpatterns.by_weekday(held), measure, _weekday),
        activities=pattern_words.activities(moodpatterns.by_activity(dated), names),
        beside=beside,
        sayings=[] if beside is None else pattern_words.sayings(beside),
        correlation=None if beside is None else pattern_words.correlation(beside.correlation),
        faces=FACES,
        changes=pattern_words.changes(changes),
        words=pattern_words,
        enough=moodlog.ENOUGH_S["hour"] // 60,
    )


# ── what was asked for ───────────────────────────────────────────────────────────────────────────


def _period() -> Period:
    match request.args.get("period"):
        case "30" | "year" | "all" as chosen:
            return chosen
        case _:
            return "90"


def _first(period: Period, today: date) -> date | None:
    days = {"30": 29, "90": 89, "year": 364}.get(period)
    return None if days is None else today - timedelta(days)


def _shown(moods: bool) -> Shown:
    match request.args.get("show"):
        case "mood" | "positive" | "negative" as chosen:
            return chosen
        case _:
            return "mood" if moods else "positive"


def _periods(chosen: Period) -> list[Choice]:
    names = {
        "30": gettext("30 days"),
        "90": gettext("90 days"),
        "year": gettext("One year"),
        "all": gettext("All"),
    }
    return [Choice(value, label, value == chosen) for value, label in names.items()]


def _measures(chosen: Shown) -> list[Choice]:
    names = {
        "mood": gettext("Mood"),
        "positive": gettext("Positive emotions"),
        "negative": gettext("Negative emotions"),
    }
    return [Choice(value, label, value == chosen) for value, label in names.items()]


def _rows(groups: Sequence[Group], measure: Shown, name: Any) -> list[Row]:
    scale: Scale = "mood" if measure == "mood" else "share"
    return [
        pattern_words.row(
            name(group),
            {"mood": group.mood, "positive": group.positive, "negative": group.negative}[measure],
            scale,
            pattern_words.stands_out(group) if measure != "negative" else "",
        )
        for group in groups
    ]


def _weekday(group: Group) -> str:
    names = get_day_names("wide", locale=languages.locale())
    return str(names[group.first - 1])


# ── what was seen ────────────────────────────────────────────────────────────────────────────────


def _faces(db: Any, held: Sequence[Report], since: int | None) -> Beside | None:
    """None where the box's log is not this person's."""
    if since is None:
        return None
    told = [r for r in held if r.utc is not None and r.mood is not None and r.utc >= since]
    pairs: list[tuple[Report, Seen]] = []
    for report in told[-FACES:]:
        at = report.utc or 0
        start = max(since, at - moodfaces.AROUND_MS)
        pairs.append((report, moodlog.between(db, start, at + moodfaces.AROUND_MS)))
    return moodfaces.beside(pairs, moodlog.ENOUGH_S["hour"])


def _changes(db: Any, every: Sequence[Report]) -> list[Change]:
    """The last thirty days against the thirty before."""
    opened = book()
    halves = []
    for end in (opened.today, opened.today - MONTH):
        start = end - MONTH + timedelta(days=1)
        reports = [r for r in every if start.toordinal() <= (r.day or 0) <= end.toordinal()]
        days = (
            {}
            if opened.since_ms is None
            else moodlog.days(db, start, end, opened.zone, opened.since_ms)
        )
        halves.append((reports, days))
    return moodfaces.changes(halves[0], halves[1], moodlog.ENOUGH_S["month"])
