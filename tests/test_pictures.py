"""Pictures of every sort, sound and broken, and folders of them."""

import base64
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest

from mien.camera import CameraError, open_source
from mien.clock import SystemClock
from mien.config import Camera
from mien.pictures import PictureFolder, decode, is_picture

Image = pytest.importorskip("PIL.Image")

# 16×16 grey, left half 2048 and right half 4000 of 4095.
JPEG_12_BIT = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAYEBQYFBAYGBQYHBwYIChAKCgkJChQODwwQFxQYGBcUFhYaHSUfGhsjHBYWICwg"
    "IyYnKSopGR8tMC0oMCUoKSj/wQALDAAQABABAREA/8QAFQABAQAAAAAAAAAAAAAAAAAADAD/xAAUEAEAAAAAAAAAAAAAAAAA"
    "AAAA/9oACAEBAAA/AIorF1Cit//Z"
)


def opened(path):
    return open_source(str(path), Camera(), SystemClock())


@pytest.fixture
def picture():
    """40 wide, 30 high; red on the left, blue on the right (RGB)."""
    pixels = np.zeros((30, 40, 3), np.uint8)
    pixels[:, :20], pixels[:, 20:] = (200, 30, 10), (10, 30, 200)
    return Image.fromarray(pixels)


def assert_it_is_the_picture(image, tolerance=6):
    assert (image.dtype, image.shape) == (np.uint8, (30, 40, 3))
    assert image[:, :16].mean((0, 1)) == pytest.approx([10, 30, 200], abs=tolerance)
    assert image[:, 24:].mean((0, 1)) == pytest.approx([200, 30, 10], abs=tolerance)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WebP", "BMP", "TIFF", "GIF", "JPEG2000"])
def test_decodes_by_content_whatever_the_name(picture, tmp_path, kind):
    path = tmp_path / "picture.txt"
    picture.save(path, kind)
    assert_it_is_the_picture(decode(path), tolerance=12)


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("CMYK", "JPEG"), ("CMYK", "TIFF"), ("RGBA", "PNG"), ("RGBA", "WebP"), ("P", "PNG")],
)
def test_other_colours_become_bgr(picture, tmp_path, mode, kind):
    path = tmp_path / "picture"
    picture.convert(mode).save(path, kind)
    assert_it_is_the_picture(decode(path), tolerance=12)


def test_transparent_pixels_keep_their_colour(picture, tmp_path):
    picture.putalpha(Image.new("L", picture.size, 0))
    picture.save(tmp_path / "a.png")
    assert_it_is_the_picture(decode(tmp_path / "a.png"))


@pytest.mark.parametrize("mode", ["L", "1", "LA"])
def test_grey_becomes_three_equal_channels(picture, tmp_path, mode):
    picture.convert(mode).save(tmp_path / "grey.png")
    image = decode(tmp_path / "grey.png")
    assert image.shape == (30, 40, 3)
    assert (image == image[..., :1]).all()


@pytest.mark.parametrize("peak", [4095, 65535])
@pytest.mark.parametrize("kind", ["png", "tif"])
def test_12_and_16_bits_become_8(tmp_path, peak, kind):
    ramp = np.linspace(0, peak, 256).astype(np.uint16)[np.newaxis].repeat(4, 0)
    cv2.imwrite(str(tmp_path / f"deep.{kind}"), ramp)
    image = decode(tmp_path / f"deep.{kind}")
    assert (image.dtype, image.shape) == (np.uint8, (4, 256, 3))
    assert image[0, :, 0].astype(int) == pytest.approx(np.arange(256), abs=1)


def test_a_12_bit_jpeg_is_decoded(tmp_path):
    (tmp_path / "deep.jpg").write_bytes(JPEG_12_BIT)
    image = decode(tmp_path / "deep.jpg")
    assert (image.dtype, image.shape) == (np.uint8, (16, 16, 3))
    assert [int(image[8, 2, 0]), int(image[8, 13, 0])] == pytest.approx([128, 250], abs=4)


@pytest.mark.parametrize("kind", ["jpg", "png", "tif"])
@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_pictures_stand_upright(picture, tmp_path, kind, orientation):
    turn = {3: Image.ROTATE_180, 6: Image.ROTATE_90, 8: Image.ROTATE_270}[orientation]
    exif = Image.Exif()
    exif[0x112] = orientation
    path = tmp_path / f"turned.{kind}"
    picture.transpose(turn).save(path, exif=exif)
    assert_it_is_the_picture(decode(path), tolerance=12)


@pytest.mark.parametrize("kind", ["jpg", "png"])
def test_a_single_pixel_is_a_picture(tmp_path, kind):
    Image.new("RGB", (1, 1), (1, 2, 3)).save(tmp_path / f"one.{kind}")
    assert decode(tmp_path / f"one.{kind}").shape == (1, 1, 3)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WebP", "BMP", "TIFF", "GIF"])
def test_a_picture_cut_off_is_refused_in_a_sentence(tmp_path, kind):
    noise = np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)
    path = tmp_path / "cut"
    Image.fromarray(noise).save(path, kind)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(CameraError, match=r"^cut cannot be decoded.*: it is broken, cut off or no"):
        decode(path)


def test_an_empty_file_is_refused_in_a_sentence(tmp_path):
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(CameraError, match=r"^empty.jpg is empty \(0 bytes\)"):
        decode(tmp_path / "empty.jpg")


def test_damage_in_a_jpeg_is_told_in_our_words_alone(tmp_path, caplog, capfd):
    noise = np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8)
    jpeg = bytearray(cv2.imencode(".jpg", noise)[1].tobytes())
    jpeg[len(jpeg) // 2 : len(jpeg) // 2 + 40] = b"\xff\xd9" * 20
    (tmp_path / "damaged.jpg").write_bytes(jpeg)
    assert decode(tmp_path / "damaged.jpg").shape == (240, 320, 3)
    assert "damaged.jpg is damaged (" in caplog.text
    assert "what could be decoded is used" in caplog.text
    assert "JPEG" not in capfd.readouterr().err


def test_what_others_print_meanwhile_is_passed_on(capfd):
    from mien.pictures import _overheard

    with _overheard() as complaints:
        os.write(2, b"somebody else's line\nlibpng error: bad\n")
    assert complaints == ["libpng error: bad"]
    assert capfd.readouterr().err == "somebody else's line\n"


HUGE = """
import logging, pathlib, sys
logging.basicConfig(format="%(message)s", stream=sys.stdout)
from mien.camera import CameraError
from mien.pictures import decode
for name in sys.argv[1:]:
    try:
        print(decode(pathlib.Path(name)).shape)
    except CameraError as error:
        print(error)
status = pathlib.Path("/proc/self/status").read_text()
print(int(status.split("VmHWM:")[1].split()[0]) // 1024)
"""


def test_100_megapixels_do_not_fill_the_memory(tmp_path):
    huge = np.zeros((10_000, 10_000), np.uint8)
    for name in ("huge.jpg", "huge.png"):
        cv2.imwrite(str(tmp_path / name), huge)
    del huge
    (tmp_path / "liar.png").write_bytes(b"\x89PNG\r\n\x1a\n\x7f\xff\xff\xffIDAT")
    # In a process of its own: the limit holds where mien is imported before cv2.
    done = subprocess.run(
        [sys.executable, "-c", HUGE, "huge.jpg", "huge.png", "liar.png"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    note, shape, refusal, broken, peak_mb = done.stdout.splitlines()
    assert note == "huge.jpg is read at 1/2 of its size, 5000×5000, to save memory"
    assert shape == "(5000, 5000, 3)"
    assert refusal.startswith("huge.png has more than 32 megapixels")
    assert broken.startswith("liar.png cannot be decoded: it is broken")
    assert int(peak_mb) < 250
    assert done.stderr == ""


# ── as sources ───────────────────────────────────────────────────────────────────────────────────


def test_a_single_picture_comes_once(picture, tmp_path):
    picture.save(tmp_path / "a.png")
    source = opened(tmp_path / "a.png")
    frame = source.read(0)
    assert (source.live, source.still, source.name) == (
        False,
        True,
        f"picture {tmp_path / 'a.png'}",
    )
    assert (frame.index, frame.t, frame.file) == (0, 0.0, "a.png")
    assert_it_is_the_picture(frame.image)
    assert source.read(0) is None
    source.rewind()
    assert source.read(0) is not None
    source.close()
    assert source.read(0) is None


def test_a_single_broken_picture_is_a_sentence(picture, tmp_path):
    path = tmp_path / "a.jpg"
    picture.save(path)
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(CameraError, match=r"a.jpg cannot be decoded"):
        opened(path).read(0)


@pytest.fixture
def folder(picture, tmp_path):
    for name in ("b10.png", "b9.jpg", "A1.bmp", ".hidden.png"):
        picture.save(tmp_path / name)
    (tmp_path / "cut.png").write_bytes((tmp_path / "b10.png").read_bytes()[:60])
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "more").mkdir()
    return tmp_path


def test_a_folder_gives_its_pictures_in_name_order(folder):
    source = opened(folder)
    frames = []
    while (frame := source.read(0)) is not None:
        frames.append(frame)
    assert [frame.file for frame in frames] == ["A1.bmp", "b9.jpg", "b10.png"]
    assert [frame.index for frame in frames] == [0, 1, 2]
    assert (source.live, source.still, len(source)) == (False, True, 4)


def test_every_file_that_gave_no_frame_is_told_and_kept(folder, caplog):
    source = PictureFolder(folder)
    for _ in range(2):
        while source.read(0) is not None:
            pass
        source.rewind()
    reasons = dict(source.skipped)
    assert reasons.keys() == {"cut.png", "empty.jpg", "notes.txt", "more"}
    assert reasons["empty.jpg"] == "empty.jpg is empty (0 bytes)"
    assert reasons["notes.txt"] == "notes.txt is no picture of a known kind"
    assert reasons["more"] == "more is a folder; only the pictures beside it are read"
    assert reasons["cut.png"].startswith("cut.png cannot be decoded")
    assert len(caplog.records) == 4


def test_a_folder_without_a_picture_is_an_error(tmp_path):
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(CameraError, match="there is no picture in the folder"):
        opened(tmp_path)


def test_a_folder_of_broken_pictures_is_an_error(picture, tmp_path):
    picture.save(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:60])
    source = opened(tmp_path)
    with pytest.raises(CameraError, match=r"none of the 1 pictures in .* can be decoded"):
        source.read(0)


def test_is_picture_looks_at_the_content(picture, tmp_path):
    picture.save(tmp_path / "picture.mp4", "JPEG")
    picture.save(tmp_path / "moving.png", "GIF")
    (tmp_path / "text.png").write_text("no picture")
    kinds = {path.name: is_picture(path) for path in tmp_path.iterdir()}
    assert kinds == {"picture.mp4": True, "moving.png": False, "text.png": False}
