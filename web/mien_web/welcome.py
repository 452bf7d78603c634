"""The first run: who is in charge of the box sets it up with its one-time code."""

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import gettext

from mien import attempts, audit, firstrun, passphrase, settings, users
from mien.users import Role
from mien_web import desk, door, restoring

page = Blueprint("welcome", __name__)


@page.get("/welcome")
def show() -> Any:
    if desk.read(users.set_up):
        return redirect(url_for("door.login"))
    return render_template("door/welcome.html", problems={})


@page.post("/welcome")
def set_up() -> Any:
    if desk.read(users.set_up):
        flash(gettext("This box is set up already. Sign in."))
        return redirect(url_for("door.login"), 303)
    if answer := _no_code():
        return answer
    name = users.name_of(request.form.get("name", ""))
    chosen, said = request.form.get("setting"), request.form.get("passphrase", "")
    problems = {}
    if chosen not in ("clinic", "home"):
        problems["setting"] = gettext("Choose where the box stands: a clinic or a home.")
    if name is None:
        problems["name"] = door.name_hint()
    if fault := door.passphrase_problem(said, request.form.get("again", ""), name or ""):
        problems["passphrase"] = fault
    if problems or name is None:
        return render_template("door/welcome.html", problems=problems), 400
    hashed, now = passphrase.hashed(said), desk.now()
    roles: set[Role] = {"administrator", "therapist" if chosen == "clinic" else "home"}

    def begin(db: Any) -> int | None:
        if users.set_up(db):
            return None
        users.end_demo(db)
        settings.put(db, "setting", chosen)
        user = users.add(db, door.now_ms(), name, roles, hashed)
        audit.note(db, now.utc, name, "box.set-up", setting=chosen)
        return user

    user = desk.write(begin)
    if user is None:
        return redirect(url_for("door.login"), 303)
    firstrun.used(desk.config().state_dir)
    door.tell_daemon()
    return door.let_in(user, name, url_for("clients.index"))  # whose empty list says what is next


@page.post("/welcome/restore")
def restore() -> Any:
    """Instead of all that: take over what another box had."""
    if desk.read(users.set_up):
        flash(gettext("This box is set up already. Sign in."))
        return redirect(url_for("door.login"), 303)
    return _no_code() or restoring.begin(None)


def _no_code() -> Any:
    """The answer to who does not have the one-time code; None for who has."""
    doors = (attempts.door("code", "first run"), door.address())
    if wait := desk.write(lambda db: attempts.begin(db, door.now_ms(), *doors)):
        problems = {"code": door.waiting(wait)}
        return door.refused(render_template("door/welcome.html", problems=problems), wait)
    if not firstrun.fits(desk.config().state_dir, request.form.get("code", "")):
        wrong = gettext("This is not the code. It stands in the log of the box.")
        return render_template("door/welcome.html", problems={"code": wrong}), 403
    desk.write(lambda db: attempts.succeeded(db, *doors))
    return None
