"""The daemon's unix socket: HTTP/1.1 with keep-alive, for the page and for commands on the box.

Whoever may open the socket file (mode 0660) may look and may pause; no network port is opened.

    GET  /status                     JSON of `events.Health`
    GET  /metrics                    Prometheus text
    GET  /preview?after=N&timeout=S  JPEG, with headers `Mien-Frame` and `Mien-Live` (JSON of
                                     `events.Live`, ASCII); 204 nothing new, 429 too many viewers,
                                     503 no picture to show
    POST /pause, POST /resume        204

Every answer that is not a success is JSON: {"error": "a sentence"}.
"""

import http.client
import json
import logging
import math
import os
import socket
import socketserver
import stat
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qs, urlencode, urlsplit

import msgspec

from mien.events import Health, Live, MienError

log = logging.getLogger(__name__)

LONGEST_WAIT = 30.0
"""Seconds that one request for a picture may wait at most."""


class ControlError(MienError, OSError):
    """The daemon cannot be asked, or cannot listen; says why and what to do."""


class Busy(ControlError):
    """As many viewers look as may."""


class NoPicture(ControlError):
    """There is no picture to wait for: paused, or no camera."""


class Picture(msgspec.Struct, frozen=True):
    """One frame as a viewer gets it: the JPEG, and what was read in this very frame."""

    frame: int
    jpeg: bytes
    live: bytes
    """JSON of `events.Live`."""


class Daemon(Protocol):
    """What the service offers to the socket. Called from many threads at once."""

    def status(self) -> bytes:
        """JSON of `events.Health`."""
        ...

    def metrics(self) -> str:
        """Prometheus text exposition."""
        ...

    def preview(self, after: int, timeout: float) -> Picture | None:
        """The newest frame other than `after`; None when none came within `timeout` seconds.

        Raises:
            Busy: as many viewers look as may.
            NoPicture: paused, or no camera; the sentence says which.
        """
        ...

    def set_paused(self, paused: bool) -> None:
        """Close the camera, or open it again."""
        ...


# ── The daemon's side ────────────────────────────────────────────────────────────────────────────


class ControlServer:
    """Serves a `Daemon` on a unix socket, one thread a connection."""

    def __init__(self, path: Path, daemon: Daemon) -> None:
        self._path = path
        self._daemon = daemon
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def claim(self) -> None:
        """Take the socket's place, even from one that a killed daemon left behind. Who asks from
        now on waits for `start`.

        Raises:
            ControlError: another daemon listens there, or the place cannot be used.
        """
        try:
            self._path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            _clear_stale(self._path)
            self._server = _Server(self._path, self._daemon)
        except ControlError:
            raise
        except OSError as error:
            raise ControlError(
                f"the control socket {self._path} cannot be opened: {error.strerror or error}; "
                "set another folder as state_dir in the section [box]"
            ) from error

    def start(self) -> None:
        """Answer; claims the socket first if that was not done. Raises as `claim`."""
        if self._server is None:
            self.claim()
        assert self._server is not None
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.2,), name="control", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Close every connection and take the socket file away."""
        if self._server is None:
            return
        if self._thread is not None:
            self._server.shutdown()
            self._thread.join()
        self._server.close()
        self._server = self._thread = None


def _clear_stale(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ControlError(
            f"{path} is in the way of the control socket and is no socket; move it elsewhere"
        )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(2)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            log.info("Replacing the control socket %s, which a killed daemon left behind.", path)
            path.unlink()
        else:
            raise ControlError(
                f"another Mien daemon already listens at {path}; "
                "stop it first, or give this one its own state_dir in the section [box]"
            )


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, path: Path, daemon: Daemon) -> None:
        self.offered = daemon
        self._path = path
        self._open: set[socket.socket] = set()
        super().__init__(str(path), _Handler)

    def server_bind(self) -> None:
        # Linux takes the rights of the file from the unbound socket: no moment with wider ones.
        os.fchmod(self.socket.fileno(), 0o660)
        super().server_bind()
        self._path.chmod(0o660)  # what the umask took away
        self._inode = self._path.stat().st_ino

    def close(self) -> None:
        self.server_close()
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        with suppress(FileNotFoundError):
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.debug("A connection to the control socket broke.", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    default_request_version = "HTTP/1.1"  # so that a garbled request is answered with a head too
    wbufsize = 1 << 16  # head and body leave in one write
    timeout = 60  # an idle connection is closed; the client opens another
    server: _Server

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/status":
            self._serve(lambda: self._answer(HTTPStatus.OK, self.server.offered.status()))
        elif url.path == "/metrics":
            self._serve(
                lambda: self._answer(
                    HTTPStatus.OK,
                    self.server.offered.metrics().encode(),
                    {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
                )
            )
        elif url.path == "/preview":
            self._serve(lambda: self._preview(parse_qs(url.query)))
        else:
            self.send_error(HTTPStatus.NOT_FOUND, f"there is nothing at {url.path}")

    def do_POST(self) -> None:
        if self.headers.get("Content-Length", "0") != "0":
            self.close_connection = True  # a body nobody asked for stays unread
        if self.path in ("/pause", "/resume"):
            self._serve(self._set_paused)
        else:
            self.send_error(HTTPStatus.NOT_FOUND, f"there is nothing to do at {self.path}")

    def _set_paused(self) -> None:
        self.server.offered.set_paused(self.path == "/pause")
        self._answer(HTTPStatus.NO_CONTENT)

    def _preview(self, query: dict[str, list[str]]) -> None:
        try:
            after = int(query.get("after", ["0"])[-1])
            timeout = float(query.get("timeout", ["0"])[-1])
        except ValueError:
            timeout = math.nan
        if math.isnan(timeout):
            self.send_error(HTTPStatus.BAD_REQUEST, "after and timeout must be numbers")
            return
        picture = self.server.offered.preview(after, min(max(timeout, 0.0), LONGEST_WAIT))
        if picture is None:
            self._answer(HTTPStatus.NO_CONTENT)
            return
        headers = {
            "Content-Type": "image/jpeg",
            "Mien-Frame": str(picture.frame),
            "Mien-Live": _ascii(picture.live),
        }
        self._answer(HTTPStatus.OK, picture.jpeg, headers)

    def _serve(self, answer: Callable[[], None]) -> None:
        try:
            answer()
        except Busy as error:
            self.send_error(HTTPStatus.TOO_MANY_REQUESTS, str(error))
        except NoPicture as error:
            self.send_error(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        except ConnectionError:
            raise  # the asker has gone
        except Exception as error:
            log.exception("The request %s %s failed.", self.command, self.path)
            self.send_error(HTTPStatus.INTERNAL_SERVER_ERROR, str(error) or repr(error))

    def _answer(
        self, status: HTTPStatus, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> None:
        self.send_response_only(status)
        for name, value in (headers or {"Content-Type": "application/json"}).items():
            self.send_header(name, value)
        if status != HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        status = HTTPStatus(code)
        if message is None or status == HTTPStatus.NOT_IMPLEMENTED:
            self.close_connection = True  # the request was not understood, nor where it ends
        self._answer(status, json.dumps({"error": message or status.phrase}).encode())

    def log_message(self, format: str, *args: Any) -> None:
        log.debug(format, *args)


def _ascii(text: bytes) -> str:
    """JSON as a header may carry it."""
    return text.decode("ascii") if text.isascii() else json.dumps(json.loads(text))


# ── The asking side ──────────────────────────────────────────────────────────────────────────────


class ControlClient:
    """Asks the daemon. Threads may share it: each request takes an idle connection or opens one."""

    def __init__(self, path: Path, timeout: float = 5.0) -> None:
        self._path = path
        self._timeout = timeout
        self._idle: deque[_Connection] = deque()

    def status(self) -> Health:
        """How the parts of the box are.

        Raises:
            ControlError: the daemon does not answer; so do all other methods.
        """
        try:
            return msgspec.json.decode(self._ask("GET", "/status")[1], type=Health)
        except msgspec.MsgspecError as error:
            raise ControlError(
                f"the service at {self._path} answers in another version's way ({error}); "
                "install the same version of both services and restart them"
            ) from error

    def metrics(self) -> str:
        return self._ask("GET", "/metrics")[1].decode()

    def preview(self, after: int, timeout: float) -> Picture | None:
        """See `Daemon.preview`."""
        query = urlencode({"after": after, "timeout": timeout})
        response, body = self._ask("GET", f"/preview?{query}", wait=timeout)
        if response.status == HTTPStatus.NO_CONTENT:
            return None
        live = response.headers["Mien-Live"].encode("ascii")
        return Picture(int(response.headers["Mien-Frame"]), body, live)

    def pause(self) -> None:
        self._ask("POST", "/pause")

    def resume(self) -> None:
        self._ask("POST", "/resume")

    def close(self) -> None:
        """Close the idle connections; the client stays usable."""
        while self._idle:
            self._idle.pop().close()

    def _ask(
        self, method: str, target: str, wait: float = 0.0
    ) -> tuple[http.client.HTTPResponse, bytes]:
        response, body = self._exchange(method, target, self._timeout + wait)
        if response.status < 400:
            return response, body
        with suppress(ValueError, KeyError, TypeError):
            body = json.loads(body)["error"].encode()
        sentence = body.decode(errors="replace")
        kinds = {HTTPStatus.TOO_MANY_REQUESTS: Busy, HTTPStatus.SERVICE_UNAVAILABLE: NoPicture}
        raise kinds.get(HTTPStatus(response.status), ControlError)(sentence)

    def _exchange(
        self, method: str, target: str, timeout: float
    ) -> tuple[http.client.HTTPResponse, bytes]:
        while True:
            try:
                connection, fresh = self._idle.pop(), False
            except IndexError:
                connection, fresh = _Connection(self._path), True
            try:
                connection.patience(timeout)
                connection.request(method, target)
                response = connection.getresponse()
                body = response.read()
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                if fresh or isinstance(error, TimeoutError):
                    raise self._unreachable(error) from error
                # It sat idle while the daemon restarted. All requests may be sent twice.
            else:
                self._idle.append(connection)
                return response, body

    def _unreachable(self, error: Exception) -> ControlError:
        if isinstance(error, PermissionError):
            return ControlError(
                f"this user may not open the control socket {self._path}; "
                "join the group that owns it, or run this as its owner"
            )
        return ControlError(
            f"the Mien service does not answer at {self._path}; start it with `mien run`, "
            "or with `sudo systemctl start mien` on an installed box"
        )


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))

    def patience(self, seconds: float) -> None:
        self.timeout = seconds
        if self.sock:
            self.sock.settimeout(seconds)


class ScriptedDaemon:
    """A `Daemon` that says what it is told to; for tests, and to try the page without a camera."""

    def __init__(self, health: Health, viewers: int = 4) -> None:
        self.health = health
        self.no_camera: str | None = None
        """A sentence, as long as the camera is absent."""
        self._picture: Picture | None = None
        self._changed = threading.Condition()
        self._free = threading.BoundedSemaphore(viewers)

    def show(self, live: Live, jpeg: bytes) -> None:
        """The next frame."""
        with self._changed:
            self._picture = Picture(live.frame, jpeg, msgspec.json.encode(live))
            self._changed.notify_all()

    def status(self) -> bytes:
        return msgspec.json.encode(self.health)

    def metrics(self) -> str:
        return f"mien_paused {int(self.health.paused)}\n"

    def preview(self, after: int, timeout: float) -> Picture | None:
        if self.health.paused:
            raise NoPicture("Paused – the camera is off.")
        if self.no_camera:
            raise NoPicture(self.no_camera)
        if not self._free.acquire(blocking=False):
            raise Busy("as many viewers look as may; close the page elsewhere")
        try:
            with self._changed:
                self._changed.wait_for(lambda: self._new(after) or self.health.paused, timeout)
                return self._new(after)
        finally:
            self._free.release()

    def set_paused(self, paused: bool) -> None:
        with self._changed:
            self.health = msgspec.structs.replace(self.health, paused=paused)
            self._picture = None
            self._changed.notify_all()

    def _new(self, after: int) -> Picture | None:
        return self._picture if self._picture and self._picture.frame != after else None
