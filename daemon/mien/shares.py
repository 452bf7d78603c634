"""How sure a share of time is, when each second resembles the one before it. Pure.

A face keeps an expression for a while, so 600 seconds are no 600 independent looks. Their worth is
n / design effect (L. Kish, "Survey Sampling", Wiley 1965), and the effective number goes into the
intervals of Wilson and of Newcombe. docs/decisions/map.md tells how each formula came about and how
often its intervals cover the truth.
"""

import math
from collections.abc import Sequence

from msgspec import Struct

from mien import intervals
from mien.events import EXPRESSIONS
from mien.student import quantile

UNKNOWN = len(EXPRESSIONS)
"""The place of "cannot tell", after the seven expressions."""
PLACES = UNKNOWN + 1

LEAST_SECONDS = 30
LEAST_RUNS = 10
"""With less seen, in fewer unbroken runs or with a smaller effective number than this, no interval
keeps its promise, and the figure is marked as resting on too little."""

_PRIOR = 4  # runs that the row's mean design effect is worth beside an expression's own
_FREE = 3  # degrees of freedom a session adds: eight shares that sum to 1, of which few are common

_Numbers = Sequence[float]


class Counts(Struct, frozen=True):
    """Seconds and unbroken runs, each by place: the seven `EXPRESSIONS` and "cannot tell"."""

    seconds: tuple[int, ...]
    runs: tuple[int, ...]

    @property
    def seen(self) -> int:
        """Seconds with a face in the seat."""
        return sum(self.seconds)


NOTHING = Counts((0,) * PLACES, (0,) * PLACES)


class Share(Struct, frozen=True):
    """A share of the time seen, 0–1, or a difference of two, −1 to 1, with its 95 % interval."""

    value: float
    low: float
    high: float
    thin: bool
    """Whether it rests on too little to go by."""

    @property
    def clear(self) -> bool:
        """For a difference: whether the interval leaves out "no difference", and can be seen to in
        tenths of a percentage point."""
        return self.low >= 0.0005 or self.high <= -0.0005


def total(counts: Sequence[Counts]) -> Counts:
    """All of these together."""
    return Counts(
        tuple(map(sum, zip(*(each.seconds for each in counts), strict=True))) or NOTHING.seconds,
        tuple(map(sum, zip(*(each.runs for each in counts), strict=True))) or NOTHING.runs,
    )


def shares(sessions: Sequence[Counts]) -> list[Share]:
    """The share of each place in the time seen over these sessions, one `Counts` each."""
    sessions = [each for each in sessions if each.seen]
    if not sessions:
        return []
    whole = total(sessions)
    n, values, effects = whole.seen, _shares(whole), design_effects(whole, len(sessions))
    errors = [_errors(each, values, n) for each in sessions]
    spread = _spread(errors, _variances(values, n, effects))
    found = []
    for value, effect in zip(values, effects, strict=True):
        effective = n / (effect * spread)
        found.append(Share(value, *wilson(value, effective), thin(whole, effective)))
    return found


def differences(sessions: Sequence[tuple[Counts, Counts]]) -> list[Share]:
    """For each place: its share under a topic less that in the rest of the same sessions.

    `sessions` are pairs (under the topic, the rest). The interval is the hybrid score interval
    (method 10) of R. G. Newcombe, "Interval estimation for the difference between independent
    proportions", Statistics in Medicine 17 (1998) 873–890, on effective numbers. A day on which
    the client looked sadder throughout is in both parts, and cancels in the spread over sessions.
    """
    sessions = [pair for pair in sessions if pair[0].seen]
    under, rest = total([u for u, _ in sessions]), total([r for _, r in sessions])
    n, m = under.seen, rest.seen
    if not n or not m:
        return []
    p, q = _shares(under), _shares(rest)
    p_effects = design_effects(under, len(sessions))
    q_effects = design_effects(rest, sum(1 for _, r in sessions if r.seen))
    p_variances, q_variances = _variances(p, n, p_effects), _variances(q, m, q_effects)
    errors = [
        [a - b for a, b in zip(_errors(u, p, n), _errors(r, q, m), strict=True)]
        for u, r in sessions
    ]
    spread = _spread(errors, [a + b for a, b in zip(p_variances, q_variances, strict=True)])
    found = []
    for place in range(PLACES):
        n_eff, m_eff = n / (p_effects[place] * spread), m / (q_effects[place] * spread)
        low_p, high_p = wilson(p[place], n_eff)
        low_q, high_q = wilson(q[place], m_eff)
        value = p[place] - q[place]
        low = value - math.hypot(p[place] - low_p, high_q - q[place])
        high = value + math.hypot(high_p - p[place], q[place] - low_q)
        found.append(Share(value, low, high, thin(under, n_eff) or thin(rest, m_eff)))
    return found


def thin(counts: Counts, effective: float) -> bool:
    """Whether so little was seen that an interval would promise too much."""
    few = sum(counts.runs) < LEAST_RUNS or effective < LEAST_RUNS
    return few or counts.seen < LEAST_SECONDS


def design_effects(counts: Counts, sessions: int = 1) -> list[float]:
    """By how much seconds that resemble their neighbours are worth less than independent ones.

    An expression that comes and goes as a Markov chain, on for L₁ and off for L₀ seconds on
    average, has the design effect (1 + ρ) / (1 − ρ) = 2 L₁ L₀ / (L₁ + L₀) − 1, ρ being the
    correlation from one second to the next. In k runs of its share p of n seconds that is
    2 n p (1 − p) / k − 1. Few runs say little of their own length, so it is drawn towards the mean
    effect of the whole row as if that were known from four runs.
    """
    n, runs = counts.seen, sum(counts.runs)
    values = _shares(counts)
    mixture = max(1 - sum(p * p for p in values), 1 / (runs + 1))
    # The last run of a session was cut off, so it is none that ended.
    common = max(1.0, 2 * n * mixture / max(runs - sessions, 1) - 1)
    effects = []
    for p, k in zip(values, counts.runs, strict=True):
        own = 2 * n * p * (1 - p) - k if p < 1 else 0.0  # k times the effect
        weight = k if p < 1 else 0
        effects.append(max(1.0, (own + _PRIOR * common) / (weight + _PRIOR)))
    return effects


def wilson(share: float, n: float) -> tuple[float, float]:
    """95 % score interval of a share, 0–1, of `n` > 0 independent looks, not necessarily whole."""
    low, high = intervals.wilson(share * n, n)
    return min(low, share), max(high, share)  # which rounding could miss by a hair


def _shares(counts: Counts) -> list[float]:
    n = counts.seen
    return [seconds / n for seconds in counts.seconds]


def _variances(values: _Numbers, n: int, effects: _Numbers) -> list[float]:
    return [p * (1 - p) * effect / n for p, effect in zip(values, effects, strict=True)]


def _errors(counts: Counts, values: _Numbers, n: int) -> list[float]:
    """What one session adds to the error of each share of all n seconds."""
    seen = counts.seen
    return [(y - p * seen) / n for y, p in zip(counts.seconds, values, strict=True)]


def _spread(errors: Sequence[_Numbers], variances: _Numbers) -> float:
    """How much more the sessions differ among themselves than their runs explain, at least 1.

    The variance between clusters of a ratio estimator (W. G. Cochran, "Sampling Techniques", 3rd
    ed., Wiley 1977, § 11.10), summed over the places and set against that from the runs: one mean
    effect for all, after J. N. K. Rao and A. J. Scott, "The analysis of categorical data from
    complex sample surveys", JASA 76 (1981) 221–230. Student's t instead of z pays for knowing it
    from few sessions.
    """
    s, expected = len(errors), sum(variances)
    if s < 2 or not expected:
        return 1.0
    between = s / (s - 1) * sum(sum(e * e for e in session) for session in errors)
    return max(1.0, between / expected * (quantile(_FREE * (s - 1)) / intervals.Z) ** 2)
