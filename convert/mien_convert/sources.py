"""Where pictures come from: the interface of a source, folders by class, and .npz files."""

import shlex
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from mien.filenames import printable
from mien_convert.dataset import LABELS, file_sha256, load_dataset
from mien_convert.errors import WorkshopError
from mien_convert.library import SourceRow
from mien_convert.spelling import Class, Classes, guess, is_place, nearest, part_of
from mien_convert.tree import Tree, walk

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


class _Meaning(NamedTuple):
    """What folders one within another stand for."""

    label: Class | None
    usage: int | None
    person: str | None


@dataclass
class _Class:
    """What lies in the folders of one class."""

    folders: set[str] = field(default_factory=set)
    pictures: int = 0
    others: list[str] = field(default_factory=list)


class FolderSource:
    """Pictures in folders named after their class, at any depth.

    Of the folders above a picture the lowest that is a class gives its label; `train`, `test` and
    the like give its part. Any other may be the person shown, if it lies below the part, is not
    called `images` or the like, and not nearly everything lies in it. A folder of pictures without
    folders of its own gives the class by its own name.

    Raises:
        SourceError: no such folder, no pictures, a folder that is no known class, or fewer pictures
            than classes.
    """

    def __init__(
        self, root: Path, classes: Classes, *,
        cropped: bool, licence: str, consent: str, persons: bool = True,
    ) -> None:  # fmt: skip
        """`persons`: whether other folders are persons at all."""
        self._told = printable(root)
        if not root.is_dir():
            raise SourceError(
                f"There is no folder {self._told}; expected folders named after a class."
            )
        self._here = root.resolve()
        name = printable(self._here.name)
        self.row = SourceRow(
            f"folders:{printable(self._here)}", name, "folders", self._told,
            licence=licence, consent=consent,
        )  # fmt: skip
        self.withdrawn: list[str] = []
        self._classes = classes
        tree = walk(root)
        self.notices = tree.notices
        self._found = self._read(root, tree, cropped)
        self._found = self._with_persons(persons)

    def __len__(self) -> int:
        return len(self._found)

    def __iter__(self) -> Iterator[Found]:
        return iter(self._found)

    def _read(self, root: Path, tree: Tree, cropped: bool) -> list[Found]:
        known: dict[Class, _Class] = {}
        unknown: Counter[str] = Counter()
        found = []
        for folder in tree.folders:
            names = folder.path.relative_to(root).parts
            meaning = self._meaning(names or (self._here.name,))
            place = printable("/".join(names))
            if meaning.label is None:
                if folder.pictures:
                    unknown[self._strange(names)] += len(folder.pictures)
                elif names and part_of(names[-1]) is None and not folder.folders:
                    self.notices.append(f"{place} holds no picture and is no known class")
                continue
            entry = known.setdefault(meaning.label, _Class())
            entry.folders.add(place or self.row.name)
            entry.pictures += len(folder.pictures)
            entry.others += folder.others
            found += [
                Found(
                    printable(file.relative_to(root)), file, meaning.label,
                    person=meaning.person if names else None, usage=meaning.usage, cropped=cropped,
                )
                for file in folder.pictures
            ]  # fmt: skip
        self._judge(root, known, unknown, len(found))
        return found

    def _meaning(self, names: tuple[str, ...]) -> _Meaning:
        """Class, part and person that folders one within another stand for."""
        labels = [self._classes.find(name) for name in names]
        at = max((i for i, label in enumerate(labels) if label), default=None)
        parts = [part_of(name) for name in names]
        usage = next((part for part in parts if part is not None), None)
        # A person is not divided among parts: what lies above them is a collection.
        below = max((i + 1 for i, part in enumerate(parts) if part is not None), default=0)
        rest = [
            name
            for i, name in enumerate(names)
            if i >= below and i != at and labels[i] is None and not is_place(name)
        ]
        person = printable("/".join(rest)) or None
        return _Meaning(None if at is None else labels[at], usage, person)

    def _strange(self, names: tuple[str, ...]) -> str:
        """Which of the folders above pictures without a class should have been one: that which
        resembles a class, else the lowest."""
        strange = [name for name in names if part_of(name) is None and not is_place(name)]
        alike = [name for name in strange if nearest(name)]
        return (alike or strange or [""])[-1]

    def _with_persons(self, wanted: bool) -> list[Found]:
        """The pictures, with whom they show only where folders tell people apart."""
        of_part: dict[int | None, Counter[str | None]] = defaultdict(Counter)
        for one in self._found:
            of_part[one.usage][one.person] += 1
        count = Counter(one.person for one in self._found if one.person)
        if not wanted:
            count.clear()
        # A folder that holds most of each part it is in tells nobody apart.
        most = [
            name
            for name in count
            if all(
                len(set(among) - {None}) == 1 and 2 * among[name] > among.total()
                for among in of_part.values()
                if among[name]
            )
        ]
        for name in most:
            del count[name]
            self.notices.append(
                f"the folder {name} holds most of the pictures, so it is not taken for a person"
            )
        if count:
            some = ", ".join(list(count)[:3]) + (", …" if len(count) > 3 else "")
            self.notices.append(
                f"{len(count)} folders are taken for the persons shown ({some}); if they are none, "
                "import with --no-persons into a new library"
            )
        here = printable(self._here)
        return [
            replace(one, person=f"{here}/{one.person}" if one.person in count else None)
            for one in self._found
        ]

    def _judge(
        self, root: Path, known: dict[Class, _Class], unknown: Counter[str], pictures: int
    ) -> None:
        told = self._told
        if bare := unknown.pop("", 0):
            raise SourceError(self._bare(root, bare))
        if unknown:
            (name, count), *more = unknown.most_common()
            listed = ", ".join(printable(name) for name, _ in more[:9])
            listed += f" and {len(more) - 9} more" if len(more) > 9 else ""
            raise SourceError(
                f"The folder {printable(name)} in {told} ({count} pictures) is no known class"
                f"{f', nor are {listed}' if more else ''}: {guess(name)}"
            )
        if not pictures:
            texts = sum(len(entry.others) for entry in known.values())
            raise SourceError(
                f"There is no picture in {told}"
                + (f", only {texts} files of other kinds" if texts else "")
                + "; expected are folders named after a class with JPEG, PNG, WebP, BMP or TIFF."
            )
        if pictures < len(known):
            raise SourceError(
                f"{told} holds {pictures} pictures in class folders for "
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

    def _bare(self, root: Path, count: int) -> str:
        """The sentence about pictures that lie in no class folder."""
        table = next(iter(sorted(root.glob("*.csv"))), None)
        hint = f" If {printable(table.name)} has their labels, import that file." if table else ""
        own = shlex.quote(f"{self.row.name}=EXPRESSION")
        flat = not any(one.is_dir() for one in root.iterdir())
        return (
            f"{count} pictures in {self._told} lie in no class folder; expected are folders such "
            f"as {printable(root.name or self.row.name)}/happiness"
            f"{f', or --class {own} if all look alike' if flat else ''}.{hint}"
        )


class NpzSource:
    """The faces of an .npz file as `dataset.load_dataset` reads it.

    Raises:
        DatasetError: the file is missing, broken or not of that shape.
    """

    def __init__(self, path: Path, *, licence: str, consent: str) -> None:
        self._dataset = load_dataset(path)
        digest = file_sha256(path)
        self.row = SourceRow(
            f"npz:{digest}", printable(path.name), "npz", printable(path), digest, licence, consent
        )
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
