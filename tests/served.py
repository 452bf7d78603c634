"""The page where a real browser reaches it."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server

PHONE: Any = {"width": 390, "height": 844}
TABLET: Any = {"width": 1280, "height": 800}


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        pass


@contextmanager
def inside(app: Flask) -> Iterator[str]:
    """The address of an app that threads of this process serve."""
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)
    server.daemon_threads = False  # closing it waits for the questions under way
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    serving.join()
    server.server_close()


@contextmanager
def outside(folder: Path) -> Iterator[str]:
    """The address of a process of its own, over the store and the daemon's socket in a folder."""
    (folder / "mien.toml").write_text(f'[box]\nstate_dir = "{folder}"\n')
    environment = {k: v for k, v in os.environ.items() if k != "RUNTIME_DIRECTORY"}
    command = [sys.executable, "-m", "mien_web", "--config", str(folder / "mien.toml")]
    with subprocess.Popen(
        [*command, "--port=0"], stdout=subprocess.PIPE, text=True, env=environment
    ) as page:
        assert page.stdout
        yield page.stdout.readline().split()[2].rstrip("/")
        page.terminate()
