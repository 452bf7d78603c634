"""Batch prediction: `python -m mien.predicting`, a process of its own, because the network and
numpy take more memory than the whole page. It opens no file but the bundle it is told of.

A crop says nothing of the turn, light and size of the face in its picture, so "cannot tell" here
means low confidence alone.
"""

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from mien.bundle import Bundle, load_bundle
from mien.classifier import LiteRTClassifier, known_answer, probabilities
from mien.events import EXPRESSIONS, MienError
from mien.predictions import Prediction, Task


class CropError(MienError, ValueError):
    """A crop cannot be read."""


def outputs(
    bundle: Bundle, crops: Iterable[bytes]
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Logits [7] and embedding [C] of each crop, a PNG.

    Raises:
        MienError: the network cannot be run, or a crop not be read.
    """
    classifier = LiteRTClassifier(bundle)
    known_answer(classifier)
    size = bundle.input.size
    for png in crops:
        image = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_GRAYSCALE) if png else None
        if image is None or image.shape != (size, size):
            raise CropError(
                f"a crop is no grey picture of {size}×{size} pixels; take the picture out of the "
                "library and add it again"
            )
        output = classifier.classify(image.astype(np.uint8, copy=False))
        yield output.logits, output.features.mean(axis=(0, 1))


def predict(task: Task) -> Iterator[Prediction]:
    """The answer for each crop, in their order. Raises MienError."""
    bundle = load_bundle(Path(task.bundle))
    limit = bundle.thresholds.confidence if task.min_confidence is None else task.min_confidence
    layer = np.frombuffer(task.head, "<f4").reshape(-1, len(EXPRESSIONS)) if task.head else None
    read = outputs(bundle, (crop.png for crop in task.crops))
    for crop, (logits, embedding) in zip(task.crops, read, strict=True):
        if layer is not None:
            logits = embedding @ layer[:-1] + layer[-1]
        shares = probabilities(logits, bundle.calibration.temperature)
        top = int(shares.argmax())
        yield Prediction(
            crop.id,
            top if shares[top] >= limit else None,
            shares.astype("<f4").tobytes(),
            embedding.astype("<f4").tobytes(),
        )


def main() -> int:
    """A `Task` on standard input; on standard output the `Prediction` of each crop, a line of JSON.
    What went wrong is a sentence on standard error."""
    try:
        task = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)
        for prediction in predict(task):
            sys.stdout.buffer.write(msgspec.json.encode(prediction) + b"\n")
            sys.stdout.buffer.flush()
    except (MienError, msgspec.MsgspecError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    os.nice(10)  # the camera's pictures are read meanwhile
    raise SystemExit(main())
