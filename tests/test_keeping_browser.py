"""Patterns, the month report, export and import in a real browser, on a phone and on a tablet, from
one box to another. Nothing serious is found by axe-core."""

import json
import subprocess
import zipfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect

import home_log
from mien.scripted import ScriptedDaemon
from served import PHONE, TABLET

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with home_log.served(tmp_path_factory.mktemp("first"), 90) as (address, _):
        yield address


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, ScriptedDaemon]]:
    """Another box, of which nothing is known yet."""
    with home_log.served(tmp_path_factory.mktemp("second"), 0) as box:
        yield box


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    context = chromium.new_context(viewport=PHONE, has_touch=True, locale="en-GB")
    context.set_default_timeout(20_000)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


def faults(page: Page) -> list[str]:
    """What axe-core finds serious or worse, scrolling sideways, and targets that are too small."""
    found = Axe().run(page).response["violations"]
    told = [
        f"{one['id']}: {node['html'][:120]}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    small = page.evaluate(
        """[...document.querySelectorAll("main :is(button, .button, .choose a, select)")]
        .filter(e => e.offsetParent && e.getBoundingClientRect().height < 44)
        .map(e => e.outerHTML.slice(0, 80))"""
    )
    return [*told, *([f"{wide} pixels too wide"] if wide > 0 else []), *small]


URLS = (
    "/patterns", "/patterns?period=30&show=negative", "/log/keeping",
    "/log/keeping/report?month={month}&part=mood&part=emotions&part=activities&part=seen&part=notes",
)  # fmt: skip


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_serious_on_any_page(page: Page, address: str, url: str, theme: str) -> None:
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    errors: list[str] = []
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    page.goto(address + url.format(month=month()))
    assert faults(page) == []
    page.set_viewport_size(TABLET)
    assert faults(page) == []
    assert errors == []


def month() -> str:
    return (datetime.now(home_log.BERLIN).date() - timedelta(1)).isoformat()[:7]


def test_patterns_by_tap(page: Page, address: str) -> None:
    page.goto(address + "/patterns")
    expect(page.get_by_role("heading", name="By hour")).to_be_visible()
    before = page.locator("section[aria-labelledby=hours] .point").count()
    assert before > 0
    page.get_by_role("link", name="Positive emotions").click()
    expect(page.locator("section[aria-labelledby=hours] td.num").first).to_contain_text("%")
    page.get_by_role("link", name="30 days").click()
    expect(page.get_by_role("link", name="30 days")).to_have_attribute("aria-current", "true")
    expect(page.get_by_role("link", name="Positive emotions")).to_have_attribute(
        "aria-current", "true"
    )


def test_the_report_is_read_and_then_made(page: Page, address: str, tmp_path: Path) -> None:
    page.goto(address + "/log/keeping")
    expect(page.get_by_label("Notes, word for word")).not_to_be_checked()
    page.get_by_label("Activities").uncheck()
    page.get_by_role("button", name="Read it first").click()
    expect(page.get_by_role("heading", name="This will be in the PDF")).to_be_visible()
    expect(page.get_by_text("A face is not a feeling", exact=False)).to_be_visible()
    expect(page.get_by_role("heading", name="Activities")).to_have_count(0)
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Make the PDF").click()
    file = tmp_path / "report.pdf"
    waiting.value.save_as(file)
    assert file.read_bytes().startswith(b"%PDF-")
    text = subprocess.run(["pdftotext", "-layout", file, "-"], capture_output=True, text=True)
    if not text.returncode:
        assert "Mood by day" in text.stdout
        assert "Difference of mood" not in text.stdout


def test_everything_from_one_box_to_another(
    page: Page, address: str, second: tuple[str, ScriptedDaemon], tmp_path: Path
) -> None:
    page.goto(address + "/log/keeping")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Everything (zip)").click()
    file = tmp_path / "everything.zip"
    waiting.value.save_as(file)
    with zipfile.ZipFile(file) as archive:
        told = json.loads(archive.read("everything.json"))
    said, rows = len(told["checkins"]), len(told["quarters"]["rows"])
    assert said > 50

    there, daemon = second
    page.goto(there + "/log/keeping")
    page.get_by_label("File").set_input_files(file)
    page.get_by_role("button", name="Look what is in it").click()
    expect(page.get_by_role("heading", name="This is in the file")).to_be_visible()
    expect(page.locator("dl.counts")).to_contain_text(str(said))
    assert faults(page) == []
    page.get_by_role("button", name="Take it over").click()
    expect(page.get_by_role("status")).to_contain_text(f"{said} check-ins were taken over.")
    assert len(daemon.imported) == rows

    page.goto(there + "/checkins")
    expect(page.locator("main")).to_contain_text("A long walk along the river")
    page.goto(there + "/patterns")
    expect(page.locator("section[aria-labelledby=hours] .point").first).to_be_visible()


def test_a_wrong_file_is_refused_in_words(page: Page, address: str, tmp_path: Path) -> None:
    file = tmp_path / "photo.zip"
    file.write_bytes(b"PK\x03\x04 not really")
    page.goto(address + "/log/keeping")
    page.get_by_label("File").set_input_files(file)
    page.get_by_role("button", name="Look what is in it").click()
    expect(page.get_by_text("broken or cut off", exact=False)).to_be_visible()
