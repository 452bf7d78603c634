"""Check-ins that are brought along: once however often, and taken back whole."""

import io
from collections.abc import Callable, Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien import checkin_import, checkins
from mien.checkin_import import Imported
from mien.checkins import CheckinError
from mien.clock import ManualClock
from mien.csvfile import Table
from mien.database import FILE, Database, key
from mien.daylio import Diary
from mien.emotions import EMOTIONS
from mien.moodcsv import Reports
from people import People

BERLIN = ZoneInfo("Europe/Berlin")
NOW = 1_800_000_000_000
DIARY = """full_date,date,weekday,time,mood,activities,note_title,note
2026-10-25,,,02:30,wobbly,Walk | tea,,
2026-10-24,,,8:05 PM,rad,walk,,a note
2026-10-24,,,8:05 PM,rad,walk,,a note
2026-10-24,,,25:05,rad,,,
2027-10-24,,,20:05,rad,,,of the future
2026-10-23,,,20:05,,,,
2026-10-22,,,20:05,,,,only a note
"""
REPORTS = "id,Hours,Day," + ",".join(EMOTIONS) + "\n"


@pytest.fixture
def people(tmp_path: Path) -> Iterator[People]:
    clock = ManualClock()
    database = Database(tmp_path / FILE, key(tmp_path, make=True), clock, "daemon")
    database.read(lambda db: None)
    found = People(tmp_path, clock)
    for client in ("c", "d"):
        found.client(client, "home", resident=True)
    yield found
    found.close()
    database.close()


def diary(text: str = DIARY) -> Diary:
    return Diary(Table(io.BytesIO(text.encode()), "daylio.csv"))


def reports(*rows: tuple[object, int, int, str], more: str = "") -> Reports:
    lines = [
        f"{id},{hour},{day}," + ",".join("01"[name in felt] for name in EMOTIONS)
        for id, hour, day, felt in rows
    ]
    return Reports(Table(io.BytesIO((REPORTS + "\n".join(lines) + more).encode()), "moods.csv"))


def bring(people: People, found: Diary, client: str = "c", **moods: int | None) -> Imported:
    write = people.database.write
    return checkin_import.from_daylio(write, client, found, BERLIN, {"wobbly": 2, **moods}, NOW)


def read(people: People, work: Callable[..., Any], client: str = "c") -> Any:
    return people.database.read(lambda db: work(db, client))


def test_a_diary_becomes_check_ins(people: People) -> None:
    done = bring(people, diary())
    assert (done.added, done.known, done.faulty) == (4, 0, 3)
    assert done.problems == [
        "line 5: there is no time “25:05”",
        "line 6: This moment has not come yet. Choose one that has passed.",
        "line 7: This check-in says nothing yet. Choose a mood, an emotion or an activity, "
        "or write a note.",
    ]
    found = read(people, checkins.newest)
    assert [(one.mood, one.hour, one.note) for one in found] == [
        (2, 2, ""), (5, 20, "a note"), (5, 20, "a note"), (None, 20, "only a note"),
    ]  # fmt: skip
    assert {one.source for one in found} == {done.source}
    listed = [(one.text.casefold(), one.used) for one in read(people, checkins.activities)]
    assert listed == [("walk", 3), ("tea", 1)]
    # A million of them are listed in a second because the index alone is read.
    (*_, plan) = people.rows("EXPLAIN QUERY PLAN " + checkin_import.LISTED, "c")[0]
    assert "USING COVERING INDEX checkins_source" in plan


def test_the_same_file_again_adds_nothing_and_changes_nothing(people: People) -> None:
    first = bring(people, diary())
    one, *_, gone = read(people, checkins.newest)
    people.write("UPDATE checkins SET note = 'my own' WHERE id = ?", one.id)
    people.database.write(lambda db: checkins.delete(db, "c", gone.id))
    again = bring(people, diary())
    assert (again.added, again.known) == (0, 4)
    kept = read(people, checkins.newest)
    assert len(kept) == 3
    assert kept[0].note == "my own"
    assert [found.source for found in read(people, checkin_import.imports)] == [first.source]
    # A longer diary adds what is new; another person's is another's.
    longer = DIARY.replace("2026-10-25", "2026-11-01,,,20:00,bad,walk,,\n2026-10-25", 1)
    assert bring(people, diary(longer)).added == 1
    assert bring(people, diary(), "d").added == 4


def entries(*rows: str) -> Diary:
    return diary("\n".join(["full_date,time,mood,activities,note", *rows]))


def test_an_entry_whose_words_were_renamed_is_known_by_its_moment(people: People) -> None:
    bring(people, entries("2026-10-02,8:05,meh,walk,a", "2026-10-01,8:05,good,walk,"))
    renamed = ["2026-10-02,8:05,so-so,walking,a", "2026-10-01,8:05,good,walking,mended"]
    again = bring(people, entries(*renamed), **{"so-so": 3})
    assert (again.added, again.known) == (0, 2)
    # One more of the same minute is one more; the former ones stay as they were.
    more = bring(people, entries("2026-10-01,8:05,bad,,other", *renamed), **{"so-so": 3})
    assert (more.added, more.known) == (1, 2)
    assert {one.activities for one in read(people, checkins.newest)} >= {("walk",)}
    # Another person's entries are no former ones.
    assert bring(people, entries(*renamed), "d", **{"so-so": 3}).added == 2


def test_a_check_in_of_the_page_is_no_entry_of_a_diary(people: People) -> None:
    own = checkins.made(
        "c", datetime(2026, 10, 1, 8, 5, tzinfo=BERLIN), mood=3, emotions=None, activities=[],
        note="", source="page", made_utc=NOW,
    )  # fmt: skip
    people.database.write(lambda db: checkins.save(db, own))
    assert bring(people, entries("2026-10-01,8:05,good,walk,")).added == 1


@pytest.mark.parametrize("order", [1, -1])
def test_a_new_entry_of_a_moment_is_not_taken_for_one_that_is_there(
    people: People, monkeypatch: pytest.MonkeyPatch, order: int
) -> None:
    monkeypatch.setattr(checkin_import, "A_TIME", 1)
    there = [f"2026-10-01,8:05,good,,{n}" for n in range(5)]
    bring(people, entries(*there))
    new = [f"2026-10-01,8:05,good,,new {n}" for n in range(5)]
    done = bring(people, entries(*[*there, *new][::order]))
    assert (done.added, done.known) == (5, 5)


def test_what_a_word_means_is_for_the_person_to_say(people: People) -> None:
    with pytest.raises(CheckinError, match="What does the mood “wobbly” mean"):
        checkin_import.from_daylio(people.database.write, "c", diary(), BERLIN, {}, NOW)
    assert read(people, checkins.newest) == []
    bring(people, diary(), rad=1, wobbly=None)
    assert [one.mood for one in read(people, checkins.newest)] == [None, 1, 1, None]


def test_an_import_is_taken_back_whole_with_its_activities(people: People) -> None:
    own = checkins.made(
        "c", diary_moment(), mood=3, emotions=None, activities=["tea"], note="", source="page",
        made_utc=NOW,
    )  # fmt: skip
    people.database.write(lambda db: checkins.save(db, own))
    done, other = bring(people, diary()), bring(people, diary(), "d")
    (listed,) = read(people, checkin_import.imports)
    assert (listed.kind, listed.count, listed.made_utc) == ("daylio", 4, NOW)
    assert (listed.first, listed.last) == (date(2026, 10, 22), date(2026, 10, 25))
    forget = checkin_import.forget_import
    assert not people.database.write(lambda db: forget(db, "c", other.source))
    people.database.write(lambda db: forget(db, "c", done.source))
    assert read(people, checkins.newest) == [own]
    assert [one.text for one in read(people, checkins.activities)] == ["tea"]
    assert len(read(people, checkins.newest, "d")) == 4
    assert read(people, checkin_import.imports) == []


def diary_moment() -> Any:
    return next(iter(diary())).moment.replace(tzinfo=BERLIN)


def test_reports_of_one_person_of_a_file_or_of_all(people: People) -> None:
    rows = [("a", 8, 1, "joy"), ("a", 8, 1, "joy"), ("b", 22, 7, ""), ("a", 9, 2, "fear awe")]

    def bring_in(person: str | None, more: str = "") -> Imported:
        return checkin_import.from_reports(
            people.database.write, "c", reports(*rows, more=more), person, NOW
        )

    done = bring_in("a", "\na,25,1" + ",0" * 18)
    assert (done.added, done.known, done.faulty) == (3, 0, 1)
    assert done.problems == ["line 6: the hour is not a whole number from 0 to 23"]
    assert (bring_in(None).added, bring_in("a").added) == (1, 0)
    found = read(people, checkins.newest)
    assert {(one.hour, one.weekday, one.emotions) for one in found} == {
        (8, 1, ("joy",)), (9, 2, ("awe", "fear")), (22, 7, ()),
    }  # fmt: skip
    assert {(one.utc, one.day, one.mood) for one in found} == {(None, None, None)}
    listed = read(people, checkin_import.imports)
    assert sorted(one.count for one in listed) == [1, 3]
    assert {(one.kind, one.first) for one in listed} == {("csv", None)}


class Stopped(Exception):
    pass


def test_a_long_import_goes_by_parts_and_leaves_nothing_when_it_is_stopped(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkin_import, "A_TIME", 10)
    monkeypatch.setattr(checkin_import, "_SORTED", 40)
    rows = [(n, n % 24, 1 + n % 7, "joy") for n in range(95)]
    seen: list[int] = []

    def stop(done: int) -> None:
        seen.append(done)
        if done >= 50:
            raise Stopped

    write = people.database.write
    with pytest.raises(Stopped):
        checkin_import.from_reports(write, "c", reports(*rows), None, NOW, stop)
    assert seen == [10, 20, 30, 40, 50]
    assert people.rows("SELECT count(*) FROM checkins") == [(0,)]
    seen.clear()
    done = checkin_import.from_reports(write, "c", reports(*rows), None, NOW, seen.append)
    assert (done.added, seen[-1]) == (95, 95)
    # Taking a long one back goes by parts as well.
    steps = 1
    while write(lambda db: checkin_import.forget_import(db, "c", done.source, 10)):
        steps += 1
    assert steps == 10
    assert people.rows("SELECT count(*) FROM checkins") == [(0,)]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 2), st.just(1), st.just("joy"))))
def test_however_a_file_grows_or_is_sorted_nothing_doubles(rows: list[Any]) -> None:
    ids = [set(_ids(some)) for some in (rows, rows[::-1], [*rows, ("c", 1, 1, "")])]
    assert len(ids[0]) == len(rows)
    assert ids[0] == ids[1]
    assert ids[0] < ids[2]


def _ids(rows: list[Any]) -> list[str]:
    kept: list[str] = []

    class Db:
        def execute(self, *_: object) -> list[Any]:
            return []

        def executemany(self, query: str, rows: list[Any]) -> None:
            kept.extend(row[0] for row in rows)

    checkin_import.from_reports(lambda work: work(Db()), "c", reports(*rows), None, NOW)
    return kept
