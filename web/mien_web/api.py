"""The read API: pictures of the library and the FACS table as JSON, for who is signed in. Described
in docs/api.md, and for programs by `/api/openapi.json`."""

from typing import Any, Literal, cast

import msgspec
from flask import Blueprint, Response, abort, request, url_for
from flask_babel import gettext
from msgspec import Struct
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import HTTPException

from mien import __version__, gallery
from mien.clock import iso
from mien.events import EXPRESSIONS, Expression
from mien.gallery import Filter, Picture
from mien_web import desk, door, facs

page = Blueprint("api", __name__)
door.needs(page, "therapist", "administrator")

MOST = 200
"""Pictures a page."""
PAGES = 1_000_000


class Image(Struct, frozen=True):
    """A face in the library. `width` and `height` are those of the file that it came from, in
    pixels; `emotion` is null while nobody said what the expression looks like; `added` is UTC."""

    id: int
    emotion: Expression | None
    source: str
    color: Literal["color", "gray"]
    width: int
    height: int
    name: str
    added: str
    face_url: str
    crop_url: str


class Images(Struct, frozen=True):
    """A page of the library, the newest picture first. `total` counts the pictures of all pages."""

    page: int
    page_size: int
    total: int
    images: list[Image]


class Problem(Struct, frozen=True):
    """What is wrong, and what to do."""

    error: str


@page.errorhandler(HTTPException)
def problem(error: HTTPException) -> Response:
    answer = _json(Problem(error.description or error.name))
    answer.status_code = error.code or 500
    return answer


@page.get("/api/images")
def images() -> Response:
    known = {"page", "page_size", "emotion", "source", "color"}
    if strange := sorted(set(request.args) - known):
        abort(
            400,
            gettext(
                "There is no parameter “%(name)s”; known are %(known)s.",
                name=strange[0],
                known=", ".join(sorted(known)),
            ),
        )
    number, size = whole("page", 1, PAGES), whole("page_size", 50, MOST)
    chosen = filter_of(request.args)
    total, found = desk.read(lambda db: gallery.page(db, desk.user().id, chosen, number, size))
    return _json(Images(number, size, total, [_image(picture) for picture in found]))


@page.get("/api/images/<int(max=9223372036854775807):id>")
def image(id: int) -> Response:
    picture = desk.read(lambda db: gallery.find(db, desk.user().id, id))
    return _json(_image(picture or abort(404, _missing(id))))


@page.get("/api/images/<int(max=9223372036854775807):id>/face.jpg")
def face(id: int) -> Response:
    return _pixels(id, "face", "image/jpeg")


@page.get("/api/images/<int(max=9223372036854775807):id>/crop.png")
def crop(id: int) -> Response:
    return _pixels(id, "crop", "image/png")


@page.get("/api/facs")
def facs_table() -> Response:
    return _json(facs.TABLE)


@page.get("/api/openapi.json")
def openapi() -> Response:
    return _json(description())


# ── what is asked ────────────────────────────────────────────────────────────────────────────────


def whole(name: str, otherwise: int, most: int) -> int:
    """A whole number from 1 on of the request, or an answer that says so."""
    said = request.args.get(name)
    if said is None:
        return otherwise
    if not (said.isascii() and said.isdecimal() and len(said) < 10 and 1 <= int(said) <= most):
        abort(
            400,
            gettext("“%(name)s” must be a whole number from 1 to %(most)s.", name=name, most=most),
        )
    return int(said)


def filter_of(said: "MultiDict[str, str]") -> Filter:
    """Which pictures a request means, by `emotion`, `source`, `color`, `people` and `text`."""
    emotion, color, people = (said.get(name, "") for name in ("emotion", "color", "people"))
    if emotion and emotion not in (*EXPRESSIONS, "none"):
        _must_be("emotion", [*EXPRESSIONS, "none"])
    if color not in ("", "color", "gray"):
        _must_be("color", ["color", "gray"])
    if people not in ("", "uploads", "captures"):
        _must_be("people", ["uploads", "captures"])
    return Filter(
        None if not emotion else -1 if emotion == "none" else _place(emotion),
        said.get("source", "")[:500],
        cast(gallery.Color, color) or None,
        cast(gallery.People, people) or None,
        said.get("text", "").strip()[:200],
    )


def _place(emotion: str) -> int:
    return [str(name) for name in EXPRESSIONS].index(emotion)


def _must_be(name: str, choices: list[str]) -> None:
    abort(
        400,
        gettext("“%(name)s” must be one of %(choices)s.", name=name, choices=", ".join(choices)),
    )


# ── answers ──────────────────────────────────────────────────────────────────────────────────────


def _image(picture: Picture) -> Image:
    return Image(
        picture.id,
        None if picture.expression is None else EXPRESSIONS[picture.expression],
        picture.source,
        picture.color,
        picture.width,
        picture.height,
        picture.name,
        iso(picture.added / 1000),
        url_for("api.face", id=picture.id),
        url_for("api.crop", id=picture.id),
    )


def _pixels(id: int, column: Literal["face", "crop"], kind: str) -> Response:
    found = desk.read(lambda db: gallery.blob(db, desk.user().id, id, column))
    return Response(found or abort(404, _missing(id)), mimetype=kind)


def _missing(id: int) -> str:
    return str(gettext("There is no picture %(id)s in the library, or you may not see it.", id=id))


def _json(answer: Any) -> Response:
    return Response(msgspec.json.encode(answer), mimetype="application/json")


# ── OpenAPI 3.1 ──────────────────────────────────────────────────────────────────────────────────


def description() -> dict[str, Any]:
    """The document: paths by hand, what they answer from the same structs that make the answers."""
    _, schemas = msgspec.json.schema_components(
        [Images, Image, facs.Table, Problem], ref_template="#/components/schemas/{name}"
    )
    id_ = _parameter("id", {"type": "integer", "minimum": 0}, "The picture's number.", "path")
    choose = [
        _parameter("page", {"type": "integer", "minimum": 1, "maximum": PAGES, "default": 1},
                   "Pages count from 1."),
        _parameter("page_size", {"type": "integer", "minimum": 1, "maximum": MOST, "default": 50},
                   "Pictures a page."),
        _parameter("emotion", {"type": "string", "enum": [*EXPRESSIONS, "none"]},
                   "What the expression is said to look like; none: nobody said."),
        _parameter("source", {"type": "string"}, "Where pictures came from, word for word."),
        _parameter("color", {"type": "string", "enum": ["color", "gray"]}, "Colour space."),
    ]  # fmt: skip
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Mien",
            "version": __version__,
            "description": "Reads the picture library of one box. Every answer needs the cookie "
            "of a therapist or administrator who is signed in.",
        },
        "paths": {
            "/api/images": _get("Pictures of the library, by page", Images, choose, 400),
            "/api/images/{id}": _get("One picture", Image, [id_], 404),
            "/api/images/{id}/face.jpg": _get("The face in colour", "image/jpeg", [id_], 404),
            "/api/images/{id}/crop.png": _get(
                "What a network gets: grey, 48×48", "image/png", [id_], 404
            ),
            "/api/facs": _get("Action units, and expressions made of them", facs.Table, []),
            "/api/openapi.json": _get("This document", "application/json", []),
        },
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "login": {"type": "apiKey", "in": "cookie", "name": door.COOKIE},
            },
        },
        "security": [{"login": []}],
    }


def _parameter(
    name: str, schema: dict[str, Any], text: str, place: str = "query"
) -> dict[str, Any]:
    needed = {"required": True} if place == "path" else {}
    return {"name": name, "in": place, "description": text, "schema": schema, **needed}


def _get(
    summary: str, answer: type[Struct] | str, parameters: list[dict[str, Any]], *wrong: int
) -> dict[str, Any]:
    said = {400: "A parameter is not as it should be", 401: "Not signed in"} | {
        403: "Signed in, but neither as therapist nor as administrator", 404: "Not there"
    }  # fmt: skip
    content: dict[str, Any] = (
        {answer: {}} if isinstance(answer, str) else {"application/json": {"schema": _ref(answer)}}
    )
    problems = {
        str(code): {
            "description": said[code],
            "content": {"application/json": {"schema": _ref(Problem)}},
        }
        for code in (*wrong, 401, 403)
    }
    return {
        "get": {
            "summary": summary,
            "parameters": parameters,
            "responses": {"200": {"description": summary, "content": content}, **problems},
        }
    }


def _ref(answer: type[Struct]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{answer.__name__}"}
