"""The file with everything: written, read, and refused with a sentence."""

import io
import json
import zipfile
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien import checkins, homefile, quarters
from mien.emotions import EMOTIONS
from mien.events import EXPRESSIONS
from mien.homefile import Chosen, Doing, Everything, HomeFileError, Said

SAID = Said(
    id="a",
    weekday=3, made_utc=1_795_000_000_000, utc=1_794_999_000_000,
    day=msgspec.convert("2026-11-18", homefile.date), hour=9, mood=4, emotions=["joy"],
    activities=["walk"], note="A note.", source="page",
)  # fmt: skip
HEAD = Everything(
    format=homefile.FORMAT, v=homefile.VERSION, person="me", box="mien-1", made="2026-11-20",
    zone="Europe/Berlin", settings=Chosen(), activities=[Doing("walk")],
)  # fmt: skip
ROW = [1_994_000, 900, 800, 700, 600, 10, 0, 0, 0, 200, 100, 0, 300, 50_000]


def body(said: list[Any], rows: list[list[int]]) -> bytes:
    pieces = homefile.written(
        HEAD, [msgspec.json.encode(one) for one in said], [json.dumps(row).encode() for row in rows]
    )
    return b"".join(pieces)


def zipped(
    content: bytes, name: str = homefile.NAME, packed: int = zipfile.ZIP_DEFLATED, **more: bytes
) -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", packed) as archive:
        archive.writestr(name, content)
        for other, data in more.items():
            archive.writestr(other, data)
    return file


def refused(file: io.BytesIO) -> str:
    with pytest.raises(HomeFileError) as told:
        homefile.read(file)
    return str(told.value)


SAIDS = st.lists(
    st.builds(
        Said,
        id=st.uuids().map(str),
        weekday=st.integers(1, 7),
        made_utc=st.integers(0, 1 << 41),
        hour=st.none() | st.integers(0, 23),
        mood=st.none() | st.integers(1, 5),
        emotions=st.none() | st.lists(st.sampled_from(EMOTIONS), unique=True),
        activities=st.lists(st.sampled_from(["walk", "friends", "work"]), unique=True),
        note=st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=40),
        source=st.just("page"),
    ),
    max_size=5,
    unique_by=lambda said: said.id,
)


@given(SAIDS, st.integers(0, 3))
@settings(max_examples=50)
def test_what_is_written_is_read(said: list[Said], rows: int) -> None:
    log = [[ROW[0] + n, *ROW[1:]] for n in range(rows)]
    found = homefile.read(zipped(body(said, log)))
    assert found.checkins == said
    assert [quarters.row(quarter) for quarter in homefile.seen(found)] == log
    assert (found.person, found.zone, found.activities) == ("me", "Europe/Berlin", [Doing("walk")])


@given(st.binary(max_size=200))
def test_anything_else_is_refused_with_a_sentence(data: bytes) -> None:
    for file in (io.BytesIO(data), io.BytesIO(b"PK\x03\x04" + data), zipped(data)):
        assert refused(file).endswith((".", "!"))


@given(st.integers(0, 400))
def test_a_file_that_was_cut_off_is_refused(length: int) -> None:
    whole = zipped(body([SAID], [ROW])).getvalue()
    assert refused(io.BytesIO(whole[: min(length, len(whole) - 1)]))


def changed(**fields: Any) -> io.BytesIO:
    told = json.loads(body([SAID], [ROW]))
    return zipped(json.dumps({**told, **fields}).encode())


def with_said(**fields: Any) -> io.BytesIO:
    return changed(checkins=[{**msgspec.to_builtins(SAID), **fields}])


def with_row(at: int, value: int) -> io.BytesIO:
    rows = [[*ROW[:at], value, *ROW[at + 1 :]]]
    return changed(quarters={"columns": homefile.COLUMNS, "rows": rows})


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        (io.BytesIO(b"id,mood\n1,2\n"), "no zip file"),
        (io.BytesIO(), "empty"),
        (zipped(b"{}"), "not a home log of a Mien box"),
        (zipped(b"[1]"), "Expected `object`, got `array`"),
        (zipped(b"{"), "no JSON"),
        (zipped(b'{"format": "\xff"}'), "no JSON"),
        (zipped(b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), "no JSON"),
        (zipped(b"{}", "other.json"), "has no everything.json"),
        (zipped(b"{}", **{"../etc/passwd": b"x"}), "belonged elsewhere"),
        (zipped(b"{}", **{"C:\\x": b"x"}), "belonged elsewhere"),
        (zipped(b"{}", **{f"f{n}": b"x" for n in range(30)}), "31 files"),
        (zipped(b" " * (40 << 20)), "far more than a home log"),
        (io.BytesIO(b"PK\x03\x04" + b"\0" * (homefile.MAX_FILE + 1)), "has at most"),
        (changed(v=2), "of version 2, and this box reads version 1"),
        (changed(v="1"), "version"),
        (changed(format="mien faces"), "not a home log"),
        (changed(checkins=[msgspec.to_builtins(SAID)] * 2), "id of another one"),
        (with_said(mood=6), "$.checkins[0].mood"),
        (with_said(emotions=["bliss"]), "$.checkins[0].emotions"),
        (with_said(weekday=1), "no weekday 1"),
        (with_said(utc=0), "its day and its time are not the same"),
        (with_said(utc=None), "only one of its day and its time"),
        (with_said(note="a\0b"), "letters that are none"),
        (with_said(activities=["x" * 50]), "Check-in 1: An activity may have 40"),
        (changed(activities=[{"text": "\n"}]), "An activity needs a name"),
        (with_row(1, 90_000), "90000 seconds of a quarter"),
        (with_row(3, -1), "-1 seconds of 900 are facing"),
        (with_row(0, 1 << 40), "no time of this or the next century"),
        (changed(quarters={"columns": ["quarter"], "rows": [[1]]}), "columns must be"),
        (changed(quarters={"columns": homefile.COLUMNS, "rows": [[1]]}), "has 1 numbers, not 14"),
        (changed(settings={"reminders": {"times": 3}}), "$.settings.reminders.times"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_file_that_is_wrong_is_refused(file: io.BytesIO, sentence: str) -> None:
    assert sentence in refused(file)


def test_a_locked_zip_is_refused() -> None:
    data = bytearray(zipped(body([], [])).getvalue())
    for signature, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + at] |= 1
    assert "locked" in refused(io.BytesIO(bytes(data)))


@pytest.mark.parametrize("packed", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_a_zip_packed_in_another_way_is_refused(packed: int) -> None:
    data = bytearray(zipped(body([SAID], [ROW]), packed=packed).getvalue())
    data[80:84] = b"\xff" * 4
    assert "packed in a way" in refused(io.BytesIO(bytes(data)))


def test_a_size_that_lies_does_no_harm() -> None:
    """The directory of the zip says little, the stream holds much."""
    data = bytearray(zipped(b" " * (5 << 20)).getvalue())
    at = data.index(b"PK\x01\x02")
    data[at + 24 : at + 28] = (100).to_bytes(4, "little")
    assert refused(io.BytesIO(bytes(data)))


def test_a_diary_that_was_brought_along_comes_back_whole() -> None:
    moment = datetime(2026, 11, 18, 9, tzinfo=ZoneInfo("Europe/Berlin"))
    long = checkins.made(
        "c", moment, mood=None, emotions=None, activities=[f"{n}" for n in range(40)],
        note="a" * 9000, source="daylio:1", made_utc=SAID.made_utc, whole=True,
    )  # fmt: skip
    (said,) = homefile.read(zipped(body([homefile.said(long)], []))).checkins
    assert homefile.checkin(said, "c") == long


def test_columns_may_stand_in_another_order() -> None:
    order = list(reversed(homefile.COLUMNS))
    (quarter,) = homefile.seen(
        homefile.read(changed(quarters={"columns": order, "rows": [ROW[::-1]]}))
    )
    assert quarters.row(quarter) == ROW
    assert quarter.expressions["happiness"] == 200
    assert set(quarter.expressions) == set(EXPRESSIONS)
