"""`mien.smoothing`: the average, the episodes it is cut into, and attention."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mien.config import Smoothing
from mien.events import EXPRESSIONS, Episode, Expression
from mien.smoothing import Attention, Smoother

FRAME = 1 / 15


def sure(expression: Expression, p: float = 0.94) -> NDArray[np.float64]:
    answer = np.full(7, (1 - p) / 6)
    answer[EXPRESSIONS.index(expression)] = p
    return answer


def play(smoother: Smoother, *stretches: tuple[Expression | None, float]) -> list[Episode]:
    """Frames at 15 a second, `None` for frames that cannot be read; then the end."""
    ended, frame = [], 0
    for expression, seconds in stretches:
        for _ in range(round(seconds / FRAME)):
            t = frame * FRAME
            ended += smoother.add(t, sure(expression)) if expression else smoother.idle(t)
            frame += 1
    return ended + smoother.end()


def test_a_step_reaches_63_percent_after_one_window() -> None:
    smoother = Smoother(Smoothing(window_s=1.0))
    smoother.add(0.0, sure("neutral", 1.0))
    for frame in range(1, 16):
        smoother.add(frame / 15, sure("happiness", 1.0))
    assert smoother.probabilities is not None
    assert smoother.probabilities[EXPRESSIONS.index("happiness")] == pytest.approx(1 - math.exp(-1))


@given(st.lists(st.floats(0.001, 0.5), min_size=1, max_size=40))
def test_the_average_does_not_depend_on_the_frame_rate(steps: list[float]) -> None:
    smoother = Smoother(Smoothing(window_s=1.0))
    smoother.add(0.0, sure("neutral", 1.0))
    t = 0.0
    for step in steps:
        t += step
        smoother.add(t, sure("anger", 1.0))
    assert smoother.probabilities is not None
    assert smoother.probabilities[0] == pytest.approx(1 - math.exp(-t), abs=1e-9)


def test_neutral_then_happiness_are_two_episodes() -> None:
    episodes = play(Smoother(Smoothing()), ("neutral", 4), ("happiness", 4))
    assert [e.expression for e in episodes] == ["neutral", "happiness"]
    first, second = episodes
    assert first.start == 0
    assert first.end == second.start == pytest.approx(4.35, abs=0.15)
    assert second.peak > 0.85


def test_a_flicker_interrupts_nothing() -> None:
    episodes = play(
        Smoother(Smoothing(window_s=0)), ("neutral", 3), ("surprise", 0.4), ("neutral", 3)
    )
    assert [e.expression for e in episodes] == ["neutral"]


def test_a_long_gap_ends_an_episode_where_it_was_last_seen() -> None:
    episodes = play(Smoother(Smoothing()), ("neutral", 3), (None, 4), ("neutral", 3))
    assert [round(e.end - e.start) for e in episodes] == [3, 3]


def test_a_short_gap_does_not() -> None:
    episodes = play(Smoother(Smoothing()), ("neutral", 3), (None, 1.5), ("neutral", 3))
    assert len(episodes) == 1


def test_undecided_answers_make_no_episode() -> None:
    smoother = Smoother(Smoothing())
    for frame in range(60):
        assert smoother.add(frame * FRAME, np.full(7, 1 / 7)) == []
    assert smoother.end() == []


def test_time_must_not_go_back() -> None:
    smoother = Smoother(Smoothing())
    smoother.add(5.0, sure("fear"))
    with pytest.raises(ValueError, match="time went back"):
        smoother.add(4.0, sure("fear"))


stretches = st.lists(
    st.tuples(st.sampled_from([*EXPRESSIONS, None]), st.floats(0.1, 5)), max_size=12
)


@given(stretches, st.floats(0, 2), st.floats(0, 2))
def test_episodes_are_ordered_apart_and_long_enough(
    played: list[tuple[Expression | None, float]], window: float, dwell: float
) -> None:
    config = Smoothing(window_s=window, min_dwell_s=dwell)
    episodes = play(Smoother(config), *played)
    for episode in episodes:
        assert episode.end >= episode.start
        assert config.leave <= episode.peak <= 1
    for before, after in itertools.pairwise(episodes):
        assert before.end <= after.start


def test_attention_is_the_share_of_the_last_minute() -> None:
    attention = Attention(window_s=60)
    assert attention.share(0) is None
    for second in range(120):
        attention.add(second, facing=second >= 90)
    assert attention.share(119) == pytest.approx(0.5)
    assert attention.share(500) is None
