"""Sessions over the API and by MQTT: started, tagged and stopped with the same checks as on the
pages."""

import uuid
from typing import Literal

from flask import abort, request
from flask_babel import gettext
from msgspec import Struct

from mien import captures, clients, sessions
from mien.clients import Client
from mien.clock import iso
from mien.events import EXPRESSIONS, Expression
from mien.sessions import KeywordError, Session
from mien.taps import Tap
from mien_web import clients as client_page
from mien_web import desk, leading, session, session_words
from mien_web.api_v1_gate import Parameter, key_of, offer

MOST = 200
How = Literal["on", "off", "moment"]


class Start(Struct, frozen=True, forbid_unknown_fields=True):
    """`client` is a code name."""

    client: str


class Tag(Struct, frozen=True, forbid_unknown_fields=True):
    """A topic goes on from now, ends, or was a moment. `id` is a UUID of yours: sent again, it is
    the same tap."""

    text: str
    how: How = "on"
    id: str | None = None


class SessionTold(Struct, frozen=True):
    """A session. `client` is the code name; `start` UTC, which is to be trusted where `clock_ok`;
    `length_s` so far while it runs. `ended`: stopped, forgotten, restart or withdrawn."""

    id: str
    client: str
    start: str
    clock_ok: bool
    running: bool
    length_s: float
    ended: str | None


class Sessions(Struct, frozen=True):
    """The newest first."""

    sessions: list[SessionTold]


class Capture(Struct, frozen=True, forbid_unknown_fields=True):
    """`id` is a UUID of yours: sent again, it is the same capture."""

    id: str | None = None


class Captured(Struct, frozen=True):
    """What the face looked like in that frame; null where it cannot be told, and then `reason`
    says why. The picture stays on the box."""

    id: str
    at_s: float
    expression: Expression | None
    reason: str | None


class Tagged(Struct, frozen=True):
    """`at_s` is the time in the session."""

    id: str
    text: str
    how: How
    at_s: float


@offer(
    "GET", "/sessions", "sessions", "Sessions with the user's clients",
    answer=Sessions,
    parameters=(Parameter("client", {"type": "string"}, "Code name; all clients if left out."),),
    problems=(404,),
)  # fmt: skip
def led() -> Sessions:
    code = request.args.get("client")
    with_whom = [client_of(code)] if code else _clients()
    found = [
        (one, client)
        for client in with_whom
        for one in desk.read(lambda db, id=client.id: sessions.of_client(db, id))  # type: ignore[misc]
    ]
    found.sort(key=lambda pair: (-pair[0].utc, pair[0].id))
    return Sessions([told(one, client) for one, client in found[:MOST]])


@offer(
    "POST", "/sessions", "sessions", "Start a session, or join the one that runs",
    answer=SessionTold, body=Start, status=201, problems=(404, 409),
)  # fmt: skip
def begin(body: Start) -> SessionTold:
    return start(body.client)


@offer("POST", "/sessions/<id>/stop", "sessions", "Stop a session",
       answer=SessionTold, problems=(404,))  # fmt: skip
def end(id: str) -> SessionTold:
    return stop(*session.find(id))


@offer(
    "POST", "/sessions/<id>/tags", "sessions", "Tag what is being talked about",
    answer=Tagged, body=Tag, status=201, problems=(404, 409),
)  # fmt: skip
def add_tag(id: str, body: Tag) -> Tagged:
    key = key_of(body.id)
    return tag(*session.find(id), body.text, body.how, key)


@offer(
    "POST", "/sessions/<id>/captures", "sessions", "Keep the face as it is now",
    answer=Captured, body=Capture, status=201, problems=(404, 409, 502),
)  # fmt: skip
def add_capture(id: str, body: Capture) -> Captured:
    key = key_of(body.id)
    found, _ = session.find(id)
    leading.capture(found, key)
    kept = desk.read(lambda db: captures.find(db, key, desk.user().id))
    if kept is None:
        abort(409, gettext("This capture was erased meanwhile."))
    look = None if kept.expression is None else EXPRESSIONS[kept.expression]
    return Captured(key, kept.at_ms / 1000, look, kept.reason)


# ── what commands by MQTT do, too ────────────────────────────────────────────────────────────────


def start(code: str) -> SessionTold:
    client = client_of(code)
    session.tidy()
    return told(leading.begin(client), client)


def running() -> tuple[Session, Client]:
    """This user's session that runs."""
    session.tidy()
    found = client_page.running()
    if found is None:
        abort(409, gettext("No session of yours runs."))
    return found


def stop(found: Session, client: Client, id: str | None = None) -> SessionTold:
    if found.length_ms is None:
        leading.perform(found, client, [Tap(id or str(uuid.uuid4()), "stop")])
    return told(*session.find(found.id))


def tag(found: Session, client: Client, text: str, how: How, id: str) -> Tagged:
    """Under this id, a UUID: done once."""
    try:
        text = sessions.clean(text)
    except KeywordError as error:
        abort(422, str(session_words.FAULTS[error.fault]))
    name = str(uuid.uuid5(uuid.UUID(id), "topic"))
    kinds = {"on": "tag_on", "off": "tag_off", "moment": "moment"}
    known = [one.text.casefold() for one in desk.read(lambda db: _topics(db))]
    if how == "off" and text.casefold() not in known:
        abort(409, gettext("This topic is not in your list, so it cannot end."))
    sent = [Tap(name, "keyword_new", text=text), Tap(id, kinds[how], keyword=name)]
    for done in (answers := leading.perform(found, client, sent)):
        if done.fault:
            abort(409, str(session_words.FAULTS[done.fault]))
    return Tagged(id, text, how, answers[-1].at_ms / 1000)


def _topics(db: object) -> list[sessions.Keyword]:
    return sessions.keywords(db, desk.user().id)


def client_of(code: str) -> Client:
    """The user's client of this code name, in which capitals do not count."""
    wanted = code.strip().casefold()
    for one in _clients():
        if one.code.casefold() == wanted and not one.archived:
            return one
    return abort(404, gettext("You have no client of this code name."))


def _clients() -> list[Client]:
    return desk.read(lambda db: clients.of(db, desk.user().id))


def told(found: Session, client: Client) -> SessionTold:
    now = desk.now()
    return SessionTold(
        found.id,
        client.code,
        iso(found.utc / 1000),
        found.clock_ok,
        found.length_ms is None,
        sessions.now_ms(found, now) / 1000,
        found.ended,
    )
