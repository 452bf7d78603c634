"""Check-ins that a person brings along: from Daylio, or from a file of published reports.

What a row says makes the id of its check-in, so the same file brought in twice adds nothing. An
entry of a diary that says something else by now, since a mood or an activity was renamed there or a
note mended, is known again by its moment, and stays here as it was. Each import has a name of its
own, which is the `source` of its check-ins, and can be taken back whole.
"""

import base64
import hashlib
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from functools import lru_cache, partial
from itertools import islice
from typing import Any, Literal, get_args
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from mien import checkins, emotions
from mien.checkins import Checkin, CheckinError
from mien.daylio import MOODS, Diary, Entry
from mien.moodcsv import Reports

A_TIME = 5000
"""Check-ins that are written in one transaction: others may wait for it, and do for 5 s."""
_SORTED = 20 * A_TIME

LISTED = (
    "SELECT source, count(*), min(made_utc), min(day), max(day) FROM checkins "
    "WHERE client = ? AND NOT deleted GROUP BY source ORDER BY 3 DESC, 1"
)
"""Of a client's check-ins by their source; of a million the index alone is read."""

Kind = Literal["daylio", "csv"]
Write = Callable[[Callable[[Any], Any]], Any]
"""Does work in one transaction, as `Database.write`."""
Progress = Callable[[int], None]
"""Is told how many rows are done. What it raises ends the import, of which then nothing stays."""


class Imported(Struct, frozen=True):
    """What an import did: check-ins `added`, those that were there already, and rows that could
    not be taken, with sentences about the first of them. `source` is its name."""

    source: str
    added: int
    known: int
    faulty: int
    problems: list[str]


class Import(Struct, frozen=True):
    """An import as the list shows it: how many of its check-ins are there, made when (ms), and of
    which days, where they know any."""

    source: str
    kind: str
    count: int
    made_utc: int
    first: date | None
    last: date | None


class Moments:
    """The moments of a diary's entries of former imports: each stands for one entry of the file."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._kind = source.partition(":")[0]
        self._taken: set[str] = set()
        """Ids of former entries that an entry of this file was found to be."""

    def look(self, db: Any, found: Sequence[Checkin]) -> None:
        """See which of these are there word for word; before any of them is kept, so that another
        entry of the same moment is not taken for one of those."""
        self._taken |= checkins.known(db, [one.id for one in found])

    def add(self, db: Any, client: str, found: Sequence[Checkin]) -> int:
        """Keep those that are not there yet, neither by what they say nor by their moment."""
        rest = [one for one in found if one.id not in self._taken]
        free = self._free(db, client, {one.day for one in rest})
        new = []
        for one in rest:
            if former := free.get(one.utc):
                self._taken.add(former.pop())
            else:
                new.append(one)
        return checkins.add(db, client, new)

    def _free(self, db: Any, client: str, days: set[int | None]) -> dict[int | None, list[str]]:
        """Ids of former entries of these days, by their moment, that are none of this file's yet;
        also of those that were deleted here."""
        found: dict[int | None, list[str]] = {}
        query = (
            "SELECT id, utc FROM checkins WHERE client = ? AND day = ? AND source != ? "
            "AND source LIKE ? || ':%'"
        )
        for day in sorted(day for day in days if day is not None):
            for id, utc in db.execute(query, (client, day, self._source, self._kind)):
                if id not in self._taken:
                    found.setdefault(utc, []).append(id)
        return found


def source(kind: Kind) -> str:
    """A new import's name."""
    return f"{kind}:{secrets.token_hex(6)}"


def from_daylio(
    write: Write,
    client: str,
    diary: Diary,
    zone: ZoneInfo,
    moods: Mapping[str, int | None],
    made_utc: int,
    progress: Progress = lambda done: None,
) -> Imported:
    """Bring in a diary, whose times are those of `zone`. `moods`: what the person says that a word
    (in lower case) means, before what `daylio.MOODS` says; None: no mood.

    Raises:
        CheckinError: nobody said what a word means. CsvError, while reading.
    """
    name = source("daylio")
    alike: Counter[bytes] = Counter()

    def checkin_of(entry: Entry) -> Checkin | None:
        word = entry.mood.casefold()
        if word and word not in moods and word not in MOODS:
            raise CheckinError(f"What does the mood “{entry.mood}” mean? Choose one of five steps.")
        said = (entry.moment.isoformat(), word, sorted(entry.activities), entry.note)
        try:
            return checkins.made(
                client,
                entry.moment.replace(tzinfo=zone),
                mood=moods.get(word, MOODS.get(word)) if word else None,
                emotions=None,
                activities=entry.activities,
                note=entry.note,
                source=name,
                made_utc=made_utc,
                id=_id(alike, client, said),
                whole=True,
            )
        except CheckinError as error:
            diary.complain(entry.line, str(error))
            return None

    found = (one for entry in diary if (one := checkin_of(entry)))
    added, known = _bring_in(write, client, name, found, progress, Moments(name))
    return Imported(name, added, known, diary.faulty, diary.problems)


def from_reports(
    write: Write,
    client: str,
    reports: Reports,
    person: str | None,
    made_utc: int,
    progress: Progress = lambda done: None,
) -> Imported:
    """Bring in the reports of one person of a file, by its id there, or with None of all of them.
    They know hour and weekday, and no date.

    Raises:
        CsvError: while reading.
    """
    name = source("csv")
    alike: Counter[bytes] = Counter()
    found = (
        Checkin(
            id=_id(alike, client, (row.id, row.hour, row.day, row.emotions)),
            client=client,
            utc=None,
            day=None,
            hour=row.hour,
            weekday=row.day,
            mood=None,
            emotions=_felt(row.emotions),
            activities=(),
            note="",
            source=name,
            made_utc=made_utc,
        )
        for row in reports
        if person is None or row.id == person
    )
    added, known = _bring_in(write, client, name, found, progress)
    faulty = sum(reports.dropped.values())
    return Imported(name, added, known, faulty, reports.problems())


def imports(db: Any, client: str) -> list[Import]:
    """The imports of a client of which something is there, the newest first."""
    return [
        Import(name, kind, count, made, _date(first), _date(last))
        for name, count, made, first, last in db.execute(LISTED, (client,))
        if (kind := name.partition(":")[0]) in get_args(Kind)
    ]


def forget_import(db: Any, client: str, source: str, most: int = A_TIME) -> bool:
    """Erase the check-ins of an import, and activities that nothing else names; at most so many at
    a time: whether there may be more."""
    query = "SELECT id FROM checkins WHERE client = ? AND source = ? LIMIT ?"
    ids = db.execute(query, (client, source, most)).fetchall()
    named: set[str] = set()
    for id in ids:
        query = "SELECT activity FROM checkin_activities WHERE checkin = ?"
        named.update(activity for (activity,) in db.execute(query, id))
    db.executemany("DELETE FROM checkins WHERE id = ?", ids)
    db.executemany(
        "DELETE FROM activities WHERE id = ? "
        "AND NOT EXISTS (SELECT 1 FROM checkin_activities WHERE activity = activities.id)",
        [(id,) for id in named],
    )
    return len(ids) == most


def _bring_in(
    write: Write,
    client: str,
    name: str,
    found: Iterable[Checkin],
    progress: Progress,
    moments: Moments | None = None,
) -> tuple[int, int]:
    """Write check-ins in the order of their ids, for the table is; (added, known)."""
    rows = iter(found)
    add = moments.add if moments else checkins.add
    added = done = 0
    try:
        while some := sorted(islice(rows, _SORTED), key=lambda one: one.id):
            if moments:
                write(partial(moments.look, found=some))
            for start in range(0, len(some), A_TIME):
                part = some[start : start + A_TIME]
                added += write(partial(add, client=client, found=part))
                done += len(part)
                progress(done)
    except BaseException:
        while write(partial(forget_import, client=client, source=name)):
            pass
        raise
    return added, done - added


def _id(alike: Counter[bytes], client: str, said: Any) -> str:
    """Made from what is said, and from how many before it in the file say the same."""
    content = msgspec.json.encode((client, said))
    same = hashlib.blake2b(content, digest_size=8).digest()
    alike[same] += 1
    key = hashlib.blake2b(content + b"%d" % alike[same], digest_size=15).digest()
    return base64.urlsafe_b64encode(key).decode()


_felt = lru_cache(1 << 14)(emotions.of_mask)


def _date(day: int | None) -> date | None:
    return None if day is None else date.fromordinal(day)
