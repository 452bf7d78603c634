"""Backups: all that people and the box put into the store, in one file under a passphrase.

The file is a SQLCipher 4 database with the settings SQLCipher comes with (AES-256, PBKDF2-HMAC-
SHA512 with 256,000 rounds; https://www.zetetic.net/sqlcipher/design/), so that `sqlcipher` alone
opens it, without Mien; see docs/decisions/backup.md.
"""

import os
import shutil
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from mien import __version__, audit, database, migrations, settings
from mien.clock import Clock, Stamp
from mien.events import MienError

SUFFIX = ".mien-backup"
FOLDER = "backups"
"""Within the state folder: what is on its way into a backup or out of one."""
KEPT_S = 3600.0
"""After so long without being written to, a file of that folder is swept."""
SHORTEST, LONGEST = 16, 200
"""Characters of a passphrase. More than a log-in needs: who has the file can try as fast as the
hardware does, and no wait keeps anybody out."""
LEFT_OUT = frozenset({"outbox", "logins", "attempts", "migrations"})
"""Tables that are of this box and this hour. What was migrated, `Content.steps` says."""
STALE_DAYS = 30
"""After so long without a backup the box reminds of it."""

DAMAGED = (
    "the file is damaged: it was cut off or altered since it was made. Copy it again from where it "
    "came, or take another backup"
)
NEWER = (
    f"the file was made by a newer Mien than this one ({__version__}). Update this box, then "
    "restore it"
)

_SPARE_BYTES = 32_000_000

Step = Callable[[int, int], None]
"""Told how many bytes of how many are done, again and again; what it raises ends the work."""


class BackupError(MienError):
    """It cannot be made or read; says why and what to do."""


class NewerError(BackupError):
    """It was made by a newer Mien than this."""


class NoBackup(BackupError):
    """The passphrase is another, or the file is no backup: these cannot be told apart."""


class DamagedBackup(BackupError):
    """It is a backup, but cut off or altered."""


class Content(Struct, frozen=True):
    """What a backup says of itself. `counts`: rows by table; `boot` and `boot_ms`: the moment it
    was made, as the box counts; `steps`: the migrations of its tables."""

    box: str
    version: str
    utc_ms: int
    clock_ok: bool
    boot: str
    boot_ms: int
    steps: tuple[str, ...]
    counts: dict[str, int]
    audit: str = ""
    """The hash at the end of its audit list. A box that knows it knows what was withdrawn since."""

    def said(self) -> dict[str, int]:
        """The counts that tell a person something, by table."""
        return {name: self.counts.get(name, 0) for name in _TOLD}


_TOLD = ("users", "clients", "sessions", "captures", "checkins", "minutes", "readings", "pictures")

Fault = Literal["short", "long", "repeated"]
HINT = (
    f"at least {SHORTEST} characters, such as five or six unrelated words; write it down and keep "
    "it apart from the file: nobody can open it without"
)


def fault(passphrase: str) -> Fault | None:
    """Why this cannot be the passphrase of a backup; None when it can."""
    text = written(passphrase)
    if len(text) < SHORTEST:
        return "short"
    if len(text) > LONGEST or not text.isprintable():
        return "long"
    return "repeated" if len(set(text)) < 5 else None


def written(passphrase: str) -> str:
    """Keyboards write ü in two ways; NFKC makes them one."""
    return unicodedata.normalize("NFKC", passphrase)


def file_name(box: str, now: Stamp) -> str:
    """Such as `mien-k3p2xq-2026-11-21.mien-backup`."""
    return f"{box if box.startswith('mien') else f'mien-{box}'}-{now.iso[:10]}{SUFFIX}"


# ── making one ───────────────────────────────────────────────────────────────────────────────────


def make(state_dir: Path, box: str, clock: Clock, passphrase: str, to: Path, step: Step) -> Content:
    """Write the store as it is now into a new file `to`, while the box goes on; what is in it.

    Nobody waits for it: it reads one state of the store over a connection of its own. The file is
    there under its name once it is whole and was looked through.

    Raises:
        BackupError: the passphrase is too weak, there is a file already, or too little space.
        StoreError: the disk fails or fills up; nothing is left of the file then.
    """
    if fault(passphrase):
        raise BackupError(f"this cannot be the passphrase of a backup: it needs {HINT}")
    if to.exists():
        raise BackupError(f"there is a file {to} already; choose another name or remove it")
    key, part = written(passphrase), to.with_name(to.name + ".part")
    live = database.open_for_people(state_dir, clock, "copier")
    try:
        size = live.read(_used_bytes)
        room(to.parent, size + _SPARE_BYTES)
        _begin(part, key, clock)
        content = live.read(lambda db: _fill(db, part, key, clock.stamp(), box, size, step))
        _look_through(part, key)
        step(size, size)
        _finish(part, to)
    finally:
        live.close()
        with suppress(OSError):
            part.unlink(missing_ok=True)
    return content


def note(db: Any, now: Stamp, user: str, content: Content, size: int) -> None:
    """Remember that a backup was made, in the audit list and for who reminds of it."""
    settings.put(db, "backup_utc", content.utc_ms)
    audit.note(db, now.utc, user, "backup.made", bytes=size, rows=sum(content.counts.values()))


def last_utc(db: Any) -> int | None:
    """When the last backup was made, UTC in ms."""
    return settings.get(db, "backup_utc", int)


def known(db: Any, content: Content) -> bool:
    """Whether this store goes on where the backup ends, and so knows what was withdrawn since."""
    query = "SELECT EXISTS (SELECT 1 FROM audit WHERE hash = ?)"
    return bool(db.execute(query, (content.audit,)).fetchone()[0])


def stale(db: Any, now: Stamp) -> bool:
    """Whether there is something to lose, and no backup of these days."""
    last, since = last_utc(db), STALE_DAYS * 86_400_000
    if last is None:
        row = db.execute("SELECT min(created_utc) FROM users WHERE passphrase <> '!'").fetchone()
        last = row[0]
    return last is not None and round(now.utc * 1000) - last > since


def room(folder: Path, needed: int) -> None:
    """Raises BackupError when there is less space on the disk of this folder."""
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise BackupError(f"{folder} cannot be used: {error.strerror or error}") from None
    if free < needed:
        raise BackupError(
            f"this needs {needed // 10**6 + 1} MB in {folder}, and {free // 10**6} MB are free. "
            "Free some space, or take another disk"
        )


def tables(db: Any, schema: str = "main") -> list[str]:
    """The tables that a backup holds, parents before their children."""
    rows = db.execute(
        f"SELECT name FROM {schema}.sqlite_master WHERE type = 'table' "
        "AND name NOT LIKE 'sqlite_%' ORDER BY rowid"
    )
    return [name for (name,) in rows if name not in LEFT_OUT and name not in ("backup", "restore")]


def empty(db: Any, steps: Sequence[Callable[[Any], None]], now: Stamp) -> None:
    """The tables as these steps make them, without the rows that some of them bring along."""
    migrations.migrate(db, now.iso, steps)
    with untriggered(db):
        for table in tables(db):
            db.execute(f"DELETE FROM {table}")


def columns(db: Any, table: str, schema: str = "main") -> list[str]:
    return [row[1] for row in db.execute(f"PRAGMA {schema}.table_info({table})")]


def copied(db: Any, table: str, names: Iterable[str], source: str, target: str) -> int:
    """Copy all rows of these columns between two attached databases; how many."""
    listed = ", ".join(names)
    done = db.execute(
        f"INSERT INTO {target}.{table} ({listed}) SELECT {listed} FROM {source}.{table}"
    )
    return int(done.rowcount)


@contextmanager
def untriggered(db: Any, schema: str = "main") -> Iterator[None]:
    """Rows are copied as they are: nothing is done on their account, within this transaction."""
    found = db.execute(f"SELECT name, sql FROM {schema}.sqlite_master WHERE type = 'trigger'")
    triggers = found.fetchall()
    for name, _ in triggers:
        db.execute(f"DROP TRIGGER {schema}.{name}")
    yield
    for _, sql in triggers:
        db.execute(sql.replace("CREATE TRIGGER ", f"CREATE TRIGGER {schema}.", 1))


def _used_bytes(db: Any) -> int:
    (pages, free, bytes_) = (
        int(db.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * bytes_


def _begin(part: Path, key: str, clock: Clock) -> None:
    """An empty store under the passphrase."""
    try:
        part.unlink(missing_ok=True)
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        raise BackupError(f"{part} cannot be written: {error.strerror or error}") from None
    with database.opened(part, key) as db:
        empty(db, migrations.MIGRATIONS, clock.stamp())
        db.execute("CREATE TABLE backup (content TEXT NOT NULL)")


def _fill(db: Any, part: Path, key: str, now: Stamp, box: str, size: int, step: Step) -> Content:
    db.execute("PRAGMA foreign_keys = OFF")
    db.execute("ATTACH ? AS copy KEY ?", (f"{part.absolute().as_uri()}?mode=rw", key))
    db.execute("PRAGMA copy.journal_mode = OFF").fetchall()
    db.execute("PRAGMA copy.synchronous = OFF")

    def beat() -> None:
        step(min(part.stat().st_size, size), size)

    with database.watched(db, beat):
        db.execute("BEGIN")  # from the first look on, what others write is not seen
        with untriggered(db, "copy"):
            counts = {
                table: copied(db, table, columns(db, table), "main", "copy") for table in tables(db)
            }
        newest = audit.entries(db, limit=1)
        content = Content(
            audit=newest[0].hash if newest else "",
            box=box,
            version=__version__,
            utc_ms=round(now.utc * 1000),
            clock_ok=now.clock_ok,
            boot=now.boot_id,
            boot_ms=round(now.boot_time * 1000),
            steps=tuple(step.__name__ for step in migrations.MIGRATIONS),
            counts=counts,
        )
        db.execute("INSERT INTO copy.backup VALUES (?)", (msgspec.json.encode(content).decode(),))
        db.execute("COMMIT")
    return content


def _finish(part: Path, to: Path) -> None:
    """On the disk, then under its name."""
    try:
        with open(part, "rb") as file:
            os.fsync(file.fileno())
        os.rename(part, to)
        folder = os.open(to.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise BackupError(f"{to} cannot be written: {error.strerror or error}") from None


# ── looking into one ─────────────────────────────────────────────────────────────────────────────


def look_into(file: Path, passphrase: str) -> Content:
    """What is in a backup, every page of which was checked.

    Raises:
        NoBackup: the passphrase is another, or the file is something else.
        DamagedBackup, NewerError, BackupError: with a sentence.
    """
    try:
        size = file.stat().st_size
        with open(file, "rb") as opened:
            head = opened.read(16)
    except OSError as error:
        raise BackupError(f"{file} cannot be read: {error.strerror or error}") from None
    if size == 0:
        raise NoBackup("the file is empty (0 bytes); copy it again from where it came")
    if head.startswith((b"SQLite format 3", b"PK\x03\x04", b"%PDF", b"\x1f\x8b", b"\x89PNG")):
        raise NoBackup(f"the file is no backup of Mien; choose one that ends in {SUFFIX}")
    if size < _PAGE:
        raise NoBackup(f"the file is no backup of Mien, or was cut off: it has {size} bytes")
    return _look_through(file, written(passphrase))


_PAGE = 4096


def _look_through(file: Path, key: str) -> Content:
    try:
        with database.opened(file, key) as db:
            found = db.execute(
                "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'backup'"
            ).fetchone()
            if not found:
                raise NoBackup("the file is a database of something else, not a backup of Mien")
            wrong = db.execute("PRAGMA cipher_integrity_check").fetchall()
            whole = db.execute("PRAGMA integrity_check(1)").fetchone()[0] == "ok"
            row = db.execute("SELECT content FROM backup").fetchone()
    except database.WrongKey:
        raise NoBackup(
            "this passphrase does not open the file. Either it is not the one that the backup was "
            "made with, or the file is no backup of Mien or damaged at its beginning"
        ) from None
    except database.Damaged:
        raise DamagedBackup(DAMAGED) from None
    if wrong or not whole or not row:
        raise DamagedBackup(DAMAGED)
    try:
        content = msgspec.json.decode(row[0], type=Content)
    except msgspec.MsgspecError:
        raise NewerError(NEWER) from None
    known = {step.__name__ for step in migrations.MIGRATIONS}
    if set(content.steps) - known:
        raise NewerError(NEWER)
    return content


# ── files on their way ───────────────────────────────────────────────────────────────────────────


def folder(state_dir: Path) -> Path:
    """Where they lie; made if need be."""
    path = state_dir / FOLDER
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise BackupError(f"{path} cannot be made: {error.strerror or error}") from None
    return path


def sweep(state_dir: Path, utc: float) -> int:
    """Remove what nobody fetched, finished or restored in time; how many files."""
    gone = 0
    with suppress(OSError):
        for path in (state_dir / FOLDER).iterdir():
            with suppress(OSError):
                if not -KEPT_S < utc - path.stat().st_mtime < KEPT_S:
                    path.unlink()
                    gone += 1
    return gone
