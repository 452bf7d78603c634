"""Writes the bill of materials of a release as CycloneDX JSON: sbom.py RELEASE PYTHON MACHINE.

RELEASE is the folder that release.sh packs: `wheelhouse`, `models` and build.json lie in it. The
packages come from the lock, with their versions; hashes, licences and what needs what come from the
wheels themselves, so that a release for another processor tells its own. One commit gives one file,
byte for byte.
Specification: https://cyclonedx.org/docs/1.6/json/.
"""

import argparse
import email
import hashlib
import json
import re
import sys
import tomllib
import uuid
import zipfile
from datetime import datetime
from email.message import Message
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "daemon" / "mien")]
import licences  # noqa: E402
import lock  # noqa: E402

_LICENCES = LicenseFactory()


def bill(release: Path, python: str, machine: str) -> Bom:
    """Return what a release for one Python and processor is made of.

    Raises:
        SystemExit: a package of the lock is not in the wheelhouse.
    """
    build = json.loads((release / "build.json").read_text())
    wheels = {_name(path): path for path in sorted((release / "wheelhouse").glob("*.whl"))}
    bom = Bom()
    bom.serial_number = uuid.uuid5(uuid.NAMESPACE_URL, f"mien/{build['commit']}/{python}/{machine}")
    bom.metadata.timestamp = datetime.fromisoformat(build["date"])
    bom.metadata.component = _component("mien", build["version"], wheels["mien"], "Apache-2.0")
    (where,) = (
        each
        for each in lock.machines()
        if (each["python_version"], each["platform_machine"]) == (python, machine)
    )
    for name, (version, _) in sorted(lock.pinned(HERE / "box.txt", where).items()):
        wheel = wheels.get(canonicalize_name(name))
        if wheel is None:
            raise SystemExit(f"sbom: {name} {version} of the lock is not in the wheelhouse")
        bom.components.add(_component(name, version, wheel, licences.of(_metadata(wheel))))
    libraries = {canonicalize_name(each.name): each for each in bom.components}
    for name, component in [*libraries.items(), ("mien", bom.metadata.component)]:
        needed = _needed(_metadata(wheels[name]), where)
        bom.register_dependency(component, [libraries[each] for each in needed & libraries.keys()])
    attribution = (release / "models" / "blazeface" / "ATTRIBUTION").read_text()
    face_model = re.findall(r"mediapipe (\S+)", attribution)[0]
    for file in sorted((release / "models").rglob("*.tflite")):
        bom.components.add(_network(file.stem, face_model, file.read_bytes()))
    with zipfile.ZipFile(wheels["mien"]) as archive:
        for inside in sorted(archive.namelist()):
            if inside.endswith("/expression.tflite"):
                bundle = tomllib.loads(
                    archive.read(str(Path(inside).with_name("bundle.toml"))).decode()
                )
                bom.components.add(
                    _network(bundle["name"], str(bundle["created"]), archive.read(inside))
                )
    return bom


def _metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        # At the top: a package may carry that of another inside.
        (file,) = filter(re.compile(r"[^/]+\.dist-info/METADATA").fullmatch, archive.namelist())
        return email.message_from_bytes(archive.read(file))


def _needed(metadata: Message, machine: dict[str, str]) -> set[str]:
    """Return the names of the packages that one needs on a machine; for Mien, what a box needs."""
    wanted = (Requirement(text) for text in metadata.get_all("Requires-Dist") or [])
    extra = {"extra": "box"} if metadata["Name"] == "mien" else {"extra": ""}
    web = {"extra": "web"} if metadata["Name"] == "mien" else extra
    return {
        canonicalize_name(each.name)
        for each in wanted
        if not each.marker
        or each.marker.evaluate({**machine, **extra})
        or each.marker.evaluate({**machine, **web})
    }


def _name(wheel: Path) -> str:
    return canonicalize_name(wheel.name.split("-")[0])


def _component(name: str, version: str, wheel: Path, licence: str) -> Component:
    return Component(
        name=name,
        version=version,
        type=ComponentType.APPLICATION if name == "mien" else ComponentType.LIBRARY,
        bom_ref=f"{name}=={version}",
        purl=PackageURL("pypi", name=canonicalize_name(name), version=version),
        licenses=[_LICENCES.make_from_string(licence)],
        hashes=[_sha256(wheel.read_bytes())],
    )


def _network(name: str, version: str, content: bytes) -> Component:
    return Component(
        name=name,
        version=version,
        type=ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref=f"network:{name}",
        licenses=[_LICENCES.make_from_string("Apache-2.0")],
        hashes=[_sha256(content)],
    )


def _sha256(content: bytes) -> HashType:
    return HashType(alg=HashAlgorithm.SHA_256, content=hashlib.sha256(content).hexdigest())


def main() -> None:
    """Write sbom.cdx.json into the release."""
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("release", type=Path)
    parser.add_argument("python")
    parser.add_argument("machine")
    args = parser.parse_args()
    bom = bill(args.release, args.python, args.machine)
    text = make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=1)
    (args.release / "sbom.cdx.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
