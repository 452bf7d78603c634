"""The review pages in a real browser: zoom, choose, drag, label by key, and without a script."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from msgspec import structs
from playwright.sync_api import Browser, Page, expect

import pages
from mien import captures
from mien.events import EXPRESSIONS, Expression
from mien_web import door
from served import PHONE, TABLET
from test_captures import SHOT

SHIFTED = """new Promise((done) => {
    let sum = 0;
    new PerformanceObserver((list) => list.getEntries().forEach((one) => { sum += one.value; }))
        .observe({ type: "layout-shift", buffered: true });
    requestAnimationFrame(() => setTimeout(() => done(sum)));
})"""
"""How far what is shown has moved by itself (web.dev/articles/cls)."""

pytestmark = pytest.mark.slow


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    for box in pages.box(tmp_path, monkeypatch):
        box.clock.advance(100_000)
        yield box


@pytest.fixture
def session(box: pages.Box) -> str:
    """Ten minutes: a minute of each look, and what cannot be told; one topic, three captures."""
    looks: list[Expression | None] = [*EXPRESSIONS, None, "neutral", "happiness"]
    key = box.session(box.client("K-17", "live", "numbers", "pictures"), 600)
    box.readings([look for look in looks for _ in range(60)])
    box.write(
        "INSERT INTO keywords (id, user, text, used_utc) VALUES ('k', ?, 'mother', 0)", box.user()
    )
    box.write(
        "INSERT INTO tags (id, session, keyword, from_ms, to_ms) "
        "VALUES ('tag', ?, 'k', 120000, 300000)",
        key,
    )
    face = np.full((320, 320, 3), 120, np.uint8)
    shot = structs.replace(
        SHOT,
        face=cv2.imencode(".jpg", face)[1].tobytes(),
        crop=cv2.imencode(".png", face[:48, :48, 0])[1].tobytes(),
        maps=bytes(range(28)),
    )
    for k in range(3):
        box.db.write(lambda db, k=k: captures.add(db, f"cap{k}", key, 90_000 * k, shot))  # type: ignore[misc]
    return key


@pytest.fixture
def opened(box: pages.Box, address: str, chromium: Browser) -> Iterator[Any]:
    """A function that opens a page signed in; at the end it looks for complaints and leaks."""
    contexts, complaints = [], []

    def open_page(path: str, viewport: Any = TABLET, **options: Any) -> Page:
        cookie = box.browser().client.get_cookie(door.COOKIE)
        assert cookie
        context = chromium.new_context(viewport=viewport, **options)
        context.add_cookies([{"name": door.COOKIE, "value": cookie.value, "url": address}])
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda said: (
                complaints.append(said.text) if said.type in ("error", "warning") else None
            ),
        )
        page.goto(address + path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def at(page: Page, minute: float, y: float) -> tuple[float, float]:
    """Where on the screen a minute of the ten lies while all of them are shown."""
    box = page.locator("#picture").bounding_box()
    assert box
    return box["x"] + box["width"] * minute / 10, box["y"] + y


def test_the_cursor_says_what_was_seen(session: str, opened: Any) -> None:
    page = opened(f"/sessions/{session}")
    readout = page.locator("#readout")
    page.mouse.move(*at(page, 2.5, 80))
    expect(readout).to_have_text("2:30 · Expression looks like fear, 76 % · topics: mother")
    page.mouse.move(*at(page, 7.5, 80))
    expect(readout).to_have_text("7:30 · cannot tell: turned away · no topic")
    slider = page.get_by_label("Moment")
    slider.focus()
    slider.press("ArrowRight")
    expect(slider).to_have_attribute("aria-valuetext", "7:31 · cannot tell: turned away · no topic")


def test_zoom_by_button_wheel_and_key(session: str, opened: Any) -> None:
    page = opened(f"/sessions/{session}")
    ticks = page.locator(".axis text")
    expect(ticks.first).to_have_text("0:00")
    page.get_by_role("button", name="Zoom in").click()
    expect(ticks.first).to_have_text("2:30")
    page.get_by_role("button", name="Later").click()
    expect(ticks.first).to_have_text("5:00")
    page.get_by_role("button", name="Whole session").click()
    expect(ticks.first).to_have_text("0:00")
    page.mouse.move(*at(page, 9, 80))
    page.keyboard.down("Control")
    page.mouse.wheel(0, -200)
    page.keyboard.up("Control")
    expect(ticks.first).not_to_have_text("0:00")
    page.get_by_label("Moment").press("0")
    expect(ticks.first).to_have_text("0:00")


def test_two_fingers_zoom_and_one_pans(session: str, opened: Any) -> None:
    page = opened(f"/sessions/{session}", PHONE, has_touch=True)
    ticks = page.locator(".axis text")
    expect(ticks.first).to_have_text("0:00")
    device = page.context.new_cdp_session(page)

    def touch(kind: str, *minutes: float) -> None:
        places = [at(page, minute, 80) for minute in minutes]
        device.send(
            "Input.dispatchTouchEvent",
            {"type": kind, "touchPoints": [{"x": x, "y": y} for x, y in places]},
        )

    touch("touchStart", 4, 6)
    for step in range(1, 9):
        touch("touchMove", 4 - step / 4, 6 + step / 4)
    touch("touchEnd")
    expect(ticks.first).not_to_have_text("0:00")
    before = ticks.first.text_content()
    touch("touchStart", 2)
    for step in range(1, 9):
        touch("touchMove", 2 + step / 2)
    touch("touchEnd")
    expect(ticks.first).not_to_have_text(before or "")


def test_a_link_to_a_moment_opens_it(session: str, opened: Any) -> None:
    page = opened(f"/sessions/{session}#t=450")
    expect(page.locator("#readout")).to_contain_text("7:30 · cannot tell: turned away")
    expect(page.locator(".axis text").first).to_have_text("6:30")


def test_a_stretch_is_drawn_excluded_and_taken_back(
    box: pages.Box, session: str, opened: Any
) -> None:
    page = opened(f"/sessions/{session}")
    page.get_by_role("button", name="Choose a stretch").click()
    page.mouse.move(*at(page, 1, 80))
    page.mouse.down()
    page.mouse.move(*at(page, 2, 80), steps=4)
    page.mouse.up()
    page.get_by_role("button", name="Exclude this stretch").click()
    expect(page.get_by_text("no longer counts.")).to_be_visible()
    ((start, stop),) = box.rows("SELECT from_ms, to_ms FROM exclusions WHERE NOT deleted")
    assert (start, stop) == (pytest.approx(60_000, abs=2000), pytest.approx(120_000, abs=2000))
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("Undone.")).to_be_visible()
    assert box.rows("SELECT * FROM exclusions WHERE NOT deleted") == []


def test_the_end_of_a_topic_is_dragged(box: pages.Box, session: str, opened: Any) -> None:
    page = opened(f"/sessions/{session}")
    page.mouse.move(*at(page, 5, 238))
    page.mouse.down()
    page.mouse.move(*at(page, 7, 238), steps=4)
    page.mouse.up()
    expect(page.get_by_text("The topic now lasts from 2:00 to 7:")).to_be_visible()
    ((start, stop),) = box.rows("SELECT from_ms, to_ms FROM tags")
    assert (start, stop) == (120_000, pytest.approx(420_000, abs=4000))


def test_a_drag_that_is_broken_off_changes_nothing(
    box: pages.Box, session: str, opened: Any
) -> None:
    page = opened(f"/sessions/{session}")
    page.mouse.move(*at(page, 5, 238))
    page.mouse.down()
    page.mouse.move(*at(page, 7, 238), steps=4)
    page.locator(".grip").nth(0).dispatch_event("pointercancel")  # of the other end: of no matter
    page.locator(".grip").nth(1).dispatch_event("pointercancel")
    page.mouse.move(*at(page, 8, 238))
    page.mouse.up()
    expect(page.locator(".tag")).to_have_attribute("data-to", "300000")
    assert box.rows("SELECT from_ms, to_ms FROM tags") == [(120_000, 300_000)]


def test_without_a_script_the_picture_and_the_forms_are_there(
    box: pages.Box, session: str, opened: Any
) -> None:
    page = opened(f"/sessions/{session}", java_script_enabled=False)
    expect(page.locator("#band path[data-piece=fear]")).to_have_attribute(
        "d", "M120 0H180V100H120z"
    )
    expect(page.locator(".tools")).to_be_hidden()
    page.locator("#stretch [name=from]").fill("0:10")
    page.locator("#stretch [name=to]").fill("0:20")
    page.get_by_role("button", name="Exclude this stretch").click()
    assert box.rows("SELECT from_ms, to_ms FROM exclusions") == [(10_000, 20_000)]


def test_labels_by_key_and_where_the_network_looked(
    box: pages.Box, session: str, opened: Any
) -> None:
    page = opened(f"/sessions/{session}/captures")
    page.keyboard.press("5")
    expect(page.get_by_text("You: looks like sadness.")).to_be_visible()
    page.wait_for_load_state()  # a key counts once the script of the new page runs
    page.keyboard.press("c")
    expect(page.get_by_text("You: looks like fear.")).to_be_visible()
    page.wait_for_load_state()
    page.keyboard.press("0")
    expect(page.get_by_text("You: cannot tell either.")).to_be_visible()
    assert box.rows("SELECT capture, expression FROM corrections ORDER BY id") == [
        ("cap0", 4), ("cap1", 2), ("cap2", None)
    ]  # fmt: skip
    card = page.locator(".capture").first
    card.get_by_role("button", name="Where it looked").click()
    expect(card.get_by_text("warm = spoke for")).to_be_visible()
    assert card.locator("canvas").evaluate(
        "c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(v => v > 0)"
    )


@pytest.mark.parametrize("viewport", [TABLET, PHONE], ids=["tablet", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_serious_for_axe_and_nothing_sticks_out(
    session: str, opened: Any, viewport: Any, scheme: str
) -> None:
    for path in (f"/sessions/{session}", f"/sessions/{session}/captures", "/agreement"):
        locale = "de-DE" if scheme == "dark" else "en-GB"
        page = opened(path, viewport, color_scheme=scheme, locale=locale)
        assert page.evaluate(SHIFTED) < 0.02, "nothing jumps while it loads"
        found = Axe().run(page).response
        assert found["passes"]
        assert [(v["id"], v["nodes"][0]["html"]) for v in found["violations"]] == []
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
