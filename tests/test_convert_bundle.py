"""What is said of operations on the Edge TPU, its compiler, and the zip for the box."""

import json
import os
import shutil
import stat
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from mien import facemodel
from mien.bundle import load_bundle, shipped_bundle
from mien.classifier import interpreter
from mien.config import default_state_dir
from mien_convert.__main__ import main
from mien_convert.bundle import _toml, drawings, pack
from mien_convert.card import model_card
from mien_convert.edgetpu import SUPPORTED, compile_model, examine
from mien_convert.errors import DatasetError, WorkshopError
from mien_convert.quantize import parity, representative

MODEL = shipped_bundle() / "expression.tflite"


# ── the verdicts ─────────────────────────────────────────────────────────────────────────────────


def test_all_of_the_shipped_network_runs_on_the_edge_tpu() -> None:
    operations = examine(MODEL)
    assert {one.verdict for one in operations} == {"edge tpu"}
    assert {one.reason for one in operations} == {None}
    every = interpreter(MODEL)._get_ops_details()
    assert sum(one.count for one in operations) == len(
        [one for one in every if one["op_name"] != "DELEGATE"]
    )


def test_a_network_of_floats_stays_on_the_cpu() -> None:
    operations = examine(facemodel.path(default_state_dir() / "models"))
    assert {one.verdict for one in operations} == {"cpu"}
    reasons = {one.operation: one.reason for one in operations}
    assert reasons["CONV_2D"] == "it works on float32, not on 8-bit integers"
    assert reasons["DENSIFY"] == "the Edge TPU does not know it"


def test_no_network_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "x.tflite").write_bytes(b"no network")
    with pytest.raises(WorkshopError, match="is not a TFLite file"):
        examine(tmp_path / "x.tflite")
    with pytest.raises(WorkshopError, match="cannot be read"):
        examine(tmp_path / "nothing.tflite")


def changed(folder: Path, change: Any) -> list[tuple[str, str | None]]:
    """Operations and reasons of the shipped network after `change` was made to its ModelT."""
    import flatbuffers

    net = schema.ModelT.InitFromPackedBuf(MODEL.read_bytes(), 0)
    change(net, net.subgraphs[0])
    builder = flatbuffers.Builder(1 << 21)
    builder.Finish(net.Pack(builder), b"TFL3")
    file = folder / "changed.tflite"
    file.write_bytes(builder.Output())
    return [(one.operation, one.reason) for one in examine(file)]


def version_of(name: str, version: int) -> Any:
    def change(net: Any, _: Any) -> None:
        for code in net.operatorCodes:
            if code.builtinCode == getattr(schema.BuiltinOperator, name):
                code.version = version

    return change


def test_a_newer_version_and_all_that_follows_stay_on_the_cpu(tmp_path: Path) -> None:
    assert changed(tmp_path, version_of("AVERAGE_POOL_2D", 3)) == [
        ("CONV_2D", None),
        ("ADD", None),
        ("AVERAGE_POOL_2D", "versions up to 2 are known to compile"),
        ("FULLY_CONNECTED", "it comes after AVERAGE_POOL_2D, which stays on the CPU"),
    ]


def dense_weights(graph: Any) -> Any:
    return graph.tensors[graph.operators[-1].inputs[1]]


def per_channel(_: Any, graph: Any) -> None:
    weights = dense_weights(graph)
    weights.quantization.scale = [0.01] * 7
    weights.quantization.zeroPoint = [0] * 7


def computed_weights(_: Any, graph: Any) -> None:
    dense_weights(graph).buffer = 0


def batch_of_two(_: Any, graph: Any) -> None:
    for number in (*graph.operators[-1].inputs[:1], *graph.operators[-1].outputs):
        graph.tensors[number].shape = [2, *([1] * 2), 192] if number else [2, 7]


def open_size(_: Any, graph: Any) -> None:
    graph.tensors[graph.operators[-1].outputs[0]].shapeSignature = [-1, 7]


def sixteen_bits(_: Any, graph: Any) -> None:
    graph.tensors[graph.operators[-1].outputs[0]].type = schema.TensorType.INT16


def fused_pool(_: Any, graph: Any) -> None:
    graph.operators[-2].builtinOptions.fusedActivationFunction = 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (per_channel, "a scale per channel; it takes one for all"),
        (computed_weights, "its weights are computed"),
        (batch_of_two, "its batch is not 1"),
        (open_size, "its size is not fixed: [-1, 7]"),
        (sixteen_bits, "it works on int16"),
        (fused_pool, "fused activation"),
        (version_of("FULLY_CONNECTED", 5), "versions up to 4 are known"),
    ],
)
def test_each_condition_is_named(tmp_path: Path, change: Any, said: str) -> None:
    reasons = [reason for _, reason in changed(tmp_path, change) if reason]
    assert any(said in reason for reason in reasons), reasons


def test_the_versions_that_are_known_to_compile_are_in_the_table() -> None:
    known = {
        "CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "ADD": 2, "AVERAGE_POOL_2D": 2, "RESHAPE": 1,
        "SOFTMAX": 2, "QUANTIZE": 1, "FULLY_CONNECTED": 4,
    }  # fmt: skip
    assert {name: SUPPORTED[name].version for name in known} == known
    assert all(hasattr(schema.BuiltinOperator, name) for name in SUPPORTED)


# ── the compiler, played by a script ─────────────────────────────────────────────────────────────

SUCCEEDS = """
network = open(sys.argv[-1], "rb").read()
assert network[4:8] == b"TFL3"
stem = sys.argv[-1].removesuffix(".tflite")
open(f"{stem}_edgetpu.tflite", "wb").write(network + b"edgetpu-custom-op")
open(f"{stem}_edgetpu.log", "w").write("its own log")
print("Edge TPU Compiler version 16.0.384591198")
print(f"Input model: {sys.argv[-1]}")
"""
PARTLY = f"{SUCCEEDS}print('Number of operations that will run on CPU: 3')\n"
FAILS = 'print("Internal compiler error. Aborting!"); sys.exit(1)\n'
WRITES_NOTHING = 'print("Model compiled successfully in 98 ms.")\n'
MAPS_NOTHING = SUCCEEDS.replace(' + b"edgetpu-custom-op"', "")
WRITES_RUBBISH = SUCCEEDS.replace("network +", "b'rubbish' +")


def compiler(folder: Path, monkeypatch: pytest.MonkeyPatch, does: str) -> None:
    """Put an `edgetpu_compiler` on the PATH."""
    script = folder / "bin" / "edgetpu_compiler"
    script.parent.mkdir(exist_ok=True)
    script.write_text(f"#!{sys.executable}\nimport sys\n{does}")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.parametrize(
    ("does", "said"),
    [
        (SUCCEEDS, "Compiled for the Edge TPU."),
        (PARTLY, "Compiled for the Edge TPU, but 3 operations stay on the CPU."),
        (FAILS, "edgetpu_compiler ended with 1; see edgetpu_compiler.log."),
        (WRITES_NOTHING, "edgetpu_compiler wrote no file; see"),
        (MAPS_NOTHING, "edgetpu_compiler mapped no operation; see"),
        (WRITES_RUBBISH, "edgetpu_compiler wrote something that is not a TFLite file; see"),
    ],
)
def test_what_the_compiler_does_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, does: str, said: str
) -> None:
    compiler(tmp_path, monkeypatch, does)
    folder = tmp_path / "bundle"
    folder.mkdir()
    model = Path(shutil.copy(MODEL, folder))
    compiled, text = compile_model(model, folder / "edgetpu_compiler.log")
    assert said in text
    files = {path.name for path in folder.iterdir()}
    if "ompiled" in text and not text.startswith("Not"):
        assert compiled == folder / "expression_edgetpu.tflite"
        files.remove(compiled.name)
    else:
        assert compiled is None
    assert files == {"expression.tflite", "edgetpu_compiler.log"}
    written = (folder / "edgetpu_compiler.log").read_text()
    assert written
    assert str(tmp_path) not in written, "no path of this machine"


def test_without_the_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    compiled, text = compile_model(MODEL, tmp_path / "log")
    assert compiled is None
    assert "edgetpu_compiler is not on the PATH" in text
    assert not (tmp_path / "log").exists()


# ── the zip ──────────────────────────────────────────────────────────────────────────────────────


def test_the_same_bundle_gives_the_same_zip(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = Path(shutil.copytree(shipped_bundle(), tmp_path / "elsewhere"))
    os.utime(copy / "head.npz", (1, 1))
    (copy / "bundle.toml").chmod(0o600)
    assert main(["bundle", str(copy), "--out", str(tmp_path / "a.zip"), "--json"]) == 0
    packed = json.loads(capsys.readouterr().out)["packed"]
    pack(shipped_bundle(), tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    assert packed["bytes"] == (tmp_path / "a.zip").stat().st_size
    name = shipped_bundle().name
    assert packed["files"][0] == "bundle.toml"
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.namelist() == [f"{name}/{file}" for file in packed["files"]]
        assert all(stat.S_ISREG(one.external_attr >> 16) for one in archive.infolist())
    assert main(["bundle", str(copy), "--out", str(tmp_path / "a.zip")]) == 2
    assert "There is already" in capsys.readouterr().err


def test_a_damaged_bundle_is_not_packed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = Path(shutil.copytree(shipped_bundle(), tmp_path / "bundle"))
    (copy / "head.npz").write_bytes(b"damaged")
    assert main(["bundle", str(copy), "--out", str(tmp_path / "a.zip")]) == 2
    assert "is damaged" in capsys.readouterr().err
    assert not (tmp_path / "a.zip").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "--out FILE.zip to pack, --refresh to measure again"),
        (["--refresh"], "--refresh and --data FILE go together"),
        (["--out", "x.zip", "--data", "y"], "--refresh and --data FILE go together"),
        (["--out", "x.zip", "--figures", "y"], "--figures goes with --refresh"),
        (["--out", "/nowhere/x.zip"], "cannot be written"),
    ],
)
def test_wrong_options(capsys: pytest.CaptureFixture[str], arguments: list[str], said: str) -> None:
    assert main(["bundle", str(shipped_bundle()), *arguments]) == 2
    assert said in capsys.readouterr().err


# ── measuring again ──────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def bundle_and_data(tmp_path: Path) -> tuple[Path, Path]:
    """A copy of the shipped bundle that says it was trained on a file of drawings, and the file."""
    from mien_convert.dataset import file_sha256

    images = np.concatenate([drawings(), 255 - drawings()])
    usage = np.array([0] * 12 + [1] * 12)
    votes = np.tile(np.array([10] + [0] * 9, np.uint8), (24, 1))
    data = tmp_path / "drawn.npz"
    np.savez(data, images=images, labels=np.arange(24) % 7, usage=usage, fer_plus=votes)
    folder = Path(shutil.copytree(shipped_bundle(), tmp_path / "bundle"))
    toml = folder / "bundle.toml"
    before = load_bundle(folder).lineage["data_sha256"]
    toml.write_text(toml.read_text().replace(before, file_sha256(data)))
    return folder, data


def refresh(folder: Path, data: Path, *more: str) -> int:
    return main(["bundle", str(folder), "--refresh", "--data", str(data), "--json", *more])


def test_refresh_measures_again_and_rewrites_figures_and_card(
    tmp_path: Path, bundle_and_data: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    folder, data = bundle_and_data
    monkeypatch.setenv("PATH", "/nowhere")
    before = load_bundle(folder)
    pictures = tmp_path / "pictures" / "anger"
    pictures.mkdir(parents=True)
    for number, drawing in enumerate(drawings()):
        cv2.imwrite(str(pictures / f"{number}.png"), drawing)
    capsys.readouterr()
    public_test = [str(folder), "--data", str(data), "--usage", "PublicTest", "--conditions"]
    assert main(["evaluate", *public_test, "--json"]) == 0
    conditions = tmp_path / "conditions.json"
    conditions.write_text(capsys.readouterr().out)
    assert main(["evaluate", str(folder), "--folder", str(pictures.parent), "--json"]) == 0
    natural = tmp_path / "natural.json"
    natural.write_text(capsys.readouterr().out)
    assert refresh(folder, data, "--figures", str(conditions), str(natural)) == 0
    document = json.loads(capsys.readouterr().out)["refreshed"]
    after = load_bundle(folder)
    assert after.accuracy["public_test"]["n"] == 12
    assert after.files == before.files
    assert after.lineage == before.lineage
    kept = ("float_accuracy", "agreement_with_float")
    assert all(after.accuracy["public_test"][k] == before.accuracy["public_test"][k] for k in kept)
    rows = after.accuracy["conditions"]
    assert len(rows) > 30
    assert all(set(row) == {"condition", "level", "accuracy", "change"} for row in rows)
    assert after.accuracy["natural"]["n"] == 12
    assert document["edgetpu"]["compiled"] is False
    assert {one["verdict"] for one in document["edgetpu"]["operations"]} == {"edge tpu"}
    card = (folder / "MODEL_CARD.md").read_text("utf-8")
    assert "\n| blur | " in card
    assert "On 12 photographs of another data set (anger)" in card
    assert refresh(folder, data) == 0
    assert load_bundle(folder).accuracy["conditions"] == rows, "kept until measured anew"


def test_refresh_compiles_where_there_is_a_compiler_and_keeps_what_was_compiled(
    tmp_path: Path, bundle_and_data: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    folder, data = bundle_and_data
    compiler(tmp_path, monkeypatch, SUCCEEDS)
    assert refresh(folder, data) == 0
    compiled = load_bundle(folder)
    assert compiled.edgetpu_model == folder / "expression_edgetpu.tflite"
    assert "Edge TPU Compiler version 16" in (folder / "edgetpu_compiler.log").read_text()
    assert "edgetpu_compiler.log" in pack(folder, tmp_path / "a.zip")["files"]
    capsys.readouterr()
    compiler(tmp_path, monkeypatch, FAILS)
    assert refresh(folder, data) == 0
    edgetpu = json.loads(capsys.readouterr().out)["refreshed"]["edgetpu"]
    assert edgetpu["compiled"] is True
    assert "ended with 1" in edgetpu["text"]
    assert "compiled before stays" in edgetpu["text"]
    assert load_bundle(folder).files == compiled.files


def test_refresh_takes_only_its_own_data_and_the_figures_of_evaluate(
    tmp_path: Path, bundle_and_data: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, data = bundle_and_data
    text = (folder / "bundle.toml").read_text()
    other = tmp_path / "other.npz"
    np.savez(other, **dict(np.load(data)), more=np.zeros(1))
    assert refresh(folder, other) == 2
    assert "is not the file that bundle mien-fer" in capsys.readouterr().err
    name = load_bundle(folder).name
    for wrong, said in (
        ("[1]", "is not what mien-convert evaluate --json printed"),
        (f'{{"bundle": "{name}", "n": 12, "conditions": [{{}}]}}', "is not what mien-convert"),
        ("no json", "is not what mien-convert evaluate --json printed"),
        ('{"bundle": "other"}', f"tells of bundle other, not of {name}"),
        (f'{{"bundle": "{name}", "n": 99, "conditions": [{{}}]}}', "PublicTest has 12"),
    ):
        (tmp_path / "figures.json").write_text(wrong)
        assert refresh(folder, data, "--figures", str(tmp_path / "figures.json")) == 2
        assert said in capsys.readouterr().err
    assert (folder / "bundle.toml").read_text() == text


# ── the smaller pieces ───────────────────────────────────────────────────────────────────────────


def pictures(count: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(1).integers(0, 256, (count, 48, 48), np.uint8)


def test_pictures_that_set_ranges_are_many_and_differ() -> None:
    chosen = representative(pictures(1200))
    assert chosen.shape == (500, 48, 48)
    assert (chosen.min(), chosen.max()) == (0, 255)
    assert len(representative(pictures(100))) == 100


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (np.zeros((0, 48, 48), np.uint8), "all of one grey"),
        (np.zeros((300, 48, 48), np.uint8), "all of one grey"),
        (np.repeat(pictures(1), 300, axis=0), "only 1 are not blank and differ"),
        (np.repeat(np.arange(200, dtype=np.uint8), 2304).reshape(200, 48, 48), "only 0 are not"),
        (pictures(99), "at least 100 pictures"),
    ],
)
def test_pictures_that_set_no_ranges(images: np.ndarray[Any, Any], said: str) -> None:
    with pytest.raises(DatasetError, match=said):
        representative(images)


def test_parity_is_silent_when_int8_is_as_good() -> None:
    logits = np.eye(7, dtype=np.float32)[np.arange(70) % 7] * 5
    told = parity(logits, logits + 0.1, np.arange(70, dtype=np.uint8) % 7)
    assert told["float_accuracy"] == told["int8_accuracy"] == told["agreement"] == 1
    assert told["logit_difference"]["max"] == pytest.approx(0.1, abs=1e-5)
    assert told["warning"] is None


def test_parity_says_loudly_what_was_lost_and_what_to_do() -> None:
    labels = np.arange(70, dtype=np.uint8) % 7
    logits = np.eye(7, dtype=np.float32)[labels] * 5
    worse = logits.copy()
    worse[:7] = np.roll(worse[:7], 1, axis=1)
    warning = parity(logits, worse, labels)["warning"]
    assert "int8 is 10.0 points less accurate than float" in warning
    assert "agree on only 90.0% of the pictures" in warning
    assert "look at the layers with the largest error" in warning


def test_the_card_says_what_mitchell_asks_for() -> None:
    document = tomllib.loads((shipped_bundle() / "bundle.toml").read_text("utf-8"))
    card = model_card(document)
    for heading in (
        "What it is for", "What it is not for", "Data", "Terms", "Figures", "Where it runs",
        "Groups not tested", "Known failures",
    ):  # fmt: skip
        assert f"\n## {heading}\n" in card
    assert card.count("\n| ") > 12
    assert document["lineage"]["data_sha256"] in card


def test_toml_keeps_tables_in_lists() -> None:
    document = {"a": {"rows": [{"x": 1, "why": 'a "b"', "no": None}, {"x": 2.5}], "none": []}}
    assert tomllib.loads(_toml(document)) == {
        "a": {"rows": [{"x": 1, "why": 'a "b"'}, {"x": 2.5}], "none": []}
    }
