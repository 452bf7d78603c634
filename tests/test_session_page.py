"""The session page through Flask's client, with a scripted daemon."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import pages
from mien.events import EXPRESSIONS, Capture
from pages import Box, Browser, text


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Box]:
    yield from pages.box(tmp_path, monkeypatch)


@pytest.fixture
def browser(box: Box) -> Browser:
    return box.browser()


def begin(box: Box, browser: Browser, *consents: str) -> str:
    """A session with a new client, begun on the page; its id."""
    client = box.client("K-17", *(consents or ("live", "numbers", "pictures")))
    answer = browser.post(f"/clients/{client}/session")
    assert answer.status_code == 303, answer.text
    return str(answer.location.split("/")[2])


def test_start(box: Box, browser: Browser) -> None:
    session = begin(box, browser)
    assert text(browser.get(f"/sessions/{session}/live"))
