"""Which build this is: what the command prints, the page shows, and a release carries."""

import hashlib
import json
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

import pages
from mien import __version__, build, licences
from mien.__main__ import main

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "requirements"))
import lock  # noqa: E402
import notice  # noqa: E402

MACHINE = sysconfig.get_platform().rsplit("-", 1)[-1]
PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"


def test_the_command_prints_the_build_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["version"] == __version__
    assert told["python"] == ".".join(map(str, sys.version_info[:3]))
    names = {part["name"].lower() for part in told["components"]}
    assert {"numpy", "flask", "opencv-python-headless"} <= names
    assert "mien" not in names
    assert [part["name"] for part in told["networks"]][:1] == ["BlazeFace (mediapipe)"]
    assert all(part["licence"] for part in told["components"] + told["networks"])


def test_the_version_alone_stays_a_line_of_text(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"mien {__version__}\n"


def test_an_installed_box_says_what_was_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = tmp_path / "build.json"
    record.write_text('{"version": "1", "commit": "abc", "date": "2026-12-01T08:00:00Z"}')
    monkeypatch.setattr(build, "RECORD", record)
    told = build.this(tmp_path)
    assert (told.commit, told.date) == ("abc", "2026-12-01T08:00:00Z")


@pytest.mark.parametrize("content", ["", "[]", "null", "\xff"])
def test_a_damaged_record_hides_nothing_else(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = tmp_path / "build.json"
    record.write_bytes(content.encode("latin-1"))
    monkeypatch.setattr(build, "RECORD", record)
    monkeypatch.setattr(build, "_CHECKOUT", tmp_path)
    told = build.this(tmp_path)
    assert (told.version, told.commit, told.date) == (__version__, None, None)


def test_a_newer_release_for_this_machine_lies_ready(tmp_path: Path) -> None:
    assert build.ready(tmp_path) is None
    folder = tmp_path / build.READY
    folder.mkdir()
    names = [
        f"mien-0.0.9-{MACHINE}-py{PYTHON}.tar",  # older
        f"mien-{__version__}-{MACHINE}-py{PYTHON}.tar",  # this one
        f"mien-99.0-sparc-py{PYTHON}.tar",
        f"mien-99.0-{MACHINE}-py3.99.tar",
        f"mien-99.0-{MACHINE}-py{PYTHON}.tar.part",
        "notes.txt",
    ]
    for name in names:
        (folder / name).touch()
    assert build.ready(tmp_path) is None
    for version in ("9.9", "10.0"):
        (folder / f"mien-{version}-{MACHINE}-py{PYTHON}.tar").touch()
    assert build.this(tmp_path).ready == "10.0"


@pytest.mark.parametrize(
    ("fields", "licence"),
    [
        ([("License-Expression", "MIT OR Apache-2.0")], "MIT OR Apache-2.0"),
        ([("License", "MIT License")], "MIT"),
        ([("License", "Copyright (c) 2015, somebody\nAll rights …")], "not stated"),
        (
            [("License", "x" * 200), ("Classifier", "License :: OSI Approved :: MIT License")],
            "MIT",
        ),
        ([("Classifier", "License :: OSI Approved")], "not stated"),
        ([("License", "UNKNOWN")], "not stated"),
        ([], "not stated"),
    ],
)
def test_a_licence_is_read_from_the_metadata(fields: list[tuple[str, str]], licence: str) -> None:
    metadata = Message()
    for name, value in fields:
        metadata[name] = value
    assert licences.of(metadata) == licence


def test_notice_names_every_package_of_the_box_with_its_licence() -> None:
    assert notice.written() == notice.packages(), "run: make notice"
    locked = {
        name
        for machine in lock.machines()
        for name in lock.pinned(ROOT / "requirements" / "box.txt", machine)
    }
    assert len(notice.packages()) == len(locked), "a package of the box is not installed here"
    assert "not stated" not in notice.packages().values()


def test_notice_names_every_network(tmp_path: Path) -> None:
    text = (ROOT / "NOTICE").read_text()
    for network in build.networks(tmp_path):
        assert network.name in text


class TestPage:
    @pytest.fixture
    def box(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pages.Box]:
        yield from pages.box(tmp_path, monkeypatch)

    def test_an_administrator_sees_the_build_and_its_parts(self, box: pages.Box) -> None:
        browser = box.browser()
        assert "Version, updates, and what is in it" in pages.text(browser.get("/box"))
        page = pages.text(browser.get("/box/program"))
        told = build.this(box.config.state_dir)
        assert f"Version {__version__}" in page
        assert f"Python {told.python}" in page
        assert "No newer release lies ready on this box." in page
        for part in told.components + told.networks:
            assert f"{part.name} {part.version} {part.licence}" in page

    def test_a_release_that_lies_ready_is_named_with_what_to_do(self, box: pages.Box) -> None:
        folder = box.config.state_dir / build.READY
        folder.mkdir()
        (folder / f"mien-77.1-{MACHINE}-py{PYTHON}.tar").touch()
        page = pages.text(box.browser().get("/box/program"))
        assert "Release 77.1 lies ready on this box." in page
        assert "sudo mien update" in page

    def test_a_therapist_does_not(self, box: pages.Box) -> None:
        browser = box.browser("ben", roles="therapist")
        assert browser.get("/box/program").status_code == 403


# ── releases ─────────────────────────────────────────────────────────────────────────────────


def _clone(folder: Path, address: str) -> Path:
    """Clone this repository's last commit and fill in whom to write to."""
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run([*git, "clone", "-q", str(ROOT), str(folder)], check=True)
    security = folder / "SECURITY.md"
    security.write_text(re.sub(r"FILL IN: [^*]*", address, security.read_text()))
    dates = {
        "GIT_AUTHOR_DATE": "2026-12-01T08:00:00Z",
        "GIT_COMMITTER_DATE": "2026-12-01T08:00:00Z",
    }
    subprocess.run(
        [*git, "-C", str(folder), "commit", "-q", "--allow-empty", "-am", "address"],
        check=True,
        env=os.environ | dates,
    )
    return folder


def _release(folder: Path, key: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHON": sys.executable, "MIEN": f"{sys.executable} -m mien"}
    return subprocess.run(
        ["./release.sh", str(key), MACHINE, PYTHON],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("key") / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path


@pytest.mark.slow
@pytest.mark.timeout(900)
class TestRelease:
    def test_it_refuses_a_place_for_reports_that_nobody_filled_in(
        self, key: Path, tmp_path: Path
    ) -> None:
        done = _release(_clone(tmp_path / "a", "FILL IN: somebody"), key)
        assert done.returncode == 1
        assert "SECURITY.md names nobody to write to yet" in done.stderr

    def test_it_refuses_what_is_in_no_commit(self, key: Path, tmp_path: Path) -> None:
        folder = _clone(tmp_path / "a", "security@example.org")
        (folder / "daemon" / "mien" / "more.py").touch()
        done = _release(folder, key)
        assert done.returncode == 1
        assert "changes that are in no commit" in done.stderr

    def test_one_commit_gives_one_archive(self, key: Path, tmp_path: Path) -> None:
        archives = []
        for name in ("one", "another place"):
            folder = _clone(tmp_path / name, "security@example.org")
            done = _release(folder, key)
            assert done.returncode == 0, done.stdout + done.stderr
            archives += (folder / "dist").glob("*.tar")
        first, second = map(_members, archives)
        assert first == second
        # This kind of key signs the same in the same way, so all of it is equal.
        assert archives[0].read_bytes() == archives[1].read_bytes()
        with tarfile.open(archives[0]) as archive:
            top = archive.getmembers()[0].name
            bill = json.load(archive.extractfile(f"{top}/sbom.cdx.json"))  # type: ignore[arg-type]
        _check_bill(bill, first)


def _members(archive: Path) -> dict[str, tuple[Any, ...]]:
    """Return of each file below the archive's folder all that could differ, its content hashed."""
    found = {}
    with tarfile.open(archive) as tar:
        for member in tar:
            content = tar.extractfile(member)
            digest = hashlib.sha256(content.read()).hexdigest() if content else ""
            name = member.name.partition("/")[2]
            found[name] = (digest, member.mtime, member.mode, member.uid, member.gid, member.type)
    return found


def _check_bill(bill: dict[str, Any], members: dict[str, tuple[Any, ...]]) -> None:
    assert bill["bomFormat"] == "CycloneDX"
    parts = {part["name"]: part for part in bill["components"]}
    machine = next(
        each
        for each in lock.machines()
        if (each["python_version"], each["platform_machine"]) == (PYTHON, MACHINE)
    )
    locked = lock.pinned(ROOT / "requirements" / "box.txt", machine)
    assert {name: parts[name]["version"] for name in locked} == {
        name: version for name, (version, _) in locked.items()
    }
    networks = {name for name in parts if parts[name]["type"] == "machine-learning-model"}
    assert networks == parts.keys() - locked.keys()
    kinds = ("full_range_sparse", "full_range_sparse_wide", "short_range")
    assert networks == {"mien-fer-2", *(f"face_detection_{kind}" for kind in kinds)}
    assert all(parts[name]["version"] for name in networks)
    told = bill["metadata"]["component"]
    assert (told["name"], told["version"]) == ("mien", __version__)
    wheels = {digest for name, (digest, *_) in members.items() if name.startswith("wheelhouse/")}
    for name in locked:
        (told,) = parts[name]["hashes"]
        assert told["content"] in wheels
        assert f"sha256:{told['content']}" in locked[name][1]
        assert parts[name]["purl"] == f"pkg:pypi/{name}@{locked[name][0]}"
    for part in [*parts.values(), bill["metadata"]["component"]]:
        (licence,) = part["licenses"]
        assert "not stated" not in json.dumps(licence)
