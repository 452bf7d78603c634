"""Writes the locks beside it: for each environment the exact versions of all packages, and hashes.

`make lock` runs it. What is allowed stands in pyproject.toml; what is installed stands here, in a
form that pip alone can read. A lock holds for Python 3.11 to 3.13 on x86-64 and aarch64, and names
no index.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from packaging.markers import Marker, default_environment

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
    "sbom": {"groups": ["sbom"]},
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


def machines() -> list[dict[str, str]]:
    """Return what markers are asked for on each Python and processor that a lock is for."""
    return [
        {name: str(value) for name, value in default_environment().items()}
        | {
            "python_version": python,
            "python_full_version": f"{python}.0",
            "platform_machine": machine,
            "platform_system": "Linux",
            "sys_platform": "linux",
        }
        for python in ("3.11", "3.12", "3.13")
        for machine in ("x86_64", "aarch64")
    ]


def pinned(lock: Path, machine: dict[str, str]) -> dict[str, tuple[str, str]]:
    """Return what a lock installs on a machine: version and hashes of each package."""
    found: dict[str, tuple[str, str]] = {}
    for block in re.split(r"\n(?=[A-Za-z0-9])", lock.read_text()):
        if match := _PINNED.search(block):
            name, version, marker = match.groups()
            if not marker or Marker(marker).evaluate(machine):
                assert name not in found, f"{lock.name} pins {name} twice for {machine}"
                found[name] = version, " ".join(re.findall(r"--hash=\S+", block))
    return found


def interpreter(python: str) -> str | None:
    """Return the program of a Python such as 3.12, here or in pyenv; None where there is none."""
    folder = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    others = sorted(folder.glob(f"{python}.*/bin/python3"))
    for each in (sys.executable, *map(str, others), shutil.which(f"python{python}")):
        script = "import pip, sys; sys.exit('%d.%d' % sys.version_info[:2] != sys.argv[1])"
        if (
            each
            and not subprocess.run([each, "-c", script, python], capture_output=True).returncode
        ):
            return each
    return None


def unavailable(lock: Path, machine: dict[str, str], program: str) -> str:
    """Return what pip cannot find of a lock for a machine, as pip says it; empty if all is there.

    It asks the pip of that Python: uv does not look at the upper bound that a package sets on
    Python, and pip compares it with the Python it runs in.
    """
    processor = machine["platform_machine"]
    command = [program, "-m", "pip", "install", "--dry-run", "--quiet", "--no-deps"]
    command += ["--disable-pip-version-check", "--ignore-installed", "--require-hashes"]
    command += ["--only-binary=:all:", f"--python-version={machine['python_version']}"]
    # The C library of bookworm is 2.36.
    glibc = [f"_2_{minor}" for minor in range(5, 37)] + ["1", "2010", "2014"]
    command += [f"--platform=manylinux{each}_{processor}" for each in glibc]
    with tempfile.TemporaryDirectory() as folder:
        rows = [
            f"{name}=={version} {hashes}\n"
            for name, (version, hashes) in pinned(lock, machine).items()
        ]
        wanted = Path(folder, lock.name)
        wanted.write_text("".join(rows))
        command += ["--target", folder, "--requirement", str(wanted)]
        done = subprocess.run(command, capture_output=True, text=True)
    return "\n".join(row for row in done.stderr.splitlines() if row.startswith("ERROR"))


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
    failed = False
    for machine in machines():
        where = f"Python {machine['python_version']} on {machine['platform_machine']}"
        program = interpreter(machine["python_version"])
        if program is None:
            print(f"lock: NOT CHECKED whether all of it is there for {where}: no such Python here")
            continue
        print(f"lock: is all of it there for {where}?", flush=True)
        # `run` and `build` are parts of `dev`.
        for name in ("box", "dev", "workshop"):
            if errors := unavailable(HERE / f"{name}.txt", machine, program):
                print(f"lock: {name}.txt is not all there for {where}:\n{errors}", file=sys.stderr)
                failed = True
    if failed:
        print("lock: bound such a package in pyproject.toml, then run this again", file=sys.stderr)
        return 1
    if anything:
        print("lock: `!` marks a new major version: read its release notes. Then: make test")
    return 0


if __name__ == "__main__":
    sys.exit(main())
