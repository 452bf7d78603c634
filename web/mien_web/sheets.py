"""Tables and files that are handed to the browser."""

import csv
import io
from collections.abc import Iterable
from typing import Any

from flask import Response


def table(header: Iterable[str] | None, rows: Iterable[Iterable[str]]) -> str:
    """Rows as CSV; cells that a spreadsheet would run are made tame."""
    file = io.StringIO()
    writer = csv.writer(file)
    if header is not None:
        writer.writerow(header)
    writer.writerows([tame(cell) for cell in row] for row in rows)
    return file.getvalue()


def tame(cell: str) -> str:
    """A spreadsheet takes a text that begins like a formula for one
    (https://owasp.org/www-community/attacks/CSV_Injection)."""
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell


def download(body: Any, kind: str, name: str) -> Response:
    """A file of this kind, saved under this name."""
    answer = Response(body, mimetype=kind.split(";")[0])
    answer.headers["Content-Type"] = kind
    answer.headers.set("Content-Disposition", "attachment", filename=name)
    return answer
