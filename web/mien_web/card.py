"""What a bundle says of itself, as values that a template can show: its measured figures, its
confusion matrix, and its card, of whose Markdown headings, lists, tables, `code` and *stress* are
known. Nothing of it is ever marked as safe: the template escapes every word."""

import re
from typing import Any, Literal

from msgspec import Struct

from mien.bundle import Bundle
from mien.events import EXPRESSIONS
from mien.intervals import wilson

Kind = Literal["heading", "paragraph", "list", "table"]
Span = tuple[Literal["", "code", "em"], str]
Text = list[Span]

_SPANS = re.compile(r"`([^`]+)`|\*([^*\s](?:[^*]*[^*\s])?)\*")


class Block(Struct, frozen=True):
    """`items`: the one text of a heading or paragraph, the points of a list; `rows`: of a table,
    header first."""

    kind: Kind
    items: list[Text] = []
    rows: list[list[Text]] = []


class Section(Struct, frozen=True):
    title: str
    blocks: list[Block]


class Share(Struct, frozen=True):
    """So many of so many, and the 95 % interval of their share (`mien.intervals.wilson`)."""

    right: int
    n: int

    @property
    def share(self) -> float | None:
        return self.right / self.n if self.n else None

    @property
    def low(self) -> float:
        return wilson(self.right, self.n)[0]

    @property
    def high(self) -> float:
        return wilson(self.right, self.n)[1]


class Confusion(Struct, frozen=True):
    """`table[t][a]`: how often the answer was a while t was held to be true; a may have one place
    more than the expressions: cannot tell."""

    table: list[list[int]]

    @property
    def n(self) -> int:
        return sum(map(sum, self.table))

    @property
    def right(self) -> Share:
        return Share(sum(row[k] for k, row in enumerate(self.table)), self.n)

    @property
    def right_of_told(self) -> Share:
        """Of those with an answer, without "cannot tell"."""
        told = sum(sum(row[: len(EXPRESSIONS)]) for row in self.table)
        return Share(self.right.right, told)

    def recall(self, k: int) -> Share:
        """Of those that were k, how many were found."""
        return Share(self.table[k][k], sum(self.table[k]))

    def precision(self, k: int) -> Share:
        """Of those called k, how many were."""
        return Share(self.table[k][k], sum(row[k] for row in self.table))

    def shade(self, t: int, a: int) -> int:
        """0–9, by the share of the row."""
        count, row = self.table[t][a], sum(self.table[t])
        return 0 if not count else max(1, round(9 * count / row))

    def mistakes(self, most: int = 4) -> list[tuple[int, int, Share]]:
        """The commonest confusions by share of the row: true, answer, how often."""
        found = [
            (t, a, Share(count, sum(row)))
            for t, row in enumerate(self.table)
            for a, count in enumerate(row[: len(EXPRESSIONS)])
            if a != t and count
        ]
        return sorted(found, key=lambda mistake: -mistake[2].right / mistake[2].n)[:most]


def measured(bundle: Bundle) -> tuple[Confusion | None, bool]:
    """The bundle's confusion matrix, and whether it is that of the answer which the box gives.

    `accuracy.confusion`: what the box says against what most people saw. A bundle without it has
    `accuracy.public_test.confusion`: one head of the network against the words of FER-2013.
    """
    accuracy = bundle.accuracy
    if (table := _table(accuracy.get("confusion"))) is not None:
        return Confusion(table), True
    test = accuracy.get("public_test")
    table = _table(test.get("confusion")) if isinstance(test, dict) else None
    return (Confusion(table) if table is not None else None), False


def number(bundle: Bundle, *path: str) -> float | None:
    """A measured figure by its path in `accuracy`; None where the bundle has none."""
    found: Any = bundle.accuracy
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    known = isinstance(found, int | float) and not isinstance(found, bool)
    return float(found) if known else None


def conditions(bundle: Bundle) -> list[tuple[str, str, float, float]]:
    """The same pictures made worse on purpose: condition, level, accuracy, change."""
    rows = bundle.accuracy.get("conditions")
    found = []
    for row in rows if isinstance(rows, list) else []:
        try:
            change = float(row["change"])
            found.append((str(row["condition"]), str(row["level"]), float(row["accuracy"]), change))
        except (KeyError, TypeError, ValueError):
            continue
    return found


def sections(bundle: Bundle) -> list[Section]:
    """The card, the part before the first heading under the title ""; empty without a card."""
    try:
        text = (bundle.path / "MODEL_CARD.md").read_text("utf-8", errors="replace")
    except OSError:
        return []
    found = [Section("", [])]
    for block in blocks(text):
        if block.kind == "heading":
            found.append(Section("".join(words for _, words in block.items[0]), []))
        else:
            found[-1].blocks.append(block)
    return [section for section in found if section.blocks]


def blocks(text: str) -> list[Block]:
    """The blocks of a text in our subset of Markdown; what it does not know stays as it is."""
    found = []
    for part in re.split(r"\n[ \t]*\n", text):
        lines = [line for line in part.split("\n") if line.strip()]
        while lines and (heading := re.match(r"#{1,6}\s+(.*)", lines[0])):
            found.append(Block("heading", [spans(heading[1])]))
            lines = lines[1:]
        if not lines:
            continue
        if all(line.lstrip().startswith("|") for line in lines):
            rows = [[spans(cell.strip()) for cell in _cells(line)] for line in lines]
            ruled = len(lines) > 1 and re.fullmatch(r"[\s|:-]+", lines[1])
            found.append(Block("table", rows=[rows[0], *rows[2:]] if ruled else rows))
        elif re.match(r"\s*[-*]\s", lines[0]):
            found.append(Block("list", [spans(point) for point in _points(lines)]))
        else:
            found.append(Block("paragraph", [spans(" ".join(map(str.strip, lines)))]))
    return found


def spans(text: str) -> Text:
    """A line as pieces: plain, `code`, or *stress*."""
    found: Text = []
    end = 0
    for match in _SPANS.finditer(text):
        found.append(("", text[end : match.start()]))
        found.append(("code", match[1]) if match[1] else ("em", match[2]))
        end = match.end()
    return [span for span in [*found, ("", text[end:])] if span[1]]


def _cells(line: str) -> list[str]:
    return line.strip().removeprefix("|").removesuffix("|").split("|")


def _points(lines: list[str]) -> list[str]:
    points: list[str] = []
    for line in lines:
        if match := re.match(r"\s*[-*]\s+(.*)", line):
            points.append(match[1])
        elif points:
            points[-1] += " " + line.strip()
    return points


def _table(found: object) -> list[list[int]] | None:
    """A 7×7 table of counts, or None where it is anything else."""
    size = len(EXPRESSIONS)
    if not isinstance(found, list) or len(found) != size:
        return None
    for row in found:
        if not isinstance(row, list) or len(row) != size:
            return None
        if not all(isinstance(count, int) and count >= 0 for count in row):
            return None
    return found
