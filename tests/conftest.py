"""What several test modules ask for by name."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

from edgetpu import EdgeTpu

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHROMIUM = Path("/usr/bin/chromium")

# How long an example takes says how busy the machine is.
settings.register_profile("mien", deadline=None)
settings.load_profile("mien")


@pytest.fixture(scope="module")
def chromium() -> Iterator["Browser"]:
    """The real browser, one a module. Who asks for it skips where there is none."""
    if not CHROMIUM.exists():
        pytest.skip(f"NOT TESTED IN A BROWSER: install Chromium at {CHROMIUM}")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Containers give /dev/shm little room.
        options = ["--no-sandbox", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=options)
        yield browser
        browser.close()


@pytest.fixture
def edgetpu(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> EdgeTpu:
    """One that is plugged in."""
    made = EdgeTpu(tmp_path_factory.mktemp("edgetpu"))
    monkeypatch.setenv("EDGETPU_PLUGGED", made.environment["EDGETPU_PLUGGED"])
    return made


@pytest.fixture
def address(box: Any) -> Iterator[str]:
    """Where a browser reaches the page of the module's own `box`."""
    import served

    with served.inside(box.app) as address:
        yield address
