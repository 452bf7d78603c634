"""The locks agree with pyproject.toml, and what is made from them is complete or is not there."""

import base64
import hashlib
import http.server
import os
import re
import shutil
import subprocess
import sys
import threading
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "requirements"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

sys.path.insert(0, str(FOLDER))
import lock  # noqa: E402

# ── the locks ────────────────────────────────────────────────────────────────────────────────

ALL = {**lock.LOCKS, **lock.ALONE}


def _wanted(made_from: dict[str, list[str]]) -> Iterator[tuple[Requirement, str]]:
    """Yield every requirement of pyproject.toml that goes into a lock, with the extra it is of."""
    project = PROJECT["project"]
    extras = list(made_from.get("extras", []))
    done = set()
    if extras:
        yield from ((Requirement(each), "") for each in project["dependencies"])
    while extras:
        extra = extras.pop()
        if extra in done:
            continue
        done.add(extra)
        for text in project["optional-dependencies"][extra]:
            requirement = Requirement(text)
            if requirement.name == "mien":
                extras += requirement.extras
            else:
                yield requirement, extra
    for group in made_from.get("groups", []):
        yield from ((Requirement(each), "") for each in PROJECT["dependency-groups"][group])


def _pinned(name: str, machine: dict[str, str]) -> dict[str, str]:
    """Return what a lock installs on a machine: version by canonical name."""
    found = lock.pinned(FOLDER / f"{name}.txt", machine)
    return {canonicalize_name(package): version for package, (version, _) in found.items()}


@pytest.mark.parametrize("name", ALL)
def test_each_lock_has_what_pyproject_asks_for_and_nothing_else_directly(name: str) -> None:
    made_from = ALL[name]
    pythons = made_from.get("python", ["3.11", "3.12", "3.13"])
    wanted = list(_wanted(made_from))
    for machine in lock.machines():
        if machine["python_version"] not in pythons:
            continue
        pinned = _pinned(name, machine)
        for requirement, extra in wanted:
            if requirement.marker and not requirement.marker.evaluate({**machine, "extra": extra}):
                continue
            version = pinned.get(canonicalize_name(requirement.name))
            assert version, f"{name}.txt lacks {requirement}: make lock LOCK=--keep"
            assert requirement.specifier.contains(version, prereleases=True), (
                f"{name}.txt has {requirement.name} {version}, not {requirement}: make lock"
            )
    text = (FOLDER / f"{name}.txt").read_text()
    direct = set(
        re.findall(r"^([A-Za-z0-9._-]+)==.*\\\n(?:    --hash.*\n)*    # via .*\bmien\b", text, re.M)
    )
    assert {canonicalize_name(each) for each in direct} <= {
        canonicalize_name(requirement.name) for requirement, _ in wanted
    }, f"{name}.txt holds what pyproject.toml does not ask for any more: make lock LOCK=--keep"


@pytest.mark.parametrize("name", ALL)
def test_every_package_has_hashes_and_no_index_is_named(name: str) -> None:
    text = (FOLDER / f"{name}.txt").read_text()
    assert not re.search(r"://|--index|--find-links|--trusted", text)
    for block in re.split(r"\n(?=[A-Za-z0-9])", text.split("\n", 1)[1]):
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", block), block[:80]


def test_one_package_has_one_version_in_all_environments_of_the_project() -> None:
    for machine in lock.machines():
        seen: dict[str, tuple[str, str]] = {}
        for name in lock.LOCKS:
            for package, version in _pinned(name, machine).items():
                where, other = seen.setdefault(package, (name, version))
                assert other == version, (
                    f"{package} is {other} in {where}.txt, {version} in {name}.txt"
                )


def test_what_moved_is_told_and_a_new_major_marked() -> None:
    before = {"flask": "3.1.3", "numpy": "2.4.6 / 2.5.5", "gone": "1.0", "same": "1"}
    after = {"flask": "4.0", "numpy": "2.4.7 / 2.5.6", "new": "0.1", "same": "1"}
    assert lock.moved(before, after) == [
        "  !   flask 3.1.3 -> 4.0",
        "    - gone 1.0",
        "    + new 0.1",
        "      numpy 2.4.6 / 2.5.5 -> 2.4.7 / 2.5.6",
    ]
    assert lock.moved(after, after) == []


# ── the environments ─────────────────────────────────────────────────────────────────────────


def _wheel(folder: Path, name: str, version: str, content: str = "") -> Path:
    """Make a wheel of one module."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": content,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = []
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in files.items():
            archive.writestr(file, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=")
            rows.append(f"{file},sha256={digest.decode()},{len(text.encode())}")
        archive.writestr(f"{info}/RECORD", "\n".join([*rows, f"{info}/RECORD,,"]) + "\n")
    return path


class Registry:
    """A package registry on this machine, which can be slow, absent or dishonest."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.delay = threading.Event()
        self.silent = False
        registry = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if registry.silent:
                    registry.delay.wait(30)
                    return
                part = self.path.strip("/").split("/")
                if part[0] == "simple":
                    links = [
                        f'<a href="/files/{each.name}">{each.name}</a>'
                        for each in registry.folder.glob(f"{part[1].replace('-', '_')}-*.whl")
                    ]
                    body = f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>".encode()
                    kind = "text/html"
                else:
                    body, kind = (registry.folder / part[1]).read_bytes(), "application/zip"
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{self._server.server_port}/simple"

    def close(self) -> None:
        self.delay.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    folder = tmp_path / "registry"
    folder.mkdir()
    here = Registry(folder)
    yield here
    here.close()


class Project:
    """A copy of the scripts in a project of its own, with a lock of two small packages.

    `place` is a shell command that comes before, in a mount namespace of its own.
    """

    def __init__(self, root: Path, registry: Registry) -> None:
        self.root, self.registry, self.place = root, registry, ""
        (root / "requirements").mkdir(parents=True)
        for name in ("environment.sh", "pip.sh", "packages.sh"):
            shutil.copy(FOLDER / name, root / "requirements")
        (root / "pyproject.toml").write_text("# none\n")
        self.lock(alpha="1.0", beta="2.0")

    def lock(self, padding: str = "", **versions: str) -> None:
        """Make a wheel of each package, and the lock that names them."""
        rows = []
        for name, version in versions.items():
            content = f"version = '{version}'\n# {padding}\n"
            wheel = _wheel(self.registry.folder, name, version, content)
            digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
            rows.append(f"{name}=={version} \\\n    --hash=sha256:{digest}\n")
        (self.root / "requirements" / "tiny.txt").write_text("".join(rows))

    def make(
        self, python: str | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Make its environment; what stands in its folder afterwards is the end of stdout."""
        command = [
            "sh",
            "requirements/environment.sh",
            ".venv",
            "tiny",
            *([python] if python else []),
        ]
        if self.place:
            if os.geteuid() != 0:
                pytest.skip("only root may mount a disk")
            script = f'{self.place}\n"$@"; status=$?; ls -A; exit $status'
            command = ["unshare", "-m", "sh", "-ec", script, "sh", *command]
        clean = {name: each for name, each in os.environ.items() if not name.startswith("PIP_")}
        settings = {
            "PIP_INDEX_URL": self.registry.address,
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_CACHE_DIR": "1",
            "PIP_RETRIES": "1",
            "PIP_TIMEOUT": "5",
        }
        return subprocess.run(
            command,
            cwd=self.root,
            env=clean | settings | environment,
            capture_output=True,
            text=True,
        )

    def has(self, name: str) -> str | None:
        """Return the version of a module in the environment, None without it."""
        command = [".venv/bin/python", "-c", f"import {name}; print({name}.version)"]
        try:
            done = subprocess.run(command, cwd=self.root, capture_output=True, text=True)
        except OSError:
            return None
        return done.stdout.strip() or None


@pytest.fixture
def project(tmp_path: Path, registry: Registry) -> Project:
    # As people name their folders.
    return Project(tmp_path / "Mien für Zoë (Kopie)", registry)


@pytest.mark.slow
class TestEnvironment:
    def test_it_is_made_once_and_then_nothing_is_done(self, project: Project) -> None:
        first = project.make()
        assert (first.returncode, first.stderr) == (0, "")
        assert project.has("alpha") == "1.0"
        again = project.make(PIP_INDEX_URL="http://127.0.0.1:9/simple")
        assert (again.returncode, again.stdout, again.stderr) == (0, "", "")

    def test_an_older_lock_is_told_and_what_is_not_named_any_more_goes(
        self, project: Project
    ) -> None:
        project.make()
        project.lock(alpha="1.1")
        done = project.make()
        assert "was made from an older lock" in done.stdout
        assert project.has("alpha") == "1.1"
        assert project.has("beta") is None

    def test_without_a_network_the_older_one_stays(self, project: Project) -> None:
        project.make()
        project.lock(alpha="1.1")
        done = project.make(PIP_INDEX_URL="http://127.0.0.1:9/simple")
        assert done.returncode == 1
        assert "the package registry could not be reached" in done.stderr
        assert "alpha==1.1" in done.stderr.splitlines()[-1]
        assert project.has("alpha") == "1.0"
        assert not (project.root / ".venv.old").exists()

    def test_a_registry_that_does_not_answer_is_told_as_such(self, project: Project) -> None:
        project.registry.silent = True
        done = project.make(PIP_TIMEOUT="1")
        assert done.returncode == 1
        assert "the package registry could not be reached" in done.stderr
        assert not (project.root / ".venv").exists()

    def test_another_hash_names_the_package_and_installs_nothing(self, project: Project) -> None:
        _wheel(project.registry.folder, "beta", "2.0", "version = 'another'\n")
        done = project.make()
        assert done.returncode == 1
        assert "for beta==2.0 is not what the lock names" in done.stderr
        assert not (project.root / ".venv").exists()

    def test_a_version_that_the_registry_lacks_is_named(self, project: Project) -> None:
        beta = project.registry.folder / "beta-2.0-py3-none-any.whl"
        beta.rename(beta.with_name("beta-1.9-py3-none-any.whl"))
        done = project.make()
        assert "the registry has no beta==2.0" in done.stderr

    def test_one_that_was_not_finished_is_made_again(self, project: Project) -> None:
        project.make()
        (project.root / ".venv" / ".installed").unlink()
        assert "was not finished" in project.make().stdout
        assert project.has("alpha") == "1.0"

    def test_one_that_does_not_work_any_more_is_made_again(self, project: Project) -> None:
        project.make()
        python = project.root / ".venv" / "bin" / "python"
        python.unlink()
        python.symlink_to("/nowhere/python3")
        assert "does not work any more" in project.make().stdout
        assert project.has("alpha") == "1.0"

    def test_one_that_was_moved_is_made_again(self, project: Project) -> None:
        project.make()
        project.root = project.root.rename(project.root.with_name("elsewhere"))
        assert "in another place" in project.make().stdout
        assert project.has("alpha") == "1.0"

    def test_another_python_that_is_named_is_told(self, project: Project, tmp_path: Path) -> None:
        project.make()
        stamp = project.root / ".venv" / ".installed"
        lines = stamp.read_text().splitlines()
        stamp.write_text("\n".join(["changed", "Python 3.10.1", *lines[2:]]))
        assert "has Python 3.10.1. It is made again." in project.make(sys.executable).stdout

    def test_a_full_disk_is_told_and_nothing_stays(self, project: Project) -> None:
        # Not compressible: 30 MB that hold pip do not hold this.
        project.lock(os.urandom(12_000_000).hex(), alpha="1.0")
        project.place = """
            here=$PWD
            mount -t tmpfs -o size=30m none /mnt
            cp -R . /mnt
            mount --move /mnt "$here"
            cd "$here"
            set +e"""
        done = project.make()
        assert done.returncode == 1
        assert "the disk is full; it happened at alpha==1.0" in done.stderr
        assert ".venv" not in done.stdout.splitlines()


@pytest.mark.parametrize("said", ["Python 3.10.2", "Python 3.14.0"])
def test_another_python_gets_a_sentence_before_anything_is_fetched(
    said: str, project: Project, tmp_path: Path
) -> None:
    fake = tmp_path / "python9"
    fake.write_text(f"#!/bin/sh\n[ $1 = --version ] && echo {said} && exit 0\nexit 1\n")
    fake.chmod(0o755)
    done = project.make(str(fake))
    assert done.returncode == 1
    assert f"Mien needs Python 3.11, 3.12 or 3.13, and {fake} is {said}." in done.stderr
    assert not (project.root / ".venv").exists()


def test_a_read_only_clone_gets_a_sentence(project: Project) -> None:
    project.place = """
        here=$PWD
        mount --bind "$here" "$here"
        mount -o remount,bind,ro "$here"
        cd "$here"
        set +e"""
    done = project.make()
    assert done.returncode == 1
    assert f"nothing can be written in {project.root}" in done.stderr
    assert "make VENV=" in done.stderr


def test_without_an_administrator_it_says_what_one_must_do(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, script in {"apt-get": "exit 0", "id": "echo 1000", "sudo": "exit 1"}.items():
        (programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (programs / name).chmod(0o755)
    done = subprocess.run(
        ["sh", str(FOLDER / "packages.sh"), "python3-venv", "mosquitto"],
        env=os.environ | {"PATH": f"{programs}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "sudo apt-get install --no-install-recommends python3-venv mosquitto" in done.stderr
