"""`mien export-config` and `import-config`: two boxes set alike."""

import json
from pathlib import Path
from typing import Any

import pytest

from mien import audit, database, settings
from mien.__main__ import main
from mien.clock import ManualClock, SystemClock
from mien.config import Store as StoreConfig
from mien.config import load
from mien.store import Store

TOML = """# how it is
[box]
id = "{name}"
state_dir = "{folder}"

[camera]
fps = 10.0  # enough
"""


class Box:
    def __init__(self, folder: Path, name: str, **chosen: Any) -> None:
        folder.mkdir()
        Store.open(folder, ManualClock(), StoreConfig()).close()
        self.config = folder / "mien.toml"
        self.config.write_text(TOML.format(name=name, folder=folder))
        self.db = database.open_for_people(folder, SystemClock())
        for key, value in chosen.items():
            self.db.write(lambda db, key=key, value=value: settings.put(db, key, value))

    def get(self, key: str) -> Any:
        return self.db.read(lambda db: settings.get(db, key, Any))

    def run(self, command: str, file: Path) -> int:
        return main([command, str(file), "--config", str(self.config)])


@pytest.fixture
def boxes(tmp_path: Path) -> tuple[Box, Box]:
    first = Box(tmp_path / "1", "room-1", setting="clinic", idle_minutes=5, **{"person:1": "x"})
    second = Box(tmp_path / "2", "room-2", idle_minutes=30)
    second.config.write_text(TOML.format(name="room-2", folder=tmp_path / "2").replace("10", "5"))
    return first, second


def test_the_second_is_set_as_the_first_and_stays_itself(
    boxes: tuple[Box, Box], tmp_path: Path
) -> None:
    first, second = boxes
    assert first.run("export-config", tmp_path / "like.json") == 0
    assert second.run("import-config", tmp_path / "like.json") == 0
    taken = load(second.config)
    assert (taken.camera.fps, taken.box.id) == (10.0, "room-2")
    assert "# enough" in second.config.read_text()
    assert (second.get("setting"), second.get("idle_minutes")) == ("clinic", 5)
    assert second.get("person:1") is None
    assert load(second.config.with_name("mien.toml.before")).camera.fps == 5.0
    assert second.db.read(lambda db: audit.entries(db, limit=1))[0].action == "box.config"


def test_no_secret_is_in_it(boxes: tuple[Box, Box], tmp_path: Path) -> None:
    boxes[0].run("export-config", tmp_path / "like.json")
    text = (tmp_path / "like.json").read_text()
    assert (tmp_path / "1" / "store.key").read_text().strip() not in text
    assert set(json.loads(text)["settings"]) == {"setting", "idle_minutes"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("no json", "was not made by"),
        ('{"toml": "\udcff"}', "was not made by"),
        ('{"mien_config": 2, "made": "", "toml": "", "settings": {}}', "newer Mien"),
        ('{"mien_config": 1, "made": "", "toml": "", "settings": {"person:1": "x"}}', "nobody's"),
        ('{"mien_config": 1, "made": "", "toml": "[camera]\\nfps = -1", "settings": {}}', "fps"),
        ('{"mien_config": 1, "made": "", "toml": "[mqtt]\\nca_file = \\"/no\\"", "settings": {}}',
         "there is no file '/no'"),
        ('{"mien_config": 1, "made": "", "toml": "box.id = \\"room-1\\"", "settings": {}}',
         "which box this is"),
        ('{"mien_config": 1, "made": "", "toml": "", "settings": {"setting": "demo"}}',
         "of a demo"),
    ],
)  # fmt: skip
def test_what_does_not_fit_changes_nothing(
    boxes: tuple[Box, Box], tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, why: str
) -> None:
    second, file = boxes[1], tmp_path / "x.json"
    before = second.config.read_text()
    file.write_bytes(text.encode(errors="surrogateescape"))
    assert second.run("import-config", file) == 1
    assert why in capsys.readouterr().err
    assert second.config.read_text() == before
    assert second.get("idle_minutes") == 30
    assert sorted(path.name for path in second.config.parent.glob("mien.toml*")) == ["mien.toml"]


def test_a_demo_is_not_handed_on(
    boxes: tuple[Box, Box], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    boxes[0].db.write(lambda db: settings.put(db, "setting", "demo"))
    assert boxes[0].run("export-config", tmp_path / "like.json") == 1
    assert "is a demo" in capsys.readouterr().err
    assert not (tmp_path / "like.json").exists()


def test_the_name_of_a_box_does_not_go_along_however_it_is_written(
    boxes: tuple[Box, Box], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    box = f'box = {{ id = "room-1", state_dir = "{tmp_path / "1"}" }}\n'
    boxes[0].config.write_text(box)
    assert boxes[0].run("export-config", tmp_path / "like.json") == 1
    assert "begins with [box]" in capsys.readouterr().err


def test_a_store_that_fails_is_told_as_such(
    boxes: tuple[Box, Box], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = boxes
    first.run("export-config", tmp_path / "like.json")
    (tmp_path / "2" / "mien.db").write_bytes(b"no database" * 999)
    before = second.config.read_text()
    assert second.run("import-config", tmp_path / "like.json") == 1
    told = capsys.readouterr().err
    assert "mien.db" in told
    assert "mien.toml cannot be written" not in told
    assert second.config.read_text() == before


def test_a_file_that_is_not_there(boxes: tuple[Box, Box], tmp_path: Path) -> None:
    assert boxes[0].run("import-config", tmp_path / "nowhere.json") == 1
