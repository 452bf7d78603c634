"""`mien mood analyse` as outsiders call it."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from mien.__main__ import main
from mien.emotions import EMOTIONS

HEADER = "id;Hours;Day;" + ";".join(name.capitalize() for name in EMOTIONS)


def row(person: object, hour: object, day: object, *felt: str) -> str:
    return ";".join(map(str, [person, hour, day, *(int(name in felt) for name in EMOTIONS)]))


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """40 reports at 8 on a Monday, half of them of joy, and 4 of anger at 22 on a Sunday."""
    monkeypatch.chdir(tmp_path)
    rows = [row(n % 10, 8, 1, *(["joy"] if n % 20 < 10 else [])) for n in range(40)]
    rows += [row(n, 22, 7, "anger", "joy", "fear") for n in range(4)]
    rows += [row(1, 25, 1), row("NA", 8, 1), row(1, 8, "")]
    path = tmp_path / "a <strange> & name.csv"
    path.write_text("\n".join([HEADER, *rows]), encoding="utf-16")
    return path


def told(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, dict)
    return found


def test_json_and_no_picture(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["mood", "analyse", str(file), "--json"]) == 0
    found = told(capsys)
    assert (found["reports"], found["people"], found["dropped"]) == (44, 10, 3)
    assert found["dropped_because"] == {"missing": 2, "hour": 1, "day": 0, "value": 0}
    assert found["any_emotion_share"] == found["positive_share"] == pytest.approx(24 / 44)
    assert found["negative_share"] == found["both_share"] == pytest.approx(4 / 44)
    assert found["positive_to_negative"] == 6
    assert found["only_positive_to_only_negative"] is None
    assert found["by_weekday"] == {"1": 0.5, "7": 1.0}
    assert found["by_hour"] == {"8": 0.5, "22": 1.0}
    assert found["few"] == {"by_weekday": ["7"], "by_hour": ["22"]}
    assert found["emotions"]["fear"] == pytest.approx(4 / 44)
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_json_promises_what_the_docs_tell(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["mood", "analyse", str(file), "--json"]) == 0
    page = (Path(__file__).parent.parent / "docs" / "json.md").read_text()
    section = page.split("## `mien mood analyse FILE.csv --json`")[1].split("\n## ")[0]
    promised = json.loads(section.split("```json\n")[1].split("```")[0])
    assert promised.keys() == told(capsys).keys()


def test_a_table_and_a_picture_in_this_folder(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["mood", "analyse", str(file)]) == 0
    said = capsys.readouterr()
    assert "44 reports of 10 people" in said.out
    assert "3 rows dropped: 2 for a missing value, 1 for a wrong hour" in said.out
    assert "  8 h                  50.0 %" in said.out
    assert "4 reports *" in said.out
    assert "too little to tell" in said.out
    assert "line 46: the hour is not a whole number from 0 to 23" in said.err
    drawn = file.with_suffix(".svg")
    assert f"Drawn: {drawn.name}" in said.out
    root = ElementTree.parse(drawn).getroot()
    space = "{http://www.w3.org/2000/svg}"
    assert root.get("role") == "img"
    assert root.findtext(f"{space}title") == f"Everyday emotions in {file.name}"
    assert "22 h 100.0" in (root.findtext(f"{space}desc") or "")
    few = [one for one in root.iter(f"{space}rect") if one.get("fill") == "url(#few-good)"]
    assert len(few) == 2
    assert "prefers-color-scheme" in (root.findtext(f"{space}style") or "")


def test_the_picture_elsewhere(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "deep.svg"
    assert main(["mood", "analyse", str(file), "--json", "--svg", str(out)]) == 0
    assert told(capsys)["reports"] == 44
    assert out.read_text().startswith("<svg")
    assert main(["mood", "analyse", str(file), "--svg", str(tmp_path / "none" / "a.svg")]) == 1
    assert "cannot be written: no such file or directory" in capsys.readouterr().err


@pytest.mark.parametrize("more", [[], ["--svg", "moods.svg"]])
def test_a_picture_never_replaces_the_reports(
    file: Path, more: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    reports = file.rename(file.with_name("moods.svg"))
    before = reports.read_bytes()
    assert main(["mood", "analyse", str(reports), *more]) == 1
    assert "would replace" in capsys.readouterr().err
    assert reports.read_bytes() == before


def test_of_two_reports_every_line_is_marked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "two.csv"
    path.write_text("\n".join([HEADER, row(1, 8, 1, "joy"), row(2, 8, 1, "anger")]))
    assert main(["mood", "analyse", str(path)]) == 0
    said = capsys.readouterr().out
    figures = [line for line in said.splitlines() if "(" in line and "1 is taken" not in line]
    assert len(figures) == 6 + 2 + 18 + 1 + 1
    assert all(line.endswith(" *") for line in figures)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b"\x00\x01\x02" * 99, "is not a text file"),
        (b"id,Hours,Day\n1,2,3\n", "missing among the columns: Pride, Love, Hope"),
        (HEADER.encode(), "it has a header and no rows"),
        (f"{HEADER}\n{row(1, 25, 3)}\n".encode(), "none of its rows can be used"),
    ],
)
def test_a_file_that_cannot_be_analysed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, sentence: str
) -> None:
    path = tmp_path / "odd.csv"
    path.write_bytes(content)
    assert main(["mood", "analyse", str(path), "--json"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "odd.csv" in said.err
    assert sentence in said.err


def test_a_file_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["mood", "analyse", "/none.csv"]) == 1
    assert "/none.csv cannot be read: no such file" in capsys.readouterr().err
