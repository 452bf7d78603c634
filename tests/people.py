"""What people enter, as rows in a store: for tests of the daemon, which only reads them."""

from pathlib import Path
from typing import Any

from mien import settings
from mien.clock import Clock
from mien.database import FILE, Database, key


class People:
    """Writes as the page does, over a connection of its own, beside a store that is open."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.clock = clock
        self.database = Database(folder / FILE, key(folder, make=False), clock, "page")
        self.write(
            "INSERT OR IGNORE INTO users (id, name, roles, passphrase, created_utc) "
            "VALUES (1, 'anna', 'therapist', '', 0)"
        )

    def write(self, query: str, *values: object) -> None:
        self.database.write(lambda db: db.execute(query, values))

    def rows(self, query: str, *values: object) -> list[Any]:
        return self.database.read(lambda db: db.execute(query, values).fetchall())

    def put(self, name: str, value: Any) -> None:
        self.database.write(lambda db: settings.put(db, name, value))

    def client(
        self, id: str, *consents: str, notice: int | None = 1, resident: bool = False
    ) -> str:
        self.write(
            "INSERT INTO clients (id, code, owner, resident, created_utc) VALUES (?, ?, 1, ?, 0)",
            id, id, resident,
        )  # fmt: skip
        if notice:
            self.write(
                "INSERT INTO notices (client, version, language, shown_utc, user) "
                "VALUES (?, ?, 'en', 0, 'anna')",
                id, notice,
            )  # fmt: skip
        for kind in consents:
            self.write(
                "INSERT INTO consents (client, kind, version, given_utc, user) "
                "VALUES (?, ?, 1, 0, 'anna')",
                id, kind,
            )  # fmt: skip
        return id

    def withdraw(self, client: str, kind: str) -> None:
        self.write(
            "UPDATE consents SET withdrawn_utc = 1 WHERE client = ? AND kind = ?", client, kind
        )

    def session(
        self,
        id: str,
        client: str,
        *,
        boot: str | None = None,
        start: float | None = None,
        length: float | None = None,
        numbers: bool = True,
        pictures: bool = True,
    ) -> str:
        """`start` in seconds since the boot, by default now; it runs unless it has a length."""
        now = self.clock.stamp()
        self.write(
            "INSERT INTO sessions (id, client, user, boot, boot_ms, utc, clock_ok, length_ms, "
            "numbers, pictures) VALUES (?, ?, 1, ?, ?, ?, 1, ?, ?, ?)",
            id, client, boot or now.boot_id,
            round((now.boot_time if start is None else start) * 1000), round(now.utc * 1000),
            None if length is None else round(length * 1000), numbers, pictures,
        )  # fmt: skip
        return id

    def stop(self, session: str, length: float = 1.0) -> None:
        self.write(
            "UPDATE sessions SET length_ms = ?, ended = 'stopped' WHERE id = ?",
            round(length * 1000),
            session,
        )

    def close(self) -> None:
        self.database.close()
