"""A picture on its way into the library: colour spaces, sizes, faces; the crop is the box's."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from library_samples import FixedFinder, face, png, write
from mien import facemodel
from mien.commands.demo import portrait
from mien.config import default_state_dir
from mien.crop import crop
from mien.faces import FacesError
from mien.pictures import decode
from mien_convert.intake import Intake, blazeface, header
from mien_convert.library import Library
from mien_convert.library import Picture as Kept
from mien_convert.sources import Content, Found, Unusable

Image = pytest.importorskip("PIL.Image")


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with Library.open(tmp_path / "library", make=True) as library:
        yield library


def found(content: Content, *, cropped: bool = False) -> Found:
    return Found("a", content, "happiness", cropped=cropped)


def examine(library: Library, content: Content, *boxes: tuple[int, int, int, int]) -> Kept:
    return Intake(library, lambda: FixedFinder(*boxes)).examine(found(content))


def test_the_crop_is_exactly_that_of_the_box(library: Library) -> None:
    facemodel.fetch(default_state_dir() / "models")
    kept = Intake(library).examine(found(portrait()))
    assert kept.reason is None
    image = decode(portrait())
    (face,) = blazeface().find(image)
    assert kept.crop == crop(image, face).tobytes()
    assert (kept.width, kept.height, kept.colour) == (512, 600, "rgb")


def test_without_the_box_s_networks_there_is_no_silent_stand_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    with pytest.raises(FacesError, match="mien models fetch"):
        blazeface()


@pytest.mark.parametrize(
    ("mode", "suffix", "colour"),
    [
        ("L", "png", "grey"), ("RGB", "jpg", "rgb"), ("RGBA", "png", "rgba"),
        ("P", "png", "palette"), ("CMYK", "jpg", "cmyk"), ("1", "png", "grey"),
        ("I;16", "png", "grey"), ("LA", "png", "grey"), ("L", "webp", "rgb"),
        ("RGB", "gif", "palette"),
    ],
)  # fmt: skip
def test_every_colour_space_is_named_and_read(
    library: Library, tmp_path: Path, mode: str, suffix: str, colour: str
) -> None:
    path = tmp_path / f"a.{suffix}"
    grey = Image.fromarray(face(1, 200))
    grey.convert("I").convert(mode).save(path) if mode == "I;16" else grey.convert(mode).save(path)
    kept = examine(library, path, (40, 40, 120, 120))
    assert (kept.colour, kept.width, kept.reason) == (colour, 200, None)
    assert kept.sha256 is not None
    assert kept.crop is not None


def test_a_face_cut_out_already_is_taken_as_it_is(library: Library, tmp_path: Path) -> None:
    path = write(tmp_path / "a.png", face(1))
    for content in (face(1), path, png(face(1))):
        assert examine(library, content).crop == face(1).tobytes()
    large = found(write(tmp_path / "b.png", face(1, 96)), cropped=True)
    kept = Intake(library).examine(large)
    assert kept.crop == cv2.resize(face(1, 96), (48, 48), interpolation=cv2.INTER_AREA).tobytes()


@pytest.mark.parametrize(
    ("boxes", "reason"),
    [
        ([], "no face"),
        ([(10, 10, 100, 100), (120, 10, 80, 80)], "several faces"),
        ([(10, 10, 100, 100), (120, 10, 60, 60)], None),
        ([(10, 10, 20, 20)], "face too small"),
    ],
)
def test_one_face_must_stand_out(
    library: Library, boxes: list[tuple[int, int, int, int]], reason: str | None
) -> None:
    kept = examine(library, png(face(1, 240)), *boxes)
    assert kept.reason == reason
    assert (kept.crop is None) == (reason is not None)


def test_what_cannot_be_used_says_why(library: Library, tmp_path: Path) -> None:
    text = tmp_path / "a.png"
    text.write_text("no picture")
    torn = tmp_path / "b.png"
    torn.write_bytes(png(face(1, 200))[:50])
    assert examine(library, text).reason == "unreadable"
    assert examine(library, torn).reason == "unreadable"
    assert examine(library, tmp_path / "gone.png").reason == "unreadable"
    assert examine(library, b"").reason == "unreadable"
    assert examine(library, png(face(1, 40))).reason == "too small"
    assert examine(library, png(np.full((48, 48), 9, np.uint8))).reason == "blank"

    def none() -> Content:
        raise Unusable("gone")

    intake = Intake(library)
    assert intake.examine(Found("a", none, "fear")).reason == "unreadable"
    assert intake.examine(Found("a", face(1), None)).reason == "no label"
    assert intake.examine(Found("a", face(1), "other")).reason == "not one of the seven"
    votes = bytes([4, 0, 0, 0, 0, 0, 0, 0, 1, 5])
    assert intake.examine(Found("a", face(1), "fear", votes=votes)).reason == "not a face"


def test_a_header_of_a_giant_is_read_without_its_pixels() -> None:
    data = png(np.zeros((4, 4), np.uint8))
    giant = data[:16] + (200_000).to_bytes(4, "big") * 2 + data[24:]
    assert header(giant)[:2] in ((200_000, 200_000), (0, 0))
    assert header(b"no picture") == (0, 0, "unknown")


def test_no_finder_is_opened_for_faces_cut_out_already(library: Library) -> None:
    def none() -> FixedFinder:
        raise AssertionError

    assert Intake(library, none).examine(found(face(2))).reason is None
