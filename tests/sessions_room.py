"""A session in a store in memory, for tests of what taps do to it."""

import uuid

from sqlcipher3 import dbapi2

from mien import migrations, sessions, taps
from mien.clock import ManualClock
from mien.taps import Done, Tap


class Room:
    """An empty store in memory, with one therapist, one client and a clock."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.clock.advance(1000)
        self.db = dbapi2.connect(":memory:", isolation_level=None)
        migrations.migrate(self.db, self.clock.stamp().iso)
        self.db.execute(
            "INSERT INTO users (id, name, roles, passphrase, created_utc) "
            "VALUES (1, 'anna', 'therapist', '', 0), (2, 'bert', 'therapist', '', 0)"
        )
        self.db.execute(
            "INSERT INTO clients (id, code, owner, created_utc) VALUES ('c', 'K-17', 1, 0)"
        )

    def start(self, id: str = "s") -> str:
        sessions.start(self.db, id, "c", 1, self.clock.stamp(), numbers=True, pictures=False)
        return id

    def tap(self, kind: str, age: float = 0, **more: str) -> Done:
        """One tap made `age` seconds ago."""
        return self.send(Tap(more.pop("id", "") or new(), kind, age * 1000, **more))[0]

    def send(self, *sent: Tap) -> list[Done]:
        return taps.perform(self.db, "s", 1, sent, self.clock.stamp())

    def topic(self, text: str = "Mother") -> str:
        return sessions.keyword(self.db, 1, text, self.clock.stamp().utc)

    @property
    def session(self) -> sessions.Session:
        found = sessions.find(self.db, "s", 1)
        assert found
        return found

    @property
    def stretches(self) -> list[tuple[str, int, int | None]]:
        return [(tag.text, tag.from_ms, tag.to_ms) for tag in sessions.tags(self.db, "s")]

    @property
    def excluded(self) -> list[tuple[int, int | None]]:
        return [(one.from_ms, one.to_ms) for one in sessions.exclusions(self.db, "s")]

    def read(self, seconds: int) -> None:
        """A reading a second from the session's start on."""
        boot = self.db.execute(
            "INSERT INTO boots (boot_id) VALUES (?) RETURNING id", (self.clock.boot_id,)
        ).fetchone()[0]
        start = boot << 40 | self.session.boot_ms
        self.db.executemany(
            "INSERT INTO readings (id, people) VALUES (?, 1)",
            [(start + 1000 * second,) for second in range(seconds)],
        )

    def restart(self) -> None:
        self.clock.boot_id = new()
        self.clock.offset += self.clock.now
        self.clock.now = 5.0


def new() -> str:
    return str(uuid.uuid4())
