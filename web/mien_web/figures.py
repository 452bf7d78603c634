"""Shares of time as the map shows them: rounded, with their sign and in whole sentences, in the
visitor's language."""

from functools import cache

from flask_babel import format_decimal, get_locale, gettext, ngettext
from msgspec import Struct

from mien import shares
from mien.cells import WHOLE, Topic
from mien.events import EXPRESSIONS
from mien.shares import UNKNOWN, Share
from mien_web import labels
from mien_web.languages import percent

LOOKS = (*EXPRESSIONS, "unknown")
"""What a cell of the map is called in its address and in its style."""
STEPS = (0.05, 0.10, 0.20)
"""Clear differences from here on are drawn darker."""
SHADES = 9


class Cell(Struct, frozen=True):
    """A figure of the map in words: `kind` says how it is drawn."""

    look: str
    kind: str
    value: str
    interval: str
    thin: bool
    clear: str


class Row(Struct, frozen=True):
    """A topic: what it is called, what it rests on, and its eight cells."""

    keyword: str
    name: str
    seen: int
    sessions: int
    cells: list[Cell]


def row(topic: Topic, name: str, difference: bool) -> Row:
    pairs = [pair for pair in topic.sessions if pair[0].seen]
    under = [each for each, _ in pairs]
    found = shares.differences(pairs) if difference else shares.shares(under)
    figure = _difference if difference else _share
    return Row(
        keyword=topic.keyword,
        name=name,
        seen=sum(each.seen for each in under),
        sessions=len(pairs),
        cells=[figure(place, share) for place, share in enumerate(found)],
    )


def _share(place: int, share: Share) -> Cell:
    small = share.value and not round(100 * share.value)
    text = f"<{percent(0.01)}" if small else percent(share.value)
    interval = f"{round(100 * share.low)}–{percent(share.high)}"
    shade = min(SHADES - 1, int(SHADES * share.value**0.5))
    return Cell(LOOKS[place], f"s{shade}", text, interval, share.thin, "")


def _difference(place: int, share: Share) -> Cell:
    low, high = _points(share.low), _points(share.high)
    kind, clear = "d0", ""
    if share.clear and not share.thin:
        step = 1 + sum(abs(share.value) >= limit for limit in STEPS)
        kind = f"{'more' if share.value > 0 else 'less'} d{step}"
        clear = gettext("clearly more") if share.value > 0 else gettext("clearly less")
    return Cell(LOOKS[place], kind, _points(share.value), f"{low} … {high}", share.thin, clear)


def _points(share: float) -> str:
    """Percentage points with their sign: `+12`, `−3.4`; a tenth matters beside nought."""
    tenths = round(1000 * share)
    sign = "+" if tenths > 0 else "−" if tenths else ""
    return sign + _numbers_of(str(get_locale()), abs(tenths))


@cache
def _numbers_of(locale: str, tenths: int) -> str:
    return str(format_decimal(tenths / 10, "0.0" if 0 < tenths < 100 else "0"))


def look(place: int) -> str:
    return labels.name(None if place == UNKNOWN else place)


def duration(seconds: int) -> str:
    """A length in words: `45 s`, `6 min 20 s`, `3 h 10 min`."""
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    if hours:
        said = gettext("%(hours)s h %(minutes)s min", hours=format_decimal(hours), minutes=minute)
    elif minutes:
        said = gettext("%(minutes)s min %(seconds)s s", minutes=minutes, seconds=second)
    else:
        said = gettext("%(seconds)s s", seconds=second)
    return str(said)


def sentences(topic: Topic, name: str, place: int) -> list[str]:
    """A figure of the map in whole sentences."""
    pairs = [pair for pair in topic.sessions if pair[0].seen]
    if not pairs:
        return [gettext("Nothing was seen here.")]
    share = shares.shares([under for under, _ in pairs])[place]
    figures = {
        "look": look(place),
        "topic": name,
        "share": percent(share.value),
        "interval": f"{round(100 * share.low)}–{percent(share.high)}",
        "time": duration(sum(under.seen for under, _ in pairs)),
    }
    if place == UNKNOWN:
        said = gettext("Under the topic “%(topic)s” it could not tell %(share)s of the time seen "
                       "(95 %% interval %(interval)s).", **figures)  # fmt: skip
        over = gettext("Over all that was seen it could not tell %(share)s of the time "
                       "(95 %% interval %(interval)s).", **figures)  # fmt: skip
    else:
        said = gettext("Under the topic “%(topic)s” the expression looked like %(look)s %(share)s "
                       "of the time seen (95 %% interval %(interval)s).", **figures)  # fmt: skip
        over = gettext("Over all that was seen the expression looked like %(look)s %(share)s of "
                       "the time (95 %% interval %(interval)s).", **figures)  # fmt: skip
    seen = ngettext("Seen for %(time)s in %(num)s session.",
                    "Seen for %(time)s in %(num)s sessions.", len(pairs), **figures)  # fmt: skip
    told = [over if topic.keyword == WHOLE else said, seen]
    if share.thin:
        told.append(gettext("That is too little for the figure to mean much."))
    elif topic.keyword != WHOLE and (apart := shares.differences(pairs)):
        told.append(_apart(apart[place]))
    return told


def _apart(difference: Share) -> str:
    points = _points(abs(difference.value)).lstrip("+")
    interval = f"{_points(difference.low)} … {_points(difference.high)}"
    if not difference.clear:
        said = gettext(
            "No clear difference from the rest of the same sessions (95 %% interval %(interval)s "
            "percentage points).",
            interval=interval,
        )
    elif difference.value > 0:
        said = gettext(
            "That is %(points)s percentage points more than in the rest of the same sessions "
            "(95 %% interval %(interval)s).",
            points=points,
            interval=interval,
        )
    else:
        said = gettext(
            "That is %(points)s percentage points less than in the rest of the same sessions "
            "(95 %% interval %(interval)s).",
            points=points,
            interval=interval,
        )
    return str(said)
