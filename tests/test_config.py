"""`mien.config`: every problem at once, each with its place, its value and what is allowed."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.config import Config, ConfigError, load

TEN_MISTAKES = """
[camera]
widht = 640
fps = 900
[sea]
[seat]
client = [[0, 0], [1, 2]]
[faces]
finder = "blaze"
[mqtt]
port = 99999
host = ""
tls = "yes"
password_file = "/nowhere/password"
[box]
id = "A B"
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mien.toml"
    path.write_text(text)
    return path


def problems(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, text))
    return [str(problem) for problem in caught.value.problems]


def test_defaults_without_a_file() -> None:
    assert load(None) == Config()


def test_values_are_read(tmp_path: Path) -> None:
    config = load(
        write(
            tmp_path,
            "[camera]\nfps = 10\n[seat]\nmasked = [[[0, 0], [0.5, 0], [0.5, 1]]]\n"
            '[box]\nstate_dir = "/var/lib/mien"\n',
        )
    )
    assert config.camera.fps == 10
    assert config.seat.masked == [[(0, 0), (0.5, 0), (0.5, 1)]]
    assert config.state_dir == Path("/var/lib/mien")


def test_ten_mistakes_are_told_at_once(tmp_path: Path) -> None:
    told = problems(tmp_path, TEN_MISTAKES)
    assert len(told) == 10
    file = tmp_path / "mien.toml"
    assert f"{file}:3: camera.widht: unknown key; did you mean 'width'?" in told
    assert f"{file}:4: camera.fps: must be a number above 0 to 60, not 900" in told
    assert f"{file}:5: sea: unknown section; did you mean 'seat'?" in told
    assert any("at least 3 corners" in line for line in told)
    assert any(
        "must be one of 'auto', 'blazeface', 'yunet', 'haar', not 'blaze'" in t for t in told
    )
    assert any("mqtt.password_file: there is no file '/nowhere/password'" in line for line in told)


@pytest.mark.parametrize("room", ['""', '"   "', '"a\\nb"', f'"{"x" * 41}"', "2"])
def test_a_room_is_a_line_that_people_read(tmp_path: Path, room: str) -> None:
    (told,) = problems(tmp_path, f"[box]\nroom = {room}\n")
    assert ":2: box.room: must be " in told
    assert load(write(tmp_path, '[box]\nroom = "Zimmer 2, hinten"')).box.room


def test_values_that_contradict_each_other(tmp_path: Path) -> None:
    told = problems(
        tmp_path,
        "[smoothing]\nenter = 0.3\nleave = 0.4\n[limits]\nmin_light = 200\nmax_light = 100\n"
        '[faces]\nfinder = "yunet"\n',
    )
    assert len(told) == 3


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[camera\n", "is not TOML"),
        (b"\xff\xfe", "is no text in UTF-8"),
        (b"camera = 3\n", "must be a section, [camera], not a value"),
    ],
)
def test_a_file_that_is_no_config(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "mien.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"mien\.toml") as caught:
        load(path)
    assert said in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file"):
        load(tmp_path / "gone.toml")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load(tmp_path)


@given(text=st.text(max_size=200))
def test_no_text_gives_anything_but_a_config_or_sentences(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.mktemp("config") / "mien.toml"
    path.write_text(text, encoding="utf-8", errors="replace")
    try:
        config = load(path)
    except ConfigError as error:
        config = Config() if str(error) else None
    assert config is not None
