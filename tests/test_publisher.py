"""The publisher against a broker in memory: order, at least once, words for every trouble."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from mien import config
from mien.broker import MemoryBroker
from mien.clock import ManualClock
from mien.events import EpisodeEvent, Part
from mien.line import BrokerError, PahoBroker
from mien.publisher import HEARD_BYTES, OVERDUE_S, SETTLED_S, TAKEOVERS, WINDOW, Publisher
from mien.retained import SAY_AGAIN_S
from mien.store import EpisodeRow, Store
from mien.topics import Topics

TOPICS = Topics("box", "homeassistant", "mien-abc234")


class Bench:
    """A store, a broker and a publisher between them."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self.store = Store.open(folder, self.clock, config.Store(min_free_mb=1))
        self.broker = MemoryBroker(TOPICS)
        self.failures: list[tuple[str, Exception]] = []
        self.heard: list[tuple[str, bytes]] = []
        self.obey: Callable[[], object] = lambda: None
        self.publisher = self.new_publisher()
        self.count = 0

    def new_publisher(self) -> Publisher:
        def failed(name: str, error: Exception) -> None:
            self.failures.append((name, error))

        def heard(topic: str, payload: bytes) -> None:
            self.heard.append((topic, payload))
            self.obey()

        return Publisher(self.store, self.broker, TOPICS, self.clock, failed, heard)

    def add(self, count: int) -> list[str]:
        """New episodes; their ids."""
        start = self.clock.now
        ids = [f"event {self.count + n}" for n in range(count)]
        self.count += count
        self.store.add(
            [
                EpisodeRow(
                    id=id,
                    expression="surprise",
                    start=self.clock.stamp(start + n),
                    end=self.clock.stamp(start + n + 2.5),
                    peak=0.8,
                )
                for n, id in enumerate(ids)
            ]
        )
        self.publisher.wake()
        return ids

    def events(self) -> list[EpisodeEvent]:
        payloads = self.broker.payloads(TOPICS.event)
        return [msgspec.json.decode(payload, type=EpisodeEvent) for payload in payloads]

    def ids(self) -> list[str]:
        return [event.id for event in self.events()]

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait, with a bound, for what the publisher's thread does in its own time."""
        deadline = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < deadline, f"in vain; {self.publisher.part}"
            self.publisher.wake()
            time.sleep(0.002)

    def until_part(self, text: str) -> Part:
        self.until(lambda: text in self.publisher.part.text)
        return self.publisher.part


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.broker.accept()
    bench.publisher.stop(0.2)
    bench.store.close()
    assert bench.failures == []


def test_an_event_reaches_the_broker_and_leaves_the_outbox(bench: Bench) -> None:
    bench.publisher.start()
    (id,) = bench.add(1)
    bench.until(lambda: bench.store.outbox_size() == 0)
    (event,) = bench.events()
    assert event == EpisodeEvent(
        id=id,
        box="box",
        expression="surprise",
        start="2027-01-15T08:00:00.000Z",
        end="2027-01-15T08:00:02.500Z",
        seconds=2.5,
        peak=0.8,
        clock_ok=True,
    )
    assert b'"from":"2027-01-15T08:00:00.000Z","to":' in bench.broker.payloads(TOPICS.event)[0]


def test_the_birth_comes_last_and_everything_but_events_is_retained(bench: Bench) -> None:
    bench.publisher.set_state(b"state")
    bench.publisher.set_health(b"health")
    bench.publisher.start()
    assert bench.broker.wait(lambda: len(bench.broker.messages) == 3)
    topics = [message.topic for message in bench.broker.messages]
    assert topics == [TOPICS.state, TOPICS.health, TOPICS.availability]
    bench.add(1)
    bench.until(lambda: len(bench.ids()) == 1)
    bench.publisher.set_state(b"a newer state")
    bench.until(lambda: bench.broker.retained[TOPICS.state] == b"a newer state")
    retained = {message.topic for message in bench.broker.messages if message.retain}
    assert retained == {TOPICS.state, TOPICS.health, TOPICS.availability}
    assert bench.broker.retained[TOPICS.availability] == b"online"


def test_the_newest_state_is_told_again_after_a_reconnect(bench: Bench) -> None:
    bench.publisher.set_state(b"old")
    bench.publisher.start()
    assert bench.broker.wait(lambda: TOPICS.availability in bench.broker.retained)
    bench.broker.cut()
    assert bench.broker.retained[TOPICS.availability] == b"offline"
    bench.publisher.set_state(b"older")
    bench.publisher.set_state(b"new")
    bench.broker.accept()
    bench.until(lambda: bench.broker.retained[TOPICS.availability] == b"online")
    assert bench.broker.payloads(TOPICS.state) == [b"old", b"new"]


def test_events_wait_for_the_broker_and_come_in_order(bench: Bench) -> None:
    bench.broker.cut()
    bench.publisher.start()
    ids = bench.add(3 * WINDOW + 7)
    part = bench.until_part("cannot be reached")
    assert part == Part(
        "broker",
        "degraded",
        "the broker at memory cannot be reached: no answer",
        "start it, or name another under [mqtt]; events wait on this box until then",
    )
    assert bench.store.outbox_size() == len(ids)
    bench.broker.accept()
    bench.until(lambda: bench.store.outbox_size() == 0)
    assert bench.ids() == ids
    assert bench.publisher.part == Part("broker", "ok", "connected to memory")


def test_the_time_is_mended_on_the_way_out(bench: Bench) -> None:
    bench.clock.offset, bench.clock.clock_ok = 0.0, False
    bench.add(1)
    bench.clock.synchronise(1_800_000_000.0)
    bench.store.backfill()
    bench.publisher.start()
    bench.until(lambda: bench.store.outbox_size() == 0)
    (event,) = bench.events()
    assert (event.start, event.clock_ok) == ("2027-01-15T08:00:00.000Z", True)


def test_only_a_window_is_under_way(bench: Bench) -> None:
    bench.publisher.start()
    bench.broker.lose_acknowledgements(10 * WINDOW)
    bench.add(3 * WINDOW)
    bench.until(lambda: len(bench.ids()) >= WINDOW)
    for _ in range(3):
        bench.publisher.set_state(b"a turn of the loop")
        bench.until(lambda: bench.publisher.part is not None)
    assert len(bench.ids()) == WINDOW


def test_a_lost_acknowledgement_is_noticed_and_nothing_is_lost(bench: Bench) -> None:
    bench.publisher.start()
    bench.broker.lose_acknowledgements(2)
    ids = bench.add(5)
    bench.until(lambda: bench.store.outbox_size() == 2)
    bench.clock.advance(OVERDUE_S + 1)
    bench.until(lambda: bench.store.outbox_size() == 0)
    assert bench.ids() == [*ids, *ids[:2]]


def test_a_broker_that_never_acknowledges_is_told(bench: Bench) -> None:
    bench.publisher.start()
    bench.broker.lose_acknowledgements(1000)
    bench.add(1)
    bench.until(lambda: len(bench.ids()) == 1)
    bench.clock.advance(OVERDUE_S + 1)
    part = bench.until_part("takes events but does not acknowledge them")
    assert part.cure == "see the broker's log; events are kept and sent again"
    bench.broker.lose_acknowledgements(0)
    bench.clock.advance(OVERDUE_S + 1)
    bench.until_part("connected to memory")


def test_a_duplicate_has_the_same_id(bench: Bench) -> None:
    bench.publisher.start()
    bench.broker.duplicate(1)
    (id,) = bench.add(1)
    bench.until(lambda: bench.store.outbox_size() == 0)
    first, second = bench.broker.payloads(TOPICS.event)
    assert first == second
    assert bench.ids() == [id, id]


def test_a_refusal_is_not_a_connection(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.broker.refuse("Not authorized")
    bench.publisher.start()
    bench.add(1)
    part = bench.until_part("refuses")
    assert part == Part(
        "broker",
        "degraded",
        "the broker at memory refuses this box: Not authorized",
        "check username and password_file under [mqtt]",
    )
    assert (bench.store.outbox_size(), bench.ids()) == (1, [])
    assert "check username and password_file" in caplog.text
    bench.broker.accept()
    bench.until(lambda: bench.store.outbox_size() == 0)


def test_a_second_box_of_the_same_id_is_told(bench: Bench) -> None:
    bench.publisher.start()
    for _ in range(TAKEOVERS):
        bench.until(lambda: bench.broker.retained.get(TOPICS.availability) == b"online")
        bench.clock.advance(1.0)
        bench.broker.reconnect()
    bench.until(lambda: bench.broker.retained.get(TOPICS.availability) == b"online")
    part = bench.until_part("probably another box uses the id box")
    assert part.cure == "give each box an id of its own, [box] id in its config"
    bench.clock.advance(SETTLED_S + 1)
    bench.until_part("connected to memory")


def test_short_connections_count_only_in_a_row(bench: Bench) -> None:
    bench.publisher.start()
    lifetimes = [1.0] * (TAKEOVERS - 1) + [SETTLED_S + 1] + [1.0] * (TAKEOVERS - 1)
    for lifetime in lifetimes:
        bench.until(lambda: bench.broker.retained.get(TOPICS.availability) == b"online")
        bench.clock.advance(lifetime)
        bench.broker.reconnect()
    bench.until(lambda: bench.broker.retained.get(TOPICS.availability) == b"online")
    bench.until_part("connected to memory")


def test_stopping_sends_what_is_left_and_says_offline_last(bench: Bench) -> None:
    bench.publisher.start()
    ids = bench.add(3 * WINDOW)
    bench.publisher.stop()
    assert bench.ids() == ids
    assert bench.store.outbox_size() == 0
    last = bench.broker.messages[-1]
    assert (last.topic, last.payload, last.qos, last.retain) == (
        TOPICS.availability, b"offline", 1, True,
    )  # fmt: skip


def test_stopping_is_bounded_and_the_rest_is_sent_next_time(bench: Bench) -> None:
    bench.publisher.start()
    bench.broker.lose_acknowledgements(1000)
    ids = bench.add(2)
    bench.until(lambda: len(bench.ids()) == 2)
    before = time.monotonic()
    bench.publisher.stop(1.2)
    assert time.monotonic() - before < 4
    assert bench.store.outbox_size() == 2
    bench.broker = MemoryBroker(TOPICS)
    bench.publisher = bench.new_publisher()
    bench.publisher.start()
    bench.until(lambda: bench.store.outbox_size() == 0)
    assert bench.ids() == ids


def test_stopping_without_a_broker_or_a_start_is_quick(bench: Bench) -> None:
    bench.new_publisher().stop()
    bench.broker.cut()
    bench.publisher.start()
    bench.until_part("cannot be reached")
    before = time.monotonic()
    bench.publisher.stop()
    assert time.monotonic() - before < 2


def test_a_store_in_trouble_is_told_and_waited_for(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.publisher.start()
    bench.until_part("connected")
    bench.store.close()
    bench.publisher.wake()
    part = bench.until_part("events wait")
    assert "closed database" in part.text
    assert caplog.text.count("The outbox waits") == 1
    assert bench.failures == []


def test_what_nobody_expected_is_handed_on(bench: Bench) -> None:
    class Broken(MemoryBroker):
        def publish(self, *args: object, **how: object) -> int | None:
            raise ZeroDivisionError

    seen: list[tuple[str, Exception]] = []
    happened = threading.Event()

    def failed(name: str, error: Exception) -> None:
        seen.append((name, error))
        happened.set()

    publisher = Publisher(bench.store, Broken(TOPICS), TOPICS, bench.clock, failed)
    publisher.start()
    assert happened.wait(5)
    ((name, error),) = seen
    assert (name, type(error)) == ("publisher", ZeroDivisionError)


def test_the_heartbeat(bench: Bench) -> None:
    bench.clock.advance(20)
    assert not bench.publisher.fresh
    bench.publisher.start()
    bench.until(lambda: bench.publisher.fresh)
    assert bench.publisher.beat == 20


# ── what it hears ────────────────────────────────────────────────────────────────────────────


def test_a_command_is_handed_on_also_after_a_reconnect(bench: Bench) -> None:
    bench.publisher.start()
    bench.until_part("connected")
    bench.broker.send("mien/box/command/pause", b"1")
    bench.broker.send("mien/other/command/pause", b"not ours")
    bench.broker.send("mien/box/state", b"not subscribed to")
    bench.broker.cut()
    bench.broker.send("mien/box/command/pause", b"lost: nobody wants an old command")
    bench.broker.accept()
    bench.broker.send("mien/box/command/resume", b"2")
    bench.until(lambda: len(bench.heard) == 2)
    assert bench.heard == [("mien/box/command/pause", b"1"), ("mien/box/command/resume", b"2")]


def test_a_retained_command_is_refused(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.broker.send("mien/box/command/start", b"of last year", retain=True)
    bench.publisher.start()
    bench.until(lambda: "it is retained" in caplog.text)
    assert "mien/box/command/start was refused" in caplog.text
    assert bench.heard == []


def test_home_assistant_is_told_everything_when_it_comes_up(bench: Bench) -> None:
    bench.publisher.set_state(b"state")
    bench.publisher.start()
    bench.until(lambda: bench.broker.retained.get(TOPICS.availability) == b"online")
    bench.broker.send("homeassistant/status", b"offline")
    bench.broker.send("homeassistant/status", b"online")
    bench.until(lambda: len(bench.broker.payloads(TOPICS.availability)) == 2)
    assert bench.broker.payloads(TOPICS.state) == [b"state", b"state"]
    assert bench.heard == []


def test_a_home_assistant_that_comes_up_all_the_time_is_told_seldom(bench: Bench) -> None:
    bench.publisher.set_state(b"state")
    bench.publisher.start()
    bench.until(lambda: bench.broker.retained.get(TOPICS.availability) == b"online")
    for _ in range(50):
        bench.broker.send("homeassistant/status", b"online")
        bench.broker.send("mien/box/command/pause", b"")
    bench.until(lambda: len(bench.heard) == 50)
    bench.until(lambda: bench.broker.payloads(TOPICS.state) == [b"state"] * 2)
    bench.clock.advance(SAY_AGAIN_S)
    bench.broker.send("homeassistant/status", b"online")
    bench.until(lambda: bench.broker.payloads(TOPICS.state) == [b"state"] * 3)


def test_the_loop_turns_whatever_comes(bench: Bench) -> None:
    beats = set()

    def one_more() -> None:
        beats.add(bench.publisher.beat)
        bench.clock.advance(1)
        if len(bench.heard) < 100:
            bench.broker.send("mien/box/command/pause", b"x" * 300_000)

    bench.obey = one_more
    bench.publisher.start()
    bench.until_part("connected")
    bench.broker.send("mien/box/command/pause", b"")
    bench.until(lambda: len(bench.heard) == 100)
    assert len(beats) > 20
    assert {len(payload) for _, payload in bench.heard} == {0, HEARD_BYTES}


def test_what_is_said_is_not_kept_for_later(bench: Bench) -> None:
    bench.broker.cut()
    bench.publisher.start()
    bench.until_part("cannot be reached")
    bench.publisher.say(TOPICS.response("pause"), b"too late")
    bench.broker.accept()
    bench.until_part("connected")
    bench.publisher.say(TOPICS.response("pause"), b"done")
    bench.until(lambda: bench.broker.payloads(TOPICS.response("pause")) == [b"done"])
    (message,) = [m for m in bench.broker.messages if m.topic == TOPICS.response("pause")]
    assert (message.qos, message.retain) == (1, False)


# ── a config that paho could only trip over ──────────────────────────────────────────────────


def test_an_unreadable_password_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "password").mkdir()
    mqtt = config.Mqtt(username="mien", password_file=str(tmp_path / "password"))
    with pytest.raises(BrokerError, match=r"\[mqtt\] password_file: .* cannot be read"):
        PahoBroker(mqtt, TOPICS)


def test_a_certificate_authority_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("hello")
    mqtt = config.Mqtt(tls=True, ca_file=str(tmp_path / "ca.pem"))
    with pytest.raises(BrokerError, match=r"\[mqtt\] ca_file: .* is no certificate authority"):
        PahoBroker(mqtt, TOPICS)


@pytest.mark.parametrize("host", ["a..b", "x" * 70])
def test_a_host_name_that_is_none_is_told(host: str) -> None:
    with pytest.raises(BrokerError, match=r"\[mqtt\] host: .* is no name of a machine"):
        PahoBroker(config.Mqtt(host=host), TOPICS)
