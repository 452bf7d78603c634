"""`mien.pipeline`: the order of its steps and what a stream is made of, with a scripted network."""

import itertools
from collections.abc import Iterable

import numpy as np
import pytest
from numpy.typing import NDArray

from mien.bundle import Bundle, Calibration, Input, Thresholds
from mien.camera import Frame
from mien.classifier import ScriptedClassifier
from mien.config import Config, Limits, Seat
from mien.events import EXPRESSIONS, Episode, Expression
from mien.faces import Face
from mien.layer import Layer
from mien.pipeline import Pipeline

BUNDLE = Bundle(
    format=1,
    name="scripted",
    labels=list(EXPRESSIONS),
    files={},
    input=Input(size=48, channels=1),
    calibration=Calibration(temperature=1.0),
    thresholds=Thresholds(confidence=0.5),
)
# Noise is as sharp as a picture gets, and its mean is neither dark nor bright.
SHARP = np.random.default_rng(3).integers(0, 256, (480, 640, 3)).astype(np.uint8)


def face(x: float = 200, y: float = 150, size: float = 160) -> Face:
    """A face straight ahead: eyes level, nose and mouth on the axis."""
    points = [(0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.5, 0.78), (0.05, 0.5), (0.95, 0.5)]
    keypoints = np.array([(x + u * size, y + v * size) for u, v in points], np.float32)
    return Face((x, y, size, size), 0.9, keypoints)


class ScriptedFinder:
    """Finds what it is told, whatever the picture; keeps the picture it was shown."""

    name = "script"
    far = False

    def __init__(self, *script: list[Face]) -> None:
        self._script: Iterable[list[Face]] = itertools.chain(script, itertools.repeat(script[-1]))
        self._faces = iter(self._script)
        self.shown = SHARP

    def find(self, image: NDArray[np.uint8], thorough: bool = False) -> list[Face]:
        self.shown = image
        return next(self._faces)


def play(pipeline: Pipeline, seconds: float) -> list[Episode]:
    ended = []
    for index in range(round(seconds * 15)):
        ended += pipeline.see(Frame(SHARP, index / 15, index)).ended
    return ended + pipeline.end()


def pipeline(
    *faces: list[Face],
    answers: list[Expression] | None = None,
    config: Config | None = None,
) -> tuple[Pipeline, ScriptedFinder]:
    finder = ScriptedFinder(*faces)
    classifier = ScriptedClassifier(answers or ["neutral"])
    return Pipeline(config or Config(), finder, classifier, BUNDLE), finder


def test_neutral_then_happiness_in_one_track() -> None:
    answers: list[Expression] = ["neutral"] * 60 + ["happiness"] * 60
    pipe, _ = pipeline([face()], answers=answers)
    assert [e.expression for e in play(pipe, 8)] == ["neutral", "happiness"]


def test_masked_seats_are_black_before_the_finder_looks() -> None:
    left = [(0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)]
    pipe, finder = pipeline([], config=Config(seat=Seat(masked=[left])))
    seen = pipe.see(Frame(SHARP, 0.0, 0))
    assert not finder.shown[:, :310].any()
    assert finder.shown[:, 330:].any()
    assert not seen.image[:, :310].any(), "the preview must not show it either"
    assert SHARP[:, :310].any(), "the camera's own frame is left alone"


def test_a_picture_of_another_shape_is_not_looked_at_until_the_former_is_back() -> None:
    left = [(0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)]
    pipe, finder = pipeline([face()], config=Config(seat=Seat(masked=[left])))
    height, width = SHARP.shape[:2]
    assert pipe.see(Frame(SHARP, 0.0, 0)).readings
    looked = finder.shown
    seen = pipe.see(Frame(SHARP[:, : width // 2].copy(), 0.1, 1))
    assert not seen.readings
    assert not seen.image.any()
    assert finder.shown is looked, "the finder never saw it"
    assert pipe.unfit
    assert f"{width // 2}x{height}" in pipe.unfit
    assert pipe.see(Frame(SHARP, 0.2, 2)).readings
    assert pipe.unfit is None


def test_two_in_the_seat_are_not_told_apart() -> None:
    pipe, _ = pipeline([face(50), face(400)])
    readings = pipe.see(Frame(SHARP, 0.0, 0)).readings
    assert {reading.reason for reading in readings} == {"several people in the seat"}
    assert play(pipe, 3) == []


def test_somebody_far_behind_does_not_share_the_seat() -> None:
    pipe, _ = pipeline([face(200), face(20, 20, 40)])
    readings = pipe.see(Frame(SHARP, 0.0, 0)).readings
    assert readings[0].label == "neutral"


def test_pictures_stand_each_on_its_own() -> None:
    pipe, _ = pipeline([face(50), face(400)])
    for index in range(30):
        seen = pipe.see_still(Frame(SHARP, 0.0, index, f"{index}.jpg"))
        assert [reading.label for reading in seen.readings] == ["neutral", "neutral"]
        assert [reading.track for reading in seen.readings] == [1, 2]
        assert seen.ended == []


def test_another_person_begins_another_episode() -> None:
    pipe, _ = pipeline(*[[face(50)]] * 45, [face(450)])
    assert len(play(pipe, 6)) == 2


def test_the_live_view_tells_why_it_cannot_tell() -> None:
    pipe, _ = pipeline([face()], config=Config(limits=Limits(min_face_px=400)))
    live = pipe.live(pipe.see(Frame(SHARP, 0.0, 0)))
    assert (live.expression, live.reason) == (None, "too small")
    assert (live.width, live.height) == (640, 480)


def test_the_live_view_of_an_empty_seat() -> None:
    pipe, _ = pipeline([])
    live = pipe.live(pipe.see(Frame(SHARP, 0.0, 0)), "a note")
    assert (live.expression, live.reason, live.readings) == (None, None, [])
    assert live.valence is None
    assert live.note == "a note"


def test_the_live_view_of_an_episode() -> None:
    pipe, _ = pipeline([face()])
    for index in range(45):
        seen = pipe.see(Frame(SHARP, index / 15, index))
    live = pipe.live(seen)
    assert live.expression == live.episode == "neutral"
    assert live.episode_s == pytest.approx(2.9, abs=0.1)
    assert live.facing_share == 1.0


def test_the_camera_is_aimed_with_the_whole_picture_and_no_network() -> None:
    left = [(0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)]
    small = face(500, 300, 12)
    pipe, finder = pipeline([face(20), small], answers=[], config=Config(seat=Seat(masked=[left])))
    seen = pipe.aim(Frame(SHARP, 0.0, 0))
    assert finder.shown is SHARP
    assert seen.image is SHARP
    assert [(r.label, r.reason, r.facing) for r in seen.readings] == [
        (None, None, True),
        (None, "too small", True),
    ]
    assert seen.readings[0].quality > 0.5 > seen.readings[1].quality
    live = pipe.live(seen)
    assert (live.expression, live.valence, live.facing_share, live.episode) == (None,) * 4


def test_the_seat_can_be_moved_while_it_runs() -> None:
    right = [(0.5, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 1.0)]
    pipe, finder = pipeline([])
    pipe.see(Frame(SHARP, 0.0, 0))
    assert finder.shown is SHARP
    pipe.sit(Seat(client=right, far=True))
    pipe.see(Frame(SHARP, 0.1, 1))
    assert not finder.shown[:, :310].any()
    assert finder.far


def test_a_personal_layer_answers_in_place_of_the_networks_own() -> None:
    pipe, _ = pipeline([face()])
    bias = np.zeros(7, np.float32)
    bias[EXPRESSIONS.index("disgust")] = 2
    pipe.layer = Layer(np.zeros((1, 7), np.float32), bias)
    (reading,) = pipe.see(Frame(SHARP, 0.0, 0)).readings
    assert reading.label == "disgust"
    assert reading.confidence == pytest.approx(np.exp(2) / (np.exp(2) + 6), abs=1e-3)
    pipe.layer = None
    assert pipe.see(Frame(SHARP, 0.1, 1)).readings[0].label == "neutral"


def test_the_end_forgets_everything() -> None:
    pipe, _ = pipeline([face()])
    for index in range(45):
        before = pipe.see(Frame(SHARP, index / 15, index))
    assert [episode.expression for episode in pipe.end()] == ["neutral"]
    live = pipe.live(before)
    assert (live.expression, live.facing_share, live.episode) == (None, None, None)


def test_pictures_that_show_nothing_are_told_and_forgotten() -> None:
    pipe, _ = pipeline([])
    black = np.zeros_like(SHARP)
    for index in range(60):
        pipe.see(Frame(black, index / 15, index))
    assert pipe.blank == "the picture is black: the lens is covered, or there is no light"
    pipe.see(Frame(SHARP, 5.0, 60))
    assert pipe.blank is None
    for index in range(61, 121):
        pipe.aim(Frame(black, index / 10, index))
    assert pipe.blank
    pipe.end()
    assert pipe.blank is None


def flickering(place: Face, index: int) -> Frame:
    """A second's picture in which all stays but what is at this place."""
    image = SHARP.copy()
    x, y, width, height = (int(side) for side in place.box)
    chance = np.random.default_rng(index)
    image[y : y + height, x : x + width] = chance.integers(0, 256, (height, width, 3))
    return Frame(image, float(index), index)


def test_a_photograph_in_the_seat_is_no_person_to_read() -> None:
    pipe, _ = pipeline([face()], answers=["happiness"])
    reasons = []
    for index in range(40):
        seen = pipe.see(Frame(SHARP, float(index), index))
        reasons.append(seen.readings[0].reason)
    assert reasons == [None] * 30 + ["does not move"] * 10
    live = pipe.live(seen)
    assert (live.expression, live.reason) == (None, "does not move")
    assert seen.readings[0].label is None


def test_who_moves_beside_a_larger_photograph_is_read() -> None:
    photograph, person = face(x=10, size=200), face(x=400, size=150)
    pipe, _ = pipeline([photograph, person], answers=["happiness"])
    for index in range(40):
        seen = pipe.see(flickering(person, index))
        if index < 30:
            assert {r.reason for r in seen.readings} == {"several people in the seat"}
    assert [r.reason for r in seen.readings] == ["does not move", None]
    assert pipe.live(seen).expression == "happiness"


def test_a_still_picture_that_stands_on_its_own_is_read() -> None:
    pipe, _ = pipeline([face()], answers=["happiness"])
    for index in range(40):
        assert pipe.see_still(Frame(SHARP, float(index), index)).readings[0].reason is None
