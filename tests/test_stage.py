"""`mien.stage`: loops that end, heartbeats that age, a slot that keeps only the newest."""

import threading

from mien.clock import ManualClock
from mien.stage import LatestSlot, Stage


def test_a_stage_turns_until_it_is_stopped() -> None:
    turned = threading.Event()
    stage = Stage("loop", turned.set, lambda *_: None, ManualClock())
    stage.start()
    assert turned.wait(5)
    stage.stop()
    assert not stage.is_alive()


def test_a_step_that_waits_is_woken_when_the_stage_is_to_end() -> None:
    entered, woken = threading.Event(), threading.Event()

    def step() -> None:
        entered.set()
        assert woken.wait(10), "nobody woke it"

    failures: list[object] = []
    stage = Stage("loop", step, lambda *it: failures.append(it), ManualClock(), wake=woken.set)
    stage.start()
    assert entered.wait(5)
    stage.stop()
    assert failures == []


def test_who_waits_at_a_slot_goes_on_when_it_is_cleared() -> None:
    slot: LatestSlot[int] = LatestSlot()
    taken: list[int | None] = []
    taker = threading.Thread(target=lambda: taken.append(slot.take(600)))
    taker.start()
    slot.clear()
    taker.join(10)
    assert taken == [None]


def test_what_a_step_raises_is_reported_once() -> None:
    reported: list[tuple[str, Exception]] = []

    def step() -> None:
        raise RuntimeError("broken")

    stage = Stage("loop", step, lambda *failure: reported.append(failure), ManualClock())
    stage.start()
    stage.join(5)
    assert [(name, str(error)) for name, error in reported] == [("loop", "broken")]


def test_a_stuck_stage_goes_stale() -> None:
    clock, release, entered = ManualClock(), threading.Event(), threading.Event()

    def step() -> None:
        entered.set()
        release.wait(10)

    stage = Stage("loop", step, lambda *_: None, clock, overdue_s=15)
    stage.start()
    assert entered.wait(5)
    clock.advance(14)
    assert stage.fresh
    clock.advance(2)
    assert not stage.fresh
    release.set()
    stage.stop()


def test_the_slot_gives_the_newest_and_counts_what_it_skipped() -> None:
    slot: LatestSlot[int] = LatestSlot()
    for value in (1, 2, 3):
        slot.put(value)
    assert slot.take(0) == 3
    assert slot.skipped == 2
    assert slot.take(0) is None
    slot.put(4)
    slot.clear()
    assert slot.take(0) is None
