"""How other boxes are, by what they say of themselves; and what else may lie on their topics."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from paho.mqtt.client import topic_matches_sub

from mien import config, orders
from mien.broker import OFFLINE, ONLINE, MemoryBroker, _matches
from mien.clock import ManualClock
from mien.config import Mqtt
from mien.control import ControlServer
from mien.control_client import ControlClient
from mien.events import Health, Neighbour, Neighbourhood, Part
from mien.neighbours import (
    FORGOTTEN_S,
    LARGEST,
    MOST,
    MOST_PARTS,
    SENTENCE,
    SILENT_S,
    WORD,
    Neighbours,
)
from mien.publisher import DEAF_S, HEARD_BYTES, NEIGHBOURS_MOST, Publisher
from mien.scripted import ScriptedDaemon
from mien.store import Store
from mien.topics import Topics
from samples import HEALTH

TOPICS = Topics("room-1", neighbours=True)
BAD = Part("camera", "failed", "camera /dev/video0 was closed", "plug it in")


def health(box: str = "room-2", id: str = "1", **changed: object) -> bytes:
    values = {"box": box, "id": id, "room": "Room 2", **changed}
    return msgspec.json.encode(msgspec.structs.replace(HEALTH, **values))


class Ear:
    """What the publisher does with it."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.neighbours = Neighbours(self.clock)
        self.neighbours.connected()

    def hear(self, payload: bytes, *, box: str = "room-2", retained: bool = False) -> None:
        self.neighbours.heard(box, "health", payload, retained)

    def available(self, payload: bytes, *, box: str = "room-2", retained: bool = False) -> None:
        self.neighbours.heard(box, "availability", payload, retained)

    @property
    def known(self) -> Neighbourhood:
        return self.neighbours.known()

    @property
    def only(self) -> Neighbour:
        (box,) = self.known.boxes
        return box

    @property
    def state(self) -> tuple[str, float, bool]:
        box = self.only
        return box.state, box.unheard_s, box.witnessed


@pytest.fixture
def ear() -> Ear:
    return Ear()


def test_what_is_known_of_a_box(ear: Ear) -> None:
    ear.hear(health(parts=[BAD, *HEALTH.parts], mandate="session", paused=False))
    assert ear.known == Neighbourhood(
        on=True,
        connected=True,
        boxes=[
            Neighbour(
                box="room-2", room="Room 2", state="heard", unheard_s=0.0, witnessed=True,
                said=HEALTH.time, status="failed", paused=False, open=True, version="0.1.0",
                parts=[BAD, *HEALTH.parts],
            )
        ],
    )  # fmt: skip
    ear.hear(health(id="2", paused=True, room=None, mandate="session"))
    assert (ear.only.status, ear.only.paused, ear.only.open) == ("ok", True, False)
    assert ear.only.room is None


def test_silence_is_told_by_the_clock_that_never_jumps(ear: Ear) -> None:
    ear.hear(health())
    ear.clock.advance(SILENT_S)
    ear.clock.offset += 1e6  # the network set the time
    assert ear.state == ("heard", SILENT_S, True)
    ear.clock.advance(1)
    assert ear.state == ("silent", SILENT_S + 1, True)
    ear.hear(health(id="2"))
    assert ear.state == ("heard", 0, True)


def test_what_lay_at_the_broker_is_no_sign_of_life(ear: Ear) -> None:
    ear.hear(health(), retained=True)
    ear.available(ONLINE, retained=True)
    assert ear.state == ("waiting", 0, False)
    ear.clock.advance(SILENT_S + 1)
    assert ear.state == ("silent", SILENT_S + 1, False)
    ear.hear(health(id="2"))
    assert ear.state == ("heard", 0, True)


def test_it_goes_off_and_comes_back(ear: Ear) -> None:
    ear.hear(health())
    ear.clock.advance(10)
    ear.available(OFFLINE)
    ear.clock.advance(300)
    ear.available(OFFLINE)  # the will, late
    assert ear.state == ("offline", 300, True)
    ear.hear(health(id="2"))
    ear.available(ONLINE)
    assert ear.state == ("heard", 0, True)


def test_what_another_broker_hands_over_again_is_no_sign_of_life(ear: Ear) -> None:
    ear.hear(health())
    ear.clock.advance(SILENT_S + 1)
    ear.hear(health())  # the brokers lost each other meanwhile
    ear.available(ONLINE)
    assert ear.state == ("silent", SILENT_S + 1, True)
    ear.available(OFFLINE)
    ear.clock.advance(1)
    ear.hear(health())
    assert ear.only.state == "offline"
    ear.available(ONLINE)
    assert ear.state == ("waiting", 0, False)
    ear.hear(health(id="2"))
    assert ear.state == ("heard", 0, True)


def test_one_that_was_off_before_we_came(ear: Ear) -> None:
    ear.available(OFFLINE, retained=True)
    assert ear.known.boxes == [], "nothing is known of it"
    ear.hear(health(), retained=True)
    ear.clock.advance(500)
    assert ear.state == ("offline", 500, False)


def test_while_our_own_line_is_down_nobody_else_is_blamed(ear: Ear) -> None:
    ear.hear(health())
    ear.clock.advance(100)
    ear.neighbours.lost()
    assert not ear.known.connected
    ear.clock.advance(1000)
    assert ear.state == ("waiting", 1100, True)
    ear.neighbours.connected()
    ear.hear(health(), retained=True)  # what it had said before, so no news
    assert ear.state == ("waiting", 1100, True)
    ear.clock.advance(SILENT_S + 1)
    assert ear.state == ("silent", 1100 + SILENT_S + 1, True)


def test_what_it_said_while_our_line_was_down(ear: Ear) -> None:
    ear.hear(health())
    ear.available(OFFLINE)
    ear.neighbours.lost()
    ear.clock.advance(1000)
    ear.neighbours.connected()
    ear.hear(health(id="2", paused=True), retained=True)
    ear.available(ONLINE, retained=True)
    assert ear.only.paused
    assert ear.state == ("waiting", 0, False)


def test_it_is_forgotten_after_a_day_or_when_it_was_cleared(ear: Ear) -> None:
    ear.hear(health())
    ear.clock.advance(FORGOTTEN_S)
    assert ear.only.state == "silent"
    ear.clock.advance(1)
    assert ear.known.boxes == []
    ear.hear(health())
    ear.clock.advance(FORGOTTEN_S)
    ear.available(OFFLINE)
    ear.clock.advance(FORGOTTEN_S)
    assert ear.only.state == "offline", "a word like any other"
    ear.hear(health(id="2"))
    ear.available(b"")  # as `mien mqtt clear` does
    ear.hear(b"")
    assert ear.known == Neighbourhood(on=True, connected=True)


def test_so_many_boxes_and_no_more(ear: Ear) -> None:
    for number in range(MOST + 5):
        ear.hear(health(f"room-{number}"), box=f"room-{number}")
    assert len(ear.known.boxes) == MOST
    assert ear.known.ignored == 5
    ear.hear(health("room-3", id="2", paused=True), box="room-3")
    assert sum(box.paused for box in ear.known.boxes) == 1, "those that are known go on"


def test_names_alone_keep_no_box_out(ear: Ear) -> None:
    for number in range(MOST + 5):
        ear.available(ONLINE, box=f"nobody-{number}", retained=True)
    ear.hear(health())
    assert ear.only.box == "room-2"
    assert ear.known.ignored == 5


@pytest.mark.parametrize(
    "payload",
    [
        b"offline",
        b"{}",
        b"[" * LARGEST,
        b'{"x":' + b"[" * (LARGEST - 5),
        b"\xff\xfe",
        health(box="room-3"),
        health(parts=[BAD] * (MOST_PARTS + 1)),
        health(parts=[msgspec.structs.replace(BAD, text="x" * LARGEST)]),
        health().replace(b'"ok"', b'"splendid"'),
        health().replace(b"testbox", b"\\ud800").replace(b'"1"', b'"\\ud800"'),
    ],
    ids=lambda payload: repr(payload[:12]),
)
def test_what_is_no_health_is_ignored_and_counted(
    ear: Ear, payload: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    ear.hear(health())
    for _ in range(3):
        ear.hear(payload)
    assert ear.only.status == "ok"
    assert ear.known.ignored == 3
    assert len(caplog.messages) == 1, "a flood does not fill the log"


@pytest.mark.parametrize("box", ["", "A B", "room\n", "-", "x" * 33, "$SYS", "room/2"])
def test_a_name_that_no_box_has(ear: Ear, box: str) -> None:
    ear.hear(health(box), box=box)
    ear.available(ONLINE, box=box)
    ear.hear(health(), box="room-2")
    assert ear.only.box == "room-2"
    assert ear.known.ignored == 2


def test_an_availability_that_is_none(ear: Ear) -> None:
    ear.hear(health())
    ear.available(b"away")
    assert ear.only.state == "heard"
    assert ear.known.ignored == 1


def test_long_and_steering_letters_are_cut_away(ear: Ear) -> None:
    part = Part("\x1b[2J" + "n" * 100, "degraded", "a\u202eb" * 400, "\n" * 700)
    ear.hear(health(parts=[part], room="R\u2066" * 60, version="9" * 80))
    (told,) = ear.only.parts
    assert len(told.text) == len(told.cure or "") == SENTENCE
    assert len(told.name) == len(ear.only.version) == len(ear.only.room or "") == WORD
    assert (told.name + told.text[:-1] + str(ear.only.room) + str(told.cure)).isprintable()


def test_what_just_fits_is_left_whole(ear: Ear) -> None:
    ear.hear(health(room="R" * WORD))
    assert ear.only.room == "R" * WORD


def test_a_later_version_may_say_more(ear: Ear) -> None:
    payload = health().replace(b'"mandate":null', b'"mandate":"research","weather":["fine"]')
    ear.hear(payload)
    assert ear.only.open


# ── anything ─────────────────────────────────────────────────────────────────────────────────────

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=10,
)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        name: JSON | st.just(value)
        for name, value in msgspec.to_builtins(msgspec.structs.replace(HEALTH, box="a")).items()
    },
)


@settings(max_examples=50)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b", "", "ä"]) | st.text(max_size=40),
            st.sampled_from(["health", "availability"]),
            st.binary(max_size=100)
            | FIELDS.map(lambda fields: msgspec.json.encode(_encodable(fields)))
            | st.just(health("a")),
            st.booleans(),
        ),
        max_size=20,
    )
)
def test_whatever_comes_what_is_told_is_in_order(
    messages: list[tuple[str, str, bytes, bool]],
) -> None:
    ear = Ear()
    for box, leaf, payload, retained in messages:
        ear.neighbours.heard(box, leaf, payload, retained)
        ear.clock.advance(7)
    told = msgspec.json.decode(msgspec.json.encode(ear.known), type=Neighbourhood)
    assert told == ear.known
    for box in told.boxes:
        msgspec.convert(box.box, config.BoxId)
        assert 0 <= box.unheard_s <= 140
        assert all(len(part.text) <= SENTENCE for part in box.parts)


def _encodable(value: object) -> object:
    """Without lone surrogates, which JSON cannot carry."""
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, dict):
        return {_encodable(key): _encodable(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_encodable(inner) for inner in value]
    return value


class Line(RuleBasedStateMachine):
    """One other box and our line to the broker, in any order: what is said of it is never wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.ear = Ear()
        self.up, self.alive, self.number = True, True, 0
        self.spoke = 0.0
        self.at_broker = health(id="0")
        self.ear.hear(self.at_broker)

    @initialize()
    def begin(self) -> None:
        self.spoke = self.ear.clock.now

    @rule(seconds=st.integers(1, 400))
    def wait(self, seconds: int) -> None:
        for _ in range(seconds // 60 + 1):
            self.ear.clock.advance(seconds / (seconds // 60 + 1))
            if self.alive:
                self.speak()

    def speak(self) -> None:
        self.number += 1
        self.spoke = self.ear.clock.now
        self.at_broker = health(id=str(self.number))
        if self.up:
            self.ear.hear(self.at_broker)

    @rule(says=st.booleans())
    @precondition(lambda self: self.alive)
    def die(self, says: bool) -> None:
        self.alive = False
        if says and self.up:
            self.ear.available(OFFLINE)

    @rule()
    @precondition(lambda self: not self.alive)
    def rise(self) -> None:
        self.alive = True
        self.speak()

    @rule()
    @precondition(lambda self: self.up)
    def cut(self) -> None:
        self.up = False
        self.ear.neighbours.lost()

    @rule()
    @precondition(lambda self: not self.up)
    def mend(self) -> None:
        self.up = True
        self.ear.neighbours.connected()
        self.ear.hear(self.at_broker, retained=True)

    @invariant()
    def true(self) -> None:
        box = self.ear.only
        quiet = self.ear.clock.now - self.spoke
        if self.up and self.alive:
            assert box.state in ("heard", "waiting", "offline")
            assert box.state != "offline" or quiet <= 61
        if self.up and box.state == "heard":
            assert quiet <= SILENT_S
        if box.state == "silent":
            assert self.up
            assert not self.alive
            assert quiet > SILENT_S
        if box.witnessed and self.up and box.state != "offline":
            assert box.unheard_s == pytest.approx(quiet, abs=0.2)


TestLine = Line.TestCase
TestLine.settings = settings(max_examples=40, stateful_step_count=30)


# ── topics, the publisher, the control socket ────────────────────────────────────────────────────


def test_what_is_subscribed_to() -> None:
    silent = Topics.of(Mqtt(discovery=False), "room-1", "mien-abc234")
    assert silent.heard == ["mien/room-1/command/#"]
    assert silent.neighbour("mien/room-2/health") is None
    curious = Topics.of(Mqtt(discovery=False, neighbours=True), "room-1", "mien-abc234")
    assert curious.heard == [*silent.heard, "mien/+/availability", "mien/+/health"]
    assert curious.neighbour("mien/room-2/health") == ("room-2", "health")
    for topic in ("mien/room-2/state", "mien/health", "other/room-2/health"):
        assert curious.neighbour(topic) is None
    assert curious.neighbour("mien/a/b/health") is None


@given(
    st.lists(st.sampled_from(["a", "b", "", "+"]), min_size=1, max_size=4),
    st.sampled_from(["", "/#"]),
    st.lists(st.sampled_from(["a", "b", ""]), min_size=1, max_size=5),
)
def test_the_broker_in_memory_matches_as_real_ones_do(
    wanted: list[str], end: str, topic: list[str]
) -> None:
    subscription, name = "/".join(wanted) + end, "/".join(topic)
    if subscription and name:
        assert _matches(subscription, name) == topic_matches_sub(subscription, name)


class Bench:
    def __init__(self, folder: Path, topics: Topics) -> None:
        self.clock = ManualClock()
        self.broker = MemoryBroker(topics)
        self.store = Store.open(folder, self.clock, config.Store(min_free_mb=1))
        self.neighbours = Neighbours(self.clock)
        self.commands: list[str] = []
        self.free = threading.Event()
        self.free.set()
        self.publisher = Publisher(
            self.store,
            self.broker,
            topics,
            self.clock,
            on_message=self.obey,
            neighbours=self.neighbours,
        )

    def obey(self, topic: str, payload: bytes) -> None:
        self.commands.append(topic)
        self.free.wait(10)

    def until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < deadline, self.neighbours.known()
            self.publisher.wake()
            time.sleep(0.002)

    def states(self) -> dict[str, str]:
        return {box.box: box.state for box in self.neighbours.known().boxes}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path, TOPICS)
    yield bench
    bench.publisher.stop(0.2)
    bench.store.close()


def test_over_a_broker(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.broker.send("mien/room-2/health", health(), retain=True)
    bench.broker.send("mien/room-3/health", health("room-3"), retain=True)
    bench.broker.send("mien/room-3/availability", OFFLINE, retain=True)
    bench.publisher.start()
    bench.publisher.set_health(health("room-1"))
    bench.until(lambda: bench.states() == {"room-2": "waiting", "room-3": "offline"})
    bench.broker.send("mien/room-2/health", health(id="2"), retain=True)
    bench.broker.send("mien/room-2/state", b"{}", retain=True)
    bench.until(lambda: bench.states() == {"room-2": "heard", "room-3": "offline"})
    bench.broker.cut()
    bench.until(lambda: not bench.neighbours.known().connected)
    bench.broker.accept()
    bench.until(lambda: bench.neighbours.known().connected)
    bench.broker.send("mien/room-1/health", health("room-1"), retain=True)  # its own comes back
    bench.broker.send("mien/room-1/availability", ONLINE, retain=True)
    bench.broker.send("mien/room-1/command/pause", b"")
    bench.until(lambda: bench.commands)
    assert set(bench.states()) == {"room-2", "room-3"}
    assert bench.commands == ["mien/room-1/command/pause"], "no health is taken for a command"
    assert bench.neighbours.known().ignored == 0, "its own is left out"
    assert "retained" not in caplog.text


def test_a_flood_is_not_listened_to_and_keeps_no_command_away(bench: Bench) -> None:
    bench.publisher.start()
    bench.until(lambda: bench.neighbours.known().connected)
    bench.free.clear()
    bench.broker.send("mien/room-1/command/pause", b"")
    bench.until(lambda: bench.commands)
    for _ in range(10 * NEIGHBOURS_MOST):
        bench.broker.send("mien/room-2/health", b"x" * LARGEST)
    bench.free.set()
    bench.until(lambda: "far more than they should" in bench.publisher.part.text)
    assert 0 < bench.neighbours.known().ignored <= NEIGHBOURS_MOST
    assert not bench.neighbours.known().connected
    bench.broker.send("mien/room-2/health", health())
    bench.broker.send("mien/room-1/command/pause", b"")
    bench.until(lambda: len(bench.commands) == 2)
    assert bench.states() == {}
    bench.clock.advance(DEAF_S)
    bench.until(lambda: bench.neighbours.known().connected)
    bench.broker.send("mien/room-2/health", health())
    bench.until(lambda: bench.states() == {"room-2": "heard"})
    bench.until(lambda: bench.publisher.part.status == "ok")


def test_a_box_that_does_not_listen_hears_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Topics("room-1"))
    try:
        bench.broker.send("mien/room-2/health", health(), retain=True)
        bench.publisher.start()
        bench.broker.send("mien/room-1/command/pause", b"")
        bench.until(lambda: bench.neighbours.known().connected)
        assert bench.states() == {}
    finally:
        bench.publisher.stop(0.2)
        bench.store.close()


def test_over_the_control_socket(tmp_path: Path, ear: Ear) -> None:
    daemon = ScriptedDaemon(HEALTH)
    server = ControlServer(tmp_path / "control.sock", daemon)
    server.start()
    client = ControlClient(tmp_path / "control.sock")
    try:
        assert client.neighbours() == Neighbourhood(on=False)
        ear.hear(health(parts=[BAD]))
        daemon.neighbourhood = ear.known
        assert client.neighbours() == ear.known
    finally:
        client.close()
        server.stop()


def test_what_is_cut_is_refused_for_its_length() -> None:
    assert max(LARGEST, orders.LONGEST) < HEARD_BYTES


def test_health_of_this_version_is_understood() -> None:
    """Each field that is read is one that is sent."""
    from mien.neighbours import _Said

    sent = {field.encode_name for field in msgspec.structs.fields(Health)}
    assert {field.encode_name for field in msgspec.structs.fields(_Said)} <= sent
