"""The live page: what the camera sees now, what it looks like, how the box is, and the pause."""

import json
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

import msgspec
from flask import (
    Blueprint,
    Response,
    abort,
    current_app,
    redirect,
    render_template,
    request,
    url_for,
)
from flask_babel import gettext
from werkzeug.wrappers import Response as Answer

from mien.clock import Clock
from mien.control import Busy, ControlError, NoPicture, Picture
from mien.events import EXPRESSIONS, Health, Live
from mien_web import desk, door, labels, parts, sight, words

page = Blueprint("live", __name__)
door.needs(page, but={"live.about"})

WAIT = 5.0
"""Seconds that a browser's question for the next picture may stay open."""
GRACE = 3.0
"""Seconds after its last answer in which a viewer keeps its place."""
FIRST_LOOK = 0.15
"""Seconds that the first page may wait for a frame, so that it arrives already filled in."""


class Viewers:
    """The browser tabs that watch; a newcomer beyond the cap never pushes one out."""

    def __init__(self, most: int, clock: Clock) -> None:
        self._most = most
        self._clock = clock
        self._until: dict[str, float] = {}
        self._lock = Lock()

    @contextmanager
    def place(self, viewer: str) -> Iterator[bool]:
        """Whether this viewer may watch; its place is kept meanwhile, and `GRACE` afterwards."""
        now = self._clock.monotonic()
        with self._lock:
            self._until = {name: until for name, until in self._until.items() if until > now}
            admitted = viewer in self._until or len(self._until) < self._most
            if admitted:
                self._until[viewer] = math.inf
        try:
            yield admitted
        finally:
            if admitted:
                with self._lock:
                    self._until[viewer] = self._clock.monotonic() + GRACE


@page.get("/")
def show() -> str:
    health = ask_health()
    state, said, live = first_look(health)
    return render_template(
        "live.html",
        state=state,
        said=said,
        live=live,
        health=health,
        expressions=EXPRESSIONS,
        names=labels.NAMES,
        parts=parts,
        words=words,
        room=desk.config().box.room,
    )


def first_look(health: Health) -> tuple[str, words.Said, Live | None]:
    """The state of the page before its script has asked for anything."""
    state = "paused" if health.paused else "starting"
    try:
        picture = None if health.paused else sight.preview(0, FIRST_LOOK)
    except sight.InUse:
        return "in-use", words.STATES["in-use"], None
    except NoPicture as error:
        state = _without_picture(health)
        return state, words.Said(words.STATES[state].title, words.sentence(error)), None
    except Busy:
        state, picture = "busy", None
    except ControlError:
        state, picture = "lost", None
    if picture is None:
        return state, words.STATES[state], None
    live = msgspec.json.decode(picture.live, type=Live)
    return "live", words.headline(live), live


@page.get("/live/picture")
def picture() -> Response:
    """The newest frame and, in the header `Mien-Live`, what was read in it; waits for it. Or, as
    JSON, the state of the page in which there is none, and why."""
    viewer = request.args.get("viewer", "")
    after = request.args.get("after", 0, type=int)
    if not re.fullmatch("[0-9a-f]{16}", viewer):
        abort(400, gettext("The viewer must be named by 16 hexadecimal digits."))
    viewers: Viewers = current_app.extensions["mien.viewers"]
    with viewers.place(viewer) as admitted:
        if not admitted:
            return _instead("busy")
        try:
            shown = sight.preview(after, WAIT)
            if shown is None and desk.control().status().paused:
                return _instead("paused")
        except sight.InUse:
            return _instead("in-use")
        except Busy:
            return _instead("busy")
        except NoPicture as error:
            health = ask_health()
            if health.paused:
                return _instead("paused")
            return _instead(_without_picture(health), words.sentence(error))
        except ControlError:
            return _instead("lost")
        return (
            _picture(shown) if shown else _instead("no-picture", words.sentence(words.NOTHING_NEW))
        )


@page.get("/live/health")
def health() -> str:
    """How the box is, as a piece of the page."""
    return render_template("health.html", health=ask_health(), parts=parts, words=words)


@page.post("/live/<any(pause, resume):wish>")
def switch(wish: str) -> Answer:
    try:
        desk.control().pause() if wish == "pause" else desk.control().resume()
    except ControlError as error:
        abort(502, words.sentence(error))
    return redirect(url_for("live.show"), 303)


@page.get("/about")
def about() -> str:
    return render_template("about.html", config=desk.config())


def ask_health() -> Health:
    try:
        return desk.control().status()
    except ControlError as error:
        return words.silent(str(error))


def _without_picture(health: Health) -> str:
    """Shut because nobody may be read, or a camera that should give a picture and does not."""
    return "no-picture" if health.mandate or health.status == "failed" else "closed"


def _picture(shown: Picture) -> Response:
    live = json.loads(shown.live)
    if live.get("note"):
        live["note"] = parts.say(live["note"])
    headers = {"Mien-Frame": str(shown.frame), "Mien-Live": json.dumps(live)}  # in ASCII
    return Response(shown.jpeg, mimetype="image/jpeg", headers=headers)


def _instead(state: str, sentence: str = "") -> Response:
    said = sentence or str(words.STATES[state].advice)
    body = msgspec.json.encode({"state": state, "sentence": said})
    return Response(body, mimetype="application/json")
