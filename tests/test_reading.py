"""`mien.reading`: from measurements to a label, or to the reason for none."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.commands.demo import portrait
from mien.config import Limits
from mien.events import EXPRESSIONS, Reading, Reason, Turn
from mien.pictures import decode
from mien.reading import VALENCE, Look, read, sharpness, valence, widest

LIMITS = Limits()
AHEAD = Turn(0, 0, 0)
GOOD = Look(width=120, turn=AHEAD, light=120, sharpness=0.6)
HAPPY = [0.02, 0.02, 0.02, 0.88, 0.02, 0.02, 0.02]


def reading(look: Look = GOOD, answer: list[float] = HAPPY, *, crowded: bool = False) -> Reading:
    return read(
        box=(0, 0, 120, 120),
        score=0.9,
        track=1,
        look=look,
        probabilities=answer,
        limits=LIMITS,
        min_confidence=0.5,
        crowded=crowded,
    )


def test_a_good_look_gets_a_label() -> None:
    result = reading()
    assert (result.label, result.reason) == ("happiness", None)
    assert result.confidence == 0.88
    assert result.facing
    assert list(result.probabilities) == list(EXPRESSIONS)


@pytest.mark.parametrize(
    ("look", "reason"),
    [
        (Look(LIMITS.min_face_px - 1, AHEAD, 120, 0.6), "too small"),
        (Look(120, Turn(LIMITS.max_yaw + 1, 0, 0), 120, 0.6), "turned away"),
        (Look(120, Turn(0, -LIMITS.max_pitch - 1, 0), 120, 0.6), "turned away"),
        (Look(120, AHEAD, LIMITS.min_light - 1, 0.6), "too dark"),
        (Look(120, AHEAD, LIMITS.max_light + 1, 0.6), "too bright"),
        (Look(120, AHEAD, 120, LIMITS.min_sharpness - 0.01), "blurred"),
    ],
)
def test_each_bad_look_is_told(look: Look, reason: Reason) -> None:
    result = reading(look)
    assert (result.label, result.reason) == (None, reason)
    assert result.quality < 0.5


def test_an_unsure_answer_and_a_shared_seat_get_no_label() -> None:
    assert reading(answer=[1 / 7] * 7).reason == "low confidence"
    assert reading(crowded=True).reason == "several people in the seat"


looks = st.builds(
    Look,
    width=st.floats(1, 1000),
    turn=st.builds(Turn, *[st.floats(-90, 90)] * 3),
    light=st.floats(0, 255),
    sharpness=st.floats(0, 1),
)
answers = st.lists(st.floats(0.001, 1), min_size=7, max_size=7).map(
    lambda values: [value / sum(values) for value in values]
)


@given(looks, answers, st.booleans())
def test_there_is_a_label_or_a_reason_never_both(
    look: Look, answer: list[float], crowded: bool
) -> None:
    result = reading(look, answer, crowded=crowded)
    assert (result.label is None) == (result.reason is not None)
    assert 0 <= result.quality <= 1
    assert -1 <= result.valence <= 1
    if result.label:
        assert result.quality >= 0.5
        assert result.confidence >= 0.5


def test_valence_lies_between_those_of_the_expressions() -> None:
    for index, expression in enumerate(EXPRESSIONS):
        sure = np.zeros(7)
        sure[index] = 1
        assert valence(sure) == pytest.approx(VALENCE[expression])


def test_each_bit_of_blur_lowers_sharpness() -> None:
    picture = decode(portrait()).mean(axis=2)[60:300, 150:390].astype(np.uint8)
    crop = cv2.resize(picture, (48, 48), interpolation=cv2.INTER_AREA)
    blurred = [cv2.GaussianBlur(crop, (0, 0), sigma) for sigma in (0.7, 1.5, 2.5, 4)]
    measured = [sharpness(np.asarray(each, np.uint8)) for each in (crop, *blurred)]
    assert measured == sorted(measured, reverse=True)
    assert measured[0] > 0.5
    assert measured[-1] < LIMITS.min_sharpness
    smeared = np.asarray(cv2.blur(crop, (13, 1)), np.uint8)
    assert sharpness(smeared) < 0.8 * measured[0]
    assert sharpness(smeared) == sharpness(smeared.T), "the worse direction counts"


def test_an_even_picture_has_no_detail() -> None:
    assert sharpness(np.full((48, 48), 7, np.uint8)) == 0


def test_the_widest_face_is_the_one_in_the_seat() -> None:
    assert widest([]) is None
    near = reading(GOOD)
    assert widest([near]) is near
