"""What must not be learnt from."""

import numpy as np
from numpy.typing import NDArray

from mien_convert.dataset import BLANK_BELOW, NOT_A_FACE, VOTES_NOT_TRUSTWORTHY, Dataset
from mien_convert.duplicates import alike, thumbnail


def clean(training: Dataset, held_out: Dataset | None = None) -> tuple[Dataset, dict[str, int]]:
    """Leave out what must not be learnt from, and say how many pictures fell to each reason.

    Dropped are pictures that most FER+ voters called no face, blank ones, those whose votes belong
    to another picture, and those that also occur in `held_out`, be it lighter, shrunk or packed
    otherwise.
    """
    reasons: dict[str, NDArray[np.bool_]] = {
        "blank": training.images.reshape(len(training), -1).std(axis=1) < BLANK_BELOW
    }
    if training.votes is not None:
        reasons["not a face"] = training.votes.argmax(axis=1) == NOT_A_FACE
    if training.align is not None:
        reasons["votes of another picture"] = training.align == VOTES_NOT_TRUSTWORTHY
    if held_out is not None:
        reasons["also held out"] = np.zeros(len(training), bool)
        reasons["also held out"][_copies(training.images, held_out.images)] = True
    dropped = np.zeros(len(training), bool)
    counts = {}
    for reason, rows in reasons.items():
        counts[reason] = int((rows & ~dropped).sum())
        dropped |= rows
    return training[~dropped], counts


def _copies(images: NDArray[np.uint8], held_out: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The rows of `images` that show a picture of `held_out`."""
    small = [np.stack([thumbnail(image) for image in one]) for one in (images, held_out)]
    return alike(images, small[0], held_out, small[1])[:, 0]
