"""The presets of the founding documents: what they declare, that they train, how they compare."""

import json
import typing
from pathlib import Path

import msgspec
import numpy as np
import pytest

from bench import founding
from bench.founding import EXPERIMENTS, Experiment, Figures, Result, Row, again, judge, table, write
from mien_convert.__main__ import main
from mien_convert.dataset import LABELS, Dataset, file_sha256
from mien_convert.errors import WorkshopError
from mien_convert.network import build, multiply_adds
from mien_convert.preset import (
    Convolution,
    Dense,
    Layer,
    Phase,
    Preset,
    load_preset,
    preset_names,
)

ROOT = Path(__file__).parent.parent
NAMES = [experiment.name for experiment in EXPERIMENTS]
PRESETS = {name: load_preset(name) for name in NAMES}
DENSE = [preset for name, preset in PRESETS.items() if name.startswith("dense")]


def pictures(
    folder: Path, labels: list[int], usage: list[int] | None = None, name: str = "noise"
) -> Path:
    images = np.random.default_rng(2).integers(0, 256, (len(labels), 48, 48), dtype=np.uint8)
    arrays = {"images": images, "labels": np.array(labels)}
    if usage is not None:
        arrays["usage"] = np.array(usage)
    path = folder / f"{name}.npz"
    np.savez(path, **arrays)
    return path


@pytest.fixture
def learnable(tmp_path: Path) -> Path:
    """245 pictures to learn from and 105 of PublicTest, all seven expressions in turn."""
    return pictures(tmp_path, list(range(7)) * 50, [0] * 245 + [1] * 105)


def test_every_preset_and_every_experiment_is_described() -> None:
    page = (ROOT / "docs" / "founding.md").read_text("utf-8")
    assert all(f"| `{name}` |" in page for name in NAMES)
    page = (ROOT / "docs" / "workshop" / "presets.md").read_text("utf-8")
    for name in preset_names():
        assert f"`{name}`" in page or name.startswith("dense-P"), name


def test_every_field_of_a_preset_is_described() -> None:
    page = (ROOT / "docs" / "workshop" / "presets.md").read_text("utf-8")
    for kind in (Preset, Phase, *typing.get_args(Layer)):
        for field in kind.__struct_fields__:
            assert f"`{field}`" in page, f"{field} of {kind.__name__}"


def test_three_classes_are_learnt_for_seventeen_epochs() -> None:
    preset = PRESETS["three-class"]
    assert set(preset.classes) == {"happiness", "neutral", "fear"}
    assert preset.epochs == 17


def test_four_classes_stop_early_after_eight_convolutions_of_vgg() -> None:
    preset = PRESETS["vgg11"]
    assert len(preset.classes) == 4
    assert preset.patience is not None
    filters = [one.filters for one in preset.layers if isinstance(one, Convolution)]
    assert filters == [64, 128, 256, 256, 512, 512, 512, 512]


def test_three_convolutions_double_their_filters() -> None:
    first, *rest = [one.filters for one in PRESETS["cnn3"].layers if isinstance(one, Convolution)]
    assert rest == [2 * first, 4 * first]


def test_the_dense_rows_differ_in_every_factor_of_the_tables() -> None:
    assert len({msgspec.json.encode(preset) for preset in DENSE}) == 14
    layers = [[one for one in preset.layers if isinstance(one, Dense)] for preset in DENSE]
    assert {len(each) for each in layers} == {1, 2, 3, 4}
    assert {one.units for each in layers for one in each} >= {64, 1024}
    assert {one.activation for each in layers for one in each} == {"relu", "sigmoid", "tanh"}
    assert {preset.phases[0].rate for preset in DENSE} == {1e-4, 1e-3, 1e-2, 1e-1}
    assert {preset.batch for preset in DENSE} >= {32, 256}
    assert {preset.epochs for preset in DENSE} >= {10, 50}
    assert all(preset.classes == list(LABELS) for preset in DENSE)


def refused(
    capsys: pytest.CaptureFixture[str], data: Path, out: Path, *options: str, preset: str = "cnn3"
) -> str:
    arguments = ["train", "--data", str(data), "--out", str(out), "--preset", preset, *options]
    assert main(arguments) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert not out.exists()
    return output.err.strip()


def test_two_pictures_in_a_set_of_seven_classes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sentence = refused(capsys, pictures(tmp_path, [3, 6]), tmp_path / "run")
    assert "no picture to learn anger or disgust or fear or sadness or surprise from" in sentence
    assert "(2 in all); expected some of each of anger, " in sentence
    assert len(sentence.splitlines()) == 1


def test_a_class_that_only_public_test_has_cannot_be_learnt(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = pictures(tmp_path, [3, 6, 3, 6, 2], [0, 0, 0, 0, 1])
    sentence = refused(capsys, data, tmp_path / "run", preset="three-class")
    assert "no picture to learn fear from (4 in all)" in sentence
    assert "leave the class out with --classes" in sentence
    sentence = refused(
        capsys, data, tmp_path / "run", "--classes", "happiness, neutral", preset="three-class"
    )
    assert "4 pictures to learn from; expected at least one batch of 64" in sentence


@pytest.mark.parametrize("classes", ["anger,joy", "anger,anger", "anger", ""])
def test_misspelt_or_too_few_classes(
    classes: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = pictures(tmp_path, list(range(7)))
    sentence = refused(capsys, data, tmp_path / "run", "--classes", classes)
    assert "expected two or more, each at most once, out of: anger, disgust, fear" in sentence


def finished(name: str, preset: Preset, sha256: str = "00") -> Result:
    figures = Figures(0.61, [0.6, 0.62], {"fear": 0.2, "happiness": 0.9}, {"happiness": 0.5})
    return Result(
        "short", preset, sha256, 300, 7, 7, preset.epochs, preset.epochs, 1.5, "2026-11-21",
        "2 cores of x86_64", figures,
    )  # fmt: skip


def rows() -> list[Row]:
    figures = Figures(0.8, [0.79, 0.81], {"fear": 0.7, "anger": None}, {"fear": 0.75})
    preset = PRESETS["three-class"]
    shared = (preset.classes, founding.described(preset), 543, 0.418)
    return [
        Row("three-class", ".7251", *shared, finished("three-class", preset.lasting(5)), figures),
        Row("three-class", ".7251", *shared, None, figures),
    ]


def test_the_table_shows_what_was_run_and_what_was_not() -> None:
    head, _, columns, line, done, missing = table("mien-fer-9", rows()).splitlines()
    assert "`mien-fer-9`" in head
    assert "short form: 2026-11-21 on 2 cores of x86_64" in head
    cells = done.split(" | ")
    assert len(cells) == len(columns.split(" | ")) == line.count("---")
    assert cells[4] == "convolution 32, 64, 128 relu; dense 128 relu; adam 0.001, batch 64"
    assert cells[5] == "short: 5 of 17 epochs, 300 pictures"
    assert cells[6:8] == ["0.610 [0.600, 0.620]", "happiness 0.90 (0.50)"]
    assert "| not run | – | – | 0.800 [0.790, 0.810] | fear 0.70 (0.75) |" in missing


def test_the_table_is_written_between_the_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- table -->\nold\n<!-- end of table -->\nafter\n")
    for text in ("one\n", "two\n"):
        write(page, text)
    assert page.read_text() == "before\n<!-- table -->\ntwo\n<!-- end of table -->\nafter\n"
    page.write_text("no marks")
    with pytest.raises(WorkshopError, match="to write between"):
        write(page, "text")
    with pytest.raises(WorkshopError, match="cannot be read"):
        write(tmp_path / "none.md", "text")


def test_classes_out_of_the_question_have_no_figures() -> None:
    logits = np.full((3, 7), -np.inf, np.float32)
    logits[:, [2, 3]] = [[0, 1], [1, 0], [1, 0]]
    figures = judge(logits, Dataset(np.zeros((3, 48, 48), np.uint8), np.array([3, 2, 3], np.uint8)))
    assert figures.accuracy == pytest.approx(2 / 3)
    assert figures.recall["happiness"] == 0.5
    assert figures.recall["anger"] is None


def test_a_finished_experiment_is_not_run_again(
    learnable: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "runs" / "short" / "cnn3"
    folder.mkdir(parents=True)
    result = finished("cnn3", EXPERIMENTS[2].preset("short"), file_sha256(learnable))
    (folder / "result.json").write_bytes(msgspec.json.encode(result))
    command = ["--data", str(learnable), "--out", str(tmp_path / "runs"), "--only", "cnn3"]
    assert founding.main([*command, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert list(document) == ["bundle", "experiments"]
    assert [row["experiment"] for row in document["experiments"]] == NAMES
    by_name = {row["experiment"]: row for row in document["experiments"]}
    assert by_name["cnn3"]["result"]["figures"]["accuracy"] == 0.61
    assert by_name["vgg11"]["result"] is None
    assert by_name["three-class"]["pictures"] == 45
    assert by_name["three-class"]["commonest"] == pytest.approx(1 / 3)

    other = pictures(tmp_path, list(range(7)) * 2, [0] * 7 + [1] * 7, "other")
    assert founding.main(["--data", str(other), *command[2:]]) == 2
    assert "was run with another preset or data file" in capsys.readouterr().err
    (folder / "result.json").write_text("{")
    assert founding.main(command) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_nothing_to_judge_by_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = pictures(tmp_path, list(range(7)))
    assert founding.main(["--data", str(data), "--out", str(tmp_path / "runs")]) == 2
    assert "has no rows of PublicTest by its array `usage`" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # TensorFlow's own are not ours to mend
@pytest.mark.timeout(600)
class TestWithTensorFlow:
    @pytest.fixture(autouse=True)
    def _tensorflow(self) -> None:
        pytest.importorskip("tensorflow")
        pytest.importorskip("keras")

    @pytest.mark.parametrize("name", NAMES)
    def test_each_network_is_built_in_both_forms(self, name: str) -> None:
        preset = PRESETS[name]
        model, fast = build(preset), build(preset, fast=True)
        fast.set_weights(model.get_weights())
        images = np.random.default_rng(3).random((2, 48, 48, 1), np.float32)
        assert model.predict(images, verbose=0).shape == (2, len(preset.classes))
        assert fast.predict(images, verbose=0).shape == (2, len(preset.classes))
        assert 0 < multiply_adds(model) < 400e6

    def test_an_experiment_is_run_once_and_judged_on_its_classes(
        self, learnable: Path, tmp_path: Path
    ) -> None:
        experiment = Experiment("three-class", "", short_epochs=2)
        result = again(experiment, learnable, tmp_path / "runs", "short")
        assert (result.epochs, result.best_epoch, result.pictures) == (2, 2, 105)
        known = [label for label, share in result.figures.recall.items() if share is not None]
        assert known == ["fear", "happiness", "neutral"]
        assert again(experiment, learnable, tmp_path / "runs", "short") == result
