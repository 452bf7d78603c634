"""Files that leave the box, fetched from the real server: their names, and the audit line."""

import hashlib
import http.client
import json
import re
import socket
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlencode

import pytest
import waitress.server
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

import pages
from mien_web import door, downloads, guard
from pages import Box

CODES = ["Jörg", "Łucja", "Аня", "名前", "🙂 x", 'a"b;c', "K-17"]
DAYS = {"from": "2027-01-01", "to": "2027-12-31"}


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Box]:
    yield from pages.box(tmp_path, monkeypatch)


@contextmanager
def serving(app: Flask) -> Iterator[str]:
    """Put an app behind waitress, as on a box; yield host and port."""
    connections: dict[int, Any] = {}
    here = waitress.server.create_server(
        app, map=connections, host="127.0.0.1", port=0, threads=2, asyncore_use_poll=True
    )
    running = threading.Thread(target=here.run, daemon=True)
    running.start()
    yield f"127.0.0.1:{here.effective_port}"
    here.close()
    for each in list(connections.values()):
        each.close()
    running.join(10)
    here.task_dispatcher.shutdown()


@pytest.fixture
def server(box: Box) -> Iterator[str]:
    with serving(box.app) as address:
        yield address


class Tablet:
    """A browser that is signed in, over a socket of its own for each question."""

    def __init__(
        self, box: Box, server: str, name: str = "anna", roles: str = "therapist administrator"
    ) -> None:
        user = box.user(name, roles)
        token = f"tablet-{name}"
        box.write(
            "INSERT INTO logins (id, user, created_utc, seen_utc) VALUES (?, ?, ?, ?)",
            hashlib.sha256(token.encode()).hexdigest(), user, box.utc_ms, box.utc_ms,
        )  # fmt: skip
        self.server = server
        cookies = f"{door.COOKIE}={token}; {guard.COOKIE}=the-form-token"
        self.headers = {"Cookie": cookies, **pages.SAME}

    def get(self, path: str) -> tuple[http.client.HTTPResponse, bytes]:
        return self._ask("GET", path, None, self.headers)

    def form(self, **fields: str) -> str:
        """Return the body of a form of the page itself."""
        return urlencode({"token": "the-form-token", **fields})

    def post(self, path: str, **fields: str) -> tuple[http.client.HTTPResponse, bytes]:
        headers = {**self.headers, "Content-Type": "application/x-www-form-urlencoded"}
        return self._ask("POST", path, self.form(**fields), headers)

    def _ask(
        self, method: str, path: str, body: str | None, headers: dict[str, str]
    ) -> tuple[http.client.HTTPResponse, bytes]:
        line = http.client.HTTPConnection(self.server, timeout=20)
        try:
            line.request(method, path, body, headers)
            answer = line.getresponse()
            return answer, answer.read()
        finally:
            line.close()


def name_of(answer: http.client.HTTPResponse) -> str:
    """Return under which name a browser saves a file."""
    header = answer.headers["Content-Disposition"]
    assert header.isascii()
    assert header.startswith("attachment; filename=")
    found = re.search(r"filename\*=UTF-8''([^;]+)", header)
    if found:
        return unquote(found[1])
    plain = re.search(r'filename="([^"]*)"', header)
    assert plain
    return plain[1]


def audited(box: Box, wanted: int = 0) -> list[str]:
    """Return the lines about exports, once there are as many as wanted: they are written when the
    browser has everything already."""
    query = "SELECT action FROM audit WHERE action LIKE '%export%' ORDER BY id"
    deadline = time.monotonic() + 10
    while len(found := box.rows(query)) < wanted and time.monotonic() < deadline:
        time.sleep(0.01)
    return [action for (action,) in found]


@pytest.mark.parametrize("code", CODES)
def test_every_export_of_a_client_keeps_the_letters_of_the_code_name(
    code: str, box: Box, server: str
) -> None:
    client = box.client(code, "live", "numbers")
    box.clock.advance(300)
    box.readings(["happiness"] * 60)
    session = box.session(client, 60)
    tablet = Tablet(box, server)
    page = f"/clients/{client}/exports"
    kept = "".join(c if c.isalnum() or c in "-_" else "-" for c in code)
    wanted = {
        f"{page}/record.csv": f"mien-{kept}-record.csv",
        f"{page}/record.pdf": f"mien-{kept}-record.pdf",
        f"{page}/notes.txt": f"mien-{kept}-notes.txt",
        f"{page}/seconds.csv": f"mien-{kept}-seconds.csv",
        f"{page}/everything.zip": f"mien-{kept}-everything.zip",
        f"/sessions/{session}/exports/elan.eaf": None,
    }
    for number, (path, name) in enumerate(wanted.items(), 1):
        answer, body = tablet.post(path, **DAYS)
        assert answer.status == 200, (path, body)
        assert body
        assert name_of(answer) == name or name is None
        assert name_of(answer).startswith(f"mien-{kept}-")
        if answer.headers["Content-Length"]:
            assert int(answer.headers["Content-Length"]) == len(body)
        assert len(audited(box, number)) == number
        if path.endswith(".zip"):
            with zipfile.ZipFile(BytesIO(body)) as archive:
                assert json.loads(archive.read("client.json"))
    assert audited(box, 6) == [
        "export.record.csv", "export.record.pdf", "export.notes", "export.seconds",
        "export.everything", "export.elan",
    ]  # fmt: skip


def test_the_other_files_of_the_box_come_whole_and_are_noted(box: Box, server: str) -> None:
    tablet = Tablet(box, server)
    answer, body = tablet.post("/audit.csv")
    assert (answer.status, name_of(answer)[:11]) == (200, "mien-audit-")
    assert int(answer.headers["Content-Length"]) == len(body)
    answer, body = tablet.post("/library/export.zip")
    assert (answer.status, name_of(answer)[:13]) == (200, "mien-library-")
    assert zipfile.ZipFile(BytesIO(body)).namelist()
    assert audited(box, 2) == ["audit.exported", "library.exported"]


def test_a_browser_that_breaks_off_leaves_no_line_that_it_was_exported() -> None:
    left, ended = threading.Event(), threading.Event()

    def large() -> Iterator[bytes]:
        """Yield more than all buffers on the way hold."""
        try:
            for _ in range(2000):
                yield b"x" * 100_000
        finally:
            ended.set()

    app = Flask(__name__)
    app.add_url_rule(
        "/", view_func=lambda: downloads.send(large(), "text/csv", "large.csv", left.set)
    )
    with serving(app) as server:
        host, _, port = server.rpartition(":")
        with socket.create_connection((host, int(port)), 20) as line:
            line.sendall(f"GET / HTTP/1.1\r\nHost: {server}\r\n\r\n".encode())
            assert line.recv(1000).startswith(b"HTTP/1.1 200")
        assert ended.wait(20)
        assert not left.is_set()
        whole = http.client.HTTPConnection(server, timeout=20)
        whole.request("GET", "/")
        assert len(whole.getresponse().read()) == 200_000_000
        whole.close()
        assert left.wait(20)


@given(st.text(min_size=1, max_size=60))
def test_the_header_of_any_name_is_ascii_and_gives_the_name_back(name: str) -> None:
    header = downloads.disposition(downloads.stem(name))
    assert header.isascii()
    assert header.isprintable()
    stem = downloads.stem(name)
    found = re.search(r"filename\*=UTF-8''(\S+)$", header)
    assert (unquote(found[1]) if found else re.findall(r'"([^"]*)"', header)[0]) == stem


def test_what_is_noted_is_noted_in_the_name_of_who_asked(box: Box) -> None:
    told: list[Any] = []

    def left() -> None:
        told.append("left")

    with box.app.test_request_context():
        answer = downloads.send(b"abc", "text/plain", "a.txt", left)
        assert told == []
        assert b"".join(answer.iter_encoded()) == b"abc"
    assert told == ["left"]
