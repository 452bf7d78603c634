"""Backups: what is in the file, what opens it, and what a restore makes of the live store."""

import json
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st
from sqlcipher3 import dbapi2

from mien import audit, backup, clients, config, database, erasures, migrations, restore, settings
from mien.__main__ import main
from mien.backup import BackupError, Content, DamagedBackup, NewerError, NoBackup
from mien.clock import ManualClock
from mien.database import Database, StoreError
from mien.store import Store

PASSPHRASE = "correct horse battery staple"
WORDS = f"x'{'0123456789abcdef' * 4}'"
"""SQLCipher takes this for the key itself, which spares each test seconds of key derivation."""
FILE = f"box{backup.SUFFIX}"


def no_step(done: int, total: int) -> None:
    pass


class Box:
    """A box's store, and a connection as the page has one."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self.folder = folder
        self.store = Store.open(folder, self.clock, config.Store(min_free_mb=1))
        self.id = self.store.box_id()
        self.db: Database = database.open_for_people(folder, self.clock)

    def close(self) -> None:
        self.db.close()
        self.store.close()

    def write(self, query: str, *values: object) -> None:
        self.db.write(lambda db: db.execute(query, values))

    def rows(self, query: str, *values: object) -> list[Any]:
        return self.db.read(lambda db: db.execute(query, values).fetchall())

    def note(self, action: str, **detail: object) -> None:
        now = self.clock.stamp().utc
        self.db.write(lambda db: audit.note(db, now, "anna", action, **detail))

    def everything(self) -> dict[str, list[Any]]:
        """All rows of all tables."""

        def work(db: Any) -> dict[str, list[Any]]:
            names = [*backup.tables(db), *backup.LEFT_OUT - {"migrations"}]
            return {t: sorted(db.execute(f"SELECT * FROM {t}").fetchall(), key=repr) for t in names}

        return self.db.read(work)

    def backup(self, file: Path) -> Content:
        return backup.make(self.folder, self.id, self.clock, WORDS, file, no_step)

    def restore(self, file: Path) -> restore.Restored:
        prepared, _ = restore.prepare(self.folder, self.clock, file, WORDS, "anna", no_step)
        return restore.replace(self.folder, self.clock, prepared, lambda: None)

    def client(self, id: str, *consents: str) -> clients.Client:
        """A client of user 1, with one session of a minute, half an hour ago."""
        now = self.clock.stamp()

        def work(db: Any) -> clients.Client:
            db.execute("INSERT OR IGNORE INTO users VALUES (1,'anna','','',null,null,null,0,0,0)")
            clients.add(db, id, id, 1, now.utc, resident=False)
            for kind in consents:
                db.execute(
                    "INSERT INTO consents (client, kind, version, given_utc, user) "
                    "VALUES (?, ?, 1, ?, 'anna')",
                    (id, kind, round(now.utc * 1000)),
                )
            db.execute(
                "INSERT INTO sessions (id, client, user, boot, boot_ms, utc, clock_ok, length_ms, "
                "numbers, pictures) VALUES (?, ?, 1, ?, 60000, 0, 1, 60000, 1, 1)",
                (f"s-{id}", id, now.boot_id),
            )
            found = clients.find(db, id, 1)
            assert found
            return found

        return self.db.write(work)


def fill(box: Box) -> None:
    """Two rows in every table there is, which belong together; a new table is filled as well."""

    def work(db: Any) -> None:
        db.execute("PRAGMA defer_foreign_keys = ON")
        with backup.untriggered(db):
            for table in [*backup.tables(db), *sorted(backup.LEFT_OUT - {"migrations"})]:
                for n in (1, 2):
                    put(db, table, n)
        for n in (1, 2):
            audit.note(db, n, "anna", "box.changed", n=n, box=box.id)

    box.db.write(work)


def put(db: Any, table: str, n: int) -> None:
    if table == "audit":  # a chain
        return
    parents = {row[3]: row[2] for row in db.execute(f"PRAGMA foreign_key_list({table})")}
    values: dict[str, object] = {}
    for _, name, kind, *_ in db.execute(f"PRAGMA table_info({table})").fetchall():
        parent = parents.get(name)
        textual = kind == "TEXT" or (parent and parent not in ("boots", "users", "episodes"))
        of_picture = parent == "pictures"
        if kind == "BLOB":
            values[name] = bytes([n]) * 9
        elif textual and not of_picture:
            values[name] = f"{parent or table}-{n}"
        else:
            values[name] = n
    if table == "settings":
        values = {"key": f"k{n}", "value": json.dumps(n)}
    marks = ", ".join("?" * len(values))
    db.execute(
        f"INSERT OR REPLACE INTO {table} ({', '.join(values)}) VALUES ({marks})",
        list(values.values()),
    )


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[[str], Box]]:
    made: list[Box] = []

    def new(name: str) -> Box:
        made.append(Box(tmp_path / name))
        return made[-1]

    yield new
    for box in made:
        box.close()


@pytest.fixture
def box(make: Callable[[str], Box]) -> Box:
    return make("one")


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of a filled box."""
    folder = tmp_path_factory.mktemp("good")
    box = Box(folder)
    fill(box)
    box.backup(folder / FILE)
    box.close()
    return folder / FILE


# ── from one box to another ──────────────────────────────────────────────────────────────────────


def test_all_of_one_box_is_on_the_other_and_nothing_more(make: Callable[[str], Box]) -> None:
    one, two = make("one"), make("two")
    fill(one)
    fill(two)
    two.write("UPDATE clients SET code = 'other ' || code")
    before, key = one.everything(), (two.folder / database.KEY).read_text()
    content = one.backup(one.folder / FILE)
    assert content.box == one.id
    assert all(count >= 2 for table, count in content.counts.items()), content.counts
    done = two.restore(one.folder / FILE)
    after = two.everything()
    assert {t for t in before if before[t] != after[t]} == {
        "audit", "settings", "logins", "attempts", "outbox",
    }  # fmt: skip
    assert after["audit"][:-1] == before["audit"]
    assert two.db.read(audit.broken) is None
    (entry,) = two.db.read(lambda db: audit.entries(db, limit=1))
    assert (entry.action, entry.user, entry.subject) == ("box.restored", "anna", one.id)
    assert json.loads(entry.detail)["entries_dropped"] == 2
    assert after["settings"] == sorted(
        [*before["settings"], ("backup_utc", str(content.utc_ms))], key=repr
    )
    assert after["logins"] == after["attempts"] == after["outbox"] == []
    assert done.content == content
    assert two.store.box_id() == two.id != one.id
    assert (two.folder / database.KEY).read_text() == key
    assert list((two.folder / backup.FOLDER).iterdir()) == []
    assert two.rows("PRAGMA integrity_check") == [("ok",)]
    assert two.rows("PRAGMA freelist_count") == [(0,)], "what was here before is not in the file"
    triggers = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' ORDER BY 1"
    assert two.rows(triggers) == one.rows(triggers)
    two.store.erasures()  # the daemon's own connection goes on


def test_the_file_opens_with_sqlcipher_alone(box: Box) -> None:
    fill(box)
    file = box.folder / FILE
    backup.make(box.folder, box.id, box.clock, PASSPHRASE, file, no_step)
    db: Any = dbapi2.connect(str(file))
    db.execute(f"PRAGMA key = '{PASSPHRASE}'")
    assert db.execute("SELECT count(*) FROM clients").fetchone() == (2,)
    for table in backup.LEFT_OUT - {"migrations"}:
        assert db.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
    db.close()
    assert b"clients-1" not in file.read_bytes()
    assert file.stat().st_mode & 0o777 == 0o600
    with pytest.raises(NoBackup, match="this passphrase does not open the file"):
        backup.look_into(file, PASSPHRASE + ".")


def test_it_is_made_while_others_write(box: Box) -> None:
    fill(box)

    def step(done: int, total: int) -> None:
        box.write("INSERT OR REPLACE INTO settings VALUES ('meanwhile', '1')")

    box.write(MANY, 99, 30_000)
    content = backup.make(box.folder, box.id, box.clock, WORDS, box.folder / FILE, step)
    assert box.rows("SELECT 1 FROM settings WHERE key = 'meanwhile'")
    assert content.counts["settings"] == 2, "one state of the store, that of the beginning"


def test_a_step_that_raises_leaves_nothing(box: Box) -> None:
    def stop(done: int, total: int) -> None:
        raise BackupError("stopped")

    with pytest.raises(BackupError, match="stopped"):
        backup.make(box.folder, box.id, box.clock, WORDS, box.folder / FILE, stop)
    assert list(box.folder.glob("*backup*")) == []


# ── what is no backup ────────────────────────────────────────────────────────────────────────────


def altered(good: Path, folder: Path, data: Callable[[bytes], bytes]) -> Path:
    file = folder / FILE
    file.write_bytes(data(good.read_bytes()))
    return file


@pytest.mark.parametrize(
    ("data", "kind", "said"),
    [
        (lambda d: b"", NoBackup, "is empty"),
        (lambda d: b"x" * 100, NoBackup, "100 bytes"),
        (lambda d: b"PK\x03\x04" + d[4:], NoBackup, "choose one that ends in"),
        (lambda d: b"\x00" + d[1:], NoBackup, "passphrase does not open"),
        (lambda d: d[: len(d) // 8192 * 4096], DamagedBackup, "cut off or altered"),
        (lambda d: d[:-77], DamagedBackup, "cut off or altered"),
        (lambda d: d[:-5000] + bytes([d[-5000] ^ 1]) + d[-4999:], DamagedBackup, "altered"),
    ],
)
def test_what_cannot_be_restored_is_told_and_changes_nothing(
    good: Path, box: Box, data: Callable[[bytes], bytes], kind: type[Exception], said: str
) -> None:
    before = box.everything()
    with pytest.raises(kind, match=said):
        box.restore(altered(good, box.folder, data))
    assert box.everything() == before
    assert not any((box.folder / backup.FOLDER).glob("*"))


@hypothesis(max_examples=40, deadline=None)
@given(data=st.data())
def test_no_alteration_goes_unseen(good: Path, data: st.DataObject) -> None:
    whole = bytearray(good.read_bytes())
    place = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        whole[place] ^= data.draw(st.integers(1, 255))
    elif data.draw(st.booleans()):
        del whole[place:]
    else:
        whole += data.draw(st.binary(min_size=1, max_size=9000))
    file = good.with_name("altered")
    file.write_bytes(whole)
    with pytest.raises(BackupError):
        backup.look_into(file, WORDS)


def test_another_database_under_the_passphrase_is_no_backup(tmp_path: Path) -> None:
    with database.opened(tmp_path / FILE, WORDS) as db:
        db.execute("CREATE TABLE poems (text TEXT)")
    with pytest.raises(NoBackup, match="something else"):
        backup.look_into(tmp_path / FILE, WORDS)


def test_rows_that_do_not_fit_together_are_refused(good: Path, box: Box) -> None:
    file = altered(good, box.folder, lambda data: data)
    with database.opened(file, WORDS) as db:
        db.execute("UPDATE sessions SET client = 'nobody'")
    with pytest.raises(DamagedBackup, match="do not fit together"):
        box.restore(file)


def test_a_demo_does_not_come_onto_a_real_box(box: Box, make: Callable[[str], Box]) -> None:
    demo = make("demo")
    demo.db.write(lambda db: settings.put(db, "setting", "demo"))
    demo.backup(demo.folder / FILE)
    with pytest.raises(BackupError, match="of a demo"):
        box.restore(demo.folder / FILE)
    assert list((box.folder / backup.FOLDER).iterdir()) == []


def test_a_newer_backup_asks_for_an_update(
    box: Box, make: Callable[[str], Box], monkeypatch: pytest.MonkeyPatch
) -> None:
    def tomorrow(db: Any) -> None:
        db.execute("CREATE TABLE tomorrow (x)")

    with monkeypatch.context() as newer:
        newer.setattr(migrations, "MIGRATIONS", (*migrations.MIGRATIONS, tomorrow))
        make("newer").backup(box.folder / FILE)
    with pytest.raises(NewerError, match="Update this box"):
        box.restore(box.folder / FILE)


def test_an_older_backup_is_brought_up_to_date(
    box: Box, make: Callable[[str], Box], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as older:
        older.setattr(migrations, "MIGRATIONS", migrations.MIGRATIONS[:3])
        old = make("older")
        old.client("a", "live")
        content = old.backup(box.folder / FILE)
    assert content.steps == ("first_tables", "models", "people")
    box.restore(box.folder / FILE)
    assert box.rows("SELECT id FROM clients") == [("a",)]
    assert box.rows("SELECT * FROM checkins") == []
    assert box.rows("SELECT * FROM rolled") == [(0,)]


def test_a_weak_passphrase_and_a_taken_name_are_refused(box: Box) -> None:
    file = box.folder / FILE
    with pytest.raises(BackupError, match="at least 16 characters"):
        backup.make(box.folder, box.id, box.clock, "short", file, no_step)
    file.touch()
    with pytest.raises(BackupError, match=r"there is a file .* already"):
        box.backup(file)
    assert backup.fault("0123456789" * 21) == "long"
    assert backup.fault("a passphrase\nin two lines") == "long"
    assert backup.fault("abababababababababab") == "repeated"
    assert backup.fault(WORDS) is None


# ── what happened since ──────────────────────────────────────────────────────────────────────────


def test_what_was_withdrawn_since_does_not_come_back(box: Box) -> None:
    file = box.folder / FILE
    box.note("box.set-up")
    held = {id: box.client(id, "live", "numbers", "pictures") for id in "abc"}
    box.write("INSERT INTO baselines VALUES ('b-a', 'a', 's-a', 0, 9, 'x', x'00', 1)")
    box.write("INSERT INTO baselines VALUES ('b-c', 'c', 's-c', 0, 9, 'x', x'00', 1)")
    box.backup(file)
    now = box.clock.stamp()
    box.db.write(lambda db: erasures.withdraw(db, held["a"], "numbers", "anna", now))
    box.db.write(lambda db: erasures.erase_client(db, held["b"], "anna", now))
    asked = box.rows("SELECT client, boot, from_ms, to_ms FROM erasures")
    box.write("UPDATE erasures SET done_utc = 5, rows = 9")
    before = box.rows("SELECT * FROM audit")

    done = box.restore(file)
    assert (done.withdrawn, done.erased) == (1, 1)
    assert box.rows("SELECT id FROM clients ORDER BY 1") == [("a",), ("c",)]
    valid = "SELECT kind FROM consents WHERE client = 'a' AND withdrawn_utc IS NULL ORDER BY 1"
    assert box.rows(valid) == [("live",), ("pictures",)]
    assert box.rows("SELECT id FROM baselines") == [("b-c",)]
    undone = box.rows("SELECT client, boot, from_ms, to_ms FROM erasures WHERE done_utc IS NULL")
    assert set(asked) <= set(undone), "the daemon erases it again"
    assert box.rows("SELECT * FROM audit")[: len(before)] == before, "the list goes on"
    assert box.db.read(audit.broken) is None
    assert box.rows("PRAGMA foreign_key_check") == []


def test_a_consent_given_anew_does_not_bring_back_what_was_withdrawn(box: Box) -> None:
    box.note("box.set-up")
    client = box.client("a", "live", "numbers")
    box.backup(box.folder / FILE)
    now = box.clock.stamp()
    box.db.write(lambda db: erasures.withdraw(db, client, "numbers", "anna", now))
    box.db.write(lambda db: clients.give(db, "a", "numbers", "anna", now.utc))
    box.restore(box.folder / FILE)
    standing = box.db.read(lambda db: clients.standing(db, "a"))
    assert set(standing) == {"live"}


def test_on_a_box_of_the_same_descent_too(box: Box, make: Callable[[str], Box]) -> None:
    """Restored elsewhere, withdrawn there; then a later backup of the first box."""
    box.note("box.set-up")
    box.client("a", "live", "numbers")
    early = box.backup(box.folder / FILE)
    box.note("box.changed")
    late = box.backup(box.folder / f"late{backup.SUFFIX}")
    two = make("two")
    assert not two.db.read(lambda db: backup.known(db, early))
    two.restore(box.folder / FILE)
    assert two.db.read(lambda db: backup.known(db, early))
    assert not two.db.read(lambda db: backup.known(db, late))
    client = two.db.read(lambda db: clients.find(db, "a", 1))
    assert client
    now = two.clock.stamp()
    two.db.write(lambda db: erasures.withdraw(db, client, "numbers", "anna", now))
    assert two.restore(box.folder / f"late{backup.SUFFIX}").withdrawn == 1
    assert set(two.db.read(lambda db: clients.standing(db, "a"))) == {"live"}
    assert two.rows("SELECT count(*) FROM erasures WHERE done_utc IS NULL") != [(0,)]
    assert two.db.read(audit.broken) is None


def test_a_token_that_was_revoked_since_opens_nothing(box: Box, make: Callable[[str], Box]) -> None:
    box.note("box.set-up")
    box.client("a")
    for id in ("kept", "revoked"):
        box.write("INSERT INTO tokens VALUES (?, 1, 'x', 'log', 0, null)", id)
    box.backup(box.folder / FILE)
    box.write("DELETE FROM tokens WHERE id = 'revoked'")
    box.restore(box.folder / FILE)
    assert box.rows("SELECT id FROM tokens") == [("kept",)]
    other = make("two")
    other.restore(box.folder / FILE)
    assert len(other.rows("SELECT id FROM tokens")) == 2, "a new box in place of the old one"


def test_a_session_that_ran_does_not_go_on(box: Box) -> None:
    box.clock.advance(100)
    box.client("a", "live")
    box.write("UPDATE sessions SET length_ms = NULL, ended = NULL, boot_ms = 1000")
    content = box.backup(box.folder / FILE)
    box.clock.advance(600)
    assert box.restore(box.folder / FILE).ended == 1
    ended = box.rows("SELECT length_ms, ended FROM sessions")
    assert ended == [(content.boot_ms - 1000, "restored")]


# ── pulled plugs and full disks ──────────────────────────────────────────────────────────────────

KILLED = """
import os, signal, sys
from pathlib import Path
from mien import restore
from mien.clock import ManualClock
beats = int(sys.argv[3])
def beat():
    global beats
    beats -= 1
    if beats < 0:
        os.kill(os.getpid(), signal.SIGKILL)
restore.replace(Path(sys.argv[1]), ManualClock(), Path(sys.argv[2]), beat)
"""
MANY = (
    "INSERT INTO readings WITH RECURSIVE c(i) AS (SELECT ? UNION ALL SELECT i + 1 FROM c "
    "WHERE i < ?) SELECT i, 1, 1, 1, 1, 1, randomblob(9), 1 FROM c"
)


@pytest.mark.slow
def test_a_pulled_plug_leaves_the_old_store_or_the_new_one(make: Callable[[str], Box]) -> None:
    one, two = make("one"), make("two")
    fill(one)
    one.write(MANY, 100, 60_000)
    one.backup(one.folder / FILE)
    two.client("old", "live")
    two.write(MANY, 100_000, 140_000)
    old = two.everything()
    outcomes = []
    for beats in (0, 1, 5, 12, 20, 26, 30, 33, 36, 40, 10_000):
        prepared, _ = restore.prepare(
            two.folder, two.clock, one.folder / FILE, WORDS, "anna", no_step
        )
        died = subprocess.run(
            [sys.executable, "-c", KILLED, two.folder, prepared, str(beats)], check=False
        ).returncode
        now = two.everything()
        outcomes.append((died, now == old))
        assert now == old or now["readings"] == one.everything()["readings"]
        assert (now == old) == (died != 0), "all of it, or nothing"
        assert two.rows("PRAGMA integrity_check") == [("ok",)]
    assert sum(code == -9 for code, _ in outcomes) >= 5
    assert outcomes[-1] == (0, False)
    assert backup.sweep(two.folder, 4e9) >= 5, "what a killed one left is swept"


@contextmanager
def small_disk(size: int) -> Iterator[None]:
    """Files may not grow beyond this, which fails as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_told_and_changes_nothing(box: Box, make: Callable[[str], Box]) -> None:
    box.write(MANY, 1, 20_000)
    file = box.folder / FILE
    with small_disk(200_000), pytest.raises(StoreError):
        box.backup(file)
    assert list(box.folder.glob("*backup*")) == []
    box.backup(file)
    two = make("two")
    two.client("old")
    before = two.everything()
    with small_disk(200_000), pytest.raises(StoreError):
        two.restore(file)
    assert not any((two.folder / backup.FOLDER).glob("*"))
    prepared, _ = restore.prepare(two.folder, two.clock, file, WORDS, "anna", no_step)
    with small_disk(200_000), pytest.raises(StoreError):
        restore.replace(two.folder, two.clock, prepared, lambda: None)
    assert two.everything() == before
    restore.replace(two.folder, two.clock, prepared, lambda: None)  # with room it goes
    assert two.rows("SELECT count(*) FROM readings") == [(20_000,)]


def test_too_little_space_is_told_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match=r"this needs \d+ MB in .* MB are free\. Free some"):
        backup.room(tmp_path, 1 << 60)


def test_only_what_this_box_prepared_is_taken_over(box: Box, good: Path) -> None:
    with pytest.raises(BackupError, match="not prepared by this box"):
        restore.replace(box.folder, box.clock, good, lambda: None)
    gone = box.folder / backup.FOLDER / f"{restore.PREPARED}1.db"
    with pytest.raises(BackupError, match="not there any more"):
        restore.replace(box.folder, box.clock, gone, lambda: None)


def test_files_that_nobody_came_for_are_swept(tmp_path: Path) -> None:
    file = backup.folder(tmp_path) / "made-1"
    file.touch()
    made = file.stat().st_mtime
    assert backup.sweep(tmp_path, made + backup.KEPT_S - 1) == 0
    assert backup.sweep(tmp_path, made + backup.KEPT_S + 1) == 1
    assert backup.sweep(tmp_path / "none", 0) == 0


# ── reminding, and the shell ─────────────────────────────────────────────────────────────────────


def test_a_box_reminds_after_thirty_days(box: Box) -> None:
    day = 86_400_000
    now = box.clock.stamp()
    here = round(now.utc * 1000)
    assert not box.db.read(lambda db: backup.stale(db, now)), "nothing to lose"
    box.write("INSERT INTO users VALUES (1,'anna','','x',null,null,null,?,0,0)", here - 31 * day)
    assert box.db.read(lambda db: backup.stale(db, now))
    box.db.write(lambda db: settings.put(db, "backup_utc", here - 29 * day))
    assert not box.db.read(lambda db: backup.stale(db, now))


def test_a_box_that_never_ran_has_nothing_to_back_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "words").write_text(WORDS)
    (tmp_path / "new.toml").write_text(f'[box]\nstate_dir = "{tmp_path / "new"}"\n')
    given = ["--passphrase-file", str(tmp_path / "words"), "--config", str(tmp_path / "new.toml")]
    assert main(["backup", str(tmp_path / FILE), *given]) == 1
    assert "Start the daemon first" in capsys.readouterr().err


def test_from_the_shell(
    make: Callable[[str], Box], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = make("one"), make("two")
    one.client("a", "live")
    (tmp_path / "words").write_text(WORDS + "\n")
    for name in ("one", "two"):
        (tmp_path / f"{name}.toml").write_text(f'[box]\nstate_dir = "{tmp_path / name}"\n')
    common = ["--passphrase-file", str(tmp_path / "words"), "--config"]
    file = str(tmp_path / FILE)
    assert main(["backup", file, *common, str(tmp_path / "one.toml"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["bytes"] == Path(file).stat().st_size
    assert (told["box"], told["counts"]["clients"]) == (one.id, 1)
    assert one.db.read(backup.last_utc) is not None
    assert main(["restore", file, *common, str(tmp_path / "two.toml")]) == 1
    assert "--yes" in capsys.readouterr().err
    assert main(["restore", file, *common, str(tmp_path / "two.toml"), "--yes"]) == 0
    assert "the backup is restored" in capsys.readouterr().out
    assert two.rows("SELECT id FROM clients") == [("a",)]
    assert main(["backup", file, *common, str(tmp_path / "one.toml")]) == 1
    assert "already" in capsys.readouterr().err
