"""`mien-convert` from outside: help, bad input in one sentence, and the JSON of evaluate."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from library_samples import face
from mien.bundle import shipped_bundle
from mien_convert.__main__ import main
from mien_convert.bundle import _toml, drawings
from mien_convert.dataset import LABELS
from mien_convert.errors import WorkshopError
from mien_convert.network import require
from mien_convert.preset import load_preset


def faces(folder: Path, **changed: Any) -> Path:
    """The drawn pictures with all labels in turn, written to a file."""
    images = drawings()
    arrays = {"images": images, "labels": np.arange(len(images)) % 7} | changed
    path = folder / "faces.npz"
    np.savez(path, **arrays)
    return path


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Run a command that must fail; returns its one sentence."""
    assert main([str(argument) for argument in arguments]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    sentence = output.err.strip()
    assert sentence.startswith("mien-convert: ")
    assert "Traceback" not in sentence
    return sentence


@pytest.mark.parametrize(
    "command",
    ["", "import", "library", "make", "train", "experiments", "tune", "quantize", "bundle",
     "evaluate", "explain"],
)  # fmt: skip
def test_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([*command.split(), "--help"])
    assert stopped.value.code == 0
    assert "usage: mien-convert" in capsys.readouterr().out


def test_evaluate_prints_the_promised_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = faces(tmp_path, names=np.array(["more", "arrays"]))
    assert main(["evaluate", str(shipped_bundle()), "--data", str(data), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert list(figures)[:6] == ["n", "accuracy", "macro_f1", "ece", "per_class", "confusion"]
    assert figures["n"] == 12
    assert list(figures["per_class"]) == list(LABELS)
    assert all(
        set(one) == {"recall", "precision", "f1", "n"} for one in figures["per_class"].values()
    )
    assert np.array(figures["confusion"]).shape == (7, 7)
    assert np.array(figures["confusion"]).sum() == 12


def test_evaluate_counts_votes_and_parts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    votes = np.tile(np.array([10] + [0] * 9, np.uint8), (12, 1))
    data = faces(tmp_path, fer_plus=votes, usage=np.array([0] * 4 + [1] * 8))
    command = ["evaluate", str(shipped_bundle()), "--data", str(data)]
    assert main([*command, "--usage", "PublicTest", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["n"] == 8
    assert 0 <= figures["fer_plus_accuracy"] <= 1
    assert main(command) == 0
    table = capsys.readouterr().out
    assert re.search(r"^n +12$", table, re.MULTILINE)
    assert all(label in table for label in LABELS)


def test_bad_data_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = shipped_bundle()
    sentence = refused(capsys, "evaluate", bundle, "--data", tmp_path / "none.npz")
    assert "There is no data file" in sentence
    data = faces(tmp_path, labels=np.full(12, 9))
    assert "picture 0 is 9" in refused(capsys, "evaluate", bundle, "--data", data)
    data.write_text("no archive")
    assert "not an .npz file" in refused(capsys, "evaluate", bundle, "--data", data)


def test_a_folder_that_is_no_bundle_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "bundle.toml" in refused(capsys, "evaluate", tmp_path, "--data", faces(tmp_path))


def test_quantize_needs_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "bundle"
    sentence = refused(capsys, "quantize", tmp_path, "--data", faces(tmp_path), "--out", out)
    assert "no finished epoch" in sentence
    assert not out.exists()


def test_training_needs_a_batch_of_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = np.tile(drawings()[:6], (4, 1, 1))
    data = faces(tmp_path, images=images, labels=np.arange(24) % 7)
    sentence = refused(capsys, "train", "--data", data, "--out", tmp_path / "run")
    assert "expected at least one batch of 128" in sentence


def test_wrong_options_are_told_by_the_parser(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (
        ["train", "--data", "x", "--out", "y", "--epochs", "0"],
        ["evaluate", "b", "--data", "x", "--usage", "Validation"],
        [],
    ):
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        assert stopped.value.code == 2
        assert "usage: mien-convert" in capsys.readouterr().err


def test_an_unknown_preset_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = faces(tmp_path)
    sentence = refused(capsys, "train", "--data", data, "--out", tmp_path, "--preset", "resnet")
    assert "no preset called 'resnet'" in sentence


def test_a_missing_library_names_the_cure() -> None:
    with pytest.raises(WorkshopError, match=r"pip install 'mien\[convert\]'"):
        require("a_library_that_is_not_there")


def test_an_unknown_preset_names_the_known_ones() -> None:
    with pytest.raises(WorkshopError, match=r"there are: .*mien, "):
        load_preset("mein")


def test_evaluate_needs_no_training_library() -> None:
    """The box and a reader of figures have no TensorFlow."""
    code = (
        "import sys, mien_convert.__main__ as m; "
        "sys.exit(bool({'tensorflow', 'keras', 'torch'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


def test_toml_reads_back() -> None:
    import datetime
    import tomllib

    document = {
        "name": 'a "b"',
        "created": datetime.date(2026, 11, 20),
        "files": {"expression.tflite": "00"},
        "accuracy": {"public_test": {"n": 3, "ece": 0.25, "recall": {"fear": 0.5}}},
        "labels": ["anger", "fear"],
        "lineage": {"left_out": {"also held out": 2}},
    }
    assert tomllib.loads(_toml(document)) == document


def test_names_that_are_not_utf_8_are_printed_and_are_json(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    odd = tmp_path / os.fsdecode(b"B\xfccher")
    for number, label in enumerate(("happy", "sad")):
        file = odd / "set" / label / os.fsdecode(b"J\xf6rg.png")
        file.parent.mkdir(parents=True)
        file.write_bytes(cv2.imencode(".png", face(number))[1].tobytes())
    library = str(odd / "library")
    assert main(["import", library, str(odd / "set"), "--json"]) == 0
    told = json.loads(capfdbinary.readouterr().out)
    assert os.fsencode(told["library"]) == os.fsencode(library)
    assert told["imported"]["added"] == 2
    assert main(["library", library, "split", "--shares", "1,0,0"]) == 0
    data = odd / os.fsdecode(b"d\xe4ta.npz")
    assert main(["library", library, "export", "--out", str(data)]) == 0
    assert rb"d\xe4ta.npz: 2 faces" in capfdbinary.readouterr().out
    assert main(["evaluate", str(shipped_bundle()), "--folder", str(odd / "set"), "--json"]) == 0
    assert json.loads(capfdbinary.readouterr().out)["n"] == 2
    assert main(["evaluate", str(shipped_bundle()), "--data", str(odd / "none.npz")]) == 2
    assert b"There is no data file" in (said := capfdbinary.readouterr().err)
    assert b"B\xfccher/none.npz" in said
    assert main(["train", "--data", str(data), "--out", str(odd / "run")]) == 2
    assert b"TensorFlow cannot write there" in capfdbinary.readouterr().err
