"""The seat wizard: where the client sits, whose seat stays masked, and whether a face can be read
there. The camera is only aimed meanwhile: nobody's expression is read, and nothing is kept."""

import re
from typing import Any

import msgspec
from flask import (
    Blueprint,
    Response,
    abort,
    current_app,
    flash,
    redirect,
    render_template,
    request,
    url_for,
)
from flask_babel import gettext, lazy_gettext
from msgspec.structs import replace
from werkzeug.wrappers import Response as Answer

from mien import audit, settings
from mien.config import Polygon, Seat
from mien.control import Busy, ControlError, NoPicture
from mien.shape import drawn
from mien_web import clients, desk, door, live, sight

page = Blueprint("seat", __name__)
door.needs(page, "administrator", "therapist")

KEY = "seat"
"""Of the table `settings`; the daemon reads it and takes it before what the config file says."""
AIM_S = 15.0
"""The camera stays open this long after the page last asked for it."""
MOST_MASKED, MOST_CORNERS = 8, 24
LEAST_AREA = 0.005
"""Share of the picture; a smaller seat was drawn by mistake."""

STATES: dict[str, tuple[Any, Any]] = {
    "starting": (lazy_gettext("Looking …"), lazy_gettext("The first picture is on its way.")),
    "paused": (
        lazy_gettext("Paused – the camera is off"),
        lazy_gettext("Resume on the live view first, then come back here."),
    ),
    "session": (
        lazy_gettext("A session is running"),
        lazy_gettext("The camera cannot be aimed meanwhile. Stop the session first."),
    ),
    "no-picture": (
        lazy_gettext("No picture from the camera"),
        lazy_gettext("Check that it is plugged in. It is tried again by itself."),
    ),
    "busy": (
        lazy_gettext("Other screens are watching"),
        lazy_gettext("Close the page on one of them to see it here."),
    ),
    "lost": (
        lazy_gettext("The service does not answer; trying again"),
        lazy_gettext("The page goes on by itself once it is back. The seat can be saved then."),
    ),
}


@page.get("/seat")
def show() -> str:
    state = _state()
    limits = desk.config().limits
    return render_template(
        "seat/show.html",
        seat=present(),
        state=state,
        states=STATES,
        limits={
            "face": limits.min_face_px,
            "yaw": limits.max_yaw,
            "pitch": limits.max_pitch,
            "dark": limits.min_light,
            "bright": limits.max_light,
        },
        clinic=not clients.at_home(),
        most=MOST_MASKED,
        renew_ms=round(AIM_S / 3 * 1000),
    )


@page.post("/seat")
def save() -> Answer:
    seat = _checked(request.form.get("seat", ""))
    if seat.drawn is None:  # it was saved without a picture to see
        seat = replace(seat, drawn=present().drawn)
    else:  # the script tells the size alone
        width, height = map(int, seat.drawn.split("x"))
        seat = replace(seat, drawn=drawn(width, height, desk.config().camera))
    if not clients.at_home() and not seat.masked and request.form.get("alone") != "1":
        abort(
            400,
            gettext(
                "No seat is masked. Mask your own seat, or tick that nobody at work is ever in "
                "the picture."
            ),
        )

    def work(db: Any) -> None:
        settings.put(db, KEY, msgspec.to_builtins(seat))
        audit.note(
            db, desk.now().utc, desk.user().name, "seat.saved",
            client=seat.client is not None, masked=len(seat.masked), far=seat.far,
        )  # fmt: skip

    desk.write(work)
    clients.refresh()
    flash(gettext("The seat is saved. It counts from now on."))
    return redirect(url_for("seat.show"), 303)


@page.post("/seat/aim")
def aim() -> Response:
    """Open the camera for a while, or close it (`end`); the state of the page as JSON."""
    try:
        desk.control().aim(0.0 if request.form.get("end") == "1" else AIM_S)
    except ControlError:
        return _instead(_state())
    return _instead("starting")


@page.get("/seat/picture")
def picture() -> Response:
    """The newest frame with what was measured in it, as `live.picture` gives it."""
    viewer = request.args.get("viewer", "")
    after = request.args.get("after", 0, type=int)
    if not re.fullmatch("[0-9a-f]{16}", viewer):
        abort(400, gettext("The viewer must be named by 16 hexadecimal digits."))
    viewers: live.Viewers = current_app.extensions["mien.viewers"]
    with viewers.place(viewer) as admitted:
        if not admitted:
            return _instead("busy")
        try:
            shown = sight.preview(after, live.WAIT)
        except sight.InUse:
            return _instead("session")
        except Busy:
            return _instead("busy")
        except NoPicture:
            state = _state()
            return _instead("no-picture" if state == "starting" else state)
        except ControlError:
            return _instead("lost")
    if shown is None:
        state = _state()
        return _instead("no-picture" if state == "starting" else state)
    headers = {"Mien-Frame": str(shown.frame), "Mien-Live": shown.live.decode("ascii")}
    return Response(shown.jpeg, mimetype="image/jpeg", headers=headers)


def present() -> Seat:
    """The seat as it is: what was saved here, else what the config file says."""
    return desk.read(lambda db: settings.get(db, KEY, Seat)) or desk.config().seat


@page.app_template_global()
def seat_known() -> bool:
    """Whether anybody has said where people sit, and whose seat is masked."""
    saved = desk.read(lambda db: settings.get(db, KEY, Seat))
    return saved is not None or desk.config().seat != Seat()


def _state() -> str:
    """Why the camera cannot be aimed; `starting` when it can."""
    try:
        health = desk.control().status()
    except ControlError:
        return "lost"
    if health.paused:
        return "paused"
    return "session" if health.mandate == "session" else "starting"


def _checked(text: str) -> Seat:
    """The seat as the page's script sent it; 400 with a sentence where it cannot be one."""
    try:
        seat = msgspec.json.decode(text, type=Seat)
    except msgspec.MsgspecError:
        abort(
            400,
            gettext(
                "The seat could not be read: every corner must lie in the picture, and a seat has "
                "at least three. Load the page again and draw it anew."
            ),
        )
    if seat.drawn is not None and not re.fullmatch("[1-9][0-9]{0,4}x[1-9][0-9]{0,4}", seat.drawn):
        abort(400, gettext("The size of the picture could not be read. Load the page again."))
    polygons = [*seat.masked, *([seat.client] if seat.client is not None else [])]
    if len(seat.masked) > MOST_MASKED or any(len(one) > MOST_CORNERS for one in polygons):
        abort(
            400,
            gettext(
                "Up to %(seats)s seats can be masked, each with up to %(corners)s corners. Remove "
                "what is too much.",
                seats=MOST_MASKED,
                corners=MOST_CORNERS,
            ),
        )
    if any(_area(one) < LEAST_AREA for one in polygons):
        abort(
            400,
            gettext("One of the seats is too small to hold a face. Drag its corners apart."),
        )
    return seat


def _area(polygon: Polygon) -> float:
    """Share of the picture that a polygon covers, by the shoelace formula."""
    ahead = [*polygon[1:], polygon[0]]
    return abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(polygon, ahead, strict=True))) / 2


def _instead(state: str) -> Response:
    title, sentence = STATES[state]
    body = {"state": state, "title": str(title), "sentence": str(sentence)}
    return Response(msgspec.json.encode(body), mimetype="application/json")
