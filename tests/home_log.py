"""A home log as it would have come about: quarters of an hour that the box saw, and check-ins."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

import pages
from mien import checkins, clients, settings, users
from mien.clock import SystemClock
from mien.config import Box as BoxConfig
from mien.config import Config
from mien.config import Store as StoreConfig
from mien.control import ControlServer
from mien.events import EXPRESSIONS, Expression
from mien.quarters import QUARTER_MS
from mien.scripted import ScriptedDaemon
from mien.store import Store
from mien_web import desk
from samples import HEALTH
from served import outside

BERLIN = ZoneInfo("Europe/Berlin")
_VALENCE = dict(zip(EXPRESSIONS, (-500, -600, -600, 800, -600, 200, 0), strict=True))
_DONE = ("work", "reading", "walk", "friends", "gardening", "music")


def utc_ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def quarter(
    db: Any,
    moment: datetime,
    looks: dict[Expression, int],
    *,
    seconds: int = 900,
    seen: int | None = None,
    facing: int | None = None,
    several: int = 0,
) -> None:
    """A rolled-up quarter that began at this moment; everything after it is not rolled up yet."""
    number, read = utc_ms(moment) // QUARTER_MS, sum(looks.values())
    seen = read + several if seen is None else seen
    db.execute(
        f"INSERT OR REPLACE INTO quarters VALUES ({', '.join('?' * 15)})",
        (number, seconds, seen, read if facing is None else facing, read, several,
         *(looks.get(name, 0) for name in EXPRESSIONS),
         sum(_VALENCE[name] * count for name, count in looks.items()), 0),
    )  # fmt: skip
    db.execute("UPDATE rolled SET quarter = max(quarter, ?)", (number + 1,))


def said(
    db: Any, client: str, moment: datetime, mood: int | None, *emotions: str, **more: Any
) -> str:
    """A check-in; its id."""
    made = checkins.made(
        client, moment, mood=mood, emotions=emotions or None,
        activities=more.get("activities", ()), note=more.get("note", ""),
        source="page", made_utc=utc_ms(moment),
    )  # fmt: skip
    checkins.save(db, made)
    return made.id


def plausible(
    db: Any, client: str, first: date, last: date, zone: ZoneInfo = BERLIN, seed: int = 1
) -> None:
    """Mornings and evenings at a desk, with days away, guests, and a mood that comes and goes."""
    chance = random.Random(seed)
    mood = 3.4
    for n in range((last - first).days + 1):
        day = first + timedelta(n)
        mood = min(5.0, max(1.0, mood + chance.gauss(0, 0.5) + (3.4 - mood) * 0.2))
        if chance.random() < 0.08:
            continue  # away from home
        for hour in range(7, 23):
            for minute in (0, 15, 30, 45):
                at = datetime.combine(day, time(hour, minute), zone)
                _quarter(db, chance, at, mood, 0.85 if hour < 9 or hour > 17 else 0.35)
        for hour in (8, 13, 21):
            if chance.random() < 0.55:
                _checkin(db, chance, client, datetime.combine(day, time(hour, 12), zone), mood)


def _quarter(db: Any, chance: random.Random, at: datetime, mood: float, there: float) -> None:
    if chance.random() > there:
        quarter(db, at, {})
        return
    seen = chance.randrange(200, 900)
    if chance.random() < 0.05:
        quarter(db, at, {}, seen=seen, facing=0, several=seen)
        return
    read = round(seen * chance.uniform(0.4, 0.9))
    weights = [0.05, 0.03, 0.05, 0.12 * mood, 0.4 / mood, 0.06, 0.9]
    whole, looks = sum(weights) * chance.uniform(0.95, 1.05), {}
    for name, weight in zip(EXPRESSIONS[:-1], weights, strict=False):
        looks[name] = int(read * weight / whole * chance.uniform(0.5, 1.5))
    looks["neutral"] = max(0, read - sum(looks.values()))
    facing = min(seen, sum(looks.values()) + chance.randrange(0, 90))
    quarter(db, at, looks, seen=max(seen, sum(looks.values())), facing=facing)


def _checkin(db: Any, chance: random.Random, client: str, at: datetime, mood: float) -> None:
    step = min(5, max(1, round(mood + chance.gauss(0, 0.6))))
    felt = chance.sample(("joy", "satisfaction", "hope", "love"), 2) if step > 2 else ["anxiety"]
    if chance.random() < 0.3:
        felt.append("sadness")
    said(
        db, client, at, step, *felt, activities=chance.sample(_DONE, chance.randrange(0, 3)),
        note="A long walk along the river, then tea." if chance.random() < 0.2 else "",
    )  # fmt: skip


def house(folder: Path, monkeypatch: pytest.MonkeyPatch, hour: int = 15) -> Iterator[pages.Box]:
    """The box of a home at this hour and a half on Saturday, 21 November 2026; see `pages.box`."""
    for box in pages.box(folder, monkeypatch):
        box.set("home")
        box.db.write(lambda db: settings.put(db, "zone", "Europe/Berlin"))
        box.clock.synchronise(datetime(2026, 11, 21, hour, 30, tzinfo=BERLIN).timestamp())
        yield box


def resident(box: pages.Box, code: str, *consents: str) -> str:
    """A person of the house, who gave these consents long ago; their id."""
    key = box.client(code, *consents)
    box.write("UPDATE clients SET resident = 1 WHERE id = ?", key)
    box.write("UPDATE consents SET given_utc = 0 WHERE client = ?", key)
    return key


@contextmanager
def served(folder: Path, days: int) -> Iterator[tuple[str, ScriptedDaemon]]:
    """The page of a demo box with so many days of a home log, up to yesterday, and the daemon
    behind it."""
    clock = SystemClock()
    store = Store.open(folder, clock, StoreConfig())
    store.set_up("demo")  # asks for no log-in
    store.close()
    people = desk.open_store(Config(box=BoxConfig(state_dir=str(folder))), clock)
    people.write(lambda db: _house(db, days))
    people.close()
    daemon = ScriptedDaemon(replace(HEALTH, mandate="demo"))
    server = ControlServer(folder / "control.sock", daemon, poll_s=0.01)
    server.start()
    with outside(folder) as address:
        yield address, daemon
    server.stop()


def _house(db: Any, days: int) -> None:
    """One person; the last thing that they said was late yesterday evening."""
    now = datetime.now(BERLIN)
    settings.put(db, "zone", "Europe/Berlin")
    user = users.make_demo(db, utc_ms(now))
    clients.add(db, "me-id", "me", user.id, now.timestamp(), resident=True)
    if not days:
        return
    yesterday = now.date() - timedelta(1)
    plausible(db, "me-id", yesterday - timedelta(days), yesterday)
    at = datetime.combine(yesterday, time(22, 30), BERLIN)
    quarter(db, at, {"happiness": 700})
    said(db, "me-id", at, 5, "joy", activities=["gardening"], note="Apples.")
