"""Files that leave the box through the browser: their names, and the audit line of each."""

import unicodedata
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import IO, Any
from urllib.parse import quote

from flask import Response, stream_with_context

from mien import audit
from mien_web import desk

PIECE = 1 << 16
"""Bytes that are handed to the server at once."""
Body = bytes | IO[bytes] | Iterable[str | bytes]


def send(
    body: Body, kind: str, name: str, left: Callable[[], None], length: int | None = None
) -> Response:
    """Return a file to be saved under a name.

    Args:
        body: All of it, an open file, which is closed afterwards, or its pieces.
        kind: The media type.
        name: The file's name, with any letters.
        left: Is called once the last byte was handed to the connection; never where the browser
            broke off before. See `audited`.
        length: Bytes of an open file; the browser then sees when it is complete.
    """
    if isinstance(body, bytes):
        length = len(body)
    answer = Response(stream_with_context(_sent(body, left)), mimetype=kind.split(";")[0])
    answer.headers["Content-Type"] = kind
    answer.headers["Content-Disposition"] = disposition(name)
    if length is not None:
        answer.content_length = length
    return answer


def audited(action: str, subject: str = "", **detail: object) -> Callable[[], None]:
    """Return what writes a line into the audit list, in the name of who asks now."""
    user = desk.user().name

    def note() -> None:
        now = desk.now().utc
        desk.write(lambda db: audit.note(db, now, user, action, subject, **detail))

    return note


def disposition(name: str) -> str:
    """Return the header by which a browser saves a file under a name (RFC 6266, RFC 8187).

    A header holds ASCII alone, so browsers read the name from `filename*`. What does not know that
    takes the letters of `filename` that are left without accents.
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    plain = "".join(c if c.isalnum() or c in " -_.()" else "-" for c in plain)
    header = f'attachment; filename="{plain}"'
    return header if plain == name else f"{header}; filename*=UTF-8''{quote(name, safe='')}"


def stem(*parts: str) -> str:
    """Return the beginning of a file's name: `mien` and these, with other signs as dashes."""
    kept = ("".join(c if c.isalnum() or c in "-_" else "-" for c in part) for part in parts)
    return "-".join(("mien", *kept))


def _sent(body: Any, left: Callable[[], None]) -> Iterator[Any]:
    if isinstance(body, bytes):
        yield from (body[at : at + PIECE] for at in range(0, len(body), PIECE))
    elif hasattr(body, "read"):
        with body:
            yield from iter(partial(body.read, PIECE), b"")
    else:
        yield from body
    left()
