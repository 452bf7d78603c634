"""The whole story in a real browser, on the real daemon and page: first run, consent, a session
with taps, an offline stretch and a capture, correction, map, export, withdrawal. Nothing serious is
found by axe-core on any page that is opened on the way."""

import io
import os
import re
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect

from mien import firstrun
from mien.clock import SystemClock
from mien.commands.demo import portrait
from mien.config import Box, Config, default_state_dir
from mien.database import Database
from mien_web import desk

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(240),
]

PASSPHRASE = "four unrelated brown words"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    models = tmp_path / "state" / "models"
    models.mkdir(parents=True)
    (models / "blazeface").symlink_to(default_state_dir() / "models" / "blazeface")
    return tmp_path / "state"


@pytest.fixture
def address(tmp_path: Path, state: Path) -> Iterator[str]:
    """The page, with a daemon whose camera shows a portrait, on a box that nobody set up yet."""
    config = tmp_path / "mien.toml"
    config.write_text(f'[box]\nstate_dir = "{state}"\n[mqtt]\nenabled = false\n')
    environment = {k: v for k, v in os.environ.items() if k != "RUNTIME_DIRECTORY"}
    common = ["--config", str(config)]
    with ExitStack() as running:

        def start(*command: str, pipe: int | None = None) -> subprocess.Popen[str]:
            child = subprocess.Popen(
                [sys.executable, "-m", *command, *common], stdout=pipe,
                stderr=subprocess.DEVNULL, text=True, env=environment,
            )  # fmt: skip
            running.enter_context(child)
            running.callback(child.terminate)
            return child

        daemon = start("mien", "run", "--source", str(portrait()))
        page = start("mien_web", "--port=0", pipe=subprocess.PIPE)
        assert page.stdout
        address = page.stdout.readline().split()[2].rstrip("/")
        assert daemon.poll() is None
        yield address


@pytest.fixture
def database(state: Path) -> Iterator[Database]:
    opened = desk.open_store(Config(box=Box(state_dir=str(state))), SystemClock())
    yield opened
    opened.close()


@pytest.fixture
def tablet(chromium: Browser) -> Iterator[BrowserContext]:
    context = chromium.new_context(
        viewport={"width": 1280, "height": 800}, has_touch=True, locale="en-GB"
    )
    context.set_default_timeout(20_000)
    yield context
    context.close()


def accessible(page: Page) -> None:
    """Nothing serious or worse is found by axe-core."""
    found = Axe().run(page)
    grave = [
        f"{page.url}: {violation['id']} – {violation['help']}: {node['html'][:160]}"
        for violation in found.response["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]
    assert not grave, "\n".join(grave)


def count(database: Database, table: str) -> int:
    return int(database.read(lambda db: db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]))


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def test_from_the_first_run_to_a_withdrawal(
    address: str, state: Path, tablet: BrowserContext, tmp_path: Path
) -> None:
    page = tablet.new_page()
    page.goto(address)
    expect(page).to_have_url(re.compile("/welcome"))
    accessible(page)
    code = (state / firstrun.FILE).read_text().strip()
    page.get_by_label("Code", exact=True).fill(code)
    page.get_by_role(
        "radio", name=re.compile("therapy|clinic|practice", re.IGNORECASE)
    ).first.check()
    page.get_by_label("Name", exact=True).fill("anna")
    page.get_by_label("Passphrase", exact=True).fill(PASSPHRASE)
    page.get_by_label("Once more").fill(PASSPHRASE)
    press(page, "Set up this box")
    database = desk.open_store(Config(box=Box(state_dir=str(state))), SystemClock())

    # A client, the notice, the consents.
    page.goto(f"{address}/clients")
    accessible(page)
    page.get_by_label("Code name of a new client").fill("K-17")
    press(page, "Add")
    page.goto(f"{address}/clients")
    page.get_by_role("link", name=re.compile("K-17")).click()
    expect(page.get_by_role("button", name="Start a session")).to_be_disabled()
    accessible(page)
    client = page.url
    page.get_by_role("link", name="Show the notice").click()
    accessible(page)
    press(page, "It was shown")
    page.goto(f"{client}/consents")
    accessible(page)
    for kind in ("live", "numbers", "pictures"):
        page.locator(f'input[name="kind"][value="{kind}"]').check()
    press(page, "Record what was ticked")
    page.goto(client)
    accessible(page)
    press(page, "Start a session")

    # The session: a topic, a stretch without Wi-Fi, a capture.
    expect(page).to_have_url(re.compile("/sessions/.*/live"))
    session = page.url.removesuffix("/live")
    page.get_by_label("A new topic").fill("work")
    page.get_by_role("button", name="Add", exact=True).click()
    chip = page.locator("#chips").get_by_role("button", name=re.compile("work")).first
    expect(chip).to_be_visible()
    accessible(page)
    expect(chip).to_have_attribute("aria-pressed", "true")
    tablet.set_offline(True)
    page.get_by_label("A new topic").fill("mother")
    page.get_by_role("button", name="Add", exact=True).click()
    chip.click()
    expect(chip).to_have_attribute("aria-pressed", "false")
    expect(page.locator("#unsaved")).to_be_visible()
    tablet.set_offline(False)
    expect(page.locator("#unsaved")).to_be_hidden()
    expect(page.locator("#word")).to_contain_text("xpression looks like")
    page.locator("#capture").click()
    expect(page.locator("#seen img")).to_be_visible()
    page.locator("#note").fill("spoke of the garden")
    expect(page.locator("#note-saved")).to_contain_text(re.compile("saved", re.IGNORECASE))
    deadline = time.monotonic() + 30  # the daemon writes readings every ten seconds
    while not count(database, "readings") and time.monotonic() < deadline:
        page.wait_for_timeout(200)
    page.locator("#stop").click()
    page.locator("#stop").click()
    expect(page.locator("#over")).to_be_visible()
    accessible(page)
    assert count(database, "tags") == 2
    assert count(database, "captures") == 1
    assert count(database, "readings") > 0

    # Afterwards: timeline, correction, agreement, map, export.
    page.goto(session)
    accessible(page)
    expect(page.locator("main")).to_contain_text("work")
    page.goto(f"{session}/captures")
    accessible(page)
    page.get_by_role("button", name="surprise", exact=True).click()
    expect(page.locator(".mine")).to_contain_text("You: looks like surprise")
    for path in (f"{address}/agreement", f"{session}/map", f"{client}/map", f"{client}/head",
                 f"{client}/baseline", f"{address}/library", f"{address}/facs", f"{address}/model",
                 f"{address}/seat", f"{address}/about", f"{address}/box", f"{address}/users",
                 f"{address}/audit", f"{address}/me", f"{address}/library/add",
                 f"{address}/model/predictions", f"{client}/card", address):  # fmt: skip
        answer = page.goto(path)
        assert answer is not None
        assert answer.status == 200, path
        accessible(page)
    page.goto(f"{client}/exports")
    accessible(page)
    with page.expect_download() as coming:
        press(page, "Zip file")
    with zipfile.ZipFile(io.BytesIO(Path(coming.value.path()).read_bytes())) as archive:
        assert {"client.json", "seconds.csv"} < set(archive.namelist())
        assert any(name.endswith("-face.jpg") for name in archive.namelist())

    # Withdrawal erases.
    page.goto(f"{client}/withdraw/pictures")
    accessible(page)
    press(page, "Withdraw and erase")
    accessible(page)
    assert count(database, "captures") == 0
    assert count(database, "readings") > 0, "numbers have a consent of their own"
    page.goto(f"{client}/withdraw/numbers")
    press(page, "Withdraw and erase")
    expect(page.locator("h1")).to_have_text("Receipt of an erasure")
    assert count(database, "readings") == count(database, "episodes") == 0
    assert count(database, "tags") == 2, "topics are the therapist's own record"
    page.goto(client)
    expect(page.get_by_role("button", name="Start a session")).to_be_enabled()
    page.goto(f"{client}/withdraw/live")
    press(page, "Withdraw")
    page.goto(client)
    expect(page.get_by_role("button", name="Start a session")).to_be_disabled()
    database.close()
