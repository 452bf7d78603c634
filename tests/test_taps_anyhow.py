"""Tablets in one session whose taps arrive in any order, twice, and after the end."""

import itertools
import random
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mien import sessions
from mien.taps import Tap
from sessions_room import Room

STEP = 10
"""Seconds; times are coarse, so that taps of the same moment and at the very ends come often."""
KINDS = st.sampled_from(
    ["tag_on", "tag_on", "tag_off", "tag_off", "moment", "exclude_on", "exclude_off"]
)
AGES = st.integers(0, 6).map(lambda steps: steps * STEP)


class Tablets(RuleBasedStateMachine):
    """Any number of tablets: what one sends was made up to a minute ago."""

    def __init__(self) -> None:
        super().__init__()
        self.room = Room()
        self.room.start()
        self.topic = self.room.topic()
        self.room.clock.advance(6 * STEP)
        self.answers: dict[str, Any] = {}
        self.sent: list[Tap] = []
        self.undone: list[str] = []
        self.ids = (f"{n:08x}-0000-4000-8000-000000000000" for n in itertools.count())

    @rule(steps=st.integers(1, 3))
    def time_passes(self, steps: int) -> None:
        self.room.clock.advance(steps * STEP)

    @rule(taps=st.lists(st.tuples(KINDS, AGES), min_size=1, max_size=4), times=st.integers(1, 2))
    def send(self, taps: list[tuple[str, int]], times: int) -> None:
        parcel = [Tap(next(self.ids), kind, age * 1000, keyword=self.topic) for kind, age in taps]
        for _ in range(times):
            for done in self.room.send(*parcel):
                told = (done.fault, done.at_ms, done.clamped, done.back)
                assert self.answers.setdefault(done.id, told) == told
        self.sent += parcel

    @rule(pick=st.randoms(), last=st.booleans())
    def undo(self, pick: random.Random, last: bool) -> None:
        left = [tap for tap in self.sent if tap.id not in self.undone]
        if left:
            of = left[-1] if last else pick.choice(left)
            assert self.room.tap("undo", id=next(self.ids), of=of.id).fault is None
            self.undone.append(of.id)

    @precondition(lambda self: self.undone)
    @rule(pick=st.randoms())
    def undo_again_does_nothing(self, pick: random.Random) -> None:
        before = self.picture
        self.room.tap("undo", id=next(self.ids), of=pick.choice(self.undone))
        assert self.picture == before

    @rule(kind=KINDS, age=AGES)
    def undo_at_once_restores(self, kind: str, age: int) -> None:
        before = self.picture
        done = self.room.tap(kind, age, id=next(self.ids), keyword=self.topic)
        self.room.tap("undo", id=next(self.ids), of=done.id)
        assert self.picture == before

    @precondition(lambda self: self.sent)
    @rule(pick=st.randoms())
    def what_is_sent_again_does_nothing(self, pick: random.Random) -> None:
        before = self.picture
        for done in self.room.send(*pick.sample(self.sent, min(3, len(self.sent)))):
            assert self.answers[done.id] == (done.fault, done.at_ms, done.clamped, done.back)
        assert self.picture == before

    @precondition(lambda self: len(self.sent) >= 12)
    @rule(age=AGES)
    def stop(self, age: int) -> None:
        before = self.picture
        self.room.tap("stop", age, id=next(self.ids))
        assert [one[:-1] for one in before] == [one[:-1] for one in self.picture]

    @invariant()
    def stretches_do_not_overlap(self) -> None:
        for spans in (self.room.excluded, [(a, b) for _, a, b in self.room.stretches]):
            stretches = sorted(span for span in spans if span[0] != span[1])
            for (_, end), (start, _) in itertools.pairwise(stretches):
                assert end is not None
                assert end <= start

    @invariant()
    def all_lies_within_the_session(self) -> None:
        end = sessions.now_ms(self.room.session, self.room.clock.stamp())
        for *_, start, stop in self.picture:
            assert 0 <= start <= (end if stop is None else stop) <= end
            assert stop is not None or self.room.session.length_ms is None

    @property
    def picture(self) -> list[tuple[Any, ...]]:
        return [*self.room.stretches, *self.room.excluded]

    def teardown(self) -> None:
        self.room.db.close()


Tablets.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestTablets = Tablets.TestCase
