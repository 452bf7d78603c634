"""Tables as CSV, as spreadsheets read them."""

import csv
import io
import re
from collections.abc import Iterable

_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")


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
    (https://owasp.org/www-community/attacks/CSV_Injection); a number is what it looks like."""
    begins = cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    return f"'{cell}" if begins and not _NUMBER.fullmatch(cell) else cell
