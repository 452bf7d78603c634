"""The picture library: one SQLite file in a folder of its own, from any source to a training file.

A picture goes through three stages: *found*; *selected*, that is readable, large enough, labelled
and no duplicate; *face*, that is with a 48×48 crop of a face. Kept is the crop and where it came
from, never the picture itself.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mien.filenames import printable, reason
from mien_convert.dataset import LABELS, USAGES, VOTE_COLUMNS
from mien_convert.errors import WorkshopError

FILE = "library.sqlite"
VERSION = 1
STAGES = ("found", "selected", "face")
SIDE = 48
THUMB = 16

Reason = Literal[
    "unreadable",
    "too small",
    "no label",
    "not one of the seven",
    "blank",
    "not a face",
    "votes of another picture",
    "label conflict",
    "duplicate",
    "no face",
    "face too small",
    "several faces",
]
"""Why a picture went no further. The last three are said of selected pictures."""

_SCHEMA = """
CREATE TABLE sources (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,       -- what makes it the same source when it is imported again
    name TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    address TEXT NOT NULL,
    sha256 TEXT,                    -- of the file, where it is one
    licence TEXT NOT NULL,
    consent TEXT NOT NULL,
    refused INTEGER NOT NULL DEFAULT 0  -- pictures not taken for want of consent
);
CREATE TABLE pictures (
    id INTEGER PRIMARY KEY,
    source INTEGER NOT NULL REFERENCES sources,
    address TEXT NOT NULL,          -- path within the source, row, or URL
    page TEXT,                      -- where its author and licence are told
    sha256 TEXT,
    width INTEGER, height INTEGER, colour TEXT,
    label INTEGER,                  -- index into LABELS
    votes BLOB,                     -- ten bytes, the columns of FER+
    align INTEGER NOT NULL DEFAULT 0,
    person TEXT,
    usage INTEGER,                  -- the part that its source puts it in, index into USAGES
    reason TEXT,                    -- why it went no further, found when it was read
    family INTEGER,                 -- of the same picture, found several times: the one kept
    conflict INTEGER NOT NULL DEFAULT 0,  -- its family says otherwise, or nothing clear
    thumb BLOB, crop BLOB,          -- grey u8: the whole picture 16×16, the face 48×48
    part INTEGER,                   -- the part that `split` put it in
    UNIQUE (source, address)
);
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE answers (query TEXT PRIMARY KEY, utc REAL NOT NULL, body BLOB NOT NULL);
CREATE VIEW rows AS SELECT *,
    CASE WHEN why IS NULL THEN 2
         WHEN why IN ('no face', 'face too small', 'several faces') THEN 1 ELSE 0 END AS stage
    FROM (SELECT *, COALESCE(reason, CASE WHEN conflict THEN 'label conflict'
                                          WHEN family != id THEN 'duplicate' END) AS why
          FROM pictures);
"""
_STALE = "INSERT OR REPLACE INTO facts VALUES ('stale', 'true')"


class LibraryError(WorkshopError, OSError):
    """The library cannot be opened, read or written."""


class SourceRow(NamedTuple):
    """Where pictures come from and on what terms."""

    key: str
    name: str
    kind: str
    address: str
    sha256: str | None = None
    licence: str = "not stated"
    consent: str = "not stated"


@dataclass(frozen=True, slots=True)
class Picture:
    """What is kept of a picture."""

    address: str
    page: str | None = None
    sha256: str | None = None
    width: int | None = None
    height: int | None = None
    colour: str | None = None
    """Colour space of the file: grey, rgb, rgba, cmyk, palette, …"""
    label: int | None = None
    votes: bytes | None = None
    align: int = 0
    person: str | None = None
    usage: int | None = None
    reason: Reason | None = None
    thumb: bytes | None = None
    crop: bytes | None = None


class Faces(NamedTuple):
    """Rows of the library as arrays, one line a picture, ordered by id."""

    ids: NDArray[np.int64]
    sources: NDArray[np.int64]
    labels: NDArray[np.int64]
    usage: NDArray[np.int64]
    """Index into USAGES, −1 where its source says nothing."""
    parts: NDArray[np.int64]
    """What `split` decided, −1 for left out."""
    families: NDArray[np.int64]
    """Id of the kept one; its own id for a picture without a double."""
    persons: list[str | None]
    crops: NDArray[np.uint8]
    """[N, 48, 48]"""
    thumbs: NDArray[np.uint8]
    """[N, 16, 16]"""
    votes: NDArray[np.uint8]
    """[N, 10], zeros where nobody voted."""
    align: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids)


class Library:
    """Opened by `Library.open`, closed by `close` or as a context.

    Every method raises LibraryError when the disk is full or the file is locked or damaged; then
    nothing of that call was written.
    """

    def __init__(self, folder: Path, database: sqlite3.Connection) -> None:
        self.folder = folder
        self._database = database

    @classmethod
    def open(cls, folder: Path, *, make: bool = False) -> "Library":
        """Open the library in a folder; with `make` begin one where there is none.

        Raises:
            LibraryError: there is none, the folder holds other things, or the file is none of ours.
        """
        file = folder / FILE
        if not make and not file.is_file():
            raise LibraryError(
                f"There is no picture library in {folder} (no {FILE}); "
                f"begin one with: mien-convert import {folder} PICTURES"
            )
        try:
            if not file.exists() and folder.is_dir() and any(folder.iterdir()):
                raise LibraryError(
                    f"{folder} holds other files and no {FILE}; give a new folder for the library."
                )
            folder.mkdir(parents=True, exist_ok=True)
            database = sqlite3.connect(file, timeout=5, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            if isinstance(error, LibraryError):
                raise
            raise LibraryError(f"The library {file} cannot be opened: {reason(error)}.") from error
        library = cls(folder, database)
        try:
            library._prepare()
        except BaseException:
            database.close()
            raise
        return library

    def _prepare(self) -> None:
        with self._saying():
            (version,) = self._database.execute("PRAGMA user_version").fetchone()
            if version == 0:
                with self._transaction():
                    # Another import may have begun it while this one waited.
                    if not self._database.execute("SELECT 1 FROM sqlite_master").fetchone():
                        for statement in _SCHEMA.split(";\n"):
                            self._database.execute(statement)
                        self._database.execute(f"PRAGMA user_version = {VERSION}")
            elif version != VERSION:
                raise LibraryError(
                    f"{self.folder / FILE} is of version {version}, this workshop knows {VERSION}; "
                    "use the workshop that made it, or import into a new folder."
                )

    def close(self) -> None:
        self._database.close()

    def __enter__(self) -> "Library":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ── sources ──────────────────────────────────────────────────────────────────────────────────

    def source(self, row: SourceRow) -> int:
        """The id of a source; it is added when it is new, under a name that is free."""
        row = row._replace(
            **{name: printable(text) for name, text in row._asdict().items() if text is not None}
        )
        with self._transaction():
            known = self._one("SELECT id FROM sources WHERE key = ?", row.key)
            if known is not None:
                return int(known)
            name, count = row.name, 1
            while self._one("SELECT id FROM sources WHERE name = ?", name) is not None:
                count += 1
                name = f"{row.name} {count}"
            done = self._database.execute(
                f"INSERT INTO sources ({', '.join(row._fields)}) VALUES (?, ?, ?, ?, ?, ?, ?)",
                row._replace(name=name),
            )
            return int(done.lastrowid or 0)

    def sources(self) -> list[dict[str, Any]]:
        """Every source as a dict of its columns, without `key`."""
        columns = ["id", "name", "kind", "address", "sha256", "licence", "consent", "refused"]
        found = self._all(f"SELECT {', '.join(columns)} FROM sources ORDER BY id")
        return [dict(zip(columns, row, strict=True)) for row in found]

    def set_refused(self, source: int, count: int) -> None:
        """Remember how many pictures of a source were not taken for want of consent."""
        with self._transaction():
            self._database.execute("UPDATE sources SET refused = ? WHERE id = ?", (count, source))

    def labels(self, source: int) -> dict[str, int | None]:
        """What is already here of a source: address → label."""
        return dict(self._all("SELECT address, label FROM pictures WHERE source = ?", source))

    # ── pictures ─────────────────────────────────────────────────────────────────────────────────

    def add(self, source: int, pictures: Iterable[Picture]) -> None:
        """Add pictures in one transaction; one whose address is there already is passed over."""
        names = Picture.__slots__
        marks = ", ".join("?" * (len(names) + 1))
        with self._transaction():
            done = self._database.executemany(
                f"INSERT OR IGNORE INTO pictures (source, {', '.join(names)}) VALUES ({marks})",
                ([source, *(getattr(picture, name) for name in names)] for picture in pictures),
            )
            if done.rowcount > 0:
                self._database.execute(_STALE)

    def remove(self, source: int, addresses: Iterable[str]) -> int:
        """Remove pictures of a source; returns how many there were."""
        with self._transaction():
            done = self._database.executemany(
                "DELETE FROM pictures WHERE source = ? AND address = ?",
                ((source, address) for address in addresses),
            )
            if done.rowcount > 0:
                self._database.execute(_STALE)
            return done.rowcount

    def set_votes(self, source: int, votes: Sequence[tuple[str, bytes, bool]]) -> None:
        """Give pictures of a source, by address, their FER+ votes, and whether most of the voters
        saw no face."""
        with self._transaction():
            self._database.executemany(
                "UPDATE pictures SET votes = ?, reason = CASE WHEN ? AND reason IS NULL "
                "THEN 'not a face' ELSE reason END WHERE source = ? AND address = ?",
                ((ballot, nobody, source, address) for address, ballot, nobody in votes),
            )
            self._database.execute(_STALE)

    def usages(self, source: int) -> dict[str, int | None]:
        """Address → the part that its source puts it in."""
        return dict(self._all("SELECT address, usage FROM pictures WHERE source = ?", source))

    def stale(self) -> bool:
        """Whether pictures came or went since `set_families`."""
        return self._one("SELECT value FROM facts WHERE name = 'stale'") is not None

    def set_families(self, families: dict[int, tuple[int, bool]]) -> None:
        """Say anew which pictures are the same: id → id of the one kept, whether it is in conflict.
        A split made before does not know of that, and is undone."""
        with self._transaction():
            self._database.execute("DELETE FROM facts")
            self._database.execute("UPDATE pictures SET family = NULL, conflict = 0, part = NULL")
            self._database.executemany(
                "UPDATE pictures SET family = ?, conflict = ? WHERE id = ?",
                ((kept, int(conflict), id) for id, (kept, conflict) in families.items()),
            )

    def set_parts(self, parts: dict[int, int], split: dict[str, Any]) -> None:
        """Put pictures, by id, into parts, and remember how that was decided."""
        with self._transaction():
            self._database.execute("UPDATE pictures SET part = NULL")
            self._database.executemany(
                "UPDATE pictures SET part = ? WHERE id = ?",
                ((part, id) for id, part in parts.items()),
            )
            self._database.execute(
                "INSERT OR REPLACE INTO facts VALUES ('split', ?)", (json.dumps(split),)
            )

    def split(self) -> dict[str, Any] | None:
        """How the pictures were last put into parts."""
        text = self._one("SELECT value FROM facts WHERE name = 'split'")
        return None if text is None else dict(json.loads(text))

    def faces(self, where: str = "stage = 2") -> Faces:
        """The rows with a label and a crop for which an SQL condition on the view `rows` holds."""
        rows = self._all(
            "SELECT id, source, label, IFNULL(usage, -1), IFNULL(part, -1), IFNULL(family, id), "
            "person, crop, thumb, votes, align FROM rows "
            f"WHERE crop IS NOT NULL AND label IS NOT NULL AND ({where}) ORDER BY id"
        )
        columns: list[Any] = list(zip(*rows, strict=True)) or [()] * 11
        ids, sources, labels, usage, parts, families = (
            np.array(column, np.int64) for column in columns[:6]
        )

        def pixels(column: Sequence[bytes], side: int) -> NDArray[np.uint8]:
            return np.frombuffer(b"".join(column), np.uint8).reshape(-1, side, side)

        none = bytes(VOTE_COLUMNS)
        votes = np.frombuffer(b"".join(ballot or none for ballot in columns[9]), np.uint8)
        return Faces(
            ids, sources, labels, usage, parts, families, list(columns[6]),
            pixels(columns[7], SIDE), pixels(columns[8], THUMB),
            votes.reshape(-1, VOTE_COLUMNS), np.array(columns[10], np.int64),
        )  # fmt: skip

    def describe(self, ids: Sequence[int]) -> list[dict[str, Any]]:
        """Where pictures come from and what they are called, in the order of `ids`."""
        found = {}
        for id in ids:
            (row,) = self._all(
                "SELECT sources.name, rows.address, label, usage, part, why FROM rows "
                "JOIN sources ON sources.id = source WHERE rows.id = ?", id
            )  # fmt: skip
            name, address, label, usage, part, why = row
            found[id] = {
                "id": int(id),
                "source": name,
                "address": address,
                "label": None if label is None else LABELS[label],
                "usage": None if usage is None else USAGES[usage],
                "part": None if part is None else USAGES[part],
                "dropped": why,
            }
        return [found[id] for id in ids]

    def counts(self) -> list[tuple[int, int | None, str | None, int, str | None, int]]:
        """(source, label, why dropped, stage, colour space, pictures) for each that occurs."""
        return self._all(
            "SELECT source, label, why, stage, colour, COUNT(*) FROM rows "
            "GROUP BY source, label, why, stage, colour"
        )

    def left_out(self) -> list[tuple[str, int]]:
        """Why pictures are in no part, and how many; `no part` for those that were not dropped."""
        return self._all(
            "SELECT IFNULL(why, 'no part'), COUNT(*) FROM rows WHERE part IS NULL GROUP BY why"
        )

    # ── answers of picture services ──────────────────────────────────────────────────────────────

    def answer(self, query: str, since: float) -> bytes | None:
        """What a service answered to a query, if that was not before `since`, UTC seconds."""
        body = self._one("SELECT body FROM answers WHERE query = ? AND utc >= ?", query, since)
        return None if body is None else bytes(body)

    def keep_answer(self, query: str, utc: float, body: bytes) -> None:
        with self._transaction():
            self._database.execute(
                "INSERT OR REPLACE INTO answers VALUES (?, ?, ?)", (query, utc, body)
            )

    # ── SQLite ───────────────────────────────────────────────────────────────────────────────────

    def _all(self, query: str, *values: Any) -> list[Any]:
        with self._saying():
            return self._database.execute(query, values).fetchall()

    def _one(self, query: str, *values: Any) -> Any:
        """The first column of the first row, or None."""
        rows = self._all(query, *values)
        return rows[0][0] if rows else None

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._saying():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:  # a full disk has ended it already
                    self._database.execute("ROLLBACK")
                raise

    @contextmanager
    def _saying(self) -> Iterator[None]:
        """SQLite's errors as sentences."""
        try:
            yield
        except sqlite3.Error as error:
            file = self.folder / FILE
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
                raise LibraryError(
                    f"The library {file} cannot be written ({error}); make room on its disk and "
                    "run the same command again, it goes on where it stopped."
                ) from error
            if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise LibraryError(
                    f"The library {file} is in use by another import; wait until that has ended."
                ) from error
            if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                raise LibraryError(
                    f"{file} is damaged or no picture library ({error}); "
                    "move it away and import again."
                ) from error
            raise LibraryError(f"The library {file} cannot be used: {error}.") from error
