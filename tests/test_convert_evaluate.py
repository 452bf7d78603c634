"""The figures of a bundle against values worked out by hand."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mien.bundle import load_bundle, shipped_bundle
from mien.classifier import LiteRTClassifier, ScriptedClassifier, probabilities
from mien.commands.demo import portrait
from mien_convert.__main__ import main
from mien_convert.bundle import drawings
from mien_convert.dataset import LABELS, VOTE_COLUMNS, Dataset
from mien_convert.errors import DatasetError
from mien_convert.evaluate import (
    at_threshold,
    by_source,
    calibration_error,
    choose_threshold,
    difference,
    evaluate,
    fit_temperature,
    intervals,
    measure,
    read_logits,
    read_sources,
    restricted,
)
from mien_convert.heads import Answers, alone
from mien_convert.sides import sides
from mien_convert.speed import cost, speed


def dataset(labels: list[int], votes: Any = None) -> Dataset:
    images = np.zeros((len(labels), 48, 48), np.uint8)
    ballots = None if votes is None else np.array(votes, np.uint8)
    return Dataset(images, np.array(labels, np.uint8), ballots)


def logits(answers: list[int], confidence: float = 0.9) -> NDArray[np.float32]:
    """Logits whose softmax gives `confidence` to the answer and the same to each other label."""
    height = math.log(confidence / ((1 - confidence) / 6))
    return np.eye(7, dtype=np.float32)[answers] * np.float32(height)


def test_figures_of_a_small_confusion() -> None:
    # anger, anger, anger, fear → anger, anger, fear, fear
    figures = measure(logits([0, 0, 2, 2]), dataset([0, 0, 0, 2]), temperature=1.0)
    assert list(figures) == ["n", "accuracy", "macro_f1", "ece", "per_class", "confusion"]
    assert figures["n"] == 4
    assert figures["accuracy"] == 0.75
    anger, fear = figures["per_class"]["anger"], figures["per_class"]["fear"]
    assert anger == {"recall": pytest.approx(2 / 3), "precision": 1.0, "f1": 0.8, "n": 3}
    assert fear == {"recall": 1.0, "precision": 0.5, "f1": pytest.approx(2 / 3), "n": 1}
    absent = {"recall": None, "precision": None, "f1": None, "n": 0}
    assert figures["per_class"]["disgust"] == absent
    assert figures["macro_f1"] == pytest.approx((0.8 + 2 / 3) / 2)
    assert figures["confusion"][0] == [2, 0, 1, 0, 0, 0, 0]
    assert figures["confusion"][2] == [0, 0, 1, 0, 0, 0, 0]
    assert figures["ece"] == pytest.approx(0.15, abs=1e-6)
    assert list(figures["per_class"]) == list(LABELS)


def test_a_class_never_answered_counts_against_the_mean() -> None:
    figures = measure(logits([0, 0]), dataset([0, 1]), 1.0)
    disgust = figures["per_class"]["disgust"]
    assert disgust == {"recall": 0.0, "precision": None, "f1": 0.0, "n": 1}
    assert figures["macro_f1"] == pytest.approx((2 / 3 + 0) / 2)


def test_fer_plus_accuracy_is_over_clear_majorities() -> None:
    ballots = np.zeros((4, VOTE_COLUMNS), np.uint8)
    ballots[0, 4] = 10  # anger
    ballots[1, 0] = 10  # neutral
    ballots[2, [0, 4]] = 5  # a tie
    ballots[3, 7] = 10  # contempt
    figures = measure(logits([0, 0, 0, 0]), dataset([1, 1, 1, 1], ballots), 1.0)
    assert figures["fer_plus_accuracy"] == 0.5
    assert figures["accuracy"] == 0.0


def test_without_any_majority_there_is_no_fer_plus_accuracy() -> None:
    ballots = np.zeros((1, VOTE_COLUMNS), np.uint8)
    assert measure(logits([0]), dataset([0], ballots), 1.0)["fer_plus_accuracy"] is None


def test_calibration_error_over_bins() -> None:
    # Two bins: .9 sure and half of it right, .5 sure and all right; 2 and 1 pictures.
    confidence = np.array([0.9, 0.9, 0.5])
    right = np.array([True, False, True])
    assert calibration_error(confidence, right) == pytest.approx((2 * 0.4 + 1 * 0.5) / 3)
    assert calibration_error(np.ones(5), np.ones(5, bool)) == 0.0


def test_calibration_error_uses_the_temperature() -> None:
    answers, labels = logits([0] * 10, 0.9), dataset([0] * 5 + [1] * 5)
    assert measure(answers, labels, 1.0)["ece"] == pytest.approx(0.4, abs=1e-6)
    assert measure(answers, labels, 100.0)["ece"] == pytest.approx(0.5 - 1 / 7, abs=0.02)


def test_the_temperature_makes_confidence_what_it_is_worth() -> None:
    labels = np.array([0] * 70 + [1] * 30, np.uint8)
    overconfident = logits([0] * 100, 0.98)
    temperature = fit_temperature(overconfident, labels)
    assert temperature > 1
    # The other six share the rest evenly, so the optimum on these is the share that is right.
    assert probabilities(overconfident, temperature)[0, 0] == pytest.approx(0.7, abs=0.01)


def test_the_threshold_is_the_lowest_that_is_right_enough() -> None:
    sure, unsure = logits([0] * 50, 0.9), logits([0] * 50, 0.505)
    labels = dataset([0] * 46 + [1] * 4 + [0] * 25 + [1] * 25)
    answers = np.concatenate([sure, unsure])
    threshold, coverage, right = choose_threshold(answers, labels, 1.0, wanted=0.85)
    assert (threshold, coverage) == (0.51, 0.5)
    assert right == pytest.approx(0.92)
    assert choose_threshold(answers, labels, 1.0, wanted=0.5)[:2] == (0.0, 1.0)


def test_a_threshold_out_of_reach_still_labels_a_quarter() -> None:
    answers = np.concatenate([logits([0] * 30, 0.6), logits([0] * 70, 0.3)])
    threshold, coverage, right = choose_threshold(answers, dataset([1] * 100), 1.0)
    assert coverage == 0.3
    assert right == 0.0
    assert threshold == pytest.approx(0.59, abs=0.011)


def test_pictures_are_read_one_by_one() -> None:
    read = read_logits(ScriptedClassifier(["anger", "neutral"]), np.zeros((3, 48, 48), np.uint8))
    assert read.shape == (3, 7)
    assert read.argmax(axis=1).tolist() == [0, 6, 6]


def test_intervals_hold_the_figure_and_are_the_same_each_time() -> None:
    answers, data = logits([0] * 60 + [2] * 40, 0.7), dataset([0] * 50 + [2] * 50)
    figures, ranges = measure(answers, data, 1.0), intervals(answers, data, 1.0)
    assert ranges == intervals(answers, data, 1.0)
    for name in ("accuracy", "macro_f1"):
        low, high = ranges[name]
        assert low < figures[name] < high
    # 90 of 100 right: the normal approximation gives ± 1.96 · √(.9 · .1 / 100) = ± .059.
    assert ranges["accuracy"] == pytest.approx([0.841, 0.959], abs=0.015)
    assert ranges["recall"]["anger"] == [1.0, 1.0]
    assert ranges["recall"]["disgust"] is None
    assert ranges["fer_plus_accuracy"] is None


def test_the_first_keys_are_those_that_were_promised() -> None:
    ballots = np.zeros((2, VOTE_COLUMNS), np.uint8)
    ballots[:, 4] = 10
    told = dataset([0, 2], ballots)
    figures = evaluate(alone(logits([0, 0])), told, load_bundle(shipped_bundle()))
    assert list(figures)[:7] == [
        "n", "accuracy", "macro_f1", "ece", "per_class", "confusion", "fer_plus_accuracy",
    ]  # fmt: skip
    assert figures["balanced_accuracy"] == 0.5
    assert figures["restricted"]["classes"] == ["anger", "fear"]
    assert sum(one["n"] for one in figures["reliability"]) == 2
    assert len(figures["coverage_curve"]) == 100


def test_each_head_is_held_against_what_it_learnt() -> None:
    ballots = np.zeros((2, VOTE_COLUMNS), np.uint8)
    ballots[:, 0] = 10  # neutral
    answers = Answers(said=logits([0, 6]), word=logits([0, 1]), votes=logits([6, 6]))
    bundle = load_bundle(shipped_bundle())
    figures = evaluate(answers, dataset([0, 1], ballots), bundle)
    assert figures["accuracy"] == 1
    assert figures["fer_plus_accuracy"] == 1
    assert figures["intervals"]["fer_plus_accuracy"] == [1, 1]
    assert figures["answer"]["accuracy"] == 0.5
    assert figures["answer"]["fer_plus_accuracy"] == 0.5
    assert figures["at_threshold"]["fer_plus_right"] == 0.5, "the threshold is the box's"
    alone_figures = evaluate(alone(answers.said), dataset([0, 1], ballots), bundle)
    assert "answer" not in alone_figures
    assert alone_figures["accuracy"] == 0.5


def test_an_answer_can_be_restricted_to_the_classes_that_occur() -> None:
    scores = np.array([[0, 5, 1, 0, 0, 0, 3]], np.float32)
    assert restricted(scores, [2, 6]).argmax(axis=1).tolist() == [6]
    assert probabilities(restricted(scores, [2, 6]), 1.0)[0, 1] == 0.0


def test_what_a_threshold_leaves() -> None:
    ballots = np.zeros((4, VOTE_COLUMNS), np.uint8)
    ballots[:3, 4] = 10  # anger; the last picture has no majority
    answers = np.concatenate([logits([0, 0], 0.9), logits([0, 0], 0.4)])
    left = at_threshold(answers, dataset([0, 1, 0, 0], ballots), 1.0, 0.5)
    assert left == {
        "threshold": 0.5, "coverage": 0.5, "right": 0.5,
        "fer_plus_coverage": pytest.approx(2 / 3), "fer_plus_right": 1.0,
    }  # fmt: skip
    assert at_threshold(answers, dataset([0] * 4), 1.0, 0.95)["right"] is None


def test_two_bundles_are_compared_on_the_same_pictures() -> None:
    compared = difference(logits([0, 0, 1, 2]), logits([0, 1, 1, 1]), np.array([0, 0, 0, -1]))
    assert compared["accuracy"] == pytest.approx(1 / 3)
    assert compared["agreement"] == pytest.approx(2 / 3)
    low, high = compared["interval"]
    assert low == 0.0
    assert 1 / 3 < high <= 1


def test_figures_by_source(tmp_path: Path) -> None:
    file = tmp_path / "two.npz"
    rows: dict[str, Any] = {"labels": np.array([0, 1, 0]), "usage": np.array([0, 1, 1])}
    np.savez(file, source=np.array(["box", "box", "web"]), **rows)
    sources = read_sources(file, "PublicTest")
    assert sources is not None
    assert sources.tolist() == ["box", "web"]
    table = by_source(
        alone(logits([0, 0])), dataset([1, 0]), sources, load_bundle(shipped_bundle())
    )
    assert list(table["web"]) == ["n", "accuracy", "macro_f1", "ece"]
    assert (table["box"]["accuracy"], table["web"]["accuracy"]) == (0.0, 1.0)
    np.savez(file, **rows)
    assert read_sources(file) is None
    np.savez(file, source=np.array([1, 2, 3]), **rows)
    with pytest.raises(DatasetError, match=r"expected strings \[3\]"):
        read_sources(file)


def test_the_same_file_by_reference_kernels_and_as_on_the_box() -> None:
    bundle = load_bundle(shipped_bundle())
    images = drawings()
    data = Dataset(images, (np.arange(len(images)) % 7).astype(np.uint8))
    box = read_logits(LiteRTClassifier(bundle), images)
    found = sides(bundle, box, data)
    assert list(found["accuracy"]) == ["reference", "box"]
    (pair,) = found["pairs"]
    assert pair["sides"] == ["reference", "box"]
    assert pair["agreement"] >= 0.9
    assert 0 <= pair["mean_difference"] <= pair["largest_difference"] < 0.05 * np.ptp(box)


def test_what_an_inference_costs() -> None:
    bundle = load_bundle(shipped_bundle())
    assert cost(bundle)[0] == bundle.lineage["multiply_adds"]
    measured = speed(LiteRTClassifier(bundle), drawings())
    assert 0 < measured["ms"] < 1000
    assert measured["gmacs"] == pytest.approx(measured["multiply_adds"] / measured["ms"] / 1e6)
    if measured["peak_gmacs"] is not None:
        assert measured["share_of_peak"] == measured["gmacs"] / measured["peak_gmacs"]


# ── the command ──────────────────────────────────────────────────────────────────────────────────


def told(capsys: pytest.CaptureFixture[str], *arguments: object) -> Any:
    """Run `mien-convert evaluate` on the shipped bundle; returns its JSON."""
    command = ["evaluate", str(shipped_bundle()), *map(str, arguments), "--json"]
    assert main(command) == 0
    return json.loads(capsys.readouterr().out)


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main(["evaluate", str(shipped_bundle()), *map(str, arguments)]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    return output.err


def crops(folder: Path, *classes: str) -> Path:
    """A folder for each class with three drawn faces of 48×48 in each."""
    for name in classes:
        (folder / name).mkdir(parents=True)
        for number, picture in enumerate(drawings()[:3]):
            cv2.imwrite(str(folder / name / f"{number}.png"), picture)
    return folder


def test_the_command_writes_figures_and_a_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images, out = drawings()[:7], tmp_path / "figures"
    votes = np.zeros((7, VOTE_COLUMNS), np.uint8)
    votes[:, 0] = 10
    file = tmp_path / "faces.npz"
    np.savez(
        file, images=images, labels=np.arange(7), fer_plus=votes, source=np.array(["a"] * 7)
    )  # fmt: skip
    figures = told(
        capsys, "--data", file, "--conditions", "--sides", "--against", shipped_bundle(),
        "--out", out,
    )  # fmt: skip
    assert {path.name for path in out.iterdir()} == set(figures["files"])
    assert set(figures["files"]) >= {"confusion.png", "robustness.svg", "figures.json", "report.md"}
    written = json.loads((out / "figures.json").read_text("utf-8"))
    assert written == {name: value for name, value in figures.items() if name != "files"}
    assert figures["against"]["difference"]["agreement"] == 1.0
    assert figures["against"]["fer_plus_difference"]["accuracy"] == 0.0
    assert figures["against"]["conditions"] == figures["conditions"]
    report = (out / "report.md").read_text("utf-8")
    for part in ("## Worse pictures", "## By source", "## Side by side", "## Cost", "before, "):
        assert part in report
    assert main(["evaluate", str(shipped_bundle()), "--data", str(file), "--conditions"]) == 0
    assert "| face size 24 px |" in capsys.readouterr().out


def test_photographs_go_through_the_face_finder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photograph = cv2.imread(str(portrait()))
    cv2.imwrite(str(tmp_path / "a.png"), photograph)
    cv2.imwrite(str(tmp_path / "wall.png"), np.full((300, 300, 3), 120, np.uint8))
    (tmp_path / "labels.csv").write_text("file,label\na.png,Happy\nwall.png,happiness\n")
    figures = told(capsys, "--folder", tmp_path)
    assert figures["n"] == 1
    found = figures["photographs"]
    assert (found["n"], found["with_face"], found["without_face"]) == (2, 1, ["wall.png"])
    assert found["missed"] == {"happiness": 1}
    assert figures["restricted"]["balanced_accuracy"] == 1.0
    assert figures["restricted"]["balanced_accuracy_of_all"] == 0.5
    assert found["balanced_accuracy_of_all"] == figures["balanced_accuracy"] / 2


def test_crops_in_folders_are_read_as_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = crops(tmp_path, "angry", "happiness")
    figures = told(capsys, "--folder", folder)
    assert figures["n"] == figures["photographs"]["cropped_already"] == 6
    assert figures["restricted"]["classes"] == ["anger", "happiness"]
    assert main(["evaluate", str(shipped_bundle()), "--folder", str(folder)]) == 0
    assert "among anger, happiness only" in capsys.readouterr().out


def test_a_wrong_folder_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no folder" in refused(capsys, "--folder", tmp_path / "none")
    assert "neither labels.csv nor a folder" in refused(capsys, "--folder", tmp_path)
    crops(tmp_path, "anger", "hapiness")
    assert "did you mean happiness" in refused(capsys, "--folder", tmp_path)
    (tmp_path / "hapiness").rename(tmp_path / "happiness")
    (tmp_path / "sad").mkdir()
    assert "holds no pictures, nothing" in refused(capsys, "--folder", tmp_path)
    (tmp_path / "sad" / "notes.txt").write_text("sad")
    assert "only notes.txt" in refused(capsys, "--folder", tmp_path)


def test_wrong_labels_are_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), drawings()[0])
    labels = tmp_path / "labels.csv"
    for text, sentence in (
        ("a.png,anger\nb.png,fear\nc.png,fear\n", "names 2 of 3 pictures that are not in"),
        ("b.png,fear\na.png,anger\n", "names 1 of 2 pictures that are not in"),
        ("a.png,anger\na.png,Grief\n", "line 2: 'Grief' is no expression"),
        ("a.png\n", "line 1: expected a file and an expression"),
        ("file,label\n", "names no pictures"),
    ):
        labels.write_text(text)
        assert sentence in refused(capsys, "--folder", tmp_path)
    labels.unlink()
    assert "cannot be read" in refused(capsys, "--folder", tmp_path, "--labels", labels)


def test_a_folder_without_any_face_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    crops(tmp_path, "anger")
    for file in (tmp_path / "anger").iterdir():
        cv2.imwrite(str(file), np.full((300, 300), 90, np.uint8))
    assert "No face was found in any of the 3" in refused(capsys, "--folder", tmp_path)


def test_a_bundle_for_other_labels_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    shutil.copytree(shipped_bundle(), other)
    toml = other / "bundle.toml"
    toml.write_text(toml.read_text("utf-8").replace('"disgust", "fear"', '"boredom"'), "utf-8")
    assert "Mien needs anger, disgust" in refused(capsys, "--data", "x.npz", "--against", other)


def test_options_that_do_not_go_together_are_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "--usage" in refused(capsys, "--folder", tmp_path, "--usage", "PublicTest")
    assert "--labels" in refused(capsys, "--data", "x.npz", "--labels", "y.csv")
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert "cannot be made" in refused(capsys, "--data", "x.npz", "--out", blocked)
