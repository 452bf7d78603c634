"""Reports in the published form, however a program wrote them down."""

import csv
import io
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.csvfile import CsvError, Table
from mien.emotions import EMOTIONS, mask
from mien.moodcsv import Reports, Row, is_form

HEADER = ["id", "Hours", "Day", *(name.capitalize() for name in EMOTIONS)]


def read(content: bytes) -> tuple[list[Row], Reports]:
    with Table(io.BytesIO(content), "moods.csv") as table:
        reports = Reports(table)
        return list(reports), reports


def text(*rows: str, header: str = ",".join(HEADER)) -> bytes:
    return "\n".join([header, *rows, ""]).encode()


def row(id: str = "7", hour: str = "8", day: str = "1", **felt: str) -> str:
    return ",".join([id, hour, day, *(felt.get(name, "0") for name in EMOTIONS)])


ROWS = st.builds(
    Row,
    id=st.text("abcdef0123456789-", min_size=1, max_size=6),
    hour=st.integers(0, 23),
    day=st.integers(1, 7),
    emotions=st.integers(0, 2**18 - 1),
)
ONE, NOUGHT = ["1", "1.0", "TRUE", "true", " 1 ", "1,0"], ["0", "0.0", "FALSE", "0.00", "f"]


@given(st.data())
def test_what_is_written_is_read(data: st.DataObject) -> None:
    rows = data.draw(st.lists(ROWS, max_size=6))
    order = data.draw(st.permutations(range(21)))
    encoding = data.draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252", "utf-16-le"]))
    separator = data.draw(st.sampled_from(",;\t"))
    change = data.draw(st.sampled_from([str, str.upper, str.lower, lambda name: f" {name} "]))
    quoting = data.draw(st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]))
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=separator, quoting=quoting)
    writer.writerow([change(HEADER[n]) for n in order])
    for one in rows:
        cells = [one.id, str(one.hour), f"{one.day}.0"]
        for n in range(18):
            cells.append(data.draw(st.sampled_from(ONE if one.emotions >> n & 1 else NOUGHT)))
        writer.writerow([cells[n] for n in order])
    found, reports = read(out.getvalue().encode(encoding))
    assert found == rows
    assert not reports.dropped


@given(st.binary(max_size=300))
def test_after_the_header_any_bytes_are_rows_or_an_error(content: bytes) -> None:
    with suppress(CsvError):
        found, reports = read(",".join(HEADER).encode() + b"\n" + content)
        assert len(reports.problems()) == len(reports.dropped)
        assert all(0 <= one.hour <= 23 and 1 <= one.day <= 7 for one in found)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_file_or_an_error(content: bytes) -> None:
    with pytest.raises(CsvError, match=r"moods\.csv"):
        read(content)


@pytest.mark.parametrize("gone", ["", " ", "NA", "NaN", "nan", "NULL", "None", ".", "n/a", "#N/A"])
def test_a_row_with_a_missing_value_is_dropped_and_counted(gone: str) -> None:
    rows = [row(joy=gone), row(id=gone), row(hour=gone), row(day=gone), row(love="1")]
    found, reports = read(text(*rows))
    assert [one.emotions for one in found] == [mask(["love"])]
    assert reports.dropped == {"missing": 4}
    assert reports.problems() == ["line 2: a value is missing (and 3 more)"]


def test_rows_that_cannot_be_are_dropped_and_told_apart() -> None:
    rows = [
        row(hour="25"), row(hour="24"), row(hour="-1"), row(hour="8:30"), row(hour="7.5"),
        row(day="0"), row(day="8"), row(day="Monday"),
        row(awe="2"), row(awe="0.5"), row(awe="often"), row(awe="inf"), row() + ",1",
        row(hour="25", awe="NA"),
        row(hour="23.0", day="7"), row() + ",",
    ]  # fmt: skip
    found, reports = read(text(*rows))
    assert [(one.hour, one.day) for one in found] == [(23, 7), (8, 1)]
    assert reports.dropped == {"hour": 5, "day": 3, "value": 5, "missing": 1}
    assert reports.problems()[0].startswith("line 2: the hour is not a whole number from 0 to 23")


def test_a_row_that_breaks_off_has_missing_values() -> None:
    _, reports = read(text("7,8,1,0,0"))
    assert reports.dropped == {"missing": 1}


def test_other_spellings_of_the_columns() -> None:
    header = ",".join(HEADER).replace("Offence", "Offense").replace("Hours", "hour")
    found, _ = read(text(row(offence="1"), header=header + ",extra"))
    assert found[0].named("offence")
    assert not found[0].named("joy")
    assert is_form(header.split(","))
    assert not is_form(["full_date", "date", "weekday", "time", "mood", "activities"])


def test_all_missing_columns_are_named_in_one_sentence() -> None:
    header = ",".join(name for name in HEADER if name not in ("Awe", "Fear", "Day"))
    with pytest.raises(CsvError, match=r"moods\.csv: missing among the columns: Day, Awe, Fear\."):
        read(text(header=header))
    with pytest.raises(CsvError, match=r"missing among the columns: Awe\."):
        read(text(header=",".join(HEADER).replace(",Awe", "")))


def test_a_column_that_is_there_twice() -> None:
    with pytest.raises(CsvError, match="names Offence more than once"):
        read(text(header=",".join([*HEADER, "Offense"])))
