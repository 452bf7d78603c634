"""The picture library: idempotent, resumable, its doubles, its split, its export."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from library_samples import (
    TERMS,
    Faces,
    FixedFinder,
    box_zip,
    exported,
    face,
    fer_csv,
    fer_rows,
    many,
    packed,
    png,
    rows,
    take,
    write,
)
from mien_convert.__main__ import main
from mien_convert.commands.library import counts
from mien_convert.dataset import LABELS
from mien_convert.duplicates import alike, joined, report, thumbnail
from mien_convert.errors import WorkshopError
from mien_convert.export import export
from mien_convert.intake import Intake
from mien_convert.library import FILE, Library, LibraryError
from mien_convert.library import Picture as Kept
from mien_convert.sources import FolderSource, Found
from mien_convert.spelling import Classes
from mien_convert.split import assign, split
from mien_convert.tables import FerTable


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "library"


# ── the file ─────────────────────────────────────────────────────────────────────────────────────


def test_a_second_import_adds_nothing(folder: Path, tmp_path: Path) -> None:
    path = fer_csv(tmp_path / "fer2013.csv", fer_rows(20))
    assert take(folder, FerTable(path, **TERMS)).added == 20
    before = rows(folder, "*")
    shutil.move(path, tmp_path / "elsewhere.csv")
    done = take(folder, FerTable(tmp_path / "elsewhere.csv", **TERMS))
    assert (done.added, done.known, done.source) == (0, 20, "fer2013.csv")
    assert rows(folder, "*") == before
    assert [path.name for path in folder.iterdir()] == [FILE]


def test_names_of_sources_stay_apart(folder: Path, tmp_path: Path) -> None:
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        path = fer_csv(tmp_path / place / "fer.csv", fer_rows(3, first=ord(place)))
        take(folder, FerTable(path, **TERMS))
    with Library.open(folder) as library:
        assert [source["name"] for source in library.sources()] == ["fer.csv", "fer.csv 2"]


KILLED = """
import os, signal, sys
from pathlib import Path
from mien_convert.intake import Intake
from mien_convert.library import Library
from mien_convert.tables import FerTable

class Killing(FerTable):
    def __iter__(self):
        for i, found in enumerate(super().__iter__()):
            if i == 450:
                os.kill(os.getpid(), signal.SIGKILL)
            yield found

source = Killing(Path(sys.argv[2]), licence="research", consent="not asked")
with Library.open(Path(sys.argv[1]), make=True) as library:
    Intake(library).take(source)
"""


def test_a_killed_import_goes_on_and_ends_the_same(folder: Path, tmp_path: Path) -> None:
    path = fer_csv(tmp_path / "fer2013.csv", fer_rows(600))
    killed = subprocess.run([sys.executable, "-c", KILLED, str(folder), str(path)], timeout=60)
    assert killed.returncode == -9
    assert len(rows(folder)) == 400, "two batches were kept"
    done = take(folder, FerTable(path, **TERMS))
    assert (done.added, done.known) == (200, 400)
    take(tmp_path / "whole", FerTable(path, **TERMS))
    assert rows(folder, "*") == rows(tmp_path / "whole", "*")


def test_an_import_that_is_stopped_keeps_what_it_has(folder: Path) -> None:
    class Stopped(Faces):
        def __iter__(self) -> Iterator[Found]:
            yield from super().__iter__()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        take(folder, Stopped(*many(5).faces))
    assert len(rows(folder)) == 5
    with Library.open(folder) as library:
        assert library.stale()
    assert take(folder, many(5)).added == 0
    with Library.open(folder) as library:
        assert not library.stale()


def test_after_an_import_that_was_broken_off_doubles_are_known_all_the_same(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Library.open(folder, make=True) as library:
        faces = [Intake(library).examine(one) for one in many(2)]
        library.add(library.source(many(2).row), [*faces, replace(faces[0], address="again")])
    assert told(capsys, "library", folder, "counts")["dropped"] == {"duplicate": 1}


def test_what_comes_in_undoes_the_split(folder: Path) -> None:
    take(folder, many(70))
    with Library.open(folder) as library:
        split(library, (0.8, 0.1, 0.1), 1)
    take(folder, many(70))
    with Library.open(folder) as library:
        assert library.split() is not None, "nothing came in"
    take(folder, many(77))
    with Library.open(folder) as library:
        assert library.split() is None
        with pytest.raises(WorkshopError, match="is not split yet"):
            export(library, folder / "x.npz")


def test_a_full_disk_is_a_sentence_and_the_import_goes_on_after_it(folder: Path) -> None:
    with Library.open(folder, make=True) as library:
        (pages,) = library._database.execute("PRAGMA page_count").fetchone()
        library._database.execute(f"PRAGMA max_page_count = {pages + 300}")
        with pytest.raises(LibraryError, match=r"cannot be written \(.*full\); make room"):
            Intake(library).take(many(600))
        assert 0 < len(library._all("SELECT 1 FROM pictures")) < 600
        library._database.execute("PRAGMA max_page_count = 1000000")
        Intake(library).take(many(600))
    assert len(rows(folder)) == 600


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_really_full_disk_is_a_sentence(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("cannot mount a small disk here")
    try:
        with pytest.raises(LibraryError, match="cannot be written"):
            take(disk / "library", many(600))
        take(tmp_path / "library", many(600))
        with Library.open(tmp_path / "library") as library:
            split(library, (0.8, 0.1, 0.1), 1)
            with pytest.raises(WorkshopError, match="No space left on device; it needs 1 MB"):
                export(library, disk / "data.npz")
        assert not list(disk.glob("*.npz")), "nothing half is left"
        assert not list(disk.glob(".*.part"))
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_what_is_no_library_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match=r"no picture library .* mien-convert import"):
        Library.open(folder)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    with pytest.raises(LibraryError, match="holds other files"):
        Library.open(tmp_path / "full", make=True)
    with pytest.raises(LibraryError, match="cannot be opened"):
        Library.open(tmp_path / "full" / "thesis.txt" / "deeper", make=True)
    take(folder, many(3))
    (folder / FILE).write_bytes(b"no database" * 1000)
    with pytest.raises(LibraryError, match="is damaged or no picture library"):
        Library.open(folder)


def test_a_newer_library_and_one_in_use_are_refused(folder: Path) -> None:
    take(folder, many(3))
    with Library.open(folder) as library:
        other = sqlite3.connect(folder / FILE)
        other.execute("BEGIN IMMEDIATE")
        library._database.execute("PRAGMA busy_timeout = 0")
        with pytest.raises(LibraryError, match="is in use by another import"):
            library.add(1, [Kept("x")])
        other.execute("ROLLBACK")
        library.add(1, [Kept("x")])
        other.execute("PRAGMA user_version = 2")
        other.close()
    with pytest.raises(LibraryError, match="is of version 2, this workshop knows 1"):
        Library.open(folder)


# ── doubles ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("how", ["jpeg", "dim", "coarse", "marked"])
def test_a_copy_is_found_however_it_was_packed(how: str) -> None:
    crops = np.stack([face(1), face(2), packed(face(1), how)])
    thumbs = np.stack([thumbnail(crop) for crop in crops])
    assert alike(crops, thumbs).tolist() == [[0, 2]]
    assert alike(crops[:2], thumbs[:2], crops[2:], thumbs[2:]).tolist() == [[0, 0]]


def test_flat_pictures_are_alike_and_unlike_all_others() -> None:
    crops = np.stack([np.full((48, 48), 3, np.uint8), face(1), np.full((48, 48), 200, np.uint8)])
    assert alike(crops, np.stack([thumbnail(crop) for crop in crops])).tolist() == [[0, 2]]


def test_of_a_family_one_is_kept(folder: Path) -> None:
    copy = packed(face(1), "dim")
    take(folder, Faces(("happiness", face(1), None, 0), ("happiness", copy, None, 0)))
    take(folder, Faces(("happiness", face(1), None, 1), ("fear", face(2), None, 0), name="later"))
    assert [row[2] for row in rows(folder)] == ["duplicate", "duplicate", None, None]
    with Library.open(folder) as library:
        told = report(library)
    assert told["alike"] == 1
    assert told["identical"] == 1
    assert told["alike_conflicts"] == 0
    assert [one["source"] for one in told["families"][0]["pictures"]] == ["s", "s", "later"]
    assert told["families"][0]["identical"] is False


def test_labels_in_conflict_are_settled_by_a_majority_or_not_at_all(folder: Path) -> None:
    source = Faces(
        ("fear", face(1), None, None), ("surprise", face(1), None, None),
        ("fear", face(2), None, None), ("surprise", face(2), None, None),
        ("surprise", face(2), None, None), ("anger", face(3), None, None),
    )  # fmt: skip
    take(folder, source)
    assert [row[2] for row in rows(folder)] == [
        "label conflict", "label conflict", "label conflict", None, "duplicate", None,
    ]  # fmt: skip
    with Library.open(folder) as library:
        told = report(library)
    assert (told["identical"], told["identical_conflicts"]) == (2, 2)


def test_joined_follows_chains() -> None:
    pairs = np.array([[3, 4], [1, 3], [5, 6]])
    assert joined(8, pairs).tolist() == [0, 1, 2, 1, 1, 5, 5, 7]


# ── counts ───────────────────────────────────────────────────────────────────────────────────────


def test_counts_at_each_stage(folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "pictures"
    write(root / "happy" / "1.png", face(1, 200))
    write(root / "happy" / "2.png", cv2.cvtColor(face(2, 200), cv2.COLOR_GRAY2BGR).astype(np.uint8))
    write(root / "sad" / "3.png", face(3, 30))
    write(root / "sad" / "4.png", face(4))
    write(root / "contempt" / "5.png", face(5, 200))
    source = FolderSource(root, Classes(), cropped=False, **TERMS)
    done = take(folder, source, FixedFinder())
    assert done.notices == ["1 pictures of 48×48 were taken for faces cut out already"]
    with Library.open(folder) as library:
        told = counts(library)
    assert told["total"] == {"found": 5, "selected": 3, "face": 1}
    assert told["by_class"] == {
        "happiness": {"found": 2, "selected": 2, "face": 0},
        "sadness": {"found": 2, "selected": 1, "face": 1},
        "no label": {"found": 1, "selected": 0, "face": 0},
    }
    assert told["dropped"] == {"no face": 2, "too small": 1, "not one of the seven": 1}
    assert told["colours"] == {"grey": 4, "rgb": 1}
    (one,) = told["by_source"]
    assert (one["licence"], one["consent"], one["face"]) == ("research", "not asked", 1)


# ── the commands ─────────────────────────────────────────────────────────────────────────────────


def told(capsys: pytest.CaptureFixture[str], *arguments: object) -> Any:
    assert main([*map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_from_folders_to_a_training_file(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for i in range(140):
        write(tmp_path / "pictures" / LABELS[i % 7] / f"{i}.png", face(i))
    command = ["import", folder, tmp_path / "pictures", "--licence", "CC0", "--consent", "asked"]
    first = told(capsys, *command)
    assert list(first) == [
        "imported", "library", "total", "by_class", "by_source", "dropped", "colours",
    ]  # fmt: skip
    assert first["imported"]["added"] == 140
    assert first["total"] == {"found": 140, "selected": 140, "face": 140}
    assert told(capsys, "library", folder, "counts")["total"] == first["total"]
    assert told(capsys, "library", folder, "duplicates")["families"] == []
    parts = told(capsys, "library", folder, "split", "--shares", "0.5,0.5,0", "--seed", "3")
    assert {name: sum(row.values()) for name, row in parts["parts"].items()} == {
        "Training": 70, "PublicTest": 70, "PrivateTest": 0,
    }  # fmt: skip
    assert told(capsys, "library", folder, "leaks")["faces"] == 140
    sheets = told(capsys, "library", folder, "sheets", "--out", tmp_path / "sheets")["sheets"]
    assert len(sheets) == 7
    out = tmp_path / "data.npz"
    assert told(capsys, "library", folder, "export", "--out", out)["pictures"] == 140
    against = told(capsys, "library", folder, "leaks", "--against", out)
    assert sum(row["alike"][0] for row in against["crossing"]) == 140


def test_the_same_for_people(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = [*fer_rows(60), (0, face(1), "PublicTest")]
    path = fer_csv(tmp_path / "fer.csv", table)
    zipped = box_zip(tmp_path / "box.zip", [exported(face(900)), exported(face(901), consents=[])])
    for command, words in (
        (["import", folder, path], "fer.csv: 61 added, 0 known before"),
        (["import", folder, zipped], "box testbox: 1 added, 0 known before, 1 refused for want"),
        (["library", folder, "counts"], "Left out: label conflict 2"),
        (["library", folder, "duplicates"], "Of equal pixels: 1 families, 1 of them with labels"),
        (["library", folder, "leaks"], "identical 1 of Training in PublicTest"),
        (["library", folder, "split", "--keep"], "PublicTest"),
        (["library", folder, "leaks"], "60 faces; parts by split"),
        (["library", folder, "sheets", "--out", tmp_path / "sheets"], "label conflict.png"),
        (["library", folder, "export", "--out", tmp_path / "d.npz"], "60 from fer.csv; licence: "),
    ):
        assert main([*map(str, command)]) == 0
        assert words in capsys.readouterr().out


def test_wrong_options_are_told_by_the_parser(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (
        ["import", "l", "s", "--class", "glad"],
        ["import", "l", "s", "--kind", "video"],
        ["library", "l"],
        ["library", "l", "split", "--shares", "0.5,0.4,0.2"],
        ["library", "l", "split", "--shares", "half"],
        ["library", "l", "split", "--shares", "1,0,0", "--keep"],
    ):
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        assert stopped.value.code == 2
        assert "usage: mien-convert" in capsys.readouterr().err


def test_what_is_no_source_is_one_sentence(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.pdf").write_bytes(png(face(1)))
    assert main(["import", str(folder), str(tmp_path / "a.pdf")]) == 2
    assert "neither a folder nor a .csv, .npz or .zip file" in capsys.readouterr().err
    assert main(["library", str(folder / "none"), "counts"]) == 2
    assert "There is no picture library" in capsys.readouterr().err


def test_counters_agree_with_numpy() -> None:
    """`assign` gives each label its share to the picture when nothing belongs together."""
    labels: NDArray[np.int64] = np.repeat(np.arange(7), 100)
    parts = assign(labels, np.arange(700), (0.8, 0.1, 0.1), 5)
    assert Counter(zip(labels.tolist(), parts.tolist(), strict=True)) == {
        (label, part): (80, 10, 10)[part] for label in range(7) for part in range(3)
    }
