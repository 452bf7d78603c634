"""Check-ins on the page: saved, shown, changed, taken back, found again."""

import json
import uuid
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

import pages
from mien import settings
from pages import Box, Browser, text

ZONE = ZoneInfo("Europe/Berlin")


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Box]:
    for box in pages.box(tmp_path, monkeypatch):
        box.set("home")
        box.db.write(lambda db: settings.put(db, "zone", "Europe/Berlin"))
        box.clock.synchronise(datetime(2026, 11, 21, 15, 30, tzinfo=ZONE).timestamp())
        yield box


@pytest.fixture
def anna(box: Box) -> Browser:
    resident(box, "Anna")
    return box.browser("anna", "home")


def resident(box: Box, code: str, owner: str = "anna") -> str:
    box.user(owner, "home")
    id = box.client(code, owner=owner)
    box.write("UPDATE clients SET resident = 1 WHERE id = ?", id)
    return id


def said(box: Box) -> list[tuple[object, ...]]:
    return box.rows(
        "SELECT mood, emotions, note, day, hour, source FROM checkins "
        "WHERE NOT deleted ORDER BY utc, id"
    )


TODAY = datetime(2026, 11, 21).toordinal()


def test_two_taps(box: Box, anna: Browser) -> None:
    form = anna.get("/checkin")
    assert form.text.count('name="mood"') == 5
    assert form.text.count('name="emotion"') == 18
    saved = anna.post("/checkin", {"mood": "4"}, follow_redirects=True)
    assert "Saved" in text(saved)
    assert "good" in text(saved)
    assert "21 Nov 2026, 15:30" in text(saved)
    assert said(box) == [(4, None, "", TODAY, 15, "page")]


def test_all_that_can_be_said(box: Box, anna: Browser) -> None:
    saved = anna.post(
        "/checkin",
        {
            "mood": "2",
            "emotion": ["anger", "hope"],
            "activity": ["work"],
            "new": "tea, walking the <b>dog</b>, tea",
            "note": "<script>alert(1)</script>\r\nsecond",
        },
        follow_redirects=True,
    )
    assert "hope, anger" in text(saved)
    assert "&lt;script&gt;" in saved.text
    assert "<b>dog" not in saved.text
    assert {one for (one,) in box.rows("SELECT text FROM activities")} == {
        "work", "tea", "walking the <b>dog</b>",
    }  # fmt: skip
    assert said(box)[0][2] == "<script>alert(1)</script>\nsecond"
    assert not box.rows("SELECT 1 FROM audit WHERE action LIKE '%check%'")


def test_none_of_the_emotions_is_an_answer(box: Box, anna: Browser) -> None:
    anna.post("/checkin", {"mood": "3", "none": "1"})
    anna.post("/checkin", {"mood": "3"})
    assert sorted(str(row[1]) for row in said(box)) == ["0", "None"]


def test_sent_twice_is_kept_once(box: Box, anna: Browser) -> None:
    id = str(uuid.uuid4())
    first = anna.post("/checkin", {"id": id, "mood": "4"})
    box.clock.advance(30)
    again = anna.post("/checkin", {"id": id, "mood": "1"})
    assert first.location == again.location == f"/checkins/{id}?how=saved"
    assert [row[0] for row in said(box)] == [4]


def test_what_was_taken_back_does_not_come_again(box: Box, anna: Browser) -> None:
    id = str(uuid.uuid4())
    anna.post("/checkin", {"id": id, "mood": "4"})
    anna.post(f"/checkins/{id}/delete")
    anna.post("/checkin", {"id": id, "mood": "4"})
    assert said(box) == []


def test_a_script_is_answered_in_json_and_tells_how_long_it_waited(box: Box, anna: Browser) -> None:
    token = {**pages.SAME, "Mien-Token": anna.token}
    waited = {"mood": "5", "age_ms": str(2 * 3600_000), "id": "nonsense"}
    saved = anna.client.post("/checkin", data=waited, headers=token)
    assert saved.json
    assert saved.json["url"].endswith("?how=saved")
    assert said(box)[0][4] == 13
    refused = anna.client.post("/checkin", data={"note": " "}, headers=token)
    assert refused.status_code == 400
    assert refused.json
    assert "says nothing yet" in refused.json["error"]


def test_back_entry(box: Box, anna: Browser) -> None:
    form = anna.get("/checkin?at=2026-11-20T21:00")
    assert 'value="2026-11-20"' in form.text
    assert 'value="21:00"' in form.text
    anna.post("/checkin", {"mood": "4", "when": "other", "date": "2026-11-20", "time": "21:00"})
    assert said(box)[0][3:5] == (TODAY - 1, 21)
    assert "Enter a date and a time" in text(anna.get("/checkin?at=yesterday"))


def test_the_future_is_refused_and_nothing_entered_is_lost(box: Box, anna: Browser) -> None:
    answer = anna.post(
        "/checkin",
        {
            "mood": "4", "emotion": "joy", "note": "a note", "activity": "chess", "new": "tea",
            "when": "other", "date": "2026-11-22", "time": "21:00",
        },
    )  # fmt: skip
    assert answer.status_code == 400
    assert "lies ahead" in text(answer)
    for entered in ('value="4" checked', 'value="joy" checked', "a note", 'value="chess" checked',
                    'value="tea"', 'value="2026-11-22"'):  # fmt: skip
        assert entered in answer.text
    assert said(box) == []


def test_the_hour_that_comes_twice_is_asked_for(box: Box, anna: Browser) -> None:
    entered = {"mood": "4", "when": "other", "date": "2026-10-25", "time": "02:30"}
    answer = anna.post("/checkin", entered)
    assert "02:30 came twice on 25 Oct 2026" in text(answer)
    assert "the first 02:30 (CEST)" in text(answer)
    assert anna.post("/checkin", {**entered, "fold": "1"}).status_code == 303
    ((utc,),) = box.rows("SELECT utc FROM checkins")
    assert datetime.fromtimestamp(utc / 1000, ZoneInfo("UTC")).hour == 1


def test_a_box_without_the_time_asks_for_it_or_takes_that_of_the_phone(
    box: Box, anna: Browser
) -> None:
    box.clock.clock_ok = False
    box.clock.offset = 1_700_000_000.0
    anna = box.browser("anna", "home")
    assert "clock of the box is not set yet" in text(anna.get("/checkin"))
    assert "does not know the time yet" in text(anna.post("/checkin", {"mood": "4"}))
    wall = round(datetime(2026, 11, 21, 15, 30, tzinfo=ZONE).timestamp() * 1000)
    anna.post("/checkin", {"mood": "4", "wall": str(wall)})
    anna.post("/checkin", {"mood": "5", "when": "other", "date": "2026-11-21", "time": "17:00"})
    assert [row[3:5] for row in said(box)] == [(TODAY, 15), (TODAY, 17)]


def test_changed_and_its_time_left_alone(box: Box, anna: Browser) -> None:
    saved = anna.post("/checkin", {"mood": "4", "activity": "tea"})
    id = box.rows("SELECT id FROM checkins")[0][0]
    before = box.rows("SELECT utc, day, hour FROM checkins")
    # The box moved: what was said stays at the hour at which it was lived.
    box.db.write(lambda db: settings.put(db, "zone", "Asia/Tokyo"))
    form = anna.get(f"/checkins/{id}/edit")
    assert 'value="15:30"' in form.text
    box.clock.advance(60)
    as_shown = {"when": "other", "date": "2026-11-21", "time": "15:30"}
    anna.post(f"/checkins/{id}/edit", {"mood": "2", "activity": "tea", **as_shown})
    assert saved.status_code == 303
    assert [row[0] for row in said(box)] == [2]
    assert box.rows("SELECT utc, day, hour FROM checkins") == before


def test_deleted_and_brought_back(box: Box, anna: Browser) -> None:
    anna.post("/checkin", {"mood": "4"})
    id = box.rows("SELECT id FROM checkins")[0][0]
    listed = anna.post(f"/checkins/{id}/delete", follow_redirects=True)
    assert "The check-in was deleted. Undo" in text(listed)
    assert anna.get(f"/checkins/{id}").status_code == 404
    back = anna.post(f"/checkins/{id}/back", follow_redirects=True)
    assert "It is back" in text(back)
    assert len(said(box)) == 1


def test_what_nobody_brings_back_is_erased_a_day_later(box: Box, anna: Browser) -> None:
    anna.post("/checkin", {"mood": "4", "note": "secret"})
    id = box.rows("SELECT id FROM checkins")[0][0]
    anna.post(f"/checkins/{id}/delete")
    for hours, left in ((23, 1), (7, 0)):
        box.clock.advance(hours * 3600)
        box.app.test_client().get("/static/icon.svg").close()  # as the watchdog asks
        assert len(box.rows("SELECT id FROM checkins")) == left


def test_the_list_is_empty_then_long_then_searched(box: Box, anna: Browser) -> None:
    assert "Nothing said yet" in text(anna.get("/checkins"))
    for n in range(60):
        box.clock.advance(1)
        anna.post(
            "/checkin",
            {
                "mood": "3",
                "note": f"note {n}",
                **({"emotion": "awe", "new": "tea"} if n == 7 else {}),
            },
        )
    first = anna.get("/checkins")
    assert "Saturday, 21 November 2026" in text(first)
    assert "note 59" in text(first)
    assert "note 9 " not in text(first)
    older = first.text.split('class="button quiet" href="/checkins?before=')[1].split('"')[0]
    second = text(anna.get(f"/checkins?before={older}"))
    assert "note 9 " in second
    assert "note 10 " not in second
    tea = box.rows("SELECT id FROM activities")[0][0]
    for query in ("emotion=awe", f"activity={tea}", f"emotion=awe&activity={tea}"):
        found = text(anna.get(f"/checkins?{query}"))
        assert "note 7 " in found
        assert "note 8 " not in found
    assert "No check-in says this" in text(anna.get("/checkins?emotion=guilt"))
    assert anna.get("/checkins?endpoint=x&before=y&emotion=").status_code == 200


def test_activities_are_renamed_put_together_and_hidden(box: Box, anna: Browser) -> None:
    for name in ("walk", "walking", "chess"):
        anna.post("/checkin", {"mood": "4", "new": name})
    ids = {name: id for id, name in box.rows("SELECT id, text FROM activities")}
    merged = anna.post(
        f"/checkins/activities/{ids['walk']}", {"text": "Walking"}, follow_redirects=True
    )
    assert "“walk” is part of “Walking” now" in text(merged)
    assert "2 check-ins" in text(merged)
    empty = anna.post(f"/checkins/activities/{ids['chess']}", {"text": " "}, follow_redirects=True)
    assert "needs a name" in text(empty)
    anna.post(f"/checkins/activities/{ids['chess']}", {"act": "hide", "text": "chess"})
    assert "chess" not in anna.get("/checkin").text
    assert "hidden" in text(anna.get("/checkins/activities"))
    anna.post(f"/checkins/activities/{ids['chess']}", {"act": "show", "text": "chess"})
    assert "chess" in anna.get("/checkin").text


def test_others_see_and_change_nothing(box: Box, anna: Browser) -> None:
    anna.post("/checkin", {"mood": "4", "note": "secret"})
    id = box.rows("SELECT id FROM checkins")[0][0]
    resident(box, "Ben", "ben")
    ben = box.browser("ben", "home")
    assert "secret" not in ben.get("/checkins").text
    for ask in (ben.get(f"/checkins/{id}"), ben.get(f"/checkins/{id}/edit"),
                ben.post(f"/checkins/{id}/edit", {"mood": "1"}),
                ben.post(f"/checkins/{id}/delete"), ben.post(f"/checkins/{id}/back")):  # fmt: skip
        assert ask.status_code == 404
    assert ben.post("/checkin", {"id": id, "mood": "1"}).status_code == 409
    assert [row[0] for row in said(box)] == [4]
    assert box.browser("carl", "therapist").get("/checkin").status_code == 403


def test_a_form_is_that_of_the_person_it_was_made_for(box: Box, anna: Browser) -> None:
    """Also where another tab or device has chosen another person meanwhile."""
    (mine,) = [id for (id,) in box.rows("SELECT id FROM clients")]
    child = resident(box, "Child")
    assert f'name="person" value="{mine}"' in anna.get("/checkin").text
    anna.post("/person", {"person": child})
    anna.post("/checkin", {"mood": "4", "person": mine})
    anna.post("/log/settings/mood", {"shared": "1", "person": mine})
    assert box.rows("SELECT client FROM checkins") == [(mine,)]
    assert box.rows("SELECT 1 FROM settings WHERE key = ?", f"share_mood:{mine}")
    strange = anna.post("/checkin", {"mood": "4", "person": resident(box, "Ben", "ben")})
    assert strange.status_code == 404
    assert "not among yours" in text(strange)


def test_reports_without_a_date_are_counted_not_listed(box: Box, anna: Browser) -> None:
    box.write(
        "INSERT INTO checkins (id, client, weekday, hour, emotions, source, made_utc) "
        "SELECT 'x', id, 3, 14, 5, 'import', 0 FROM clients"
    )
    assert "1 imported report knows no date" in text(anna.get("/checkins"))
    assert anna.get("/checkins/x").status_code == 200
    assert anna.post("/checkins/x/edit", {"mood": "4", "when": "other"}).status_code == 303
    assert box.rows("SELECT day, hour, weekday, mood FROM checkins") == [(None, 14, 3, 4)]


def test_the_words_of_the_script(anna: Browser) -> None:
    form = anna.get("/checkin").text
    words = form.split('data-words="')[1].split('"')[0].replace("&#34;", '"')
    assert json.loads(words.replace("&#39;", "'").replace("&amp;", "&"))["waits"]
