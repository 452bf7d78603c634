"""The page, through Flask's test client, over a real control socket to a scripted daemon."""

import itertools
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import msgspec
import numpy as np
import pytest
from flask.testing import FlaskClient
from numpy.typing import NDArray
from werkzeug.test import TestResponse

import mien_web
import pages
from mien.clock import ManualClock
from mien.config import Box, Config, Page
from mien.control import ControlServer
from mien.events import EXPRESSIONS, Live, Part, Reason
from mien.scripted import ScriptedDaemon
from mien.store import Store
from mien_web import live, words
from mien_web.__main__ import main
from samples import HAPPY, HEALTH

STATIC = Path(mien_web.__file__).parent / "static"
VIEWER = "0123456789abcdef"
SAME = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def daemon() -> ScriptedDaemon:
    return ScriptedDaemon(HEALTH)


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """Of a box in the demo, which asks for no log-in."""
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    config = Config(box=Box(state_dir=str(tmp_path)), page=Page(viewers=2, hosts=["Box.local"]))
    store = Store.open(tmp_path, ManualClock(), config.store)
    store.set_up("demo")
    store.close()
    return config


@pytest.fixture
def server(tmp_path: Path, daemon: ScriptedDaemon) -> Iterator[ControlServer]:
    server = ControlServer(tmp_path / "control.sock", daemon, poll_s=0.01)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def browser(config: Config, clock: ManualClock) -> Iterator[FlaskClient]:
    app = pages.page(config, clock)
    yield app.test_client()
    app.extensions["mien.control"].close()
    if opened := app.extensions.get("mien.store"):
        opened.close()


def text(response: TestResponse) -> str:
    """What a person reads: no tags, single spaces."""
    body = re.sub(r"<svg.*?</svg>|<head>.*?</head>|<[^>]+>", " ", response.text, flags=re.DOTALL)
    return " ".join(unescape(body).split())


def state(response: TestResponse) -> dict[str, str]:
    return msgspec.json.decode(response.data, type=dict[str, str])


def ask(browser: FlaskClient, viewer: str = VIEWER, after: int = 0) -> TestResponse:
    return browser.get(f"/live/picture?after={after}&viewer={viewer}")


@pytest.mark.usefixtures("server")
class TestFirstView:
    def test_an_expression(self, browser: FlaskClient, daemon: ScriptedDaemon) -> None:
        daemon.show(HAPPY, b"jpeg")
        said = text(browser.get("/"))
        assert "Expression looks like happiness, 62 %" in said
        assert "Episode Happiness 1 min 12 s" in said
        assert "Facing the camera 84 % of the last minute" in said
        assert "People seen 1" in said
        assert "neutral 16 %" in said
        assert "Demo: a portrait – moved <and> re-lit" in said
        assert "Everything works" in said

    @pytest.mark.parametrize("reason", words.ADVICE)
    def test_cannot_tell_and_what_to_do(
        self, browser: FlaskClient, daemon: ScriptedDaemon, reason: Reason
    ) -> None:
        daemon.show(msgspec.structs.replace(HAPPY, expression=None, reason=reason), b"jpeg")
        said = text(browser.get("/"))
        assert f"Cannot tell: {reason} {words.ADVICE[reason]}" in said

    def test_nobody(self, browser: FlaskClient, daemon: ScriptedDaemon) -> None:
        nobody = msgspec.structs.replace(
            HAPPY, readings=[], expression=None, probabilities=dict.fromkeys(EXPRESSIONS, 0.0)
        )
        daemon.show(nobody, b"jpeg")
        said = text(browser.get("/"))
        assert "No one in the seat" in said
        assert "neutral –" in said

    def test_no_frame_yet(self, browser: FlaskClient) -> None:
        assert "The first picture is on its way" in text(browser.get("/"))

    def test_paused(self, browser: FlaskClient, daemon: ScriptedDaemon) -> None:
        daemon.set_paused(True)
        said = text(browser.get("/"))
        assert "Paused – the camera is off" in said
        assert "Resume" in said

    def test_no_camera(self, browser: FlaskClient, daemon: ScriptedDaemon) -> None:
        daemon.no_camera = "no camera was found; plug one in, then `mien doctor`"
        said = text(browser.get("/"))
        assert "No camera was found; plug one in, then “mien doctor”." in said

    def test_what_is_not_well_comes_with_its_cure(
        self, browser: FlaskClient, daemon: ScriptedDaemon
    ) -> None:
        broker = Part("broker", "failed", "It refuses the connection.", "Start it.")
        clock = Part("clock", "degraded", "It is not set.")
        daemon.health = msgspec.structs.replace(
            HEALTH, status="failed", parts=[*HEALTH.parts, clock, broker]
        )
        page = browser.get("/")
        assert (
            "2 things need attention broker failed It refuses the connection. Start it. "
            "clock degraded It is not set. camera ok" in text(page)
        )
        assert re.search(r"<details [^>]* open>", page.text)
        assert 'data-status="failed"' in browser.get("/live/health").text


def test_no_service(browser: FlaskClient) -> None:
    said = text(browser.get("/"))
    assert "The service does not answer; trying again" in said
    assert "1 thing needs attention service failed The Mien service does not answer at" in said
    assert "start it with “mien run”" in said
    assert state(ask(browser)) == {"state": "lost", "sentence": words.STATES["lost"].advice}


@pytest.mark.usefixtures("server")
class TestPicture:
    def test_with_its_reading(self, browser: FlaskClient, daemon: ScriptedDaemon) -> None:
        daemon.show(HAPPY, b"\xff\xd8jpeg")
        response = ask(browser)
        assert (response.status_code, response.data) == (200, b"\xff\xd8jpeg")
        assert response.mimetype == "image/jpeg"
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["Mien-Frame"] == "1"
        assert msgspec.json.decode(response.headers["Mien-Live"], type=Live) == HAPPY

    def test_paused(self, browser: FlaskClient, daemon: ScriptedDaemon) -> None:
        daemon.set_paused(True)
        assert state(ask(browser)) == {"state": "paused", "sentence": words.STATES["paused"].advice}

    def test_no_camera(self, browser: FlaskClient, daemon: ScriptedDaemon) -> None:
        daemon.health = msgspec.structs.replace(HEALTH, mandate="session")
        daemon.no_camera = "no camera was found"
        assert state(ask(browser)) == {"state": "no-picture", "sentence": "No camera was found."}

    def test_a_camera_that_is_shut_is_no_fault(
        self, browser: FlaskClient, daemon: ScriptedDaemon
    ) -> None:
        daemon.no_camera = "no session is running, so the camera is off"
        said = "No session is running, so the camera is off."
        assert state(ask(browser)) == {"state": "closed", "sentence": said}
        shown = browser.get("/").text
        assert "The camera is closed" in shown
        assert "No picture" not in shown.split("data-words")[0] + shown.split("headline")[1]

    def test_a_camera_that_stands_still(
        self, browser: FlaskClient, daemon: ScriptedDaemon, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(live, "WAIT", 0.01)
        daemon.show(HAPPY, b"jpeg")
        answer = state(ask(browser, after=1))
        assert answer["state"] == "no-picture"
        assert "nothing new" in answer["sentence"]

    def test_the_cap_lets_who_watches_watch(
        self, browser: FlaskClient, daemon: ScriptedDaemon, clock: ManualClock
    ) -> None:
        daemon.show(HAPPY, b"jpeg")
        for viewer in ("a" * 16, "b" * 16):
            assert ask(browser, viewer).mimetype == "image/jpeg"
        assert state(ask(browser, "c" * 16))["state"] == "busy"
        clock.advance(live.GRACE - 1)
        assert ask(browser, "a" * 16).mimetype == "image/jpeg"
        clock.advance(live.GRACE - 1)  # b has gone away
        assert ask(browser, "c" * 16).mimetype == "image/jpeg"
        assert state(ask(browser, "b" * 16))["state"] == "busy"

    @pytest.mark.parametrize("viewer", ["", "x" * 16, "a" * 17])
    def test_a_viewer_without_a_name(self, browser: FlaskClient, viewer: str) -> None:
        assert ask(browser, viewer).status_code == 400


@pytest.mark.usefixtures("server")
class TestPause:
    def token(self, browser: FlaskClient) -> str:
        found = re.search(r'name="token" value="([^"]+)"', browser.get("/").text)
        assert found
        return found[1]

    def test_and_resume(self, browser: FlaskClient, daemon: ScriptedDaemon) -> None:
        form = {"token": self.token(browser)}
        response = browser.post("/live/pause", data=form, headers=SAME)
        assert (response.status_code, response.location) == (303, "/")
        assert daemon.health.paused
        browser.post("/live/resume", data=form, headers=SAME)
        assert not daemon.health.paused

    def test_an_old_browser_proves_itself_by_origin(
        self, browser: FlaskClient, daemon: ScriptedDaemon
    ) -> None:
        form = {"token": self.token(browser)}
        browser.post("/live/pause", data=form, headers={"Origin": "http://localhost"})
        assert daemon.health.paused

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},  # another port of this device
            {"Sec-Fetch-Site": "none"},
            {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"},
            {"Origin": "http://evil.example"},
            {"Origin": "http://localhost:9999"},
            {"Origin": "null"},
        ],
    )
    def test_from_elsewhere_is_refused(
        self, browser: FlaskClient, daemon: ScriptedDaemon, headers: dict[str, str]
    ) -> None:
        form = {"token": self.token(browser)}
        assert browser.post("/live/pause", data=form, headers=headers).status_code == 403
        assert not daemon.health.paused

    @pytest.mark.parametrize("token", ["", "wrong", "ümlaut"])
    def test_without_the_token_is_refused(
        self, browser: FlaskClient, daemon: ScriptedDaemon, token: str
    ) -> None:
        self.token(browser)
        response = browser.post("/live/pause", data={"token": token}, headers=SAME)
        assert response.status_code == 403
        assert "Load the page again" in response.text
        assert not daemon.health.paused

    def test_without_a_cookie_is_refused(self, browser: FlaskClient) -> None:
        response = browser.post("/live/pause", data={"token": ""}, headers=SAME)
        assert response.status_code == 403

    def test_when_the_service_has_gone(self, browser: FlaskClient, server: ControlServer) -> None:
        form = {"token": self.token(browser)}
        server.stop()
        response = browser.post("/live/pause", data=form, headers=SAME)
        assert response.status_code == 502
        assert "does not answer" in response.text

    def test_is_no_link(self, browser: FlaskClient) -> None:
        assert browser.get("/live/pause").status_code == 405


class TestGuard:
    @pytest.mark.parametrize(
        "host",
        [
            "localhost",
            "localhost:9000",
            "127.0.0.1:8080",
            "[::1]:8080",
            "LOCALHOST",
            "box.local:80",
            "10.0.0.1",
            "[fd00::1]:443",
            "mien.local",
            f"{socket.gethostname().lower()}.local",
        ],
    )
    def test_names_of_this_device(self, browser: FlaskClient, host: str) -> None:
        assert browser.get("/about", headers={"Host": host}).status_code == 200

    @pytest.mark.parametrize(
        "host",
        ["evil.example", "evil.example:8080", "localhost.evil.example", "10.0.0.1.evil", "[", ""],
    )
    def test_other_names_are_refused(self, browser: FlaskClient, host: str) -> None:
        for path in ("/", "/about", "/static/mien.css"):
            assert browser.get(path, headers={"Host": host}).status_code == 403

    @pytest.mark.parametrize("path", ["/", "/about", "/static/live.js", "/nowhere"])
    def test_every_answer_is_hardened(self, browser: FlaskClient, path: str) -> None:
        with browser.get(path) as response:  # closes the file that a static answer reads
            headers = response.headers
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"

    def test_the_policy_is_kept(self, browser: FlaskClient) -> None:
        for path in ("/", "/about", "/live/health"):
            page = browser.get(path).text
            assert not re.search(r"\sstyle=|\son[a-z]+=|<style|https?://", page)
            assert all("src=" in tag for tag in re.findall("<script[^>]*>", page))

    def test_another_site_may_link_but_not_embed(self, browser: FlaskClient) -> None:
        other = {"Sec-Fetch-Site": "cross-site"}
        picture = {**other, "Sec-Fetch-Mode": "no-cors"}
        link = {**other, "Sec-Fetch-Mode": "navigate"}
        url = f"/live/picture?viewer={VIEWER}"
        assert browser.get(url, headers=picture).status_code == 403
        assert browser.get("/", headers=link).status_code == 200

    def test_the_cookie_stays_at_home(self, browser: FlaskClient) -> None:
        cookie = browser.get("/").headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert "Set-Cookie" not in browser.get("/").headers

    def test_a_page_that_is_not_there(self, browser: FlaskClient) -> None:
        response = browser.get("/nowhere")
        assert response.status_code == 404
        assert "Back to the live view" in response.text
        before = {"Referer": "http://localhost/about"}
        back = '<a class="button" href="/about">Back</a>'
        assert back in browser.get("/nowhere", headers=before).text
        assert back not in browser.get("/nowhere", headers={"Referer": "http://b.test/about"}).text


class TestWords:
    def test_about_tells_what_is_kept(self, browser: FlaskClient) -> None:
        said = text(browser.get("/about"))
        assert "A face is not a feeling" in said
        assert "for 14 days; those of a session for as long as its client agrees" in said
        assert "message broker at localhost" in said

    def test_nothing_is_claimed(self, browser: FlaskClient) -> None:
        state_words = re.compile(
            r"\b(is|are|seems) (angry|afraid|happy|sad|surprised|lying|depressed)\b|\bfeels\b",
            re.IGNORECASE,
        )
        for page in ("/", "/about"):
            assert not state_words.search(text(browser.get(page)))
        assert not state_words.search(msgspec.json.encode(words.for_the_browser()).decode())

    @pytest.mark.parametrize(
        ("length", "said"), [(0.9, "0 s"), (59.9, "59 s"), (60, "1 min 00 s"), (725, "12 min 05 s")]
    )
    def test_lengths(self, length: float, said: str) -> None:
        assert words.seconds(length) == said


@pytest.mark.usefixtures("server")
def test_the_page_weighs_little(browser: FlaskClient, daemon: ScriptedDaemon) -> None:
    daemon.show(HAPPY, b"jpeg")
    first = browser.get("/").text
    files = re.findall(r"/static/([\w.-]+)", first)
    # What its scripts import, and not the icons, which a browser fetches for a home screen only.
    files += re.findall(r'"\./(\w+\.js)"', (STATIC / "live.js").read_text())
    weighed = [STATIC / name for name in files if not name.endswith(".png")]
    weight = len(first.encode()) + sum(file.stat().st_size for file in weighed)
    assert {"mien.css", "live.js", "stage.js", "door.js"} <= {file.name for file in weighed}
    assert weight < 70_000  # the promise is 200 kB


# What a colour looks like to other eyes, in linear RGB: Machado, Oliveira & Fernandes 2009.
EYES = {
    "normal": np.eye(3),
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritan": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def oklab(colour: str, eyes: str) -> NDArray[np.float64]:
    """https://bottosson.github.io/posts/oklab/"""
    srgb = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(EYES[eyes] @ linear, 0, 1)
    cones = np.array(
        [
            [0.4122214708, 0.5363325363, 0.0514459929],
            [0.2119034982, 0.6806995451, 0.1073969566],
            [0.0883024619, 0.2817188376, 0.6299787005],
        ]
    )
    opponents = np.array(
        [
            [0.2104542553, 0.7936177850, -0.0040720468],
            [1.9779984951, -2.4285922050, 0.4505937099],
            [0.0259040371, 0.7827717662, -0.8086757660],
        ]
    )
    result: NDArray[np.float64] = opponents @ np.cbrt(cones @ seen)
    return result


def in_schemes(name: str, sheet: str = "mien.css") -> list[str]:
    """A colour in light, in dark, in dark by choice, and at night."""
    return re.findall(rf"--{name}: (#[0-9a-f]{{6}});", (STATIC / sheet).read_text())


def contrast(one: str, other: str) -> float:
    """https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio"""

    def luminance(colour: str) -> float:
        srgb = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
        linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
        return float(np.array([0.2126, 0.7152, 0.0722]) @ linear)

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("text", ["ink", "soft", "accent", "warn", "bad"])
def test_text_can_be_read_in_every_scheme(text: str) -> None:
    for ground in ("paper", "card"):
        for fore, back in zip(in_schemes(text), in_schemes(ground), strict=True):
            assert contrast(fore, back) >= 4.5


def test_the_dark_of_the_device_is_the_dark_one_chooses() -> None:
    style = (STATIC / "mien.css").read_text()
    names = set(re.findall(r"--([\w-]+): #", style)) - {"fill", "on-fill"}
    for name in names:
        _, device, chosen, _ = in_schemes(name)
        assert device == chosen


@pytest.mark.parametrize("eyes", EYES)
@pytest.mark.parametrize("scheme", [0, 1, 2, 3], ids=["light", "dark", "dark chosen", "night"])
def test_the_seven_colours_differ_for_all_eyes(scheme: int, eyes: str) -> None:
    colours = [in_schemes(expression)[scheme] for expression in EXPRESSIONS]
    seen = [oklab(colour, eyes) for colour in colours]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) >= 0.09


@pytest.mark.parametrize("eyes", EYES)
@pytest.mark.parametrize(("name", "steps"), [("mood", 5), ("amount", 4)])
def test_the_steps_of_a_year_in_pixels_differ_for_all_eyes(
    name: str, steps: int, eyes: str
) -> None:
    drawn = [in_schemes(f"{name}-{step}", "log.css") for step in range(1, steps + 1)]
    for ground, *colours in zip(in_schemes("card"), *drawn, strict=True):
        seen = [oklab(colour, eyes) for colour in colours]
        assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) >= 0.09
        assert min(np.linalg.norm(one - oklab(ground, eyes)) for one in seen) >= 0.07


@pytest.mark.parametrize("mood", range(1, 6))
def test_the_number_on_a_mood_can_be_read(mood: int) -> None:
    fore, back = (in_schemes(f"mood-{mood}{part}", "log.css") for part in ("-ink", ""))
    assert len(fore) == 4
    for ink, ground in zip(fore, back, strict=True):
        assert contrast(ink, ground) >= 4.5


class TestTheProcess:
    def run(self, *options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "mien_web", *options]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    @pytest.mark.usefixtures("server")
    def test_says_where_it_is_stays_small_and_leaves_cleanly(self, tmp_path: Path) -> None:
        (tmp_path / "mien.toml").write_text(f'[box]\nstate_dir = "{tmp_path}"\n')
        environment = {k: v for k, v in os.environ.items() if k != "RUNTIME_DIRECTORY"}
        with subprocess.Popen(
            [sys.executable, "-m", "mien_web", "--config", str(tmp_path / "mien.toml"), "--port=0"],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        ) as page:
            assert page.stdout
            said = page.stdout.readline()
            assert re.match(r"Mien's page: http://127\.0\.0\.1:\d+/", said)
            status = Path(f"/proc/{page.pid}/status").read_text()
            kilobytes = re.search(r"VmRSS:\s+(\d+)", status)
            assert kilobytes
            assert int(kilobytes[1]) < 70_000
            page.send_signal(signal.SIGTERM)
            assert page.wait(30) == 0

    def test_a_config_with_mistakes(self, tmp_path: Path) -> None:
        (tmp_path / "mien.toml").write_text("[page]\nviewers = 99\n")
        done = self.run("--config", str(tmp_path / "mien.toml"))
        assert done.returncode == 78
        assert "page.viewers: must be a whole number from 1 to 32, not 99" in done.stderr

    @pytest.mark.parametrize("port", ["70000", "-1", "http"])
    def test_a_port_that_is_none(
        self, port: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(sys, "argv", ["mien_web", f"--port={port}"])
        with pytest.raises(SystemExit, match="2"):
            main()
        assert "must be a whole number from 0 to 65535" in capsys.readouterr().err

    def test_a_port_that_is_taken(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            wanted = str(other.getsockname()[1])
            done = self.run("--port", wanted)
        assert done.returncode == 1
        assert done.stderr.startswith(f"the page cannot listen on 127.0.0.1:{wanted}: ")
        assert done.stderr.count("\n") == 1

    def test_needs_no_numpy_and_no_opencv(self) -> None:
        code = "import sys, mien_web.__main__; print(*sys.modules)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert not {"numpy", "cv2", "paho", "fpdf", "pympi", "PIL"} & set(done.stdout.split())
