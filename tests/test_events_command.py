"""`mien events` tells every message in words, and no token."""

import json
from pathlib import Path

import msgspec
import pytest

from mien.__main__ import main
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


def test_no_token_is_shown_of_what_is_broken(capsys: pytest.CaptureFixture[str]) -> None:
    _words("mien/a/command/tag", b'{"token": "mien_abcdefghijklmnopqrstuvwxyz0123", }')
    assert "abcdef" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("leaf", "payload"),
    [
        ("state", b'{"people": 1, "expression": "x", "confidence": "y"}'),
        ("today", b'{"mood": "x"}'),
        ("health", b'{"parts": [1]}'),
        ("health", b"[" * 100_000),
        ("event", b'{"kind": NaN}'),
        ("event", b'"\xff"'),
        ("event", b"\x1b]0;evil\x07"),
        ("response/x", '{"ok": false, "error": "\\u001b[2J\u202e"}'.encode()),
    ],
)
def test_what_somebody_else_sends_is_told_too_and_steers_no_terminal(
    capsys: pytest.CaptureFixture[str], leaf: str, payload: bytes
) -> None:
    _words(f"mien/\x1b/{leaf}", payload)
    assert capsys.readouterr().out.removesuffix("\n").isprintable()
    _json_line(f"mien/\x1b/{leaf}", payload)
    line = capsys.readouterr().out.removesuffix("\n")
    assert line.isprintable()
    assert msgspec.json.decode(line)["topic"] == f"mien/\x1b/{leaf}"


def test_a_box_that_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["events", "--box", "#"]) == 1
    assert "'#' is no id of a box" in capsys.readouterr().err


def test_without_a_config_it_takes_that_of_the_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "mien.toml"
    config.write_text('[mqtt]\nhost = "127.0.0.1"\nport = 1\n')
    monkeypatch.setattr("mien.commands.run.SYSTEM_CONFIG", config)
    assert main(["events"]) == 1
    assert "127.0.0.1:1" in capsys.readouterr().err
