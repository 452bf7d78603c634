"""The split tears nothing apart, keeps what leaks out, and is what training reads."""

import json
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from library_samples import (
    TERMS,
    Faces,
    face,
    fer_csv,
    fer_plus_csv,
    fer_rows,
    many,
    packed,
    rows,
    take,
)
from mien_convert.__main__ import main
from mien_convert.cleaning import clean
from mien_convert.dataset import LABELS, USAGES, file_sha256, load_dataset
from mien_convert.errors import WorkshopError
from mien_convert.export import export
from mien_convert.library import Library
from mien_convert.sheets import write_sheets
from mien_convert.split import SplitError, assign, keep_parts, leaks, leaks_against, split
from mien_convert.tables import FerTable


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "library"


# ── the split ────────────────────────────────────────────────────────────────────────────────────


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_split_tears_nothing_apart_and_keeps_the_shares(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 300), "pictures")
    seed = data.draw(st.integers(0, 2**32 - 1), "seed")
    largest = data.draw(st.integers(1, 8), "largest group")
    shares = data.draw(
        st.sampled_from([(0.8, 0.1, 0.1), (0.5, 0.25, 0.25), (0.9, 0.1, 0.0), (1.0, 0.0, 0.0)])
    )
    random = np.random.default_rng(seed)
    labels = random.integers(0, 7, count)
    groups = np.repeat(np.arange(count), random.integers(1, largest + 1, count))[:count]
    random.shuffle(groups)
    parts = assign(labels, groups, shares, seed)
    assert parts.shape == (count,)
    where = defaultdict(set)
    for group, part in zip(groups.tolist(), parts.tolist(), strict=True):
        where[group].add(part)
    assert all(len(of_group) == 1 for of_group in where.values())
    for part, share in enumerate(shares):
        of_part = (parts == part).sum()
        assert share > 0 or of_part == 0
        biggest = np.bincount(groups).max()
        assert abs(of_part - share * count) <= 7 * (biggest + 1)
        for label in range(7):
            wanted = share * (labels == label).sum()
            assert abs(((parts == part) & (labels == label)).sum() - wanted) <= 2 * biggest + 1
    assert (assign(labels, groups, shares, seed) == parts).all()


def test_persons_and_doubles_stay_together(folder: Path) -> None:
    faces = list(many(140, persons=35).faces)
    # Whoever is in a dropped double is in the kept one too: p0 and p100 are one person.
    faces += [("happiness", face(1000), "p0", None), ("happiness", face(1000), "p100", None)]
    faces += [(LABELS[i % 7], face(2000 + i), "p100", None) for i in range(20)]
    take(folder, Faces(*faces))
    with Library.open(folder) as library:
        told = split(library, (0.6, 0.2, 0.2), seed=4)
        again = split(library, (0.6, 0.2, 0.2), seed=4)
        assert told == again
        assert told["faces"] == 161
        assert [sum(part.values()) for part in told["parts"].values()] == pytest.approx(
            [97, 32, 32], abs=8
        )
        found = library.faces("part IS NOT NULL")
        where = defaultdict(set)
        for person, part in zip(found.persons, found.parts.tolist(), strict=True):
            where["p0" if person == "p100" else person].add(part)
        assert all(len(parts) == 1 for parts in where.values())
        crossing = leaks(library)["crossing"]
    assert [row["persons"] for row in crossing] == [0, 0, 0]
    assert [row["alike"] for row in crossing] == [[0, 0]] * 3


def test_too_little_to_split_is_a_sentence(folder: Path) -> None:
    take(folder, many(2))
    with Library.open(folder) as library:
        with pytest.raises(SplitError) as error:
            split(library, (0.8, 0.1, 0.1), 1)
        assert "has 2 usable faces in 2 of 7 classes (anger 1, disgust 1)" in str(error.value)
        with pytest.raises(SplitError, match="No source of the library puts its pictures"):
            keep_parts(library)
        with pytest.raises(SplitError, match="is not split and its sources name no parts"):
            leaks(library)
        with pytest.raises(WorkshopError, match="is not split yet"):
            export(library, folder / "x.npz")
    take(folder, Faces(*many(70, persons=1).faces, name="one person"))
    with Library.open(folder) as library:
        library.remove(1, ["0", "1"])
        with pytest.raises(SplitError, match="68 faces are of 1 person, too few for 3 parts"):
            split(library, (0.8, 0.1, 0.1), 1)


def test_the_parts_of_fer_are_kept_without_what_leaks(folder: Path, tmp_path: Path) -> None:
    blank = np.full((48, 48), 9, np.uint8)
    table = [
        (3, face(1), "Training"), (3, face(2), "Training"), (0, packed(face(2), "dim"), "Training"),
        (3, face(1), "PublicTest"), (4, face(5), "PublicTest"), (4, face(5), "PublicTest"),
        (4, blank, "PublicTest"), (4, blank, "Training"), (3, face(6), "Training"),
        (3, face(6), "Training"),
    ]  # fmt: skip
    take(folder, FerTable(fer_csv(tmp_path / "fer.csv", table), **TERMS))
    with Library.open(folder) as library:
        first = leaks(library)
        assert first["by"] == "source"
        assert first["crossing"][0]["identical"] == [2, 2], "the blank one too"
        names = [one["address"] for one in first["crossing"][0]["examples"][0]]
        assert names == ["row 0", "row 3"]
        told = keep_parts(library)
        assert {part: sum(row.values()) for part, row in told["parts"].items()} == {
            "Training": 1, "PublicTest": 4, "PrivateTest": 0,
        }  # fmt: skip
        assert leaks(library)["crossing"][0]["alike"] == [0, 0]
        assert leaks(library)["by"] == "split"
    assert [row[0] for row in rows(folder, "part")] == [
        None, None, None, 1, 1, 1, 1, None, 0, None,
    ]  # fmt: skip


@pytest.mark.parametrize("count", [3, 4, 5, 9])
def test_each_part_gets_somebody_where_people_are_few(folder: Path, count: int) -> None:
    take(folder, many(70 * count, persons=count))
    with Library.open(folder) as library:
        told = split(library, (0.8, 0.1, 0.1), 1)
        assert min(sum(row.values()) for row in told["parts"].values()) >= 70
        assert [row["persons"] for row in leaks(library)["crossing"]] == [0, 0, 0]


@pytest.mark.parametrize(
    ("faces", "sentence"),
    [
        ([(0, "anna", 0), (1, "anna", 1)], r"Training would be empty: of its 1 faces .* \(anna\)"),
        ([(0, None, 0), (0, None, 2)], "Training would be empty: .* the same picture as one in an"),
        ([(0, None, 1), (1, None, 2)], "all 2 faces into PublicTest and PrivateTest and none into"),
        ([(0, None, 0), (1, None, 0)], "all 2 faces into Training, and hold out none"),
    ],
)  # fmt: skip
def test_a_kept_split_leaves_no_part_empty(
    folder: Path, faces: list[tuple[int, str | None, int]], sentence: str
) -> None:
    take(folder, Faces(*(("anger", face(n), person, usage) for n, person, usage in faces)))
    with Library.open(folder) as library:
        with pytest.raises(SplitError, match=sentence):
            keep_parts(library)
        assert library.split() is None


# ── export ───────────────────────────────────────────────────────────────────────────────────────


def test_the_export_is_what_train_reads(folder: Path, tmp_path: Path) -> None:
    votes = [[0] * 8 + [10, 0], *([[10] + [0] * 9] * 69)]
    table = fer_rows(70)
    take(folder, FerTable(fer_csv(tmp_path / "fer.csv", table), **TERMS))
    take(folder, many(35, persons=0))
    plus = fer_plus_csv(tmp_path / "plus.csv", [row[2] for row in table], votes)
    assert main(["import", str(folder), str(plus)]) == 0
    with Library.open(folder) as library:
        split(library, (0.8, 0.1, 0.1), 7)
        told = export(library, tmp_path / "out" / "data.npz")
        export(library, tmp_path / "again.npz")
        faces = library.faces()
    out = tmp_path / "out" / "data.npz"
    assert out.read_bytes() == (tmp_path / "again.npz").read_bytes()
    assert json.loads((tmp_path / "out" / "data.json").read_text()) == told
    assert told["sha256"] == file_sha256(out)
    assert sorted(path.name for path in out.parent.iterdir()) == ["data.json", "data.npz"]
    data = load_dataset(out)
    assert len(data) == told["pictures"] == len(faces) == 70
    assert (data.images == faces.crops).all()
    assert (data.labels == faces.labels).all()
    assert data.votes is not None
    assert data.votes[0].tolist() == votes[0]
    for usage in USAGES:
        assert len(load_dataset(out, usage)) == sum(told["parts"][usage].values())
    training, held_out = load_dataset(out, "Training"), load_dataset(out, "PublicTest")
    assert sum(clean(training, held_out)[1].values()) == 0
    with np.load(out) as stored:
        assert set(stored["source"]) == {"fer.csv"}
        assert stored["picture"].tolist() == faces.ids.tolist()
    assert told["left_out"] == {"duplicate": 35}
    (source,) = told["sources"]
    assert source["sha256"] == file_sha256(tmp_path / "fer.csv")
    assert (source["licence"], source["pictures"]) == ("research", 70)
    assert str(tmp_path) not in json.dumps(told), "nothing of the machine"


def test_leaks_against_a_file(folder: Path, tmp_path: Path) -> None:
    take(folder, many(20))
    images = np.stack([face(500), face(3), packed(face(4), "jpeg")])
    other = tmp_path / "other.npz"
    np.savez(other, images=images, labels=np.zeros(3, int), usage=np.array([0, 1, 1]))
    with Library.open(folder) as library:
        training, public = leaks_against(library, other)["crossing"]
    assert training["alike"] == [0, 0]
    assert (public["identical"], public["alike"]) == ([1, 1], [2, 2])
    assert public["parts"] == ["library", "other.npz PublicTest"]
    assert public["examples"][0][1] == {"source": "other.npz", "row": 1}


def test_sheets_show_every_class_and_every_fault(folder: Path, tmp_path: Path) -> None:
    take(
        folder, Faces(*many(30).faces, ("fear", face(0), None, None), ("fear", face(9), None, None))
    )
    with Library.open(folder) as library:
        written = write_sheets(library, tmp_path / "sheets", 3)
    names = {path.stem for path in written}
    assert names == {*LABELS, "label conflict", "duplicate"}
    for path in written:
        page = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        assert page is not None
        assert page.std() > 10
    with Library.open(tmp_path / "empty", make=True) as library:
        with pytest.raises(WorkshopError, match="holds no faces to show"):
            write_sheets(library, tmp_path / "none", 3)
        (tmp_path / "file").write_text("")
        take(tmp_path / "empty", many(1))
        with pytest.raises(WorkshopError, match="cannot be written to"):
            write_sheets(library, tmp_path / "file", 3)
