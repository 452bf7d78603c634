"""The file with everything of a person's home log, `everything.zip`, as one box writes and another
reads it; docs/exports.md describes it.

What comes in may be anything: it is checked as a whole before a row of it is kept.
"""

import re
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import IO, Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from mien import activities, checkins, emotions
from mien import quarters as rollup
from mien.checkins import Checkin
from mien.emotions import Emotion
from mien.events import MienError, Quarter
from mien.quiet import Hours
from mien.reminders import Plan

FORMAT: Final = "mien home log"
VERSION: Final = 1
NAME = "everything.json"
COLUMNS = ("quarter", *rollup.COUNTS)

MAX_FILE = 32 << 20
"""Bytes an upload may have. Three years of all days are about 2 MB."""
MAX_JSON = 96 << 20
"""Bytes that `everything.json` may unpack to. Three years are about 10 MB."""
MAX_FILES = 20
MAX_RATIO = 200
"""Times its own size that the file may unpack to, beyond the first ten megabytes."""
_ABOUT_100_YEARS = 4_102_444_800_000


class HomeFileError(MienError, ValueError):
    """The file cannot be taken over; the sentence says why, and what to do."""


_Text = Annotated[str, Meta(min_length=1, max_length=100)]
_Ms = Annotated[int, Meta(ge=-_ABOUT_100_YEARS, le=2 * _ABOUT_100_YEARS)]


class Said(Struct, frozen=True):
    """A check-in; fields as of `mien.checkins.Checkin`, times in ms of UTC. Notes and activities
    may be longer than the page takes: a diary that was brought along is kept whole."""

    id: _Text
    weekday: Annotated[int, Meta(ge=1, le=7)]
    made_utc: _Ms
    utc: _Ms | None = None
    day: date | None = None
    hour: Annotated[int, Meta(ge=0, le=23)] | None = None
    mood: Annotated[int, Meta(ge=1, le=5)] | None = None
    emotions: list[Emotion] | None = None
    activities: list[str] = []
    note: str = ""
    source: Annotated[str, Meta(max_length=100)] = "page"


class Doing(Struct, frozen=True):
    text: Annotated[str, Meta(min_length=1, max_length=activities.LONGEST)]
    hidden: bool = False


class Chosen(Struct, frozen=True):
    """Settings, taken over only where that was ticked."""

    reminders: Plan | None = None
    quiet: list[Hours] = []


class Table(Struct, frozen=True):
    """The log by the quarter of an hour: `columns` are `COLUMNS`, in any order."""

    columns: list[str] = []
    rows: list[list[int]] = []


class Everything(Struct, frozen=True):
    """`everything.json`."""

    format: str
    v: int
    person: str = ""
    box: str = ""
    made: str = ""
    zone: str = ""
    settings: Chosen = Chosen()
    activities: list[Doing] = []
    checkins: list[Said] = []
    quarters: Table = Table()


class _Head(Struct, frozen=True):
    format: Any = None
    v: Any = None


# ── reading ──────────────────────────────────────────────────────────────────────────────────────


def read(file: IO[bytes]) -> Everything:
    """What the file holds, checked. Raises HomeFileError."""
    found = _decoded(_unpacked(file))
    told: set[str] = set()
    for place, said in enumerate(found.checkins, 1):
        if said.id in told:
            raise HomeFileError(f"Check-in {place} has the id of another one, {said.id}. {_ANEW}")
        told.add(said.id)
        _checked(said, place)
    for doing in found.activities:
        _named(doing.text)
    for place, quarter in enumerate(seen(found), 1):
        if flaw := rollup.flaw(quarter):
            raise HomeFileError(f"Row {place} of the log cannot be: {flaw}. {_ANEW}")
    return found


_ANEW = "Export it anew from the box where it came from."


def _unpacked(file: IO[bytes]) -> bytes:
    file.seek(0, 2)
    size = file.tell()
    if size > MAX_FILE:
        raise HomeFileError(
            f"The file has {size >> 20} MB; an everything.zip has at most {MAX_FILE >> 20} MB. "
            "Choose the file that a box exported."
        )
    file.seek(0)
    start = file.read(4)
    if not start:
        raise HomeFileError("The file is empty. Choose an everything.zip.")
    if not start.startswith(b"PK"):
        raise HomeFileError("This is no zip file. Choose the everything.zip as it was exported.")
    try:
        with zipfile.ZipFile(file) as archive:
            return _member(archive, size)
    except (zipfile.BadZipFile, zlib.error, EOFError, struct.error, OSError, ValueError) as error:
        if isinstance(error, HomeFileError):
            raise
        raise HomeFileError(
            "The zip is broken or cut off. Copy it again from where it came."
        ) from None
    except (NotImplementedError, RuntimeError):
        raise HomeFileError(
            "The zip is locked or packed in a way that is not read here. Choose the everything.zip "
            "as it was exported."
        ) from None  # fmt: skip


def _member(archive: zipfile.ZipFile, size: int) -> bytes:
    held = archive.infolist()
    if len(held) > MAX_FILES:
        raise HomeFileError(
            f"The zip has {len(held)} files; an everything.zip has four. Choose the file that a "
            "box exported."
        )
    for one in held:
        if one.filename.startswith("/") or re.search(r"\\|:|(^|/)\.\.(/|$)", one.filename):
            raise HomeFileError(
                "A file in the zip is named as if it belonged elsewhere on the box. The zip may be "
                "made to do harm; leave it out."
            )
    named = [one for one in held if one.filename == NAME]
    if len(named) != 1:
        raise HomeFileError(
            f"The zip has no {NAME}, or several. Choose an everything.zip of a Mien box."
        )
    (one,) = named
    if one.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise NotImplementedError  # LZMA takes as much memory as the file asks for
    if one.file_size > MAX_JSON or one.file_size > max(10 << 20, MAX_RATIO * size):
        raise _bomb()
    with archive.open(one) as stream:
        body = stream.read(MAX_JSON + 1)
    if len(body) > MAX_JSON:
        raise _bomb()
    return body


def _bomb() -> HomeFileError:
    return HomeFileError("The zip would unpack to far more than a home log has. Leave it out.")


def _decoded(body: bytes) -> Everything:
    try:
        head = msgspec.json.decode(body, type=_Head)
        if head.format != FORMAT:
            raise HomeFileError(f"{NAME} is not a home log of a Mien box. Choose another zip.")
        if head.v != VERSION or isinstance(head.v, bool):
            raise HomeFileError(
                f"The file is of version {str(head.v)[:20]}, and this box reads version {VERSION}. "
                "Update this box, or export with the same version."
            )
        return msgspec.json.decode(body, type=Everything)
    except msgspec.ValidationError as error:
        raise HomeFileError(f"In {NAME} something is wrong: {error}. {_ANEW}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise HomeFileError(f"{NAME} in the zip is no JSON, or cut off. {_ANEW}") from None


def _checked(said: Said, place: int) -> None:
    where = f"Check-in {place}"
    if (said.day is None) != (said.utc is None):
        raise HomeFileError(f"{where} has only one of its day and its time. {_ANEW}")
    if said.day is not None and said.day.isoweekday() != said.weekday:
        raise HomeFileError(f"{where}: {said.day} is no weekday {said.weekday}. {_ANEW}")
    if said.day is not None and said.utc is not None:
        apart = said.day.toordinal() - date(1970, 1, 1).toordinal() - said.utc // 86_400_000
        if abs(apart) > 1:
            raise HomeFileError(f"{where}: its day and its time are not the same. {_ANEW}")
    if any(unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t" for c in said.note):
        raise HomeFileError(f"{where}: its note has letters that are none. {_ANEW}")
    for text in said.activities:
        _named(text, where)


def _named(text: str, where: str = "The list of activities") -> None:
    try:
        activities.named(text)
    except MienError as error:
        raise HomeFileError(f"{where}: {error}") from None


def seen(found: Everything) -> Iterator[Quarter]:
    """The log of the file. Raises HomeFileError where a row is not as its head says."""
    columns = found.quarters.columns
    if found.quarters.rows and (
        len(columns) != len(set(columns)) or not set(COLUMNS) <= set(columns)
    ):
        raise HomeFileError(f"The log's columns must be {', '.join(COLUMNS)}. {_ANEW}")
    places = [columns.index(name) for name in COLUMNS if name in columns]
    for place, row in enumerate(found.quarters.rows, 1):
        if len(row) != len(columns):
            raise HomeFileError(
                f"Row {place} of the log has {len(row)} numbers, not {len(columns)}. {_ANEW}"
            )
        yield rollup.of_row([row[p] for p in places])


# ── merging ──────────────────────────────────────────────────────────────────────────────────────


def keep(db: Any, client: str, said: Iterable[Said]) -> int:
    """Add the check-ins that are not there yet; how many those were."""
    return checkins.add(db, client, [checkin(one, client) for one in said])


def keep_activities(db: Any, client: str, doings: Sequence[Doing], utc: int) -> None:
    """Add the activities whose text is not there yet; those are as hidden as they were."""
    there = {one.text.casefold() for one in activities.of(db, client, hidden=True)}
    for doing in doings:
        text = activities.named(doing.text)
        if text.casefold() not in there:
            there.add(text.casefold())
            (id,) = activities.ids(db, client, {text: utc})
            activities.hide(db, client, id, doing.hidden)


def checkin(said: Said, client: str) -> Checkin:
    """As this box keeps it."""
    named = said.emotions
    return Checkin(
        id=said.id,
        client=client,
        utc=said.utc,
        day=None if said.day is None else said.day.toordinal(),
        hour=said.hour,
        weekday=said.weekday,
        mood=said.mood,
        emotions=None if named is None else tuple(e for e in emotions.EMOTIONS if e in named),
        activities=tuple(
            {t.casefold(): t for t in map(activities.named, said.activities)}.values()
        ),
        note=said.note,
        source=said.source,
        made_utc=said.made_utc,
    )


# ── writing ──────────────────────────────────────────────────────────────────────────────────────


def said(checkin: Checkin) -> Said:
    """As the file has it."""
    return Said(
        id=checkin.id,
        weekday=checkin.weekday,
        made_utc=checkin.made_utc,
        utc=checkin.utc,
        day=None if checkin.day is None else date.fromordinal(checkin.day),
        hour=checkin.hour,
        mood=checkin.mood,
        emotions=None if checkin.emotions is None else list(checkin.emotions),
        activities=list(checkin.activities),
        note=checkin.note,
        source=checkin.source,
    )


def written(head: Everything, said: Iterable[bytes], rows: Iterable[bytes]) -> Iterator[bytes]:
    """`everything.json` in pieces: `head` without check-ins and log, which come as JSON each."""
    empty = msgspec.structs.replace(head, checkins=[], quarters=Table())
    body = msgspec.json.encode(empty)
    start = body[: body.rindex(b',"checkins":')]
    yield start + b',\n"checkins":['
    yield from _joined(said)
    yield b'],\n"quarters":{"columns":' + msgspec.json.encode(list(COLUMNS)) + b',"rows":['
    yield from _joined(rows)
    yield b"]}}\n"


def _joined(parts: Iterable[bytes]) -> Iterator[bytes]:
    between = b"\n"
    for part in parts:
        yield between + part
        between = b",\n"
