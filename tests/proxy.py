"""A line between an MQTT client and its broker that can be cut, stalled and robbed of PUBACKs."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import TracebackType

PUBACK = 0x40


class Proxy:
    """`with Proxy(broker.port) as line:` carries connections to `line.port` on to the broker.

    Attributes:
        swallows: asked for every PUBACK; true makes it vanish.
        lifetimes: bytes, of both directions together, after which each next connection is cut;
            once it is used up, connections stay.
    """

    def __init__(self, target: int) -> None:
        self.swallows: Callable[[], bool] = lambda: False
        self.lifetimes: Iterator[int] = iter(())
        self.connections = 0
        self.swallowed = 0
        self._target = target
        self._flowing = threading.Event()
        self._flowing.set()
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept)]
        self.port = int(self._listener.getsockname()[1])

    def __enter__(self) -> "Proxy":
        self._threads[0].start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._flowing.set()
        self._threads[0].join()
        self.cut()
        for thread in self._threads:
            thread.join()

    def cut(self) -> None:
        """Break every connection; new ones are accepted."""
        with self._lock:
            for end in self._open:
                _break(end)

    def stall(self) -> None:
        """Connections stay, and nothing gets through any more, until `flow`."""
        self._flowing.clear()

    def flow(self) -> None:
        self._flowing.set()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                broker = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                client.close()
                continue
            self.connections += 1
            line = _Line(client, broker, next(self.lifetimes, None))
            with self._lock:
                self._open |= {client, broker}
            for pump in (self._pump_up, self._pump_down):
                self._threads.append(threading.Thread(target=self._run, args=(pump, line)))
                self._threads[-1].start()

    def _run(self, pump: Callable[["_Line"], None], line: "_Line") -> None:
        with suppress(OSError):
            pump(line)
        for end in (line.client, line.broker):
            _break(end)
        with self._lock:
            line.pumps -= 1
            if not line.pumps:
                self._open -= {line.client, line.broker}
                line.client.close()
                line.broker.close()

    def _pump_up(self, line: "_Line") -> None:
        while data := line.client.recv(4096):
            self._flowing.wait()
            line.send(line.broker, data)

    def _pump_down(self, line: "_Line") -> None:
        stream = line.broker.makefile("rb")
        while header := stream.read(2):
            # None of a broker's packets to a publisher is longer than 127 bytes.
            packet = header + stream.read(header[1])
            self._flowing.wait()
            if packet[0] == PUBACK and self.swallows():
                self.swallowed += 1
            else:
                line.send(line.client, packet)


class _Line:
    """A connection, and how many bytes it may still carry."""

    def __init__(self, client: socket.socket, broker: socket.socket, lifetime: int | None) -> None:
        self.client = client
        self.broker = broker
        self.pumps = 2
        self._left = lifetime
        self._lock = threading.Lock()

    def send(self, end: socket.socket, data: bytes) -> None:
        """Send as much as the line may carry; in the middle of a packet if need be."""
        with self._lock:
            if self._left is not None:
                data, dying = data[: self._left], len(data) >= self._left
                self._left -= len(data)
            else:
                dying = False
        end.sendall(data)
        if dying:
            raise OSError("the line is cut")


def _break(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
