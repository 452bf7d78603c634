"""The examples load, name only what there is, and those in Python do what they say."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
import yaml
from werkzeug.serving import make_server

import pages
from home_assistant import VENV
from mien import discovery, orders, service, tokens
from mien.client import ClientError, Mien
from mien.topics import Topics
from mien.users import User
from mien_web.api_v1_gate import OFFERS
from pages import Box

EXAMPLES = Path(__file__).parent.parent / "examples"
TOPICS = Topics("mien-k3x9pd", "homeassistant", "mien-k3x9pd")
METRIC = re.compile(r"\b(?:mien|process)_[a-z_]+\b")


# ── Home Assistant ───────────────────────────────────────────────────────────────────────────────


class _Loader(yaml.SafeLoader):
    """YAML with Home Assistant's `!input`."""


class _Input(str):
    pass


def _input(loader: yaml.Loader, node: yaml.ScalarNode) -> _Input:
    return _Input(loader.construct_scalar(node))


_Loader.add_constructor("!input", _input)
BLUEPRINTS = sorted((EXAMPLES / "home-assistant").glob("*.yaml"))


def every(value: Any) -> Iterator[Any]:
    yield value
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for one in inner:
        yield from every(one)


@pytest.mark.parametrize("path", BLUEPRINTS, ids=lambda path: path.stem)
def test_a_blueprint_has_the_form_of_one(path: Path) -> None:
    said = yaml.load(path.read_text(), _Loader)
    head = said["blueprint"]
    assert set(head) <= {"name", "description", "domain", "author", "homeassistant", "input"}
    assert head["domain"] == "automation"
    assert all(set(one) <= {"name", "description", "default", "selector"}
               and len(one["selector"]) == 1 for one in head["input"].values())  # fmt: skip
    used = {str(one) for one in every(said) if isinstance(one, _Input)}
    assert used == set(head["input"])
    assert set(said) <= {
        "blueprint", "mode", "max_exceeded", "triggers", "conditions", "actions", "variables",
    }  # fmt: skip
    assert said["triggers"]
    assert said["actions"]


FILLED = {
    "lamp_follows_valence": {"valence": "sensor.v", "lamp": "light.l"},
    "no_log_today": {"mood": "sensor.m", "phone": "abc", "snooze": ["button.s"]},
}


@pytest.mark.slow
@pytest.mark.skipif(
    not (VENV / ".installed").exists(), reason="Home Assistant is not here: make home-assistant"
)
@pytest.mark.parametrize("path", BLUEPRINTS, ids=lambda path: path.stem)
def test_home_assistant_makes_an_automation_of_a_blueprint(path: Path) -> None:
    judge = Path(__file__).parent / "home_assistant_blueprints.py"
    done = subprocess.run(
        [VENV / "bin" / "python", judge, path, json.dumps(FILLED[path.stem])],
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "valid", done.stderr


def test_the_blueprints_speak_of_entities_that_home_assistant_finds() -> None:
    found = json.loads(discovery.payload(TOPICS, "1.0"))
    names = {one.get("name") for one in found["cmps" if "cmps" in found else "components"].values()}
    text = "".join(path.read_text() for path in BLUEPRINTS)
    for named in re.findall(r'(?:sensor|button) "([^"]+)" of your box', text):
        assert named in names
    assert len(re.findall(r'" of your box', text)) == 3


# ── Node-RED ─────────────────────────────────────────────────────────────────────────────────────


def test_the_flow_is_wired_and_its_topics_exist() -> None:
    nodes = json.loads((EXAMPLES / "node-red" / "flow.json").read_text())
    known = {node["id"]: node for node in nodes}
    assert len(known) == len(nodes)
    reached = set()
    for node in nodes:
        for wires in node.get("wires", []):
            reached.update(wires)
        assert len(node.get("wires", [])) in (0, node.get("outputs", 1))
        if "broker" in node and node["type"] != "mqtt-broker":
            assert known[node["broker"]]["type"] == "mqtt-broker"
    assert reached <= set(known)
    passive = {"tab", "mqtt-broker", "comment"}
    begin = {"mqtt in", "inject"}
    for node in nodes:
        assert node["type"] in passive | begin or node["id"] in reached, node["id"]
    heard = {TOPICS.state, *map(TOPICS.response, orders.SCOPES)}
    given = {TOPICS.command(name) for name in orders.SCOPES}
    assert {node["topic"] for node in nodes if node["type"] == "mqtt in"} <= heard
    assert {node["topic"] for node in nodes if node["type"] == "mqtt out"} <= given
    assert not any(node.get("retain") == "true" for node in nodes)


# ── Grafana and Prometheus ───────────────────────────────────────────────────────────────────────


def metrics() -> set[str]:
    """What `Service.metrics` tells, from its own source: it runs only beside a camera."""
    text = Path(service.__file__).read_text()
    return set(METRIC.findall(text[text.index("def metrics") :]))


def test_every_query_of_the_dashboard_asks_for_a_metric_that_there_is() -> None:
    board = json.loads((EXAMPLES / "grafana" / "dashboard.json").read_text())
    asked = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    asked += [one["definition"] for one in board["templating"]["list"] if "definition" in one]
    assert len(asked) > 10
    used = set()
    for expression in asked:
        names = set(METRIC.findall(expression))
        assert len(names) == 1, expression
        used |= names
    assert used == metrics()  # all of them are on the board, and no other
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    assert all(p["gridPos"]["x"] + p["gridPos"]["w"] <= 24 for p in board["panels"])


def test_prometheus_scrapes_what_is_served() -> None:
    (job,) = yaml.safe_load((EXAMPLES / "prometheus" / "prometheus.yml").read_text())[
        "scrape_configs"
    ]
    (offer,) = [one for one in OFFERS if f"/api/v1{one.path}" == job["metrics_path"]]
    assert (offer.method, offer.scope) == ("GET", "status")


# ── Python, at a served page ─────────────────────────────────────────────────────────────────────


class Served:
    """A home whose page is served on a port."""

    def __init__(self, box: Box) -> None:
        self.box = box
        box.set("home")
        box.client("me", "home", "live")
        box.write("UPDATE users SET roles = 'home'")
        box.write("UPDATE clients SET resident = 1")
        box.write("UPDATE consents SET given_utc = 1")
        for _ in range(12):
            box.clock.advance(60)
            box.readings(["happiness"] * 60)
        anna = User(1, "anna", frozenset({"home"}), None, None)
        self.token = box.db.write(
            lambda db: tokens.make(db, anna, "test", tokens.SCOPES, box.utc_ms)
        )
        self.server = make_server("127.0.0.1", 0, box.app, threaded=True)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    def run(self, name: str, *arguments: str, token: str | None = None) -> tuple[int, str, str]:
        done = subprocess.run(
            [sys.executable, EXAMPLES / "python" / name, *arguments, "--box", self.address],
            capture_output=True,
            text=True,
            env={**os.environ, "MIEN_TOKEN": self.token if token is None else token},
        )
        return done.returncode, done.stdout, done.stderr

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join(10)
        self.server.server_close()


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setenv("TZ", "UTC")
    made = pages.box(tmp_path, monkeypatch)
    served = Served(next(made))
    yield served
    served.close()
    for _ in made:
        pass


def test_the_client_asks_everything(served: Served) -> None:
    box = Mien(served.address + "/", served.token, person="me")
    assert box.status()["status"] == "ok"
    assert "mien_paused" in box.metrics()
    (day,) = box.days()
    when = datetime.fromisoformat(day["date"]).date()
    assert box.days(when, when) == [day]
    assert sum(hour["read_s"] for hour in box.hours(when)) == day["read_s"]
    kept = box.check_in(4, emotions=["joy"], activities=["walk"], note="sun")
    assert box.check_in(1, id=kept["id"]) == kept
    assert box.checkins(when, when) == [kept]
    assert box.activities() == [{"text": "walk", "used": 1}]
    assert box.patterns()["overall"]["n"] == 1
    box.delete_checkin(kept["id"])
    assert box.checkins() == []
    begun = box.start("me")
    assert box.tag(begun["id"], "Work")["how"] == "on"
    assert not box.stop(begun["id"])["running"]
    assert [one["id"] for one in box.sessions()] == [begun["id"]]
    box.pause()
    assert box.status()["paused"]
    box.resume()
    assert not box.status()["paused"]


def test_what_goes_wrong_is_a_sentence(served: Served) -> None:
    box = Mien(served.address, served.token)
    with pytest.raises(ClientError, match="1 to 5") as refused:
        box.check_in(9)
    assert refused.value.status == 422
    with pytest.raises(ClientError, match="no such check-in"):
        box.delete_checkin("gone")
    with pytest.raises(ClientError, match="not known"):
        Mien(served.address, "mien_x").status()
    with pytest.raises(ClientError, match="cannot be asked"):
        Mien("http://127.0.0.1:9", "x").status()
    with pytest.raises(ClientError, match="must begin with http"):
        Mien("file:///etc/passwd", "x")


def test_a_month_as_a_table(served: Served) -> None:
    month = datetime.fromtimestamp(served.box.clock.stamp().utc, UTC).strftime("%Y-%m")
    Mien(served.address, served.token).check_in(4)
    code, table, errors = served.run("month.py", month)
    assert (code, errors) == (0, "")
    head, day = table.splitlines()
    assert head.split()[0] == "day"
    assert day.split()[1:] == ["happiness", "+0.00", "12", "min", "4.0"]
    assert served.run("month.py", month, token="")[0] == 1
    assert served.run("month.py", "soon")[0] == 2


def test_a_check_in_from_a_button(served: Served) -> None:
    # The box of this test lives in another time than the button, which tells its own.
    served.box.clock.advance(max(0, datetime.now().timestamp() - served.box.clock.stamp().utc))
    code, said, errors = served.run("button.py", "2", "--activity", "rain")
    assert (code, errors) == (0, "")
    assert said.startswith("kept: mood 2")
    assert served.run("button.py", "2", token="mien_x")[2].startswith("This token is not known")


def test_a_press_that_reaches_nobody_at_first_is_kept_once() -> None:
    spec = spec_from_file_location("button", EXAMPLES / "python" / "button.py")
    assert spec is not None
    assert spec.loader is not None
    button = module_from_spec(spec)
    spec.loader.exec_module(button)

    class Away:
        ids: list[str] = []  # noqa: RUF012

        def check_in(self, mood: int, **said: Any) -> dict[str, Any]:
            self.ids.append(said["id"])
            if len(self.ids) < 3:
                raise ClientError("the box cannot be asked")
            return {"mood": mood}

    waits: list[float] = []
    assert button.press(Away(), 3, wait=waits.append) == {"mood": 3}
    assert len(set(Away.ids)) == 1
    assert len(waits) == 2


def test_every_example_is_in_the_list() -> None:
    told = (EXAMPLES / "README.md").read_text()
    for path in EXAMPLES.rglob("*.*"):
        if path.name != "README.md" and "__pycache__" not in path.parts:
            assert str(path.relative_to(EXAMPLES)) in told
