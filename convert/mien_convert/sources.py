"""Where pictures come from: the interface of a source, folders by class, and .npz files."""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mien.pictures import is_picture
from mien_convert.dataset import LABELS, file_sha256, load_dataset
from mien_convert.errors import WorkshopError
from mien_convert.library import SourceRow
from mien_convert.spelling import Class, Classes, guess, part_of

Content = Path | bytes | NDArray[np.uint8]
"""A file, the bytes of one, or a face already cut out, grey u8 [48, 48]."""


class SourceError(WorkshopError, ValueError):
    """A source is missing, is not what it was said to be, or holds what was not expected."""


class Unusable(Exception):
    """One picture cannot be had; the text says why."""


class Later(Exception):
    """One picture cannot be had now; the next import of its source tries again."""


@dataclass(frozen=True, slots=True)
class Found:
    """A picture as its source tells of it."""

    address: str
    """Path within the source, row, or URL; what it is known by when it is imported again."""
    content: Content | Callable[[], Content]
    """The picture, or what gets it and raises Unusable when that fails."""
    label: Class | None
    page: str | None = None
    person: str | None = None
    """Whoever is shown, the same text for the same person; the split keeps persons together."""
    usage: int | None = None
    votes: bytes | None = None
    align: int = 0
    cropped: bool = False
    """Whether it is a face already cut out, framed as FER-2013 frames them."""


class Source(Protocol):
    """Yields what was found. It is checked when it is made, before anything is imported."""

    row: SourceRow
    notices: list[str]
    """Sentences about what was passed over."""
    withdrawn: list[str]
    """Addresses that must not be used, for want of consent."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Found]: ...


@dataclass
class _Class:
    """What lies in the folders of one class."""

    folders: set[str] = field(default_factory=set)
    pictures: int = 0
    others: list[str] = field(default_factory=list)


class FolderSource:
    """Pictures in folders named after their class, at any depth.

    Of the folders above a picture the lowest that is a class gives its label; `train`, `test` and
    the like give its part; any other is taken for the person shown. A folder of pictures without
    folders of its own gives the class by its own name.

    Raises:
        SourceError: no such folder, no pictures, a folder that is no known class, or fewer pictures
            than classes.
    """

    def __init__(
        self, root: Path, classes: Classes, *, cropped: bool, licence: str, consent: str
    ) -> None:
        if not root.is_dir():
            raise SourceError(f"There is no folder {root}; expected folders named after a class.")
        self.row = SourceRow(
            f"folders:{root.resolve()}", root.resolve().name, "folders", str(root),
            licence=licence, consent=consent,
        )  # fmt: skip
        self.notices: list[str] = []
        self.withdrawn: list[str] = []
        self._root = root
        self._classes = classes
        self._cropped = cropped
        self._found: list[Found] = []
        self._scan()

    def __len__(self) -> int:
        return len(self._found)

    def __iter__(self) -> Iterator[Found]:
        return iter(self._found)

    def _scan(self) -> None:
        known: dict[Class, _Class] = {}
        unknown: Counter[str] = Counter()
        for folder, subfolders, files in os.walk(self._root, followlinks=True):
            subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
            path = Path(folder)
            names = path.relative_to(self._root).parts
            label, usage, person = self._meaning(names or (self._root.resolve().name,))
            paths = [path / name for name in sorted(files) if not name.startswith(".")]
            pictures = [file for file in paths if _looks_like_picture(file)]
            if label is None:
                strange = [name for name in names if part_of(name) is None]
                if pictures:
                    unknown[strange[0] if strange else "."] += len(pictures)
                elif strange and not subfolders:
                    self.notices.append(f"{'/'.join(names)} holds no picture and is no known class")
                continue
            entry = known.setdefault(label, _Class())
            entry.folders.add("/".join(names) or path.name)
            entry.pictures += len(pictures)
            entry.others += [file.name for file in paths if file not in pictures]
            key = f"{self._root.resolve()}/{person}" if person and names else None
            self._found += [
                Found(
                    str(file.relative_to(self._root)), file, label,
                    person=key, usage=usage, cropped=self._cropped,
                )
                for file in pictures
            ]  # fmt: skip
        self._judge(known, unknown)

    def _meaning(self, names: tuple[str, ...]) -> tuple[Class | None, int | None, str]:
        """Class, part and person that folders one within another stand for."""
        labels = [self._classes.find(name) for name in names]
        at = max((i for i, label in enumerate(labels) if label), default=None)
        parts = [part_of(name) for name in names]
        usage = next((part for part in parts if part is not None), None)
        rest = [name for i, name in enumerate(names) if i != at and parts[i] is None]
        return None if at is None else labels[at], usage, "/".join(rest)

    def _judge(self, known: dict[Class, _Class], unknown: Counter[str]) -> None:
        if "." in unknown:
            table = next(iter(sorted(self._root.glob("*.csv"))), None)
            hint = f" If {table.name} has their labels, import that file." if table else ""
            raise SourceError(
                f"{unknown['.']} pictures in {self._root} lie in no class folder; expected are "
                f"folders such as {self._root.name}/happiness, or --class "
                f"{self._root.resolve().name}=EXPRESSION if all look alike.{hint}"
            )
        if unknown:
            (name, count), *more = unknown.most_common()
            others = f", nor are {', '.join(name for name, _ in more)}" if more else ""
            raise SourceError(
                f"The folder {name} in {self._root} ({count} pictures) is no known class{others}: "
                f"{guess(name)}"
            )
        if not self._found:
            texts = sum(len(entry.others) for entry in known.values())
            raise SourceError(
                f"There is no picture in {self._root}"
                + (f", only {texts} files of other kinds" if texts else "")
                + "; expected are folders named after a class with JPEG, PNG, WebP, BMP or TIFF."
            )
        if len(self._found) < len(known):
            raise SourceError(
                f"{self._root} holds {len(self._found)} pictures in class folders for "
                f"{len(known)} classes; expected is at least one picture of each. "
                "Nothing was imported."
            )
        for entry in known.values():
            folders = ", ".join(sorted(entry.folders))
            some = ", ".join(entry.others[:3]) + (", …" if len(entry.others) > 3 else "")
            if not entry.pictures:
                why = f"only {len(entry.others)} other files ({some})" if some else "nothing"
                self.notices.append(f"the class folder {folders} holds no picture, {why}")
            elif entry.others:
                self.notices.append(
                    f"{len(entry.others)} files in {folders} are no pictures ({some})"
                )


def _looks_like_picture(path: Path) -> bool:
    return path.is_file() and (path.suffix.lower() == ".gif" or is_picture(path))


class NpzSource:
    """The faces of an .npz file as `dataset.load_dataset` reads it.

    Raises:
        DatasetError: the file is missing, broken or not of that shape.
    """

    def __init__(self, path: Path, *, licence: str, consent: str) -> None:
        self._dataset = load_dataset(path)
        digest = file_sha256(path)
        self.row = SourceRow(f"npz:{digest}", path.name, "npz", str(path), digest, licence, consent)
        self.notices: list[str] = []
        self.withdrawn: list[str] = []

    def __len__(self) -> int:
        return len(self._dataset)

    def __iter__(self) -> Iterator[Found]:
        data = self._dataset
        for i, image in enumerate(data.images):
            ballot = None if data.votes is None else data.votes[i]
            yield Found(
                f"picture {i}",
                image,
                LABELS[data.labels[i]],
                usage=None if data.usage is None else int(data.usage[i]),
                votes=None if ballot is None or not ballot.any() else ballot.tobytes(),
                align=0 if data.align is None else int(data.align[i]),
                cropped=True,
            )
