"""A release as it comes to the box: one tar with a signed list of checksums, of which nothing is
believed before its signature and nothing used before its checksum is right. Or a network alone: the
zip of a bundle, with its signature beside it."""

import hashlib
import re
import shutil
import ssl
import subprocess
import tarfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import IO

from mien.address import hidden, shown
from mien.bundles import MAX_BYTES
from mien.events import MienError

SIGNER, NAMESPACE = "mien", "mien-release"
"""Who signs releases, in `allowed_signers`, and what for: see ssh-keygen(1), -Y."""
LARGEST = 2 << 30
"""Bytes that a release may unpack to."""
SIGNATURE = ".sig"


class ReleaseError(MienError, RuntimeError):
    """This is no release that may be used; the sentence says why. Nothing was changed."""


@contextmanager
def unpacked(source: str, folder: Path, signers: Path) -> Iterator[Path]:
    """The release of this file or https address, verified, in `folder`, which is made for it and
    gone afterwards.

    Args:
        signers: the public keys that may sign, in the form of ssh-keygen's allowed_signers.

    Raises:
        ReleaseError: it is not signed by one of them, not whole, or cannot be unpacked.
    """
    with _incoming(folder):
        try:
            with _opened(_fetched(source, folder)) as archive:
                top = _top(archive)
                sums = _signed(archive, top, folder, signers)
                _unpack(archive, top, sums, folder / top)
        except OSError as error:
            raise ReleaseError(
                f"the release could not be unpacked: {error}; nothing was changed"
            ) from None
        yield folder / top


@contextmanager
def network(source: str, folder: Path, signers: Path) -> Iterator[Path]:
    """The zip of a bundle of this file or https address, verified by the signature that lies beside
    it under the same name with `.sig`: a copy in `folder`, as for `unpacked`.

    Raises:
        ReleaseError: it is not signed by one of them, or cannot be read.
    """
    with _incoming(folder):
        try:
            copy = folder / "bundle.zip"
            shutil.copyfile(_fetched(source, folder), copy)
            signature = _fetched(source + SIGNATURE, folder).read_bytes()
            if copy.stat().st_size > MAX_BYTES:
                raise ReleaseError(f"no bundle has more than {MAX_BYTES >> 20} MB")
            _verify(copy.read_bytes(), signature, folder, signers)
        except OSError as error:
            raise ReleaseError(
                f"the bundle could not be read: {error}; nothing was changed"
            ) from None
        yield copy


@contextmanager
def _incoming(folder: Path) -> Iterator[None]:
    """The folder is empty, and gone afterwards."""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        try:
            folder.mkdir(parents=True)
        except OSError as error:
            raise ReleaseError(f"{folder} cannot be made: {error}; nothing was changed") from None
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def name(release: Path) -> str:
    """The name of an unpacked release. Raises ReleaseError."""
    try:
        said = (release / "release").read_text().strip()
    except (OSError, UnicodeDecodeError):
        said = ""
    if not re.fullmatch(r"[0-9][A-Za-z0-9.+-]{0,60}", said):
        raise ReleaseError("this is no release of Mien: the file `release` in it names none")
    return said


def _top(archive: tarfile.TarFile) -> str:
    top = next((member.name.split("/")[0] for member in archive if member.name), "")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*", top):
        raise ReleaseError("this is no release of Mien")
    return top


def _signed(archive: tarfile.TarFile, top: str, folder: Path, signers: Path) -> str:
    """The list of checksums, once it is signed by whom we know."""
    sums, signature = (_member(archive, f"{top}/SHA256SUMS{end}") for end in ("", ".sig"))
    if not sums or not signature:
        raise ReleaseError("this is no release of Mien: it has no signed list of checksums")
    _verify(sums, signature, folder, signers)
    return sums.decode(errors="replace")


def _verify(content: bytes, signature: bytes, folder: Path, signers: Path) -> None:
    if not signers.exists() or "ssh-" not in signers.read_text():
        raise ReleaseError(f"this box knows no key that releases are signed with: see {signers}")
    file = folder / "signature"
    file.write_bytes(signature)
    command = ["ssh-keygen", "-Y", "verify", "-f", str(signers), "-I", SIGNER, "-n", NAMESPACE]
    done = subprocess.run([*command, "-s", str(file)], input=content, capture_output=True)
    if done.returncode:
        raise ReleaseError(
            "the signature is not by a key that this box knows, or not of this file, so it was not "
            "used. Download it again from where you got it."
        )


def _fetched(source: str, folder: Path) -> Path:
    if not source.startswith("https://"):
        file = Path(source)
        if "://" in source or not file.is_file():
            signed = (
                " (the signature that must lie beside it)" if source.endswith(SIGNATURE) else ""
            )
            raise ReleaseError(
                f"there is no file {shown(source)}{signed}; give a file, or an https:// address"
            )
        return file
    trusted = ssl.create_default_context()
    try:
        with (
            urllib.request.urlopen(source, timeout=30, context=trusted) as answer,
            open(folder / "fetched", "wb") as to,
        ):
            shutil.copyfileobj(answer, to, 1 << 20)
    except (OSError, HTTPException, ValueError) as error:  # also of an address that is none
        raise ReleaseError(
            f"{shown(source)} cannot be fetched: {hidden(str(error), source)}; nothing was changed"
        ) from None
    return folder / "fetched"


@contextmanager
def _opened(file: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(file) as archive:
            yield archive
    except (tarfile.TarError, EOFError):
        raise ReleaseError(f"{file.name} is no release of Mien, or was cut off") from None


def _member(archive: tarfile.TarFile, name: str, most: int = 1 << 20) -> bytes:
    """A small file of the archive; empty when it is not there or not small."""
    try:
        member = archive.getmember(name)
    except KeyError:
        return b""
    file = archive.extractfile(member) if member.isfile() and member.size <= most else None
    return file.read() if file else b""


def _unpack(archive: tarfile.TarFile, top: str, sums: str, to: Path) -> None:
    """The files that the signed list names, each as the list says; nothing else."""
    total = 0
    for line in sums.splitlines():
        digest, _, name = line.partition("  ")
        parts = Path(name).parts
        if not parts or Path(name).is_absolute() or ".." in parts:
            raise ReleaseError("the list of checksums names a file outside of the release")
        try:
            member = archive.getmember(f"{top}/{name}")
        except KeyError:
            raise ReleaseError(f"the release is not whole: {name} is missing") from None
        total += member.size
        file = archive.extractfile(member) if member.isfile() and total <= LARGEST else None
        if file is None:
            raise ReleaseError(f"the release is not as it should be: {name} is no plain file")
        target = to / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(target, "wb") as out:
            if _copied(file, out) != digest:
                raise ReleaseError(f"the release is damaged: {name} is not what was signed")
        target.chmod(0o755 if member.mode & 0o100 else 0o644)


def _copied(file: IO[bytes], out: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while piece := file.read(1 << 20):
        digest.update(piece)
        out.write(piece)
    return digest.hexdigest()
