"""The zip that a box exports: faces that people agreed to have learnt from, with their labels.

Whoever sends such a file is not to be trusted with this machine: members are read into memory one
at a time within bounds, never written under their own names.
"""

import hashlib
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath

import msgspec

from mien import exchange
from mien.exchange import ExportedFace, Manifest
from mien.filenames import printable, quoted, reason
from mien_convert.dataset import file_sha256
from mien_convert.intake import header
from mien_convert.library import SourceRow
from mien_convert.sources import Found, SourceError, Unusable

MAX_MANIFEST_BYTES = 64 << 20
MAX_TOTAL_BYTES = 2 << 30
_PNG = b"\x89PNG\r\n\x1a\n"
_BROKEN = (OSError, EOFError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error)


class _Head(msgspec.Struct):
    format: str = ""
    v: int = 0


class BoxZip:
    """A zip as `mien.exchange` describes it. Faces without consent are not yielded.

    The source is the box: a later zip of the same box adds what is new, and what lost its consent
    is `withdrawn`. The address of a face is its SHA-256.

    Raises:
        SourceError: the file is missing, no zip, hostile, or its manifest is not as it should be.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise SourceError(f"There is no file {path}; expected a zip exported from a box.")
        self._path = path
        self._zip = _opened(path)
        manifest = _manifest(path, self._zip)
        self._faces = [face for face in manifest.faces if exchange.IMPROVE in face.consents]
        self.withdrawn = [
            face.sha256 for face in manifest.faces if exchange.IMPROVE not in face.consents
        ]
        self.row = SourceRow(
            f"box:{manifest.box}", f"box {manifest.box}", "box", printable(path), file_sha256(path),
            "as agreed with the persons shown", exchange.IMPROVE,
        )  # fmt: skip
        self.notices: list[str] = []
        if self.withdrawn:
            self.notices.append(
                f"{len(self.withdrawn)} faces were refused: nobody agreed to “{exchange.IMPROVE}”"
            )
        named = {exchange.MANIFEST, *(face.file for face in manifest.faces)}
        strange = [name for name in self._zip.namelist() if name not in named]
        if strange:
            self.notices.append(
                f"{len(strange)} files in {printable(path.name)} are not in its manifest "
                f"({strange[0]}, …)"
            )
        self._box = manifest.box

    def __len__(self) -> int:
        return len(self._faces)

    def __iter__(self) -> Iterator[Found]:
        for face in self._faces:
            yield Found(
                face.sha256,
                partial(self._content, face),
                face.label,
                person=f"box {self._box}/{face.person}" if face.person else None,
            )

    def _content(self, face: ExportedFace) -> bytes:
        try:
            data = _bounded(self._zip, face.file, exchange.MAX_PICTURE_BYTES)
        except KeyError:
            raise Unusable(f"{face.file} is not in the zip") from None
        except _BROKEN as error:
            raise Unusable(f"{face.file} cannot be read: {error}") from None
        if hashlib.sha256(data).hexdigest() != face.sha256:
            raise Unusable(f"{face.file} is not the picture that the manifest tells of")
        width, height, _ = header(data) if data.startswith(_PNG) else (0, 0, "")
        if not 0 < width * height <= exchange.MAX_PIXELS:
            raise Unusable(f"{face.file} is no PNG of at most 1024×1024 pixels")
        return data


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        archive = zipfile.ZipFile(path)
    except _BROKEN as error:
        raise SourceError(
            f"{path} is no zip, or only a part of one ({reason(error)}); copy it from the "
            "box again."
        ) from error
    members = archive.infolist()
    trouble = None
    twice = [name for name, count in Counter(archive.namelist()).items() if count > 1]
    total = sum(member.file_size for member in members)
    for member in members:
        name = PurePosixPath(member.filename)
        if name.is_absolute() or ".." in name.parts or "\\" in member.filename or ":" in str(name):
            trouble = f"it names a file outside of itself, {quoted(member.filename)}"
        elif member.flag_bits & 1:
            trouble = f"{quoted(member.filename)} in it is locked with a password"
    if twice:
        trouble = f"it has {quoted(twice[0])} twice"
    elif len(members) > exchange.MAX_PICTURES + 1:
        trouble = f"it has {len(members)} files, more than {exchange.MAX_PICTURES + 1}"
    elif total > MAX_TOTAL_BYTES:
        trouble = f"unpacked it would take {total >> 20} MB, more than {MAX_TOTAL_BYTES >> 20} MB"
    if trouble:
        archive.close()
        raise SourceError(f"{path} is refused, for {trouble}; nothing of it was read.")
    return archive


def _manifest(path: Path, archive: zipfile.ZipFile) -> Manifest:
    try:
        data = _bounded(archive, exchange.MANIFEST, MAX_MANIFEST_BYTES)
        head = msgspec.json.decode(data, type=_Head)
        if head.format == exchange.FORMAT and head.v > exchange.VERSION:
            raise SourceError(
                f"{path} was written by a newer Mien (its version is {head.v}, this workshop knows "
                f"{exchange.VERSION}); update the workshop."
            )
        return msgspec.json.decode(data, type=Manifest)
    except KeyError:
        raise SourceError(
            f"{path} has no {exchange.MANIFEST}; expected a zip exported from a box. Pictures in "
            "folders are imported unpacked."
        ) from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise SourceError(
            f"{exchange.MANIFEST} in {path} is not as it should be: {error}."
        ) from error
    except Unusable as error:
        raise SourceError(f"{path} is refused, for {error}.") from None
    except _BROKEN as error:
        raise SourceError(
            f"{path} is damaged ({reason(error)}); copy it from the box again."
        ) from error


def _bounded(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    """A member of at most `limit` bytes. Raises KeyError, Unusable or one of _BROKEN."""
    with archive.open(name) as member:
        data = member.read(limit + 1)
    if len(data) > limit:
        raise Unusable(f"{name} unpacks to more than {limit >> 20} MB")
    return data
