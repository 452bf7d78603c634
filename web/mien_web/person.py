"""Whose log the pages of a home show: one of the persons that the signed-in user takes care of."""

import uuid
from typing import Any

from flask import Blueprint, abort, g, redirect, request, url_for
from flask_babel import gettext
from werkzeug.wrappers import Response as Answer

from mien import clients, settings
from mien.clients import Client
from mien_web import desk, door

page = Blueprint("person", __name__)
door.needs(page, "home")


def current() -> Client:
    """The person of the form that was sent, who may be another one than the log is open of by now;
    else the person whose log is open. Where there is none, the request ends at the list of
    people."""
    if "person" not in g:
        found, meant = everybody(), request.form.get("person")
        chosen = desk.read(lambda db: settings.get(db, _key(), str))
        if not found and desk.read(settings.setting) == "demo":
            found = [desk.write(_of_demo)]
        if not found:
            abort(redirect(url_for("clients.index"), 303))
        if meant and meant not in [one.id for one in found]:
            abort(404, gettext("This person is not among yours any more. Load the page again."))
        g.person = next((one for one in found if one.id == (meant or chosen)), found[0])
    person: Client = g.person
    return person


def everybody() -> list[Client]:
    """The persons whom this user takes care of, by code name."""
    me = desk.user().id
    found = desk.read(lambda db: clients.of(db, me))
    return [one for one in found if one.resident and not one.archived]


@page.post("/person")
def choose() -> Answer:
    """Another one's log from now on, in every browser of this user."""
    wanted = current().id
    desk.write(lambda db: settings.put(db, _key(), wanted))
    to = "checkins.new" if request.form.get("to") == "checkin" else "log.today"
    return redirect(url_for(to), 303)


def _key() -> str:
    return f"person:{desk.user().id}"


def _of_demo(db: Any) -> Client:
    """The demo reads whoever sits there, without asking; so it makes up who that is, too."""
    me, now = desk.user().id, desk.now().utc
    if not clients.taken(db, "me", me):
        clients.add(db, str(uuid.uuid4()), "me", me, now, resident=True)
    return next(one for one in clients.of(db, me) if one.code == "me")
