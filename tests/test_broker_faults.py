"""The publisher, paho and a real mosquitto, with a line between them that does its worst."""

import os
import queue
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec
import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from mien import config
from mien.broker import Acknowledged, Connected
from mien.clock import Clock, ManualClock, SystemClock
from mien.events import EpisodeEvent
from mien.line import BrokerError, PahoBroker, follow
from mien.publisher import OVERDUE_S, TAKEOVERS, Publisher
from mien.store import EpisodeRow, Store
from mien.topics import Topics
from mosquitto import Mosquitto, free_port
from proxy import Proxy

pytestmark = pytest.mark.slow

TOPICS = Topics("box")
QUICK = (0.05, 0.2)
"""Seconds between attempts to connect, so that a test need not wait for the true ones."""


@pytest.fixture
def mosquitto() -> Iterator[Mosquitto]:
    with Mosquitto() as broker:
        yield broker


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(tmp_path / "state", SystemClock(), config.Store(min_free_mb=1))
    yield store
    store.close()


@contextmanager
def publishing(
    store: Store, port: int, clock: Clock | None = None, **mqtt: str | None
) -> Iterator[Publisher]:
    settings = config.Mqtt(host="127.0.0.1", port=port, **mqtt)  # type: ignore[arg-type]
    broker = PahoBroker(settings, TOPICS, retry_s=QUICK)
    publisher = Publisher(store, broker, TOPICS, clock or SystemClock())
    publisher.start()
    try:
        yield publisher
    finally:
        publisher.stop(2.0)


class Subscriber:
    """Hears everything that `mosquitto` hands out, retained messages too."""

    def __init__(self, port: int, user: str | None = None, password: str | None = None) -> None:
        self.messages: list[tuple[str, bytes, bool]] = []
        self._changed = threading.Condition()
        self._subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.username_pw_set(user, password)
        self._client.on_message = self._on_message
        self._client.on_connect = lambda *_: self._client.subscribe("mien/#", qos=1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.reconnect_delay_set(*QUICK)  # type: ignore[arg-type]
        self._client.connect("127.0.0.1", port)

    def __enter__(self) -> "Subscriber":
        self._client.loop_start()
        assert self._subscribed.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        with self._changed:
            self.messages.append((message.topic, bytes(message.payload), message.retain))
            self._changed.notify_all()

    def payloads(self, topic: str) -> list[bytes]:
        return [payload for heard, payload, _ in list(self.messages) if heard == topic]

    def ids(self) -> list[str]:
        payloads = self.payloads(TOPICS.event)
        return [msgspec.json.decode(payload, type=EpisodeEvent).id for payload in payloads]

    def wait(self, condition: Callable[[], bool], timeout: float = 20) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, timeout), self.messages[-5:]


def until(condition: Callable[[], bool], timeout: float = 20) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def add(store: Store, count: int, name: str = "event") -> list[str]:
    now = SystemClock().stamp()
    ids = [f"{name} {n}" for n in range(count)]
    store.add([EpisodeRow(id=id, expression="fear", start=now, end=now, peak=0.5) for id in ids])
    return ids


@pytest.mark.parametrize("seed", range(8))
def test_whatever_the_line_does_nothing_is_lost_and_nothing_stalls(
    seed: int, store: Store, mosquitto: Mosquitto
) -> None:
    chance = random.Random(seed)
    clock = ManualClock()
    expected = []
    with Proxy(mosquitto.port) as line, Subscriber(mosquitto.port) as subscriber:
        line.swallows = lambda: chance.random() < 0.1
        line.lifetimes = iter([chance.randrange(20, 12_000) for _ in range(15)])
        with publishing(store, line.port, clock) as publisher:
            for burst in range(20):
                expected += add(store, chance.randrange(1, 40), f"{seed}.{burst}")
                publisher.wake()
                time.sleep(chance.random() * 0.05)
            deadline = time.monotonic() + 45
            while store.outbox_size():
                assert time.monotonic() < deadline, f"stalled: {publisher.part}"
                # Whoever waits for a swallowed acknowledgement is 30 s older a moment later.
                clock.advance(OVERDUE_S / 10)
                time.sleep(0.03)
        subscriber.wait(lambda: subscriber.payloads(TOPICS.availability)[-1] == b"offline")
        assert set(subscriber.ids()) == set(expected)
        assert line.swallowed > 0
        assert line.connections > 5
        payloads: dict[str, set[bytes]] = {}
        for payload in subscriber.payloads(TOPICS.event):
            id = msgspec.json.decode(payload, type=EpisodeEvent).id
            payloads.setdefault(id, set()).add(payload)
        assert all(len(texts) == 1 for texts in payloads.values())


def test_birth_and_state_are_retained_and_in_order(store: Store, mosquitto: Mosquitto) -> None:
    with Subscriber(mosquitto.port) as early, publishing(store, mosquitto.port) as publisher:
        publisher.set_state(b"a state")
        publisher.set_health(b"a health")
        until(lambda: publisher.part.status == "ok")
        with Subscriber(mosquitto.port) as late:
            late.wait(lambda: len(late.messages) == 3)
            assert {topic for topic, _, retained in late.messages if retained} == {
                TOPICS.state, TOPICS.health, TOPICS.availability,
            }  # fmt: skip
        mosquitto.kill()
        until(lambda: publisher.part.status != "ok")
        mosquitto.start()
        early.wait(lambda: early.payloads(TOPICS.availability).count(b"online") == 2)
        assert [topic for topic, _, _ in early.messages[-3:]] == [
            TOPICS.state, TOPICS.health, TOPICS.availability,
        ]  # fmt: skip


def test_a_broker_that_starts_late_gets_everything(store: Store) -> None:
    port = free_port()
    ids = add(store, 250)
    with publishing(store, port) as publisher:
        until(lambda: "Connection refused" in publisher.part.text)
        assert publisher.part.text.startswith(f"the broker at 127.0.0.1:{port} cannot be reached")
        with Mosquitto(port=port), Subscriber(port) as subscriber:
            until(lambda: store.outbox_size() == 0)
            # It may have connected before the subscriber did, and events are not retained.
            assert set(subscriber.ids()) <= set(ids)
            assert publisher.part.status == "ok"


def test_a_broker_restarted_in_between_loses_nothing(store: Store, mosquitto: Mosquitto) -> None:
    with publishing(store, mosquitto.port) as publisher:
        add(store, 5)
        publisher.wake()
        until(lambda: store.outbox_size() == 0)
        mosquitto.kill()
        add(store, 5, "while it was away")
        publisher.wake()
        until(lambda: publisher.part.status == "degraded")
        assert store.outbox_size() == 5
        mosquitto.start()
        until(lambda: store.outbox_size() == 0)


def test_a_wrong_password_is_told_and_the_right_one_works(store: Store, tmp_path: Path) -> None:
    wrong, right = tmp_path / "wrong", tmp_path / "right"
    wrong.write_text("guess\n")
    right.write_text("secret\nnot this line\n")
    add(store, 1)
    with Mosquitto({"mien": "secret"}) as broker, Subscriber(broker.port, "mien", "secret") as ear:
        with publishing(store, broker.port, username="mien", password_file=str(wrong)) as publisher:
            until(lambda: "refuses this box" in publisher.part.text)
            assert publisher.part.status == "degraded"
            assert publisher.part.cure == "check username and password_file under [mqtt]"
            assert store.outbox_size() == 1
        with publishing(store, broker.port, username="mien", password_file=str(right)):
            until(lambda: store.outbox_size() == 0)
        ear.wait(lambda: ear.ids() == ["event 0"])


def test_two_boxes_of_one_id_are_told(tmp_path: Path, mosquitto: Mosquitto) -> None:
    stores = [
        Store.open(tmp_path / name, SystemClock(), config.Store(min_free_mb=1)) for name in "ab"
    ]
    with publishing(stores[0], mosquitto.port) as one, publishing(stores[1], mosquitto.port) as two:
        until(lambda: "probably another box uses the id box" in one.part.text)
        until(lambda: "probably another box uses the id box" in two.part.text)
    for store in stores:
        store.close()
    assert TAKEOVERS == 3


def test_a_stalled_line_is_given_up(store: Store, mosquitto: Mosquitto) -> None:
    clock = ManualClock()
    with Proxy(mosquitto.port) as line, publishing(store, line.port, clock) as publisher:
        until(lambda: publisher.part.status == "ok")
        line.stall()
        add(store, 3)
        publisher.wake()
        until(lambda: store.outbox_size() == 3)
        connections = line.connections
        time.sleep(0.1)
        assert store.outbox_size() == 3
        clock.advance(OVERDUE_S + 1)
        publisher.wake()
        until(lambda: line.connections > connections)
        line.flow()
        until(lambda: store.outbox_size() == 0)


def test_stopping_on_a_stalled_line_is_bounded(store: Store, mosquitto: Mosquitto) -> None:
    with Proxy(mosquitto.port) as line:
        with publishing(store, line.port) as publisher:
            until(lambda: publisher.part.status == "ok")
            line.stall()
            add(store, 3)
            publisher.wake()
            before = time.monotonic()
        assert time.monotonic() - before < 6
        line.flow()


def test_what_is_published_without_a_connection_is_sent_with_one(mosquitto: Mosquitto) -> None:
    broker = PahoBroker(config.Mqtt(host="127.0.0.1", port=mosquitto.port), TOPICS)
    reports: queue.SimpleQueue[object] = queue.SimpleQueue()
    with Subscriber(mosquitto.port) as subscriber:
        mid = broker.publish(TOPICS.event, b"an event", qos=1)
        broker.start(reports.put)
        subscriber.wait(lambda: subscriber.payloads(TOPICS.event) == [b"an event"])
        assert isinstance(mid, int)
        assert [reports.get(timeout=5), reports.get(timeout=5)] == [Connected(), Acknowledged(mid)]
    broker.stop(1.0)


def test_stopping_in_the_middle_of_a_hanging_attempt_is_bounded(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with ExitStack() as opened:
        deaf = opened.enter_context(socket.socket())
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for _ in range(3):  # fill its queue, so that nobody else gets an answer
            waiting = opened.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(deaf.getsockname())
        port = deaf.getsockname()[1]
        broker = PahoBroker(config.Mqtt(host="127.0.0.1", port=port), TOPICS)
        broker.start(lambda event: None)
        before = time.monotonic()
        broker.stop(0.3)
        assert time.monotonic() - before < 3
    assert "does not end; left behind" in caplog.text
    until(lambda: not any("paho" in thread.name for thread in threading.enumerate()))


def test_the_will_is_told_when_the_process_is_killed(tmp_path: Path, mosquitto: Mosquitto) -> None:
    with Subscriber(mosquitto.port) as subscriber:
        process = subprocess.Popen(
            [sys.executable, __file__, str(tmp_path / "state"), str(mosquitto.port)]
        )
        try:
            subscriber.wait(lambda: subscriber.payloads(TOPICS.availability) == [b"online"])
        finally:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        subscriber.wait(lambda: subscriber.payloads(TOPICS.availability) == [b"online", b"offline"])
    with Subscriber(mosquitto.port) as later:
        later.wait(lambda: (TOPICS.availability, b"offline", True) in later.messages)


def test_following_hands_over_every_message(store: Store, mosquitto: Mosquitto) -> None:
    heard: list[tuple[str, bytes]] = []

    class EnoughError(Exception):
        pass

    def on_message(topic: str, payload: bytes) -> None:
        heard.append((topic, payload))
        if len(heard) == 2:
            raise EnoughError

    with publishing(store, mosquitto.port) as publisher:
        publisher.set_state(b"a state")
        until(lambda: publisher.part.status == "ok")
        with pytest.raises(EnoughError):
            follow(config.Mqtt(host="127.0.0.1", port=mosquitto.port), "+", on_message)
    assert set(heard) == {(TOPICS.state, b"a state"), (TOPICS.availability, b"online")}


def test_following_says_when_there_is_no_broker_or_it_refuses(tmp_path: Path) -> None:
    port = free_port()
    with pytest.raises(BrokerError, match=f"127.0.0.1:{port} does not answer: .*refused"):
        follow(config.Mqtt(host="127.0.0.1", port=port), "+", lambda topic, payload: None)
    with (
        Mosquitto({"mien": "secret"}) as broker,
        pytest.raises(BrokerError, match=r"refuses us: Not authorized\. Check username"),
    ):
        follow(config.Mqtt(host="127.0.0.1", port=broker.port), "+", lambda topic, payload: None)


if __name__ == "__main__":
    clock = SystemClock()
    here = Store.open(Path(sys.argv[1]), clock, config.Store(min_free_mb=1))
    broker = PahoBroker(config.Mqtt(host="127.0.0.1", port=int(sys.argv[2])), TOPICS)
    Publisher(here, broker, TOPICS, clock).start()
    signal.pause()
