"""Twenty tablets in one session, on a store with a year in it, while the daemon reads 15 frames/s.

    python -m bench.tablets

Each tablet asks as the session page does (a look each second, the state each 2.5 s), taps each 3 s
and opens another page each 10 s. Real processes, real waitress, real SQLite; no browser.
"""

import http.client
import itertools
import json
import random
import socket
import statistics
import sys
import tempfile
import threading
import time
import uuid
from collections import defaultdict
from pathlib import Path
from urllib.parse import urlencode

from bench import appliance, scene, year
from mien_web import door, guard

TABLETS = 20
WATCH_S = 30.0
GOAL_MS = 150
PLAN = (("look", 1.0), ("state", 2.5), ("taps", 3.0), ("page", 10.0))
TOKEN = "token-of-the-forms"


class Tablet(threading.Thread):
    """Asks by its own clock until told to stop; notes how long each answer took."""

    def __init__(self, port: int, session: str, pages: list[str], number: int) -> None:
        super().__init__(daemon=True)
        self._line = Line(port)
        self._session = session
        self._pages = itertools.cycle(pages[number % len(pages) :] + pages[: number % len(pages)])
        self._chance = random.Random(number)
        self._on = False
        self.stopping = threading.Event()
        self.took: dict[str, list[float]] = defaultdict(list)
        self.failed: list[str] = []

    def run(self) -> None:
        now = time.monotonic()
        due = {what: now + self._chance.uniform(0, every) for what, every in PLAN}
        while not self.stopping.is_set():
            what = min(due, key=lambda name: due[name])
            self.stopping.wait(max(0.0, due[what] - time.monotonic()))
            began = time.monotonic()
            status = self._ask(what)
            self.took[what].append(time.monotonic() - began)
            if status != 200:
                self.failed.append(f"{what}: {status}")
            # As a page does: the next question comes so long after the answer to the last.
            due[what] = time.monotonic() + dict(PLAN)[what]

    def _ask(self, what: str) -> int:
        session = f"/sessions/{self._session}"
        if what == "taps":
            self._on = not self._on
            kind = "tag_on" if self._on else "tag_off"
            tap = {"id": str(uuid.uuid4()), "kind": kind, "age_ms": 0, "keyword": self._keyword}
            return self._line.ask("POST", f"{session}/taps", {"taps": [tap]})[0]
        if what == "page":
            return self._line.ask("GET", next(self._pages))[0]
        return self._line.ask("GET", f"{session}/{what}")[0]

    @property
    def _keyword(self) -> str:
        return str(uuid.UUID(int=random.Random(1).getrandbits(128)))  # the year's first topic


class Line:
    """One kept-alive connection, signed in as the year's therapist."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._headers = {
            "Cookie": f"{door.COOKIE}={year.LOGIN}; {guard.COOKIE}={TOKEN}",
            "Sec-Fetch-Site": "same-origin",
            "Mien-Background": "1",
            "Mien-Token": TOKEN,
        }

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, str]:
        """Status, and where it leads to."""
        text = None if body is None else json.dumps(body)
        headers = {**self._headers, **({"Content-Type": "application/json"} if text else {})}
        self._connection.request(method, path, text, headers)
        answer = self._connection.getresponse()
        answer.read()
        return answer.status, answer.getheader("Location") or ""

    def start(self, client: str) -> str:
        """Begin a session; its id."""
        form = urlencode({"token": TOKEN})
        headers = {**self._headers, "Content-Type": "application/x-www-form-urlencoded"}
        self._connection.request("POST", f"/clients/{client}/session", form, headers)
        answer = self._connection.getresponse()
        said = answer.read()
        if answer.status != 303:
            raise SystemExit(f"no session was started: {answer.status}\n{said.decode()}")
        return str(answer.getheader("Location")).split("/")[2]


def measure(clip: Path, folder: Path) -> dict[str, float]:
    """Answer times of all tablets in ms, and the frames a second that the daemon read meanwhile."""
    state = folder / "year"
    appliance.give_models(state)
    year.make(state)
    config = folder / "tablets.toml"
    config.write_text(f'[box]\nstate_dir = "{state}"\n[mqtt]\nenabled = false\n')
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    python = [sys.executable, "-m"]
    common = ["--config", str(config)]
    with (
        appliance.running([*python, "mien", "run", *common, "--source", str(clip)], None),
        appliance.running([*python, "mien_web", *common, "--port", str(port)], port) as page,
    ):
        time.sleep(3)
        line = Line(port)
        for _ in range(60):  # a box that ran for a year has counted its sessions, one by one
            line.ask("GET", f"/clients/{year.CLIENT}/map")
        session = line.start(year.CLIENT)
        time.sleep(2)
        pages = ["/clients", f"/clients/{year.CLIENT}", f"/clients/{year.CLIENT}/map",
                 f"/sessions/{session}/live", "/library", "/model"]  # fmt: skip
        tablets = [Tablet(port, session, pages, number) for number in range(TABLETS)]
        frames = _frames(state)
        began = time.monotonic()
        for tablet in tablets:
            tablet.start()
        time.sleep(WATCH_S)
        read = (_frames(state) - frames) / (time.monotonic() - began)
        for tablet in tablets:
            tablet.stopping.set()
        for tablet in tablets:
            tablet.join(30)
        if failed := sorted({why for tablet in tablets for why in tablet.failed}):
            raise SystemExit(f"tablets were refused: {', '.join(failed)}")
        took = {
            what: [ms * 1e3 for tablet in tablets for ms in tablet.took[what]] for what, _ in PLAN
        }
        every = [ms for times in took.values() for ms in times]
        return {
            "requests_per_second": len(every) / WATCH_S,
            "p50_ms": statistics.median(every),
            "p95_ms": _p95(every),
            **{f"{what}_p95_ms": _p95(times) for what, times in took.items()},
            "frames_per_second": read,
            "page_rss_mb": appliance.peak_mb(page),
        }


def _p95(times: list[float]) -> float:
    return statistics.quantiles(times, n=20)[18]


def _frames(state: Path) -> float:
    from mien.control import ControlClient

    client = ControlClient(state / "control.sock")
    try:
        lines = client.metrics().splitlines()
    finally:
        client.close()
    return float(next(x.split()[1] for x in lines if x.startswith("mien_frames_total ")))


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="mien-bench-") as folder:
        clip = Path(folder) / "scene.mp4"
        scene.video(clip, seconds=20)
        for name, value in measure(clip, Path(folder)).items():
            print(f"{name:24} {value:8.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
