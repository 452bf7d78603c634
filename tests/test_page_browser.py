"""The live page in a real browser, as the real process, over a real socket to a scripted daemon."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest
from matplotlib.cbook import get_sample_data
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    expect,
)

import samples
import served
from mien.clock import SystemClock
from mien.config import Store as StoreConfig
from mien.control import ControlServer
from mien.events import EXPRESSIONS, Live, Part, Turn
from mien.preview import jpeg
from mien.scripted import ScriptedDaemon
from mien.store import Store
from samples import HEALTH, PROBABILITIES
from served import PHONE, TABLET

pytestmark = pytest.mark.slow

OK = HEALTH.parts
READING = msgspec.structs.replace(samples.READING, box=(150, 90, 200, 220), turn=Turn(24, -4, 2))
HAPPY = msgspec.structs.replace(
    samples.HAPPY,
    frame=0,
    width=512,
    height=600,
    readings=[READING],
    episode_s=42.0,
    note="Demo: a portrait is playing.",
)
DARK = msgspec.structs.replace(
    HAPPY,
    readings=[msgspec.structs.replace(READING, label=None, reason="too dark")],
    expression=None,
    reason="too dark",
    episode=None,
    episode_s=None,
)
EMPTY = msgspec.structs.replace(
    DARK, readings=[], reason=None, probabilities=dict.fromkeys(EXPRESSIONS, 0.0)
)


class Box:
    """The scripted daemon with a camera in front of it: frames come until it is switched off."""

    def __init__(self, folder: Path) -> None:
        portrait = cv2.imread(str(get_sample_data("grace_hopper.jpg", asfileobj=False)))
        self.picture = jpeg(np.asarray(portrait, np.uint8))
        self.daemon = ScriptedDaemon(HEALTH)
        self.server = ControlServer(folder / "control.sock", self.daemon, poll_s=0.01)
        self.live: Live | None = HAPPY
        self._frame = 0
        self._off = threading.Event()
        self._camera = threading.Thread(target=self._film)

    def start(self) -> None:
        self.server.start()
        self._camera.start()

    def stop(self) -> None:
        self._off.set()
        self._camera.join(10)
        self.server.stop()

    def _film(self) -> None:
        while not self._off.wait(1 / 15):
            if self.live and not self.daemon.health.paused:
                self._frame += 1
                self.daemon.show(
                    msgspec.structs.replace(self.live, frame=self._frame), self.picture
                )


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    box = Box(tmp_path)
    box.start()
    yield box
    box.stop()


@pytest.fixture
def address(tmp_path: Path, box: Box) -> Iterator[str]:
    store = Store.open(tmp_path, SystemClock(), StoreConfig())
    store.set_up("demo")  # asks for no log-in
    store.close()
    with served.outside(tmp_path) as address:
        yield address


@pytest.fixture
def visit(chromium: Browser, address: str) -> Iterator[Callable[..., Page]]:
    """Opens the page in a fresh browser; in the end, none may have complained on its console."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def listen(said: ConsoleMessage) -> None:
        if said.type == "error":
            complaints.append(said.text)

    def visit(path: str = "/", **options: Any) -> Page:
        context = chromium.new_context(**{"viewport": TABLET, **options})
        contexts.append(context)
        page = context.new_page()
        page.on("console", listen)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(address + path)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert complaints == []


Visit = Callable[..., Page]


def expect_live(page: Page, timeout: float = 10_000) -> None:
    """The server's first view also says "Live"; a box is drawn only by the script."""
    expect(page.locator("#overlay .box").first).to_be_attached(timeout=timeout)
    expect(page.locator("#pill")).to_have_text("Live")


def pixel_sum(page: Page) -> int:
    """Zero when the canvas is black."""
    return int(
        page.evaluate(
            """() => {
              const canvas = document.getElementById("picture");
              const pen = canvas.getContext("2d");
              const { data } = pen.getImageData(0, 0, canvas.width, canvas.height);
              let sum = 0;
              for (let at = 0; at < data.length; at += 4) sum += data[at];
              return sum;
            }"""
        )
    )


def test_it_follows_what_happens_in_the_seat(visit: Visit, box: Box) -> None:
    page = visit()
    title = page.locator("#title")
    expect(title).to_have_text("Expression looks like happiness, 62 %")
    expect(page.locator("#overlay .box.read")).to_have_count(1)
    expect(page.locator("#overlay")).to_have_attribute("viewBox", "0 0 512 600")
    expect(page.locator("#note")).to_have_text("Demo: a portrait is playing.")
    expect(page.locator("#head")).to_have_text("24° right")
    expect(page.locator("#episode")).to_have_text("Happiness42 s")
    expect(page.locator("li.leading .share")).to_have_text("62 %")
    expect_live(page)
    assert pixel_sum(page) > 0

    unmeasured = msgspec.structs.replace(READING, turn=Turn(0, 0, 0))
    box.live = msgspec.structs.replace(HAPPY, readings=[unmeasured])
    expect(page.locator("#head")).to_have_text("–")
    expect(page.locator("#overlay .nose")).to_have_count(0)

    box.live = DARK
    expect(title).to_have_text("Cannot tell: too dark")
    expect(page.locator("#advice")).to_contain_text("Light the face from the front")
    expect(page.locator("#overlay .box.unread")).to_have_count(1)
    expect(page.locator("li.leading")).to_have_count(0)

    box.live = EMPTY
    expect(title).to_have_text("No one in the seat")
    expect(page.locator("#people")).to_have_text("0")
    expect(page.locator("#overlay .box")).to_have_count(0)


def test_it_follows_in_german(visit: Visit, box: Box) -> None:
    page = visit(locale="de-DE")
    title = page.locator("#title")
    expect_live(page)
    expect(title).to_have_text("Ausdruck sieht aus nach: Freude, 62 %")
    expect(page.locator("#announce")).to_have_text("Ausdruck sieht aus nach: Freude")
    expect(page.locator("#head")).to_have_text("24° rechts")
    expect(page.locator("#episode")).to_have_text("Freude42 s")
    expect(page.locator("#facing")).to_have_text("84 %der letzten Minute")
    box.live = DARK
    expect(title).to_have_text("Nicht erkennbar: zu dunkel")
    expect(page.locator("#advice")).to_contain_text("Beleuchten Sie das Gesicht von vorn")
    page.get_by_role("button", name="Pause").click()
    expect(title).to_have_text("Pause – die Kamera ist aus")
    expect(page).to_have_title("Pausiert – Mien")
    expect(page.get_by_role("button", name="Fortsetzen")).to_be_visible()
    box.server.stop()
    expect(title).to_have_text("Der Dienst antwortet nicht; neuer Versuch läuft")
    expect(page.locator(".parts")).to_contain_text("starten Sie ihn mit „mien run“")
    box.server.start()


def test_pause_takes_the_picture_away_and_resume_brings_it_back(visit: Visit, box: Box) -> None:
    page = visit()
    other = visit()
    expect_live(page)
    expect_live(other)
    page.get_by_role("button", name="Pause").click()
    for each in (page, other):
        expect(each.locator("#title")).to_have_text("Paused – the camera is off")
        expect(each.locator("#picture")).to_be_hidden()
        expect(each).to_have_title("Paused – Mien")
        assert pixel_sum(each) == 0
    assert box.daemon.health.paused

    other.get_by_role("button", name="Resume").click()
    for each in (page, other):
        expect(each.locator("#title")).to_contain_text("happiness")
        expect(each.get_by_role("button", name="Pause")).to_be_visible()
    assert not box.daemon.health.paused


@pytest.mark.parametrize("key", ["p", " "])
def test_one_key_pauses(visit: Visit, box: Box, key: str) -> None:
    page = visit()
    expect_live(page)
    page.keyboard.press(key)
    resume = page.get_by_role("button", name="Resume")
    expect(resume).to_be_focused()
    assert page.evaluate("document.activeElement.matches(':focus-visible')")
    page.keyboard.press(key)
    expect(page.get_by_role("button", name="Pause")).to_be_focused()
    expect_live(page)


def test_a_camera_that_closes_slowly_is_not_called_off_too_early(visit: Visit, box: Box) -> None:
    closed = threading.Event()
    at_once = box.daemon.set_paused

    def slowly(paused: bool) -> None:
        at_once(paused)
        closed.wait(20)

    box.daemon.set_paused = slowly  # type: ignore[method-assign]
    page = visit()
    expect_live(page)
    page.get_by_role("button", name="Pause").dblclick()
    expect(page.locator("#title")).to_have_text("Closing the camera …")
    expect(page.locator("#picture")).to_be_hidden()
    assert pixel_sum(page) == 0
    closed.set()
    expect(page.locator("#title")).to_have_text("Paused – the camera is off")
    page.get_by_role("button", name="Resume").click()
    expect_live(page)


def test_pause_works_without_javascript(visit: Visit, box: Box) -> None:
    page = visit(java_script_enabled=False)
    expect(page.locator("#title")).to_contain_text("happiness")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#title")).to_have_text("Paused – the camera is off")
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("#title")).not_to_contain_text("Paused")


def test_a_service_that_goes_and_comes_back(visit: Visit, box: Box) -> None:
    page = visit()
    expect_live(page)
    box.server.stop()
    expect(page.locator("#title")).to_have_text("The service does not answer; trying again")
    expect(page.get_by_role("button")).to_be_disabled()
    expect(page.locator("#picture")).to_be_hidden()
    expect(page.locator(".parts")).to_contain_text("start it with “mien run”")
    box.server.start()
    expect_live(page)
    expect(page.get_by_role("button", name="Pause")).to_be_enabled()


def test_a_camera_that_goes(visit: Visit, box: Box) -> None:
    page = visit()
    expect_live(page)
    missing = Part("camera", "failed", "No camera was found.", "Plug one in.")
    box.daemon.health = msgspec.structs.replace(HEALTH, status="failed", parts=[missing])
    box.daemon.no_camera = "no camera was found; plug one in"
    expect(page.locator("#title")).to_have_text("No picture from the camera")
    expect(page.locator("#advice")).to_have_text("No camera was found; plug one in.")
    expect(page.locator("#health summary")).to_have_text("1 thing needs attention")
    expect(page.get_by_text("Plug one in.", exact=True)).to_be_visible()


def test_one_viewer_too_many_is_told_and_reload_keeps_the_place(visit: Visit, box: Box) -> None:
    pages = [visit() for _ in range(4)]
    for page in pages:
        expect_live(page)
    late = visit()
    expect(late.locator("#title")).to_have_text("Other screens are watching")
    for _ in range(3):
        pages[0].reload()
        expect_live(pages[0])
    pages[1].close()
    expect_live(late, timeout=15_000)


def test_a_screen_reader_is_not_flooded(visit: Visit, box: Box) -> None:
    page = visit()
    spoken = page.locator("#announce")
    expect(spoken).to_have_text("Expression looks like happiness")
    box.live = DARK
    expect(page.locator("#title")).to_have_text("Cannot tell: too dark")
    expect(spoken).to_have_text("Expression looks like happiness")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [TABLET, PHONE], ids=["tablet", "phone"])
def test_it_fits_and_can_be_touched(
    visit: Visit, box: Box, size: dict[str, int], scheme: str
) -> None:
    page = visit(viewport=size, color_scheme=scheme)
    expect_live(page)
    assert page.evaluate("document.documentElement.scrollWidth") == size["width"]
    if size is TABLET:  # everything at a glance
        assert page.evaluate("document.documentElement.scrollHeight") == size["height"]
    page.locator(".who summary").click()
    for target in page.locator("button, a, summary").all():
        bounds = target.bounding_box()
        assert bounds
        assert bounds["height"] >= 48, target
    button = page.get_by_role("button", name="Pause").bounding_box()
    assert button
    assert button["y"] + button["height"] <= size["height"]


def test_all_seven_bars_move_to_their_share(visit: Visit, box: Box) -> None:
    page = visit(reduced_motion="reduce")
    expect_live(page)
    widths = page.evaluate(
        """() => [...document.querySelectorAll(".track")].map((track) => {
          const [whole, bar] = [track, track.firstChild].map((e) => e.getBoundingClientRect());
          return (bar.right - whole.left) / whole.width;
        })"""
    )
    assert widths == pytest.approx(list(PROBABILITIES.values()), abs=0.02)


def test_about(visit: Visit) -> None:
    page = visit("/about")
    expect(page.get_by_role("heading", level=1)).to_have_text("A face is not a feeling")
    page.get_by_role("link", name="Back to the live view").click()
    expect_live(page)
