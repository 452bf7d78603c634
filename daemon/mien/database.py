"""The database: one encrypted SQLite file, which is set aside when damaged, and its key.

One connection, one lock: the threads of a process wait for each other a few milliseconds at most.
"""

import logging
import os
import re
import secrets
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
from sqlcipher3 import dbapi2

from mien import config, migrations
from mien.clock import Clock
from mien.events import MienError

log = logging.getLogger(__name__)

FILE = "mien.db"
KEY = "store.key"
BOX_ID = "box-id"
CREDENTIAL = "mien-store-key"

_DAMAGED = (dbapi2.SQLITE_CORRUPT, dbapi2.SQLITE_NOTADB)
# A commit writes whole pages every few seconds, and this is an SD card: small pages.
_PAGE_BYTES = 1024
# SQLCipher's own cache would be 8 MB for each of both, and no page is slower with less.
_WRITER = (
    "cache_size = -2000",
    "auto_vacuum = INCREMENTAL",
    "journal_mode = WAL",
    "synchronous = NORMAL",
    "journal_size_limit = 4000000",
    "foreign_keys = ON",
    "secure_delete = ON",  # what a person had erased is gone from the file too
)
# The page writes what people enter: acknowledged means on the disk.
_PAGE = (
    "cache_size = -3000",
    "synchronous = FULL",
    "foreign_keys = ON",
    "secure_delete = ON",
)
_READER = ("query_only = ON",)
# All rows are replaced, and no page that is freed stays in the file: what is used again need not be
# overwritten first.
_COPIER = ("synchronous = FULL", "foreign_keys = ON", "secure_delete = FAST")

Role = Literal["daemon", "page", "reader", "copier"]
"""Who opens the file: the daemon makes and migrates it, the page only writes its own tables, and
who backs up or restores copies all of it."""

_PRAGMAS: dict[Role, tuple[str, ...]] = {
    "daemon": _WRITER,
    "page": _PAGE,
    "reader": _READER,
    "copier": _COPIER,
}

_T = TypeVar("_T")


class StoreError(MienError, OSError):
    """The store cannot be opened, read or written."""


class WrongKey(StoreError):
    """A file under another key, or no database at all: nobody can tell these apart."""


class Damaged(StoreError):
    """The key fits, but the file is cut off or altered."""


class Database:
    """`read` and `write` take the work to do, a function of the connection.

    Both raise `StoreError` when the disk is full or fails; then nothing of the work was written
    and the next call may succeed.
    """

    def __init__(self, path: Path, key: str, clock: Clock, role: Role) -> None:
        self.path = path
        self.notice: str | None = None
        """A sentence when the file was damaged, set aside and begun anew."""
        self._key = key
        self._clock = clock
        self._role: Role = role
        self._lock = threading.Lock()
        self._db: Any = None

    def read(self, work: Callable[[Any], _T]) -> _T:
        return self._guarded(work)

    def write(self, work: Callable[[Any], _T]) -> _T:
        """`work` in one transaction, which waits up to 5 s for that of another process."""

        def transaction(db: Any) -> _T:
            db.execute("BEGIN IMMEDIATE")
            try:
                result = work(db)
                db.execute("COMMIT")
            except BaseException:
                with suppress(dbapi2.Error):  # some errors have rolled it back already
                    db.execute("ROLLBACK")
                raise
            return result

        return self._guarded(transaction)

    def close(self) -> None:
        with self._lock:
            if self._db is not None:
                self._db.close()

    def _guarded(self, work: Callable[[Any], _T]) -> _T:
        """`work`, done again on a new file when this one turns out to be damaged."""
        with self._lock:
            try:
                try:
                    return work(self._connected())
                except dbapi2.DatabaseError as error:
                    if not (self._role == "daemon" and _code(error) in _DAMAGED):
                        raise
                    self._set_aside(str(error))
                    return work(self._connected())
            except (dbapi2.Error, OSError) as error:
                raise StoreError(_sentence(self.path, error)) from error
            except migrations.UnknownStep as error:
                raise StoreError(f"Cannot use {self.path}: {error}") from None

    def _connected(self) -> Any:
        if self._db is None:
            mode = "rwc" if self._role == "daemon" else "rw"
            db: Any = dbapi2.connect(
                f"{self.path.absolute().as_uri()}?mode={mode}",
                uri=True,
                timeout=5,
                isolation_level=None,
                check_same_thread=False,
            )
            try:
                self._prepare(db)
            except BaseException:
                db.close()
                raise
            self._db = db
        return self._db

    def _prepare(self, db: Any) -> None:
        for pragma in (
            "cipher_log_level = NONE",  # it would write to stderr what our sentence says
            f"key = \"x'{self._key}'\"",
            f"cipher_page_size = {_PAGE_BYTES}",
            *_PRAGMAS[self._role],
        ):
            db.execute(f"PRAGMA {pragma}").fetchall()
        if self._role == "daemon":
            for name in migrations.migrate(db, self._clock.stamp().iso):
                log.info("Database step %s is done.", name)
        elif migrations.missing(db):
            raise migrations.UnknownStep("it is older than this program. Start the daemon first.")

    def _set_aside(self, reason: str) -> None:
        if self._db is not None:
            with suppress(dbapi2.Error):
                self._db.close()
            self._db = None
        moment = re.sub(r"[-:]|\.\d+", "", self._clock.stamp().iso)
        aside = self.path.with_name(f"{self.path.name}.corrupt-{moment}")
        while aside.exists():
            aside = aside.with_name(aside.name + "x")
        for suffix in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                os.rename(f"{self.path}{suffix}", f"{aside}{suffix}")
        self.notice = (
            f"The database was damaged or is under another key ({reason}). It was set aside as "
            f"{aside.name} and a new one begun, so the history starts anew. To have the old one "
            f"back, stop Mien, put back {FILE} and its key from a backup and start again."
        )
        log.error("%s", self.notice)


def open_for_people(state_dir: Path, clock: Clock, role: Role = "page") -> Database:
    """The daemon's database, for the tables of what people enter. The file itself is opened at the
    first question.

    Raises:
        StoreError: the daemon has not made it yet, or this user may not read it.
    """
    try:
        secret = key(state_dir, make=False)
    except StoreError:
        raise
    except OSError as error:
        raise _no_folder(state_dir, error) from None
    return Database(state_dir / FILE, secret, clock, role)


@contextmanager
def opened(path: Path, key: str) -> Iterator[Any]:
    """A connection to a database file of its own, made where there is none, with the settings of
    SQLCipher 4 as they come: `sqlcipher` opens it with the key alone. What is written has no
    journal, so a file whose writing was broken off is to be thrown away.

    Args:
        key: a passphrase, or 64 hexadecimal digits as `raw` writes them.

    Raises:
        WrongKey, Damaged, StoreError: also out of what is done within.
    """
    db: Any = None
    try:
        db = dbapi2.connect(
            f"{path.absolute().as_uri()}?mode=rwc", uri=True, timeout=5, isolation_level=None
        )
        quoted = key.replace("'", "''")
        for pragma in (
            "cipher_log_level = NONE",
            f"key = '{quoted}'",
            "cipher_compatibility = 4",
            "trusted_schema = OFF",
            "journal_mode = OFF",
            "synchronous = OFF",
        ):
            db.execute(f"PRAGMA {pragma}").fetchall()
        yield db
    except dbapi2.Error as error:
        kind = {dbapi2.SQLITE_NOTADB: WrongKey, dbapi2.SQLITE_CORRUPT: Damaged}
        if (found := kind.get(_code(error))) is not None:
            raise found(f"{path.name}: {error}") from error
        raise StoreError(_sentence(path, error)) from error
    finally:
        if db is not None:
            db.close()


def raw(key: str) -> str:
    """The store's key as SQLCipher takes it without making a key of it first."""
    return f"x'{key}'"


@contextmanager
def watched(db: Any, beat: Callable[[], None]) -> Iterator[None]:
    """`beat` is called every few milliseconds while statements run; what it raises ends them."""
    raised: list[BaseException] = []

    def look() -> int:
        try:
            beat()
        except BaseException as error:
            raised.append(error)
        return len(raised)

    db.set_progress_handler(look, 50_000)
    try:
        yield
    except dbapi2.Error:
        if raised:
            raise raised[0] from None
        raise
    finally:
        db.set_progress_handler(None, 0)


def free_mb(path: Path) -> int:
    """Free space on the disk of a file, in MB.

    Raises:
        StoreError: the folder is gone.
    """
    try:
        return shutil.disk_usage(path.parent).free // 1_000_000
    except OSError as error:
        raise StoreError(f"Cannot use {path.parent}: {error}. Is its disk still there?") from None


def key(state_dir: Path, *, make: bool) -> str:
    """The key, 64 hexadecimal digits: systemd's credential, else a file only we may read.

    Raises:
        OSError: it cannot be read, or is missing and not to be made.
        StoreError: the file holds no key.
    """
    path = state_dir / KEY
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    if credentials and (Path(credentials) / CREDENTIAL).exists():
        path, make = Path(credentials) / CREDENTIAL, False
    text = _kept(path, secrets.token_hex(32) if make else None)
    if not re.fullmatch(r"[0-9a-fA-F]{64}", text):
        raise StoreError(
            f"The key file {path} must hold 64 hexadecimal digits and nothing else. Restore it "
            "from a backup, or move it and the database away to begin anew."
        )
    return text


def box_id(state_dir: Path, *, make: bool) -> str:
    """The name of this box. It has a file of its own, so that it outlives a damaged database.

    Raises:
        OSError, StoreError: as `key`.
    """
    path = state_dir / BOX_ID
    letters = "".join(secrets.choice("abcdefghjkmnpqrstuvwxyz23456789") for _ in range(6))
    text = _kept(path, f"mien-{letters}" if make else None)
    try:
        return msgspec.convert(text, config.BoxId)
    except msgspec.ValidationError:
        raise StoreError(
            f"The file {path} must hold the name of this box: {config.allowed(config.BoxId)}. "
            "Write it in again, or remove the file to have a new name made up."
        ) from None


def box_name(settings: config.Config) -> str:
    """What this box goes by: as its config says, else the name it made up.

    Raises:
        StoreError: it has none yet, or none that can be read.
    """
    try:
        return settings.box.id or box_id(settings.state_dir, make=False)
    except StoreError:
        raise
    except OSError as error:
        raise _no_folder(settings.state_dir, error) from None


def _no_folder(state_dir: Path, error: OSError) -> StoreError:
    return StoreError(
        f"Cannot use the state folder {state_dir}: {error}. Start the daemon first, "
        "as a user whose files this one may read and write."
    )


def _kept(path: Path, new: str | None) -> str:
    """The text of a small file; where it is missing, `new` is put there, safe from a pulled plug.

    Raises:
        OSError: it cannot be read, or is missing and there is no `new`.
    """
    try:
        return path.read_text(errors="replace").strip()
    except FileNotFoundError:
        if new is None:
            raise
    draft = path.with_name(path.name + ".new")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(new + "\n")
        file.flush()
        os.fsync(file.fileno())
    os.rename(draft, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return new


def _sentence(path: Path, error: Exception) -> str:
    # Some calls report a full disk as a mere I/O error.
    full = _code(error) == dbapi2.SQLITE_FULL or (
        _code(error) == dbapi2.SQLITE_IOERR and free_mb(path) < 1
    )
    if full:
        return (
            f"The disk of {path} is full, so the last rows were not written. Free some space; "
            "what was stored before is safe."
        )
    return (
        f"Cannot use {path}: {str(error).rstrip('.')}. The file and its folder must belong to the "
        "user Mien runs as, on a disk that can be written."
    )


def _code(error: Exception) -> int:
    """SQLite's primary result code, 0 for other errors."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
