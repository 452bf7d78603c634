"""The handbook's pictures, taken from the real pages: `python -m bench.pictures --state FOLDER`.

FOLDER keeps the made-up year of sessions and the made-up home log that they show (see `bench.year`
and `bench.home`), so that a second run is quick. Writes docs/pictures/*.webp.
"""

import argparse
import io
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

from flask import Flask
from msgspec.structs import replace
from PIL import Image
from playwright.sync_api import Browser, sync_playwright
from werkzeug.serving import make_server

from bench import appliance, home, year
from mien.clock import Stamp, SystemClock
from mien.config import Box, Config
from mien_web import create_app, desk, door

PICTURES = Path(__file__).parent.parent / "docs" / "pictures"
TABLET = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}


class Set(SystemClock):
    """As on a box whose clock the network has set."""

    def stamp(self, monotonic: float | None = None) -> Stamp:
        return replace(super().stamp(monotonic), clock_ok=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.pictures", description=__doc__)
    parser.add_argument("--state", type=Path, required=True, metavar="FOLDER")
    state = parser.parse_args().state
    PICTURES.mkdir(exist_ok=True)
    for maker, folder in ((year.make, state / "year"), (home.make, state / "home")):
        folder.mkdir(parents=True, exist_ok=True)
        maker(folder)
    yesterday = date.today() - timedelta(1)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox"]
        )
        with _served(state / "year") as (address, app):
            session = _newest(app)
            pages = {
                "client": f"/clients/{year.CLIENT}",
                "consents": f"/clients/{year.CLIENT}/consents",
                "timeline": f"/sessions/{session}",
                "map": f"/clients/{year.CLIENT}/map",
            }
            _take(browser, address, year.LOGIN, TABLET, pages)
        with _served(state / "home") as (address, _):
            pages = {
                "day": f"/log/day/{yesterday}",
                "year": f"/log/year/{yesterday.year}",
                "check-in": "/checkin",
                "patterns": "/patterns",
            }
            _take(browser, address, home.LOGIN, PHONE, pages)
        _live(browser)
        browser.close()
    return 0


@contextmanager
def _served(state: Path) -> Iterator[tuple[str, Flask]]:
    app = create_app(Config(box=Box(state_dir=str(state))), Set())
    server = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    now = round(SystemClock().stamp().utc * 1000)
    with app.app_context():  # a screen that nobody touched for so long would be locked
        desk.write(
            lambda db: db.execute(
                "UPDATE logins SET created_utc = ?, seen_utc = ?, locked = 0", (now, now)
            )
        )
    yield f"http://localhost:{server.server_port}", app
    server.shutdown()


def _newest(app: Flask) -> str:
    query = "SELECT id FROM sessions WHERE client = ? ORDER BY utc DESC LIMIT 1"
    with app.app_context():
        (id,) = desk.read(lambda db: db.execute(query, (year.CLIENT,)).fetchone())
    return str(id)


def _take(
    browser: Browser, address: str, login: str, size: dict[str, int], pages: dict[str, str]
) -> None:
    context = browser.new_context(viewport=size, has_touch=True, base_url=address)  # type: ignore[arg-type]
    context.add_cookies([{"name": door.COOKIE, "value": login, "url": address}])
    page = context.new_page()
    for name, path in pages.items():
        answer = page.goto(path)
        while answer and "refresh" in answer.headers:  # a map that is counted at its first visit
            answer = page.goto(path)
        assert answer is not None, path
        assert answer.ok, f"{path}: {answer.status}"
        page.wait_for_timeout(500)
        _keep(name, page.screenshot())
    context.close()


def _live(browser: Browser) -> None:
    """The live page of the demo, with its portrait in the public domain."""
    with tempfile.TemporaryDirectory() as folder:
        appliance.give_models(Path(folder))
        config = Path(folder) / "mien.toml"
        config.write_text(f'[box]\nstate_dir = "{folder}"\n[page]\nport = 18437\n')
        demo = subprocess.Popen(
            [sys.executable, "-m", "mien", "demo", "--portrait", "--config", str(config)],
            stdout=subprocess.DEVNULL,
        )
        try:
            page = browser.new_page(viewport=TABLET)  # type: ignore[arg-type]
            for _ in range(60):
                page.wait_for_timeout(500)
                try:
                    page.goto("http://localhost:18437/")
                    break
                except Exception:  # not up yet
                    continue
            page.wait_for_timeout(6000)
            _keep("live", page.screenshot())
        finally:
            demo.terminate()
            demo.wait(20)


def _keep(name: str, png: bytes) -> None:
    Image.open(io.BytesIO(png)).convert("RGB").save(PICTURES / f"{name}.webp", quality=80, method=6)


if __name__ == "__main__":
    sys.exit(main())
