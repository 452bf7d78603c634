"""Restoring a backup: first a checked copy of it under the box's own key, then all at once, in one
transaction of the live store. A pulled plug leaves the old store or the restored one.

What somebody had erased stays erased: what this box's audit list knows of withdrawals, and the
backup does not, is done again to what comes back. See docs/decisions/backup.md.
"""

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from mien import audit, backup, clients, database, erasures, migrations, sessions, settings
from mien.backup import BackupError, Content, DamagedBackup, Step
from mien.clients import Kind
from mien.clock import Clock, Stamp

PREPARED = "prepared-"


class Restored(Struct, frozen=True):
    """What a restore did. `counts`: rows by table; `withdrawn`: consents that were withdrawn and
    `erased` clients that were erased since the backup was made, and are again; `ended` sessions."""

    content: Content
    counts: dict[str, int]
    withdrawn: int
    erased: int
    ended: int


class _Since(Struct, frozen=True):
    """What happened on this box that the backup does not know."""

    kindred: bool
    """Whether the backup is of this store, or of one that this was restored from."""
    later: bool
    """Whether this box's audit list goes on where the backup's ends."""
    withdrawals: list[tuple[str, list[Kind]]]
    """Client and kinds, in order; no kinds: the client was erased."""
    erasures: list[Any]
    tokens: set[str]


class _Detail(Struct):
    client: str
    kinds: list[str] = []


# ── the copy under the box's own key ─────────────────────────────────────────────────────────────


def prepare(
    state_dir: Path, clock: Clock, file: Path, passphrase: str, user: str, step: Step
) -> tuple[Path, Content]:
    """A copy of a backup that `replace` takes over, and what is in it. Nothing of the live store
    is touched. An older backup is brought to the form of this Mien in the copy.

    Args:
        user: whose doing it will be, for the audit list.

    Raises:
        NoBackup, DamagedBackup, NewerError, BackupError: with a sentence.
        StoreError: the disk fails or fills up.
    """
    content = backup.look_into(file, passphrase)
    size = file.stat().st_size
    folder = backup.folder(state_dir)
    backup.room(folder, size * 2 + 64_000_000)  # the copy, and the journal of the transaction
    key = database.raw(database.key(state_dir, make=False))
    path = folder / f"{PREPARED}{secrets.token_hex(8)}.db"
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        if os.geteuid() == 0:  # a shell of root's: the daemon must be able to read it
            owner = state_dir.stat()
            os.chown(folder, owner.st_uid, owner.st_gid)
            os.chown(path, owner.st_uid, owner.st_gid)
        with database.opened(path, key) as db:
            _take_in(db, path, file, passphrase, content, clock, step)
            told = msgspec.json.encode(content).decode()
            db.execute("CREATE TABLE restore (user TEXT NOT NULL, content TEXT NOT NULL)")
            db.execute("INSERT INTO restore VALUES (?, ?)", (user, told))
        with open(path, "rb") as copy:
            os.fsync(copy.fileno())
    except BaseException as error:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        if isinstance(error, (database.WrongKey, database.Damaged)):
            raise DamagedBackup(backup.DAMAGED) from None
        if isinstance(error, OSError) and not isinstance(error, database.StoreError):
            raise BackupError(f"{folder} cannot be written: {error.strerror or error}") from None
        raise
    return path, content


def _take_in(
    db: Any, path: Path, file: Path, passphrase: str, content: Content, clock: Clock, step: Step
) -> None:
    now, size = clock.stamp(), file.stat().st_size
    steps = [one for one in migrations.MIGRATIONS if one.__name__ in content.steps]
    backup.empty(db, steps, now)
    key = backup.written(passphrase)
    db.execute("ATTACH ? AS old KEY ?", (f"{file.absolute().as_uri()}?mode=ro", key))

    def beat() -> None:
        step(min(path.stat().st_size, size), size)

    with database.watched(db, beat):
        db.execute("BEGIN")
        there = set(backup.tables(db, "old"))
        with backup.untriggered(db):
            for table in backup.tables(db):
                if table not in there or not backup.columns(db, table, "old"):
                    raise DamagedBackup(backup.DAMAGED)
                backup.copied(db, table, backup.columns(db, table), "old", "main")
        db.execute("COMMIT")
        db.execute("DETACH old")
        migrations.migrate(db, now.iso)
        if db.execute("PRAGMA foreign_key_check").fetchone() or audit.broken(db) is not None:
            raise DamagedBackup(
                "the file is damaged: its rows do not fit together, or its audit list was altered. "
                "Take another backup"
            )
        if settings.setting(db) == "demo":
            raise BackupError(
                "the backup is of a demo, which reads people without their consent. Set this box "
                "up on its page instead"
            )
    step(size, size)


# ── in place of the live store ───────────────────────────────────────────────────────────────────


def replace(state_dir: Path, clock: Clock, prepared: Path, beat: Callable[[], None]) -> Restored:
    """Put a prepared copy in place of all that the store holds, and remove it. Only the daemon does
    this, or who keeps it from running; `beat` is called meanwhile.

    Raises:
        BackupError: it is no prepared copy of this box's.
        StoreError: the disk fails or fills up, or somebody writes for too long. Nothing was changed
            then, and it may be tried again.
    """
    folder = (state_dir / backup.FOLDER).resolve()
    if prepared.parent.resolve() != folder or not prepared.name.startswith(PREPARED):
        raise BackupError("what is to be restored was not prepared by this box; begin again")
    if not prepared.exists():
        raise BackupError("what was prepared is not there any more; begin again")
    key = database.raw(database.key(state_dir, make=False))
    live = database.open_for_people(state_dir, clock, "copier")
    try:
        uri = f"{prepared.absolute().as_uri()}?mode=ro"
        live.read(lambda db: db.execute("ATTACH ? AS new KEY ?", (uri, key)))
        done = live.write(lambda db: _exchange(db, clock.stamp(), beat))
        live.read(lambda db: db.execute("DETACH new"))
        # Until it is emptied, by this or later, the journal holds what was there before.
        live.read(lambda db: db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall())
    finally:
        live.close()
    with suppress(OSError):
        prepared.unlink()
    return done


def _exchange(db: Any, now: Stamp, beat: Callable[[], None]) -> Restored:
    with database.watched(db, beat):
        user, told = db.execute("SELECT user, content FROM new.restore").fetchone()
        content = msgspec.json.decode(told, type=Content)
        since = _since(db)
        db.execute("PRAGMA defer_foreign_keys = ON")
        kept = {"audit", "erasures"} if since.later else set()
        tables = [table for table in backup.tables(db) if table not in kept]
        former = db.execute("SELECT count(*) FROM audit").fetchone()[0]
        with backup.untriggered(db):
            for table in (*sorted(backup.LEFT_OUT - {"migrations"}), *reversed(tables)):
                db.execute(f"DELETE FROM {table}")
            counts = {
                table: backup.copied(db, table, backup.columns(db, table), "new", "main")
                for table in tables
            }
        ended = sessions.end_restored(db, content.boot, content.boot_ms, now)
        withdrawn, erased = _apply(db, since, user, now)
        settings.put(db, "backup_utc", content.utc_ms)
        audit.note(
            db, now.utc, user, "box.restored", content.box,
            made=content.utc_ms, version=content.version, rows=sum(counts.values()),
            withdrawn=withdrawn, erased=erased, ended=ended,
            entries_dropped=0 if since.later else former,
        )  # fmt: skip
        db.execute("PRAGMA incremental_vacuum").fetchall()
    return Restored(content, counts, withdrawn, erased, ended)


def _since(db: Any) -> _Since:
    """Looked up before anything of the live store goes."""
    last = db.execute("SELECT id, hash FROM new.audit ORDER BY id DESC LIMIT 1").fetchone()
    later = bool(
        last and db.execute("SELECT 1 FROM audit WHERE id = ? AND hash = ?", last).fetchone()
    )
    kindred = later or bool(
        db.execute("SELECT 1 FROM audit WHERE hash IN (SELECT hash FROM new.audit)").fetchone()
    )
    withdrawals = []
    for action, detail in db.execute(
        "SELECT action, detail FROM audit WHERE action IN ('consent.withdrawn', 'client.erased') "
        "AND hash NOT IN (SELECT hash FROM new.audit) ORDER BY id"
    ):
        said = msgspec.json.decode(detail, type=_Detail)
        kinds = said.kinds if action == "consent.withdrawn" else []
        withdrawals.append((said.client, msgspec.convert(kinds, list[Kind])))
    asked = db.execute(
        "SELECT client, boot, from_ms, to_ms, asked_utc FROM erasures EXCEPT "
        "SELECT client, boot, from_ms, to_ms, asked_utc FROM new.erasures WHERE done_utc NOTNULL"
    ).fetchall()
    tokens = {id for (id,) in db.execute("SELECT id FROM tokens")}
    return _Since(kindred, later, withdrawals, asked, tokens)


def _apply(db: Any, since: _Since, user: str, now: Stamp) -> tuple[int, int]:
    """Withdraw and erase again what was withdrawn and erased since: consents, clients."""
    for row in since.erasures:
        again = db.execute(
            "UPDATE erasures SET done_utc = NULL, rows = NULL WHERE client = ? AND boot = ? "
            "AND from_ms = ? AND to_ms = ? AND asked_utc = ?",
            row,
        ).rowcount
        if not again:
            db.execute(
                "INSERT INTO erasures (client, boot, from_ms, to_ms, asked_utc) "
                "VALUES (?, ?, ?, ?, ?)",
                row,
            )
    withdrawn = erased = 0
    for id, kinds in since.withdrawals:
        owner = db.execute("SELECT owner FROM clients WHERE id = ?", (id,)).fetchone()
        client = clients.find(db, id, owner[0]) if owner else None
        if client is None:
            continue
        if not kinds:
            erasures.erase_client(db, client, user, now)
            erased += 1
        for kind in kinds:
            withdrawn += erasures.withdraw(db, client, kind, user, now) is not None
    if since.kindred:  # a token that was revoked since opens nothing
        for (token,) in db.execute("SELECT id FROM tokens").fetchall():
            if token not in since.tokens:
                db.execute("DELETE FROM tokens WHERE id = ?", (token,))
    return withdrawn, erased
