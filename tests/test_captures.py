from pathlib import Path
from typing import Any

import pytest

import pages
from mien import captures, events
from mien.events import EXPRESSIONS

SHOT = events.Capture(
    frame=7,
    boot="boot",
    boot_ms=1,
    face=b"a JPEG",
    crop=b"a PNG",
    expression="fear",
    reason=None,
    probabilities={name: 0.4 if name == "fear" else 0.1 for name in EXPRESSIONS},
    embedding=b"\0" * 16,
    maps=bytes(7 * 4),
    side=2,
    bundle="mien-fer-2",
    quality=0.7,
)
FEAR, NEUTRAL = EXPRESSIONS.index("fear"), EXPRESSIONS.index("neutral")


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    yield from pages.box(tmp_path, monkeypatch)


@pytest.fixture
def session(box: pages.Box) -> str:
    box.clock.advance(1000)
    return box.session(box.client(), seconds=60)


def find(box: pages.Box, id: str, owner: str = "anna") -> captures.Capture | None:
    user = box.user(owner)
    return box.db.read(lambda db: captures.find(db, id, user))


def test_a_capture_is_kept_once(box: pages.Box, session: str) -> None:
    assert box.db.write(lambda db: captures.add(db, "one", session, 5000, SHOT))
    assert not box.db.write(lambda db: captures.add(db, "one", session, 9000, SHOT))
    (kept,) = box.db.read(lambda db: captures.of_session(db, session))
    assert (kept.id, kept.at_ms, kept.expression, kept.side) == ("one", 5000, FEAR, 2)
    assert kept.probabilities[FEAR] == pytest.approx(0.4)
    assert kept.correction is None
    assert box.db.read(lambda db: captures.face(db, "one")) == b"a JPEG"
    assert box.db.read(lambda db: captures.crop(db, "one")) == b"a PNG"
    assert box.db.read(lambda db: captures.maps(db, "one")) == bytes(28)
    assert box.db.read(lambda db: captures.embedding(db, "one")) == b"\0" * 16
    assert box.db.read(lambda db: captures.face(db, "none")) == b""


def test_a_persons_word_beats_the_networks_and_the_newest_counts(
    box: pages.Box, session: str
) -> None:
    box.db.write(lambda db: captures.add(db, "one", session, 5000, SHOT))

    def label() -> int | None:
        found = find(box, "one")
        assert found
        return captures.label(found)

    assert label() == FEAR
    box.db.write(lambda db: captures.correct(db, "one", NEUTRAL, "anna", 1.0, blind=True))
    assert label() == NEUTRAL
    box.db.write(lambda db: captures.correct(db, "one", None, "anna", 2.0))
    assert label() is None
    assert box.db.write(lambda db: captures.take_back(db, "one"))
    assert label() == NEUTRAL
    found = find(box, "one")
    assert found
    assert found.correction
    assert (found.correction.utc, found.correction.blind) == (1000, True)
    assert box.db.write(lambda db: captures.take_back(db, "one"))
    assert not box.db.write(lambda db: captures.take_back(db, "one"))
    assert label() == FEAR


def test_a_deleted_capture_is_in_no_list_and_can_be_put_back(box: pages.Box, session: str) -> None:
    box.db.write(lambda db: captures.add(db, "one", session, 5000, SHOT))
    box.db.write(lambda db: captures.delete(db, "one"))
    (client,) = box.rows("SELECT client FROM sessions WHERE id = ?", session)[0]
    owner = box.user()
    for listed in (
        lambda db: captures.of_session(db, session),
        lambda db: captures.of_client(db, client),
        lambda db: captures.judged(db, owner),
    ):
        assert box.db.read(listed) == []
    assert box.db.read(lambda db: captures.count(db, session)) == 0
    box.db.write(lambda db: captures.delete(db, "one", deleted=False))
    assert box.db.read(lambda db: captures.count(db, session)) == 1


def test_what_was_said_of_ones_own_captures(box: pages.Box, session: str) -> None:
    for id in ("one", "two"):
        box.db.write(lambda db, id=id: captures.add(db, id, session, 5000, SHOT))  # type: ignore[misc]
    box.db.write(lambda db: captures.correct(db, "one", NEUTRAL, "anna", 1.0))
    box.db.write(lambda db: captures.correct(db, "one", None, "anna", 2.0, blind=True))
    owner, other = box.user(), box.user("berta")
    said = box.db.read(lambda db: captures.judged(db, owner))
    assert sorted((one.labelled, one.person, one.blind) for one in said) == [
        (False, None, False), (True, None, True)
    ]  # fmt: skip
    assert {one.network for one in said} == {FEAR}
    (client,) = box.rows("SELECT client FROM sessions")[0]
    assert len(box.db.read(lambda db: captures.judged(db, owner, client))) == 2
    assert box.db.read(lambda db: captures.judged(db, owner, "another")) == []
    assert box.db.read(lambda db: captures.judged(db, other)) == []


def test_what_was_deleted_is_swept_for_its_owner_alone(box: pages.Box, session: str) -> None:
    for id in ("one", "two"):
        box.db.write(lambda db, id=id: captures.add(db, id, session, 5000, SHOT))  # type: ignore[misc]
    box.db.write(lambda db: captures.delete(db, "one"))
    owner, other = box.user(), box.user("berta")
    assert box.db.write(lambda db: captures.sweep(db, other)) == 0
    assert box.db.write(lambda db: captures.sweep(db, owner)) == 1
    assert box.rows("SELECT id FROM captures") == [("two",)]


def test_another_users_capture_is_not_found(box: pages.Box, session: str) -> None:
    box.db.write(lambda db: captures.add(db, "one", session, 5000, SHOT))
    assert find(box, "one")
    assert find(box, "one", owner="berta") is None
    assert find(box, "another") is None
