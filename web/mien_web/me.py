"""What everybody may change of themselves: passphrase, PIN, language and colours."""

from typing import Any, get_args

from flask import Blueprint, abort, flash, g, redirect, render_template, request, url_for
from flask_babel import gettext
from werkzeug.wrappers import Response

from mien import audit, passphrase, users
from mien.users import Theme
from mien_web import desk, door
from mien_web.languages import LANGUAGES

page = Blueprint("me", __name__)
door.needs(page)


@page.get("/me")
def show() -> str:
    return _page({})


@page.post("/me")
def prefer() -> Response:
    """Language and colours; an empty field leaves them to browser and device."""
    language, theme = request.form.get("language") or None, _theme()
    if language not in (None, *LANGUAGES):
        abort(400, gettext("Mien speaks English and German."))
    user = desk.user()
    desk.write(lambda db: users.prefer(db, user.id, language, theme))
    flash(gettext("Saved."))
    return redirect(url_for("me.show"), 303)


@page.post("/me/theme")
def theme() -> Response:
    """The colours alone, from the user menu of any page; back to that page."""
    user, chosen = desk.user(), _theme()
    desk.write(lambda db: users.prefer(db, user.id, user.language, chosen))
    return redirect(door.referrer() or url_for("live.show"), 303)


@page.post("/me/passphrase")
def change_passphrase() -> Any:
    _signed_in()
    user, said = desk.user(), request.form.get("passphrase", "")
    found, problem, wait = door.check(user.name, request.form.get("old", ""))
    if found is None:
        return door.refused(_page({"old": problem}), wait)
    wrong = door.passphrase_problem(said, request.form.get("again", ""), user.name)
    if wrong is None and said == request.form.get("old"):
        wrong = gettext("This is the old passphrase.")
    if wrong is not None:
        return _page({"passphrase": wrong}), 400
    hashed, now, here = passphrase.hashed(said), desk.now(), g.login.id

    def write(db: Any) -> None:
        users.set_passphrase(db, user.id, hashed)
        ended = users.end_logins(db, user.id, but=here)
        audit.note(db, now.utc, user.name, "passphrase.changed", user.name, logins=ended)

    desk.write(write)
    flash(gettext("The passphrase is changed. Other browsers have to sign in again."))
    return redirect(url_for("me.show"), 303)


@page.post("/me/pin")
def change_pin() -> Any:
    """Set or, with an empty field, remove the PIN; it asks for the passphrase, for who finds a
    tablet open must not be able to come back later."""
    _signed_in()
    user, pin = desk.user(), request.form.get("pin", "").strip()
    found, problem, wait = door.check(user.name, request.form.get("passphrase", ""))
    if found is None:
        return door.refused(_page({"pin-passphrase": problem}), wait)
    if pin and (fault := passphrase.pin_fault(pin)):
        faults = {
            "digits": gettext("A PIN has 4 to 8 digits and nothing else."),
            "simple": gettext("This PIN is guessed at once. Take digits that do not count up."),
        }
        return _page({"pin": faults[fault]}), 400
    hashed, now = passphrase.hashed(pin) if pin else None, desk.now()

    def write(db: Any) -> None:
        users.set_pin(db, user.id, hashed)
        audit.note(db, now.utc, user.name, "pin.set" if pin else "pin.removed", user.name)

    desk.write(write)
    flash(gettext("The PIN is set.") if pin else gettext("The PIN is removed."))
    return redirect(url_for("me.show"), 303)


def _page(problems: dict[str, str]) -> str:
    account = desk.read(lambda db: users.account(db, desk.user().id))
    return render_template("household/me.html", account=account, problems=problems)


def _theme() -> str | None:
    theme = request.form.get("theme") or None
    if theme not in (None, *get_args(Theme)):
        abort(400, gettext("There is no such choice of colours."))
    return theme


def _signed_in() -> None:
    if g.login is None:
        abort(403, gettext("The user of the demo has no passphrase. Set up this box first."))
