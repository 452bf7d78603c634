"""Pictures made worse, each in the way it says."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mien.bundle import load_bundle, shipped_bundle
from mien.classifier import LiteRTClassifier
from mien.reading import sharpness
from mien_convert.bundle import drawings
from mien_convert.conditions import CONDITIONS, EYES, MOUTH, Condition, degrade, robustness
from mien_convert.dataset import Dataset

FACES = drawings()[:6]


def worse(group: str, name: str) -> NDArray[np.uint8]:
    (condition,) = [one for one in CONDITIONS if (one.group, one.name) == (group, name)]
    return degrade(FACES, condition)


@pytest.mark.parametrize("condition", CONDITIONS, ids=lambda c: f"{c.group} {c.name}")
def test_each_change_gives_other_pictures_of_the_same_kind_each_time(condition: Condition) -> None:
    before = FACES.copy()
    changed = degrade(FACES, condition)
    assert changed.shape == FACES.shape
    assert changed.dtype == np.uint8
    assert (changed != FACES).any()
    assert (before == FACES).all(), "the pictures given are left alone"
    assert (degrade(FACES, condition) == changed).all()


def test_no_condition_is_there_twice() -> None:
    names = [(one.group, one.name) for one in CONDITIONS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("group", "names"),
    [("face size", ["40 px", "24 px", "16 px"]), ("blur", ["σ 0.5 px", "σ 1 px", "σ 2 px"])],
)
def test_detail_goes_with_the_degree(group: str, names: list[str]) -> None:
    detail = [float(np.mean([sharpness(p) for p in worse(group, name)])) for name in names]
    assert detail == sorted(detail, reverse=True)


def test_light_and_contrast() -> None:
    mean, spread = FACES.mean(), FACES.std()
    assert worse("brightness", "+25").mean() == pytest.approx(mean + 25, abs=1)
    assert worse("brightness", "−25").mean() == pytest.approx(mean - 25, abs=1)
    assert worse("contrast", "× 0.5").std() == pytest.approx(spread / 2, rel=0.05)
    assert worse("gamma", "2.5").mean() < mean < worse("gamma", "0.4").mean()


@pytest.mark.parametrize(("name", "rows"), [("eyes", EYES), ("mouth", MOUTH)])
def test_a_band_covers_its_rows_only(name: str, rows: tuple[int, int]) -> None:
    changed = worse("occlusion", name)
    assert np.ptp(changed[:, slice(*rows)], axis=(1, 2)).max() == 0
    assert (np.delete(changed, slice(*rows), 1) == np.delete(FACES, slice(*rows), 1)).all()


def test_a_shift_moves_and_a_scale_enlarges() -> None:
    assert (worse("shift across", "+3 px")[:, :, 3:] == FACES[:, :, :-3]).all()
    assert (worse("shift down", "−6 px")[:, :-6] == FACES[:, 6:]).all()
    background = (FACES == 40).mean()
    assert (worse("crop scale", "× 0.8") == 40).mean() > background


def test_the_table_begins_with_clean_pictures_and_is_the_same_for_the_same_bundle(
    tmp_path: Path,
) -> None:
    classifier = LiteRTClassifier(load_bundle(shipped_bundle()))
    labels = np.array([0, 3, 3, 4, 6, 6], np.uint8)
    one, other = robustness([classifier, classifier], Dataset(FACES, labels))
    assert one == other
    assert len(one) == len(CONDITIONS) + 1
    first: dict[str, Any] = one[0]
    assert list(first) == [
        "group", "name", "accuracy", "change", "fer_plus_accuracy", "fer_plus_change",
        "cannot_tell", "ece",
    ]  # fmt: skip
    assert (first["group"], first["change"], first["fer_plus_accuracy"]) == ("clean", 0.0, None)
    for row in one:
        assert row["change"] == pytest.approx(row["accuracy"] - first["accuracy"])
        assert 0 <= row["cannot_tell"] <= 1
