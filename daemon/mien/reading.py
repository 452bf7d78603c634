"""From one face's measurements to a reading: a label, or "cannot tell" and why. Pure.

Every measure is mapped to a quality that is 0.5 where its limit lies, so that a quality under 0.5
means "cannot tell" whatever the cause, and the worst one is told.
"""

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from mien.config import Limits
from mien.events import EXPRESSIONS, Expression, Reading, Reason, Turn
from mien.pose import facing

VALENCE: dict[Expression, float] = {
    "anger": -0.51,
    "disgust": -0.60,
    "fear": -0.64,
    "happiness": 0.81,
    "sadness": -0.63,
    "surprise": 0.40,
    "neutral": 0.0,
}
"""Pleasure of the emotion terms angry, disgusted, fearful, happy, sad, surprised in J. A. Russell
and A. Mehrabian, "Evidence for a three-factor theory of emotions", Journal of Research in
Personality 11 (1977) 273–294; neutral is the origin of that space."""


class Look(msgspec.Struct, frozen=True):
    """What was measured of one face."""

    width: float
    """Pixels in the frame."""
    turn: Turn
    light: float
    """Mean grey of the crop, 0–255."""
    sharpness: float
    """0–1, see `sharpness`."""


def look(crop: NDArray[np.uint8], width: float, turn: Turn) -> Look:
    """Measure a crop, u8 [48, 48], of a face `width` pixels wide in its frame."""
    return Look(width, turn, float(crop.mean()), sharpness(crop))


def sharpness(crop: NDArray[np.uint8]) -> float:
    """1 minus the blur of a grey picture, u8 [h, w].

    The no-reference measure of Crété-Roffet et al., "The blur effect", SPIE 6492 (2007): blur the
    picture again and see how much of its variation between neighbours goes. What was sharp loses
    much, what was blurred loses little. The worse of the two directions counts, because motion
    blurs one.
    """
    picture = crop.astype(np.float32)
    return min(_kept_detail(picture), _kept_detail(picture.T))


def _kept_detail(picture: NDArray[np.float32]) -> float:
    # Moving average of 9 neighbours along each row, from running sums.
    sums = np.cumsum(np.pad(picture, ((0, 0), (5, 4)), mode="edge"), axis=1)
    blurred = (sums[:, 9:] - sums[:, :-9]) / 9
    before = np.abs(np.diff(picture, axis=1))
    after = np.abs(np.diff(blurred, axis=1))
    total = float(before.sum())
    return float(np.maximum(before - after, 0).sum()) / total if total else 0.0


def qualities(look: Look, limits: Limits) -> dict[Reason, float]:
    """Each measure as 0–1, 0.5 where its limit lies, in the order in which they are told."""
    turned = max(abs(look.turn.yaw) / limits.max_yaw, abs(look.turn.pitch) / limits.max_pitch)
    return {
        "too small": _clip(0.5 * look.width / limits.min_face_px),
        "turned away": _clip(1 - 0.5 * turned),
        "too dark": _clip(0.5 * look.light / max(limits.min_light, 1e-6)),
        "too bright": _clip(0.5 * (255 - look.light) / max(255 - limits.max_light, 1e-6)),
        "blurred": _clip(0.5 * look.sharpness / max(limits.min_sharpness, 1e-6)),
    }


def read(
    *,
    box: tuple[int, int, int, int],
    score: float,
    track: int,
    look: Look,
    probabilities: Sequence[float] | NDArray[np.float64],
    limits: Limits,
    min_confidence: float,
    crowded: bool = False,
    still: bool = False,
) -> Reading:
    """The reading of one face.

    Args:
        probabilities: calibrated, [7], in the order of `EXPRESSIONS`.
        min_confidence: probability under which the label is withheld.
        crowded: whether somebody else shares the seat, so that it is unclear who is meant.
        still: whether the face has not moved for `limits.still_s`, as that of a photograph.
    """
    measured = qualities(look, limits)
    quality = min(measured.values())
    top = int(np.argmax(probabilities))
    confidence = float(probabilities[top])
    reason: Reason | None = None
    if still:
        reason = "does not move"
    elif crowded:
        reason = "several people in the seat"
    elif quality < 0.5:
        reason = next(name for name, value in measured.items() if value < 0.5)
    elif confidence < min_confidence:
        reason = "low confidence"
    return Reading(
        box=box,
        score=round(score, 3),
        track=track,
        quality=round(quality, 3),
        label=EXPRESSIONS[top] if reason is None else None,
        reason=reason,
        confidence=round(confidence, 3),
        probabilities=named(probabilities),
        valence=round(valence(probabilities), 3),
        turn=look.turn,
        facing=facing(look.turn, limits.max_yaw, limits.max_pitch),
    )


def measure(
    *, box: tuple[int, int, int, int], score: float, track: int, look: Look, limits: Limits
) -> Reading:
    """A reading of how well a face could be read, without what it looks like: no label, and a
    reason only where it could not be read."""
    measured = qualities(look, limits)
    return Reading(
        box=box,
        score=round(score, 3),
        track=track,
        quality=round(min(measured.values()), 3),
        label=None,
        reason=next((name for name, value in measured.items() if value < 0.5), None),
        confidence=0.0,
        probabilities=dict.fromkeys(EXPRESSIONS, 0.0),
        valence=0.0,
        turn=look.turn,
        facing=facing(look.turn, limits.max_yaw, limits.max_pitch),
    )


def named(probabilities: Sequence[float] | NDArray[np.float64]) -> dict[Expression, float]:
    """Probabilities by expression, rounded as they are shown."""
    return {
        expression: round(float(p), 4)
        for expression, p in zip(EXPRESSIONS, probabilities, strict=True)
    }


def valence(probabilities: Sequence[float] | NDArray[np.float64]) -> float:
    """Expected pleasure over the expressions, −1 to 1."""
    return float(sum(VALENCE[e] * p for e, p in zip(EXPRESSIONS, probabilities, strict=True)))


def _clip(value: float) -> float:
    return min(1.0, max(0.0, value))


def widest(readings: Sequence[Reading]) -> Reading | None:
    """The face nearest to the camera: the one in the seat. One that moves goes before pictures."""
    return max(readings, key=lambda reading: (moves(reading), reading.box[2]), default=None)


def moves(reading: Reading) -> bool:
    """Whether this may be a living face: not one that has not moved for `limits.still_s`."""
    return reading.reason != "does not move"
