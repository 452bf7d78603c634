"""A thread of the service: one loop, a heartbeat, a clean end; and the slot between two of them."""

import logging
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from mien.clock import Clock

log = logging.getLogger(__name__)

T = TypeVar("T")


class Stage(threading.Thread):
    """Calls `step` again and again until it is stopped or a step raises.

    Args:
        step: one turn of the loop; must return within `overdue_s` even when nothing happens.
        failed: called once, in this thread, with what a step raised; the service then ends.
        overdue_s: age of the heartbeat from which the stage counts as stuck.
        wake: called once the stage is to end, so that a step that waits need not wait to its end.
    """

    def __init__(
        self,
        name: str,
        step: Callable[[], None],
        failed: Callable[[str, Exception], None],
        clock: Clock,
        overdue_s: float = 15.0,
        wake: Callable[[], object] = lambda: None,
    ) -> None:
        super().__init__(name=name, daemon=True)
        self._step = step
        self._failed = failed
        self._clock = clock
        self._overdue_s = overdue_s
        self._wake = wake
        self._stopping = threading.Event()
        self._beat = clock.monotonic()

    @property
    def fresh(self) -> bool:
        """Whether the loop turned lately."""
        return self._clock.monotonic() - self._beat <= self._overdue_s

    def run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._beat = self._clock.monotonic()
                self._step()
        except Exception as error:
            log.debug("the %s stage failed", self.name, exc_info=True)
            self._failed(self.name, error)

    def stop(self, timeout: float = 5.0) -> None:
        """End after the present step; complain aloud about one that does not end."""
        self._stopping.set()
        self._wake()
        if self.is_alive():
            self.join(timeout)
            if self.is_alive():
                log.error(
                    "the %s stage did not end within %.0f s and is left behind", self.name, timeout
                )


class LatestSlot(Generic[T]):
    """Holds the newest value only: a consumer that is late skips, and the skips are counted."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._value: T | None = None
        self._cleared = False
        self.skipped = 0

    def put(self, value: T) -> None:
        with self._condition:
            self.skipped += self._value is not None
            self._value = value
            self._condition.notify()

    def take(self, timeout: float) -> T | None:
        """The newest value not yet taken, or None when there was none within `timeout` seconds or
        before the slot was cleared."""
        with self._condition:
            self._condition.wait_for(lambda: self._value is not None or self._cleared, timeout)
            value, self._value, self._cleared = self._value, None, False
            return value

    def clear(self) -> None:
        """Throw away what lies there; who waits for more goes on without."""
        with self._condition:
            self._value, self._cleared = None, True
            self._condition.notify()
