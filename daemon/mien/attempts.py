"""Failed attempts at a door, such as a user's name or an address: each makes the next wait longer.

They are rows, so that pulling the plug opens nothing. An attempt counts as failed from the moment
it begins and is taken back if it succeeds, so that many at once do not slip through.
"""

import hashlib
from typing import Any

LONGEST_MS = 15 * 60_000
FORGOTTEN_MS = 24 * 3_600_000
FREE = {"user": 3, "code": 3, "address": 10, "token": 10}
"""Failures without a wait. Several tablets may share an address, so it has more."""


def door(kind: str, name: str) -> str:
    """The name of a door. Hashed, for people type passphrases where their name belongs."""
    return f"{kind}:{hashlib.sha256(name.casefold().encode()).hexdigest()[:32]}"


def wait_ms(failures: int, free: int) -> int:
    """How long a door stays shut: 1 s after the last free failure, doubling to 15 minutes."""
    return 0 if failures < free else min(1000 << min(failures - free, 10), LONGEST_MS)


def begin(db: Any, utc_ms: int, *doors: str) -> int:
    """Try these doors: 0 and counted as failed, or the milliseconds until they are open again."""
    db.execute("DELETE FROM attempts WHERE last_utc < ?", (utc_ms - FORGOTTEN_MS,))
    # A clock that was set back must not keep anybody out for years.
    db.execute(
        "UPDATE attempts SET last_utc = min(last_utc, ?), shut_until_utc = min(shut_until_utc, ?)",
        (utc_ms, utc_ms + LONGEST_MS),
    )
    marks = ", ".join("?" * len(doors))
    shut = db.execute(
        f"SELECT max(shut_until_utc) FROM attempts WHERE door IN ({marks})", doors
    ).fetchone()[0]
    if shut is not None and shut > utc_ms:
        return int(shut - utc_ms)
    for each in doors:
        row = db.execute("SELECT failures FROM attempts WHERE door = ?", (each,)).fetchone()
        failures = row[0] + 1 if row else 1
        shut = utc_ms + wait_ms(failures, FREE[each.partition(":")[0]])
        db.execute(
            "INSERT INTO attempts VALUES (?, ?, ?, ?) ON CONFLICT (door) DO UPDATE SET "
            "failures = excluded.failures, last_utc = excluded.last_utc, "
            "shut_until_utc = excluded.shut_until_utc",
            (each, failures, utc_ms, shut),
        )
    return 0


def shut(db: Any, utc_ms: int, door: str) -> bool:
    row = db.execute("SELECT shut_until_utc FROM attempts WHERE door = ?", (door,)).fetchone()
    return row is not None and row[0] > utc_ms


def succeeded(db: Any, *doors: str) -> None:
    """The attempt that began was right: a name's failures are forgotten, an address loses this one
    only, for whoever guesses may have a log-in of their own."""
    for each in doors:
        if each.startswith("address:"):
            db.execute(
                "UPDATE attempts SET failures = max(0, failures - 1), shut_until_utc = 0 "
                "WHERE door = ?",
                (each,),
            )
        else:
            db.execute("DELETE FROM attempts WHERE door = ?", (each,))


def forget(db: Any, *doors: str) -> None:
    """What a reset does for who was locked out."""
    for each in doors:
        db.execute("DELETE FROM attempts WHERE door = ?", (each,))
