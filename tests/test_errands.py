"""Commands by MQTT that the page carries out: with the user's rights, the consents and the audit
list of the pages."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import pages
from mien import reminders, tokens
from mien.events import Done, Errand
from mien.reminders import Plan
from mien.users import User
from mien_web import errands
from pages import Box


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Box]:
    yield from pages.box(tmp_path, monkeypatch)


def token(box: Box, *scopes: str, name: str = "anna", roles: str = "therapist home") -> str:
    user = User(box.user(name, roles), name, frozenset(roles.split()), None, None)
    return box.db.write(lambda db: tokens.make(db, user, "test", scopes, 0))


def errand(box: Box, name: str, said: Any = None) -> Done:
    """Send one to the page; how it went."""
    box.daemon.send(Errand("1", name, b"" if said is None else json.dumps(said).encode()))
    assert errands.turn(box.app)
    return box.daemon.done[-1]


def refused(box: Box, name: str, said: Any = None) -> str:
    done = errand(box, name, said)
    assert done.error
    assert done.result is None
    return done.error


def test_a_session_from_start_to_stop(box: Box) -> None:
    may = token(box, "sessions")
    client = box.client("K-17", "live", "numbers")
    assert errand(box, "start", {"token": may, "client": "k-17"}) == Done(
        "1", None, {"running": True}
    )
    box.clock.advance(10)
    assert errand(box, "tag", {"token": may, "text": "Mother"}).error is None
    box.clock.advance(10)
    assert errand(box, "tag", {"token": may, "text": "mother", "how": "off"}).error is None
    box.clock.advance(10)
    done = errand(box, "stop", {"token": may})
    assert done.result == {"running": False, "length_s": 30.0}
    assert box.rows("SELECT client, length_ms, ended FROM sessions") == [
        (client, 30_000, "stopped")
    ]
    assert box.rows("SELECT from_ms, to_ms FROM tags") == [(10_000, 20_000)]
    assert [act for (act,) in box.rows("SELECT action FROM audit ORDER BY id")] == [
        "session.started",
        "session.ended",
    ]
    assert box.rows("SELECT user FROM audit") == [("anna",), ("anna",)]
    assert box.daemon.refreshed == 2


def test_the_same_command_again_is_done_once(box: Box) -> None:
    may = token(box, "sessions")
    box.client("K-17", "live")
    errand(box, "start", {"token": may, "client": "K-17"})
    for _ in range(2):  # as after a restart of the service, which forgets what it has answered
        errand(box, "tag", {"token": may, "text": "Work", "how": "moment", "id": "a"})
    assert box.rows("SELECT count(*) FROM tags") == [(1,)]


def test_another_command_of_the_same_id_is_another(box: Box) -> None:
    may = token(box, "sessions")
    box.client("K-17", "live")
    errand(box, "start", {"token": may, "client": "K-17", "id": "1"})
    errand(box, "tag", {"token": may, "text": "Work", "how": "moment", "id": "1"})
    assert errand(box, "stop", {"token": may, "id": "1"}).result == {
        "running": False,
        "length_s": 0.0,
    }


def test_no_consent_no_session(box: Box) -> None:
    may = token(box, "sessions")
    box.client("K-17")
    assert "session was not started" in refused(box, "start", {"token": may, "client": "K-17"})
    assert "no client of this code name" in refused(box, "start", {"token": may, "client": "K-18"})
    assert "code name of a client" in refused(box, "start", {"token": may})
    assert not box.rows("SELECT * FROM sessions")


def test_anothers_clients_are_not_there(box: Box) -> None:
    box.client("K-17", "live", owner="ben")
    may = token(box, "sessions")
    assert "no client" in refused(box, "start", {"token": may, "client": "K-17"})


def test_without_a_session(box: Box) -> None:
    may = token(box, "sessions")
    for name in ("stop", "tag", "capture"):
        assert "No session of yours" in refused(box, name, {"token": may, "text": "x"})


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({}, "must be a topic"),
        ({"text": "  "}, "must be a topic"),
        ({"text": "\u200b"}, "at least one letter"),
        ({"text": "x" * 61}, "60 characters"),
        ({"text": ["x"]}, "must be a topic"),
        ({"text": "x", "how": "up"}, "on, off, moment"),
        ({"text": "x", "how": "off"}, "not in your list"),
    ],
)
def test_a_tag_that_is_none(box: Box, said: dict[str, Any], why: str) -> None:
    may = token(box, "sessions")
    box.client("K-17", "live")
    errand(box, "start", {"token": may, "client": "K-17"})
    assert why in refused(box, "tag", {"token": may, **said})
    assert not box.rows("SELECT * FROM tags")


def test_a_capture_needs_consent_to_pictures(box: Box) -> None:
    may = token(box, "sessions")
    box.client("K-17", "live")
    errand(box, "start", {"token": may, "client": "K-17"})
    assert "no consent to keep pictures" in refused(box, "capture", {"token": may})
    box.db.write(
        lambda db: db.execute("INSERT INTO settings VALUES ('smart_home', '[\"capture\"]')")
    )
    assert "no consent to keep pictures" in refused(box, "capture")


def test_a_capture_without_a_token_is_of_who_leads(box: Box) -> None:
    box.db.write(
        lambda db: db.execute("INSERT INTO settings VALUES ('smart_home', '[\"capture\"]')")
    )
    assert "No session runs" in refused(box, "capture")
    box.session(box.client("K-17", "live", "pictures"))
    assert "no face" in refused(box, "capture")  # the camera was asked


def test_a_check_in(box: Box) -> None:
    box.set("home")
    may = token(box, "checkins")
    box.write("UPDATE users SET roles = 'home'")
    person = box.client("me")
    box.write("UPDATE clients SET resident = 1")
    said = {"token": may, "mood": 4, "emotions": ["joy"], "activities": ["walk"], "id": "x"}
    assert errand(box, "checkin", said).result == {"mood": 4}
    assert errand(box, "checkin", said).result == {"mood": 4}
    assert box.rows("SELECT client, mood, source FROM checkins") == [(person, 4, "mqtt")]
    assert "1 to 5" in refused(box, "checkin", {"token": may, "mood": 9})
    assert "as it should be" in refused(box, "checkin", {"token": may, "mood": "good"})
    assert "as it should be" in refused(box, "checkin", {"token": may, "moods": 3})
    assert "nobody of this code" in refused(box, "checkin", {"token": may, "person": "you"})


def test_reminders_are_put_off(box: Box) -> None:
    box.set("home")
    assert "Nobody is reminded" in refused(box, "snooze")
    person = box.client("me")
    box.write("UPDATE clients SET resident = 1")
    box.db.write(lambda db: reminders.put(db, person, Plan(on=True, snooze_min=30)))
    assert errand(box, "snooze").result == {"people": 1}
    plan = box.db.read(lambda db: reminders.plan(db, person))
    assert plan.snoozed_until_ms == box.utc_ms + 30 * 60_000


def test_a_right_that_went_meanwhile(box: Box) -> None:
    may = token(box, "sessions")
    box.client("K-17", "live")
    box.write("DELETE FROM tokens")
    assert "not known" in refused(box, "start", {"token": may, "client": "K-17"})
    assert "needs a token" in refused(box, "start", {"client": "K-17"})


def test_what_the_service_did_itself_is_noted_as_a_use(box: Box) -> None:
    may = token(box, "control")
    assert errand(box, "pause", {"token": may}) == Done("1")
    assert box.rows("SELECT used_utc FROM tokens") == [(box.utc_ms,)]


def test_a_service_that_is_away(box: Box) -> None:
    box.server.stop()
    assert not errands.turn(box.app)
