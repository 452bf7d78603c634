"""The settings of the home log, and its state in words."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

import home_log
import pages
from home_log import BERLIN, resident
from mien import quiet, settings
from mien.quiet import Hours
from samples import HEALTH


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pages.Box]:
    yield from home_log.house(tmp_path, monkeypatch)


@pytest.fixture
def anna(box: pages.Box) -> pages.Browser:
    return box.browser("anna", "home")


@pytest.fixture
def me(box: pages.Box) -> str:
    """Whose log it is, for long."""
    return resident(box, "me", "home")


def held(box: pages.Box) -> list[Hours]:
    return box.db.read(quiet.of)


def test_quiet_hours_are_added_and_removed(box: pages.Box, anna: pages.Browser, me: str) -> None:
    form = {"day": ["1", "2", "3", "4", "5"], "start": "15:00", "end": "16:00"}
    assert anna.post("/log/settings/quiet", form).status_code == 303
    assert anna.post("/log/settings/quiet", {**form, "day": "6"}).status_code == 303
    assert held(box) == [Hours([1, 2, 3, 4, 5], "15:00", "16:00"), Hours([6], "15:00", "16:00")]
    text = pages.text(anna.get("/log/settings"))
    assert "15:00–16:00 Mon to Fri" in text
    assert "It is quiet now, until 21 Nov 2026, 16:00." in text
    assert "Quiet until 21 Nov 2026, 16:00" in text
    gone = {"days": "6", "start": "15:00", "end": "16:00"}
    anna.post("/log/settings/quiet/remove", gone)
    anna.post("/log/settings/quiet/remove", gone)
    assert held(box) == [Hours([1, 2, 3, 4, 5], "15:00", "16:00")]
    assert "It is not quiet just now." in pages.text(anna.get("/log/settings"))
    acts = [row[0] for row in box.rows("SELECT action FROM audit ORDER BY id")]
    assert acts == ["quiet.changed"] * 3


def test_quiet_hours_that_are_none_are_refused_with_a_sentence(
    box: pages.Box, anna: pages.Browser, me: str
) -> None:
    answer = anna.post("/log/settings/quiet", {"start": "22:00", "end": "07:00"})
    assert answer.status_code == 400
    assert "Choose the days on which 22:00 to 07:00 is quiet." in pages.text(answer)
    answer = anna.post("/log/settings/quiet", {"day": "1", "start": "25:00", "end": "07:00"})
    assert answer.status_code == 400
    assert "25:00" in pages.text(answer)
    assert held(box) == []


def test_the_zone_is_that_of_every_page(box: pages.Box, anna: pages.Browser, me: str) -> None:
    assert "it is now 21 Nov 2026, 15:30" in pages.text(anna.get("/log/settings"))
    assert anna.post("/log/settings/zone", {"zone": "Asia/Tokyo"}).status_code == 303
    assert "it is now 21 Nov 2026, 23:30" in pages.text(anna.get("/log/settings"))
    assert anna.post("/log/settings/zone", {"zone": "Mars/Olympus"}).status_code == 400
    anna.post("/log/settings/zone", {"zone": ""})
    assert box.rows("SELECT 1 FROM settings WHERE key = 'zone'") == []


def test_the_mood_is_shared_only_when_asked_for(
    box: pages.Box, anna: pages.Browser, me: str
) -> None:
    def shared() -> bool | None:
        return box.db.read(lambda db: settings.get(db, f"share_mood:{me}", bool))

    assert "It is not shared." in pages.text(anna.get("/log/settings"))
    anna.post("/log/settings/mood", {"shared": "1"})
    assert shared() is True
    assert "It is shared." in pages.text(anna.get("/log/settings"))
    anna.post("/log/settings/mood", {"shared": "0"})
    assert not shared()


def test_the_state_of_the_log_in_words(box: pages.Box, anna: pages.Browser, me: str) -> None:
    def state() -> str:
        return pages.text(anna.get("/log/settings"))

    box.daemon.health = replace(HEALTH, mandate="home")
    assert "The log runs With the consent of 1 Jan 1970." in state()
    box.daemon.health = replace(HEALTH, mandate="session")
    assert "A session is running" in state()
    box.write(
        "UPDATE consents SET withdrawn_utc = ?",
        home_log.utc_ms(datetime(2026, 11, 20, 12, tzinfo=BERLIN)),
    )
    assert "The consent was withdrawn on 20 Nov 2026." in state()
    box.server.stop()
    assert "The service does not answer" in state()
