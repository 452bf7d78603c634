"""What a withdrawn consent erases: which rows, how many there were, and whether they are gone.

The page erases what is in its own tables in the transaction of the withdrawal. What the daemon
wrote (readings, minutes, episodes) the daemon erases: the page asks for it in the table
`erasures`, and a stretch stands there without `done_utc` until that was done.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from mien import audit, quarters, sessions
from mien.clients import KINDS, Client, Kind, standing
from mien.clock import Stamp
from mien.events import Stretch

ALONG: dict[Kind, tuple[Kind, ...]] = {"pictures": ("training",)}
"""What is withdrawn with it: without pictures there is nothing to train from. Live analysis takes
nothing along, for to keep what there is needs no camera."""

Counts = dict[str, int]


class Receipt(Struct, frozen=True):
    """An erasure as the audit list tells it: when and by whom (UTC in ms), what of, and how many
    rows of what there were before, by the consent; `client` is the id, `code` the code name."""

    entry: audit.Entry
    client: str
    kinds: list[str]
    before: dict[str, Counts]
    erasures: tuple[int, int]
    """The first of its rows in `erasures`, and the one after the last."""

    @property
    def code(self) -> str:
        return self.entry.subject


class Progress(Struct, frozen=True):
    """How far the daemon is with the stretches of a receipt."""

    asked: int
    done: int
    rows: int
    done_utc: int | None


def with_dependents(kind: Kind) -> list[Kind]:
    """What is withdrawn together, the consent itself last."""
    return [*ALONG.get(kind, ()), kind]


# ── which stretches of the daemon's tables are a client's ────────────────────────────────────────


def of_sessions(db: Any, client: str, now: Stamp) -> list[Stretch]:
    """The stretches of a client's sessions. One that nobody stopped goes on to the next session of
    that boot, or to now, or to the last that was read in that boot."""
    now_ms = round(now.boot_time * 1000)
    rows = db.execute(
        "SELECT boot, boot_ms, length_ms, (SELECT min(boot_ms) FROM sessions n "
        "WHERE n.boot = s.boot AND n.boot_ms > s.boot_ms), (SELECT (max(minute) + 1) * 60000 "
        "FROM minutes m JOIN boots b ON b.id = m.boot WHERE b.boot_id = s.boot) "
        "FROM sessions s WHERE client = ? ORDER BY utc, boot_ms",
        (client,),
    )
    stretches = []
    for boot, start, length, following, last in rows:
        if length is not None:
            end = start + length
        elif following is not None:
            end = following
        else:
            end = now_ms + 1 if boot == now.boot_id else last or start
        stretches.append(Stretch(boot, start, end))
    return [stretch for stretch in stretches if stretch.from_ms < stretch.to_ms]


def of_home_log(db: Any, client: str, now: Stamp) -> list[Stretch]:
    """The stretches read outside of all sessions since this person consented to the home log.

    Nobody is recognised, so the log of a house is one: it is erased from that time on whoever sat
    there. Minutes that never learnt their time count in when they may be later than the consent.
    """
    given = standing(db, client).get("home")
    if given is None:
        return []
    since = db.execute(
        "SELECT min(given_utc) FROM consents "
        "WHERE client = ? AND kind = 'home' AND withdrawn_utc IS NULL",
        (client,),
    ).fetchone()[0]
    spans: dict[str, tuple[int, int]] = {
        boot: (first * 60_000, (last + 1) * 60_000)
        for boot, first, last in db.execute(
            "SELECT boot_id, min(minute), max(minute) FROM minutes m JOIN boots b ON b.id = m.boot "
            "WHERE utc_ms > ? - 60000 AND clock_ok OR clock_ok = 0 AND m.boot >= "
            "(SELECT ifnull(max(boot), 0) FROM minutes WHERE clock_ok AND utc_ms <= ? - 60000) "
            "GROUP BY boot_id ORDER BY m.boot",
            (since, since),
        )
    }
    # What the daemon has not written yet is in no minute.
    now_ms = round(now.boot_time * 1000)
    begun = max(0, now_ms - max(0, round(now.utc * 1000) - since))
    spans[now.boot_id] = (min(begun, *spans.get(now.boot_id, (begun,))), now_ms + 1)
    stretches = [
        Stretch(boot, start, end)
        for boot, (first, last) in spans.items()
        for start, end in _beside(first, last, _sessions_in(db, boot))
    ]
    return [*stretches, Stretch(quarters.IMPORTED, since, _EVER)]


def _sessions_in(db: Any, boot: str) -> list[tuple[int, int]]:
    rows = db.execute(
        "SELECT boot_ms, boot_ms + ifnull(length_ms, ?) FROM sessions WHERE boot = ? ORDER BY 1",
        (_END_OF_BOOT, boot),
    )
    return [(start, end) for start, end in rows]


def _beside(first: int, last: int, spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """What of first ≤ t < last lies in none of these spans, which are in order."""
    left = []
    for start, end in spans:
        if first < min(start, last):
            left.append((first, min(start, last)))
        first = max(first, end)
    return [*left, (first, last)] if first < last else left


# ── counting ─────────────────────────────────────────────────────────────────────────────────────


def counts(db: Any, client: str, kind: Kind, now: Stamp, *, exact: bool = True) -> Counts:
    """How many rows withdrawing this consent erases, by name; see `recorded`."""
    if kind == "numbers":
        found = recorded(db, of_sessions(db, client, now), exact=exact)
        return {**found, **_counted(db, _NUMBERS, client)}
    if kind == "home":
        return recorded(db, of_home_log(db, client, now), exact=exact)
    return _counted(db, {"pictures": _PICTURES, "training": _TRAINING, "live": _LIVE}[kind], client)


def counts_of_all(db: Any, client: str, now: Stamp, *, exact: bool = True) -> dict[str, Counts]:
    """What goes with a client altogether, by the consent and, under `client`, the rest."""
    return {
        **{k: counts(db, client, k, now, exact=exact) for k in KINDS if k != "live"},
        "client": _counted(db, _CLIENT, client),
    }


def recorded(db: Any, stretches: Sequence[Stretch], *, exact: bool = True) -> Counts:
    """The rows of the daemon's tables in these stretches: `readings` of a second, whole `minutes`
    (one that is shared with what comes before or after stays, without these seconds), `episodes`,
    and in how many of the stretches there are any, `sessions`; and the quarters of an hour that
    were taken over from another box, `imported`.

    Not `exact`: the readings as their minutes tell, a hundred times as fast for a year of sessions.
    """
    boots = {boot: number for number, boot in db.execute("SELECT id, boot_id FROM boots")}
    found = dict.fromkeys(("readings", "minutes", "episodes", "sessions"), 0)
    for stretch in stretches:
        if stretch.boot == quarters.IMPORTED:
            found["imported"] = quarters.imported(db, stretch)
            continue
        boot = boots.get(stretch.boot)
        if boot is None:
            continue
        start, end = stretch.from_ms, stretch.to_ms
        asked: dict[str, tuple[str, tuple[int, ...]]] = {
            "readings": (
                "count(*) FROM readings WHERE id >= ? AND id < ?",
                (boot << 40 | start, boot << 40 | min(end, _END_OF_BOOT)),
            )
            if exact
            else (
                f"ifnull(sum(seconds), 0) {_MINUTES}",
                (boot, start // 60_000, -(-end // 60_000)),
            ),
            "minutes": (f"count(*) {_MINUTES}", (boot, -(-start // 60_000), end // 60_000)),
            "episodes": (
                "count(*) FROM episodes WHERE boot = ? AND boot_ms < ? AND boot_ms + length_ms > ?",
                (boot, end, start),
            ),
        }
        of_stretch = {
            name: int(db.execute(f"SELECT {query}", values).fetchone()[0])
            for name, (query, values) in asked.items()
        }
        for name, count in of_stretch.items():
            found[name] += count
        found["sessions"] += any(of_stretch.values())
    return found


def _counted(db: Any, queries: dict[str, str], client: str) -> Counts:
    return {
        name: int(db.execute(f"SELECT count(*) FROM {query}", (client,)).fetchone()[0])
        for name, query in queries.items()
    }


_MINUTES = "FROM minutes WHERE boot = ? AND minute >= ? AND minute < ?"
_OF_SESSION = "session IN (SELECT id FROM sessions WHERE client = ?)"
_OF_CAPTURE = f"capture IN (SELECT id FROM captures WHERE {_OF_SESSION})"
_LIVE = {"running": "sessions WHERE client = ? AND length_ms IS NULL"}
_NUMBERS = {"cells": f"cells WHERE {_OF_SESSION}", "baselines": "baselines WHERE client = ?"}
_PICTURES = {
    "captures": f"captures WHERE {_OF_SESSION}",
    "corrections": f"corrections WHERE {_OF_CAPTURE}",
    "pictures": f"pictures WHERE {_OF_CAPTURE}",
    "predictions": f"predictions WHERE picture IN (SELECT id FROM pictures WHERE {_OF_CAPTURE})",
}
_TRAINING = {
    "heads": "heads WHERE client = ?",
    "embeddings": f"captures WHERE embedding IS NOT NULL AND {_OF_SESSION}",
    "pictures": "pictures WHERE client = ?",
    "predictions": "predictions WHERE picture IN (SELECT id FROM pictures WHERE client = ?)",
}
_CLIENT = {
    "visits": "sessions WHERE client = ?",
    "tags": f"tags WHERE {_OF_SESSION}",
    "notes": f"notes WHERE {_OF_SESSION}",
    "exclusions": f"exclusions WHERE {_OF_SESSION}",
    "consents": "consents WHERE client = ?",
    "notices": "notices WHERE client = ?",
    "checkins": "checkins WHERE client = ?",
    "activities": "activities WHERE client = ?",
}

# ── erasing ──────────────────────────────────────────────────────────────────────────────────────


def withdraw(db: Any, client: Client, kind: Kind, user: str, now: Stamp) -> int | None:
    """Withdraw a consent with what hangs on it, and erase that class of data; the number of the
    entry in the audit list, None where there is nothing to withdraw.

    Runs in one transaction of the caller's: either all of it happened or nothing.
    """
    given = standing(db, client.id)
    kinds = [one for one in with_dependents(kind) if one in given]
    if not kinds:
        return None
    before: dict[str, Counts] = {one: counts(db, client.id, one, now) for one in kinds}
    stretches = _asked(db, client.id, kinds, now)
    for one in kinds:
        db.execute(
            "UPDATE consents SET withdrawn_utc = ? "
            "WHERE client = ? AND kind = ? AND withdrawn_utc IS NULL",
            (round(now.utc * 1000), client.id, one),
        )
        _ERASE[one](db, client.id, now)
    return _noted(db, now, user, "consent.withdrawn", client, before, stretches)


def erase_client(db: Any, client: Client, user: str, now: Stamp) -> int:
    """Withdraw everything and erase the client with all that belongs to it; the number of the
    entry in the audit list, which goes on naming the code name. One transaction, as `withdraw`."""
    before = counts_of_all(db, client.id, now)
    stretches = _asked(db, client.id, ["numbers", "home"], now)
    # Library pictures of captures need not name the client; the rest goes with it by itself.
    _erase_pictures(db, client.id, now)
    _end(db, client.id, now)
    db.execute("DELETE FROM clients WHERE id = ?", (client.id,))
    return _noted(db, now, user, "client.erased", client, before, stretches)


def _asked(db: Any, client: str, kinds: Sequence[Kind], now: Stamp) -> tuple[int, int]:
    """Ask for the erasure of what the daemon wrote; the numbers of the rows."""
    stretches = of_sessions(db, client, now) if "numbers" in kinds else []
    if "home" in kinds:
        stretches += of_home_log(db, client, now)
    asked = round(now.utc * 1000)
    (first,) = db.execute("SELECT ifnull(max(id), 0) + 1 FROM erasures").fetchone()
    db.executemany(
        "INSERT INTO erasures (id, client, boot, from_ms, to_ms, asked_utc) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        [(first + n, client, s.boot, s.from_ms, s.to_ms, asked) for n, s in enumerate(stretches)],
    )
    return first, first + len(stretches)


def _noted(
    db: Any,
    now: Stamp,
    user: str,
    action: str,
    client: Client,
    before: dict[str, Counts],
    erasures: tuple[int, int],
) -> int:
    audit.note(
        db, now.utc, user, action, client.code,
        client=client.id, kinds=list(before), before=before, erasures=erasures,
    )  # fmt: skip
    return audit.entries(db, limit=1)[0].id


def _end(db: Any, client: str, now: Stamp) -> None:
    """End what runs."""
    for session in sessions.of_client(db, client):
        if session.length_ms is None:
            sessions.end(db, session, sessions.now_ms(session, now), "withdrawn", now)


def _erase_numbers(db: Any, client: str, now: Stamp) -> None:
    db.execute(f"DELETE FROM cells WHERE {_OF_SESSION}", (client,))
    db.execute("DELETE FROM baselines WHERE client = ?", (client,))
    # `counted`: nothing is to be summed anew from what the daemon has not erased yet.
    db.execute("UPDATE sessions SET numbers = 0, counted = 1 WHERE client = ?", (client,))


def _erase_pictures(db: Any, client: str, now: Stamp) -> None:
    db.execute(f"DELETE FROM pictures WHERE {_OF_CAPTURE}", (client,))
    db.execute(f"DELETE FROM captures WHERE {_OF_SESSION}", (client,))
    db.execute("UPDATE sessions SET pictures = 0 WHERE client = ?", (client,))


def _erase_training(db: Any, client: str, now: Stamp) -> None:
    db.execute("DELETE FROM heads WHERE client = ?", (client,))
    db.execute("DELETE FROM pictures WHERE client = ?", (client,))
    db.execute(f"UPDATE captures SET embedding = NULL WHERE {_OF_SESSION}", (client,))


def _erase_nothing_here(db: Any, client: str, now: Stamp) -> None:
    """The home log is the daemon's alone."""


_ERASE = {
    "live": _end,
    "numbers": _erase_numbers,
    "pictures": _erase_pictures,
    "training": _erase_training,
    "home": _erase_nothing_here,
}
_END_OF_BOOT = (1 << 40) - 1
_EVER = 1 << 62

# ── afterwards ───────────────────────────────────────────────────────────────────────────────────


def receipt(db: Any, entry: int, user: str) -> Receipt | None:
    """The erasure with this number in the audit list, if this user did it."""
    found = audit.entries(db, before=entry + 1, limit=1)
    if not found or found[0].id != entry or found[0].user != user:
        return None
    if found[0].action not in ("consent.withdrawn", "client.erased"):
        return None
    return msgspec.convert(
        {"entry": found[0], **msgspec.json.decode(found[0].detail)}, Receipt, from_attributes=True
    )


def left(db: Any, told: Receipt, now: Stamp) -> dict[str, Counts]:
    """What a receipt counted, counted again now."""
    first, end = told.erasures
    rows = db.execute(
        "SELECT boot, from_ms, to_ms FROM erasures WHERE id >= ? AND id < ?", (first, end)
    )
    stretches = [Stretch(*row) for row in rows]
    now_there: dict[str, Counts] = {}
    for kind, before in told.before.items():
        if kind == "client":
            found = _counted(db, _CLIENT, told.client)
        elif kind == "home":
            found = recorded(db, stretches)
        else:
            found = counts(db, told.client, msgspec.convert(kind, Kind), now)
            if kind == "numbers":
                found.update(recorded(db, stretches))
        now_there[kind] = {name: found[name] for name in before}
    return now_there


def progress(db: Any, told: Receipt) -> Progress:
    """How far the daemon is with what a receipt asks of it."""
    return Progress(
        *db.execute(
            "SELECT count(*), count(done_utc), ifnull(sum(rows), 0), max(done_utc) FROM erasures "
            "WHERE id >= ? AND id < ?",
            told.erasures,
        ).fetchone()
    )


def emptied(db: Any) -> bool:
    """Empty the journal, which may hold what was just erased; False when somebody reads it so long
    that it could not be. Outside of a transaction."""
    return not db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
