"""Tokens of the signed-in user: what programs show instead of a log-in."""

from typing import Any

from flask import Blueprint, abort, flash, g, redirect, render_template, request, url_for
from flask_babel import gettext
from werkzeug.wrappers import Response

from mien import audit, tokens
from mien.tokens import Scope
from mien_web import desk, door

page = Blueprint("tokens", __name__)
door.needs(page)


def words() -> dict[Scope, tuple[str, str]]:
    """What each scope is called, and what it opens."""
    return {
        "status": (
            gettext("See how the box is"),
            gettext("Its parts, whether it is paused, and metrics. Nothing about anybody."),
        ),
        "log": (
            gettext("Read the home log"),
            gettext("Expressions by day and hour, with how much was seen."),
        ),
        "checkins": (
            gettext("Read and write check-ins"),
            gettext("What was said of oneself and its patterns; also to change and delete it."),
        ),
        "sessions": (
            gettext("Lead sessions"),
            gettext("Start, tag and stop sessions, and capture in them, where consents allow it."),
        ),
        "control": (
            gettext("Pause and resume"),
            gettext("Close the camera and open it again, and put reminders off."),
        ),
    }


@page.get("/me/tokens")
def index() -> str:
    return _page()


@page.post("/me/tokens")
def make() -> Any:
    """A new token, which this answer shows and nothing keeps. It asks for the passphrase, for who
    finds a tablet open must not be able to take a way in home."""
    user, name, scopes = desk.user(), request.form.get("name", ""), request.form.getlist("scope")
    if g.login is not None:
        found, problem, wait = door.check(user.name, request.form.get("passphrase", ""))
        if found is None:
            return door.refused(_page(problem=problem, field="passphrase"), wait)
    if not " ".join(name.split()):
        said = gettext("Give the token a name, such as that of the program it is for.")
        return _page(problem=said, field="name"), 400
    if not scopes:
        said = gettext("Tick at least one thing that the token may do.")
        return _page(problem=said, field="scope"), 400
    now = desk.now()

    def write(db: Any) -> str:
        made = tokens.make(db, user, name, scopes, door.now_ms())
        audit.note(db, now.utc, user.name, "token.made", name.strip(), scopes=sorted(scopes))
        return made

    try:
        made = desk.write(write)
    except tokens.TokenError:
        said = gettext(
            "This token cannot be made: a name has up to %(characters)s characters, a user has up "
            "to %(most)s tokens, and gives away only what the own roles allow.",
            characters=tokens.LONGEST_NAME,
            most=tokens.MOST,
        )
        return _page(problem=said, field="name"), 400
    return _page(made=made)


@page.post("/me/tokens/<id>/revoke")
def revoke(id: str) -> Response:
    user, now = desk.user(), desk.now()

    def write(db: Any) -> str | None:
        name = tokens.revoke(db, user.id, id)
        if name is not None:
            audit.note(db, now.utc, user.name, "token.revoked", name)
        return name

    name = desk.write(write)
    if name is None:
        abort(404, gettext("There is no such token; perhaps it was revoked already."))
    flash(gettext("“%(name)s” is revoked: what used it is turned away from now on.", name=name))
    return redirect(url_for("tokens.index"), 303)


def _try_it(scopes: list[str]) -> str:
    """What a new token with these scopes can ask for, as curl takes it."""
    paths = {"status": "status", "log": "log/days", "checkins": "checkins", "sessions": "sessions"}
    found = next((path for scope, path in paths.items() if scope in scopes), None)
    place = f"{request.host_url}api/v1/"
    return f"{place}{found}" if found else f"-X POST {place}pause"


def _page(*, problem: str = "", field: str = "", made: str = "") -> str:
    user = desk.user()
    return render_template(
        "tokens/index.html",
        tokens=desk.read(lambda db: tokens.of(db, user.id)),
        may=tokens.allowed(user.roles),
        words=words(),
        problem=problem,
        field=field,
        made=made,
        name="" if made else request.form.get("name", ""),
        ticked=() if made else request.form.getlist("scope"),
        longest=tokens.LONGEST_NAME,
        try_it=_try_it(request.form.getlist("scope")),
    )
