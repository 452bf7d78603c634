"""What people call the seven expressions and the three parts, in names of folders and columns."""

import difflib
import re
from collections.abc import Mapping
from typing import Literal

from mien.events import EXPRESSIONS, Expression
from mien_convert.errors import WorkshopError

Class = Expression | Literal["other"]
"""`other`: a known word for something outside the seven; such a picture is counted, not learnt."""

SPELLINGS: dict[Class, tuple[str, ...]] = {
    "anger": ("anger", "angry"),
    "disgust": ("disgust", "disgusted"),
    "fear": ("fear", "fearful", "afraid", "scared"),
    "happiness": ("happiness", "happy", "joy", "joyful", "smile", "smiling"),
    "sadness": ("sadness", "sad", "unhappy"),
    "surprise": ("surprise", "surprised"),
    "neutral": ("neutral", "neutrality", "calm"),
    "other": ("other", "contempt", "contemptuous", "unknown", "uncertain", "none"),
}
_CLASS_OF: dict[str, Class] = {word: label for label, words in SPELLINGS.items() for word in words}
PARTS: dict[str, int] = {
    **dict.fromkeys(("train", "training", "trainset"), 0),
    **dict.fromkeys(("publictest", "val", "valid", "validation", "dev"), 1),
    **dict.fromkeys(("privatetest", "test", "testing", "testset"), 2),
}
"""Indices into dataset.USAGES."""


def part_of(name: str) -> int | None:
    """The part that a folder or column value names, as an index into USAGES."""
    return PARTS.get(_plain(name))


class Classes:
    """Finds the class that a name means.

    Args:
        own: names of one's own and what they mean: one of the seven, in any known spelling, or
            `other`.

    Raises:
        WorkshopError: `own` gives a meaning that is none.
    """

    def __init__(self, own: Mapping[str, str] | None = None) -> None:
        self._own: dict[str, Class] = {}
        for name, meaning in (own or {}).items():
            if (label := _CLASS_OF.get(_plain(meaning))) is None:
                raise WorkshopError(
                    f"The class {meaning!r}, given for {name!r}, is not known; expected is one of "
                    f"{', '.join(EXPRESSIONS)}, or `other` for what shall not be learnt."
                )
            self._own[name] = label

    def find(self, name: str) -> Class | None:
        """`Happy`, `3_happy` and `HAPPINESS` are happiness; None for a name that is not known."""
        return self._own.get(name) or _CLASS_OF.get(_plain(name))


def guess(name: str) -> str:
    """A sentence's end for a name that is no class: the nearest one, and what was expected."""
    near = difflib.get_close_matches(_plain(name), _CLASS_OF, n=1, cutoff=0.6)
    meant = f"did you mean {_CLASS_OF[near[0]]} ({near[0]!r})? " if near else ""
    return (
        f"{meant}Expected are {', '.join(EXPRESSIONS)}, or common spellings of these; give your "
        f"own name a meaning with --class {name}=EXPRESSION, or leave it out with "
        f"--class {name}=other."
    )


def _plain(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.lower())
