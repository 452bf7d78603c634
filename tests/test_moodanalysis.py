"""Shares of reported emotions, against another's reckoning."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mien.csvfile import Table
from mien.emotions import EMOTIONS, NEGATIVE, POSITIVE
from mien.intervals import wilson
from mien.moodanalysis import Analysis, analyse, ratio, share
from mien.moodcsv import Reports

REPORTS = 68_311
NAMES = [name.capitalize() for name in EMOTIONS]


@pytest.fixture(scope="module")
def drawn() -> pd.DataFrame:
    """As many reports as were published, drawn at random: people differ, hours and days matter,
    few report at night, and here and there a value is missing or cannot be."""
    chance = np.random.default_rng(65_721)
    person = chance.integers(0, 11_000, REPORTS)
    temper = chance.normal(0, 1, 11_000)[person]
    night = np.array([0.02] * 6 + [1.0] * 18)
    hour = chance.choice(24, REPORTS, p=night / night.sum())
    day = chance.integers(1, 8, REPORTS)
    push = temper + 0.3 * np.sin(hour / 4) + 0.2 * (day >= 6)
    often = chance.uniform(-3, -0.5, 18) + np.repeat([1, -1], 9) * push[:, None]
    felt = chance.random((REPORTS, 18)) < 1 / (1 + np.exp(-often))
    frame = pd.DataFrame(felt.astype(float), columns=NAMES)
    frame.insert(0, "Day", day.astype(float))
    frame.insert(0, "Hours", hour.astype(float))
    frame.insert(0, "id", [f"u{one}" for one in person])
    for column, rate in (("Joy", 0.02), ("Anger", 0.01), ("Hours", 0.004), ("id", 0.002)):
        frame.loc[chance.random(REPORTS) < rate, column] = None
    frame.loc[chance.random(REPORTS) < 0.001, "Hours"] = 25
    frame.loc[chance.random(REPORTS) < 0.001, "Day"] = 0
    frame.loc[chance.random(REPORTS) < 0.001, "Awe"] = 3
    return frame


@pytest.fixture(scope="module")
def found(drawn: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    path: Path = tmp_path_factory.mktemp("moods") / "moods.csv"
    drawn.to_csv(path, index=False, na_rep="NA")
    with Table.opened(path) as table:
        analysis = analyse(Reports(table))
    assert analysis
    return analysis


@pytest.fixture(scope="module")
def usable(drawn: pd.DataFrame) -> pd.DataFrame:
    whole = drawn.dropna()
    possible = whole.Hours.between(0, 23) & whole.Day.between(1, 7) & (whole.Awe < 2)
    frame = whole[possible].copy()
    frame["positive"] = frame[[name.capitalize() for name in POSITIVE]].any(axis=1)
    frame["negative"] = frame[[name.capitalize() for name in NEGATIVE]].any(axis=1)
    return frame


def test_it_agrees_with_pandas(found: Analysis, drawn: pd.DataFrame, usable: pd.DataFrame) -> None:
    told = found.line()
    positive, negative = usable.positive, usable.negative
    assert told["reports"] == len(usable) < REPORTS
    assert told["dropped"] == REPORTS - len(usable)
    assert told["dropped_because"]["missing"] == REPORTS - len(drawn.dropna())
    assert min(told["dropped_because"].values()) > 0
    assert told["people"] == usable.id.nunique()
    expected = {
        "any_emotion_share": (positive | negative).mean(),
        "positive_share": positive.mean(),
        "negative_share": negative.mean(),
        "only_positive_share": (positive & ~negative).mean(),
        "only_negative_share": (negative & ~positive).mean(),
        "both_share": (positive & negative).mean(),
        "positive_to_negative": positive.mean() / negative.mean(),
        "only_positive_to_only_negative": (positive > negative).sum() / (positive < negative).sum(),
    }
    assert {name: told[name] for name in expected} == pytest.approx(expected, rel=1e-12)
    for key, column in (("by_hour", "Hours"), ("by_weekday", "Day")):
        groups = usable.groupby(column).positive
        means = {str(int(group)): mean for group, mean in groups.mean().items()}
        counts = {str(int(group)): count for group, count in groups.count().items()}
        assert told[key] == pytest.approx(means, rel=1e-12)
        assert told[f"reports_{key}"] == counts
    assert told["emotions"] == pytest.approx(
        {name: usable[name.capitalize()].mean() for name in EMOTIONS}, rel=1e-12
    )


def test_its_intervals_are_those_of_leaving_out_one_person_at_a_time(
    found: Analysis, usable: pd.DataFrame
) -> None:
    # The jackknife over people reckons the same spread in another way.
    each = usable.groupby("id").agg(n=("positive", "size"), y=("positive", "sum"))
    without = (each.y.sum() - each.y) / (each.n.sum() - each.n)
    spread = np.sqrt((len(each) - 1) * ((without - without.mean()) ** 2).mean())
    positive = found.shares["positive_share"]
    assert positive.high - positive.low == pytest.approx(2 * 1.959964 * spread, rel=0.02)
    plain = wilson(positive.count, positive.reports)
    assert positive.high - positive.low > 1.2 * (plain[1] - plain[0])

    both = usable.groupby("id")[["positive", "negative"]].sum()
    without = (both.positive.sum() - both.positive) / (both.negative.sum() - both.negative)
    logs = np.log(without)
    spread = np.sqrt((len(both) - 1) * ((logs - logs.mean()) ** 2).mean())
    of = found.positive_to_negative
    assert of
    assert np.log(of.high / of.low) == pytest.approx(2 * 1.959964 * spread, rel=0.02)


def test_ten_times_the_same_words_of_each_tell_no_more() -> None:
    hits = np.arange(200) % 3 == 0
    once = share(hits, np.arange(200))
    again = share(np.repeat(hits, 10), np.repeat(np.arange(200), 10))
    assert (once.low, once.high) == wilson(67, 200)
    assert again.share == once.share
    assert again.high - again.low == pytest.approx(once.high - once.low, rel=0.02)


def test_one_person_and_extreme_shares() -> None:
    of_one = share(np.arange(50) % 2 == 0, np.zeros(50, int))
    assert (of_one.low, of_one.high) == wilson(25, 50)
    always = share(np.ones(50, bool), np.repeat(np.arange(5), 10))
    assert (always.low, always.high) == wilson(5, 5)
    few = share(np.arange(30) % 2 == 0, np.arange(30) % 3)
    assert few.high - few.low > 1.5 * np.subtract(*wilson(15, 30)[::-1])
    assert ratio(np.ones(5, bool), np.zeros(5, bool), np.arange(5)) is None
    assert ratio(np.ones(1, bool), np.ones(1, bool), np.arange(1)) is None
    steady = ratio(np.arange(40) % 2 == 0, np.arange(40) % 4 == 0, np.zeros(40, int))
    assert steady
    assert steady.low < steady.ratio == 2 < steady.high


def test_a_file_of_reports_without_any_emotion() -> None:
    rows = "\n".join(["id,Hours,Day," + ",".join(NAMES), *["1,8,1" + ",0" * 18] * 3])
    with Table(io.BytesIO(rows.encode()), "a.csv") as table:
        analysis = analyse(Reports(table))
    assert analysis
    told = analysis.line()
    assert told["any_emotion_share"] == 0
    assert told["positive_to_negative"] is None
    assert told["intervals"]["positive_to_negative"] is None
    assert told["by_hour"] == {"8": 0.0}
    assert told["few"] == {"by_weekday": ["1"], "by_hour": ["8"]}


def test_a_file_without_rows() -> None:
    with Table(io.BytesIO(("id,Hours,Day," + ",".join(NAMES)).encode()), "a.csv") as table:
        assert analyse(Reports(table)) is None
