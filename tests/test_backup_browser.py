"""A backup of one box, fetched and restored on a second one in a real browser: real daemons, real
pages, a portrait before both cameras."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from mien import backup, firstrun, passphrase
from mien.clock import SystemClock
from mien.commands.demo import portrait
from mien.config import Store as StoreConfig
from mien.config import default_state_dir
from mien.control import ControlClient, ControlError
from mien.store import Store
from people import People
from served import PHONE, TABLET

LOGIN = "four unrelated words here"
WORDS = "seven stones under a green bridge"
SHOTS = os.environ.get("MIEN_SHOTS")
"""A folder for pictures of each step, for who wants to look at them."""

pytestmark = pytest.mark.slow


class Box:
    """A daemon and a page as processes."""

    def __init__(self, folder: Path, name: str) -> None:
        self.state = folder / "state"
        self.state.mkdir(parents=True)
        (self.state / "models").symlink_to(default_state_dir() / "models")
        self.config = folder / "mien.toml"
        self.config.write_text(
            f'[box]\nid = "{name}"\nstate_dir = "{self.state}"\n[mqtt]\nenabled = false\n'
        )
        self.control = ControlClient(self.state / "control.sock")
        self.address = ""

    @contextmanager
    def running(self) -> Iterator[None]:
        environment = {k: v for k, v in os.environ.items() if k != "RUNTIME_DIRECTORY"}
        config = ["--config", str(self.config)]
        daemon = [sys.executable, "-m", "mien", "run", *config, "--source", str(portrait())]
        page = [sys.executable, "-m", "mien_web", *config, "--port=0"]
        with ExitStack() as running:
            one = running.enter_context(subprocess.Popen(daemon, env=environment))
            running.callback(one.terminate)
            wait_for(self.control.status)
            two = running.enter_context(
                subprocess.Popen(page, stdout=subprocess.PIPE, text=True, env=environment)
            )
            running.callback(two.terminate)
            assert two.stdout
            self.address = two.stdout.readline().split()[2]
            running.callback(self.control.close)
            yield


def wait_for(what: Callable[[], Any], seconds: float = 40) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if found := what():
                return found
        except ControlError:
            pass
        time.sleep(0.1)
    raise AssertionError("it did not come")


def looked_at(page: Page, name: str) -> None:
    """No rule of accessibility is broken, and nothing sticks out, on a phone either."""
    for size, device in ((PHONE, "phone"), (TABLET, "tablet")):
        page.set_viewport_size(size)
        found = Axe().run(page).response["violations"]
        assert [(each["id"], each["nodes"][0]["html"]) for each in found] == []
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"], name
        if SHOTS:
            page.screenshot(path=f"{SHOTS}/{name}-{device}.png", full_page=True)


def live_in(box: Box) -> None:
    """A house with one person who consents to the home log."""
    Store.open(box.state, SystemClock(), StoreConfig()).close()
    people = People(box.state, SystemClock())
    people.put("setting", "home")
    people.write(
        "UPDATE users SET passphrase = ?, roles = 'administrator home'", passphrase.hashed(LOGIN)
    )
    people.client("Grace", "home", resident=True)
    people.write(
        "INSERT INTO checkins (id, client, weekday, mood, source, made_utc) "
        "VALUES ('c-1', 'Grace', 3, 4, 'page', 0)"
    )
    people.close()


def test_from_one_box_to_another(tmp_path: Path, chromium: Browser) -> None:
    one, two = Box(tmp_path / "one", "mien-one"), Box(tmp_path / "two", "mien-two")
    live_in(one)
    complaints: list[str] = []
    context = chromium.new_context(viewport=TABLET, accept_downloads=True)
    page = context.new_page()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    file = tmp_path / f"one{backup.SUFFIX}"

    with one.running():
        wait_for(lambda: one.control.status().mandate == "home")
        page.goto(one.address + "login?next=/box/backup")
        sign_in(page)
        looked_at(page, "backup")
        page.get_by_label("Passphrase of the backup").fill(WORDS)
        page.get_by_label("Once more").fill(WORDS)
        page.get_by_role("button", name="Make a backup").click()
        expect(page.get_by_role("heading", name="The backup is ready")).to_be_visible(timeout=60000)
        looked_at(page, "made")
        with page.expect_download() as download:
            page.get_by_role("button", name="Download").click()
        assert re.fullmatch(
            r"mien-one-\d{4}-\d\d-\d\d\.mien-backup", download.value.suggested_filename
        )
        download.value.save_as(file)
        page.goto("about:blank")  # so that it asks nothing of a box that is off
    content = backup.look_into(file, WORDS)
    assert (content.box, content.counts["checkins"]) == ("mien-one", 1)

    with two.running():
        code = wait_for(lambda: firstrun.code(two.state))
        page.goto(two.address)
        page.get_by_text("Restore a backup instead").click()
        looked_at(page, "welcome")
        page.locator("#restore-code").fill(code)
        page.get_by_role("button", name="Choose a backup").click()
        looked_at(page, "upload")
        choose(page, file, "not the passphrase of it")
        expect(page.get_by_role("alert").first).to_contain_text("does not open", timeout=60000)
        looked_at(page, "wrong")
        choose(page, file, WORDS)
        expect(page.get_by_role("heading", name="Restore this backup?")).to_be_visible(
            timeout=60000
        )
        looked_at(page, "ready")
        assert two.control.status().mandate is None
        page.get_by_label("To confirm, type the name").fill("mien-two")
        page.get_by_role("button", name="Restore the backup").click()
        expect(page.get_by_role("heading", name="The backup is restored")).to_be_visible(
            timeout=60000
        )
        looked_at(page, "done")
        page.get_by_role("link", name="Sign in", exact=True).click()
        sign_in(page)
        page.goto(two.address + "box")
        expect(page.get_by_role("link", name="Backup")).to_contain_text("Last made on")
        looked_at(page, "box")
        health = wait_for(lambda: (h := two.control.status()).mandate == "home" and h)
        assert health.box == "mien-two", "the restored consent opens the camera of this box"
        people = People(two.state, SystemClock())
        assert people.rows("SELECT mood FROM checkins") == [(4,)]
        wait_for(lambda: people.rows("SELECT count(*) FROM readings")[0][0] > 0)
        people.close()
        page.goto("about:blank")
    context.close()
    assert complaints == []


def sign_in(page: Page) -> None:
    page.get_by_label("Name").fill("anna")
    page.get_by_label("Passphrase", exact=True).fill(LOGIN)
    page.get_by_role("button", name="Sign in").click()


def choose(page: Page, file: Path, words: str) -> None:
    page.get_by_label("The file of the backup").set_input_files(file)
    page.get_by_label("Passphrase of the backup").fill(words)
    page.get_by_role("button", name="Look into the backup").click()
