"""How the database came to its present form: each step once, in order, with the record that it ran.

Only the daemon migrates. A step that shipped is never changed; a new need is a new step.
"""

from collections.abc import Callable, Sequence
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


def people(db: Any) -> None:
    """What people enter, written by the page alone; the daemon reads consents and sessions, and
    notes in `erasures` what it did.

    Ids of what a browser makes are UUIDs, so that a tap sent twice is one row. A session lives
    within one boot, and what belongs to it is dated in whole milliseconds since its start
    (`from_ms`, `to_ms`, `at_ms`): so neither the clock of the box nor that of a tablet can shift a
    tag against its readings. `*_utc` are milliseconds of UTC. `deleted` rows can be taken back
    (undo) until they are swept. Expressions are places in `events.EXPRESSIONS`.
    """
    for statement in (
        # setting: clinic, home or demo; seat: JSON of `config.Seat`; what else the page remembers.
        "CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
        # once: the passphrase was made up by somebody else and is to be changed at once.
        """CREATE TABLE users (
            id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE COLLATE NOCASE, roles TEXT NOT NULL,
            passphrase TEXT NOT NULL, pin TEXT, language TEXT, theme TEXT,
            created_utc INTEGER NOT NULL, disabled INTEGER NOT NULL DEFAULT 0,
            once INTEGER NOT NULL DEFAULT 0)""",
        # `id` is the SHA-256 of the cookie: who reads the table cannot sign in with it. `locked`:
        # 0, or 1 and one more for each wrong PIN.
        """CREATE TABLE logins (
            id TEXT PRIMARY KEY, user INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,
            created_utc INTEGER NOT NULL, seen_utc INTEGER NOT NULL,
            locked INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID""",
        # Failed attempts at a door (a user's name, or an address), with the time it opens again.
        """CREATE TABLE attempts (
            door TEXT PRIMARY KEY, failures INTEGER NOT NULL, last_utc INTEGER NOT NULL,
            shut_until_utc INTEGER NOT NULL) WITHOUT ROWID""",
        """CREATE TABLE audit (
            id INTEGER PRIMARY KEY, utc INTEGER NOT NULL, user TEXT NOT NULL, action TEXT NOT NULL,
            subject TEXT NOT NULL, detail TEXT NOT NULL, hash TEXT NOT NULL)""",
        # `resident`: a person of the house, whom the home log is about.
        """CREATE TABLE clients (
            id TEXT PRIMARY KEY, code TEXT NOT NULL COLLATE NOCASE, owner INTEGER NOT NULL
            REFERENCES users, resident INTEGER NOT NULL DEFAULT 0, created_utc INTEGER NOT NULL,
            archived INTEGER NOT NULL DEFAULT 0, UNIQUE (owner, code)) WITHOUT ROWID""",
        """CREATE TABLE notices (
            id INTEGER PRIMARY KEY, client TEXT NOT NULL REFERENCES clients ON DELETE CASCADE,
            version INTEGER NOT NULL, language TEXT NOT NULL, shown_utc INTEGER NOT NULL,
            user TEXT NOT NULL)""",
        # kind: live, numbers, pictures, training, home. Valid while nothing is withdrawn.
        """CREATE TABLE consents (
            id INTEGER PRIMARY KEY, client TEXT NOT NULL REFERENCES clients ON DELETE CASCADE,
            kind TEXT NOT NULL, version INTEGER NOT NULL, given_utc INTEGER NOT NULL,
            user TEXT NOT NULL, withdrawn_utc INTEGER)""",
        # Stretches of the daemon's tables to erase; `done_utc` once the daemon said it did.
        """CREATE TABLE erasures (
            id INTEGER PRIMARY KEY, client TEXT NOT NULL, boot TEXT NOT NULL,
            from_ms INTEGER NOT NULL, to_ms INTEGER NOT NULL, asked_utc INTEGER NOT NULL,
            done_utc INTEGER, rows INTEGER)""",
        """CREATE TABLE sessions (
            id TEXT PRIMARY KEY, client TEXT NOT NULL REFERENCES clients ON DELETE CASCADE,
            user INTEGER NOT NULL REFERENCES users, boot TEXT NOT NULL, boot_ms INTEGER NOT NULL,
            utc INTEGER NOT NULL, clock_ok INTEGER NOT NULL, length_ms INTEGER, ended TEXT,
            numbers INTEGER NOT NULL, pictures INTEGER NOT NULL, bundle TEXT, head TEXT,
            active_ms INTEGER NOT NULL DEFAULT 0, counted INTEGER NOT NULL DEFAULT 0)""",
        """CREATE TABLE keywords (
            id TEXT PRIMARY KEY, user INTEGER NOT NULL REFERENCES users, text TEXT NOT NULL,
            used_utc INTEGER NOT NULL, hidden INTEGER NOT NULL DEFAULT 0,
            UNIQUE (user, text)) WITHOUT ROWID""",
        # A moment has to_ms = from_ms; a stretch that goes on has none.
        """CREATE TABLE tags (
            id TEXT PRIMARY KEY, session TEXT NOT NULL REFERENCES sessions ON DELETE CASCADE,
            keyword TEXT NOT NULL REFERENCES keywords, from_ms INTEGER NOT NULL, to_ms INTEGER,
            deleted INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID""",
        """CREATE TABLE exclusions (
            id TEXT PRIMARY KEY, session TEXT NOT NULL REFERENCES sessions ON DELETE CASCADE,
            from_ms INTEGER NOT NULL, to_ms INTEGER, deleted INTEGER NOT NULL DEFAULT 0)
            WITHOUT ROWID""",
        """CREATE TABLE notes (
            id TEXT PRIMARY KEY, session TEXT NOT NULL REFERENCES sessions ON DELETE CASCADE,
            at_ms INTEGER NOT NULL, text TEXT NOT NULL, deleted INTEGER NOT NULL DEFAULT 0)
            WITHOUT ROWID""",
        # Every tap that was acknowledged, so that one sent again is not done again.
        """CREATE TABLE taps (
            id TEXT PRIMARY KEY, session TEXT NOT NULL REFERENCES sessions ON DELETE CASCADE,
            answer TEXT NOT NULL) WITHOUT ROWID""",
        # face: JPEG; crop: PNG 48×48 grey, what the network saw; probabilities: 7 × f32;
        # embedding: f32 each; maps: 7 class-activation maps u8 of `side`×`side`.
        """CREATE TABLE captures (
            id TEXT PRIMARY KEY, session TEXT NOT NULL REFERENCES sessions ON DELETE CASCADE,
            at_ms INTEGER NOT NULL, expression INTEGER, reason TEXT, probabilities BLOB NOT NULL,
            side INTEGER, bundle TEXT NOT NULL, quality REAL, deleted INTEGER NOT NULL DEFAULT 0,
            embedding BLOB, maps BLOB, crop BLOB NOT NULL, face BLOB NOT NULL)""",
        # The newest of a capture counts; no label: a person could not tell either. blind: said
        # without having seen what the network said.
        """CREATE TABLE corrections (
            id INTEGER PRIMARY KEY, capture TEXT NOT NULL REFERENCES captures ON DELETE CASCADE,
            expression INTEGER, user TEXT NOT NULL, utc INTEGER NOT NULL,
            blind INTEGER NOT NULL DEFAULT 0)""",
        # The mean of ln p, 7 × f32, over half a minute of a client's neutral face.
        """CREATE TABLE baselines (
            id TEXT PRIMARY KEY, client TEXT NOT NULL REFERENCES clients ON DELETE CASCADE,
            session TEXT REFERENCES sessions ON DELETE CASCADE, utc INTEGER NOT NULL,
            seconds INTEGER NOT NULL, bundle TEXT NOT NULL, mean BLOB NOT NULL,
            active INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID""",
        # What a map is summed from, see `cells`: counts are 32 × u32, seconds and unbroken runs
        # of eight looks under a topic and in the rest of the session. No keyword: the whole
        # session; no baseline: as the box read it.
        """CREATE TABLE cells (
            session TEXT NOT NULL REFERENCES sessions ON DELETE CASCADE, baseline TEXT NOT NULL,
            keyword TEXT NOT NULL, counts BLOB NOT NULL,
            PRIMARY KEY (session, baseline, keyword)) WITHOUT ROWID""",
        # The picture library. face: JPEG of the cropped face; crop: PNG 48×48 grey. They stand
        # last: what is behind them in a row is slow to read.
        """CREATE TABLE pictures (
            id INTEGER PRIMARY KEY, sha256 TEXT NOT NULL UNIQUE, dhash TEXT NOT NULL,
            client TEXT REFERENCES clients ON DELETE CASCADE, capture TEXT, source TEXT NOT NULL,
            name TEXT NOT NULL, color TEXT NOT NULL, width INTEGER NOT NULL,
            height INTEGER NOT NULL, expression INTEGER, quality REAL, added_utc INTEGER NOT NULL,
            face BLOB NOT NULL, crop BLOB NOT NULL)""",
        """CREATE TABLE predictions (
            picture INTEGER NOT NULL REFERENCES pictures ON DELETE CASCADE, bundle TEXT NOT NULL,
            head TEXT NOT NULL, expression INTEGER, probabilities BLOB NOT NULL,
            embedding BLOB NOT NULL, PRIMARY KEY (picture, bundle, head)) WITHOUT ROWID""",
        # A personal last layer: weights f32 [embedding, 7] and bias f32 [7], in this order.
        """CREATE TABLE heads (
            id TEXT PRIMARY KEY, client TEXT NOT NULL REFERENCES clients ON DELETE CASCADE,
            bundle TEXT NOT NULL, utc INTEGER NOT NULL, weights BLOB NOT NULL,
            settings TEXT NOT NULL, result TEXT NOT NULL, active INTEGER NOT NULL DEFAULT 0)
            WITHOUT ROWID""",
        "CREATE INDEX consents_client ON consents (client)",
        "CREATE INDEX sessions_client ON sessions (client, utc)",
        "CREATE INDEX sessions_running ON sessions (boot) WHERE length_ms IS NULL",
        "CREATE INDEX sessions_span ON sessions (boot, boot_ms)",
        "CREATE INDEX episodes_span ON episodes (boot, boot_ms, length_ms)",
        "CREATE INDEX tags_session ON tags (session)",
        "CREATE INDEX tags_keyword ON tags (keyword)",
        "CREATE INDEX exclusions_session ON exclusions (session)",
        "CREATE INDEX notes_session ON notes (session)",
        "CREATE INDEX captures_session ON captures (session)",
        "CREATE INDEX corrections_capture ON corrections (capture)",
        "CREATE INDEX pictures_expression ON pictures (expression)",
        "CREATE INDEX pictures_dhash ON pictures (dhash)",
        # What is counted in the library, without touching the rows, which are mostly pixels.
        "CREATE INDEX pictures_counted ON pictures (client, expression, source, color)",
        "CREATE INDEX predictions_counted ON predictions (bundle, head, picture, expression)",
        # However a head goes (erased, consent withdrawn, client deleted), what it said goes too.
        """CREATE TRIGGER heads_gone AFTER DELETE ON heads BEGIN
            DELETE FROM predictions WHERE bundle = OLD.bundle AND head = OLD.id; END""",
    ):
        db.execute(statement)


def home(db: Any) -> None:
    """The home log: what was seen, by the quarter of an hour, and what people say of themselves.

    `quarters` is the daemon's, all else the page's. A quarter is 900,000 ms of UTC, for which every
    time zone in use has whole numbers; only minutes with a true time and outside of all sessions
    are in it. `imported`: 0, or when it was taken over from another box's export (ms of UTC); own
    minutes replace it.
    """
    for statement in (
        # Seconds with several people in the seat, of whom nobody is read.
        "ALTER TABLE minutes ADD COLUMN several INTEGER NOT NULL DEFAULT 0",
        """CREATE TABLE quarters (
            quarter INTEGER PRIMARY KEY, seconds INTEGER NOT NULL, seen INTEGER NOT NULL,
            facing INTEGER NOT NULL, read INTEGER NOT NULL, several INTEGER NOT NULL,
            anger INTEGER NOT NULL, disgust INTEGER NOT NULL, fear INTEGER NOT NULL,
            happiness INTEGER NOT NULL, sadness INTEGER NOT NULL, surprise INTEGER NOT NULL,
            neutral INTEGER NOT NULL, valence INTEGER NOT NULL,
            imported INTEGER NOT NULL DEFAULT 0)""",
        # The first quarter that is not in it yet.
        "CREATE TABLE rolled (quarter INTEGER NOT NULL)",
        "INSERT INTO rolled VALUES (0)",
        # Where sessions were begun, ended or deleted, whoever did it: the quarters there are to be
        # counted again.
        """CREATE TABLE unsettled (
            boot TEXT NOT NULL, from_ms INTEGER NOT NULL, to_ms INTEGER NOT NULL)""",
        """CREATE TRIGGER sessions_begun AFTER INSERT ON sessions BEGIN
            INSERT INTO unsettled VALUES
                (NEW.boot, NEW.boot_ms, NEW.boot_ms + ifnull(NEW.length_ms, 1 << 40)); END""",
        """CREATE TRIGGER sessions_ended AFTER UPDATE OF boot, boot_ms, length_ms ON sessions BEGIN
            INSERT INTO unsettled VALUES
                (OLD.boot, OLD.boot_ms, OLD.boot_ms + ifnull(OLD.length_ms, 1 << 40)),
                (NEW.boot, NEW.boot_ms, NEW.boot_ms + ifnull(NEW.length_ms, 1 << 40)); END""",
        """CREATE TRIGGER sessions_gone AFTER DELETE ON sessions BEGIN
            INSERT INTO unsettled VALUES
                (OLD.boot, OLD.boot_ms, OLD.boot_ms + ifnull(OLD.length_ms, 1 << 40)); END""",
        # utc in ms; day: `date.toordinal()` of the local date as it was lived; hour 0–23 and
        # weekday 1 (Monday) – 7 likewise. Reports of others know no date, only hour and weekday.
        # mood 1 (awful) – 5 (great); bit n of emotions is `emotions.EMOTIONS[n]`. Null: not said.
        """CREATE TABLE checkins (
            id TEXT PRIMARY KEY, client TEXT NOT NULL REFERENCES clients ON DELETE CASCADE,
            utc INTEGER, day INTEGER, hour INTEGER, weekday INTEGER NOT NULL, mood INTEGER,
            emotions INTEGER, note TEXT NOT NULL DEFAULT '', source TEXT NOT NULL,
            made_utc INTEGER NOT NULL, deleted INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID""",
        """CREATE TABLE activities (
            id TEXT PRIMARY KEY, client TEXT NOT NULL REFERENCES clients ON DELETE CASCADE,
            text TEXT NOT NULL COLLATE NOCASE, used_utc INTEGER NOT NULL,
            hidden INTEGER NOT NULL DEFAULT 0, UNIQUE (client, text)) WITHOUT ROWID""",
        """CREATE TABLE checkin_activities (
            checkin TEXT NOT NULL REFERENCES checkins ON DELETE CASCADE,
            activity TEXT NOT NULL REFERENCES activities ON DELETE CASCADE,
            PRIMARY KEY (checkin, activity)) WITHOUT ROWID""",
        # `id` is the SHA-256 of the token, as in `logins`; scopes are words of `tokens.SCOPES`.
        """CREATE TABLE tokens (
            id TEXT PRIMARY KEY, user INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,
            name TEXT NOT NULL, scopes TEXT NOT NULL, created_utc INTEGER NOT NULL,
            used_utc INTEGER) WITHOUT ROWID""",
        "CREATE INDEX checkins_day ON checkins (client, day)",
        # All that the list of imports tells, for one may have a million.
        "CREATE INDEX checkins_source ON checkins (client, source, deleted, made_utc, day)",
        "CREATE INDEX checkin_activities_activity ON checkin_activities (activity)",
    ):
        db.execute(statement)


MIGRATIONS: tuple[Callable[[Any], None], ...] = (first_tables, models, people, home)


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


def migrate(db: Any, utc: str, steps: Sequence[Callable[[Any], None]] | None = None) -> list[str]:
    """Run the missing steps, each in one transaction with its record; their names.

    `db` is a connection without implicit transactions; `utc` is noted in the record. `steps`: but
    these, to make a database as it was before the others.
    """
    steps, names = MIGRATIONS if steps is None else steps, missing(db)
    if names:
        db.execute(
            "CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY, utc TEXT NOT NULL)"
        )
    for step in steps:
        if step.__name__ in names:
            with db:
                db.execute("BEGIN IMMEDIATE")
                step(db)
                db.execute("INSERT INTO migrations VALUES (?, ?)", (step.__name__, utc))
    return [step.__name__ for step in steps if step.__name__ in names]
