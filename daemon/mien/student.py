"""Student's t: its 97.5 % point, and how often chance alone goes beyond a value. Pure."""

import math
from functools import lru_cache

from mien.intervals import Z


def two_sided(t: float, freedom: float) -> float:
    """The chance of ±t or beyond, 0–1; `freedom` > 0 need not be whole, infinite is the normal
    distribution. M. Abramowitz and I. A. Stegun, "Handbook of Mathematical Functions", 26.7.1."""
    if math.isinf(freedom) or freedom > 1e6:
        return math.erfc(abs(t) / math.sqrt(2))
    return _beta(freedom / 2, 0.5, freedom / (freedom + t * t))


def quantile(freedom: float) -> float:
    """Between minus and plus this lie 95 %; `freedom` at least 1, in steps of a tenth."""
    return _quantile(round(10 * max(1.0, min(freedom, 1e5))))


@lru_cache(4096)
def _quantile(tenths: int) -> float:
    freedom = tenths / 10
    low, high = Z, 13.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if two_sided(middle, freedom) > 0.05 else (low, middle)
    return high


def _beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function, by its continued fraction (26.5.8 ibid., summed as
    W. J. Lentz, Applied Optics 15 (1976) 668–671)."""
    if x <= 0 or x >= 1:
        return 1.0 if x >= 1 else 0.0
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta(b, a, 1 - x)
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
        + a * math.log(x) + b * math.log1p(-x)
    ) / a  # fmt: skip
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1))
    fraction = d
    for m in range(1, 300):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d, c = 1 / (1 + term * d), 1 + term / c
            fraction *= c * d
        if abs(c * d - 1) < 1e-13:
            break
    return front * fraction
