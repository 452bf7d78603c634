"""The BlazeFace networks: fetched once from the mediapipe wheel, verified each time they are used.

mediapipe itself is never installed: two files and its licence are taken out of one pinned wheel,
the same on every machine, whatever its processor and Python. From one of them a third is made.
"""

import hashlib
import logging
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from mien.events import MienError

log = logging.getLogger(__name__)

VERSION = "0.10.18"
WHEEL = f"mediapipe-{VERSION}-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"
WHEEL_SHA256 = "12db0f7b1cc18e2e3f604f6e95020b82c214c470d7d94ff32eeb8f8729a45ec3"
_PIN = [
    *("--platform", "manylinux_2_17_x86_64", "--platform", "manylinux2014_x86_64"),
    *("--python-version", "3.11", "--implementation", "cp", "--abi", "cp311"),
]
FETCH_S = 600.0  # 36 MB over a slow line

FULL_RANGE = "face_detection_full_range_sparse.tflite"
SHORT_RANGE = "face_detection_short_range.tflite"
WIDE = "face_detection_full_range_sparse_wide.tflite"
"""The full-range network with an input of 192×128 in place of 192×192: no work is spent on the
black bars above and below a wide picture, a third of the whole."""
_LICENCE = f"mediapipe-{VERSION}.dist-info/LICENSE"
SHA256 = {
    FULL_RANGE: "2c3728e6da56f21e21a320433396fb06d40d9088f2247c05e5635a688d45dfe1",
    SHORT_RANGE: "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
    WIDE: "f8654fd677a6a7ad70f314337fb63c29fe333917a88047dbb601701f9609e3d9",
}
_WIDE_ROWS = {676536: 128, 48520: 8, 26916: 16, 15444: 32}
"""Byte offset in the full-range file → what stands there in the wide one, int32: the rows of the
input, and those of its three upsampling layers. Everything else in it is convolution."""

ATTRIBUTION = f"""\
{FULL_RANGE} and {SHORT_RANGE}
are BlazeFace networks by the MediaPipe Authors (Google LLC), https://github.com/google-ai-edge/mediapipe,
taken unchanged from the wheel mediapipe {VERSION} on PyPI, under the Apache License 2.0 in LICENSE.
{WIDE} is the first of them, changed by Mien
to take pictures of 192×128 pixels.
V. Bazarevsky et al., "BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs",
arXiv:1907.05047 (2019).
"""


class FacesError(MienError, RuntimeError):
    """Faces cannot be found with what was asked for."""


def path(models_dir: Path, network: str = FULL_RANGE) -> Path:
    """Where a network is kept, whether it is there or not."""
    return models_dir / "blazeface" / network


def verify(models_dir: Path) -> None:
    """Check that the networks are there and as they should be.

    Raises:
        FacesError: one is missing, cannot be read or is not the file it should be.
    """
    for network, digest in SHA256.items():
        file = path(models_dir, network)
        try:
            content = file.read_bytes()
        except FileNotFoundError:
            raise FacesError(
                f"the face model is not on this box: there is no {file}; "
                "fetch it once with `mien models fetch`"
            ) from None
        except OSError as error:
            raise FacesError(
                f"the face model {file} cannot be read: {error.strerror}; make it readable for "
                "this user, or fetch it again with `mien models fetch`"
            ) from None
        if hashlib.sha256(content).hexdigest() != digest:
            raise FacesError(
                f"the face model {file} is damaged: its SHA-256 is not {digest[:12]}…; "
                "fetch it again with `mien models fetch`"
            )


def fetch(models_dir: Path, progress: Callable[[str], None] = log.info) -> Path:
    """Take the networks out of the pinned wheel; return the full-range one's path.

    Does nothing when they are there and right. Their files appear at once or not at all, so a
    fetch that is broken off leaves what was there before.

    Raises:
        FacesError: no way to the package registry, another wheel than the pinned one, or a
            folder that cannot be written.
    """
    try:
        verify(models_dir)
        progress(f"The face model is already in {models_dir / 'blazeface'}, hash verified.")
        return path(models_dir)
    except FacesError as error:
        log.debug("fetching, because %s", error)
    try:
        models_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=models_dir) as folder:
            progress(f"Fetching the face model out of {WHEEL} (36 MB, once) …")
            wheel = _download(Path(folder))
            _install(wheel, Path(folder), models_dir / "blazeface")
    except OSError as error:
        raise FacesError(
            f"the face model cannot be kept in {models_dir}: {error.strerror or error}; make "
            "that folder writable, with 40 MB free, and run `mien models fetch` again"
        ) from None
    verify(models_dir)
    progress(f"The face model is in {models_dir / 'blazeface'}, hash verified.")
    return path(models_dir)


def _download(folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    command += ["--quiet", "--disable-pip-version-check", *_PIN]
    command += ["--dest", str(folder), f"mediapipe=={VERSION}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=FETCH_S)
    except subprocess.TimeoutExpired:
        raise FacesError(
            f"the face model could not be fetched: pip did not end within {FETCH_S:.0f} s; check "
            "the network and run `mien models fetch` again"
        ) from None
    if done.returncode:
        said = (done.stderr.strip() or f"nothing, and ended with {done.returncode}").splitlines()
        raise FacesError(
            f"the face model could not be fetched: pip says {said[-1]!r}; check the network and "
            "run `mien models fetch` again"
        )
    return folder / WHEEL


def _install(wheel: Path, work: Path, folder: Path) -> None:
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest() if wheel.exists() else "missing"
    if digest != WHEEL_SHA256:
        raise FacesError(
            f"the wheel that came is not the pinned {WHEEL}: its SHA-256 is {digest}, not "
            f"{WHEEL_SHA256}; nothing of it was kept; check which package index pip is set to use"
        )
    fresh = work / "blazeface"
    fresh.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        for network in (FULL_RANGE, SHORT_RANGE):
            content = archive.read(f"mediapipe/modules/face_detection/{network}")
            (fresh / network).write_bytes(content)
        (fresh / "LICENSE").write_bytes(archive.read(_LICENCE))
    (fresh / WIDE).write_bytes(_widened((fresh / FULL_RANGE).read_bytes()))
    (fresh / "ATTRIBUTION").write_text(ATTRIBUTION)
    if folder.exists():
        os.rename(folder, work / "old")
    os.rename(fresh, folder)


def _widened(network: bytes) -> bytes:
    for offset, rows in _WIDE_ROWS.items():
        network = network[:offset] + rows.to_bytes(4, "little") + network[offset + 4 :]
    return network
