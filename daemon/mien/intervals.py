"""How sure a count is: the interval of a share, and whether two answers to the same questions
differ by more than luck. Pure."""

import math

Z = 1.959963984540054
"""95 % of a normal distribution lie within ± this."""


def wilson(right: float, n: float) -> tuple[float, float]:
    """The 95 % interval of the share right / n, 0–1; 0 to 1 of nothing. The numbers need not be
    whole: an effective number of answers is not.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", Journal of
    the American Statistical Association 22 (1927) 209–212: it keeps its promise for few and for
    extreme counts, where the usual ± does not.
    """
    if not n:
        return 0.0, 1.0
    share, squared = right / n, Z**2
    middle = (share + squared / (2 * n)) / (1 + squared / n)
    reach = Z / (1 + squared / n) * math.sqrt(share * (1 - share) / n + squared / (4 * n**2))
    return max(0.0, middle - reach), min(1.0, middle + reach)


def mcnemar(gained: int, lost: int) -> float:
    """How likely luck alone parts `gained` and `lost` as far as this or farther, 0–1.

    `gained` questions were answered right only by the second of two, `lost` only by the first. The
    exact two-sided test, a fair coin over the questions on which the two differ: Q. McNemar, "Note
    on the sampling error of the difference between correlated proportions or percentages",
    Psychometrika 12 (1947) 153–157.
    """
    n = gained + lost
    tail = sum(math.comb(n, k) for k in range(min(gained, lost) + 1))
    return min(1.0, 2 * tail / (1 << n))
