"""Daylio's export, in the forms that its versions, languages and spreadsheets make of it."""

import csv
import io
from contextlib import suppress
from datetime import date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.csvfile import CsvError, Table
from mien.daylio import Diary, Entry, is_form, survey

HEADER = "full_date,date,weekday,time,mood,activities,note_title,note"


def read(*rows: str, header: str = HEADER) -> tuple[list[Entry], list[str]]:
    table = Table(io.BytesIO("\n".join([header, *rows]).encode()), "daylio.csv")
    with table:
        diary = Diary(table)
        return list(diary), diary.problems


def test_an_export_as_the_app_writes_it() -> None:
    found, problems = read(
        '2026-11-20,November 20,Friday,20:39,rad,"take a walk | family | 😉",Title,"Two\nlines"',
        '2026-11-20,November 20,Friday,8:05 AM,gut,"",,""',
        '2026-11-19,November 19,Thursday,12:00\u202fpm,,"reading","",""',
    )
    assert problems == []
    assert found[0] == Entry(
        2, datetime(2026, 11, 20, 20, 39), "rad", ("take a walk", "family", "😉"),
        "Title\n\nTwo\nlines",
    )  # fmt: skip
    assert found[1] == Entry(4, datetime(2026, 11, 20, 8, 5), "gut", (), "")
    assert found[2] == Entry(5, datetime(2026, 11, 19, 12), "", ("reading",), "")


@pytest.mark.parametrize(
    ("text", "hour", "minute"),
    [
        ("00:00", 0, 0), ("12:00 am", 0, 0), ("12:30 PM", 12, 30), ("1:05 a.m.", 1, 5),
        ("11:59\xa0p. m.", 23, 59), ("7:30PM", 19, 30), ("21.15", 21, 15), ("08:00:00", 8, 0),
    ],
)  # fmt: skip
def test_times(text: str, hour: int, minute: int) -> None:
    found, _ = read(f"2026-11-20,,,{text},meh,,,")
    assert (found[0].moment.hour, found[0].moment.minute) == (hour, minute)


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2026-1-5", date(2026, 1, 5)),
        ("20.11.2026", date(2026, 11, 20)),
        ("11/20/2026", date(2026, 11, 20)),
        ("20/11/2026", date(2026, 11, 20)),
        ("5/5/2026", date(2026, 5, 5)),
    ],
)
def test_dates_that_a_spreadsheet_wrote_again(text: str, day: date) -> None:
    found, _ = read(f"{text},,,20:00,meh,,,")
    assert found[0].moment.date() == day


@pytest.mark.parametrize("text", ["18 May", "May 18", "18. Mai", "may 18"])
def test_the_older_form_with_a_year(text: str) -> None:
    header = "year,date,weekday,time,mood,activities,note"
    found, _ = read(f"2018,{text},Friday,11:54 pm,happy,clean | cook,Party", header=header)
    assert found == [Entry(2, datetime(2018, 5, 18, 23, 54), "happy", ("clean", "cook"), "Party")]


@pytest.mark.parametrize("text", ["² May", "18", "May", "18 19 May", "18 Mayor"])
def test_no_day_of_the_older_form(text: str) -> None:
    header = "year,date,weekday,time,mood,activities,note"
    found, (problem,) = read(f"2018,{text},Friday,11:54 pm,happy,,", header=header)
    assert found == []
    assert problem == f"line 2: “{text}” of the year “2018” is no date such as May 18"


def test_the_newer_form_with_scales_and_marks_in_notes() -> None:
    header = "full_date,date,weekday,time,mood,activities,scales,note_title,note"
    note = "<b>Long</b> day &amp; 3 &lt; 4<br>then:<ul><li>tea</li><li>bed</li></ul>a <sigh> b"
    found, _ = read(f"2026-07-27,July 27,Monday,13:48,meh,work,Energy: 4,,{note}", header=header)
    assert found[0].note == "Long day & 3 < 4\nthen:\n– tea\n– bed\na <sigh> b\n\nEnergy: 4"


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ("2026-02-30,,,20:00,meh,,,", "line 2: there is no day “2026-02-30”"),
        ("03/04/2026,,,20:00,meh,,,", "line 2: “03/04/2026” may be two different days"),
        ("tomorrow,,,20:00,meh,,,", "line 2: “tomorrow” is no date such as 2026-11-20"),
        (",,,20:00,meh,,,", "line 2: it has no date"),
        ("2026-11-20,,,25:00,meh,,,", "line 2: there is no time “25:00”"),
        ("2026-11-20,,,13:00 pm,meh,,,", "line 2: there is no time “13:00 pm”"),
        ("2026-11-20,,,,meh,,,", "line 2: “” is no time such as 20:39 or 8:39 PM"),
        ("2026-11-20,,,20:00,meh,,,a,b", "line 2: it has more fields than the first line"),
    ],
)
def test_rows_that_cannot_be_read_are_told_with_their_line(row: str, sentence: str) -> None:
    found, problems = read(row, "2026-11-20,,,20:00,meh,,,")
    assert [one.line for one in found] == [3]
    assert len(problems) == 1
    assert problems[0].startswith(sentence)


def test_a_survey_finds_the_words_to_ask_for() -> None:
    rows = [f"2026-11-{day:02},,,20:00,{word},,," for day, word in enumerate(
        ["Rad", "rad", "wobbly", "Wobbly", "super", "bien", "", "ok"], 1
    )]  # fmt: skip
    table = Table(io.BytesIO("\n".join([HEADER, *rows, "x,,,,,,,"]).encode()), "a.csv")
    with table:
        found = survey(Diary(table))
    assert (found.entries, found.faulty) == (8, 1)
    assert (found.first, found.last) == (date(2026, 11, 1), date(2026, 11, 8))
    assert found.unknown == {"wobbly": 2, "bien": 1}
    assert found.moods["rad"] == 2


def test_another_table_is_not_taken_for_a_diary() -> None:
    with pytest.raises(
        CsvError, match=r"daylio\.csv: the first line names no full_date, mood\. Is"
    ):
        read(header="id,time,Day")
    assert is_form(HEADER.split(","))
    assert not is_form(["id", "Hours", "Day", "Joy"])


@given(st.data())
def test_what_is_written_is_read(data: st.DataObject) -> None:
    words = st.text(
        st.characters(exclude_categories=("C", "Z"), exclude_characters="|<&"), max_size=9
    )
    when = st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1))
    entries = data.draw(st.lists(st.tuples(when, words, st.lists(words, max_size=3), words)))
    half = data.draw(st.booleans())
    separator = data.draw(st.sampled_from(",;\t"))
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=separator)
    writer.writerow(HEADER.split(","))
    expected = []
    for line, (moment, mood, done, note) in enumerate(entries, 2):
        moment = moment.replace(second=0, microsecond=0)
        clock = f"{moment:%I:%M %p}".lstrip("0") if half else f"{moment:%H:%M}"
        day = moment.date().isoformat()
        writer.writerow([day, "", f"{moment:%A}", clock, mood, " | ".join(done), "", note])
        kept = tuple(text for text in done if text)
        expected.append(Entry(line, moment, mood, kept, note))
    with Table(io.BytesIO(out.getvalue().encode("utf-8-sig")), "a.csv") as table:
        diary = Diary(table)
        assert list(diary) == expected
        assert diary.problems == []


@given(st.binary(max_size=300) | st.text(max_size=200).map(str.encode))
def test_after_the_header_any_bytes_are_entries_problems_or_an_error(content: bytes) -> None:
    with suppress(CsvError), Table(io.BytesIO(HEADER.encode() + b"\n" + content), "a.csv") as table:
        diary = Diary(table)
        list(diary)
        assert len(diary.problems) == diary.faulty
