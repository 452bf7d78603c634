"""What lies in a folder and in those below it, each picture once, whatever links there are."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mien.filenames import printable
from mien.pictures import is_picture

_Identity = tuple[int, int]


@dataclass
class Folder:
    """One folder, without what lies below it; hidden files are passed over."""

    path: Path
    pictures: list[Path] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    """Names of files that are no pictures."""
    folders: list[Path] = field(default_factory=list)


@dataclass
class Tree:
    folders: list[Folder]
    notices: list[str]
    """Sentences about what was passed over."""


def walk(root: Path) -> Tree:
    """Every folder from `root` down, by name. Links are followed, but to no folder above `root` and
    to none that is read anyway. A link to a picture beside it is not a second picture."""
    walker = _Walker(root)
    folders = list(walker.read(root))
    # What lies in the tree itself comes first, so that a link never takes a folder's place.
    while walker.links:
        link = walker.links.pop(0)
        if walker.is_new(link):
            folders += walker.read(link)
    return Tree(sorted(folders, key=lambda folder: folder.path), walker.notices())


class _Walker:
    def __init__(self, root: Path) -> None:
        self.links: list[Path] = []
        self._root = root
        self._above = {_identity(one) for one in root.resolve().parents}
        self._read: set[_Identity] = set()
        self._passed: list[str] = []
        self._closed: list[str] = []

    def is_new(self, link: Path) -> bool:
        """Whether a link leads to a folder that was not read; if not, it is remembered."""
        try:
            new = _identity(link) not in self._above | self._read
        except OSError as error:
            self._closed.append(self._named(link, error))
            return False
        if not new:
            self._passed.append(printable(link.relative_to(self._root)))
        return new

    def read(self, path: Path) -> Iterator[Folder]:
        waiting = [path]
        while waiting:
            folder = Folder(waiting.pop())
            try:
                if (identity := _identity(folder.path)) in self._read:
                    continue
                entries = sorted(os.scandir(folder.path), key=lambda entry: entry.name)
            except OSError as error:
                self._closed.append(self._named(folder.path, error))
                continue
            self._read.add(identity)
            self._sort(folder, [one for one in entries if not one.name.startswith(".")])
            waiting += reversed([one for one in folder.folders if not one.is_symlink()])
            self.links += [one for one in folder.folders if one.is_symlink()]
            yield folder

    def _sort(self, folder: Folder, entries: list[os.DirEntry[str]]) -> None:
        """Put each entry where it belongs."""
        there: set[_Identity] = set()
        for entry in sorted(entries, key=lambda entry: entry.is_symlink()):
            path = folder.path / entry.name
            if path.is_dir():
                folder.folders.append(path)
            elif not (path.is_file() and looks_like_picture(path)):
                folder.others.append(printable(entry.name))
            elif (identity := _identity(path)) in there:
                self._passed.append(printable(path.relative_to(self._root)))
            else:
                there.add(identity)
                folder.pictures.append(path)
        for names in (folder.folders, folder.pictures):
            names.sort()
        folder.others.sort()

    def _named(self, path: Path, error: OSError) -> str:
        return f"{printable(path.relative_to(self._root))} ({error.strerror})"

    def notices(self) -> list[str]:
        """Sentences about links that were not followed and folders that cannot be read."""
        told = []
        if self._passed:
            told.append(
                f"{len(self._passed)} links lead to what is read already ({_some(self._passed)})"
            )
        if self._closed:
            told.append(f"{len(self._closed)} folders cannot be read: {_some(self._closed)}")
        return told


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")


def _identity(path: Path) -> _Identity:
    """What makes it the same file or folder, whatever it is called."""
    status = path.stat()
    return status.st_dev, status.st_ino


def looks_like_picture(path: Path) -> bool:
    return path.suffix.lower() == ".gif" or is_picture(path)
