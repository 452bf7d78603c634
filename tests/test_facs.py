"""The table of action units, as page and as JSON."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import pages
from mien.events import EXPRESSIONS
from mien_web import facs


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pages.Box]:
    yield from pages.box(tmp_path, monkeypatch)


@pytest.fixture
def browser(box: pages.Box) -> pages.Browser:
    return box.browser()


def test_expressions_are_joined_with_their_units(browser: pages.Browser) -> None:
    told = browser.get("/api/facs").json
    by_name = {one["expression"]: one for one in told["expressions"]}
    assert {name for name, one in by_name.items() if one["read"]} == set(EXPRESSIONS)
    surprise = by_name["surprise"]
    assert surprise["formula"] == "1+2+5B+26"
    assert [(unit["code"], unit["intensity"]) for unit in surprise["units"]] == [
        (1, None), (2, None), (5, "B"), (26, None),
    ]  # fmt: skip
    assert surprise["units"][0]["name"] == "Inner brow raiser"
    assert surprise["units"][0]["muscle"] == "frontalis, pars medialis"
    contempt = by_name["contempt"]
    assert not contempt["read"]
    assert {(unit["side"], unit["intensity"]) for unit in contempt["units"]} == {
        ("right or left", "A")
    }
    assert "reads no action units" in told["note"]
    assert any("1978" in source for source in told["sources"])


def test_codes_are_in_order_and_unique() -> None:
    codes = [unit.code for unit in facs.TABLE.units]
    assert codes == sorted(set(codes))
    assert {*range(3), *range(4, 40), *range(41, 47), *range(51, 59), *range(61, 65)} == set(codes)


def test_the_page_says_that_mien_reads_none_of_it(browser: pages.Browser) -> None:
    said = pages.text(browser.get("/facs"))
    assert "Mien reads no action units." in said
    assert "Lip corner puller" in said
    assert "zygomaticus major" in said


@pytest.mark.parametrize(
    ("query", "shown", "hidden"),
    [
        ("q=zygomaticus", "Lip corner puller", "Chin raiser"),
        ("q=au17", "Chin raiser", "Dimpler"),
        ("q=brow+raiser", "Outer brow raiser", "Brow lowerer"),
        ("q=1", "Inner brow raiser", "Lip pucker"),
    ],
)
def test_a_unit_is_found_by_number_name_or_muscle(
    browser: pages.Browser, query: str, shown: str, hidden: str
) -> None:
    table = browser.get(f"/facs?{query}").text.split('id="units"')[1]
    assert shown in table
    assert hidden not in table


def test_a_search_without_an_answer_says_so(browser: pages.Browser) -> None:
    assert "No action unit fits “<b>”." in pages.text(browser.get("/facs?q=<b>"))


def test_the_table_is_sorted_as_asked(browser: pages.Browser) -> None:
    table = browser.get("/facs?sort=name").text.split('id="units"')[1]
    assert table.index("Blink") < table.index("Brow lowerer") < table.index("Wink")
    assert 'aria-sort="ascending"' in table
    assert browser.get("/facs?sort=mood").status_code == 400
