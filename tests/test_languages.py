"""German says all that English says, and says it of the same things."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po
from flask import Flask

import mien_web
from mien_web import languages

PAGE = Path(mien_web.__file__).parent
FOLDER = PAGE / "translations" / "de" / "LC_MESSAGES"
METHODS = [("**.py", "python"), ("templates/**.html", "jinja2")]
OPTIONS = {"templates/**.html": {"trim_blocks": "true", "lstrip_blocks": "true"}}
KEYWORDS = {**DEFAULT_KEYWORDS, "lazy_gettext": None}

Key = str | tuple[str, ...]


@pytest.fixture(scope="module")
def german() -> Catalog:
    with (FOLDER / "messages.po").open("rb") as file:
        return read_po(file, locale="de")


@pytest.fixture(scope="module")
def said() -> set[Key]:
    """Every sentence that a template or the page's code has translated."""
    found = extract_from_dir(PAGE, METHODS, OPTIONS, keywords=KEYWORDS)  # type: ignore[arg-type]
    return {key if isinstance(key, str) else tuple(key) for _, _, key, _, _ in found}


def messages(catalog: Catalog) -> Iterator[Message]:
    return (message for message in catalog if message.id)


def key(message: Message) -> Key:
    return message.id if isinstance(message.id, str) else tuple(message.id)


def texts(value: object) -> list[str]:
    return [value] if isinstance(value, str) else [str(text) for text in value or ()]  # type: ignore[attr-defined]


def test_every_sentence_is_there_and_none_too_many(german: Catalog, said: set[Key]) -> None:
    held = {key(message) for message in messages(german)}
    assert not said - held, "run: make translations, then fill in messages.po"
    assert not held - said, "run: make translations"


def test_no_sentence_hides_within_an_f_string() -> None:
    """Where the collection of sentences finds it from Python 3.12 on only."""
    hidden = [
        f"{path.name}:{call.lineno}"
        for path in PAGE.glob("*.py")
        for text in ast.walk(ast.parse(path.read_text()))
        if isinstance(text, ast.JoinedStr)
        for call in ast.walk(text)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id in KEYWORDS
        and isinstance(call.args[0], ast.Constant)
    ]
    assert not hidden


def test_every_sentence_is_translated(german: Catalog) -> None:
    empty = [m.id for m in messages(german) if not all(texts(m.string)) or m.fuzzy]
    assert not empty


def test_placeholders_stay(german: Catalog) -> None:
    for message in messages(german):
        wanted = set(re.findall(r"%\(\w+\)s|\{\w+\}", texts(message.id)[-1]))
        for text in texts(message.string)[-1:]:
            assert set(re.findall(r"%\(\w+\)s|\{\w+\}", text)) == wanted, message.id


def test_the_compiled_file_is_of_this_text(german: Catalog) -> None:
    # By its entries: the header names the version of Babel that wrote it.
    with (FOLDER / "messages.mo").open("rb") as file:
        compiled = read_mo(file)
    assert compiled.num_plurals == german.num_plurals
    assert entries(compiled) == entries(german), "run: make translations"


def entries(catalogue: Catalog) -> dict[tuple[str, ...], tuple[str, ...]]:
    """Return what a catalogue says: the translations, one for each number, of each sentence."""
    return {tuple(texts(m.id)): tuple(texts(m.string)) for m in messages(catalogue)}


@pytest.mark.parametrize(
    ("share", "digits", "english", "german"),
    [
        (0.62, 0, "62 %", "62 %"),
        (0.6249, 1, "62.5 %", "62,5 %"),
        (0.0, 0, "0 %", "0 %"),
        (-0.0001, 1, "0.0 %", "0,0 %"),
        (1.0, 0, "100 %", "100 %"),
        (None, 0, "–", "–"),
    ],
)
def test_a_share_is_written_alike(
    share: float | None, digits: int, english: str, german: str
) -> None:
    app = Flask(__name__)
    languages.speak(app)
    for language, text in (("en", english), ("de", german)):
        with app.test_request_context(headers={"Accept-Language": language}):
            said = languages.percent(share, digits)
            assert said.replace("\N{NO-BREAK SPACE}", " ") == text
            assert " " not in said  # a line never ends before the sign
