"""What a smart home is told: only at home, as the day goes on, and nobody's word without leave."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec import json
from msgspec.structs import replace

from mien import config, discovery, reminders
from mien.clock import ManualClock
from mien.events import Reminder, Today
from mien.reminders import Plan
from mien.smart_home import EVERY_S, FILE, SmartHome
from mien.store import SecondReading, Store
from mien.topics import Topics
from people import People

TOPICS = Topics("hall", "homeassistant", "mien-abc234")
NOON = datetime(2027, 2, 3, 12, 0, 30, tzinfo=UTC).timestamp()


class Listener:
    """Stands where the publisher does."""

    def __init__(self) -> None:
        self.retained: dict[str, bytes] = {}
        self.count = 0
        self.said: list[tuple[str, bytes]] = []

    def retain(self, topic: str, payload: bytes) -> None:
        self.retained[topic] = payload
        self.count += topic == TOPICS.today

    def say(self, topic: str, payload: bytes) -> None:
        self.said.append((topic, payload))


class House:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = ManualClock(NOON)
        self.store = Store.open(folder, self.clock, config.Store(min_free_mb=1))
        self.people = People(folder, self.clock)
        self.people.put("zone", "Europe/Berlin")
        self.listener = Listener()
        self.home = self.started()

    def started(self) -> SmartHome:
        listener, clock = self.listener, self.clock
        told = discovery.payload(TOPICS, "1.0")
        return SmartHome(self.store, listener, TOPICS, clock, self.folder, told)  # type: ignore[arg-type]

    def live_here(self, client: str = "ida") -> None:
        self.people.put("setting", "home")
        self.people.client(client, "home", resident=True)

    def tick(self, seconds: float = 0.0) -> None:
        self.clock.advance(seconds)
        self.home.tick()

    def sit(self, seconds: int, expression: str = "happiness") -> None:
        """Somebody sits there for so long from now."""
        rows = [
            SecondReading(
                stamp=self.clock.stamp(self.clock.now + t),
                people=1,
                expression=expression,  # type: ignore[arg-type]
                confidence=0.8,
                valence=0.5,
                facing=True,
            )
            for t in range(seconds)
        ]
        self.store.add(rows)
        self.clock.advance(seconds)

    def checkin(self, mood: int) -> None:
        now = round(self.clock.stamp().utc * 1000)
        day = datetime.fromtimestamp(now / 1000, UTC).toordinal()
        self.people.write(
            "INSERT INTO checkins (id, client, utc, day, hour, weekday, mood, source, made_utc) "
            "VALUES (?, 'ida', ?, ?, 13, 3, ?, 'page', ?)",
            f"c{now}{mood}", now, day, mood, now,
        )  # fmt: skip

    @property
    def today(self) -> Today | None:
        told = self.listener.retained[TOPICS.today]
        return json.decode(told, type=Today) if told else None

    def remind(self, **plan: object) -> None:
        chosen = replace(Plan(on=True, times=["13:05"]), **plan)
        self.people.database.write(lambda db: reminders.put(db, "ida", chosen))

    @property
    def reminded(self) -> list[Reminder]:
        assert {topic for topic, _ in self.listener.said} <= {TOPICS.event}
        return [json.decode(payload, type=Reminder) for _, payload in self.listener.said]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.people.close()
    house.store.close()


@pytest.mark.parametrize("setting", ["clinic", None])
def test_a_clinic_is_no_smart_home(house: House, setting: str | None) -> None:
    house.people.put("setting", setting)
    house.people.client("ida", "home", resident=True)
    house.remind()
    house.tick()
    house.tick(300)
    assert house.listener.retained == {TOPICS.discovery: b"", TOPICS.today: b""}
    assert house.reminded == []


def test_at_home_it_is_told_and_taken_back_when_the_box_moves(house: House) -> None:
    house.live_here()
    house.tick()
    assert house.listener.retained[str(TOPICS.discovery)] == discovery.payload(TOPICS, "1.0")
    assert house.today is not None
    house.people.put("setting", "clinic")
    house.tick(1)
    assert house.listener.retained == {TOPICS.discovery: b"", TOPICS.today: b""}


def test_the_day_so_far(house: House) -> None:
    house.live_here()
    house.sit(599)
    house.tick()
    told = house.today
    assert told is not None
    assert (told.date, told.time) == ("2027-02-03", "2027-02-03T12:10:29.000Z")
    assert (told.watched_minutes, told.seen_minutes, told.read_minutes) == (9, 9, 9)
    assert (told.expression, told.valence) == (None, None), "too little to say so"
    house.sit(61)
    house.tick()
    told = house.today
    assert told is not None
    assert (told.read_minutes, told.expression, told.valence) == (11, "happiness", 0.5)
    assert (told.checkins, told.mood) == (None, None)


def test_it_is_told_once_a_minute_and_at_midnight(house: House) -> None:
    house.live_here()
    for _ in range(int(EVERY_S) * 3):
        house.tick(1)
    assert house.listener.count == 3
    house.clock.offset += 10 * 3600 + 55 * 60 + 45 - house.clock.now  # 23:56:15 in Berlin
    house.tick(0)
    before = house.listener.count
    house.clock.advance(3.5 * 60)
    house.tick()
    assert house.today is not None
    assert house.today.date == "2027-02-03"
    for _ in range(20):
        house.tick(1)
    assert house.today.date == "2027-02-04"
    assert house.today.seen_minutes == 0
    assert house.listener.count == before + 2


def test_their_own_word_leaves_the_box_only_with_leave(house: House) -> None:
    house.live_here()
    house.tick()
    house.checkin(4)
    house.tick(1)
    assert house.today is not None
    assert (house.today.checkins, house.today.mood) == (None, None)
    house.people.put("share_mood:ida", True)
    house.tick(1)
    assert (house.today.checkins, house.today.mood) == (1, 4.0)
    house.clock.advance(1)
    house.checkin(1)
    house.tick()
    assert (house.today.checkins, house.today.mood) == (2, 2.5)
    house.people.put("share_mood:ida", False)
    house.tick(1)
    assert (house.today.checkins, house.today.mood) == (None, None)


def test_when_nobody_consents_any_more_the_day_goes(house: House) -> None:
    house.live_here()
    house.tick()
    house.people.withdraw("ida", "home")
    house.tick(1)
    assert house.today is None
    assert house.listener.retained[str(TOPICS.discovery)]


def test_a_clock_that_may_be_wrong_tells_of_no_day(house: House) -> None:
    house.live_here()
    house.clock.clock_ok = False
    house.tick()
    assert TOPICS.today not in house.listener.retained
    house.clock.synchronise(NOON)
    house.tick(1)
    assert house.today is not None


def test_the_demo_is_anybodys(house: House) -> None:
    house.people.put("setting", "demo")
    house.sit(60)
    house.tick()
    assert house.today is not None
    assert (house.today.seen_minutes, house.today.checkins) == (1, None)


# ── reminders ────────────────────────────────────────────────────────────────────────────────────


def test_a_reminder_comes_once_also_over_a_restart(house: House) -> None:
    house.live_here()
    house.remind()
    for _ in range(4 * 60 + 29):
        house.tick(1)
    assert house.reminded == []
    house.tick(1)
    (reminder,) = house.reminded
    assert (reminder.kind, reminder.box) == ("reminder", "hall")
    assert reminder.time == "2027-02-03T12:05:00.000Z"
    house.tick(1)
    house.home = house.started()
    house.tick(1)
    assert len(house.reminded) == 1
    assert (house.folder / FILE).read_text() == "1801656300000"


def test_one_that_fell_into_a_restart_is_made_up_for_but_never_late(house: House) -> None:
    house.live_here()
    house.remind(times=["13:05", "13:30"])
    house.tick()
    house.clock.advance(6 * 60)
    house.home = house.started()
    house.tick()
    assert len(house.reminded) == 1
    house.clock.advance(40 * 60)
    house.home = house.started()
    house.tick()
    assert len(house.reminded) == 1


def test_one_that_cannot_be_noted_is_not_given(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.live_here()
    house.remind()
    (house.folder / f"{FILE}.new").mkdir()
    house.tick(5 * 60)
    house.tick()
    assert house.reminded == []
    assert caplog.text.count("nobody is reminded") == 1


def test_a_damaged_memory_of_reminders_is_no_trouble(house: House) -> None:
    (house.folder / FILE).write_text("yesterday")
    house.live_here()
    house.remind()
    house.home = house.started()
    house.tick(5 * 60)
    assert len(house.reminded) == 1


def test_a_store_in_trouble_is_told_once(house: House, caplog: pytest.LogCaptureFixture) -> None:
    house.live_here()
    house.tick()
    house.store.close()
    house.tick(70)
    house.tick(70)
    assert caplog.text.count("the smart home is not told anything") == 1
