"""`mien events` tells every message in words, and no token."""

import json

import msgspec
import pytest

from mien.commands.events import _json_line, _words
from mien.events import EpisodeEvent, Reminder, Response, Today

NOW = "2027-01-15T08:00:00.000Z"
TODAY = Today(
    id="1", box="a", time=NOW, date="2027-01-15", watched_minutes=90, seen_minutes=42,
    read_minutes=30, expression=None, valence=None, checkins=None, mood=None,
)  # fmt: skip
EPISODE = EpisodeEvent(
    id="1", box="a", expression="anger", start=NOW, end=NOW, seconds=1.5, peak=0.5, clock_ok=True
)
ANSWER = Response(id="1", box="a", command="pause", request=None, ok=True)


@pytest.mark.parametrize(
    ("leaf", "message", "words"),
    [
        ("event", EPISODE, "looked like anger for 1.5 s"),
        ("event", Reminder(id="1", box="a", time=NOW), "time for a check-in"),
        ("today", TODAY, "2027-01-15: seen for 42 of 90 minutes"),
        (
            "today",
            msgspec.structs.replace(TODAY, checkins=2, mood=3.5),
            "2027-01-15: seen for 42 of 90 minutes; 2 check-ins, mood 3.5 of 5",
        ),
        ("response/pause", ANSWER, "done"),
        (
            "response/start",
            msgspec.structs.replace(ANSWER, ok=False, error="no such client"),
            "refused: no such client",
        ),
    ],
)
def test_in_words(
    capsys: pytest.CaptureFixture[str], leaf: str, message: msgspec.Struct, words: str
) -> None:
    _words(f"mien/a/{leaf}", msgspec.json.encode(message))
    assert capsys.readouterr().out.split(" ", 1)[1] == f"mien/a/{leaf}: {words}\n"


def test_no_token_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    command = json.dumps({"token": "a secret", "text": "work"}).encode()
    _words("mien/a/command/tag", command)
    _json_line("mien/a/command/tag", command)
    said = capsys.readouterr().out
    assert "a secret" not in said
    assert said.count("work") == 2
