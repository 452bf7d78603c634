"""A document as a PDF: what is in it, and letters that this machine's fonts lack."""

import re
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from msgspec.structs import replace

from mien_web import pdf
from mien_web.pdf import Document, Section, Table, render

ROWS = [[f"2026-11-{day:02}", "50 min", "work (3), Mutter (2)"] for day in range(1, 29)] * 3
DOCUMENT = Document(
    title="Record of K-17",
    language="en",
    made="2026-11-20T10:00:00+00:00",
    lines=["1 to 28 November 2026"],
    sections=[
        Section("Sessions", ["84 sessions"], Table(["Date", "Length", "Topics"], ROWS, [1, 1, 3]))
    ],
    foot="A face is not a feeling.",
    substituted="Letters that this machine cannot draw are shown as ?.",
)


def test_a_record_runs_over_several_pages() -> None:
    file = render(DOCUMENT)
    assert file.startswith(b"%PDF-")
    assert len(re.findall(rb"/Type /Page\b", file)) > 1
    assert b"(en)" in file or b"/Lang" in file


def text(file: bytes) -> str:
    """The texts of a PDF drawn in Helvetica, one after the other."""
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", file, re.DOTALL)
    drawn = b" ".join(zlib.decompress(s) for s in streams if s.startswith(b"\x78"))
    return " ".join(t.decode("latin-1") for t in re.findall(rb"\(((?:[^()\\]|\\.)*)\) ?Tj", drawn))


def test_without_fonts_a_letter_it_cannot_draw_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf, "FONTS", ())
    said = text(pdf.draw(replace(DOCUMENT, title="Über Жук", sections=[])))
    assert "Über ???" in said
    assert "cannot draw" in said
    assert "A face is not a feeling." in said
    assert "cannot draw" not in text(pdf.draw(replace(DOCUMENT, sections=[])))


def test_a_failure_is_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho 'MemoryError' >&2; exit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    with pytest.raises(pdf.PdfError, match=r"could not be made \(MemoryError\)\. The same"):
        render(DOCUMENT)


def test_the_page_does_not_carry_what_draws() -> None:
    code = "import sys, mien_web.pdf; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"fpdf", "PIL", "fontTools"} & set(done.stdout.split())
