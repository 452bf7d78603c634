"""How the database came to its present form: each step once, in order, with the record that it ran.

Only the daemon migrates. A step that shipped is never changed; a new need is a new step.
"""

from collections.abc import Callable
from typing import Any


def first_tables(db: Any) -> None:
    """Readings, their roll-up by the minute, episodes and the outbox.

    Times are whole milliseconds: `boot_ms` since the boot, `utc_ms` of UTC, which `clock_ok`
    says whether to trust. `expression` is the place in `events.EXPRESSIONS`, `reason` the place in
    `events.Reason`; shares are in thousandths, probabilities seven bytes of 1/255.
    """
    for statement in (
        "CREATE TABLE boots (id INTEGER PRIMARY KEY, boot_id TEXT NOT NULL UNIQUE)",
        # A reading's id is its time, boot << 40 | boot_ms: in order, and found without an index.
        # Its minute knows the UTC. Both keep what a second costs the SD card low.
        """CREATE TABLE readings (
            id INTEGER PRIMARY KEY, people INTEGER NOT NULL, expression INTEGER, reason INTEGER,
            confidence INTEGER, valence INTEGER, probabilities BLOB, facing INTEGER)""",
        # A minute is one of the boot, not of UTC: it keeps its seconds whatever UTC does meanwhile.
        """CREATE TABLE minutes (
            boot INTEGER NOT NULL REFERENCES boots, minute INTEGER NOT NULL,
            utc_ms INTEGER NOT NULL, clock_ok INTEGER NOT NULL,
            seconds INTEGER NOT NULL, seen INTEGER NOT NULL, facing INTEGER NOT NULL,
            read INTEGER NOT NULL, anger INTEGER NOT NULL, disgust INTEGER NOT NULL,
            fear INTEGER NOT NULL, happiness INTEGER NOT NULL, sadness INTEGER NOT NULL,
            surprise INTEGER NOT NULL, neutral INTEGER NOT NULL, valence INTEGER NOT NULL,
            PRIMARY KEY (boot, minute)) WITHOUT ROWID""",
        """CREATE TABLE episodes (
            id INTEGER PRIMARY KEY, uuid TEXT NOT NULL,
            boot INTEGER NOT NULL REFERENCES boots, boot_ms INTEGER NOT NULL,
            utc_ms INTEGER NOT NULL, clock_ok INTEGER NOT NULL, length_ms INTEGER NOT NULL,
            expression INTEGER NOT NULL, peak INTEGER NOT NULL)""",
        # The event is written out when it is sent, with the time as repaired by then.
        "CREATE TABLE outbox (episode INTEGER PRIMARY KEY REFERENCES episodes)",
    ):
        db.execute(statement)
    for table in ("minutes", "episodes"):
        db.execute(f"CREATE INDEX {table}_utc ON {table} (utc_ms)")
        # Empty while the clock is right, so it costs nothing then; see `Store.backfill`.
        db.execute(f"CREATE INDEX {table}_undated ON {table} (boot) WHERE clock_ok = 0")


def models(db: Any) -> None:
    """Which network read from when on: a reading or episode is of the last one before it."""
    db.execute(
        """CREATE TABLE models (
            boot INTEGER NOT NULL REFERENCES boots, boot_ms INTEGER NOT NULL,
            name TEXT NOT NULL, sha256 TEXT NOT NULL, PRIMARY KEY (boot, boot_ms)) WITHOUT ROWID"""
    )


MIGRATIONS: tuple[Callable[[Any], None], ...] = (first_tables, models)


class UnknownStep(Exception):
    """The database and this program are not of the same age; the text says how."""


def missing(db: Any) -> list[str]:
    """Names of the steps that this database has not seen.

    Raises:
        UnknownStep: it has seen one that this program does not know.
    """
    known = [step.__name__ for step in MIGRATIONS]
    tables = db.execute("SELECT name FROM sqlite_master WHERE name = 'migrations'").fetchall()
    done = [name for (name,) in db.execute("SELECT name FROM migrations")] if tables else []
    if strange := sorted(set(done) - set(known)):
        raise UnknownStep(f"it was made by a newer Mien (step {strange[0]}). Update this one.")
    return [name for name in known if name not in done]


def migrate(db: Any, utc: str) -> list[str]:
    """Run the missing steps, each in one transaction with its record; their names.

    `db` is a connection without implicit transactions; `utc` is noted in the record.
    """
    names = missing(db)
    if names:
        db.execute(
            "CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY, utc TEXT NOT NULL)"
        )
    for step in MIGRATIONS:
        if step.__name__ in names:
            with db:
                db.execute("BEGIN IMMEDIATE")
                step(db)
                db.execute("INSERT INTO migrations VALUES (?, ?)", (step.__name__, utc))
    return names
