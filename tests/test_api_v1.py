"""The API, version 1: tokens and scopes, the log, check-ins, sessions, and its description."""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from openapi_spec_validator import validate
from werkzeug.test import TestResponse

import pages
from mien import tokens, zone
from mien.events import Capture
from mien.tokens import SCOPES
from mien.users import User
from mien_web import door
from pages import Box
from samples import PROBABILITIES

KEY = "6f1f2e2c-6a55-4b8e-9b35-2d8f0c0e7a11"


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Box]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    yield from pages.box(tmp_path, monkeypatch)


class Program:
    """What holds a token and asks."""

    def __init__(
        self, box: Box, *scopes: str, name: str = "anna", roles: str = "therapist home"
    ) -> None:
        user = User(box.user(name, roles), name, frozenset(roles.split()), None, None)
        box.write("UPDATE users SET roles = ? WHERE id = ?", roles, user.id)
        self.token = box.db.write(lambda db: tokens.make(db, user, "test", scopes, 0))
        self.client = box.app.test_client()
        self.document: dict[str, Any] = self.client.get("/api/v1/openapi.json").json or {}

    def ask(
        self, path: str, method: str = "GET", body: Any = None, *, status: int = 200
    ) -> TestResponse:
        """Ask; the answer is checked against the OpenAPI document."""
        answer = self.client.open(
            f"/api/v1{path}",
            method=method,
            json=body,
            headers={"Authorization": f"Bearer {self.token}"},
        )
        assert answer.status_code == status, answer.text
        if answer.is_json:
            self._matches(path, method, answer)
        return answer

    def _matches(self, path: str, method: str, answer: TestResponse) -> None:
        asked = path.partition("?")[0].split("/")
        for known, operations in self.document["paths"].items():
            parts = known.removeprefix("/api/v1").split("/")
            fits = len(parts) == len(asked) and all(
                a == b or b.startswith("{") for a, b in zip(asked, parts, strict=True)
            )
            if fits and method.lower() in operations:
                said = operations[method.lower()]["responses"][str(answer.status_code)]
                schema = said["content"]["application/json"]["schema"]
                jsonschema.validate(
                    answer.json, {**schema, "components": self.document["components"]}
                )
                return
        pytest.fail(f"{method} {path} is not described")


# ── the gate ─────────────────────────────────────────────────────────────────────────────────────


def test_no_token_opens_nothing(box: Box) -> None:
    client = box.app.test_client()
    answer = client.get("/api/v1/status")
    assert answer.status_code == 401
    assert "Bearer" in answer.json["error"]
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="Mien"'
    assert client.post("/api/v1/pause").status_code == 401
    assert client.get("/api/v1/status", headers={"Authorization": "Basic eDp5"}).status_code == 401


def test_a_cookie_opens_nothing(box: Box) -> None:
    browser = box.browser("anna", "therapist home administrator")
    assert browser.get("/api/v1/status").status_code == 401
    assert browser.post("/api/v1/pause").status_code == 401
    assert not box.daemon.health.paused


def test_the_demo_opens_nothing_without_a_token(box: Box) -> None:
    box.set("demo")
    assert box.app.test_client().get("/api/v1/status").status_code == 401


def test_each_resource_asks_for_its_scope(box: Box) -> None:
    document = Program(box, "status").document
    seen = set()
    for path, operations in document["paths"].items():
        for method, said in operations.items():
            for need in said["security"]:
                (scope,) = need["token"]
                seen.add(scope)
                others = Program(box, *set(SCOPES) - {scope})
                place = path.replace("{id}", KEY).replace("{day}", "2027-01-01")
                answer = others.client.open(
                    place, method=method, headers={"Authorization": f"Bearer {others.token}"}
                )
                assert answer.status_code == 403, (method, path)
                assert scope in answer.json["error"]
    assert seen == set(SCOPES)


def test_wrong_tokens_are_slowed_down_and_right_ones_are_not(box: Box) -> None:
    right = Program(box, "status")
    client = box.app.test_client()

    def wrong() -> TestResponse:
        return client.get("/api/v1/status", headers={"Authorization": "Bearer mien_x"})

    codes = [wrong().status_code for _ in range(12)]
    assert codes[:10] == [401] * 10
    assert codes[-1] == 429
    assert int(wrong().headers["Retry-After"]) >= 1
    right.ask("/status")
    browser = box.browser("anna")
    assert browser.get("/").status_code == 200
    box.clock.advance(3)
    assert wrong().status_code == 401
    assert box.rows("SELECT count(*) FROM attempts WHERE door LIKE 'address:%'") == [(0,)]


def test_other_web_sites_and_other_names_stay_out(box: Box) -> None:
    program = Program(box, "status", "control")
    headers = {"Authorization": f"Bearer {program.token}"}
    rebound = program.client.get("/api/v1/status", headers={**headers, "Host": "evil.example"})
    assert rebound.status_code == 403
    assert "error" in rebound.json
    elsewhere = {**headers, "Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
    assert program.client.get("/api/v1/status", headers=elsewhere).status_code == 403
    asked = program.client.options("/api/v1/pause", headers=elsewhere)
    assert "Access-Control-Allow-Origin" not in asked.headers


def test_the_last_use_is_noted(box: Box) -> None:
    Program(box, "status").ask("/status")
    assert box.rows("SELECT used_utc FROM tokens") == [(box.utc_ms,)]


def test_what_is_not_there(box: Box) -> None:
    program = Program(box, "status")
    client, headers = program.client, {"Authorization": f"Bearer {program.token}"}
    for method, path in (("GET", "/nothing"), ("DELETE", "/status"), ("GET", "/")):
        answer = client.open(f"/api/v1{path}", method=method, headers=headers)
        assert answer.status_code == 404
        assert "openapi.json" in answer.json["error"]
    assert "no parameter" in program.ask("/openapi.json?x=1", status=422).json["error"]


# ── status and control ───────────────────────────────────────────────────────────────────────────


def test_status_metrics_and_pause(box: Box) -> None:
    program = Program(box, "status", "control")
    assert program.ask("/status").json["parts"][0]["name"] == "camera"
    assert "mien_paused 0" in program.ask("/metrics").text
    assert program.ask("/pause", "POST").json == {"paused": True}
    assert box.daemon.health.paused
    assert program.ask("/resume", "POST").json == {"paused": False}
    assert not box.daemon.health.paused
    assert "Nobody is reminded" in program.ask("/snooze", "POST", status=409).json["error"]
    box.server.stop()
    assert "does not answer" in program.ask("/status", status=503).json["error"]


# ── the log ──────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def home(box: Box) -> Box:
    """A person who looked happy for a quarter of an hour, and a while could not be told."""
    box.set("home")
    box.client("me", "home")
    box.write("UPDATE clients SET resident = 1")
    box.write("UPDATE consents SET given_utc = 1")
    for _ in range(16):
        box.clock.advance(60)
        box.readings(["happiness"] * 59 + [None])
    return box


def test_days_and_hours_with_the_seconds_seen(home: Box) -> None:
    program = Program(home, "log")
    said = program.ask("/log/days").json
    (day,) = said["days"]
    assert (said["person"], said["zone"]) == ("me", "Europe/Berlin")
    assert day["expression"] == "happiness"
    assert day["enough"]
    assert day["expressions_s"]["happiness"] == day["read_s"]
    assert day["cannot_tell_s"] == day["seen_s"] - day["read_s"] > 0
    hours = program.ask(f"/log/days/{day['date']}").json
    assert len(hours["hours"]) == 24
    assert sum(hour["read_s"] for hour in hours["hours"]) == day["read_s"]
    assert hours["day"] == day
    empty = program.ask("/log/days/2020-03-29").json
    assert empty["day"] is None
    assert len(empty["hours"]) == 23
    assert {hour["expression"] for hour in empty["hours"]} == {None}


def test_too_little_is_said_to_be_too_little(home: Box) -> None:
    program = Program(home, "log")
    (day,) = program.ask("/log/days").json["days"]
    hours = program.ask(f"/log/days/{day['date']}").json["hours"]
    assert all(hour["enough"] == (hour["read_s"] >= 120) for hour in hours)
    assert all(hour["expression"] is None for hour in hours if not hour["enough"])


@pytest.mark.parametrize(
    "query",
    [
        "from=2026-01-01&to=2025-01-01", "from=2020-01-01&to=2026-01-01", "from=yesterday",
        "to=2026-13-01", "to=0001-01-01", "to=9999-12-31", "from=20260101", "year=2026",
    ],
)  # fmt: skip
def test_days_that_cannot_be_asked_for(home: Box, query: str) -> None:
    assert Program(home, "log").ask(f"/log/days?{query}", status=422).json["error"]


def test_whose_log_it_is(home: Box) -> None:
    program = Program(home, "log")
    assert "nobody of this code" in program.ask("/log/days?person=x", status=404).json["error"]
    other = Program(home, "log", name="ben", roles="home")
    assert "nobody yet" in other.ask("/log/days", status=404).json["error"]
    home.client("you", owner="ben")
    home.write("UPDATE clients SET resident = 1")
    assert "no home log here" in other.ask("/log/days", status=404).json["error"]


# ── check-ins ────────────────────────────────────────────────────────────────────────────────────


def test_a_check_in_is_kept_once_changed_and_taken_out(home: Box) -> None:
    program = Program(home, "checkins")
    said = {"id": KEY, "mood": 4, "emotions": ["joy", "pride"], "activities": ["walk"]}
    first = program.ask("/checkins", "POST", said, status=201).json
    assert program.ask("/checkins", "POST", {**said, "mood": 1}, status=201).json == first
    assert (first["mood"], first["emotions"], first["source"]) == (4, ["pride", "joy"], "api")
    changed = program.ask(f"/checkins/{KEY}", "PUT", {"mood": 2, "note": "rain"}).json
    assert (changed["mood"], changed["note"], changed["at"]) == (2, "rain", first["at"])
    assert program.ask(f"/checkins/{KEY}").json == changed
    assert program.ask("/checkins").json["checkins"] == [changed]
    assert program.ask("/activities").json["activities"] == [{"text": "walk", "used": 0}]
    program.ask(f"/checkins/{KEY}", "DELETE", status=204)
    program.ask(f"/checkins/{KEY}", "DELETE", status=404)
    program.ask(f"/checkins/{KEY}", status=404)
    program.ask(f"/checkins/{KEY}", "PUT", {"mood": 2}, status=409)


def test_a_check_in_of_another_time(home: Box) -> None:
    program = Program(home, "checkins")
    at = {"mood": 3, "at": "2026-07-01T12:00:00Z"}
    told = program.ask("/checkins", "POST", at, status=201).json
    assert (told["at"], told["date"], told["hour"]) == (
        "2026-07-01T12:00:00.000Z",
        "2026-07-01",
        14,
    )
    local = program.ask("/checkins", "POST", {"mood": 3, "at": "2026-07-01T12:00"}, status=201).json
    assert (local["at"], local["hour"]) == ("2026-07-01T10:00:00.000Z", 12)
    listed = program.ask("/checkins?from=2026-07-01&to=2026-07-01").json["checkins"]
    assert listed == [local, told]


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"mood": 6}, 422, "1 to 5"),
        ({}, 422, "says nothing"),
        ({"mood": "good"}, 422, "$.mood"),
        ({"emotions": ["hunger"]}, 422, "$.emotions"),
        ({"mood": 3, "at": "2099-01-01T00:00"}, 422, "lies ahead"),
        ({"mood": 3, "at": "noon"}, 422, "date and a time"),
        ({"mood": 3, "at": "2026-03-29T02:30"}, 422, "02:30"),
        ({"mood": 3, "id": "7"}, 422, "UUID"),
        ({"moods": 3}, 422, "moods"),
        ({"mood": 3, "note": "x" * 5000}, 422, "4000"),
        ([1], 422, "object"),
    ],
)
def test_a_check_in_that_is_none(home: Box, body: Any, status: int, said: str) -> None:
    program = Program(home, "checkins")
    assert said in program.ask("/checkins", "POST", body, status=status).json["error"]
    assert not home.rows("SELECT * FROM checkins")


def test_a_body_that_is_none(home: Box) -> None:
    program = Program(home, "checkins")
    headers = {"Authorization": f"Bearer {program.token}"}
    for data, status in (
        (b"{", 400),
        (b"", 400),
        (b'{"note": "\xff"}', 400),
        (b"[" * 60_000, 422),
        (b"x" * 70_000, 413),
    ):
        answer = program.client.post("/api/v1/checkins", data=data, headers=headers)
        assert (answer.status_code, bool(answer.json["error"])) == (status, True)


def test_anothers_check_in_is_not_there(home: Box) -> None:
    program = Program(home, "checkins")
    program.ask(f"/checkins/{KEY}", "PUT", {"mood": 2})
    home.client("you", owner="ben")
    home.write("UPDATE clients SET resident = 1")
    other = Program(home, "checkins", name="ben", roles="home")
    other.ask(f"/checkins/{KEY}", status=404)
    other.ask(f"/checkins/{KEY}", "PUT", {"mood": 5}, status=409)
    other.ask(f"/checkins/{KEY}", "DELETE", status=404)
    assert home.rows("SELECT mood, deleted FROM checkins") == [(2, 0)]


def test_patterns_say_on_how_much_they_stand(home: Box) -> None:
    program = Program(home, "checkins")
    program.ask("/checkins", "POST", {"mood": 2, "activities": ["rain"]}, status=201)
    said = program.ask("/patterns").json
    assert said["overall"]["n"] == 1
    assert said["overall"]["mood"]["value"] is None  # too little
    assert [one["text"] for one in said["by_activity"]] == ["rain"]


# ── sessions ─────────────────────────────────────────────────────────────────────────────────────


def test_a_session_from_start_to_stop(box: Box) -> None:
    box.client("K-17", "live")
    program = Program(box, "sessions")
    begun = program.ask("/sessions", "POST", {"client": "k-17"}, status=201).json
    assert (begun["client"], begun["running"]) == ("K-17", True)
    assert program.ask("/sessions", "POST", {"client": "K-17"}, status=201).json == begun
    box.clock.advance(5)
    place = f"/sessions/{begun['id']}"
    tag = {"text": "Mother", "how": "moment", "id": str(uuid.uuid4())}
    first = program.ask(f"{place}/tags", "POST", tag, status=201).json
    assert program.ask(f"{place}/tags", "POST", tag, status=201).json == first
    assert first["at_s"] == 5.0
    assert box.rows("SELECT count(*) FROM tags") == [(1,)]
    ended = program.ask(f"{place}/stop", "POST").json
    assert (ended["running"], ended["length_s"], ended["ended"]) == (False, 5.0, "stopped")
    assert program.ask(f"{place}/stop", "POST").json == ended
    assert program.ask("/sessions?client=K-17").json["sessions"] == [ended]
    assert program.ask("/sessions?client=K-18", status=404)


def test_a_capture_in_a_session(box: Box) -> None:
    session = box.session(box.client("K-17", "live", "pictures"))
    program, place = Program(box, "sessions"), f"/sessions/{session}/captures"
    assert "no face" in program.ask(place, "POST", {}, status=503).json["error"]
    box.daemon.face = face(box)
    kept = program.ask(place, "POST", {"id": KEY}, status=201).json
    assert (kept["id"], kept["expression"], kept["reason"]) == (KEY, "happiness", None)
    assert program.ask(place, "POST", {"id": KEY}, status=201).json == kept
    assert box.rows("SELECT count(*) FROM captures") == [(1,)]
    program.ask(place, "POST", {"id": "7"}, status=422)
    box.write("UPDATE consents SET withdrawn_utc = 1 WHERE kind = 'pictures'")
    assert "no consent" in program.ask(place, "POST", {}, status=403).json["error"]


def face(box: Box) -> Capture:
    now = box.clock.stamp()
    return Capture(
        frame=1,
        boot=now.boot_id,
        boot_ms=round(now.boot_time * 1000),
        face=b"\xff\xd8",
        crop=b"\x89PNG",
        expression="happiness",
        reason=None,
        probabilities=PROBABILITIES,
        embedding=bytes(4),
        maps=bytes(7),
        side=1,
        bundle="test",
        quality=0.9,
    )


def test_sessions_that_may_not_be(box: Box) -> None:
    box.client("K-17")
    box.client("K-18", "live", owner="ben")
    program = Program(box, "sessions")
    refused = program.ask("/sessions", "POST", {"client": "K-17"}, status=409).json
    assert "was not started" in refused["error"]
    program.ask("/sessions", "POST", {"client": "K-18"}, status=404)
    missing = program.ask(f"/sessions/{KEY}/stop", "POST", status=404).json
    assert missing == {"error": "There is no such session of yours."}
    theirs = box.session(box.client("K-19", "live", owner="ben"), owner="ben")
    program.ask(f"/sessions/{theirs}/stop", "POST", status=404)
    program.ask(f"/sessions/{theirs}/tags", "POST", {"text": "x"}, status=404)


# ── the description ──────────────────────────────────────────────────────────────────────────────


def test_the_description_is_valid(box: Box) -> None:
    answer = box.app.test_client().get("/api/v1/openapi.json")
    validate(json.loads(answer.data))


def test_every_path_is_in_the_docs(box: Box) -> None:
    document = box.app.test_client().get("/api/v1/openapi.json").json
    told = (Path(__file__).parent.parent / "docs" / "api.md").read_text()
    for path, operations in document["paths"].items():
        for method in operations:
            assert f"`{method.upper()} {path}`" in told, (method, path)


def test_zone_and_door_are_those_of_the_page(box: Box) -> None:
    assert box.db.read(zone.of_box).key == "Europe/Berlin"
    assert door.COOKIE not in Program(box, "status").ask("/status").headers.get("Set-Cookie", "")
