"""Tuning: many short runs of a preset, of which the promising ones go on (Hyperband)."""

import contextlib
import fcntl
import hashlib
import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from multiprocessing import connection
from pathlib import Path
from typing import Any

import msgspec
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from mien.filenames import printable, reason
from mien_convert import network
from mien_convert.dataset import file_sha256, load_dataset
from mien_convert.errors import DatasetError, WorkshopError
from mien_convert.hyperband import FINISHED, Training, hyperband, serve, work
from mien_convert.preset import Preset
from mien_convert.run import Run, check_name, latest_checkpoint
from mien_convert.space import Space, Value, load_space, vary
from mien_convert.train import learnable, split, train_preset

log = logging.getLogger(__name__)

TICK = 0.5  # seconds between two looks at the workers
FAREWELL = 10.0  # seconds for workers elsewhere to hear that there is no more to do


class Tuning(msgspec.Struct, frozen=True):
    """What was asked for; `tuning.json` in the folder of the tuning."""

    space_name: str
    space: Space
    preset: Preset
    data_sha256: str
    max_epochs: int
    seed: int

    @property
    def fingerprint(self) -> str:
        """The same on every machine that tunes the same."""
        told = msgspec.json.encode(msgspec.structs.replace(self, space_name=""))
        return hashlib.sha256(told).hexdigest()[:16]


class Outcome(msgspec.Struct, frozen=True):
    """One preset that was tried: the name of its run, its accuracy on PublicTest after `epochs`,
    which workers trained it, and what was varied. `state`: finished, failed or unfinished."""

    run: str
    accuracy: float | None
    epochs: int
    state: str
    workers: list[str]
    values: dict[str, Value]


def plan(space_name: str, data: Path, max_epochs: int, seed: int) -> Tuning:
    """Read the space and look at the data.

    Raises WorkshopError when either cannot be used.
    """
    space, preset = load_space(space_name)
    training, held_out = split(load_dataset(data))
    if held_out is None or not len(training):
        raise DatasetError(
            f"{data} has no pictures of {'PublicTest' if len(training) else 'Training'} in `usage`;"
            " a tuning learns from the one part and chooses by the other."
        )
    if batch := space.fields.get("batch"):
        # The largest that will be tried: a trial with too few pictures for it would fail.
        learnable(data, vary(preset, {"batch": max(map(int, batch.ends))}))
    else:
        learnable(data, preset)
    return Tuning(printable(space_name), space, preset, file_sha256(data), max_epochs, seed)


def lead(
    tuning: Tuning, data: Path, out: Path, workers: int, listen: str | None, resume: bool
) -> dict[str, Any]:
    """Be the chief: hand out trials at `listen`, HOST:PORT, and to `workers` processes of this
    machine, until all are done. Write best.toml and return the outcomes, the best first.

    Raises WorkshopError when it cannot begin or be saved, all workers died, or nothing succeeded.
    """
    check_name(out)
    with _alone(out):
        return _lead(tuning, data, out, workers, listen, resume)


def _lead(
    tuning: Tuning, data: Path, out: Path, workers: int, listen: str | None, resume: bool
) -> dict[str, Any]:
    oracle = _open(tuning, out, resume)
    server, servicer, port = serve(oracle, listen or "127.0.0.1:0")
    host = (listen or "").rpartition(":")[0]
    address = f"{'127.0.0.1' if host in ('', '0.0.0.0', '[::]') else host}:{port}"
    # Not forked: TensorFlow and gRPC have threads by now.
    spawn = multiprocessing.get_context("spawn")
    cores = max(1, (os.cpu_count() or 1) // max(workers, 1))
    processes = [
        spawn.Process(target=_work_here, name=name, args=(tuning, data, out, address, name, cores))
        for name in (f"worker-{number}" for number in range(1, workers + 1))
    ]
    try:
        for process in processes:
            process.start()
        # keras-tuner prints; stdout is for the result.
        with (
            contextlib.redirect_stdout(sys.stderr), logging_redirect_tqdm(), _progress(oracle, out)
        ):  # fmt: skip
            log.info("the chief listens at %s", address)
            _oversee(oracle, servicer, processes, out, listen is not None)
    finally:
        for process in processes:
            if process.is_alive():
                process.terminate()
                process.join()
        server.stop(1).wait()
    return _result(tuning, oracle, out)


def follow(tuning: Tuning, data: Path, out: Path, chief: str, name: str) -> Counter[str]:
    """Be a worker called `name` of the chief at `chief`, HOST:PORT, until it has no more to do.

    Returns how many trials came to an end. Raises WorkshopError when the chief does not answer or
    the work cannot go on.
    """
    host, _, port = chief.rpartition(":")
    os.environ |= {
        "KERASTUNER_TUNER_ID": name,
        "KERASTUNER_ORACLE_IP": host,
        "KERASTUNER_ORACLE_PORT": port,
        # gRPC would look for the chief behind the proxy of the web.
        "no_grpc_proxy": host,
    }
    oracle = hyperband(
        tuning.space, tuning.fingerprint, out / "trials", tuning.max_epochs, tuning.seed
    )
    with contextlib.redirect_stdout(sys.stderr):
        return work(oracle, _training(tuning, data, out))


def _training(tuning: Tuning, data: Path, out: Path) -> Training:
    """A trial's training is the workshop's own: the same pictures, changes and measure."""

    def train(name: str, values: dict[str, Value], before: int, epochs: int) -> float:
        folder = out / "runs" / name
        if before and latest_checkpoint(folder) is None:
            log.info("%s is not on this machine; its first %d epochs are repeated", folder, before)
        network.require("keras").utils.clear_session()

        def goes_on(run: Run) -> bool:
            return len(run.history) < epochs

        preset = vary(tuning.preset, values).lasting(tuning.max_epochs)
        run = train_preset(
            preset, data, folder, tuning.space.preset, tuning.seed, resume=True, goes_on=goes_on
        )
        assert run.chosen is not None
        assert run.chosen.accuracy is not None  # `plan` looked for PublicTest
        return run.chosen.accuracy

    return train


def _work_here(tuning: Tuning, data: Path, out: Path, chief: str, name: str, cores: int) -> None:
    """The process of a worker on the chief's machine; what it tells goes to `name`.log."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the chief ends it
    with (out / f"{name}.log").open("a") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    threading.Thread(target=_end_with_the_chief, daemon=True).start()
    logging.basicConfig(format="%(asctime)s %(message)s", stream=sys.stderr)
    logging.getLogger("mien_convert").setLevel(logging.INFO)
    try:
        if network.require("keras").backend.backend() == "tensorflow":
            threads = network.require("tensorflow").config.threading
            threads.set_intra_op_parallelism_threads(cores)
        follow(tuning, data, out, chief, name)
    except WorkshopError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


def _end_with_the_chief() -> None:
    """Even when that was killed: a tuning that resumes trains the same runs in the same folders."""
    chief = multiprocessing.parent_process()
    if chief is not None:
        connection.wait([chief.sentinel])
        os._exit(2)


@contextlib.contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Keep every other chief out of the folder. The system undoes it, however this process ends."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        file = (out / "tuning.lock").open("a")
    except OSError as error:
        raise WorkshopError(f"The tuning in {out} cannot be begun: {reason(error)}.") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise WorkshopError(
                f"Another mien-convert tune is at work in {out}. Wait until it has ended, or name "
                "another folder."
            ) from None
        yield


def _open(tuning: Tuning, out: Path, resume: bool) -> Any:
    """The oracle of a new tuning, or that of the one in `out`."""
    file, trials = out / "tuning.json", out / "trials"
    oracle = hyperband(tuning.space, tuning.fingerprint, trials, tuning.max_epochs, tuning.seed)
    try:
        if file.exists():
            if not resume:
                raise WorkshopError(
                    f"{out} already holds a tuning; add --resume to go on, or name another folder."
                )
            if msgspec.json.decode(file.read_bytes(), type=Tuning) != tuning:
                raise WorkshopError(
                    f"{out} was begun with another space, preset, data file, --max-epochs or "
                    "--seed; repeat these as they were, or name another folder."
                )
            if (trials / "oracle.json").exists():
                oracle.reload()
        else:
            trials.mkdir(parents=True, exist_ok=True)
            file.write_bytes(msgspec.json.format(msgspec.json.encode(tuning)))
    except OSError as error:
        raise WorkshopError(f"The tuning in {out} cannot be begun: {reason(error)}.") from error
    except (ValueError, KeyError, RuntimeError) as error:
        raise WorkshopError(
            f"The state of the tuning in {out} is damaged ({error!r}); name another folder."
        ) from error
    return oracle


def _progress(oracle: Any, out: Path) -> Any:
    """A bar of the planned epochs, which goes on with each trial that ends."""
    total = sum(trials * (epochs - before) for trials, before, epochs in oracle.rounds())
    values = [trial.hyperparameters.values for trial in _finished(oracle)]
    done = sum(one["tuner/epochs"] - one["tuner/initial_epoch"] for one in values)
    bar = tqdm(total=total, initial=done, desc="tuning", unit="epoch", disable=None)

    def ended(trial: Any) -> None:
        name = f"trial {trial.trial_id} of {oracle.worker_of[trial.trial_id]}"
        values = trial.hyperparameters.values
        if trial.status in FINISHED:
            bar.update(values["tuner/epochs"] - values["tuner/initial_epoch"])
        if trial.status == "COMPLETED":
            log.info("%s: accuracy %.4f after epoch %d", name, trial.score, values["tuner/epochs"])
        elif trial.status == "FAILED":
            log.warning("%s failed: %s", name, _why(trial, oracle, out))
        else:
            why = _why(trial, oracle, out)
            log.warning("%s broke off and is tried once more: %s", name, why)

    oracle.on_end = ended
    return bar


def _finished(oracle: Any) -> list[Any]:
    return [trial for trial in oracle.trials.values() if trial.status in FINISHED]


def _oversee(oracle: Any, servicer: Any, processes: list[Any], out: Path, others: bool) -> None:
    """Wait until all is done, and take the trials of dead workers back; `others` are workers of
    other machines."""
    alive = {process.sentinel: process for process in processes}
    dead: list[str] = []
    patience = FAREWELL
    while True:
        for sentinel in connection.wait(list(alive), TICK):
            process = alive.pop(sentinel)
            process.join()
            if process.exitcode:
                dead.append(process.name)
                log.warning("%s ended early: %s", process.name, _last_words(process, out))
        for name in dead:
            # Again and again, for its last question may still have been under way.
            oracle.release(name)
        if oracle.trouble is not None:
            raise WorkshopError(
                f"The state of the tuning could not be written to {out}: {oracle.trouble}. Free "
                "some space and go on with --resume."
            )
        if alive:
            continue
        if servicer.stop_triggered and not oracle.ongoing_trials:
            patience -= TICK
            if not oracle.tuner_ids or patience <= 0:
                return
        elif not others:
            raise WorkshopError(
                f"All workers ended early; {out}/worker-….log say why. Then go on with --resume."
            )


def _last_words(process: Any, out: Path) -> str:
    if process.exitcode < 0:
        return signal.Signals(-process.exitcode).name
    lines: list[str] = []
    with contextlib.suppress(OSError):
        lines = (out / f"{process.name}.log").read_text("utf-8", "replace").split("\n")
    return next((line for line in reversed(lines) if line), f"exit status {process.exitcode}")


def _why(trial: Any, oracle: Any, out: Path) -> str:
    """Why a trial came to no good end, as its worker wrote it; what a worker tells of its trials
    does not reach the chief otherwise."""
    worker = oracle.worker_of.get(trial.trial_id)
    told = f"trial {trial.trial_id} failed: "
    with contextlib.suppress(OSError):
        for line in reversed((out / f"{worker}.log").read_text("utf-8", "replace").split("\n")):
            _, found, why = line.partition(told)
            if found:
                return why
    return f"the log of {worker or 'its worker'} says why"


def outcomes(oracle: Any) -> list[Outcome]:
    """What was tried, each preset once, the best first, then those without an accuracy."""
    runs: dict[str, list[Any]] = {}
    first: dict[str, str] = {}
    for trial in sorted(oracle.trials.values(), key=lambda trial: int(trial.trial_id)):
        before = trial.hyperparameters.values.get("tuner/trial_id")
        first[trial.trial_id] = first[before] if before else trial.trial_id
        runs.setdefault(first[trial.trial_id], []).append(trial)
    who, told = oracle.worker_of, []
    for run, trials in runs.items():
        measured = [trial for trial in trials if trial.status == "COMPLETED"]
        values = trials[0].hyperparameters.values
        told.append(
            Outcome(
                run,
                float(measured[-1].score) if measured else None,
                measured[-1].hyperparameters.values["tuner/epochs"] if measured else 0,
                FINISHED.get(trials[-1].status, "unfinished"),
                sorted({who[t.trial_id] for t in trials if t.trial_id in who}),
                {name: values[name] for name in oracle.varied},
            )
        )
    return sorted(told, key=lambda one: (one.accuracy is None, -(one.accuracy or 0.0)))


def _result(tuning: Tuning, oracle: Any, out: Path) -> dict[str, Any]:
    ranked = outcomes(oracle)
    best = ranked[0] if ranked else None
    if best is None or best.accuracy is None:
        failed = [trial for trial in oracle.trials.values() if trial.status == "FAILED"]
        why = f" The last one failed: {_why(failed[-1], oracle, out)}" if failed else ""
        raise WorkshopError(f"No trial came to a good end; {out}/worker-….log say why.{why}")
    preset = vary(tuning.preset, best.values)
    head = (
        f"# Found by mien-convert tune in the space {tuning.space_name}, seed {tuning.seed}: "
        f"{100 * best.accuracy:.1f} % on PublicTest\n"
        f"# after {best.epochs} of {tuning.max_epochs} epochs. Here with the epochs of the preset "
        f"{tuning.space.preset}.\n"
    )
    document = {k: v for k, v in msgspec.to_builtins(preset).items() if v is not None}
    try:
        (out / "best.toml").write_bytes(head.encode() + msgspec.toml.encode(document))
    except OSError as error:
        raise WorkshopError(f"{out} cannot be written to: {reason(error)}.") from error
    done = _finished(oracle)
    values = [trial.hyperparameters.values for trial in done]
    return {
        "space": tuning.space_name,
        "preset": tuning.space.preset,
        "max_epochs": tuning.max_epochs,
        "seed": tuning.seed,
        "data_sha256": tuning.data_sha256,
        "trials": len(done),
        "failed": sum(trial.status == "FAILED" for trial in done),
        "epochs": sum(one["tuner/epochs"] - one["tuner/initial_epoch"] for one in values),
        "workers": dict(Counter(oracle.worker_of[trial.trial_id] for trial in done)),
        "outcomes": ranked,
        "best": str(out / "best.toml"),
    }
