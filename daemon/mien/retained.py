"""What lies at the broker in the name of this box, and how it gets away again.

A retained message outlives whoever sent it: a box that is called otherwise now, or that Home
Assistant shall not know any more, would haunt it for ever. So a small file remembers every topic
before anything is retained there, and forgets it when the broker has acknowledged that it is empty.
See docs/decisions/smart-home.md.
"""

import logging
import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

from mien.broker import ONLINE, Broker
from mien.clock import Clock
from mien.topics import Topics

log = logging.getLogger(__name__)

FILE = "retained.json"
BROKERS = 4
"""Brokers of which the file remembers topics: the newest. The demo makes up a new one at times."""
LATE_WILL_S = 60.0
"""A line that broke is noticed by the broker within 23 s, and only then it makes the will known."""

SAY_AGAIN_S = 5.0
"""So seldom everything is said anew, however often somebody asks."""


class _File(msgspec.Struct):
    brokers: dict[str, list[str]] = {}
    """Topics by address, the one used last at the end."""


class Ledger:
    """The topics on which something of this box may lie at a broker, in a file.

    Without a path it remembers for as long as it lives.
    """

    def __init__(self, path: Path | None, broker: str) -> None:
        self._path = path
        self._broker = broker
        self._file = _read(path) if path else _File()
        self.last = next(reversed(self._file.brokers), None)
        """Address of the broker that was used last."""
        self.topics = set(self._file.brokers.get(broker, ()))
        self._in_trouble = False

    def elsewhere(self) -> dict[str, int]:
        """How many topics there are at other brokers, by address."""
        found = self._file.brokers.items()
        return {broker: len(topics) for broker, topics in found if broker != self._broker}

    def add(self, topics: Iterable[str]) -> None:
        """Remember these; they are on the disk when it returns."""
        if new := set(topics) - self.topics:
            self._write(self.topics | new)

    def remove(self, topics: Iterable[str]) -> None:
        """Forget these."""
        if old := set(topics) & self.topics:
            self._write(self.topics - old)

    def _write(self, topics: set[str]) -> None:
        self.topics = topics
        brokers = {at: of for at, of in self._file.brokers.items() if at != self._broker}
        while len(brokers) >= BROKERS:
            brokers.pop(next(iter(brokers)))
        if topics:
            brokers[self._broker] = sorted(topics)
        self._file = _File(brokers)
        if self._path is None:
            return
        try:
            replace_file(self._path, msgspec.json.encode(self._file))
        except OSError as error:
            # A box that is silent would be worse than one that might leave a message behind.
            if not self._in_trouble:
                log.warning("What lies at the broker cannot be noted in %s: %s", self._path, error)
            self._in_trouble = True
        else:
            self._in_trouble = False


class Retained:
    """Keeps at the broker what shall lie there, and nothing else of this box. Of one thread.

    Topics of the present name are left alone until something is `put` there, or taken away; those
    of any other are emptied at once.
    """

    def __init__(self, broker: Broker, topics: Topics, ledger: Ledger, clock: Clock) -> None:
        self._broker = broker
        self._topics = topics
        self._ledger = ledger
        self._clock = clock
        self._payloads: dict[str, bytes] = {}
        self._taken: set[str] = set()
        self._sent: dict[int, tuple[str, bool]] = {}
        """Topics that are being emptied, by the number of the message, and whether a late will
        could still fill them when it was sent."""
        self._haunted: dict[str, float] = {}
        """Where a late will of a former name may come yet, and from when on it cannot."""
        self._up = False
        self._asked = False
        self._said_again = -SAY_AGAIN_S

    def begin(self) -> None:
        """Before the line is made, whose will is retained, too."""
        last, there = self._ledger.last, self._ledger.elsewhere()
        if last in there:
            log.warning(
                "The broker was %s until now; %d retained messages of this box may still lie "
                "there. They can be cleared only from there: mien mqtt clear --broker %s",
                last, there[last], last,
            )  # fmt: skip
        self._ledger.add([self._topics.availability])
        now, own = self._clock.monotonic(), self._topics.availability
        for topic in self._ledger.topics - {own}:
            if topic.endswith(_WILL):
                self._haunted[topic] = now + LATE_WILL_S

    def put(self, topic: str, payload: bytes) -> None:
        """Keep this there, now and after every reconnect; an empty payload takes it away."""
        if payload:
            self._ledger.add([topic])
            self._taken.discard(topic)
            self._payloads[topic] = payload
            if self._up:
                self._say(topic)
        else:
            self._payloads.pop(topic, None)
            self._taken.add(topic)
            self._sweep()

    def connected(self) -> None:
        self._up = True
        self._say_all()
        self._sweep()

    def lost(self) -> None:
        self._up = False

    def say_again(self) -> None:
        """Everything anew, with the next beat or a few seconds later."""
        self._asked = True

    def acknowledged(self, mid: int) -> None:
        if mid not in self._sent:
            return
        topic, too_early = self._sent.pop(mid)
        if topic in self._payloads:  # it was put there again meanwhile, perhaps before this
            self._say(topic)
        elif not too_early:
            self._ledger.remove([topic])
        elif topic not in self._haunted:
            self._sweep()

    def beat(self) -> None:
        """Look whether it is time to say everything anew, or to empty what a late will may have
        filled again."""
        now = self._clock.monotonic()
        if self._asked and self._up and now - self._said_again >= SAY_AGAIN_S:
            self._said_again = now
            self._say_all()
        if over := [topic for topic, until in self._haunted.items() if now >= until]:
            for topic in over:
                del self._haunted[topic]
            self._sweep()

    def _say_all(self) -> None:
        self._asked = False
        # The birth comes last: who hears it finds everything else in place.
        for topic in self._payloads:
            self._say(topic)
        self._broker.publish(self._topics.availability, ONLINE, qos=0, retain=True)

    def _say(self, topic: str) -> None:
        # Of QoS 0: what gets lost with the line is said anew on the next, and nothing stale is
        # ever sent again.
        self._broker.publish(topic, self._payloads[topic], qos=0, retain=True)

    def _sweep(self) -> None:
        """Empty what shall not be there, with QoS 1: the line sends it again by itself."""
        if not self._up:
            return
        former = self._ledger.topics - self._topics.retained
        unwanted = (former | (self._taken & self._ledger.topics)) - self._payloads.keys()
        for topic in sorted(unwanted - {topic for topic, _ in self._sent.values()}):
            mid = self._broker.publish(topic, b"", qos=1, retain=True)
            if mid is not None:
                self._sent[mid] = topic, topic in self._haunted


_WILL = "/availability"


def replace_file(path: Path, content: bytes) -> None:
    """Write a file so that after a pulled plug it holds either the old content or the new.

    Raises:
        OSError: no rights or no space; then the old one is still there.
    """
    new = path.with_name(path.name + ".new")
    with new.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _read(path: Path) -> _File:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_File)
    except FileNotFoundError:
        return _File()
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        log.warning(
            "%s cannot be read (%s), so what a former name of this box left at the broker is not "
            "known any more; see it with `mosquitto_sub -v -t 'mien/#'`.",
            path,
            error,
        )
        return _File()
