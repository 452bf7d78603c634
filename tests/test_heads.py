"""Personal heads and what they may be fitted to; the interval of a share, and luck."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pages
from mien import heads
from mien.heads import Result, Settings
from mien.intervals import mcnemar, wilson

RESULT = Result(
    captures=12, sessions=3, ballast=0, folds=3, by="session",
    before=[[6 if i == j == 6 else 0 for j in range(7)] for i in range(7)],
    after=[[9 if i == j == 6 else 0 for j in range(7)] for i in range(7)],
    gained=4, lost=1, seconds=0.5, settled=True,
)  # fmt: skip


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pages.Box]:
    yield from pages.box(tmp_path, monkeypatch)


def capture(
    box: pages.Box, session: str, *said: int | None, at_ms: int = 1000, bundle: str = "b"
) -> str:
    """A capture of a session, corrected as often as there are answers; its id."""
    key = f"capture-{len(box.rows('SELECT id FROM captures'))}"
    box.write(
        "INSERT INTO captures (id, session, at_ms, face, crop, expression, probabilities, "
        "embedding, bundle) VALUES (?, ?, ?, x'', x'01', 0, zeroblob(28), x'0000803f', ?)",
        key, session, at_ms, bundle,
    )  # fmt: skip
    for expression in said:
        box.write(
            "INSERT INTO corrections (capture, expression, user, utc) VALUES (?, ?, 'anna', 0)",
            key, expression,
        )  # fmt: skip
    return key


def labels(box: pages.Box, client: str) -> list[int]:
    found = box.db.read(lambda db: heads.examples(db, client, "b"))
    counts = box.db.read(lambda db: heads.corrected(db, client))
    assert sorted(counts.elements()) == sorted(example.expression for example in found)
    return [example.expression for example in found]


class TestExamples:
    def test_the_newest_correction_counts(self, box: pages.Box) -> None:
        client = box.client("K-17", "live", "training")
        session = box.session(client, 60)
        capture(box, session, 2, 4)
        capture(box, session)  # nobody said what it looks like
        capture(box, session, 4, None)  # a person could not tell either
        assert labels(box, client) == [4]

    def test_none_without_consent(self, box: pages.Box) -> None:
        client = box.client("K-17", "live", "numbers", "pictures", "home")
        capture(box, box.session(client, 60), 3)
        assert labels(box, client) == []

    def test_none_once_consent_is_withdrawn(self, box: pages.Box) -> None:
        client = box.client("K-17", "training")
        capture(box, box.session(client, 60), 3)
        assert labels(box, client) == [3]
        box.write("UPDATE consents SET withdrawn_utc = 1 WHERE client = ?", client)
        assert labels(box, client) == []

    def test_none_of_another_client(self, box: pages.Box) -> None:
        client, other = box.client("K-17", "training"), box.client("K-18", "training")
        capture(box, box.session(other, 60), 3)
        assert labels(box, client) == []

    def test_none_deleted_or_excluded(self, box: pages.Box) -> None:
        client = box.client("K-17", "training")
        session = box.session(client, 60)
        gone = capture(box, session, 1)
        box.write("UPDATE captures SET deleted = 1 WHERE id = ?", gone)
        for at_ms, expression in ((4999, 3), (5000, 4), (9999, 5), (10_000, 6)):
            capture(box, session, expression, at_ms=at_ms)
        box.write(
            "INSERT INTO exclusions (id, session, from_ms, to_ms) VALUES ('x', ?, 5000, 10000)",
            session,
        )
        box.write(
            "INSERT INTO exclusions (id, session, from_ms, deleted) VALUES ('y', ?, 0, 1)", session
        )
        assert labels(box, client) == [3, 6]

    def test_an_embedding_of_another_bundle_is_left_out(self, box: pages.Box) -> None:
        client = box.client("K-17", "training")
        session = box.session(client, 60)
        capture(box, session, 1)
        capture(box, session, 1, bundle="older")
        found = box.db.read(lambda db: heads.examples(db, client, "b"))
        assert [example.embedding for example in found] == [b"\0\0\x80\x3f", None]
        assert {example.group for example in found} == {session}


class TestBallast:
    def picture(self, box: pages.Box, number: int, expression: int | None, client: object) -> None:
        box.write(
            "INSERT INTO pictures (id, sha256, dhash, client, source, name, color, width, height, "
            "expression, face, crop, added_utc) "
            "VALUES (?, ?, '0', ?, 'upload', 'a.jpg', 'color', 48, 48, ?, x'', x'02', 0)",
            number, f"{number * 7919 % 1000:03}", client, expression,
        )  # fmt: skip

    def test_labelled_pictures_without_a_client(self, box: pages.Box) -> None:
        client = box.client("K-17", "training")
        self.picture(box, 1, 3, None)
        self.picture(box, 2, None, None)
        self.picture(box, 3, 3, client)
        box.write(
            "INSERT INTO predictions VALUES (1, 'b', '', 3, zeroblob(28), x'0000803f')",
        )
        found = box.db.read(lambda db: heads.ballast(db, "b"))
        assert [(e.expression, e.embedding) for e in found] == [(3, b"\0\0\x80\x3f")]
        assert box.db.read(lambda db: heads.ballast(db, "c"))[0].embedding is None
        assert box.db.read(heads.ballast_size) == 1

    def test_no_expression_outweighs(self, box: pages.Box, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(heads, "BALLAST_EACH", 2)
        for number in range(5):
            self.picture(box, number, 3 if number else 4, None)
        found = box.db.read(lambda db: heads.ballast(db, "b"))
        assert [e.expression for e in found] == [3, 3, 4]
        assert box.db.read(heads.ballast_size) == 3


class TestHeads:
    @pytest.fixture
    def client(self, box: pages.Box) -> str:
        client = box.client("K-17", "training")
        for number, name in enumerate(("first", "second")):
            box.db.write(
                lambda db, name=name, number=number: heads.add(
                    db, name, client, "b", 10.0 + number, b"layer", Settings(), RESULT
                )
            )
        return client

    def active(self, box: pages.Box, client: str) -> list[str]:
        return [h.id for h in box.db.read(lambda db: heads.of_client(db, client)) if h.active]

    def test_what_was_kept_is_found(self, box: pages.Box, client: str) -> None:
        newest, oldest = box.db.read(lambda db: heads.of_client(db, client))
        assert (newest.id, oldest.id) == ("second", "first")
        assert (newest.settings, newest.result, newest.utc) == (Settings(), RESULT, 11_000)
        assert box.db.read(lambda db: heads.weights(db, "first")) == b"layer"
        assert (RESULT.right_before, RESULT.right_after, RESULT.better) == (6, 9, True)

    def test_one_is_active_at_most(self, box: pages.Box, client: str) -> None:
        assert self.active(box, client) == []
        for wanted in ("first", "second", None):
            box.db.write(lambda db, wanted=wanted: heads.activate(db, client, wanted))
            assert self.active(box, client) == ([wanted] if wanted else [])

    def test_of_ones_own_clients_only(self, box: pages.Box, client: str) -> None:
        anna, ben = box.user("anna"), box.user("ben")
        assert [code for _, code in box.db.read(lambda db: heads.of_owner(db, anna, "b"))] == [
            "K-17", "K-17",
        ]  # fmt: skip
        assert box.db.read(lambda db: heads.of_owner(db, ben, "b")) == []
        assert box.db.read(lambda db: heads.of_owner(db, anna, "c")) == []

    def test_what_is_deleted_is_gone(self, box: pages.Box, client: str) -> None:
        box.db.write(lambda db: heads.delete(db, "client-other", "first"))
        assert len(box.db.read(lambda db: heads.of_client(db, client))) == 2
        box.db.write(lambda db: heads.delete(db, client, "first"))
        assert [h.id for h in box.db.read(lambda db: heads.of_client(db, client))] == ["second"]


class TestIntervals:
    @pytest.mark.parametrize(
        ("right", "n", "low", "high"),
        # R. G. Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in
        # Medicine 17 (1998) 857–872, table I, method 3.
        [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ],
    )
    def test_wilson(self, right: int, n: int, low: float, high: float) -> None:
        assert wilson(right, n) == pytest.approx((low, high), abs=5e-5)

    @given(st.integers(0, 500), st.integers(0, 500))
    def test_wilson_holds_the_share(self, right: int, wrong: int) -> None:
        low, high = wilson(right, right + wrong)
        assert 0 <= low < high <= 1
        if right + wrong:
            assert low - 1e-12 <= right / (right + wrong) <= high + 1e-12

    @pytest.mark.parametrize(
        ("gained", "lost", "p"), [(0, 0, 1), (5, 0, 2 / 32), (5, 5, 1), (9, 1, 22 / 1024)]
    )
    def test_mcnemar(self, gained: int, lost: int, p: float) -> None:
        assert mcnemar(gained, lost) == pytest.approx(p)
        assert mcnemar(lost, gained) == pytest.approx(p)
