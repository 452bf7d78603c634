"""The model pages: the card, personal heads, predictions; and the reader of cards."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import pages
from mien import audit, heads
from mien.bundle import load_bundle, shipped_bundle
from mien_web import card, jobs

BUNDLE = load_bundle(shipped_bundle())


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pages.Box]:
    yield from pages.box(tmp_path, monkeypatch)


@pytest.fixture
def browser(box: pages.Box) -> pages.Browser:
    return box.browser()


class TestCardPage:
    def test_it_tells_the_figures_and_their_meaning(self, browser: pages.Browser) -> None:
        said = pages.text(browser.get("/model"))
        assert "mien-fer-2 shipped with this version" in said
        assert "78.7 %" in said
        assert "82 %" in said
        print(said)
