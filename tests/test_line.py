"""paho against what is no broker, or a bad one. With a real one: test_broker_faults."""

import queue
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from mien.broker import BrokerEvent, Connected, Lost, Received
from mien.clock import ManualClock
from mien.config import Mqtt
from mien.config import Store as Limits
from mien.line import PahoBroker
from mien.publisher import NO_BROKER, Publisher
from mien.store import Store
from mien.topics import Topics

CONNACK = b"\x20\x02\x00\x00"


def publish(topic: bytes) -> bytes:
    return bytes([0x30, len(topic) + 3]) + len(topic).to_bytes(2, "big") + topic + b"x"


@contextmanager
def answering(said: bytes) -> Iterator[PahoBroker]:
    """A line to a machine that answers so, and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            with suppress(OSError):
                while True:
                    line, _ = server.accept()
                    with line:
                        line.recv(4096)
                        line.sendall(said)

        threading.Thread(target=answer, daemon=True).start()
        config = Mqtt(host="127.0.0.1", port=server.getsockname()[1])
        try:
            yield PahoBroker(config, Topics("box"), retry_s=(0.01, 0.02))
        finally:
            server.shutdown(socket.SHUT_RDWR)


@contextmanager
def heard(said: bytes) -> Iterator["queue.Queue[BrokerEvent]"]:
    """What such a line reports."""
    events: queue.Queue[BrokerEvent] = queue.Queue()
    with answering(said) as line:
        line.start(events.put)
        yield events
        line.stop(5)


@pytest.mark.parametrize(
    "said", [b"SSH-2.0-OpenSSH_9.2p1\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\xff" * 40]
)
def test_what_is_no_broker_is_tried_again(said: bytes) -> None:
    with heard(said) as events:
        for _ in range(3):
            assert isinstance(events.get(timeout=10), Lost)


def test_a_topic_that_is_no_text_is_left_out() -> None:
    said = CONNACK + publish(b"mien/\xff/health") + publish(b"mien/box/command/pause")
    with heard(said) as events:
        assert events.get(timeout=10) == Connected()
        assert events.get(timeout=10) == Received("mien/box/command/pause", b"x", retain=False)


def test_that_it_is_no_broker_is_told(tmp_path: Path) -> None:
    store = Store.open(tmp_path, ManualClock(), Limits(min_free_mb=1))
    with closing(store), answering(b"220 mail.example ESMTP\r\n") as line:
        publisher = Publisher(store, line, Topics("box"), ManualClock())
        publisher.start()
        deadline = time.monotonic() + 10
        while NO_BROKER not in publisher.part.text:
            assert time.monotonic() < deadline, publisher.part
            publisher.wake()
            time.sleep(0.002)
        publisher.stop(2)
