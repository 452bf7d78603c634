"""Tells systemd that the page answers: by asking it, over its own socket, as a browser would."""

import logging
import os
import socket
import threading

from mien.notify import sd_notify

log = logging.getLogger(__name__)

PATIENCE_S = 10.0
_QUESTION = b"GET /static/icon.svg HTTP/1.0\r\nHost: localhost\r\n\r\n"


def start(path: str) -> None:
    """Ready now, and three times in each of the watchdog's times from then on, in a thread."""
    sd_notify("READY=1")
    if interval := int(os.environ.get("WATCHDOG_USEC", "0")) / 3e6:
        arguments = (path, interval, threading.Event())
        threading.Thread(target=_watch, args=arguments, name="watchdog", daemon=True).start()


def answers(path: str) -> bool:
    """Whether the page that listens on the unix socket `path` answers."""
    try:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(PATIENCE_S)
            line.connect(path)
            line.sendall(_QUESTION)
            return b" 200 " in line.recv(64)
    except OSError as error:
        log.warning("the page does not answer itself: %s", error)
        return False


def _watch(path: str, interval: float, never: threading.Event) -> None:
    while not never.wait(interval):
        if answers(path):
            sd_notify("WATCHDOG=1")
