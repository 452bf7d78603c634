"""A diary is uploaded, looked at, brought in, and taken back."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

import pages
from mien import emotions, settings
from mien_web import checkin_files, jobs
from pages import Box, Browser, text
from test_checkins_page import resident

DAYLIO = """\ufefffull_date,date,weekday,time,mood,activities,note_title,note
2026-11-20,November 20,Friday,20:39,good,"reading | walk","","a <b>quiet</b> day"
2026-11-19,November 19,Thursday,8:05 PM,Splendid,walk,"",""
2026-11-18,November 18,Wednesday,25:00,meh,,"",""
2026-11-17,November 17,Tuesday,07:10,awful,,"","<script>alert(1)</script>"
"""
HEADER = ",".join(["id", "Hours", "Day", *(name.capitalize() for name in emotions.EMOTIONS)])


def report(id: str, hour: int, day: int, *felt: str) -> str:
    flags = ["1" if name in felt else "0" for name in emotions.EMOTIONS]
    return ",".join([id, str(hour), str(day), *flags])


REPORTS = "\n".join(
    [HEADER, report("u1", 9, 1, "joy"), report("u2", 10, 2), report("u1", 23, 7, "anger", "guilt"),
     report("u2", 25, 2), report("u1", 8, 3, "hope")]
)  # fmt: skip


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Box]:
    for box in pages.box(tmp_path, monkeypatch):
        box.set("home")
        box.db.write(lambda db: settings.put(db, "zone", "Europe/Berlin"))
        yield box
        for held in box.app.extensions.get("mien.diaries", {}).values():
            held.close()


@pytest.fixture
def anna(box: Box) -> Browser:
    resident(box, "Anna")
    return box.browser("anna", "home")


def ended(box: Box, browser: Browser) -> str:
    """The page once its job has ended."""
    with box.app.app_context():
        for job in box.app.extensions["mien.jobs"]._jobs:
            assert job.wait(30)
    return text(browser.get("/log/import"))


def look_at(box: Box, browser: Browser, content: str | bytes, name: str = "diary.csv") -> str:
    data = content.encode() if isinstance(content, str) else content
    sent = browser.post("/log/import", {"file": (io.BytesIO(data), name)})
    assert sent.status_code == 303, text(sent)
    return ended(box, browser)


def bring(box: Box, browser: Browser, **said: str) -> str:
    answer = browser.post("/log/import/bring", said)
    assert answer.status_code == 303, text(answer)
    return ended(box, browser)


def count(box: Box) -> int:
    return int(box.rows("SELECT count(*) FROM checkins WHERE NOT deleted")[0][0])


def test_a_diary(box: Box, anna: Browser) -> None:
    shown = look_at(box, anna, DAYLIO)
    assert "a diary of Daylio. It holds 3 check-ins, from 17 Nov 2026 to 20 Nov 2026" in shown
    assert "2026-11-20 20:39 good reading, walk a quiet day" in shown
    assert "<script>" not in anna.get("/log/import").text.split("<main")[1].split("</main")[0]
    assert "1 line cannot be read" in shown
    assert "line 4: " in shown
    assert "splendid 1 time" in shown
    assert count(box) == 0
    unsaid = anna.post("/log/import/bring", {})
    assert unsaid.status_code == 400
    assert "Say what the mood “splendid” means." in text(unsaid)
    done = bring(box, anna, mood0="5")
    assert "3 added, 0 were there already, 1 could not be read." in done
    assert box.rows("SELECT mood FROM checkins ORDER BY utc") == [(1,), (5,), (4,)]
    assert box.rows("SELECT action, subject FROM audit WHERE action LIKE 'checkins.%'") == [
        ("checkins.imported", "Anna")
    ]
    listed = anna.get("/checkins")
    assert "&lt;script&gt;" in listed.text
    assert "walk" in text(listed)


def test_the_same_file_again_adds_nothing(box: Box, anna: Browser) -> None:
    for wanted in ("3 added, 0 were", "0 added, 3 were"):
        look_at(box, anna, DAYLIO)
        assert wanted in bring(box, anna, mood0="5")
    assert count(box) == 3


def test_reports_of_several_people(box: Box, anna: Browser) -> None:
    shown = look_at(box, anna, REPORTS, "reports.csv")
    assert "a file of reports of everyday emotions. It holds 4 check-ins." in shown
    assert "Mon, 9 h joy" in shown
    assert "u1 – 3 reports u2 – 1 report" in shown
    assert text(anna.post("/log/import/bring", {"whose": "id:u9"})).count("Say whose reports")
    done = bring(box, anna, whose="id:u1")
    assert "3 added, 0 were there already, 1 could not be read." in done
    assert "3 check-ins a file of reports of everyday emotions · no dates" in done
    assert box.rows("SELECT DISTINCT day FROM checkins") == [(None,)]


def test_taken_back_once_it_is_sure(box: Box, anna: Browser) -> None:
    anna.post("/checkin", {"mood": "4", "new": "tea"})
    look_at(box, anna, REPORTS)
    bring(box, anna, whose="all")
    assert count(box) == 5
    source = box.rows("SELECT source FROM checkins WHERE source != 'page'")[0][0]
    asked = anna.post("/log/import/forget", {"source": source})
    assert "4 check-ins from a file of reports" in text(asked)
    assert count(box) == 5
    anna.post("/log/import/forget", {"source": source, "sure": "1"})
    assert "Imports so far" not in ended(box, anna)
    assert count(box) == 1
    assert box.rows("SELECT action FROM audit WHERE action = 'checkins.unimported'")
    assert anna.post("/log/import/forget", {"source": "page", "sure": "1"}).status_code == 404


def test_another_file_is_refused_with_a_sentence(box: Box, anna: Browser) -> None:
    shown = look_at(box, anna, b"name;age\nAnna;8\n")
    assert "neither Daylio" in shown
    assert "Choose a file" in shown
    assert count(box) == 0


def test_no_file_and_no_place(box: Box, anna: Browser) -> None:
    assert "Choose a file first" in text(anna.post("/log/import"))
    none_there = anna.post("/log/import/bring", {})
    assert none_there.status_code == 409
    assert "Not possible now" in text(none_there), "the title, in words"


def test_a_file_is_left_and_another_chosen(box: Box, anna: Browser) -> None:
    look_at(box, anna, DAYLIO)
    anna.post("/log/import/drop")
    assert "Choose a file" in text(anna.get("/log/import"))
    assert anna.post("/log/import/bring", {"mood0": "5"}).status_code == 409
    assert "reports" in look_at(box, anna, REPORTS)


def test_of_an_import_that_is_stopped_nothing_stays(
    box: Box, anna: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_at(box, anna, DAYLIO)
    inside = jobs.Job.child

    def stopped(job: jobs.Job, *arguments: str, **options: object) -> Iterator[bytes]:
        yield from inside(job, *arguments, **options)  # type: ignore[arg-type]
        job.cancel()
        job.step(0, 0)

    monkeypatch.setattr(jobs.Job, "child", stopped)
    assert "Nothing of it was kept" in bring(box, anna, mood0="5")
    assert count(box) == 0
    assert "Imports so far" not in text(anna.get("/log/import"))


def test_a_file_is_not_put_aside_while_it_is_brought_in(
    box: Box, anna: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_at(box, anna, DAYLIO)
    other_tab, answers = box.browser("anna", "home"), []
    inside = jobs.Job.child

    def watched(job: jobs.Job, *arguments: str, **options: object) -> Iterator[bytes]:
        answers.append(other_tab.post("/log/import/drop").status_code)
        yield from inside(job, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(jobs.Job, "child", watched)
    assert "3 added" in bring(box, anna, mood0="5")
    assert answers == [409]


def test_others_see_neither_file_nor_imports(box: Box, anna: Browser) -> None:
    look_at(box, anna, DAYLIO)
    resident(box, "Ben", "ben")
    ben = box.browser("ben", "home")
    assert "Daylio. It holds" not in text(ben.get("/log/import"))
    assert ben.post("/log/import/bring", {"mood0": "5"}).status_code == 409
    bring(box, anna, mood0="5")
    source = box.rows("SELECT source FROM checkins")[0][0]
    assert ben.post("/log/import/forget", {"source": source, "sure": "1"}).status_code == 404
    assert count(box) == 3


def test_too_large_is_said(box: Box, anna: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkin_files, "MOST_BYTES", 1000)
    answer = anna.post("/log/import", {"file": (io.BytesIO(bytes(9000)), "big.csv")})
    assert answer.status_code == 413
    assert "larger than" in text(answer)
