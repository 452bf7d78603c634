"""The daemon's unix socket: HTTP/1.1 with keep-alive, for the page and for commands on the box.

Whoever may open the socket file (mode 0660) may do all of this; no network port is opened.

    GET  /status                     JSON of `events.Health`
    GET  /neighbours                 JSON of `events.Neighbourhood`, the other boxes
    GET  /metrics                    Prometheus text
    GET  /preview?after=N&timeout=S  JPEG, with headers `Mien-Frame` and `Mien-Live` (JSON of
                                     `events.Live`, ASCII); 204 nothing new, 429 too many viewers,
                                     503 no picture to show
    POST /pause, POST /resume        204
    POST /refresh                    204; consents, sessions or the seat changed in the store
    POST /aim?seconds=S              204; opens the camera to aim it at the seat, 0 ends it
    POST /capture                    JSON of `events.Capture`; 503 no face to capture
    POST /erase                      a JSON list of `events.Stretch` → {"rows": erased}
    POST /errand?timeout=S           JSON of `events.Errand`, a command for the page; 204 none
    POST /errand-done                JSON of `events.Done` → 204
    POST /import-log                 a JSON list of `events.Quarter` → {"rows": taken}
    POST /restore                    {"file": path} → 204; takes over a backup, see `backup`

Every answer that is not a success is JSON: {"error": "a sentence"}; 409 says why something may not
be done now.
"""

import json
import logging
import math
import os
import socket
import socketserver
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import parse_qs, urlsplit

import msgspec

from mien.control_client import Busy, ControlClient, ControlError, NoPicture, Picture
from mien.events import Capture, Done, Errand, Quarter, Stretch

__all__ = [
    "Busy",
    "ControlClient",
    "ControlError",
    "ControlServer",
    "Daemon",
    "NoPicture",
    "Picture",
]

log = logging.getLogger(__name__)

_T = TypeVar("_T")

LONGEST_WAIT = 30.0
"""Seconds that one request for a picture may wait at most."""
LONGEST_AIM = 600.0
"""Seconds for which one request may open the camera to aim it."""
LARGEST_BODY = 1 << 20
"""Bytes of a request; a longer one is refused."""


class Daemon(Protocol):
    """What the service offers to the socket. Called from many threads at once."""

    def status(self) -> bytes:
        """JSON of `events.Health`."""
        ...

    def metrics(self) -> str:
        """Prometheus text exposition."""
        ...

    def neighbours(self) -> bytes:
        """JSON of `events.Neighbourhood`."""
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

    def refresh(self) -> None:
        """Look at the store again now: a consent, session, seat or head changed."""
        ...

    def aim(self, seconds: float) -> None:
        """Open the camera for that long without reading expressions; 0 ends it.

        Raises:
            ControlError: a session runs, or the box is paused.
        """
        ...

    def capture(self) -> Capture:
        """The seat's face in the next frame.

        Raises:
            NoPicture: no face, or no camera.
            ControlError: no session with consent to pictures runs.
        """
        ...

    def erase(self, stretches: Sequence[Stretch]) -> int:
        """Erase all that was read in these stretches, beyond recovery; how many rows it was.

        Raises:
            MienError: the store cannot be written; ask again.
        """
        ...

    def errand(self, timeout: float) -> Errand | None:
        """The next command by MQTT that the page is to carry out, None when none came in time."""
        ...

    def errand_done(self, done: Done) -> None:
        """How it went; one that nobody waits for any more is ignored."""
        ...

    def import_log(self, quarters: Sequence[Quarter]) -> int:
        """Take over what another box saw, where this one saw nothing; how many rows that were.

        Raises:
            MienError: the store cannot be written.
        """
        ...

    def restore(self, file: Path) -> None:
        """Put what a prepared backup holds in place of what the store holds.

        Raises:
            MienError: it cannot be read or written; then nothing was changed.
        """
        ...


# ── The daemon's side ────────────────────────────────────────────────────────────────────────────


class ControlServer:
    """Serves a `Daemon` on a unix socket, one thread a connection."""

    def __init__(self, path: Path, daemon: Daemon, *, poll_s: float = 0.2) -> None:
        """`poll_s`: how long `stop` may wait for the thread to notice."""
        self._path = path
        self._daemon = daemon
        self._poll_s = poll_s
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
            target=self._server.serve_forever, args=(self._poll_s,), name="control", daemon=True
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


@contextmanager
def place_held(path: Path) -> Iterator[None]:
    """Keep any daemon from starting meanwhile. Raises as `ControlServer.claim`."""
    nobody: Any = None  # nothing answers, so nobody is asked
    server = ControlServer(path, nobody)
    server.claim()
    try:
        yield
    finally:
        server.stop()


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
        self._serve(b"")

    def do_POST(self) -> None:
        body = self._body()
        if body is not None:
            self._serve(body)

    def _body(self) -> bytes | None:
        """What was sent along; None when it was refused, and the answer given."""
        try:
            length = int(self.headers.get("Content-Length", "0"))
        except ValueError:
            length = -1
        if not 0 <= length <= LARGEST_BODY:
            self.close_connection = True  # it stays unread
            self.send_error(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"a request may carry up to {LARGEST_BODY} bytes, and must say how many",
            )
            return None
        return self.rfile.read(length)

    def _serve(self, body: bytes) -> None:
        try:
            self._give(self._asked(body))
        except _BadRequest as error:
            self.send_error(HTTPStatus.BAD_REQUEST, str(error))
        except _Unknown as error:
            self.send_error(HTTPStatus.NOT_FOUND, str(error))
        except Busy as error:
            self.send_error(HTTPStatus.TOO_MANY_REQUESTS, str(error))
        except NoPicture as error:
            self.send_error(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        except ControlError as error:
            self.send_error(HTTPStatus.CONFLICT, str(error))
        except ConnectionError:
            raise  # the asker has gone
        except Exception as error:
            log.exception("The request %s %s failed.", self.command, self.path)
            self.send_error(HTTPStatus.INTERNAL_SERVER_ERROR, str(error) or repr(error))

    def _asked(self, body: bytes) -> object:
        """Have the daemon do what this request asks for; what it gives back."""
        try:
            url = urlsplit(self.path)
        except ValueError as error:
            raise _BadRequest(f"the address cannot be read: {error}") from None
        query, offered = parse_qs(url.query), self.server.offered

        def sent(kind: type[_T]) -> _T:
            return _decoded(body, kind)

        routes: dict[str, Callable[[], object]] = {
            "GET /status": offered.status,
            "GET /neighbours": offered.neighbours,
            "GET /metrics": offered.metrics,
            "GET /preview": lambda: offered.preview(*_next_picture(query)),
            "POST /pause": lambda: offered.set_paused(True),
            "POST /resume": lambda: offered.set_paused(False),
            "POST /refresh": offered.refresh,
            "POST /aim": lambda: offered.aim(_seconds(query, "seconds", LONGEST_AIM)),
            "POST /capture": offered.capture,
            "POST /erase": lambda: {"rows": offered.erase(sent(list[Stretch]))},
            "POST /errand": lambda: offered.errand(_seconds(query, "timeout", LONGEST_WAIT)),
            "POST /errand-done": lambda: offered.errand_done(sent(Done)),
            "POST /import-log": lambda: {"rows": offered.import_log(sent(list[Quarter]))},
            "POST /restore": lambda: offered.restore(Path(sent(_Prepared).file)),
        }
        work = routes.get(f"{self.command} {url.path}")
        if work is None:
            raise _Unknown(f"there is nothing to {self.command} at {url.path}")
        return work()

    def _give(self, found: object) -> None:
        """Bytes are JSON already, text is Prometheus', None is no content."""
        if found is None:
            self._answer(HTTPStatus.NO_CONTENT)
        elif isinstance(found, bytes):
            self._answer(HTTPStatus.OK, found)
        elif isinstance(found, str):
            plain = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
            self._answer(HTTPStatus.OK, found.encode(), plain)
        elif isinstance(found, Picture):
            headers = {
                "Content-Type": "image/jpeg",
                "Mien-Frame": str(found.frame),
                "Mien-Live": _ascii(found.live),
            }
            self._answer(HTTPStatus.OK, found.jpeg, headers)
        else:
            self._answer(HTTPStatus.OK, msgspec.json.encode(found))

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


class _BadRequest(ValueError):
    """The sentence says what the request must be."""


class _Unknown(LookupError):
    """There is nothing at that address."""


class _Prepared(msgspec.Struct):
    file: str


def _decoded(body: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _BadRequest(f"the body is not what is asked for here: {error}") from None


def _seconds(query: dict[str, list[str]], name: str, most: float) -> float:
    try:
        seconds = float(query[name][-1])
    except (KeyError, ValueError):
        seconds = math.nan
    if not 0 <= seconds <= most:
        raise _BadRequest(f"{name} must be a number from 0 to {most:.0f}")
    return seconds


def _next_picture(query: dict[str, list[str]]) -> tuple[int, float]:
    """After which frame, and for how long to wait."""
    try:
        after = int(query.get("after", ["0"])[-1])
        timeout = float(query.get("timeout", ["0"])[-1])
    except ValueError:
        timeout = math.nan
    if math.isnan(timeout):
        raise _BadRequest("after and timeout must be numbers")
    return after, min(max(timeout, 0.0), LONGEST_WAIT)


def _ascii(text: bytes) -> str:
    """JSON as a header may carry it."""
    return text.decode("ascii") if text.isascii() else json.dumps(json.loads(text))
