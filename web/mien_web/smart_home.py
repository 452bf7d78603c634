"""What the smart home may do with the box without a token, for the administrator; and how the line
to the broker is."""

from contextlib import suppress
from typing import Any

from flask import Blueprint, abort, flash, g, redirect, render_template, request, url_for
from flask_babel import gettext
from werkzeug.wrappers import Response

from mien import audit, orders, settings
from mien.control import ControlError
from mien.events import Part
from mien_web import desk, door, words

page = Blueprint("smart_home", __name__)
door.needs(page, "administrator")


def named() -> dict[str, tuple[str, str]]:
    """The commands that may be ticked: what each is called, and what it means."""
    return {
        "pause": (gettext("Pause"), gettext("Closes the camera. Harmless: nobody is read then.")),
        "resume": (
            gettext("Resume"),
            gettext(
                "Opens the camera again, where consent allows. Whoever is at the broker could then "
                "undo a pause that somebody in the room asked for."
            ),
        ),
        "snooze": (
            gettext("Remind me later"),
            gettext("Puts the reminders of check-ins off, for everybody at home."),
        ),
        "capture": (
            gettext("Capture"),
            gettext(
                "Keeps a picture of the face in the seat, in a session whose client consents to "
                "pictures, and only then."
            ),
        ),
    }


@page.get("/box/smart-home")
def show() -> str:
    config = desk.config().mqtt
    return render_template(
        "household/smart_home.html",
        commands=named(),
        ticked=desk.read(_ticked),
        in_use=config.enabled,
        found=config.discovery and desk.read(settings.setting) != "clinic",
        address=f"{config.host}:{config.port}",
        broker=_broker() if config.enabled else None,
        topics=f"mien/{desk.box() or '<box>'}",
        words=words,
    )


@page.post("/box/smart-home")
def change() -> Response:
    if g.login is None:
        abort(403, gettext("In the demo nothing can be changed here. Set up this box first."))
    wanted = [name for name in orders.TICKABLE if name in request.form.getlist("command")]
    now, by = desk.now(), desk.user().name

    def write(db: Any) -> None:
        before = _ticked(db)
        settings.put(db, orders.SETTING, wanted)
        audit.note(db, now.utc, by, "smart-home.changed", may=wanted, before=before)

    desk.write(write)
    flash(gettext("Saved."))
    return redirect(url_for("smart_home.show"), 303)


def _ticked(db: Any) -> list[str]:
    found = settings.get(db, orders.SETTING, list[str])
    return list(orders.DEFAULT) if found is None else found


def _broker() -> Part | None:
    """As the service sees it; None while that does not answer."""
    with suppress(ControlError):
        found = [part for part in desk.control().status().parts if part.name == "broker"]
        return found[0] if found else None
    return None
