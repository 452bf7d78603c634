"""Figures: they can be drawn from what the commands give, and are the same each time."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from mien.bundle import load_bundle, shipped_bundle
from mien_convert import plots
from mien_convert.dataset import LABELS, VOTE_COLUMNS, Dataset
from mien_convert.errors import WorkshopError
from mien_convert.evaluate import evaluate
from mien_convert.heads import alone

pytest.importorskip("matplotlib")


def figures(votes: bool = True, labels: int = 7) -> dict[str, Any]:
    random = np.random.default_rng(2)
    data = Dataset(
        np.zeros((60, 48, 48), np.uint8),
        random.integers(0, labels, 60).astype(np.uint8),
        random.integers(0, 10, (60, VOTE_COLUMNS)).astype(np.uint8) if votes else None,
    )
    logits = random.normal(size=(60, 7)).astype(np.float32)
    return evaluate(alone(logits), data, load_bundle(shipped_bundle()))


@pytest.mark.parametrize(
    ("draw", "votes"),
    [
        (plots.confusion, False),
        (plots.reliability, False),
        (plots.coverage, False),
        (plots.coverage, True),
    ],
)
def test_figures_are_drawn_and_the_same_each_time(draw: Any, votes: bool, tmp_path: Path) -> None:
    given = figures(votes, labels=7 if votes else 2)
    names = plots.save(draw(given), tmp_path, "one")
    assert names == ["one.png", "one.svg"]
    picture = cv2.imread(str(tmp_path / "one.png"))
    assert picture is not None
    assert np.ptp(picture) > 100
    plots.save(draw(given), tmp_path, "two")
    for kind in ("png", "svg"):
        assert (tmp_path / f"one.{kind}").read_bytes() == (tmp_path / f"two.{kind}").read_bytes()
    assert "<svg" in (tmp_path / "one.svg").read_text("utf-8")


def test_votes_without_any_majority(tmp_path: Path) -> None:
    tied = np.zeros((4, VOTE_COLUMNS), np.uint8)
    data = Dataset(np.zeros((4, 48, 48), np.uint8), np.zeros(4, np.uint8), tied)
    given = evaluate(alone(np.eye(7, dtype=np.float32)[:4]), data, load_bundle(shipped_bundle()))
    assert given["fer_plus_accuracy"] is None
    assert given["at_threshold"]["fer_plus_coverage"] is None
    plots.save(plots.coverage(given), tmp_path, "coverage")


def test_conditions_of_two_bundles(tmp_path: Path) -> None:
    table = [
        {"group": group, "name": name, "accuracy": accuracy}
        for group, name, accuracy in (
            ("clean", "", 0.7), ("blur", "σ 1 px", 0.6), ("blur", "σ 2 px", 0.4),
            ("occlusion", "eyes", 0.5),
        )
    ]  # fmt: skip
    plots.save(plots.robustness([("before", table), ("after", table)]), tmp_path, "robustness")
    text = (tmp_path / "robustness.svg").read_text("utf-8")
    for word in ("before", "after", "blur", "occlusion", "σ 2 px"):
        assert word in text


def test_averages_where_a_class_has_no_picture(tmp_path: Path) -> None:
    none = {"n": 0, "map": None}
    table = dict.fromkeys(LABELS, none) | {"fear": {"n": 3, "map": [[1.0, 0.0], [0.0, 0.0]]}}
    means = {"answered": np.zeros((7, 48, 48))}
    plots.save(plots.averages(means, {"answered": table}, (11.5, 24.0)), tmp_path, "averages")
    text = (tmp_path / "averages.svg").read_text("utf-8")
    assert "fear, 3" in text
    assert "anger, none" in text


def test_an_overlay_is_brightest_where_the_evidence_is() -> None:
    evidence = np.full((6, 6), -1.0)
    evidence[2, 4] = 1.0
    picture = np.full((48, 48), 100, np.uint8)
    # Cells 8 pixels apart, the first around pixel 7: cell (2, 4) is around pixel (23, 39).
    drawn = plots.overlay(picture, evidence, (7.0, 8.0)).astype(int)
    assert drawn.shape == (288, 288, 3)
    row, column = np.unravel_index(drawn.sum(axis=2).argmax(), drawn.shape[:2])
    assert (row / 6, column / 6) == pytest.approx((23, 39), abs=2)
    assert (drawn[:60, :60] == 100).all(), "what speaks against it stays grey"


def test_a_folder_that_is_gone_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(WorkshopError, match="cannot be written to"):
        plots.save(plots.confusion(figures()), tmp_path / "gone", "one")
