"""`mien.forgetting` through the store: what is erased is gone from the file too, and no more."""

import subprocess
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from mien import config
from mien.clock import ManualClock
from mien.database import FILE
from mien.events import Expression, Stretch
from mien.forgetting import PIECE_MS, pieces
from mien.store import EpisodeRow, SecondReading, Store, StoreError
from people import People

EVER = (-1e11, 1e11)
SMALL = config.Store(min_free_mb=1, readings_days=2)
DAY = 86_400.0


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def store(tmp_path: Path, clock: ManualClock) -> Iterator[Store]:
    opened = Store.open(tmp_path, clock, SMALL)
    yield opened
    opened.close()


@pytest.fixture
def people(tmp_path: Path, store: Store, clock: ManualClock) -> Iterator[People]:
    made = People(tmp_path, clock)
    made.client("a")
    yield made
    made.close()


def readings(
    clock: ManualClock, start: float, end: float, look: Expression | None = "fear"
) -> list[SecondReading]:
    return [
        SecondReading(
            stamp=clock.stamp(start + second),
            people=1,
            expression=look,
            confidence=0.5,
            valence=0.125,
            facing=second % 2 == 0,
        )
        for second in range(round(end - start))
    ]


def episode(clock: ManualClock, start: float, end: float) -> EpisodeRow:
    return EpisodeRow(
        id=str(uuid.uuid4()),
        expression="fear",
        start=clock.stamp(start),
        end=clock.stamp(end),
        peak=0.75,
    )


def seconds(store: Store) -> list[float]:
    return [row.stamp.boot_time for row in store.readings(*EVER)]


def stretch(clock: ManualClock, start: float, end: float) -> Stretch:
    return Stretch(clock.boot_id, round(start * 1000), round(end * 1000))


# ── because somebody asked ───────────────────────────────────────────────────────────────────────


def test_readings_minutes_episodes_and_events_go_and_the_rest_stays(
    store: Store, clock: ManualClock
) -> None:
    touching = [episode(clock, 50, 70), episode(clock, 80, 90), episode(clock, 170, 190)]
    beside = [episode(clock, 10, 60), episode(clock, 180, 200)]
    store.add([*readings(clock, 0, 240), *touching, *beside])
    rows = store.erase([stretch(clock, 60, 180)])
    assert rows == 120 + 2 + 2 * 3
    assert seconds(store) == [*range(60), *range(180, 240)]
    assert [row.start.boot_time for row in store.minutes(*EVER)] == [0.0, 180.0]
    assert {row.id for row in store.episodes(*EVER)} == {row.id for row in beside}
    assert {row.episode.id for row in store.outbox_batch(9)} == {row.id for row in beside}
    assert store.erase([stretch(clock, 60, 180)]) == 0, "asked for again, nothing is left to do"


def test_a_minute_that_is_only_touched_is_counted_again(store: Store, clock: ManualClock) -> None:
    store.add(readings(clock, 0, 30, "fear") + readings(clock, 30, 60, None))
    store.erase([stretch(clock, 10, 40)])
    (minute,) = store.minutes(*EVER)
    assert (minute.seconds, minute.seen, minute.facing, minute.read) == (30, 30, 15, 10)
    assert minute.expressions["fear"] == 10
    assert minute.valence == 0.125


def test_a_minute_whose_readings_went_by_age_goes_as_a_whole(
    store: Store, clock: ManualClock
) -> None:
    store.add(readings(clock, 0, 120))
    clock.advance(5 * DAY)
    store.add(readings(clock, clock.now, clock.now + 5))
    store.retain()
    assert store.erase([stretch(clock, 30, 90)]) == 2
    assert len(store.minutes(*EVER)) == 1


def test_a_boot_that_nobody_knows_and_a_stretch_without_length_are_nothing(
    store: Store, clock: ManualClock
) -> None:
    store.add(readings(clock, 0, 5))
    strange = [Stretch("elsewhere", 0, 1 << 62), stretch(clock, 3, 3), stretch(clock, 4, 2)]
    assert store.erase(strange) == 0
    assert len(seconds(store)) == 5
    assert store.erase([Stretch(clock.boot_id, -(1 << 62), 1 << 62)]) == 6


def test_a_long_stretch_is_done_in_pieces(clock: ManualClock) -> None:
    made = list(pieces([Stretch("b", 5, 2 * PIECE_MS + 7)]))
    assert made == [
        Stretch("b", 5, PIECE_MS),
        Stretch("b", PIECE_MS, 2 * PIECE_MS),
        Stretch("b", 2 * PIECE_MS, 2 * PIECE_MS + 7),
    ]


@given(
    spans=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 400)), min_size=1, max_size=4),
)
@hypothesis(
    deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_it_is_as_if_it_had_never_been_read(
    tmp_path_factory: pytest.TempPathFactory, spans: list[tuple[int, int]]
) -> None:
    clock = ManualClock()
    stores = [Store.open(tmp_path_factory.mktemp("store"), clock, SMALL) for _ in range(2)]
    all_rows = readings(clock, 0, 400)
    stores[0].add(all_rows)
    stores[0].erase([stretch(clock, start, end) for start, end in spans])
    left = [
        row
        for row in all_rows
        if not any(start <= row.stamp.boot_time < end for start, end in spans)
    ]
    stores[1].add(left)
    assert stores[0].readings(*EVER) == stores[1].readings(*EVER)
    assert stores[0].minutes(*EVER) == stores[1].minutes(*EVER)
    for store in stores:
        store.close()


def test_neither_the_file_nor_its_journal_holds_a_trace(
    store: Store, clock: ManualClock, tmp_path: Path
) -> None:
    gone, stays = episode(clock, 100, 110), episode(clock, 1000, 1010)
    store.add([*readings(clock, 0, 900), gone, stays])
    store.erase([])  # empties the journal into the file
    before = decrypted(tmp_path)
    assert gone.id.encode() in before
    assert stays.id.encode() in before
    store.erase([stretch(clock, 0, 900)])
    assert (tmp_path / f"{FILE}-wal").stat().st_size == 0
    after = decrypted(tmp_path)
    assert gone.id.encode() not in after
    assert stays.id.encode() in after


def decrypted(folder: Path) -> bytes:
    """Every page of the file in the clear, free ones too: AES-256-CBC as SQLCipher 4 lays it out,
    the initialisation vector before the 64 bytes of the MAC at each page's end."""
    key = (folder / "store.key").read_text().strip()
    content = (folder / FILE).read_bytes()
    pages = [content[at : at + 1024] for at in range(0, len(content), 1024)]
    plain = b""
    for number, page in enumerate(pages):
        body = page[16 if number == 0 else 0 : -80]
        command = ["openssl", "enc", "-d", "-aes-256-cbc", "-nopad", "-K", key]
        command += ["-iv", page[-80:-64].hex()]
        plain += subprocess.run(command, input=body, capture_output=True, check=True).stdout
    return plain


def test_a_reader_who_holds_the_journal_is_told_of(
    store: Store, clock: ManualClock, people: People
) -> None:
    store.add(readings(clock, 0, 60))
    holding, go_on = threading.Event(), threading.Event()

    def hold(db: Any) -> None:
        db.execute("BEGIN")
        db.execute("SELECT count(*) FROM readings").fetchall()
        holding.set()
        go_on.wait(30)
        db.execute("COMMIT")

    reader = threading.Thread(target=people.database.read, args=(hold,))
    reader.start()
    assert holding.wait(10)
    store.read(lambda db: db.execute("PRAGMA busy_timeout = 50"))  # 5 s would only cost time
    with pytest.raises(StoreError, match="ask again"):
        store.erase([stretch(clock, 0, 60)])
    go_on.set()
    reader.join()
    assert store.erase([stretch(clock, 0, 60)]) == 0


# ── by age ───────────────────────────────────────────────────────────────────────────────────────


def test_the_readings_of_a_kept_session_outlive_their_age(
    store: Store, clock: ManualClock, people: People
) -> None:
    store.add(readings(clock, 0, 600))
    people.session("kept", "a", start=100, length=100.5)
    people.session("overlapping", "a", start=190, length=30)
    people.session("not kept", "a", start=300, length=50, numbers=False)
    people.session("elsewhere", "a", boot="another boot", start=400, length=50)
    clock.advance(4 * DAY)
    recent = clock.now - DAY
    store.add(readings(clock, recent, recent + 10))
    store.retain()
    assert seconds(store) == [*range(100, 220), *(recent + n for n in range(10))]
    store.retain()
    assert len(seconds(store)) == 130
    people.write("DELETE FROM sessions WHERE id = 'kept'")
    store.retain()
    assert len(seconds(store)) == 40


def test_a_box_that_never_learns_the_time_spares_kept_sessions_too(
    store: Store, clock: ManualClock, people: People
) -> None:
    clock.clock_ok = False
    store.add([row for n in range(4000) for row in readings(clock, n * 60.0, n * 60.0 + 1)])
    people.session("kept", "a", start=600, length=600)
    store.retain()
    assert seconds(store)[:11] == [*range(600, 1200, 60), (4000 - 2 * 1440) * 60.0]
