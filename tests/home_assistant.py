"""Home Assistant itself beside a broker, in its own environment, for a test.

`make home-assistant` makes that environment; without it the tests skip and say so.
"""

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
VENV = ROOT / os.environ.get("HOME_ASSISTANT", ".venv-homeassistant")


class HomeAssistant:
    """`with HomeAssistant(port) as home:` runs one against the broker on that port. What it was
    told before it knows again when it is started in the same folder."""

    def __init__(self, port: int, folder: Path | None = None) -> None:
        if not (VENV / ".installed").exists():  # put there last
            pytest.skip("Home Assistant is not installed: make home-assistant (needs Python 3.13)")
        self._port = port
        self._own = None if folder else tempfile.TemporaryDirectory()
        self._folder = folder or Path(self._own.name)  # type: ignore[union-attr]

    def __enter__(self) -> "HomeAssistant":
        self._log = (self._folder / "log").open("a+")
        self._process = subprocess.Popen(
            [
                VENV / "bin" / "python",
                ROOT / "tests" / "home_assistant_inside.py",
                str(self._port),
                self._folder,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        assert self._read() == "ready"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()  # which it takes for the end
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._log.close()
        if self._own:
            self._own.cleanup()

    def ask(self, name: str, *arguments: Any) -> Any:
        """An answer of `home_assistant_inside.Inside`."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([name, *arguments]) + "\n")
        self._process.stdin.flush()
        answer = self._read()
        if isinstance(answer, dict) and "error" in answer:
            raise AssertionError(answer["error"])
        return answer

    def until(self, id: str, condition: Callable[[Any], object], seconds: float = 20) -> Any:
        """Wait for an entity's state and attributes to be so."""
        deadline = time.monotonic() + seconds
        while True:
            found = self.ask("states")
            if id in found and condition(found[id]):
                return found[id]
            assert time.monotonic() < deadline, f"{id} in vain: {found.get(id)}; {self.log[-2000:]}"
            time.sleep(0.1)

    @property
    def log(self) -> str:
        """Its warnings and errors so far."""
        return (self._folder / "log").read_text()

    def _read(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise AssertionError(f"Home Assistant ended: {self.log[-4000:]}")
        return json.loads(line)
