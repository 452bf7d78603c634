"""The eighteen everyday emotions that people report of themselves, and the five steps of a mood.

D. Trampe, J. Quoidbach and M. Taquet, "Emotions in Everyday Life", PLOS ONE 10 (2015) e0145450.
They are what a person says of themselves, and have nothing to do with the seven expressions that
the box reads.
"""

from collections.abc import Iterable
from typing import Literal, get_args

Emotion = Literal[
    "pride", "love", "hope", "gratitude", "joy", "satisfaction", "awe", "amusement",
    "alertness",
    "anxiety", "disdain", "offence", "guilt", "disgust", "fear", "embarrassment", "sadness",
    "anger",
]  # fmt: skip
EMOTIONS: tuple[Emotion, ...] = get_args(Emotion)
POSITIVE, NEGATIVE = EMOTIONS[:9], EMOTIONS[9:]
POSITIVE_MASK, NEGATIVE_MASK = 0x1FF, 0x1FF << 9

MOODS = (1, 2, 3, 4, 5)
"""Awful, bad, so-so, good, great."""


def mask(names: Iterable[str]) -> int:
    """Bit n stands for `EMOTIONS[n]`. Raises ValueError for a name that is none of them."""
    bits = 0
    for name in names:
        bits |= 1 << EMOTIONS.index(name)
    return bits


def of_mask(bits: int) -> tuple[Emotion, ...]:
    """The emotions of a mask, in their order."""
    return tuple(name for n, name in enumerate(EMOTIONS) if bits >> n & 1)
