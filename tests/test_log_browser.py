"""The log of a home in a real browser: by keyboard from day to day, through week, month and year,
and its settings; on a phone and on a tablet. Nothing serious is found by axe-core."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect

import home_log
from served import PHONE, TABLET

URLS = ("/log", "/log/week", "/log/month", "/log/year", "/log/year?show=top", "/log/settings")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with home_log.served(tmp_path_factory.mktemp("home"), 90) as (address, _):
        yield address


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    context = chromium.new_context(
        viewport=PHONE,
        has_touch=True,
        locale="en-GB",
        timezone_id="Asia/Tokyo",  # type: ignore[arg-type]
    )
    context.set_default_timeout(20_000)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


def press(page: Page, key: str, url: str) -> None:
    page.keyboard.press(key)
    page.wait_for_url(url)


def test_by_keyboard_from_day_to_day_and_from_the_year_to_a_day(page: Page, address: str) -> None:
    today = datetime.now(home_log.BERLIN).date()
    yesterday, before = today - timedelta(1), today - timedelta(2)
    page.goto(address + "/log")
    press(page, "ArrowLeft", f"**/log/day/{yesterday}")
    expect(page.locator(".said li").last).to_contain_text("great")
    expect(page.locator(".said li").last).to_contain_text("Apples.")
    press(page, "ArrowLeft", f"**/log/day/{before}")
    press(page, "ArrowRight", f"**/log/day/{yesterday}")
    page.get_by_role("link", name="Today").click()
    page.wait_for_url(f"**/log/day/{today}")
    page.keyboard.press("ArrowRight")  # there is no tomorrow yet
    expect(page.locator("h1")).to_contain_text(str(today.year))
    assert page.url.endswith(str(today))
    tabs = page.get_by_role("navigation", name="Pages of the log")
    for name in ("Week", "Month", "Year"):
        tabs.get_by_role("link", name=name, exact=True).click()
        expect(tabs.locator("[aria-current]")).to_have_text(name)
    page.goto(f"{address}/log/year/{yesterday.year}?show=top")
    page.get_by_role("link", name=re.compile(rf"^{yesterday:%-d %b}: happiness")).click()
    page.wait_for_url(f"**/log/day/{yesterday}")


def test_a_date_is_jumped_to_and_arrows_stay_in_its_field(page: Page, address: str) -> None:
    page.goto(address + "/log/month")
    page.get_by_label("Go to a date").click()
    field = page.get_by_label("Date", exact=True)
    field.fill("2025-03-09")
    field.press("ArrowLeft")
    field.press("Enter")
    page.wait_for_url("**/log/month/2025-03")
    expect(page.get_by_role("heading", name="Not watched this month")).to_be_visible()


def test_quiet_hours_and_the_zone_of_this_device(page: Page, address: str) -> None:
    page.goto(address + "/log/settings")
    page.get_by_label("Saturday").uncheck()
    page.get_by_label("Sunday").uncheck()
    page.get_by_label("From").fill("23:15")
    page.get_by_label("To").fill("06:45")
    page.get_by_role("button", name="Add", exact=True).click()
    row = page.locator(".quiet-list li")
    expect(row).to_have_text(re.compile(r"23:15–06:45\s+Mon to Fri\s+ends the next day"))
    page.get_by_role("button", name="Take that of this device: Asia/Tokyo").click()
    expect(page.locator("#zone")).to_have_value("Asia/Tokyo")
    page.locator(".zone-form").get_by_role("button", name="Save").click()
    now = datetime.now(home_log.BERLIN).astimezone(home_log.ZoneInfo("Asia/Tokyo"))
    expect(page.locator("#own-zone")).to_be_hidden()
    assert f"{now:%H:}" in page.locator("#zone-title + p").inner_text()
    page.locator("#zone").select_option("Europe/Berlin")
    page.locator(".zone-form").get_by_role("button", name="Save").click()
    page.get_by_role("button", name="Remove 23:15 to 06:45").click()
    expect(page.get_by_text("There are none: the log may run day and night.")).to_be_visible()


@pytest.mark.parametrize(
    ("url", "theme"),
    [
        *((url, "light") for url in (*URLS, "yesterday")),
        *((url, "dark") for url in ("/log/year?show=top", "yesterday")),
        *((url, "night") for url in ("/log/month", "yesterday")),
    ],
)
def test_nothing_grave_is_found_and_nothing_sticks_out(
    page: Page, address: str, url: str, theme: str
) -> None:
    yesterday = datetime.now(home_log.BERLIN).date() - timedelta(1)
    page.goto(address + (f"/log/day/{yesterday}" if url == "yesterday" else url))
    page.evaluate("name => document.documentElement.dataset.theme = name", theme)
    for details in page.locator("main details").all():
        details.evaluate("it => it.open = !it.classList.contains('jump')")
    sizes = (PHONE, TABLET) if theme == "light" else (PHONE,)
    for size in sizes:
        page.set_viewport_size(size)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), size
        found = Axe().run(page).response["violations"]
        grave = [
            f"{one['id']} – {one['help']}: {node['html'][:160]}"
            for one in found
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"]
        ]
        assert not grave, "\n".join(grave[:12])


def test_what_is_touched_is_large_enough(page: Page, address: str) -> None:
    """44 px; but for the pixels of a year and the days of a month, which have 24."""
    for url in URLS:
        page.goto(address + url)
        small = page.evaluate(
            """() => [...document.querySelectorAll('main :is(a, button, select, summary, input)')]
              .filter(it => it.type !== 'hidden' && it.checkVisibility())
              .map(it => [it, it.getBoundingClientRect()])
              .filter(([it, r]) => r.width && !it.closest('.foot, p.soft') &&
                r.height < (it.closest('.pixels') ? 24 : 44))
              .map(([it, r]) => it.outerHTML.slice(0, 80) + ' ' + r.height)"""
        )
        assert not small, small


def test_every_tab_is_in_sight_on_a_small_phone(chromium: Browser, address: str) -> None:
    context = chromium.new_context(viewport={"width": 360, "height": 740}, locale="de-DE")
    page = context.new_page()
    page.goto(address + "/log/settings")
    assert page.evaluate(
        "(it => it.scrollWidth <= it.clientWidth)(document.querySelector('.tabs'))"
    )
    context.close()
