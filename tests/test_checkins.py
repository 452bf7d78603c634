"""Check-ins against a plain model: said, changed, deleted, undone, activities renamed or merged."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec import structs

from mien import checkins, erasures
from mien.activities import named
from mien.checkins import Checkin, CheckinError, Daily
from mien.emotions import EMOTIONS, NEGATIVE, POSITIVE
from sessions_room import Room

BERLIN = ZoneInfo("Europe/Berlin")
NOW = round(datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp() * 1000)
WHEN = datetime(2026, 11, 20, 8, 5, tzinfo=BERLIN)
EVER = (date(1900, 1, 1), date(2100, 1, 1))


@pytest.fixture
def db() -> Iterator[Any]:
    made = opened()
    yield made
    made.close()


def opened() -> Any:
    db = Room().db
    db.execute("PRAGMA foreign_keys = ON")
    db.execute("INSERT INTO clients (id, code, owner, created_utc) VALUES ('d', 'D', 1, 0)")
    return db


def made(client: str = "c", moment: datetime = WHEN, **said: Any) -> Checkin:
    plain: dict[str, Any] = {"mood": None, "emotions": None, "activities": [], "note": ""}
    told = {**plain, "source": "page", "made_utc": NOW, **said}
    return checkins.made(client, moment, **told)


# ── what can be said ─────────────────────────────────────────────────────────────────────────────


def test_a_check_in_knows_its_local_day_hour_and_weekday(db: Any) -> None:
    late = datetime(2026, 11, 20, 0, 30, tzinfo=BERLIN)
    one = made(moment=late, mood=4, emotions=["anger", "joy"], note=" two\r\nlines ")
    assert (one.day, one.hour, one.weekday) == (date(2026, 11, 20).toordinal(), 0, 5)
    assert one.utc == round(late.timestamp() * 1000)
    assert one.emotions == ("joy", "anger")
    assert one.note == "two\nlines"
    checkins.save(db, one)
    assert checkins.find(db, "c", one.id) == one
    assert checkins.find(db, "d", one.id) is None


def test_the_hour_that_comes_twice_keeps_its_order(db: Any) -> None:
    at = datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN)
    again, first = made(moment=at.replace(fold=1), mood=2), made(moment=at, mood=1)
    for one in (again, first):
        checkins.save(db, one)
    assert [one.mood for one in checkins.of_days(db, "c", at.date(), at.date())] == [1, 2]
    assert again.utc == (first.utc or 0) + 3_600_000


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ({}, "says nothing yet"),
        ({"note": " \n", "activities": [" "], "emotions": []}, "says nothing yet"),
        ({"mood": 6}, "one of five steps, 1 to 5, not 6"),
        ({"mood": 0}, "one of five steps"),
        ({"emotions": ["joy", "bliss"]}, "“bliss” is none of the eighteen"),
        ({"note": "x" * 4001}, "4000 characters, this one has 4001"),
        ({"activities": ["y" * 41]}, "40 characters, “yyyyyyyyyyyyyyyyyyyy…” has 41"),
        ({"activities": [f"a{n}" for n in range(31)]}, "may have 30 activities, not 31"),
        ({"mood": 3, "moment": WHEN.replace(year=1899)}, "from before 1900"),
        ({"mood": 3, "moment": WHEN + timedelta(days=2)}, "has not come yet"),
    ],
)
def test_what_cannot_be_said(said: dict[str, Any], sentence: str) -> None:
    with pytest.raises(CheckinError, match=sentence):
        made(**said)


def test_limits_are_not_passed_and_not_short_of() -> None:
    at = datetime.fromtimestamp(NOW / 1000 + 60, BERLIN)
    one = made(moment=at, note="x" * 4000, activities=["y" * 40] + [f"a{n}" for n in range(29)])
    assert len(one.note) == 4000
    assert len(one.activities) == 30
    assert made(emotions=["awe"]).mood is None
    assert made(moment=datetime(1900, 1, 1, tzinfo=BERLIN), mood=5).hour == 0


def test_what_was_written_elsewhere_is_kept_whole() -> None:
    activities = [f"{n} {'y' * 60}" for n in range(40)]
    one = made(note="x" * 9000, activities=activities, whole=True)
    assert len(one.note) == 9000
    assert len(one.activities) == 40
    assert {len(text) for text in one.activities} == {40}


def test_activities_are_the_same_in_any_case_and_spacing() -> None:
    assert made(activities=["Tee  trinken", "tee trinken ", "ÜBUNG", "übung"]).activities == (
        "Tee trinken", "ÜBUNG",
    )  # fmt: skip
    assert named("  a\tb\n") == "a b"
    assert named("👩\u200d🔬") == "👩\u200d🔬"
    with pytest.raises(CheckinError, match="needs a name"):
        named("\x00 ")


def test_nobody_writes_over_anothers(db: Any) -> None:
    one = made(mood=1)
    checkins.save(db, one)
    with pytest.raises(CheckinError, match="belongs to somebody else"):
        checkins.save(db, structs.replace(one, client="d", mood=5))
    assert not checkins.delete(db, "d", one.id)
    assert checkins.find(db, "c", one.id) == one


def test_what_was_deleted_long_ago_is_swept(db: Any) -> None:
    old, new, kept = made(mood=1), made(mood=2, activities=["walk"]), made(mood=3)
    for one in (old, new, kept):
        checkins.save(db, one)
    checkins.delete(db, "c", old.id, NOW - 1000)
    checkins.delete(db, "c", new.id, NOW)
    assert checkins.sweep(db, NOW) == 1
    assert not checkins.bring_back(db, "c", old.id)
    assert checkins.bring_back(db, "c", new.id)
    assert checkins.find(db, "c", new.id) == new


def test_pages_of_the_newest_reach_all_of_them(db: Any) -> None:
    # Several at the same time, and reports of others that know no date.
    said = [made(mood=1 + n % 5, moment=WHEN - timedelta(hours=n // 3)) for n in range(20)]
    said += [structs.replace(one, id=f"z{n}", utc=None, day=None) for n, one in enumerate(said[:8])]
    for one in said:
        checkins.save(db, one)
    found: list[Checkin] = []
    while page := checkins.newest(db, "c", 4, found[-1] if found else None):
        found += page
    assert sorted(found, key=lambda one: one.id) == sorted(said, key=lambda one: one.id)
    times = [one.utc for one in found if one.utc is not None]
    assert times == sorted(times, reverse=True)
    assert [one.utc for one in found[-8:]] == [None] * 8
    assert len(checkins.reports(db, "c")) == 28
    assert len(checkins.reports(db, "c", *EVER)) == 20


def test_what_goes_with_a_client_is_counted(db: Any) -> None:
    checkins.save(db, made(mood=1, activities=["walk", "tea"]))
    counted = erasures.counts_of_all(db, "c", Room().clock.stamp())["client"]
    assert (counted["checkins"], counted["activities"]) == (1, 2)


# ── the state machine ────────────────────────────────────────────────────────────────────────────

TEXTS = st.sampled_from(["Walk", "walk", " WALK ", "Übung", "übung", "Straße", "STRASSE", "tea"])
SAID = st.fixed_dictionaries(
    {
        "moment": st.integers(-500, 0).map(lambda h: WHEN + timedelta(hours=h)),
        "mood": st.none() | st.integers(1, 5),
        "emotions": st.none() | st.lists(st.sampled_from(EMOTIONS), max_size=4),
        "activities": st.lists(TEXTS, max_size=4),
        "note": st.sampled_from(["", "a note"]),
    }
)
ANY = st.integers(0, 1 << 16)


class Diaries(RuleBasedStateMachine):
    """The model: what of each check-in was said, by id; which of them are deleted; and how an
    activity is spelt, by its casefolded text."""

    def __init__(self) -> None:
        super().__init__()
        self.db = opened()
        self.said: dict[str, Checkin] = {}
        self.deleted: set[str] = set()
        self.spelt: dict[str, str] = {}
        self.hidden: set[str] = set()
        checkins.save(self.db, made("d", mood=5, activities=["walk"]))

    def teardown(self) -> None:
        assert len(checkins.newest(self.db, "d")) == 1
        assert [one.text for one in checkins.activities(self.db, "d")] == ["walk"]
        self.db.close()

    @rule(said=SAID)
    def say(self, said: dict[str, Any]) -> None:
        self._save(None, said)

    @precondition(lambda self: self.said)
    @rule(which=ANY, said=SAID)
    def edit(self, which: int, said: dict[str, Any]) -> None:
        self._save(self._one(which), said)

    def _save(self, id: str | None, said: dict[str, Any]) -> None:
        try:
            one = made(**said, id=id)
        except CheckinError:
            assert not any((said["mood"], said["emotions"], said["activities"], said["note"]))
            return
        checkins.save(self.db, one)
        self.deleted.discard(one.id)
        for text in one.activities:
            self.spelt.setdefault(text.casefold(), text)
        keys = tuple(text.casefold() for text in one.activities)
        self.said[one.id] = structs.replace(one, activities=keys)

    @precondition(lambda self: self.said)
    @rule(which=ANY)
    def delete(self, which: int) -> None:
        id = self._one(which)
        assert checkins.delete(self.db, "c", id) == (id not in self.deleted)
        self.deleted.add(id)

    @precondition(lambda self: self.said)
    @rule(which=ANY)
    def undo(self, which: int) -> None:
        id = self._one(which)
        assert checkins.bring_back(self.db, "c", id) == (id in self.deleted)
        self.deleted.discard(id)

    @rule()
    def sweep(self) -> None:
        assert checkins.sweep(self.db, NOW) == len(self.deleted)
        for id in self.deleted:
            del self.said[id]
        self.deleted.clear()

    @precondition(lambda self: self.spelt)
    @rule(which=ANY, text=TEXTS)
    def rename(self, which: int, text: str) -> None:
        old, new = self._activity(which), named(text).casefold()
        checkins.rename_activity(self.db, "c", self._id(old), text)
        # What it becomes one with stays hidden or offered as it was.
        hidden = (new if new in self.spelt else old) in self.hidden
        self.hidden -= {old, new}
        self.hidden |= {new} if hidden else set()
        del self.spelt[old]
        self.spelt[new] = named(text)
        for id, one in self.said.items():
            keys = tuple(new if key == old else key for key in one.activities)
            self.said[id] = structs.replace(one, activities=tuple(dict.fromkeys(keys)))

    @precondition(lambda self: self.spelt)
    @rule(which=ANY, hidden=st.booleans())
    def hide(self, which: int, hidden: bool) -> None:
        key = self._activity(which)
        checkins.hide_activity(self.db, "c", self._id(key), hidden)
        (self.hidden.add if hidden else self.hidden.discard)(key)

    @invariant()
    def the_store_says_what_the_model_says(self) -> None:
        there = {id: one for id, one in self.said.items() if id not in self.deleted}
        found = {one.id: self._plain(one) for one in checkins.newest(self.db, "c", 1000)}
        assert found == {id: self._plain(one) for id, one in there.items()}
        in_order = checkins.of_days(self.db, "c", *EVER)
        assert [one.utc for one in in_order] == sorted(one.utc or 0 for one in there.values())
        reports = checkins.reports(self.db, "c")
        assert Counter((r.utc, r.mood, len(r.activities)) for r in reports) == Counter(
            (one.utc, one.mood, len(one.activities)) for one in there.values()
        )

    @invariant()
    def each_day_adds_up(self) -> None:
        days: dict[date, list[Checkin]] = {}
        for id, one in self.said.items():
            if id not in self.deleted:
                days.setdefault(date.fromordinal(one.day or 0), []).append(one)
        assert checkins.daily(self.db, "c", *EVER) == {
            day: Daily(
                len(some),
                sum(moods) / len(moods) if (moods := [o.mood for o in some if o.mood]) else None,
                sum(bool(set(one.emotions or ()) & set(POSITIVE)) for one in some),
                sum(bool(set(one.emotions or ()) & set(NEGATIVE)) for one in some),
                sum(one.emotions is not None for one in some),
            )
            for day, some in days.items()
        }

    @invariant()
    def activities_are_listed_as_often_as_they_are_used(self) -> None:
        used = Counter(
            key for id, one in self.said.items() if id not in self.deleted for key in one.activities
        )
        everything = checkins.activities(self.db, "c", hidden=True)
        assert {one.text: (one.used, one.hidden) for one in everything} == {
            text: (used[key], key in self.hidden) for key, text in self.spelt.items()
        }
        offered = checkins.activities(self.db, "c")
        assert [one for one in everything if not one.hidden] == offered
        assert [one.used for one in offered] == sorted((o.used for o in offered), reverse=True)

    def _one(self, which: int) -> str:
        return list(self.said)[which % len(self.said)]

    def _activity(self, which: int) -> str:
        return list(self.spelt)[which % len(self.spelt)]

    def _id(self, key: str) -> str:
        found = checkins.activities(self.db, "c", hidden=True)
        return next(one.id for one in found if one.text.casefold() == key)

    def _plain(self, one: Checkin) -> Checkin:
        keys = sorted(text.casefold() for text in one.activities)
        return structs.replace(one, activities=tuple(keys))


Diaries.TestCase.settings = settings(max_examples=40, stateful_step_count=25)
TestDiaries = Diaries.TestCase


def test_of_activities_used_as_often_the_last_used_is_first(db: Any) -> None:
    for n, text in enumerate(["tea", "run", "nap"]):
        checkins.save(db, made(activities=[text], made_utc=NOW + n))
    listed = checkins.activities(db, "c")
    assert [one.text for one in listed] == ["nap", "run", "tea"]
    checkins.rename_activity(db, "c", listed[0].id, "Tea")
    assert [one.text for one in checkins.activities(db, "c")] == ["Tea", "run"]
    checkins.delete(db, "c", next(o for o in checkins.newest(db, "c") if "Tea" in o.activities).id)
    assert [(one.text, one.used) for one in checkins.activities(db, "c")] == [
        ("Tea", 1),
        ("run", 1),
    ]


def test_renaming_what_is_gone(db: Any) -> None:
    with pytest.raises(CheckinError, match="not there any more"):
        checkins.rename_activity(db, "c", "none", "walk")
    checkins.save(db, made("d", activities=["walk"]))
    (walk,) = checkins.activities(db, "d")
    with pytest.raises(CheckinError, match="not there any more"):
        checkins.rename_activity(db, "c", walk.id, "run")
