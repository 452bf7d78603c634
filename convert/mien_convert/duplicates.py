"""The same picture found twice, however it was packed, shrunk or lit.

Two pictures are the same when the whole, shrunk to 16×16, and the detail of the face correlate:
the 48×48 crop without what a Gaussian of 3 pixels leaves of it, so that two people who fill the
picture alike under the same lamp stay two. docs/workshop/library.md has the figures.
"""

from collections import defaultdict
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from mien_convert.dataset import LABELS
from mien_convert.library import THUMB, Faces, Library

WHOLE_ALIKE = 0.88
FACE_ALIKE = 0.62
DETAIL_PX = 3.0
_BLOCK = 1024

Pairs = NDArray[np.int64]
"""[n, 2], indices of two that are the same, the smaller first."""


def thumbnail(grey: NDArray[Any]) -> NDArray[np.uint8]:
    """A grey picture of any size, u8 [h, w], as u8 [16, 16]."""
    small = cv2.resize(grey, (THUMB, THUMB), interpolation=cv2.INTER_AREA)
    return small.astype(np.uint8, copy=False)


def alike(
    crops: NDArray[np.uint8],
    thumbs: NDArray[np.uint8],
    other_crops: NDArray[np.uint8] | None = None,
    other_thumbs: NDArray[np.uint8] | None = None,
) -> Pairs:
    """Which pictures are the same, among each other or each with others.

    Args:
        crops: u8 [N, 48, 48].
        thumbs: u8 [N, 16, 16].

    Returns:
        [n, 2], the first index into `crops`, the second into the others where they are given.
    """
    if not len(crops):
        return np.empty((0, 2), np.int64)
    within = other_crops is None or other_thumbs is None
    whole = _normal(thumbs)
    others = whole if other_thumbs is None or within else _normal(other_thumbs)
    second = crops if other_crops is None or within else other_crops
    found = [np.empty((0, 2), np.int64)]
    starts = range(0, len(crops), _BLOCK)
    for start in tqdm(starts, unit="block", disable=None, desc="looking for doubles", leave=False):
        offset = start if within else 0
        i, j = np.nonzero(whole[start : start + _BLOCK] @ others[offset:].T >= WHOLE_ALIKE)
        i, j = i + start, j + offset
        if within:
            i, j = i[j > i], j[j > i]
        for part in range(0, len(i), _BLOCK):
            a, b = i[part : part + _BLOCK], j[part : part + _BLOCK]
            same = np.einsum("np,np->n", _detail(crops[a]), _detail(second[b])) >= FACE_ALIKE
            found.append(np.stack([a[same], b[same]], axis=1))
    return np.concatenate(found)


def _detail(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    sharp = crops.astype(np.float32)
    return _normal(sharp - [cv2.GaussianBlur(crop, (0, 0), DETAIL_PX) for crop in sharp])


def _normal(images: NDArray[Any]) -> NDArray[np.float32]:
    """As vectors of length 1 without their mean, so that a product is a correlation; one number
    more makes pictures of one grey the same."""
    flat = images.reshape(len(images), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    blank = length < 1e-3
    return np.concatenate([flat / np.where(blank, 1, length), blank], axis=1, dtype=np.float32)


def joined(count: int, pairs: Pairs) -> NDArray[np.int64]:
    """For each of `count` things the smallest index of those it is joined with, directly or not."""
    root = np.arange(count)

    def find(i: int) -> int:
        while root[i] != i:
            root[i] = root[root[i]]
            i = int(root[i])
        return i

    for a, b in pairs:
        low, high = sorted((find(int(a)), find(int(b))))
        root[high] = low
    return np.array([find(i) for i in range(count)], np.int64)


def mark(library: Library) -> None:
    """Find what is the same in a library, and say of each family which picture is kept.

    Kept is one with the label of more than half of the family: one that its source holds out
    (PublicTest, PrivateTest), else the one that came first. Pictures with another label are in
    conflict; all of them where no label has more than half, for nobody can say which is right.
    Does nothing when no picture came or went since.
    """
    if not library.stale():
        return
    faces = library.faces("reason IS NULL")
    members = defaultdict(list)
    for index, family in enumerate(joined(len(faces), alike(faces.crops, faces.thumbs))):
        members[int(family)].append(index)
    families = {}
    for family in members.values():
        if len(family) == 1:
            continue
        count = np.bincount(faces.labels[family])
        right = int(count.argmax()) if 2 * count.max() > len(family) else -1
        agree = [index for index in family if faces.labels[index] == right] or family
        kept = min(agree, key=lambda index: (faces.usage[index] < 1, faces.ids[index]))
        for index in family:
            families[int(faces.ids[index])] = (int(faces.ids[kept]), faces.labels[index] != right)
    library.set_families(families)


def report(library: Library) -> dict[str, Any]:
    """Every family of a library: `identical` if all its faces agree in every pixel, `conflict` if
    its labels differ, `pictures` as `Library.describe` tells of them."""
    faces = library.faces("family IS NOT NULL")
    families = []
    for family in np.unique(faces.families):
        rows = np.flatnonzero(faces.families == family)
        families.append(
            {
                "identical": bool((faces.crops[rows] == faces.crops[rows[0]]).all()),
                "conflict": len(set(faces.labels[rows])) > 1,
                "pictures": library.describe(faces.ids[rows].tolist()),
            }
        )
    return {
        **summary(faces),
        "families": families,
    }


def summary(faces: Faces) -> dict[str, Any]:
    """Counts over families: how many, of how many pictures; those of equal pixels; conflicts."""
    exact: dict[bytes, set[int]] = defaultdict(set)
    size: dict[bytes, int] = defaultdict(int)
    for crop, label in zip(faces.crops, faces.labels, strict=True):
        exact[crop.tobytes()].add(int(label))
        size[crop.tobytes()] += 1
    labels = defaultdict(set)
    for family, label in zip(faces.families, faces.labels, strict=True):
        labels[int(family)].add(LABELS[label])
    return {
        "pictures": len(faces),
        "alike": len(labels),
        "alike_conflicts": sum(len(one) > 1 for one in labels.values()),
        "identical": sum(count > 1 for count in size.values()),
        "identical_conflicts": sum(len(exact[crop]) > 1 for crop in size if size[crop] > 1),
    }
