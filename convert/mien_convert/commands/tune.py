"""`mien-convert tune`: which values of a preset do best."""

import argparse
import os
import socket
from pathlib import Path
from typing import Any

from mien_convert.commands import TRAINING_DATA, add_command, add_data, positive
from mien_convert.errors import WorkshopError
from mien_convert.report import percent
from mien_convert.space import space_names
from mien_convert.tune import follow, lead, plan


def add(subcommands: Any) -> None:
    parser = add_command(
        subcommands, "tune", run, show, "look for better values of a preset, by Hyperband"
    )
    add_data(parser, TRAINING_DATA)
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FOLDER", help="folder of the tuning"
    )
    parser.add_argument(
        "--space", default="mien",
        help=f"{', '.join(space_names())}, or a file that ends in .toml; default: %(default)s",
    )  # fmt: skip
    parser.add_argument(
        "--max-epochs", type=positive, default=27, metavar="E",
        help="epochs of the runs that go to the end; powers of 3 divide well; default: %(default)s",
    )  # fmt: skip
    parser.add_argument("--seed", type=positive, default=1, metavar="S", help="default: 1")
    parser.add_argument("--resume", action="store_true", help="go on with the tuning in FOLDER")
    parser.add_argument(
        "--workers", type=_count, metavar="N",
        help="so many processes on this machine; default: 1, or 0 with --listen",
    )  # fmt: skip
    parser.add_argument(
        "--listen", type=_address, metavar="HOST:PORT",
        help="let workers of other machines in, without a password: in a trusted network only",
    )  # fmt: skip
    parser.add_argument(
        "--chief",
        type=_address,
        metavar="HOST:PORT",
        help="be a worker of the chief that listens there",
    )
    parser.add_argument(
        "--name", help="of this worker; started again with it, it takes its trial up again"
    )


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is not 0 or more")
    return number


def _address(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT, such as 192.168.1.20:8000")
    return text


def run(arguments: argparse.Namespace) -> Any:
    _from_environment(arguments)
    tuning = plan(arguments.space, arguments.data, arguments.max_epochs, arguments.seed)
    if not arguments.chief:
        workers = arguments.workers
        if workers is None:
            workers = 0 if arguments.listen else 1
        if not workers and not arguments.listen:
            raise WorkshopError("A tuning needs workers: --workers 1 or more, or --listen.")
        return lead(
            tuning, arguments.data, arguments.out, workers, arguments.listen, arguments.resume
        )
    if arguments.workers is not None or arguments.listen or arguments.resume:
        raise WorkshopError("--chief makes this a worker; --workers, --listen and --resume are for "
                            "the chief.")  # fmt: skip
    name = arguments.name or f"{socket.gethostname()}-{os.getpid()}"
    ends = follow(tuning, arguments.data, arguments.out, arguments.chief, name)
    return {"worker": name, "finished": ends["finished"], "failed": ends["failed"]}


def _from_environment(arguments: argparse.Namespace) -> None:
    """keras-tuner's own variables, as clusters set them, say the same as the options."""
    names = ("KERASTUNER_TUNER_ID", "KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT")
    given = {name: os.environ[name] for name in names if os.environ.get(name)}
    if given and not arguments.chief and not arguments.listen:
        if len(given) < len(names):
            raise WorkshopError(
                f"Of {', '.join(names)} only {', '.join(given)} is set; set all three, or none."
            )
        tuner, host, port = given.values()
        try:
            address = _address(f"{host}:{port}")
        except argparse.ArgumentTypeError as error:
            raise WorkshopError(f"KERASTUNER_ORACLE_IP and _PORT: {error}.") from error
        if "chief" in tuner:
            arguments.listen = address
        else:
            arguments.chief, arguments.name = address, arguments.name or tuner
    if arguments.name and "chief" in arguments.name:
        # keras-tuner looks for the word anywhere in the name.
        raise WorkshopError("A worker's --name must not contain “chief”.")


def show(result: dict[str, Any]) -> None:
    if "worker" in result:
        print(
            f"{result['worker']}: {result['finished']} trials finished, {result['failed']} failed"
        )
        return
    workers = ", ".join(f"{name} {n}" for name, n in sorted(result["workers"].items()))
    print(
        f"{result['trials']} trials ({workers}; {result['failed']} failed), {result['epochs']} "
        f"epochs in all; space {result['space']}, seed {result['seed']}"
    )
    names = list(result["outcomes"][0]["values"])
    rows = [("run", "PublicTest", "epochs", *names)]
    for one in result["outcomes"]:
        accuracy = percent(one["accuracy"]) if one["state"] == "finished" else one["state"]
        values = (f"{v:.4g}" if isinstance(v, float) else str(v) for v in one["values"].values())
        rows.append((one["run"], accuracy, str(one["epochs"]), *values))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(text.rjust(width) for text, width in zip(row, widths, strict=True)))
    print(f"best: mien-convert train --preset {result['best']} …")
