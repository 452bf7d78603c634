import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pages
from mien import captures, timeline
from mien.events import EXPRESSIONS, Expression
from pages import Box, Browser, text
from test_captures import SHOT

MINUTE: list[Expression | None] = ["happiness"] * 30 + ["neutral"] * 20 + [None] * 10


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    for box in pages.box(tmp_path, monkeypatch):
        box.clock.advance(100_000)  # the box has run for a day; nobody signed in before that
        yield box


@pytest.fixture
def anna(box: Box) -> Browser:
    return box.browser()


def recorded(box: Box, looks: list[Expression | None] = MINUTE, **client: Any) -> str:
    """A session just long enough for these readings, a second each."""
    key = box.session(box.client("K-17", "live", "numbers", "pictures", **client), len(looks))
    box.readings(looks)
    return key


def tag(box: Box, session: str, topic: str, from_ms: int, to_ms: int) -> str:
    key = f"tag-{topic}-{from_ms}"
    box.write(
        "INSERT OR IGNORE INTO keywords (id, user, text, used_utc) VALUES (?, ?, ?, 0)",
        topic, box.user(), topic,
    )  # fmt: skip
    box.write(
        "INSERT INTO tags (id, session, keyword, from_ms, to_ms) VALUES (?, ?, ?, ?, ?)",
        key, session, topic, from_ms, to_ms,
    )  # fmt: skip
    return key


def edit(browser: Browser, session: str, **form: str) -> Any:
    return browser.post(f"/sessions/{session}/edits", form)


def spans(box: Box, table: str) -> list[Any]:
    return box.rows(f"SELECT from_ms, to_ms FROM {table} WHERE NOT deleted ORDER BY from_ms")


# ── timeline ─────────────────────────────────────────────────────────────────────────────────────


def test_the_timeline_says_what_was_seen(box: Box, anna: Browser) -> None:
    session = recorded(box)
    tag(box, session, "mother", 0, 40_000)
    page = text(anna.get(f"/sessions/{session}"))
    assert "happiness 50 %" in page
    assert "cannot tell 17 %" in page
    assert "mother 40 0 % 0 % 0 % 75 %" in page
    assert "turned away: 0:10" in page
    assert "About these labels" in page


def test_what_is_excluded_does_not_count(box: Box, anna: Browser) -> None:
    session = recorded(box)
    assert edit(anna, session, kind="exclude", **{"from": "0:00", "to": "0:30"}).status_code == 303
    page = text(anna.get(f"/sessions/{session}"))
    assert "0:00–0:30 no longer counts." in page
    assert "happiness 0 %" in page
    assert "Whole session 30 0 % 0 % 0 % 0 % 0 % 0 % 67 % 33 %" in page
    assert edit(anna, session, kind="undo").status_code == 303
    assert "happiness 50 %" in text(anna.get(f"/sessions/{session}"))
    assert edit(anna, session, kind="undo").status_code == 303  # undone again: excluded
    assert spans(box, "exclusions") == [(0, 30_000)]


def test_a_change_makes_the_map_stale(box: Box, anna: Browser) -> None:
    session = recorded(box)
    box.write("UPDATE sessions SET counted = 1")
    edit(anna, session, kind="exclude", **{"from": "0:10", "to": "0:20"})
    assert box.rows("SELECT counted FROM sessions") == [(0,)]


def test_topics_are_moved_renamed_deleted_and_added(box: Box, anna: Browser) -> None:
    session = recorded(box)
    key = tag(box, session, "mother", 1_250, 40_700)
    assert (
        edit(
            anna, session, kind="move", tag=key, to="0:50", to_ms="40700", from_ms="1250",
            **{"from": "0:01"},
        ).status_code
        == 303
    )  # fmt: skip
    assert spans(box, "tags") == [(1_250, 50_000)]  # a time left as shown keeps its fraction
    edit(anna, session, kind="undo")
    assert spans(box, "tags") == [(1_250, 40_700)]
    edit(anna, session, kind="rename", tag=key, keyword=" the  sister ")
    assert "the sister" in text(anna.get(f"/sessions/{session}"))
    edit(anna, session, kind="undo")
    assert box.rows("SELECT keyword FROM tags") == [("mother",)]
    edit(anna, session, kind="delete", tag=key)
    assert spans(box, "tags") == []
    edit(anna, session, kind="undo")
    assert spans(box, "tags") == [(1_250, 40_700)]
    edit(anna, session, kind="add", keyword="work", **{"from": "0:05", "to": "0:06.5"})
    assert spans(box, "tags") == [(1_250, 40_700), (5_000, 6_500)]


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ({"kind": "exclude", "from": "later", "to": "0:10"}, "“later” is no time"),
        ({"kind": "exclude", "from": "0:20", "to": "0:10"}, "lies before the beginning"),
        ({"kind": "exclude", "from": "0:10", "to": "0:10"}, "is no stretch"),
        ({"kind": "exclude", "from": "0:10", "to": "9:00"}, "after the end of the session, 1:00"),
        ({"kind": "add", "from": "0:10", "to": "0:20", "keyword": "  "}, "Write the topic"),
        ({"kind": "add", "from": "0:1", "to": "0:20", "keyword": "x"}, "is no time"),
        ({"kind": "add", "from": "0:10", "to": "0:20", "keyword": "x" * 10_000}, "60 characters"),
        ({"kind": "sing"}, "does not say what to change"),
    ],
)
def test_bad_forms_are_told_in_a_sentence(
    box: Box, anna: Browser, form: dict[str, str], says: str
) -> None:
    session = recorded(box)
    answer = edit(anna, session, **form)
    assert answer.status_code == 400
    assert says in text(answer)
    assert spans(box, "exclusions") == spans(box, "tags") == []


def test_another_sessions_tag_cannot_be_changed(box: Box, anna: Browser) -> None:
    session = recorded(box)
    other = box.session(box.client("K-18"), 60)
    key = tag(box, other, "mother", 0, 1000)
    for form in ({"kind": "delete", "tag": key}, {"kind": "rename", "tag": key, "keyword": "x"}):
        assert edit(anna, session, **form).status_code == 409
    assert edit(anna, session, kind="count", exclusion="none").status_code == 409
    assert edit(anna, session, kind="undo").status_code == 409
    assert spans(box, "tags") == [(0, 1000)]


def test_a_running_session_cannot_be_changed_here(box: Box, anna: Browser) -> None:
    session = box.session(box.client("K-17", "live", "numbers"))
    box.clock.advance(5)
    box.readings(["neutral"] * 5)
    page = anna.get(f"/sessions/{session}")
    assert "still running" in text(page)
    assert "Change the record" not in text(page)
    answer = edit(anna, session, kind="exclude", **{"from": "0:00", "to": "0:01"})
    assert answer.status_code == 409


def test_without_kept_numbers_the_page_says_why(box: Box, anna: Browser) -> None:
    session = box.session(box.client(), 60)
    assert "Nothing was seen" in text(anna.get(f"/sessions/{session}"))
    box.write("UPDATE sessions SET numbers = 0")
    assert "Numbers were not kept" in text(anna.get(f"/sessions/{session}"))


def test_every_second_for_the_script(box: Box, anna: Browser) -> None:
    session = recorded(box, ["anger", None, "neutral"])
    found = anna.get(f"/sessions/{session}/timeline.json").json
    assert found == {
        "first": 0, "phase": 0, "states": "0c6", "facing": "111", "sure": [76, 0, 76]
    }  # fmt: skip
    part = anna.get(f"/sessions/{session}/timeline.json?from=1000&to=2000").json
    assert part == {"first": 1, "phase": 0, "states": "c", "facing": "1", "sure": [0]}


def test_a_long_restless_session_stays_small(box: Box, anna: Browser) -> None:
    restless: list[Expression | None] = [EXPRESSIONS[k * k % 7] for k in range(90 * 60)]
    session = recorded(box, restless)
    page = anna.get(f"/sessions/{session}")
    assert len(page.data) < 200_000
    assert len(anna.get(f"/sessions/{session}/timeline.json").data) < 50_000


def test_all_pages_are_the_owners_alone(box: Box, anna: Browser) -> None:
    session = recorded(box)
    box.db.write(lambda db: captures.add(db, "one", session, 5000, SHOT))
    berta = box.browser("berta")
    (client,) = box.rows("SELECT client FROM sessions")[0]
    for url in (
        f"/sessions/{session}",
        f"/sessions/{session}/timeline.json",
        f"/sessions/{session}/captures",
        f"/clients/{client}/captures",
        "/captures/one/face.jpg",
        "/captures/one/crop.png",
        "/captures/one/maps",
        f"/agreement?client={client}",
    ):
        assert anna.get(url).status_code == 200, url
        assert berta.get(url).status_code == 404, url
    for url in ("label", "unlabel", "delete", "restore"):
        assert berta.post(f"/captures/one/{url}", {"expression": "1"}).status_code == 404
    assert edit(berta, session, kind="undo").status_code == 404
    assert box.rows("SELECT count(*) FROM corrections") == [(0,)]
    assert box.browser("eva", "administrator").get(f"/sessions/{session}").status_code == 403


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("move"), st.integers(0, 60_000), st.integers(0, 60_000)),
            st.tuples(st.just("exclude"), st.integers(0, 60_000), st.integers(0, 60_000)),
            st.tuples(st.just("delete"), st.just(0), st.just(0)),
        ),
        max_size=5,
    )
)
def test_every_change_can_be_undone(box: Box, anna: Browser, changes: list[Any]) -> None:
    box.write("DELETE FROM sessions")
    session = box.session(box.client(f"K-{len(box.rows('SELECT id FROM clients'))}"), 60)
    box.write("DELETE FROM keywords")
    key = tag(box, session, "mother", 10_000, 20_000)
    for kind, start, stop in changes:
        before = (spans(box, "tags"), spans(box, "exclusions"))
        times = {"from": exact(start), "to": exact(stop)}
        done = edit(anna, session, kind=kind, tag=key, **times)
        if kind != "delete" and (stop < start or (stop == start and kind == "exclude")):
            assert done.status_code == 400
            continue
        valid = kind == "exclude" or before[0] != []
        assert done.status_code == (303 if valid else 409)
        if valid and kind == "move" and spans(box, "tags"):
            assert spans(box, "tags") == [(start, stop)]
        if valid:
            edit(anna, session, kind="undo")
            assert (spans(box, "tags"), spans(box, "exclusions")) == before
            edit(anna, session, kind="undo")  # and done again, for the next one to build on


def exact(ms: int) -> str:
    return f"{timeline.clock(ms)}.{ms % 1000:03}"


# ── captures and agreement ───────────────────────────────────────────────────────────────────────


def shots(box: Box, count: int) -> str:
    session = recorded(box)
    for k in range(count):
        box.db.write(lambda db, k=k: captures.add(db, f"cap{k}", session, 1000 * k, SHOT))  # type: ignore[misc]
    return session


def test_one_tap_labels_a_capture_and_the_word_counts(box: Box, anna: Browser) -> None:
    session = shots(box, 2)
    page = text(anna.get(f"/sessions/{session}/captures"))
    assert "The program: expression looks like fear, 40 %." in page
    assert "2 captures, 2 of them without your label." in page
    answer = anna.post("/captures/cap0/label", {"expression": "4", "next": "cap1"})
    assert answer.status_code == 303
    assert answer.headers["Location"].endswith(f"/sessions/{session}/captures#capture-cap1")
    page = text(anna.get(f"/sessions/{session}/captures"))
    assert "You: looks like sadness." in page
    assert "1 of them without your label." in page
    assert anna.post("/captures/cap0/unlabel").status_code == 303
    assert "You: looks like" not in text(anna.get(f"/sessions/{session}/captures"))
    assert anna.post("/captures/cap0/unlabel").status_code == 409
    assert anna.post("/captures/cap0/label", {"expression": "9"}).status_code == 400


def test_only_those_without_a_label(box: Box, anna: Browser) -> None:
    session = shots(box, 2)
    anna.post("/captures/cap0/label", {"expression": "none"})
    page = anna.get(f"/sessions/{session}/captures?open=1").text
    assert "capture-cap1" in page
    assert "capture-cap0" not in page


def test_blind_shows_nothing_of_the_program_until_a_person_spoke(box: Box, anna: Browser) -> None:
    session = shots(box, 1)
    page = anna.get(f"/sessions/{session}/captures?blind=1")
    assert "looks like fear" not in text(page)
    assert "40 %" not in text(page)
    assert "/maps" not in page.text
    assert "Confirm" not in text(page)
    anna.post("/captures/cap0/label", {"expression": "2", "blind": "1"})
    assert "looks like fear, 40 %" in text(anna.get(f"/sessions/{session}/captures?blind=1"))
    anna.post("/captures/cap0/label", {"expression": "3", "blind": "1"})
    assert box.rows("SELECT expression, blind FROM corrections ORDER BY id") == [(2, 1), (3, 0)]


def test_a_deleted_capture_can_be_put_back(box: Box, anna: Browser) -> None:
    session = shots(box, 1)
    anna.post("/captures/cap0/delete")
    page = text(anna.get(f"/sessions/{session}/captures"))
    assert "No captures yet" in page
    assert "Put it back" in page
    assert anna.get("/captures/cap0/face.jpg").status_code == 404
    anna.post("/captures/cap0/restore")
    assert "1 capture," in text(anna.get(f"/sessions/{session}/captures"))
    actions = box.rows("SELECT action FROM audit WHERE action LIKE 'capture.%' ORDER BY id")
    assert actions == [("capture.deleted",), ("capture.restored",)]


def test_a_deleted_capture_is_erased_for_good_once_the_next_is_touched(
    box: Box, anna: Browser
) -> None:
    shots(box, 3)
    anna.post("/captures/cap0/delete")
    anna.post("/captures/cap1/delete")
    assert box.rows("SELECT id FROM captures ORDER BY id") == [("cap1",), ("cap2",)]
    anna.post("/captures/cap2/label", {"expression": "1"})
    assert box.rows("SELECT id FROM captures") == [("cap2",)]
    assert anna.post("/captures/cap1/restore").status_code == 404


def test_faces_are_not_left_in_a_cache(box: Box, anna: Browser) -> None:
    shots(box, 1)
    for url, kind in (("face.jpg", "image/jpeg"), ("crop.png", "image/png")):
        answer = anna.get(f"/captures/cap0/{url}")
        assert answer.headers["Cache-Control"] == "private, no-store"
        assert answer.mimetype == kind


def test_many_captures_come_in_pages(box: Box, anna: Browser) -> None:
    session = shots(box, 45)
    page = anna.get(f"/sessions/{session}/captures?page=3")
    assert len(re.findall('<article class="panel capture"', page.text)) == 5
    assert "Page 3 of 3" in text(page)
    assert len(anna.get(f"/sessions/{session}/captures").data) < 200_000


def test_agreement_is_silent_below_ten(box: Box, anna: Browser) -> None:
    shots(box, 12)
    for k in range(9):
        anna.post(f"/captures/cap{k}/label", {"expression": "2"})
    page = text(anna.get("/agreement"))
    assert (
        "9 labelled captures so far. From 10 on there are figures here: 1 more is needed." in page
    )
    assert "κ is the agreement" not in page


def test_agreement_counts_blind_and_seen_apart(box: Box, anna: Browser) -> None:
    shots(box, 24)
    for k in range(12):
        anna.post(f"/captures/cap{k}/label", {"expression": "2", "blind": "1"})
    for k in range(12, 24):
        anna.post(f"/captures/cap{k}/label", {"expression": "2" if k % 2 else "none"})
    blind, seen = text(anna.get("/agreement")).split("Labelled with the program’s answer in view")
    assert "Same answer 100 %" in blind
    assert "not defined Both only ever gave one and the same answer" in blind
    assert "Same answer 50 %" in seen
    assert "Cohen’s κ 0" in seen
    assert "no random sample" in blind
