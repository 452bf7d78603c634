"""What people call the seven expressions in names of folders, columns and values, in the page's
languages. The page's uploads and the workshop go by the same words."""

import re
import unicodedata
from typing import Literal

from mien.events import Expression

Class = Expression | Literal["other"]
"""`other`: a known word for something outside the seven."""

_WORDS: dict[Class, str] = {
    "anger": "anger angry angered wut wütend ärger ärgerlich verärgert zorn zornig",
    "disgust": "disgust disgusted ekel angeekelt abscheu",
    "fear": "fear fearful afraid scared angst ängstlich furcht verängstigt",
    "happiness": "happiness happy joy joyful smile smiling freude freudig fröhlich glück glücklich "
    "lächeln lächelnd",
    "sadness": "sadness sad unhappy trauer traurig traurigkeit",
    "surprise": "surprise surprised überraschung überrascht",
    "neutral": "neutral neutrality calm ruhig",
    "other": "other contempt contemptuous unknown uncertain none verachtung verächtlich andere "
    "anderes sonstige sonstiges unbekannt unsicher",
}
SPELLINGS = {label: tuple(words.split()) for label, words in _WORDS.items()}
"""Words in English and German, each for one class."""
_WITHOUT_UMLAUTS = (
    str.maketrans("äöü", "aou"),
    str.maketrans(dict(zip("äöü", ("ae", "oe", "ue"), strict=True))),
)


def plain(name: str) -> str:
    """The letters of a name alone, small and composed: macOS writes `ü` as two signs."""
    return re.sub(r"[\W\d_]+", "", unicodedata.normalize("NFKC", name).casefold())


CLASS_OF: dict[str, Class] = {
    written: label
    for label, words in SPELLINGS.items()
    for word in map(plain, words)
    for written in (word, *(word.translate(table) for table in _WITHOUT_UMLAUTS))
}
"""The class of each word as `plain` gives it, also as people write it who have no umlauts."""
