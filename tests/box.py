"""A real Debian with systemd as PID 1 to install the box into: a container on this machine, with a
network of its own in which this process is both the tablet and the way out.

Nothing of this machine is changed: the root file system lies in a cache folder, what the container
writes in a temporary folder beside it, and the way out is a proxy of this process, so that no
route, firewall or setting of the machine is touched. `why_not` says whether it can be had here.
"""

import ctypes
import fcntl
import os
import re
import shutil
import socket
import socketserver
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mien-box"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
# What Raspberry Pi OS Lite has, too, and little else.
PACKAGES = "systemd,systemd-sysv,dbus,udev,kmod,iproute2,ca-certificates,python3,sudo,procps"
TOOLS = ("debootstrap", "systemd-nspawn", "unshare", "nsenter", "setpriv", "ip", "mount")
TABLET, ADDRESS, PROXY_PORT = "10.99.0.1", "10.99.0.2", 3128
NEW_NETWORK = 0x40000000  # CLONE_NEWNET
# Who is started so ends with this process, however that ends.
_WITH_US = ("setpriv", "--pdeathsig", "KILL")


def why_not(tools: tuple[str, ...] = TOOLS) -> str | None:
    """Return why no such Debian can be had here; None when it can."""
    if os.geteuid() != 0:
        return "it needs root"
    if missing := [tool for tool in tools if not shutil.which(tool, path=_PATH)]:
        return f"there is no {', '.join(missing)}; apt install debootstrap systemd-container"
    if not KEYRING.exists():
        return f"there is no {KEYRING}; apt install debian-archive-keyring"
    for host, port in (urlsplit(mirrors()[0]).hostname, 80), ("pypi.org", 443):
        try:
            socket.create_connection((host, port), 20).close()
        except OSError as error:
            return f"{host} cannot be reached: {error}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        command = ["unshare", "-m", "-n", "--propagation", "private", "sh", "-ec", _PROBE, folder]
        done = subprocess.run(command, capture_output=True, text=True, env=_ENV)
    return f"the kernel does not allow it: {done.stderr.strip()}" if done.returncode else None


_OWN_CGROUPS = """
mount --make-rprivate /
umount -R -l /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
"""
_PROBE = f"""{_OWN_CGROUPS}
cd "$0"
mkdir lower upper work root
mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work root
"""
_PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
_ENV = {**os.environ, "PATH": _PATH}


def rootfs(suite: str, packages: str = PACKAGES, kind: str = "") -> Path:
    """Return the root file system of this Debian, made once and kept in the cache.

    Making it takes a minute or two. `kind` names one that has other packages.
    """
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / f"{suite}{kind}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder = CACHE / f"{suite}{kind}"
        if folder.exists():
            return folder
        draft = CACHE / f"{suite}{kind}.new"
        shutil.rmtree(draft, ignore_errors=True)
        command = ["debootstrap", "--variant=minbase", f"--keyring={KEYRING}"]
        command += [f"--include={packages}", suite, str(draft), mirrors()[0]]
        done = subprocess.run(command, capture_output=True, text=True, env=_ENV)
        if done.returncode:
            raise RuntimeError(f"debootstrap failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        for file in (draft / "var/cache/apt/archives").glob("*.deb"):
            file.unlink()
        draft.rename(folder)
        return folder


def mirrors() -> tuple[str, str]:
    """Where this machine gets Debian and its security updates from, if it is one."""
    found = {"debian": "http://deb.debian.org/debian", "debian-security": ""}
    for file in sorted(Path("/etc/apt").glob("sources.list*")):
        for source in [file, *sorted(file.glob("*"))] if file.is_dir() else [file]:
            if source.is_file():
                for uri in re.findall(r"^[^#\n]*?(https?://[^\s]+)", source.read_text(), re.M):
                    kind = uri.rstrip("/").rsplit("/", 1)[-1]
                    if kind in found:
                        found[kind] = uri.rstrip("/")
    return found["debian"], found["debian-security"]


def apt_sources(suite: str) -> str:
    """Return the sources from which `suite` gets its packages, as this machine gets its own."""
    main, security = mirrors()
    entries = [(main, f"{suite} {suite}-updates")]
    entries += [(security, f"{suite}-security")] if security else []
    how = f"Components: main\nSigned-By: {KEYRING}\n"
    return "\n".join(f"Types: deb\nURIs: {uri}\nSuites: {suites}\n{how}" for uri, suites in entries)


def apt_settings() -> str:
    """Return what this machine's apt was told about checks, such as of the dates of old lists."""
    dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=False)
    lines = dump.stdout.splitlines()
    return "".join(f"{line}\n" for line in lines if line.startswith("Acquire::Check-"))


class Box:
    """`with running(suite) as box:` boots one, factory new, and takes it away afterwards."""

    def __init__(self, suite: str) -> None:
        self.suite = suite
        self._lower = rootfs(suite)
        _sweep()
        self.folder = Path(tempfile.mkdtemp(prefix=f"run-{os.getpid()}-", dir=CACHE))
        for name in ("upper", "work", "root"):
            (self.folder / name).mkdir()
        self._name = f"mien-box-{os.getpid()}-{suite}"
        self._console = self.folder / "console.log"
        self._nspawn: subprocess.Popen[bytes] | None = None
        # Two networks with a cable between them, which nobody else sees.
        self._tablet, self._network = _network(), _network()
        cable = f"ip link add host0 type veth peer name tablet0 netns {self._tablet.pid}"
        _ip(self._network, f"{cable}; ip addr add {ADDRESS}/24 dev host0")
        _ip(
            self._network,
            f"ip link set lo up; ip link set host0 up; ip route add default via {TABLET}",
        )
        _ip(
            self._tablet,
            f"ip link set lo up; ip addr add {TABLET}/24 dev tablet0; ip link set tablet0 up",
        )
        self.way_out = WayOut(self.outside(lambda: _listening(TABLET, PROXY_PORT)))
        self._settle()

    def _settle(self) -> None:
        """What this system must know of where it stands, and nothing of the box."""
        self.put("etc/apt/sources.list.d/debian.sources", apt_sources(self.suite))
        self.put("etc/apt/sources.list", "")
        proxy = f"http://{TABLET}:{PROXY_PORT}"
        self.put("etc/apt/apt.conf.d/90box", f'Acquire::http::Proxy "{proxy}";\n{apt_settings()}')
        pip = f"[global]\nproxy = {proxy}\n"
        if trusted := os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile:
            self.put("etc/ssl/certs/outside.crt", Path(trusted).read_text())
            pip += "cert = /etc/ssl/certs/outside.crt\n"
        self.put("etc/pip.conf", pip)
        self.put("etc/hostname", "testbox\n")
        self.put("etc/hosts", "127.0.0.1 localhost testbox\n::1 localhost\n")

    def put(self, path: str, text: str) -> None:
        """A file into the system; while it does not run."""
        target = self.folder / "upper" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def copy(self, source: Path, path: str) -> None:
        """A file or folder into the system; while it does not run."""
        target = self.folder / "upper" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target)

    # ── on and off ───────────────────────────────────────────────────────────────────────────

    def start(self) -> float:
        """Boot; the seconds it took."""
        begun, here = time.monotonic(), self.folder
        layers = f"lowerdir={self._lower},upperdir={here}/upper,workdir={here}/work"
        script = f"""set -e
            {_OWN_CGROUPS}
            mkdir -p /sys/fs/cgroup/{self._name}
            echo $$ >/sys/fs/cgroup/{self._name}/cgroup.procs
            mount -t overlay overlay -o {layers} {here}/root
            export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 SYSTEMD_NSPAWN_LOCK=0
            exec systemd-nspawn -D {here}/root -M {self._name} --register=no --keep-unit -b \\
                --console=pipe --resolv-conf=off --timezone=off --link-journal=no \\
                --network-namespace-path=/proc/{self._network.pid}/ns/net \\
                --capability=CAP_NET_ADMIN,CAP_BPF,CAP_PERFMON --system-call-filter=bpf"""
        with self._console.open("ab") as console:
            self._nspawn = subprocess.Popen(
                [*_WITH_US, "unshare", "-m", "--propagation", "private", "sh", "-c", script],
                stdin=subprocess.DEVNULL, stdout=console, stderr=console, env=_ENV,
            )  # fmt: skip
        self.until(lambda: self._state() in ("running", "degraded"), 60, "it does not boot")
        return time.monotonic() - begun

    def stop(self) -> None:
        """Switch it off as one should."""
        self.run("systemctl poweroff --no-block", check=False)
        self.until(lambda: self._nspawn and self._nspawn.poll() is not None, 90, "it stays on")
        self.cut()

    def cut(self) -> None:
        """Pull the plug: every process dies at once."""
        if self._nspawn is None:
            return
        if leader := self._leader():
            _kill(leader)
        if self._nspawn.poll() is None:
            _kill(self._nspawn.pid)
        self._nspawn.wait()
        self._nspawn = None

    def close(self) -> None:
        """Take it away."""
        self.cut()
        self.way_out.close()
        for network in (self._tablet, self._network):
            network.kill()
            network.wait()
        _remove_cgroup(self._name)
        shutil.rmtree(self.folder, ignore_errors=True)

    # ── within ───────────────────────────────────────────────────────────────────────────────

    def run(self, command: str, timeout: float = 60, check: bool = True) -> str:
        """Run this in the box, by its systemd, with no more rights than that has; what it said."""
        unit = [
            "systemd-run",
            "--quiet",
            "--pipe",
            "--wait",
            "--collect",
            "-E",
            "HOME=/root",
            "-E",
            "LANG=C.UTF-8",
        ]
        # The manager would put its own variables in where there is a single dollar.
        done = subprocess.run(
            [*self._enter(), *unit, "sh", "-c", command.replace("$", "$$")],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, timeout=timeout,
        )  # fmt: skip
        if check and done.returncode:
            raise AssertionError(
                f"{command}\nexit status {done.returncode}:\n{done.stdout[-6000:]}"
            )
        return done.stdout.strip()

    def active(self, *units: str) -> bool:
        return self.run(f"systemctl is-active {' '.join(units)}", check=False).split() == [
            "active"
        ] * len(units)

    def pid(self, unit: str) -> int:
        return int(self.run(f"systemctl show --value -p MainPID {unit}"))

    def files(self) -> set[str]:
        """Every path of the system but those of the kernel, and of what runs."""
        kept = " -o ".join(
            f"-path /{name}" for name in ("proc", "sys", "dev", "run", "tmp", "root")
        )
        return set(self.run(f"find / -xdev \\( {kept} \\) -prune -o -print").splitlines())

    def until(self, wanted: Callable[[], Any], seconds: float, otherwise: str) -> float:
        """Wait for it; the seconds it took."""
        begun = time.monotonic()
        while not wanted():
            if time.monotonic() - begun > seconds:
                raise AssertionError(f"{otherwise} in {seconds:.0f} s\n{self.log()}")
            time.sleep(0.2)
        return time.monotonic() - begun

    def log(self) -> str:
        """The end of its journal, or of its console."""
        if self._leader() is None:
            return self._console.read_text(errors="replace")[-3000:]
        return self.run("journalctl --no-pager -n 60 -o short-monotonic", check=False)

    def _state(self) -> str:
        if self._leader() is None:
            return "off"
        command = [*self._enter(), "systemctl", "is-system-running"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    def _leader(self) -> int | None:
        """The container's PID 1, as this machine sees it."""
        if self._nspawn is None or self._nspawn.poll() is not None:
            return None
        pid = self._nspawn.pid
        try:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        except OSError:
            return None
        return int(children[-1]) if children else None

    def _enter(self) -> list[str]:
        clean = ["env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
        return [
            "nsenter",
            "-t",
            str(self._leader()),
            "-m",
            "-u",
            "-i",
            "-n",
            "-p",
            "-C",
            "-r",
            "-w",
            *clean,
        ]

    # ── from outside ─────────────────────────────────────────────────────────────────────────

    def outside(self, act: Callable[[], T]) -> T:
        """Do this as the tablet does it: its sockets are in the tablet's network."""
        said: list[T] = []
        failed: list[BaseException] = []

        def work() -> None:
            try:
                libc = ctypes.CDLL(None, use_errno=True)
                with open(f"/proc/{self._tablet.pid}/ns/net") as network:
                    if libc.setns(network.fileno(), NEW_NETWORK):  # of this thread alone
                        raise OSError(ctypes.get_errno(), "setns")
                said.append(act())
            except BaseException as error:
                failed.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        if failed:
            raise failed[0]
        return said[0]


@contextmanager
def running(suite: str, *copies: tuple[Path, str]) -> Iterator[Box]:
    """A factory-new box that runs, with these files of this machine in it."""
    box = Box(suite)
    try:
        for source, path in copies:
            box.copy(source, path)
        box.start()
        yield box
    finally:
        box.close()


class WayOut:
    """An HTTP proxy on this socket: the box's only way into the network. `fetched` counts bytes;
    while it is not `open` the network is away."""

    def __init__(self, listener: socket.socket) -> None:
        self.fetched = 0
        self.open = True
        way = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                if way.open:
                    way._serve(self.rfile, self.connection)

        self._server = socketserver.ThreadingTCPServer(("", 0), Handler, bind_and_activate=False)
        self._server.socket.close()
        self._server.socket = listener
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _serve(self, asked: Any, line: socket.socket) -> None:
        first = asked.readline().decode("latin-1").split()
        head = []
        while (row := asked.readline()) not in (b"\r\n", b""):
            head.append(row)
        if len(first) != 3:
            return
        method, target, _ = first
        try:
            if method == "CONNECT":
                host, _, port = target.rpartition(":")
                there = socket.create_connection((host, int(port)), 30)
                line.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            else:
                found = re.fullmatch(r"http://([^/:]+)(?::(\d+))?(/.*)", target)
                if not found:
                    return
                there = socket.create_connection((found[1], int(found[2] or 80)), 30)
                kept = [
                    row for row in head if not row.lower().startswith((b"connection:", b"proxy-"))
                ]
                request = f"{method} {found[3]} HTTP/1.1\r\n".encode() + b"".join(kept)
                there.sendall(request + b"Connection: close\r\n\r\n")
        except OSError:
            line.sendall(
                b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )
            return
        with there:
            up = threading.Thread(target=self._pass, args=(line, there, False), daemon=True)
            up.start()
            self._pass(there, line, True)

    def _pass(self, source: socket.socket, to: socket.socket, count: bool) -> None:
        try:
            while self.open and (piece := source.recv(1 << 16)):
                self.fetched += len(piece) if count else 0
                to.sendall(piece)
            to.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def _sweep() -> None:
    """What runs left that were killed."""
    for folder in CACHE.glob("run-*"):
        if not Path("/proc", folder.name.split("-")[1]).exists():
            shutil.rmtree(folder, ignore_errors=True)


def _network() -> subprocess.Popen[bytes]:
    """A network of its own, held by a process that does nothing else."""
    command = [*_WITH_US, "unshare", "-n", "sleep", "infinity"]
    holder = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=_ENV)
    ours = os.readlink("/proc/self/ns/net")
    while os.readlink(f"/proc/{holder.pid}/ns/net") == ours:
        time.sleep(0.01)
    return holder


def _ip(network: subprocess.Popen[bytes], script: str) -> None:
    command = ["nsenter", "-t", str(network.pid), "-n", "sh", "-ec", script]
    subprocess.run(command, check=True, env=_ENV)


def _listening(host: str, port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(64)
    return listener


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, 9)


def _remove_cgroup(name: str) -> None:
    """The folder that the kernel keeps for the container's processes, with those it made in it."""
    script = f"{_OWN_CGROUPS}\nfind /sys/fs/cgroup/{name} -depth -type d -exec rmdir {{}} +"
    command = ["unshare", "-m", "--propagation", "private", "sh", "-c", script]
    subprocess.run(command, capture_output=True, check=False, env=_ENV)
