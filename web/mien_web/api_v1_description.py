"""OpenAPI 3.1 of the API: made of what is offered, so that it cannot tell anything else."""

import re
from functools import cache
from typing import Any

import msgspec

from mien import __version__
from mien.tokens import SCOPES
from mien_web import guard
from mien_web.api_v1_gate import OFFERS, Offer, Problem

SAID = {
    400: "The body is no JSON",
    401: "No token, or one that is not known",
    403: "The token does not allow this",
    404: "Not there, or not yours to see",
    409: "Not now: the sentence says why",
    413: "More than 64 kB were sent",
    422: "A field is not as it should be",
    429: "Too many wrong tokens; Retry-After says how many seconds to wait",
    502: "The service refused; the sentence says why",
    503: "The service, its store or the camera does not answer",
}


@cache
def document() -> dict[str, Any]:
    """The whole document."""
    kinds: set[Any] = {Problem}
    for one in OFFERS:
        kinds.update(kind for kind in (one.answer, one.body) if isinstance(kind, type))
    # Sorted, so that the document is the same in each run.
    ordered = sorted(kinds, key=lambda kind: (kind.__module__, kind.__name__))
    refs, schemas = msgspec.json.schema_components(
        ordered, ref_template="#/components/schemas/{name}"
    )
    ref_of = dict(zip(ordered, refs, strict=True))
    paths: dict[str, Any] = {}
    for one in OFFERS:
        path = guard.API + re.sub(r"<(\w+)>", r"{\1}", one.path)
        paths.setdefault(path, {})[one.method.lower()] = _operation(one, ref_of)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Mien",
            "version": __version__,
            "description": "The data of one box, for programs that hold a token. Expressions are "
            "what a face looked like, never what somebody felt; every figure carries the seconds "
            "it stands on, and null means: cannot tell.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "Made on the page, under the user's name. Scopes: "
                    + ", ".join(SCOPES),
                }
            },
        },
    }


def _operation(one: Offer, ref_of: dict[Any, Any]) -> dict[str, Any]:
    codes = {*one.problems, 422}  # an unknown parameter is refused everywhere
    if one.scope is not None:
        codes |= {401, 403, 429, 503}
    if one.body is not None:
        codes |= {400, 413}
    good: dict[str, Any] = {"description": one.summary}
    if one.answer is not None:
        kind = one.answer if isinstance(one.answer, str) else "application/json"
        schema = {} if isinstance(one.answer, str) else {"schema": ref_of[one.answer]}
        good["content"] = {kind: schema}
    problem = {"application/json": {"schema": ref_of[Problem]}}
    operation: dict[str, Any] = {
        "operationId": one.name,
        "summary": one.summary,
        "parameters": [
            *(
                {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
                for name in re.findall(r"<(\w+)>", one.path)
            ),
            *(
                {"name": each.name, "in": "query", "description": each.text, "schema": each.schema}
                for each in one.parameters
            ),
        ],
        "responses": {
            str(one.status): good,
            **{
                str(code): {"description": SAID[code], "content": problem} for code in sorted(codes)
            },
        },
        # OpenAPI 3.1 lets a bearer token name the roles, here scopes, that are needed.
        "security": [] if one.scope is None else [{"token": [one.scope]}],
    }
    if one.body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": ref_of[one.body]}},
        }
    return operation
