"""C libraries never fill the journal, and nothing of Python's own is lost."""

import os
import re
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from mien import chatter
from mien.chatter import KINDS, LINES, PERIOD_S, Limiter
from mien.clock import ManualClock


def test_the_first_lines_of_a_kind_come_through_and_the_rest_is_counted() -> None:
    clock = ManualClock()
    limiter = Limiter(clock)
    said = [
        line
        for number in range(1000)
        for line in limiter.take(f"Corrupt JPEG data: {number} extraneous bytes")
    ]
    assert said == [f"Corrupt JPEG data: {number} extraneous bytes" for number in range(LINES)]
    clock.advance(PERIOD_S)
    assert limiter.take("Corrupt JPEG data: 7 extraneous bytes") == [
        "997 more like this were left out: Corrupt JPEG data: 0 extraneous bytes",
        "Corrupt JPEG data: 7 extraneous bytes",
    ]


@given(st.lists(st.text(max_size=500), max_size=300))
def test_whatever_comes_there_is_a_bound(lines: list[str]) -> None:
    limiter = Limiter(ManualClock())
    said = [each for line in lines for each in limiter.take(line)]
    said += limiter.summary()
    assert len(said) <= (KINDS + 1) * (LINES + 1)
    assert all(len(line) < chatter.LONGEST + 60 for line in said)
    assert limiter.summary() == []


CHILD = """
import ctypes, logging, os, sys
from mien import chatter
from mien.clock import SystemClock
logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
logging.info("before")
with chatter.limited(SystemClock()):
    for number in range(5000):
        os.write(2, b"from C, %d\\n" % number)
    os.write(2, b"x" * 500_000)
    logging.info("from Python")
    print("printed", file=sys.stderr)
    if "crash" in sys.argv:
        ctypes.string_at(0)
    if "raise" in sys.argv:
        raise RuntimeError("a fault of our own")
os.write(2, b"after\\n")
logging.info("after, too")
"""


def child(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", CHILD, *arguments], capture_output=True, text=True, timeout=60
    )


def test_python_s_own_lines_stay_and_those_of_c_are_few() -> None:
    done = child()
    assert done.returncode == 0
    lines = done.stderr.splitlines()
    of_c = [line for line in lines if re.fullmatch(r"INFO: library: from C, \d+", line)]
    assert len(of_c) == LINES
    assert "INFO: library: 4997 more like this were left out: from C, 0" in lines
    for wanted in ("INFO: before", "INFO: from Python", "printed", "after", "INFO: after, too"):
        assert wanted in lines
    assert len(done.stderr) < 5000


def test_a_traceback_is_not_lost() -> None:
    done = child("raise")
    assert done.returncode == 1
    assert "RuntimeError: a fault of our own" in done.stderr


def test_a_crash_in_c_code_says_where() -> None:
    done = child("crash")
    assert done.returncode < 0
    assert "Fatal Python error: Segmentation fault" in done.stderr
    assert "string_at" in done.stderr


def test_no_descriptor_is_left_open() -> None:
    before = set(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with chatter.limited(ManualClock()):
            pass
    assert set(os.listdir("/proc/self/fd")) == before
