"""The store: what is kept survives, what is damaged is set aside, what is full says so."""

import logging
import os
import shutil
import stat
import subprocess
import tempfile
import threading
import typing
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien import config
from mien.clock import ManualClock, Stamp
from mien.database import open_for_people
from mien.events import EXPRESSIONS, Expression, Reason
from mien.store import EpisodeRow, SecondReading, Store, StoreError

EVER = (-1e11, 1e11)
SMALL = config.Store(min_free_mb=1)
HYPOTHESIS = settings(deadline=None, max_examples=25)

Opener = Callable[..., Store]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def opened(tmp_path: Path, clock: ManualClock) -> Iterator[Opener]:
    stores = []

    def open_it(folder: Path = tmp_path, settings: config.Store = SMALL, **how: Any) -> Store:
        stores.append(Store.open(folder, clock, settings, **how))
        return stores[-1]

    yield open_it
    for store in stores:
        store.close()


@contextmanager
def temporary_store(clock: ManualClock) -> Iterator[Store]:
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(Path(folder), clock, SMALL)
        try:
            yield store
        finally:
            store.close()


def reading(stamp: Stamp, expression: Expression | None = "happiness") -> SecondReading:
    return SecondReading(
        stamp=stamp,
        people=1,
        expression=expression,
        reason=None if expression else "too dark",
        confidence=0.625,
        valence=0.4,
        probabilities={name: 51 / 255 if name < "n" else 0.0 for name in EXPRESSIONS},
        facing=True,
    )


def episode(clock: ManualClock, start: float, end: float) -> EpisodeRow:
    return EpisodeRow(
        id=str(uuid.uuid4()),
        expression="sadness",
        start=clock.stamp(start),
        end=clock.stamp(end),
        peak=0.75,
    )


# ── opening ──────────────────────────────────────────────────────────────────────────────────


def test_the_first_start_makes_a_key_and_a_name_that_stay(opened: Opener, tmp_path: Path) -> None:
    store = opened()
    box = store.box_id()
    key = tmp_path / "store.key"
    text = key.read_text()
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert box.startswith("mien-")
    assert len(box) == 11
    store.close()
    again = opened()
    assert (again.box_id(), key.read_text(), again.notice) == (box, text, None)


def test_a_credential_of_systemd_is_the_key(
    opened: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "mien-store-key").write_text("ab" * 32 + "\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    opened(tmp_path / "state")
    assert not (tmp_path / "state" / "store.key").exists()


def test_the_file_is_encrypted(opened: Opener, tmp_path: Path, clock: ManualClock) -> None:
    store = opened()
    one = episode(clock, 0, 5)
    store.add([one])
    store.close()
    content = (tmp_path / "mien.db").read_bytes()
    assert not content.startswith(b"SQLite format 3")
    assert one.id.encode() not in content


@pytest.mark.parametrize("text", ["", "hello", "ab" * 31, "zz" * 32])
def test_a_key_file_without_a_key_is_told(opened: Opener, tmp_path: Path, text: str) -> None:
    (tmp_path / "store.key").write_text(text)
    with pytest.raises(StoreError, match=r"store\.key must hold 64 hexadecimal digits"):
        opened()
    with pytest.raises(StoreError, match=r"^The key file .* must hold 64 hexadecimal digits"):
        open_for_people(tmp_path, ManualClock())


def test_a_box_id_that_is_none_is_told(opened: Opener, tmp_path: Path) -> None:
    (tmp_path / "box-id").write_text("My Box!\n")
    with pytest.raises(StoreError, match="small letters, digits and hyphens"):
        opened()


def test_a_state_folder_that_is_a_file_is_told(opened: Opener, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(StoreError, match="It must be a folder that belongs to the user"):
        opened(tmp_path / "state")


def test_a_database_that_cannot_be_opened_is_told(opened: Opener, tmp_path: Path) -> None:
    (tmp_path / "mien.db").mkdir()
    with pytest.raises(StoreError, match=r"mien\.db: unable to open database file\. The file and"):
        opened()


def test_a_reader_needs_the_daemon_first(opened: Opener, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="Start the daemon first"):
        opened(migrate=False)
    assert list(tmp_path.iterdir()) == []


def test_a_reader_sees_what_the_daemon_writes_and_writes_nothing(
    opened: Opener, clock: ManualClock
) -> None:
    daemon = opened()
    reader = opened(migrate=False)
    daemon.add([reading(clock.stamp())])
    assert len(reader.readings(*EVER)) == 1
    assert reader.box_id() == daemon.box_id()
    with pytest.raises(StoreError):
        reader.add([reading(clock.stamp())])


def test_a_database_of_a_newer_program_is_left_alone(opened: Opener) -> None:
    store = opened()
    sql(store, "INSERT INTO migrations VALUES ('flying_cars', '2040')")
    store.close()
    with pytest.raises(StoreError, match=r"newer Mien \(step flying_cars\)\. Update this one\."):
        opened()


def test_a_reader_leaves_an_older_database_to_the_daemon(opened: Opener) -> None:
    store = opened()
    sql(store, "DELETE FROM migrations")
    with pytest.raises(StoreError, match=r"older than this program\. Start the daemon first\."):
        opened(migrate=False)


def test_after_closing_every_call_is_refused(opened: Opener) -> None:
    store = opened()
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.outbox_size()


# ── rows ─────────────────────────────────────────────────────────────────────────────────────


def test_what_goes_in_comes_out(opened: Opener, clock: ManualClock) -> None:
    store = opened()
    clock.advance(100.5)
    rows = [
        reading(clock.stamp(1.0)),
        reading(clock.stamp(2.0), None),
        SecondReading(stamp=clock.stamp(3.0), people=0),
    ]
    ended = episode(clock, 1.0, 9.25)
    store.add([*rows, ended])
    assert store.readings(*EVER) == rows
    assert store.episodes(*EVER) == [ended]
    assert [row.episode for row in store.outbox_batch(10)] == [ended]


def test_the_numbers_that_stand_for_words_stay() -> None:
    """Rows hold places in these lists: append, never reorder."""
    assert EXPRESSIONS[:7] == (
        "anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral",
    )  # fmt: skip
    assert typing.get_args(Reason)[:8] == (
        "several people in the seat", "too small", "turned away", "too dark", "too bright",
        "blurred", "low confidence", "does not move",
    )  # fmt: skip


def test_a_range_is_half_open(opened: Opener, clock: ManualClock) -> None:
    store = opened()
    store.add([reading(clock.stamp(t)) for t in (59.0, 60.0, 119.0, 120.0)])
    utc = clock.stamp(60.0).utc
    found = store.readings(utc, utc + 60)
    assert [row.stamp.boot_time for row in found] == [60.0, 119.0]
    assert [row.start.boot_time for row in store.minutes(utc, utc + 60)] == [60.0]


def test_a_reading_handed_in_twice_counts_once(opened: Opener, clock: ManualClock) -> None:
    store = opened()
    store.add([reading(clock.stamp())])
    store.add([reading(clock.stamp())])
    assert [minute.seconds for minute in store.minutes(*EVER)] == [1]


def test_all_or_none(opened: Opener, clock: ManualClock) -> None:
    store = opened()
    impossible: Any = "boredom"
    with pytest.raises(ValueError, match="tuple"):
        store.add([episode(clock, 0, 1), reading(clock.stamp(), impossible)])
    with pytest.raises(ValueError, match="tuple"):
        store.add([reading(clock.stamp()), reading(clock.stamp(), impossible)])
    assert (store.readings(*EVER), store.minutes(*EVER)) == ([], [])
    assert (store.episodes(*EVER), store.outbox_size()) == ([], 0)


SECONDS = st.lists(
    st.tuples(
        st.integers(0, 2),  # boot
        st.integers(0, 400),  # second of the boot
        st.sampled_from([None, *EXPRESSIONS]),
        st.sampled_from([None, True, False]),
        st.integers(-1000, 1000),  # valence in thousandths
        st.booleans(),  # clock_ok
        st.floats(-1e9, 4e9),  # UTC at boot: the clock jumps
    ),
    unique_by=lambda second: second[:2],
    max_size=60,
)


@HYPOTHESIS
@given(SECONDS, st.integers(1, 20))
def test_roll_ups_are_what_the_readings_add_up_to(
    seconds: list[tuple[int, int, Expression | None, bool | None, int, bool, float]], batch: int
) -> None:
    rows = [
        SecondReading(
            stamp=Stamp(f"boot {boot}", second, offset + second, clock_ok),
            people=0 if facing is None else 1,
            expression=expression,
            valence=valence / 1000,
            facing=facing,
        )
        for boot, second, expression, facing, valence, clock_ok, offset in seconds
    ]
    with temporary_store(ManualClock()) as store:
        for first in range(0, len(rows), batch):
            store.add(rows[first : first + batch])
        minutes = store.minutes(*EVER)
    found = {(minute.start.boot_id, minute.start.boot_time // 60): minute for minute in minutes}
    keys = Counter((row.stamp.boot_id, row.stamp.boot_time // 60) for row in rows)
    assert {key: minute.seconds for key, minute in found.items()} == keys
    for key, minute in found.items():
        mine = [r for r in rows if (r.stamp.boot_id, r.stamp.boot_time // 60) == key]
        read = [r for r in mine if r.expression]
        assert minute.seen == sum(r.people > 0 for r in mine)
        assert minute.facing == sum(r.facing is True for r in mine)
        assert minute.read == len(read)
        assert minute.expressions == {n: sum(r.expression == n for r in mine) for n in EXPRESSIONS}
        if read:
            mean = sum(r.valence or 0 for r in read) / len(read)
            assert minute.valence == pytest.approx(mean)
        else:
            assert minute.valence is None


# ── time ─────────────────────────────────────────────────────────────────────────────────────


def test_once_the_clock_is_right_this_boot_is_dated(opened: Opener, clock: ManualClock) -> None:
    store = opened()
    clock.offset, clock.clock_ok = 0.0, False  # 1970, as a box without a battery
    early = [reading(clock.stamp(t)) for t in (10.0, 70.0)]
    store.add([*early, episode(clock, 10, 70)])
    assert store.backfill() == 0  # it cannot know yet
    clock.advance(100)
    clock.synchronise(1_800_000_100.0)
    store.add([reading(clock.stamp())])
    assert store.backfill() == 3  # two minutes, one episode
    assert store.backfill() == 0
    assert [row.stamp.utc for row in store.readings(*EVER)] == [
        1_800_000_010.0, 1_800_000_070.0, 1_800_000_100.0,
    ]  # fmt: skip
    assert all(row.stamp.clock_ok for row in store.readings(*EVER))
    waiting = store.outbox_batch(1)[0].episode
    assert (waiting.start.utc, waiting.end.utc) == (1_800_000_010.0, 1_800_000_070.0)
    assert waiting.end.clock_ok


def test_rows_of_an_earlier_boot_stay_undated(opened: Opener, clock: ManualClock) -> None:
    store = opened()
    store.add([reading(Stamp("an earlier boot", 5.0, 5.0, False))])
    assert store.backfill() == 0
    assert not store.readings(*EVER)[0].stamp.clock_ok


def test_an_episode_during_which_the_clock_was_set_is_dated_by_its_end(
    opened: Opener, clock: ManualClock
) -> None:
    store = opened()
    clock.offset, clock.clock_ok = 0.0, False
    start = clock.stamp(10.0)
    clock.advance(20)
    clock.synchronise(1_800_000_020.0)
    row = EpisodeRow(id="x", expression="fear", start=start, end=clock.stamp(), peak=1.0)
    store.add([row])
    (kept,) = store.episodes(*EVER)
    assert (kept.start.utc, kept.end.utc) == (1_800_000_010.0, 1_800_000_020.0)
    assert kept.start.clock_ok


@HYPOTHESIS
@given(
    st.lists(st.tuples(st.booleans(), st.floats(0, 2e9), st.integers(1, 90)), max_size=25),
    st.floats(1e9, 2e9),
)
def test_back_filling_is_right_and_idempotent_however_the_clock_jumped(
    steps: list[tuple[bool, float, int]], true_utc: float
) -> None:
    """A step writes a second with the clock as it is, then the clock jumps."""
    clock = ManualClock(0.0, clock_ok=False)
    with temporary_store(clock) as store:
        known = {}
        for clock_ok, offset, seconds in steps:
            clock.clock_ok, clock.offset = clock_ok, offset
            row = episode(clock, clock.now, clock.now + 1)
            store.add([reading(clock.stamp()), row])
            known[row.id] = (clock_ok, row.start)
            clock.advance(seconds)
        clock.synchronise(true_utc)
        store.backfill()
        after = (store.readings(*EVER), store.minutes(*EVER), store.episodes(*EVER))
        assert store.backfill() == 0
        assert (store.readings(*EVER), store.minutes(*EVER), store.episodes(*EVER)) == after
        assert len(after[0]) == len(after[2]) == len(steps)
        assert all(row.stamp.clock_ok for row in after[0])
        for row in after[2]:
            clock_ok, start = known[row.id]
            utc = start.utc if clock_ok else clock.stamp(start.boot_time).utc
            assert row.start.utc == pytest.approx(utc, abs=0.002)


# ── keeping and forgetting ───────────────────────────────────────────────────────────────────


DAY = 86_400


def test_readings_go_by_age_and_roll_ups_stay(opened: Opener, clock: ManualClock) -> None:
    store = opened(settings=config.Store(min_free_mb=1, readings_days=2))
    for day in range(4):
        store.add([reading(clock.stamp(day * DAY + 60.0 * n)) for n in range(10)])
    clock.advance(3 * DAY + 600)
    store.retain()
    assert {row.stamp.boot_time // DAY for row in store.readings(*EVER)} == {2, 3}
    assert len(store.minutes(*EVER)) == 40


def test_a_wrong_clock_deletes_nothing(opened: Opener, clock: ManualClock) -> None:
    store = opened(settings=config.Store(min_free_mb=1, readings_days=1))
    store.add([reading(clock.stamp())])
    clock.offset, clock.clock_ok = 4e9, False
    store.retain()
    assert len(store.readings(*EVER)) == 1


def test_undated_readings_go_with_the_later_ones_that_are_too_old(
    opened: Opener, clock: ManualClock
) -> None:
    store = opened(settings=config.Store(min_free_mb=1, readings_days=1))
    store.add([reading(Stamp("first", 60.0, 60.0, False))])
    store.add([reading(Stamp("second", 60.0, clock.stamp().utc, True))])
    store.add([reading(Stamp("third", 60.0, 60.0, False))])
    clock.advance(DAY / 2)
    store.add([reading(clock.stamp())])
    store.retain()
    assert len(store.readings(*EVER)) == 4
    clock.advance(DAY * 0.75)
    store.retain()
    kept = {row.stamp.boot_id for row in store.readings(*EVER)}
    assert kept == {"third", clock.boot_id}


def test_a_box_that_never_learns_the_time_keeps_a_bounded_number(opened: Opener) -> None:
    store = opened(settings=config.Store(min_free_mb=1, readings_days=1))
    store.add([reading(Stamp("boot", 60.0 * n, 60.0 * n, False)) for n in range(1500)])
    store.retain()
    kept = store.readings(*EVER)
    assert len(kept) == 1440
    assert kept[0].stamp.boot_time == 60.0 * 60


def test_the_outbox_is_capped_and_says_so(
    opened: Opener, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    store = opened(settings=config.Store(min_free_mb=1, outbox_rows=100))
    rows = [episode(clock, n, n + 1) for n in range(130)]
    store.add(rows)
    store.retain()
    assert [row.episode for row in store.outbox_batch(1000)] == rows[30:]
    assert len(store.episodes(*EVER)) == 130
    assert "30 events were dropped from the outbox" in caplog.text


def test_space_is_given_back(opened: Opener, clock: ManualClock, tmp_path: Path) -> None:
    store = opened(settings=config.Store(min_free_mb=1, readings_days=1))
    store.add([reading(clock.stamp(float(n))) for n in range(20_000)])
    clock.advance(2 * DAY)
    store.retain()
    store.close()
    assert (tmp_path / "mien.db").stat().st_size < 200_000


def test_acknowledged_rows_leave_the_outbox_in_any_order(
    opened: Opener, clock: ManualClock
) -> None:
    store = opened()
    store.add([episode(clock, n, n + 1) for n in range(5)])
    rows = store.outbox_batch(10)
    store.outbox_delete([rows[3], rows[1]])
    store.outbox_delete([rows[3]])
    assert store.outbox_batch(10) == [rows[0], rows[2], rows[4]]
    assert store.outbox_size() == 3


def test_threads_take_turns(opened: Opener, clock: ManualClock) -> None:
    store = opened()
    done = threading.Event()

    def publish() -> None:
        while not (done.is_set() and store.outbox_size() == 0):
            store.outbox_delete(store.outbox_batch(7))

    publisher = threading.Thread(target=publish)
    publisher.start()
    for n in range(100):
        store.add([reading(clock.stamp(float(n))), episode(clock, n, n + 1)])
    done.set()
    publisher.join(30)
    assert (store.outbox_size(), len(store.episodes(*EVER))) == (0, 100)


# ── a full disk ──────────────────────────────────────────────────────────────────────────────


def test_below_the_floor_only_episodes_are_written(
    opened: Opener, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    store = opened(settings=config.Store(min_free_mb=10**9))
    assert not store.can_write_readings
    store.add([reading(clock.stamp()), episode(clock, 0, 1)])
    store.add([reading(clock.stamp(1.0))])
    assert (len(store.readings(*EVER)), len(store.episodes(*EVER))) == (0, 1)
    assert caplog.text.count("only episodes are written") == 1


def test_a_database_at_its_limit_says_so_and_goes_on_when_there_is_space(
    opened: Opener, clock: ManualClock
) -> None:
    store = opened()
    (pages,) = sql(store, "PRAGMA page_count")[0]
    sql(store, f"PRAGMA max_page_count = {pages + 20}")
    stored = fill(store, clock)
    sql(store, "PRAGMA max_page_count = 1000000")
    went_on(store, clock, stored)


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_full_disk_says_so_and_goes_on_when_there_is_space(tmp_path: Path) -> None:
    clock = ManualClock()
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "none", disk], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a small disk here: {mounted.stderr.strip()}")
    try:
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(1_500_000))
        store = Store.open(disk, clock, config.Store(min_free_mb=0))
        try:
            stored = fill(store, clock)
            ballast.unlink()
            went_on(store, clock, stored)
        finally:
            store.close()
        (disk / "rest").write_bytes(bytes(shutil.disk_usage(disk).free))
        with pytest.raises(StoreError, match=r"is full|No space left"):
            Store.open(disk / "another", clock, SMALL)
    finally:
        subprocess.run(["umount", disk], check=True)


def fill(store: Store, clock: ManualClock) -> list[EpisodeRow]:
    """Add episodes until there is no space; those that were taken."""
    stored: list[EpisodeRow] = []

    def to_the_brim() -> None:
        for _ in range(5000):
            rows = [episode(clock, n, n + 1) for n in range(20)]
            store.add(rows)
            stored.extend(rows)

    with pytest.raises(StoreError, match="is full, so the last rows were not written"):
        to_the_brim()
    assert stored
    return stored


def went_on(store: Store, clock: ManualClock, stored: list[EpisodeRow]) -> None:
    last = episode(clock, 0, 1)
    store.add([last])
    waiting = [row.episode for row in store.outbox_batch(100_000)]
    assert waiting == [*stored, last]
    assert store.notice is None


def test_a_state_folder_that_vanished_is_told(
    opened: Opener, clock: ManualClock, tmp_path: Path
) -> None:
    store = opened(tmp_path / "state")
    shutil.rmtree(tmp_path / "state")
    with pytest.raises(StoreError, match=r"No such file.*Is its disk still there\?"):
        store.add([reading(clock.stamp())])


# ── a damaged file ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "content",
    [b"hello", b"SQLite format 3\0" + bytes(4000), os.urandom(10_000)],
    ids=["text", "not encrypted", "noise"],
)
def test_a_damaged_file_is_set_aside_loudly(
    opened: Opener, clock: ManualClock, tmp_path: Path, content: bytes,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    (tmp_path / "mien.db").write_bytes(content)
    store = opened()
    store.add([episode(clock, 0, 1)])
    assert store.notice is not None
    assert "set aside as mien.db.corrupt-20270115T080000Z and a new one begun" in store.notice
    assert store.notice in caplog.text
    assert (tmp_path / "mien.db.corrupt-20270115T080000Z").read_bytes() == content
    store.close()
    assert opened().notice is None


def test_another_key_sets_the_database_aside_and_the_old_key_finds_it_again(
    opened: Opener, clock: ManualClock, tmp_path: Path
) -> None:
    running = opened(tmp_path / "box")
    running.add([episode(clock, 0, 1)])
    state = tmp_path / "after the plug was pulled"  # the row is in mien.db-wal only
    shutil.copytree(tmp_path / "box", state)
    key = (state / "store.key").read_text()
    (state / "store.key").write_text("cd" * 32)
    other = opened(state)
    assert other.notice is not None
    assert (other.outbox_size(), other.box_id()) == (0, running.box_id())
    other.close()

    for aside in state.glob("mien.db.corrupt-*"):
        aside.rename(state / aside.name.replace(".corrupt-20270115T080000Z", ""))
    (state / "store.key").write_text(key)
    assert opened(state).outbox_size() == 1


def test_two_damaged_files_in_one_second_do_not_overwrite_each_other(
    opened: Opener, tmp_path: Path
) -> None:
    for content in (b"one", b"two"):
        (tmp_path / "mien.db").write_bytes(content)
        opened().close()
    contents = {path.read_bytes() for path in tmp_path.glob("mien.db.corrupt-*")}
    assert contents == {b"one", b"two"}


@pytest.mark.parametrize("first", ["add", "read"])
def test_damage_found_while_running_loses_no_new_row(
    opened: Opener, clock: ManualClock, tmp_path: Path, first: str
) -> None:
    store = opened()
    store.add([episode(clock, n, n + 1) for n in range(500)])
    stale = store.outbox_batch(1)
    store.close()
    path = tmp_path / "mien.db"
    content = bytearray(path.read_bytes())
    assert len(content) > 20_000
    for place in range(12_000, len(content), 1000):
        content[place] ^= 0x55
    path.write_bytes(content)

    store = opened()
    if first == "read":
        assert store.episodes(*EVER) == []
    fresh = [episode(clock, n, n + 1) for n in range(3)]
    store.add(fresh)
    assert store.notice is not None
    store.outbox_delete(stale)  # of the database set aside: the numbers are the same
    assert [row.episode for row in store.outbox_batch(10)] == fresh


def test_a_reader_sets_nothing_aside(opened: Opener, tmp_path: Path) -> None:
    opened().close()
    (tmp_path / "mien.db").write_bytes(b"damaged")
    with pytest.raises(StoreError, match="not a database"):
        opened(migrate=False)
    assert (tmp_path / "mien.db").read_bytes() == b"damaged"


def sql(store: Store, statement: str) -> list[tuple[Any, ...]]:
    """For what only a test does to a database."""
    rows: list[tuple[Any, ...]] = store._database.read(lambda db: db.execute(statement).fetchall())
    return rows


def test_a_photograph_before_the_camera_is_nobody_seen(opened: Opener, clock: ManualClock) -> None:
    store = opened()
    rows = [
        SecondReading(stamp=clock.stamp(1.0), people=1, reason="does not move"),
        SecondReading(stamp=clock.stamp(2.0), people=1, reason="turned away"),
    ]
    store.add(rows)
    assert store.readings(*EVER) == rows
    assert [(minute.seconds, minute.seen) for minute in store.minutes(*EVER)] == [(2, 1)]
