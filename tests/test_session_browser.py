"""The session page in a real browser: taps, without Wi-Fi too, on two tablets, by keys."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect

import pages
import samples
from mien.clock import ManualClock, Stamp
from mien_web import door
from pages import Box
from served import PHONE, TABLET
from test_session_page import FACE, now

BEGAN = time.monotonic()

pytestmark = pytest.mark.slow


class Ticking(ManualClock):
    """Runs like that of the browser, whose taps tell their age."""

    def monotonic(self) -> float:
        return self.now + time.monotonic() - BEGAN

    def stamp(self, monotonic: float | None = None) -> Stamp:
        return super().stamp(self.monotonic() if monotonic is None else monotonic)


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Box]:
    monkeypatch.setattr(pages, "ManualClock", Ticking)
    for box in pages.box(tmp_path, monkeypatch):
        box.daemon.show(samples.HAPPY, b"")
        yield box


Visit = Callable[..., Page]


@pytest.fixture
def visit(chromium: Browser, box: Box, address: str) -> Iterator[Visit]:
    """Opens the running session, or a new one, in a fresh browser that is signed in as anna."""
    contexts: list[BrowserContext] = []
    faults: list[str] = []

    def visit(**options: Any) -> Page:
        context = chromium.new_context(**{"viewport": TABLET, **options})
        contexts.append(context)
        sign_in(context, box, address)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        running = box.rows("SELECT id FROM sessions")
        if running:
            page.goto(f"{address}/sessions/{running[0][0]}/live")
        else:
            page.goto(f"{address}/clients/{box.client('K-17', 'live', 'numbers', 'pictures')}")
            page.get_by_role("button", name="Start a session").click()
        expect(page.locator("#timer")).to_be_visible()
        return page

    yield visit
    for context in contexts:
        context.close()
    assert faults == []


def sign_in(context: BrowserContext, box: Box, address: str) -> None:
    cookie = box.browser().client.get_cookie(door.COOKIE)
    assert cookie
    context.add_cookies([{"name": door.COOKIE, "value": cookie.value, "url": address}])


def topic(page: Page, text: str) -> None:
    """Type a topic; it is on at once."""
    page.get_by_label("A new topic").fill(text)
    page.keyboard.press("Enter")
    expect(chip(page, text)).to_have_attribute("aria-pressed", "true")


def chip(page: Page, text: str) -> Any:
    return page.locator("[data-does=toggle]").filter(has_text=text)


def saved(page: Page) -> None:
    expect(page.locator("#unsaved")).to_be_hidden()


def test_topics_notes_a_face_undo_and_stop(visit: Visit, box: Box) -> None:
    page = visit()
    topic(page, "Mother")
    topic(page, "Work")
    chip(page, "Mother").click()
    expect(chip(page, "Mother")).to_have_attribute("aria-pressed", "false")
    page.get_by_role("button", name="A moment: Work").click()
    expect(page.locator("#last")).to_have_text("Work: a moment")
    saved(page)
    assert len(box.rows("SELECT * FROM tags WHERE NOT deleted")) == 3

    for last in ("Taken back: Work: a moment", "Taken back: Mother: off"):
        page.get_by_role("button", name="Undo").click()
        expect(page.locator("#last")).to_have_text(last)
    expect(chip(page, "Mother")).to_have_attribute("aria-pressed", "true")

    page.get_by_role("textbox", name="Note").fill("Looked at the window")
    page.get_by_role("textbox", name="Note").blur()
    expect(page.locator("#note-saved")).to_have_text("Saved")
    page.get_by_role("button", name="Next note").click()
    expect(page.locator("#notes")).to_contain_text("Looked at the window")

    box.daemon.face = msgspec.structs.replace(FACE, **now(box))
    page.get_by_role("button", name="Capture").click()
    expect(page.locator("#seen")).to_contain_text("Expression looks like happiness, 62 %")
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#seen")).to_be_hidden()
    saved(page)
    assert box.rows("SELECT deleted FROM captures") == [(1,)]

    expect(page.locator("#word")).to_have_text("Expression looks like happiness, 62 %")
    page.get_by_role("button", name="Hide", exact=True).click()
    expect(page.locator("#word")).to_be_hidden()
    page.reload()
    expect(page.get_by_role("button", name="Show the expressions")).to_be_visible()
    expect(chip(page, "Mother")).to_have_attribute("aria-pressed", "true")

    page.get_by_role("button", name="Stop").dblclick()  # as fingers do: it stops nothing
    expect(page.locator("#over")).to_be_hidden()
    page.get_by_role("button", name="Tap again to stop").click()
    expect(page.get_by_role("heading", name="The session is over")).to_be_visible()
    saved(page)
    assert box.rows("SELECT ended FROM sessions") == [("stopped",)]
    expect(chip(page, "Mother")).to_be_hidden()


def test_without_wifi_taps_are_kept_and_sent_once(visit: Visit, box: Box) -> None:
    page = visit()
    topic(page, "Mother")
    saved(page)
    where = page.locator("#chips").bounding_box()
    page.get_by_role("button", name="Exclude").click()
    page.context.set_offline(True)
    page.get_by_role("button", name="Undo").click()
    page.get_by_role("button", name="Exclude").click()
    expect(page.get_by_text("Taps are kept here and sent later.")).to_be_visible()
    expect(page.locator("#unsaved")).to_be_visible()
    assert page.locator("#chips").bounding_box() == where, "nothing moves under a finger"
    page.get_by_role("button", name="Undo").click()
    chip(page, "Mother").click()
    topic(page, "The exam")
    expect(chip(page, "Mother")).to_have_attribute("aria-pressed", "false")
    expect(page.locator("#unsaved")).to_have_text("6 not yet saved")
    expect(page.get_by_text("Taps are kept here and sent later.")).to_be_visible()
    expect(page.get_by_role("button", name="Capture")).to_be_disabled()
    assert len(box.rows("SELECT * FROM tags")) == 1

    page.context.set_offline(False)
    saved(page)
    expect(page.get_by_text("Taps are kept here and sent later.")).to_be_hidden()
    rows = box.rows(
        "SELECT text, to_ms IS NULL FROM tags JOIN keywords k ON k.id = keyword ORDER BY from_ms"
    )
    assert rows == [("Mother", 0), ("The exam", 1)]
    assert page.evaluate("Object.keys(localStorage).filter((k) => k.startsWith('mien:tap:'))") == []


def test_a_queue_outlives_the_page_and_a_log_in(visit: Visit, box: Box, address: str) -> None:
    page = visit()
    topic(page, "Mother")
    saved(page)
    box.write("DELETE FROM logins")
    chip(page, "Mother").click()
    expect(page.get_by_text("You are not signed in any more.")).to_be_visible()
    expect(page.locator("#unsaved")).to_have_text("1 not yet saved")
    page.goto(f"{address}/about")
    sign_in(page.context, box, address)
    page.goto(f"{address}/sessions/{box.rows('SELECT id FROM sessions')[0][0]}/live")
    saved(page)
    expect(chip(page, "Mother")).to_have_attribute("aria-pressed", "false")
    assert box.rows("SELECT to_ms IS NULL FROM tags") == [(0,)]


def test_a_tap_before_the_tablet_slept_keeps_its_time(visit: Visit, box: Box) -> None:
    page = visit()
    expect(page.get_by_label("A new topic")).to_be_enabled()  # the script is there
    page.context.set_offline(True)
    topic(page, "Mother")
    page.evaluate("const now = Date.now; Date.now = () => now() + 600_000")  # ticks stood still
    box.clock.advance(600)
    page.context.set_offline(False)
    saved(page)
    assert box.rows("SELECT from_ms FROM tags")[0][0] < 60_000
    # Nor does the strip tell what was seen before as the last two minutes.
    expect(page.locator("#ribbon li:nth-last-child(n+100)[data-expression]")).to_have_count(0)

    page.context.set_offline(True)
    chip(page, "Mother").click()
    page.evaluate("Date.now = () => 0")  # the tablet's clock is set back
    box.clock.advance(5)
    page.context.set_offline(False)
    saved(page)
    assert box.rows("SELECT to_ms FROM tags")[0][0] > 600_000


def test_tabs_that_count_alike_lose_no_tap(visit: Visit) -> None:
    assert (
        visit().evaluate(
            """async () => {
            const tabs = [await import("/static/queue.js?a"), await import("/static/queue.js?b")];
            for (const tab of tabs) {
                localStorage.setItem("mien:tap-number", "7");
                tab.keep("elsewhere", { id: tab.id(), kind: "here" });
            }
            return tabs[0].waiting("elsewhere").length;
        }"""
        )
        == 2
    )


def test_a_box_that_cannot_save_says_why_and_holds_up_no_other_session(
    visit: Visit, box: Box
) -> None:
    page = visit()
    full = "<main><h1>No</h1><p>The disk is full.</p></main>"
    page.route("**/taps", lambda route: route.fulfill(status=503, body=full))
    topic(page, "Mother")
    expect(page.locator("#door")).to_contain_text(
        "The disk is full. Taps are kept here and sent later."
    )
    page.unroute("**/taps")
    saved(page)
    page.evaluate("localStorage.setItem('mien:tap:old:000000000001:tab', '{\"kind\": \"here\"}')")
    page.route("**/sessions/old/taps", lambda route: route.fulfill(status=500, body=full))
    page.reload()
    topic(page, "Work")
    saved(page)
    assert len(box.rows("SELECT * FROM tags")) == 2


def test_two_tablets_come_to_the_same(visit: Visit, box: Box) -> None:
    one, two = visit(), visit()
    topic(one, "Mother")
    expect(chip(two, "Mother")).to_have_attribute("aria-pressed", "true")
    two.get_by_role("button", name="Exclude").click()
    expect(one.locator("#excluded")).to_be_visible()
    one.context.set_offline(True)
    chip(one, "Mother").click()
    chip(two, "Mother").click()
    topic(two, "mother ")  # the same topic, typed again: on again
    one.context.set_offline(False)
    for page in (one, two):
        saved(page)
    expect(two.locator("[data-does=toggle]")).to_have_count(1)
    for page in (one, two):
        expect(chip(page, "Mother")).to_have_attribute("aria-pressed", "true")
    two.get_by_role("button", name="Stop").click()
    two.get_by_role("button", name="Tap again to stop").click()
    expect(one.get_by_role("heading", name="The session is over")).to_be_visible()


def test_keys_edit_mode_and_the_pause(visit: Visit, box: Box) -> None:
    page = visit()
    topic(page, "Mother")
    page.locator("body").click(position={"x": 640, "y": 640})
    page.keyboard.press("1")
    expect(chip(page, "Mother")).to_have_attribute("aria-pressed", "false")
    page.keyboard.press("x")
    expect(page.locator("#excluded")).to_be_visible()
    page.keyboard.press("u")
    expect(page.locator("#excluded")).to_be_hidden()
    page.keyboard.press("n")
    expect(page.get_by_role("textbox", name="Note")).to_be_focused()

    page.get_by_role("button", name="Edit the list").click()
    page.get_by_label("Topic", exact=True).fill("Parents")
    page.get_by_role("button", name="Rename").click()
    page.get_by_role("button", name="Hide", exact=True).first.click()
    page.get_by_role("button", name="Done").click()
    expect(page.locator("[data-does=toggle]")).to_have_count(0)
    saved(page)
    assert box.rows("SELECT text, hidden FROM keywords") == [("Parents", 1)]

    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#camera")).to_have_text("Paused – the camera is off")
    page.get_by_role("button", name="Go on").click()
    expect(page.locator("#camera")).not_to_have_text("Paused – the camera is off")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [TABLET, PHONE], ids=["tablet", "phone"])
def test_it_fits_can_be_touched_and_read(
    visit: Visit, box: Box, size: dict[str, int], scheme: str
) -> None:
    page = visit(viewport=size, color_scheme=scheme)
    for text in ("Mother", "Sleep and the long nights before the exam"):
        topic(page, text)
    chip(page, "Mother").click()
    page.get_by_role("button", name="Exclude").click()
    saved(page)
    assert page.evaluate("document.documentElement.scrollWidth") == size["width"]
    for target in page.locator("main :is(button, a, summary, input):visible").all():
        bounds = target.bounding_box()
        assert bounds
        assert bounds["height"] >= 48, target
    found = Axe().run(page).response["violations"]
    assert [one["id"] for one in found if one["impact"] in ("serious", "critical")] == []


def test_a_neutral_face_from_the_last_half_minute(visit: Visit, box: Box) -> None:
    page = visit()
    page.get_by_role("button", name="neutral face").click()
    expect(page.locator("#problem")).to_contain_text("0 could be read")
    box.clock.advance(60)
    box.readings(["neutral"] * 40)
    page.get_by_role("button", name="neutral face").click()
    expect(page.locator("#last")).to_contain_text("The neutral face is recorded")
    assert box.rows("SELECT count(*) FROM baselines WHERE active")[0][0] == 1
