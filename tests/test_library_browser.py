"""The library in a real browser: a folder goes in, labels change and change back."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

import pages
from library_samples import face
from mien_web import door
from served import TABLET

pytestmark = pytest.mark.slow


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pages.Box]:
    (tmp_path / "box").mkdir()
    for box in pages.box(tmp_path / "box", monkeypatch):
        yield box
        if running := box.app.extensions.get("mien.jobs"):
            running.close()


@pytest.fixture
def page(box: pages.Box, address: str, chromium: Browser) -> Iterator[Page]:
    """A tablet on which Anna is signed in; none of its pages may complain on its console."""
    complaints: list[str] = []
    cookie = box.browser().client.get_cookie(door.COOKIE)
    assert cookie
    context = chromium.new_context(viewport=TABLET, base_url=address)
    context.add_cookies([{"name": door.COOKIE, "value": cookie.value, "url": address}])
    page = context.new_page()
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else 0)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    context.close()
    assert complaints == []


def serious(page: Page) -> list[str]:
    """What axe-core finds serious or worse on this page."""
    found = Axe().run(page).response["violations"]
    return [one["id"] for one in found if one["impact"] in ("serious", "critical")]


def test_a_folder_goes_in_and_labels_change_and_change_back(page: Page, tmp_path: Path) -> None:
    for number, name in enumerate(["happy", "happy", "sad"]):
        folder = tmp_path / "faces" / name
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"{number}.png"), face(number))
    page.goto("/library")
    expect(page.get_by_text("Faces that tell how often the box is right")).to_be_visible()
    page.get_by_role("link", name="Add pictures").click()
    assert serious(page) == []
    page.get_by_label("Or a folder").set_input_files(tmp_path / "faces")
    expect(page.get_by_text("3 files,")).to_be_visible()
    page.get_by_label("Where they are from").fill("drawn for a test")
    page.get_by_role("checkbox").check()
    page.get_by_role("button", name="Add to the library").click()
    expect(page.get_by_text("new in the library", exact=True)).to_be_visible(timeout=60_000)
    assert serious(page) == []
    page.get_by_role("link", name="See them").click()
    assert serious(page) == []

    faces = page.locator(".face")
    expect(faces).to_have_count(3)
    expect(page.get_by_role("button", name="Apply")).to_be_disabled()
    page.get_by_role("button", name="Tick all here").click()
    expect(page.get_by_text("3 ticked")).to_be_visible()
    page.get_by_label("Label", exact=True).select_option("surprise")
    page.get_by_role("button", name="Apply").click()
    expect(faces.filter(has_text="surprise")).to_have_count(3)
    page.get_by_role("button", name="Undo").click()
    expect(faces.filter(has_text="happiness")).to_have_count(2)
    expect(faces.filter(has_text="sadness")).to_have_count(1)

    faces.first.click()
    page.get_by_role("button", name="Delete …").click()
    expect(page.get_by_role("heading", name="Delete 1 picture?")).to_be_visible()
    assert serious(page) == []
    page.get_by_role("button", name="Delete 1 picture").click()
    expect(faces).to_have_count(2)
