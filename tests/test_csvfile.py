"""Which encoding and separator a table is in, and what is no table."""

import io
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.csvfile import CsvError, Table


def table(content: bytes) -> Table:
    return Table(io.BytesIO(content), "a.csv")


def everything(content: bytes) -> list[list[str]]:
    with table(content) as found:
        return [found.header, *(row for _, row in found)]


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"]
)
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_encodings_separators_and_ends_of_lines(
    encoding: str, separator: str, newline: str
) -> None:
    rows = [["day", "Stimmung"], ["1", "schön"], ["2", "größer"]]
    text = newline.join(separator.join(row) for row in rows) + newline
    assert everything(text.encode(encoding)) == rows


def test_what_spreadsheets_add_is_passed_over() -> None:
    text = b'sep=;\r\n\r\na;"b;c"\r\n1;"two\r\nlines"\r\n;;\r\n\r\n3;4\r\n'
    with table(text) as found:
        assert found.header == ["a", "b;c"]
        assert list(found) == [(4, ["1", "two\r\nlines"]), (8, ["3", "4"])]


def test_what_a_spreadsheet_notes_as_separator_counts() -> None:
    assert everything(b"sep=;\na,b,c;d\n1,2;3\n") == [["a,b,c", "d"], ["1,2", "3"]]


def test_a_separator_within_quotes_does_not_count() -> None:
    assert everything(b'"a, or b, or c";"d"\n"x";1\n') == [["a, or b, or c", "d"], ["x", "1"]]


def test_one_strange_byte_late_in_the_file_turns_it_to_windows() -> None:
    rows = everything(b"a,b\n" + b"1,x\n" * 40_000 + b"2,\xe9t\xe9\n")
    assert rows[-1] == ["2", "été"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "a.csv is empty"),
        (b" \r\n\n", "a.csv is empty"),
        (b"\xef\xbb\xbf", "a.csv holds no table"),
        (b";;;\n;;;\n", "a.csv holds no table"),
        (b"PK\x03\x04" + bytes(100), "is a zip or a spreadsheet"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4, "is not a text file"),
        (b"\x01\x02 rtf \x07\x08" * 50, "is not a text file"),
        (b"SQLite format 3\0" + bytes(range(200)), "is not a text file"),
    ],
)
def test_what_is_no_table(content: bytes, sentence: str) -> None:
    with pytest.raises(CsvError, match=sentence):
        table(content)


@pytest.mark.parametrize("rest", [b"x", b"x,y\n" * 3, b"x,y\n" * 50_000, b'""'])
def test_a_quotation_that_is_never_closed(rest: bytes) -> None:
    with pytest.raises(CsvError, match=r"a\.csv, line 3: a quotation mark is opened here"):
        everything(b'a,b\n1,2\n3,"' + rest)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CsvError, match="cannot be read: no such file"):
        Table.opened(tmp_path / "none.csv")
    with pytest.raises(CsvError, match="cannot be read: is a directory"):
        Table.opened(tmp_path)


def test_reading_says_how_far_it_is(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    path.write_bytes(b"a,b\n" + b"1,2\n" * 100_000)
    with Table.opened(path) as found:
        assert found.position < 100_000
        assert sum(1 for _ in found) == 100_000
        assert found.position == path.stat().st_size


@given(
    st.binary(max_size=400) | st.text(alphabet='a,;\t"\n\r =sep\0ü', max_size=80).map(str.encode)
)
def test_any_bytes_are_a_table_or_an_error_with_a_sentence(content: bytes) -> None:
    with suppress(CsvError):
        assert everything(content)
