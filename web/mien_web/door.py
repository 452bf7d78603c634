"""The door: who comes in, as what, and who stays out."""

import hashlib
import secrets
from collections.abc import Collection
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from flask import (
    Blueprint,
    Flask,
    abort,
    current_app,
    flash,
    g,
    jsonify,
    redirect,
    render_template,
    request,
    url_for,
)
from flask_babel import gettext, ngettext
from msgspec.structs import replace
from werkzeug.wrappers import Response

from mien import attempts, audit, passphrase, settings, users
from mien.control import ControlError
from mien.database import StoreError
from mien.users import Login, Role, User
from mien_web import desk, guard

page = Blueprint("door", __name__)

COOKIE = "mien_login"
TOUCH_MS = 30_000
"""How often at most it is written down that somebody is here."""
BACKGROUND = {"live.picture", "live.health", "seat.picture", "seat.aim"}
"""What pages ask by themselves: nobody need be there. Others say so by `Mien-Background: 1`."""


def protect(app: Flask) -> None:
    """Find out who asks, before each request."""
    app.before_request(recognise)


def needs(blueprint: Blueprint, *roles: Role, but: Collection[str] = ()) -> None:
    """Let into a blueprint only who is signed in and has one of these roles (any, if none); the
    endpoints named by `but` stay open."""

    def check() -> Response | None:
        if request.endpoint in but:
            return None
        if g.user is None:
            return _turn_away()
        if g.login and g.login.once and request.endpoint not in _CHOOSING:
            return redirect(url_for("me.show"))
        if roles and not g.user.roles.intersection(roles):
            abort(403, gettext("Your roles do not open this page. An administrator can add one."))
        return None

    blueprint.before_request(check)


_CHOOSING = {"me.show", "me.change_passphrase"}


# ── who asks ─────────────────────────────────────────────────────────────────────────────────────


def recognise() -> None:
    """`g.user`: who is signed in and not locked out; `g.login`: their log-in, also a locked one."""
    g.user = g.login = g.store_error = None
    if request.endpoint == "static":
        return
    try:
        g.login = _login(request.cookies.get(COOKIE, ""))
        if g.login is None and _on_the_box():
            g.user = desk.read(users.demo)
            if g.user is None and desk.read(settings.setting) == "demo":
                g.user = desk.write(lambda db: users.make_demo(db, now_ms()))
    except StoreError as error:
        g.store_error = error
    if g.login and not g.login.locked:
        g.user = g.login.user


def _login(token: str) -> Login | None:
    if not token:
        return None
    key, now = _fingerprint(token), now_ms()
    boot = desk.now().boot_id
    login, idle = desk.read(lambda db: (users.login(db, key, boot), idle_minutes(db)))
    if login is None or login.ended(now):
        return None
    if login.locked:
        return login
    if login.left_ms(now, idle * 60_000) <= 0:
        with suppress(StoreError):  # on a full disk it is locked nevertheless
            desk.write(lambda db: users.lock(db, key))
        return replace(login, locked=True)
    if not _background() and not 0 <= now - login.seen_utc < TOUCH_MS:
        with suppress(StoreError):
            desk.write(lambda db: users.touch(db, key, now))
        return replace(login, seen_utc=now)
    return login


def idle_minutes(db: Any) -> int:
    return settings.get(db, "idle_minutes", int) or users.IDLE_MINUTES


def _background() -> bool:
    return request.endpoint in BACKGROUND or "Mien-Background" in request.headers


def _on_the_box() -> bool:
    """Whether the browser runs on this very machine, as far as can be told."""
    name = urlsplit(f"//{request.host}").hostname
    return request.remote_addr in guard.LOOPBACK and name in guard.LOOPBACK


def _fingerprint(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def now_ms() -> int:
    return round(desk.now().utc * 1000)


def _turn_away() -> Response:
    """To the page where one can come in; a script is told in JSON."""
    if g.store_error:
        raise g.store_error
    if g.login:
        place, said = "door.lock", gettext("The screen is locked.")
    elif desk.read(users.set_up):
        place, said = "door.login", gettext("You are not signed in.")
    else:
        place, said = "welcome.show", gettext("This box is not set up yet.")
    if _by_script():
        answer = jsonify(error=said)
        answer.status_code = 401
        return answer
    if place == "welcome.show":
        return redirect(url_for(place), 303)
    wanted = request.full_path.rstrip("?") if request.method == "GET" else referrer()
    return redirect(url_for(place, next=wanted), 303)


def _by_script() -> bool:
    mode = request.headers.get("Sec-Fetch-Mode")
    if mode:
        return mode != "navigate"
    return request.is_json or "Mien-Token" in request.headers or request.path.startswith("/api/")


@page.app_template_global()
def referrer() -> str | None:
    """The page of this box on which a form was sent, if it is one that can be opened again."""
    parts = urlsplit(request.referrer or "")
    if parts.netloc != request.host or not _opens(parts.path):
        return None
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def _opens(path: str) -> bool:
    """Whether there is a page at this path, and not only the answer to a form."""
    pages = current_app.create_url_adapter(request)
    return pages is not None and pages.test(path, "GET")


def next_page(user: User) -> str:
    """Where the form's `next` leads, if that is within this page; else where this user begins."""
    wanted = request.values.get("next", "")
    if (
        wanted.startswith("/")
        and not wanted.startswith("//")
        and "\\" not in wanted
        and wanted.isprintable()
        and wanted.split("?")[0] not in ("/login", "/lock", "/welcome")
        and _opens(wanted.split("?")[0])
    ):
        return wanted
    if "administrator" in user.roles and desk.read(settings.setting) is None:
        return url_for("household.index")  # which asks where the box stands
    clients = "clients.index" in current_app.view_functions and "therapist" in user.roles
    return url_for("clients.index" if clients else "live.show")


# ── log-in and log-out ───────────────────────────────────────────────────────────────────────────


@page.get("/login")
def login() -> Any:
    if g.user is not None and g.login is not None:
        return redirect(next_page(g.user))
    if not desk.read(users.set_up):
        return redirect(url_for("welcome.show"))
    return render_template("door/login.html", problem=None)


@page.post("/login")
def sign_in() -> Any:
    name, said = request.form.get("name", ""), request.form.get("passphrase", "")
    found, problem, wait = check(name, said)
    if found is None:
        return refused(render_template("door/login.html", problem=problem), wait)
    return let_in(found.id, found.name, next_page(found))


def check(name: str, said: str) -> tuple[User | None, str, int]:
    """The user whose passphrase this is; or the sentence why not, and the milliseconds to wait."""
    name = users.name_of(name) or ""
    doors = (attempts.door("user", name), address())
    if wait := desk.write(lambda db: attempts.begin(db, now_ms(), *doors)):
        return None, waiting(wait), wait
    account = desk.read(lambda db: users.account(db, name))
    kept = account.passphrase if account and not account.disabled else None
    if passphrase.fits(kept, said) and account:
        desk.write(lambda db: attempts.succeeded(db, *doors))
        return account.user, "", 0
    now = desk.now()

    def note(db: Any) -> None:
        if attempts.shut(db, now_ms(), doors[0]):
            audit.note(db, now.utc, "", "sign-in.refused", account.user.name if account else "")

    desk.write(note)
    return None, gettext("Name and passphrase do not belong together."), 0


def let_in(user: int, name: str, to: str) -> Response:
    """Sign this browser in, and lead it on."""
    token, old = secrets.token_urlsafe(32), request.cookies.get(COOKIE, "")
    now = desk.now()

    def begin(db: Any) -> None:
        users.end_login(db, _fingerprint(old))
        users.begin_login(db, _fingerprint(token), user, now_ms())
        audit.note(db, now.utc, name, "signed-in")

    desk.write(begin)
    answer = redirect(to, 303)
    answer.set_cookie(
        COOKIE, token, httponly=True, samesite="Strict", secure=request.is_secure, path="/"
    )
    return answer


@page.post("/logout")
def logout() -> Response:
    if g.login:
        login, now = g.login, desk.now()

        def end(db: Any) -> None:
            users.end_login(db, login.id)
            audit.note(db, now.utc, login.user.name, "signed-out")

        desk.write(end)
    answer = redirect(url_for("door.login"), 303)
    answer.delete_cookie(COOKIE, httponly=True, samesite="Strict", secure=request.is_secure)
    return answer


def tell_daemon() -> None:
    with suppress(ControlError):  # it looks by itself within a second
        desk.control().refresh()


def name_hint() -> str:
    return str(gettext("Enter a name of 1 to 40 letters."))


def passphrase_problem(said: str, again: str, name: str) -> str | None:
    """What is wrong with a new passphrase, as a sentence; None when nothing is."""
    faults = {
        "short": gettext(
            "The passphrase is too short: it needs at least %(count)s characters. Four or five "
            "unrelated words are easy to keep in mind.",
            count=passphrase.SHORTEST,
        ),
        "long": gettext(
            "The passphrase is too long: %(count)s characters are the most.",
            count=passphrase.LONGEST,
        ),
        "name": gettext("The passphrase must not be the name."),
        "repeated": gettext("The passphrase repeats the same few characters. Take other words."),
    }
    if fault := passphrase.fault(said, name):
        return str(faults[fault])
    differ = gettext("The two passphrases differ. Enter the same one twice.")
    return None if said == again else str(differ)


def waiting(ms: int) -> str:
    """How long somebody has to wait, as a sentence."""
    seconds = -(-ms // 1000)
    if seconds < 60:
        said = ngettext(
            "Too many wrong attempts. Try again in %(num)s second.",
            "Too many wrong attempts. Try again in %(num)s seconds.",
            seconds,
        )
    else:
        said = ngettext(
            "Too many wrong attempts. Try again in %(num)s minute.",
            "Too many wrong attempts. Try again in %(num)s minutes.",
            -(-seconds // 60),
        )
    return str(said)


def refused(body: str, ms: int) -> tuple[str, int, dict[str, str]]:
    """A page that says why not, with the milliseconds to wait, if any."""
    return (body, 429, {"Retry-After": str(-(-ms // 1000))}) if ms else (body, 401, {})


def address() -> str:
    return attempts.door("address", request.remote_addr or "")


# ── the lock screen ──────────────────────────────────────────────────────────────────────────────


@page.get("/lock")
def lock() -> Any:
    if g.login is None:
        return redirect(url_for("door.login", next=request.args.get("next")))
    if not g.login.locked:
        return redirect(next_page(g.login.user))
    return _lock_screen(None)


@page.post("/lock/now")
def lock_now() -> Response:
    """What the user menu does."""
    if g.login is None:
        return redirect(url_for("door.login"), 303)
    desk.write(lambda db: users.lock(db, g.login.id))
    return redirect(url_for("door.lock", next=referrer()), 303)


@page.post("/lock")
def unlock() -> Any:
    """By PIN, or by the passphrase for who has no PIN."""
    login: Login | None = g.login
    if login is None:
        return redirect(url_for("door.login", next=request.form.get("next")), 303)
    if not login.locked:
        return redirect(next_page(login.user), 303)
    account = desk.read(lambda db: users.account(db, login.user.id))
    if account is None or account.pin is None:
        found, problem, wait = check(login.user.name, request.form.get("passphrase", ""))
        if found is None:
            return refused(_lock_screen(problem), wait)
        desk.write(lambda db: users.unlock(db, login.id, now_ms()))
        return redirect(next_page(login.user), 303)
    if desk.write(lambda db: users.try_pin(db, login.id)) and passphrase.fits(
        account.pin, request.form.get("pin", "")
    ):
        desk.write(lambda db: users.unlock(db, login.id, now_ms()))
        return redirect(next_page(login.user), 303)
    left = desk.read(lambda db: users.pins_left(db, login.id))
    if left:
        said = ngettext(
            "This is not the PIN. %(num)s attempt is left.",
            "This is not the PIN. %(num)s attempts are left.",
            left,
        )
        return _lock_screen(said), 401
    desk.write(lambda db: users.end_login(db, login.id))
    flash(gettext("The PIN was wrong %(count)s times. Sign in again.", count=users.WRONG_PINS))
    return redirect(url_for("door.login", next=request.form.get("next")), 303)


def _lock_screen(problem: str | None) -> str:
    login = g.login
    account = desk.read(lambda db: users.account(db, login.user.id))
    has_pin = account is not None and account.pin is not None
    return render_template("door/lock.html", name=login.user.name, has_pin=has_pin, problem=problem)


@page.get("/door")
def state() -> Response:
    """For the browser: the seconds until this screen locks; null where it never does."""
    if g.login is None or g.login.locked:
        return jsonify(left=None if g.user else 0)
    idle = desk.read(idle_minutes)
    return jsonify(left=max(0, g.login.left_ms(now_ms(), idle * 60_000)) / 1000)
