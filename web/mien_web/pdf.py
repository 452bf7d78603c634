"""Headings, lines, bars and tables as a PDF: `python -m mien_web.pdf`, a `Document` as JSON on
standard input, the file on standard output.

A process of its own: what draws a PDF takes more memory than the whole page does, and is needed
once a week.
"""

import logging
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from mien.events import MienError

PATIENCE_S = 60.0
FONTS = (
    Path("/usr/share/fonts/truetype/dejavu"),
    Path("/usr/share/fonts/dejavu"),
    Path("/usr/share/fonts/TTF"),
)
"""Where systems keep DejaVu Sans, which has the letters of most languages of Europe."""


class Table(Struct, frozen=True):
    """Rows of texts under a header; `widths` are shares of the page, in any unit."""

    header: list[str]
    rows: list[list[str]]
    widths: list[int]


class Bar(Struct, frozen=True):
    """A line of a bar chart: `share` of the full length, 0–1, None where nothing can be said;
    `text` stands beside it."""

    label: str
    share: float | None
    text: str


class Section(Struct, frozen=True):
    title: str
    lines: list[str] = []
    table: Table | None = None
    bars: list[Bar] = []


class Document(Struct, frozen=True):
    """`made` is the time of making in ISO 8601; `foot` stands under each page; `substituted` is
    the sentence to print where the fonts of this machine lack a letter."""

    title: str
    language: str
    made: str
    lines: list[str]
    sections: list[Section]
    foot: str
    substituted: str


class PdfError(MienError, RuntimeError):
    """No PDF could be made."""


def render(document: Document) -> bytes:
    """The PDF. Raises PdfError."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "mien_web.pdf"],
            input=msgspec.json.encode(document),
            capture_output=True,
            timeout=PATIENCE_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", None) or b"").decode(errors="replace").strip()
        raise PdfError(
            f"The PDF could not be made ({said.splitlines()[-1] if said else error}). "
            "The same is there as a table (CSV)."
        ) from None
    return done.stdout


def draw(document: Document) -> bytes:
    """The PDF, drawn in this process."""
    from fpdf import FPDF
    from fpdf.fonts import FontFace

    logging.getLogger("fpdf").setLevel(logging.ERROR)  # a missing letter is told in the document
    logging.getLogger("fontTools").setLevel(logging.ERROR)

    class Pages(FPDF):
        def footer(self) -> None:
            self.set_y(-14)
            self.set_font(family, size=8)
            self.set_text_color(110)
            self.cell(self.epw - 20, 5, written(document.foot))
            self.cell(20, 5, f"{self.page_no()} / {{nb}}", align="R")
            self.set_text_color(0)

    pdf = Pages(format="A4")
    pdf.set_margins(18, 18, 18)
    pdf.set_auto_page_break(True, 20)
    pdf.set_title(document.title)
    pdf.set_lang(document.language)
    pdf.set_creator("Mien")
    pdf.set_creation_date(datetime.fromisoformat(document.made))
    family, lacking = _font(pdf), False

    def written(text: str) -> str:
        nonlocal lacking
        kept = "".join(c if _drawable(pdf, family, c) else "□" for c in text)
        if kept != text:
            lacking = True
        return kept if family != "Helvetica" else kept.replace("□", "?")

    pdf.add_page()
    pdf.set_font(family, "B", 17)
    pdf.multi_cell(pdf.epw, 9, written(document.title), new_x="LMARGIN", new_y="NEXT")
    pdf.set_font(family, size=10)
    for line in document.lines:
        pdf.multi_cell(pdf.epw, 5.2, written(line), new_x="LMARGIN", new_y="NEXT")
    for section in document.sections:
        pdf.ln(5)
        pdf.set_font(family, "B", 12)
        pdf.multi_cell(pdf.epw, 7, written(section.title), new_x="LMARGIN", new_y="NEXT")
        pdf.set_font(family, size=9.5)
        for line in section.lines:
            pdf.multi_cell(pdf.epw, 5.2, written(line), new_x="LMARGIN", new_y="NEXT")
        for bar in section.bars:
            _bar(pdf, bar, written)
        if section.table:
            pdf.ln(1)
            with pdf.table(
                col_widths=tuple(section.table.widths),
                line_height=5.5,
                headings_style=FontFace(emphasis="BOLD", fill_color=(235, 231, 224)),
                borders_layout="HORIZONTAL_LINES",
                text_align="LEFT",
            ) as table:
                for row in [section.table.header, *section.table.rows]:
                    table.row([written(text) for text in row])
    if lacking:
        pdf.ln(4)
        pdf.set_font(family, size=8)
        pdf.multi_cell(pdf.epw, 4.5, written(document.substituted))
    return bytes(pdf.output())


_BAR_MM = (46.0, 62.0, 5.6)
"""Width of the label, of a full bar, and height of its line."""


def _bar(pdf: Any, bar: Bar, written: Callable[[str], str]) -> None:
    """A line with a drawn bar; a long label or text goes on under itself."""
    label, full, height = _BAR_MM
    texts = written(bar.label), written(bar.text)
    widths = label - 2, pdf.epw - label - full - 3
    split = [
        pdf.multi_cell(width, height, text, dry_run=True, output="LINES", align="L")
        for width, text in zip(widths, texts, strict=True)
    ]
    lines = max(1, *map(len, split))
    if pdf.y + lines * height > pdf.page_break_trigger:
        pdf.add_page()
    left, top = pdf.l_margin, pdf.y
    for at, width, text in zip((0, label + full + 3), widths, texts, strict=True):
        pdf.set_xy(left + at, top)
        pdf.multi_cell(width, height, text, align="L")
    if bar.share is not None:
        share = max(0.0, min(1.0, bar.share))
        with pdf.local_context():
            for width, color in ((full, (235, 231, 224)), (full * share, (47, 111, 106))):
                pdf.set_fill_color(*color)
                pdf.rect(left + label, top + 1.2, width, height - 2.4, "F")
    pdf.set_xy(left, top + lines * height)


def _font(pdf: Any) -> str:
    """DejaVu Sans where this machine has it, else Helvetica, which knows Western Europe only."""
    for folder in FONTS:
        plain, bold = folder / "DejaVuSans.ttf", folder / "DejaVuSans-Bold.ttf"
        if plain.exists() and bold.exists():
            pdf.add_font("DejaVu", "", plain)
            pdf.add_font("DejaVu", "B", bold)
            return "DejaVu"
    return "Helvetica"


def _drawable(pdf: Any, family: str, letter: str) -> bool:
    if family == "Helvetica":
        return letter.encode("latin-1", "ignore") != b"" or letter == "{"
    return ord(letter) in pdf.fonts["dejavu"].cmap


if __name__ == "__main__":
    sys.stdout.buffer.write(draw(msgspec.json.decode(sys.stdin.buffer.read(), type=Document)))
