"""Runs groups of tests, each whatever became of the others, and reports them together.

`make test` runs all: `suite.py quick slow workshop`. What a group needs is set up while others run,
since that mostly waits for the network. A group's output is shown only when something failed in it;
all of it lies in build/test.
"""

import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOGS = ROOT / "build" / "test"
# These need TensorFlow; the workshop's other tests run in the box's environment.
WITH_TENSORFLOW = [
    f"tests/test_convert_{name}.py" for name in ("path", "quantize", "sides", "tune")
]
# These run in both environments: they do more where the workshop's packages are.
IN_BOTH = ["tests/test_convert_presets.py", "tests/test_convert_search.py"]

NAMED = 12  # how many of those that failed the last line names


@dataclass
class Result:
    """What one group came to: how many tests passed and were skipped, and which failed."""

    passed: int = 0
    failed: list[str] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)


def make(target: str) -> bool:
    """Run a target of the Makefile that sets something up; whether it could."""
    log = LOGS / f"{target}.log"
    with log.open("w") as out:
        command = ["make", "--no-print-directory", target]
        ok = subprocess.run(command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT).returncode == 0
    if not ok:
        print(f"mien: make {target} failed:\n{_tail(log)}", flush=True)
    return ok


def run(group: str, python: str, arguments: list[str]) -> Result:
    """Run one group with pytest of the environment of `python` and return its result."""
    print(f"mien: {group} …", flush=True)
    log, report = LOGS / f"{group}.log", LOGS / f"{group}.xml"
    report.unlink(missing_ok=True)
    command = [python, "-m", "pytest", "-q", "-rfEs", f"--junitxml={report}"]
    command += ["-o", "junit_family=xunit1", *arguments]
    begin = time.monotonic()
    with log.open("w") as out:
        status = subprocess.run(command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT).returncode
    result = read(report) if report.exists() else Result()
    if status and not result.failed:
        result.failed.append(f"{group}: pytest ended with {status}")
    words = f"{result.passed} passed, {len(result.failed)} failed, {result.skipped.total()} skipped"
    print(f"mien: {group}: {words} in {time.monotonic() - begin:.0f} s", flush=True)
    if result.failed:
        print(_tail(log, 200), flush=True)
    return result


def read(report: Path) -> Result:
    """Read what pytest wrote as JUnit XML."""
    result = Result()
    for case in ElementTree.parse(report).iter("testcase"):
        file = case.get("file", "")
        classes = case.get("classname", "").removeprefix(file.removesuffix(".py").replace("/", "."))
        name = "::".join([file, *classes.split(".")[1:], case.get("name", "")])
        skipped = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            result.failed.append(name)
        elif skipped is not None:
            result.skipped[skipped.get("message", "")] += 1
        else:
            result.passed += 1
    return result


def _tail(log: Path, lines: int = 30) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def _memory() -> str | None:
    """Return a folder in memory: the quick tests wait for the disk more than for the processor.

    It is None where less than 1 GB is free there, or where no program may be run from it, as in
    Docker.
    """
    try:
        of = os.statvfs("/dev/shm")
    except OSError:
        return None
    large = of.f_bavail * of.f_frsize > 10**9 and not of.f_flag & os.ST_NOEXEC
    return "/dev/shm" if large and os.access("/dev/shm", os.W_OK) else None


def quick() -> Result:
    """Run what needs neither a broker nor a browser, on all processors."""
    before = os.environ.get("TMPDIR")
    if memory := _memory():
        os.environ["TMPDIR"] = memory
    try:
        return run("quick", sys.executable, ["-m", "not slow", "-n", "auto", *_IGNORED])
    finally:
        os.environ.pop("TMPDIR", None)
        if before:
            os.environ["TMPDIR"] = before


def slow() -> Result:
    """Run what needs a broker, a browser, Home Assistant or a whole Debian.

    These wait for clocks, so there are more at once than processors. A module's tests stay
    together, for they share a box, a broker or a browser.
    """
    return run("slow", sys.executable, ["-m", "slow", "-n", "3", "--dist", "loadfile", *_IGNORED])


def workshop() -> Result:
    """Run what needs TensorFlow, in the workshop's environment."""
    python = str(Path(os.environ["WORKSHOP"], "bin", "python"))
    return run("workshop", python, ["-n", "2", "--dist", "loadfile", *WITH_TENSORFLOW, *IN_BOTH])


_IGNORED = [f"--ignore={module}" for module in WITH_TENSORFLOW]
# Each group with the targets of the Makefile that set up what it needs.
GROUPS = {quick: [], slow: ["home-assistant"], workshop: ["workshop"]}


def main() -> int:
    """Run the groups that the command line names and return the exit status."""
    LOGS.mkdir(parents=True, exist_ok=True)
    groups = {group: needs for group, needs in GROUPS.items() if group.__name__ in sys.argv[1:]}
    total = Result()
    with ThreadPoolExecutor(2) as pool:
        needed = {target for needs in groups.values() for target in needs}
        ready = {target: pool.submit(make, target) for target in sorted(needed)}
        for group, needs in groups.items():
            if missing := [target for target in needs if not ready[target].result()]:
                total.failed.append(f"{group.__name__}: make {' '.join(missing)} failed")
                continue
            result = group()
            total.passed += result.passed
            total.failed += result.failed
            total.skipped += result.skipped
    for reason, count in total.skipped.most_common():
        print(f"mien: skipped {count}: {reason}")
    print(f"{total.passed} passed, {len(total.failed)} failed, {total.skipped.total()} skipped")
    if total.failed:
        more = f" and {len(total.failed) - NAMED} more" if len(total.failed) > NAMED else ""
        print(f"mien: failed: {', '.join(total.failed[:NAMED])}{more}. All output: build/test")
    return bool(total.failed)


if __name__ == "__main__":
    sys.exit(main())
