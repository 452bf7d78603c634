"""Tells systemd how a service is (sd_notify(3)), and takes the sockets that it hands over
(sd_listen_fds(3))."""

import logging
import os
import socket

log = logging.getLogger(__name__)


def sd_notify(message: str) -> None:
    """Tell systemd (sd_notify(3)); nothing outside it."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):  # an abstract socket
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
        try:
            line.sendto(message.encode(), address)
        except OSError as error:
            log.warning("systemd cannot be told %s: %s", message.split("\n")[0], error)


def beat() -> None:
    """Tell its watchdog that long work goes on."""
    sd_notify("WATCHDOG=1")


def listening() -> socket.socket | None:
    """The listening socket that systemd opened for this process, None outside of it."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or os.environ.get("LISTEN_FDS") != "1":
        return None
    return socket.socket(fileno=3)
