"""A real mosquitto on a free port of this machine, with its own config, for a test."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType


class Mosquitto:
    """`with Mosquitto() as broker:` runs one on `broker.port`; `kill` and `start` restart it.

    Args:
        users: names and passwords; without any, everybody is let in.
        port: to listen on; a free one when left out.
        more: further lines of its config.
    """

    def __init__(
        self, users: dict[str, str] | None = None, port: int | None = None, more: str = ""
    ) -> None:
        self.port = port or free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="mosquitto-"))
        self._config = self._folder / "mosquitto.conf"
        lines = [
            f"listener {self.port} 127.0.0.1",
            f"allow_anonymous {'false' if users else 'true'}",
            "set_tcp_nodelay true",
            "persistence false",
            "user root",  # as root it would go on as "mosquitto", who may not read this folder
        ]
        if users:
            passwords = self._folder / "passwords"
            passwords.write_text("".join(f"{name}:{word}\n" for name, word in users.items()))
            passwords.chmod(0o600)
            subprocess.run([_program("mosquitto_passwd"), "-U", passwords], check=True)
            lines.append(f"password_file {passwords}")
        self._config.write_text("\n".join([*lines, more]) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Mosquitto":
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()
        shutil.rmtree(self._folder)

    def start(self) -> None:
        """Run it and wait until it accepts connections."""
        log = self._folder / "log"
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                [_program("mosquitto"), "-c", self._config], stdout=out, stderr=out
            )
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except ConnectionRefusedError:
                time.sleep(0.02)
        raise RuntimeError(f"mosquitto does not start:\n{log.read_text()}")

    def kill(self) -> None:
        """As a pulled plug: it forgets everything, retained messages included."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _program(name: str) -> str:
    """Debian keeps mosquitto in /usr/sbin, which is not on everybody's PATH."""
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin")
    if found is None:
        raise RuntimeError(f"{name} is missing: apt install mosquitto")
    return found
