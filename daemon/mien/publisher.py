"""Hands the outbox to the broker: every event at least once, a row deleted when it is acknowledged.

One thread owns which message carries which row. The broker's callbacks, and everybody else, only
put something into its inbox; see docs/decisions/outbox.md.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from enum import Enum

import msgspec

from mien.broker import (
    OFFLINE,
    ONLINE,
    Acknowledged,
    Broker,
    BrokerEvent,
    Connected,
    Lost,
    Received,
    Refused,
    Unreachable,
)
from mien.clock import Clock
from mien.events import EpisodeEvent, Part
from mien.neighbours import Neighbours
from mien.rate import Rate
from mien.retained import Ledger, Retained
from mien.store import EpisodeRow, OutboxRow, Store, StoreError
from mien.topics import Topics

log = logging.getLogger(__name__)

WINDOW = 100
"""Events on their way at most, so that a long outage is not loaded into memory."""
OVERDUE_S = 30.0
"""Age of an unacknowledged event from which the line is not trusted any more."""
SETTLED_S = 10.0
"""A connection that ends sooner was hardly worth it; so many in a row tell of a second box."""
TAKEOVERS = 3
FRESH_S = 15.0
NO_BROKER = "what answers there is no MQTT broker, or one that wants tls = true"
HEARD, HEARD_BYTES = 1000, 16 * 1024 + 1
"""Of what others send, so many messages wait here and so many bytes of each, which is longer than
anything that is obeyed or believed. The rest of a flood is left out."""
NEIGHBOURS_MOST, NEIGHBOURS_WITHIN_S = 500, 10.0
"""More than all boxes that are remembered would say in so many seconds."""
DEAF_S = 600.0
"""For so long other boxes are not listened to after a flood: at the broker, a command would wait
behind all that they sent."""


class _Ours(msgspec.Struct, frozen=True):
    topic: str
    payload: bytes
    retain: bool


class _Signal(Enum):
    WAKE = 1
    STOP = 2
    FLOOD = 3


class _Sent(msgspec.Struct):
    row: OutboxRow
    since: float


class _Link(Enum):
    NEW = "not connected yet"
    UP = "connected"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"


_Event = BrokerEvent | _Ours | _Signal


def _ignore(topic: str, payload: bytes) -> None:
    pass


class Publisher:
    """Owns the line to the broker from `start` to `stop`.

    Args:
        failed: called once, in the publisher's thread, with what nobody expected.
        on_message: called in the publisher's thread with the topic and payload of each command
            that comes in; must not wait for anything.
        ledger: what lies at the broker in this box's name, remembered over restarts.
        neighbours: is told what other boxes say of themselves.
    """

    def __init__(
        self,
        store: Store,
        broker: Broker,
        topics: Topics,
        clock: Clock,
        failed: Callable[[str, Exception], None] | None = None,
        on_message: Callable[[str, bytes], None] = _ignore,
        ledger: Ledger | None = None,
        neighbours: Neighbours | None = None,
    ) -> None:
        self._store = store
        self._broker = broker
        self._topics = topics
        self._clock = clock
        self._failed = failed
        self._on_message = on_message
        self._neighbours = neighbours or Neighbours(clock)
        broker.subscribe(topics.heard)
        self._inbox: queue.SimpleQueue[_Event] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
        self._stopping = False
        self.beat = clock.monotonic()
        """When the loop turned last, by the clock's monotonic time."""

        self._link = _Link.NEW
        self._reason = ""
        self._connected_at = 0.0
        self._short_connections = 0
        self._unconfirmed = False
        self._trouble: str | None = None
        ledger = ledger or Ledger(None, broker.address)
        self._retained = Retained(broker, topics, ledger, clock)
        self._neighbours_rate = Rate(NEIGHBOURS_MOST, NEIGHBOURS_WITHIN_S)
        self._flooded = False
        self._deaf_until: float | None = None
        self._sent: dict[int, _Sent] = {}
        self._done: list[OutboxRow] = []
        self._more = True
        self._part = self._describe()

    # ── called from any thread ───────────────────────────────────────────────────────────────

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """Send what is left, say "offline" and disconnect, within `timeout` seconds or so."""
        deadline = time.monotonic() + timeout
        self._inbox.put(_Signal.STOP)
        if self._thread.ident is not None:
            self._thread.join(timeout)
        if self._thread.is_alive():
            log.error("The publisher's thread did not end within %.0f s; left behind.", timeout)
        else:
            self._say_goodbye(deadline)
        self._broker.stop(timeout=1.0)
        self._link = _Link.NEW

    def wake(self) -> None:
        """There are new rows in the outbox."""
        self._inbox.put(_Signal.WAKE)

    def set_state(self, payload: bytes) -> None:
        """Publish on `state`, retained, now and after every reconnect until there is a newer."""
        self.retain(self._topics.state, payload)

    def set_health(self, payload: bytes) -> None:
        """The same on `health`."""
        self.retain(self._topics.health, payload)

    def retain(self, topic: str, payload: bytes) -> None:
        """The same on any of `Topics.retained`; an empty payload takes away what is there."""
        self._inbox.put(_Ours(topic, payload, retain=True))

    def say(self, topic: str, payload: bytes) -> None:
        """Send once, to whoever listens now; without a connection it is not sent at all."""
        self._inbox.put(_Ours(topic, payload, retain=False))

    @property
    def part(self) -> Part:
        """How the line is, for the health of the box."""
        return self._part

    @property
    def fresh(self) -> bool:
        """Whether the loop turned lately."""
        return self._clock.monotonic() - self.beat <= FRESH_S

    # ── the broker's thread ──────────────────────────────────────────────────────────────────

    def _take(self, event: BrokerEvent) -> None:
        """Waits for nothing, and keeps no more of a flood than fits into memory."""
        if isinstance(event, Received):
            if self._topics.neighbour(event.topic):
                if self._neighbours_rate.over(self._clock.monotonic()):
                    if not self._flooded:
                        self._flooded = True
                        self._inbox.put(_Signal.FLOOD)
                    return
            elif self._inbox.qsize() >= HEARD:
                return
            event = replace(event, payload=event.payload[:HEARD_BYTES])
        self._inbox.put(event)

    # ── the publisher's thread ───────────────────────────────────────────────────────────────

    def _run(self) -> None:
        try:
            self._retained.begin()
            self._broker.start(self._take)
            while not self._stopping:
                self._turn(1.0)
        except Exception as error:
            if self._failed is None:
                raise
            self._failed("publisher", error)

    def _turn(self, timeout: float) -> None:
        self.beat = self._clock.monotonic()
        try:
            self._handle(self._inbox.get(timeout=timeout))
            for _ in range(self._inbox.qsize()):  # not what comes meanwhile: a flood has no end
                self._handle(self._inbox.get_nowait())
        except queue.Empty:
            pass
        try:
            self._forget_done()
            self._send_more()
        except StoreError as error:
            if self._trouble is None:
                log.error("The outbox waits: %s", error)
            self._trouble = str(error)
        else:
            self._trouble = None
        self._retained.beat()
        if self._deaf_until is not None and self.beat >= self._deaf_until:
            self._listen(deaf=False)
        self._distrust_silence()
        self._tell()

    def _handle(self, event: _Event) -> None:
        match event:
            case Connected():
                self._on_connected()
            case Acknowledged(mid):
                if sent := self._sent.pop(mid, None):
                    self._done.append(sent.row)
                    self._unconfirmed = False
                else:
                    self._retained.acknowledged(mid)
            case Refused(reason):
                self._link, self._reason = _Link.REFUSED, reason
            case Unreachable(reason):
                self._link, self._reason = _Link.UNREACHABLE, reason
            case Lost(reason):
                self._on_lost(reason)
            case _Ours(topic, payload, retain=True):
                self._retained.put(topic, payload)
            case _Ours(topic, payload) if self._link is _Link.UP:
                self._broker.publish(topic, payload, qos=1)
            case Received():
                self._on_received(event)
            case _Signal.WAKE:
                self._more = True
            case _Signal.STOP:
                self._stopping = True
            case _Signal.FLOOD:
                self._listen(deaf=True)

    def _on_connected(self) -> None:
        self._link = _Link.UP
        self._connected_at = self._clock.monotonic()
        for sent in self._sent.values():  # the broker's line sends them again by itself
            sent.since = self._connected_at
        self._retained.connected()
        if self._deaf_until is None:
            self._neighbours.connected()

    def _listen(self, *, deaf: bool) -> None:
        """To the other boxes, or not for a while. The new connection drops what waits there."""
        self._flooded = deaf
        self._deaf_until = self._clock.monotonic() + DEAF_S if deaf else None
        self._broker.subscribe(replace(self._topics, neighbours=not deaf).heard)
        self._broker.reconnect()

    def _on_received(self, message: Received) -> None:
        if message.topic == self._topics.home_assistant:
            # Said anew when we connected, if it lay there.
            if message.payload == ONLINE and not message.retain:
                self._retained.say_again()
        elif neighbour := self._topics.neighbour(message.topic):
            if neighbour[0] != self._topics.box:
                self._neighbours.heard(*neighbour, message.payload, message.retain)
        elif message.retain:
            log.warning(
                "The command on %s was refused: it is retained, so it would be obeyed anew at each "
                "start. Send it without the retain flag, and clear the topic.",
                message.topic,
            )
        else:
            self._on_message(message.topic, message.payload)

    def _on_lost(self, reason: str) -> None:
        if self._link is not _Link.UP:
            if self._link is not _Link.REFUSED:  # which is followed by this, too, and says more
                self._link, self._reason = _Link.UNREACHABLE, NO_BROKER
            return
        self._retained.lost()
        self._neighbours.lost()
        short = self._clock.monotonic() - self._connected_at < SETTLED_S
        self._short_connections = self._short_connections + 1 if short else 0
        self._link, self._reason = _Link.UNREACHABLE, f"the connection was lost ({reason})"

    def _forget_done(self) -> None:
        if self._done:
            self._store.outbox_delete(self._done)
            self._done.clear()

    def _send_more(self) -> None:
        """Fill the window from the outbox, whose oldest rows are those under way."""
        if not (self._more and self._link is _Link.UP and len(self._sent) <= WINDOW // 2):
            return
        rows = self._store.outbox_batch(WINDOW)
        under_way = {sent.row.episode.id for sent in self._sent.values()}
        self._more = len(rows) == WINDOW
        for row in rows:
            if row.episode.id in under_way:
                continue
            payload = _payload(row.episode, self._topics.box)
            mid = self._broker.publish(self._topics.event, payload, qos=1)
            if mid is None:
                self._more = True
                return
            self._sent[mid] = _Sent(row, self._clock.monotonic())

    def _distrust_silence(self) -> None:
        """An acknowledgement that got lost comes only after a reconnect."""
        now = self._clock.monotonic()
        if self._link is not _Link.UP or not self._sent:
            return
        if now - min(sent.since for sent in self._sent.values()) > OVERDUE_S:
            self._unconfirmed = True
            for sent in self._sent.values():
                sent.since = now
            self._broker.reconnect()

    def _say_goodbye(self, deadline: float) -> None:
        """In the thread that stops us, which now owns everything."""
        while self._link is _Link.UP and (self._sent or self._more):
            if time.monotonic() > deadline - 1.0:
                break
            self._turn(0.1)
        if self._link is _Link.UP:
            mid = self._broker.publish(self._topics.availability, OFFLINE, qos=1, retain=True)
            while self._link is _Link.UP and time.monotonic() < deadline:
                try:
                    event = self._inbox.get(timeout=0.1)
                except queue.Empty:
                    continue
                self._handle(event)
                if event == Acknowledged(mid or 0):
                    break

    # ── how it is ────────────────────────────────────────────────────────────────────────────

    def _tell(self) -> None:
        part = self._describe()
        if (part.status, part.cure) != (self._part.status, self._part.cure):
            level = logging.INFO if part.status == "ok" else logging.WARNING
            log.log(level, "Broker: %s%s", part.text, f" – {part.cure}" if part.cure else "")
        self._part = part

    def _describe(self) -> Part:
        address, box = self._broker.address, self._topics.box
        contested = self._short_connections >= TAKEOVERS
        if contested and self._link is _Link.UP:
            contested = self._clock.monotonic() - self._connected_at < SETTLED_S
        if self._link is _Link.REFUSED:
            text = f"the broker at {address} refuses this box: {self._reason}"
            cure = "check username and password_file under [mqtt]"
        elif contested:
            text = (
                f"the broker at {address} ends the connection again and again; "
                f"probably another box uses the id {box}"
            )
            cure = "give each box an id of its own, [box] id in its config"
        elif self._link is _Link.UP and self._unconfirmed:
            text = f"the broker at {address} takes events but does not acknowledge them"
            cure = "see the broker's log; events are kept and sent again"
        elif self._link is _Link.UP and self._trouble:
            text, cure = f"events wait: {self._trouble}", "see the store"
        elif self._link is _Link.UP and self._deaf_until is not None:
            text = f"other boxes at the broker at {address} send far more than they should"
            cure = "they are not listened to for ten minutes; see there which one it is"
        elif self._link is _Link.UP:
            return Part("broker", "ok", f"connected to {address}")
        else:
            reason = self._reason or _Link.NEW.value
            text = f"the broker at {address} cannot be reached: {reason}"
            cure = "start it, or name another under [mqtt]; events wait on this box until then"
        return Part("broker", "degraded", text, cure)


def _payload(episode: EpisodeRow, box: str) -> bytes:
    """Written out when it is sent, so that it carries the time as mended by then."""
    return msgspec.json.encode(
        EpisodeEvent(
            id=episode.id,
            box=box,
            expression=episode.expression,
            start=episode.start.iso,
            end=episode.end.iso,
            seconds=round(episode.end.boot_time - episode.start.boot_time, 3),
            peak=episode.peak,
            clock_ok=episode.end.clock_ok,
        )
    )
