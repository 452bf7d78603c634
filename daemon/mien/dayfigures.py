"""Figures of which the day is the unit, each with its 95 % interval or "too little data". Pure.

A person's check-ins of one day resemble each other, and a day resembles the one before; the seconds
of a face even more. So every figure is a ratio of sums over days, y / n, and its variance is that
of the days' residuals (W. G. Cochran, "Sampling Techniques", 3rd ed., Wiley 1977, § 11.10), widened
by what days a few days apart have in common (W. K. Newey and K. D. West, Econometrica 55 (1987)
703–708). How often the intervals hold the truth is told in docs/decisions/patterns.md.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from operator import mul
from typing import NamedTuple

from msgspec import Struct

from mien.intervals import Z, wilson
from mien.student import quantile, two_sided

LEAST = 8
LEAST_DAYS = 5
"""With fewer looks, or on fewer days, there is no figure."""
LEAST_EACH = 5
"""Looks of each kind that a ratio needs."""
RATE = 0.05
"""Of the comparisons that a table marks, so many may be marked by chance (`marked`)."""

_ROUNDING = 1 / 12  # variance of what was rounded to whole steps (W. F. Sheppard, 1898)


class Figure(Struct, frozen=True):
    """A mean, share, ratio or difference with its 95 % interval. `value` is None where `n` looks on
    so many `days` are too little. `p` is how often chance alone would part a difference so far from
    nought."""

    value: float | None
    low: float = 0.0
    high: float = 0.0
    n: int = 0
    days: int = 0
    p: float = 1.0

    @property
    def apart(self) -> bool:
        """For a difference: whether the interval leaves out nought."""
        return self.value is not None and (self.low > 0 or self.high < 0)


class Sums(NamedTuple):
    """Over days of which each has n looks that sum to y: Σn, Σy, Σn², Σny, Σy², and how many."""

    n: float = 0
    y: float = 0
    nn: float = 0
    ny: float = 0
    yy: float = 0
    days: int = 0

    @property
    def mean(self) -> float:
        return self.y / self.n

    @property
    def variance(self) -> float:
        """Of the mean, between days that are independent."""
        m, g = self.mean, self.days
        squares = max(0.0, self.yy - 2 * m * self.ny + m * m * self.nn)
        return squares / (self.n * self.n) * g / (g - 1) if g > 1 else math.inf

    @property
    def freedom(self) -> float:
        """Days that the figure is worth, less one: few busy days count for less than many even
        ones (A. V. Carter, K. T. Schnepel, D. G. Steigerwald, Rev. Econ. Stat. 99 (2017) 698)."""
        return max(1.0, self.n * self.n / self.nn - 1)


Series = Mapping[int, tuple[float, float]]
"""By day: the number of looks and what they sum to."""


def series(rows: Iterable[tuple[int, float]]) -> dict[int, tuple[float, float]]:
    """Of rows (day, value)."""
    found: dict[int, tuple[float, float]] = {}
    for day, value in rows:
        n, y = found.get(day, (0, 0.0))
        found[day] = n + 1, y + value
    return found


def sums(of: Series) -> Sums:
    n, y, nn, ny, yy = 0.0, 0.0, 0.0, 0.0, 0.0
    for count, value in of.values():
        n += count
        y += value
        nn += count * count
        ny += count * value
        yy += value * value
    return Sums(n, y, nn, ny, yy, len(of))


def carried(of: Series, mean: float, reach: int = 3) -> float:
    """How many times larger the variance is because a day resembles the `reach` next, at least 1.

    The larger of two guesses, for both fall short when days are few: the sum of what days have in
    common (Newey and West), and what follows from neighbours alone, (1 + r) / (1 - r), their
    correlation r corrected for its bias (M. G. Kendall, Biometrika 41 (1954) 403–404).
    """
    left = {day: y - mean * n for day, (n, y) in of.items()}
    squares = sum(e * e for e in left.values())
    dated = [day for day in left if day >= 0]
    if not squares or not dated:
        return 1.0
    line = range(min(dated), max(dated) + 1)
    errors = [left.get(day, 0.0) for day in line]
    there = [day in left for day in line]
    common: float = sum(
        (1 - lag / (reach + 1)) * sum(map(mul, errors, errors[lag:])) for lag in range(1, reach + 1)
    )
    next_day: float = sum(map(mul, errors, errors[1:]))
    pairs = sum(map(mul, there, there[1:]))
    summed = 1 + 2 * common / squares
    if not pairs:
        return max(1.0, summed)
    r = next_day / pairs * len(left) / squares
    r = min(0.8, r + (1 + 3 * r) / len(left))
    return max(1.0, summed, (1 + r) / (1 - r) if pairs >= len(left) / 2 else 1.0)


def mean(of: Series, bounds: tuple[float, float] = (1, 5), *, reach: int | None = None) -> Figure:
    """The mean of all looks: Student's t over days, within what is possible."""
    total = sums(of)
    return _mean(total, _carry(of, total, reach), bounds)


def share(of: Series, *, reach: int | None = None) -> Figure:
    """Of looks that are 0 or 1."""
    total = sums(of)
    return _share(total, _carry(of, total, reach))


def _carry(of: Series, total: Sums, reach: int | None = None) -> float:
    if not total.n:
        return 1.0
    return carried(of, total.mean, _reach(len(of)) if reach is None else reach)


def _reach(days: int) -> int:
    """Days ahead that still count (E. Lazarus, D. J. Lewis, J. H. Stock, M. W. Watson, Journal of
    Business & Economic Statistics 36 (2018) 541–559), for a person's moods of at most two weeks."""
    return min(14, round(1.3 * math.sqrt(days)))


def ratio(both: Mapping[int, tuple[float, float]]) -> Figure:
    """Σa / Σb over days (a, b): the delta method on its logarithm (Cochran, § 6.3), over days."""
    a, b = sum(x for x, _ in both.values()), sum(y for _, y in both.values())
    n, days = round(a + b), len(both)
    if min(a, b) < LEAST_EACH or days < LEAST_DAYS:
        return Figure(None, n=n, days=days)
    left = {day: (1, x / a - y / b) for day, (x, y) in both.items()}
    total = sums(left)
    variance = total.yy * days / (days - 1) * carried(left, 0.0, _reach(days))
    # Days of one of each leave no residual at all; one odd check-in would.
    variance = max(variance, 1 / (a * b))
    reach = quantile(days - 1) * math.sqrt(variance)
    middle = math.log(a / b)
    return Figure(a / b, math.exp(middle - reach), math.exp(middle + reach), n, days)


def difference(one: Figure, other: Figure) -> Figure:
    """`one` less `other`, which know nothing of each other: the intervals' own reaches joined
    (G. Y. Zou and A. Donner, Statistics in Medicine 27 (2008) 1693–1702; for shares it is method 10
    of R. G. Newcombe, ibid. 17 (1998) 873–890)."""
    n, days = one.n, min(one.days, other.days)
    if one.value is None or other.value is None:
        return Figure(None, n=n, days=days)
    value = one.value - other.value
    down = math.hypot(one.value - one.low, other.high - other.value)
    up = math.hypot(one.high - one.value, other.value - other.low)
    toward = down if value > 0 else up
    z = abs(value) / toward * Z if toward else 0.0
    return Figure(value, value - down, value + up, n, days, two_sided(z, math.inf))


def marked(figures: Sequence[Figure]) -> list[bool]:
    """Which of a table's differences are clear although it makes many comparisons: Y. Benjamini and
    Y. Hochberg, Journal of the Royal Statistical Society B 57 (1995) 289–300, at `RATE`."""
    tried = sorted(f.p for f in figures if f.value is not None)
    limit = max((p for k, p in enumerate(tried, 1) if p <= RATE * k / len(tried)), default=-1.0)
    return [f.value is not None and f.p <= limit for f in figures]


def _little(total: Sums) -> bool:
    return total.n < LEAST or total.days < LEAST_DAYS


def _mean(total: Sums, carry: float, bounds: tuple[float, float]) -> Figure:
    if _little(total):
        return Figure(None, n=round(total.n), days=total.days)
    # Eight times "good" is no proof of a mood of exactly 4: it was rounded to a step.
    variance = max(total.variance * carry, _ROUNDING / total.days)
    reach, m = quantile(total.freedom) * math.sqrt(variance), total.mean
    low, high = max(bounds[0], m - reach), min(bounds[1], m + reach)
    return Figure(m, low, high, round(total.n), total.days)


def _share(total: Sums, carry: float) -> Figure:
    """Wilson's interval on an effective number (E. L. Korn and B. I. Graubard, Survey Methodology
    24 (1998) 193–201)."""
    if _little(total):
        return Figure(None, n=round(total.n), days=total.days)
    p = min(1.0, max(0.0, total.mean))
    variance = total.variance * carry
    most = total.n if 0 < p < 1 else total.days
    effective = min(most, p * (1 - p) / variance) if variance > 0 else total.days
    effective *= (Z / quantile(total.freedom)) ** 2
    low, high = wilson(p * effective, effective)
    return Figure(p, min(low, p), max(high, p), round(total.n), total.days)


class Whole:
    """All check-ins that have a measure, ready to be parted into those with and those without."""

    def __init__(self, of: Series) -> None:
        self.of = of
        self.total = sums(of)
        self.carry = _carry(of, self.total)

    def rest(self, part: Series) -> Sums:
        n, y, nn, ny, yy, days = self.total
        for day, (some_n, some_y) in part.items():
            all_n, all_y = self.of[day]
            rest_n, rest_y = all_n - some_n, all_y - some_y
            n -= some_n
            y -= some_y
            nn += rest_n * rest_n - all_n * all_n
            ny += rest_n * rest_y - all_n * all_y
            yy += rest_y * rest_y - all_y * all_y
            days -= not rest_n
        return Sums(n, y, nn, ny, yy, days)

    def means(self, part: Series) -> Figure:
        """The mean of a part less that of the rest. What a day has in common cancels: it is in
        both, and taken from the variance."""
        one, rest = sums(part), self.rest(part)
        n, days = round(one.n), min(one.days, rest.days)
        if _little(one) or _little(rest):
            return Figure(None, n=n, days=days)
        shared = 0.0
        for day, (k, y) in part.items():
            all_n, all_y = self.of[day]
            k0, y0 = all_n - k, all_y - y
            shared += (y - one.mean * k) * (y0 - rest.mean * k0)
        shared /= one.n * rest.n
        a = one.variance * carried(part, one.mean)
        b = rest.variance * self.carry
        variance = max(a + b - 2 * shared, _ROUNDING * (1 / one.days + 1 / rest.days))
        # F. E. Satterthwaite, Biometrics Bulletin 2 (1946) 110–114.
        spread = a * a / one.freedom + b * b / rest.freedom
        freedom = (a + b) ** 2 / spread if spread else min(one.freedom, rest.freedom)
        error, value = math.sqrt(variance), one.mean - rest.mean
        reach = quantile(freedom) * error
        return Figure(
            value, value - reach, value + reach, n, days, two_sided(abs(value) / error, freedom)
        )

    def shares(self, part: Series) -> tuple[Figure, Figure]:
        """The share in a part, and how it differs from that in the rest."""
        return _parted(sums(part), self.rest(part), self.carry)


class Marks:
    """Several measures of 0 or 1 of the same looks at once, each a bit: few are set in each look,
    so that only those cost time."""

    def __init__(self, rows: Sequence[tuple[int, int]], bits: int) -> None:
        self._n, self._y = _counted(rows)
        self._totals: list[tuple[Sums, float]] = []
        for bit in range(bits):
            of = {day: (n, self._y[day].get(bit, 0)) for day, n in self._n.items()}
            total = sums(of)
            self._totals.append((total, _carry(of, total, 3)))

    def parted(self, rows: Sequence[tuple[int, int]]) -> list[tuple[Figure, Figure]]:
        """By bit what `Whole.shares` tells of these looks, some of all."""
        counts, marks = _counted(rows)
        n, nn, days = sum(counts.values()), sum(k * k for k in counts.values()), len(counts)
        one = {bit: [0, 0, 0] for bit in range(len(self._totals))}  # y, n y, y²
        gone = {bit: [0, 0] for bit in range(len(self._totals))}  # what the rest lacks of n y, y²
        rest_nn, rest_days = 0, 0
        for day, some in counts.items():
            every, here, there = self._n[day], marks[day], self._y[day]
            rest_nn += (every - some) ** 2 - every * every
            rest_days -= every == some
            for bit, whole in there.items():
                gone[bit][0] += some * whole
                if y := here.get(bit, 0):
                    gone[bit][0] += (every - some) * y
                    gone[bit][1] += 2 * whole * y - y * y
                    held = one[bit]
                    held[0] += y
                    held[1] += some * y
                    held[2] += y * y
        found = []
        for bit, (total, carry) in enumerate(self._totals):
            y, ny, yy = one[bit]
            rest = Sums(
                total.n - n, total.y - y, total.nn + rest_nn, total.ny - gone[bit][0],
                total.yy - gone[bit][1], total.days + rest_days,
            )  # fmt: skip
            found.append(_parted(Sums(n, y, nn, ny, yy, days), rest, carry))
        return found


def _counted(rows: Iterable[tuple[int, int]]) -> tuple[dict[int, int], dict[int, dict[int, int]]]:
    """By day the looks, and how many of them have each bit."""
    n: dict[int, int] = {}
    y: dict[int, dict[int, int]] = {}
    for day, bits in rows:
        n[day] = n.get(day, 0) + 1
        here = y.setdefault(day, {})
        while bits:
            bit = (bits & -bits).bit_length() - 1
            here[bit] = here.get(bit, 0) + 1
            bits &= bits - 1
    return n, y


def _parted(one: Sums, rest: Sums, carry: float) -> tuple[Figure, Figure]:
    held = _share(one, carry)
    if held.value is None:
        return held, held
    return held, difference(held, _share(rest, carry))
