import itertools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

import pages
from mien import timeline
from mien.events import EXPRESSIONS, Expression
from mien.timeline import Second, clock, columns, kept, merged, parse, seconds, total, within


class Span(Struct):
    from_ms: int
    to_ms: int | None


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    yield from pages.box(tmp_path, monkeypatch)


def session_of(box: pages.Box, key: str) -> Any:
    row = box.rows("SELECT boot, boot_ms, length_ms, numbers FROM sessions WHERE id = ?", key)[0]
    return SimpleNamespace(boot=row[0], boot_ms=row[1], length_ms=row[2], numbers=row[3])


def recorded(box: pages.Box, looks: list[Expression | None]) -> Any:
    """A session just long enough for these readings, a second each."""
    key = box.session(box.client(), seconds=len(looks))
    box.readings(looks)
    return session_of(box, key)


def test_a_session_by_the_second(box: pages.Box) -> None:
    box.clock.advance(1000)
    session = recorded(box, ["happiness", None, "fear"])
    found = box.db.read(lambda db: seconds(db, session))
    assert [second.at_ms for second in found] == [0, 1000, 2000]
    assert [second.expression for second in found] == [
        EXPRESSIONS.index("happiness"), None, EXPRESSIONS.index("fear")
    ]  # fmt: skip
    assert [second.reason for second in found] == [None, "turned away", None]
    assert found[0].facing is True
    assert found[0].probabilities == bytes([10, 10, 10, 194, 10, 10, 10])


def test_only_the_seconds_of_this_session_and_boot(box: pages.Box) -> None:
    box.clock.advance(1000)
    box.readings(["anger"] * 3)
    box.clock.advance(10)
    session = recorded(box, ["neutral"] * 5)
    box.clock.advance(10)
    box.readings(["anger"] * 3)
    box.clock.boot_id = "another boot"
    box.readings(["anger"] * 20)
    found = box.db.read(lambda db: seconds(db, session))
    assert {second.expression for second in found} == {EXPRESSIONS.index("neutral")}
    assert len(found) == 5
    session.numbers = False
    assert box.db.read(lambda db: seconds(db, session)) == []
    session.numbers, session.boot = True, "never seen"
    assert box.db.read(lambda db: seconds(db, session)) == []


def test_a_running_session_has_what_came_so_far(box: pages.Box) -> None:
    box.clock.advance(1000)
    key = box.session(box.client())
    box.clock.advance(4)
    box.readings(["sadness"] * 4)
    session = session_of(box, key)
    assert len(box.db.read(lambda db: seconds(db, session))) == 4


def test_seconds_in_columns() -> None:
    row = [
        Second(0, 3, None, True, b"", 1),
        Second(1000, None, "too dark", False, b"", 1),
        Second(2000, None, None, None, None, 0),
        Second(3000, None, None, True, None, 1),
    ]
    first, second, third = columns(row, 0, 6000, 2)
    assert (first.read, first.unread, first.nobody, first.unwatched) == (1, 1, 0, 0)
    assert first.unknown == {"too dark": 1}
    assert (first.facing, first.away) == (1, 1)
    assert (second.read, second.unread, second.nobody) == (0, 1, 1)
    assert second.unknown == {None: 1}
    assert (third.seconds, third.unwatched) == (0, 2)
    assert columns(row, 0, 0, 1) == []


spans = st.lists(
    st.builds(
        Span, st.integers(0, 100_000), st.one_of(st.none(), st.integers(0, 120_000))
    ),
    max_size=6,
)  # fmt: skip
rows = st.lists(
    st.builds(
        Second,
        st.integers(0, 119_999),
        st.one_of(st.none(), st.integers(0, 6)),
        st.none(),
        st.one_of(st.none(), st.booleans()),
        st.none(),
        st.integers(0, 2),
    ),
    max_size=60,
).map(lambda rows: sorted(rows, key=lambda second: second.at_ms))


@given(rows, st.integers(1, 700), st.integers(0, 999), st.integers(1, 120_000))
def test_columns_count_every_second_once(
    seconds: list[Second], most: int, phase: int, end: int
) -> None:
    width = timeline.width(0, end, most, phase)
    made = columns(seconds, 0, end, width, phase)
    assert len(made) <= most
    assert made[0].from_ms == 0
    assert made[-1].to_ms == end
    assert all(one.to_ms == next.from_ms for one, next in itertools.pairwise(made))
    inside = [second for second in seconds if second.at_ms < end]
    assert sum(column.seconds for column in made) == len(inside)
    assert sum(column.read for column in made) == total(inside).read


@given(rows, spans)
def test_excluded_seconds_never_count(seconds: list[Second], spans: list[Span]) -> None:
    def inside(second: Second) -> bool:
        return any(
            span.from_ms <= second.at_ms and (span.to_ms is None or second.at_ms < span.to_ms)
            for span in spans
        )

    assert kept(seconds, spans) == [second for second in seconds if not inside(second)]
    assert within(seconds, merged(spans, 1 << 40)) == [s for s in seconds if inside(s)]


@given(spans)
def test_merged_stretches_are_apart_and_in_order(spans: list[Span]) -> None:
    joined = merged(spans, 90_000)
    assert all(0 <= start < stop <= 90_000 for start, stop in joined)
    assert all(one[1] < next[0] for one, next in itertools.pairwise(joined))


@given(st.integers(0, 86_400_000))
def test_a_time_reads_back_to_the_second(at_ms: int) -> None:
    assert parse(clock(at_ms)) == at_ms // 1000 * 1000


@pytest.mark.parametrize(
    ("text", "at_ms"),
    [
        ("0:00", 0),
        ("12:05", 725_000),
        ("1:02:05", 3_725_000),
        (" 3:07.5 ", 187_500),
        ("3:07,25", 187_250),
        ("90:00", 5_400_000),
        ("1:90:00", None),
        ("1:60", None),
        ("7", None),
        ("-1:00", None),
        ("", None),
        ("١:٠٠", None),
    ],
)
def test_times_as_people_write_them(text: str, at_ms: int | None) -> None:
    assert parse(text) == at_ms
