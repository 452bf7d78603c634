"""First run, lock and log-in in a real browser, with axe-core on each page."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Error, Page, expect

import pages
from mien import firstrun
from pages import Box
from served import PHONE, TABLET

WORDS = "four unrelated plain words"

pytestmark = pytest.mark.slow


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Box]:
    yield from pages.box(tmp_path, monkeypatch)


@pytest.fixture
def page(address: str, chromium: Browser) -> Iterator[Page]:
    context = chromium.new_context(base_url=address, viewport=TABLET)
    yield context.new_page()
    context.close()


def sound(page: Page) -> None:
    """Nothing serious in axe-core's eyes, no scrolling sideways on a phone, targets large enough,
    in all four choices of colours."""
    for theme in ("light", "dark", "night"):
        page.evaluate("theme => document.documentElement.dataset.theme = theme", theme)
        found = Axe().run(page).response["violations"]
        assert [v["id"] for v in found if v["impact"] in ("serious", "critical")] == [], theme
    page.set_viewport_size(PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    for target in page.locator("button, .top a, summary, .desk a, select").all():
        bounds = target.bounding_box()
        assert not bounds or bounds["height"] >= 48, target
    page.set_viewport_size(TABLET)


def nobody_there(box: Box, page: Page, seconds: float) -> None:
    """Time passes; then the tablet is looked at again."""
    box.clock.advance(seconds)
    try:
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    except Error as error:
        # It asked by itself meanwhile, and goes to the lock screen already.
        if "navigation" not in str(error):
            raise


def test_from_the_first_run_to_the_lock_screen(box: Box, page: Page, tmp_path: Path) -> None:
    box.set(None)
    page.goto("/")
    expect(page).to_have_url("/welcome")
    expect(page.get_by_label("At a workplace")).to_be_disabled()
    sound(page)
    page.get_by_role("textbox", name="Code", exact=True).fill("AAAA-AAAA")
    page.get_by_label("In a clinic").check()
    page.get_by_label("Name", exact=True).fill("anna")
    page.get_by_label("Passphrase").fill(WORDS)
    page.get_by_label("Once more").fill(WORDS)
    page.get_by_role("button", name="Set up this box").click()
    expect(page.get_by_role("alert")).to_contain_text("This is not the code")
    sound(page)
    page.get_by_role("textbox", name="Code", exact=True).fill(firstrun.code(tmp_path).lower())
    page.get_by_label("Passphrase").fill(WORDS)
    page.get_by_label("Once more").fill(WORDS)
    page.get_by_role("button", name="Set up this box").click()
    expect(page).to_have_url("/clients")

    for path in ("/box", "/users", "/users/1", "/audit", "/me"):
        page.goto(path)
        sound(page)
    page.get_by_label("New PIN").fill("2580")
    page.get_by_label("Your passphrase").fill(WORDS)
    page.get_by_role("button", name="Save the PIN").click()
    expect(page.get_by_text("The PIN is set.")).to_be_visible()

    page.goto("/audit?action=signed-in")
    nobody_there(box, page, 9 * 60 + 10)
    warning = page.get_by_text("The screen locks in a minute.")
    expect(warning).to_be_visible()
    page.mouse.click(600, 700)
    expect(warning).to_be_hidden()
    nobody_there(box, page, 601)
    expect(page).to_have_url("/lock?next=%2Faudit%3Faction%3Dsigned-in")
    sound(page)
    page.get_by_label("PIN of anna").fill("2580")
    page.get_by_role("button", name="Unlock").click()
    expect(page).to_have_url("/audit?action=signed-in")

    page.locator(".who summary").click()
    page.get_by_role("button", name="Night").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "night")
    expect(page).to_have_url("/audit?action=signed-in")
    page.locator(".who summary").click()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Sign out")).to_be_hidden()
    page.locator(".who summary").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url("/login")
    sound(page)
    page.get_by_label("Passphrase", exact=True).fill(WORDS)
    page.get_by_label("Show the passphrase").check()
    expect(page.get_by_label("Passphrase", exact=True)).to_have_attribute("type", "text")


def test_a_phone_shows_which_page_of_the_menu_this_is(box: Box, page: Page) -> None:
    box.set("demo")  # whose menu has all entries, in more than one row's width
    page.set_viewport_size(PHONE)
    page.goto("/about")
    expect(page.locator("nav [aria-current]")).to_be_in_viewport(ratio=0.9)
    assert page.evaluate("scrollY") == 0


def test_it_can_be_put_on_a_home_screen(box: Box, page: Page) -> None:
    page.goto("/about")
    manifest = page.evaluate(
        """async () => {
          const link = document.querySelector("link[rel=manifest]").href;
          const manifest = await (await fetch(link)).json();
          const sizes = await Promise.all(manifest.icons.map(async ({ src }) => {
            const picture = await createImageBitmap(await (await fetch(new URL(src, link))).blob());
            return `${picture.width}x${picture.height}`;
          }));
          return { ...manifest, sizes };
        }"""
    )
    assert manifest["display"] == "standalone"
    assert manifest["sizes"] == [icon["sizes"] for icon in manifest["icons"]]
    assert {"192x192", "512x512"} <= set(manifest["sizes"])
