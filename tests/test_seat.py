"""The seat wizard: the states of its camera, what may be saved, and the wizard in a browser."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from playwright.sync_api import Browser, Page, expect

import pages
import samples
from mien import settings as kept
from mien.config import Seat
from mien.events import Turn
from mien.preview import jpeg
from mien_web import door
from served import TABLET

VIEWER = "0123456789abcdef"
SQUARE = [[0.1, 0.1], [0.4, 0.1], [0.4, 0.9], [0.1, 0.9]]
AIMED = msgspec.structs.replace(
    samples.HAPPY,
    frame=7,
    expression=None,
    readings=[msgspec.structs.replace(samples.READING, label=None, turn=Turn(12, -4, 2))],
)


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pages.Box]:
    yield from pages.box(tmp_path, monkeypatch)


def saved(box: pages.Box) -> Seat | None:
    seat: Seat | None = box.db.read(lambda db: kept.get(db, "seat", Seat))
    return seat


def seat(**changes: object) -> str:
    return json.dumps({"client": SQUARE, "masked": [SQUARE], "far": False, **changes})


def state(box: pages.Box, browser: pages.Browser) -> str:
    answer = browser.get(f"/seat/picture?viewer={VIEWER}")
    return str(answer.json["state"]) if answer.is_json and answer.json else answer.mimetype


def test_the_camera_is_aimed_while_the_page_asks(box: pages.Box) -> None:
    browser = box.browser()
    assert browser.get("/seat").status_code == 200
    assert box.daemon.aimed_s == 0, "to look at the page opens no camera"
    assert browser.post("/seat/aim").json == {
        "state": "starting", "title": "Looking …", "sentence": "The first picture is on its way."
    }  # fmt: skip
    assert box.daemon.aimed_s == 15
    box.daemon.show(AIMED, b"jpeg")
    answer = browser.get(f"/seat/picture?viewer={VIEWER}")
    assert (answer.data, answer.headers["Mien-Frame"]) == (b"jpeg", "7")
    assert json.loads(answer.headers["Mien-Live"])["readings"][0]["label"] is None
    browser.post("/seat/aim", {"end": "1"})
    assert box.daemon.aimed_s == 0


def test_a_picture_that_nobody_may_take_from_another_site(box: pages.Box) -> None:
    browser = box.browser()
    assert browser.get("/seat/picture?viewer=me").status_code == 400
    assert browser.client.post("/seat/aim").status_code == 403, "without the form's token"
    assert box.app.test_client().get("/seat", headers=pages.SAME).status_code in (303, 403)


def test_paused_session_no_camera_and_no_service_are_told(box: pages.Box) -> None:
    browser = box.browser()
    box.daemon.set_paused(True)
    assert state(box, browser) == "paused"
    answer = browser.post("/seat/aim").json
    assert answer
    assert answer["title"] == "Paused – the camera is off"
    box.daemon.set_paused(False)
    box.daemon.health = msgspec.structs.replace(box.daemon.health, mandate="session")
    answer = browser.post("/seat/aim").json
    assert answer
    assert answer["state"] == "session"
    assert "Stop the session first." in pages.text(browser.get("/seat"))
    box.daemon.health = msgspec.structs.replace(box.daemon.health, mandate=None)
    box.daemon.no_camera = "there is no camera"
    assert state(box, browser) == "no-picture"
    box.server.stop()
    assert state(box, browser) == "lost"
    assert "The service does not answer" in pages.text(browser.get("/seat"))


def test_more_viewers_than_may_see_no_picture(box: pages.Box) -> None:
    browser = box.browser()
    box.daemon.show(AIMED, b"jpeg")
    for number in range(box.config.page.viewers):
        browser.get(f"/seat/picture?viewer={number:016x}")
    assert state(box, browser) == "busy"


def test_the_seat_is_saved_for_the_daemon(box: pages.Box) -> None:
    browser = box.browser()
    answer = browser.post("/seat", {"seat": seat()})
    assert answer.status_code == 303
    assert "The seat is saved." in pages.text(browser.get(answer.location))
    corners = [(x, y) for x, y in SQUARE]
    assert saved(box) == Seat(client=corners, masked=[corners], far=False)
    assert box.daemon.refreshed == 1
    ((action, detail),) = box.rows("SELECT action, detail FROM audit")
    assert (action, json.loads(detail)) == (
        "seat.saved", {"client": True, "masked": 1, "far": False}
    )  # fmt: skip


def test_a_clinic_masks_a_seat_or_says_that_nobody_works_there(box: pages.Box) -> None:
    browser = box.browser()
    answer = browser.post("/seat", {"seat": seat(masked=[])})
    assert answer.status_code == 400
    assert "Mask your own seat" in pages.text(answer)
    assert browser.post("/seat", {"seat": seat(masked=[]), "alone": "1"}).status_code == 303
    box.set("home")
    assert browser.post("/seat", {"seat": seat(client=None, masked=[])}).status_code == 303
    assert saved(box) == Seat()


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        ("", "could not be read"),
        ("[]", "could not be read"),
        (seat(client=[[0, 0], [1, 1]]), "at least three"),
        (seat(masked=[[[0, 0], [1, 0], [2, 1]]]), "every corner must lie in the picture"),
        (seat(masked=[SQUARE] * 9), "Up to 8 seats"),
        (seat(client=SQUARE * 7), "24 corners"),
        (seat(client=[[0.1, 0.1], [0.11, 0.1], [0.1, 0.11]]), "too small to hold a face"),
    ],
)
def test_what_is_no_seat_is_refused_with_a_sentence(box: pages.Box, sent: str, why: str) -> None:
    answer = box.browser().post("/seat", {"seat": sent})
    assert answer.status_code == 400
    assert why in pages.text(answer)
    assert saved(box) is None


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.recursive(
        st.none() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.just("client"), inner),
        max_leaves=12,
    )
)
def test_whatever_is_sent_is_a_seat_or_refused(box: pages.Box, sent: object) -> None:
    browser = box.browser()
    answer = browser.post("/seat", {"seat": json.dumps(sent), "alone": "1"})
    assert answer.status_code in (303, 400)


# ── in a browser ─────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def wizard(box: pages.Box, address: str, chromium: Browser) -> Iterator[Page]:
    """The open wizard, with a camera before the scripted daemon."""
    token = box.browser().client.get_cookie(door.COOKIE)
    assert token
    picture = jpeg(np.full((720, 1280, 3), 120, np.uint8))
    off = threading.Event()

    def film() -> None:
        frame = 0
        while not off.wait(0.05):
            if box.daemon.health.mandate == "aim":
                frame += 1
                box.daemon.show(msgspec.structs.replace(AIMED, frame=frame), picture)

    filming = threading.Thread(target=film)
    filming.start()
    context = chromium.new_context(viewport=TABLET)
    context.add_cookies([{"name": door.COOKIE, "value": token.value, "url": address}])
    page = context.new_page()
    said: list[str] = []
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(f"{address}/seat")
    page.wait_for_selector("main[data-state=live]")
    yield page
    context.close()
    off.set()
    filming.join()
    assert said == []


@pytest.mark.slow
def test_a_seat_is_drawn_with_mouse_and_keys_and_saved(box: pages.Box, wizard: Page) -> None:
    expect(wizard.locator("#advice")).to_contain_text("Good where you sit")
    expect(wizard.locator("[data-metres='2'] b")).to_have_text("200 pixels – good")
    wizard.check("[name=metres][value='1']")
    expect(wizard.locator("[data-metres='2'] b")).to_have_text("100 pixels – good")
    expect(wizard.locator("[data-gauge=turn] b")).to_have_text("12° – good")
    wizard.click("#mark")
    wizard.click("#add")
    handle = wizard.locator(".handle").first.bounding_box()
    assert handle
    assert min(handle["width"], handle["height"]) >= 48

    shape = wizard.locator(".shape.masked").bounding_box()
    assert shape
    x, y = shape["x"] + shape["width"] / 2, shape["y"] + shape["height"] / 2
    wizard.mouse.move(x, y)
    wizard.mouse.down()
    wizard.mouse.move(x - 400, y, steps=4)  # further than the picture goes
    wizard.mouse.up()
    wizard.locator(".handle").first.focus()
    wizard.keyboard.press("Shift+ArrowLeft")
    wizard.keyboard.press("ArrowUp")
    expect(wizard.locator("#unsaved")).to_have_text("Not saved yet.")
    wizard.click("#save")
    expect(wizard.locator(".flash").last).to_contain_text("The seat is saved.")
    drawn = saved(box)
    assert drawn
    assert drawn.client
    assert drawn.client[0] == (0.25, 0.145)
    assert min(x for x, _ in drawn.masked[0]) == 0, "it stays in the picture, whole"
    assert drawn.masked[0][1][0] == pytest.approx(0.22)


@pytest.mark.slow
def test_what_becomes_of_the_camera_is_told(box: pages.Box, wizard: Page) -> None:
    box.daemon.set_paused(True)
    expect(wizard.locator("#state")).to_contain_text("Paused – the camera is off")
    expect(wizard.locator("#picture")).to_be_hidden()
    box.daemon.set_paused(False)
    wizard.reload()
    wizard.wait_for_selector("main[data-state=live]")
    box.server.stop()
    expect(wizard.locator("#state")).to_contain_text("The service does not answer")
