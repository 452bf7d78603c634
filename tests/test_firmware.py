"""What install.sh lays on a box, and what it refuses; looked at without installing anything."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from mien import config

ROOT = Path(__file__).parent.parent
FIRMWARE = ROOT / "firmware_config"
INSTALL = ROOT / "install.sh"
SERVICES = sorted((FIRMWARE / "systemd").glob("*.service"))
SHELL = [INSTALL, ROOT / "release.sh", FIRMWARE / "certificates.sh", FIRMWARE / "mien"]
EXPOSURE = 2.0


def needs(tool: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not shutil.which(tool), reason=f"NOT TESTED: there is no {tool} here")


@needs("shellcheck")
@pytest.mark.parametrize("script", SHELL, ids=lambda path: path.name)
def test_shell_is_posix_and_clean(script: Path) -> None:
    assert script.read_text().startswith("#!/bin/sh\n")
    done = subprocess.run(["shellcheck", "-x", script], capture_output=True, text=True)
    assert not done.stdout


@pytest.mark.parametrize("script", SHELL, ids=lambda path: path.name)
def test_shell_can_be_read(script: Path) -> None:
    subprocess.run(["sh", "-n", script], check=True)


@needs("systemd-analyze")
@pytest.mark.parametrize("name", ["mien", "mien-web"])
def test_the_services_are_hardened(name: str) -> None:
    unit = FIRMWARE / "systemd" / f"{name}.service"
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True)
    level = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    if level is None:
        pytest.skip(f"NOT TESTED: systemd-analyze cannot do that here: {done.stderr.strip()}")
    assert float(level[1]) <= EXPOSURE


@needs("systemd-analyze")
def test_systemd_understands_the_units(tmp_path: Path) -> None:
    for unit in (FIRMWARE / "systemd").iterdir():
        # The programs are not installed here; all else is as it is.
        text = re.sub(r"^(Exec\w+=-?)\S+", r"\1/bin/true", unit.read_text(), flags=re.MULTILINE)
        (tmp_path / unit.name).write_text(text)
    units = sorted(str(path) for path in tmp_path.iterdir())
    command = ["systemd-analyze", "verify", "--man=no", *units]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
    )
    ours = [line for line in done.stderr.splitlines() if "mien" in line]
    assert not ours


def test_every_file_says_what_it_is_for() -> None:
    for path in FIRMWARE.rglob("*"):
        if path.is_file():
            head = path.read_text().splitlines()[:3]
            comment = [line for line in head if line.startswith(("# ", "<!-- "))]
            assert comment, f"{path.name} does not say what it is for"


def test_every_file_is_laid_somewhere() -> None:
    laid = {line.split()[0] for line in _files()}
    by_hand = {"boot/config.txt", "certificates.sh", "allowed_signers", "mien.toml"}
    there = {str(path.relative_to(FIRMWARE)) for path in FIRMWARE.rglob("*") if path.is_file()}
    assert laid | by_hand == there


def _files() -> list[str]:
    block = re.search(r"^FILES='(.*?)'", INSTALL.read_text(), re.MULTILINE | re.DOTALL)
    assert block
    return block[1].splitlines()


def test_the_page_reaches_no_network_and_no_camera() -> None:
    unit = (FIRMWARE / "systemd" / "mien-web.service").read_text()
    assert "PrivateNetwork=yes" in unit
    assert "PrivateDevices=yes" in unit
    assert "video" not in unit


def test_the_daemon_reaches_this_machine_alone() -> None:
    unit = (FIRMWARE / "systemd" / "mien.service").read_text()
    assert "IPAddressDeny=any\nIPAddressAllow=localhost\n" in unit
    assert "SupplementaryGroups=video\n" in unit


def test_the_config_of_a_new_box_is_one() -> None:
    text = (FIRMWARE / "mien.toml").read_text()
    known = config.Config()
    for section, table in tomllib.loads(text).items():
        for key in table:
            assert hasattr(getattr(known, section), key)


def test_the_key_of_the_store_is_where_the_services_look() -> None:
    for name in ("mien", "mien-web"):
        unit = (FIRMWARE / "systemd" / f"{name}.service").read_text()
        assert "LoadCredential=mien-store-key:/etc/mien/store-key\n" in unit


def test_everybody_at_the_broker_has_rights_written_down() -> None:
    rules = (FIRMWARE / "mosquitto" / "mien.acl").read_text()
    assert re.findall(r"^user (\S+)$", rules, re.MULTILINE) == ["mien", "home"]
    broker = (FIRMWARE / "mosquitto" / "mien.conf").read_text()
    assert "allow_anonymous false" in broker
    assert "listener 1883 127.0.0.1\n" in broker  # and nowhere else without TLS


class TestRefusals:
    """Each in a sentence, before anything is changed."""

    @pytest.fixture
    def system(self, tmp_path: Path) -> Path:
        (tmp_path / "etc").mkdir()
        (tmp_path / "opt").mkdir()
        release = 'ID=debian\nPRETTY_NAME="Debian 12"\nVERSION_CODENAME=bookworm\n'
        (tmp_path / "etc" / "os-release").write_text(release)
        return tmp_path

    def run(
        self, *arguments: str | Path, script: Path = INSTALL, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", script, *arguments],
            capture_output=True, text=True, env={**os.environ, **environment},
        )  # fmt: skip

    def shim(self, folder: Path, name: str, code: str) -> str:
        """A PATH on which this program comes first."""
        tools = folder / "shims"
        tools.mkdir(exist_ok=True)
        (tools / name).write_text(f"#!/bin/sh\n{code}\n")
        (tools / name).chmod(0o755)
        return f"{tools}:{os.environ['PATH']}"

    @pytest.mark.parametrize(
        ("machine", "why"), [("armv7l", "64-bit Raspberry Pi OS"), ("riscv64", "this is riscv64")]
    )
    def test_another_processor(self, machine: str, why: str) -> None:
        done = self.run("--dry-run", MIEN_MACHINE=machine)
        assert done.returncode == 1
        assert why in done.stderr

    @pytest.mark.parametrize("wish", ["--dry-run", "--stage"])
    @pytest.mark.parametrize("said", ["boot=overlay", "overlayroot=tmpfs:recurse=0"])
    def test_a_read_only_system(self, wish: str, said: str, tmp_path: Path) -> None:
        cmdline = tmp_path / "cmdline"
        cmdline.write_text(f"console=tty1 {said} rootwait\n")
        done = self.run(wish, "--dry-run", MIEN_CMDLINE=str(cmdline))
        assert done.returncode == 1
        assert "the system is read-only now" in done.stderr

    @pytest.mark.parametrize("wheel", ["cp399-cp399-linux_x86_64", "cp311-cp311-linux_riscv64"])
    def test_a_release_for_another_box(self, wheel: str, tmp_path: Path) -> None:
        script = Path(shutil.copy(INSTALL, tmp_path))
        (tmp_path / "release").write_text("9.0\n")
        (tmp_path / "wheelhouse").mkdir()
        (tmp_path / "wheelhouse" / f"numpy-1.0-{wheel}.whl").touch()
        done = self.run("--stage", "--dry-run", script=script)
        assert done.returncode == 1
        assert "this release is for another processor or Python" in done.stderr

    def test_another_system(self, system: Path) -> None:
        (system / "etc" / "os-release").write_text('ID=fedora\nPRETTY_NAME="Fedora 44"\n')
        done = self.run("--dry-run", "--root", system)
        assert done.returncode == 1
        assert "this is Fedora 44; Mien needs Raspberry Pi OS or Debian" in done.stderr

    def test_an_old_python(self, system: Path, tmp_path: Path) -> None:
        path = self.shim(tmp_path, "chroot", "echo 3.9")
        done = self.run("--dry-run", "--root", system, PATH=path)
        assert done.returncode == 1
        assert "needs Python 3.11, 3.12 or 3.13, and python3 here is 3.9" in done.stderr

    def test_a_full_disk(self, system: Path, tmp_path: Path) -> None:
        self.shim(tmp_path, "chroot", "echo 3.11")
        rows = "echo 'Filesystem 1024-blocks Used Available'; echo '/dev/x 9 9 409600 9% /'"
        path = self.shim(tmp_path, "df", rows)
        done = self.run("--dry-run", "--root", system, PATH=path)
        assert done.returncode == 1
        assert "only 400 MB are free" in done.stderr

    def test_no_system_there(self, tmp_path: Path) -> None:
        done = self.run("--dry-run", "--root", tmp_path / "nowhere")
        assert done.returncode == 1
        assert "there is no system under" in done.stderr

    def test_an_unknown_option(self) -> None:
        done = self.run("--frobnicate")
        assert done.returncode == 1
        assert "there is no option --frobnicate" in done.stderr
        assert "usage:" in done.stderr

    def test_purging_is_asked_for_twice(self) -> None:
        assert "--purge goes with --uninstall" in self.run("--purge").stderr

    def test_nothing_to_uninstall(self, system: Path) -> None:
        done = self.run("--uninstall", "--dry-run", "--root", system)
        assert done.returncode == 1
        assert "Mien is not installed" in done.stderr

    def test_nobody_to_ask(self, system: Path, tmp_path: Path) -> None:
        if os.geteuid():
            pytest.skip("asks for rights first")
        path = self.shim(tmp_path, "chroot", "echo 3.11")
        done = subprocess.run(
            ["sh", INSTALL, "--root", system], stdin=subprocess.DEVNULL, capture_output=True,
            text=True, env={**os.environ, "PATH": path},
        )  # fmt: skip
        assert done.returncode == 1
        assert "run it with --yes" in done.stderr
        assert not (system / "opt" / "mien").exists()

    def test_a_dry_run_changes_nothing(self, system: Path, tmp_path: Path) -> None:
        path = self.shim(tmp_path, "chroot", "echo 3.11")
        before = sorted(str(file) for file in system.rglob("*"))
        done = self.run("--dry-run", "--yes", "--root", system, PATH=path)
        assert done.returncode == 0, done.stderr
        assert "[9/9] Done" in done.stdout
        assert "would run: install -D -m 644" in done.stdout
        assert sorted(str(file) for file in system.rglob("*")) == before


class TestLaying:
    """The files of the system, into a folder that stands for one."""

    @pytest.fixture
    def system(self, tmp_path: Path) -> Path:
        (tmp_path / "etc").mkdir()
        (tmp_path / "etc" / "os-release").write_text("ID=debian\n")
        (tmp_path / "opt").mkdir()
        (tmp_path / "boot" / "firmware").mkdir(parents=True)
        (tmp_path / "boot" / "firmware" / "config.txt").write_text("arm_64bit=1\n")
        return tmp_path

    def lay(self, system: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", INSTALL, "--lay", "--root", system],
            capture_output=True, text=True, check=True, env={**os.environ, "MIEN_LOCKED": "1"},
        )  # fmt: skip

    def test_every_file_is_in_its_place(self, system: Path) -> None:
        self.lay(system)
        for line in _files():
            source, target = line.split()
            assert (FIRMWARE / source).read_bytes() == (system / target[1:]).read_bytes()
        assert os.access(system / "usr/local/bin/mien", os.X_OK)

    def test_again_changes_nothing(self, system: Path) -> None:
        self.lay(system)
        manifest = (system / "opt/mien/manifest").read_text()
        self.lay(system)
        assert (system / "opt/mien/manifest").read_text() == manifest
        assert (system / "boot/firmware/config.txt").read_text().count("# mien begin") == 1

    def test_what_a_person_changed_stays(self, system: Path) -> None:
        self.lay(system)
        unit = system / "usr/local/lib/systemd/system/mien.service"
        unit.write_text("# mine\n")
        done = self.lay(system)
        assert unit.read_text() == "# mine\n"
        assert "was changed by hand and stays" in done.stderr
        ours = unit.with_name("mien.service.mien-new")
        assert ours.read_bytes() == (FIRMWARE / "systemd/mien.service").read_bytes()

    def test_who_did_without_the_firewall_does_so_later(self, system: Path) -> None:
        self.lay(system)
        manifest = system / "opt/mien/manifest"
        kept = [line for line in manifest.read_text().splitlines() if "firewall" not in line]
        manifest.write_text("\n".join(kept) + "\n")
        (system / "etc/mien/firewall.nft").unlink()
        self.lay(system)
        assert not (system / "etc/mien/firewall.nft").exists()

    def test_our_lines_go_into_the_boot_config_and_nothing_of_it_is_lost(
        self, system: Path
    ) -> None:
        self.lay(system)
        text = (system / "boot/firmware/config.txt").read_text()
        assert text.startswith("arm_64bit=1\n")
        assert "dtparam=watchdog=on" in text
