"""The tablet page: a face on the daemon's control socket. It holds no camera and opens the port."""

from flask import Flask, render_template
from flask_babel import gettext
from werkzeug.exceptions import HTTPException

from mien.clock import Clock, SystemClock
from mien.config import Config, control_socket
from mien.control import ControlClient
from mien_web import door, guard, jobs, languages, live

PAGES = (live.page, jobs.page)


def create_app(config: Config, clock: Clock | None = None) -> Flask:
    """The page of the daemon that runs with the same `config`."""
    app = Flask(__name__)
    app.extensions["mien.config"] = config
    app.extensions["mien.control"] = ControlClient(control_socket(config))
    clock = app.extensions["mien.clock"] = clock or SystemClock()
    app.extensions["mien.viewers"] = live.Viewers(config.page.viewers, clock)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    guard.protect(app)
    door.guard(app)
    languages.speak(app)
    app.jinja_env.globals["menu"] = menu
    for page in PAGES:
        app.register_blueprint(page)
    app.register_error_handler(HTTPException, _problem)
    return app


def menu() -> list[tuple[str, str]]:
    """The top line: endpoint and label of what this visitor may open."""
    return [("live.about", gettext("About"))]


def _problem(error: HTTPException) -> tuple[str, int]:
    return render_template("problem.html", error=error), error.code or 500
