"""Tables as CSV, as spreadsheets read them."""

import csv
import io
import re
from collections.abc import Iterable

_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?(e[+-]?\d+)?", re.IGNORECASE)
_BEGINS = re.compile(
    '^(?=[\t\r\n])|(^|[;\n\r\t])(?=[ "\xa0\u3000]*[=+\\-@\uff1d\uff0b\uff0d\uff20])'
)
"""Where a formula would begin: at the start of a cell, and where a spreadsheet that splits at
semicolons or tabs (a German Excel does) begins one, for a quotation inside of a line counts for
nothing there. East Asian programs take the wide signs too."""


def table(header: Iterable[str] | None, rows: Iterable[Iterable[str]]) -> str:
    """Rows as CSV; cells that a spreadsheet would run are made tame."""
    file = io.StringIO()
    writer = csv.writer(file)
    if header is not None:
        writer.writerow(tame(cell) for cell in header)
    writer.writerows([tame(cell) for cell in row] for row in rows)
    return file.getvalue()


def tame(cell: str) -> str:
    """A spreadsheet takes a text that begins like a formula for one
    (https://owasp.org/www-community/attacks/CSV_Injection); a number is what it looks like."""
    return cell if _NUMBER.fullmatch(cell) else _BEGINS.sub(r"\1'", cell)
