"""The door, through Flask's client: who comes in, who waits, who is locked out."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import pages
from mien import firstrun
from pages import Box, text

SAME = pages.SAME
WORDS = "four unrelated plain words"


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Box]:
    yield from pages.box(tmp_path, monkeypatch)


def stranger(box: Box) -> pages.Browser:
    return pages.Browser(box.app.test_client())


def signed_up(box: Box, folder: Path, **fields: str) -> pages.Browser:
    """The first user, anna, as the first run makes her."""
    box.set(None)
    browser = stranger(box)
    form = {
        "code": firstrun.code(folder), "setting": "clinic", "name": "anna",
        "passphrase": WORDS, "again": WORDS, **fields,
    }  # fmt: skip
    answer = browser.post("/welcome", form)
    assert (answer.status_code, answer.location) == (303, "/"), text(answer)
    return browser


def test_first_run_then_out_and_in_again(box: Box, tmp_path: Path) -> None:
    browser = signed_up(box, tmp_path)
    assert not (tmp_path / firstrun.FILE).exists()
    assert browser.get("/").status_code == 200
    assert browser.post("/logout").location == "/login"
    assert browser.get("/").location == "/login?next=/"
    answer = browser.post("/login", {"name": "Anna", "passphrase": WORDS, "next": "/about"})
    assert (answer.status_code, answer.location) == (303, "/about")
    assert browser.get("/").status_code == 200
