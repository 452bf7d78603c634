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


def imported(module: str) -> set[str]:
    code = f"import sys, mien.{module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("module", GROUND)
def test_the_ground_floor_stands_on_nothing_heavy(module: str) -> None:
    assert not {name.split(".")[0] for name in imported(module)} & HEAVY


@pytest.mark.parametrize("module", PURE)
def test_the_pure_middle_reckons_with_numpy_alone(module: str) -> None:
    loaded = {name.split(".")[0] for name in imported(module)}
    assert not loaded & (HEAVY - {"numpy"})


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
    every = ", mien.".join(sorted(modules))  # in one process: what any of them pulls in is there
    loaded = {name.split(".")[0] for name in imported(every)}
    assert {"cv2", "numpy"} <= loaded
    assert not loaded & {"mien_web", "mien_convert"}
