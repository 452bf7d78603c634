"""Reports of everyday emotions as they are published: `id, Hours, Day` and eighteen columns of 0
and 1, one row a report.

The form of the data of Trampe, Quoidbach & Taquet 2015 (see `emotions`). `Hours` is 0–23, `Day` is
1–7, here taken as Monday to Sunday.
"""

from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from operator import itemgetter
from typing import Literal, get_args

from msgspec import Struct

from mien.csvfile import CsvError, Table
from mien.emotions import EMOTIONS, Emotion

Fault = Literal["missing", "hour", "day", "value"]
"""Why a row is dropped: a value is missing, the hour is none of 0–23, the day none of 1–7, or
something else is neither 0 nor 1. The first that applies counts."""
FAULTS: tuple[Fault, ...] = get_args(Fault)

MISSING = frozenset(
    {"", "na", "nan", "-nan", "null", "none", ".", "n/a", "#n/a", "#na", "<na>", "?"}
)
_YES, _NO = frozenset({"true", "t", "yes", "y"}), frozenset({"false", "f", "no", "n"})
_COLUMNS = ("id", "Hours", "Day", *(name.capitalize() for name in EMOTIONS))
# Letters only, lower case: how others spell a column.
_SPELLINGS = {
    "hour": "hours", "weekday": "day", "days": "day", "offense": "offence", "alert": "alertness",
    "embarassment": "embarrassment", "embarrasment": "embarrassment", "contempt": "disdain",
    "user": "id", "userid": "id", "participant": "id", "subject": "id",
}  # fmt: skip


class Row(Struct, frozen=True, gc=False):
    """One report: who (a word of the file's own), hour 0–23, day 1–7, and a mask of emotions."""

    id: str
    hour: int
    day: int
    emotions: int

    def named(self, emotion: Emotion) -> bool:
        return bool(self.emotions >> EMOTIONS.index(emotion) & 1)


class Reports:
    """The rows of a file in this form, and what was wrong with the others.

    Raises:
        CsvError: a column is missing or there twice. Also while reading, as `Table`.
    """

    def __init__(self, table: Table) -> None:
        self.table = table
        self.dropped: Counter[Fault] = Counter()
        self.first: dict[Fault, int] = {}
        """The line on which each of these was met first."""
        self._order = _order(table)

    def __iter__(self) -> Iterator[Row]:
        width = len(self.table.header)
        keys, answers = itemgetter(*self._order[:3]), itemgetter(*self._order[3:])
        for line, fields in self.table:
            if len(fields) != width:
                # Too short: what is not there is missing. Too long: nobody knows what is what.
                if any(field.strip() for field in fields[width:]):
                    self._drop("value", line)
                    continue
                fields += [""] * (width - len(fields))
            id, hours, days = keys(fields)
            id, hour, day, bits = id.strip(), _whole(hours), _whole(days), _bits(answers(fields))
            if id.casefold() in MISSING or _GONE in (hour, day, bits):
                self._drop("missing", line)
            elif not 0 <= hour <= 23:
                self._drop("hour", line)
            elif not 1 <= day <= 7:
                self._drop("day", line)
            elif bits == _NEITHER:
                self._drop("value", line)
            else:
                yield Row(id, hour, day, bits)

    def problems(self) -> list[str]:
        """What was wrong with the rows that were dropped, a sentence each kind."""
        return [
            f"line {self.first[fault]}: {_SENTENCES[fault]}"
            + (f" (and {count - 1} more)" if count > 1 else "")
            for fault, count in self.dropped.items()
        ]

    def _drop(self, fault: Fault, line: int) -> None:
        self.dropped[fault] += 1
        self.first.setdefault(fault, line)


_SENTENCES: dict[Fault, str] = {
    "missing": "a value is missing",
    "hour": "the hour is not a whole number from 0 to 23",
    "day": "the day is not a whole number from 1 to 7",
    "value": "an emotion is neither 0 nor 1, or the row has more fields than the header",
}


def is_form(header: list[str]) -> bool:
    """Whether this looks like the header of such a file, complete or not."""
    return len(set(map(_plain, header)) & set(map(_plain, _COLUMNS))) >= 12


def _order(table: Table) -> list[int]:
    """At which place of a row each of `_COLUMNS` is."""
    found = [_plain(name) for name in table.header]
    wanted = [_plain(name) for name in _COLUMNS]
    missing = [name for name, plain in zip(_COLUMNS, wanted, strict=True) if plain not in found]
    if missing:
        raise CsvError(
            f"{table.name}: missing among the columns: {', '.join(missing)}. The first line must "
            f"name {', '.join(_COLUMNS)}, in any order."
        )
    twice = [name for name, plain in zip(_COLUMNS, wanted, strict=True) if found.count(plain) > 1]
    if twice:
        raise CsvError(
            f"{table.name}: the first line names {', '.join(twice)} more than once. Leave one."
        )
    return [found.index(plain) for plain in wanted]


def _plain(name: str) -> str:
    letters = "".join(c for c in name.casefold() if c.isalpha())
    return _SPELLINGS.get(letters, letters)


_GONE, _NEITHER = -2, -1
"""In place of a value: it is missing; it is not what it should be."""


@lru_cache(1 << 14)
def _bits(fields: tuple[str, ...]) -> int:
    """The mask of these values."""
    values = [_truth(field) for field in fields]
    if min(values) < 0:
        return min(values)
    return sum(1 << n for n, value in enumerate(values) if value)


@lru_cache(1 << 10)
def _truth(field: str) -> int:
    text = field.strip().casefold()
    if text in _YES | _NO:
        return int(text in _YES)
    number = _whole(field)
    return number if number in (0, 1, _GONE) else _NEITHER


@lru_cache(1 << 10)
def _whole(field: str) -> int:
    """A whole number of at most two digits, also when it is written `8.0` or `8,0`."""
    text = field.strip().casefold()
    if text in MISSING:
        return _GONE
    try:
        number = float(text.replace(",", "."))
    except ValueError:
        return _NEITHER
    return int(number) if number.is_integer() and 0 <= number < 100 else _NEITHER
