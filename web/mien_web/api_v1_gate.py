"""The gate of the API, version 1: a token in each request, its scope, and how answers look.

No cookie counts here, so no other web site can act in a visitor's name, and forms' tokens are not
asked for (see `guard`).
"""

import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NoReturn

import msgspec
from flask import Blueprint, Response, abort, g, request
from flask_babel import gettext
from msgspec import Struct
from werkzeug.exceptions import HTTPException, TooManyRequests

from mien import attempts, taps, tokens
from mien.database import StoreError
from mien.tokens import Scope
from mien_web import desk, door, guard, parts

page = Blueprint("api_v1", __name__, url_prefix=guard.API)

View = Callable[..., Any]


class Problem(Struct, frozen=True):
    """What is wrong, and what to do."""

    error: str


class Parameter(Struct, frozen=True):
    """A field of the query."""

    name: str
    schema: dict[str, Any]
    text: str


class Offer(Struct, frozen=True):
    """One thing that may be asked, as the OpenAPI document tells of it. `answer` is a struct, a
    media type, or None where the answer has no content."""

    name: str
    method: str
    path: str
    scope: Scope | None
    summary: str
    answer: Any
    body: type[Struct] | None
    parameters: Sequence[Parameter]
    status: int
    problems: Sequence[int]


OFFERS: list[Offer] = []


def offer(
    method: str,
    path: str,
    scope: Scope | None,
    summary: str,
    *,
    answer: Any,
    body: type[Struct] | None = None,
    parameters: Sequence[Parameter] = (),
    status: int = 200,
    problems: Sequence[int] = (),
) -> Callable[[View], View]:
    """Serve a view at this path and list it. It gets the parts of the path and, as `body`, what
    was sent; what it returns is sent as JSON, unless it is a response already."""

    def register(view: View) -> View:
        name = view.__name__
        OFFERS.append(
            Offer(name, method, path, scope, summary, answer, body, parameters, status, problems)
        )

        def serve(**arguments: Any) -> Response:
            if scope is not None:
                _let_in(scope)
            _known_only([one.name for one in parameters])
            if body is not None:
                arguments["body"] = _sent(body)
            said = view(**arguments)
            return said if isinstance(said, Response) else json(said, status)

        page.add_url_rule(path, name, serve, methods=[method])
        return view

    return register


def json(answer: Any, status: int = 200) -> Response:
    if status == 204:
        return Response(status=204)
    return Response(msgspec.json.encode(answer), status, mimetype="application/json")


# ── who asks ─────────────────────────────────────────────────────────────────────────────────────


def _let_in(scope: Scope) -> None:
    g.user = g.login = None  # whoever is signed in in this browser does not count
    kind, _, said = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "bearer" or not said.strip():
        abort(401, gettext("Send a token: “Authorization: Bearer …”. Make one on the page."))
    held = desk.read(lambda db: tokens.find(db, said.strip()))
    if held is None:
        _wrong()
    if scope not in held.scopes:
        abort(
            403,
            gettext("This token does not allow “%(scope)s”. Make one that does.", scope=scope),
        )
    if tokens.stale(held, door.now_ms()):
        with suppress(StoreError):  # a full disk keeps nobody from reading
            desk.write(lambda db: tokens.used(db, held.id, door.now_ms()))
    g.user, g.held = held.user, held


def _wrong() -> NoReturn:
    """Each wrong token makes the next one from there wait. A right one never waits: nobody guesses
    256 bits, and one wrong program on a machine must not lock out the others."""
    address = attempts.door("token", request.remote_addr or "")
    if wait := desk.write(lambda db: attempts.begin(db, door.now_ms(), address)):
        raise TooManyRequests(door.waiting(wait), retry_after=-(-wait // 1000))
    abort(401, gettext("This token is not known; perhaps it was revoked. Make a new one."))


# ── what is asked ────────────────────────────────────────────────────────────────────────────────


def _known_only(names: list[str]) -> None:
    if strange := sorted(set(request.args) - set(names)):
        known = ", ".join(names) or gettext("none")
        abort(
            422,
            gettext(
                "There is no parameter “%(name)s”; known are %(known)s.",
                name=strange[0],
                known=known,
            ),
        )


def _sent(kind: type[Struct]) -> Any:
    data = request.get_data()
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as error:
        abort(422, gettext("The body is not as it should be: %(why)s.", why=error))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        abort(400, gettext("The body must be a JSON object: %(why)s.", why=error))


def key_of(id: str | None) -> str:
    """What a thing is kept under: this id, which makes it known when sent again, or a new one."""
    if not id:
        return str(uuid.uuid4())
    if not taps.is_id(id):
        abort(422, gettext("An id must be a UUID in small letters, a new one for each new thing."))
    return id


# ── what is answered instead ─────────────────────────────────────────────────────────────────────


@page.errorhandler(HTTPException)
def _problem(error: HTTPException) -> Response:
    answer = json(Problem(error.description or error.name), error.code or 500)
    if error.code == 401:
        answer.headers["WWW-Authenticate"] = 'Bearer realm="Mien"'
    if isinstance(error, TooManyRequests) and error.retry_after is not None:
        answer.headers["Retry-After"] = str(error.retry_after)
    return answer


@page.errorhandler(StoreError)
def _no_store(error: StoreError) -> Response:
    return json(Problem(parts.say(str(error))), 503)


@page.route("/", defaults={"rest": ""}, methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
@page.route("/<path:rest>", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
def nothing(rest: str) -> NoReturn:
    abort(
        404,
        gettext(
            "There is nothing to %(method)s at %(path)s; see %(document)s.",
            method=request.method,
            path=request.path,
            document=f"{guard.API}/openapi.json",
        ),
    )
