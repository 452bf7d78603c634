"""A daemon that says what it is told to: for tests, and to try the page without a camera."""

import threading
from collections.abc import Sequence
from pathlib import Path

import msgspec

from mien.control import Busy, ControlError, NoPicture, Picture
from mien.events import (
    Capture,
    Done,
    Errand,
    Health,
    Live,
    Mandate,
    Neighbourhood,
    Quarter,
    Stretch,
)


class ScriptedDaemon:
    """A `control.Daemon`; what was asked of it is kept in its attributes."""

    def __init__(self, health: Health, viewers: int = 4) -> None:
        self.health = health
        self.no_camera: str | None = None
        """A sentence, as long as the camera is absent."""
        self.face: Capture | None = None
        """What `capture` gives; None: there is no face."""
        self.erased: list[Stretch] = []
        self.rows = 0
        """How many rows `erase` says it erased."""
        self.aimed_s = 0.0
        """What the last `aim` asked for."""
        self.refreshed = 0
        self.errands: list[Errand] = []
        self.done: list[Done] = []
        self.imported: list[Quarter] = []
        self.restored: list[Path] = []
        self.neighbourhood = Neighbourhood(on=False)
        self._picture: Picture | None = None
        self._changed = threading.Condition()
        self._free = threading.BoundedSemaphore(viewers)

    def show(self, live: Live, jpeg: bytes) -> None:
        """The next frame."""
        with self._changed:
            self._picture = Picture(live.frame, jpeg, msgspec.json.encode(live))
            self._changed.notify_all()

    def status(self) -> bytes:
        return msgspec.json.encode(self.health)

    def neighbours(self) -> bytes:
        return msgspec.json.encode(self.neighbourhood)

    def metrics(self) -> str:
        return f"mien_paused {int(self.health.paused)}\n"

    def preview(self, after: int, timeout: float) -> Picture | None:
        if self.health.paused:
            raise NoPicture("Paused – the camera is off.")
        if self.no_camera:
            raise NoPicture(self.no_camera)
        if not self._free.acquire(blocking=False):
            raise Busy("as many viewers look as may; close the page elsewhere")
        try:
            with self._changed:
                self._changed.wait_for(lambda: self._new(after) or self.health.paused, timeout)
                return self._new(after)
        finally:
            self._free.release()

    def set_paused(self, paused: bool) -> None:
        with self._changed:
            self.health = msgspec.structs.replace(self.health, paused=paused)
            self._picture = None
            self._changed.notify_all()

    def refresh(self) -> None:
        self.refreshed += 1

    def aim(self, seconds: float) -> None:
        if self.health.paused:
            raise ControlError("Mien is paused; resume it first.")
        if self.health.mandate == "session":
            raise ControlError("A session runs; stop it first, then aim the camera.")
        self.aimed_s = seconds
        if seconds or self.health.mandate == "aim":
            mandate: Mandate | None = "aim" if seconds else None
            self.health = msgspec.structs.replace(self.health, mandate=mandate)

    def capture(self) -> Capture:
        if self.health.paused:
            raise NoPicture("Paused – the camera is off.")
        if self.no_camera:
            raise NoPicture(self.no_camera)
        if self.face is None:
            raise NoPicture("There is no face in the seat.")
        return self.face

    def erase(self, stretches: Sequence[Stretch]) -> int:
        self.erased.extend(stretches)
        return self.rows

    def errand(self, timeout: float) -> Errand | None:
        with self._changed:
            self._changed.wait_for(lambda: bool(self.errands), timeout)
            return self.errands.pop(0) if self.errands else None

    def errand_done(self, done: Done) -> None:
        with self._changed:
            self.done.append(done)
            self._changed.notify_all()

    def send(self, errand: Errand) -> None:
        """A command came by MQTT."""
        with self._changed:
            self.errands.append(errand)
            self._changed.notify_all()

    def import_log(self, quarters: Sequence[Quarter]) -> int:
        self.imported.extend(quarters)
        return len(quarters)

    def restore(self, file: Path) -> None:
        self.restored.append(file)

    def _new(self, after: int) -> Picture | None:
        return self._picture if self._picture and self._picture.frame != after else None
