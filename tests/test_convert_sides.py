"""The float network beside its int8 file, and a network with random weights beside both."""

import json
from pathlib import Path

import numpy as np
import pytest

from drawn import drawn
from mien_convert.__main__ import main

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # TensorFlow's own are not ours to mend
    pytest.mark.timeout(900),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """A data file of drawn faces, a run of one epoch on it, and the bundle of that run."""
    pytest.importorskip("tensorflow")
    pytest.importorskip("keras")
    folder = tmp_path_factory.mktemp("made")
    random = np.random.default_rng(5)
    labels = random.integers(0, 7, 300)
    images = [drawn(int(label), random) for label in labels]
    data = folder / "drawn.npz"
    np.savez(data, images=np.stack(images), labels=labels, usage=np.array([0] * 260 + [1] * 40))
    bundle = folder / "drawn"
    command = ["make", "--data", str(data), "--out", str(bundle), "--epochs", "1", "--json"]
    assert main(command) == 0
    return data, bundle.with_name("drawn-run"), bundle


def test_float_reference_and_box_side_by_side(
    made: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    data, run, bundle = map(str, made)
    command = ["evaluate", bundle, "--data", data, "--usage", "PublicTest", "--run", run, "--json"]
    assert main(command) == 0
    figures = json.loads(capsys.readouterr().out)
    sides = figures["sides"]
    assert list(sides["accuracy"]) == ["float", "reference", "box"]
    assert [pair["sides"] for pair in sides["pairs"]] == [
        ["float", "reference"], ["float", "box"], ["reference", "box"],
    ]  # fmt: skip
    assert all(pair["agreement"] >= 0.7 for pair in sides["pairs"])
    assert sides["accuracy"]["box"] == figures["answer"]["accuracy"], "what the box says"


def test_a_run_of_another_bundle_is_one_sentence(
    made: tuple[Path, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from mien.bundle import shipped_bundle

    data, run, _ = map(str, made)
    shipped = str(shipped_bundle())
    assert main(["evaluate", shipped, "--data", data, "--run", run]) == 2
    assert "is not the network that" in capsys.readouterr().err
    assert main(["evaluate", shipped, "--data", data, "--run", str(tmp_path)]) == 2
    assert "holds no finished epoch" in capsys.readouterr().err


def test_a_random_network_is_part_of_the_sanity_check(
    made: tuple[Path, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, run, bundle = map(str, made)
    command = ["explain", bundle, "--data", data, "--usage", "PublicTest", "--overlays", "1"]
    assert main([*command, "--run", run, "--out", str(tmp_path), "--json"]) == 0
    sanity = json.loads(capsys.readouterr().out)["sanity"]
    for check in (sanity["head"], sanity["network"]):
        assert check["pictures"] == 40
        assert -1 <= check["rank_correlation"] <= 1
        assert abs(check["rank_correlation"]) <= check["rank_correlation_size"] <= 1
