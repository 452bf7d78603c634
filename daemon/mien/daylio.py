"""The diary app Daylio's "CSV (table)" export: one row an entry, the newest first.

Columns are `full_date, date, weekday, time, mood, activities, note_title, note`, in newer versions
`scales` too; older ones have `year` and a `date` such as "18 May". A mood is the word that the
person's app shows, translated or chosen by the person: only the app's own words are known here.
"""

import html
import re
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime, time

from msgspec import Struct

from mien.csvfile import CsvError, Table

MOODS = {
    "rad": 5, "good": 4, "meh": 3, "bad": 2, "awful": 1,
    "super": 5, "gut": 4, "ok": 3, "okay": 3, "schlecht": 2, "furchtbar": 1,
}  # fmt: skip
"""The app's own words, in lower case; from "super" on those of its German version.
Any other is asked for: the next version's "mies" may be bad or awful."""

MOST_PROBLEMS = 100
SAMPLES = 5


class Entry(Struct, frozen=True):
    """An entry as it was written, on this line of the file. `mood` is a word, "" where there is
    none; `moment` is local to whoever wrote it and knows no zone."""

    line: int
    moment: datetime
    mood: str
    activities: tuple[str, ...]
    note: str


class Survey(Struct, frozen=True):
    """What a file holds. `moods` and `unknown`, which of them are none of `MOODS`: how often each
    word stands there. `faulty` rows cannot be read; `problems` tells of the first of them.
    `samples` are the first entries."""

    entries: int
    first: date | None
    last: date | None
    moods: dict[str, int]
    unknown: dict[str, int]
    faulty: int
    problems: list[str]
    samples: list[Entry]


class Diary:
    """The entries of a file, in its order.

    Raises:
        CsvError: there are no such columns. Also while reading, as `Table`.
    """

    def __init__(self, table: Table) -> None:
        self.table = table
        self.faulty = 0
        self.problems: list[str] = []
        """What is wrong with the first hundred rows that cannot be read."""
        self._at = {name.strip().casefold(): n for n, name in enumerate(table.header)}
        dated = "full_date" in self._at or {"year", "date"} <= self._at.keys()
        missing = [name for name in ("time", "mood") if name not in self._at]
        if missing or not dated:
            names = ", ".join([*([] if dated else ["full_date"]), *missing])
            raise CsvError(
                f"{table.name}: the first line names no {names}. Is it Daylio's export? In the "
                "app choose More, Export Entries, CSV (table)."
            )

    def __iter__(self) -> Iterator[Entry]:
        for line, fields in self.table:
            try:
                yield self._entry(line, fields)
            except _Unreadable as reason:
                self.complain(line, str(reason))

    def complain(self, line: int, reason: str) -> None:
        """Count a row that cannot be taken, and note why."""
        self.faulty += 1
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(f"line {line}: {reason}")

    def _entry(self, line: int, fields: list[str]) -> Entry:
        def field(name: str) -> str:
            at = self._at.get(name, len(fields))
            return fields[at].strip() if at < len(fields) else ""

        if len(fields) > len(self.table.header):
            raise _Unreadable("it has more fields than the first line")
        if full := field("full_date"):
            day = _day(full)
        elif "year" in self._at:
            day = _day_of_year(field("year"), field("date"))
        else:
            raise _Unreadable("it has no date")
        note = [_plain(field("note_title")), _plain(field("note")), field("scales")]
        return Entry(
            line=line,
            moment=datetime.combine(day, _time(field("time"))),
            mood=" ".join(field("mood").split()),
            activities=tuple(a.strip() for a in field("activities").split("|") if a.strip()),
            note="\n\n".join(text for text in note if text),
        )


def is_form(header: list[str]) -> bool:
    """Whether this looks like the header of such a file."""
    return {"mood", "activities"} <= {name.strip().casefold() for name in header}


def survey(diary: Diary) -> Survey:
    """Read a file through, to tell what importing it means and which words to ask for."""
    moods: Counter[str] = Counter()
    samples: list[Entry] = []
    entries, days = 0, set()
    for entry in diary:
        entries += 1
        if entries <= SAMPLES:
            samples.append(entry)
        days.add(entry.moment.date())
        if entry.mood:
            moods[entry.mood.casefold()] += 1
    return Survey(
        entries=entries,
        first=min(days, default=None),
        last=max(days, default=None),
        moods=dict(moods.most_common()),
        unknown={word: count for word, count in moods.most_common() if word not in MOODS},
        faulty=diary.faulty,
        problems=diary.problems,
        samples=samples,
    )


class _Unreadable(Exception):
    pass


_MONTHS = {
    name: n
    for names in (
        "january february march april may june july august september october november december",
        "januar februar märz april mai juni juli august september oktober november dezember",
    )
    for n, name in enumerate(names.split(), 1)
}


def _day(text: str) -> date:
    """2026-11-20, or as a spreadsheet writes it again: 20.11.2026, 20/11/2026."""
    found = re.fullmatch(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})\.?", text)
    if found:
        return _made(text, *map(int, found.groups()))
    if found := re.fullmatch(r"(\d{1,2})\.(\d{1,2})\.(\d{4})", text):
        return _made(text, *map(int, found.groups()[::-1]))
    if found := re.fullmatch(r"(\d{1,2})[/-](\d{1,2})[/-](\d{4})", text):
        one, other, year = map(int, found.groups())
        if one > 12 or one == other:
            return _made(text, year, other, one)
        if other > 12:
            return _made(text, year, one, other)
        raise _Unreadable(
            f"“{text}” may be two different days; take the file as Daylio exported it"
        )
    raise _Unreadable(f"“{text[:30]}” is no date such as 2026-11-20")


def _day_of_year(year: str, text: str) -> date:
    """The older form: "18 May" or "May 18", and the year beside it."""
    words = re.findall(r"[^\W\d_]+|\d+", text.casefold())
    numbers = [int(word) for word in words if word.isdecimal()]
    months = {
        month
        for word in words
        for name, month in _MONTHS.items()
        if len(word) >= 3 and not word.isdecimal() and name.startswith(word)
    }
    if not re.fullmatch(r"\d{4}", year) or len(numbers) != 1 or len(months) != 1:
        raise _Unreadable(f"“{text[:30]}” of the year “{year[:10]}” is no date such as May 18")
    return _made(f"{text} {year}", int(year), months.pop(), numbers[0])


def _made(text: str, year: int, month: int, day: int) -> date:
    try:
        return date(year, month, day)
    except ValueError:
        raise _Unreadable(f"there is no day “{text[:30]}”") from None


def _time(text: str) -> time:
    """20:39, 8:05 PM, 11:54 pm; with whatever space stands before the letters."""
    found = re.fullmatch(r"(\d{1,2})[:.](\d{2})(?:[:.]\d{2})?\s*(?:([ap])\.?\s?m\.?)?", text, re.I)
    if not found:
        raise _Unreadable(f"“{text[:20]}” is no time such as 20:39 or 8:39 PM")
    hour, minute = int(found[1]), int(found[2])
    if half := (found[3] or "").casefold():
        if not 1 <= hour <= 12:
            raise _Unreadable(f"there is no time “{text[:20]}”")
        hour = hour % 12 + 12 * (half == "p")
    try:
        return time(hour, minute)
    except ValueError:
        raise _Unreadable(f"there is no time “{text[:20]}”") from None


_TAG = re.compile(
    r"<(/?)(br|p|div|li|ul|ol|b|i|u|s|em|strong|strike|del|font|span|h\d)(?:\s[^<>]*)?/?>", re.I
)


def _plain(note: str) -> str:
    """A note without the marks for bold, lists and the like that newer versions put in."""

    def said(tag: re.Match[str]) -> str:
        end, name = bool(tag[1]), tag[2].casefold()
        if name == "li":
            return "" if end else "\n– "
        return "\n" if name == "br" or (end and name in ("p", "div", "ul", "ol")) else ""

    text = _TAG.sub(said, note)
    text = re.sub(r"&(?:#\d{1,6}|[a-z]{2,8});", lambda one: html.unescape(one[0]), text)
    return re.sub(r"\n{3,}", "\n\n", text.replace("\xa0", " ")).strip()
