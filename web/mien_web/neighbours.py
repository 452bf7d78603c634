"""How the other boxes at this box's broker are, for the administrator of several. What they say is
another machine's word: it is shown as text, and nothing is done because of it."""

from datetime import UTC, datetime

from flask import Blueprint, render_template
from flask_babel import gettext, ngettext
from msgspec import Struct

from mien import __version__
from mien.control import ControlError
from mien.events import Neighbour, Neighbourhood, Part
from mien_web import desk, door, parts, words
from mien_web.languages import moment

page = Blueprint("neighbours", __name__)
door.needs(page, "administrator")


class Shown(Struct, frozen=True):
    """A box in words."""

    title: str
    id: str
    """What it is called at the broker; empty where that is its title."""
    tone: str
    """`ok`, `degraded`, `failed`, or `quiet` where it is only not known."""
    how: str
    advice: str
    parts: list[Part]
    """Those that are not ok."""
    camera: str
    version: str
    said: str
    """When it spoke last by its own clock; empty while it is heard."""


class View(Struct, frozen=True):
    """What the page says now."""

    problem: str
    """Why less is known than should be; else empty."""
    on: bool
    boxes: list[Shown]
    summary: str
    ignored: int


@page.get("/box/neighbours")
def show() -> str:
    mqtt = desk.config().mqtt
    return render_template(
        "household/neighbours.html",
        view=view(),
        in_use=mqtt.enabled,
        address=f"{mqtt.host}:{mqtt.port}",
        parts=parts,
        words=words,
    )


@page.get("/box/neighbours/list")
def boxes() -> str:
    """The boxes alone, as a piece of the page, which asks for it by itself."""
    return render_template("household/neighbours_list.html", view=view(), parts=parts, words=words)


def view() -> View:
    """As the service knows it."""
    try:
        known = desk.control().neighbours()
    except ControlError as error:
        listens = desk.config().mqtt.neighbours
        return View(words.sentence(error), listens, [], "", 0)
    shown = sorted(map(in_words, known.boxes), key=_order)
    return View(_problem(known), known.on, shown, _summary(shown), known.ignored)


def in_words(box: Neighbour) -> Shown:
    """How a box is, with what to do."""
    bad = [part for part in box.parts if part.status != "ok"]
    heard = box.state == "heard"
    tone, how, advice = _how(box)
    return Shown(
        title=box.room or box.box,
        id=box.box if box.room else "",
        tone=tone,
        how=how,
        advice=advice,
        parts=bad,
        camera=_camera(box) if heard else gettext("Camera: not known"),
        version=_version(box.version),
        said="" if heard else _own_clock(box.said),
    )


def _how(box: Neighbour) -> tuple[str, str, str]:
    """Tone, words and advice."""
    time = _length(box.unheard_s, box.witnessed)
    if box.state == "heard":
        return box.status, words.attention(box.parts), ""
    if box.state == "offline":
        said = (
            gettext("Off for %(time)s", time=time)
            if box.witnessed
            else gettext("Off for longer than this box has listened: %(time)s", time=time)
        )
        return "failed", said, gettext("It was switched off, or its line to the broker broke.")
    if box.state == "silent":
        said = (
            gettext("Not heard for %(time)s", time=time)
            if box.witnessed
            else gettext("Not heard since this box listens: %(time)s", time=time)
        )
        return "failed", said, gettext("See whether it has power and reaches the network.")
    if box.witnessed:
        said = gettext("Not heard for %(time)s", time=time)
        return "quiet", said, gettext("This box waits for it again.")
    return "quiet", gettext("Waiting for its word"), gettext("It speaks once a minute.")


def _length(seconds: float, witnessed: bool) -> str:
    """How long, in minutes; and since when, where this box was there and knows the time."""
    minutes = int(seconds // 60)
    hours, rest = divmod(minutes, 60)
    if hours:
        length = gettext("%(hours)s h %(minutes)s min", hours=hours, minutes=f"{rest:02}")
    elif minutes:
        length = gettext("%(minutes)s min", minutes=minutes)
    else:
        length = gettext("less than a minute")
    now = desk.now()
    if not (witnessed and now.clock_ok):
        return str(length)
    since = moment(round((now.utc - seconds) * 1000))
    return str(gettext("%(length)s (since %(moment)s)", length=length, moment=since))


def _camera(box: Neighbour) -> str:
    if box.paused:
        return str(gettext("Paused: its camera is off"))
    if not box.open:
        return str(gettext("Camera closed"))
    works = all(part.status == "ok" for part in box.parts if part.name == "camera")
    return str(gettext("Camera open") if works else words.STATES["no-picture"].title)


def _version(said: str) -> str:
    if said == __version__:
        return str(gettext("Version %(version)s", version=said))
    return str(gettext("Version %(version)s, here %(own)s", version=said, own=__version__))


def _own_clock(said: str) -> str:
    """A time of ISO 8601 as people write it; what is none is left out."""
    try:
        at = datetime.fromisoformat(said)
        return moment(round(at.astimezone(UTC).timestamp() * 1000)) if at.tzinfo else ""
    except (ValueError, OverflowError):
        return ""


def _problem(known: Neighbourhood) -> str:
    if not known.on or known.connected:
        return ""
    return str(
        gettext(
            "This box does not hear the others now. What stands here is what was known before; "
            "see Smart home for why."
        )
    )


def _summary(shown: list[Shown]) -> str:
    if not shown:
        return ""
    boxes = ngettext("%(num)s other box", "%(num)s other boxes", len(shown))
    count = sum(box.tone in ("degraded", "failed") for box in shown)
    if count:
        need = ngettext("%(num)s needs attention", "%(num)s need attention", count)
    elif any(box.tone == "quiet" for box in shown):
        need = gettext("not all heard yet")
    else:
        need = ngettext("it is well", "all are well", len(shown))
    return f"{boxes}: {need}"


def _order(box: Shown) -> tuple[int, str]:
    """Who needs somebody comes first."""
    return ("failed", "degraded", "quiet", "ok").index(box.tone), box.title.casefold()
