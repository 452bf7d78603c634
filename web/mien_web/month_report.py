"""The report of a month for the therapist, as a document: what goes in is chosen, and what is shown
before is what is printed."""

from collections import Counter
from datetime import date
from functools import partial
from typing import Any

from flask_babel import format_decimal, gettext, ngettext
from msgspec import Struct

from mien import checkins, dayfigures, moodlog, moodpatterns
from mien.checkins import Checkin, Daily
from mien.dayfigures import Figure
from mien.emotions import POSITIVE
from mien.events import EXPRESSIONS
from mien.moodlog import Seen
from mien_web import (
    almanac,
    checkin_list,
    desk,
    labels,
    languages,
    mood_words,
    pattern_words,
    pdf,
    seen,
)
from mien_web.almanac import Span
from mien_web.log import Book

PARTS = ("mood", "emotions", "activities", "seen", "notes")
USUAL = frozenset(PARTS) - {"notes"}
"""Notes go in only where that was ticked."""


class Month(Struct, frozen=True):
    """What the report is made from. `watched` is None where the box's log is another's."""

    said: list[Checkin]
    daily: dict[date, Daily]
    watched: dict[date, Seen] | None
    reports: list[checkins.Report]
    names: dict[str, str]


def names() -> dict[str, str]:
    """What may go in."""
    return {
        "mood": gettext("Mood by day"),
        "emotions": gettext("Emotions"),
        "activities": gettext("Activities"),
        "seen": gettext("Expressions seen, with minutes"),
        "notes": gettext("Notes, word for word"),
    }


def found(book: Book, span: Span) -> Month:
    who, since = book.person.id, book.since_ms

    def work(db: Any) -> Month:
        return Month(
            checkins.of_days(db, who, span.first, span.last),
            checkins.daily(db, who, span.first, span.last),
            None if since is None else moodlog.days(db, span.first, span.last, book.zone, since),
            checkins.reports(db, who, span.first, span.last),
            {one.id: one.text for one in checkins.activities(db, who, hidden=True)},
        )

    return desk.read(work)


def document(book: Book, span: Span, parts: frozenset[str]) -> pdf.Document:
    month = found(book, span)
    days = [day for day in span.days if day <= book.today]
    make = {
        "mood": partial(_mood, month, days),
        "emotions": partial(_emotions, month),
        "activities": partial(_activities, month),
        "seen": partial(_seen, month, days),
        "notes": partial(_notes, month, book),
    }
    sections = [make[part]() for part in PARTS if part in parts]
    count = len(month.said)
    lines = [
        f"{almanac.full(span.first)} – {almanac.full(min(span.last, book.today))}",
        str(ngettext("%(num)s check-in", "%(num)s check-ins", count)),
        gettext("Made by %(user)s on their own wish.", user=desk.user().name),
        gettext(
            "A face is not a feeling. Moods, emotions and activities are the person's own words; "
            "expressions are readings by a program that is often wrong. Figures in brackets are "
            "intervals that hold the truth about 95 times in 100; where there is too little, no "
            "figure stands."
        ),
    ]
    return pdf.Document(
        title=gettext("%(code)s: %(month)s", code=book.person.code, month=span.title),
        language=languages.language(),
        made=desk.now().iso.replace("Z", "+00:00"),
        lines=[str(line) for line in lines],
        sections=sections,
        foot=gettext("Mien – what was said, and what expressions looked like; not what was felt"),
        substituted=gettext("Letters that this machine cannot draw are shown as ? or □."),
    )


def _mood(month: Month, days: list[date]) -> pdf.Section:
    whole = moodpatterns.overall(month.reports)
    lines = [gettext("The bars go from 1, awful, to 5, great.")]
    lines.append(_line(gettext("The whole month"), whole.mood, "mood"))
    moods = Counter(one.day for one in month.said if one.mood is not None)
    bars = []
    for day in days:
        said = month.daily.get(day)
        if said is None or said.mood is None:
            bars.append(pdf.Bar(_day(day), None, gettext("no mood said")))
            continue
        value = str(format_decimal(said.mood, "0.0"))
        text = f"{value} · {pattern_words.count(moods[day.toordinal()])}"
        bars.append(pdf.Bar(_day(day), (said.mood - 1) / 4, text))
    return pdf.Section(gettext("Mood by day"), _texts(lines), None, bars)


def _emotions(month: Month) -> pdf.Section:
    told = [one for one in month.said if one.emotions is not None]
    times = Counter(name for one in told for name in one.emotions or ())
    whole = moodpatterns.overall(month.reports)
    lines = [
        ngettext(
            "Of %(num)s check-in on which emotions were said.",
            "Of %(num)s check-ins on which emotions were said.",
            len(told),
        ),
        _line(gettext("With a positive emotion"), whole.positive, "share"),
        _line(gettext("With a negative emotion"), whole.negative, "share"),
    ]
    bars = [
        pdf.Bar(
            f"{'+' if name in POSITIVE else '−'} {mood_words.emotion(name)}",
            times[name] / len(told),
            f"{times[name]}× · {languages.percent(times[name] / len(told))}",
        )
        for name in sorted(times, key=lambda name: -times[name])
    ]
    if not told:
        return pdf.Section(gettext("Emotions"), [gettext("No emotions were said this month.")])
    return pdf.Section(gettext("Emotions"), _texts(lines), None, bars)


def _activities(month: Month) -> pdf.Section:
    title, rows = gettext("Activities"), []
    for one in moodpatterns.by_activity(month.reports):
        apart = _figure(one.difference, "steps")
        rows.append([month.names.get(one.id, "?"), str(one.n), apart])
    if not rows:
        return pdf.Section(title, [gettext("No activities were said this month.")])
    lines = [
        gettext(
            "The difference is the mean mood on check-ins with the activity less that on those "
            "without it, in steps of the five; of many such comparisons some stand out by chance."
        )
    ]
    head = [gettext("Activity"), gettext("Check-ins"), gettext("Difference of mood")]
    return pdf.Section(title, _texts(lines), pdf.Table(_texts(head), rows, [40, 15, 35]))


def _seen(month: Month, days: list[date]) -> pdf.Section:
    title = gettext("What expressions looked like")
    if month.watched is None:
        return pdf.Section(title, [gettext("The box keeps the log of another person.")])
    watched = month.watched
    whole = seen.total(watched.values())
    read = {day.toordinal(): one for day, one in watched.items() if one.read}
    lines = [
        gettext(
            "Seen for %(seen)s on %(days)s days; an expression could be told for %(read)s.",
            seen=seen.duration(whole.seen),
            read=seen.duration(whole.read),
            days=sum(one.seen > 0 for one in watched.values()),
        )
    ]
    bars = []
    if seen.thin(whole, "month"):
        lines.append(gettext("That is too little to say anything of the month."))
    else:
        for name in EXPRESSIONS:
            figure = dayfigures.share({d: (s.read, s.expressions[name]) for d, s in read.items()})
            share = whole.share(name) or 0.0
            bars.append(pdf.Bar(str(labels.NAMES[name]), share, _figure(figure, "share")))
    head = [
        gettext("Day"),
        gettext("Seen"),
        gettext("Could be told"),
        gettext("Most frequent look"),
    ]
    rows = [
        [
            _day(day),
            seen.duration(watched[day].seen) if day in watched else gettext("not watched"),
            seen.duration(watched[day].read) if day in watched else "–",
            seen.top(watched[day], "day") if day in watched else "–",
        ]
        for day in days
    ]
    table = pdf.Table(_texts(head), [_texts(row) for row in rows], [25, 20, 20, 35])
    return pdf.Section(title, _texts(lines), table, bars)


def _notes(month: Month, book: Book) -> pdf.Section:
    told = [(one, checkin_list.moment(one, book.zone)) for one in month.said if one.note]
    title = gettext("Notes")
    if not told:
        return pdf.Section(title, [gettext("No notes were written this month.")])
    rows = [
        [
            f"{almanac.medium(at.date())}, {at:%H:%M}" if at else "–",
            mood_words.mood(one.mood),
            one.note,
        ]
        for one, at in told
    ]
    head = [gettext("When"), gettext("Mood"), gettext("Note")]
    return pdf.Section(title, [], pdf.Table(_texts(head), rows, [25, 12, 63]))


def _line(name: str, figure: Figure, scale: pattern_words.Scale) -> str:
    return f"{name}: {_figure(figure, scale)}"


def _figure(figure: Figure, scale: pattern_words.Scale) -> str:
    drawn = pattern_words.row("", figure, scale)
    return drawn.value + (f" ({drawn.interval})" if drawn.interval else "")


def _day(day: date) -> str:
    return f"{almanac.weekday(day)} {almanac.short(day)}"


def _texts(lines: list[Any]) -> list[str]:
    return [str(line) for line in lines]
