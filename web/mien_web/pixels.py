"""The year in pixels: a small field for each day, for what was said, how the face looked or how
long it was seen; and the same in a table."""

from datetime import date
from functools import lru_cache
from typing import Literal

from flask import url_for
from flask_babel import format_decimal, get_locale, gettext, ngettext
from msgspec import Struct

from mien.checkins import Daily
from mien.moodlog import Seen
from mien_web import almanac, mood_words, seen
from mien_web.almanac import Span
from mien_web.languages import percent

Shown = Literal["said", "look", "top", "seen"]
SHOWN: tuple[Shown, ...] = ("said", "look", "top", "seen")


class Pixel(Struct, frozen=True, gc=False):
    """`mark`: the attributes that colour it; `title` tells it in words. A day to come has no
    `url`."""

    url: str
    mark: str
    title: str


class Row(Struct, frozen=True, gc=False):
    """A day in the table."""

    name: str
    url: str
    mood: str
    look: str
    seen: str


def shown() -> list[tuple[Shown, str, str]]:
    """What the pixels can show, the person's own word first: its name, and what it means."""
    return [
        ("said", gettext("You said"), gettext("The mood that you said, on average of the day.")),
        (
            "look",
            gettext("Pleasantness"),
            gettext("How pleasant the face looked, on average of what was read."),
        ),
        (
            "top",
            gettext("Top look"),
            gettext("Beside neutral, the expression that was read most often."),
        ),
        ("seen", gettext("Time seen"), gettext("How long somebody was seen in the seat.")),
    ]


def step(said: Daily | None) -> int | None:
    """The mean of a day's moods as one of the five steps."""
    return None if said is None or said.mood is None else int(said.mood + 0.5)


def months(
    span: Span, today: date, said: dict[date, Daily], watched: dict[date, Seen], show: str
) -> list[list[Pixel]]:
    """The twelve months of a year, each with its days."""
    address, names, locale = (
        url_for("log.day", day="*"),
        almanac.shorts(span.days),
        str(get_locale()),
    )
    found: list[list[Pixel]] = [[] for _ in range(12)]
    for day in span.days:
        url = address.replace("*", day.isoformat()) if day <= today else ""
        if show == "said":
            mark, words = _said(said.get(day), locale)
        else:
            mark, words = _seen(watched.get(day), show, locale)
        title = f"{names[day]}: {words}" if url else ""
        found[day.month - 1].append(Pixel(url, mark, title))
    return found


def rows(span: Span, today: date, said: dict[date, Daily], watched: dict[date, Seen]) -> list[Row]:
    """Every day of which there is something to tell."""
    address, names, locale = (
        url_for("log.day", day="*"),
        almanac.shorts(span.days),
        str(get_locale()),
    )
    return [
        Row(
            name=names[day],
            url=address.replace("*", day.isoformat()),
            mood=_said(said.get(day), locale)[1] if day in said else "–",
            look=seen.top(watched[day], "day") if day in watched else gettext("not watched"),
            seen=seen.duration(watched[day].seen, locale) if day in watched else "–",
        )
        for day in span.days
        if day <= today and (day in said or day in watched)
    ]


def sentences(said: dict[date, Daily]) -> list[str]:
    """What a person said over some days, in sentences."""
    count = sum(daily.count for daily in said.values())
    if not count:
        return []
    moods = [daily.mood for daily in said.values() if daily.mood is not None]
    days = ngettext("%(num)s day", "%(num)s days", len(said))
    found = [
        ngettext(
            "%(num)s check-in on %(days)s.", "%(num)s check-ins on %(days)s.", count, days=days
        )
    ]
    if moods:
        mean = sum(moods) / len(moods)
        found.append(
            gettext(
                "On average you said %(word)s (%(mean)s of 5), over %(days)s with a mood.",
                word=mood_words.mood(int(mean + 0.5)),
                mean=format_decimal(mean, "0.0"),
                days=ngettext("%(num)s day", "%(num)s days", len(moods)),
            )
        )
    answered = sum(daily.answered for daily in said.values())
    if answered:
        found.append(
            gettext(
                "Of %(answered)s check-ins with emotions, %(positive)s named a positive one and "
                "%(negative)s a negative one.",
                answered=answered,
                positive=sum(daily.positive for daily in said.values()),
                negative=sum(daily.negative for daily in said.values()),
            )
        )
    return found


def _said(daily: Daily | None, locale: str) -> tuple[str, str]:
    return _said_words(step(daily), daily.count, locale) if daily else _said_words(None, 0, locale)


@lru_cache(512)
def _said_words(mood: int | None, count: int, locale: str) -> tuple[str, str]:
    """What a day's check-ins are drawn as and called."""
    if not count:
        return "", gettext("nothing said")
    times = ngettext("%(num)s check-in", "%(num)s check-ins", count)
    if mood is None:
        return ' class="noted"', gettext("%(times)s without a mood", times=times)
    return f' data-mood="{mood}"', f"{mood_words.mood(mood)}, {times}"


def _seen(found: Seen | None, show: str, locale: str) -> tuple[str, str]:
    if found is None or not found.seen:
        return ' class="nobody"' if found else "", seen.top(found or seen.NOTHING, "day")
    time = seen.duration(found.seen if show == "seen" else found.read, locale)
    if show == "seen":
        return f' data-amount="{seen.amount(found.seen)}"', time
    most, look = seen.standing_out(found), seen.step(found.valence)
    if seen.thin(found, "day") or most is None or look is None:
        return ' class="thin"', _read_words("", time, locale)
    if show == "top":
        word = f"{seen.look(most, locale)}, {percent(found.share(most))}"
        return f' data-expression="{most}"', _read_words(word, time, locale)
    return f' data-mood="{look}"', _read_words(look, time, locale)


@lru_cache(4096)
def _read_words(look: str | int, time: str, locale: str) -> str:
    """What a face looked like, a number for how pleasantly, and how long it was read for."""
    word = seen.steps()[look] if isinstance(look, int) else look
    return str(
        gettext("%(look)s, read for %(time)s", look=word or gettext("too little to say"), time=time)
    )
