"""Pictures in CSV files: FER-2013 itself, lists of picture files, and the votes of FER+."""

import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PureWindowsPath
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from mien.csvfile import CsvError, Table
from mien.filenames import printable, quoted
from mien_convert.dataset import LABELS, NOT_A_FACE, USAGES, VOTE_COLUMNS, file_sha256
from mien_convert.library import SIDE, Library, SourceRow
from mien_convert.sources import Found, SourceError, Unusable
from mien_convert.spelling import Class, Classes, guess, part_of

VOTES = (
    "neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt",
    "unknown", "nf",
)  # fmt: skip
"""Columns of FER+, beside `usage`."""
FILE_COLUMNS = ("file", "path", "image", "filename", "picture", "datei", "dateiname", "bild")
LABEL_COLUMNS = ("label", "expression", "emotion", "class", "ausdruck", "klasse")
PERSON_COLUMNS = ("person", "subject", "identity", "proband")
PART_COLUMNS = ("usage", "part", "split", "teil")

Row = tuple[int, dict[str, str]]
"""Number of the line, values by name of the column."""


def columns(path: Path) -> set[str]:
    """Names of a CSV file's columns, in small letters. Raises SourceError."""
    with opened(path) as table:
        return {name.strip().lower() for name in table.header}


@contextmanager
def opened(path: Path) -> Iterator[Table]:
    """A table that somebody brings along, in any encoding and with any separator that spreadsheet
    programs write.

    Raises:
        SourceError: now or while it is read, for it is missing or no CSV file.
    """
    if not path.is_file():
        raise SourceError(f"There is no file {printable(path)}; expected a CSV file.")
    try:
        with path.open("rb") as file, Table(file, printable(path)) as table:
            yield table
    except CsvError as error:
        raise SourceError(str(error)) from error
    except OSError as error:
        raise SourceError(f"{printable(path)} cannot be read: {error.strerror}.") from error


def rows_of(path: Path) -> Iterator[Row]:
    """The rows of a table whose first line names its columns.

    Raises:
        SourceError: it is missing, no CSV file, or a row has not as many values as the first.
    """
    with opened(path) as table:
        header = _trimmed(table.header, 0)
        names = [name.lower() for name in header]
        for line, row in table:
            values = _trimmed(row, len(names))
            if len(values) != len(names):
                raise SourceError(
                    f"{table.name}, line {line}: there are {len(values)} values, "
                    f"expected {len(names)} ({', '.join(header)})."
                )
            yield line, dict(zip(names, values, strict=True))


def _trimmed(values: list[str], width: int) -> list[str]:
    """Values without blanks around them, and without the empty ones that a spreadsheet program
    puts behind the last column."""
    values = [value.strip() for value in values]
    while len(values) > width and not values[-1]:
        values.pop()
    return values


class FerTable:
    """fer2013.csv: `emotion`, `pixels`, and where present `Usage`.

    An emotion is 0–6 in the order of LABELS, a word, or what `classes` knows besides.

    Read and checked as a whole before anything is imported: 2,304 bytes a row.

    Raises:
        SourceError: a column is missing or a value is not what it should be, with its line.
    """

    def __init__(
        self, path: Path, classes: Classes | None = None, *, licence: str, consent: str
    ) -> None:
        told = printable(path)
        classes = classes or Classes()
        lacking = {"emotion", "pixels"} - columns(path)
        if lacking:
            raise SourceError(
                f"{told} has no column {' and no '.join(sorted(lacking))}; expected are emotion, "
                "pixels and Usage, as in fer2013.csv."
            )
        self._faces: list[tuple[NDArray[np.uint8], Class, int | None]] = []
        bar = tqdm(
            rows_of(path), total=_lines(path) - 1, unit="row", disable=None,
            desc=f"reading {printable(path.name)}", leave=False,
        )  # fmt: skip
        for line, row in bar:
            place = f"{told}, line {line}"
            self._faces.append(
                (
                    _pixels(place, row["pixels"]),
                    _label(place, row["emotion"], classes),
                    usage_of(place, row.get("usage", "")),
                )
            )
        if not self._faces:
            raise SourceError(f"{told} has no rows below the names of its columns.")
        digest = file_sha256(path)
        name = printable(path.name)
        self.row = SourceRow(f"fer2013:{digest}", name, "fer2013", told, digest, licence, consent)
        self.notices: list[str] = []
        self.withdrawn: list[str] = []

    def __len__(self) -> int:
        return len(self._faces)

    def __iter__(self) -> Iterator[Found]:
        for index, (pixels, label, usage) in enumerate(self._faces):
            yield Found(f"row {index}", pixels, label, usage=usage, cropped=True)


def _lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(partial(file.read, 1 << 20), b""))


def _pixels(place: str, text: str) -> NDArray[np.uint8]:
    try:
        values = bytes(map(int, text.split()))
    except ValueError:
        raise SourceError(
            f"{place}: pixels holds something that is no number from 0 to 255."
        ) from None
    if len(values) != SIDE * SIDE:
        raise SourceError(
            f"{place}: pixels holds {len(values)} numbers, expected {SIDE * SIDE} (48×48)."
        )
    return np.frombuffer(values, np.uint8).reshape(SIDE, SIDE)


def _label(place: str, text: str, classes: Classes) -> Class:
    if found := classes.find(text):
        return found
    number = text.removesuffix(".0")  # as a spreadsheet program may write it
    if number.isascii() and number.isdecimal() and int(number[:9]) < len(LABELS):
        return LABELS[int(number)]
    raise SourceError(
        f"{place}: emotion is {quoted(text[:40])}, expected 0 to {len(LABELS) - 1} as in "
        f"fer2013.csv, or a word. {guess(text[:40])}"
    )


def number_of(place: str, name: str, text: str, highest: int) -> int:
    """A whole number from 0 to `highest`. Raises SourceError, with its place."""
    if not (text.isascii() and text.isdecimal() and int(text[:9]) <= highest):
        raise SourceError(f"{place}: {name} is {quoted(text[:40])}, expected 0 to {highest}.")
    return int(text)


def usage_of(place: str, text: str) -> int | None:
    """The part that a value names, None for an empty one. Raises SourceError."""
    usage = part_of(text)
    if usage is None and text:
        raise SourceError(f"{place}: Usage is {quoted(text[:40])}, expected {', '.join(USAGES)}.")
    return usage


class ListTable:
    """A list of picture files: a column `file` and one `label`, where known `person` and `usage`.

    Files are looked for beside the list. Their names may be those of Windows, with backslashes and
    a drive.

    Raises:
        SourceError: a column is missing, a label is unknown, or not one file is there.
    """

    def __init__(
        self, path: Path, classes: Classes, *, cropped: bool, licence: str, consent: str
    ) -> None:
        told = printable(path)
        names = columns(path)
        file, label, person, part = (
            next((name for name in choice if name in names), None)
            for choice in (FILE_COLUMNS, LABEL_COLUMNS, PERSON_COLUMNS, PART_COLUMNS)
        )
        if file is None or label is None:
            raise SourceError(
                f"{told} has the columns {', '.join(sorted(names))}; expected are emotion and "
                "pixels (FER-2013), usage and the ten votes (FER+), or file and label."
            )
        here = path.resolve()
        self.row = SourceRow(
            f"list:{printable(here)}", printable(here.parent.name), "list", told,
            licence=licence, consent=consent,
        )  # fmt: skip
        self.notices: list[str] = []
        self.withdrawn: list[str] = []
        self._found: list[Found] = []
        missing = []
        locate = Beside(path.parent)
        for line, row in rows_of(path):
            meaning = classes.find(row[label])
            if meaning is None and row[label]:
                what = f"{label} is {quoted(row[label][:40])}"
                raise SourceError(f"{told}, line {line}: {what}; {guess(row[label])}")
            target = locate(row[file])
            if target is None:
                missing.append(row[file])
            self._found.append(
                Found(
                    row[file], target or _missing, meaning,
                    person=f"{printable(here)}/{row[person]}" if person and row[person] else None,
                    usage=usage_of(f"{told}, line {line}", row[part]) if part else None,
                    cropped=cropped,
                )
            )  # fmt: skip
        if len(missing) == len(self._found):
            first = f", such as {missing[0]}," if missing else ""
            raise SourceError(f"None of the {len(missing)} files{first} named in {told} is there.")
        if missing:
            self.notices.append(f"{len(missing)} files in the list are not there ({missing[0]}, …)")

    def __len__(self) -> int:
        return len(self._found)

    def __iter__(self) -> Iterator[Found]:
        return iter(self._found)


class Beside:
    """Finds the files of a list that lie beside it, whichever system wrote their names."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lead: tuple[str, ...] | None = None
        """What the whole paths of the list begin with before the part that is here."""

    def __call__(self, name: str) -> Path | None:
        for form in dict.fromkeys((name, *(unicodedata.normalize(f, name) for f in _FORMS))):
            for path in (Path(form), Path(*PureWindowsPath(form).parts)):
                if (found := self._folder / path).is_file():
                    return found
            windows = PureWindowsPath(form)
            if windows.root and (moved := self._moved(windows.parts)):
                return moved
        return None

    def _moved(self, parts: tuple[str, ...]) -> Path | None:
        """A file by the end of its path on another machine; the same beginning is left out of
        every path, so that no file is taken for one of the same name."""
        leads = [self._lead] if self._lead else [parts[:n] for n in range(1, len(parts))]
        for lead in leads:
            found = self._folder.joinpath(*parts[len(lead) :])
            if parts[: len(lead)] == lead and found.is_file():
                self._lead = lead
                return found
        return None


_FORMS: tuple[Literal["NFC", "NFD"], ...] = ("NFC", "NFD")


def _missing() -> Path:
    raise Unusable("the file is not there")


def is_votes(path: Path) -> bool:
    """Whether a CSV file is that of FER+. Raises SourceError."""
    return set(VOTES) <= columns(path)


def join_votes(library: Library, path: Path) -> dict[str, Any]:
    """Give FER-2013 rows in a library their votes from fer2013new.csv, row by row.

    Raises:
        SourceError: a value is not what it should be, or no FER-2013 in the library has the same
            rows; then nothing was changed.
    """
    usages: list[int | None] = []
    ballots: list[bytes] = []
    for line, row in rows_of(path):
        place = f"{printable(path)}, line {line}"
        usages.append(usage_of(place, row.get("usage", "")))
        name = row.get("image name", "")
        if name and name != f"fer{len(ballots):07d}.png":
            raise SourceError(
                f"{place}: the picture is called {quoted(name)}, expected "
                f"'fer{len(ballots):07d}.png', the row's own number; rows are missing or moved."
            )
        ballots.append(bytes(number_of(place, column, row[column], 255) for column in VOTES))
    sources = [source for source in library.sources() if source["kind"] == "fer2013"]
    if not sources:
        raise SourceError(
            f"{printable(path)} holds the votes of FER+, and the library no FER-2013 that "
            "they belong to; import fer2013.csv first."
        )
    wrong = []
    for source in sources:
        id = source["id"]
        trouble = _mismatch(library.usages(id), usages)
        if trouble is None:
            table = np.frombuffer(b"".join(ballots), np.uint8).reshape(-1, VOTE_COLUMNS)
            nobody = (table.argmax(axis=1) == NOT_A_FACE).tolist()
            rows = zip(ballots, nobody, strict=True)
            library.set_votes(id, [(f"row {i}", *row) for i, row in enumerate(rows)])
            return {"source": source["name"], "votes": len(ballots), "not_a_face": sum(nobody)}
        wrong.append(f"{source['name']}: {trouble}")
    raise SourceError(
        f"The votes in {printable(path)} are those of other pictures ({'; '.join(wrong)})."
    )


def _mismatch(stored: dict[str, int | None], usages: list[int | None]) -> str | None:
    if len(stored) != len(usages):
        return f"it has {len(stored)} rows, the votes {len(usages)}"
    for row, usage in enumerate(usages):
        of_fer = stored[f"row {row}"]
        if None not in (usage, of_fer) and usage != of_fer:
            return f"row {row} is of another part"
    return None
