"""A home log of three years, all day long, and how long the page takes to answer from it.

    python -m bench.home --state FOLDER           make the log, unless it is there
    python -m bench.home --state FOLDER --times   and ask each page for its server time

One person, `maria`, at home; a seat watched day and night for 1,096 days (94.7 million seconds, as
minutes and quarters of an hour), three check-ins a day; the readings themselves of the last 14
days, for the box keeps no more. Most of the time nobody sits there. The same seed, the same years.
"""

import argparse
import hashlib
import math
import random
import statistics
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from mien import clock as clocks
from mien import emotions, moodlog, zone
from mien.clock import ManualClock
from mien.config import Box, Config
from mien.config import Store as StoreConfig
from mien.events import EXPRESSIONS
from mien.recording import FLUSH_S
from mien.store import EpisodeRow, SecondReading, Store
from mien_web import create_app, desk, door

DAYS = 1096
READINGS_DAYS = 14
BOOT_DAYS = 32  # the box is started anew about each month
ZONE = "Europe/Berlin"
CLIENT = "00000000-0000-4000-8000-000000000001"
LOGIN = "home"
EPISODES_PER_HOUR = 120
WRITE_H = 16
GOALS_MS = {"year": 100.0, "day": 50.0}
_DAY_MS = 86_400_000
_ACTIVITIES = ("sleep", "work", "family", "reading", "walk", "garden", "music", "cooking")


# ── the log ──────────────────────────────────────────────────────────────────────────────────────


def make(state: Path) -> dict[str, float]:
    """Make the store; seconds that it took, of these those of rolling up, and MB of the file.
    Nothing is done where there is one already; then the first two are 0."""
    end = clocks.SystemClock().stamp().utc // 900 * 900
    clock = ManualClock(end)
    began, rolling = time.perf_counter(), 0.0
    store = Store.open(state, clock, StoreConfig(min_free_mb=1))
    try:
        if not store.read(lambda db: db.execute("SELECT 1 FROM clients").fetchone()):
            fast = ("synchronous = OFF", "cache_size = -200000", "journal_size_limit = -1")
            for pragma in fast:
                store.read(lambda db, pragma=pragma: db.execute(f"PRAGMA {pragma}").fetchall())  # type: ignore[misc]
            store.read(lambda db: _three_years(db, round(end * 1000)))
            began_rolling = time.perf_counter()
            while store.roll():
                pass
            rolling = time.perf_counter() - began_rolling
            store.read(lambda db: db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone())
            took = time.perf_counter() - began
        else:
            took = 0.0
    finally:
        store.close()
    return {"made_s": took, "rolled_s": rolling, "mb": (state / "mien.db").stat().st_size / 1e6}


def _three_years(db: Any, end: int) -> None:
    chance = random.Random(1)
    first = end - DAYS * _DAY_MS
    db.execute("BEGIN")
    _person(db, first)
    boots = -(-DAYS // BOOT_DAYS)
    names = [(n, str(uuid.UUID(int=chance.getrandbits(128)))) for n in range(1, boots + 1)]
    db.executemany("INSERT INTO boots VALUES (?, ?)", names)
    db.executemany(f"INSERT INTO minutes VALUES ({', '.join('?' * 17)})", _minutes(chance, first))
    db.executemany("INSERT INTO readings VALUES (?, ?, ?, ?, ?, ?, ?, ?)", _readings(chance))
    _checkins(db, chance, first)
    db.execute("COMMIT")


def _person(db: Any, utc: int) -> None:
    for key, value in (("setting", '"home"'), ("zone", f'"{ZONE}"')):
        db.execute("INSERT INTO settings VALUES (?, ?)", (key, value))
    user = db.execute(
        "INSERT INTO users (name, roles, passphrase, created_utc) VALUES ('maria', 'home', '', ?)",
        (utc,),
    ).lastrowid
    login = hashlib.sha256(LOGIN.encode()).hexdigest()
    db.execute(
        "INSERT INTO logins (id, user, created_utc, seen_utc) VALUES (?, ?, ?, ?)",
        (login, user, utc, utc),
    )
    db.execute(
        "INSERT INTO clients (id, code, owner, resident, created_utc) VALUES (?, 'me', ?, 1, ?)",
        (CLIENT, user, utc),
    )
    db.execute(
        "INSERT INTO notices (client, version, language, shown_utc, user) "
        "VALUES (?, 1, 'en', ?, 'maria')",
        (CLIENT, utc),
    )
    db.execute(
        "INSERT INTO consents (client, kind, version, given_utc, user) "
        "VALUES (?, 'home', 1, ?, 'maria')",
        (CLIENT, utc),
    )


def _looks(chance: random.Random) -> list[tuple[int, ...]]:
    """What a minute may have been: seconds, seen, facing, read, seven expressions, valence and
    several, as they stand in a row."""
    looks: list[tuple[int, ...]] = []
    for _ in range(500):
        seen = chance.randint(5, 60)
        facing = chance.randint(seen // 2, seen)
        read = chance.randint(facing // 2, facing)
        counts = [0] * len(EXPRESSIONS)
        for look in chance.choices(range(7), (4, 1, 2, 12, 8, 3, 60), k=read):
            counts[look] += 1
        several = chance.choice((0, 0, 0, 0, seen - read))
        looks.append((60, seen, facing, read, *counts, chance.randint(-300, 500) * read, several))
    return looks


def _minutes(chance: random.Random, first: int) -> Iterator[tuple[int, ...]]:
    looks, nobody = _looks(chance), (60, *[0] * 12)
    there = [0.0] * 7 + [0.5, 0.3] + [0.15] * 8 + [0.4, 0.5, 0.5, 0.4, 0.3, 0.1, 0.0]
    offset = 3_600_000  # near enough for when somebody sits there
    for minute in range(DAYS * 1440):
        utc = first + minute * 60_000
        seated = chance.random() < there[(utc + offset) // 3_600_000 % 24]
        boot, since = divmod(minute, BOOT_DAYS * 1440)
        yield boot + 1, since, utc, 1, *(chance.choice(looks) if seated else nobody)


def _readings(chance: random.Random) -> Iterator[tuple[Any, ...]]:
    """Of the last days, a row a second; only their number and size matter."""
    shares = [bytes(chance.choices(range(80), k=7)) for _ in range(50)]
    for second in range((DAYS - READINGS_DAYS) * 86_400, DAYS * 86_400):
        boot, since = divmod(second, BOOT_DAYS * 86_400)
        id = boot + 1 << 40 | since * 1000
        if second // 600 % 4:
            yield id, 0, None, None, None, None, None, None
        else:
            yield id, 1, second % 7, None, 700, 100, shares[second % 50], 1


def _checkins(db: Any, chance: random.Random, first: int) -> None:
    at = ZoneInfo(ZONE)
    activities = [str(uuid.UUID(int=chance.getrandbits(128))) for _ in _ACTIVITIES]
    db.executemany(
        "INSERT INTO activities VALUES (?, ?, ?, ?, 0)",
        [(id, CLIENT, text, first) for id, text in zip(activities, _ACTIVITIES, strict=True)],
    )
    made, done = [], []
    for day in range(DAYS):
        for hour in (8, 13, 21):
            utc = first + day * _DAY_MS + hour * 3_600_000 + chance.randrange(3_600_000)
            local = zone.local(utc, at)
            id = str(uuid.UUID(int=chance.getrandbits(128)))
            felt = emotions.mask(chance.sample(emotions.EMOTIONS, chance.randint(1, 4)))
            made.append(
                (id, CLIENT, utc, local.toordinal(), local.hour, local.isoweekday(),
                 chance.randint(1, 5), felt, "A walk by the river." if hour == 21 else "",
                 "page", utc)
            )  # fmt: skip
            done += [(id, activity) for activity in chance.sample(activities, 2)]
    db.executemany(f"INSERT INTO checkins VALUES ({', '.join('?' * 11)}, 0)", made)
    db.executemany("INSERT INTO checkin_activities VALUES (?, ?)", done)


# ── how long it takes ────────────────────────────────────────────────────────────────────────────


def pages(state: Path, turns: int = 9) -> dict[str, dict[str, float]]:
    """Each page of the home log: its status, median ms of `turns`, of these ms of CPU, and kB."""
    app = create_app(Config(box=Box(state_dir=str(state))), clocks.SystemClock())
    now = round(time.time() * 1000)
    with app.app_context():
        desk.write(
            lambda db: db.execute("UPDATE logins SET created_utc = ?1, seen_utc = ?1", (now,))
        )
    browser = app.test_client()
    browser.set_cookie(door.COOKIE, LOGIN)
    found = {}
    for name, url in _urls().items():
        headers = {"Sec-Fetch-Site": "same-origin"}
        browser.get(url, headers=headers)
        spent, busy = [], []
        for _ in range(turns):
            began, began_cpu = time.perf_counter(), time.process_time()
            answer = browser.get(url, headers=headers)
            size = len(answer.data)
            busy.append((time.process_time() - began_cpu) * 1e3)
            spent.append((time.perf_counter() - began) * 1e3)
        found[name] = {
            "status": answer.status_code,
            "ms": statistics.median(spent),
            "cpu_ms": statistics.median(busy),
            "kb": size / 1e3,
        }
    return found


def _urls() -> dict[str, str]:
    today = date.today()
    full = today.replace(day=1) - timedelta(1)  # a month and a year that are over
    day = full - timedelta(100)
    return {
        "year": f"/log/year/{today.year - 1}",
        "month": f"/log/month/{full:%Y-%m}",
        "week": f"/log/week/{day}",
        "day": f"/log/day/{day}",
        "today": f"/log/day/{today}",
        "patterns": "/patterns",
        "patterns, all": "/patterns?period=all",
        "check-ins": "/checkins",
        "check in": "/checkin",
    }


def functions(state: Path, turns: int = 9) -> dict[str, float]:
    """What the pages ask of `moodlog`: median ms of CPU, as a reader."""
    clock = clocks.SystemClock()
    store = Store.open(state, clock, StoreConfig(), migrate=False)
    at, today = ZoneInfo(ZONE), date.today()
    last_year = (date(today.year - 1, 1, 1), date(today.year - 1, 12, 31))
    ever = (today - timedelta(DAYS), today)
    noon = zone.bounds(today - timedelta(200), today - timedelta(200), at)[0] + _DAY_MS // 2
    since = store.read(lambda db: moodlog.since(db, CLIENT)) or 0
    works: dict[str, Callable[[Any], Any]] = {
        "days of a year": lambda db: moodlog.days(db, *last_year, at, since),
        "days of a month": lambda db: moodlog.days(
            db, last_year[0], date(today.year - 1, 1, 31), at, since
        ),
        "hours of a day": lambda db: moodlog.hours(db, today - timedelta(200), at, since),
        "hours of today": lambda db: moodlog.hours(db, today, at, since),
        "days, ever": lambda db: moodlog.days(db, *ever, at, since),
        "an hour around": lambda db: moodlog.between(db, noon - 1_800_000, noon + 1_800_000),
        "undated": lambda db: moodlog.undated(db, since),
        "first day": lambda db: moodlog.first_day(db, at, since),
        "export of all": lambda db: moodlog.quarters(db, since, 1 << 50),
    }
    found = {}
    for name, work in works.items():
        store.read(work)
        spent = []
        for _ in range(turns):
            began = time.process_time()
            store.read(work)
            spent.append((time.process_time() - began) * 1e3)
        found[name] = statistics.median(spent)
    store.close()
    return found


# ── what it writes ───────────────────────────────────────────────────────────────────────────────


def written(folder: Path, *, broker: bool, hours: int = 4) -> float:
    """MB handed to `write()` in 16 h of a reading a second and 120 episodes an hour, reckoned from
    some hours of it; with a broker that takes each episode at once, or without one. The clock is
    turned, the store is real, and is written as `recording` and `service` do."""
    clock, chance = ManualClock(), random.Random(1)
    store = Store.open(folder, clock, StoreConfig(min_free_mb=1))
    before, waiting = _handed(), list[SecondReading | EpisodeRow]()
    for second in range(1, hours * 3600 + 1):
        clock.now = second + 0.3
        waiting.append(
            SecondReading(
                stamp=clock.stamp(),
                people=1,
                expression=EXPRESSIONS[second // 40 % 7],
                confidence=chance.random(),
                valence=chance.uniform(-1, 1),
                probabilities={name: chance.random() for name in EXPRESSIONS},
                facing=True,
            )
        )
        if chance.random() < EPISODES_PER_HOUR / 3600:
            start, end = clock.stamp(clock.now - 3), clock.stamp()
            id = str(uuid.UUID(int=chance.getrandbits(128)))
            episode = EpisodeRow(id=id, expression="fear", start=start, end=end, peak=0.9)
            if broker:
                store.add([episode])
                store.outbox_delete(store.outbox_batch(100))
            else:
                waiting.append(episode)
        if second % FLUSH_S == 0:
            store.add(waiting)
            waiting.clear()
        if second % 600 == 0:
            store.retain()
            store.roll()
    store.close()
    return (_handed() - before) / 1e6 / hours * WRITE_H


def _handed() -> int:
    rows = Path("/proc/self/io").read_text().splitlines()
    return int(next(row for row in rows if row.startswith("wchar")).split()[1])


def measure(folder: Path) -> dict[str, Any]:
    """All of it, for `make bench`."""
    store = make(folder / "home")
    return {
        "store": store,
        "pages": pages(folder / "home"),
        "functions": functions(folder / "home"),
        "written_mb": {
            "with a broker": written(folder / "broker", broker=True),
            "without": written(folder / "alone", broker=False),
        },
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.home", description=__doc__)
    parser.add_argument("--state", type=Path, required=True, help="folder of the store")
    parser.add_argument("--times", action="store_true", help="server time of each page")
    asked = parser.parse_args()
    made = make(asked.state)
    print(
        f"three years lie in {asked.state}: {made['mb']:.0f} MB, made in {made['made_s']:.0f} s, "
        f"rolled up in {made['rolled_s']:.1f} s of them",
        file=sys.stderr,
    )
    if not asked.times:
        return 0
    for name, ms in functions(asked.state).items():
        print(f"{name:20} {ms:8.2f} ms CPU")
    late = False
    for name, page in pages(asked.state).items():
        over = page["status"] != 200 or page["ms"] > GOALS_MS.get(name, math.inf)
        late |= over
        print(
            f"{name:20} {page['ms']:8.1f} ms {page['cpu_ms']:8.1f} ms CPU {page['kb']:7.1f} kB  "
            f"{page['status']:.0f}" + ("  ← over" if over else "")
        )
    return late


if __name__ == "__main__":
    sys.exit(main())
