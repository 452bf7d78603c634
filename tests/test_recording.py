"""`mien.recording`: what is seen becomes rows and a state; a full disk loses no episode."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

import samples
from mien import config
from mien.camera import Frame
from mien.clock import ManualClock
from mien.events import Episode, Stretch
from mien.pipeline import Seen
from mien.recording import PENDING, Recording, Row
from mien.store import EpisodeRow, SecondReading, Store, StoreError
from people import People

EPISODE = Episode("happiness", 1.0, 3.5, 0.9)


class FullStore:
    """A store whose disk is full until it is told otherwise."""

    free_mb = 5000
    can_write_readings = True
    notice = None

    def __init__(self) -> None:
        self.full = True
        self.rows: list[Row] = []

    def add(self, rows: Sequence[Row]) -> None:
        if self.full:
            raise StoreError("The disk is full.")
        self.rows += rows


class Bench:
    def __init__(self, store: Any, *, at_once: bool = True) -> None:
        self.clock = ManualClock()
        self.states: list[dict[str, Any]] = []
        self.stored = 0
        self.recording = Recording(
            store,
            "testbox",
            set_state=lambda payload: self.states.append(json.loads(payload)),
            stored=self._count,
            failed=lambda *_: None,
            clock=self.clock,
            at_once=at_once,
        )

    def _count(self) -> None:
        self.stored += 1

    def see(self, t: float, *, people: int = 1, ended: Sequence[Episode] = ()) -> None:
        self.clock.now = t
        readings = [samples.READING] * people
        live = replace(
            samples.HAPPY,
            readings=readings,
            expression="happiness" if people else None,
            valence=0.7 if people else None,
        )
        frame = Frame(np.zeros((480, 640, 3), np.uint8), t, 0)
        self.recording.seen(Seen(frame, frame.image, readings, list(ended), {}), live)

    def write(self) -> None:
        """One turn of the store thread, without its wait for more."""
        self.recording.stop()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path, ManualClock(), config.Store())


def test_one_reading_a_second_and_an_episode_in_the_real_store(store: Store) -> None:
    bench = Bench(store)
    for frame in range(45):
        bench.see(frame / 15, ended=[EPISODE] if frame == 44 else [])
    bench.write()
    utc = bench.clock.offset
    assert len(store.readings(utc, utc + 60)) == 3
    (episode,) = store.episodes(utc, utc + 60)
    assert episode.expression == "happiness"
    assert episode.end.boot_time - episode.start.boot_time == 2.5
    assert store.outbox_size() == 1
    assert bench.stored == 1
    store.close()


def test_stopping_does_not_wait_for_more(store: Store) -> None:
    bench = Bench(store)
    bench.recording.start()
    bench.see(1.0)
    bench.recording.stop()
    assert not bench.recording.stage.is_alive()
    assert len(store.readings(bench.clock.offset, bench.clock.offset + 60)) == 1
    store.close()


def test_a_state_each_second_and_at_once_when_it_changes() -> None:
    bench = Bench(FullStore())
    bench.see(10.0)
    bench.see(10.1)
    bench.see(10.2, people=0)
    bench.see(10.3, people=0)
    bench.see(11.0, people=0)
    assert [state["people"] for state in bench.states] == [1, 0, 0]
    first = bench.states[0]
    assert (first["expression"], first["confidence"], first["facing"]) == ("happiness", 0.62, True)
    assert bench.states[1]["expression"] is None
    assert len({state["id"] for state in bench.states}) == 3


def test_the_state_after_the_stream_broke_off() -> None:
    bench = Bench(FullStore())
    bench.see(10.0)
    bench.recording.lost([EPISODE], paused=True)
    last = bench.states[-1]
    assert (last["paused"], last["people"], last["expression"]) == (True, 0, None)


def test_a_full_disk_is_told_and_nothing_is_lost() -> None:
    store = FullStore()
    bench = Bench(store)
    bench.see(1.0, ended=[EPISODE])
    bench.write()
    part = bench.recording.part
    assert (part.status, part.text) == ("degraded", "The disk is full.")
    assert part.cure
    assert bench.stored == 0
    bench.see(2.0)
    store.full = False
    bench.write()
    assert [type(row) for row in store.rows] == [EpisodeRow, SecondReading, SecondReading]
    assert bench.recording.part.status == "ok"
    assert bench.stored == 1


def test_while_the_disk_stays_full_old_readings_go_and_episodes_stay() -> None:
    store = FullStore()
    bench = Bench(store)
    bench.see(0.0, ended=[EPISODE])
    for second in range(1, PENDING + 100):
        bench.see(float(second))
    bench.write()
    assert bench.recording.dropped == 101
    store.full = False
    bench.write()
    assert len(store.rows) == PENDING
    assert isinstance(store.rows[0], EpisodeRow)
    assert store.rows[1].stamp.boot_time == 101.0  # type: ignore[union-attr]


def test_what_is_erased_is_gone_from_memory_too(store: Store) -> None:
    bench = Bench(store)
    for second in range(8):
        bench.see(float(second), ended=[EPISODE] if second == 5 else [])
    boot = bench.clock.boot_id
    assert bench.recording.erase([Stretch(boot, 2000, 5000), Stretch("another", 0, 9000)]) == 0
    bench.write()
    utc = bench.clock.offset
    assert [row.stamp.boot_time for row in store.readings(utc, utc + 60)] == [0, 1, 5, 6, 7]
    assert store.episodes(utc, utc + 60) == []
    assert bench.recording.erase([Stretch(boot, 0, 6000)]) == 3
    store.close()


def test_what_waits_when_the_store_becomes_another_is_forgotten(store: Store) -> None:
    bench = Bench(store)
    bench.see(1.0)
    bench.see(4.0, ended=[EPISODE])
    bench.recording.forget()
    bench.see(6.0)
    bench.write()
    assert [round(r.stamp.boot_time) for r in store.readings(-1e11, 1e11)] == [6]
    assert store.episodes(-1e11, 1e11) == []
    store.close()


def test_what_comes_after_an_erasure_is_kept(store: Store) -> None:
    bench = Bench(store)
    bench.see(1.0)
    bench.recording.erase([Stretch(bench.clock.boot_id, 0, 1 << 62)])
    bench.see(2.0)
    bench.write()
    utc = bench.clock.offset
    assert [row.stamp.boot_time for row in store.readings(utc, utc + 60)] == [2.0]
    store.close()


def test_what_the_page_asked_for_while_nobody_listened_is_done(
    store: Store, tmp_path: Path
) -> None:
    bench = Bench(store)
    people = People(tmp_path, bench.clock)
    for second in range(90):
        bench.see(float(second))
    for start, end in ((0, 30), (60, 80)):
        people.write(
            "INSERT INTO erasures (client, boot, from_ms, to_ms, asked_utc) "
            "VALUES ('a', ?, ?, ?, 0)",
            bench.clock.boot_id, start * 1000, end * 1000,
        )  # fmt: skip
    store.add([SecondReading(stamp=bench.clock.stamp(5.5), people=0)])
    beats: list[int] = []
    bench.recording.erase_asked(beat=lambda: beats.append(1))
    bench.recording.erase_asked(beat=lambda: beats.append(1))
    bench.write()
    utc = bench.clock.offset
    kept = [row.stamp.boot_time for row in store.readings(utc, utc + 100)]
    assert kept == [*range(30, 60), *range(80, 90)]
    assert people.rows("SELECT done_utc > 0, rows FROM erasures") == [(1, 2), (1, 0)]
    assert len(beats) == 2
    people.close()
    store.close()


# ── how often it writes ──────────────────────────────────────────────────────────────────────────


class Writes:
    """What a store was given, a list each time."""

    free_mb = 5000
    can_write_readings = True
    notice = None

    def __init__(self) -> None:
        self.calls: list[list[Row]] = []

    def add(self, rows: Sequence[Row]) -> None:
        self.calls.append(list(rows))


def turn(bench: Bench, at: float) -> None:
    """One turn of the store thread that finds its wait over or cut short."""
    bench.clock.now = at
    bench.recording._step()


def kinds(store: Writes) -> list[list[type]]:
    return [[type(row) for row in call] for call in store.calls]


def test_readings_are_written_together_and_an_episode_at_once_by_itself() -> None:
    store = Writes()
    bench = Bench(store)
    turn(bench, 0.0)
    bench.see(1.0)
    bench.see(2.0, ended=[EPISODE])
    turn(bench, 2.5)
    assert kinds(store) == [[EpisodeRow]]
    bench.see(3.0, ended=[EPISODE])
    turn(bench, 30.0)
    assert kinds(store)[1:] == [[SecondReading, SecondReading, EpisodeRow, SecondReading]]


def test_without_anybody_who_waits_episodes_go_with_the_readings() -> None:
    store = Writes()
    bench = Bench(store, at_once=False)
    turn(bench, 0.0)
    bench.see(1.0, ended=[EPISODE])
    turn(bench, 30.0)
    assert kinds(store) == [[EpisodeRow, SecondReading]]


@pytest.mark.parametrize(("hurry", "next_"), [(False, 30.0), (True, 10.0)])
def test_in_a_session_it_is_written_more_often(hurry: bool, next_: float) -> None:
    store = Writes()
    bench = Bench(store)
    bench.recording.hurry = hurry
    turn(bench, 0.0)
    bench.see(1.0, ended=[EPISODE])  # so that the turn does not wait
    turn(bench, next_ - 0.1)
    assert kinds(store) == [[EpisodeRow]]
    turn(bench, next_)
    assert kinds(store) == [[EpisodeRow], [SecondReading]]


def test_all_is_written_when_the_stream_broke_off() -> None:
    store = Writes()
    bench = Bench(store)
    turn(bench, 0.0)
    bench.see(1.0)
    bench.recording.lost([EPISODE], paused=False)
    turn(bench, 1.5)
    assert kinds(store) == [[SecondReading, EpisodeRow]]


def test_a_full_disk_loses_nothing_of_either() -> None:
    full = FullStore()
    bench = Bench(full)
    turn(bench, 0.0)
    bench.see(1.0, ended=[EPISODE])
    turn(bench, 1.5)
    bench.see(2.0, ended=[EPISODE])
    turn(bench, 2.5)
    full.full = False
    turn(bench, 31.0)
    assert len(full.rows) == 4
    assert bench.recording.part.status == "ok"


def test_photographs_beside_who_moves_are_nobody_in_the_seat() -> None:
    bench = Bench(FullStore())
    still = replace(samples.READING, label=None, reason="does not move", facing=True)
    away = replace(samples.READING, label=None, reason="turned away", facing=False)
    told = []
    for t, readings in enumerate(([still, away], [still], [])):
        seat: Any = readings[-1] if readings else None
        live = replace(
            samples.HAPPY, readings=readings, expression=None, reason=seat and seat.reason
        )
        frame = Frame(np.zeros((480, 640, 3), np.uint8), float(t), 0)
        bench.recording.seen(Seen(frame, frame.image, readings, [], {}), live)
        state = bench.states[-1]
        told.append((state["people"], state["reason"], state["facing"]))
    assert told == [(1, "turned away", False), (1, "does not move", None), (0, None, None)]
    bench.write()
