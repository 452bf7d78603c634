"""Reading and cleaning training pictures: what is dropped, what is aimed at, what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien_convert.augment import augment
from mien_convert.cleaning import clean
from mien_convert.dataset import (
    LABELS,
    VOTE_COLUMNS,
    Dataset,
    load_dataset,
    missing,
    of_classes,
    targets,
    vote_majority,
    vote_shares,
)
from mien_convert.errors import DatasetError


def pictures(count: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(0, 256, (count, 48, 48), dtype=np.uint8)


def save(folder: Path, **arrays: Any) -> Path:
    path = folder / "faces.npz"
    np.savez(path, **arrays)
    return path


def votes(**counts: int) -> list[int]:
    names = (
        "neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt",
        "unknown", "nobody",
    )  # fmt: skip
    return [counts.get(name, 0) for name in names]


def test_a_file_with_more_arrays_and_other_integers_is_read(tmp_path: Path) -> None:
    path = save(tmp_path, images=pictures(3), labels=np.array([0, 6, 3]), row=np.arange(3))
    dataset = load_dataset(path)
    assert len(dataset) == 3
    assert dataset.labels.tolist() == [0, 6, 3]
    assert dataset.votes is None


def test_a_part_is_chosen_by_usage(tmp_path: Path) -> None:
    path = save(tmp_path, images=pictures(3), labels=np.array([0, 6, 3]), usage=np.array([0, 1, 1]))
    assert load_dataset(path, "PublicTest").labels.tolist() == [6, 3]
    with pytest.raises(DatasetError, match="no pictures of the part PrivateTest"):
        load_dataset(path, "PrivateTest")


def test_a_part_needs_the_array_usage(tmp_path: Path) -> None:
    path = save(tmp_path, images=pictures(1), labels=np.zeros(1, int))
    with pytest.raises(DatasetError, match="no array `usage`"):
        load_dataset(path, "Training")


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"labels": np.zeros(2, int)}, "no array `images`"),
        ({"images": pictures(2)}, "no array `labels`"),
        ({"images": pictures(0), "labels": np.zeros(0, int)}, "holds no pictures"),
        (
            {"images": pictures(2).astype(np.float32), "labels": np.zeros(2, int)},
            r"`images` is float32 \[2, 48, 48\]; expected uint8 \[N, 48, 48\]",
        ),
        ({"images": pictures(2)[:, :32], "labels": np.zeros(2, int)}, r"\[2, 32, 48\]"),
        ({"images": pictures(2), "labels": np.zeros(3, int)}, r"`labels` is int64 \[3\]"),
        ({"images": pictures(2), "labels": np.zeros(2)}, "`labels` is float64"),
        ({"images": pictures(2), "labels": np.array([0, 7])}, "picture 1 is 7; expected 0 to 6"),
        ({"images": pictures(2), "labels": np.array([-1, 0])}, "picture 0 is -1"),
        (
            {"images": pictures(2), "labels": np.zeros(2, int), "fer_plus": np.zeros((2, 8))},
            r"`fer_plus` is float64 \[2, 8\]",
        ),
        (
            {"images": pictures(2), "labels": np.zeros(2, int), "usage": np.array([0, 3])},
            "`usage` of picture 1 is 3",
        ),
        (
            {"images": np.array([{}], object), "labels": np.zeros(1, int)},
            "cannot be read as an .npz file",
        ),
    ],
)
def test_wrong_arrays_are_refused_in_a_sentence(
    tmp_path: Path, arrays: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(DatasetError, match=sentence):
        load_dataset(save(tmp_path, **arrays))


def test_files_of_another_kind_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="There is no data file"):
        load_dataset(tmp_path / "none.npz")
    with pytest.raises(DatasetError, match="There is no data file"):
        load_dataset(tmp_path)
    text = tmp_path / "text.npz"
    text.write_text("no pictures here")
    with pytest.raises(DatasetError, match="is not an"):
        load_dataset(text)
    empty = tmp_path / "empty.npz"
    empty.touch()
    with pytest.raises(DatasetError, match="is not an"):
        load_dataset(empty)
    single = tmp_path / "single.npy"
    np.save(single, pictures(1))
    with pytest.raises(DatasetError, match="is not an"):
        load_dataset(single)
    whole = save(tmp_path, images=pictures(9), labels=np.zeros(9, int)).read_bytes()
    spoilt = tmp_path / "spoilt.npz"
    spoilt.write_bytes(whole[:5000] + bytes(500) + whole[5500:])
    with pytest.raises(DatasetError, match="cannot be read"):
        load_dataset(spoilt)
    torn = tmp_path / "torn.npz"
    torn.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DatasetError, match="is not an"):
        load_dataset(torn)


def test_cleaning_counts_each_picture_once() -> None:
    images = pictures(6)
    images[0] = 17
    seen = votes(neutral=10)
    ballots = np.array([seen, votes(nobody=6, fear=4), seen, seen, seen, seen], np.uint8)
    ballots[0] = votes(nobody=10)
    training = Dataset(
        images, np.arange(6, dtype=np.uint8), ballots, None, np.array([0, 0, 3, 0, 1, 2], np.uint8)
    )
    held_out = Dataset(images[3:4], np.zeros(1, np.uint8))
    kept, counts = clean(training, held_out)
    assert kept.labels.tolist() == [4, 5]
    assert counts == {
        "blank": 1,
        "not a face": 1,
        "votes of another picture": 1,
        "also held out": 1,
    }


def test_a_lighter_copy_of_a_held_out_picture_is_not_learnt_from() -> None:
    training = Dataset(pictures(3) // 2 + 60, np.arange(3, dtype=np.uint8))
    held_out = Dataset(pictures(3)[1:2], np.zeros(1, np.uint8))
    kept, counts = clean(training, held_out)
    assert kept.labels.tolist() == [0, 2]
    assert counts == {"blank": 0, "also held out": 1}


def test_votes_become_shares_in_the_order_of_the_labels() -> None:
    ballots = np.array([votes(anger=3, neutral=1, contempt=4, unknown=2)], np.uint8)
    shares = dict(zip(LABELS, vote_shares(ballots)[0].tolist(), strict=True))
    assert shares == {
        "anger": 0.75, "disgust": 0, "fear": 0, "happiness": 0, "sadness": 0, "surprise": 0,
        "neutral": 0.25,
    }  # fmt: skip


def test_each_expression_is_found_in_its_own_column() -> None:
    ballots = np.array([votes(**{label: 6}, unknown=4) for label in LABELS], np.uint8)
    assert vote_majority(ballots).tolist() == list(range(7))
    assert ballots.shape[1] == VOTE_COLUMNS


def test_a_tie_or_a_majority_outside_the_seven_is_no_majority() -> None:
    ballots = np.array(
        [
            votes(anger=5, fear=5),
            votes(contempt=6, anger=4),
            votes(unknown=6, anger=4),
            votes(nobody=10),
            votes(anger=4, contempt=4, fear=2),
        ],
        np.uint8,
    )
    assert vote_majority(ballots).tolist() == [-1] * 5


def test_targets_are_the_smoothed_label_and_the_votes() -> None:
    ballots = np.array([votes(anger=3, neutral=1), votes(unknown=10)], np.uint8)
    dataset = Dataset(pictures(2), np.array([2, 2], np.uint8), ballots)
    word, shares = targets(dataset, LABELS, smoothing=0.07)
    assert word.sum(axis=1) == pytest.approx([1, 1])
    assert word[:, 2] == pytest.approx([0.94, 0.94])
    assert shares[0].tolist() == [0.75, 0, 0, 0, 0, 0, 0.25]
    assert shares[1].tolist() == word[1].tolist(), "without votes the label alone"


def test_targets_of_some_classes_leave_the_others_out() -> None:
    ballots = np.array([votes(anger=6, fear=1, happiness=3), votes(anger=10)], np.uint8)
    dataset = Dataset(pictures(2), np.array([3, 2], np.uint8), ballots)
    word, shares = targets(dataset, ["happiness", "fear"], smoothing=0.0)
    assert word.tolist() == [[1, 0], [0, 1]]
    assert shares.tolist() == [[0.75, 0.25], [0, 1]]


def test_pictures_of_some_classes() -> None:
    dataset = Dataset(pictures(4), np.array([0, 3, 6, 3], np.uint8))
    assert of_classes(dataset, ["happiness", "neutral"]).labels.tolist() == [3, 6, 3]
    assert missing(dataset, ["happiness", "fear", "sadness"]) == ["fear", "sadness"]


def test_augmenting_is_repeatable_and_leaves_the_pictures_alone() -> None:
    images = pictures(40)
    before = images.copy()
    one = augment(images, np.random.default_rng(3))
    assert one.shape == images.shape
    assert one.dtype == np.uint8
    assert (images == before).all()
    assert (one == augment(images, np.random.default_rng(3))).all()
    assert (one != augment(images, np.random.default_rng(4))).any()
    assert augment(images, np.random.default_rng(3), 0.0) is images
