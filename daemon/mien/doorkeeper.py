"""Opens and closes the camera's eye: as the mandate has it, unless somebody paused the box or aims
the camera. Nothing is kept that no mandate covers."""

import logging
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct

from mien import mandate, settings
from mien.bundle import BundleError
from mien.clock import Clock
from mien.config import Seat
from mien.control import ControlError, NoPicture
from mien.events import Capture, MienError, Part
from mien.events import Mandate as Word
from mien.layer import Layer, own, personal
from mien.mandate import NOT_SET_UP, Head, Mandate
from mien.pipeline import Pipeline
from mien.seeing import Seeing, Watch
from mien.snapshot import snapshot
from mien.store import Store, StoreError

log = logging.getLogger(__name__)

CAPTURE_S = 1.0
"""How long a capture waits for a face."""
PAUSED = "paused, the camera is off"


class _Rules(Struct):
    """What the store says now."""

    mandate: Mandate
    seat: Seat | None
    head: Head | None
    kept: bool
    """Whether what was read until now may be kept."""


class Doorkeeper:
    """Decides what `seeing` watches for. Any thread may ask; each answer holds when it returns.

    Args:
        seat: where it is as long as the store does not say.
        paused_file: there while paused, so that a restart does not open the camera behind
            somebody's back.
        told: called when the box was paused or resumed while the camera was closed anyway.
    """

    def __init__(
        self,
        store: Store,
        seeing: Seeing,
        pipeline: Pipeline,
        *,
        seat: Seat,
        paused_file: Path,
        told: Callable[[], None],
        clock: Clock,
    ) -> None:
        self._store = store
        self._seeing = seeing
        self._pipeline = pipeline
        self._own_seat = self._seat = seat
        self._paused_file = paused_file
        self._paused_here = False  # also where the file could not be made
        self._told = told
        self._clock = clock
        self._lock = threading.RLock()  # guards all that follows
        self._mandate = Mandate(text="nothing was decided yet")
        self._trouble: str | None = None
        self._watch: Watch | None = None
        self._shut: str | None = None
        self._aim_until = -math.inf
        self._told_paused = self.paused
        self._head: Head | None = None
        self._head_trouble: str | None = None
        try:
            self._own_layer: Layer | None = own(pipeline.bundle)
        except BundleError as error:
            log.warning("there are neither class-activation maps nor personal heads: %s", error)
            self._own_layer = None

    @property
    def paused(self) -> bool:
        return self._paused_here or self._paused_file.exists()

    @property
    def word(self) -> Word | None:
        """What the camera is open for; None while it is closed."""
        watch = self._watch
        return ("aim" if watch.aim else self._mandate.kind) if watch else None

    @property
    def session(self) -> str | None:
        """Id of the session that is read."""
        return self._mandate.session if self.word == "session" else None

    @property
    def part(self) -> Part:
        ruled = self._mandate
        if self._trouble:
            return Part("consent", "degraded", ruled.text, self._trouble)
        if self.word == "aim":
            return Part("consent", "ok", "the camera is being aimed, and nobody is read")
        if ruled.text == NOT_SET_UP:
            return Part("consent", "degraded", NOT_SET_UP, "say there where the box stands")
        if self._head_trouble:
            cure = "fit the head anew on its client's page, or go back to the bundle's own"
            return Part("consent", "degraded", f"{ruled.text}; {self._head_trouble}", cure)
        return Part("consent", "ok", ruled.text)

    # ── what is asked ────────────────────────────────────────────────────────────────────────

    def refresh(self) -> None:
        """Look again who may be read, where the seat is and what reads it, and do so from now."""
        with self._lock:
            before = self._mandate
            try:
                if self._shut:
                    rules = _Rules(Mandate(text=self._shut), self._seat, None, False)
                else:
                    rules = self._store.read(self._rules)
                self._trouble = None
            except StoreError as error:
                text = "who consents cannot be looked up, so the camera is off"
                rules = _Rules(Mandate(text=text), self._seat, None, False)
                self._trouble = str(error)
            if self._watch and not rules.kept:
                self._watch.keep = False
            self._mandate = rules.mandate
            if rules.mandate.text != before.text:
                if rules.mandate.text == NOT_SET_UP:
                    log.warning("This box was not set up yet, so it reads nobody: open its page.")
                else:
                    log.info("consent: %s", rules.mandate.text)
            self._sit(rules.seat or self._own_seat)
            self._obey(anew=rules.mandate.whose != before.whose)
            self._wear(rules.head)

    @contextmanager
    def shut(self, why: str) -> Iterator[None]:
        """Meanwhile nobody is read, whatever the store says, and nothing that was read and is on
        its way is kept."""
        with self._lock:
            self._shut, self._aim_until = why, -math.inf
            self.refresh()
        try:
            yield
        finally:
            with self._lock:
                self._shut = None
                self.refresh()

    def pause(self) -> None:
        """Close the camera, whatever the mandate, and whatever the disk does."""
        with self._lock:
            self._paused_here = True
            # The file is there first and goes last: a crash in between never opens the camera.
            try:
                self._paused_file.touch()
            except OSError as error:
                log.error("the pause ends with a restart, for it cannot be written down: %s", error)
            self._obey()
            log.info("paused, the camera is off")

    def resume(self) -> None:
        """Go back to what the mandate says.

        Raises:
            ControlError: the disk keeps the pause.
        """
        with self._lock:
            try:
                self._paused_file.unlink(missing_ok=True)
            except OSError as error:
                raise ControlError(
                    f"the box stays paused, for {self._paused_file} cannot be removed: "
                    f"{error.strerror or error}. Look at its disk"
                ) from None
            self._paused_here = False
            self.refresh()
            log.info("resumed")

    def aim(self, seconds: float) -> None:
        """Open the camera for so long without reading anybody; 0 ends it.

        Raises:
            ControlError: the box is paused, or a session runs.
        """
        with self._lock:
            self.refresh()
            if seconds and self._shut:
                raise ControlError(self._shut)
            if seconds and self.paused:
                raise ControlError("the box is paused; resume it first, then aim the camera")
            if seconds and self._mandate.session is not None:
                raise ControlError("a session is running; stop it first, then aim the camera")
            self._aim_until = self._clock.monotonic() + seconds if seconds else -math.inf
            self._obey()

    def capture(self) -> Capture:
        """The seat's face in the next frame.

        Raises:
            NoPicture: no face, or no camera.
            ControlError: nobody whose consent to pictures is valid is read.
        """
        before = self._for_pictures()
        seen = self._seeing.face(CAPTURE_S)
        if self._for_pictures().whose != before.whose:
            raise ControlError("the session was stopped meanwhile")
        taken = None
        if seen:
            at = self._clock.stamp(seen.frame.t)
            layer = self._pipeline.layer or self._own_layer
            taken = snapshot(seen, at, layer, self._pipeline.bundle.name)
        if taken is None:
            camera = self._seeing.part
            raise NoPicture(camera.text if camera.status != "ok" else "no face is in the seat")
        return taken

    # ── within ───────────────────────────────────────────────────────────────────────────────

    def _rules(self, db: Any) -> _Rules:
        ruled = mandate.mandate(db, self._clock.stamp())
        name = self._pipeline.bundle.name
        return _Rules(
            ruled,
            settings.get(db, "seat", Seat),
            mandate.head(db, ruled.client, name) if ruled.client else None,
            mandate.still_kept(db, self._mandate),
        )

    def _obey(self, *, anew: bool = False) -> None:
        """Open or close the camera.

        Args:
            anew: whether what was read until now was another's.
        """
        ruled = self._mandate
        if ruled.session is not None:
            self._aim_until = -math.inf
        aiming = self._clock.monotonic() < self._aim_until
        if self.paused or not (aiming or ruled.kind):
            was_closed, self._watch = self._watch is None, None
            self._seeing.close(PAUSED if self.paused else ruled.text)
            if was_closed and self.paused != self._told_paused:
                self._told()
            self._told_paused = self.paused
        elif self._watch is None or anew or aiming != self._watch.aim:
            self._told_paused = False
            self._watch = Watch(aim=aiming, keep=ruled.keep and not aiming)
            self._seeing.watch(self._watch)

    def _sit(self, seat: Seat) -> None:
        if seat != self._seat:
            self._seat = seat
            self._pipeline.sit(seat)
            log.info("the seat is elsewhere now")

    def _wear(self, head: Head | None) -> None:
        """Read with the client's own head where there is one that fits."""
        if head == self._head:
            return
        self._head, self._head_trouble, layer = head, None, None
        if head and self._own_layer is not None:
            try:
                layer = personal(head, self._pipeline.bundle, self._own_layer)
            except MienError as error:
                self._head_trouble = str(error)
                log.warning("%s", error)
        self._pipeline.layer = layer

    def _for_pictures(self) -> Mandate:
        """The mandate, looked up now. Raises unless it allows a picture of who sits there."""
        with self._lock:
            self.refresh()
            if self._watch is None:
                raise NoPicture(self._seeing.part.text)
            if not self._mandate.pictures or self._watch.aim:
                raise ControlError(
                    "pictures are kept only in a session whose client consents to pictures"
                )
            return self._mandate
