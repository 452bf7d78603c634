"""The log of a home: day, week, month, year and settings."""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

import home_log
import pages
from home_log import BERLIN, resident
from mien import settings
from mien.events import EXPRESSIONS
from samples import HEALTH

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=BERLIN)
URLS = (
    "/log", "/log/day/2026-11-20", "/log/week/2026-11-20", "/log/month/2026-11",
    "/log/year/2026", "/log/settings",
)  # fmt: skip


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pages.Box]:
    yield from home_log.house(tmp_path, monkeypatch)


@pytest.fixture
def anna(box: pages.Box) -> pages.Browser:
    return box.browser("anna", "home")


@pytest.fixture
def me(box: pages.Box) -> str:
    """Whose log it is, for long."""
    return resident(box, "me", "home")


def saw(box: pages.Box, moment: datetime, **more: Any) -> None:
    looks = more.pop("looks", {"happiness": 300, "neutral": 500})
    box.db.write(lambda db: home_log.quarter(db, moment, looks, **more))


def says(box: pages.Box, client: str, moment: datetime, mood: int | None, *more: str) -> str:
    return box.db.write(lambda db: home_log.said(db, client, moment, mood, *more))


def section(body: str, title: str) -> str:
    """What stands under a heading of the page."""
    found = re.search(rf"<section[^>]*>\s*<h2[^>]*>{title}</h2>.*?</section>", body, re.DOTALL)
    assert found, title
    return found[0]


# ── a day ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("url", URLS)
def test_every_page_opens_also_where_nothing_was_ever_said_or_seen(
    anna: pages.Browser, me: str, url: str
) -> None:
    answer = anna.get(url)
    assert answer.status_code == 200
    assert "None" not in pages.text(answer)


def test_the_persons_own_word_comes_first(box: pages.Box, anna: pages.Browser, me: str) -> None:
    saw(box, NOON)
    says(box, me, NOON.replace(minute=20), 2, "sadness", "hope")
    body = anna.get("/log/day/2026-11-20").text
    assert body.index("What you said") < body.index("What the face looked like")
    own = section(body, "What you said")
    assert "bad" in own
    assert "12:20" in own
    assert "− sadness" in own
    assert "+ hope" in own


def test_a_day_says_how_long_who_was_seen(box: pages.Box, anna: pages.Browser, me: str) -> None:
    saw(box, NOON, seen=860, facing=820)
    text = pages.text(anna.get("/log/day/2026-11-20"))
    assert "Face looked most often like neutral, 62 %" in text.replace("\xa0", " ")
    assert "Expression read 13 min" in text
    assert "Seen in the seat 14 min" in text
    assert "12:00 neutral" in text


def test_an_hour_with_too_little_is_hatched_and_named_nothing(
    box: pages.Box, anna: pages.Browser, me: str
) -> None:
    saw(box, NOON, looks={"anger": 60}, seen=700)
    body = anna.get("/log/day/2026-11-20").text
    chart = re.search(r'<svg class="chart".*?</details>', body, re.DOTALL)
    assert chart
    assert 'fill="url(#p-thin)"' in chart[0]
    assert "too little to say" in chart[0]
    assert "12:00</th><td>too little to say" in body


def test_not_seen_and_not_watched_are_told_apart(
    box: pages.Box, anna: pages.Browser, me: str
) -> None:
    saw(box, NOON, looks={"neutral": 800})
    for minute in (0, 15, 30, 45):
        saw(box, NOON.replace(hour=14, minute=minute), looks={})
    text = pages.text(anna.get("/log/day/2026-11-20"))
    assert "14:00 nobody seen" in text
    assert "13:00 not watched" in text
    assert "not seen: watched, and nobody was in the seat 1 h 2 min" in text


def test_check_ins_close_together_do_not_hide_each_other(
    box: pages.Box, anna: pages.Browser, me: str
) -> None:
    saw(box, NOON)
    for minute, mood in ((0, 1), (20, 2), (40, 3)):
        says(box, me, NOON.replace(minute=minute), mood)
    says(box, me, NOON.replace(hour=20), 4)
    chart = section(anna.get("/log/day/2026-11-20").text, "What the face looked like")
    heights = re.findall(r'<svg x="[\d.]+%" y="(\d+)"[^>]* data-mood="(\d)"', chart)
    assert len({height for height, mood in heights if mood != "4"}) == 3
    assert dict(map(reversed, heights))["4"] == dict(map(reversed, heights))["1"]  # type: ignore[arg-type]


def test_several_people_are_minutes_that_cannot_be_told(
    box: pages.Box, anna: pages.Browser, me: str
) -> None:
    saw(box, NOON, looks={"neutral": 120}, seen=720, facing=120, several=600)
    assert "several people: cannot tell 10 min" in pages.text(anna.get("/log/day/2026-11-20"))


def test_the_day_on_which_the_clocks_go_back_has_an_hour_twice(
    box: pages.Box, anna: pages.Browser, me: str
) -> None:
    first = datetime(2026, 10, 25, 2, 15, tzinfo=BERLIN)
    saw(box, first, looks={"happiness": 500})
    saw(box, first.replace(fold=1), looks={"sadness": 500})
    answer = anna.get("/log/day/2026-10-25")
    text = pages.text(answer)
    assert answer.text.count("<g") >= 25
    assert "2:00 happiness" in text
    assert "2:00 (again) sadness" in text
    assert "The clocks were put back on this day: 2:00 to 3:00 comes twice." in text


def test_the_day_on_which_they_go_forward_is_shorter(
    box: pages.Box, anna: pages.Browser, me: str
) -> None:
    saw(box, datetime(2026, 3, 29, 12, tzinfo=BERLIN))
    text = pages.text(anna.get("/log/day/2026-03-29"))
    assert "The clocks were put forward on this day" in text
    assert " 2:00 not watched" not in text
    assert " 3:00 not watched" in text


def test_a_day_is_one_of_the_boxs_own_zone(box: pages.Box, anna: pages.Browser, me: str) -> None:
    saw(box, datetime(2026, 11, 19, 23, 30, tzinfo=UTC))
    assert "0:00 neutral" in pages.text(anna.get("/log/day/2026-11-20"))


def test_the_hours_to_come_are_neither_seen_nor_unwatched(
    box: pages.Box, anna: pages.Browser, me: str
) -> None:
    saw(box, datetime(2026, 11, 21, 10, tzinfo=BERLIN))
    text = pages.text(anna.get("/log"))
    assert "15:00 not watched" in text
    assert "16:00" not in text


def test_a_check_in_without_a_mood_or_for_another_day(
    box: pages.Box, anna: pages.Browser, me: str
) -> None:
    says(box, me, NOON, None, "joy")
    body = anna.get("/log/day/2026-11-20").text
    assert "no mood said" in body
    assert "/checkin?at=2026-11-20T12:00" in body
    assert "still to come" in anna.get("/log/day/2026-12-01").text


def test_a_check_in_keeps_the_time_at_which_it_was_lived(
    box: pages.Box, anna: pages.Browser, me: str
) -> None:
    says(box, me, NOON.replace(minute=20), 2)
    box.db.write(lambda db: settings.put(db, "zone", "Asia/Tokyo"))
    assert "bad 12:20" in pages.text(anna.get("/log/day/2026-11-20"))
    assert (
        ",2026-11-20,12:20,5,2026-11-20T11:20:00Z," in anna.post("/log/keeping/checkins.csv").text
    )


# ── what is unknown ──────────────────────────────────────────────────────────────────────────────


def undated(box: pages.Box, seconds: int = 3000) -> None:
    """A boot that never learned the time, between dated minutes of two others."""
    box.write("INSERT INTO boots VALUES (91, 'a'), (92, 'b'), (93, 'c')")
    for boot, utc, ok in (
        (91, datetime(2026, 11, 2, 8, tzinfo=BERLIN), 1),
        (92, datetime(1970, 1, 1, 1, tzinfo=BERLIN), 0),
        (93, datetime(2026, 11, 9, 8, tzinfo=BERLIN), 1),
    ):
        box.write(
            "INSERT INTO minutes (boot, minute, utc_ms, clock_ok, seconds, seen, facing, read, "
            f"{', '.join(EXPRESSIONS)}, valence) VALUES (?, 0, ?, ?, ?, ?, ?, ?, "
            "0, 0, 0, 0, 0, 0, ?, 0)",
            boot, home_log.utc_ms(utc), ok, *[seconds if boot == 92 else 60] * 5,
        )  # fmt: skip


def test_minutes_without_a_time_are_shown_between_their_dates(
    box: pages.Box, anna: pages.Browser, me: str
) -> None:
    undated(box)
    text = pages.text(anna.get("/log/week/2026-11-04"))
    assert "Time unknown: 50 min in the seat" in text
    assert "They lie between 2 Nov 2026, 08:01 and 9 Nov 2026, 08:00" in text
    assert "switched off before it learned the time" in text
    assert "Time unknown" not in anna.get("/log/week/2026-11-18").text


def test_those_of_this_boot_are_repaired_once_the_time_is_known(
    box: pages.Box, anna: pages.Browser, me: str
) -> None:
    undated(box)
    box.write("DELETE FROM minutes WHERE boot = 93")
    text = pages.text(anna.get("/log/day/2026-11-20"))
    assert "They lie after 2 Nov 2026" in text
    assert "Once the box learns the time" in text
    assert "The camera was off" not in text
    now = home_log.utc_ms(NOON)
    box.write("UPDATE minutes SET utc_ms = ?, clock_ok = 1 WHERE boot = 92", now)
    text = pages.text(anna.get("/log/day/2026-11-20"))
    assert "Time unknown" not in text
    assert "Seen in the seat 50 min" in text


def test_a_week_in_which_nobody_was_seen(box: pages.Box, anna: pages.Browser, me: str) -> None:
    saw(box, NOON, looks={})
    text = pages.text(anna.get("/log/week/2026-11-20"))
    assert "Nobody was seen all week" in text
    assert "The box watched for 15 min" in text
    assert "nobody seen · watched 15 min" in text


def test_a_week_in_which_nothing_was_watched_says_why_not_now(
    box: pages.Box, anna: pages.Browser, me: str
) -> None:
    box.daemon.health = replace(HEALTH, paused=True)
    text = pages.text(anna.get("/log/week/2026-11-20"))
    assert "Not watched this week" in text
    assert "Just now: Paused – the camera is off" in text
    assert "Just now" not in anna.get("/log/week/2026-11-01").text


def test_a_log_that_has_just_begun_does_not_say_that_the_camera_was_off(
    box: pages.Box, anna: pages.Browser, me: str
) -> None:
    box.daemon.health = replace(HEALTH, mandate="home")
    text = pages.text(anna.get("/log/week/2026-11-20"))
    assert "Nothing is written down yet" in text
    assert "The camera was off" not in text


def test_the_log_of_another_person_is_not_shown(
    box: pages.Box, anna: pages.Browser, me: str
) -> None:
    other = resident(box, "other")
    saw(box, NOON)
    says(box, other, NOON, 4)
    anna.post("/person", {"person": other})
    for url in URLS:
        text = pages.text(anna.get(url))
        assert "another person" in text, url
        assert "neutral, 62" not in text, url
    assert "good" in pages.text(anna.get("/log/day/2026-11-20"))
    assert "1 check-in on 1 day." in pages.text(anna.get("/log/year/2026"))
    assert "show=look" not in anna.get("/log/year/2026").text
    assert "20 Nov: good, 1 check-in" in anna.get("/log/year/2026?show=top").text


def test_nobody_agreed_yet(box: pages.Box, anna: pages.Browser) -> None:
    who = resident(box, "me")
    text = pages.text(anna.get("/log"))
    assert "nobody agreed to the home log" in text
    assert f"/clients/{who}/consents" in anna.get("/log").text
    assert "The log does not run" in pages.text(anna.get("/log/settings"))


def test_days_and_months_have_their_german_names(
    box: pages.Box, anna: pages.Browser, me: str
) -> None:
    saw(box, NOON)
    box.write("UPDATE users SET language = 'de'")
    assert "Freitag, 20. November 2026" in anna.get("/log/day/2026-11-20").text
    assert "20. Nov.:" in anna.get("/log/year/2026?show=seen").text
    for url in URLS:
        assert anna.get(url).status_code == 200


def test_the_log_is_not_a_therapists(box: pages.Box, me: str) -> None:
    assert box.browser("tom", "therapist").get("/log").status_code == 403


# ── week, month, year ────────────────────────────────────────────────────────────────────────────


def test_a_month_has_every_day_with_what_was_said_and_seen(
    box: pages.Box, anna: pages.Browser, me: str
) -> None:
    saw(box, NOON)
    says(box, me, NOON, 5, "joy")
    says(box, me, NOON.replace(hour=14), 4, "anxiety")
    body = anna.get("/log/month/2026-11").text
    assert body.count("/log/day/2026-11-") == 21, "the days to come are no links"
    assert 'data-mood="5"' in re.search(r"/log/day/2026-11-20.*?</a>", body, re.DOTALL)[0]  # type: ignore[index]
    text = pages.text(anna.get("/log/month/2026-11"))
    assert "2 check-ins on 1 day." in text
    assert "On average you said great (4.5 of 5), over 1 day with a mood." in text
    assert "Of 2 check-ins with emotions, 1 named a positive one and 1 a negative one." in text
    assert "too little to say" in text, "a quarter of an hour says nothing about a month"


@pytest.mark.parametrize(
    ("show", "mark", "title"),
    [
        ("said", 'data-mood="2"', "20 Nov: bad, 1 check-in"),
        ("look", 'data-mood="5"', "20 Nov: pleasant, read for 13 min"),
        ("top", 'data-expression="happiness"', "20 Nov: happiness, 75\xa0%, read for 13 min"),
        ("seen", 'data-amount="1"', "20 Nov: 13 min"),
    ],
)
def test_a_pixel_says_what_it_shows(
    box: pages.Box, anna: pages.Browser, me: str, show: str, mark: str, title: str
) -> None:
    saw(box, NOON, looks={"happiness": 600, "neutral": 200})
    says(box, me, NOON, 2)
    body = anna.get(f"/log/year/2026?show={show}").text
    assert f'href="/log/day/2026-11-20" {mark} title="{title}"></a>' in body
    assert body.count('href="/log/day/2026-0') == 273, "a link for every day of nine months"
    assert body.count("<i></i>") - body.count("<li><i></i>") == 40, "the rest of the year is none"
    assert body.count('class="month" href="/log/month/2026-') == 11, "December is to come"


def test_a_pixel_of_too_little_or_of_nobody_makes_no_claim(
    box: pages.Box, anna: pages.Browser, me: str
) -> None:
    saw(box, NOON, looks={"anger": 200})
    saw(box, NOON.replace(day=19), looks={})
    body = anna.get("/log/year/2026?show=top").text
    assert 'class="thin" title="20 Nov: too little to say, read for 3 min"' in body
    assert 'class="nobody" title="19 Nov: nobody seen"' in body
    assert '2026-11-18" title="18 Nov: not watched"' in body


def test_the_year_is_a_table_too(box: pages.Box, anna: pages.Browser, me: str) -> None:
    saw(box, NOON)
    says(box, me, NOON, 4)
    text = pages.text(anna.get("/log/year/2026"))
    assert "20 Nov good, 1 check-in neutral, 62 % 13 min" in text.replace("\xa0", " ")


def test_a_leap_year_and_a_full_one_stay_small(
    box: pages.Box, anna: pages.Browser, me: str
) -> None:
    def fill(db: Any) -> None:
        for n in range(366):
            day = date.fromordinal(date(2024, 1, 1).toordinal() + n)
            moment = datetime(day.year, day.month, day.day, 12, tzinfo=BERLIN)
            home_log.quarter(db, moment, {"happiness": 700})
            home_log.said(db, me, moment, 1 + n % 5)

    box.db.write(fill)
    answer = anna.get("/log/year/2024?show=top")
    assert "29 Feb: happiness" in answer.text
    assert len(answer.data) < 200_000
    assert "<i></i>" not in re.sub("<li>.*?</li>", "", answer.text)


@pytest.mark.parametrize(
    "url",
    [
        "/log/day/2026-02-30", "/log/day/yesterday", "/log/week/2026", "/log/month/2026-13",
        "/log/year/0000", "/log/year/9999", "/log/day/0001-01-01", "/log/jump?date=x",
    ],
)  # fmt: skip
def test_what_is_no_date_is_answered_with_a_sentence(
    anna: pages.Browser, me: str, url: str
) -> None:
    answer = anna.get(url)
    if url == "/log/week/2026":
        assert answer.status_code == 200, "a year is the week it begins with"
        return
    assert answer.status_code == 404
    assert "There is no such date. Write it like 2026-11-21" in pages.text(answer)


def test_the_way_to_the_neighbours_ends_today(anna: pages.Browser, me: str) -> None:
    body = anna.get("/log/day/2026-11-20").text
    assert '<a class="step" rel="prev" href="/log/day/2026-11-19"' in body
    assert '<a class="step" rel="next" href="/log/day/2026-11-21"' in body
    for url in ("/log", "/log/week/2026-11-21", "/log/month/2026-11", "/log/year/2026"):
        assert 'rel="next"' not in anna.get(url).text, url
    assert anna.get("/log/jump?date=2025-03-04&to=month").location == "/log/month/2025-03"
    assert anna.get("/log/jump?to=week").location == "/log/week/2026-11-16"
