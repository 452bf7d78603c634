"""Sources of pictures: folders, tables, FER+, .npz and a box's zip; and what is refused."""

import csv
import io
import os
import shlex
import unicodedata
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from babel.messages.pofile import read_po
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mien_web
from library_samples import (
    face,
    fer_csv,
    fer_plus_csv,
    fer_rows,
    rows,
    take,
    write,
)
from mien import uploads
from mien.events import EXPRESSIONS
from mien_convert.errors import DatasetError, WorkshopError
from mien_convert.ferplus import FerPlusFolders, lists_in
from mien_convert.library import Library
from mien_convert.sources import FolderSource, NpzSource, SourceError
from mien_convert.spelling import SPELLINGS, Classes
from mien_convert.tables import FerTable, ListTable, is_votes, join_votes

TERMS = {"licence": "CC0", "consent": "not asked"}


def folders(root: Path, *, cropped: bool = True, **own: str) -> FolderSource:
    return FolderSource(root, Classes(own), cropped=cropped, **TERMS)


def listed(path: Path, **own: str) -> ListTable:
    return ListTable(path, Classes(own), cropped=True, **TERMS)


def fer(path: Path, **own: str) -> FerTable:
    return FerTable(path, Classes(own), **TERMS)


# ── names of classes ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("Happy", "happiness"), ("3_happy", "happiness"), ("JOY", "happiness"),
        ("angry", "anger"), ("disgusted", "disgust"), ("Fearful", "fear"), ("sad", "sadness"),
        ("surprised", "surprise"), ("Neutral ", "neutral"), ("contempt", "other"),
        ("hapy", None), ("0", None), ("", None),
        ("Angst", "fear"), ("2_Überraschung", "surprise"), ("U\u0308berraschung", "surprise"),
        ("Ueberraschung", "surprise"), ("WUT", "anger"), ("wütend", "anger"), ("Ekel", "disgust"),
        ("Trauer", "sadness"), ("Freude", "happiness"), ("Verachtung", "other"),
    ],
)  # fmt: skip
def test_common_spellings(name: str, label: str | None) -> None:
    assert Classes().find(name) == label


def test_no_spelling_means_two_classes() -> None:
    words = [word for spellings in SPELLINGS.values() for word in spellings]
    assert len(words) == len(set(words))


def test_the_pages_own_words_are_known_in_each_language() -> None:
    for catalogue in (Path(mien_web.__file__).parent / "translations").glob("*/LC_MESSAGES/*.po"):
        told = {m.id: m.string for m in read_po(io.BytesIO(catalogue.read_bytes()))}
        for expression in EXPRESSIONS:
            word = told[expression]
            assert Classes().find(word) == expression
            assert uploads.expression_of(f"{word}/a.png") == EXPRESSIONS.index(expression)


def test_a_name_of_ones_own_is_known_however_a_system_writes_its_accents() -> None:
    classes = Classes({"fröhlichste": "happy", r"b\xf6se": "angry"})
    assert classes.find("fro\u0308hlichste") == "happiness"
    assert classes.find(os.fsdecode(b"b\xf6se")) == "anger"


def test_a_name_of_ones_own_goes_first_and_must_mean_something() -> None:
    classes = Classes({"glad": "happy", "0": "anger", "smile": "other"})
    assert [classes.find(name) for name in ("glad", "0", "smile")] == [
        "happiness", "anger", "other",
    ]  # fmt: skip
    with pytest.raises(WorkshopError, match=r"The class 'hapy', given for 'glad', is not known"):
        Classes({"glad": "hapy"})


# ── folders ──────────────────────────────────────────────────────────────────────────────────────


def test_folders_give_label_part_and_person(tmp_path: Path) -> None:
    root = tmp_path / "faces"
    write(root / "train" / "happy" / "1.png", face(1))
    write(root / "train" / "happy" / "anna" / "2.png", face(2))
    write(root / "anna" / "Sadness" / "3.png", face(3))
    write(root / "test" / "contempt" / "4.png", face(4))
    write(root / ".hidden" / "happy" / "5.png", face(5))
    write(root / "val" / "fear" / ".6.png", face(6))
    write(root / "val" / "fear" / "7.png", face(7))
    found = {one.address: one for one in folders(root)}
    assert {address: one.label for address, one in found.items()} == {
        "train/happy/1.png": "happiness", "train/happy/anna/2.png": "happiness",
        "anna/Sadness/3.png": "sadness", "test/contempt/4.png": "other", "val/fear/7.png": "fear",
    }  # fmt: skip
    assert [one.usage for one in found.values()] == [None, 2, 0, 0, 1]
    anna = f"{root}/anna"
    assert [one.person for one in found.values()] == [anna, None, None, anna, None]


def persons(root: Path, **options: Any) -> dict[str | None, int]:
    source = FolderSource(root, Classes(), cropped=True, **TERMS, **options)
    names = [one.person and one.person.removeprefix(f"{root.resolve()}/") for one in source]
    return dict(Counter(names))


def a_set(root: Path, *folders: str, each: int = 2) -> Path:
    """Pictures of two classes in each of these folders."""
    for folder in folders:
        for name in ("happy", "sad"):
            for i in range(each):
                write(root / folder / name / f"{i}.png", face(i))
    return root


@pytest.mark.parametrize(
    "folders",
    [
        ["images/train", "images/validation"], ["whatever/train", "whatever/test"],
        ["set1/train", "set1/test", "set2/train", "set2/test"], ["nested/deeper"], ["FER2013"],
        ["train/images", "test/images"], ["train/this", "test/that"],
        ["train/fold_1", "train/fold_2"],
        ["Bilder", "CK+48", "archive/data"],
    ],
)  # fmt: skip
def test_a_folder_of_many_people_is_not_one_person(tmp_path: Path, folders: list[str]) -> None:
    assert persons(a_set(tmp_path, *folders)) == {None: 4 * len(folders)}


def test_folders_side_by_side_are_persons_and_that_is_said(tmp_path: Path) -> None:
    root = a_set(tmp_path / "faces", "train/anna", "train/ben", "test/eve", "test/ben")
    assert persons(root) == {"anna": 4, "ben": 8, "eve": 4}
    assert persons(root, persons=False) == {None: 16}
    assert [notice for notice in folders(root).notices if "taken for the persons" in notice] == [
        "3 folders are taken for the persons shown (ben, eve, anna); if they are none, import with "
        "--no-persons into a new library"
    ]


def test_folders_below_the_class_are_persons(tmp_path: Path) -> None:
    for name, who in (("happy", "p1"), ("sad", "p1"), ("sad", "p2")):
        write(tmp_path / "data" / name / who / "1.png", face(1))
    assert persons(tmp_path) == {"p1": 2, "p2": 1}


def test_links_are_followed_once_and_never_upwards(tmp_path: Path) -> None:
    root = a_set(tmp_path / "faces", "")
    elsewhere = a_set(tmp_path / "elsewhere", "", each=3)
    (elsewhere / "happy" / "back").symlink_to(root)
    for link, to in (
        ("happy/loop", ".."), ("sad/again", root), ("sad/top", "/"), ("sad/broken", "nowhere"),
        ("fear", elsewhere / "happy"), ("afraid", elsewhere / "happy"), ("joy", "happy"),
    ):  # fmt: skip
        (root / link).symlink_to(to)
    (root / "happy" / "twice.png").symlink_to("0.png")
    os.link(root / "happy" / "0.png", root / "happy" / "hard.png")
    source = folders(root)
    assert [one.address for one in source] == [
        "afraid/0.png", "afraid/1.png", "afraid/2.png", "happy/0.png", "happy/1.png",
        "sad/0.png", "sad/1.png",
    ]  # fmt: skip
    (told,) = (notice for notice in source.notices if "lead" in notice)
    assert told.startswith("8 links lead to what is read already (")


def test_a_folder_that_cannot_be_read_is_told(tmp_path: Path, monkeypatch: Any) -> None:
    root = a_set(tmp_path, "")
    (root / "happy" / "closed").mkdir()
    scandir = os.scandir

    def refusing(path: Path) -> Any:
        if path.name == "closed":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    assert "1 folders cannot be read: happy/closed (Permission denied)" in folders(root).notices


def test_names_that_are_not_utf_8_are_imported(tmp_path: Path) -> None:
    root = tmp_path / os.fsdecode(b"B\xfccher")
    for i, name, who in ((1, "happy", b"J\xf6rg"), (2, "sad", b"J\xf6rg"), (3, "sad", b"Eve")):
        write(root / name / os.fsdecode(who) / os.fsdecode(b"\xe9.png"), face(i))
    take(tmp_path / "library", folders(root))
    assert rows(tmp_path / "library", "address, stage") == [
        (r"happy/J\xf6rg/\xe9.png", 2), (r"sad/Eve/\xe9.png", 2), (r"sad/J\xf6rg/\xe9.png", 2),
    ]  # fmt: skip
    assert take(tmp_path / "library", folders(root)).added == 0
    with pytest.raises(SourceError, match=r"'J\\xf6rg=EXPRESSION'"):
        folders(root / "happy")


def test_a_folder_without_folders_is_a_class_by_its_own_name(tmp_path: Path) -> None:
    write(tmp_path / "glad" / "1.png", face(1))
    (one,) = folders(tmp_path / "glad", glad="happiness")
    assert (one.address, one.label, one.person) == ("1.png", "happiness", None)


def test_a_misspelt_folder_names_the_nearest_class(tmp_path: Path) -> None:
    write(tmp_path / "sad" / "1.png", face(1))
    write(tmp_path / "hapy" / "2.png", face(2))
    with pytest.raises(SourceError) as error:
        folders(tmp_path)
    assert "The folder hapy" in str(error.value)
    assert "(1 pictures) is no known class: did you mean happiness ('happy')?" in str(error.value)
    assert "Expected are anger, disgust, fear" in str(error.value)
    assert "--class hapy=EXPRESSION" in str(error.value)
    assert len(folders(tmp_path, hapy="happiness")) == 2


@pytest.mark.parametrize(
    ("folder", "named"),
    [
        ("DATASET/train/1", "1"), ("faces/hapy/anna", "hapy"), ("a/b/c", "c"),
        ("images/Sehr Glücklich", "Sehr Glücklich"), ("x/train/Klasse A/images", "Klasse A"),
    ],
)  # fmt: skip
def test_the_folder_that_should_be_a_class_is_named_as_it_is(
    tmp_path: Path, folder: str, named: str
) -> None:
    write(tmp_path / folder / "1.png", face(1))
    with pytest.raises(SourceError) as error:
        folders(tmp_path)
    assert f"The folder {named} in " in str(error.value)
    assert f"--class {shlex.quote(f'{named}=EXPRESSION')}" in str(error.value)


def test_several_unknown_folders_are_all_named(tmp_path: Path) -> None:
    write(tmp_path / "train" / "0" / "1.png", face(1))
    write(tmp_path / "train" / "1" / "2.png", face(2))
    with pytest.raises(SourceError, match=r"The folder 0 .* is no known class, nor are 1:"):
        folders(tmp_path)


def test_empty_folders_and_texts_are_told_with_their_counts(tmp_path: Path) -> None:
    for i in range(3):
        write(tmp_path / "happy" / f"{i}.png", face(i))
    (tmp_path / "happy" / "notes.txt").write_text("nothing to see")
    (tmp_path / "happy" / "broken.png").write_bytes(b"")
    (tmp_path / "sad").mkdir()
    (tmp_path / "fear").mkdir()
    (tmp_path / "anegr").mkdir()
    for i in range(5):
        (tmp_path / "fear" / f"{i}.txt").write_text("a face")
    source = folders(tmp_path)
    assert len(source) == 3
    assert sorted(source.notices) == [
        "2 files in happy are no pictures (broken.png, notes.txt)",
        "anegr holds no picture and is no known class",
        "the class folder fear holds no picture, only 5 other files (0.txt, 1.txt, 2.txt, …)",
        "the class folder sad holds no picture, nothing",
    ]


def test_two_pictures_for_seven_classes_are_refused(tmp_path: Path) -> None:
    for name in ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"):
        (tmp_path / name).mkdir()
    with pytest.raises(SourceError, match="There is no picture in"):
        folders(tmp_path)
    write(tmp_path / "happy" / "1.png", face(1))
    write(tmp_path / "sad" / "2.png", face(2))
    with pytest.raises(SourceError, match="holds 2 pictures in class folders for 7 classes"):
        folders(tmp_path)


def test_what_is_no_set_of_class_folders_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"There is no folder .*nowhere"):
        folders(tmp_path / "nowhere")
    write(tmp_path / "1.png", face(1))
    (tmp_path / "labels.csv").write_text("image,expression\n1.png,happiness\n")
    with pytest.raises(SourceError, match=r"no class folder.*If labels.csv has their labels"):
        folders(tmp_path)
    texts = tmp_path / "texts"
    (texts / "happy").mkdir(parents=True)
    (texts / "happy" / "a.txt").write_text("ha ha")
    with pytest.raises(SourceError, match=r"no picture in .*, only 1 files of other kinds"):
        folders(texts)


# ── FER-2013 ─────────────────────────────────────────────────────────────────────────────────────


def test_fer_2013_is_read_as_it_is(tmp_path: Path) -> None:
    given_rows = fer_rows(6)
    source = fer(fer_csv(tmp_path / "fer2013.csv", given_rows))
    assert len(source) == 6
    for row, (emotion, picture, usage), found in zip(range(6), given_rows, source, strict=True):
        assert found.address == f"row {row}"
        assert (
            found.label == ("anger", "disgust", "fear", "happiness", "sadness", "surprise")[emotion]
        )
        assert found.usage == ("Training", "PublicTest").index(usage)
        assert isinstance(found.content, np.ndarray)
        assert (found.content == picture).all()


def test_other_orders_of_columns_and_capitals_are_read(tmp_path: Path) -> None:
    path = tmp_path / "icml.csv"
    pixels = " ".join(["7"] * 2304)
    path.write_text(f"\ufeffemotion, Usage, pixels\r\n 3 , PrivateTest , {pixels}\r\n\r\n")
    (one,) = fer(path)
    assert (one.label, one.usage) == ("happiness", 2)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is empty"),
        ("emotion,Usage\n3,Training\n", "has no column pixels"),
        ("emotion,pixels,Usage\n", "no rows below"),
        ("emotion,pixels,Usage\n7,{px},Training\n", "line 2: emotion is '7', expected 0 to 6"),
        ("emotion,pixels,Usage\n-1,{px},Training\n", "line 2: emotion is '-1'"),
        ("emotion,pixels,Usage\n,{px},Training\n", "line 2: emotion is ''"),
        ("emotion,pixels,Usage\n3,{px},Training\n3,1 2 3,Training\n", "line 3: pixels holds 3 num"),
        ("emotion,pixels,Usage\n3,{px} 256,Training\n", "line 2: pixels holds something"),
        ("emotion,pixels,Usage\n3,{px} x,Training\n", "line 2: pixels holds something"),
        ("emotion,pixels,Usage\n3,{px},Tranning\n", "line 2: Usage is 'Tranning', expected Train"),
        ("emotion,pixels,Usage\n3,{px}\n", "line 2: there are 2 values, expected 3"),
        ("emotion,pixels,Usage\n3,{px},Training\n\0,1,2\n", "is not a text file"),
    ],
)
def test_a_wrong_table_is_refused_with_its_line(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "fer2013.csv"
    path.write_text(text.replace("{px}", " ".join(["7"] * 2304)))
    with pytest.raises(SourceError, match=sentence):
        fer(path)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "fer2013.csv"
    path.write_bytes(b"emotion,pixels\n\xff\xfe\x00\x01")
    with pytest.raises(SourceError, match="is not a text file"):
        fer(path)
    with pytest.raises(SourceError, match="There is no file"):
        fer(tmp_path / "none.csv")


VALUES = st.tuples(st.integers(0, 6), st.integers(0, 255), st.sampled_from(range(3)))


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(VALUES, min_size=1, max_size=5))
def test_what_is_written_is_read_back(tmp_path: Path, values: list[tuple[int, int, int]]) -> None:
    names = ("Training", "PublicTest", "PrivateTest")
    table = [
        (emotion, np.full((48, 48), grey, np.uint8), names[part]) for emotion, grey, part in values
    ]
    found = list(fer(fer_csv(tmp_path / "fer.csv", table)))
    assert [(one.usage, int(np.asarray(one.content)[0, 0])) for one in found] == [
        (part, grey) for _, grey, part in values
    ]


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    heading=st.sampled_from(["emotion,pixels,Usage", "file,label", "emotion,pixels", "a,b"]),
    body=st.text(alphabet=st.characters(codec="utf-8"), max_size=80),
)
def test_any_text_is_read_or_refused_in_a_sentence(tmp_path: Path, heading: str, body: str) -> None:
    path = tmp_path / "any.csv"
    path.write_text(f"{heading}\n{body}", newline="")
    for reader in (fer, listed):
        with suppress(SourceError):
            reader(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_tables_are_read_as_spreadsheets_write_them(
    tmp_path: Path, encoding: str, separator: str
) -> None:
    pixels = " ".join(["7"] * 2304)
    lines = [["emotion", "pixels", "Usage", "", ""], ["Ärger", pixels, "Training", "", ""],
             ["3", pixels, "PrivateTest", "", ""], ["", "", "", "", ""]]  # fmt: skip
    path = tmp_path / "fer.csv"
    path.write_bytes("\r\n".join(separator.join(line) for line in lines).encode(encoding))
    assert [(one.label, one.usage) for one in fer(path)] == [("anger", 0), ("happiness", 2)]


def test_an_eighth_class_and_words_of_ones_own(tmp_path: Path) -> None:
    pixels = " ".join(["7"] * 2304)
    path = tmp_path / "ck.csv"
    path.write_text(
        "emotion,pixels\n" + "".join(f"{e},{pixels}\n" for e in ("7", "0", "wow", "6.0"))
    )
    with pytest.raises(SourceError, match=r"line 2: emotion is '7', .*--class 7=other"):
        fer(path)
    with pytest.raises(SourceError, match=r"line 4: emotion is 'wow'"):
        fer(path, **{"7": "other"})
    found = fer(path, **{"7": "other", "wow": "surprise", "0": "happiness"})
    assert [one.label for one in found] == ["other", "happiness", "surprise", "neutral"]


# ── lists of files ───────────────────────────────────────────────────────────────────────────────


def test_a_list_names_file_label_person_and_part(tmp_path: Path) -> None:
    write(tmp_path / "a" / "1.png", face(1))
    path = tmp_path / "labels.csv"
    path.write_text(
        "Image,Expression,Person,Split\na/1.png,happy,p1,train\ngone.png,sad,p2,test\na/1.png,,,\n"
    )
    source = listed(path)
    found = list(source)
    assert [(one.address, one.label, one.usage) for one in found] == [
        ("a/1.png", "happiness", 0), ("gone.png", "sadness", 2), ("a/1.png", None, None),
    ]  # fmt: skip
    assert found[0].person == f"{path}/p1"
    assert found[2].person is None
    assert source.notices == ["1 files in the list are not there (gone.png, …)"]
    take(tmp_path / "library", source)
    assert rows(tmp_path / "library") == [("a/1.png", 3, None, 2), ("gone.png", 4, "unreadable", 0)]


@pytest.mark.parametrize(
    "name",
    [
        "a b/É/1.png", r"a b\\É\\1.png", r".\\a b\\É\\1.png", "a b/E\u0301/1.png",
        r"C:\\Users\\me\\set\\a b\\É\\1.png", r"\\\\server\\share\\set\\a b\\É\\1.png",
        "/home/me/set/a b/É/1.png",
    ],
)  # fmt: skip
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_list_finds_its_files_whichever_system_wrote_it(
    tmp_path: Path, name: str, form: Literal["NFC", "NFD"]
) -> None:
    file = write(tmp_path / "a b" / unicodedata.normalize(form, "É") / "1.png", face(1))
    path = tmp_path / "list.csv"
    path.write_text(f"Datei;Ausdruck\n{name};Freude\n", "utf-8")
    (one,) = listed(path)
    assert (one.content, one.label) == (file, "happiness")


def test_a_list_from_elsewhere_takes_no_file_of_the_same_name(tmp_path: Path) -> None:
    write(tmp_path / "happy" / "1.png", face(1))
    write(tmp_path / "2.png", face(2))
    path = tmp_path / "list.csv"
    path.write_text("file,label\n/old/set/happy/1.png,happy\n/old/set/sad/2.png,sad\n")
    source = listed(path)
    assert [one.content == tmp_path / "happy" / "1.png" for one in source] == [True, False]
    assert source.notices == ["1 files in the list are not there (/old/set/sad/2.png, …)"]


def test_a_file_may_have_a_backslash_in_its_name(tmp_path: Path) -> None:
    file = write(tmp_path / "a\\1.png", face(1))
    write(tmp_path / "a" / "1.png", face(2))
    path = tmp_path / "list.csv"
    path.write_text("file,label\na\\1.png,happy\n")
    (one,) = listed(path)
    assert one.content == file


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("image,what\n1.png,happy\n", "has the columns image, what; expected are"),
        ("image,label\n1.png,hapy\n", "line 2: label is 'hapy'; did you mean happiness"),
        ("image,label\n1.png,happy\n2.png,sad\n", "None of the 2 files, such as 1.png,"),
        ("image,label\n", "None of the 0 files"),
        ("image,label,split\n1.png,happy,exam\n", "line 2: Usage is 'exam'"),
    ],
)
def test_a_wrong_list_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(text)
    with pytest.raises(SourceError, match=sentence):
        listed(path)


def test_a_label_mended_in_the_list_is_mended_in_the_library(tmp_path: Path) -> None:
    write(tmp_path / "1.png", face(1))
    path, library = tmp_path / "labels.csv", tmp_path / "library"
    path.write_text("file,label\n1.png,happy\n")
    take(library, listed(path))
    path.write_text("file,label\n1.png,sad\n")
    done = take(library, listed(path))
    assert (done.added, done.known) == (1, 0)
    assert rows(library) == [("1.png", 4, None, 2)]


# ── FER+ ─────────────────────────────────────────────────────────────────────────────────────────

NOBODY = [0] * 9 + [10]
HAPPY = [2, 8, 0, 0, 0, 0, 0, 0, 0, 0]


def refused(folder: Path, path: Path, sentence: str) -> None:
    with (
        Library.open(folder / "library", make=True) as library,
        pytest.raises(SourceError, match=sentence),
    ):
        join_votes(library, path)


def test_votes_are_joined_by_row(tmp_path: Path) -> None:
    table = fer_rows(3)
    usages = [usage for _, _, usage in table]
    path = fer_plus_csv(tmp_path / "fer2013new.csv", usages, [HAPPY, NOBODY, HAPPY])
    assert is_votes(path)
    refused(tmp_path, path, r"import fer2013.csv first")
    take(tmp_path / "library", fer(fer_csv(tmp_path / "fer2013.csv", table)))
    with Library.open(tmp_path / "library") as library:
        done = join_votes(library, path)
    assert done == {"source": "fer2013.csv", "votes": 3, "not_a_face": 1}
    found = rows(tmp_path / "library", "votes, why")
    assert [(list(ballot), why) for ballot, why in found] == [
        (HAPPY, None), (NOBODY, "not a face"), (HAPPY, None),
    ]  # fmt: skip


def test_votes_of_other_rows_are_refused_and_change_nothing(tmp_path: Path) -> None:
    take(tmp_path / "library", fer(fer_csv(tmp_path / "fer2013.csv", fer_rows(5))))
    for usages, sentence in (
        (["Training"] * 4, "fer2013.csv: it has 5 rows, the votes 4"),
        (["Training"] * 5, "fer2013.csv: row 4 is of another part"),
    ):
        path = fer_plus_csv(tmp_path / "votes.csv", usages, [HAPPY] * len(usages))
        refused(tmp_path, path, sentence)
    text = path.read_text().replace("fer0000003.png", "fer0000004.png")
    path.write_text(text)
    refused(tmp_path, path, r"line 5: .*expected 'fer0000003.png'")
    path.write_text(text.replace("2,8,", "2,many,", 1))
    refused(tmp_path, path, "line 2: happiness is 'many'")
    assert rows(tmp_path / "library", "votes") == [(None,)] * 5


def ferplus(
    root: Path, name: str, ballots: Sequence[Sequence[int]], *, pictures: bool = True
) -> Path:
    """A folder as the script of FER+ writes it."""
    path = root / name / "label.csv"
    path.parent.mkdir(parents=True)
    with path.open("w", newline="") as file:
        for i, ballot in enumerate(ballots):
            csv.writer(file).writerow([f"fer{i:07d}.png", "(0, 0, 48, 48)", *ballot])
            if pictures:
                write(path.parent / f"fer{i:07d}.png", face(i + 10 * sum(map(ord, name))))
    return path


def test_the_folders_of_fer_plus_give_labels_votes_and_parts(tmp_path: Path) -> None:
    split = [5, 5, 0, 0, 0, 0, 0, 0, 0, 0]
    scorn = [0, 0, 0, 0, 0, 0, 0, 9, 1, 0]
    root = tmp_path / "data"
    ferplus(root, "FER2013Train", [HAPPY, split, scorn, NOBODY])
    ferplus(root, "FER2013Valid", [HAPPY])
    path = ferplus(root, "FER2013Test", [HAPPY])
    assert lists_in(root / "FER2013Test") == [path]
    assert len(lists_in(tmp_path)) == 3
    take(tmp_path / "library", FerPlusFolders(root, **TERMS))
    found = rows(tmp_path / "library", "address, label, usage, why, votes")
    assert [row[:4] for row in found] == [
        ("FER2013Test/fer0000000.png", 3, 2, None), ("FER2013Train/fer0000000.png", 3, 0, None),
        ("FER2013Train/fer0000001.png", None, 0, "no label"),
        ("FER2013Train/fer0000002.png", None, 0, "not one of the seven"),
        ("FER2013Train/fer0000003.png", None, 0, "not a face"),
        ("FER2013Valid/fer0000000.png", 3, 1, None),
    ]  # fmt: skip
    assert list(found[0][4]) == HAPPY
    assert take(tmp_path / "one", FerPlusFolders(path, **TERMS)).added == 1


def test_fer_plus_without_its_pictures_is_told(tmp_path: Path) -> None:
    path = ferplus(tmp_path, "FER2013Train", [HAPPY, HAPPY], pictures=False)
    with pytest.raises(SourceError, match=r"None of the 2 pictures .*generate_training_data.py"):
        FerPlusFolders(path, **TERMS)
    write(path.parent / "fer0000001.png", face(1))
    assert FerPlusFolders(path, **TERMS).notices == [
        "1 files in the list are not there (fer0000000.png, …)"
    ]
    path.write_text(path.read_text() + "fer0000002.png,x,1\n")
    with pytest.raises(SourceError, match="line 3: there are 3 values, expected 12"):
        FerPlusFolders(path, **TERMS)


# ── .npz ─────────────────────────────────────────────────────────────────────────────────────────


def test_an_npz_file_keeps_votes_and_parts(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    images = np.stack([face(i) for i in range(3)])
    images[2] = 9
    np.savez(
        path, images=images, labels=np.array([0, 6, 3]), usage=np.array([0, 1, 0]),
        fer_plus=np.array([HAPPY, [0] * 10, HAPPY], np.uint8), align=np.array([3, 0, 0]),
    )  # fmt: skip
    take(tmp_path / "library", NpzSource(path, **TERMS))
    assert rows(tmp_path / "library", "address, label, usage, votes, why") == [
        ("picture 0", 0, 0, bytes(HAPPY), "votes of another picture"),
        ("picture 1", 6, 1, None, None),
        ("picture 2", 3, 0, bytes(HAPPY), "blank"),
    ]
    with pytest.raises(DatasetError, match="no data file"):
        NpzSource(tmp_path / "none.npz", **TERMS)


def test_large_fields_are_told(tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["emotion", "pixels"], ["3", "1 " * 200_000]])
    with pytest.raises(SourceError, match=r"line 2: .*, or a field is too large"):
        fer(path)


def test_samples_are_strange_to_each_other() -> None:
    """The other tests rest on it."""
    flat = np.stack([face(i).ravel() for i in range(50)]).astype(np.float64)
    others: Any = np.corrcoef(flat) - np.eye(50)
    assert np.abs(others).max() < 0.5
