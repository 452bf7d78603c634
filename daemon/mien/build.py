"""Which build of Mien this is: version, commit and date, and the parts it is made of."""

import json
import os
import re
import subprocess
import sys
import sysconfig
from importlib.metadata import distributions
from pathlib import Path

from msgspec import Struct

from mien import __version__, facemodel, licences
from mien.bundle import BundleError
from mien.bundles import SHIPPED, Bundles

RECORD = Path(sys.prefix, "share", "mien", "build.json")
"""Where install.sh writes what a release or a checkout said of itself."""
INSTALLED_STATE = Path("/var/lib/mien")
READY = "updates"
"""The folder in the state folder where a release lies ready to be installed."""
_CHECKOUT = Path(__file__).resolve().parents[2]
_RELEASE = re.compile(r"mien-(\d+(?:\.\d+)*)-(\w+)-py(3\.\d+)\.tar")


class Component(Struct, frozen=True):
    """A package or a network that is part of the program, and its licence as an SPDX expression.

    `licence` is in the package's own words where it gives no such expression.
    """

    name: str
    version: str
    licence: str


class Build(Struct, frozen=True):
    """What `mien --version --json` prints."""

    version: str
    commit: str | None
    """The whole hash; None where nobody recorded it."""
    date: str | None
    """Of the commit, ISO 8601 in UTC."""
    python: str
    components: list[Component]
    networks: list[Component]
    ready: str | None
    """The version of a newer release that lies ready on this box."""


def this(state_dir: Path) -> Build:
    """Return which build runs here.

    Args:
        state_dir: The folder with the networks, and with releases that lie ready.
    """
    commit, date = _origin()
    newer = ready(state_dir)
    return Build(
        version=__version__,
        commit=commit,
        date=date,
        python=".".join(map(str, sys.version_info[:3])),
        components=components(),
        networks=networks(state_dir),
        ready=version_of(newer) if newer else None,
    )


def components() -> list[Component]:
    """Return the packages of this environment by name; not Mien, nor those of the system."""
    folders = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    found = {
        each.metadata["Name"]: Component(
            each.metadata["Name"], each.version, licences.of(each.metadata)
        )
        for each in distributions(path=sorted(folders))
        if each.metadata["Name"] not in ("mien", "pip", "setuptools")
    }
    return sorted(found.values(), key=lambda component: component.name.lower())


def networks(state_dir: Path) -> list[Component]:
    """Return the networks on this box: that for faces, and those for expressions."""
    found = [Component("BlazeFace (mediapipe)", facemodel.VERSION, "Apache-2.0")]
    bundles = Bundles(state_dir)
    try:
        names = [SHIPPED, *bundles.installed]
        for bundle in map(bundles.load, names):
            licence = "Apache-2.0" if bundle.path == bundles.path(SHIPPED) else "see its card"
            found.append(Component(bundle.name, str(bundle.lineage.get("commit", ""))[:7], licence))
    except BundleError:
        pass  # the page about the network says what is wrong with it
    return found


def ready(state_dir: Path) -> Path | None:
    """Return the newest release for this machine that lies in `updates` and is newer than this."""
    machine = sysconfig.get_platform().rsplit("-", 1)[-1]
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    found = [
        (_order(match[1]), path)
        for path in _listed(state_dir / READY)
        if (match := _RELEASE.fullmatch(path.name)) and match[2] == machine and match[3] == python
    ]
    newer = [each for each in found if each[0] > _order(__version__)]
    return max(newer)[1] if newer else None


def version_of(release: Path) -> str:
    """Return the version in the name of a release's file."""
    match = _RELEASE.fullmatch(release.name)
    return match[1] if match else release.name


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(each) for each in re.findall(r"\d+", version))


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _origin() -> tuple[str | None, str | None]:
    """Return commit and date: as recorded at the installation, else as git says of a checkout."""
    try:
        record = json.loads(RECORD.read_text())
        return record.get("commit"), record.get("date")
    except (OSError, ValueError, AttributeError):
        pass
    if not (_CHECKOUT / ".git").exists():
        return None, None
    command = ["git", "-C", str(_CHECKOUT), "log", "-1", "--format=%H %cd"]
    command += ["--date=format-local:%Y-%m-%dT%H:%M:%SZ"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=5, env=os.environ | {"TZ": "UTC"}
        )
    except (OSError, subprocess.TimeoutExpired):
        return None, None
    commit, _, date = done.stdout.strip().partition(" ")
    return (commit, date) if done.returncode == 0 else (None, None)
