"""The control socket: real sockets, a scripted daemon behind them."""

import http.client
import json
import os
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from mien.control import Busy, ControlClient, ControlError, ControlServer, NoPicture
from mien.events import EXPRESSIONS, Capture, Live, MienError, Stretch
from mien.scripted import ScriptedDaemon
from samples import HEALTH


def live(frame: int, note: str | None = None) -> Live:
    return Live(
        frame=frame,
        width=640,
        height=360,
        readings=[],
        expression=None,
        reason=None,
        probabilities=dict.fromkeys(EXPRESSIONS, 0.0),
        valence=None,
        facing_share=None,
        episode=None,
        episode_s=None,
        note=note,
    )


@pytest.fixture
def daemon() -> ScriptedDaemon:
    return ScriptedDaemon(HEALTH, viewers=2)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "control.sock"


@pytest.fixture
def server(path: Path, daemon: ScriptedDaemon) -> Iterator[ControlServer]:
    server = ControlServer(path, daemon, poll_s=0.01)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def client(path: Path) -> Iterator[ControlClient]:
    client = ControlClient(path)
    yield client
    client.close()


@pytest.mark.usefixtures("server")
class TestAnswers:
    def test_status_is_the_health(self, client: ControlClient) -> None:
        assert client.status() == HEALTH

    def test_metrics_are_text(self, client: ControlClient) -> None:
        assert client.metrics() == "mien_paused 0\n"

    def test_a_picture_comes_with_what_was_read_in_it(
        self, client: ControlClient, daemon: ScriptedDaemon
    ) -> None:
        shown = live(7, note="Demo: a portrait – moved and re-lit 😀")
        daemon.show(shown, b"\xff\xd8jpeg")
        picture = client.preview(0, 1.0)
        assert picture is not None
        assert (picture.frame, picture.jpeg) == (7, b"\xff\xd8jpeg")
        assert picture.live.isascii()
        assert msgspec.json.decode(picture.live, type=Live) == shown

    def test_nothing_new_is_none(self, client: ControlClient, daemon: ScriptedDaemon) -> None:
        daemon.show(live(7), b"jpeg")
        assert client.preview(7, 0.0) is None

    def test_waits_for_the_next_frame(self, client: ControlClient, daemon: ScriptedDaemon) -> None:
        daemon.show(live(7), b"old")
        later = threading.Timer(0.05, daemon.show, (live(8), b"new"))
        later.start()
        picture = client.preview(7, 10.0)
        later.join()
        assert picture is not None
        assert picture.jpeg == b"new"

    def test_pause_and_resume(self, client: ControlClient, daemon: ScriptedDaemon) -> None:
        client.pause()
        assert client.status().paused
        with pytest.raises(NoPicture, match="camera is off"):
            client.preview(0, 1.0)
        client.resume()
        assert not daemon.health.paused

    def test_refresh_and_aim(self, client: ControlClient, daemon: ScriptedDaemon) -> None:
        client.refresh()
        client.aim(20)
        assert (daemon.refreshed, daemon.aimed_s, client.status().mandate) == (1, 20.0, "aim")
        client.aim(0)
        assert client.status().mandate is None

    def test_no_aim_while_a_session_runs(
        self, client: ControlClient, daemon: ScriptedDaemon
    ) -> None:
        daemon.health = replace(HEALTH, mandate="session", session="s-1")
        with pytest.raises(ControlError, match="stop it first"):
            client.aim(20)

    def test_a_capture(self, client: ControlClient, daemon: ScriptedDaemon) -> None:
        with pytest.raises(NoPicture, match="no face"):
            client.capture()
        daemon.face = Capture(
            frame=7,
            boot="b",
            boot_ms=1234,
            face=b"\xff\xd8jpeg",
            crop=b"\x89PNG",
            expression="fear",
            reason=None,
            probabilities=dict.fromkeys(EXPRESSIONS, 1 / 7),
            embedding=bytes(range(256)),
            maps=bytes(7 * 36),
            side=6,
            bundle="mien-fer-2",
            quality=0.9,
        )
        assert client.capture() == daemon.face

    def test_erase(self, client: ControlClient, daemon: ScriptedDaemon) -> None:
        daemon.rows = 12
        stretches = [Stretch("b", 0, 5000), Stretch("c", 7, 8)]
        assert client.erase(stretches) == 12
        assert daemon.erased == stretches

    def test_too_many_viewers(self, path: Path) -> None:
        full = ControlServer(path.with_name("full.sock"), ScriptedDaemon(HEALTH, viewers=0))
        full.start()
        client = ControlClient(path.with_name("full.sock"))
        with pytest.raises(Busy, match="close the page elsewhere"):
            client.preview(0, 1.0)
        client.close()
        full.stop()

    def test_one_connection_serves_many_requests(self, path: Path) -> None:
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(path))
        first = connection.sock
        for method, target in [("GET", "/status"), ("POST", "/pause"), ("GET", "/preview")] * 3:
            connection.request(method, target)
            connection.getresponse().read()
            assert connection.sock is first
        connection.close()


@pytest.mark.usefixtures("server")
class TestBadRequests:
    @pytest.mark.parametrize(
        ("request_line", "status"),
        [
            ("GET /nowhere HTTP/1.1", 404),
            ("POST /status HTTP/1.1", 404),
            ("GET /preview?after=x HTTP/1.1", 400),
            ("GET /preview?timeout=nan HTTP/1.1", 400),
            ("POST /aim HTTP/1.1", 400),
            ("POST /aim?seconds=-1 HTTP/1.1", 400),
            ("POST /aim?seconds=nan HTTP/1.1", 400),
            ("POST /aim?seconds=601 HTTP/1.1", 400),
            ("POST /erase HTTP/1.1", 400),
            ("POST /restore HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", 400),
            ("GET http://[ HTTP/1.1", 400),
            ('POST /erase HTTP/1.1\r\nContent-Length: 3\r\n\r\n"\xff"', 400),
            ("DELETE /status HTTP/1.1", 501),
            ("what is this", 400),
            ("GET /" + "x" * 70_000 + " HTTP/1.1", 414),
        ],
    )
    def test_get_a_sentence(self, path: Path, request_line: str, status: int) -> None:
        with socket.socket(socket.AF_UNIX) as raw:
            raw.connect(str(path))
            raw.sendall(f"{request_line}\r\n\r\n".encode("latin-1"))
            response = http.client.HTTPResponse(raw)
            response.begin()
            assert response.status == status
            assert json.loads(response.read())["error"]

    def test_a_body_nobody_asked_for_is_not_taken_for_a_request(
        self, path: Path, daemon: ScriptedDaemon
    ) -> None:
        with socket.socket(socket.AF_UNIX) as raw:
            raw.connect(str(path))
            body = b"POST /resume HTTP/1.1\r\n\r\n"
            raw.sendall(b"POST /pause HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            response = http.client.HTTPResponse(raw)
            response.begin()
            assert response.status == 204
        assert daemon.health.paused

    @pytest.mark.parametrize("length", ["1048577", "-1", "many"])
    def test_a_body_without_a_fair_length_is_refused(self, path: Path, length: str) -> None:
        with socket.socket(socket.AF_UNIX) as raw:
            raw.connect(str(path))
            raw.sendall(f"POST /erase HTTP/1.1\r\nContent-Length: {length}\r\n\r\n".encode())
            response = http.client.HTTPResponse(raw)
            response.begin()
            assert response.status == 413
            assert response.headers["Connection"] == "close"

    def test_a_failing_daemon_answers_with_its_reason(
        self, client: ControlClient, daemon: ScriptedDaemon, caplog: pytest.LogCaptureFixture
    ) -> None:
        daemon.metrics = _fail  # type: ignore[method-assign]
        with pytest.raises(ControlError, match="the counter broke"):
            client.metrics()
        assert "GET /metrics" in caplog.text
        assert client.status() == HEALTH

    def test_another_versions_answer_is_said_to_be_one(
        self, client: ControlClient, daemon: ScriptedDaemon
    ) -> None:
        daemon.status = lambda: b'{"strange": 1}'  # type: ignore[method-assign]
        with pytest.raises(ControlError, match="same version"):
            client.status()


def _fail() -> str:
    raise RuntimeError("the counter broke")


class TestTheSocketFile:
    @pytest.mark.usefixtures("server")
    def test_only_owner_and_group_may_open_it(self, path: Path) -> None:
        assert stat.S_IMODE(path.stat().st_mode) == 0o660

    def test_whatever_the_umask(self, path: Path, daemon: ScriptedDaemon) -> None:
        before = os.umask(0o077)
        server = ControlServer(path, daemon)
        try:
            server.start()
            assert stat.S_IMODE(path.stat().st_mode) == 0o660
        finally:
            os.umask(before)
            server.stop()

    def test_it_goes_when_the_server_stops(
        self, path: Path, server: ControlServer, client: ControlClient
    ) -> None:
        client.status()
        server.stop()
        assert not path.exists()
        with pytest.raises(ControlError, match=r"does not answer at .*start it with"):
            client.status()

    def test_the_client_survives_a_restart(
        self, path: Path, server: ControlServer, client: ControlClient, daemon: ScriptedDaemon
    ) -> None:
        client.status()
        server.stop()
        again = ControlServer(path, daemon)
        again.start()
        assert client.status() == HEALTH
        again.stop()

    def test_one_left_by_a_killed_daemon_is_replaced(
        self, path: Path, daemon: ScriptedDaemon, client: ControlClient
    ) -> None:
        path.parent.mkdir()
        with socket.socket(socket.AF_UNIX) as killed:
            killed.bind(str(path))
        server = ControlServer(path, daemon)
        server.start()
        assert client.status() == HEALTH
        server.stop()

    def test_one_of_a_living_daemon_is_refused(
        self, path: Path, server: ControlServer, client: ControlClient, daemon: ScriptedDaemon
    ) -> None:
        second = ControlServer(path, daemon)
        with pytest.raises(ControlError, match="another Mien daemon already listens"):
            second.start()
        second.stop()
        assert client.status() == HEALTH

    def test_a_file_in_the_way_is_not_deleted(self, path: Path, daemon: ScriptedDaemon) -> None:
        path.parent.mkdir()
        path.write_text("precious")
        with pytest.raises(ControlError, match="is no socket"):
            ControlServer(path, daemon).start()
        assert path.read_text() == "precious"

    def test_a_path_too_long_for_a_socket(self, tmp_path: Path, daemon: ScriptedDaemon) -> None:
        with pytest.raises(ControlError, match=r"too long; set another folder as state_dir"):
            ControlServer(tmp_path / ("x" * 100) / "control.sock", daemon).start()

    def test_nobody_there(self, tmp_path: Path) -> None:
        with pytest.raises(MienError, match="the Mien service does not answer"):
            ControlClient(tmp_path / "control.sock").status()

    def test_a_daemon_that_hangs_is_given_up(self, tmp_path: Path) -> None:
        with socket.socket(socket.AF_UNIX) as hung:
            hung.bind(str(tmp_path / "control.sock"))
            hung.listen()
            with pytest.raises(ControlError, match="does not answer"):
                ControlClient(tmp_path / "control.sock", timeout=0.05).status()
