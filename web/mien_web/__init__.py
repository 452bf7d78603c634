"""The tablet page: a face on the daemon's control socket. It holds no camera and opens the port."""

from flask import Flask, current_app, g, render_template, request
from flask_babel import gettext
from werkzeug.exceptions import HTTPException, ServiceUnavailable

from mien import settings
from mien.clock import Clock, SystemClock
from mien.config import Config, control_socket
from mien.control import ControlClient
from mien.database import StoreError
from mien_web import (
    api,
    api_v1,
    backups,
    checkins,
    clients,
    desk,
    door,
    exports,
    facs,
    guard,
    household,
    jobs,
    keeping,
    labelling,
    languages,
    library,
    live,
    log_settings,
    map,
    me,
    neighbours,
    parts,
    patterns,
    person,
    predictions,
    reminders,
    restoring,
    seat,
    session,
    smart_home,
    tokens,
    trust,
    welcome,
)

PAGES = (
    live.page,
    exports.page,
    jobs.page,
    api.page,
    facs.page,
    library.page,
    door.page,
    welcome.page,
    clients.page,
    seat.page,
    predictions.page,
    household.page,
    me.page,
    labelling.page,
    map.page,
    session.page,
    person.page,
    log_settings.page,  # with it the log's
    checkins.page,
    reminders.page,
    patterns.page,
    keeping.page,
    tokens.page,
    smart_home.page,
    neighbours.page,
    trust.page,
    api_v1.page,
    backups.page,
    restoring.page,
)


def create_app(config: Config, clock: Clock | None = None) -> Flask:
    """The page of the daemon that runs with the same `config`."""
    app = Flask(__name__)
    attach(app, config, clock or SystemClock())
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    guard.protect(app)
    door.protect(app)
    languages.speak(app)
    app.jinja_env.globals.update(
        menu=menu, menu_entry=menu_entry, endpoints=lambda: app.view_functions
    )
    for page in PAGES:
        app.register_blueprint(page)
    app.register_error_handler(HTTPException, _problem)
    app.register_error_handler(StoreError, _no_store)
    return app


def attach(app: Flask, config: Config, clock: Clock) -> None:
    """What the page works with; `desk` gives it out."""
    app.extensions["mien.config"] = config
    app.extensions["mien.control"] = ControlClient(control_socket(config))
    app.extensions["mien.clock"] = clock
    app.extensions["mien.viewers"] = live.Viewers(config.page.viewers, clock)


def menu() -> list[tuple[str, str]]:
    """The top line: endpoint and label of what this visitor may open."""
    roles = g.user.roles if g.get("user") else frozenset()
    anybody = {"therapist", "administrator", "home"}
    clinic = g.get("user") is not None and desk.read(settings.setting) == "clinic"
    entries = (
        ("checkins.new", gettext("Check in"), set() if clinic else {"home"}),
        ("log.today", gettext("Log"), set() if clinic else {"home"}),
        ("patterns.show", gettext("Patterns"), set() if clinic else {"home"}),
        ("clients.index", _people_or_clients(), {"therapist", "home"}),
        ("library.index", gettext("Library"), {"therapist"}),
        ("model.show", gettext("Model"), {"therapist", "administrator"}),
        ("live.show", gettext("Live"), anybody),
        ("household.index", gettext("Box"), {"administrator"}),
    )
    shown = [
        (endpoint, label)
        for endpoint, label, needed in entries
        if endpoint in current_app.view_functions and roles & needed
    ]
    return [*shown, ("live.about", gettext("About"))]


def _people_or_clients() -> str:
    at_home = g.get("user") is not None and desk.read(settings.setting) == "home"
    return str(gettext("People") if at_home else gettext("Clients"))


_UNDER = {
    **dict.fromkeys(("log", "reminders", "keeping"), "log.today"),
    **dict.fromkeys(("checkins",), "checkins.new"),
    **dict.fromkeys(("patterns",), "patterns.show"),
    **dict.fromkeys(("clients", "session", "review", "map", "exports"), "clients.index"),
    **dict.fromkeys(("library", "facs"), "library.index"),
    **dict.fromkeys(("model", "predictions"), "model.show"),
    **dict.fromkeys(("household", "seat", "backups", "restoring", "smart_home"), "household.index"),
    "neighbours": "household.index",
}
"""Which entry of the menu the pages of a blueprint belong to."""


def menu_entry() -> str:
    """The entry that this page belongs to; a client's personal head is the client's."""
    if "/clients/" in request.path or request.path == "/agreement":
        return "clients.index"
    return _UNDER.get(request.blueprint or "", request.endpoint or "")


def _problem(error: HTTPException) -> tuple[str, int]:
    return render_template("problem.html", error=error), error.code or 500


def _no_store(error: StoreError) -> tuple[str, int]:
    """No traceback where the daemon never ran or the disk is full: its own sentence says it."""
    return _problem(ServiceUnavailable(parts.say(str(error))))
