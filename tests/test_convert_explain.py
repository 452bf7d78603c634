"""Class-activation maps: they are what they claim to be, lie where they should, and are checked."""

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest

from mien.bundle import Bundle, load_bundle, shipped_bundle
from mien.classifier import LiteRTClassifier
from mien.commands.demo import portrait
from mien_convert.__main__ import main
from mien_convert.bundle import drawings
from mien_convert.dataset import LABELS
from mien_convert.errors import WorkshopError
from mien_convert.explain import (
    activation_maps,
    average_maps,
    cell_centres,
    check_head,
    likeness,
    read_head,
)

SHIPPED = load_bundle(shipped_bundle())


def test_the_mean_of_a_map_and_the_bias_make_the_logit() -> None:
    logits, maps = activation_maps(LiteRTClassifier(SHIPPED), drawings())
    _, bias = read_head(SHIPPED)
    assert maps.shape[:2] == (12, 7)
    remade = (maps.mean(axis=(2, 3)) + bias).clip(logits.min(), logits.max())  # the range of int8
    assert remade == pytest.approx(logits, abs=0.05 * float(np.ptp(logits)))


def changed_head(folder: Path, **arrays: Any) -> Bundle:
    shutil.copytree(SHIPPED.path, folder / "b")
    (folder / "b" / "head.npz").unlink()
    if arrays:
        np.savez(folder / "b" / "head.npz", **arrays)
    return msgspec.structs.replace(SHIPPED, path=folder / "b")


def test_a_head_of_another_network_is_refused(tmp_path: Path) -> None:
    weights, bias = read_head(SHIPPED)
    for number, arrays in enumerate(
        ({"weights": weights[:, ::-1], "bias": bias}, {"weights": weights[:9], "bias": bias},
         {"weights": weights[:, :4], "bias": bias[:4]})
    ):  # fmt: skip
        (tmp_path / str(number)).mkdir()
        bundle = changed_head(tmp_path / str(number), **arrays)
        with pytest.raises(WorkshopError, match="not the last layer of its network"):
            activation_maps(LiteRTClassifier(bundle), drawings()[:4])
    (tmp_path / "none").mkdir()
    with pytest.raises(WorkshopError, match="cannot be read"):
        read_head(changed_head(tmp_path / "none"))


def test_cells_lie_where_they_answer_to() -> None:
    """A dot moves the features of the cells around it: their middle is the dot's place."""
    start, jump = cell_centres(SHIPPED)
    classifier = LiteRTClassifier(SHIPPED)
    plain = drawings()[0]
    before = classifier.classify(plain).features
    places = []
    for x in range(18, 36, 3):
        for y in range(18, 36, 3):
            dotted = plain.copy()
            dotted[y - 1 : y + 2, x - 1 : x + 2] ^= 0x80
            moved = np.abs(classifier.classify(dotted).features - before).sum(axis=2)
            cells = np.arange(len(moved))
            row, column = ((moved.sum(axis=axis) * cells).sum() / moved.sum() for axis in (1, 0))
            places.append((start + jump * column - x, start + jump * row - y))
    assert np.abs(np.mean(places, axis=0)).max() < 1.5


def test_likeness_of_maps() -> None:
    random = np.random.default_rng(3)
    one, other = random.normal(size=(2, 6, 6))
    assert likeness(one, one) == pytest.approx((1.0, 1.0))
    assert likeness(one, 3 * one + 7) == pytest.approx((1.0, 1.0))
    assert likeness(one, -one)[0] == pytest.approx(-1.0)
    assert abs(likeness(one, other)[0]) < 0.5
    assert likeness(one, np.ones((6, 6))) == (0.0, 0.0)


def test_random_weights_lose_the_map() -> None:
    check = check_head(LiteRTClassifier(SHIPPED), drawings())
    assert check["pictures"] == 12
    assert check["passed"] == (check["rank_correlation_size"] < check["limit"])
    assert check == check_head(LiteRTClassifier(SHIPPED), drawings())


def test_averages_are_over_the_maps_of_the_class() -> None:
    maps = np.arange(2 * 7 * 4, dtype=np.float32).reshape(2, 7, 2, 2)
    table = average_maps(maps, np.array([3, 3]))
    assert table["anger"] == {"n": 0, "map": None}
    assert table["happiness"]["n"] == 2
    assert table["happiness"]["map"] == maps[:, 3].mean(axis=0).tolist()


# ── the command ──────────────────────────────────────────────────────────────────────────────────


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main(["explain", str(SHIPPED.path), *map(str, arguments)]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    return output.err


def test_pictures_and_folders_are_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = tmp_path / "in" / "happy", tmp_path / "out"
    folder.mkdir(parents=True)
    for number, picture in enumerate(drawings()[:3]):
        cv2.imwrite(str(folder / f"{number}.png"), picture)
    photograph = tmp_path / "photograph.png"
    cv2.imwrite(str(photograph), cv2.imread(str(portrait())))
    command = ["explain", str(SHIPPED.path), str(tmp_path / "in"), str(photograph)]
    assert main([*command, "--out", str(out), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["n"] == 4
    assert sum(result["answered"].values()) == 4
    assert [one["label"] for one in result["pictures"]] == ["happiness"] * 3 + [None]
    assert result["pictures"][3]["answer"] in LABELS
    assert result["averages"]["labelled"]["happiness"]["n"] == 3
    assert result["sanity"]["network"] is None
    assert {path.name for path in out.iterdir()} == set(result["files"])
    assert set(result["files"]) > {"averages.png", "averages.svg", "explain.json"}
    drawn = cv2.imread(str(out / result["pictures"][0]["overlay"]))
    assert drawn is not None
    assert drawn.shape == (288, 576, 3)


def test_a_data_file_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, out = tmp_path / "f.npz", tmp_path / "out"
    np.savez(file, images=drawings(), labels=np.arange(12) % 7, usage=np.arange(12) % 2)
    command = ["explain", str(SHIPPED.path), "--data", str(file), "--usage", "PublicTest"]
    assert main([*command, "--overlays", "2", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert f"faces read by {SHIPPED.name}: 6" in printed
    assert "with a random last layer: rank correlation" in printed
    assert len(list(out.glob("00*.png"))) == 2


def test_what_cannot_be_explained_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, empty, wall = tmp_path / "out", tmp_path / "empty", tmp_path / "wall.png"
    empty.mkdir()
    cv2.imwrite(str(wall), np.full((300, 300), 90, np.uint8))
    text = tmp_path / "notes.txt"
    text.write_text("not a picture")
    for arguments, sentence in (
        ([], "Name pictures or folders"),
        ([wall, "--data", "x.npz"], "one of the two"),
        ([wall, "--usage", "PublicTest"], "--usage"),
        ([empty], "holds no pictures, nothing"),
        ([tmp_path / "none.jpg"], "no picture or folder"),
        ([wall], "No face was found in any of the 1"),
        ([text], "1 could not be read"),
    ):
        assert sentence in refused(capsys, *arguments, "--out", out)
    assert not out.exists()
    assert "cannot be made" in refused(
        capsys, portrait(), "--out", text
    )  # fmt: skip
