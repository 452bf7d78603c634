"""Two tablets in one session whose taps arrive in any order, twice, and after the end."""

import itertools
import random
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mien import sessions
from mien.taps import Tap
from sessions_room import Room, new

TOPICS = ("Mother", "Work")
KINDS = ("tag_on", "tag_off", "moment", "exclude_on", "exclude_off")


class TwoTablets(RuleBasedStateMachine):
    """Each tablet queues its taps with the time at which they were made, and sends them later."""

    def __init__(self) -> None:
        super().__init__()
        self.room = Room()
        self.room.start()
        self.topics = [self.room.topic(text) for text in TOPICS]
        self.queues: list[list[tuple[float, Tap]]] = [[], []]
        self.answered: dict[str, Any] = {}
        self.sent: list[Tap] = []

    @rule(seconds=st.integers(0, 40))
    def time_passes(self, seconds: int) -> None:
        self.room.clock.advance(seconds)

    @rule(tablet=st.integers(0, 1), kind=st.sampled_from(KINDS), topic=st.integers(0, 1))
    def tap(self, tablet: int, kind: str, topic: int) -> None:
        tap = Tap(new(), kind, keyword=self.topics[topic])
        self.queues[tablet].append((self.room.clock.now, tap))

    @rule(tablet=st.integers(0, 1), pick=st.randoms())
    def undo(self, tablet: int, pick: random.Random) -> None:
        if self.sent:
            undo = Tap(new(), "undo", of=pick.choice(self.sent).id)
            self.queues[tablet].append((self.room.clock.now, undo))

    @rule(tablet=st.integers(0, 1), times=st.integers(1, 2), skew=st.sampled_from([0, 0, 86_400]))
    def send(self, tablet: int, times: int, skew: int) -> None:
        now = self.room.clock.now
        parcel = [
            Tap(tap.id, tap.kind, (now - made + skew) * 1000, keyword=tap.keyword, of=tap.of)
            for made, tap in self.queues[tablet]
        ]
        self.queues[tablet].clear()
        for _ in range(times):
            for done in self.room.send(*parcel):
                # Apart from whether it was undone since, an answer never changes.
                told = (done.fault, done.at_ms, done.clamped, done.back)
                assert self.answered.setdefault(done.id, told) == told
        self.sent += parcel

    @rule(pick=st.randoms())
    def send_old_ones_again(self, pick: random.Random) -> None:
        before = self.picture()
        self.room.send(*pick.sample(self.sent, min(3, len(self.sent))))
        assert self.picture() == before

    @rule(kind=st.sampled_from(KINDS), topic=st.integers(0, 1), age=st.integers(0, 60))
    def undo_at_once_restores(self, kind: str, topic: int, age: int) -> None:
        before = self.picture()
        done = self.room.tap(kind, age, keyword=self.topics[topic])
        self.room.tap("undo", of=done.id)
        assert self.picture() == before

    @precondition(lambda self: len(self.sent) >= 12)
    @rule(age=st.integers(0, 30))
    def stop(self, age: int) -> None:
        self.room.tap("stop", age)

    @invariant()
    def stretches_of_a_topic_do_not_overlap(self) -> None:
        for topic in TOPICS:
            self.apart([(a, b) for text, a, b in self.room.stretches if text == topic])
        self.apart(self.room.excluded)

    @invariant()
    def all_lies_within_the_session(self) -> None:
        end = sessions.now_ms(self.room.session, self.room.clock.stamp())
        spans = [(a, b) for _, a, b in self.room.stretches] + self.room.excluded
        for start, stop in spans:
            assert 0 <= start <= (end if stop is None else stop) <= end
            assert stop is not None or self.room.session.length_ms is None

    @invariant()
    def no_tap_has_two_effects(self) -> None:
        ids = [tag.id for tag in sessions.tags(self.room.db, "s")]
        assert len(ids) == len(set(ids))
        assert set(ids) <= {tap.id for tap in self.sent} | set(self.answered)

    @staticmethod
    def apart(spans: list[tuple[int, int | None]]) -> None:
        spans = sorted(span for span in spans if span[0] != span[1])
        for (_, end), (start, _) in itertools.pairwise(spans):
            assert end is not None
            assert end <= start

    def picture(self) -> Any:
        return self.room.stretches, self.room.excluded

    def teardown(self) -> None:
        self.room.db.close()


TwoTablets.TestCase.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
TestTwoTablets = TwoTablets.TestCase
