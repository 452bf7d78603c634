"""What names of folders, columns and values mean: a class, a part, or nothing but a place."""

import difflib
import shlex
import unicodedata
from collections.abc import Mapping

from mien.events import EXPRESSIONS
from mien.filenames import printable, quoted
from mien.spelling import CLASS_OF, plain
from mien.spelling import SPELLINGS as SPELLINGS
from mien.spelling import Class as Class
from mien_convert.errors import WorkshopError

PARTS: dict[str, int] = {
    **dict.fromkeys(
        ("train", "training", "trainset", "trainingset", "traindata", "trainingdata",
         "trainingsdaten", "fertrain"), 0
    ),
    **dict.fromkeys(
        ("publictest", "val", "valid", "validation", "valset", "validationset", "validset", "dev",
         "devset", "eval", "evaluation", "validierung", "validierungsdaten", "fervalid"), 1
    ),
    **dict.fromkeys(
        ("privatetest", "test", "testing", "testset", "testdata", "testdaten", "fertest"), 2
    ),
}  # fmt: skip
"""Indices into dataset.USAGES."""
_PLACES = """
image images img imgs picture pictures pic pics photo photos photograph photographs face faces crop
crops cropped aligned original originals raw processed preprocessed augmented resized data dataset
datasets archive download downloads database set seta setb setc batch fold folder folders part
sample samples class classes label labels labeled labelled emotion emotions expression expressions
bild bilder foto fotos gesicht gesichter ausschnitte daten datensatz datensätze ordner teil klassen
emotionen ausdrücke sammlung fer ferplus ck ckplus kdef rafdb affectnet jaffe sfew expw
"""
PLACES = frozenset(_PLACES.split())
"""What people call folders that hold the pictures of many people."""


def part_of(name: str) -> int | None:
    """The part that a folder or column value names, as an index into USAGES."""
    return PARTS.get(plain(name))


def is_place(name: str) -> bool:
    """Whether a folder's name says that it holds pictures, and nothing of whom they show."""
    return plain(name) in PLACES


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
            if (label := CLASS_OF.get(plain(meaning))) is None:
                raise WorkshopError(
                    f"The class {quoted(meaning)}, given for {quoted(name)}, is not known; "
                    f"expected is one of {', '.join(EXPRESSIONS)}, or `other` for what shall not "
                    "be learnt."
                )
            self._own[_composed(name)] = label

    def find(self, name: str) -> Class | None:
        """`Happy`, `3_happy` and `HAPPINESS` are happiness; None for a name that is not known."""
        return self._own.get(_composed(name)) or CLASS_OF.get(plain(name))


def _composed(name: str) -> str:
    """A name as people type it, whichever way a system writes its accents."""
    return unicodedata.normalize("NFC", printable(name))


def nearest(name: str) -> str | None:
    """The known word that a name resembles."""
    return next(iter(difflib.get_close_matches(plain(name), CLASS_OF, n=1, cutoff=0.6)), None)


def guess(name: str) -> str:
    """A sentence's end for a name that is no class: the nearest one, and what was expected."""
    near = nearest(name)
    meant = f"did you mean {CLASS_OF[near]} ('{near}')? " if near else ""
    own, other = (shlex.quote(f"{printable(name)}={to}") for to in ("EXPRESSION", "other"))
    return (
        f"{meant}Expected are {', '.join(EXPRESSIONS)}, or common spellings of these; give your "
        f"own name a meaning with --class {own}, or leave it out with --class {other}."
    )
