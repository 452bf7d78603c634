"""The MQTT broker as the publisher sees it: through paho, or in memory for tests and replays.

A broker reports what happens by calling `report` from a thread of its own. paho does so while it
holds its own mutex, so `report` must not wait for anything: give it a queue's `put`.
"""

import itertools
import logging
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from mien import config
from mien.events import MienError
from mien.topics import Topics

log = logging.getLogger(__name__)

ONLINE, OFFLINE = b"online", b"offline"
"""Payloads of the topic `availability`."""

KEEPALIVE_S = 15
"""A silent line is noticed after at most two of these; the broker tells the will after 1.5."""


class BrokerError(MienError, OSError):
    """The broker cannot be used as the config says."""


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
    """Whether it had been lying there when we subscribed, so that it says nothing about now."""


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


class PahoBroker:
    """The real line, by paho-mqtt, MQTT 3.1.1.

    Args:
        retry_s: least and longest wait before connecting again.

    Raises:
        BrokerError: the password, the certificate authority or the host name cannot be used.
    """

    def __init__(
        self, config: config.Mqtt, topics: Topics, *, retry_s: tuple[float, float] = (1, 30)
    ) -> None:
        self.address = f"{config.host}:{config.port}"
        self._report: Report = lambda event: None
        self._subscribed: list[str] = []
        # One id a box: a second box of the same name is noticed by the broker, not mixed up.
        self._client = client = _client(config, f"mien-{topics.box}")
        client.max_inflight_messages_set(0)  # the publisher has a window of its own
        client.reconnect_delay_set(*retry_s)  # type: ignore[arg-type]  # it takes floats, too
        client.will_set(topics.availability, OFFLINE, qos=1, retain=True)
        client.on_socket_open = _no_delay
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        client.connect_async(config.host, config.port, keepalive=KEEPALIVE_S)

    def start(self, report: Report) -> None:
        self._report = report
        self._client.loop_start()

    def publish(
        self, topic: str, payload: bytes, *, qos: Literal[0, 1], retain: bool = False
    ) -> int | None:
        message = self._client.publish(topic, payload, qos=qos, retain=retain)
        # Without a connection a message of QoS 1 is kept all the same.
        taken = message.rc in (mqtt.MQTT_ERR_SUCCESS, mqtt.MQTT_ERR_NO_CONN)
        return message.mid if taken else None

    def subscribe(self, topics: Sequence[str]) -> None:
        self._subscribed = list(topics)

    def reconnect(self) -> None:
        line = self._client.socket()
        if line is not None:
            with suppress(OSError):  # past TLS, which would wait for the other side's goodbye
                socket.socket.shutdown(line, socket.SHUT_RDWR)  # type: ignore[arg-type]

    def stop(self, timeout: float) -> None:
        self._client.disconnect()
        # loop_stop waits for the thread for ever, and that may sit in a name look-up.
        ending = threading.Thread(target=self._client.loop_stop, daemon=True)
        ending.start()
        ending.join(timeout)
        if ending.is_alive():
            self.reconnect()
            ending.join(1.0)
        if ending.is_alive():
            log.warning("The line to the broker at %s does not end; left behind.", self.address)

    def _on_connect(self, *args: Any) -> None:
        reason = args[3]
        # A clean session remembers none; and what was sent while we were away is not wanted.
        if self._subscribed and not reason.is_failure:
            self._client.subscribe([(topic, 1) for topic in self._subscribed])
        self._report(Refused(str(reason)) if reason.is_failure else Connected())

    def _on_connect_fail(self, *args: Any) -> None:
        # paho calls this while it handles the error and does not hand it over.
        self._report(Unreachable(str(sys.exception() or "no answer")))

    def _on_disconnect(self, *args: Any) -> None:
        self._report(Lost(str(args[3])))

    def _on_publish(self, *args: Any) -> None:
        self._report(Acknowledged(args[2]))

    def _on_message(self, *args: Any) -> None:
        message = args[2]
        self._report(Received(message.topic, bytes(message.payload), message.retain))


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
        return any(mqtt.topic_matches_sub(wanted, topic) for wanted in self._subscribed)

    def _tell(self, event: BrokerEvent) -> None:
        if self._report is not None:
            self._report(event)


def follow(config: config.Mqtt, box: str, on_message: Callable[[str, bytes], None]) -> None:
    """Hand every message of a box (`+`: of all boxes) to `on_message(topic, payload)`.

    Reconnects by itself and ends only by an exception, such as Ctrl-C or one of `on_message`.

    Raises:
        BrokerError: the broker cannot be reached at first, or refuses us.
    """
    address = f"{config.host}:{config.port}"
    client = _client(config, "")

    def on_connect(*args: Any) -> None:
        if args[3].is_failure:
            raise BrokerError(
                f"The broker at {address} refuses us: {args[3]}. Check username and password_file "
                "under [mqtt]."
            )
        client.subscribe(f"mien/{box}/#", qos=1)

    client.on_connect = on_connect
    client.on_disconnect = lambda *args: log.warning(
        "The broker at %s is gone; waiting for it to come back.", address
    )
    client.on_message = lambda _client, _userdata, message: on_message(
        message.topic, bytes(message.payload)
    )
    try:
        client.connect(config.host, config.port, keepalive=KEEPALIVE_S)
    except OSError as error:
        raise BrokerError(
            f"The broker at {address} does not answer: {error}. Start it, or name another under "
            "[mqtt]."
        ) from None
    try:
        client.loop_forever()
    finally:
        client.on_disconnect = None
        client.disconnect()


def _client(config: config.Mqtt, client_id: str) -> mqtt.Client:
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id, protocol=mqtt.MQTTv311)
    try:
        config.host.encode("idna")
    except UnicodeError:
        raise BrokerError(f"[mqtt] host: {config.host!r} is no name of a machine.") from None
    if config.username is not None:
        client.username_pw_set(config.username, _password(config.password_file))
    if config.tls:
        try:
            client.tls_set(ca_certs=config.ca_file and str(Path(config.ca_file).expanduser()))
        except (OSError, ssl.SSLError, ValueError) as error:
            raise BrokerError(
                f"[mqtt] ca_file: {config.ca_file} is no certificate authority in PEM: {error}."
            ) from None
    return client


def _password(file: str | None) -> str | None:
    if file is None:
        return None
    try:
        return Path(file).expanduser().read_text(encoding="utf-8").partition("\n")[0].strip("\r")
    except (OSError, UnicodeDecodeError) as error:
        raise BrokerError(f"[mqtt] password_file: {file} cannot be read: {error}.") from None


def _no_delay(client: Any, userdata: Any, line: Any) -> None:
    # Otherwise a message may wait 40 ms for the acknowledgement of the one before.
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
