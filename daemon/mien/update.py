"""`mien update`: another release on this box, or none. A pulled plug at any point leaves a box that
starts: what was begun and not finished is taken back at the next start.

    bundle → signature and checksums → a new release folder → its own check of the config →
    a copy of the store → the switch → a minute's trial → kept, or all of it taken back

A network alone comes the same way: signature → its self-test → the switch → trial → kept or back.

See docs/decisions/updates.md.
"""

import fcntl
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, Protocol

import msgspec
from msgspec import Struct

from mien import releases
from mien.bundle import Bundle
from mien.bundles import Bundles
from mien.events import MienError

TRIAL_S = 60.0
"""How long a new release may take to run well."""
LOOK_S = 1.0


class UpdateError(MienError, RuntimeError):
    """Nothing was changed, or it was taken back; the sentence says which, and why."""


class Begun(Struct):
    """What is under way, in `update.json`: written before, so that it can be taken back."""

    former: str
    """Releases by the name of their folder."""
    new: str
    """The same where only the network is another."""
    phase: Literal["staging", "copying", "switching", "kept"] = "staging"
    network: str | None = None
    """The bundle on trial."""


class Trouble(Struct, frozen=True):
    """Why a release on trial is not well."""

    text: str
    lasting: bool = False
    """Whether waiting is of no use."""


class Machine(Protocol):
    """The box around the program."""

    def stop(self) -> None:
        """Stop daemon and page, and have nobody reach the page."""
        ...

    def trial(self) -> None:
        """Start daemon and page, still with nobody reaching the page."""
        ...

    def open(self) -> None:
        """Start all of it."""
        ...

    def lay(self, release: Path) -> None:
        """Have the release put its files into the system."""
        ...

    def stage(self, bundle: Path) -> None:
        """Have the bundle make its release folder."""
        ...

    def trouble(self) -> Trouble | None:
        """Why the release that was started is not well; None when it is."""
        ...

    def unread(self) -> Trouble | None:
        """Why it does not read with the activated network; None when it does."""
        ...


class Updater:
    """Updates the box under `opt` with its store under `state`.

    Args:
        signers: the file of public keys that may sign a release.
        passed: told the name of each step that is done; for progress, and for tests.
    """

    def __init__(
        self,
        opt: Path,
        state: Path,
        config: Path,
        signers: Path,
        machine: Machine,
        passed: Callable[[str], None] = lambda step: None,
    ) -> None:
        self._opt = opt
        self._state = state
        self._config = config
        self._signers = signers
        self._machine = machine
        self._bundles = Bundles(state)
        self._passed = passed

    def update(self, source: str) -> str:
        """Put the release of this file or https address in place; its name.

        Raises:
            UpdateError: it does not fit, or did not run well and was taken back.
            ReleaseError: it is not signed, or not whole.
        """
        former = self._ready()
        with releases.unpacked(source, self._opt / "incoming", self._signers) as bundle:
            self._passed("verified")
            new = releases.name(bundle)
            if new == former:
                raise UpdateError(f"the box runs release {new} already")
            self._begin(Begun(former, new))
            self._passed("begun")
            try:
                self._machine.stage(bundle)
                self._passed("staged")
                self._check(new)
                self._passed("checked")
            except Exception:
                self.recover()
                raise
        self._switch(Begun(former, new))
        return new

    def update_network(self, source: str, test: Callable[[Bundle], None]) -> str:
        """Read with the network of this file or https address from now on; its name.

        Args:
            test: raises what is wrong with a bundle, before anything is switched.

        Raises:
            UpdateError: it does not run well, and the one before reads again.
            MienError: it is not signed, not whole, or failed its test; nothing was changed.
        """
        release = self._ready()
        with releases.network(source, self._opt / "incoming", self._signers) as file:
            self._passed("verified")
            bundle, _ = self._bundles.install(file, test)
        if bundle.name == self._bundles.active:
            raise UpdateError(f"the box reads with {bundle.name} already")
        self._passed("tested")
        self._begin(Begun(release, release, "switching", bundle.name))
        self._passed("begun")
        self._bundles.activate(bundle.name)
        self._passed("switched")
        self._machine.stop()
        self._machine.trial()
        self._passed("started")
        if trouble := self._trouble() or self._machine.unread():
            self.recover()
            self._machine.open()
            raise UpdateError(
                f"with {bundle.name} the box did not run well ({trouble.text}), so it reads with "
                f"{self._bundles.active} again"
            )
        self._finish()
        self._passed("kept")
        self._machine.open()
        self._passed("done")
        return bundle.name

    def recover(self) -> str | None:
        """Take back what was begun and not finished, or finish what was kept; a sentence, None when
        there is nothing. Afterwards the machine is to be opened."""
        begun = self._begun()
        if begun is None:
            shutil.rmtree(self._opt / "incoming", ignore_errors=True)
            return None
        if begun.network:
            return self._recover_network(begun.network)
        if begun.phase == "kept":
            self._finish()
            self._prune()
            return f"release {begun.new} ran well on trial and stays"
        if begun.phase == "switching":
            self._machine.stop()
            self._put_store_back()
            self._lead("current", begun.former)
            self._machine.lay(self._release(begun.former))
        shutil.rmtree(self._release(begun.new), ignore_errors=True)
        _durable(self._opt)
        self._finish()
        return f"the update to {begun.new} was not finished, so {begun.former} runs as before"

    def _ready(self) -> str:
        """Nothing is under way any more; the release that runs."""
        if self.recover():
            self._machine.open()
        release = self._link("current")
        if release is None:
            raise UpdateError(f"nothing is installed under {self._opt}; run install.sh first")
        return release

    def _recover_network(self, name: str) -> str:
        self._machine.stop()
        if self._bundles.active == name:
            self._bundles.back()
        self._finish()
        return f"the change to {name} was not finished, so {self._bundles.active} reads as before"

    # ── the switch ───────────────────────────────────────────────────────────────────────────

    def _switch(self, begun: Begun) -> None:
        self._machine.stop()
        self._passed("stopped")
        self._begin(msgspec.structs.replace(begun, phase="copying"))
        try:
            self._copy_store()
        except OSError as error:
            self.recover()
            self._machine.open()
            raise UpdateError(
                f"the store could not be copied before the update ({error.strerror or error}), so "
                "nothing was changed. Is there space on the disk?"
            ) from None
        self._passed("copied")
        self._begin(msgspec.structs.replace(begun, phase="switching"))
        self._passed("switching")
        self._machine.lay(self._release(begun.new))
        self._passed("laid")
        self._lead("previous", begun.former)
        self._lead("current", begun.new)
        self._passed("switched")
        self._machine.trial()
        self._passed("started")
        if trouble := self._trouble():
            self.recover()
            self._machine.open()
            raise UpdateError(
                f"release {begun.new} did not run well ({trouble.text}), so {begun.former} runs "
                "again"
            )
        # From here on the new release stays.
        self._begin(msgspec.structs.replace(begun, phase="kept"))
        self._passed("kept")
        self._machine.open()
        self._passed("opened")
        self._finish()
        self._prune()
        self._passed("done")

    def _finish(self) -> None:
        """Nothing of the update is under way any more."""
        (self._opt / "update.json").unlink(missing_ok=True)
        _durable(self._opt)
        # After that: half a copy must never be put back.
        shutil.rmtree(self._copy, ignore_errors=True)
        shutil.rmtree(self._opt / "incoming", ignore_errors=True)

    def _trouble(self) -> Trouble | None:
        deadline = time.monotonic() + TRIAL_S
        while trouble := self._machine.trouble():
            if trouble.lasting or time.monotonic() >= deadline:
                return trouble
            time.sleep(LOOK_S)
        return None

    def _check(self, new: str) -> None:
        """Let the new release look at the config as it is."""
        python = self._release(new) / "bin" / "python"
        done = subprocess.run(
            [python, "-m", "mien", "check", self._config], capture_output=True, text=True
        )
        if done.returncode:
            said = (done.stdout + done.stderr).strip() or f"exit status {done.returncode}"
            raise UpdateError(f"release {new} cannot use the box's config: {said}")

    # ── the store ────────────────────────────────────────────────────────────────────────────

    @property
    def _copy(self) -> Path:
        return self._state / "before-update"

    def _copy_store(self) -> None:
        """The database with its journal, while nobody writes. Raises OSError."""
        shutil.rmtree(self._copy, ignore_errors=True)
        self._copy.mkdir(mode=0o700)
        for file in self._state.glob("mien.db*"):
            if file.name in ("mien.db", "mien.db-wal"):
                shutil.copy2(file, self._copy)
                _durable(self._copy / file.name)
        _durable(self._copy)

    def _put_store_back(self) -> None:
        if not (self._copy / "mien.db").exists():
            return  # there was no store yet
        for name in ("mien.db-wal", "mien.db-shm"):
            (self._state / name).unlink(missing_ok=True)
        # Journal first: beside its own database it changes nothing, beside another it is harmful.
        for name in ("mien.db", "mien.db-wal"):
            if (self._copy / name).exists():
                draft = self._state / f"{name}.back"
                shutil.copy2(self._copy / name, draft)
                owner = self._state.stat()
                with suppress(PermissionError):
                    os.chown(draft, owner.st_uid, owner.st_gid)
                _durable(draft)
                os.replace(draft, self._state / name)
        _durable(self._state)

    # ── within ───────────────────────────────────────────────────────────────────────────────

    def _release(self, name: str) -> Path:
        return self._opt / "releases" / name

    def _link(self, name: str) -> str | None:
        try:
            return os.path.basename(os.readlink(self._opt / name))
        except OSError:
            return None

    def _lead(self, name: str, release: str) -> None:
        """Lead /opt/mien/NAME to this release, at once or not at all."""
        draft = self._opt / f".{name}"
        draft.unlink(missing_ok=True)
        draft.symlink_to(f"releases/{release}")
        os.replace(draft, self._opt / name)
        _durable(self._opt)

    def _begin(self, begun: Begun) -> None:
        # Who takes it back at a start: the release that worked.
        self._lead("updater", begun.former)
        draft = self._opt / "update.json.new"
        draft.write_bytes(msgspec.json.encode(begun))
        _durable(draft)
        os.replace(draft, self._opt / "update.json")
        _durable(self._opt)

    def _begun(self) -> Begun | None:
        try:
            return msgspec.json.decode((self._opt / "update.json").read_bytes(), type=Begun)
        except FileNotFoundError:
            return None
        except msgspec.MsgspecError:
            raise UpdateError(
                f"{self._opt / 'update.json'} cannot be read; run install.sh of the release that "
                "is to run, then remove it"
            ) from None

    def _prune(self) -> None:
        kept = {self._link("current"), self._link("previous")}
        for release in (self._opt / "releases").iterdir():
            if release.name not in kept:
                shutil.rmtree(release, ignore_errors=True)


def _durable(path: Path) -> None:
    """On the disk, not only on its way there."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """One installation or update at a time. Raises UpdateError."""
    with open(lock, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UpdateError("another installation or update is running; wait for it") from None
        yield
