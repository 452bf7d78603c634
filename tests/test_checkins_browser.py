"""Check-ins in a real browser, as a phone shows them: two taps, without Wi-Fi, later, by keys."""

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect

import pages
from mien import reminders, settings
from mien_web import door
from pages import Box
from served import PHONE
from test_checkin_import_page import DAYLIO, REPORTS
from test_checkins_page import resident
from test_session_browser import Ticking

pytestmark = pytest.mark.slow

ZONE = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 11, 21, 20, 1, tzinfo=ZONE).timestamp()


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Box]:
    monkeypatch.setattr(pages, "ManualClock", Ticking)
    for box in pages.box(tmp_path, monkeypatch):
        box.set("home")
        box.db.write(lambda db: settings.put(db, "zone", "Europe/Berlin"))
        box.clock.offset += NOON - box.clock.stamp().utc
        resident(box, "Anna")
        yield box
        for held in box.app.extensions.get("mien.diaries", {}).values():
            held.close()


Visit = Callable[..., Page]


@pytest.fixture
def visit(chromium: Browser, box: Box, address: str) -> Iterator[Visit]:
    contexts: list[BrowserContext] = []
    faults: list[str] = []

    def visit(path: str = "/checkin", **options: Any) -> Page:
        context = chromium.new_context(**{"viewport": PHONE, "has_touch": True, **options})
        contexts.append(context)
        cookie = box.browser("anna", "home").client.get_cookie(door.COOKIE)
        assert cookie
        context.add_cookies([{"name": door.COOKIE, "value": cookie.value, "url": address}])
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(address + path)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert faults == []


def rows(box: Box) -> list[Any]:
    return box.rows("SELECT mood, note, hour FROM checkins WHERE NOT deleted ORDER BY utc, id")


def until(right: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not right():
        assert time.monotonic() < end
        time.sleep(0.05)


def serious(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [one["id"] for one in found if one["impact"] in ("serious", "critical")]


def mood(page: Page, name: str) -> Any:
    return page.get_by_role("radio", name=name, exact=True)


def test_two_taps_and_undo(visit: Visit, box: Box) -> None:
    page = visit()
    mood(page, "good").tap()
    save = page.get_by_role("button", name="Save")
    expect(save).to_be_in_viewport()
    save.tap()
    expect(page.get_by_role("heading", name="Saved")).to_be_visible()
    assert rows(box) == [(4, "", 20)]
    page.get_by_role("button", name="Undo").tap()
    expect(page.get_by_text("The check-in was deleted.")).to_be_visible()
    assert rows(box) == []
    page.get_by_role("button", name="Undo").tap()
    expect(page.get_by_role("heading", name="It is back")).to_be_visible()


def test_without_wifi_and_later_with(visit: Visit, box: Box) -> None:
    page = visit()
    page.context.set_offline(True)
    mood(page, "bad").tap()
    page.get_by_label("Note").fill("on the train")
    page.get_by_role("button", name="Save").tap()
    expect(page.get_by_text("1 check-in is not saved yet")).to_be_visible()
    expect(mood(page, "bad")).not_to_be_checked()
    mood(page, "great").tap()
    page.get_by_role("button", name="Save").tap()
    expect(page.get_by_text("2 check-ins are not saved yet")).to_be_visible()
    assert rows(box) == []
    page.context.set_offline(False)
    expect(page.get_by_text("is saved now")).to_be_visible(timeout=20000)
    until(lambda: len(rows(box)) == 2)
    assert sorted(row[:2] for row in rows(box)) == [(2, "on the train"), (5, "")]


def test_an_answer_that_is_lost_makes_no_second_one(visit: Visit, box: Box) -> None:
    page = visit()
    lost = []

    def swallow(route: Any) -> None:
        route.fetch()
        lost.append(route.request)
        route.abort()

    page.route("**/checkin", swallow, times=1)
    mood(page, "so-so").tap()
    page.get_by_role("button", name="Save").tap()
    until(
        lambda: page.evaluate(
            "Object.keys(localStorage).every((k) => !k.startsWith('mien:checkin'))"
        )
    )
    assert len(lost) == 1
    assert [row[0] for row in rows(box)] == [3]


def test_who_goes_back_and_says_more_makes_a_second_one(visit: Visit, box: Box) -> None:
    """A browser may keep the page as it was left, with the id that was saved already."""
    page = visit()
    page.route("**/checkins/*", lambda route: route.abort("aborted"))
    for count, name in enumerate(("bad", "great"), 1):
        mood(page, name).tap()
        page.get_by_role("button", name="Save").tap()
        until(lambda count=count: len(rows(box)) == count)  # type: ignore[misc]
        expect(page.get_by_role("button", name="Saving …")).to_be_visible()
        page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
        expect(mood(page, name)).not_to_be_checked()
    assert sorted(row[0] for row in rows(box)) == [2, 5]


def test_a_draft_outlives_a_reload(visit: Visit) -> None:
    page = visit()
    mood(page, "good").tap()
    page.get_by_role("checkbox", name="gratitude").tap()
    page.get_by_label("Another one").fill("chess")
    page.get_by_role("button", name="Add").tap()
    page.get_by_label("Note").fill("half a")
    page.reload()
    expect(page.get_by_text("This is what you had entered before.")).to_be_visible()
    expect(mood(page, "good")).to_be_checked()
    expect(page.get_by_role("checkbox", name="gratitude")).to_be_checked()
    expect(page.get_by_role("checkbox", name="chess")).to_be_checked()
    expect(page.get_by_label("Note")).to_have_value("half a")
    page.get_by_role("button", name="Begin anew").tap()
    page.reload()
    expect(mood(page, "good")).not_to_be_checked()


def test_entered_later_and_what_cannot_be_is_said(visit: Visit, box: Box) -> None:
    page = visit("/checkin?at=2026-10-25T02:30")
    mood(page, "awful").tap()
    page.get_by_role("button", name="Save").tap()
    expect(page.get_by_text("Say which one")).to_be_visible()
    expect(mood(page, "awful")).to_be_checked()
    page.get_by_role("radio", name="the second 02:30").check()
    page.get_by_role("button", name="Save").tap()
    expect(page.get_by_role("heading", name="Saved")).to_be_visible()
    assert box.rows("SELECT mood, hour, utc % 86400000 / 60000 FROM checkins") == [(1, 2, 90)]


def test_by_keys_alone(visit: Visit, box: Box) -> None:
    page = visit(viewport={"width": 1280, "height": 800}, has_touch=False)
    mood(page, "great").focus()
    page.keyboard.press("ArrowRight")
    expect(mood(page, "good")).to_be_checked()
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(page.get_by_role("checkbox", name="pride")).to_be_checked()
    page.get_by_role("checkbox", name="none of these").press("Space")
    expect(page.get_by_role("checkbox", name="pride")).not_to_be_checked()
    page.get_by_label("Another one").press_sequentially("tea")
    page.keyboard.press("Enter")
    expect(page.get_by_role("checkbox", name="tea")).to_be_checked()
    page.get_by_role("button", name="Save").press("Enter")
    expect(page.get_by_role("heading", name="Saved")).to_be_visible()
    assert box.rows("SELECT mood, emotions FROM checkins") == [(4, 0)]


def test_another_person_is_chosen_by_keys_alone(visit: Visit, box: Box) -> None:
    for code in ("Ben", "Cleo"):
        resident(box, code)
    page = visit("/log", has_touch=False)
    sent: list[str] = []
    page.on("request", lambda said: sent.append(said.url) if said.method == "POST" else None)
    page.get_by_label("Person").focus()
    page.keyboard.press("ArrowDown")  # over Ben, whose log does not open on the way
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Person")).not_to_be_focused()
    expect(page.locator("#person option:checked")).to_have_text("Cleo")
    assert len(sent) == 1


def test_without_scripts(visit: Visit, box: Box) -> None:
    page = visit(java_script_enabled=False)
    mood(page, "good").check()
    page.get_by_label("Another one").fill("chess")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="Saved")).to_be_visible()
    assert [row[0] for row in rows(box)] == [4]


def test_a_diary_is_shown_brought_in_and_taken_back(visit: Visit, box: Box) -> None:
    page = visit("/log/import")
    page.get_by_label("CSV file").set_input_files(
        {"name": "daylio.csv", "mimeType": "text/csv", "buffer": DAYLIO.encode()}
    )
    page.get_by_role("button", name="Look at it").tap()
    expect(page.get_by_text("It holds 3 check-ins")).to_be_visible(timeout=20000)
    assert serious(page) == []
    page.get_by_label("splendid").select_option("great")
    page.get_by_role("button", name="Bring them in").tap()
    expect(page.get_by_text("3 added, 0 were there already")).to_be_visible(timeout=20000)
    page.get_by_role("button", name="Take back").tap()
    page.get_by_role("button", name="Delete them").tap()
    expect(page.get_by_text("3 check-ins were deleted")).to_be_visible(timeout=20000)
    assert rows(box) == []


def test_an_open_page_reminds_and_is_put_off(visit: Visit, box: Box) -> None:
    plan = reminders.Plan(on=True, times=["20:00"])
    who = box.rows("SELECT id FROM clients")[0][0]
    box.db.write(lambda db: reminders.put(db, who, plan))
    page = visit("/reminders")
    line = page.locator("#reminder")
    expect(line).to_contain_text("How are you?")
    assert serious(page) == []
    line.get_by_role("button", name="Not now").tap()
    expect(line).to_be_hidden()
    page.reload()
    page.wait_for_load_state("networkidle")
    expect(line).to_be_hidden()
    other = visit("/reminders")
    other.locator("#reminder").get_by_role("button", name="Later").tap()
    until(lambda: box.db.read(lambda db: reminders.plan(db, who)).snoozed_until_ms > 0)
    box.db.write(lambda db: reminders.put(db, who, plan))
    third = visit("/reminders")
    third.locator("#reminder").get_by_role("button", name="Check in").tap()
    expect(third.get_by_role("heading", name="How are you?")).to_be_visible()


@pytest.mark.parametrize("theme", ["light", "dark", "night"])
def test_nothing_serious_for_assistive_technology(visit: Visit, box: Box, theme: str) -> None:
    anna = box.browser("anna", "home")
    anna.post("/checkin", {"mood": "4", "emotion": ["joy", "anger"], "new": "tea", "note": "n"})
    box.write("UPDATE users SET theme = ?", theme)
    for path in ("/checkin", "/checkins", "/checkins/activities", "/reminders", "/log/import"):
        page = visit(path)
        assert serious(page) == [], path
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= PHONE["width"], path


def test_each_mood_fits_its_card_in_german(visit: Visit) -> None:
    page = visit(locale="de-DE")
    for name in ("miserabel", "schlecht"):
        card = page.locator(".mood", has_text=name)
        card.click()  # chosen, too
        expect(card.get_by_role("radio")).to_be_checked()
        word = card.locator("span")
        inside = "word => word.getBoundingClientRect().width <= word.parentElement.clientWidth"
        assert word.evaluate(inside), name


def test_the_form_of_published_reports(visit: Visit, box: Box) -> None:
    page = visit("/log/import")
    page.get_by_label("CSV file").set_input_files(
        {"name": "reports.csv", "mimeType": "text/csv", "buffer": REPORTS.encode()}
    )
    page.get_by_role("button", name="Look at it").tap()
    page.get_by_label("Whose reports are yours?").select_option("id:u1")
    page.get_by_role("button", name="Bring them in").tap()
    expect(page.get_by_text("3 added")).to_be_visible(timeout=20000)
