"""How often a person and the network say the same of a face. Pure.

Cohen's κ is the agreement beyond what two raters would reach by chance with their own habits:
J. Cohen, "A coefficient of agreement for nominal scales", Educational and Psychological Measurement
20 (1960) 37–46. Its standard error in large samples is that of J. L. Fleiss, J. Cohen and
B. S. Everitt, "Large sample standard errors of kappa and weighted kappa", Psychological Bulletin 72
(1969) 323–327.
"""

import math
from collections.abc import Iterable, Sequence

from msgspec import Struct

from mien.intervals import Z


class Agreement(Struct, frozen=True):
    """`table[p][m]`: how often the person said p while the network said m."""

    table: tuple[tuple[int, ...], ...]
    n: int
    share: float | None
    """Said the same, 0–1; None of nothing."""
    kappa: float | None
    """−1 to 1; None where it is not defined: nothing to compare, or both only ever said one and
    the same thing, so that chance alone would agree every time."""
    low: float | None
    high: float | None
    """95 % interval of κ, cut at −1 and 1; None where the formula gives no width: κ not defined,
    or ±1, where it would claim certainty."""


class Class(Struct, frozen=True):
    """One answer, counted from either side."""

    person: int
    """How often the person gave it."""
    network: int
    """How often the network gave it."""
    both: int

    @property
    def precision(self) -> float | None:
        """When the network said so, how often the person did."""
        return self.both / self.network if self.network else None

    @property
    def recall(self) -> float | None:
        """When the person said so, how often the network did."""
        return self.both / self.person if self.person else None


def measure(pairs: Iterable[tuple[int, int]], answers: int) -> Agreement:
    """Agreement over pairs (person, network), each a number below `answers`."""
    counts = [[0] * answers for _ in range(answers)]
    for person, network in pairs:
        counts[person][network] += 1
    table = tuple(tuple(row) for row in counts)
    n = sum(map(sum, table))
    if not n:
        return Agreement(table, 0, None, None, None, None)
    people = [sum(row) / n for row in table]
    networks = [sum(column) / n for column in zip(*table, strict=True)]
    same = sum(table[k][k] for k in range(answers)) / n
    chance = sum(p * m for p, m in zip(people, networks, strict=True))
    if math.isclose(chance, 1):
        return Agreement(table, n, same, None, None, None)
    kappa = (same - chance) / (1 - chance)
    error = _standard_error(table, n, people, networks, same, chance)
    if math.isclose(kappa, 1) or error == 0:
        return Agreement(table, n, same, kappa, None, None)
    low, high = max(-1.0, kappa - Z * error), min(1.0, kappa + Z * error)
    return Agreement(table, n, same, kappa, low, high)


def classes(agreement: Agreement) -> list[Class]:
    """Each answer by itself."""
    table = agreement.table
    return [
        Class(sum(table[k]), sum(row[k] for row in table), table[k][k]) for k in range(len(table))
    ]


def _standard_error(
    table: Sequence[Sequence[int]],
    n: int,
    people: Sequence[float],
    networks: Sequence[float],
    same: float,
    chance: float,
) -> float:
    """Of κ where it need not be 0: Fleiss, Cohen and Everitt (1969)."""
    agreed = disagreed = 0.0
    for i, row in enumerate(table):
        for j, count in enumerate(row):
            if i == j:
                habit = people[i] + networks[i]
                agreed += count / n * (1 - chance - habit * (1 - same)) ** 2
            else:
                disagreed += count / n * (networks[i] + people[j]) ** 2
    rest = (same * chance - 2 * chance + same) ** 2
    variance = (agreed + (1 - same) ** 2 * disagreed - rest) / (n * (1 - chance) ** 4)
    return math.sqrt(max(0.0, variance))
