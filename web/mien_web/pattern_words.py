"""Figures of the patterns as rows that are drawn and read at once: the value, its interval, what it
rests on, and whether it stands out, in the visitor's language."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from flask_babel import format_decimal, gettext, ngettext
from msgspec import Struct

from mien.dayfigures import Figure
from mien.events import EXPRESSIONS
from mien.moodfaces import Beside, Change, Look, Said
from mien.moodpatterns import Activity, Group, Overall
from mien_web import labels, mood_words, seen
from mien_web.languages import percent

Scale = Literal["mood", "share", "steps", "points", "correlation"]
ENDS: dict[Scale, tuple[float, float]] = {
    "mood": (1, 5), "share": (0, 1), "steps": (-2, 2), "points": (-1, 1), "correlation": (-1, 1),
}  # fmt: skip
"""What the drawing of a figure reaches from and to."""


class Row(Struct, frozen=True):
    """A figure under its name. `at`, `low`, `high` in percent of the drawing's width; no `at`: too
    little data. `note` is what else there is to say of it, `clear` whether that is sure."""

    name: str
    value: str
    interval: str
    rests: str
    at: float | None = None
    low: float = 0.0
    high: float = 0.0
    note: str = ""
    clear: bool = False


class Doing(Struct, frozen=True):
    """An activity: the difference of mood, and the sentences about emotions."""

    row: Row
    mood: str
    feelings: list[str]


class Told(Struct, frozen=True):
    """One line of what changed."""

    name: str
    now: str
    before: str
    row: Row


def row(name: str, figure: Figure, scale: Scale, note: str = "", rests: str = "") -> Row:
    rests = rests or count(figure.n)
    if figure.value is None:
        return Row(name, gettext("too little data"), "", rests)
    low, high = ENDS[scale]

    def place(value: float) -> float:
        return round(100 * min(1.0, max(0.0, (value - low) / (high - low))), 1)

    return Row(
        name, said(figure.value, scale), interval(figure, scale), rests, place(figure.value),
        place(figure.low), place(figure.high), note, bool(note),
    )  # fmt: skip


def said(value: float, scale: Scale) -> str:
    """A value alone: `3.8`, `62 %`, `+0.4`, `−12`."""
    if scale == "mood":
        return str(format_decimal(value, "0.0"))
    if scale == "share":
        return percent(value)
    if scale == "points":
        return signed(100 * value, "0")
    return signed(value, "0.0" if scale == "steps" else "0.00")


def signed(value: float, form: str) -> str:
    text = str(format_decimal(abs(value), form))
    if not any(c in "123456789" for c in text):
        return text
    return ("+" if value > 0 else "−") + text


def interval(figure: Figure, scale: Scale) -> str:
    """`3.4–4.2`, `55–70 %`; of differences `−0.1 … +0.6`."""
    low, high = said(figure.low, scale), said(figure.high, scale)
    if scale == "points" and max(abs(figure.low), abs(figure.high)) < 0.02:
        low, high = (signed(100 * end, "0.0") for end in (figure.low, figure.high))
    if scale == "share":
        return f"{format_decimal(100 * figure.low, '0')}–{high}"
    return f"{low}–{high}" if scale == "mood" else f"{low} … {high}"


def count(n: int) -> str:
    return str(ngettext("%(num)s check-in", "%(num)s check-ins", n))


# ── check-ins ────────────────────────────────────────────────────────────────────────────────────


def overall(told: Overall) -> list[Row]:
    rows = [
        row(gettext("Mood, 1 awful – 5 great"), told.mood, "mood"),
        row(gettext("With a positive emotion"), told.positive, "share"),
        row(gettext("With a negative emotion"), told.negative, "share"),
    ]
    ratio = told.ratio
    name = gettext("Positive for each negative one")
    if ratio.value is None:
        return [*rows, Row(name, gettext("too little data"), "", count(told.positive.n))]
    value, low, high = (str(format_decimal(x, "0.0")) for x in (ratio.value, ratio.low, ratio.high))
    return [*rows, Row(name, value, f"{low}–{high}", count(told.positive.n))]


def hours(group: Group) -> str:
    """`8:00–9:00`: from the first minute up to the end of the last hour."""
    return f"{group.first}:00–{group.last + 1}:00"


def stands_out(group: Group) -> str:
    value = group.difference.value
    if not group.clear or value is None:
        return ""
    return str(gettext("clearly higher than at other times")) if value > 0 else gettext(
        "clearly lower than at other times"
    )  # fmt: skip


def activities(found: Sequence[Activity], names: Mapping[str, str]) -> list[Doing]:
    told = []
    for one in found:
        note = ""
        if one.clear and one.difference.value is not None:
            better = one.difference.value > 0
            note = gettext("clearly better with it") if better else gettext(
                "clearly worse with it"
            )  # fmt: skip
        mood = said(one.mood.value, "mood") if one.mood.value is not None else "–"
        told.append(
            Doing(
                row(names.get(one.id, "?"), one.difference, "steps", note, count(one.n)),
                mood,
                [_feeling(feeling) for feeling in one.feelings[:4]],
            )
        )
    return told


def _feeling(feeling: Any) -> str:
    rest = feeling.share.value - feeling.difference.value
    return str(
        gettext(
            "%(emotion)s in %(share)s of them, otherwise in %(rest)s "
            "(difference %(interval)s points)",
            emotion=mood_words.emotion(feeling.emotion),
            share=percent(feeling.share.value),
            rest=percent(rest),
            interval=interval(feeling.difference, "points"),
        )
    )


# ── faces ────────────────────────────────────────────────────────────────────────────────────────


def sayings(beside: Beside) -> list[str]:
    """Sentences such as: on 6 of 14 check-ins that said “good” the expression looked mostly
    neutral."""
    names: dict[Said, str] = {
        "good": gettext("“good” or “great”"),
        "so-so": gettext("“so-so”"),
        "bad": gettext("“bad” or “awful”"),
    }
    told = []
    for saying in beside.sayings:
        for look, times in saying.looks.items():
            told.append(
                ngettext(
                    "On %(num)s of %(all)s check-ins on which you said %(said)s, the expression "
                    "looked %(look)s.",
                    "On %(num)s of %(all)s check-ins on which you said %(said)s, the expression "
                    "looked %(look)s.",
                    times, all=saying.n, said=names[saying.said], look=_look(look),
                )
            )  # fmt: skip
    return told


def _look(look: Look) -> str:
    if look == "mixed":
        return str(gettext("now like this, now like that"))
    return str(gettext("mostly like %(expression)s", expression=labels.NAMES[look]))


def correlation(figure: Figure) -> Row:
    return row(gettext("Mood said and pleasantness of the look go together"), figure, "correlation")


def changes(found: Sequence[Change]) -> list[Told]:
    """What changed since last month, with "no clear change" where chance may have done it."""
    told = []
    for one in found:
        scale: Scale = "mood" if one.name == "mood" else "share"
        apart: Scale = "steps" if one.name == "mood" else "points"
        if one.name == "minutes":
            now, before = _minutes(one.now), _minutes(one.before)
            drawn = _minutes_apart(one)
        else:
            now, before = (
                "–" if figure.value is None else f"{said(figure.value, scale)}"
                for figure in (one.now, one.before)
            )
            drawn = row("", one.difference, apart, rests=_rests(one))
        note = _verdict(one)
        told.append(
            Told(
                _change_name(one.name), now, before,
                Row(drawn.name, drawn.value, drawn.interval, drawn.rests, drawn.at, drawn.low,
                    drawn.high, note, one.clear),
            )
        )  # fmt: skip
    return told


def _verdict(one: Change) -> str:
    if one.difference.value is None:
        return ""
    if one.clear:
        return str(gettext("clear change"))
    if one.difference.apart:
        return str(gettext("may be chance: one of many comparisons"))
    return str(gettext("no clear change"))


def _minutes(figure: Figure) -> str:
    return "–" if figure.value is None else seen.duration(round(60 * figure.value))


def _minutes_apart(one: Change) -> Row:
    figure = one.difference
    if figure.value is None:
        return Row("", gettext("too little data"), "", _rests(one))
    value, low, high = (signed(x, "0") for x in (figure.value, figure.low, figure.high))
    return Row("", gettext("%(n)s min", n=value), f"{low} … {high}", _rests(one))


def _rests(one: Change) -> str:
    """What both months rest on."""
    if one.name in EXPRESSIONS:
        return str(gettext(
            "%(now)s and %(before)s read",
            now=seen.duration(one.now.n), before=seen.duration(one.before.n),
        ))  # fmt: skip
    if one.name == "minutes":
        return str(gettext("%(now)s and %(before)s days", now=one.now.days, before=one.before.days))
    return str(gettext("%(now)s and %(before)s check-ins", now=one.now.n, before=one.before.n))


def _change_name(name: str) -> str:
    names = {
        "mood": gettext("Mood"),
        "positive": gettext("With a positive emotion"),
        "negative": gettext("With a negative emotion"),
        "minutes": gettext("Seen a day"),
    }
    if name in names:
        return str(names[name])
    look = next(n for n in EXPRESSIONS if n == name)
    return str(gettext("Looks like %(expression)s", expression=labels.NAMES[look]))
