"""`python -m mien.checkin_intake`: looks at a diary that somebody uploaded, or brings it in.

A process of its own, so that a million rows stay out of the page's memory, and can be stopped.

On standard input a `Task` as JSON; on standard output a line of JSON at a time: `Step` while it
goes on, at the end a `Preview`, an `Imported` or, where the file is not what it should be, a
`Refused`.
"""

import os
import sys
import time
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct, field

from mien import checkin_import, database, daylio, moodcsv
from mien.checkin_import import Imported, Kind
from mien.clock import SystemClock
from mien.csvfile import CsvError, Table
from mien.daylio import Diary
from mien.emotions import of_mask
from mien.events import MienError
from mien.moodcsv import Reports

OFTEN_S = 0.3
MOST_PEOPLE = 500
"""Ids of a file that are told, those with the most reports first."""
MOST_WORDS = 100


class Task(Struct, frozen=True):
    """`fd` is an open file of the parent's, `name` what it was called. With a `state_dir` it is
    brought in for this client: `moods` and `zone` are for a diary, `person` for reports (see
    `checkin_import`); else it is only looked at."""

    fd: int
    name: str
    state_dir: str = ""
    client: str = ""
    made_utc: int = 0
    zone: str = "UTC"
    moods: dict[str, int | None] = field(default_factory=dict)
    person: str | None = None


class Step(Struct, frozen=True, tag="step"):
    """So many rows were brought in."""

    done: int


class Preview(Struct, frozen=True, tag="preview"):
    """What importing a file would mean. `rows` can be read, `faulty` cannot. `first` and `last`
    are dates, of a diary. `unknown`: words for a mood that somebody must explain; `people`: ids of
    a file of reports with how many each has, `persons` of them in all. `samples` are the first
    rows: when (or weekday and hour), mood, emotions, activities, note."""

    kind: Kind
    rows: int
    faulty: int
    problems: list[str]
    first: str = ""
    last: str = ""
    unknown: dict[str, int] = field(default_factory=dict)
    people: list[tuple[str, int]] = field(default_factory=list)
    persons: int = 0
    samples: list["Sample"] = field(default_factory=list)


class Sample(Struct, frozen=True):
    when: str = ""
    weekday: int = 0
    hour: int = 0
    mood: str = ""
    emotions: tuple[str, ...] = ()
    activities: tuple[str, ...] = ()
    note: str = ""


class Done(Struct, frozen=True, tag="done"):
    imported: Imported


class Refused(Struct, frozen=True, tag="refused"):
    text: str


Line = Step | Preview | Done | Refused


def opened(table: Table) -> Diary | Reports:
    """What a table is. Raises CsvError: nothing that is known here."""
    if moodcsv.is_form(table.header):
        return Reports(table)
    if daylio.is_form(table.header):
        return Diary(table)
    raise CsvError(
        f"{table.name} is neither Daylio's export (its first line names full_date, time, mood, "
        "activities) nor a file of reports (id, Hours, Day and the eighteen emotions). "
        "Export it anew, or choose another file."
    )


def preview(table: Table) -> Preview:
    """Read a file through. Raises CsvError."""
    found = opened(table)
    return _of_reports(found) if isinstance(found, Reports) else _of_diary(found)


def _of_diary(diary: Diary) -> Preview:
    told = daylio.survey(diary)
    if len(told.unknown) > MOST_WORDS:
        raise CsvError(
            f"{diary.table.name}: its column “mood” holds {len(told.unknown)} different words. "
            "Is it Daylio's export, as the app made it?"
        )
    if not told.entries:
        raise CsvError(_nothing(diary.table.name, told.problems))
    return Preview(
        "daylio",
        told.entries,
        told.faulty,
        told.problems,
        first=told.first.isoformat() if told.first else "",
        last=told.last.isoformat() if told.last else "",
        unknown=told.unknown,
        samples=[
            Sample(
                f"{entry.moment:%Y-%m-%dT%H:%M}",
                mood=entry.mood,
                activities=entry.activities,
                note=entry.note[:200],
            )
            for entry in told.samples
        ],
    )


def _of_reports(reports: Reports) -> Preview:
    samples: list[Sample] = []
    people: dict[str, int] = {}
    rows = 0
    for row in reports:
        rows += 1
        people[row.id] = people.get(row.id, 0) + 1
        if rows <= daylio.SAMPLES:
            said = of_mask(row.emotions)
            samples.append(Sample(weekday=row.day, hour=row.hour, emotions=said))
    if not rows:
        raise CsvError(_nothing(reports.table.name, reports.problems()))
    most = sorted(people.items(), key=lambda one: (-one[1], one[0]))[:MOST_PEOPLE]
    faulty = sum(reports.dropped.values())
    return Preview(
        "csv", rows, faulty, reports.problems(), people=most, persons=len(people), samples=samples
    )


def _nothing(name: str, problems: list[str]) -> str:
    why = f" The first problem: {problems[0]}." if problems else ""
    return f"{name} holds no row that could be taken.{why}"


def bring_in(task: Task, table: Table) -> Imported:
    """Raises MienError."""
    store = database.open_for_people(Path(task.state_dir), SystemClock())
    try:
        found = opened(table)
        if isinstance(found, Reports):
            return checkin_import.from_reports(
                store.write, task.client, found, task.person, task.made_utc, told
            )
        return checkin_import.from_daylio(
            store.write, task.client, found, ZoneInfo(task.zone), task.moods, task.made_utc, told
        )
    finally:
        store.close()


_last = 0.0


def told(done: int) -> None:
    """Say how far it is, a few times a second at most."""
    global _last
    if time.monotonic() - _last >= OFTEN_S:
        _last = time.monotonic()
        say(Step(done))


def say(line: Line) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(line) + b"\n")
    sys.stdout.buffer.flush()


def main() -> None:
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)
    try:
        with Table(os.fdopen(task.fd, "rb"), task.name) as table:
            say(Done(bring_in(task, table)) if task.state_dir else preview(table))
    except MienError as error:
        say(Refused(str(error)))


if __name__ == "__main__":
    main()
