"""Sessions and what taps do to them, in any order and however often they arrive."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien import sessions, taps
from mien.sessions import KeywordError
from mien.taps import Tap
from sessions_room import Room, new

MINUTE = 60.0


@pytest.fixture
def room() -> Iterator[Room]:
    made = Room()
    yield made
    made.db.close()


# ── taps ─────────────────────────────────────────────────────────────────────────────────────────


def test_topics_go_on_and_off_several_at_once(room: Room) -> None:
    room.start()
    mother, work = room.topic(), room.topic("Work")
    room.clock.advance(10)
    room.tap("tag_on", keyword=mother)
    room.clock.advance(5)
    room.tap("tag_on", keyword=work)
    room.tap("moment", keyword=work)
    room.clock.advance(5)
    room.tap("tag_off", keyword=mother)
    assert set(room.stretches) == {
        ("Mother", 10_000, 20_000),
        ("Work", 15_000, None),
        ("Work", 15_000, 15_000),
    }


def test_a_tap_sent_again_gives_the_same_answer_and_does_nothing(room: Room) -> None:
    room.start()
    on = Tap(new(), "tag_on", keyword=room.topic())
    first = room.send(on)
    room.clock.advance(30)
    room.tap("tag_off", keyword=on.keyword)
    assert room.send(on, on) == first * 2
    assert room.stretches == [("Mother", 0, 30_000)]


def test_the_tablets_clock_does_not_matter_and_a_mad_age_is_clamped(room: Room) -> None:
    room.start()
    room.clock.advance(60)
    keyword = room.topic()
    assert room.tap("moment", 12.5, keyword=keyword).at_ms == 47_500
    early = room.tap("moment", 86_400, keyword=keyword)
    late = room.tap("moment", -86_400, keyword=keyword)
    odd = room.tap("moment", float("nan"), keyword=keyword)
    assert [(one.at_ms, one.clamped) for one in (early, late, odd)] == [
        (0, True), (60_000, True), (60_000, True)
    ]  # fmt: skip


def test_taps_of_another_tablet_that_come_late_are_fitted_in(room: Room) -> None:
    room.start()
    keyword = room.topic()
    room.clock.advance(100)
    room.tap("tag_on", 20, keyword=keyword)
    room.tap("tag_on", 50, keyword=keyword)
    assert room.stretches == [("Mother", 50_000, 80_000), ("Mother", 80_000, None)]
    room.tap("tag_off", 40, keyword=keyword)
    assert room.stretches == [("Mother", 50_000, 60_000), ("Mother", 80_000, None)]
    room.tap("tag_on", 45, keyword=keyword)  # it went on then already
    assert len(room.stretches) == 2


def test_the_queue_of_a_tablet_arrives_after_the_end(room: Room) -> None:
    room.start()
    keyword = room.topic()
    room.clock.advance(100)
    room.tap("stop")
    room.clock.advance(60)
    assert room.tap("tag_on", 120, keyword=keyword).fault is None
    assert room.tap("moment", 59, keyword=keyword).at_ms == 100_000
    assert room.tap("moment", 30, keyword=keyword).fault == "after the end"
    assert room.tap("note", 30, text="afterwards").fault is None
    assert room.stretches == [("Mother", 40_000, 100_000), ("Mother", 100_000, 100_000)]
    room.restart()
    assert room.tap("tag_off", 105, keyword=keyword).at_ms == 60_000
    assert room.stretches[0] == ("Mother", 40_000, 60_000)


def test_stop_ends_what_goes_on_but_loses_no_later_tap(room: Room) -> None:
    room.start()
    keyword = room.topic()
    room.clock.advance(100)
    room.tap("tag_on", keyword=keyword)
    room.tap("exclude_on")
    room.clock.advance(50)
    room.tap("moment", 10, keyword=keyword)
    room.tap("stop", 30)  # of a tablet that was offline
    assert (room.session.length_ms, room.session.ended) == (140_000, "stopped")
    assert room.stretches[0] == ("Mother", 100_000, 140_000)
    assert room.excluded == [(100_000, 140_000)]
    # The box went on reading for 10 s, which belong to nobody's record.
    begun = room.session.boot_ms
    assert room.db.execute("SELECT client, from_ms, to_ms FROM erasures").fetchall() == [
        ("c", begun + 140_000, begun + 150_000)
    ]
    assert room.tap("stop").fault == "after the end"


def test_undo_step_by_step(room: Room) -> None:
    room.start()
    keyword = room.topic()
    room.clock.advance(10)
    before = room.stretches, room.excluded
    made = []
    for kind in ("tag_on", "tag_off", "moment", "exclude_on", "exclude_off"):
        made.append((room.tap(kind, keyword=keyword).id, (room.stretches, room.excluded)))
        room.clock.advance(10)
    for (id, _), (_, was) in zip(reversed(made), [*reversed(made[:-1]), ("", before)], strict=True):
        undo = Tap(new(), "undo", of=id)
        room.send(undo, undo)
        assert (room.stretches, room.excluded) == was
    assert room.tap("undo", of=new()).fault == "tap"


def test_undo_does_not_reach_into_what_came_since(room: Room) -> None:
    room.start()
    keyword = room.topic()
    room.tap("tag_on", keyword=keyword)
    room.clock.advance(10)
    off = room.tap("tag_off", keyword=keyword)
    room.clock.advance(10)
    room.tap("tag_on", keyword=keyword)
    room.tap("undo", of=off.id)
    assert room.stretches == [("Mother", 0, 20_000), ("Mother", 20_000, None)]


def test_undo_after_the_end_reaches_to_the_end(room: Room) -> None:
    room.start()
    keyword = room.topic()
    room.tap("tag_on", keyword=keyword)
    room.clock.advance(10)
    off = room.tap("tag_off", keyword=keyword)
    room.clock.advance(10)
    room.tap("stop")
    room.tap("undo", of=off.id)
    assert room.stretches == [("Mother", 0, 20_000)]


def test_undo_does_not_reach_back_into_what_was_fitted_in_before(room: Room) -> None:
    room.start()
    keyword = room.topic()
    room.clock.advance(100)
    room.tap("tag_on", keyword=keyword)
    off = room.tap("tag_off", keyword=keyword)  # no time passed: a moment
    room.tap("tag_on", 50, keyword=keyword)
    room.tap("undo", of=off.id)
    assert room.stretches == [("Mother", 50_000, None), ("Mother", 100_000, 100_000)]


def test_a_topic_typed_offline_and_used_at_once(room: Room) -> None:
    room.start()
    known = room.topic("Mother")
    sessions.hide(room.db, 1, known)
    there, fresh = (
        Tap(new(), "keyword_new", text=" mother "),
        Tap(new(), "keyword_new", text="Exam"),
    )
    answers = room.send(
        there, Tap(new(), "tag_on", keyword=there.id), fresh, Tap(new(), "moment", keyword=fresh.id)
    )
    assert [one.keyword for one in answers] == [known, known, fresh.id, fresh.id]
    assert [k.text for k in sessions.keywords(room.db, 1) if not k.hidden] == ["Exam", "Mother"]
    room.tap("undo", of=fresh.id)
    assert [k.hidden for k in sessions.keywords(room.db, 1) if k.text == "Exam"] == [True]


def test_topics_are_renamed_and_hidden_and_back(room: Room) -> None:
    room.start()
    mother, father = room.topic(), room.topic("Father")
    assert room.tap("keyword_rename", keyword=mother, text="father").fault == "taken"
    renamed = room.tap("keyword_rename", keyword=mother, text="Parents")
    hidden = room.tap("keyword_hide", keyword=father)

    def listed() -> set[str]:
        return {one.text for one in sessions.keywords(room.db, 1) if not one.hidden}

    assert listed() == {"Parents"}
    room.tap("undo", of=renamed.id)
    room.tap("undo", of=hidden.id)
    assert listed() == {"Mother", "Father"}


def test_notes_grow_and_an_empty_one_is_gone(room: Room) -> None:
    room.start()
    room.clock.advance(5)
    note = new()
    for text in ("Looked", "Looked away\x00"):
        room.tap("note", note=note, text=text)
        room.clock.advance(5)
    assert [(n.at_ms, n.text) for n in sessions.notes(room.db, "s")] == [(5_000, "Looked away")]
    assert room.tap("note", note=note, text="x" * 4001).fault == "note too long"
    room.tap("note", note=note, text=" ")
    assert sessions.notes(room.db, "s") == []


def test_what_is_wrong_is_refused_and_the_rest_done(room: Room) -> None:
    room.start()
    foreign = sessions.keyword(room.db, 2, "Secret", 0)
    sessions.start(room.db, "other", "c", 1, room.clock.stamp(), numbers=True, pictures=False)
    used = Tap(new(), "here")
    taps.perform(room.db, "other", 1, [used], room.clock.stamp())
    keyword = room.topic()
    answers = room.send(
        Tap("no id", "moment", keyword=keyword),
        Tap(new(), "juggle"),
        Tap(new(), "moment", keyword=foreign),
        Tap(new(), "keyword_rename", keyword=foreign, text="Mine"),
        Tap(used.id, "moment", keyword=keyword),
        Tap(new(), "keyword_new", text="\u202e\u0007"),
        Tap(new(), "keyword_new", text="x" * 10_000),
        Tap(new(), "note", note="other", text="x"),
        Tap(new(), "moment", keyword=keyword),
    )
    assert [one.fault for one in answers] == [
        "id", "kind", "keyword", "keyword", "id", "empty", "long", "id", None
    ]  # fmt: skip
    assert room.stretches == [("Mother", 0, 0)]
    assert sessions.keywords(room.db, 2)[0].text == "Secret"


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("  Mother \n\t again ", "Mother again"),
        ("🐕", "🐕"),
        ("👩\u200d👧", "👩\u200d👧"),
        ("Mu\u0308tter", "Mütter"),
        ("abc\u202edef", "abcdef"),
        ("x" * 60, "x" * 60),
    ],
)
def test_a_topics_text(typed: str, kept: str) -> None:
    assert sessions.clean(typed) == kept


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
def test_any_text_is_a_topic_or_a_sentence(typed: str) -> None:
    try:
        kept = sessions.clean(typed)
    except KeywordError:
        return
    assert kept == sessions.clean(kept)
    assert 1 <= len(kept) <= sessions.KEYWORD_CHARACTERS


# ── sessions that nobody stops ───────────────────────────────────────────────────────────────────


def test_a_forgotten_session_stops_itself(room: Room) -> None:
    room.start()
    keyword = room.topic()
    room.clock.advance(20 * MINUTE)
    room.tap("tag_on", keyword=keyword)
    room.clock.advance(104 * MINUTE)
    assert sessions.tidy(room.db, room.clock.stamp()) == []
    room.tap("here")
    room.clock.advance(106 * MINUTE)
    assert [one.id for one in sessions.tidy(room.db, room.clock.stamp())] == ["s"]
    assert (room.session.ended, room.session.length_ms) == ("forgotten", 139 * 60_000)
    assert room.stretches == [("Mother", 20 * 60_000, 139 * 60_000)]
    (rest,) = room.db.execute("SELECT to_ms - from_ms FROM erasures").fetchone()
    assert rest == 91 * 60_000
    assert sessions.tidy(room.db, room.clock.stamp()) == []


@pytest.mark.parametrize(("readings", "length"), [(0, 10_000), (30, 30_000)])
def test_a_restart_ends_a_session_where_it_was_last_seen(
    room: Room, readings: int, length: int
) -> None:
    room.start()
    room.read(readings)
    room.clock.advance(10)
    room.tap("tag_on", keyword=room.topic())
    room.restart()
    assert len(sessions.tidy(room.db, room.clock.stamp())) == 1
    assert (room.session.ended, room.session.length_ms) == ("restart", length)
    assert room.stretches == [("Mother", 10_000, length)]


def test_a_night_and_then_a_restart(room: Room) -> None:
    room.start()
    room.read(3 * 3600)
    room.restart()
    sessions.tidy(room.db, room.clock.stamp())
    assert (room.session.ended, room.session.length_ms) == ("forgotten", 15 * 60_000)
    assert room.db.execute("SELECT to_ms - from_ms FROM erasures").fetchall() == [(165 * 60_000,)]


def test_the_clock_becomes_right_later(room: Room) -> None:
    room.clock.clock_ok = False
    room.start()
    room.clock.advance(30)
    room.clock.synchronise(1_900_000_000.0)
    assert not room.session.clock_ok
    sessions.tidy(room.db, room.clock.stamp())
    assert room.session.clock_ok
    assert room.session.utc == 1_899_999_970_000


def test_a_session_is_its_owners(room: Room) -> None:
    room.start()
    assert sessions.find(room.db, "s", 2) is None
    assert sessions.running(room.db, 2) is None
    assert sessions.running(room.db, 1) == room.session
    assert sessions.running_here(room.db, room.clock.boot_id) == room.session
    assert sessions.of_client(room.db, "c") == [room.session]
