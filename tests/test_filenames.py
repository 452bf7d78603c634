"""Names of files that are not UTF-8: told, printed, and opened by libraries in C."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.camera import CameraError, open_source
from mien.clock import ManualClock
from mien.config import Camera
from mien.filenames import AS_WRITTEN, openable, printable, quoted, reason
from mien.pictures import PictureFile, PictureFolder, decode, is_picture
from mien.video import VideoFile

KITCHEN = os.fsdecode(b"K\xfcche")
"""What Latin-1 calls a kitchen."""


def picture(path: Path, grey: int = 90) -> Path:
    path.write_bytes(cv2.imencode(".png", np.full((60, 80, 3), grey, np.uint8))[1].tobytes())
    return path


def test_a_name_is_told_so_that_every_encoder_takes_it() -> None:
    assert printable(KITCHEN) == r"K\xfcche"
    assert printable(Path("Küche") / KITCHEN) == r"Küche/K\xfcche"
    assert printable("\ud83d") == "?"


@pytest.mark.parametrize("name", ["Große Küche", "a\\b", "it's", "É", "日本", "  x  "])
def test_a_name_is_quoted_as_it_was_written(name: str) -> None:
    assert quoted(name) == f"'{name}'"


def test_signs_that_steer_a_terminal_are_not_passed_on() -> None:
    assert quoted("a\x1b[2Jb\n") == r"'a\x1b[2Jb\n'"


def test_a_reason_is_the_systems_own_words() -> None:
    assert reason(FileNotFoundError(2, "No such file or directory", "Ä\\b")) == (
        "No such file or directory"
    )
    assert reason(ValueError("what")) == "what"


@given(st.binary(max_size=60))
def test_what_is_printed_is_what_the_name_is(name: bytes) -> None:
    stream = io.BytesIO()
    text = io.TextIOWrapper(stream, "utf-8", errors=AS_WRITTEN, newline="")
    text.write(os.fsdecode(name))
    text.flush()
    assert stream.getvalue() == name
    printable(os.fsdecode(name)).encode()


def test_a_terminal_that_cannot_say_a_letter_gets_a_question_mark() -> None:
    assert "→ Küche".encode("latin-1", AS_WRITTEN) == b"? K\xfcche"


def test_c_libraries_get_a_name_that_they_can_open(tmp_path: Path) -> None:
    odd, plain = tmp_path / KITCHEN, tmp_path / "Küche"
    for path in (odd, plain):
        path.write_bytes(b"here")
        with openable(path) as name:
            name.encode()
            assert Path(name).read_bytes() == b"here"
    with openable(plain) as name:
        assert name == str(plain)
    with pytest.raises(FileNotFoundError), openable(tmp_path / f"{KITCHEN}2"):
        pass


def test_pictures_are_read_whatever_they_are_called(tmp_path: Path) -> None:
    folder = tmp_path / KITCHEN
    folder.mkdir()
    for name in ("a.png", f"{KITCHEN}.png"):
        path = picture(folder / name)
        assert is_picture(path)
        assert decode(path).shape == (60, 80, 3)
        assert PictureFile(path).read(1.0) is not None
    source = PictureFolder(folder)
    assert source.name.endswith(r"K\xfcche")
    frames = [source.read(1.0), source.read(1.0)]
    assert {frame.file for frame in frames if frame} == {"a.png", f"{KITCHEN}.png"}
    (folder / f"{KITCHEN}.jpg").write_bytes(b"\xff\xd8 no picture \xff\xd9")
    with pytest.raises(CameraError, match=r"K\\xfcche.jpg cannot be decoded"):
        decode(folder / f"{KITCHEN}.jpg")


def test_videos_are_read_whatever_they_are_called(tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 4.0, (64, 48))
    for grey in (10, 100, 200):
        writer.write(np.full((48, 64, 3), grey, np.uint8))
    writer.release()
    odd = path.rename(tmp_path / f"{KITCHEN}.avi")
    video = VideoFile(odd)
    for _ in range(2):  # it is opened again to begin anew
        assert [video.read(1.0) is not None for _ in range(4)] == [True] * 3 + [False]
        video.rewind()
    video.close()
    broken = tmp_path / f"{KITCHEN}.mp4"
    broken.write_bytes(b"no video")
    with pytest.raises(CameraError, match=r"K\\xfcche.mp4 is neither a picture nor a video"):
        VideoFile(broken)


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        (f"{KITCHEN}.jpg", r"there is no camera, file or folder 'K\\xfcche.jpg'"),
        (f"rtsp://box/{KITCHEN}", "this is no URL such as"),
    ],
)
def test_a_source_with_such_a_name_is_refused(spec: str, sentence: str) -> None:
    with pytest.raises(CameraError, match=sentence) as error:
        open_source(spec, Camera(), ManualClock())
    str(error.value).encode()


def run(*arguments: str | bytes, cwd: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", *arguments], cwd=cwd, capture_output=True, check=False,
        env={**os.environ, "HOME": str(cwd), "XDG_DATA_HOME": str(cwd)},
    )  # fmt: skip


def test_the_commands_print_such_names(tmp_path: Path) -> None:
    folder = tmp_path / KITCHEN
    folder.mkdir()
    picture(folder / f"{KITCHEN}.png")
    done = run("mien", "replay", os.fsencode(KITCHEN), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert b"K\xfcche.png  no face" in done.stdout
    done = run("mien", "replay", os.fsencode(KITCHEN), "--json", cwd=tmp_path)
    first = json.loads(done.stdout.splitlines()[0])
    assert os.fsencode(first["file"]) == b"K\xfcche.png"


def test_moods_are_analysed_and_drawn_whatever_the_file_is_called(tmp_path: Path) -> None:
    names = (
        "Pride,Love,Hope,Gratitude,Joy,Satisfaction,Awe,Amusement,Alertness,Anxiety,Disdain,"
        "Offence,Guilt,Disgust,Fear,Embarrassment,Sadness,Anger"
    )
    file = tmp_path / f"{KITCHEN}\x01.csv"
    file.write_text(f"id,Hours,Day,{names}\n" + f"a,8,1,{','.join('1' + '0' * 17)}\n")
    done = run("mien", "mood", "analyse", os.fsencode(file.name), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert b"Drawn: K\xfcche\x01.svg" in done.stdout
    drawn = file.with_suffix(".svg").read_text("utf-8")
    assert r"Everyday emotions in K\xfcche�.csv" in drawn
