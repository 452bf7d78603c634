"""Commands by MQTT: who may give them, that each is done once, and that each is answered."""

import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from mien import tokens
from mien.clock import ManualClock
from mien.config import Store as StoreConfig
from mien.database import StoreError
from mien.events import Done, Errand, Response
from mien.orders import (
    ASKED_WITHIN_S,
    DONE_WITHIN_S,
    LONGEST,
    MOST,
    OWN,
    REMEMBERED,
    SCOPES,
    WITHIN_S,
    Order,
    OrderError,
    Orders,
    parse,
)
from mien.store import Store
from mien.topics import Topics
from mien.users import User
from people import People

TOPICS = Topics("testbox")
ANNA = User(1, "anna", frozenset({"therapist", "home"}), None, None)


class Room:
    """Orders of a box, what it did, and what it said."""

    def __init__(self, read: Any) -> None:
        self.clock = ManualClock()
        self.paused: list[bool] = []
        self.said: list[Response] = []
        self.topics: list[str] = []
        self.orders = Orders(TOPICS, read, self.paused.append, self._say, self.clock)

    def _say(self, topic: str, payload: bytes) -> None:
        self.topics.append(topic)
        self.said.append(msgspec.json.decode(payload, type=Response))

    def command(self, name: str, said: Any = b"") -> Response | None:
        """Send it; the answer, if there is one at once."""
        before = len(self.said)
        payload = said if isinstance(said, bytes) else json.dumps(said).encode()
        self.orders.take(TOPICS.command(name), payload)
        self.orders.turn(0)
        return self.said[-1] if len(self.said) > before else None

    def refused(self, name: str, said: Any = b"") -> str:
        answer = self.command(name, said)
        assert answer is not None
        assert not answer.ok
        assert answer.error
        return answer.error

    def errand(self) -> Errand | None:
        return self.orders.errand(0)

    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.orders.turn(0)


@pytest.fixture
def people(tmp_path: Path) -> Iterator[People]:
    clock = ManualClock()
    store = Store.open(tmp_path, clock, StoreConfig())
    people = People(tmp_path, clock)
    people.write("UPDATE users SET roles = 'therapist home'")
    yield people
    people.close()
    store.close()


@pytest.fixture
def room(people: People) -> Room:
    return Room(people.database.read)


def token(people: People, *scopes: str) -> str:
    return people.database.write(lambda db: tokens.make(db, ANNA, "test", scopes, 0))


# ── payloads ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("payload", [b"", b"PRESS", b"null", b'"ON"', b"[1]", b"NaN", b'"\xff"'])
def test_what_is_no_object_says_no_more_than_the_topic(payload: bytes) -> None:
    assert parse("pause", payload) == Order("pause", None, None, {})


def test_an_object_carries_id_and_token() -> None:
    assert parse("stop", b'{"id": "1", "token": "t"}') == Order("stop", "1", "t", {})
    assert parse("stop", b'{"id": "", "token": ""}') == Order("stop", None, None, {})
    assert parse("tag", b' {"text": "x"}').arguments == {"text": "x"}


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (b"x" * (LONGEST + 1), "4096 bytes"),
        (b'{"id": 7}', "'id' must be a text"),
        (b'{"token": ["a"]}', "'token' must be a text"),
        (json.dumps({"id": "x" * 101}).encode(), "100 characters"),
        (b'{"text": "x",}', "is none"),
        (b'{"text": NaN}', "is none"),
        (b'{"text": 1e999}', "is none"),
        (b'{"text": "\xff"}', "is none"),
        (b'{"text": "\\ud800"}', "is none"),
        (b'{"text": ' * 400, "is none"),
    ],
)
def test_a_payload_that_is_none(payload: bytes, said: str) -> None:
    with pytest.raises(OrderError, match=said):
        parse("tag", payload)


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just("id"), inner),
)


@given(
    st.sampled_from([*SCOPES, "x"]),
    st.binary()
    | st.binary().map(lambda said: b'{"text": "' + said + b'"}')
    | _JSON.map(lambda said: json.dumps(said).encode())
    | st.just(b'{"a":' * 800),
)
def test_whatever_comes_is_an_order_or_a_sentence(name: str, payload: bytes) -> None:
    order = None
    with suppress(OrderError):
        order = parse(name, payload)
    assert order is None or (order.id != "" and {"id", "token"}.isdisjoint(order.arguments))


@given(st.text(min_size=1), st.binary(max_size=50))
def test_whatever_comes_is_answered_or_sent_on(name: str, payload: bytes) -> None:
    room = Room(lambda work: None)
    answer = room.command(name, payload)
    errand = room.errand()
    assert (answer is None) == (errand is not None)
    assert room.topics in ([], [TOPICS.response(name if name in SCOPES else "unknown")])


# ── rights ───────────────────────────────────────────────────────────────────────────────────────


def test_without_a_token_the_smart_home_may_only_close(room: Room) -> None:
    answer = room.command("pause")
    assert answer is not None
    assert answer.ok
    assert room.paused == [True]
    assert "needs a token" in room.refused("resume")
    assert "needs a token" in room.refused("pause", {"paused": False})
    assert room.paused == [True]
    assert room.command("snooze") is None
    errand = room.errand()
    assert errand is not None
    assert errand.name == "snooze"


@pytest.mark.parametrize("name", ["start", "stop", "tag", "capture", "checkin"])
def test_without_a_token_nothing_is_written(room: Room, people: People, name: str) -> None:
    assert "needs a token" in room.refused(name)
    if name != "capture":  # even where somebody wrote it into the settings
        people.put("smart_home", [name])
        assert "needs a token" in room.refused(name)
    assert room.errand() is None


def test_an_administrator_ticks_what_else_it_may(room: Room, people: People) -> None:
    people.put("smart_home", ["resume"])
    answer = room.command("pause", {"paused": False})
    assert answer is not None
    assert answer.ok
    assert answer.result == {"paused": False}
    assert room.paused == [False]
    assert "needs a token" in room.refused("pause")
    people.put("smart_home", [])
    assert "needs a token" in room.refused("snooze")


def test_a_token_does_what_its_scopes_say(room: Room, people: People) -> None:
    control, leads = token(people, "control"), token(people, "sessions")
    answer = room.command("resume", {"token": control})
    assert answer is not None
    assert answer.ok
    assert room.errand() is not None  # the page notes that the token was used
    assert "does not allow 'sessions'" in room.refused("start", {"token": control})
    assert "does not allow 'control'" in room.refused("resume", {"token": leads})
    assert room.command("start", {"token": leads, "client": "K-17"}) is None
    errand = room.errand()
    assert errand is not None
    assert json.loads(errand.body)["client"] == "K-17"


def test_a_token_that_is_none_any_more(
    room: Room, people: People, caplog: pytest.LogCaptureFixture
) -> None:
    made = token(people, "control")
    people.write("DELETE FROM tokens")
    assert "not known" in room.refused("pause", {"token": made})
    assert room.paused == []
    assert "'pause' by MQTT was refused" in caplog.text
    assert made not in caplog.text
    assert made not in str(room.said)


def test_what_cannot_be_obeyed_is_answered(room: Room) -> None:
    assert "there is no command 'dance'" in room.refused("dance")
    assert room.topics[-1] == TOPICS.response("unknown")
    assert "4096 bytes" in room.refused("pause", b"x" * 5000)
    assert "'paused' must be true or false" in room.refused("pause", {"paused": 1})
    room.orders.take("mien/otherbox/command/pause", b"")
    room.orders.turn(0)
    assert room.paused == []


def test_a_store_that_cannot_be_read_lets_nobody_in() -> None:
    def read(work: Any) -> Any:
        raise StoreError("the disk is gone")

    room = Room(read)
    assert "the disk is gone" in room.refused("pause")
    assert room.paused == []


def test_a_flood_is_answered_once(room: Room) -> None:
    for _ in range(MOST + 30):
        room.orders.take(TOPICS.command("pause"), b"")
    room.orders.turn(0)
    assert len(room.paused) == MOST
    assert len(room.said) == MOST + 1
    assert [one.error for one in room.said if not one.ok] == [
        f"more than {MOST} commands came within {WITHIN_S:.0f} s; send fewer"
    ]
    room.wait(WITHIN_S)
    assert room.command("pause") is not None
    assert len(room.paused) == MOST + 1


# ── errands ──────────────────────────────────────────────────────────────────────────────────────


def test_the_page_carries_an_errand_out(room: Room) -> None:
    assert room.command("snooze", {"id": "7"}) is None
    errand = room.errand()
    assert errand is not None
    room.orders.errand_done(Done(errand.id, result={"minutes": 30}))
    (said,) = room.said
    assert (said.command, said.request, said.ok, said.error) == ("snooze", "7", True, None)
    assert said.result == {"minutes": 30}
    room.orders.errand_done(Done(errand.id))  # said twice
    assert len(room.said) == 1


def test_without_a_page_it_is_said_and_not_done_later(room: Room) -> None:
    room.command("snooze")
    room.wait(ASKED_WITHIN_S - 0.1)
    assert room.said == []
    room.wait(0.2)
    assert [one.ok for one in room.said] == [False]
    assert "page does not run" in str(room.said[0].error)
    assert room.errand() is None


def test_a_page_that_never_says_how_it_went(room: Room) -> None:
    room.command("snooze")
    errand = room.errand()
    assert errand is not None
    room.wait(DONE_WITHIN_S + 1)
    assert "did not say in time" in str(room.said[0].error)
    room.orders.errand_done(Done(errand.id))
    assert len(room.said) == 1


def test_who_waits_for_an_errand_gets_it_at_once(room: Room) -> None:
    found: list[Errand | None] = []
    page = threading.Thread(target=lambda: found.append(room.orders.errand(20)))
    page.start()
    room.command("snooze")
    page.join(10)
    assert [one.name for one in found if one] == ["snooze"]


# ── once ─────────────────────────────────────────────────────────────────────────────────────────


def test_the_same_id_twice_is_answered_twice_and_done_once(room: Room) -> None:
    first, second = room.command("pause", {"id": "1"}), room.command("pause", {"id": "1"})
    assert first == second
    assert room.paused == [True]
    assert room.command("snooze", {"id": "1"}) is None  # another command has ids of its own


class Once(RuleBasedStateMachine):
    """Whatever is sent, sent again, asked for, done or left: nothing with an id is done twice, and
    each such command ends in one and the same answer."""

    ids = Bundle("ids")

    def __init__(self) -> None:
        super().__init__()
        self.room = Room(lambda work: ["pause", "snooze"])
        self.sent: set[tuple[str, str]] = set()
        self.given: list[Errand] = []
        self.number = 0

    @rule(target=ids, name=st.sampled_from(["pause", "snooze"]))
    def send(self, name: str) -> tuple[str, str]:
        self.number += 1
        self._send(name, str(self.number))
        return name, str(self.number)

    @rule(known=ids)
    def again(self, known: tuple[str, str]) -> None:
        self._send(*known)

    def _send(self, name: str, id: str) -> None:
        self.room.clock.advance(WITHIN_S / MOST)  # no flood
        self.room.command(name, {"id": id})
        self.sent.add((name, id))

    @rule()
    def ask(self) -> None:
        if errand := self.room.errand():
            self.given.append(errand)

    @rule(ok=st.booleans())
    def finish(self, ok: bool) -> None:
        if self.given:
            self.room.orders.errand_done(Done(self.given[-1].id, None if ok else "no"))

    @rule(seconds=st.sampled_from([1.0, ASKED_WITHIN_S, DONE_WITHIN_S]))
    def wait(self, seconds: float) -> None:
        self.room.wait(seconds)

    @invariant()
    def done_once(self) -> None:
        assert len(self.room.paused) == sum(name == "pause" for name, _ in self.sent)
        ids = [json.loads(errand.body)["id"] for errand in self.given]
        assert len(ids) == len(set(ids))

    @invariant()
    def one_answer(self) -> None:
        answers: dict[tuple[str, str | None], set[str]] = {}
        for said in self.room.said:
            answers.setdefault((said.command, said.request), set()).add(said.id)
        assert all(len(ids) == 1 for ids in answers.values())


TestOnce = Once.TestCase
TestOnce.settings = settings(max_examples=30, stateful_step_count=25)


def test_answers_are_not_kept_for_ever(room: Room) -> None:
    for number in range(REMEMBERED + 5):
        room.clock.advance(WITHIN_S)
        room.command("pause", {"id": str(number)})
    assert len(room.orders._answers) == REMEMBERED


def test_the_own_commands_are_no_errands() -> None:
    assert set(OWN) < set(SCOPES)
