"""The docs are complete: every setting and command is described, every link leads somewhere."""

import argparse
import ast
import json
import re
import typing
from pathlib import Path

import pytest

from mien import dossier
from mien.__main__ import _parser
from mien.config import Config, allowed
from mien.events import EXPRESSIONS
from mien_web import home_export

ROOT = Path(__file__).parent.parent
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*.md")]
_COMMANDS = _parser()._subparsers._group_actions[0].choices  # type: ignore[union-attr]
SETTINGS = [
    (section, key)
    for section, kind in typing.get_type_hints(Config).items()
    for key in typing.get_type_hints(kind)
]


@pytest.mark.parametrize(("section", "key"), SETTINGS)
def test_every_setting_is_described_with_its_default(section: str, key: str) -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()
    table = page.split(f"## [{section}]\n")[1].split("\n## ")[0]
    kind = typing.get_type_hints(Config)[section]
    default = getattr(kind(), key)
    shown = "–" if default is None else f"`{json.dumps(default)}`"
    hint = typing.get_type_hints(kind, include_extras=True)[key]
    assert f"| `{key}` | {shown} | {allowed(hint)} | " in table


def test_every_command_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    for command in _COMMANDS:
        assert f"`mien {command}" in readme


def test_every_command_that_prints_json_says_what() -> None:
    page = (ROOT / "docs" / "json.md").read_text()
    for name, parser in _COMMANDS.items():
        nested = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
        verbs = nested[0].choices if nested else {"": parser}
        for verb, one in verbs.items():
            if "--json" in one._option_string_actions:
                assert re.search(rf"`mien {name} ?{verb}\b.*--json`", page), (name, verb)


@pytest.mark.parametrize(
    ("heading", "columns"),
    [
        ("seconds.csv", dossier.COLUMNS),
        ("checkins.csv", home_export.CHECKIN_COLUMNS),
        ("hours.csv", home_export.HOUR_COLUMNS),
    ],
)
def test_every_column_of_an_export_is_described(heading: str, columns: tuple[str, ...]) -> None:
    page = (ROOT / "docs" / "exports.md").read_text()
    section = page.split(f"## The columns of `{heading}`\n")[1].split("\n## ")[0]
    named = [one for row in section.splitlines() for one in re.findall(r"`(\w+)`", row)]
    assert [one for one in columns if one.removeprefix("p_") not in EXPRESSIONS[1:-1]] == [
        one for one in named if one in columns
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_between_the_docs_leads_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", page.read_text()):
        file = page.parent / target if target else page
        assert file.exists(), target
        assert not anchor or anchor in _anchors(file), f"{target}#{anchor}"


def _anchors(page: Path) -> set[str]:
    """The names of its headings, as they stand in addresses."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    "page",
    ["handbook", "install", "models", "mqtt", "smart-home", "workshop", "workshop/bundle"],
)
def test_a_command_on_the_box_is_shown_with_the_rights_it_needs(page: str) -> None:
    wrapper = (ROOT / "firmware_config" / "mien").read_text()
    free = re.search(r"^'' \| (.*) \| --help", wrapper, re.MULTILINE)
    assert free
    verbs = "|".join(sorted({*_COMMANDS} - {*free[1].split(" | "), "demo", "run"}))
    text = (ROOT / "docs" / f"{page}.md").read_text()
    assert not re.findall(rf"(?:`|^)mien (?:{verbs})\b.*", text, re.MULTILINE)
    assert "sudo -u mien" not in text  # the wrapper refuses who is not root


def test_what_troubleshooting_quotes_is_what_the_box_says() -> None:
    sources = [*ROOT.glob("daemon/**/*.py"), *ROOT.glob("web/mien_web/**/*.py")]
    sources += ROOT.glob("web/mien_web/templates/**/*.html")
    said = "".join(re.sub(r'"\s*\n\s*f?"', "", path.read_text()) for path in sources).lower()
    text = (ROOT / "docs" / "troubleshooting.md").read_text()
    seen = "".join(line.split("|")[1] for line in text.splitlines() if line.startswith("|"))
    quoted = re.findall(r'"([^"]+)"', seen)
    browsers = {"Your connection is not private"}
    assert {one for one in quoted if one.rstrip(" …").lower() not in said} == browsers


PACKAGES = ["daemon/mien", "web/mien_web", "convert/mien_convert"]


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_stands_on_the_map_once(package: str) -> None:
    text = (ROOT / "docs" / "maintaining.md").read_text().split("## Which module\n")[1]
    rows = [line.split("|") for line in text.split("\n## ")[0].splitlines() if line.startswith("|")]
    named = [
        name for row in rows for name in re.findall(r"`(\w+)`", row[2 + PACKAGES.index(package)])
    ]
    modules = {path.stem for path in (ROOT / package).glob("*.py") if "__" not in path.stem}
    assert modules - set(named) == set(), "these want a place on the map in docs/maintaining.md"
    assert set(named) - modules == set(), "these are gone"
    assert len(named) == len(set(named))


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_says_what_it_is(package: str) -> None:
    for path in (ROOT / package).rglob("*.py"):
        said = ast.get_docstring(ast.parse(path.read_text()))
        assert len((said or "").split()) > 2, path
