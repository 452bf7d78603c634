"""Videos: their times, their end, and files that are none."""

import cv2
import numpy as np
import pytest

from mien.camera import CameraError, open_source
from mien.clock import SystemClock
from mien.config import Camera
from mien.video import VideoFile

FRAMES, FPS = 30, 10.0


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("video") / "clip: 1.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), FPS, (64, 48))
    noise = np.random.default_rng(0)
    for number in range(FRAMES):
        picture = np.full((48, 64, 3), 8 * number, np.uint8)
        writer.write(picture + noise.integers(0, 8, picture.shape, np.uint8))
    writer.release()
    return path


def read_all(source):
    frames = []
    while (frame := source.read(1.0)) is not None:
        frames.append(frame)
    return frames


def test_gives_every_frame_with_its_time(clip):
    source = open_source(str(clip), Camera(), SystemClock())
    frames = read_all(source)
    assert (source.name, source.live, source.still) == (f"video {clip}", False, False)
    assert len(source) == len(frames) == FRAMES
    assert [frame.index for frame in frames] == list(range(FRAMES))
    assert [frame.t for frame in frames] == pytest.approx([n / FPS for n in range(FRAMES)])
    assert [round(frame.image.mean()) for frame in frames] == pytest.approx(
        [8 * n + 3.5 for n in range(FRAMES)], abs=2
    )
    assert source.read(1.0) is None
    source.close()


def test_begins_anew_when_rewound(clip):
    source = VideoFile(clip)
    first = read_all(source)
    source.rewind()
    assert [frame.t for frame in read_all(source)] == [frame.t for frame in first]


def test_closed_it_has_ended(clip):
    source = VideoFile(clip)
    source.read(1.0)
    source.close()
    source.close()
    assert source.read(1.0) is None


def test_a_video_cut_off_in_a_frame_gives_what_is_there_and_says_so(clip, tmp_path, caplog):
    cut = tmp_path / "cut.avi"
    cut.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    frames = read_all(VideoFile(cut))
    assert 1 < len(frames) < FRAMES - 5
    assert f"cut.avi ends after {len(frames)} of the {FRAMES} frames that it promises" in (
        caplog.text
    )


def test_a_whole_video_ends_without_a_word(clip, caplog):
    read_all(VideoFile(clip))
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"just some text\n", "is neither a picture nor a video that can be read"),
        (bytes(range(256)) * 40, "is neither a picture nor a video that can be read"),
        (b"", r"is empty \(0 bytes\)"),
    ],
)
def test_a_file_that_is_no_video_is_a_sentence(tmp_path, content, sentence, capfd):
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(CameraError, match=f"clip.mp4 {sentence}"):
        open_source(str(path), Camera(), SystemClock())
    assert "moov" not in capfd.readouterr().err, "FFmpeg keeps silent"


def test_an_animated_gif_plays(tmp_path):
    image = pytest.importorskip("PIL.Image")
    pictures = [image.new("RGB", (32, 24), (60 * n, 0, 0)) for n in range(4)]
    pictures[0].save(tmp_path / "a.gif", save_all=True, append_images=pictures[1:], duration=200)
    frames = read_all(open_source(str(tmp_path / "a.gif"), Camera(), SystemClock()))
    assert [frame.t for frame in frames] == pytest.approx([0.0, 0.2, 0.4, 0.6])
    assert [int(frame.image[0, 0, 2]) for frame in frames] == [0, 60, 120, 180]


@pytest.mark.parametrize("brand", [b"heic", b"mif1", b"avif"])
def test_a_heif_picture_is_told_as_such(tmp_path, brand):
    path = tmp_path / "IMG_1.mp4"
    path.write_bytes(b"\0\0\0\x18ftyp" + brand + bytes(64))
    with pytest.raises(CameraError, match=r"HEIC or AVIF picture.*save it as JPEG"):
        open_source(str(path), Camera(), SystemClock())


@pytest.mark.parametrize(("name", "count"), [("a.mjpeg", 2), ("a.MJPG", 30)])
def test_jpegs_one_after_the_other_are_a_video(tmp_path, name, count):
    path = tmp_path / name
    shades = [np.full((48, 64, 3), 7 * n, np.uint8) for n in range(count)]
    path.write_bytes(b"".join(cv2.imencode(".jpg", shade)[1].tobytes() for shade in shades))
    source = open_source(str(path), Camera(), SystemClock())
    read = [frame.image.mean() for frame in iter(lambda: source.read(0), None)]
    assert len(read) == count
    assert read == sorted(read)


def test_a_photograph_with_its_preview_behind_it_stays_one_picture(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(2 * cv2.imencode(".jpg", np.zeros((48, 64, 3), np.uint8))[1].tobytes())
    assert open_source(str(path), Camera(), SystemClock()).still
