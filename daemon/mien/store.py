"""The store: what the box keeps, and the outbox of what the broker has not acknowledged yet.

A row and the event it causes are written in one transaction; see docs/decisions/outbox.md.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from mien import config, database, forgetting, mandate, quarters, settings
from mien.clock import Clock, Stamp
from mien.database import Database, StoreError
from mien.events import MienError, Quarter, Stretch
from mien.rows import (
    EPISODE,
    MINUTE,
    READINGS,
    EpisodeRow,
    MinuteRow,
    OutboxRow,
    SecondReading,
    add_episode,
    add_reading,
    boot_number,
    episode_of,
    minute_of,
    ms,
    reading_of,
)
from mien.settings import Setting

__all__ = ["EpisodeRow", "MinuteRow", "OutboxRow", "SecondReading", "Store", "StoreError"]

log = logging.getLogger(__name__)

_T = TypeVar("_T")


def _nothing() -> None:
    pass


class Store:
    """Made by `Store.open`; every method may be called from any thread.

    Every method raises `StoreError` when the disk is full or fails; then nothing of that call was
    written and the next call may succeed.
    """

    def __init__(self, database: Database, config: config.Store, clock: Clock) -> None:
        self._database = database
        self._config = config
        self._clock = clock
        self._has_room = True

    @classmethod
    def open(
        cls, state_dir: Path, clock: Clock, config: config.Store, *, migrate: bool = True
    ) -> "Store":
        """Open the database of a state folder; only the daemon makes, migrates and writes it.

        A damaged file, or one under another key, is set aside and a new one begun, and `notice`
        says so. With `migrate` false the file must be there and is only read.

        Raises:
            StoreError: no rights, no space, or nothing there to read.
        """
        try:
            if migrate:
                state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            key = database.key(state_dir, make=migrate)
            database.box_id(state_dir, make=migrate)
        except StoreError:
            raise
        except OSError as error:
            cure = (
                "It must be a folder that belongs to the user Mien runs as, with free space."
                if migrate
                else "Start the daemon first, as a user whose files this one may read."
            )
            raise StoreError(f"Cannot use the state folder {state_dir}: {error}. {cure}") from None
        path = state_dir / database.FILE
        store = cls(Database(path, key, clock, "daemon" if migrate else "reader"), config, clock)
        store.outbox_size()  # the first look opens the file
        return store

    def close(self) -> None:
        self._database.close()

    @property
    def notice(self) -> str | None:
        """A sentence when the database was damaged, set aside and begun anew."""
        return self._database.notice

    def box_id(self) -> str:
        """The name of this box, made up at its first start and kept for ever."""
        return database.box_id(self._database.path.parent, make=False)

    @property
    def free_mb(self) -> int:
        """Free space on the disk of the store, in MB."""
        return database.free_mb(self._database.path)

    @property
    def can_write_readings(self) -> bool:
        """Whether `min_free_mb` are free; episodes are written even without."""
        return self.free_mb >= self._config.min_free_mb

    # ── writing ──────────────────────────────────────────────────────────────────────────────

    def add(self, items: Sequence[SecondReading | EpisodeRow]) -> None:
        """Write readings with their roll-ups, and episodes with their outbox rows, all or none.

        Below the floor of free space the readings among them are left out.
        """
        readings = [item for item in items if isinstance(item, SecondReading)]
        episodes = [item for item in items if isinstance(item, EpisodeRow)]
        if readings and not self._room():
            readings = []

        def work(db: Any) -> None:
            minutes = {add_reading(db, reading) for reading in readings}
            touched = (quarters.of_minutes(db, boot, m, m) for boot, m in minutes)
            quarters.touch(db, set().union(*touched))
            for episode in episodes:
                add_episode(db, episode)

        if readings or episodes:
            self._database.write(work)

    def add_model(self, since: Stamp, name: str, sha256: str) -> None:
        """Note that readings from `since` on are those of this bundle, until the next is noted.

        May be called again; a bundle that goes on after a restart is not noted anew.
        """

        def work(db: Any) -> None:
            at = (boot_number(db, since.boot_id), ms(since.boot_time))
            db.execute(
                "INSERT OR IGNORE INTO models SELECT ?, ?, ?, ? WHERE (?, ?) IS NOT (SELECT name, "
                "sha256 FROM models WHERE boot = ? AND boot_ms <= ? ORDER BY boot_ms DESC LIMIT 1)",
                (*at, name, sha256, name, sha256, *at),
            )

        self._database.write(work)

    def set_up(self, setting: Setting) -> None:
        """Say where the box stands, unless somebody said so before: for the demo and for trials."""

        def work(db: Any) -> None:
            if settings.setting(db) is None:
                settings.put(db, "setting", setting)

        self._database.write(work)

    def backfill(self) -> int:
        """Date this boot's minutes and episodes from before the clock was right; how many.

        Does nothing while the clock is not right, or when it was done before.
        """
        now = self._clock.stamp()
        if not now.clock_ok:
            return 0
        shift = ms(now.utc) - ms(now.boot_time)

        def work(db: Any) -> int:
            boot = boot_number(db, now.boot_id)
            rows = 0
            undated = "SELECT minute FROM minutes WHERE boot = ? AND clock_ok = 0"
            minutes = [minute for (minute,) in db.execute(undated, (boot,))]
            for table, boot_ms in (("minutes", "minute * 60000"), ("episodes", "boot_ms")):
                rows += db.execute(
                    f"UPDATE {table} SET utc_ms = {boot_ms} + ?, clock_ok = 1 "
                    "WHERE boot = ? AND clock_ok = 0",
                    (shift, boot),
                ).rowcount
            dated = {(minute * 60_000 + shift) // quarters.QUARTER_MS for minute in minutes}
            quarters.touch(db, dated)
            return rows

        rows = self._database.write(work)
        if rows:
            log.info("The clock is right now; %d rows got their true time.", rows)
        return rows

    def roll(self, beat: Callable[[], None] = _nothing) -> bool:
        """Roll the minutes up for the home log, a transaction a day; whether more is left, for not
        more than a month is done at once. `beat` is called after each. Does nothing while the
        clock is not right."""
        now = self._clock.stamp()
        if not now.clock_ok:
            return False
        for _ in range(31):
            if not self._database.write(lambda db: quarters.roll(db, ms(now.utc))):
                return False
            beat()
        return True

    def take_over(self, seen: Sequence[Quarter]) -> int:
        """Keep what another box saw, where this one saw nothing; how many quarters those are.

        Raises:
            MienError: nobody consents to a home log, or no box can have seen that; the text names
                the quarter. Nothing is kept then.
        """
        for place, quarter in enumerate(seen, 1):
            if flaw := quarters.flaw(quarter):
                raise MienError(
                    f"quarter {place} of {len(seen)} cannot be taken over: {flaw}. Export the log "
                    "of the other box anew."
                )
        now = ms(self._clock.stamp().utc)

        def work(db: Any) -> int:
            if mandate.resident(db) is None and settings.setting(db) != "demo":
                raise MienError(
                    "Nobody of the house consents to the home log, so none is taken over. Record "
                    "the consent first."
                )
            # A clock that is behind must not make it older than the consent it was brought under.
            consented = "SELECT max(given_utc) FROM consents WHERE kind = 'home'"
            (since,) = db.execute(consented).fetchone()
            return quarters.take_over(db, seen, max(now, since or 0))

        return self._database.write(work)

    def retain(self) -> None:
        """Delete what is kept no longer: readings by age and number, the outbox by number. The
        readings of a session whose numbers are kept belong to its record and stay."""
        days = self._config.readings_days
        now = self._clock.stamp()

        def work(db: Any) -> int:
            kept = forgetting.kept_spans(db)
            if now.clock_ok:
                forgetting.delete_before(db, ms(now.utc - days * 86_400), kept)
            # A box that never learns the time keeps as many minutes as those days have.
            newest = "SELECT boot, minute FROM minutes ORDER BY boot DESC, minute DESC"
            if first := db.execute(f"{newest} LIMIT 1 OFFSET ?", (days * 1440 - 1,)).fetchone():
                forgetting.delete_under(db, forgetting.first_id(*first), kept)
            return int(
                db.execute(
                    "DELETE FROM outbox WHERE episode <= "
                    "(SELECT episode FROM outbox ORDER BY episode DESC LIMIT 1 OFFSET ?)",
                    (self._config.outbox_rows,),
                ).rowcount
            )

        if dropped := self._database.write(work):
            log.warning(
                "The broker was away for so long that %d events were dropped from the outbox; "
                "their episodes are still in the database.",
                dropped,
            )
        self._database.read(_shrink)

    def erase(self, stretches: Sequence[Stretch], beat: Callable[[], None] = _nothing) -> int:
        """Erase what was read in these stretches, with its minutes, episodes and events; how many
        rows it was. Afterwards nothing of them is left in the file or in its journal.

        Each stretch is done in pieces, a transaction each; one that was broken off can be asked
        for again. `beat` is called after each.

        Raises:
            StoreError: also while somebody reads so long that the journal cannot be emptied.
        """
        rows = 0
        for piece in forgetting.pieces(stretches):
            rows += self._database.write(partial(forgetting.erase, stretch=piece))
            beat()
        (busy, *_) = self._database.read(
            lambda db: db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        )
        if busy:
            raise StoreError(
                "The rows are erased, but the journal of the database still holds them, encrypted, "
                "because somebody reads it; ask again in a moment"
            )
        return rows

    def erasures(self) -> list[tuple[int, Stretch]]:
        """What the page asked in the store to have erased and what was not done yet, by its id."""
        return self._database.read(forgetting.undone)

    def erased(self, id: int, rows: int) -> None:
        """Note that one of them was done."""
        now = ms(self._clock.stamp().utc)
        self._database.write(lambda db: forgetting.done(db, id, now, rows))

    def outbox_delete(self, rows: Iterable[OutboxRow]) -> None:
        """Forget rows that the broker acknowledged; those already gone are no error."""
        # The UUID too: after a damaged database was set aside, numbers begin anew.
        keys = [(row.id, row.episode.id) for row in rows]
        if keys:
            self._database.write(
                lambda db: db.executemany(
                    "DELETE FROM outbox WHERE episode = "
                    "(SELECT id FROM episodes WHERE id = ? AND uuid = ?)",
                    keys,
                )
            )

    # ── reading ──────────────────────────────────────────────────────────────────────────────

    def read(self, work: Callable[[Any], _T]) -> _T:
        """What `work` finds with the connection."""
        return self._database.read(work)

    def outbox_batch(self, limit: int) -> list[OutboxRow]:
        """The oldest rows of the outbox."""
        rows = self._rows(
            "SELECT e.id, e.uuid, b.boot_id, e.boot_ms, e.utc_ms, e.clock_ok, e.length_ms, "
            "e.expression, e.peak FROM outbox o JOIN episodes e ON e.id = o.episode "
            "JOIN boots b ON b.id = e.boot ORDER BY o.episode LIMIT ?",
            limit,
        )
        return [OutboxRow(row[0], episode_of(row[1:])) for row in rows]

    def outbox_size(self) -> int:
        return int(self._rows("SELECT count(*) FROM outbox")[0][0])

    def readings(self, since: float, until: float) -> list[SecondReading]:
        """The readings with `since` ≤ UTC < `until`, in seconds, in that order."""
        rows = self._rows(READINGS, ms(since) - 60_000, ms(until), ms(since), ms(until))
        return [reading_of(row) for row in rows]

    def minutes(self, since: float, until: float) -> list[MinuteRow]:
        """The roll-ups of minutes that began at `since` ≤ UTC < `until`, in seconds."""
        return [minute_of(row) for row in self._between("minutes", MINUTE, since, until)]

    def episodes(self, since: float, until: float) -> list[EpisodeRow]:
        """The episodes that began at `since` ≤ UTC < `until`, in seconds."""
        return [episode_of(row) for row in self._between("episodes", EPISODE, since, until)]

    def model_at(self, stamp: Stamp) -> tuple[str, str] | None:
        """Name and network's SHA-256 of the bundle that read at this time, None when not known."""
        found = self._rows(
            "SELECT name, sha256 FROM models m JOIN boots b ON b.id = m.boot "
            "WHERE b.boot_id = ? AND m.boot_ms <= ? ORDER BY m.boot_ms DESC LIMIT 1",
            stamp.boot_id,
            ms(stamp.boot_time),
        )
        return found[0] if found else None

    # ── within ───────────────────────────────────────────────────────────────────────────────

    def _room(self) -> bool:
        room = self.can_write_readings
        if room != self._has_room:
            self._has_room = room
            if room:
                log.info("There is space on the disk again; readings are written.")
            else:
                log.warning(
                    "Less than %d MB are free on the disk of %s; until there is more, only "
                    "episodes are written and no readings.",
                    self._config.min_free_mb,
                    self._database.path,
                )
        return room

    def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        return self._database.read(lambda db: list(db.execute(query, values).fetchall()))

    def _between(self, table: str, columns: str, since: float, until: float) -> list[Any]:
        return self._rows(
            f"SELECT {columns} FROM {table} t JOIN boots b ON b.id = t.boot "
            "WHERE t.utc_ms >= ? AND t.utc_ms < ? ORDER BY t.utc_ms",
            ms(since),
            ms(until),
        )


def _shrink(db: Any) -> None:
    """Give space back once a quarter of the file is empty; less is used again soon."""
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    (free,) = db.execute("PRAGMA freelist_count").fetchone()
    if free * 4 > pages:
        db.execute(f"PRAGMA incremental_vacuum({free})").fetchall()
