"""Runs side by side: found, described, sorted, drawn; broken ones named."""

import csv
import json
from pathlib import Path

import msgspec
import pytest

from mien_convert.__main__ import main
from mien_convert.experiments import COLUMNS, find_runs, shape, text_table
from mien_convert.preset import load_preset
from mien_convert.run import Epoch, Run


def write_run(folder: Path, preset: str, accuracies: list[float | None]) -> None:
    """What a training run leaves behind, without its networks."""
    history = [
        Epoch(number, 2.0 - 0.1 * number, 0.2 + 0.01 * number, accuracy and 2.1, accuracy, number)
        for number, accuracy in enumerate(accuracies, 1)
    ]
    run = Run(preset, load_preset(preset), 3, "00", 400, {}, [], 1_500_000, 96_000_000, history)
    checkpoint = folder / f"epoch-{len(history):04d}"
    checkpoint.mkdir(parents=True)
    (checkpoint / "run.json").write_bytes(msgspec.json.encode(run))


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Three runs, one of them without PublicTest, and two that are broken."""
    folder = tmp_path / "runs"
    write_run(folder / "good", "mien", [0.3, 0.5, 0.6])
    write_run(folder / "old" / "early", "vgg11", [0.3, 0.7, 0.4])
    write_run(folder / "unmeasured", "dense-P3", [None])
    (folder / "killed" / "unfinished").mkdir(parents=True)
    (folder / "torn" / "epoch-0002").mkdir(parents=True)
    (folder / "torn" / "epoch-0002" / "run.json").write_text('{"preset_name": "mi')
    (folder / "notes").mkdir()
    return folder


def test_runs_are_found_and_the_best_comes_first(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["experiments", str(runs), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert [run["name"] for run in result["runs"]] == ["old/early", "good", "unmeasured"]
    # vgg11 has patience, so its best epoch counts; else it is the last.
    early, good, unmeasured = result["runs"]
    assert (early["epoch"], early["epochs"], early["planned"]) == (2, 3, 40)
    assert early["accuracy"] == 0.7
    assert early["training_loss"] == pytest.approx(1.8)
    assert early["classes"] == ["anger", "happiness", "sadness", "neutral"]
    assert (good["epoch"], good["accuracy"], good["seconds"]) == (3, 0.6, 2.0)
    assert (good["rate"], good["batch"], good["seed"]) == (0.06, 128, 3)
    assert unmeasured["accuracy"] is None
    assert {one["name"] for one in result["broken"]} == {"killed", "torn"}


def test_the_table_names_what_is_broken(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["experiments", str(runs), "--sort", "name"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:5]] == ["run", "good", "old/early", "unmeasured"]
    assert "4 convolution, 3 residual  32 64 128×2 224×3" in lines[2]
    assert "1.50 M" in lines[2]
    assert "60.0 %" in lines[2]
    assert any("torn" in line and "not a whole checkpoint" in line for line in lines[5:])
    assert "left out: killed: it has not finished its first epoch" in lines[5:]


def test_headings_stand_above_their_columns(runs: Path) -> None:
    rows = msgspec.to_builtins(find_runs([runs])[0])
    lines = text_table(rows).splitlines()
    assert {len(line) for line in lines[1:]} == {max(map(len, lines))}
    assert lines[1].split()[-1] == "seed"


def test_a_run_itself_and_folders_that_overlap(runs: Path) -> None:
    assert [run.name for run in find_runs([runs / "good"])[0]] == [str(runs / "good")]
    experiments, _ = find_runs([runs / "good", runs])
    assert len(experiments) == 3


def test_the_curves_and_tables_are_written(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["experiments", str(runs), "--out", str(out)]) == 0
    assert "curves.png" in capsys.readouterr().out
    with (out / "experiments.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == ["old/early", "good", "unmeasured"]
    assert rows[0]["classes"] == "anger happiness sadness neutral"
    markdown = (out / "experiments.md").read_text("utf-8").splitlines()
    assert len(markdown) == 5
    assert {line.count("|") for line in markdown} == {len(COLUMNS) + 1}
    assert (out / "curves.png").stat().st_size > 10_000
    drawn = (out / "curves.svg").read_text("utf-8")
    assert "old/early, 70.0 %" in drawn


def test_nothing_to_compare_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["experiments", str(tmp_path)]) == 2
    assert "no training run in" in capsys.readouterr().err
    assert main(["experiments", str(tmp_path / "none")]) == 2
    assert "There is no folder" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_to_is_said(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blocked = runs / "good" / "epoch-0003" / "run.json"
    assert main(["experiments", str(runs), "--out", str(blocked)]) == 2
    assert "cannot be written to" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("preset", "told"),
    [
        ("dense-P5", ("2 dense", "128×2", "sigmoid")),
        ("mobilenetv2", ("1 MobileNetV2", "width 1", "relu6")),
        ("cnn3", ("3 convolution, 1 dense", "32 64 128×2", "relu")),
    ],
)
def test_networks_are_described(preset: str, told: tuple[str, str, str]) -> None:
    assert shape(load_preset(preset)) == told
