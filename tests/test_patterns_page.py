"""The patterns page: figures with intervals, "too little data", the face beside the word."""

import random
import re
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest

import home_log
import pages
from home_log import BERLIN, resident
from mien import checkins
from mien.checkins import Checkin
from pages import Box, Browser

TODAY = date(2026, 11, 21)


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Box]:
    yield from home_log.house(tmp_path, monkeypatch, 21)


@pytest.fixture
def anna(box: Box) -> Browser:
    return box.browser("anna", "home")


@pytest.fixture
def me(box: Box) -> str:
    return resident(box, "me", "home")


def at(day: date, hour: int, minute: int = 10) -> datetime:
    return datetime.combine(day, time(hour, minute), BERLIN)


def life(box: Box, client: str, days: int, friends: float = 1.0) -> None:
    """Two check-ins a day; evenings are better, and `friends` lift the mood by so much."""
    chance = random.Random(4)

    def work(db: Any) -> None:
        for n in range(days):
            day = TODAY - timedelta(n)
            for hour in (8, 20):
                done = ["friends"] if chance.random() < 0.3 else []
                felt = 2.8 + (hour == 20) + (friends if done else 0) + chance.gauss(0, 0.5)
                mood = min(5, max(1, round(felt)))
                emotions = ("joy",) if mood > 3 else ("anger", "hope") if mood == 2 else ()
                home_log.said(db, client, at(day, hour), mood, *emotions, activities=done)

    box.db.write(work)


def rows(body: str, title: str) -> dict[str, str]:
    """What a table under a heading says, by its first column."""
    part = re.search(rf"<h2[^>]*>{title}</h2>(.*?)</section>", body, re.DOTALL)
    assert part, title
    found = re.findall(r'<tr[^>]*><th scope="row">(.*?)</th>(.*?)</tr>', part[1], re.DOTALL)
    return {name: " ".join(re.sub(r"<[^>]+>", " ", cells).split()) for name, cells in found}


def test_figures_stand_with_interval_and_number(box: Box, anna: Browser, me: str) -> None:
    life(box, me, 60)
    body = anna.get("/patterns").text
    hours = rows(body, "By hour")
    assert list(hours) == ["8:00–9:00", "20:00–21:00"]
    assert re.fullmatch(
        r"4\.\d \(\d\.\d–\d\.\d\) clearly higher than at other times 60 check-ins",
        hours["20:00–21:00"],
    )
    weekdays = rows(body, "By weekday")
    assert list(weekdays)[::6] == ["Monday", "Sunday"]
    assert not any("clearly" in cells for cells in weekdays.values()), "nothing differs there"
    friends = rows(body, "Activities and mood")["friends"]
    assert re.match(r"\+[01]\.\d \(\+\d\.\d … \+\d\.\d\) clearly better with it", friends)
    overall = rows(body, "Over all")
    assert re.search(
        r"\d\.\d \(\d\.\d–\d+\.\d\) 80 check-ins", overall["Positive for each negative one"]
    )
    assert body.count('class="span"') == body.count('class="point"') >= 12


def test_what_is_shown_by_hour_can_be_chosen(box: Box, anna: Browser, me: str) -> None:
    life(box, me, 60)
    hours = rows(anna.get("/patterns?show=positive").text, "By hour")
    assert re.match(r"\d+ % \(\d+–\d+ %\)", hours["20:00–21:00"])
    assert rows(anna.get("/patterns?show=nonsense&period=%00").text, "By hour")


def test_too_little_is_said_and_not_guessed(box: Box, anna: Browser, me: str) -> None:
    life(box, me, 3)
    body = anna.get("/patterns").text
    for title in ("By hour", "By weekday", "Over all"):
        for name, cells in rows(body, title).items():
            assert "too little data" in cells, name
    assert 'class="point"' not in body


def test_without_check_ins_it_says_where_patterns_come_from(anna: Browser, me: str) -> None:
    said = pages.text(anna.get("/patterns"))
    assert "No check-ins in this period" in said
    assert "too little data" in said, "what changed since last month"


def test_reports_without_a_date_count_for_hour_and_weekday(
    box: Box, anna: Browser, me: str
) -> None:
    def work(db: Any) -> None:
        for n in range(80):
            checkins.save(
                db,
                Checkin(
                    id=f"r{n}", client=me, utc=None, day=None, hour=9 + n % 2 * 5,
                    weekday=n % 7 + 1, mood=None, emotions=("joy",) if n % 4 else ("fear",),
                    activities=(), note="", source="import", made_utc=0,
                ),
            )  # fmt: skip

    box.db.write(work)
    assert "80 imported reports without a date" in pages.text(anna.get("/patterns"))
    body = anna.get("/patterns?period=all").text
    assert "count by hour and weekday only" in body
    hours = rows(body, "By hour")
    assert list(hours) == ["9:00–10:00", "14:00–15:00"]
    assert all(re.match(r"\d+ % \(", cells) for cells in hours.values()), "positive share"


def test_the_face_stands_beside_the_word(box: Box, anna: Browser, me: str) -> None:
    life(box, me, 14)
    for n in range(14):
        sees(box, at(TODAY - timedelta(n), 19, 50), 30)
    said = pages.text(anna.get("/patterns"))
    assert "14 had enough in view within half an hour" in said
    found = re.search(
        r"On (\d+) of (\d+) check-ins on which you said “good” or “great”, the expression looked "
        r"mostly like neutral",
        said,
    )
    assert found
    assert found[1] == found[2]
    assert "neither is wrong" in said


def sees(box: Box, moment: datetime, minutes: int) -> None:
    """Minutes of a neutral face, as the daemon keeps them."""
    start = home_log.utc_ms(moment) // 60_000

    def work(db: Any) -> None:
        db.execute("INSERT OR IGNORE INTO boots VALUES (9, 'boot-9')")
        for minute in range(start, start + minutes):
            db.execute(
                "INSERT OR REPLACE INTO minutes (boot, minute, utc_ms, clock_ok, seconds, seen, "
                "facing, read, anger, disgust, fear, happiness, sadness, surprise, neutral, "
                "valence) VALUES (9, ?, ?, 1, 60, 50, 50, 40, 0, 0, 0, 5, 0, 0, 35, 1000)",
                (minute, minute * 60_000),
            )

    box.db.write(work)


def test_what_changed_since_last_month(box: Box, anna: Browser, me: str) -> None:
    life(box, me, 60)
    for n in range(60):
        looks: dict[Any, int] = (
            {"happiness": 500, "neutral": 300 + n % 3}
            if n < 30
            else {"happiness": 100, "neutral": 700 + n % 3}
        )
        for hour in (9, 15):
            moment = at(TODAY - timedelta(n), hour, 0)
            box.db.write(lambda db, m=moment, k=looks: home_log.quarter(db, m, k))
    changed = rows(anna.get("/patterns").text, "Since last month")
    assert "no clear change" in changed["Mood"]
    assert re.match(
        r"12 % 62 % \+50 \(\+\d+ … \+\d+\) clear change", changed["Looks like happiness"]
    )
    assert "read" in changed["Looks like happiness"]
    assert "27 min" in changed["Seen a day"]


def test_another_persons_log_lends_no_face(box: Box, anna: Browser, me: str) -> None:
    box.clock.advance(1)
    other = resident(box, "zoe")
    box.write("UPDATE clients SET created_utc = created_utc + 1 WHERE id = ?", other)
    life(box, other, 20)
    anna.post("/person", {"person": other})
    said = pages.text(anna.get("/patterns"))
    assert "The box’s log is not yours" in said
    assert "looked mostly" not in said


def test_only_a_home_user_sees_it(box: Box) -> None:
    assert box.browser("tom", "therapist").get("/patterns").status_code == 403
