"""The map in a real browser: a cell's moments beside it, or without a script on their own page."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

import pages
from mien import baseline
from mien.baseline import REFERENCE, Baseline
from mien.events import Expression
from mien_web import door
from served import PHONE, TABLET

pytestmark = pytest.mark.slow


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pages.Box]:
    for box in pages.box(tmp_path, monkeypatch):
        box.clock.advance(100_000)
        yield box


@pytest.fixture
def client(box: pages.Box) -> str:
    """A session in which work looks sadder than the rest, with a baseline; sleep is too short."""
    looks: list[Expression | None] = ["sadness", "neutral", "happiness", "neutral", None]
    key = box.client("K-17", "live", "numbers")
    session = box.session(key, 600)
    box.write("UPDATE sessions SET bundle = 'mien'")
    box.readings([looks[at // 5 % 2 + 2 * (at > 200)] for at in range(590)] + [None] * 10)
    for id, start, end in (("work", 0, 200), ("sleep", 300, 310), ("food", 400, 450)):
        box.write(
            "INSERT INTO keywords (id, user, text, used_utc) VALUES (?, ?, ?, 0)",
            id, box.user(), id,
        )  # fmt: skip
        box.write(
            "INSERT INTO tags VALUES (?, ?, ?, ?, ?, 0)",
            id, session, id, start * 1000, end * 1000,
        )  # fmt: skip
    made = Baseline("b", key, session, box.utc_ms, 28, "mien", REFERENCE, True)
    box.db.write(lambda db: baseline.add(db, made))
    return key


def opened(box: pages.Box, chromium: Browser, address: str, **options: Any) -> Page:
    cookie = box.browser().client.get_cookie(door.COOKIE)
    assert cookie
    context = chromium.new_context(viewport=options.pop("viewport", TABLET), **options)
    context.add_cookies([{"name": door.COOKIE, "value": cookie.value, "url": address}])
    return context.new_page()


def test_a_cell_opens_its_moments_beside_the_map(
    box: pages.Box, client: str, chromium: Browser, address: str
) -> None:
    page = opened(box, chromium, address)
    page.goto(f"{address}/clients/{client}/map")
    cell = page.get_by_role("row", name="work").get_by_role("link").nth(4)
    cell.click()
    beside = page.get_by_role("dialog")
    expect(beside.get_by_role("heading", name="work: sadness")).to_be_focused()
    expect(beside.get_by_text("looked like sadness 50 %")).to_be_visible()
    expect(beside.locator(".times a")).to_have_count(20)
    page.keyboard.press("Escape")
    expect(beside).to_be_hidden()
    expect(cell).to_be_focused()
    page.context.close()


def test_without_a_script_the_moments_are_a_page(
    box: pages.Box, client: str, chromium: Browser, address: str
) -> None:
    page = opened(box, chromium, address, java_script_enabled=False)
    page.goto(f"{address}/clients/{client}/map?show=difference")
    page.get_by_role("row", name="work").get_by_role("link").nth(4).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("work: sadness")
    page.get_by_role("link", name="Back to the map").click()
    expect(page.get_by_role("link", name="Difference from the rest")).to_have_attribute(
        "aria-current", "true"
    )
    page.context.close()


@pytest.mark.parametrize("theme", ["light", "dark", "night"])
def test_the_map_is_for_everybody(
    box: pages.Box, client: str, chromium: Browser, address: str, theme: str
) -> None:
    """No serious finding of axe, and nothing wider than a phone but the map's own sheet."""
    page = opened(box, chromium, address, viewport=PHONE if theme == "dark" else TABLET)
    box.write("UPDATE users SET theme = ?", theme)
    kept = f"{address}/clients/{client}"
    moments = f"{kept}/map/moments?topic=work&look=sadness"
    for url in (f"{kept}/map", f"{kept}/map?show=difference", moments, f"{kept}/baseline"):
        page.goto(url)
        found = Axe().run(page).response["violations"]
        serious = [one for one in found if one["impact"] in ("serious", "critical")]
        nodes = [(one["id"], node["html"]) for one in serious for node in one["nodes"][:3]]
        assert not nodes, (theme, url, nodes)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), url
    page.context.close()
