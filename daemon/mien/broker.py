"""The MQTT broker as the publisher sees it, and one in memory for tests and replays. The real line
is in `line`.

A broker reports what happens by calling `report` from a thread of its own. paho does so while it
holds its own mutex, so `report` must not wait for anything: give it a queue's `put`.
"""

import itertools
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from mien.topics import Topics

ONLINE, OFFLINE = b"online", b"offline"
"""Payloads of the topic `availability`."""


@dataclass(frozen=True)
class Connected:
    """The broker accepted us."""


@dataclass(frozen=True)
class Refused:
    """The broker answered that it does not want us."""

    reason: str


@dataclass(frozen=True)
class Unreachable:
    """There was no answer, or not one of a broker."""

    reason: str


@dataclass(frozen=True)
class Lost:
    """A connection ended that we did not end."""

    reason: str


@dataclass(frozen=True)
class Acknowledged:
    """The broker took responsibility for the message of this number (QoS 1)."""

    mid: int


@dataclass(frozen=True)
class Received:
    """A message on a topic that we subscribed to."""

    topic: str
    payload: bytes
    retain: bool
    """Whether it had been left there before we subscribed, so that it says nothing about now."""


BrokerEvent = Connected | Refused | Unreachable | Lost | Acknowledged | Received
Report = Callable[[BrokerEvent], None]


class Broker(Protocol):
    """A line to a broker that connects by itself, again and again, with the will set."""

    address: str

    def start(self, report: Report) -> None: ...

    def publish(
        self, topic: str, payload: bytes, *, qos: Literal[0, 1], retain: bool = False
    ) -> int | None:
        """The message's number, or None when it was not taken. With QoS 1 a message that was
        taken is sent again after every reconnect until it is acknowledged."""
        ...

    def subscribe(self, topics: Sequence[str]) -> None:
        """From the next connection on, report what comes on these topics; said before `start`."""
        ...

    def reconnect(self) -> None:
        """Give up this connection and make a new one."""
        ...

    def stop(self, timeout: float) -> None:
        """Disconnect in order, so that the broker forgets the will."""
        ...


@dataclass(frozen=True)
class Message:
    """What a subscriber of a `MemoryBroker` got."""

    topic: str
    payload: bytes
    qos: int
    retain: bool


class MemoryBroker:
    """A broker and the line to it, in memory, with the misbehaviour of real ones at command.

    It keeps the rules of paho and mosquitto: QoS 0 is lost without a connection, QoS 1 is kept and
    sent again under the same number until it is acknowledged, a lost line makes the will known.
    """

    address = "memory"

    def __init__(self, topics: Topics) -> None:
        self.messages: list[Message] = []
        self.retained: dict[str, bytes] = {}
        self._topics = topics
        self._changed = threading.Condition(threading.RLock())
        self._report: Report | None = None
        self._numbers = itertools.count(1)
        self._kept: dict[int, Message] = {}
        self._connected = False
        self._reachable = True
        self._refusal: str | None = None
        self._lost_acknowledgements = 0
        self._duplicates = 0
        self._subscribed: list[str] = []

    # ── driving it ───────────────────────────────────────────────────────────────────────────

    def refuse(self, reason: str) -> None:
        """Cut the line and turn down every attempt to connect, until `accept`."""
        with self._changed:
            self.cut()
            self._refusal = reason
            self._connect()

    def accept(self) -> None:
        """Take connections (again)."""
        with self._changed:
            self._refusal, self._reachable = None, True
            self._connect()

    def cut(self) -> None:
        """The line breaks and stays broken until `accept`."""
        with self._changed:
            self._reachable = False
            if self._connected:
                self._connected = False
                self._deliver(Message(self._topics.availability, OFFLINE, 1, True))
                self._tell(Lost("the line was cut"))

    def lose_acknowledgements(self, count: int) -> None:
        """Take the next messages of QoS 1 without ever saying so."""
        with self._changed:
            self._lost_acknowledgements = count

    def duplicate(self, count: int) -> None:
        """Deliver each of the next messages of QoS 1 twice."""
        with self._changed:
            self._duplicates = count

    def send(self, topic: str, payload: bytes, retain: bool = False) -> None:
        """Publish as another client does. It reaches us when we are connected and subscribed to
        the topic, or, retained, when we are so next."""
        with self._changed:
            if retain:
                self._keep(topic, payload)
            if self._connected and self._heard(topic):
                # To those already subscribed it comes as news, retained or not.
                self._tell(Received(topic, payload, retain=False))

    def wait(self, condition: Callable[[], bool], timeout: float = 5.0) -> bool:
        """Wait until `condition`, asked after every message, is true; whether it became so."""
        with self._changed:
            return self._changed.wait_for(condition, timeout)

    def payloads(self, topic: str) -> list[bytes]:
        """Everything that was ever published there."""
        with self._changed:
            return [message.payload for message in self.messages if message.topic == topic]

    # ── `Broker` ─────────────────────────────────────────────────────────────────────────────

    def start(self, report: Report) -> None:
        with self._changed:
            self._report = report
            self._connect()

    def publish(
        self, topic: str, payload: bytes, *, qos: Literal[0, 1], retain: bool = False
    ) -> int | None:
        with self._changed:
            mid = next(self._numbers)
            message = Message(topic, payload, qos, retain)
            if qos:
                self._kept[mid] = message
            if self._connected:
                self._send(mid, message)
            return mid

    def subscribe(self, topics: Sequence[str]) -> None:
        with self._changed:
            self._subscribed = list(topics)

    def reconnect(self) -> None:
        with self._changed:
            if self._connected:
                self.cut()
                self.accept()

    def stop(self, timeout: float) -> None:
        with self._changed:
            self._connected, self._report = False, None

    # ── within ───────────────────────────────────────────────────────────────────────────────

    def _connect(self) -> None:
        if self._report is None or self._connected:
            return
        if self._refusal is not None:
            self._tell(Refused(self._refusal))
            self._tell(Lost("refused"))
        elif not self._reachable:
            self._tell(Unreachable("no answer"))
        else:
            self._connected = True
            self._tell(Connected())
            for topic in filter(self._heard, list(self.retained)):
                self._tell(Received(topic, self.retained[topic], retain=True))
            for mid, message in list(self._kept.items()):
                self._send(mid, message)

    def _send(self, mid: int, message: Message) -> None:
        self._deliver(message)
        if message.qos and self._duplicates:
            self._duplicates -= 1
            self._deliver(message)
        if message.qos and self._lost_acknowledgements:
            self._lost_acknowledgements -= 1
        elif message.qos:
            del self._kept[mid]
            self._tell(Acknowledged(mid))

    def _deliver(self, message: Message) -> None:
        self.messages.append(message)
        if message.retain:
            self._keep(message.topic, message.payload)
        self._changed.notify_all()

    def _keep(self, topic: str, payload: bytes) -> None:
        if payload:
            self.retained[topic] = payload
        else:
            self.retained.pop(topic, None)

    def _heard(self, topic: str) -> bool:
        return any(_matches(wanted, topic) for wanted in self._subscribed)

    def _tell(self, event: BrokerEvent) -> None:
        if self._report is not None:
            self._report(event)


def _matches(wanted: str, topic: str) -> bool:
    """Whether this subscription has the topic: `+` stands for one level, a last `#` for any."""
    levels, asked = topic.split("/"), wanted.split("/")
    if asked[-1] == "#":
        asked.pop()
        levels = levels[: len(asked)]
    return len(levels) == len(asked) and all(
        a in ("+", b) for a, b in zip(asked, levels, strict=True)
    )
