"""`mien.classifier`: the real network on real runtimes; a bad accelerator is told and replaced."""

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgetpu import EdgeTpu, with_edgetpu_file
from mien import facemodel
from mien.bundle import Bundle, BundleError, load_bundle, shipped_bundle
from mien.classifier import (
    ClassifierError,
    LiteRTClassifier,
    ScriptedClassifier,
    known_answer,
    open_classifier,
    probabilities,
)
from mien.config import default_state_dir
from mien.events import EXPRESSIONS

ROOT = Path(__file__).resolve().parent.parent
GREY = np.full((48, 48), 128, np.uint8)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_bundle(shipped_bundle())


def test_the_network_gives_logits_and_a_feature_map(bundle: Bundle) -> None:
    output = LiteRTClassifier(bundle).classify(GREY)
    assert output.logits.shape == (7,)
    assert output.features.ndim == 3
    assert np.isfinite(output.logits).all()


def test_the_head_makes_the_logits_from_the_feature_map(bundle: Bundle) -> None:
    """So that class-activation maps and personal heads say what the network says."""
    classifier = LiteRTClassifier(bundle)
    with (
        np.load(bundle.path / "head.npz") as head,
        np.load(bundle.path / "known_answer.npz") as answers,
    ):
        lowest, highest = answers["logits"].min(), answers["logits"].max()
        for image in answers["images"]:
            output = classifier.classify(image)
            remade = output.features.mean((0, 1)) @ head["weights"] + head["bias"]
            within = remade.clip(lowest, highest)  # as far as 8 bits reach
            assert np.abs(within - output.logits).max() < 0.05 * (highest - lowest)


def test_the_known_answers_are_known(bundle: Bundle) -> None:
    classifier, notice = open_classifier(bundle, "cpu")
    known_answer(classifier)
    assert classifier.name == "CPU"
    assert notice is None


def test_a_crop_of_another_shape_is_refused(bundle: Bundle) -> None:
    classifier = LiteRTClassifier(bundle)
    with pytest.raises(ValueError, match=re.escape("[48, 48]")):
        classifier.classify(np.zeros((47, 48), np.uint8))


def test_a_network_of_another_shape_is_refused(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(shipped_bundle(), tmp_path / "bundle"))
    model = folder / "expression.tflite"
    before = hashlib.sha256(model.read_bytes()).hexdigest()
    shutil.copy(facemodel.path(default_state_dir() / "models"), model)
    after = hashlib.sha256(model.read_bytes()).hexdigest()
    toml = folder / "bundle.toml"
    toml.write_text(toml.read_text().replace(before, after))
    with pytest.raises(BundleError, match=re.escape("not [1, 48, 48, 1]")):
        open_classifier(load_bundle(folder), "cpu")


def test_a_network_that_is_no_network(tmp_path: Path, bundle: Bundle) -> None:
    folder = Path(shutil.copytree(bundle.path, tmp_path / "bundle"))
    (folder / "expression.tflite").write_bytes(b"no network")
    toml = folder / "bundle.toml"
    digest = hashlib.sha256(b"no network").hexdigest()
    toml.write_text(toml.read_text().replace(bundle.files["expression.tflite"], digest))
    with pytest.raises(ClassifierError, match="cannot be run"):
        open_classifier(load_bundle(folder), "cpu")


def test_without_a_compiled_file_the_cpu_reads_and_says_so(bundle: Bundle) -> None:
    classifier, notice = open_classifier(bundle, "edgetpu")
    assert classifier.name == "CPU"
    assert notice is not None
    assert "no file compiled for it" in notice


def test_without_the_library_the_cpu_reads_and_says_so(bundle: Bundle, tmp_path: Path) -> None:
    compiled = with_edgetpu_file(bundle, tmp_path)
    classifier, notice = open_classifier(compiled, "edgetpu", library="libnothing.so.1")
    assert classifier.name == "CPU"
    assert notice is not None
    assert "libnothing.so.1 cannot be loaded" in notice


def test_pulled_out_it_is_a_sentence_and_the_cpu_reads_from_the_next_start(
    bundle: Bundle, edgetpu: EdgeTpu, tmp_path: Path
) -> None:
    compiled = with_edgetpu_file(bundle, tmp_path)
    classifier, notice = open_classifier(compiled, "auto", library=str(edgetpu.library))
    assert (classifier.name, notice) == ("Edge TPU", None)
    edgetpu.pull_out()
    with pytest.raises(ClassifierError, match="the Edge TPU stopped answering: USB transfer error"):
        known_answer(classifier)
    classifier, notice = open_classifier(compiled, "edgetpu", library=str(edgetpu.library))
    assert classifier.name == "CPU"
    assert notice is not None
    assert notice.endswith("no Edge TPU is plugged in")


@pytest.mark.slow
def test_a_library_that_crashes_takes_only_the_probe_with_it(
    bundle: Bundle, tmp_path: Path
) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler to make a library that crashes")
    source = tmp_path / "bad.c"
    source.write_text("__attribute__((constructor)) void crash(void) { *(volatile int *)0 = 1; }")
    library = tmp_path / "bad.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
    compiled = with_edgetpu_file(bundle, tmp_path)
    classifier, notice = open_classifier(compiled, "edgetpu", library=str(library))
    assert classifier.name == "CPU"
    assert notice is not None
    assert "crashed (signal 11)" in notice


@pytest.mark.slow
@pytest.mark.skipif(sys.version_info >= (3, 12), reason="tflite-runtime has no wheel after 3.11")
def test_the_older_runtime_gives_the_same_answers(tmp_path: Path) -> None:
    # With all of its own lock: it needs another NumPy, and so another OpenCV.
    target, lock = tmp_path / "tflite", ROOT / "requirements" / "tflite-runtime.txt"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    pip += ["--no-deps", "--require-hashes", "--target", str(target), "--requirement", str(lock)]
    subprocess.run(pip, check=True)
    code = f"""
import sys
sys.path.insert(0, {str(target)!r})
sys.modules["ai_edge_litert"] = None  # as if it were not installed
from mien.bundle import load_bundle, shipped_bundle
from mien.classifier import open_classifier
classifier, _ = open_classifier(load_bundle(shipped_bundle()), "cpu")
import cv2, numpy
print(type(classifier._net).__module__, numpy.__version__, cv2.__version__)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["tflite_runtime.interpreter", "1.26.4", "4.11.0"]


def test_probabilities_are_a_softmax_with_temperature() -> None:
    logits = np.array([1, 2, 3, 4, 5, 6, 700], np.float32)
    assert probabilities(logits, 1.0).sum() == pytest.approx(1)
    assert probabilities(np.zeros(7, np.float32), 2.0) == pytest.approx([1 / 7] * 7)
    mild = probabilities(logits / 100, 2.0)
    assert mild.max() < probabilities(logits / 100, 0.5).max()


def test_the_scripted_classifier_answers_in_turn_or_by_function() -> None:
    turns = ScriptedClassifier(["neutral", "happiness"])
    said = [EXPRESSIONS[int(turns.classify(GREY).logits.argmax())] for _ in range(3)]
    assert said == ["neutral", "happiness", "happiness"]
    by_light = ScriptedClassifier(lambda crop: "fear" if crop.mean() < 50 else "surprise")
    assert EXPRESSIONS[int(by_light.classify(GREY).logits.argmax())] == "surprise"
