"""Writes the locks beside it: for each environment the exact versions of all packages, and hashes.

`make lock` runs it. What is allowed stands in pyproject.toml; what is installed stands here, in a
form that pip alone can read. A lock holds for Python 3.11 to 3.13 on x86-64 and aarch64, and names
no index.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent

# The name of each lock, and what it is made from: extras and dependency groups of pyproject.toml.
# A lock takes the versions that the locks before it have, so that one package has one version.
LOCKS: dict[str, dict[str, list[str]]] = {
    "box": {"extras": ["box"]},
    "run": {"extras": ["demo"], "groups": ["build"]},
    "dev": {"extras": ["dev"], "groups": ["build"]},
    "workshop": {"extras": ["convert", "test"], "groups": ["build"]},
    "build": {"groups": ["build"]},
    "lock": {"groups": ["lock"]},
}
# These stand alone: they need other versions than everything else, and one Python.
ALONE: dict[str, dict[str, list[str]]] = {
    "tflite-runtime": {"extras": ["tflite-runtime"], "python": ["3.11"]},
    "home-assistant": {"groups": ["home-assistant"], "python": ["3.13"]},
}
_PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)(?:\s*;\s*(.*?))?\s*\\?$", re.M)


def versions(lock: Path) -> dict[str, str]:
    """Return the version of each package in `lock`, several joined by " / "; none without it."""
    found: dict[str, list[str]] = {}
    if lock.exists():
        for name, version, _ in _PINNED.findall(lock.read_text()):
            found.setdefault(name, []).append(version)
    return {name: " / ".join(sorted(set(each))) for name, each in found.items()}


def moved(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Return a line for each package whose version changed, with `!` at a new major version."""
    lines = []
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        if old is None:
            lines.append(f"    + {name} {new}")
        elif new is None:
            lines.append(f"    - {name} {old}")
        else:
            mark = "!" if _major(old) != _major(new) else " "
            lines.append(f"  {mark}   {name} {old} -> {new}")
    return lines


def _major(version: str) -> str:
    return version.rsplit(" / ", 1)[-1].split(".")[0]


def compile_lock(
    name: str, made_from: dict[str, list[str]], before: list[Path], keep: bool
) -> list[str]:
    """Write one lock and return what moved in it.

    Args:
        name: The lock, without `.txt`.
        made_from: Its extras and groups, and the one Python it is for, if any.
        before: Locks whose versions it must take.
        keep: Leave every version as it is where pyproject.toml still allows it.

    Raises:
        subprocess.CalledProcessError: No set of versions fits; uv said why on stderr.
    """
    path = HERE / f"{name}.txt"
    extras, groups = made_from.get("extras", []), made_from.get("groups", [])
    command = ["uv", "pip", "compile", "--quiet", "--no-header", "--no-emit-index-url"]
    command += ["--generate-hashes", "--annotation-style=line"]
    if extras:
        command.append("pyproject.toml")
    command += [f"--extra={extra}" for extra in extras]
    command += [f"--group=pyproject.toml:{group}" for group in groups]
    command += [f"--constraints={lock}" for lock in before]
    if python := made_from.get("python"):
        command.append(f"--python-version={python[0]}")
    else:
        command += ["--python-version=3.11"]
    command.append("--universal")
    with tempfile.TemporaryDirectory() as folder:
        # uv keeps the versions that it finds in the file it writes to.
        draft = Path(folder, path.name)
        if path.exists():
            draft.write_text(path.read_text())
        command += ["--output-file", str(draft)]
        if not keep:
            command.append("--upgrade")
        environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        subprocess.run(command, cwd=ROOT, check=True, env=environment, stdout=subprocess.DEVNULL)
        # Which other lock a version was taken from says nothing about who needs it.
        text = re.sub(r"-c requirements/\S+\.txt(, )?", "", draft.read_text())
        text = re.sub(r", $|^    # via $\n", "", text, flags=re.M)
    was = versions(path)
    path.write_text(f"# Made by `make lock` from pyproject.toml. Do not edit.\n{text}")
    return moved(was, versions(path))


def main() -> int:
    """Write every lock, print what moved, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="move nothing that need not move")
    keep = parser.parse_args().keep
    done: list[Path] = []
    anything = False
    for name, made_from in (LOCKS | ALONE).items():
        print(f"lock: {name}", flush=True)
        try:
            lines = compile_lock(name, made_from, done if name in LOCKS else [], keep)
        except subprocess.CalledProcessError as error:
            print(
                f"lock: {name} could not be made; uv says why above. Nothing was changed in it.",
                file=sys.stderr,
            )
            return error.returncode
        done.append(HERE / f"{name}.txt")
        anything = anything or bool(lines)
        print("\n".join(lines) if lines else "    nothing moved", flush=True)
    if anything:
        print("lock: `!` marks a new major version: read its release notes. Then: make test")
    return 0


if __name__ == "__main__":
    sys.exit(main())
