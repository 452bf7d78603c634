"""`mien models install|activate|rollback|remove`, and what the daemon reads with afterwards."""

import hashlib
import json
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bundle_samples import made
from mien.__main__ import main
from mien.bundle import Bundle, BundleError, load_bundle, shipped_bundle
from mien.bundles import SHIPPED, Bundles, open_bundle
from mien.clock import ManualClock, Stamp
from mien.commands.models import self_test
from mien.config import Box, Config, ExpressionModel
from mien.config import Store as StoreSettings
from mien.seeing import open_expression
from mien.store import Store
from mien_convert.bundle import pack


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(box=Box(state_dir=str(tmp_path / "state")))


@pytest.fixture
def bundles(config: Config) -> Bundles:
    return Bundles(config.state_dir)


def accept(_: Bundle) -> None:
    """Instead of a self-test, where it does not matter."""


def install(bundles: Bundles, folder: Path, *names: str) -> None:
    for name in names:
        bundles.install(made(folder, name), accept)


# ── installing ───────────────────────────────────────────────────────────────────────────────────


def test_a_folder_and_its_zip_are_installed_alike(tmp_path: Path, bundles: Bundles) -> None:
    source = made(tmp_path)
    (source / "notes.txt").write_text("not part of it")
    pack(source, tmp_path / "a.zip")
    first, was_there = bundles.install(source, accept)
    assert not was_there
    assert first.path == bundles.folder / "fer-a"
    assert load_bundle(first.path).files == load_bundle(source).files
    assert (first.path / "MODEL_CARD.md").exists()
    assert not (first.path / "notes.txt").exists()
    assert bundles.install(tmp_path / "a.zip", accept) == (load_bundle(first.path), True)
    assert bundles.installed == ["fer-a"]
    assert bundles.active == SHIPPED, "installing activates nothing"
    assert stat.S_IMODE((first.path / "bundle.toml").stat().st_mode) == 0o644
    assert stat.S_IMODE(bundles.folder.parent.parent.stat().st_mode) == 0o700


def test_another_bundle_of_the_same_name_is_refused(tmp_path: Path, bundles: Bundles) -> None:
    install(bundles, tmp_path, "fer-a")
    other = made(tmp_path / "other", head=b"another head")
    with pytest.raises(BundleError, match="another bundle called fer-a is installed"):
        bundles.install(other, accept)


def test_a_damaged_bundle_is_replaced(tmp_path: Path, bundles: Bundles) -> None:
    install(bundles, tmp_path, "fer-a")
    (bundles.folder / "fer-a" / "head.npz").write_bytes(b"damaged")
    _, was_there = bundles.install(tmp_path / "fer-a", accept)
    assert not was_there
    load_bundle(bundles.folder / "fer-a")


def test_what_fails_its_test_is_not_kept(tmp_path: Path, bundles: Bundles) -> None:
    def refuse(_: Bundle) -> None:
        raise BundleError("too slow")

    with pytest.raises(BundleError, match="too slow"):
        bundles.install(made(tmp_path), refuse)
    assert bundles.installed == []
    assert list(bundles.folder.iterdir()) == []


def test_a_full_disk_is_told_before(tmp_path: Path, bundles: Bundles) -> None:
    with pytest.raises(BundleError, match=r"no room for the bundle.* stay free for readings"):
        bundles.install(made(tmp_path), accept, keep_free=1 << 60)
    assert bundles.installed == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_what_root_installs_belongs_to_the_service(tmp_path: Path, config: Config) -> None:
    config.state_dir.mkdir(mode=0o700)
    os.chown(config.state_dir, 12345, 12345)
    bundles = Bundles(config.state_dir)
    install(bundles, tmp_path, "fer-a")
    bundles.activate("fer-a")
    models = config.state_dir / "models"
    assert {path.stat().st_uid for path in (models, *models.rglob("*"))} == {12345}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_without_the_right_to_write_there(tmp_path: Path, config: Config) -> None:
    config.state_dir.mkdir(mode=0o500)
    with pytest.raises(BundleError, match="as root or as the user Mien runs as"):
        Bundles(config.state_dir).install(made(tmp_path), accept)


def test_a_file_where_the_folder_should_be(tmp_path: Path, config: Config) -> None:
    config.state_dir.write_text("a file")
    with pytest.raises(BundleError, match="cannot be written"):
        Bundles(config.state_dir).install(made(tmp_path), accept)


def zipped(path: Path, *entries: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile warns of one name twice
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for entry, content in entries:
                archive.writestr(entry, content)
    return path


def link(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry


TOML = ("a/bundle.toml", b"format = 1")


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([TOML, ("../../evil", b"x")], r"holds '../../evil'"),
        ([TOML, ("/etc/evil", b"x")], "holds '/etc/evil'"),
        ([TOML, ("a/../evil", b"x")], "holds 'a/../evil'"),
        ([TOML, ("a/b/deep", b"x")], "holds 'a/b/deep'"),
        ([TOML, ("b/other", b"x")], "holds 'b/other'"),
        ([("../bundle.toml", b"x")], "is not complete|cannot be read"),
        ([TOML, ("a/.hidden", b"x")], "holds 'a/.hidden'"),
        ([TOML, (link("a/link"), b"/etc/passwd")], "is a link"),
        ([TOML, TOML], "one name twice"),
        ([("a/readme", b"x")], "no bundle.toml"),
        ([], "no bundle.toml"),
        ([TOML, ("a/bomb", b"\0" * (65 << 20))], "more than 32 files or 64 MB"),
        ([TOML, *((f"a/f{n}", b"") for n in range(40))], "more than 32 files"),
        ([TOML], "is not complete"),
    ],
)
def test_a_zip_that_is_no_bundle(
    tmp_path: Path, bundles: Bundles, entries: list[Any], said: str
) -> None:
    source = zipped(tmp_path / "bad.zip", *entries)
    with pytest.raises(BundleError, match=said):
        bundles.install(source, accept)
    assert bundles.installed == []
    inside = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert inside == {source}, "nothing was written anywhere"


def test_a_zip_with_more_than_its_bundle_names(tmp_path: Path, bundles: Bundles) -> None:
    pack(made(tmp_path), tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip", "a") as archive:
        archive.writestr("fer-a/more.so", b"x")
    with pytest.raises(BundleError, match=r"holds more\.so, which its bundle\.toml does not name"):
        bundles.install(tmp_path / "a.zip", accept)


def test_a_zip_that_was_damaged_on_its_way(tmp_path: Path, bundles: Bundles) -> None:
    pack(made(tmp_path), tmp_path / "a.zip")
    content = bytearray((tmp_path / "a.zip").read_bytes())
    content[len(content) // 2] ^= 0xFF
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(BundleError, match=r"is damaged: Bad CRC-32.*copy it again"):
        bundles.install(tmp_path / "a.zip", accept)
    (tmp_path / "a.zip").write_bytes(content[: len(content) // 2])
    with pytest.raises(BundleError, match="neither a bundle's folder nor a zip"):
        bundles.install(tmp_path / "a.zip", accept)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("fer-a/bundle.toml", random.Random(1).randbytes(500))
    content = bytearray((tmp_path / "a.zip").read_bytes())
    content[60:90] = b"\xff" * 30
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(BundleError, match=r"is damaged: Corrupt.*copy it again"):
        bundles.install(tmp_path / "a.zip", accept)
    with pytest.raises(BundleError, match=r"nothing\.zip cannot be read: No such file"):
        bundles.install(tmp_path / "nothing.zip", accept)


@pytest.mark.parametrize("name", ["shipped", "../x", ".hidden", "a b", "x" * 65])
def test_a_name_that_cannot_be_one(tmp_path: Path, bundles: Bundles, name: str) -> None:
    bundle = made(tmp_path)
    toml = bundle / "bundle.toml"
    toml.write_text(toml.read_text().replace('name = "fer-a"', f'name = "{name}"'))
    with pytest.raises(BundleError, match=r"called 'shipped'|its name is"):
        bundles.install(bundle, accept)


# ── the self-test ────────────────────────────────────────────────────────────────────────────────


def test_the_self_test_runs_the_network(config: Config) -> None:
    tested = self_test(load_bundle(shipped_bundle()), config)
    assert tested["runs_on"] == "CPU"
    assert 0 < tested["ms"] < 40


def test_a_bundle_too_slow_for_the_box_is_refused(config: Config) -> None:
    with pytest.raises(BundleError, match="ms an inference on the CPU; this box allows 0 ms"):
        self_test(load_bundle(shipped_bundle()), config, slowest_ms=0.0)


def test_a_network_that_computes_something_else(
    tmp_path: Path, config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    with np.load(shipped_bundle() / "known_answer.npz") as known:
        images, logits = known["images"], known["logits"]
    np.savez(tmp_path / "other.npz", images=images, logits=logits[:, ::-1])
    wrong = made(tmp_path, known_answer=(tmp_path / "other.npz").read_bytes())
    assert run(config, "install", str(wrong)) == 1
    assert "fails its known-answer test" in capsys.readouterr().err
    np.savez(tmp_path / "empty.npz", images=images)
    without = made(tmp_path, "fer-b", known_answer=(tmp_path / "empty.npz").read_bytes())
    assert run(config, "install", str(without)) == 1
    assert "has no known answers" in capsys.readouterr().err
    assert Bundles(config.state_dir).installed == []


# ── activating, going back, removing ─────────────────────────────────────────────────────────────


def test_activate_and_back_again(tmp_path: Path, bundles: Bundles) -> None:
    install(bundles, tmp_path, "fer-a", "fer-b")
    assert (bundles.active, bundles.previous) == (SHIPPED, None)
    bundles.activate("fer-a")
    bundles.activate("fer-b")
    bundles.activate("fer-b")
    assert (bundles.active, bundles.previous) == ("fer-b", "fer-a")
    assert bundles.back() == "fer-a"
    assert (bundles.active, bundles.previous) == ("fer-a", SHIPPED)
    assert bundles.back() == SHIPPED
    with pytest.raises(BundleError, match="none was before it; nothing was changed"):
        bundles.back()
    bundles.activate("fer-b")
    bundles.activate(SHIPPED)
    assert (bundles.active, bundles.previous) == (SHIPPED, "fer-b")
    assert bundles.back() == "fer-b"


def test_remove(tmp_path: Path, bundles: Bundles) -> None:
    install(bundles, tmp_path, "fer-a", "fer-b")
    bundles.activate("fer-a")
    bundles.activate("fer-b")
    with pytest.raises(BundleError, match="fer-b is the active bundle; activate another"):
        bundles.remove("fer-b")
    bundles.remove("fer-a")
    assert bundles.installed == ["fer-b"]
    assert bundles.previous == SHIPPED, "there is no way back to what is gone"
    for name in ("fer-a", SHIPPED, "../state"):
        with pytest.raises(BundleError, match="is not an installed bundle"):
            bundles.remove(name)


KILLED = """
import os, signal, sys
from pathlib import Path
from mien.bundles import Bundles

bundles, left = Bundles(Path(sys.argv[1])), int(sys.argv[2])

def step(event, details):
    global left
    if event in ("open", "os.rename", "os.mkdir", "os.rmdir", "os.remove", "os.chmod"):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(step)
{what}
"""


def killed_after(steps: int, config: Config, what: str) -> bool:
    """Run `what` in a process that is killed before its next step on the disk; was it?"""
    code = KILLED.format(what=what)
    command = [sys.executable, "-c", code, str(config.state_dir), str(steps)]
    return subprocess.run(command, check=False, timeout=30).returncode == -signal.SIGKILL


@pytest.mark.parametrize(
    ("what", "after"),
    [
        ("bundles.activate('fer-b')", "fer-b"),
        ("bundles.back()", SHIPPED),
        ("bundles.activate('shipped')", SHIPPED),
    ],
)
def test_a_kill_leaves_the_old_bundle_or_the_new_one(
    tmp_path: Path, config: Config, bundles: Bundles, what: str, after: str
) -> None:
    install(bundles, tmp_path, "fer-a", "fer-b")
    bundles.activate("fer-a")
    seen, steps = [], 0
    while killed_after(steps, config, what):
        assert open_bundle(config).trouble is None
        seen.append(bundles.active)
        bundles.activate("fer-a")
        steps += 1
    assert steps >= 4, "it was killed at each step"
    assert set(seen) == {"fer-a", after}
    assert bundles.active == after


@pytest.mark.slow
def test_a_kill_while_installing_leaves_all_or_nothing(
    tmp_path: Path, config: Config, bundles: Bundles
) -> None:
    source = made(tmp_path)
    install(bundles, tmp_path, "fer-b")
    bundles.activate("fer-b")
    what = f"bundles.install(Path({str(source)!r}), lambda _: None)"
    steps = 0
    while killed_after(steps, config, what):
        for name in bundles.installed:
            load_bundle(bundles.folder / name)
        assert open_bundle(config).bundle.name == "fer-b"
        if "fer-a" in bundles.installed:
            bundles.remove("fer-a")
        steps += 1
    assert steps >= 15, "it was killed at each step"
    assert sorted(path.name for path in bundles.folder.iterdir()) == ["fer-a", "fer-b"], (
        "nothing is left of the killed ones"
    )


# ── what is read with ────────────────────────────────────────────────────────────────────────────


def test_the_config_wins_then_the_activated_then_the_shipped(
    tmp_path: Path, config: Config, bundles: Bundles
) -> None:
    assert open_bundle(config).words == f"{shipped_bundle().name} (shipped)"
    install(bundles, tmp_path, "fer-a")
    bundles.activate("fer-a")
    assert open_bundle(config).words == "fer-a (activated)"
    named = Config(box=config.box, expression=ExpressionModel(bundle=str(made(tmp_path, "fer-c"))))
    assert open_bundle(named).words == "fer-c (named in the config)"


def spoil_network(folder: Path) -> None:
    (folder / "expression.tflite").write_bytes(b"damaged")


def spoil_runnable(folder: Path) -> None:
    """Every hash right, but no network."""
    toml, model = folder / "bundle.toml", folder / "expression.tflite"
    before = hashlib.sha256(model.read_bytes()).hexdigest()
    model.write_bytes(b"no network")
    toml.write_text(toml.read_text().replace(before, hashlib.sha256(b"no network").hexdigest()))


def spoil_list(folder: Path) -> None:
    (folder.parent.parent / "active").write_text("../../etc\n")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (spoil_network, "is damaged: its SHA-256"),
        (spoil_runnable, "cannot be run"),
        (shutil.rmtree, "no bundle 'fer-a' is installed"),
        (spoil_list, "is damaged: it names '../../etc'"),
    ],
)
def test_an_activated_bundle_that_turned_bad_gives_way_to_the_shipped(
    tmp_path: Path, config: Config, bundles: Bundles, caplog: pytest.LogCaptureFixture,
    spoil: Any, said: str,
) -> None:  # fmt: skip
    install(bundles, tmp_path, "fer-a")
    bundles.activate("fer-a")
    spoil(bundles.folder / "fer-a")
    bundle, _, part = open_expression(config)
    assert bundle.name == shipped_bundle().name
    assert part.status == "degraded"
    assert part.text.startswith("the activated bundle cannot be used, the shipped")
    assert said in part.text
    assert part.cure is not None
    assert "mien models rollback" in part.cure
    assert part.text in [
        record.getMessage() for record in caplog.records if record.levelname == "ERROR"
    ]


# ── the command ──────────────────────────────────────────────────────────────────────────────────


def run(config: Config, *arguments: str) -> int:
    file = config.state_dir.with_name("mien.toml")
    file.write_text(f'[box]\nstate_dir = "{config.state_dir}"\n')
    return main(["models", *arguments, "--config", str(file)])


def told(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    output: dict[str, Any] = json.loads(capsys.readouterr().out)
    return output


def test_the_command_from_install_to_remove(
    tmp_path: Path, config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    source = made(tmp_path)
    assert run(config, "install", str(source), "--json") == 0
    done = told(capsys)
    assert set(done) == {"installed", "path", "was_there", "test"}
    assert set(done["test"]) == {"runs_on", "ms"}
    assert run(config, "activate", "fer-a", "--json") == 0
    done = told(capsys)
    assert set(done) == {"active", "previous", "test", "config_names", "daemon_runs"}
    assert (done["active"], done["previous"], done["daemon_runs"]) == ("fer-a", "shipped", False)
    assert run(config, "list", "--json") == 0
    models = told(capsys)["models"]
    marks = {model["name"]: model.get("active") for model in models}
    assert marks == {"blazeface": None, shipped_bundle().name: False, "fer-a": True}
    assert run(config, "list") == 0
    assert "fer-a [active]" in capsys.readouterr().out
    assert run(config, "remove", "fer-a") == 1
    assert "activate another one first" in capsys.readouterr().err
    assert run(config, "rollback") == 0
    assert "the shipped bundle is active" in capsys.readouterr().out
    assert run(config, "rollback") == 1
    assert "none was before it" in capsys.readouterr().err
    assert run(config, "remove", "fer-a", "--json") == 0
    assert told(capsys) == {"removed": "fer-a"}


def test_a_bundle_that_fails_stays_inactive(
    tmp_path: Path, config: Config, bundles: Bundles, capsys: pytest.CaptureFixture[str]
) -> None:
    install(bundles, tmp_path, "fer-a")
    spoil_network(bundles.folder / "fer-a")
    assert run(config, "activate", "fer-a") == 1
    assert "is damaged" in capsys.readouterr().err
    assert bundles.active == SHIPPED


def test_a_list_that_is_damaged_is_mended_by_activating(
    config: Config, bundles: Bundles, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil_list_folder = bundles.folder
    spoil_list_folder.mkdir(parents=True)
    (spoil_list_folder.parent / "active").write_bytes(b"\xff\x00")
    assert run(config, "list") == 1
    assert "`mien models activate NAME` writes it anew" in capsys.readouterr().err
    assert run(config, "activate", "shipped") == 0
    assert bundles.active == SHIPPED


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["install"], "needs the folder or zip of a bundle"),
        (["activate"], "needs the name of an installed bundle, or shipped"),
        (["rollback", "fer-a"], "takes no 'fer-a'"),
        (["activate", "nothing"], "no bundle 'nothing' is installed"),
    ],
)
def test_wrong_words_are_one_sentence(
    config: Config, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert run(config, *arguments) == 1
    assert said in capsys.readouterr().err


# ── whose reading it was ─────────────────────────────────────────────────────────────────────────


def test_each_reading_is_known_to_be_its_bundles(tmp_path: Path) -> None:
    clock = ManualClock()
    store = Store.open(tmp_path, clock, StoreSettings(min_free_mb=1))
    before = clock.stamp()
    clock.advance(1)
    store.add_model(clock.stamp(), "fer-a", "aa")
    clock.advance(1)
    by_a = clock.stamp()
    clock.advance(1)
    store.add_model(clock.stamp(), "fer-a", "aa")  # a restart
    clock.advance(1)
    store.add_model(clock.stamp(), "fer-b", "bb")
    store.add_model(clock.stamp(), "fer-b", "bb")
    assert store.model_at(before) is None
    assert store.model_at(by_a) == ("fer-a", "aa")
    assert store.model_at(clock.stamp()) == ("fer-b", "bb")
    assert store.model_at(Stamp("another boot", 1e6, 1e9, True)) is None
    rows = store._rows("SELECT count(*) FROM models")
    assert rows == [(2,)], "the restart was no new bundle"
    store.close()
