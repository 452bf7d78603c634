"""The docs are complete: every setting and command is described, every link leads somewhere."""

import json
import re
import typing
from pathlib import Path

import pytest

from mien.__main__ import _parser
from mien.config import Config, allowed

ROOT = Path(__file__).parent.parent
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
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
    for command in _parser()._subparsers._group_actions[0].choices:  # type: ignore[union-attr]
        assert f"`mien {command}" in readme


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_between_the_docs_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_every_decision_has_a_page() -> None:
    pages = {path.stem for path in (ROOT / "docs" / "decisions").glob("*.md")}
    assert pages >= {"layout", "processes", "outbox", "time", "privacy", "faces"}
