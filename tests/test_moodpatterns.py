"""Patterns of check-ins: what stands out, what is chance, how often intervals hold the truth."""

import itertools
import math
import random
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien import moodpatterns
from mien.checkins import Report
from mien.emotions import mask

JOY, ANGER = mask(["joy"]), mask(["anger"])

REPORTS = st.lists(
    st.builds(
        Report,
        day=st.none() | st.integers(738_000, 738_060),
        hour=st.none() | st.integers(0, 23),
        weekday=st.integers(1, 7),
        utc=st.none(),
        mood=st.none() | st.integers(1, 5),
        emotions=st.none() | st.integers(0, (1 << 18) - 1),
        activities=st.frozensets(st.sampled_from("abc")),
    ),
    max_size=90,
)


def person(
    chance: random.Random, days: int, *, carried: float, effect: float = 0.3, activities: int = 1
) -> list[Report]:
    """Three check-ins a day, of which some are left out. Half of what a mood varies is the day's,
    and so much of that is carried over to the next day. `effect`: what the first activity adds."""
    found, held = [], chance.gauss(0, 1)
    for day in range(days):
        held = carried * held + math.sqrt(1 - carried**2) * chance.gauss(0, 1)
        for hour in (8, 13, 20):
            if chance.random() < 0.2:
                continue
            done = [str(n) for n in range(activities) if chance.random() < 0.3]
            felt = 3.3 + 0.64 * held + 0.64 * chance.gauss(0, 1) + (effect if "0" in done else 0)
            said = (JOY if felt > 2.8 else 0) | (ANGER if felt < 2.9 else 0)
            mood = min(5, max(1, round(felt)))
            found.append(
                Report(740_000 + day, hour, day % 7 + 1, None, mood, said, frozenset(done))
            )
    return found


@cache
def truth() -> tuple[float, float, float, float]:
    """Mood, positive share, ratio and what the activity adds, of a very long life."""
    life = person(random.Random(99), 40_000, carried=0.3)
    moods = [r.mood or 0 for r in life]
    positive = sum(bool((r.emotions or 0) & JOY) for r in life)
    negative = sum(bool((r.emotions or 0) & ANGER) for r in life)
    having = [r.mood or 0 for r in life if r.activities]
    others = [r.mood or 0 for r in life if not r.activities]
    apart = sum(having) / len(having) - sum(others) / len(others)
    return sum(moods) / len(moods), positive / len(life), positive / negative, apart


@pytest.mark.parametrize("days", [30, 90])
def test_intervals_hold_the_truth_as_often_as_they_say(days: int) -> None:
    """Nominally 95 %; moods carry over from day to day (0.3)."""
    chance, times = random.Random(days), 200
    held = [0, 0, 0, 0]
    for _ in range(times):
        reports = person(chance, days, carried=0.3)
        told = moodpatterns.overall(reports)
        (activity,) = moodpatterns.by_activity(reports)
        figures = (told.mood, told.positive, told.ratio, activity.difference)
        for n, (figure, true) in enumerate(zip(figures, truth(), strict=True)):
            assert figure.value is not None
            held[n] += figure.low <= true <= figure.high
    assert min(held) >= 0.92 * times, held


def test_of_activities_that_change_nothing_hardly_any_stands_out() -> None:
    """24 comparisons a person: in most lives not one is marked, though each alone would be in one
    of twenty."""
    chance, lives = random.Random(3), 60
    marked = [
        sum(one.clear for one in moodpatterns.by_activity(reports))
        for reports in (
            person(chance, 90, carried=0.3, effect=0, activities=24) for _ in range(lives)
        )
    ]
    assert sum(map(bool, marked)) <= 0.1 * lives


def test_an_activity_that_does_change_something_is_found() -> None:
    reports = person(random.Random(1), 120, carried=0.3, effect=0.8, activities=10)
    first, *others = moodpatterns.by_activity(reports)
    assert (first.id, first.clear) == ("0", True)
    assert 0.5 < (first.difference.value or 0) < 1.1
    assert not any(one.clear for one in others)
    assert first.feelings
    assert {"joy", "anger"} >= {one.emotion for one in first.feelings}


@given(REPORTS)
@settings(max_examples=60)
def test_whatever_was_said_figures_are_figures(reports: list[Report]) -> None:
    groups = [*moodpatterns.by_hour(reports), *moodpatterns.by_weekday(reports)]
    figures = [f for g in groups for f in (g.mood, g.positive, g.negative, g.difference)]
    figures += [one.difference for one in moodpatterns.by_activity(reports)]
    told = moodpatterns.overall(reports)
    for figure in (*figures, told.mood, told.positive, told.negative, told.ratio):
        if figure.value is not None:
            assert math.isfinite(figure.value)
            assert figure.low <= figure.value <= figure.high
    hours = moodpatterns.by_hour(reports)
    assert sum(group.n for group in hours) == sum(r.hour is not None for r in reports)
    assert all(a.last < b.first for a, b in itertools.pairwise(hours))


def report(day: int | None, hour: int, mood: int | None = 3, emotions: int | None = 0) -> Report:
    return Report(day, hour, (day or 0) % 7 + 1, None, mood, emotions, frozenset())


def test_hours_with_few_are_joined_within_their_quarter_of_the_day() -> None:
    reports = [report(day, 9) for day in range(20)]
    reports += [report(day, 11) for day in range(3)]
    reports += [report(day, 22) for day in range(4)]
    groups = moodpatterns.by_hour(reports)
    assert [(g.first, g.last, g.n) for g in groups] == [(9, 11, 23), (22, 22, 4)]
    assert groups[1].mood.value is None, "four are too little"


def test_reports_without_dates_count_each_for_itself() -> None:
    """As in the published form: no moods, hour and weekday only."""
    reports = [report(None, 10, None, JOY if n % 3 else ANGER) for n in range(60)]
    (group,) = moodpatterns.by_hour(reports)
    assert (group.n, group.mood.value) == (60, None)
    assert group.positive.value == pytest.approx(40 / 60)
    assert group.positive.days == 60


def test_an_hour_that_is_better_stands_out() -> None:
    reports = [
        report(day, hour, 4 if hour == 20 else 3 - day % 2) for day in range(40) for hour in (8, 20)
    ]
    morning, evening = moodpatterns.by_hour(reports)
    assert morning.clear
    assert evening.clear
    assert (evening.difference.value or 0) > 1
