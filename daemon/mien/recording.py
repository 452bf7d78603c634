"""From what is seen to what is kept: rows for the store, the newest state for the broker."""

import logging
import math
import queue
import threading
import uuid
from collections.abc import Callable, Sequence

import msgspec
from msgspec.structs import replace

from mien.clock import Clock, iso
from mien.events import Episode, Live, Part, State, Stretch
from mien.pipeline import Seen
from mien.reading import moves, widest
from mien.stage import Stage
from mien.store import EpisodeRow, SecondReading, Store, StoreError

log = logging.getLogger(__name__)

# Readings are written together: a transaction a second would wear the card out.
FLUSH_S = 30.0
HURRY_S = 10.0
"""In a session, whose pages look at what was just read."""
PENDING = 3600
"""Rows that wait for a full disk to have room again; beyond that the oldest readings go."""
LATE_S = 60.0
"""Longer than any row is on its way from the frame to the store thread."""

Row = SecondReading | EpisodeRow


class Recording:
    """Writes rows in its own thread and tells the broker the newest state.

    Args:
        set_state: takes the payload of the topic `state`.
        at_once: whether somebody waits for episodes; else they are written with the readings.
        stored: called after rows were committed, so that the publisher looks at its outbox.
    """

    def __init__(
        self,
        store: Store,
        box: str,
        *,
        set_state: Callable[[bytes], None],
        stored: Callable[[], None],
        failed: Callable[[str, Exception], None],
        clock: Clock,
        at_once: bool = True,
    ) -> None:
        self._store = store
        self._box = box
        self._set_state = set_state
        self._stored = stored
        self._clock = clock
        self._at_once = at_once
        self.hurry = False
        """Whether a session runs."""
        self._queue: queue.SimpleQueue[Row | None] = queue.SimpleQueue()  # None: write all now
        self._due = -math.inf
        self._pending: list[Row] = []
        self._writing = threading.Lock()
        self._erased: list[tuple[float, Stretch]] = []  # when it was asked for
        self._second = -math.inf
        self._shown: tuple[object, ...] = ()
        self._trouble: str | None = None
        self.dropped = 0
        self.stage = Stage("store", self._step, failed, clock, overdue_s=FLUSH_S + 15)

    def start(self) -> None:
        self.stage.start()

    def stop(self) -> None:
        """End the thread and write what is left."""
        self._queue.put(None)
        self.stage.stop()
        self._take()
        self._flush()

    def erase(self, stretches: Sequence[Stretch], beat: Callable[[], None] = lambda: None) -> int:
        """Erase what was read in these stretches, also what waits in memory; how many rows it was
        in the store. May be called from any thread. Raises as `Store.erase`."""
        now = self._clock.stamp()
        with self._writing:  # what is being written now is erased in the store
            for stretch in stretches:
                # Not beyond now: what is read later, with a new consent, is none of it.
                end = min(stretch.to_ms, round(now.boot_time * 1000) + 1)
                if stretch.boot == now.boot_id:
                    self._erased.append((now.boot_time, replace(stretch, to_ms=end)))
        return self._store.erase(stretches, beat)

    def forget(self) -> None:
        """Keep nothing of what was read until now and waits in memory. May be called from any
        thread, once nothing more is being read."""
        now = self._clock.stamp()
        with self._writing:
            all_of_it = Stretch(now.boot_id, 0, round(now.boot_time * 1000) + 1)
            self._erased.append((now.boot_time, all_of_it))

    def erase_asked(self, beat: Callable[[], None] = lambda: None) -> None:
        """Do the erasures that the page asked for in the store, as while nobody listened."""
        for id, stretch in self._store.erasures():
            rows = self.erase([stretch], beat)
            self._store.erased(id, rows)
            log.info("an erasure that was asked for is done: %d rows", rows)

    # ── called in the inference thread ───────────────────────────────────────────────────────

    def seen(self, seen: Seen, live: Live) -> None:
        """A frame was read: a row once a second, a state then and whenever it changes."""
        t = seen.frame.t
        self._put_episodes(seen.ended)
        due = math.floor(t) != self._second
        if due:
            self._second = math.floor(t)
            self._queue.put(self._reading(t, live))
        shown = (live.expression, live.reason, len(live.readings))
        if due or shown != self._shown:
            self._shown = shown
            self._publish(t, live, paused=False)

    def lost(self, ended: Sequence[Episode], *, paused: bool) -> None:
        """The stream broke off: nobody is seen any more."""
        self._put_episodes(ended)
        self._queue.put(None)  # who looks at a session that was stopped finds all of it
        self._shown = ()
        self._publish(self._clock.monotonic(), None, paused=paused)

    def _put_episodes(self, ended: Sequence[Episode]) -> None:
        for episode in ended:
            self._queue.put(
                EpisodeRow(
                    id=str(uuid.uuid4()),
                    expression=episode.expression,
                    start=self._clock.stamp(episode.start),
                    end=self._clock.stamp(episode.end),
                    peak=round(episode.peak, 3),
                )
            )

    def _reading(self, t: float, live: Live) -> SecondReading:
        people = _people(live)
        return SecondReading(
            stamp=self._clock.stamp(t),
            people=people,
            expression=live.expression if people else None,
            reason=live.reason if people else None,
            confidence=_confidence(live),
            valence=live.valence if people else None,
            probabilities=live.probabilities if people and live.valence is not None else None,
            facing=_facing(live),
        )

    def _publish(self, t: float, live: Live | None, *, paused: bool) -> None:
        stamp = self._clock.stamp(t)
        people = _people(live) if live else 0
        state = State(
            id=str(uuid.uuid4()),
            box=self._box,
            time=iso(stamp.utc),
            clock_ok=stamp.clock_ok,
            paused=paused,
            watching=live is not None,
            people=people,
            expression=live.expression if live else None,
            reason=live.reason if live else None,
            confidence=_confidence(live) if live else None,
            valence=live.valence if live and people else None,
            probabilities=live.probabilities if live and people else None,
            facing=_facing(live) if live else None,
        )
        self._set_state(msgspec.json.encode(state))

    # ── the store thread ─────────────────────────────────────────────────────────────────────

    def _step(self) -> None:
        self._take(self._due)
        everything = self._clock.monotonic() >= self._due
        self._flush(everything)
        if everything:
            self._due = self._clock.monotonic() + (HURRY_S if self.hurry else FLUSH_S)

    def _take(self, until: float = -math.inf) -> None:
        """Move rows from the queue until then, or until an episode is there that somebody waits
        for."""
        while True:
            left = until - self._clock.monotonic()
            try:
                row = self._queue.get(timeout=left) if left > 0 else self._queue.get_nowait()
            except queue.Empty:
                return
            if row is None:
                self._due = until = -math.inf
                continue
            self._pending.append(row)
            if self._at_once and isinstance(row, EpisodeRow):
                until = -math.inf

    def _flush(self, everything: bool = True) -> None:
        """Write what waits, or the episodes alone: each page of the file that is written with them
        costs the card."""
        try:
            with self._writing:
                self._leave_out_erased()
                rows = [r for r in self._pending if everything or isinstance(r, EpisodeRow)]
                if not rows:
                    return
                self._store.add(rows)
        except StoreError as error:
            if self._trouble is None:
                log.error("%s Kept in memory until then.", error)
            self._trouble = str(error)
            self._shed()
            return
        if self._trouble is not None:
            log.info("the store takes rows again")
        self._trouble = None
        self._pending = [] if everything else self._readings()
        self._stored()

    def _readings(self) -> list[Row]:
        return [row for row in self._pending if isinstance(row, SecondReading)]

    def _leave_out_erased(self) -> None:
        if not self._erased:
            return
        self._pending = [
            row
            for row in self._pending
            if not any(_within(row, stretch) for _, stretch in self._erased)
        ]
        since = self._clock.monotonic() - LATE_S
        self._erased = [(asked, stretch) for asked, stretch in self._erased if asked >= since]

    def _shed(self) -> None:
        """Keep memory bounded: the oldest readings go first, episodes never."""
        excess = len(self._pending) - PENDING
        kept: list[Row] = []
        for row in self._pending:
            if excess > 0 and isinstance(row, SecondReading):
                excess -= 1
                self.dropped += 1
            else:
                kept.append(row)
        self._pending = kept

    @property
    def part(self) -> Part:
        if self._trouble is not None:
            cure = "free some space; what was seen meanwhile waits in memory"
            return Part("store", "degraded", self._trouble, cure)
        if not self._store.can_write_readings:
            text = f"only {self._store.free_mb} MB free: episodes are kept, readings are not"
            return Part("store", "degraded", text, "free some space")
        if self._store.notice:
            cure = "restore a backup if those records are needed"
            return Part("store", "degraded", self._store.notice, cure)
        # In round figures: health is published whenever its words change.
        return Part("store", "ok", f"{self._store.free_mb / 1000:.0f} GB free")


def _within(row: Row, stretch: Stretch) -> bool:
    first = row.stamp if isinstance(row, SecondReading) else row.start
    last = row.stamp if isinstance(row, SecondReading) else row.end
    return (
        first.boot_id == stretch.boot
        and round(first.boot_time * 1000) < stretch.to_ms
        and round(last.boot_time * 1000) >= stretch.from_ms
    )


def _people(live: Live) -> int:
    """How many faces are there; where some move, pictures beside them do not count."""
    return sum(map(moves, live.readings)) or len(live.readings)


def _facing(live: Live) -> bool | None:
    """Whether the face in the seat is turned to the camera; a picture's is not."""
    seat = widest(live.readings)
    return seat.facing if seat and moves(seat) else None


def _confidence(live: Live) -> float | None:
    return live.probabilities[live.expression] if live.expression else None
