"""What a smart home is told beside the newest second: which device this is, how the day went, and
when it is time for a check-in. Nothing of it in a clinic; see docs/decisions/smart-home.md."""

import logging
import uuid
from pathlib import Path
from typing import Any

import msgspec

from mien import reminders, settings, zone
from mien.clock import Clock
from mien.events import Reminder
from mien.publisher import Publisher
from mien.retained import replace_file
from mien.store import Store, StoreError
from mien.today import Glance, glance, today
from mien.topics import Topics

log = logging.getLogger(__name__)

EVERY_S = 60.0
FILE = "reminded"
"""When somebody was asked last, in milliseconds of UTC: no moment is given twice."""


class SmartHome:
    """Asked by the service once a second. Of one thread.

    Args:
        state_dir: where it is remembered when somebody was asked last.
        introduction: what Home Assistant is told of this box, see `discovery.payload`.
    """

    def __init__(
        self,
        store: Store,
        publisher: Publisher,
        topics: Topics,
        clock: Clock,
        state_dir: Path,
        introduction: bytes,
    ) -> None:
        self._store = store
        self._publisher = publisher
        self._topics = topics
        self._clock = clock
        self._introduction = introduction
        self._lives_here: bool | None = None
        self._told: Glance | None = None
        self._due = clock.monotonic()
        self._reminded_file = state_dir / FILE
        self._asked_ms = _read(self._reminded_file)
        self._in_trouble = False

    def tick(self) -> None:
        """Look what is new."""
        try:
            self._introduce()
            self._tell_today()
            self._remind()
        except StoreError as error:
            if not self._in_trouble:
                log.warning("the smart home is not told anything: %s", error)
            self._in_trouble = True
        else:
            self._in_trouble = False

    def _introduce(self) -> None:
        lives_here = self._store.read(settings.setting) in ("home", "demo")
        if lives_here == self._lives_here:
            return
        self._lives_here = lives_here
        if self._topics.discovery:
            told = self._introduction if lives_here else b""
            self._publisher.retain(self._topics.discovery, told)

    def _tell_today(self) -> None:
        now, at = self._clock.monotonic(), self._clock.stamp()
        seen = self._store.read(lambda db: glance(db, at))
        # With a clock that may be wrong the box does not know which day it is, and tells of none.
        if (seen and not at.clock_ok) or (seen == self._told and now < self._due):
            return
        payload = b""
        if seen:
            told = self._store.read(lambda db: today(db, at, self._topics.box, seen))
            payload = msgspec.json.encode(told)
        self._publisher.retain(self._topics.today, payload)
        self._told, self._due = seen, now + EVERY_S

    def _remind(self) -> None:
        now = self._clock.stamp()
        if not (self._lives_here and now.clock_ok):
            return

        def work(db: Any) -> list[str]:
            return reminders.due(db, now, zone.of_box(db), self._asked_ms)

        asked = self._store.read(work)
        self._asked_ms = round(now.utc * 1000)
        if not asked:
            return
        try:  # before it is sent: rather not at all than twice
            replace_file(self._reminded_file, str(self._asked_ms).encode())
        except OSError as error:
            log.warning("nobody is reminded, for that cannot be noted: %s", error)
            return
        # Who is meant stays in the house: the box does not know whose telephone it is, either.
        reminder = Reminder(id=str(uuid.uuid4()), box=self._topics.box, time=now.iso)
        self._publisher.say(self._topics.event, msgspec.json.encode(reminder))


def _read(path: Path) -> int:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return 0
