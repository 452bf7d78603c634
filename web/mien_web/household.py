"""The box as its administrator sees it: who may come in, how it is set, and the audit list."""

from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response, abort, flash, g, redirect, render_template, request, url_for
from flask_babel import gettext

from mien import attempts, audit, backup, build, passphrase, settings, users
from mien.users import Account, Role, UserError
from mien_web import acts, desk, door, downloads, sheets

page = Blueprint("household", __name__)
door.needs(page, "administrator")

ENTRIES = 100
"""Lines of the audit list on a page."""
CHECKED = 5000
"""Up to so many entries the chain is checked each time the list is shown; beyond, when asked."""


@page.before_request
def _no_demo() -> None:
    if g.login is None and request.method == "POST":
        abort(403, gettext("In the demo nothing can be changed here. Set up this box first."))


# ── the box ──────────────────────────────────────────────────────────────────────────────────────


@page.get("/box")
def index() -> str:
    return _index(None)


def _index(problem: str | None) -> str:
    def work(db: Any) -> dict[str, Any]:
        return {
            "setting": settings.setting(db),
            "idle": door.idle_minutes(db),
            "accounts": _people(db),
            "backup_utc": backup.last_utc(db),
            "stale": backup.stale(db, desk.now()),
            "days": backup.STALE_DAYS,
        }

    return render_template(
        "household/index.html", problem=problem, room=desk.config().box.room, **desk.read(work)
    )


@page.get("/box/program")
def program() -> str:
    """Which program this is, and all that it is made of."""
    return render_template("household/program.html", build=build.this(desk.config().state_dir))


@page.post("/box")
def change() -> Any:
    """Where the box stands, and after how long a screen locks."""
    chosen, idle = request.form.get("setting"), request.form.get("idle", type=int)
    if chosen not in ("clinic", "home"):
        return _index(gettext("Choose where the box stands: a clinic or a home.")), 400
    if idle is None or not 1 <= idle <= 120:
        return _index(gettext("The screen may lock after 1 to 120 minutes.")), 400
    now, by = desk.now(), desk.user().name

    def write(db: Any) -> None:
        before = settings.setting(db)
        settings.put(db, "setting", chosen)
        settings.put(db, "idle_minutes", idle)
        audit.note(db, now.utc, by, "box.changed", setting=chosen, before=before, idle=idle)

    desk.write(write)
    door.tell_daemon()
    flash(gettext("Saved."))
    return redirect(url_for("household.index"), 303)


# ── users ────────────────────────────────────────────────────────────────────────────────────────


def _people(db: Any) -> list[Account]:
    return [each for each in users.accounts(db) if each.passphrase != users.DEMO]


@page.get("/users")
def people() -> str:
    return _list(None)


def _list(problem: str | None) -> str:
    now = round(desk.now().utc * 1000)
    accounts, logins = desk.read(lambda db: (_people(db), users.logins(db, now)))
    return render_template(
        "household/users.html", accounts=accounts, logins=logins, problem=problem
    )


@page.post("/users")
def add() -> Any:
    """A new user with a passphrase for once, which this answer shows and nothing keeps."""
    name, roles = users.name_of(request.form.get("name", "")), _roles()
    if name is None:
        return _list(door.name_hint()), 400
    if not roles:
        return _list(gettext("Choose at least one role.")), 400
    said, now, by = passphrase.made_up(), desk.now(), desk.user().name
    hashed = passphrase.hashed(said)

    def write(db: Any) -> None:
        user = users.add(db, round(now.utc * 1000), name, roles, "")
        users.set_passphrase(db, user, hashed, once=True)
        audit.note(db, now.utc, by, "user.added", name, roles=sorted(roles))

    try:
        desk.write(write)
    except UserError:
        return _list(gettext("There is a user of this name already.")), 409
    return render_template("household/once.html", name=name, passphrase=said)


@page.get("/users/<int(max=2147483647):user>")
def person(user: int) -> str:
    return _person(user, None)


def _person(user: int, problem: str | None) -> str:
    now, account = round(desk.now().utc * 1000), _account(user)
    logins = desk.read(lambda db: users.logins(db, now)).get(user, 0)
    return render_template("household/user.html", account=account, logins=logins, problem=problem)


@page.post("/users/<int(max=2147483647):user>/roles")
def change_roles(user: int) -> Any:
    account, roles = _account(user), _roles()
    if not roles:
        return _person(user, gettext("Choose at least one role.")), 400

    def write(db: Any) -> None:
        users.set_roles(db, user, roles)
        _note(db, "user.roles", account, roles=sorted(roles))

    return _change(user, write)


@page.post("/users/<int(max=2147483647):user>/<any(disable, enable):wish>")
def switch(user: int, wish: str) -> Any:
    account = _account(user)

    def write(db: Any) -> None:
        users.set_disabled(db, user, wish == "disable")
        _note(db, f"user.{wish}d", account)

    return _change(user, write)


@page.post("/users/<int(max=2147483647):user>/reset")
def reset(user: int) -> Any:
    account, said = _account(user), passphrase.made_up()
    hashed = passphrase.hashed(said)

    def write(db: Any) -> None:
        users.set_passphrase(db, user, hashed, once=True)
        users.set_pin(db, user, None)
        attempts.forget(db, attempts.door("user", account.user.name))
        _note(db, "user.reset", account, logins=users.end_logins(db, user))

    desk.write(write)
    return render_template("household/once.html", name=account.user.name, passphrase=said)


def _account(user: int) -> Account:
    account = desk.read(lambda db: users.account(db, user))
    if account is None or account.passphrase == users.DEMO:
        abort(404, gettext("There is no such user."))
    return account


def _change(user: int, write: Any) -> Any:
    try:
        desk.write(write)
    except UserError:
        return _person(user, gettext("Somebody must stay administrator.")), 409
    flash(gettext("Saved."))
    return redirect(url_for("household.person", user=user), 303)


def _note(db: Any, action: str, account: Account, **detail: object) -> None:
    audit.note(db, desk.now().utc, desk.user().name, action, account.user.name, **detail)


def _roles() -> set[Role]:
    return {role for role in users.ROLES if role in request.form.getlist("role")}


# ── the audit list ───────────────────────────────────────────────────────────────────────────────


@page.get("/audit")
def audit_list() -> str:
    before = request.args.get("before", type=int)
    if before is not None and not 0 < before < 1 << 62:
        before = None
    action = request.args.get("action") or None
    asked = "check" in request.args

    def work(db: Any) -> dict[str, Any]:
        found = audit.entries(db, before, ENTRIES + 1, action)
        newest = audit.entries(db, limit=1)
        checked = asked or not newest or newest[0].id <= CHECKED
        return {
            "entries": found[:ENTRIES],
            "more": found[ENTRIES - 1].id if len(found) > ENTRIES else None,
            "actions": audit.actions(db),
            "checked": checked,
            "broken": audit.broken(db) if checked else None,
        }

    return render_template(
        "household/audit.html", action=action, before=before, named=acts.named, **desk.read(work)
    )


@page.post("/audit.csv")
def audit_file() -> Response:
    """The whole list; once it left the box, the list on the box says so."""
    header = ("id", "time", "user", "action", "subject", "detail", "hash")
    text = sheets.table(header, map(_audited, desk.read(audit.every)))
    body = text.encode("utf-8-sig")  # by its mark spreadsheets know UTF-8
    name = f"mien-audit-{desk.now().iso[:10]}.csv"
    left = downloads.audited("audit.exported")
    return downloads.send(body, "text/csv; charset=utf-8", name, left)


def _audited(entry: audit.Entry) -> tuple[str, ...]:
    time = datetime.fromtimestamp(entry.utc / 1000, UTC).isoformat(timespec="milliseconds")
    told = (entry.user, entry.action, entry.subject, entry.detail)
    return (str(entry.id), time, *told, entry.hash)
