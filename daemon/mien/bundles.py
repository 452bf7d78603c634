"""The bundles on this box: where they lie, which one is active, and which ones were before it.

    STATE/models/expression/NAME/   an installed bundle, whole: it is renamed into place
    STATE/models/active             the names that were activated, one a line, the last one active

An empty or missing list means the shipped bundle. The list is replaced by a rename, so that a kill
at any moment leaves the old one or the new one.
"""

import logging
import lzma
import os
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Literal

import msgspec

from mien.bundle import LOOSE_FILES, NAME, Bundle, BundleError, load_bundle, shipped_bundle
from mien.config import Config
from mien.filenames import quoted, reason

log = logging.getLogger(__name__)

SHIPPED = "shipped"
"""The name by which the bundle of this version is activated."""
UNUSABLE = "the activated bundle cannot be used"
MAX_BYTES = 64 << 20
MAX_FILES = 32
_WORK = ".unfinished-"


class Chosen(msgspec.Struct, frozen=True):
    """The bundle to read with, and why it is this one."""

    bundle: Bundle
    origin: Literal["config", "activated", "shipped"]
    trouble: str | None = None
    """A sentence when the activated bundle cannot be used and the shipped one stands in."""

    @property
    def words(self) -> str:
        how = {"config": "named in the config", "activated": "activated", "shipped": "shipped"}
        return f"{self.bundle.name} ({how[self.origin]})"


def open_bundle(config: Config) -> Chosen:
    """The bundle that the config names; else the activated one; else the shipped one.

    Raises:
        BundleError: the one that the config names, or the shipped one, cannot be trusted.
    """
    if named := config.expression.bundle:
        return Chosen(load_bundle(Path(named).expanduser()), "config")
    try:
        active = Bundles(config.state_dir).active
        if active != SHIPPED:
            return Chosen(Bundles(config.state_dir).load(active), "activated")
    except BundleError as error:
        return instead(error)
    return Chosen(load_bundle(shipped_bundle()), "shipped")


def instead(trouble: Exception) -> Chosen:
    """The shipped bundle, in place of an activated one with this trouble.

    Raises:
        BundleError: the shipped one cannot be trusted either.
    """
    bundle = load_bundle(shipped_bundle())
    text = f"{UNUSABLE}, the shipped {bundle.name} reads instead: {trouble}"
    return Chosen(bundle, "shipped", text)


class Bundles:
    """The installed bundles of one state folder.

    Methods raise BundleError, also where a file cannot be read or written.
    """

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self.folder = state_dir / "models" / "expression"
        self._list = self.folder.parent / "active"

    @property
    def active(self) -> str:
        """The name of the active bundle, or `SHIPPED`."""
        return self.history[-1]

    @property
    def previous(self) -> str | None:
        """The name to which `back` leads."""
        return self.history[-2] if len(self.history) > 1 else None

    @property
    def history(self) -> list[str]:
        """What was activated, oldest first, beginning with `SHIPPED` unless that came again."""
        try:
            names = self._list.read_text(encoding="utf-8").split()
        except FileNotFoundError:
            names = []
        except (OSError, UnicodeDecodeError) as error:
            raise BundleError(f"{self._list} cannot be read: {error}; {_CURE}") from None
        if strange := [name for name in names if not NAME.fullmatch(name)]:
            raise BundleError(f"{self._list} is damaged: it names {quoted(strange[0])}; {_CURE}")
        return names if SHIPPED in names else [SHIPPED, *names]

    @property
    def installed(self) -> list[str]:
        try:
            return sorted(path.name for path in self.folder.iterdir() if NAME.fullmatch(path.name))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise BundleError(f"{self.folder} cannot be read: {error.strerror}") from None

    def path(self, name: str) -> Path:
        return shipped_bundle() if name == SHIPPED else self.folder / name

    def load(self, name: str) -> Bundle:
        """An installed bundle, verified; `SHIPPED` is the shipped one."""
        if name != SHIPPED and name not in self.installed:
            have = ", ".join([SHIPPED, *self.installed])
            raise BundleError(
                f"no bundle {quoted(name)} is installed in {self.folder}; there are: {have}"
            )
        return load_bundle(self.path(name))

    def install(
        self, source: Path, test: Callable[[Bundle], None], keep_free: int = 0
    ) -> tuple[Bundle, bool]:
        """Copy a bundle, a folder or a zip of one, and leave it there if `test` raises nothing.

        Args:
            test: gets the verified copy; what it raises is raised.
            keep_free: bytes that must stay free on the disk.

        Returns:
            the installed bundle, and whether it was there before, the same in every file.
        """
        self._clear()
        with self._writing(), tempfile.TemporaryDirectory(prefix=_WORK, dir=self.folder) as work:
            fresh = Path(work) / "bundle"
            fresh.mkdir(mode=0o755)
            with _opened(source) as files:
                self._copy(files, fresh, keep_free)
            bundle = load_bundle(fresh)
            if bundle.name == SHIPPED:
                raise BundleError(f"a bundle cannot be called {SHIPPED!r}; name it otherwise")
            known = {"bundle.toml", *bundle.files, *LOOSE_FILES}
            if strange := {path.name for path in fresh.iterdir()} - known:
                raise BundleError(
                    f"{source} holds {min(strange)}, which its bundle.toml does not name"
                )
            test(bundle)
            return self._place(bundle, Path(work))

    def activate(self, name: str) -> None:
        """Make an installed bundle, or the `SHIPPED` one, the active one from the next start."""
        try:
            history = [one for one in self.history if one != name]
        except BundleError as error:
            log.warning("%s", error)  # which this mends
            history = [SHIPPED] if name != SHIPPED else []
        self._write([*history, name])

    def back(self) -> str:
        """Make the one before the active one active again; its name."""
        *history, active = self.history
        if not history:
            raise BundleError(f"{active} is active and none was before it; nothing was changed")
        self._write(history)
        return history[-1]

    def remove(self, name: str) -> None:
        """Delete an installed bundle that is not the active one."""
        if name == SHIPPED or name not in self.installed:
            raise BundleError(
                f"{quoted(name)} is not an installed bundle; installed are: "
                f"{', '.join(self.installed) or 'none'}"
            )
        history = self.history
        if name == history[-1]:
            raise BundleError(f"{name} is the active bundle; activate another one first")
        if name in history:
            self._write([one for one in history if one != name])
        self._clear()
        with self._writing(), tempfile.TemporaryDirectory(prefix=_WORK, dir=self.folder) as work:
            (self.folder / name).rename(Path(work) / name)

    # ── within ───────────────────────────────────────────────────────────────────────────────

    def _copy(
        self, files: Iterator[tuple[str, int, IO[bytes]]], folder: Path, keep_free: int
    ) -> None:
        room = min(MAX_BYTES, shutil.disk_usage(self.folder).free - keep_free)
        total = count = 0
        for name, size, stream in files:
            total, count = total + size, count + 1
            if total > room or count > MAX_FILES:
                raise BundleError(_too_large(room, keep_free))
            with (folder / name).open("xb") as file:
                shutil.copyfileobj(stream, file)
                file.flush()
                os.fsync(file.fileno())

    def _place(self, bundle: Bundle, work: Path) -> tuple[Bundle, bool]:
        target = self.folder / bundle.name
        if target.exists():
            try:
                before = load_bundle(target)
            except BundleError as error:
                log.warning("The bundle that was installed is replaced: %s", error)
                target.rename(work / "damaged")
            else:
                if before.files == bundle.files:
                    return before, True
                raise BundleError(
                    f"another bundle called {bundle.name} is installed; "
                    f"`mien models remove {bundle.name}`, or give the new one another name"
                )
        self._own(bundle.path)
        bundle.path.rename(target)
        _sync(self.folder)
        return msgspec.structs.replace(bundle, path=target), False

    def _write(self, history: list[str]) -> None:
        # The shipped bundle is what an empty list means, so it need not stand first.
        names = history[1:] if history[0] == SHIPPED else history
        with self._writing():
            fresh = self._list.with_name(f"{_WORK}active")
            with fresh.open("w", encoding="utf-8") as file:
                file.writelines(f"{name}\n" for name in names)
                file.flush()
                os.fsync(file.fileno())
            self._own(fresh)
            fresh.replace(self._list)
            _sync(self._list.parent)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            self._state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            for folder in (self.folder.parent, self.folder):
                if not folder.exists():
                    folder.mkdir()
                    self._own(folder)
            yield
        except OSError as error:
            raise BundleError(
                f"{self.folder} cannot be written: {error.strerror or error}; run this as root or "
                "as the user Mien runs as, with some space free"
            ) from None

    def _own(self, path: Path) -> None:
        """Make what root wrote the state folder's owner's, and readable."""
        owner = self._state_dir.stat()
        for each in (path, *path.rglob("*")) if path.is_dir() else (path,):
            each.chmod(0o755 if each.is_dir() else 0o644)
            if os.geteuid() == 0:
                os.chown(each, owner.st_uid, owner.st_gid)

    def _clear(self) -> None:
        """Take away what a killed `install` or `remove` left behind."""
        for left in self.folder.glob(f"{_WORK}*"):
            shutil.rmtree(left, ignore_errors=True)


_CURE = "`mien models activate NAME` writes it anew"


def _too_large(room: int, keep_free: int) -> str:
    if room < MAX_BYTES:
        return (
            f"there is no room for the bundle: it needs more than {max(room, 0) >> 20} MB beside "
            f"the {keep_free >> 20} MB that stay free for readings; free some space"
        )
    return (
        f"no bundle has more than {MAX_FILES} files or {MAX_BYTES >> 20} MB; nothing was installed"
    )


@contextmanager
def _opened(source: Path) -> Iterator[Iterator[tuple[str, int, IO[bytes]]]]:
    """Name, size and content of each file of a bundle: a folder, or a zip of one."""
    if source.is_dir():
        with closing(_of_folder(load_bundle(source))) as files:
            yield files
        return
    try:
        archive = zipfile.ZipFile(source)
    except OSError as error:
        raise BundleError(f"{source} cannot be read: {error.strerror}") from None
    except zipfile.BadZipFile:
        raise BundleError(f"{source} is neither a bundle's folder nor a zip of one") from None
    with archive:
        try:
            # Closed here, for a reader that stops half way leaves a file of the zip open.
            with closing(_of_zip(source, archive)) as files:
                yield files
        except (
            zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError,
        ) as error:  # fmt: skip
            raise BundleError(f"{source} is damaged: {reason(error)}; copy it again") from None


def _of_folder(bundle: Bundle) -> Generator[tuple[str, int, IO[bytes]], None, None]:
    loose = [name for name in LOOSE_FILES if (bundle.path / name).is_file()]
    for name in ("bundle.toml", *bundle.files, *loose):
        with (bundle.path / name).open("rb") as file:
            yield name, os.fstat(file.fileno()).st_size, file


def _of_zip(
    source: Path, archive: zipfile.ZipFile
) -> Generator[tuple[str, int, IO[bytes]], None, None]:
    """The plain files of the one folder in a zip; a zip that holds anything else is refused."""
    entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    paths = [PurePosixPath(entry.filename) for entry in entries]
    for entry, path in zip(entries, paths, strict=True):
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if path.parent != paths[0].parent or len(path.parts) > 2 or not NAME.fullmatch(path.name):
            raise BundleError(f"{source} is no bundle: it holds {quoted(entry.filename)}")
        if kind not in (0, stat.S_IFREG) or entry.flag_bits & 1:
            raise BundleError(
                f"{source} is no bundle: {quoted(entry.filename)} is a link or encrypted"
            )
    if len({path.name for path in paths} | {"bundle.toml"}) != len(paths):
        raise BundleError(f"{source} is no bundle: no bundle.toml, or one name twice")
    for entry, path in zip(entries, paths, strict=True):
        # Never gives more than `file_size` bytes, whatever the entry holds.
        with archive.open(entry) as file:
            yield path.name, entry.file_size, file


def _sync(folder: Path) -> None:
    """Make a rename in this folder outlive a pulled plug."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
