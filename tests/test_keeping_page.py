"""What may be taken along, and everything brought into another box."""

import csv
import io
import json
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

import home_log
import pages
from home_log import BERLIN, resident
from mien import checkins, homefile, moodlog, quiet, reminders, settings
from mien.events import EXPRESSIONS
from mien.quarters import QUARTER_MS
from mien.quiet import Hours
from mien.reminders import Plan
from mien_web import keeping
from pages import Box, Browser

FIRST, TODAY = date(2026, 10, 20), date(2026, 11, 21)
ALL = {"month": "2026-11", "part": ["mood", "emotions", "activities", "seen", "notes"]}


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Box]:
    yield from home_log.house(tmp_path, monkeypatch, 21)


@pytest.fixture
def me(box: Box) -> str:
    """Five weeks of a plausible log, an hour change in them, and one report without a date."""
    key = resident(box, "me", "home")
    box.db.write(lambda db: home_log.plausible(db, key, FIRST, TODAY - timedelta(1)))
    box.db.write(
        lambda db: home_log.said(
            db, key, datetime(2026, 11, 20, 9, 5, tzinfo=BERLIN), 4, "joy",
            note="=cmd()\nSecond line, “quoted”.", activities=["walk", "therapy"],
        )
    )  # fmt: skip
    undated = checkins.Checkin(
        "r1", key, None, None, 14, 3, None, ("joy", "fear"), (), "", "import", 5
    )
    box.db.write(lambda db: checkins.save(db, undated))
    return key


@pytest.fixture
def anna(box: Box) -> Browser:
    return box.browser("anna", "home")


def audited(box: Box) -> list[tuple[str, dict[str, Any]]]:
    rows = box.rows("SELECT action, detail FROM audit WHERE action LIKE 'home.%' ORDER BY id")
    return [(action, json.loads(detail)) for action, detail in rows]


def table(response: TestResponse) -> list[dict[str, str]]:
    assert response.status_code == 200, response.text
    return list(csv.DictReader(io.StringIO(response.data.decode("utf-8-sig"))))


# ── the month ────────────────────────────────────────────────────────────────────────────────────


def test_the_report_is_read_before_it_is_made(box: Box, anna: Browser, me: str) -> None:
    said = pages.text(anna.get("/log/keeping/report", query_string=ALL))
    for words in (
        "A face is not a feeling", "Mood by day", "Sat 21 Nov no mood said", "Second line",
        "Seen for", "Difference of mood", "too little data",
    ):  # fmt: skip
        assert words in said
    assert audited(box) == [], "reading it is no export"


def test_a_mean_says_how_many_moods_it_is_of(box: Box, anna: Browser) -> None:
    me = resident(box, "me", "home")
    noon = datetime(2026, 11, 20, 12, tzinfo=BERLIN)
    for mood in (2, None, 4):
        box.db.write(lambda db, mood=mood: home_log.said(db, me, noon, mood, "joy", note="Oh."))  # type: ignore[misc]
    box.db.write(lambda db: settings.put(db, "zone", "Asia/Tokyo"))
    said = pages.text(anna.get("/log/keeping/report", query_string=ALL))
    assert "Fri 20 Nov 3.0 · 2 check-ins" in said
    assert "20 Nov 2026, 12:00" in said, "as it was lived"


def test_only_what_was_ticked_goes_in(anna: Browser, me: str) -> None:
    said = pages.text(anna.get("/log/keeping/report?month=2026-11&part=mood"))
    assert "Second line" not in said
    assert "What expressions looked like" not in said
    index = anna.get("/log/keeping").text
    assert 'value="notes">' in index, "off by default"
    assert 'value="mood" checked>' in index


def test_the_report_as_pdf(box: Box, anna: Browser, me: str) -> None:
    response = anna.post("/log/keeping/report.pdf", ALL)
    assert response.status_code == 200, response.text
    assert response.data.startswith(b"%PDF-")
    assert "mien-me-2026-11-21-2026-11.pdf" in response.headers["Content-Disposition"]
    ((action, detail),) = audited(box)
    assert (action, detail["month"]) == ("home.report", "2026-11")
    assert "notes" in detail["parts"]


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"month": "soon", "part": "mood"}, "Choose a month"),
        ({"month": "2026-11"}, "Tick at least one"),
        ({"month": "2026-11", "part": "pictures"}, "Tick at least one"),
    ],
)
def test_a_report_of_nothing_is_refused(
    anna: Browser, me: str, form: dict[str, str], words: str
) -> None:
    response = anna.post("/log/keeping/report.pdf", form)
    assert response.status_code == 400
    assert words in pages.text(response)


def test_a_month_without_anything_says_so(anna: Browser, me: str) -> None:
    said = pages.text(anna.get("/log/keeping/report", query_string={**ALL, "month": "2024-02"}))
    assert "No emotions were said this month" in said
    assert "not watched" in said
    assert "too little to say anything" in said


# ── tables and everything ────────────────────────────────────────────────────────────────────────


def test_check_ins_as_a_table(box: Box, anna: Browser, me: str) -> None:
    rows = table(anna.post("/log/keeping/checkins.csv"))
    assert len(rows) == box.rows("SELECT count(*) FROM checkins")[0][0]
    (row,) = [row for row in rows if "therapy" in row["activities"]]
    assert row["note"] == "'=cmd()\nSecond line, “quoted”."
    assert (row["date"], row["time"], row["utc"]) == (
        "2026-11-20", "09:05", "2026-11-20T08:05:00Z"
    )  # fmt: skip
    assert (row["mood"], row["emotions"], row["activities"]) == ("4", "joy", "therapy | walk")
    assert rows[-1]["date"] == rows[-1]["utc"] == rows[-1]["mood"] == ""
    assert audited(box) == [("home.exported", {"what": "checkins.csv"})]


def test_hours_as_a_table(box: Box, anna: Browser, me: str) -> None:
    rows = table(anna.post("/log/keeping/hours.csv"))
    (seconds,) = box.rows("SELECT sum(seconds), sum(seen), sum(happiness) FROM quarters")
    for place, name in enumerate(("seconds", "seen", "happiness")):
        assert sum(int(row[name]) for row in rows) == seconds[place]
    assert {row["hour"] for row in rows} == {str(hour) for hour in range(7, 23)}
    assert all(sum(int(row[e]) for e in EXPRESSIONS) == int(row["read"]) for row in rows)
    assert min(float(row["valence"] or 0) for row in rows) < 0, "a number, and no tamed text"


def zipped(response: TestResponse) -> zipfile.ZipFile:
    assert response.status_code == 200, response.text
    return zipfile.ZipFile(io.BytesIO(response.data))


def test_everything_is_one_zip(box: Box, anna: Browser, me: str) -> None:
    box.db.write(lambda db: quiet.put(db, [Hours([1, 2], "22:00", "07:00")]))
    archive = zipped(anna.post("/log/keeping/everything.zip"))
    assert archive.testzip() is None
    assert archive.namelist() == ["README.txt", "everything.json", "checkins.csv", "hours.csv"]
    told = json.loads(archive.read("everything.json"))
    assert (told["format"], told["v"], told["person"]) == ("mien home log", 1, "me")
    assert told["settings"]["quiet"] == [{"days": [1, 2], "start": "22:00", "end": "07:00"}]
    assert len(told["quarters"]["rows"]) == box.rows("SELECT count(*) FROM quarters")[0][0]
    assert "not encrypted" in archive.read("README.txt").decode()


def test_an_empty_log_is_an_empty_zip(box: Box, anna: Browser) -> None:
    resident(box, "me", "home")
    told = json.loads(zipped(anna.post("/log/keeping/everything.zip")).read("everything.json"))
    assert told["checkins"] == told["quarters"]["rows"] == []


def test_another_persons_log_is_not_in_it(box: Box, anna: Browser, me: str) -> None:
    other = resident(box, "zoe")
    anna.post("/person", {"person": other})
    told = json.loads(zipped(anna.post("/log/keeping/everything.zip")).read("everything.json"))
    assert told["person"] == "zoe"
    assert told["checkins"] == told["quarters"]["rows"] == []
    assert table(anna.post("/log/keeping/hours.csv")) == []


# ── bringing in ──────────────────────────────────────────────────────────────────────────────────


def look(browser: Browser, data: bytes) -> TestResponse:
    return browser.post("/log/keeping/import", {"file": (io.BytesIO(data), "everything.zip")})


def bring(browser: Browser, data: bytes, **form: str) -> TestResponse:
    shown = look(browser, data)
    assert shown.status_code == 200, pages.text(shown)
    key = shown.text.split('name="key" value="')[1].split('"')[0]
    answer = browser.post("/log/keeping/import/take", {"key": key, **form})
    assert answer.status_code == 303, pages.text(answer)
    return browser.get("/log/keeping")


def kept(box: Box, client: str) -> tuple[list[Any], Any]:
    """All check-ins but for whose they are, and the activities."""

    def work(db: Any) -> tuple[list[Any], Any]:
        said = [homefile.said(one) for one in checkins.newest(db, client, 10_000)]
        return said, sorted(
            (a.text, a.hidden) for a in checkins.activities(db, client, hidden=True)
        )

    return box.db.read(work)


def test_from_box_to_box(
    box: Box, anna: Browser, me: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Round trip: check-ins, activities and the log are the same on the second box, which gets the
    quarters into its own store."""
    box.db.write(lambda db: reminders.put(db, me, Plan(on=True, times=["09:00"])))
    walk = next(a for a in box.db.read(lambda db: checkins.activities(db, me)) if a.text == "walk")
    box.db.write(lambda db: checkins.hide_activity(db, me, walk.id, True))
    data = anna.post("/log/keeping/everything.zip").data
    before = kept(box, me)
    until = box.utc_ms // QUARTER_MS * QUARTER_MS
    log = box.db.read(lambda db: moodlog.quarters(db, 0, until))
    assert len(log) > 1000

    (tmp_path / "second").mkdir()
    for second in home_log.house(tmp_path / "second", monkeypatch, 21):
        browser = second.browser("anna", "home")
        there = resident(second, "myself", "home")
        monkeypatch.setattr(second.daemon, "import_log", second.store.take_over)
        said = pages.text(bring(browser, data, settings="on"))
        assert f"{len(before[0])} check-ins were taken over." in said
        assert f"{len(log)} quarters of an hour" in said
        assert kept(second, there) == before
        assert second.db.read(lambda db: moodlog.quarters(db, 0, until)) == log
        (plan,) = second.rows("SELECT value FROM settings WHERE key = ?", f"reminders:{there}")
        assert json.loads(plan[0])["times"] == ["09:00"]

        again = pages.text(bring(browser, data))
        assert "0 check-ins were taken over." in again
        assert f"{len(before[0])} were there already." in again
        assert kept(second, there) == before
        actions = audited(second)
        assert [detail["checkins"] for _, detail in actions] == [len(before[0]), 0]


def test_what_is_there_stays_as_it_is(box: Box, anna: Browser, me: str) -> None:
    data = anna.post("/log/keeping/everything.zip").data
    first = box.db.read(lambda db: checkins.newest(db, me, 2))
    box.write("UPDATE checkins SET note = 'changed since' WHERE id = ?", first[0].id)
    box.db.write(lambda db: checkins.delete(db, me, first[1].id))
    box.db.write(lambda db: reminders.put(db, me, Plan(on=True, times=["11:00"])))
    bring(anna, data)
    found = box.db.read(lambda db: checkins.find(db, me, first[0].id))
    assert found is not None
    assert found.note == "changed since"
    assert box.db.read(lambda db: checkins.find(db, me, first[1].id)) is None, "stays deleted"
    assert box.db.read(lambda db: reminders.plan(db, me)).times == ["11:00"], "not ticked"
    assert len(box.daemon.imported) > 1000


def test_a_preview_keeps_nothing(box: Box, anna: Browser, me: str) -> None:
    data = anna.post("/log/keeping/everything.zip").data
    box.write("DELETE FROM checkins")
    said = pages.text(look(anna, data))
    assert "This is in the file" in said
    assert "20 Oct 2026" in said
    assert box.rows("SELECT count(*) FROM checkins") == [(0,)]
    assert box.daemon.imported == []


def test_a_file_can_be_left_and_waits_not_for_ever(box: Box, anna: Browser, me: str) -> None:
    data = anna.post("/log/keeping/everything.zip").data
    key = look(anna, data).text.split('name="key" value="')[1].split('"')[0]
    assert anna.post("/log/keeping/import/drop", {"key": key}).status_code == 303
    assert anna.post("/log/keeping/import/take", {"key": key}).status_code == 404
    key = look(anna, data).text.split('name="key" value="')[1].split('"')[0]
    for _ in range(4):  # the screen stays unlocked
        box.clock.advance(keeping.WAITS_MS / 4000 + 1)
        anna.get("/log/keeping")
    assert anna.post("/log/keeping/import/take", {"key": key}).status_code == 404


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"mood,note\n", "no zip file"),
        (b"PK\x03\x04half", "broken or cut off"),
    ],
)
def test_a_wrong_file_is_refused_with_a_sentence(
    anna: Browser, me: str, data: bytes, words: str
) -> None:
    response = look(anna, data)
    assert response.status_code == 400
    assert words in pages.text(response)


def test_a_file_that_is_far_too_large_is_refused(
    anna: Browser, me: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(homefile, "MAX_FILE", 1 << 10)
    response = look(anna, bytes(100_000))
    assert response.status_code == 413
    assert "which no home log is" in pages.text(response)


def test_no_file_is_a_sentence(anna: Browser, me: str) -> None:
    response = anna.post("/log/keeping/import", {})
    assert response.status_code == 400
    assert "Choose a file first" in pages.text(response)


def test_without_the_service_check_ins_come_in_all_the_same(
    box: Box, anna: Browser, me: str
) -> None:
    data = anna.post("/log/keeping/everything.zip").data
    box.write("DELETE FROM checkins")
    box.server.stop()
    said = pages.text(bring(anna, data))
    assert "check-ins were taken over" in said
    assert "What was seen could not be taken over wholly" in said


def test_only_a_home_user_may(box: Box, me: str) -> None:
    tom = box.browser("tom", "therapist")
    assert tom.get("/log/keeping").status_code == 403
    assert tom.post("/log/keeping/everything.zip").status_code == 403
