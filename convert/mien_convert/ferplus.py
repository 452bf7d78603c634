"""The folders of pictures with votes that FER+'s own script writes.

Barsoum et al. 2016, https://github.com/microsoft/FERPlus. The script writes
FER2013Train, FER2013Valid and FER2013Test, each with its pictures and a `label.csv` without names
of columns: file, the box of the face, ten votes.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mien.filenames import printable
from mien_convert.dataset import LABELS, VOTE_COLUMNS, file_sha256, vote_majority
from mien_convert.library import SourceRow
from mien_convert.sources import Found, SourceError, Unusable
from mien_convert.spelling import Class, part_of
from mien_convert.tables import VOTES, number_of, opened

LIST = "label.csv"


class FerPlusFolders:
    """The folders of FER+ with their votes: one of them, all three, or the folder above.

    A picture's label is what most voters chose; it has none where they are not agreed.

    Raises:
        SourceError: a list is not as it should be, or not one picture is there.
    """

    def __init__(self, path: Path, *, licence: str, consent: str) -> None:
        lists = [path] if path.is_file() else lists_in(path)
        root = path.parent if path.is_file() else path
        here = printable(root.resolve())
        self.row = SourceRow(
            f"ferplus:{here}", printable(root.resolve().name), "ferplus", printable(path),
            file_sha256(lists[0]) if len(lists) == 1 else None, licence, consent,
        )  # fmt: skip
        self.notices: list[str] = []
        self.withdrawn: list[str] = []
        self._found = [found for one in lists for found in _listed(one, root)]
        missing = [one.address for one in self._found if one.content is _missing]
        if len(missing) == len(self._found):
            raise SourceError(
                f"None of the {len(missing)} pictures named in {printable(lists[0])} is there. "
                "FER+'s script generate_training_data.py writes them beside it; or import "
                "fer2013.csv, and then fer2013new.csv."
            )
        if missing:
            self.notices.append(f"{len(missing)} files in the list are not there ({missing[0]}, …)")

    def __len__(self) -> int:
        return len(self._found)

    def __iter__(self) -> Iterator[Found]:
        return iter(self._found)


def lists_in(folder: Path) -> list[Path]:
    """The lists of FER+ in a folder or up to two below it. Raises SourceError."""
    found = [one for depth in ("", "*/", "*/*/") for one in sorted(folder.glob(f"{depth}{LIST}"))]
    return [one for one in found if is_list(one)]


def is_list(path: Path) -> bool:
    """Whether a CSV file is a `label.csv` of FER+. Raises SourceError."""
    with opened(path) as table:
        votes = [value.strip() for value in table.header[2:]]
        return (
            len(votes) == VOTE_COLUMNS
            and all(vote.isascii() and vote.isdecimal() for vote in votes)
            and Path(table.header[0].strip()).suffix != ""
        )


def _listed(path: Path, root: Path) -> Iterator[Found]:
    usage = part_of(path.resolve().parent.name)
    with opened(path) as table:
        for line, row in [(1, table.header), *table]:
            place = f"{table.name}, line {line}"
            if len(row) != 2 + VOTE_COLUMNS:
                raise SourceError(
                    f"{place}: there are {len(row)} values, expected {2 + VOTE_COLUMNS} (a file, "
                    "the box of the face, ten votes)."
                )
            ballot = bytes(
                number_of(place, name, vote.strip(), 255)
                for name, vote in zip(VOTES, row[2:], strict=True)
            )
            file = path.parent / row[0].strip()
            yield Found(
                printable(file.relative_to(root)), file if file.is_file() else _missing,
                _chosen(ballot), usage=usage, votes=ballot, cropped=True,
            )  # fmt: skip


def _chosen(ballot: bytes) -> Class | None:
    votes = np.frombuffer(ballot, np.uint8)
    label = int(vote_majority(votes[None])[0])
    if label >= 0:
        return LABELS[label]
    return "other" if (votes == votes.max()).sum() == 1 else None


def _missing() -> Path:
    raise Unusable("the file is not there")
