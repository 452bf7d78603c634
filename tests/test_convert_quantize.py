"""Quantising for real: what comes out, and what cannot become a bundle."""

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from mien.bundle import load_bundle
from mien_convert.__main__ import main
from mien_convert.dataset import LABELS, file_sha256
from mien_convert.errors import WorkshopError
from mien_convert.preset import Preset, load_preset, with_classes
from mien_convert.run import Epoch, Run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # TensorFlow's own are not ours to mend
    pytest.mark.timeout(600),
]

SMALL: dict[str, Any] = {
    "batch": 8,
    "phases": [{"epochs": 1, "rate": 0.1, "final_rate": 0.0, "augmentation": 0.0}],
    "layers": [
        {"type": "convolution", "filters": 8, "stride": 4},
        {"type": "convolution", "filters": 16, "stride": 2},
    ],
}
FLAT = [*SMALL["layers"], {"type": "dense", "units": 12}]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """130 pictures of noise: a network need not learn anything here."""
    pytest.importorskip("tensorflow")
    pytest.importorskip("keras")
    random = np.random.default_rng(3)
    path = tmp_path_factory.mktemp("data") / "noise.npz"
    images = random.integers(0, 256, (130, 48, 48), np.uint8)
    usage = np.array([0] * 110 + [1] * 20)
    np.savez(path, images=images, labels=np.arange(130) % 7, usage=usage)
    return path


def run_of(folder: Path, data: Path, preset: Preset) -> Path:
    """A run with one checkpoint of an untrained network."""
    from mien_convert.network import build, multiply_adds

    checkpoint = folder / "epoch-0001"
    checkpoint.mkdir(parents=True)
    model = build(preset)
    model.save(checkpoint / "averaged.keras")
    epoch = Epoch(1, 2.0, 0.1, 2.0, 0.1, 1.0)
    run = Run(
        preset_name="small", preset=preset, seed=1, data_sha256=file_sha256(data), pictures=110,
        left_out={}, teachers=[], parameters=model.count_params(),
        multiply_adds=multiply_adds(model), history=[epoch],
    )  # fmt: skip
    (checkpoint / "run.json").write_bytes(msgspec.json.encode(run))
    return folder


def preset(**changed: Any) -> Preset:
    return msgspec.convert(SMALL | changed, Preset)


def test_the_report_of_a_small_network(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_of(tmp_path / "run", data, preset())
    out = tmp_path / "small-1"
    assert main(["quantize", str(run), "--data", str(data), "--out", str(out), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    parity = document["parity"]
    assert parity["n"] == 20
    assert parity["lost"] == pytest.approx(parity["float_accuracy"] - parity["int8_accuracy"])
    assert parity["logit_difference"]["mean"] <= parity["logit_difference"]["max"] < 0.2
    layers = [layer["operation"] for layer in parity["layers"]]
    assert layers == ["CONV_2D", "CONV_2D", "AVERAGE_POOL_2D", "FULLY_CONNECTED"]
    assert all(0 <= layer["error"] < 1 for layer in parity["layers"]), parity["layers"]
    assert {one["verdict"] for one in document["edgetpu"]["operations"]} == {"edge tpu"}
    assert "MODEL_CARD.md" not in document["files"]
    bundle = load_bundle(out)
    assert bundle.lineage["preset"] == "small"
    assert bundle.lineage["data_sha256"] == file_sha256(data)
    assert bundle.lineage["epochs"] == 1

    # The same run again gives the same answers; only names within the file count on.
    again = tmp_path / "small-2"
    assert main(["quantize", str(run), "--data", str(data), "--out", str(again)]) == 0
    told = capsys.readouterr().out
    assert "same answer" in told
    assert "CONV_2D" in told
    assert "apt repository" in told
    for file in ("known_answer.npz", "head.npz"):
        assert load_bundle(again).files[file] == bundle.files[file]


def refused(run: Path, data: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["quantize", str(run), "--data", str(data), "--out", str(out)]) == 2
    assert not out.exists()
    return capsys.readouterr().err


def test_a_run_on_other_labels_is_no_bundle(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    three = with_classes(preset(), ["happiness", "neutral", "fear"])
    run = run_of(tmp_path / "run", data, three)
    said = refused(run, data, tmp_path / "three", capsys)
    assert "was trained to tell happiness, neutral, fear" in said
    assert f"the box reads {', '.join(LABELS)}" in said


def test_a_name_that_cannot_be_one(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_of(tmp_path / "run", data, preset())
    assert "A bundle cannot be called 'my bundle'" in refused(
        run, data, tmp_path / "my bundle", capsys
    )


def test_a_network_without_an_average_at_its_end_is_no_bundle(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_of(tmp_path / "run", data, preset(layers=FLAT))
    assert "ends" in refused(run, data, tmp_path / "flat", capsys)


def test_an_operation_the_edge_tpu_lacks_is_refused_with_the_list(
    data: Path, tmp_path: Path
) -> None:
    from mien_convert.network import require
    from mien_convert.quantize import quantize

    layers = require("keras.layers")
    image = layers.Input((48, 48, 1), name="image")
    x = layers.Conv2D(8, 3, 4, padding="same", activation="elu", name="features")(image)
    logits = layers.Dense(7, name="logits")(layers.GlobalAveragePooling2D()(x))
    model = require("keras").Model(image, logits)
    with np.load(data) as arrays, pytest.raises(WorkshopError) as raised:
        quantize(model, arrays["images"], tmp_path / "x.tflite")
    said = str(raised.value)
    assert "ELU version 1: the Edge TPU does not know it" in said
    assert "FULLY_CONNECTED version 4: it comes after DEQUANTIZE, which stays on the CPU" in said


def test_the_preset_of_the_shipped_bundle_needs_only_what_the_edge_tpu_knows(
    data: Path, tmp_path: Path
) -> None:
    from mien_convert.network import answering, build
    from mien_convert.quantize import quantize

    shipped = load_preset("mien")
    with np.load(data) as arrays:
        done = quantize(answering(build(shipped), shipped), arrays["images"], tmp_path / "x.tflite")
    assert {one.verdict for one in done.operations} == {"edge tpu"}
