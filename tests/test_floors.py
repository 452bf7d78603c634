"""Imports go down only: what each room of the house may pull in, looked up in a fresh process."""

import subprocess
import sys
from pathlib import Path

import pytest

DAEMON = Path(__file__).parent.parent / "daemon" / "mien"
HEAVY = {"cv2", "numpy", "ai_edge_litert", "tflite_runtime", "paho", "flask", "waitress"}

GROUND = [
    "student",
    "dayfigures",
    "moodpatterns",
    "moodfaces",
    "homefile",
    "backup",
    "restore",
    "tokens",
    "orders",
    "client",
    "zone",
    "metrics",
    "notify",
    "releases",
    "update",
    "quarters",
    "moodlog",
    "quiet",
    "reminders",
    "retained",
    "neighbours",
    "discovery",
    "today",
    "smart_home",
    "asyncapi",
    "broker",
    "publisher",
    "emotions",
    "gallery",
    "uploads",
    "clients",
    "erasures",
    "agreement",
    "shares",
    "cells",
    "baseline",
    "captures",
    "edits",
    "sessions",
    "taps",
    "timeline",
    "events",
    "config",
    "clock",
    "topics",
    "store",
    "rows",
    "control",
    "scripted",
    "control_client",
    "mandate",
    "forgetting",
    "settings",
    "users",
    "attempts",
    "firstrun",
    "audit",
    "bundle",
    "bundles",
    "stage",
    "heads",
    "intervals",
    "predictions",
    "activities",
    "checkins",
    "checkin_import",
    "csvfile",
    "daylio",
    "moodcsv",
]
PURE = ["smoothing", "tracks", "reading", "pose", "layer", "moodanalysis", "moodplot"]


EACH = """
import importlib, sys
for module in sys.argv[1:]:
    before = set(sys.modules)
    importlib.import_module(f"mien.{module}")
    print(module, *{name.split(".")[0] for name in set(sys.modules) - before})
"""


def imported(*modules: str) -> dict[str, set[str]]:
    """What each pulls in that those before it did not: the first of a library is there."""
    command = [sys.executable, "-c", EACH, *modules]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return {line.split()[0]: set(line.split()[1:]) for line in done.stdout.splitlines()}


def test_the_ground_floor_stands_on_nothing_heavy() -> None:
    found = imported(*GROUND)
    assert found.keys() == set(GROUND)
    assert {module: new & HEAVY for module, new in found.items() if new & HEAVY} == {}


def test_the_pure_middle_reckons_with_numpy_alone() -> None:
    found = imported(*PURE)
    more = HEAVY - {"numpy"}
    assert found.keys() == set(PURE)
    assert {module: new & more for module, new in found.items() if new & more} == {}


@pytest.mark.parametrize(
    ("library", "homes"),
    [
        ("paho", {"line"}),
        ("picamera2", {"picamera"}),
        ("sqlcipher3", {"database"}),
        ("argon2", {"passphrase"}),
        ("ai_edge_litert", {"classifier"}),
        ("tflite_runtime", {"classifier"}),
    ],
)
def test_each_library_is_adapted_in_one_module(library: str, homes: set[str]) -> None:
    users = {
        path.stem
        for path in DAEMON.rglob("*.py")
        if f"import {library}" in path.read_text() or f"from {library}" in path.read_text()
    }
    assert users == homes


def test_the_appliance_knows_neither_the_page_nor_the_workshop() -> None:
    paths = (path.relative_to(DAEMON).with_suffix("") for path in DAEMON.rglob("*.py"))
    modules = [".".join(path.parts) for path in paths if not path.stem.startswith("__")]
    loaded = set().union(*imported(*sorted(modules)).values())
    assert {"cv2", "numpy"} <= loaded
    assert not loaded & {"mien_web", "mien_convert"}
