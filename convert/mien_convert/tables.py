"""Pictures in CSV files: FER-2013 itself, lists of picture files, and the votes of FER+."""

import csv
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from mien_convert.dataset import LABELS, NOT_A_FACE, USAGES, VOTE_COLUMNS, file_sha256
from mien_convert.library import SIDE, Library, SourceRow
from mien_convert.sources import Found, SourceError, Unusable
from mien_convert.spelling import Class, Classes, guess, part_of

VOTES = (
    "neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt",
    "unknown", "nf",
)  # fmt: skip
"""Columns of FER+, beside `usage`."""
FILE_COLUMNS = ("file", "path", "image", "filename", "picture")
LABEL_COLUMNS = ("label", "expression", "emotion", "class")
PERSON_COLUMNS = ("person", "subject", "identity")
PART_COLUMNS = ("usage", "part", "split")

Row = tuple[int, dict[str, str]]
"""Number of the line, values by name of the column."""


def columns(path: Path) -> set[str]:
    """Names of a CSV file's columns, in small letters. Raises SourceError."""
    return set(next(_rows(path, heading=True))[1])


def _rows(path: Path, *, heading: bool = False) -> Iterator[Row]:
    """The rows of a CSV file, with `heading` its first line alone.

    Raises:
        SourceError: it is missing, no CSV file, or a row has not as many values as the first.
    """
    if not path.is_file():
        raise SourceError(f"There is no file {path}; expected a CSV file.")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            names = [name.strip().lower() for name in next(reader, [])]
            if not any(names):
                raise SourceError(f"{path} is empty; expected names of columns in its first line.")
            if heading:
                yield 1, dict.fromkeys(names, "")
                return
            for values in reader:
                if len(values) != len(names):
                    if not values:
                        continue  # an empty line
                    raise SourceError(
                        f"{path}, line {reader.line_num}: there are {len(values)} values, "
                        f"expected {len(names)} ({', '.join(names)})."
                    )
                stripped = (value.strip() for value in values)
                yield reader.line_num, dict(zip(names, stripped, strict=True))
    except (csv.Error, UnicodeDecodeError) as error:
        raise SourceError(f"{path} is no CSV file, or a damaged one: {error}.") from error
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}.") from error


class FerTable:
    """fer2013.csv: `emotion` 0–6 in the order of LABELS, `pixels`, and where present `Usage`.

    Read and checked as a whole before anything is imported: 2,304 bytes a row.

    Raises:
        SourceError: a column is missing or a value is not what it should be, with its line.
    """

    def __init__(self, path: Path, *, licence: str, consent: str) -> None:
        lacking = {"emotion", "pixels"} - columns(path)
        if lacking:
            raise SourceError(
                f"{path} has no column {' and no '.join(sorted(lacking))}; expected are emotion, "
                "pixels and Usage, as in fer2013.csv."
            )
        self._faces: list[tuple[NDArray[np.uint8], Class, int | None]] = []
        bar = tqdm(
            _rows(path), total=_lines(path) - 1, unit="row", disable=None,
            desc=f"reading {path.name}", leave=False,
        )  # fmt: skip
        for line, row in bar:
            place = f"{path}, line {line}"
            self._faces.append(
                (
                    _pixels(place, row["pixels"]),
                    LABELS[_number(place, "emotion", row["emotion"], len(LABELS) - 1)],
                    _part(place, row.get("usage", "")),
                )
            )
        if not self._faces:
            raise SourceError(f"{path} has no rows below the names of its columns.")
        digest = file_sha256(path)
        self.row = SourceRow(
            f"fer2013:{digest}", path.name, "fer2013", str(path), digest, licence, consent
        )
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


def _number(place: str, name: str, text: str, highest: int) -> int:
    if not (text.isascii() and text.isdecimal() and int(text[:9]) <= highest):
        raise SourceError(f"{place}: {name} is {text[:40]!r}, expected 0 to {highest}.")
    return int(text)


def _part(place: str, text: str) -> int | None:
    usage = part_of(text)
    if usage is None and text:
        raise SourceError(f"{place}: Usage is {text[:40]!r}, expected {', '.join(USAGES)}.")
    return usage


class ListTable:
    """A list of picture files: a column `file` and one `label`, where known `person` and `usage`.

    Files are looked for beside the list.

    Raises:
        SourceError: a column is missing, a label is unknown, or not one file is there.
    """

    def __init__(
        self, path: Path, classes: Classes, *, cropped: bool, licence: str, consent: str
    ) -> None:
        names = columns(path)
        file, label, person, part = (
            next((name for name in choice if name in names), None)
            for choice in (FILE_COLUMNS, LABEL_COLUMNS, PERSON_COLUMNS, PART_COLUMNS)
        )
        if file is None or label is None:
            raise SourceError(
                f"{path} has the columns {', '.join(sorted(names))}; expected are emotion and "
                "pixels (FER-2013), usage and the ten votes (FER+), or file and label."
            )
        self.row = SourceRow(
            f"list:{path.resolve()}", path.resolve().parent.name, "list", str(path),
            licence=licence, consent=consent,
        )  # fmt: skip
        self.notices: list[str] = []
        self.withdrawn: list[str] = []
        self._found: list[Found] = []
        missing = []
        for line, row in _rows(path):
            meaning = classes.find(row[label])
            if meaning is None and row[label]:
                raise SourceError(
                    f"{path}, line {line}: {label} is {row[label][:40]!r}; {guess(row[label])}"
                )
            target = path.parent / row[file]
            if not target.is_file():
                missing.append(row[file])
            self._found.append(
                Found(
                    row[file], target if target.is_file() else _missing, meaning,
                    person=f"{path.resolve()}/{row[person]}" if person and row[person] else None,
                    usage=_part(f"{path}, line {line}", row[part]) if part else None,
                    cropped=cropped,
                )
            )  # fmt: skip
        if len(missing) == len(self._found):
            first = f", such as {missing[0]}," if missing else ""
            raise SourceError(f"None of the {len(missing)} files{first} named in {path} is there.")
        if missing:
            self.notices.append(f"{len(missing)} files in the list are not there ({missing[0]}, …)")

    def __len__(self) -> int:
        return len(self._found)

    def __iter__(self) -> Iterator[Found]:
        return iter(self._found)


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
    for line, row in _rows(path):
        place = f"{path}, line {line}"
        usages.append(_part(place, row.get("usage", "")))
        name = row.get("image name", "")
        if name and name != f"fer{len(ballots):07d}.png":
            raise SourceError(
                f"{place}: the picture is called {name!r}, expected "
                f"'fer{len(ballots):07d}.png', the row's own number; rows are missing or moved."
            )
        ballots.append(bytes(_number(place, column, row[column], 255) for column in VOTES))
    sources = [source for source in library.sources() if source["kind"] == "fer2013"]
    if not sources:
        raise SourceError(
            f"{path} holds the votes of FER+, and the library no FER-2013 that they belong to; "
            "import fer2013.csv first."
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
    raise SourceError(f"The votes in {path} are those of other pictures ({'; '.join(wrong)}).")


def _mismatch(stored: dict[str, int | None], usages: list[int | None]) -> str | None:
    if len(stored) != len(usages):
        return f"it has {len(stored)} rows, the votes {len(usages)}"
    for row, usage in enumerate(usages):
        of_fer = stored[f"row {row}"]
        if None not in (usage, of_fer) and usage != of_fer:
            return f"row {row} is of another part"
    return None
