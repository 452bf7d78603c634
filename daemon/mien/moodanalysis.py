"""How often which emotions are reported, by hour and by weekday, each share with its interval.

What D. Trampe, J. Quoidbach and M. Taquet, "Emotions in Everyday Life", PLOS ONE 10 (2015)
e0145450, tell of their data. Their abstract has positive emotions 2.5 times as often as negative
ones, and both at once "relatively frequently". It does not say which reports are compared, all with
such an emotion or those with nothing else; so both ratios stand here.

Many reports are of few people, so they are not independent: an interval counts people. It is
Wilson's of as many independent reports as would tell as much: n / design effect (L. Kish, "Survey
Sampling", 1965, § 8.2), fewer still where the people are few (E. L. Korn & B. I. Graubard, Survey
Methodology 24 (1998) 193–201).
"""

from array import array
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from mien.emotions import EMOTIONS, NEGATIVE_MASK, POSITIVE_MASK, Emotion
from mien.intervals import Z, wilson
from mien.moodcsv import FAULTS, Fault, Reports, Row
from mien.student import quantile

FEW = 30
"""Under so many reports a share is marked: it may be luck."""

Flags = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int64]


class Share(Struct, frozen=True):
    """`count` of `reports`, with the 95 % interval of that share."""

    count: int
    reports: int
    low: float
    high: float

    @property
    def share(self) -> float:
        return self.count / self.reports

    @property
    def few(self) -> bool:
        return self.reports < FEW


class Ratio(Struct, frozen=True):
    """One share over another, with its 95 % interval."""

    ratio: float
    low: float
    high: float


class Analysis(Struct, frozen=True):
    """What a file of reports tells. `people`: how many different ids. No ratio: one of the two
    was never reported. By hour and weekday: the share of reports with a positive emotion."""

    reports: int
    people: int
    dropped: dict[Fault, int]
    shares: dict[str, Share]
    positive_to_negative: Ratio | None
    only_positive_to_only_negative: Ratio | None
    emotions: dict[Emotion, Share]
    by_hour: dict[int, Share]
    by_weekday: dict[int, Share]

    def line(self) -> dict[str, Any]:
        """As the JSON that `mien mood analyse --json` promises."""
        groups: dict[str, dict[Any, Share]] = {
            "emotions": dict(self.emotions),
            "by_weekday": dict(self.by_weekday),
            "by_hour": dict(self.by_hour),
        }
        ratios = {
            "positive_to_negative": self.positive_to_negative,
            "only_positive_to_only_negative": self.only_positive_to_only_negative,
        }
        return {
            "reports": self.reports,
            "people": self.people,
            "dropped": sum(self.dropped.values()),
            "dropped_because": self.dropped,
            **{name: one.share for name, one in self.shares.items()},
            **{name: one and one.ratio for name, one in ratios.items()},
            **{
                name: {str(key): one.share for key, one in group.items()}
                for name, group in groups.items()
            },
            "reports_by_weekday": {str(k): one.reports for k, one in self.by_weekday.items()},
            "reports_by_hour": {str(k): one.reports for k, one in self.by_hour.items()},
            "few": {
                name: [str(key) for key, one in groups[name].items() if one.few]
                for name in ("by_weekday", "by_hour")
            },
            "intervals": {
                **{name: [one.low, one.high] for name, one in self.shares.items()},
                **{name: one and [one.low, one.high] for name, one in ratios.items()},
                **{
                    name: {str(key): [one.low, one.high] for key, one in group.items()}
                    for name, group in groups.items()
                },
            },
        }


class Gathered:
    """The reports of a file in ten bytes each."""

    def __init__(self) -> None:
        self._people: dict[str, int] = {}
        self._person, self._when, self._emotions = array("I"), array("H"), array("I")

    def add(self, row: Row) -> None:
        self._person.append(self._people.setdefault(row.id, len(self._people)))
        self._when.append(row.hour * 8 + row.day)
        self._emotions.append(row.emotions)

    def analysis(self, dropped: dict[Fault, int]) -> Analysis | None:
        """None without any report."""
        if not self._person:
            return None
        person = np.frombuffer(self._person, np.uintc).astype(np.int64)
        when = np.frombuffer(self._when, np.ushort)
        said = np.frombuffer(self._emotions, np.uintc)
        positive, negative = (said & POSITIVE_MASK) != 0, (said & NEGATIVE_MASK) != 0
        shares = {
            "any_emotion_share": positive | negative,
            "positive_share": positive,
            "negative_share": negative,
            "only_positive_share": positive & ~negative,
            "only_negative_share": negative & ~positive,
            "both_share": positive & negative,
        }

        def groups(keys: npt.NDArray[Any]) -> dict[int, Share]:
            return {
                int(key): share(positive[keys == key], person[keys == key])
                for key in np.unique(keys)
            }

        return Analysis(
            reports=len(person),
            people=len(self._people),
            dropped={fault: dropped.get(fault, 0) for fault in FAULTS},
            shares={name: share(hits, person) for name, hits in shares.items()},
            positive_to_negative=ratio(positive, negative, person),
            only_positive_to_only_negative=ratio(
                positive & ~negative, negative & ~positive, person
            ),
            emotions={name: share((said >> n & 1) != 0, person) for n, name in enumerate(EMOTIONS)},
            by_hour=groups(when // 8),
            by_weekday=groups(when % 8),
        )


def analyse(reports: Reports, watch: Iterable[Row] | None = None) -> Analysis | None:
    """What the rows of a file tell; None when there is no usable one. `watch` passes the rows on,
    for a progress bar."""
    gathered = Gathered()
    for row in reports if watch is None else watch:
        gathered.add(row)
    return gathered.analysis(dict(reports.dropped))


def share(hits: Flags, person: Numbers) -> Share:
    """How often `hits`, given whose report each is."""
    n, count = len(hits), int(hits.sum())
    low, high = wilson(count / n * (alike := _independent(hits, person)), alike)
    return Share(count, n, low, high)


def _independent(hits: Flags, person: Numbers) -> float:
    """How many independent reports would tell as much as these."""
    n, share = len(hits), float(hits.mean())
    of_each = np.bincount(person)
    present = of_each > 0
    people = int(present.sum())
    if people in (1, n):
        # Of one person only that person is told; where each reports once, all are independent.
        return float(n)
    if share in (0.0, 1.0):
        return float(people)
    apart = (np.bincount(person, hits) - share * of_each)[present]
    variance = people / (people - 1) * float((apart**2).sum()) / n**2
    effect = max(1.0, variance / (share * (1 - share) / n))
    return n / effect * (Z / quantile(people - 1)) ** 2


def ratio(over: Flags, under: Flags, person: Numbers) -> Ratio | None:
    """How many times as often `over` as `under`; None when either never, or of one report. The
    interval is that of the logarithm, linearised, over people."""
    above, below = int(over.sum()), int(under.sum())
    if not above or not below or len(person) == 1:
        return None
    each = person if person.min() != person.max() else np.arange(len(person))
    apart = np.bincount(each, over) / above - np.bincount(each, under) / below
    people = len(np.unique(each))
    spread = people / (people - 1) * float((apart**2).sum())
    reach = float(np.exp(quantile(people - 1) * np.sqrt(spread)))
    return Ratio(above / below, above / below / reach, above / below * reach)
