"""The command line as outsiders script against it."""

import json
import socket
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from mien.__main__ import main
from mien.clock import SystemClock
from mien.commands import doctor
from mien.commands.demo import portrait
from mien.config import Box as BoxConfig
from mien.config import Camera as CameraConfig
from mien.config import Config
from mien.config import Store as StoreConfig
from mien.events import EXPRESSIONS
from mien.store import Store
from people import People

FACE_KEYS = {
    "box", "score", "track", "quality", "label", "reason", "confidence", "probabilities",
    "valence", "turn", "facing",
}  # fmt: skip


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Two seconds of the portrait, 640×480 at 15 frames a second."""
    picture = cv2.imread(str(portrait()))
    assert picture is not None
    frame = np.full((480, 640, 3), 90, np.uint8)
    small = cv2.resize(picture, (400, 470), interpolation=cv2.INTER_AREA)
    frame[5:475, 120:520] = small
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 15, (640, 480))
    for _ in range(30):
        writer.write(frame)
    writer.release()
    return path


def test_replay_of_a_video(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(clip), "--json"]) == 0
    *frames, last = lines(capsys)
    assert [frame["frame"] for frame in frames] == list(range(30))
    assert frames[15]["t"] == pytest.approx(1.0, abs=0.07)
    for frame in frames:
        (face,) = frame["faces"]
        assert set(face) == FACE_KEYS
        assert set(face["probabilities"]) == set(EXPRESSIONS)
        assert set(face["turn"]) == {"yaw", "pitch", "roll"}
        assert (face["label"] is None) == (face["reason"] is not None)
        assert face["track"] == 1
    summary = last["summary"]
    assert summary["frames"] == summary["frames_with_face"] == 30
    assert set(summary["ms_per_frame"]) == {"faces", "expression", "total"}
    for episode in summary["episodes"]:
        assert set(episode) == {"expression", "from", "to", "peak"}


def test_replay_of_a_folder_is_one_line_a_picture_in_name_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = cv2.imread(str(portrait()))
    assert picture is not None
    for name in ("b10.png", "b9.png", "a.jpg"):
        cv2.imwrite(str(tmp_path / name), picture)
    cv2.imwrite(str(tmp_path / "c.png"), np.full((200, 200, 3), 120, np.uint8))
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0broken")
    assert main(["replay", str(tmp_path), "--json"]) == 0
    *pictures, last = lines(capsys)
    assert [line["file"] for line in pictures] == ["a.jpg", "b9.png", "b10.png", "c.png"]
    assert [len(line["faces"]) for line in pictures] == [1, 1, 1, 0]
    assert all("t" not in line for line in pictures)
    assert last["summary"]["frames_with_face"] == 3
    assert last["summary"]["episodes"] == []


def test_replay_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(portrait())]) == 0
    told = capsys.readouterr().out
    assert "looks like" in told or "cannot tell" in told
    assert "1 of 1 frames with a face" in told


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("text.mp4", b"this is no video", "text.mp4"),
        ("empty.jpg", b"", "empty.jpg"),
        ("broken.png", b"\x89PNG\r\n\x1a\nbroken", "broken.png"),
    ],
)
def test_replay_of_what_is_none(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str, content: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content)
    assert main(["replay", str(tmp_path / name)]) == 1
    told = capfd.readouterr().err
    assert said in told
    assert "Traceback" not in told


def test_replay_of_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", "/nowhere.mp4"]) == 1
    assert "/nowhere.mp4" in capsys.readouterr().err


def test_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "mien.toml"
    config.write_text("[camera]\nfps = 10\n")
    assert main(["check", str(config)]) == 0
    assert "no problem" in capsys.readouterr().out
    config.write_text("[camera]\nfsp = 10\nwidth = 1\n")
    assert main(["check", str(config), "--json"]) == 78
    first, second = json.loads(capsys.readouterr().out)["problems"]
    assert (first["section"], first["key"], first["line"], first["value"]) == (
        "camera",
        "fsp",
        2,
        10,
    )
    assert "did you mean 'fps'" in first["message"]
    assert "160 to 4096" in second["message"]


def test_other_commands_refuse_a_bad_config_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "mien.toml"
    config.write_text("[camera]\nfps = 0\n")
    for command in (["run"], ["replay", "x.mp4"], ["demo"], ["events"]):
        assert main([*command, "--config", str(config)]) == 78
        assert "camera.fps" in capsys.readouterr().err


def test_a_bundle_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "mien.toml"
    config.write_text(f'[expression]\nbundle = "{tmp_path}"\n')
    assert main(["replay", str(portrait()), "--config", str(config)]) == 1
    assert "is no bundle" in capsys.readouterr().err


def test_doctor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = tmp_path / "mien.toml"
    config.write_text(
        f'[box]\nroom = "Room 2"\nstate_dir = "{tmp_path}"\n[camera]\nsource = "{portrait()}"\n'
        f'[mqtt]\nhost = "127.0.0.1"\nport = {port}\n'
    )
    assert main(["doctor", "--config", str(config), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    parts = {part["name"]: part for part in report["parts"]}
    assert set(parts) == {
        "config", "box", "camera", "faces", "expression", "accelerator", "broker", "disk", "clock",
        "firewall", "permissions", "consent", "backup",
    }  # fmt: skip
    assert parts["camera"]["status"] == "ok"
    assert parts["box"]["text"] == "Room 2 (its name is made up at the first start)"
    assert parts["expression"]["status"] == "ok"
    assert parts["broker"]["status"] == "degraded"
    assert parts["faces"]["status"] == "degraded", "this state folder has no face model"
    assert "mien models fetch" in parts["faces"]["cure"]
    assert all(part["cure"] for part in report["parts"] if part["status"] == "degraded")
    assert parts["consent"]["text"] == "not set up yet: open the page"
    assert parts["backup"]["text"] == "nothing to back up yet"


def test_doctor_says_who_is_read_and_when_the_last_backup_was(tmp_path: Path) -> None:
    store = Store.open(tmp_path, SystemClock(), StoreConfig())
    people = People(tmp_path, SystemClock())
    people.put("setting", "home")
    config = Config(box=BoxConfig(state_dir=str(tmp_path)))
    assert doctor.consent(config).text.startswith("nobody of the house consents")
    assert doctor.last_backup(config).status == "degraded", "the user is from long ago"
    people.put("backup_utc", round(SystemClock().stamp().utc * 1000))
    assert doctor.last_backup(config).text.startswith("the last one was made on 20")
    people.client("a", "home", resident=True)
    assert doctor.consent(config).text == "the home log runs with consent"
    (tmp_path / "paused").touch()
    assert doctor.consent(config).text.startswith("paused, the camera is off; else: the home log")
    people.close()
    store.close()


def test_doctor_tells_a_broken_config_and_exits_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "mien.toml"
    config.write_text("nonsense")
    assert main(["doctor", "--config", str(config)]) == 1
    assert "FAILED" in capsys.readouterr().out


def test_models(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "verify"]) == 0
    assert "blazeface" in capsys.readouterr().out
    assert main(["models", "--json"]) == 0
    models = json.loads(capsys.readouterr().out)["models"]
    assert {model["kind"] for model in models} == {"faces", "expression"}
    assert {model["status"] for model in models} == {"ok"}


@pytest.mark.parametrize("broker", ["localhost:0", "localhost:x", ":1883", "h:99999", "::1"])
def test_a_broker_that_is_no_address(broker: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["events", "--broker", broker]) == 1
    assert "--broker must be HOST" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command", ["demo", "run", "replay", "check", "doctor", "models", "events"]
)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    assert "usage: mien" in capsys.readouterr().out


@pytest.mark.parametrize("colour", [(0, 0, 0), (0, 135, 0), (255, 255, 255)])
def test_doctor_does_not_call_a_camera_well_that_shows_nothing(
    tmp_path: Path, colour: tuple[int, int, int]
) -> None:
    picture = tmp_path / "capped.png"
    cv2.imwrite(str(picture), np.full((120, 160, 3), colour, np.uint8))
    part = doctor.camera(Config(camera=CameraConfig(source=str(picture))))
    assert part.status == "degraded"
    assert part.text.startswith("the picture is ")
    assert part.cure
