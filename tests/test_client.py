"""The API's client against what is no Mien box. Against a real one: test_examples."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from mien.client import ClientError, Mien


@contextmanager
def answering(said: bytes) -> Iterator[str]:
    """A machine that answers one request so; its address."""

    def answer() -> None:
        line, _ = server.accept()
        with line:
            line.recv(65536)
            line.sendall(said)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answer)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        thread.join(10)


def http(body: bytes, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"SSH-2.0-OpenSSH_9.2p1\r\n", "does not answer as a Mien box does"),
        (http(b"1234")[:-2], "does not answer as a Mien box does"),
        (http(b"<html>"), "does not answer as a Mien box does"),
        (http(b"\xff"), "does not answer as a Mien box does"),
        (http(b"[]"), "does not answer as a Mien box does"),
        (http(b"{}"), "does not answer as a Mien box does"),
        (http(b'{"days": null}'), "does not answer as a Mien box does"),
        (http(b"[" * 100_000), "does not answer as a Mien box does"),
        (http(b"1234", "404 Not Found")[:-2], "answered 404 Not Found"),
        (http(b"[]", "500 Oh"), "answered 500 Oh"),
    ],
)
def test_what_is_no_box_is_told(said: bytes, why: str) -> None:
    with answering(said) as address, pytest.raises(ClientError, match=why):
        Mien(address, "mien_x").days()


@pytest.mark.parametrize("token", ["mien_…", "mien_secret\n", "mien_\x7f"])
def test_a_token_that_is_none_is_told_and_not_shown(token: str) -> None:
    with pytest.raises(ClientError, match="not one as the page shows") as refused:
        Mien("http://127.0.0.1:1", token)
    assert token.strip() not in str(refused.value)
