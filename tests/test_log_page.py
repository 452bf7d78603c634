"""The log of a home: day, week, month, year and settings."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import pages


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pages.Box]:
    yield from pages.box(tmp_path, monkeypatch)


@pytest.fixture
def browser(box: pages.Box) -> pages.Browser:
    box.set("home")
    return box.browser("anna", "home")


def resident(box: pages.Box, code: str = "me", *consents: str) -> str:
    key = box.client(code, *consents)
    box.write("UPDATE clients SET resident = 1 WHERE id = ?", key)
    return key


@pytest.mark.parametrize(
    "url",
    [
        "/log", "/log/day/2026-11-20", "/log/week/2026-11-20", "/log/month/2026-11",
        "/log/year/2026", "/log/settings",
    ],
)  # fmt: skip
def test_every_page_of_the_log_opens(box: pages.Box, browser: pages.Browser, url: str) -> None:
    resident(box, "me", "home")
    assert browser.get(url).status_code == 200
