"""What is told of an uploaded diary before anything of it is written."""

import io

import pytest

from mien import checkin_intake, daylio
from mien.checkin_intake import Preview, Sample
from mien.csvfile import CsvError, Table
from mien.emotions import EMOTIONS

HEADER = ",".join(["id", "Hours", "Day", *(name.capitalize() for name in EMOTIONS)])
DIARY = "full_date,time,mood,activities,note\n"


def preview(content: str | bytes) -> Preview:
    data = content.encode() if isinstance(content, str) else content
    with Table(io.BytesIO(data), "diary.csv") as table:
        return checkin_intake.preview(table)


def report(id: str, hour: int, day: int, *felt: str) -> str:
    return ",".join([id, str(hour), str(day), *("01"[name in felt] for name in EMOTIONS)])


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b"PK\x03\x04" + bytes(60), "zip"),
        (b"\x00\x01\x02" * 99, "not a text file"),
        ("name;age\nAnna;8\n", "neither Daylio's export"),
        (HEADER.replace("Guilt", "Gilt") + "\n1", "Guilt"),
        (HEADER, "holds no row"),
        (f"{HEADER}\n{report('u', 25, 1)}", "line 2: the hour"),
        (DIARY, "holds no row"),
        (DIARY + "".join(f"2026-11-20,10:00,word {n},,\n" for n in range(120)), "120 different"),
    ],
)
def test_what_is_no_diary_is_refused_with_a_sentence(content: str | bytes, sentence: str) -> None:
    with pytest.raises(CsvError, match=sentence):
        preview(content)


def test_a_diary() -> None:
    told = preview(
        DIARY + "2026-11-20,20:39,good,walk | tea,a note\n2026-11-18,8:05,Splendid,,\n"
        "2026-11-17,25:00,meh,,\n"
    )
    assert told == Preview(
        "daylio",
        rows=2,
        faulty=1,
        problems=told.problems,
        first="2026-11-18",
        last="2026-11-20",
        unknown={"splendid": 1},
        samples=[
            Sample("2026-11-20T20:39", mood="good", activities=("walk", "tea"), note="a note"),
            Sample("2026-11-18T08:05", mood="Splendid"),
        ],
    )
    assert len(told.problems) == 1


def test_reports_of_many_people() -> None:
    rows = [report(f"u{n % 700}", n % 24, n % 7 + 1, "joy") for n in range(1500)]
    told = preview("\n".join([HEADER, *rows, report("u1", 24, 1)]))
    assert (told.kind, told.rows, told.faulty, told.persons) == ("csv", 1500, 1, 700)
    assert len(told.people) == checkin_intake.MOST_PEOPLE
    assert told.people[0] == ("u0", 3)
    assert told.samples[0] == Sample(weekday=1, hour=0, emotions=("joy",))
    assert len(told.samples) == daylio.SAMPLES
