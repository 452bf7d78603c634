"""The session page through Flask's client, with a scripted daemon."""

import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import pages
import samples
from mien.events import Capture
from pages import Box, Browser, text

FACE = Capture(
    frame=1,
    boot="",
    boot_ms=0,
    face=b"a JPEG",
    crop=b"a PNG",
    expression="happiness",
    reason=None,
    probabilities=samples.PROBABILITIES,
    embedding=b"",
    maps=b"",
    side=0,
    bundle="default",
    quality=0.9,
)


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Box]:
    yield from pages.box(tmp_path, monkeypatch)


@pytest.fixture
def browser(box: Box) -> Browser:
    return box.browser()


def begin(box: Box, browser: Browser, *consents: str) -> str:
    """A session with a new client, begun on the page; its address."""
    client = box.client("K-17", *(consents or ("live", "numbers", "pictures")))
    answer = browser.post(f"/clients/{client}/session")
    assert answer.status_code == 303, answer.text
    return str(answer.location.removesuffix("/live"))


def new() -> str:
    return str(uuid.uuid4())


def send(browser: Browser, session: str, *taps: Any) -> Any:
    answer = browser.post_json(f"{session}/taps", {"taps": list(taps)})
    assert answer.status_code == 200, answer.text
    return answer.json


def now(box: Box) -> dict[str, Any]:
    stamp = box.clock.stamp()
    return {"boot": stamp.boot_id, "boot_ms": round(stamp.boot_time * 1000)}


# ── beginning ────────────────────────────────────────────────────────────────────────────────────


def test_a_session_begins_with_what_its_client_consents_to(box: Box, browser: Browser) -> None:
    session = begin(box, browser, "live", "numbers")
    rows = box.rows("SELECT numbers, pictures, boot, length_ms, clock_ok FROM sessions")
    assert rows == [(1, 0, box.clock.boot_id, None, 1)]
    assert box.daemon.refreshed == 1
    assert box.rows("SELECT action, subject FROM audit ORDER BY id DESC LIMIT 1") == [
        ("session.started", "K-17")
    ]
    shown = browser.get(f"{session}/live")
    assert "K-17" in text(shown)
    assert "No consent to pictures" in text(shown)
    assert len(shown.data) < 60_000


@pytest.mark.parametrize("consents", [(), ("numbers",)])
def test_no_session_without_consent(box: Box, browser: Browser, consents: tuple[str, ...]) -> None:
    client = box.client("K-17", *consents)
    answer = browser.post(f"/clients/{client}/session")
    assert answer.status_code == 409
    assert "The session was not started." in text(answer)
    assert "consent" in text(answer)
    assert box.rows("SELECT * FROM sessions") == []


def test_no_session_while_the_daemon_is_silent(box: Box, browser: Browser) -> None:
    client = box.client("K-17", "live")
    box.server.stop()
    answer = browser.post(f"/clients/{client}/session")
    assert answer.status_code == 503
    assert "was not started" in text(answer)
    assert box.rows("SELECT * FROM sessions") == []


def test_two_tablets_join_one_session_and_others_wait(box: Box, browser: Browser) -> None:
    session = begin(box, browser)
    (client,) = box.rows("SELECT client FROM sessions")[0]
    again = box.browser().post(f"/clients/{client}/session")
    assert again.location == f"{session}/live"
    other = browser.post(f"/clients/{box.client('K-18', 'live')}/session")
    assert (other.status_code, "another client is running" in text(other)) == (409, True)
    bert = box.browser("bert")
    theirs = bert.post(f"/clients/{box.client('B-1', 'live', owner='bert')}/session")
    assert (theirs.status_code, "a colleague's session" in text(theirs)) == (409, True)
    assert "K-17" not in text(theirs)
    assert len(box.rows("SELECT * FROM sessions")) == 1


@pytest.mark.parametrize("path", ["live", "state", "look", "taps", "capture"])
def test_a_strangers_session_is_not_there(box: Box, browser: Browser, path: str) -> None:
    session = begin(box, browser)
    bert = box.browser("bert")
    for address in (f"{session}/{path}", f"/sessions/{new()}/{path}", f"/sessions/'--/{path}"):
        if path in ("taps", "capture"):
            answer = bert.post_json(address, {"taps": [], "id": new()})
        else:
            answer = bert.get(address)
        assert answer.status_code == 404
    assert (
        bert.post(f"/clients/{box.rows('SELECT id FROM clients')[0][0]}/session").status_code == 404
    )


# ── taps ─────────────────────────────────────────────────────────────────────────────────────────


def test_taps_are_done_in_order_and_the_state_comes_back(box: Box, browser: Browser) -> None:
    session = begin(box, browser)
    box.clock.advance(60)
    topic, on = new(), new()
    said = send(
        browser, session,
        {"id": topic, "kind": "keyword_new", "text": "Mother", "age_ms": 30_000},
        {"id": on, "kind": "tag_on", "keyword": topic, "age_ms": 30_000},
        {"id": new(), "kind": "juggle"},
        {"id": new(), "kind": "moment", "keyword": 7},
        "nonsense",
        {"id": new(), "kind": "exclude_on", "age_ms": 5_000.2},
        {"id": new(), "kind": "note", "text": "Looked away", "age_ms": 2_000},
    )  # fmt: skip
    assert [one["ok"] for one in said["answers"]] == [True, True, False, False, False, True, True]
    assert "does not know this kind" in said["answers"][2]["said"]
    state = said["state"]
    assert state["on"] == {topic: 30_000}
    assert state["keywords"] == [{"id": topic, "text": "Mother", "hidden": False}]
    assert state["excluded"] == 55_000
    assert [note["text"] for note in state["notes"]] == ["Looked away"]
    assert browser.get(f"{session}/state").json == state


def test_sent_twice_is_done_once(box: Box, browser: Browser) -> None:
    session = begin(box, browser)
    taps = [{"id": new(), "kind": "keyword_new", "text": "Work"}]
    taps.append({"id": new(), "kind": "moment", "keyword": taps[0]["id"]})
    first = send(browser, session, *taps)
    assert send(browser, session, *taps)["answers"] == first["answers"]
    assert len(box.rows("SELECT * FROM tags")) == 1


def test_stop_tells_the_daemon_and_the_audit_list(box: Box, browser: Browser) -> None:
    session = begin(box, browser)
    box.clock.advance(600)
    said = send(browser, session, {"id": new(), "kind": "stop"})
    assert not said["state"]["running"]
    assert said["state"]["elapsed_ms"] == 600_000
    assert box.daemon.refreshed == 2
    assert box.rows("SELECT action, user FROM audit ORDER BY id DESC LIMIT 1") == [
        ("session.ended", "anna")
    ]
    assert box.rows("SELECT * FROM erasures") == []
    over = text(browser.get(f"{session}/live"))
    assert "Length: 10:00" in over
    assert "Timeline and captures" in over


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"{", "must be a JSON object"),
        (b'{"\xff": 1}', "must be a JSON object"),
        (b'{"taps": {}}', "must be a JSON object"),
        (b'{"taps": [' + b",".join([b"1"] * 501) + b"]}", "At most 500 taps"),
        (b'{"taps": ["' + b"x" * 70_000 + b'"]}', ""),
    ],
)
def test_what_is_no_list_of_taps(box: Box, browser: Browser, body: bytes, sentence: str) -> None:
    session = begin(box, browser)
    headers = {**pages.SAME, "Mien-Token": browser.token}
    answer = browser.client.post(
        f"{session}/taps", data=body, headers=headers, content_type="application/json"
    )
    assert answer.status_code == (400 if sentence else 413)
    assert sentence in text(answer)


def test_a_stale_form_and_a_signed_out_tablet(box: Box, browser: Browser) -> None:
    session = begin(box, browser)
    tap = {"taps": [{"id": new(), "kind": "here"}]}
    stale = browser.client.post(
        f"{session}/taps", json=tap, headers={**pages.SAME, "Mien-Token": "of yesterday"}
    )
    assert stale.status_code == 403
    box.write("DELETE FROM logins")
    assert browser.post_json(f"{session}/taps", tap).status_code == 401
    assert box.rows("SELECT * FROM taps") == []


def test_a_long_topic_is_refused_with_a_sentence(box: Box, browser: Browser) -> None:
    session = begin(box, browser)
    said = send(browser, session, {"id": new(), "kind": "keyword_new", "text": "x" * 10_000})
    assert said["answers"][0]["said"] == "A topic may have 60 characters. Shorten it."


# ── the camera ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("changed", "kind", "title"),
    [
        ({}, "happiness", "Expression looks like happiness, 62\N{NO-BREAK SPACE}%"),
        ({"expression": None, "reason": "too dark"}, "unknown", "Cannot tell: too dark"),
        (
            {"expression": None, "reason": "several people in the seat"},
            "unknown",
            "Cannot tell: several people in the seat",
        ),
        ({"expression": None, "reason": None, "readings": []}, None, "No one in the seat"),
    ],
)
def test_a_look(
    box: Box, browser: Browser, changed: dict[str, Any], kind: str | None, title: str
) -> None:
    session = begin(box, browser)
    box.daemon.show(msgspec.structs.replace(samples.HAPPY, **changed), b"")
    said = browser.get(f"{session}/look").json
    assert (said["state"], said["expression"], said["title"]) == ("live", kind, title)


def test_a_look_at_a_box_that_sees_nothing(box: Box, browser: Browser) -> None:
    session = begin(box, browser)
    assert browser.get(f"{session}/look").json["state"] == "starting"
    box.daemon.no_camera = "no camera was found; plug one in"
    said = browser.get(f"{session}/look").json
    assert (said["state"], said["advice"]) == ("no-picture", "No camera was found; plug one in.")
    box.daemon.set_paused(True)
    assert browser.get(f"{session}/look").json["state"] == "paused"
    box.server.stop()
    assert browser.get(f"{session}/look").json["state"] == "lost"


def test_a_face_is_captured_once_and_taken_back(box: Box, browser: Browser) -> None:
    session = begin(box, browser)
    box.clock.advance(12)
    box.daemon.face = msgspec.structs.replace(FACE, **now(box))
    id = new()
    first = browser.post_json(f"{session}/capture", {"id": id})
    again = browser.post_json(f"{session}/capture", {"id": id})
    assert (first.status_code, first.json["at_ms"]) == (200, 12_000)
    assert first.json["said"] == "Expression looks like happiness, 62\N{NO-BREAK SPACE}%"
    assert again.json["id"] == id
    assert len(box.rows("SELECT * FROM captures")) == 1
    assert browser.get(first.json["face"]).data == b"a JPEG"
    said = send(browser, session, {"id": new(), "kind": "undo", "of": id})
    assert said["state"]["captures"] == 0


def test_no_capture_without_consent_face_or_session(box: Box, browser: Browser) -> None:
    session = begin(box, browser)
    assert browser.post_json(f"{session}/capture", {"id": "x"}).status_code == 400
    none = browser.post_json(f"{session}/capture", {"id": new()})
    assert (none.status_code, none.json["error"]) == (503, "There is no face in the seat.")
    box.daemon.face = msgspec.structs.replace(FACE, **now(box))
    box.write("UPDATE consents SET withdrawn_utc = 1 WHERE kind = 'pictures'")
    refused = browser.post_json(f"{session}/capture", {"id": new()})
    assert (refused.status_code, "no consent" in refused.json["error"]) == (403, True)
    send(browser, session, {"id": new(), "kind": "stop"})
    assert browser.post_json(f"{session}/capture", {"id": new()}).status_code == 409
    assert box.rows("SELECT * FROM captures") == []


def test_a_consent_withdrawn_while_the_face_is_on_its_way(box: Box, browser: Browser) -> None:
    session = begin(box, browser)

    def withdrawn() -> Capture:
        box.write("UPDATE consents SET withdrawn_utc = 1 WHERE kind = 'pictures'")
        return msgspec.structs.replace(FACE, **now(box))

    box.daemon.capture = withdrawn  # type: ignore[method-assign]
    assert browser.post_json(f"{session}/capture", {"id": new()}).status_code == 409
    assert box.rows("SELECT * FROM captures") == []


# ── sessions that nobody stops ───────────────────────────────────────────────────────────────────


def test_a_forgotten_session_asks_and_then_stops(box: Box, browser: Browser) -> None:
    session = begin(box, browser)
    box.clock.advance(91 * 60)
    box.write("UPDATE logins SET seen_utc = ?", box.utc_ms)
    state = browser.get(f"{session}/state").json
    assert state["asks"]
    assert state["left_ms"] == 14 * 60_000
    box.clock.advance(15 * 60)
    box.write("UPDATE logins SET seen_utc = ?", box.utc_ms)
    state = browser.get(f"{session}/state").json
    assert (state["running"], state["ended"]) == (False, "forgotten")
    assert box.daemon.refreshed == 2
    assert box.rows("SELECT user, action FROM audit ORDER BY id DESC LIMIT 1") == [
        ("mien", "session.ended")
    ]


def test_a_restarted_box_ends_what_ran(box: Box, browser: Browser) -> None:
    session = begin(box, browser)
    box.clock.boot_id = new()
    box.clock.advance(61)
    assert browser.get("/about").status_code == 200
    assert box.rows("SELECT ended FROM sessions") == [("restart",)]
    assert browser.get(f"{session}/state").json["ended"] == "restart"


def test_every_word_of_the_script_is_there() -> None:
    static = Path(pages.guard.__file__).parent / "static"
    script = "".join(
        (static / f"{name}.js").read_text() for name in ("session", "ribbon", "topics")
    )
    source = (static.parent / "session_words.py").read_text()
    for word in set(re.findall(r"\bwords\.(\w+)", script)):
        assert f'"{word}":' in source, word


def test_what_was_deleted_is_gone_for_good_with_the_next_session(
    box: Box, browser: Browser
) -> None:
    session = begin(box, browser)
    made, on = new(), new()
    send(browser, session, {"id": made, "kind": "keyword_new", "text": "work"})
    send(browser, session, {"id": on, "kind": "tag_on", "keyword": made})
    send(browser, session, {"id": new(), "kind": "undo", "of": on})
    send(browser, session, {"id": new(), "kind": "stop"})
    assert box.rows("SELECT deleted FROM tags") == [(1,)]
    begin_again = browser.post(f"/clients/{box.rows('SELECT id FROM clients')[0][0]}/session")
    assert begin_again.status_code == 303
    assert box.rows("SELECT * FROM tags") == []
