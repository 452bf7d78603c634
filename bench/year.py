"""A store with one year of daily sessions, and how long the page takes to answer from it.

    python -m bench.year --state FOLDER           make the year, unless it is there
    python -m bench.year --state FOLDER --times   and ask each page for its server time

One therapist, `anna`, five clients; 365 sessions of 50 minutes with one of them (code `year`), a
reading a second, topics, exclusions, notes, captures and corrections. The same seed, the same year.
"""

import argparse
import hashlib
import random
import statistics
import struct
import sys
import time
import uuid
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flask import Flask

from mien import clock as clocks
from mien.bundle import load_bundle, shipped_bundle
from mien.clock import ManualClock
from mien.config import Box, Config, Store
from mien.database import Database
from mien.store import Store as OpenStore
from mien_web import create_app, desk, door

DAYS = 365
SECONDS = 3000
USER = "anna"
CLIENT = "00000000-0000-4000-8000-000000000001"
LOGIN = "year"
"""What the cookie of anna's log-in holds."""
GOAL_MS = 100
GOAL_KB = 200

_TOPICS = """work,mother,father,sleep,money,the move,school,partner,children,friends,body,food,
anger,shame,holiday,Sunday evenings,the doctor,being alone,plans,music,the accident,brother,the dog,
travel,hope""".replace("\n", "").split(",")
_STATIONARY = (0.05, 0.01, 0.03, 0.16, 0.12, 0.03, 0.48, 0.12)  # seven expressions, cannot tell
_DWELL_S = (6, 5, 5, 8, 10, 4, 22, 12)
_DAY_MS = 86_400_000


def make(state: Path) -> None:
    """The year up to now, in a state folder that has none yet."""
    clock = clocks.SystemClock()
    store = OpenStore.open(state, clock, Store())  # which makes the tables
    store.close()
    database = desk.open_store(Config(box=Box(state_dir=str(state))), clock)
    try:
        if not database.read(lambda db: db.execute("SELECT 1 FROM clients").fetchone()):
            database.read(lambda db: db.execute("PRAGMA synchronous = OFF").fetchall())
            database.write(lambda db: _year(db, round(clock.stamp().utc * 1000)))
    finally:
        database.close()


def _year(db: Any, now: int) -> None:
    chance = random.Random(1)
    first = now - DAYS * _DAY_MS
    user = _people(db, first)
    keywords = [str(uuid.UUID(int=chance.getrandbits(128))) for _ in _TOPICS]
    db.executemany(
        "INSERT INTO keywords VALUES (?, ?, ?, ?, 0)",
        [(key, user, text, now) for key, text in zip(keywords, _TOPICS, strict=True)],
    )
    bundle = load_bundle(shipped_bundle())
    for day in range(DAYS):
        if day % 7 == 0:  # the box is started anew each week
            boot = str(uuid.UUID(int=chance.getrandbits(128)))
            db.execute("INSERT INTO boots VALUES (NULL, ?)", (boot,))
            (number,) = db.execute("SELECT id FROM boots WHERE boot_id = ?", (boot,)).fetchone()
            db.execute(
                "INSERT INTO models VALUES (?, 0, ?, ?)",
                (number, bundle.name, bundle.files["expression.tflite"]),
            )
        boot_ms = day % 7 * _DAY_MS + 9 * 3_600_000 + chance.randrange(1000)
        utc = first + day * _DAY_MS
        session = str(uuid.UUID(int=chance.getrandbits(128)))
        db.execute(
            "INSERT INTO sessions (id, client, user, boot, boot_ms, utc, clock_ok, length_ms, "
            "ended, numbers, pictures, bundle, active_ms) "
            "VALUES (?, ?, ?, ?, ?, ?, 1, ?, 'stopped', 1, 1, ?, ?)",
            (session, CLIENT, user, boot, boot_ms, utc, SECONDS * 1000, bundle.name, boot_ms),
        )
        db.executemany(
            "INSERT INTO readings VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            _readings(chance, number << 40 | boot_ms),
        )
        _minutes(db, number, boot_ms, utc)
        _entered(db, chance, session, keywords, day)
        _captures(db, chance, session, bundle.name, utc)


def _people(db: Any, utc: int) -> int:
    db.execute("INSERT OR REPLACE INTO settings VALUES ('setting', '\"clinic\"')")
    user = int(
        db.execute(
            "INSERT INTO users (name, roles, passphrase, created_utc) "
            "VALUES (?, 'therapist administrator', '', ?)",
            (USER, utc),
        ).lastrowid
    )
    login = hashlib.sha256(LOGIN.encode()).hexdigest()
    db.execute(
        "INSERT INTO logins (id, user, created_utc, seen_utc) VALUES (?, ?, ?, ?)",
        (login, user, utc + DAYS * _DAY_MS, utc + DAYS * _DAY_MS),
    )
    for number, code in enumerate(("year", "B-02", "B-03", "B-04", "B-05"), 1):
        key = f"00000000-0000-4000-8000-{number:012}"
        db.execute(
            "INSERT INTO clients (id, code, owner, created_utc) VALUES (?, ?, ?, ?)",
            (key, code, user, utc),
        )
        db.execute(
            "INSERT INTO notices (client, version, language, shown_utc, user) "
            "VALUES (?, 1, 'en', ?, ?)",
            (key, utc, USER),
        )
        db.executemany(
            "INSERT INTO consents (client, kind, version, given_utc, user) VALUES (?, ?, 1, ?, ?)",
            [(key, kind, utc, USER) for kind in ("live", "numbers", "pictures", "training")],
        )
    return user


_SHARES = [
    [bytes(168 if e == top else 10 + (7 * e + top) % 9 for e in range(7)) for top in range(7)],
    [bytes(210 if e == top else 5 + (5 * e + top) % 5 for e in range(7)) for top in range(7)],
]
_UNSURE = bytes((40, 8, 20, 35, 60, 12, 80))


def _readings(chance: random.Random, first: int) -> Iterator[tuple[Any, ...]]:
    weights = [share / dwell for share, dwell in zip(_STATIONARY, _DWELL_S, strict=True)]
    weights[4] *= chance.uniform(0.4, 2)  # no day is like the other
    second = 0
    while second < SECONDS:
        look = chance.choices(range(8), weights)[0]
        for _ in range(max(1, round(chance.expovariate(1 / _DWELL_S[look])))):
            if second == SECONDS:
                return
            id = first + second * 1000 + 7
            if look < 7:
                kind = second % 2
                confidence = (659, 824)[kind]
                yield id, 1, look, None, confidence, 0, _SHARES[kind][look], 1
            elif second % 3:
                yield id, 1, None, 6, None, 0, _UNSURE, 1
            else:
                yield id, 1, None, 2, None, None, None, 0
            second += 1


def _minutes(db: Any, boot: int, boot_ms: int, utc: int) -> None:
    columns = ", ".join(f"sum(expression IS {place})" for place in range(7))
    first = boot << 40 | boot_ms
    db.execute(
        "INSERT INTO minutes (boot, minute, utc_ms, clock_ok, seconds, seen, facing, read, anger, "
        "disgust, fear, happiness, sadness, surprise, neutral, valence) "
        "SELECT ?, (id & 0xffffffffff) / 60000 AS minute, "
        f"? + (id & 0xffffffffff) / 60000 * 60000, 1, count(*), count(*), sum(facing), "
        f"count(expression), {columns}, 0 FROM readings WHERE id >= ? AND id < ? GROUP BY minute",
        (boot, utc - boot_ms, first, first + SECONDS * 1000),
    )


def _entered(db: Any, chance: random.Random, session: str, keywords: list[str], day: int) -> None:
    def key() -> str:
        return str(uuid.UUID(int=chance.getrandbits(128)))

    tags = []
    for _ in range(10):
        start = chance.randrange(SECONDS - 300) * 1000
        length = 0 if chance.random() < 0.2 else chance.randrange(60, 300) * 1000
        tags.append((key(), session, chance.choice(keywords), start, start + length))
    db.executemany("INSERT INTO tags VALUES (?, ?, ?, ?, ?, 0)", tags)
    if day % 3 == 0:
        start = chance.randrange(SECONDS - 60) * 1000
        db.execute(
            "INSERT INTO exclusions VALUES (?, ?, ?, ?, 0)", (key(), session, start, start + 45_000)
        )
    db.execute(
        "INSERT INTO notes VALUES (?, ?, ?, 'She spoke of the garden, and laughed.', 0)",
        (key(), session, chance.randrange(SECONDS) * 1000),
    )


def _captures(db: Any, chance: random.Random, session: str, bundle: str, utc: int) -> None:
    for _ in range(2):
        look, said = chance.randrange(7), chance.randrange(7)
        capture = str(uuid.UUID(int=chance.getrandbits(128)))
        probabilities = struct.pack("<7f", *(0.76 if e == look else 0.04 for e in range(7)))
        db.execute(
            "INSERT INTO captures (id, session, at_ms, face, crop, expression, reason, "
            "probabilities, embedding, maps, side, bundle, quality) "
            "VALUES (?, ?, ?, ?, ?, ?, NULL, ?, ?, ?, 6, ?, 0.9)",
            (capture, session, chance.randrange(SECONDS) * 1000, _FACE, _CROP, look, probabilities,
             struct.pack("<128f", *(chance.random() for _ in range(128))),
             chance.randbytes(7 * 36), bundle),
        )  # fmt: skip
        db.execute(
            "INSERT INTO corrections (capture, expression, user, utc, blind) "
            "VALUES (?, ?, ?, ?, ?)",
            (capture, look if chance.random() < 0.7 else said, USER, utc, look % 2),
        )


def _png(side: int) -> bytes:
    """A grey ramp as PNG."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    rows = b"".join(b"\0" + bytes((x + y) * 255 // (2 * side) for x in range(side))
                    for y in range(side))  # fmt: skip
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )  # fmt: skip


_CROP = _png(48)
_FACE = _CROP  # no page decodes it


# ── server times ─────────────────────────────────────────────────────────────────────────────────


def measure(state: Path, turns: int = 7) -> list[tuple[str, int, float, float, float, float]]:
    """Every page that a GET opens: its URL, status, median and worst ms of `turns`, median
    ms of CPU, and kB.

    The first look of each, which may still count sessions, is left out.
    """
    config = Config(box=Box(state_dir=str(state)))
    clock = clocks.SystemClock()
    app = create_app(config, clock)
    now = round(clock.stamp().utc * 1000)
    signed_in = "UPDATE logins SET created_utc = ?, seen_utc = ?, locked = 0"
    with app.app_context():
        desk.write(lambda db: db.execute(signed_in, (now, now)))
    browser = app.test_client()
    browser.set_cookie(door.COOKIE, LOGIN)
    rows = []
    for url in _urls(app, config):
        headers = {"Sec-Fetch-Site": "same-origin"}
        for _ in range(60):  # some pages count a little at a time until all is counted
            browser.get(url, headers=headers)
            if "refresh" not in browser.get(url, headers=headers).headers:
                break
        spent, busy = [], []
        for _ in range(turns):
            began, began_cpu = time.perf_counter(), time.process_time()
            answer = browser.get(url, headers=headers)
            size = len(answer.data)
            busy.append((time.process_time() - began_cpu) * 1e3)
            spent.append((time.perf_counter() - began) * 1e3)
        median, cpu = statistics.median(spent), statistics.median(busy)
        rows.append((url, answer.status_code, median, max(spent), cpu, size / 1e3))
    return rows


def _urls(app: Flask, config: Config) -> list[str]:
    database = desk.open_store(config, ManualClock())
    known = _known(database)
    database.close()
    # The live picture waits for a frame, which is no server time.
    left_out = {"static", "live.picture"}
    with app.test_request_context():
        return sorted(
            app.url_for(rule.endpoint, **{name: known[name] for name in rule.arguments})  # type: ignore[arg-type]
            for rule in app.url_map.iter_rules()
            if "GET" in (rule.methods or ())
            and rule.endpoint not in left_out
            and rule.arguments <= known.keys()
        )


def _known(database: Database) -> dict[str, str]:
    """What the arguments of the pages' URLs are called, and one of each."""

    def work(db: Any) -> dict[str, str]:
        session = "SELECT id FROM sessions WHERE client = ? ORDER BY utc LIMIT 1 OFFSET 200"
        (middle,) = db.execute(session, (CLIENT,)).fetchone()
        (capture,) = db.execute("SELECT id FROM captures WHERE session = ?", (middle,)).fetchone()
        return {"client": CLIENT, "session": middle, "capture": capture}

    return database.read(work)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.year", description=__doc__)
    parser.add_argument("--state", type=Path, required=True, help="folder of the store")
    parser.add_argument("--times", action="store_true", help="server time of each page")
    asked = parser.parse_args()
    began = time.perf_counter()
    make(asked.state)
    print(f"a year lies in {asked.state} ({time.perf_counter() - began:.0f} s)", file=sys.stderr)
    if not asked.times:
        return 0
    rows = measure(asked.state)
    print(f"{'page':72} {'status':>6} {'median ms':>10} {'worst ms':>9} {'CPU ms':>7} {'kB':>7}")
    for url, status, median, worst, cpu, size in rows:
        late = "  ← over" if median > GOAL_MS or size > GOAL_KB else ""
        print(f"{url:72} {status:6} {median:10.1f} {worst:9.1f} {cpu:7.1f} {size:7.1f}{late}")
    return any(median > GOAL_MS or size > GOAL_KB for _, _, median, _, _, size in rows)


if __name__ == "__main__":
    sys.exit(main())
