"""The tablet page: a face on the daemon's control socket. It holds no camera and opens the port."""

from flask import Flask, render_template
from werkzeug.exceptions import HTTPException

from mien.clock import Clock, SystemClock
from mien.config import Config, control_socket
from mien.control import ControlClient
from mien_web import guard, live


def create_app(config: Config, clock: Clock | None = None) -> Flask:
    """The page of the daemon that runs with the same `config`."""
    app = Flask(__name__)
    app.extensions["mien.config"] = config
    app.extensions["mien.control"] = ControlClient(control_socket(config))
    app.extensions["mien.viewers"] = live.Viewers(config.page.viewers, clock or SystemClock())
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    guard.protect(app)
    app.register_blueprint(live.page)
    app.register_error_handler(HTTPException, _problem)
    return app


def _problem(error: HTTPException) -> tuple[str, int]:
    return render_template("problem.html", error=error), error.code or 500
