"""Time, in one place: the monotonic clock for all logic, and stamps that survive a wrong UTC.

A Raspberry Pi has no battery-backed clock: after a power cut its UTC is wrong until the network
sets it. So every stored row carries a `Stamp`, and once the clock is right the rows of this boot
are back-filled (see `store.Store.backfill`).
"""

import ctypes
import os
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import msgspec

_TIME_ERROR = 5  # adjtimex(2): the kernel's clock is not synchronised


class Stamp(msgspec.Struct, frozen=True):
    """A moment: seconds since boot `boot_id`, UTC seconds, and whether that UTC can be trusted."""

    boot_id: str
    boot_time: float
    utc: float
    clock_ok: bool

    @property
    def iso(self) -> str:
        return iso(self.utc)


class Clock(Protocol):
    def monotonic(self) -> float:
        """Seconds that never jump; for timeouts, liveness and order."""
        ...

    def stamp(self, monotonic: float | None = None) -> Stamp:
        """The stamp of now, or of an earlier `monotonic` reading of this clock."""
        ...


class SystemClock:
    """The machine's clocks. `CLOCK_BOOTTIME` serves as monotonic: it also counts suspended time."""

    def __init__(self) -> None:
        self._boot_id = _boot_id()

    def monotonic(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def stamp(self, monotonic: float | None = None) -> Stamp:
        now = self.monotonic()
        at = now if monotonic is None else monotonic
        return Stamp(self._boot_id, at, time.time() - (now - at), synchronised())


class ManualClock:
    """A clock that moves only when told; shipped for tests and for replaying."""

    def __init__(self, utc: float = 1_800_000_000.0, *, clock_ok: bool = True) -> None:
        self.boot_id = str(uuid.uuid4())
        self.now = 0.0
        self.offset = utc
        self.clock_ok = clock_ok

    def monotonic(self) -> float:
        return self.now

    def stamp(self, monotonic: float | None = None) -> Stamp:
        at = self.now if monotonic is None else monotonic
        return Stamp(self.boot_id, at, at + self.offset, self.clock_ok)

    def advance(self, seconds: float) -> None:
        if seconds < 0:
            raise ValueError(f"a clock cannot go back by {-seconds} s; set `offset` to shift UTC")
        self.now += seconds

    def synchronise(self, utc: float) -> None:
        """What the network does: UTC becomes right, the monotonic clock does not notice."""
        self.offset = utc - self.now
        self.clock_ok = True


def iso(utc: float) -> str:
    """UTC seconds as ISO 8601 with milliseconds, such as `2026-11-20T09:30:00.000Z`."""
    text = datetime.fromtimestamp(utc, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def synchronised() -> bool:
    """Whether the kernel holds the clock to be set by the network (NTP) or the hardware's host."""
    if Path("/run/systemd/timesync/synchronized").exists():
        return True
    # A zeroed struct timex (208 bytes on 64-bit, less elsewhere) only asks, it sets nothing.
    state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(256))
    return bool(state >= 0 and state != _TIME_ERROR)


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return f"{os.getpid()}-{uuid.uuid4()}"
