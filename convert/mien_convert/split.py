"""Training, PublicTest, PrivateTest: nothing that belongs together crosses, and what does is found.

Together belong pictures that are the same (see duplicates) and pictures of one person.
"""

import itertools
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien_convert.dataset import LABELS, USAGES, load_dataset
from mien_convert.duplicates import Pairs, alike, joined, thumbnail
from mien_convert.errors import WorkshopError
from mien_convert.library import THUMB, Faces, Library

EXAMPLES = 20
"""Crossing pictures that a report names."""


_NO_PERSONS = (
    "If the folders above the pictures are no persons, import with --no-persons into a new library."
)


class SplitError(WorkshopError, ValueError):
    """The pictures cannot be split as asked."""


def assign(
    labels: NDArray[np.int64], groups: NDArray[np.int64], shares: Sequence[float], seed: int
) -> NDArray[np.int64]:
    """Give each group to a part so that each label comes near its shares.

    Groups are shuffled, then taken from the largest to the smallest; each goes where the squares of
    what is missing, summed over the labels, shrink most. No part with a share stays empty while
    another has two groups.

    Args:
        labels: [N], indices.
        groups: [N], the same number for what must stay together.
        shares: one for each part, summing to 1; a part of share 0 gets nothing.

    Returns:
        [N], index of the part.
    """
    _, group = np.unique(groups, return_inverse=True)
    content = np.zeros((group.max(initial=-1) + 1, labels.max(initial=-1) + 1))
    np.add.at(content, (group, labels), 1)
    order = np.random.default_rng(seed).permutation(len(content))
    order = order[np.argsort(-content[order].sum(axis=1), kind="stable")]
    total = content.sum(axis=0)
    missing = np.outer(shares, total)
    open_parts = np.flatnonzero(np.asarray(shares) > 0)
    part_of_group = np.zeros(len(content), np.int64)
    weight = 1 / np.maximum(total, 1)
    for index in order:
        given = content[index]
        gain = (weight * given * (2 * missing[open_parts] - given)).sum(axis=1)
        part = open_parts[gain.argmax()]
        missing[part] -= given
        part_of_group[index] = part
    # Where groups are few and large, a small share may have got none.
    for part in open_parts:
        groups_of = np.bincount(part_of_group, minlength=len(shares))
        if groups_of[part] == 0 and groups_of.max() > 1:
            of_most = [index for index in order if part_of_group[index] == groups_of.argmax()]
            part_of_group[of_most[-1]] = part
    return part_of_group[group]


def split(library: Library, shares: Sequence[float], seed: int) -> dict[str, Any]:
    """Put every face of a library that was not dropped into a part.

    Raises:
        SplitError: there are too few pictures, or they all belong together.
    """
    everything = library.faces("TRUE")
    usable = np.isin(everything.ids, library.faces().ids)
    # Who is in a dropped double is also in the one that was kept.
    groups = _together(everything)[usable]
    labels = everything.labels[usable]
    needed = sum(share > 0 for share in shares)
    count = np.bincount(labels, minlength=len(LABELS))
    few = [f"{LABELS[i]} {n}" for i, n in enumerate(count) if 0 < n < needed]
    if few or len(labels) == 0:
        raise SplitError(
            f"The library has {len(labels)} usable faces in {(count > 0).sum()} of "
            f"{len(LABELS)} classes{' (' + ', '.join(few) + ')' if few else ''}: too few to split "
            f"into {needed} parts. Expected are at least {needed} faces of each class that occurs; "
            "import more."
        )
    found = len(np.unique(groups))
    if found < needed:
        raise SplitError(
            f"All {len(labels)} faces are of {found} {'person' if found == 1 else 'persons'}, too "
            f"few for {needed} parts that share none; import pictures of other people. "
            f"{_NO_PERSONS}"
        )
    parts = assign(labels, groups, shares, seed)
    library.set_parts(
        dict(zip(everything.ids[usable].tolist(), parts.tolist(), strict=True)),
        {"by": "shares", "shares": list(shares), "seed": seed},
    )
    return outcome(library)


def keep_parts(library: Library) -> dict[str, Any]:
    """Leave every face in the part that its source puts it in, and leave out of Training what also
    occurs in another part.

    PublicTest and PrivateTest stay whole, doubles, blank pictures and all, so that figures on them
    can be compared with those of others.

    Raises:
        SplitError: no source of the library has parts, or one of them would be empty.
    """
    faces = library.faces("usage IS NOT NULL")
    if len(faces) == 0:
        raise SplitError(
            "No source of the library puts its pictures into parts; split it with --shares."
        )
    usable = np.isin(faces.ids, library.faces().ids)
    groups = _together(faces)
    leaked = np.isin(groups, groups[faces.usage > 0])
    stays = (faces.usage > 0) | (usable & ~leaked)
    _refuse_empty(faces, stays)
    library.set_parts(
        dict(zip(faces.ids[stays].tolist(), faces.usage[stays].tolist(), strict=True)),
        {"by": "source", "shares": None, "seed": None},
    )
    return outcome(library)


def _refuse_empty(faces: Faces, stays: NDArray[np.bool_]) -> None:
    """Raises SplitError when Training keeps nothing, or nothing is held out."""
    training = faces.usage == 0
    if not training.any():
        raise SplitError(
            f"The sources put all {len(faces)} faces into "
            f"{' and '.join(USAGES[part] for part in np.unique(faces.usage))} and none into "
            f"{USAGES[0]}. Import the part to learn from, or split with --shares."
        )
    if training.all():
        raise SplitError(
            f"The sources put all {len(faces)} faces into {USAGES[0]}, and hold out none to "
            "measure with. Import the part to measure with, or split with --shares."
        )
    if (stays & training).any():
        return
    held_out = {person for person, usage in zip(faces.persons, faces.usage, strict=True) if usage}
    persons = {
        person for person, usage in zip(faces.persons, faces.usage, strict=True) if not usage
    }
    both = sorted(person for person in persons & held_out if person is not None)
    why = (
        f"each of them is of a person who is also in another part ({', '.join(both[:3])}), or is "
        f"the same picture as one there. {_NO_PERSONS}"
        if both
        else "each of them is dropped, or the same picture as one in another part. See: "
        "mien-convert library LIBRARY duplicates"
    )
    raise SplitError(f"{USAGES[0]} would be empty: of its {training.sum()} faces {why}")


def _together(faces: Faces) -> NDArray[np.int64]:
    """[N], the same number for rows that are joined by families and persons."""
    first: dict[object, int] = {}
    pairs = [
        (first.setdefault(key, index), index)
        for index in range(len(faces))
        for key in (int(faces.families[index]), faces.persons[index])
        if key is not None
    ]
    return joined(len(faces), np.array(pairs, np.int64).reshape(-1, 2))


def outcome(library: Library) -> dict[str, Any]:
    """How a library is split: for each part the faces of each label."""
    faces = library.faces("part IS NOT NULL")
    parts = {
        usage: {
            label: int(((faces.parts == p) & (faces.labels == k)).sum())
            for k, label in enumerate(LABELS)
        }
        for p, usage in enumerate(USAGES)
    }
    return {**(library.split() or {}), "faces": len(faces), "parts": parts}


def leaks(library: Library) -> dict[str, Any]:
    """What occurs in two parts: those of the split, or of the sources while there is none.

    Raises:
        SplitError: there are no parts.
    """
    by_split = library.split() is not None
    faces = library.faces("part IS NOT NULL" if by_split else "usage IS NOT NULL")
    if len(faces) == 0:
        raise SplitError(
            "The library is not split and its sources name no parts; run "
            f"mien-convert library {library.folder} split"
        )
    parts = faces.parts if by_split else faces.usage
    pairs = alike(faces.crops, faces.thumbs)
    persons = _persons(faces, parts)
    crossing = []
    for low, high in itertools.combinations(range(len(USAGES)), 2):
        ends = parts[pairs]
        turned = pairs[(ends == (high, low)).all(axis=1)][:, ::-1]
        of_both = np.concatenate([pairs[(ends == (low, high)).all(axis=1)], turned])
        crossing.append(
            {
                "parts": [USAGES[low], USAGES[high]],
                **_ends(of_both, faces.crops, faces.crops),
                "persons": sum({low, high} <= where for where in persons.values()),
                "examples": [
                    library.describe(faces.ids[pair].tolist()) for pair in of_both[:EXAMPLES]
                ],
            }
        )
    return {"by": "split" if by_split else "source", "faces": len(faces), "crossing": crossing}


def leaks_against(library: Library, data: Path) -> dict[str, Any]:
    """What of a library also occurs in an .npz file, part by part of that file.

    Raises:
        DatasetError: the file cannot be read.
    """
    faces = library.faces()
    other = load_dataset(data)
    pairs = alike(faces.crops, _thumbs(faces.crops), other.images, _thumbs(other.images))
    usage = np.full(len(other), -1) if other.usage is None else other.usage.astype(np.int64)
    crossing = []
    for part in np.unique(usage).tolist():
        of_part = pairs[usage[pairs[:, 1]] == part]
        crossing.append(
            {
                "parts": ["library", data.name if part < 0 else f"{data.name} {USAGES[part]}"],
                **_ends(of_part, faces.crops, other.images),
                "persons": None,
                "examples": [
                    [*library.describe([int(faces.ids[a])]), {"source": data.name, "row": int(b)}]
                    for a, b in of_part[:EXAMPLES]
                ],
            }
        )
    return {"by": data.name, "faces": len(faces), "crossing": crossing}


def _thumbs(crops: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.array([thumbnail(crop) for crop in crops], np.uint8).reshape(-1, THUMB, THUMB)


def _ends(
    pairs: Pairs, first: NDArray[np.uint8], second: NDArray[np.uint8]
) -> dict[str, list[int]]:
    """How many different pictures there are at either end: of those that agree in every pixel, and
    of all that are the same."""
    equal = np.array([(first[a] == second[b]).all() for a, b in pairs], bool)
    return {
        name: [len(np.unique(chosen[:, 0])), len(np.unique(chosen[:, 1]))]
        for name, chosen in (("identical", pairs[equal]), ("alike", pairs))
    }


def _persons(faces: Faces, parts: NDArray[np.int64]) -> dict[str, set[int]]:
    """In which parts each person occurs."""
    where: dict[str, set[int]] = defaultdict(set)
    for person, part in zip(faces.persons, parts.tolist(), strict=True):
        if person is not None:
            where[person].add(part)
    return where
