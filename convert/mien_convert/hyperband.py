"""Hyperband, as keras-tuner has it: the oracle of the chief, its server, and the worker.

Li et al. 2018, "Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization". The chief
holds the oracle, which decides what is tried; workers ask it for trials by gRPC. Where keras-tuner
1.4 is worked around, the number of its issue stands beside.
"""

import json
import logging
import os
import time
from collections import Counter
from collections.abc import Callable
from concurrent import futures
from pathlib import Path
from typing import Any

from mien_convert import network
from mien_convert.errors import TrainingError, WorkshopError
from mien_convert.space import Space, Value

log = logging.getLogger(__name__)

TRIES = 2  # of a trial whose worker died
ANSWER = 30.0  # seconds that a worker waits for the chief
IDLE = 0.5  # seconds until a worker without a trial asks again
FINGERPRINT = "tuning"
FINISHED = {"COMPLETED": "finished", "FAILED": "failed"}


def hyperband(space: Space, fingerprint: str, folder: Path, max_epochs: int, seed: int) -> Any:
    """A keras_tuner Oracle that keeps its state in `folder` and maximises `accuracy`.

    `fingerprint` goes with each trial, so that a worker sees whether it belongs to this tuning.
    `seed` is 1 or more: keras-tuner takes 0 for none.
    """
    keras_tuner = network.require("keras_tuner")
    base: Any = keras_tuner.oracles.HyperbandOracle

    class Oracle(base):  # type: ignore[misc]
        """Knows which worker did what, and outlives a kill, a full disk and dead workers."""

        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.fingerprint, self.folder, self.varied = fingerprint, folder, list(space.fields)
            self.worker_of: dict[str, str] = {}
            self.trouble: OSError | None = None
            self.on_end: Callable[[Any], None] = lambda trial: None

        def create_trial(self, tuner_id: str) -> Any:
            trial = super().create_trial(tuner_id)
            if trial.status == "RUNNING":
                self.worker_of[trial.trial_id] = tuner_id
            return trial

        def end_trial(self, trial: Any) -> None:
            super().end_trial(trial)
            # It saved before it took the trial off those under way, which would be done again.
            self.save()
            self.on_end(self.trials[trial.trial_id])

        @keras_tuner.synchronized  # type: ignore[untyped-decorator]
        def release(self, tuner_id: str) -> None:
            """Give the trial of a dead worker to another. Left alone, it would keep the others
            waiting for ever (issue 915), and its name the chief."""
            trial = self.ongoing_trials.get(tuner_id)
            if trial is not None:
                trial.status = "INVALID"
                self.end_trial(trial)
            self.tuner_ids.discard(tuner_id)

        def get_state(self) -> dict[str, Any]:
            return {**super().get_state(), "worker_of": self.worker_of}

        def set_state(self, state: dict[str, Any]) -> None:
            super().set_state(state)
            self.worker_of = state["worker_of"]

        def save(self) -> None:
            self._write(Path(self._get_oracle_fname()), self)

        def _save_trial(self, trial: Any) -> None:
            self._write(Path(self._get_trial_dir(trial.trial_id)) / "trial.json", trial)

        def _write(self, file: Path, stateful: Any) -> None:
            """keras-tuner writes over the old file, and half a file stops it from resuming. An
            error must not leave a synchronized method, which would never give its lock back."""
            unfinished = file.with_suffix(".unfinished")
            try:
                unfinished.write_text(json.dumps(stateful.get_state()))
                unfinished.replace(file)
            except OSError as error:
                self.trouble = error

        def rounds(self) -> list[tuple[int, int, int]]:
            """What is planned, round by round: trials, and their epochs before and after it."""
            plan = []
            for bracket in reversed(range(self._get_num_brackets())):
                before = 0
                for number in range(bracket + 1):
                    epochs = self._get_epochs(bracket, number)
                    plan.append((self._get_size(bracket, number), before, epochs))
                    before = epochs
            return plan

    chosen = Oracle(
        objective=keras_tuner.Objective("accuracy", "max"),
        max_epochs=max_epochs,
        seed=seed,
        hyperparameters=_hyperparameters(space, fingerprint),
        max_retries_per_trial=TRIES - 1,
        # A trial that fails is told in the table; keras-tuner would raise within its lock.
        max_consecutive_failed_trials=2**31,
    )
    chosen.verbose = 0  # it prints to stdout, where the JSON goes
    chosen._set_project_dir(str(folder.parent), folder.name)
    fresh = sum(trials for trials, before, _ in chosen.rounds() if before == 0)
    if space.count < 2 * fresh:
        # It gives up after 20 draws of what was tried before (issue 901).
        raise WorkshopError(
            f"The space has only {space.count:g} presets in it; Hyperband with --max-epochs "
            f"{max_epochs} draws {fresh} and wants at least {2 * fresh} to draw from. Widen a "
            "range, or lower --max-epochs."
        )
    return chosen


def _hyperparameters(space: Space, fingerprint: str) -> Any:
    parameters = network.require("keras_tuner").HyperParameters()
    parameters.Fixed(FINGERPRINT, fingerprint)
    for name, field in space.fields.items():
        if field.choices is not None:
            parameters.Choice(name, field.choices)
            continue
        kind = parameters.Int if field.whole else parameters.Float
        kind(name, field.low, field.high, step=field.step, sampling=field.scale)
    return parameters


def serve(oracle: Any, address: str) -> tuple[Any, Any, int]:
    """Answer workers at `address`, HOST:PORT, with port 0 for any. Returns the server, its
    servicer and the port.

    keras-tuner's own start_server sleeps until every worker has said good-bye, which a dead one
    never does (issues 344 and 915).

    Raises WorkshopError when the port cannot be had.
    """
    grpc = network.require("grpc")
    servicer = network.require("keras_tuner.src.distribute.oracle_chief").OracleServicer(oracle)
    # By default gRPC shares a port with whoever else shares it, and workers go astray.
    server = grpc.server(
        futures.ThreadPoolExecutor(max_workers=1), options=[("grpc.so_reuseport", 0)]
    )
    service = network.require("keras_tuner.src.protos").get_service_grpc()
    service.add_OracleServicer_to_server(servicer, server)
    try:
        port = server.add_insecure_port(address)
    except RuntimeError as error:
        raise WorkshopError(
            f"The chief cannot listen at {address}: the port is in use or the address is not one "
            "of this machine. Name another with --listen HOST:PORT."
        ) from error
    server.start()
    return server, servicer, port


Training = Callable[[str, dict[str, Value], int, int], float]
"""Takes the name of a run, the values of the space, how many epochs it should have had and how many
it shall have; trains it to there and returns its accuracy."""


def work(oracle: Any, train: Training, patience: float = ANSWER) -> Counter[str]:
    """Run trials for the chief that KERASTUNER_ORACLE_IP and _PORT name, until it has no more.

    `oracle` is one like the chief's. Returns how many trials came to an end and how many failed.
    Raises WorkshopError when the chief does not answer, has another tuning, or nothing can be
    written.
    """
    keras_tuner = network.require("keras_tuner")
    grpc = network.require("grpc")
    client: Any = network.require("keras_tuner.src.distribute.oracle_client")
    client.TIMEOUT = patience  # an hour is long for a chief that is gone (issues 957 and 990)
    address = f"{os.environ['KERASTUNER_ORACLE_IP']}:{os.environ['KERASTUNER_ORACLE_PORT']}"
    with grpc.insecure_channel(address) as channel:
        try:
            grpc.channel_ready_future(channel).result(patience)
        except grpc.FutureTimeoutError as error:
            raise WorkshopError(
                f"No chief answered at {address} within {patience:.0f} s. Start it with "
                f"mien-convert tune … --listen {address}, and see that no firewall stands between."
            ) from error
    base: Any = keras_tuner.engine.base_tuner.BaseTuner
    errors = keras_tuner.errors
    ends: Counter[str] = Counter()

    class Tuner(base):  # type: ignore[misc]
        """Trains as the workshop does."""

        trial: Any = None
        idle = False

        def save(self) -> None:
            """A worker has nothing to remember."""

        def pre_create_trial(self) -> None:
            # keras-tuner asks again at once while there is nothing to do, which keeps a core busy.
            if self.idle:
                time.sleep(IDLE)
            self.idle = True

        def on_trial_begin(self, trial: Any) -> None:
            self.idle, self.trial = False, trial

        def on_trial_end(self, trial: Any) -> None:
            super().on_trial_end(trial)
            self.trial = None
            ends["finished" if trial.status == "COMPLETED" else "failed"] += 1

        def run_trial(self, trial: Any) -> dict[str, float]:
            values = trial.hyperparameters.values
            if values.get(FINGERPRINT) != oracle.fingerprint:
                raise errors.FatalRuntimeError(
                    "The chief has another tuning; start the worker with its --space, --data, "
                    "--max-epochs and --seed."
                )
            first = trial
            # A trial of a later round goes on where an earlier one stopped.
            while before := first.hyperparameters.values.get("tuner/trial_id"):
                first = self.oracle.get_trial(before)
            chosen = {name: values[name] for name in oracle.varied}
            log.info(
                "trial %s: run %s to epoch %d, %s",
                trial.trial_id, first.trial_id, values["tuner/epochs"], chosen,
            )  # fmt: skip
            try:
                before, epochs = values["tuner/initial_epoch"], values["tuner/epochs"]
                return {"accuracy": train(first.trial_id, chosen, before, epochs)}
            except TrainingError as error:
                log.warning("trial %s failed: %s", trial.trial_id, error)
                if isinstance(error.__cause__, OSError):
                    raise errors.FatalRuntimeError(str(error)) from error
                raise errors.FailedTrialError(str(error)) from error
            except WorkshopError as error:
                raise errors.FatalRuntimeError(str(error)) from error
            except Exception as error:
                log.exception("trial %s failed: %r", trial.trial_id, error)
                raise

    tuner = None
    try:
        tuner = Tuner(oracle, directory=str(oracle.folder.parent), project_name=oracle.folder.name)
        try:
            tuner.search()
        except BaseException:
            if tuner.trial is not None:
                # Another worker may take it up.
                tuner.trial.status = "INVALID"
                tuner.oracle.end_trial(tuner.trial)
            raise
    except errors.FatalError as error:
        raise WorkshopError(str(error)) from error
    except grpc.RpcError as error:
        raise WorkshopError(
            f"The chief does not answer any more ({error.code().name.lower()}). When it is back, "
            "start this worker again."
        ) from error
    return ends
