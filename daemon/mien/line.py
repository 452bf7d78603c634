"""The real line to an MQTT broker, by paho-mqtt, MQTT 3.1.1."""

import logging
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from mien import config
from mien.broker import (
    OFFLINE,
    Acknowledged,
    Connected,
    Lost,
    Received,
    Refused,
    Report,
    Unreachable,
)
from mien.events import MienError
from mien.topics import Topics

log = logging.getLogger(__name__)

KEEPALIVE_S = 15
"""A silent line is noticed after at most two of these; the broker tells the will after 1.5."""
CLEAR_S = 20.0


class BrokerError(MienError, OSError):
    """The broker cannot be used as the config says."""


class PahoBroker:
    """Connects by itself, again and again.

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
        with suppress(UnicodeDecodeError):  # MQTT forbids such a topic; it would end paho's thread
            self._report(Received(message.topic, bytes(message.payload), message.retain))


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

    def on_received(*args: Any) -> None:
        try:
            topic = args[2].topic
        except UnicodeDecodeError:
            return
        on_message(topic, bytes(args[2].payload))

    client.on_connect = on_connect
    client.on_disconnect = lambda *args: log.warning(
        "The broker at %s is gone; waiting for it to come back.", address
    )
    client.on_message = on_received
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


def clear(config: config.Mqtt, topics: Sequence[str]) -> None:
    """Take away what is retained there; every topic is acknowledged when it returns.

    Raises:
        BrokerError: the broker cannot be reached, refuses us, or does not answer in time.
    """
    address = f"{config.host}:{config.port}"
    client = _client(config, "")
    left: set[int] = set()
    problem: list[str] = []

    def on_connect(*args: Any) -> None:
        if args[3].is_failure:
            problem.append(f"refuses us: {args[3]}")
            return
        for topic in topics:
            left.add(client.publish(topic, b"", qos=1, retain=True).mid)

    client.on_connect = on_connect
    client.on_publish = lambda *args: left.discard(args[2])
    try:
        client.connect(config.host, config.port, keepalive=KEEPALIVE_S)
        deadline = time.monotonic() + CLEAR_S
        while (left or not client.is_connected()) and not problem:
            if time.monotonic() > deadline:
                problem.append("does not answer in time")
            if client.loop(0.2) is not mqtt.MQTT_ERR_SUCCESS and not problem:
                problem.append("ended the connection")
    except OSError as error:
        problem.append(f"does not answer: {error}")
    finally:
        client.on_connect = None
        client.disconnect()
    if problem:
        raise BrokerError(
            f"The broker at {address} {problem[0]}. What lies there is not cleared; try again "
            "when it runs, with the username and password_file under [mqtt]."
        )


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
