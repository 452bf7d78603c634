"""What C libraries write to standard error, let through a few lines at a time.

libjpeg, libcamera or a runtime print from C, past Python's logging: a camera with a flaw makes
libjpeg print at every frame, a million lines a day onto the card. While this is at work, standard
error leads to a thread that lets the first lines of each kind through and counts the rest. What
Python itself logs and prints, and its traceback of a crash, goes to the journal directly.
"""

import faulthandler
import logging
import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from mien.clock import Clock

log = logging.getLogger(__name__)

LINES = 3
"""So many lines of a kind are let through in each `PERIOD_S`; then one says how many more came."""
PERIOD_S = 3600.0
KINDS = 30
"""So many kinds are told apart in a period; all others are one."""
LONGEST = 300
"""Characters of a line that are let through."""


class Limiter:
    """Counts lines by kind: those that differ in nothing but their numbers. Of one thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since = clock.monotonic()
        self._counts: dict[str, int] = {}

    def take(self, line: str) -> list[str]:
        """Return what is to be said because of one more line: it, nothing, or a summary before."""
        said = self.summary() if self._clock.monotonic() - self._since >= PERIOD_S else []
        line = line.strip()
        if not line:
            return said
        line = line[:LONGEST]
        kind = re.sub(r"\d+", "0", line)
        if kind not in self._counts and len(self._counts) >= KINDS:
            kind = "lines of other kinds"
        self._counts[kind] = self._counts.get(kind, 0) + 1
        return [*said, line] if self._counts[kind] <= LINES else said

    def summary(self) -> list[str]:
        """Return how many lines of each kind were not let through, and begin a new period."""
        rest = {kind: count - LINES for kind, count in self._counts.items() if count > LINES}
        self._since, self._counts = self._clock.monotonic(), {}
        return [f"{count} more like this were left out: {kind}" for kind, count in rest.items()]


@contextmanager
def limited(clock: Clock) -> Iterator[None]:
    """Lead what C code writes to standard error through a `Limiter` into the log, meanwhile."""
    sys.stderr.flush()
    journal = os.dup(2)
    before = sys.stderr
    python = os.fdopen(journal, "w", buffering=1, errors="backslashreplace", closefd=False)
    handlers = [
        each
        for each in logging.getLogger().handlers
        if isinstance(each, logging.StreamHandler) and each.stream is before
    ]
    crashes = faulthandler.is_enabled()
    out, into = os.pipe()
    reader = threading.Thread(target=_read, args=(out, Limiter(clock)), name="chatter", daemon=True)
    sys.stderr = python
    for handler in handlers:
        handler.setStream(python)
    faulthandler.enable(python)  # of a crash in C code, which nobody would read from the pipe
    os.dup2(into, 2)
    os.close(into)
    reader.start()
    try:
        yield
    finally:
        os.dup2(journal, 2)  # the last end of the pipe is shut with that, so the reader ends
        reader.join(5)
        sys.stderr = before
        for handler in handlers:
            handler.setStream(before)
        faulthandler.enable(before) if crashes else faulthandler.disable()
        python.close()
        os.close(journal)


def _read(pipe: int, limiter: Limiter) -> None:
    # In bytes and never more than a piece at once: C code may write without an end of line.
    rest = b""
    with open(pipe, "rb", buffering=0) as source:
        while piece := source.read(1 << 16):
            *lines, rest = (rest + piece).split(b"\n")
            rest = rest[-LONGEST * 4 :]
            for line in lines:
                _say(limiter.take(line.decode(errors="backslashreplace")))
    _say([*limiter.take(rest.decode(errors="backslashreplace")), *limiter.summary()])


def _say(lines: list[str]) -> None:
    for line in lines:
        log.info("library: %s", line)
