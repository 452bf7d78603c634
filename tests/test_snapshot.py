"""`mien.snapshot`: a captured face is the face, in colour, and nothing that is masked."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mien.camera import Frame
from mien.classifier import Output
from mien.clock import Stamp
from mien.config import Config, Seat
from mien.events import EXPRESSIONS, Capture
from mien.faces import Face
from mien.layer import Layer
from mien.pipeline import Pipeline
from mien.snapshot import snapshot
from test_pipeline import BUNDLE, SHARP, ScriptedFinder, face

AT = Stamp("boot", 12.3456, 0.0, True)
LAYER = Layer(np.ones((5, 7), np.float32), np.zeros(7, np.float32))


class Constant:
    """Sees "surprise", with a feature map of one gradient."""

    name = "constant"

    def classify(self, crop: NDArray[np.uint8]) -> Output:
        logits = np.eye(7, dtype=np.float32)[EXPRESSIONS.index("surprise")] * 9
        return Output(logits, np.arange(36 * 5, dtype=np.float32).reshape(6, 6, 5))


def taken(
    *faces: Face, image: NDArray[np.uint8] = SHARP, seat: Seat | None = None
) -> Capture | None:
    seen = pipeline(*faces, seat=seat).see(Frame(image, 12.3456, 41))
    return snapshot(seen, AT, LAYER, "scripted")


def pipeline(*faces: Face, seat: Seat | None = None) -> Pipeline:
    config = Config(seat=seat or Seat())
    return Pipeline(config, ScriptedFinder(list(faces)), Constant(), BUNDLE)


def decoded(data: bytes) -> NDArray[np.uint8]:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED).astype(np.uint8)


def test_a_capture_tells_all_that_was_read_of_this_face() -> None:
    capture = taken(face(200, 150, 100))
    assert capture is not None
    assert (capture.frame, capture.boot, capture.boot_ms) == (41, "boot", 12346)
    assert (capture.expression, capture.reason, capture.bundle) == ("surprise", None, "scripted")
    assert capture.probabilities["surprise"] > 0.99
    assert capture.quality > 0.5
    crop = decoded(capture.crop)
    assert (crop.shape, crop.dtype) == ((48, 48), np.uint8)
    mean = np.arange(180.0).reshape(36, 5).mean(axis=0)
    assert np.frombuffer(capture.embedding, "<f4") == pytest.approx(mean)
    maps = np.frombuffer(capture.maps, np.uint8).reshape(7, capture.side, capture.side)
    assert (capture.side, maps[3, 5, 5], maps[3, 0, 0]) == (6, 255, 3)


def test_the_picture_is_the_face_with_a_margin() -> None:
    image = np.full((480, 640, 3), 90, np.uint8)
    image[150:250, 200:300] = (200, 120, 40)
    capture = taken(face(200, 150, 100), image=image)
    assert capture is not None
    picture = decoded(capture.face)
    assert picture.shape == (160, 160, 3)
    assert picture[80, 80] == pytest.approx((200, 120, 40), abs=4), "in colour, blue first"
    assert picture[10, 10] == pytest.approx((90, 90, 90), abs=4)


@pytest.mark.parametrize(
    ("where", "shape"),
    [
        (face(0, 0, 100), (130, 130)),
        (face(560, 400, 80), (104, 104)),
        (face(100, 20, 400), (248, 320)),
    ],
)
def test_at_the_edge_and_close_up(where: Face, shape: tuple[int, int]) -> None:
    capture = taken(where)
    assert capture is not None
    assert decoded(capture.face).shape[:2] == shape


def test_what_is_masked_is_black_in_it_too() -> None:
    left = [(0.0, 0.0), (0.3, 0.0), (0.3, 1.0), (0.0, 1.0)]  # up to pixel 192
    capture = taken(face(200, 150, 100), seat=Seat(masked=[left]))
    assert capture is not None
    picture = decoded(capture.face)
    assert picture[:, :16].max() < 30
    assert picture[:, 40:].mean() > 90


def test_of_several_faces_the_nearest() -> None:
    capture = taken(face(20, 20, 90), face(300, 100, 100))
    assert capture is not None
    assert capture.expression is None
    assert capture.reason == "several people in the seat"
    assert decoded(capture.face).shape == (160, 160, 3)


def test_no_face_and_no_reading_give_none() -> None:
    assert taken() is None
    pipe = pipeline(face())
    assert snapshot(pipe.aim(Frame(SHARP, 0.0, 0)), AT, LAYER, "scripted") is None


def test_a_bundle_without_a_layer_gives_no_maps() -> None:
    capture = snapshot(pipeline(face()).see(Frame(SHARP, 0.0, 0)), AT, None, "scripted")
    assert capture is not None
    assert (capture.maps, capture.side) == (b"", 0)
