"""Tables as CSV: no spreadsheet runs a cell, wherever it splits the lines."""

import csv
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien_web import sheets

NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?(e[+-]?\d+)?", re.IGNORECASE)
SIGNS = "=+-@\uff1d\uff0b\uff0d\uff20"


def cells(text: str, separator: str) -> list[str]:
    lines = text.splitlines(keepends=True)
    return [cell for row in csv.reader(lines, delimiter=separator) for cell in row]


@pytest.mark.parametrize(
    ("cell", "tamed"),
    [
        ("=1+1", "'=1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\uff1d1+1", "'\uff1d1+1"),
        ("+49 170 1234", "'+49 170 1234"),
        ('walk;=HYPERLINK("x")', 'walk;\'=HYPERLINK("x")'),
        ('walk; "=1+1"', 'walk;\' "=1+1"'),
        ("walk\n=1+1", "walk\n'=1+1"),
        ("walk\r\n-1+1", "walk\r\n'-1+1"),
        ("a\t=1", "a\t'=1"),
        ("\t=1", "'\t'=1"),
        ("a = b; c", "a = b; c"),
        ("-0.25", "-0.25"),
        ("-0,25", "-0,25"),
        ("-1e-05", "-1e-05"),
        ("+3", "+3"),
    ],
)
def test_what_begins_a_formula_is_tamed_and_a_number_is_none(cell: str, tamed: str) -> None:
    assert sheets.tame(cell) == tamed


def test_a_header_is_tamed_like_any_row() -> None:
    assert sheets.table(["=1", "b"], [["-1", "c"]]) == "'=1,b\r\n-1,c\r\n"


@given(
    st.lists(st.text('ab;,"\n\r\t =-+@1.\uff1d', max_size=12), min_size=1, max_size=4).map(
        lambda row: ["2026-11-20", *row]
    )
)
def test_however_the_lines_are_split_no_cell_begins_a_formula(row: list[str]) -> None:
    text = sheets.table(None, [row])
    for separator in ",;\t":
        for cell in cells(text, separator):
            begins = cell.lstrip(' "')[:1]
            assert begins not in tuple(SIGNS) or NUMBER.fullmatch(cell), (separator, cell)
