"""Tables that people bring along, as CSV: which encoding and which separator they are in.

A file is read row by row, so its length does not matter. Formats: RFC 4180, and what spreadsheet
programs of other languages make of it (semicolons, tabs, UTF-16, Windows-1252, a line `sep=;`).
"""

import codecs
import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from mien.events import MienError

_SAMPLE = 1 << 16
_SEPARATORS = ",;\t|"
_END = "\0"


class CsvError(MienError, ValueError):
    """A file cannot be read as the table it should be; the sentence names it."""


class Table:
    """The rows of a file, the first one being the header.

    Raises:
        CsvError: at once or while it is read: it is empty, no text, or broken off in a quotation.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        """`file` can seek; it is closed with the table."""
        self.name = name
        self._file = file
        self.encoding = _encoding(file, name)
        file.seek(0)
        # What cannot be decoded is not worth losing a diary for.
        text = io.TextIOWrapper(file, self.encoding, errors="replace", newline="")
        self._text = text
        self.separator, self._skipped = _separator(text, name)
        text.seek(0)
        for _ in range(self._skipped):
            text.readline()
        self._reader = csv.reader(self._lines(), delimiter=self.separator, skipinitialspace=True)
        self._rows = self._read()
        _, self.header = next(self._rows, (0, []))

    @classmethod
    def opened(cls, path: Path) -> "Table":
        """Raises CsvError also where there is no such file."""
        try:
            file = path.open("rb")
            try:
                return cls(file, path.name)
            except BaseException:
                file.close()
                raise
        except OSError as error:
            reason = (error.strerror or str(error)).rstrip(".").lower()
            raise CsvError(f"{path} cannot be read: {reason}. Name a CSV file.") from None

    @property
    def position(self) -> int:
        """About how many bytes were read."""
        return self._file.tell()

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        """The rows after the header: the line that each begins on, from 1, and its fields; blank
        lines are left out."""
        return self._rows

    def close(self) -> None:
        self._text.close()

    def __enter__(self) -> "Table":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _lines(self) -> Iterator[str]:
        """Those of the file, and one more: it is a row of its own, unless a quotation swallowed
        it, which the reader would not say."""
        self._ended = False
        yield from self._text
        self._ended = True
        yield _END

    def _read(self) -> Iterator[tuple[int, list[str]]]:
        line = 1 + self._skipped
        while True:
            try:
                row = next(self._reader)
                if self._ended and row == [_END]:
                    return
                if self._ended:
                    raise csv.Error
            except csv.Error as error:
                # In a long file the limit of a field is met before the end of the quotation is.
                if "field larger" in str(error):
                    raise CsvError(
                        f"{self.name}, line {line}: a quotation mark is opened here and not closed "
                        "again, or a field is too large. Mend it, or export the file anew."
                    ) from None
                raise CsvError(
                    f"{self.name}, line {line}: a quotation mark is opened here and not closed "
                    "again. Close it, or export the file anew."
                ) from None
            except OSError as error:
                raise CsvError(f"{self.name} cannot be read: {error}. Copy it anew.") from None
            if any(row):
                yield line, row
            line = 1 + self._skipped + self._reader.line_num


def _encoding(file: BinaryIO, name: str) -> str:
    file.seek(0)
    sample = file.read(_SAMPLE)
    if not sample.strip():
        raise CsvError(f"{name} is empty. Export the file anew.")
    if sample.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    # Without a mark, UTF-16 of Latin letters has a zero in every other byte.
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    if max(even, odd) > len(sample) * 0.3 and min(even, odd) < len(sample) * 0.05:
        return "utf-16-le" if odd > even else "utf-16-be"
    if sample.startswith(b"PK\x03\x04"):
        raise CsvError(
            f"{name} is a zip or a spreadsheet, not a CSV file. Unpack it, or save it as CSV."
        )
    strange = sum(sample.count(bytes([code])) for code in (*range(9), 11, *range(14, 32), 127))
    if strange > len(sample) / 100 or 0 in sample:
        raise CsvError(f"{name} is not a text file. Export the file as CSV.")
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        while sample:
            decoder.decode(sample)
            sample = file.read(1 << 20)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8-sig"


def _separator(text: io.TextIOWrapper, name: str) -> tuple[str, int]:
    """The separator, and how many lines come before the header: what a spreadsheet notes as
    `sep=;`, and blank ones."""
    told = None
    for skipped in range(100):
        # A longer line than this is no header, but what was read of it tells the separator.
        line = text.readline(_SAMPLE)
        if not line:
            break
        if found := re.fullmatch(r'"?sep=([,;\t|])"?\s*', line, re.IGNORECASE):
            told = found[1]
        elif line.strip(_SEPARATORS + ' \r\n"'):
            bare = re.sub(r'"[^"]*"', "", line)
            return told or max(_SEPARATORS, key=bare.count), skipped
    raise CsvError(f"{name} holds no table: its first lines are blank. Export the file anew.")
