"""Updates: a machine whose plug is pulled after any step starts with the old release or the new
one, whole, with the store that belongs to it."""

import hashlib
import os
import ssl
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from threading import Thread

import pytest

from bundle_samples import made
from mien import releases
from mien.bundle import Bundle, BundleError
from mien.bundles import SHIPPED, Bundles
from mien.releases import ReleaseError
from mien.update import Trouble, UpdateError, Updater, alone
from mien_convert.bundle import pack

STEPS = [
    "verified", "begun", "staged", "checked", "stopped", "copied", "switching", "laid", "switched",
    "started", "kept", "opened", "done",
]  # fmt: skip


NETWORK_STEPS = ["verified", "tested", "begun", "switched", "started", "kept", "done"]


class Pulled(BaseException):
    """The plug."""


class Machine:
    """A box whose services read which release runs, and write into the store as they start."""

    def __init__(self, opt: Path, state: Path) -> None:
        self.opt, self.state = opt, state
        self.running = self.reachable = True
        self.laid = "1.0"
        self.broken: set[str] = set()
        self.damaged_config: set[str] = set()
        self.looks, self.hopeless_after = 0, 1000
        self.reads_with = SHIPPED
        self.cannot_read_with: set[str] = set()

    def stop(self) -> None:
        self.running = self.reachable = False

    def trial(self) -> None:
        self.running = True
        self.reads_with = Bundles(self.state).active
        with open(self.state / "mien.db", "a") as store:
            store.write(f"migrated by {current(self.opt)}\n")

    def open(self) -> None:
        if not self.running:
            self.reads_with = Bundles(self.state).active
        self.running = self.reachable = True

    def lay(self, release: Path) -> None:
        self.laid = release.name

    def stage(self, bundle: Path) -> None:
        release = self.opt / "releases" / releases.name(bundle)
        (release / "bin").mkdir(parents=True)
        python = release / "bin" / "python"
        code = 78 if release.name in self.damaged_config else 0
        python.write_text(f"#!/bin/sh\necho 'mien.toml:3: unknown key'\nexit {code}\n")
        python.chmod(0o755)

    def trouble(self) -> Trouble | None:
        self.looks += 1
        if current(self.opt) not in self.broken:
            return None
        return Trouble("it crashes", lasting=self.looks >= self.hopeless_after)

    def unread(self) -> Trouble | None:
        bad = self.reads_with in self.cannot_read_with
        return Trouble("the activated bundle cannot be used") if bad else None


def current(opt: Path) -> str:
    return os.path.basename(os.readlink(opt / "current"))


class Box:
    def __init__(self, folder: Path) -> None:
        self.opt, self.state = folder / "opt", folder / "state"
        (self.opt / "releases" / "1.0").mkdir(parents=True)
        (self.opt / "current").symlink_to("releases/1.0")
        self.state.mkdir()
        (self.state / "mien.db").write_text("what people entered\n")
        (self.state / "mien.db-wal").write_text("and its journal\n")
        self.key = folder / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.key], check=True)
        self.signers = folder / "allowed_signers"
        public = self.key.with_suffix(".pub").read_text()
        self.signers.write_text(f'# ours\nmien namespaces="mien-release" {public}')
        self.machine = Machine(self.opt, self.state)
        self.folder = folder

    def updater(self, after: str | None = None) -> Updater:
        def passed(step: str) -> None:
            self.steps.append(step)
            if step == after:
                raise Pulled

        self.steps: list[str] = []
        return Updater(
            self.opt, self.state, self.folder / "mien.toml", self.signers, self.machine, passed
        )

    def network(self, name: str = "fer-b") -> Path:
        """A signed bundle."""
        path = self.folder / f"{name}.zip"
        pack(made(self.folder, name), path)
        self.sign(path)
        return path

    def sign(self, path: Path) -> None:
        path.with_name(f"{path.name}.sig").unlink(missing_ok=True)
        sign = ["ssh-keygen", "-q", "-Y", "sign", "-f", self.key, "-n", "mien-release"]
        subprocess.run([*sign, path], check=True, capture_output=True)

    def store(self) -> str:
        return (self.state / "mien.db").read_text()

    def bundle(self, version: str = "2.0", **spoil: bytes) -> Path:
        """A signed release; `spoil` replaces files after signing."""
        top = f"mien-{version}"
        files = {"release": f"{version}\n".encode(), "install.sh": b"#!/bin/sh\n"}
        sums = "".join(f"{hashlib.sha256(b).hexdigest()}  {n}\n" for n, b in files.items())
        (self.folder / "SHA256SUMS").write_text(sums)
        self.sign(self.folder / "SHA256SUMS")
        files["SHA256SUMS"] = sums.encode()
        files["SHA256SUMS.sig"] = (self.folder / "SHA256SUMS.sig").read_bytes()
        files.update({name.replace("__", "."): content for name, content in spoil.items()})
        path = self.folder / f"{top}.tar"
        with tarfile.open(path, "w") as archive:
            for name, content in files.items():
                member = tarfile.TarInfo(f"{top}/{name}")
                member.size = len(content)
                archive.addfile(member, BytesIO(content))
        return path


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Box:
    monkeypatch.setattr("mien.update.TRIAL_S", 0.05)
    monkeypatch.setattr("mien.update.LOOK_S", 0.01)
    return Box(tmp_path)


def test_a_good_release_stays(box: Box) -> None:
    assert box.updater().update(str(box.bundle())) == "2.0"
    assert box.steps == STEPS
    assert (current(box.opt), box.machine.laid) == ("2.0", "2.0")
    assert os.readlink(box.opt / "previous") == "releases/1.0"
    assert box.store() == "what people entered\nmigrated by 2.0\n"
    assert box.machine.reachable
    assert not (box.state / "before-update").exists()
    assert not (box.opt / "incoming").exists()


def test_two_releases_are_kept(box: Box) -> None:
    for version in ("2.0", "3.0", "4.0"):
        box.updater().update(str(box.bundle(version)))
    assert sorted(os.listdir(box.opt / "releases")) == ["3.0", "4.0"]


def test_one_that_does_not_run_well_is_taken_back(box: Box) -> None:
    box.machine.broken.add("2.0")
    with pytest.raises(UpdateError, match=r"2\.0 did not run well \(it crashes\), so 1\.0 runs"):
        box.updater().update(str(box.bundle()))
    as_before(box)


def test_one_that_will_not_mend_itself_is_not_waited_for(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mien.update.TRIAL_S", 3600)
    box.machine.broken.add("2.0")
    box.machine.hopeless_after = 3
    with pytest.raises(UpdateError, match="it crashes"):
        box.updater().update(str(box.bundle()))
    assert box.machine.looks == 3
    as_before(box)


def test_one_that_cannot_use_the_config_is_never_started(box: Box) -> None:
    box.machine.damaged_config.add("2.0")
    with pytest.raises(UpdateError, match=r"cannot use the box's config: mien.toml:3"):
        box.updater().update(str(box.bundle()))
    assert "stopped" not in box.steps
    as_before(box)


@pytest.mark.parametrize("step", STEPS)
def test_a_pulled_plug_leaves_a_box_that_starts(box: Box, step: str) -> None:
    with pytest.raises(Pulled):
        box.updater(after=step).update(str(box.bundle()))
    box.machine.stop()
    # The machine starts anew: first this, then the services.
    said = box.updater().recover()
    box.machine.open()
    if STEPS.index(step) < STEPS.index("kept"):
        assert (said is not None) == (step != "verified")
        as_before(box)
    else:
        assert said == (None if step == "done" else "release 2.0 ran well on trial and stays")
        assert sorted(os.listdir(box.opt / "releases")) == ["1.0", "2.0"]
        assert not (box.state / "before-update").exists()
        assert (current(box.opt), box.machine.laid) == ("2.0", "2.0")
        assert "migrated by 2.0" in box.store()
    # And the next update goes through.
    assert box.updater().update(str(box.bundle("3.0"))) == "3.0"


@pytest.mark.parametrize("step", ["copied", "switching", "laid", "switched", "started"])
def test_the_plug_may_be_pulled_again_while_it_is_taken_back(box: Box, step: str) -> None:
    with pytest.raises(Pulled):
        box.updater(after=step).update(str(box.bundle()))

    class Again(Machine):
        def lay(self, release: Path) -> None:
            raise Pulled

    steady, box.machine = box.machine, Again(box.opt, box.state)
    if step != "copied":  # until then nothing was laid
        with pytest.raises(Pulled):
            box.updater().recover()
    box.machine = steady
    box.updater().recover()
    box.machine.open()
    as_before(box)


def as_before(box: Box) -> None:
    assert (current(box.opt), box.machine.laid) == ("1.0", "1.0")
    assert box.store() == "what people entered\n"
    assert (box.state / "mien.db-wal").read_text() == "and its journal\n"
    assert box.machine.running
    assert os.listdir(box.opt / "releases") == ["1.0"]
    assert not (box.opt / "update.json").exists()
    assert not (box.state / "before-update").exists()


def test_a_full_disk_changes_nothing(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mien.update.shutil.copy2", full)
    with pytest.raises(UpdateError, match=r"could not be copied .*No space left.*nothing was"):
        box.updater().update(str(box.bundle()))
    monkeypatch.undo()
    as_before(box)


def test_the_same_release_is_no_update(box: Box) -> None:
    with pytest.raises(UpdateError, match=r"runs release 1\.0 already"):
        box.updater().update(str(box.bundle("1.0")))


def test_one_at_a_time(tmp_path: Path) -> None:
    with (
        alone(tmp_path / "lock"),
        pytest.raises(UpdateError, match="another installation"),
        alone(tmp_path / "lock"),
    ):
        pass


class TestReleases:
    def refused(self, box: Box, bundle: Path, why: str) -> None:
        with pytest.raises(ReleaseError, match=why):
            box.updater().update(str(bundle))
        assert "verified" not in box.steps
        as_before(box)

    def test_another_key(self, box: Box) -> None:
        bundle = box.bundle()
        box.key.unlink()
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", box.key], check=True)
        self.refused(box, box.bundle(), "not by a key that this box knows")
        assert bundle.exists()

    def test_no_key_at_all(self, box: Box) -> None:
        box.signers.write_text("# none yet\n")
        self.refused(box, box.bundle(), "knows no key")

    def test_a_changed_file(self, box: Box) -> None:
        self.refused(
            box, box.bundle(install__sh=b"#!/bin/sh\nrm -rf /\n"), "is not what was signed"
        )

    def test_a_changed_list(self, box: Box) -> None:
        self.refused(box, box.bundle(SHA256SUMS=b"0  release\n"), "signature")

    def test_no_list(self, box: Box) -> None:
        self.refused(box, box.bundle(SHA256SUMS=b""), "no signed list")

    def test_no_archive(self, box: Box) -> None:
        (box.folder / "x.tar").write_bytes(b"no archive" * 1000)
        self.refused(box, box.folder / "x.tar", "no release of Mien")

    def test_cut_off(self, box: Box) -> None:
        whole = box.bundle().read_bytes()
        (box.folder / "cut.tar").write_bytes(whole[:1800])
        self.refused(box, box.folder / "cut.tar", "no release|not whole|cut off|no signed")

    def test_not_there(self, box: Box) -> None:
        self.refused(box, box.folder / "nowhere.tar", "there is no file")

    def test_plain_http_is_not_fetched(self, box: Box) -> None:
        with pytest.raises(ReleaseError, match="https"):
            box.updater().update("http://example.org/mien.tar")

    def test_from_an_https_address(self, box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
        box.bundle()
        with https(box.folder, monkeypatch) as address:
            assert box.updater().update(f"{address}/mien-2.0.tar") == "2.0"
            with pytest.raises(ReleaseError, match=r"cannot be fetched: .*404"):
                box.updater().update(f"{address}/mien-9.tar")
            box.network()
            assert box.updater().update_network(f"{address}/fer-b.zip", accept) == "fer-b"
            monkeypatch.delenv("SSL_CERT_FILE")
            with pytest.raises(
                ReleaseError, match=r"cannot be fetched: .*CERTIFICATE_VERIFY_FAILED"
            ):
                box.updater().update(f"{address}/mien-2.0.tar")

    def test_what_the_list_does_not_name_is_not_unpacked(self, box: Box) -> None:
        seen = []

        def stage(bundle: Path) -> None:
            seen.extend(sorted(path.name for path in bundle.iterdir()))
            Machine.stage(box.machine, bundle)

        box.machine.stage = stage  # type: ignore[method-assign]
        box.updater().update(str(box.bundle(evil=b"x")))
        assert seen == ["install.sh", "release"]


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def https(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server of these files, with a certificate that this process trusts."""
    key, certificate = folder / "server.key", folder / "server.crt"
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    make += ["-nodes", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*make, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setenv("no_proxy", "localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"https://localhost:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def accept(_: Bundle) -> None:
    """Instead of a self-test, where it does not matter."""


def reads_as_before(box: Box) -> None:
    assert (current(box.opt), box.machine.reads_with) == ("1.0", SHIPPED)
    assert Bundles(box.state).active == SHIPPED
    assert box.machine.running
    assert box.machine.reachable
    assert not (box.opt / "update.json").exists()
    assert not (box.opt / "incoming").exists()


class TestNetwork:
    def test_a_good_one_stays(self, box: Box) -> None:
        assert box.updater().update_network(str(box.network()), accept) == "fer-b"
        assert box.steps == NETWORK_STEPS
        assert box.machine.reads_with == Bundles(box.state).active == "fer-b"
        assert box.machine.reachable
        assert not (box.opt / "update.json").exists()
        assert not (box.opt / "incoming").exists()
        with pytest.raises(UpdateError, match="reads with fer-b already"):
            box.updater().update_network(str(box.folder / "fer-b.zip"), accept)

    @pytest.mark.parametrize("how", ["it crashes", "the activated bundle cannot be used"])
    def test_one_that_does_not_run_well_is_taken_back(self, box: Box, how: str) -> None:
        if how == "it crashes":
            box.machine.trouble = lambda: (  # type: ignore[method-assign]
                Trouble(how) if box.machine.reads_with == "fer-b" else None
            )
        else:
            box.machine.cannot_read_with.add("fer-b")
        with pytest.raises(UpdateError, match=rf"{how}\), so it reads with shipped again"):
            box.updater().update_network(str(box.network()), accept)
        reads_as_before(box)

    @pytest.mark.parametrize("step", NETWORK_STEPS)
    def test_a_pulled_plug_leaves_a_box_that_starts(self, box: Box, step: str) -> None:
        network = str(box.network())
        with pytest.raises(Pulled):
            box.updater(after=step).update_network(network, accept)
        box.machine.stop()
        said = box.updater().recover()
        box.machine.open()
        begun = step in ("begun", "switched", "started")
        assert said == (
            "the change to fer-b was not finished, so shipped reads as before" if begun else None
        )
        kept = step in ("kept", "done")
        assert box.machine.reads_with == ("fer-b" if kept else SHIPPED)
        if not kept:
            reads_as_before(box)
            assert box.updater().update_network(network, accept) == "fer-b"

    def test_what_fails_its_test_is_never_read_with(self, box: Box) -> None:
        def test(bundle: Bundle) -> None:
            raise BundleError(f"bundle {bundle.name} takes 80 ms an inference")

        with pytest.raises(BundleError, match="takes 80 ms"):
            box.updater().update_network(str(box.network()), test)
        assert box.steps == ["verified"]
        reads_as_before(box)

    def test_not_signed(self, box: Box) -> None:
        self.refused(box, lambda signature: signature.unlink(), r"\.sig \(the signature that must")

    def test_signed_for_another_file(self, box: Box) -> None:
        other = box.folder / "other"
        other.write_text("other")
        box.sign(other)
        sums = (box.folder / "other.sig").read_bytes()
        self.refused(box, lambda signature: signature.write_bytes(sums), "not of this file")

    def refused(self, box: Box, spoil: Callable[[Path], object], why: str) -> None:
        network = box.network()
        spoil(network.with_name(f"{network.name}.sig"))
        with pytest.raises(ReleaseError, match=why):
            box.updater().update_network(str(network), accept)
        assert box.steps == []
        reads_as_before(box)
        assert Bundles(box.state).installed == []


def test_the_command_asks_for_rights_first() -> None:
    if os.geteuid() == 0:
        pytest.skip("as root it has them")
    done = subprocess.run(
        [sys.executable, "-m", "mien", "update", "x.tar"], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "sudo" in done.stderr
