"""Two questions, two heads: which word FER-2013 would give, and what most people would see.

The words of FER-2013 come from the search that found the pictures, the votes of FER+ from ten
people who looked at each. The two agree on 72 % of the clear pictures, so no one answer can be
right by both. The network says one thing; `head.npz` also keeps the two heads that its answer was
mixed from, so that each can be held against its own truth. They stand on the mean of the last
feature map, which the int8 file gives.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from mien.bundle import Bundle
from mien.classifier import LiteRTClassifier, Output

HEADS = ("word", "votes")


class Answers(NamedTuple):
    """Logits f32 [N, 7] of the same pictures."""

    said: NDArray[np.float32]
    """What the box says."""
    word: NDArray[np.float32]
    """Which word FER-2013 would give."""
    votes: NDArray[np.float32]
    """What most people would see."""

    @property
    def are_apart(self) -> bool:
        """Whether the heads answer otherwise than the box."""
        return self.word is not self.said

    def of(self, rows: NDArray[np.bool_]) -> "Answers":
        """Those of the chosen pictures."""
        if not self.are_apart:
            return alone(self.said[rows])
        return Answers(self.said[rows], self.word[rows], self.votes[rows])


def alone(said: NDArray[np.float32]) -> Answers:
    """What the box says as the answer to all questions: for other data than FER-2013, and for a
    bundle without heads."""
    return Answers(said, said, said)


def has_heads(bundle: Bundle) -> bool:
    """Whether the bundle keeps the two heads of its answer."""
    with np.load(bundle.path / "head.npz", allow_pickle=False) as head:
        return all(f"{name}_weights" in head.files for name in HEADS)


def answers(bundle: Bundle, outputs: list[Output]) -> Answers:
    """The three answers from what the network gave for N pictures."""
    said = np.stack([output.logits for output in outputs])
    if not has_heads(bundle):
        return alone(said)
    embeddings = np.stack([output.features.mean(axis=(0, 1)) for output in outputs])
    with np.load(bundle.path / "head.npz", allow_pickle=False) as head:
        word, votes = (embeddings @ head[f"{n}_weights"] + head[f"{n}_bias"] for n in HEADS)
    return Answers(said, word.astype(np.float32), votes.astype(np.float32))


def read_answers(classifier: LiteRTClassifier, images: NDArray[np.uint8]) -> Answers:
    """The three answers to pictures u8 [N, 48, 48], read one by one as on the box."""
    bar = tqdm(images, "reading pictures", leave=False, disable=None)
    return answers(classifier.bundle, [classifier.classify(image) for image in bar])


class BundleTeacher:
    """A bundle as a teacher: what its two heads say of a batch, as a Keras network tells it."""

    def __init__(self, bundle: Bundle) -> None:
        self._classifier = LiteRTClassifier(bundle)

    def predict_on_batch(self, images: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Logits f32 [N, 7] for the word and for the votes; `images` f32 [N, 48, 48, 1] in 0…1."""
        pictures = np.rint(images[..., 0] * 255).astype(np.uint8)
        outputs = [self._classifier.classify(picture) for picture in pictures]
        told = answers(self._classifier.bundle, outputs)
        return [told.word, told.votes]
