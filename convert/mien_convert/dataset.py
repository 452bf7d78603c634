"""FER-2013 with the votes of FER+: reading, and the targets a network learns.

FER-2013: Goodfellow et al. 2013, "Challenges in representation learning". FER+: Barsoum et al.
2016, "Training deep networks for facial expression recognition with crowd-sourced label
distribution".
"""

import hashlib
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.events import EXPRESSIONS
from mien.filenames import reason
from mien_convert.errors import DatasetError

LABELS = EXPRESSIONS
USAGES = ("Training", "PublicTest", "PrivateTest")
# FER+ votes: neutral, happiness, surprise, sadness, anger, disgust, fear, contempt, unknown, NF.
VOTE_COLUMNS = 10
VOTE_OF_LABEL = [4, 5, 6, 1, 3, 2, 0]
NOT_A_FACE = 9
VOTES_NOT_TRUSTWORTHY = 3
BLANK_BELOW = 1.0  # standard deviation of the grey values, out of 255


@dataclass(frozen=True)
class Dataset:
    """Pictures of faces with one label each.

    images u8 [N, 48, 48]; labels u8 [N], indices into LABELS; votes u8 [N, 10] of FER+ or None;
    usage u8 [N], indices into USAGES, or None; align u8 [N], 3 where the votes belong elsewhere, or
    None.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    votes: NDArray[np.uint8] | None = None
    usage: NDArray[np.uint8] | None = None
    align: NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, rows: NDArray[Any]) -> "Dataset":
        """The rows chosen by a mask or by indices."""
        return Dataset(
            self.images[rows],
            self.labels[rows],
            None if self.votes is None else self.votes[rows],
            None if self.usage is None else self.usage[rows],
            None if self.align is None else self.align[rows],
        )


def load_dataset(path: Path, usage: str | None = None) -> Dataset:
    """Read an npz file with `images` and `labels`, and where present `fer_plus`, `usage`, `align`.

    Other arrays are ignored. With `usage` only the rows of that part are returned.
    Raises DatasetError when the file is missing, broken, empty or not of this shape.
    """
    if not path.is_file():
        raise DatasetError(f"There is no data file {path}; expected an .npz file with pictures.")
    if not zipfile.is_zipfile(path):
        raise DatasetError(f"{path} is not an .npz file, or only a part of one; copy it again.")
    try:
        with np.load(path, allow_pickle=False) as stored:
            names = ("images", "labels", "fer_plus", "usage", "align")
            arrays = {name: stored[name] for name in names if name in stored.files}
    except (OSError, ValueError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise DatasetError(f"{path} cannot be read as an .npz file: {reason(error)}.") from error

    for name in ("images", "labels"):
        if name not in arrays:
            raise DatasetError(f"{path} has no array `{name}`; it needs `images` and `labels`.")
    images, labels = arrays["images"], arrays["labels"]
    if images.ndim != 3 or images.shape[1:] != (48, 48) or images.dtype != np.uint8:
        raise DatasetError(
            f"{path}: `images` is {images.dtype} {list(images.shape)}; expected uint8 [N, 48, 48]."
        )
    if len(images) == 0:
        raise DatasetError(f"{path} holds no pictures.")
    _check_rows(path, "labels", labels, len(images), len(LABELS))
    if "usage" in arrays:
        _check_rows(path, "usage", arrays["usage"], len(images), len(USAGES))
    if "align" in arrays:
        _check_rows(path, "align", arrays["align"], len(images), 256)
    if "fer_plus" in arrays:
        votes = arrays["fer_plus"]
        if votes.shape != (len(images), VOTE_COLUMNS) or votes.dtype != np.uint8:
            raise DatasetError(
                f"{path}: `fer_plus` is {votes.dtype} {list(votes.shape)}; "
                f"expected uint8 [{len(images)}, {VOTE_COLUMNS}]."
            )

    def small(name: str) -> NDArray[np.uint8] | None:
        return arrays[name].astype(np.uint8) if name in arrays else None

    dataset = Dataset(
        images, labels.astype(np.uint8), small("fer_plus"), small("usage"), small("align")
    )
    if usage is None:
        return dataset
    if dataset.usage is None:
        raise DatasetError(f"{path} has no array `usage`, so no part {usage} can be chosen.")
    part = dataset[dataset.usage == USAGES.index(usage)]
    if len(part) == 0:
        raise DatasetError(f"{path} holds no pictures of the part {usage}.")
    return part


def _check_rows(path: Path, name: str, array: NDArray[Any], rows: int, end: int) -> None:
    if array.shape != (rows,) or array.dtype.kind not in "iu":
        raise DatasetError(
            f"{path}: `{name}` is {array.dtype} {list(array.shape)}; expected integers [{rows}]."
        )
    wrong = np.flatnonzero((array < 0) | (array >= end))
    if len(wrong):
        raise DatasetError(
            f"{path}: `{name}` of picture {wrong[0]} is {array[wrong[0]]}; "
            f"expected 0 to {end - 1} ({len(wrong)} such)."
        )


def of_classes(dataset: Dataset, classes: Sequence[str]) -> Dataset:
    """The pictures with one of these labels."""
    return dataset[np.isin(dataset.labels, [LABELS.index(name) for name in classes])]


def missing(dataset: Dataset, classes: Sequence[str]) -> list[str]:
    """Those of `classes` that no picture is labelled with."""
    return [name for name in classes if not (dataset.labels == LABELS.index(name)).any()]


def vote_shares(votes: NDArray[np.uint8], classes: Sequence[str] = LABELS) -> NDArray[np.float32]:
    """FER+ votes u8 [N, 10] as shares f32 [N, classes]; zeros where there is no vote for them."""
    columns = [VOTE_OF_LABEL[LABELS.index(name)] for name in classes]
    counted = votes[:, columns].astype(np.float32)
    total = np.maximum(counted.sum(axis=1, keepdims=True), 1)
    return np.asarray(counted / total, np.float32)


def vote_majority(votes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The label most FER+ voters chose, [N]; −1 where it is a tie or none of the seven."""
    highest = votes.max(axis=1, keepdims=True)
    single = (votes == highest).sum(axis=1) == 1
    column_to_label = np.full(VOTE_COLUMNS, -1)
    column_to_label[VOTE_OF_LABEL] = np.arange(len(LABELS))
    return np.where(single, column_to_label[votes.argmax(axis=1)], -1)


def targets(
    dataset: Dataset, classes: Sequence[str], smoothing: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What the two heads shall answer: each row of f32 [N, classes] is a distribution.

    The first is the label, smoothed; the second the shares of the FER+ votes, and again the first
    where nobody voted for one of the classes.
    """
    column = np.array([classes.index(name) if name in classes else -1 for name in LABELS])
    one_hot = np.eye(len(classes), dtype=np.float32)[column[dataset.labels]]
    word = one_hot * np.float32(1 - smoothing) + np.float32(smoothing / len(classes))
    if dataset.votes is None:
        return word, word
    shares = vote_shares(dataset.votes, classes)
    voted = shares.sum(axis=1, keepdims=True) > 0
    return word, np.where(voted, shares, word)


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
