"""The client of a box's API, for programs elsewhere: standard library only. See docs/api.md.

box = Mien("http://localhost:8080", "mien_…")
for day in box.days():
    print(day["date"], day["expression"] or "cannot tell", day["read_s"] // 60, "min")
"""

import json
import uuid
from collections.abc import Sequence
from datetime import date, datetime
from http.client import HTTPException
from typing import Any, NoReturn, cast
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from mien.events import MienError

Answer = dict[str, Any]
"""JSON as docs/api.md tells of it."""


class ClientError(MienError):
    """The box refused, or did not answer; the text is its sentence. `status`: of HTTP, or None."""

    def __init__(self, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status


class _Stay(HTTPRedirectHandler):
    """A token goes to the box that it is for, and is not carried on elsewhere."""

    def redirect_request(self, *_: Any) -> None:
        return None


class Mien:
    """A box, asked with a token. Every method raises ClientError.

    Args:
        address: of the page, such as `http://localhost:8080`.
        person: code name of whom is asked, where the token's user takes care of several.
    """

    def __init__(
        self, address: str, token: str, *, person: str | None = None, timeout: float = 10.0
    ) -> None:
        if urlsplit(address).scheme not in ("http", "https"):
            raise ClientError(f"the address must begin with http:// or https://, not {address!r}")
        if not (token.isascii() and token.isprintable()):
            raise ClientError("the token is not one as the page shows it; copy it anew")
        self._address = address.rstrip("/") + "/api/v1"
        self._token = token
        self._person = person
        self._timeout = timeout
        self._opener = build_opener(_Stay)

    def status(self) -> Answer:
        return self._ask("GET", "/status")

    def metrics(self) -> str:
        """Prometheus text."""
        return self._send("GET", "/metrics").decode()

    def pause(self) -> None:
        self._ask("POST", "/pause")

    def resume(self) -> None:
        self._ask("POST", "/resume")

    def days(self, first: date | None = None, last: date | None = None) -> list[Answer]:
        """What was seen on these days, `last` included; the last 30 if left out."""
        return self._list(self._span("/log/days", first, last), "days")

    def hours(self, day: date) -> list[Answer]:
        """What was seen in each hour of a day."""
        path = self._of(f"/log/days/{day.isoformat()}")
        return self._list(path, "hours")

    def checkins(self, first: date | None = None, last: date | None = None) -> list[Answer]:
        return self._list(self._span("/checkins", first, last), "checkins")

    def check_in(
        self,
        mood: int | None = None,
        *,
        emotions: Sequence[str] | None = None,
        activities: Sequence[str] = (),
        note: str = "",
        at: datetime | None = None,
        id: str | None = None,
    ) -> Answer:
        """Keep a check-in; one that knows an `id` may be sent again, and is kept once."""
        said = {
            "mood": mood,
            "emotions": None if emotions is None else list(emotions),
            "activities": list(activities),
            "note": note,
            "at": at.isoformat() if at else None,
            "person": self._person,
            "id": id or str(uuid.uuid4()),
        }
        return self._ask("POST", "/checkins", said)

    def delete_checkin(self, id: str) -> None:
        self._ask("DELETE", self._of(f"/checkins/{quote(id, safe='')}"))

    def activities(self) -> list[Answer]:
        return self._list(self._of("/activities"), "activities")

    def patterns(self) -> Answer:
        return self._ask("GET", self._of("/patterns"))

    def sessions(self) -> list[Answer]:
        return self._list("/sessions", "sessions")

    def start(self, client: str) -> Answer:
        """Begin a session with the client of this code name."""
        return self._ask("POST", "/sessions", {"client": client})

    def tag(self, session: str, text: str, how: str = "on", id: str | None = None) -> Answer:
        """`how`: on, off or moment."""
        said = {"text": text, "how": how, "id": id or str(uuid.uuid4())}
        return self._ask("POST", f"/sessions/{quote(session, safe='')}/tags", said)

    def stop(self, session: str) -> Answer:
        return self._ask("POST", f"/sessions/{quote(session, safe='')}/stop")

    def _list(self, path: str, key: str) -> list[Answer]:
        answer = self._ask("GET", path)
        if not isinstance(answer.get(key), list):
            self._strange()
        return cast(list[Answer], answer[key])

    def _span(self, path: str, first: date | None, last: date | None) -> str:
        ends = {"from": first, "to": last}
        return self._of(path, **{name: day.isoformat() for name, day in ends.items() if day})

    def _of(self, path: str, **query: str | None) -> str:
        said = {name: text for name, text in {**query, "person": self._person}.items() if text}
        return f"{path}?{urlencode(said)}" if said else path

    def _ask(self, method: str, path: str, said: Answer | None = None) -> Answer:
        body = self._send(method, path, said)
        try:
            answer = json.loads(body or b"{}")
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            self._strange()
        return answer

    def _strange(self) -> NoReturn:
        raise ClientError(f"{self._address} does not answer as a Mien box does") from None

    def _send(self, method: str, path: str, said: Answer | None = None) -> bytes:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        body = None if said is None else json.dumps(said).encode()
        request = Request(self._address + path, body, headers, method=method)
        try:
            with self._opener.open(request, timeout=self._timeout) as answer:
                return cast(bytes, answer.read())
        except HTTPError as error:
            with error:
                raise ClientError(_sentence(error), error.code) from None
        except HTTPException:
            self._strange()
        except (URLError, OSError, ValueError) as error:
            why = getattr(error, "reason", None) or error
            raise ClientError(f"the box at {self._address} cannot be asked: {why}") from None


def _sentence(error: HTTPError) -> str:
    try:
        return str(json.loads(error.read())["error"])
    except (ValueError, KeyError, TypeError, OSError, HTTPException, RecursionError):
        return f"the box answered {error.code} {error.reason}, which is not its way"
