"""The library's rows: who sees which picture, labels, and the same picture twice."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pages
import shelf
from mien import gallery
from mien.gallery import Filter


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pages.Box]:
    yield from pages.box(tmp_path, monkeypatch)


def page(box: pages.Box, user: int, **chosen: Any) -> list[int]:
    total, found = box.db.read(lambda db: gallery.page(db, user, Filter(**chosen), 1, 50))
    assert total == len(found)
    return [picture.id for picture in found]


def test_the_same_file_is_kept_once(box: pages.Box) -> None:
    shelf.put(box, 1)
    again = box.db.write(lambda db: gallery.add(db, shelf.found(1), "other", 0, 0.0))
    assert again is None


def test_pictures_are_chosen_by_all_that_is_asked(box: pages.Box) -> None:
    anna = box.user()
    client = box.client("K-17", "training")
    one = shelf.put(box, 1, "anger", "drawn")
    two = shelf.put(box, 2, None, "FER", color="color")
    three = shelf.put(box, 3, "anger", "captures", client=client, capture="c", name="K-17")
    assert page(box, anna) == [three, two, one]
    assert page(box, anna, expression=0) == [three, one]
    assert page(box, anna, expression=-1) == [two]
    assert page(box, anna, source="FER") == [two]
    assert page(box, anna, color="gray") == [three, one]
    assert page(box, anna, people="captures") == [three]
    assert page(box, anna, people="uploads") == [two, one]
    assert page(box, anna, text="k-1") == [three]
    assert page(box, anna, text="%") == []
    assert page(box, anna, expression=0, people="uploads") == [one]
    assert box.db.read(lambda db: gallery.counts(db, anna)) == {0: 2, None: 1}
    assert box.db.read(lambda db: gallery.sources(db, anna)) == [
        ("FER", 1), ("captures", 1), ("drawn", 1),
    ]  # fmt: skip


def test_pages_follow_each_other(box: pages.Box) -> None:
    anna = box.user()
    ids = [shelf.put(box, n) for n in range(5)]
    seen = [
        box.db.read(lambda db, n=n: gallery.page(db, anna, Filter(), n, 2))[1] for n in (1, 2, 3, 4)
    ]
    assert [[one.id for one in found] for found in seen] == [
        ids[4:2:-1], ids[2:0:-1], ids[:1], [],
    ]  # fmt: skip


def test_a_client_is_seen_by_the_owner_alone_and_only_while_consent_lasts(box: pages.Box) -> None:
    anna, berta = box.user(), box.user("berta")
    client = box.client("K-17", "training")
    id = shelf.put(box, 1, client=client, capture="c")
    assert page(box, anna) == [id]
    assert page(box, berta) == []
    assert box.db.read(lambda db: gallery.find(db, berta, id)) is None
    assert box.db.read(lambda db: gallery.blob(db, berta, id, "face")) is None
    assert box.db.write(lambda db: gallery.delete(db, berta, [id])) == 0
    assert box.db.write(lambda db: gallery.relabel(db, berta, "berta", {id: 0}, 0.0)) == {}
    box.write("UPDATE consents SET withdrawn_utc = 1")
    assert page(box, anna) == []
    assert box.db.read(lambda db: gallery.blob(db, anna, id, "face")) is None
    assert list(box.db.read(lambda db: list(gallery.outgoing(db, anna)))) == []


def test_a_label_can_be_changed_and_given_back(box: pages.Box) -> None:
    anna = box.user()
    one, two = shelf.put(box, 1, "anger"), shelf.put(box, 2, None)

    def relabel(labels: dict[int, int | None]) -> dict[int, int | None]:
        return box.db.write(lambda db: gallery.relabel(db, anna, "anna", labels, 0.0))

    before = relabel({one: 4, two: 4, 999: 4})
    assert before == {one: 0, two: None}
    assert page(box, anna, expression=4) == [two, one]
    assert relabel({one: 4}) == {}
    relabel(before)
    assert page(box, anna, expression=0) == [one]


def test_what_is_said_of_a_captured_face_is_a_correction_of_the_capture(box: pages.Box) -> None:
    anna = box.user()
    client = box.client("K-17", "training")
    shelf.capture(box, "c1", box.session(client, 60), "anger", b"", b"")
    id = shelf.put(box, 1, "anger", client=client, capture="c1")
    box.db.write(lambda db: gallery.relabel(db, anna, "anna", {id: 4}, 7.0))
    assert box.rows("SELECT expression, user, utc FROM corrections ORDER BY id")[-1] == (
        4, "anna", 7000,
    )  # fmt: skip


def test_only_corrected_captures_of_those_who_agreed_may_come(box: pages.Box) -> None:
    anna, yes, no = box.user(), box.client("A", "training"), box.client("B")
    other = box.client("C", "training", owner="berta")
    for number, client in enumerate((yes, no, other)):
        session = box.session(client, 60)
        shelf.capture(box, f"said-{number}", session, "fear", b"", b"")
        shelf.capture(box, f"unsaid-{number}", session, None, b"", b"")
    session = box.session(yes, 60)
    shelf.capture(box, "excluded", session, "fear", b"", b"")
    box.write("INSERT INTO exclusions VALUES ('e', ?, 0, 5000, 0)", session)
    shelf.capture(box, "deleted", session, "fear", b"", b"")
    box.write("UPDATE captures SET deleted = 1 WHERE id = 'deleted'")
    found, refused = box.db.read(lambda db: gallery.candidates(db, anna))
    assert [one.capture for one in found] == ["said-0"]
    assert (found[0].code, found[0].expression, found[0].taken) == ("A", 2, None)
    assert refused == 1


def test_the_same_picture_is_found_under_other_files(box: pages.Box) -> None:
    anna = box.user()
    one = shelf.put(box, 1, "anger", dhash="f" * 32)
    two = shelf.put(box, 2, "sadness", dhash="f" * 31 + "0")
    three = shelf.put(box, 3, "anger", dhash="0" * 32)
    four = shelf.put(box, 4, "anger", dhash="0" * 30 + "11")
    shelf.put(box, 5, "anger", dhash="0f" * 16)
    groups, total, conflicts = box.db.read(lambda db: gallery.same(db, anna, 5))
    assert (total, conflicts) == (2, 1)
    assert [[picture.id for picture in group.pictures] for group in groups] == [
        [one, two], [three, four],
    ]  # fmt: skip
    assert [group.conflict for group in groups] == [True, False]


@given(st.lists(st.integers(0, 2**128 - 1), max_size=12), st.data())
def test_families_are_those_that_comparing_all_pairs_would_find(
    hashes: list[int], data: st.DataObject
) -> None:
    for value in list(hashes):
        flips = data.draw(st.lists(st.integers(0, 127), max_size=10))
        for bit in flips:
            value ^= 1 << bit
        hashes.append(value)
    near = {
        (i, j)
        for i in range(len(hashes))
        for j in range(len(hashes))
        if (hashes[i] ^ hashes[j]).bit_count() <= gallery.ALIKE
    }
    family = {i: {i} for i in range(len(hashes))}
    for i, j in near:
        joined = family[i] | family[j]
        for member in joined:
            family[member] = joined
    expected = {tuple(sorted(members)) for members in family.values() if len(members) > 1}
    assert {tuple(f) for f in gallery.alike(list(enumerate(hashes)))} == expected


def test_a_crop_with_two_labels_does_not_go_out(box: pages.Box) -> None:
    anna = box.user()
    shelf.put(box, 1, "anger", crop=b"same")
    shelf.put(box, 2, "sadness", crop=b"same")
    three = shelf.put(box, 3, "fear", crop=b"twice")
    shelf.put(box, 4, "fear", crop=b"twice")
    shelf.put(box, 5, None)
    assert [one.id for one in box.db.read(lambda db: list(gallery.outgoing(db, anna)))] == [three]
