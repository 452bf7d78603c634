"""Asks the daemon over its control socket; what it may answer is told in `control`."""

import http.client
import json
import socket
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlencode

import msgspec

from mien.events import (
    Capture,
    Done,
    Errand,
    Health,
    MienError,
    Neighbourhood,
    Quarter,
    Stretch,
)

CAPTURE_S, ERASE_S, RESTORE_S = 5.0, 60.0, 600.0
"""Seconds that these may take, beyond what an answer may take."""

_T = TypeVar("_T")


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
        return self._decoded(self._ask("GET", "/status")[1], Health)

    def neighbours(self) -> Neighbourhood:
        """How the other boxes at the broker are."""
        return self._decoded(self._ask("GET", "/neighbours")[1], Neighbourhood)

    def metrics(self) -> str:
        return self._ask("GET", "/metrics")[1].decode()

    def preview(self, after: int, timeout: float) -> Picture | None:
        """See `control.Daemon.preview`."""
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

    def refresh(self) -> None:
        """Have the daemon look at the store now; it does so each second anyway."""
        self._ask("POST", "/refresh")

    def aim(self, seconds: float) -> None:
        """Open the camera for the seat wizard for that long, 0 to 600; ask again to go on.

        Raises:
            ControlError: a session runs, or the box is paused.
        """
        self._ask("POST", f"/aim?{urlencode({'seconds': seconds})}")

    def capture(self) -> Capture:
        """The seat's face in the next frame.

        Raises:
            NoPicture: no face, or no camera.
            ControlError: no session with consent to pictures runs.
        """
        return self._decoded(self._ask("POST", "/capture", wait=CAPTURE_S)[1], Capture)

    def erase(self, stretches: Sequence[Stretch]) -> int:
        """Erase what was read in these stretches, beyond recovery; how many rows it was."""
        body = msgspec.json.encode(list(stretches))
        answer = self._ask("POST", "/erase", wait=ERASE_S, sent=body)[1]
        return self._decoded(answer, dict[str, int])["rows"]

    def errand(self, timeout: float) -> Errand | None:
        """The next command by MQTT that the page is to carry out; see `control.Daemon.errand`."""
        query = urlencode({"timeout": timeout})
        response, body = self._ask("POST", f"/errand?{query}", wait=timeout)
        return None if response.status == HTTPStatus.NO_CONTENT else self._decoded(body, Errand)

    def errand_done(self, done: Done) -> None:
        self._ask("POST", "/errand-done", sent=msgspec.json.encode(done))

    def import_log(self, quarters: Sequence[Quarter]) -> int:
        """See `control.Daemon.import_log`; up to 1,000 at a time."""
        body = msgspec.json.encode(list(quarters))
        answer = self._ask("POST", "/import-log", wait=ERASE_S, sent=body)[1]
        return self._decoded(answer, dict[str, int])["rows"]

    def restore(self, file: Path) -> None:
        """See `control.Daemon.restore`."""
        body = msgspec.json.encode({"file": str(file)})
        self._ask("POST", "/restore", wait=RESTORE_S, sent=body)

    def close(self) -> None:
        """Close the idle connections; the client stays usable."""
        while self._idle:
            self._idle.pop().close()

    def _decoded(self, answer: bytes, kind: type[_T]) -> _T:
        try:
            return msgspec.json.decode(answer, type=kind)
        except msgspec.MsgspecError as error:
            raise ControlError(
                f"the service at {self._path} answers in another version's way ({error}); "
                "install the same version of both services and restart them"
            ) from error

    def _ask(
        self, method: str, target: str, wait: float = 0.0, sent: bytes | None = None
    ) -> tuple[http.client.HTTPResponse, bytes]:
        response, body = self._exchange(method, target, self._timeout + wait, sent)
        if response.status < 400:
            return response, body
        with suppress(ValueError, KeyError, TypeError):
            body = json.loads(body)["error"].encode()
        sentence = body.decode(errors="replace")
        kinds = {HTTPStatus.TOO_MANY_REQUESTS: Busy, HTTPStatus.SERVICE_UNAVAILABLE: NoPicture}
        raise kinds.get(HTTPStatus(response.status), ControlError)(sentence)

    def _exchange(
        self, method: str, target: str, timeout: float, sent: bytes | None
    ) -> tuple[http.client.HTTPResponse, bytes]:
        while True:
            try:
                connection, fresh = self._idle.pop(), False
            except IndexError:
                connection, fresh = _Connection(self._path), True
            try:
                connection.patience(timeout)
                connection.request(method, target, sent)
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
