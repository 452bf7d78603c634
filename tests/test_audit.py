"""The audit list: what was changed in it or taken out shows."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pages
from mien import audit
from pages import Box


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Box]:
    yield from pages.box(tmp_path, monkeypatch)


def note(box: Box, *actions: str) -> None:
    for action in actions:
        box.db.write(lambda db, action=action: audit.note(db, 1.5, "anna", action, "K-17", rows=3))


def test_an_entry(box: Box) -> None:
    note(box, "consent.given")
    (entry,) = box.db.read(audit.entries)
    assert (entry.utc, entry.user, entry.action) == (1500, "anna", "consent.given")
    assert (entry.subject, entry.detail) == ("K-17", '{"rows":3}')
    assert box.db.read(audit.broken) is None


def test_pages_and_filters(box: Box) -> None:
    note(box, *["a", "b"] * 5)
    first = box.db.read(lambda db: audit.entries(db, limit=4))
    assert [entry.id for entry in first] == [10, 9, 8, 7]
    assert [e.id for e in box.db.read(lambda db: audit.entries(db, 7, 3))] == [6, 5, 4]
    only = box.db.read(lambda db: audit.entries(db, 8, 2, "a"))
    assert [(entry.id, entry.action) for entry in only] == [(7, "a"), (5, "a")]
    assert box.db.read(audit.actions) == ["a", "b"]
    assert [entry.id for entry in box.db.read(audit.every)] == list(range(1, 11))


@pytest.mark.parametrize(
    ("tampering", "broken"),
    [
        ("UPDATE audit SET user = 'ben' WHERE id = 3", 3),
        ("UPDATE audit SET utc = utc + 1 WHERE id = 3", 3),
        ("UPDATE audit SET detail = '{}' WHERE id = 5", 5),
        ("UPDATE audit SET subject = 'K-18' WHERE id = 1", 1),
        ("UPDATE audit SET hash = hash || '0' WHERE id = 2", 2),
        ("DELETE FROM audit WHERE id = 3", 4),
        ("DELETE FROM audit WHERE id = 1", 2),
        ("UPDATE audit SET id = id + 100 WHERE id = 2", 3),
        ("INSERT INTO audit SELECT 6, utc, user, action, subject, detail, hash "
         "FROM audit WHERE id = 1", 6),
    ],
)  # fmt: skip
def test_tampering_shows(box: Box, tampering: str, broken: int) -> None:
    note(box, "a", "b", "c", "d", "e")
    box.write(tampering)
    assert box.db.read(audit.broken) == broken


def test_an_act_that_failed_leaves_no_entry(box: Box) -> None:
    def fails(db: object) -> None:
        audit.note(db, 1, "anna", "export.made")
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        box.db.write(fails)
    assert box.db.read(audit.entries) == []
    note(box, "a")
    assert box.db.read(audit.broken) is None


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.text(), st.text(), st.dictionaries(st.text(min_size=1), st.integers() | st.text()))
def test_whatever_is_noted_the_chain_holds(
    box: Box, user: str, subject: str, detail: dict[str, object]
) -> None:
    for name in ("db", "utc", "user", "action", "subject"):
        detail.pop(name, None)
    detail = {k: v for k, v in detail.items() if not isinstance(v, int) or abs(v) < 2**63}
    try:
        f"{user}{subject}{detail}".encode()
    except UnicodeEncodeError:
        return  # lone surrogates: no form can send them
    box.db.write(lambda db: audit.note(db, 1, user, "act", subject, **detail))
    assert box.db.read(audit.broken) is None
