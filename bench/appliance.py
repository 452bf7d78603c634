"""The real daemon and page as processes, over a real mosquitto, watched from outside."""

import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from mien.clock import SystemClock
from mien.config import Store as StoreConfig
from mien.store import Store

WATCH_S = 30.0
BROKER = "listener {port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\n"
"""What the box's own broker is like to the daemon, but for passwords."""


def flat_out(clip: Path) -> dict[str, float]:
    """`mien replay` over the clip: frames a second of the pipeline with decoding, in wall time."""
    command = [sys.executable, "-m", "mien", "replay", str(clip), "--json"]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)  # fills the disk cache
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    took = time.perf_counter() - began
    summary = json.loads(done.stdout.splitlines()[-1])["summary"]
    began = time.perf_counter()
    subprocess.run([*command[:4], str(_one_frame(clip))], stdout=subprocess.DEVNULL, check=True)
    start_up = time.perf_counter() - began
    return {
        "frames": summary["frames"],
        "frames_per_second": summary["frames"] / (took - start_up),
        "with_start_up": summary["frames"] / took,
        "ms_per_frame": summary["ms_per_frame"]["total"],
    }


def _one_frame(clip: Path) -> Path:
    """A picture of the same size, to know what starting costs."""
    import cv2

    from bench import scene

    path = clip.with_name("one.png")
    cv2.imwrite(str(path), scene.frames(1)[0])
    return path


def measure(clip: Path, folder: Path) -> dict[str, float]:
    """Run daemon, page and broker for a while: CPU, memory, latency, start and writing."""
    state = folder / "state"
    give_models(state)
    store = Store.open(state, SystemClock(), StoreConfig())
    store.set_up("demo")  # without a setting nobody is read
    store.close()
    config = folder / "mien.toml"
    config.write_text(f'[box]\nid = "bench"\nstate_dir = "{state}"\n')
    broker_port, page_port = _free_port(), _free_port()
    python = [sys.executable, "-m"]
    common = ["--config", str(config)]
    broker = folder / "mosquitto.conf"
    broker.write_text(BROKER.format(port=broker_port))
    with running([_mosquitto(), "-c", str(broker)], broker_port):
        subscriber = _Subscriber(broker_port)
        began = time.time()
        daemon_command = [*python, "mien", "run", *common, "--source", str(clip)]
        daemon_command += ["--broker", f"127.0.0.1:{broker_port}"]
        with (
            running([*python, "mien_web", *common, "--port", str(page_port)], page_port) as page,
            running(daemon_command, None) as daemon,
        ):
            began_daemon = daemon.create_time()
            subscriber.first.wait(20)
            first = subscriber.first_at - max(began, began_daemon)
            _open_page(page_port)
            time.sleep(2)
            cpu, io = daemon.cpu_times(), daemon.io_counters()
            subscriber.delays.clear()
            time.sleep(WATCH_S)
            cpu_after, io_after = daemon.cpu_times(), daemon.io_counters()
            used = (cpu_after.user + cpu_after.system) - (cpu.user + cpu.system)
            delays = sorted(subscriber.delays)
            return {
                "cpu_share": used / WATCH_S,
                "latency_p50_ms": statistics.median(delays) * 1e3,
                "latency_p99_ms": delays[min(len(delays) - 1, round(0.99 * len(delays)))] * 1e3,
                "messages": len(delays),
                "daemon_rss_mb": peak_mb(daemon),
                "page_rss_mb": peak_mb(page),
                "first_reading_s": first,
                "written_mb_per_hour": (io_after.write_bytes - io.write_bytes)
                / WATCH_S
                * 3600
                / 1e6,
            }


def give_models(state: Path) -> None:
    """The models that `make setup` fetched, for a state folder of one's own."""
    models = Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share").expanduser() / "mien/models"
    shutil.copytree(models, state / "models")


class _Subscriber:
    """Receives `state` and reckons how old the frame is that it tells of."""

    def __init__(self, port: int) -> None:
        self.delays: list[float] = []
        self.first = threading.Event()
        self.first_at = 0.0
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = self._received
        self._client.connect("127.0.0.1", port)
        self._client.subscribe("mien/bench/state")
        self._client.loop_start()

    def _received(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        now = time.time()
        state = json.loads(message.payload)
        if state["people"] and not self.first.is_set():
            self.first_at = now
            self.first.set()
        self.delays.append(now - datetime.fromisoformat(state["time"]).astimezone(UTC).timestamp())


@contextmanager
def running(command: list[str], port: int | None) -> Iterator[psutil.Process]:
    """The process, once its port answers if it has one; ended at the end."""
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while port and time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield psutil.Process(child.pid)
    finally:
        child.terminate()
        child.wait(10)


def _open_page(port: int) -> None:
    from urllib.request import urlopen

    with urlopen(f"http://127.0.0.1:{port}/") as page:
        page.read()


def peak_mb(process: psutil.Process) -> float:
    """The largest part of it that was ever in memory."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(peak.split()[1]) / 1024


def _mosquitto() -> str:
    found = shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin")
    if found is None:
        raise SystemExit("mosquitto is missing: apt install mosquitto")
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
