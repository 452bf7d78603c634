"""Tuning for real: keras-tuner's own protocol, and two processes that train tiny networks."""

import fcntl
import json
import logging
import multiprocessing
import os
import re
import select
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mien_convert.__main__ import main
from mien_convert.errors import TrainingError, WorkshopError
from mien_convert.experiments import find_runs
from mien_convert.hyperband import hyperband, serve, work
from mien_convert.preset import load_preset
from mien_convert.space import Field, Space, Value
from mien_convert.tune import _oversee, outcomes

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # TensorFlow's own are not ours to mend
    pytest.mark.timeout(900),
]

SPACE = Space("mien", {"rate": Field(low=0.0, high=1.0), "layers.7.repeat": Field(low=0, high=3)})


@pytest.fixture(scope="module", autouse=True)
def _tensorflow() -> None:
    pytest.importorskip("tensorflow")
    pytest.importorskip("keras_tuner")


def trials(folder: Path, max_epochs: int = 9, fingerprint: str = "same") -> Any:
    return hyperband(SPACE, fingerprint, folder / "trials", max_epochs, seed=1)


@contextmanager
def served(oracle: Any, name: str = "alone") -> Iterator[Any]:
    """A chief in this process, and the environment of a worker that finds it."""
    server, servicer, port = serve(oracle, "127.0.0.1:0")
    told = {
        "KERASTUNER_TUNER_ID": name,
        "KERASTUNER_ORACLE_IP": "127.0.0.1",
        "KERASTUNER_ORACLE_PORT": str(port),
    }
    os.environ |= told
    try:
        yield servicer
    finally:
        server.stop(0).wait()
        for variable in told:
            del os.environ[variable]


class Trainer:
    """Stands in for training: the accuracy is the rate, and a little more each epoch."""

    def __init__(self) -> None:
        self.epochs: Counter[str] = Counter()
        self.asked: list[tuple[str, int, int]] = []

    def __call__(self, run: str, values: dict[str, Value], before: int, epochs: int) -> float:
        assert self.epochs[run] == before, "a run goes on where it stopped"
        self.epochs[run] = epochs
        self.asked.append((run, before, epochs))
        assert not isinstance(values["rate"], str)
        return values["rate"] / 2 + epochs / 1000


def test_hyperband_goes_on_with_the_promising_runs(tmp_path: Path) -> None:
    oracle, trainer = trials(tmp_path), Trainer()
    with served(oracle) as servicer:
        ends = work(trials(tmp_path), trainer)
        assert servicer.stop_triggered
    # Li et al. 2018, table 1, in keras-tuner's reckoning for 9 epochs and a third each.
    plan = [(9, 0, 1), (3, 1, 3), (1, 3, 9), (5, 0, 3), (2, 3, 9), (3, 0, 9)]
    assert oracle.rounds() == plan
    assert ends["finished"] == sum(number for number, _, _ in plan)
    steps = Counter((before, epochs) for _, before, epochs in trainer.asked)
    assert steps == {(0, 1): 9, (1, 3): 3, (3, 9): 3, (0, 3): 5, (0, 9): 3}
    ranked = outcomes(oracle)
    assert len(ranked) == 17
    assert [one.accuracy for one in ranked] == sorted(
        (one.accuracy or 0.0 for one in ranked), reverse=True
    )
    assert ranked[0].epochs == 9
    assert {one.state for one in ranked} == {"finished"}
    assert ranked[0].workers == ["alone"]
    assert set(ranked[0].values) == {"rate", "layers.7.repeat"}


def test_a_killed_tuning_goes_on_where_it_was(tmp_path: Path) -> None:
    before = trials(tmp_path)
    first = before.create_trial("one")
    before.update_trial(first.trial_id, {"accuracy": 0.5})
    first.status = "COMPLETED"
    before.end_trial(first)
    under_way = before.create_trial("one")

    oracle, trainer = trials(tmp_path), Trainer()
    oracle.reload()
    with served(oracle):
        work(trials(tmp_path), trainer)
    assert trainer.asked[0] == (under_way.trial_id, 0, 1)
    assert (first.trial_id, 0, 1) not in trainer.asked
    assert len(outcomes(oracle)) == 17


def test_the_trial_of_a_dead_worker_is_taken_up_once(tmp_path: Path) -> None:
    oracle = trials(tmp_path)
    trial = oracle.create_trial("one").trial_id
    oracle.release("one")
    oracle.release("one")
    assert oracle.create_trial("two").trial_id == trial
    oracle.release("two")
    assert oracle.create_trial("three").trial_id != trial
    assert not {"one", "two"} & oracle.tuner_ids
    (failed,) = (one for one in outcomes(oracle) if one.state == "failed")
    assert (failed.run, failed.accuracy) == (trial, None)


def test_a_run_that_fails_is_left_out_and_the_others_go_on(tmp_path: Path) -> None:
    oracle = trials(tmp_path, max_epochs=3)

    def train(run: str, values: dict[str, Value], before: int, epochs: int) -> float:
        if run == "0001":
            raise TrainingError("The loss became nan.")
        return 0.5

    with served(oracle):
        ends = work(trials(tmp_path, max_epochs=3), train)
    assert ends["failed"] == 1
    assert ends["finished"] >= 4
    assert outcomes(oracle)[-1].state == "failed"


def fails_to_write(run: str, values: dict[str, Value], before: int, epochs: int) -> float:
    try:
        raise OSError(28, "No space left on device")
    except OSError as error:
        raise TrainingError("The checkpoint could not be written.") from error


def test_a_full_disk_stops_the_worker_and_frees_its_trial(tmp_path: Path) -> None:
    oracle = trials(tmp_path)
    with served(oracle), pytest.raises(WorkshopError, match="could not be written"):
        work(trials(tmp_path), fails_to_write)
    assert not oracle.ongoing_trials
    assert oracle.create_trial("another").trial_id == "0000"


def test_a_chief_with_a_full_disk_remembers_it(tmp_path: Path) -> None:
    oracle = trials(tmp_path)
    (tmp_path / "trials" / "oracle.unfinished").mkdir(parents=True)  # nothing can be written there
    oracle.create_trial("one")
    assert isinstance(oracle.trouble, OSError)
    assert oracle.create_trial("one").trial_id == "0000", "its lock is free"


def test_when_all_workers_die_it_is_said_why(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    oracle = trials(tmp_path)
    oracle.create_trial("worker-1")
    (tmp_path / "worker-1.log").write_text("epoch 1\nThe memory is full.\n")
    process = multiprocessing.get_context("spawn").Process(
        target=os._exit, args=(3,), name="worker-1"
    )
    process.start()
    servicer = SimpleNamespace(stop_triggered=False)
    with pytest.raises(WorkshopError, match="All workers ended early"):
        _oversee(oracle, servicer, [process], tmp_path, others=False)
    assert "worker-1 ended early: The memory is full." in caplog.text
    assert not oracle.ongoing_trials

    oracle.trouble = OSError(28, "No space left on device")
    with pytest.raises(WorkshopError, match=r"No space left on device\. Free some space"):
        _oversee(oracle, servicer, [], tmp_path, others=True)


def test_a_worker_of_another_tuning_is_sent_away(tmp_path: Path) -> None:
    with served(trials(tmp_path)), pytest.raises(WorkshopError, match="has another tuning"):
        work(trials(tmp_path, fingerprint="other"), Trainer())


def test_a_chief_that_is_gone_is_told(tmp_path: Path) -> None:
    oracle = trials(tmp_path)
    with served(oracle) as servicer:
        pass
    assert not servicer.stop_triggered
    os.environ |= {"KERASTUNER_ORACLE_IP": "127.0.0.1", "KERASTUNER_ORACLE_PORT": "1"}
    try:
        with pytest.raises(WorkshopError, match=r"No chief answered at 127\.0\.0\.1:1"):
            work(trials(tmp_path), Trainer(), patience=0.5)
    finally:
        del os.environ["KERASTUNER_ORACLE_IP"], os.environ["KERASTUNER_ORACLE_PORT"]


def test_a_chief_that_goes_away_between_trials_is_told(tmp_path: Path) -> None:
    oracle = trials(tmp_path)
    server, _, port = serve(oracle, "127.0.0.1:0")
    os.environ |= {
        "KERASTUNER_TUNER_ID": "left",
        "KERASTUNER_ORACLE_IP": "127.0.0.1",
        "KERASTUNER_ORACLE_PORT": str(port),
    }

    def train(run: str, values: dict[str, Value], before: int, epochs: int) -> float:
        server.stop(0).wait()
        return 0.5

    try:
        with pytest.raises(WorkshopError, match="does not answer any more"):
            work(trials(tmp_path), train, patience=0.5)
    finally:
        for name in ("TUNER_ID", "ORACLE_IP", "ORACLE_PORT"):
            del os.environ[f"KERASTUNER_{name}"]


def test_a_port_in_use_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(WorkshopError, match="port is in use"):
            serve(trials(tmp_path), address)
    server, _, port = serve(trials(tmp_path), "127.0.0.1:0")
    with pytest.raises(WorkshopError, match="port is in use"):
        serve(trials(tmp_path), f"127.0.0.1:{port}")
    server.stop(0).wait()


def test_a_space_too_small_for_hyperband_is_refused(tmp_path: Path) -> None:
    small = Space("mien", {"batch": Field(choices=[32, 64, 128])})
    with pytest.raises(WorkshopError, match=r"only 3 presets in it; .* draws 17"):
        hyperband(small, "same", tmp_path / "trials", 9, 1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Grey squares, of which the brightness tells the label."""
    random = np.random.default_rng(2)
    labels = np.arange(210) % 7
    images = 30 * labels[:, None, None] + random.integers(0, 30, (210, 48, 48))
    path = tmp_path_factory.mktemp("data") / "grey.npz"
    usage = np.array([0] * 140 + [1] * 70)
    np.savez(path, images=images.astype(np.uint8), labels=labels, usage=usage)
    return path


@pytest.fixture
def command(data: Path, tmp_path: Path) -> list[str]:
    preset, space = tmp_path / "tiny.toml", tmp_path / "space.toml"
    preset.write_text(
        "batch = 20\n"
        "[[phases]]\nepochs = 40\nrate = 0.05\nfinal_rate = 0.0\naugmentation = 0.0\n"
        '[[layers]]\ntype = "convolution"\nfilters = 4\nkernel = 5\nstride = 4\n'
    )
    space.write_text(
        f'preset = "{preset}"\n'
        '[fields.rate]\nlow = 0.001\nhigh = 0.5\nscale = "log"\n'
        '[fields."layers.1.filters"]\nchoices = [2, 4]\n'
    )
    return [
        "tune", "--data", str(data), "--out", str(tmp_path / "out"), "--space", str(space),
        "--max-epochs", "3", "--json",
    ]  # fmt: skip


class Killer(logging.Handler):
    """Kills worker-1 when its first trial ended, as a lack of memory would."""

    killed = False

    def emit(self, record: logging.LogRecord) -> None:
        if "of worker-1: accuracy" in record.getMessage() and not self.killed:
            self.killed = True
            (worker,) = (p for p in multiprocessing.active_children() if p.name == "worker-1")
            worker.kill()


def test_two_workers_tune_and_when_one_dies_the_other_goes_on(
    command: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    killer, log = Killer(), logging.getLogger("mien_convert")
    log.addHandler(killer)
    try:
        assert main([*command, "--workers", "2"]) == 0
    finally:
        log.removeHandler(killer)
    captured = capfd.readouterr()
    assert killer.killed
    assert "worker-1 ended early: SIGKILL" in captured.err
    result = json.loads(captured.out)
    assert result["workers"]["worker-1"] >= 1
    assert result["workers"]["worker-2"] >= 1
    assert result["trials"] == sum(result["workers"].values()) == 6
    assert result["failed"] == 0
    assert result["epochs"] == 3 * 1 + 1 * 2 + 2 * 3
    best = result["outcomes"][0]
    found = load_preset(result["best"])
    assert found.epochs == 40
    assert found.layers[0].filters == best["values"]["layers.1.filters"]  # type: ignore[union-attr]
    assert found.phases[0].rate == pytest.approx(best["values"]["rate"], rel=0.001)
    # The trials are runs as any other.
    runs, broken = find_runs([tmp_path / "out"])
    assert not broken
    assert {run.name for run in runs} == {f"runs/{one['run']}" for one in result["outcomes"]}
    (run,) = (run for run in runs if run.name == f"runs/{best['run']}")
    assert run.accuracy == pytest.approx(best["accuracy"])
    assert run.epochs == best["epochs"]

    assert main(command) == 2
    assert "add --resume" in capfd.readouterr().err
    assert main([*command, "--resume", "--seed", "2"]) == 2
    assert "another space, preset, data file" in capfd.readouterr().err


def test_a_chief_that_is_killed_takes_its_workers_along_and_can_resume(
    command: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    chief = subprocess.Popen(
        [sys.executable, "-m", "mien_convert", *command], stderr=subprocess.PIPE, text=True
    )
    assert chief.stderr is not None
    told = []
    with chief:
        for line in chief.stderr:
            told.append(line)
            if line.startswith("trial 0001 of worker-1"):
                break
        children = Path(f"/proc/{chief.pid}/task/{chief.pid}/children").read_text().split()
        ends = [os.pidfd_open(int(child)) for child in children]
        chief.kill()
    assert told[-1].startswith("trial 0001 of worker-1"), "".join(told)
    for end in ends:
        assert select.select([end], [], [], 60)[0], "a worker outlived its chief"
        os.close(end)
    log = tmp_path / "out" / "worker-1.log"
    seen = log.read_text()
    assert "run 0000 to epoch 1" in seen

    assert main([*command, "--resume"]) == 0
    result = json.loads(capfd.readouterr().out)
    assert result["trials"] == 6
    assert result["epochs"] == 3 * 1 + 1 * 2 + 2 * 3
    assert result["workers"] == {"worker-1": 6}
    after = log.read_text()[len(seen) :]
    assert "run 0000 to epoch 1" not in after


@pytest.mark.parametrize(
    ("options", "environment", "told"),
    [
        (["--workers", "0"], {}, "A tuning needs workers"),
        (["--chief", "127.0.0.1:9", "--resume"], {}, "are for the chief"),
        (["--chief", "127.0.0.1:9", "--name", "chiefs-laptop"], {}, "must not contain"),
        ([], {"ORACLE_IP": "127.0.0.1", "ORACLE_PORT": "8000"}, "only KERASTUNER_ORACLE_IP"),
        ([], {"TUNER_ID": "a", "ORACLE_IP": "h", "ORACLE_PORT": "x"}, "is not HOST:PORT"),
    ],
)
def test_options_that_do_not_go_together(
    command: list[str],
    options: list[str],
    environment: dict[str, str],
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(f"KERASTUNER_{name}", value)
    assert main([*command, *options]) == 2
    assert told in capsys.readouterr().err


def test_two_tunings_in_one_folder_are_refused(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = tmp_path / "out" / "tuning.lock"
    lock.parent.mkdir()
    with lock.open("a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        for options in ([], ["--resume"]):
            assert main([*command, *options]) == 2
            assert "Another mien-convert tune is at work in" in capsys.readouterr().err
    assert [file.name for file in lock.parent.iterdir()] == ["tuning.lock"]


@pytest.mark.parametrize("varied", [False, True])
def test_fewer_pictures_than_a_batch_are_told_at_the_start(
    command: list[str], tmp_path: Path, varied: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    preset, space = tmp_path / "tiny.toml", tmp_path / "space.toml"
    if varied:
        space.write_text(f"{space.read_text()}[fields.batch]\nchoices = [20, 200]\n")
    else:
        preset.write_text(preset.read_text().replace("batch = 20", "batch = 200"))
    assert main(command) == 2
    told = capsys.readouterr().err
    assert "has 140 pictures to learn from; expected at least one batch of 200" in told
    assert not (tmp_path / "out").exists()


def test_the_reason_of_a_failed_trial_is_that_of_its_worker(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space = tmp_path / "space.toml"
    space.write_text(
        space.read_text().replace("low = 0.001", "low = 1e25").replace("high = 0.5", "high = 1e30")
    )
    assert main(command) == 2
    told = capsys.readouterr().err
    assert re.search(r"trial \d+ of worker-1 failed: The loss became (nan|inf)", told)
    assert re.search(r"No trial came to a good end.* The last one failed: The loss became", told)


def test_data_without_public_test_is_refused(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lone = tmp_path / "lone.npz"
    np.savez(lone, images=np.zeros((3, 48, 48), np.uint8), labels=np.zeros(3, int))
    command[command.index("--data") + 1] = str(lone)
    assert main(command) == 2
    assert "has no pictures of PublicTest" in capsys.readouterr().err
