"""A store with a home log in it, written minute by minute: for tests of what reads it."""

from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from mien.clock import ManualClock
from mien.config import Store as StoreConfig
from mien.events import Expression
from mien.store import SecondReading, Store
from people import People


class HomeLog:
    """A box at home whose resident `a` consents; `people` writes as the page does."""

    def __init__(self, folder: Path, utc: datetime | None = None) -> None:
        self.clock = ManualClock(utc.timestamp() if utc else 1_800_000_000.0)
        self.clock.now = 600.0
        self.clock.offset -= 600.0
        self.store = Store.open(folder, self.clock, StoreConfig(min_free_mb=1))
        self.people = People(folder, self.clock)
        self.people.put("setting", "home")

    def close(self) -> None:
        self.people.close()
        self.store.close()

    def read(self, work: Any, *values: Any) -> Any:
        """What a function of the connection finds."""
        return self.store.read(lambda db: work(db, *values))

    def see(
        self,
        utc: datetime | float,
        seconds: int = 60,
        look: Expression | None = "happiness",
        *,
        people: int = 1,
        valence: float = 0.5,
        step: int = 1,
    ) -> None:
        """Readings from this time on, one every `step` seconds; the clock goes on to their end."""
        start = utc.timestamp() if isinstance(utc, datetime) else utc
        self.clock.now = start - self.clock.offset
        self.store.add(
            [
                SecondReading(
                    stamp=self.clock.stamp(self.clock.now + second),
                    people=people,
                    expression=look if people == 1 else None,
                    reason="several people in the seat" if people > 1 else None,
                    confidence=0.5,
                    valence=valence if look and people == 1 else None,
                    facing=people == 1,
                )
                for second in range(0, seconds, step)
            ]
        )
        self.clock.advance(seconds)

    def roll(self) -> None:
        while self.store.roll():
            pass

    def reboot(self, utc: datetime | None = None, *, clock_ok: bool = True) -> None:
        """Another boot; its UTC is right unless `clock_ok` is false."""
        before = self.clock.stamp()
        self.clock.boot_id += "x"
        self.clock.now = 0.0
        self.clock.offset = utc.timestamp() if utc else before.utc
        self.clock.clock_ok = clock_ok


def at(zone: ZoneInfo, text: str) -> datetime:
    """A local time, such as `2026-10-25 02:30`."""
    return datetime.fromisoformat(text).replace(tzinfo=zone)
