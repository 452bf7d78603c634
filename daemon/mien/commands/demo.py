"""`mien demo`: daemon, page and a broker together, for a first look without installing anything."""

import argparse
import asyncio
import ctypes
import logging
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from mien import users
from mien.commands.run import stop_on_signals
from mien.config import Config, control_socket, load
from mien.control import place_held
from mien.events import MienError

PORTRAIT_NOTE = (
    "Demo: there is no camera, so a portrait of Grace Hopper plays, moved and re-lit. "
    "Readings of a still photograph say nothing about anybody."
)


def add(subcommands: Any) -> None:
    parser = subcommands.add_parser(
        "demo",
        help="daemon, page and broker together, for a first look",
        description="Run daemon, page and an MQTT broker in one go. Uses a camera if there is "
        "one, else plays a portrait in the public domain.",
    )
    parser.add_argument("--config", type=Path, help="config file")
    parser.add_argument("--portrait", action="store_true", help="the portrait, even with a camera")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from mien.camera import find_camera
    from mien.clock import SystemClock
    from mien.service import Service
    from mien.store import Store

    config = load(args.config)
    with place_held(control_socket(config)):
        pass  # a demo that runs already is told of before an address is printed
    store = Store.open(config.state_dir, SystemClock(), config.store)
    if not store.read(users.set_up):
        store.set_up("demo")  # where nobody set the box up, whoever started this consents to it
    store.close()
    broker_port = _free_port(config.mqtt.port)
    page_port = _free_port(config.page.port)
    config = replace(
        config,
        mqtt=replace(config.mqtt, host="127.0.0.1", port=broker_port, username=None, tls=False),
    )
    asked = config.camera.source != "auto"
    camera = None if args.portrait else (config.camera.source if asked else find_camera())
    with ExitStack() as running, stop_on_signals() as stop:
        broker = [sys.executable, "-m", "mien.commands.demo", str(broker_port)]
        page = [sys.executable, "-m", "mien_web", "--port", str(page_port)]
        page += ["--config", str(args.config)] if args.config else []
        _child(running, broker, "broker")
        _child(running, page, "page")
        print(f"mien: the page is at     http://localhost:{page_port}/")
        print(f"mien: MQTT events are at localhost:{broker_port}, topic mien/#")
        mien = shutil.which("mien") or f"{sys.executable} -m mien"  # `make run` activates nothing
        print(f"mien: follow them with   {mien} events --broker localhost:{broker_port}")
        print(f"mien: camera             {camera or PORTRAIT_NOTE}")
        print("mien: stop with          Ctrl-C", flush=True)
        if camera:
            return Service(config).run(stop)
        return Service(config, source=_portrait(config), note=PORTRAIT_NOTE).run(stop)


def portrait() -> Path:
    """The photograph of Rear Admiral Grace Hopper that matplotlib ships; a work of the United
    States Navy, in the public domain.

    Raises:
        MienError: matplotlib is not installed.
    """
    try:
        from matplotlib import cbook
    except ImportError:
        raise MienError("the demo needs its extra: pip install 'mien[demo]'") from None
    return Path(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))


def _portrait(config: Config) -> Callable[[], Any]:
    from mien.clock import SystemClock
    from mien.pictures import decode
    from mien.replay import DemoSource

    picture = decode(portrait())
    camera = config.camera
    return lambda: DemoSource(
        picture, SystemClock(), width=camera.width, height=camera.height, fps=camera.fps
    )


def _free_port(wanted: int) -> int:
    """This port of the loopback interface, or any other if it is taken."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise MienError("no port is free on this machine")


def _child(running: ExitStack, command: list[str], name: str) -> None:
    """Start a process that dies with this one, and wait for the line by which it says it is up."""
    child = subprocess.Popen(command, stdout=subprocess.PIPE, preexec_fn=_die_with_parent)
    running.callback(_end, child)
    assert child.stdout is not None
    if not child.stdout.readline():
        raise MienError(f"the {name} ended at once (exit {child.wait()}); it says why above")


def _end(child: subprocess.Popen[bytes]) -> None:
    with child:  # closes its pipe
        child.terminate()
        try:
            child.wait(5)
        except subprocess.TimeoutExpired:
            child.kill()


def _die_with_parent() -> None:
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)
    # Ctrl-C reaches the whole group; the parent ends its children in order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


async def _broker(port: int) -> None:
    from amqtt.broker import Broker

    broker = Broker(
        {
            "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
            "plugins": {
                "amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}
            },
        }
    )
    await broker.start()
    print("ready", flush=True)
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await stopped.wait()
    await broker.shutdown()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(_broker(int(sys.argv[1])))
