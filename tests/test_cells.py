"""What a map is summed from: runs, topics and their rest, and when a session is counted anew."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

import pages
from mien import baseline, cells, sessions
from mien.baseline import REFERENCE, Baseline
from mien.cells import MOMENT_MS, WHOLE
from mien.events import EXPRESSIONS, Expression
from mien.sessions import Session, Tag
from mien.shares import PLACES, UNKNOWN, Counts
from mien.timeline import Second

HAPPINESS, SADNESS, NEUTRAL = map(EXPRESSIONS.index, ("happiness", "sadness", "neutral"))
EVER = (-(1 << 60), 1 << 60)


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pages.Box]:
    yield from pages.box(tmp_path, monkeypatch)


def watched(looks: str, start_ms: int = 0) -> list[Second]:
    """A second for each letter: h, s, n; ? cannot tell; - nobody there; a space is no second."""
    places = {"h": HAPPINESS, "s": SADNESS, "n": NEUTRAL}
    return [
        Second(start_ms + 1000 * at, places.get(look), None, True, None, int(look != "-"))
        for at, look in enumerate(looks)
        if look != " "
    ]


def told(counts: Counts) -> dict[int, tuple[int, int]]:
    """(seconds, runs) of each place that has any."""
    both = zip(counts.seconds, counts.runs, strict=True)
    return {place: pair for place, pair in enumerate(both) if any(pair)}


def tag(from_s: float, to_s: float | None) -> Tag:
    return Tag("t", "k", "work", round(from_s * 1000), None if to_s is None else round(to_s * 1000))


def test_a_look_lasts_until_another_or_nobody() -> None:
    whole, _ = cells.count(watched("hhnn??hh--hh"), {})[WHOLE]
    assert told(whole) == {HAPPINESS: (6, 3), NEUTRAL: (2, 1), UNKNOWN: (2, 1)}


def test_what_was_not_watched_breaks_a_look() -> None:
    whole, _ = cells.count(watched("hhh   hhh"), {})[WHOLE]
    assert told(whole) == {HAPPINESS: (6, 2)}
    jitter = [
        replace(second, at_ms=second.at_ms + 300 * (n % 2))
        for n, second in enumerate(watched("hhhh"))
    ]
    assert told(cells.count(jitter, {})[WHOLE][0]) == {HAPPINESS: (4, 1)}


def test_a_topic_and_the_rest_are_the_whole() -> None:
    counted = cells.count(watched("hhhhssssnnnn"), {"work": [(2000, 6000)]})
    under, rest = counted["work"]
    assert told(under) == {HAPPINESS: (2, 1), SADNESS: (2, 1)}
    assert told(rest) == {HAPPINESS: (2, 1), SADNESS: (2, 1), NEUTRAL: (4, 1)}


def test_a_look_cut_by_a_topic_counts_on_both_sides() -> None:
    under, rest = cells.count(watched("hhhhhhhhh"), {"work": [(3000, 6000)]})["work"]
    assert told(under) == {HAPPINESS: (3, 1)}
    assert told(rest) == {HAPPINESS: (6, 2)}


def test_overlapping_topics_each_count() -> None:
    counted = cells.count(watched("hhhhhh"), {"a": [(0, 4000)], "b": [(2000, 6000)]})
    assert told(counted["a"][0]) == told(counted["b"][0]) == {HAPPINESS: (4, 1)}


def test_a_moment_counts_a_window_around_it() -> None:
    assert cells.spans([tag(60, 60)]) == [(60_000 - MOMENT_MS, 60_000 + MOMENT_MS)]
    assert cells.spans([tag(2, 2)]) == [(0, 2000 + MOMENT_MS)]


def test_tags_of_one_topic_count_a_second_once() -> None:
    assert cells.spans([tag(0, 30), tag(20, 40), tag(42, 42)]) == [(0, 47_000)]


def test_a_topic_that_goes_on_lasts_to_the_end() -> None:
    under, rest = cells.count(watched("hhhhhh"), {"a": cells.spans([tag(4, None)])})["a"]
    assert (told(under), told(rest)) == ({HAPPINESS: (2, 1)}, {HAPPINESS: (4, 1)})


spots = st.integers(0, 80_000)


@given(st.text("hsn?- ", max_size=80), st.lists(st.tuples(spots, spots), max_size=5))
def test_no_second_is_lost_or_counted_twice(looks: str, edges: list[tuple[int, int]]) -> None:
    tags = [Tag("t", "k", "work", min(pair), max(pair)) for pair in edges]
    seconds = watched(looks)
    counted = cells.count(seconds, {"work": cells.spans(tags)})
    (whole, _), (under, rest) = counted[WHOLE], counted["work"]
    both = zip(under.seconds, rest.seconds, strict=True)
    assert tuple(a + b for a, b in both) == whole.seconds
    assert whole.seen == sum(second.people > 0 for second in seconds)
    for place in range(PLACES):
        assert (whole.seconds[place] > 0) == (whole.runs[place] > 0)
        assert whole.runs[place] <= under.runs[place] + rest.runs[place]
        assert under.runs[place] <= under.seconds[place]


# ── in the store ─────────────────────────────────────────────────────────────────────────────────

LOOKS: list[Expression | None] = [*["sadness"] * 60, *["neutral"] * 60, None]


def found(box: pages.Box, id: str) -> Session:
    owner = box.user()
    session = box.db.read(lambda db: sessions.find(db, id, owner))
    assert session
    return session


def refresh(box: pages.Box, client: str, neutral: Baseline | None = None) -> list[str]:
    """Count what is due; which sessions these were."""
    due = box.db.read(lambda db: cells.due(db, client, neutral))
    for id in due:
        session = found(box, id)
        box.db.write(lambda db, session=session: cells.refresh(db, session, neutral, 0.59))  # type: ignore[misc]
    return due


def whole(box: pages.Box, client: str, neutral: Baseline | None = None) -> list[Counts]:
    topics = box.db.read(lambda db: cells.of_client(db, client, neutral, EVER))
    assert topics[0].keyword == WHOLE
    return [under for under, _ in topics[0].sessions]


def tagged(box: pages.Box, session: str, from_ms: int, to_ms: int, text: str = "work") -> str:
    user = box.user()
    key = box.db.write(lambda db: sessions.keyword(db, user, text, 0.0))
    number = len(box.rows("SELECT 1 FROM tags"))
    box.write(
        "INSERT INTO tags VALUES (?, ?, ?, ?, ?, 0)", f"tag-{number}", session, key, from_ms, to_ms
    )
    box.db.write(lambda db: sessions.changed(db, session))
    return key


def session_of(box: pages.Box, client: str) -> str:
    """A stopped session of two minutes, an hour after the last."""
    box.clock.advance(3600)
    box.readings(LOOKS)
    return box.session(client, len(LOOKS))


def test_a_session_is_counted_once_and_again_when_it_changes(box: pages.Box) -> None:
    client = box.client("K-17", "live", "numbers")
    session = session_of(box, client)
    work = tagged(box, session, 0, 60_000)
    assert refresh(box, client) == [session]
    assert refresh(box, client) == []
    topics = box.db.read(lambda db: cells.of_client(db, client, None, EVER))
    assert {topic.keyword for topic in topics} == {WHOLE, work}
    assert told(whole(box, client)[0]) == {SADNESS: (60, 1), NEUTRAL: (60, 1), UNKNOWN: (1, 1)}

    box.write("INSERT INTO exclusions VALUES ('x', ?, 30000, 90000, 0)", session)
    box.db.write(lambda db: sessions.changed(db, session))
    assert refresh(box, client) == [session]
    assert told(whole(box, client)[0]) == {SADNESS: (30, 1), NEUTRAL: (30, 1), UNKNOWN: (1, 1)}


def test_deleted_topics_and_exclusions_count_for_nothing(box: pages.Box) -> None:
    client = box.client()
    session = session_of(box, client)
    tagged(box, session, 0, 60_000)
    box.write("UPDATE tags SET deleted = 1")
    box.write("INSERT INTO exclusions VALUES ('x', ?, 0, 60000, 1)", session)
    refresh(box, client)
    topics = box.db.read(lambda db: cells.of_client(db, client, None, EVER))
    assert [topic.keyword for topic in topics] == [WHOLE]
    assert whole(box, client)[0].seen == 121


def test_a_running_session_waits_but_can_be_counted_now(box: pages.Box) -> None:
    client = box.client()
    box.readings(LOOKS)
    running = box.session(client)
    box.clock.advance(len(LOOKS))
    box.readings(LOOKS)
    assert refresh(box, client) == []
    session = found(box, running)
    counted = box.db.read(lambda db: cells.of_session(db, session))
    assert counted[WHOLE][0].seen == 121


def test_what_is_not_kept_is_never_counted(box: pages.Box) -> None:
    client = box.client()
    session = session_of(box, client)
    refresh(box, client)
    box.write("DELETE FROM cells")
    box.write("UPDATE sessions SET numbers = 0")  # the readings may not be erased yet
    assert refresh(box, client) == []
    erased = found(box, session)
    assert box.db.read(lambda db: cells.kept(db, erased)) == []
    topics = box.db.read(lambda db: cells.of_client(db, client, None, EVER))
    assert topics[0].sessions == ()


def test_a_period_and_a_client_see_their_own_sessions(box: pages.Box) -> None:
    client, other = box.client("K-17"), box.client("K-18")
    first, second = session_of(box, client), session_of(box, client)
    session_of(box, other)
    refresh(box, client)
    refresh(box, other)
    start = found(box, second).utc
    assert found(box, first).utc < start
    topics = box.db.read(lambda db: cells.of_client(db, client, None, (start, start + 1)))
    assert len(topics[0].sessions) == 1
    assert len(whole(box, client)) == 2
    held = box.db.read(lambda db: cells.holding(db, client, None, (WHOLE, SADNESS), EVER, 9))
    assert held == [second, first]
    none = box.db.read(lambda db: cells.holding(db, client, None, (WHOLE, HAPPINESS), EVER, 9))
    assert none == []


def test_a_neutral_face_is_counted_beside_and_only_where_it_belongs(box: pages.Box) -> None:
    client = box.client()
    session, other = session_of(box, client), session_of(box, client)
    box.write("UPDATE sessions SET bundle = 'mien-1' WHERE id = ?", session)
    box.write("UPDATE sessions SET bundle = 'mien-2' WHERE id = ?", other)
    gloomy = tuple(m + 4 * (place == SADNESS) for place, m in enumerate(REFERENCE))
    neutral = Baseline("b", client, None, 0, 30, "mien-1", gloomy, True)
    box.db.write(lambda db: baseline.add(db, neutral))
    refresh(box, client)
    assert sorted(refresh(box, client, neutral)) == sorted([session, other])
    assert refresh(box, client, neutral) == refresh(box, client) == []
    assert [told(each)[SADNESS] for each in whole(box, client)] == [(60, 1)] * 2
    based = {told(each).get(SADNESS) for each in whole(box, client, neutral)}
    assert based == {None, (60, 1)}, "no sadness is left in the one that it belongs to"


def test_another_head_is_another_network(box: pages.Box) -> None:
    session = found(box, session_of(box, box.client()))
    plain, headed = replace(session, bundle="mien-1"), replace(session, bundle="mien-1", head="h")
    neutral = Baseline("b", "c", None, 0, 30, baseline.network(plain), REFERENCE, True)
    assert cells.label(plain, neutral, 0.59) is not None
    assert cells.label(headed, neutral, 0.59) is None
    assert cells.label(plain, None, 0.59) is None


def test_three_thousand_seconds_take_no_time_worth_telling() -> None:
    """By CPU time, and generously: this is a guard against a loop in a loop, not a benchmark."""
    seconds = watched("hhhhssnnnnnnnn??hn" * 170)
    topics = {str(n): [(n * 1000, n * 1000 + 300_000)] for n in range(12)}
    began = time.process_time()
    cells.count(seconds, topics)
    assert time.process_time() - began < 1
