"""`python -m mien_web`: the page in the foreground, on loopback."""

import argparse
import ctypes
import logging
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import waitress

from mien import config, notify, uploads
from mien_web import create_app, errands, session, watchdog

SPARE_THREADS = 4
"""Threads beside those that hold a viewer's open question."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="mien_web", description=__doc__)
    parser.add_argument("--config", type=Path, metavar="FILE", help="the daemon's config file")
    parser.add_argument(
        "--port", type=_port, metavar="N", help="instead of the config's; 0 takes any free one"
    )
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a burst that waits is no news
    try:
        settings = config.load(options.config)
    except config.ConfigError as error:
        print(error, file=sys.stderr)
        return 78
    host = settings.page.host
    port = settings.page.port if options.port is None else options.port
    _one_arena()
    app = create_app(settings)
    handed = notify.listening()
    # By systemd, on a box where nginx speaks HTTPS before the page and nobody else may connect.
    where: dict[str, Any] = {"host": host, "port": port}
    if handed:
        where = {
            "sockets": [handed],
            "trusted_proxy": "localhost",
            "trusted_proxy_headers": {"x-forwarded-for", "x-forwarded-proto"},
            "clear_untrusted_proxy_headers": True,
        }
    try:
        server = waitress.create_server(
            app,
            threads=settings.page.viewers + SPARE_THREADS,
            ident=None,
            max_request_body_size=uploads.MAX_REQUEST,
            **where,
        )
    except OSError as error:
        print(
            f"the page cannot listen on {host}:{port}: {error.strerror or error}; "
            "choose another with --port, or port in the section [page]",
            file=sys.stderr,
        )
        return 1
    signal.signal(signal.SIGTERM, _leave)
    # A session that was forgotten stops also when every browser is closed.
    threading.Thread(target=session.mind, args=(app,), name="tidy", daemon=True).start()
    errand = (app, time.sleep)
    threading.Thread(target=errands.mind, args=errand, name="errands", daemon=True).start()
    if handed:
        watchdog.start(handed.getsockname())
    else:
        print(f"Mien's page: {_address(server, host)}  (Ctrl-C stops it)", flush=True)
    server.run()  # until Ctrl-C or SIGTERM
    return 0


def _one_arena() -> None:
    """Each thread may get a heap of its own from glibc, which gives little of it back: one is
    enough for eight threads that mostly wait, and spares a 1 GB Pi some 20 MB (mallopt(3))."""
    m_arena_max = -8
    with suppress(AttributeError):  # another libc
        ctypes.CDLL(None).mallopt(m_arena_max, 1)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"must be a whole number from 0 to 65535, not {text!r}")
    return int(text)


def _leave(*_: Any) -> None:
    raise SystemExit(0)


def _address(server: Any, host: str) -> str:
    listening = getattr(server, "effective_listen", None)  # of several sockets
    port = listening[0][1] if listening else server.effective_port
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


if __name__ == "__main__":
    sys.exit(main())
