"""The model pages in a real browser: a head is fitted and used, the library is read."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect

import pages
from mien.bundle import load_bundle, shipped_bundle
from mien_web import door
from served import PHONE, TABLET

pytestmark = pytest.mark.slow
BUNDLE = load_bundle(shipped_bundle())
with np.load(BUNDLE.path / "known_answer.npz") as _known:
    CROPS = [cv2.imencode(".png", image)[1].tobytes() for image in _known["images"]]
    FACES = [cv2.imencode(".jpg", image)[1].tobytes() for image in _known["images"]]
    MEANT = [int(logits.argmax()) for logits in _known["logits"]]


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pages.Box]:
    yield from pages.box(tmp_path, monkeypatch)


@pytest.fixture
def client(box: pages.Box) -> str:
    """Twelve captures and twelve pictures of the library, one of which is labelled wrongly."""
    client = box.client("K-17", "live", "pictures", "training")
    sessions = [box.session(client, 60) for _ in range(3)]
    for n, (crop, face, meant) in enumerate(zip(CROPS, FACES, MEANT, strict=True)):
        box.write(
            "INSERT INTO captures (id, session, at_ms, face, crop, probabilities, bundle) "
            "VALUES (?, ?, ?, ?, ?, zeroblob(28), 'older')",
            f"c{n}", sessions[n % 3], n, face, crop,
        )  # fmt: skip
        box.write(
            "INSERT INTO corrections (capture, expression, user, utc) VALUES (?, ?, 'anna', 0)",
            f"c{n}", n % 2 * 6,
        )  # fmt: skip
        box.write(
            "INSERT INTO pictures (sha256, dhash, source, name, color, width, height, "
            "expression, face, crop, quality, added_utc) "
            "VALUES (?, '0', 'web', ?, 'gray', 48, 48, ?, ?, ?, 1, 0)",
            str(n), f"face-{n}.png", meant if n else (meant + 1) % 7, face, crop,
        )  # fmt: skip
    return client


@pytest.fixture
def opened(box: pages.Box, address: str, chromium: Browser) -> Iterator[Any]:
    """A function that opens a page signed in; at the end, none may have complained."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def open_page(path: str, **options: Any) -> Page:
        cookie = box.browser().client.get_cookie(door.COOKIE)
        assert cookie
        context = chromium.new_context(**{"viewport": TABLET, **options})
        contexts.append(context)
        context.add_cookies([{"name": door.COOKIE, "value": cookie.value, "url": address}])
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda said: complaints.append(said.text) if said.type == "error" else None,
        )
        page.goto(address + path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def check(page: Page) -> None:
    """Nothing that axe finds, nothing wider than the screen."""
    found = Axe().run(page).response["violations"]
    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found] == []
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= page.viewport_size["width"]  # type: ignore[index]


def test_a_head_is_fitted_used_and_left(box: pages.Box, client: str, opened: Any) -> None:
    page = opened(f"/clients/{client}/head")
    page.get_by_label("Pull towards the bundle").fill("5")
    check(page)
    page.get_by_role("button", name="Fit a head").click()
    expect(page.locator(".head")).to_have_count(1, timeout=60_000)
    if page.get_by_label("I know that it was not better").count():
        page.get_by_label("I know that it was not better").check()
    page.get_by_role("button", name="Activate").click()
    expect(page.get_by_text("K-17 is read with this head from now on.")).to_be_visible()
    assert box.rows("SELECT active FROM heads") == [(1,)]
    page.get_by_text("Details", exact=True).click()
    check(page)
    page.get_by_role("button", name="Go back to the bundle’s own layer").click()
    expect(page.get_by_text("with the bundle’s own layer again")).to_be_visible()
    assert box.rows("SELECT active FROM heads") == [(0,)]


@pytest.mark.usefixtures("client")
def test_the_library_is_read_on_a_phone_in_the_dark(opened: Any) -> None:
    page = opened("/model/predictions", viewport=PHONE, color_scheme="dark")
    page.get_by_role("button", name="Read 12 pictures").click()
    expect(page.locator(".confusion")).to_have_count(1, timeout=60_000)
    expect(page.get_by_text("all were read by mien-fer-2")).to_be_visible()
    check(page)


def test_the_card_with_all_its_parts_open(opened: Any) -> None:
    for options in ({}, {"viewport": PHONE, "color_scheme": "dark"}):
        page = opened("/model", **options)
        for summary in page.locator("main summary").all():
            summary.click()
        check(page)
