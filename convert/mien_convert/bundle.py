"""Writing a bundle: the folder that the box reads (see `mien.bundle`)."""

import datetime
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.bundle import FORMAT, Bundle, Calibration, Input, Thresholds, load_bundle
from mien.classifier import LiteRTClassifier
from mien_convert.card import model_card
from mien_convert.dataset import LABELS, Dataset, clean, file_sha256, load_dataset
from mien_convert.errors import DatasetError, TrainingError, WorkshopError
from mien_convert.evaluate import choose_threshold, fit_temperature, measure, read_logits
from mien_convert.network import SIZE, require
from mien_convert.quantize import float_logits, load_network, quantize
from mien_convert.train import Run, latest_checkpoint, read_run, split

WANTED_RIGHT = 0.85  # of what is labelled at all


def make_bundle(run_folder: Path, data: Path, out: Path) -> dict[str, Any]:
    """Quantise the last epoch of a run and write the bundle `out`, named as its folder.

    Temperature and confidence threshold are chosen on PublicTest, through the int8 file as the box
    runs it. Returns the document of `bundle.toml`.
    Raises DatasetError, TrainingError or WorkshopError when something is missing, and when there is
    already something at `out`.
    """
    checkpoint = latest_checkpoint(run_folder)
    if checkpoint is None:
        raise TrainingError(f"{run_folder} holds no finished epoch; begin with mien-convert train.")
    run = read_run(checkpoint)
    training, held_out = split(load_dataset(data))
    if file_sha256(data) != run.data_sha256:
        raise DatasetError(f"{data} is not the file that {run_folder} was trained on.")
    if held_out is None:
        raise DatasetError(f"{data} has no part PublicTest to choose temperature and threshold on.")
    if out.exists() and (out.is_file() or any(out.iterdir())):
        raise WorkshopError(f"{out} is not an empty folder; name another, or remove it first.")

    model = load_network(checkpoint)
    unfinished = out.with_name(out.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        unfinished.mkdir(parents=True)
        images = clean(training, held_out)[0].images
        operations = quantize(model, images, unfinished / "expression.tflite")
        weights, bias = model.get_layer("logits").get_weights()
        np.savez_compressed(unfinished / "head.npz", weights=weights, bias=bias)
        document = _measured(unfinished, out.name, model, held_out)
        document["lineage"] = _lineage(run, operations)
        (unfinished / "bundle.toml").write_text(_toml(document), "utf-8")
        (unfinished / "MODEL_CARD.md").write_text(model_card(document), "utf-8")
        load_bundle(unfinished)
        if out.exists():
            out.rmdir()
        unfinished.rename(out)
    except OSError as error:
        raise WorkshopError(f"The bundle {out} cannot be written: {error}.") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return document


def _measured(folder: Path, name: str, model: Any, held_out: Dataset) -> dict[str, Any]:
    """Ask the int8 file in `folder` for its known answers and for its figures on `held_out`."""
    size = Input(SIZE, 1)
    labels: list[str] = list(LABELS)
    draft = Bundle(
        format=FORMAT, name=name, labels=labels, files={}, input=size,
        calibration=Calibration(1.0), thresholds=Thresholds(0.0), path=folder,
    )  # fmt: skip
    classifier = LiteRTClassifier(draft)
    images = drawings()
    np.savez_compressed(
        folder / "known_answer.npz", images=images, logits=read_logits(classifier, images)
    )
    logits = read_logits(classifier, held_out.images)
    temperature = fit_temperature(logits, held_out.labels)
    threshold, coverage, right = choose_threshold(logits, held_out, temperature, WANTED_RIGHT)
    before = float_logits(model, held_out.images).argmax(axis=1)
    figures = measure(logits, held_out, temperature)
    per_class, confusion = figures.pop("per_class"), figures.pop("confusion")
    figures |= {
        "coverage": coverage,
        "right_of_labelled": right,
        "float_accuracy": float((before == held_out.labels).mean()),
        "agreement_with_float": float((before == logits.argmax(axis=1)).mean()),
        "recall": {label: per_class[label]["recall"] for label in LABELS},
        "precision": {label: per_class[label]["precision"] for label in LABELS},
        "confusion": confusion,
    }
    files = ("expression.tflite", "head.npz", "known_answer.npz")
    return {
        "format": FORMAT,
        "name": name,
        "created": datetime.datetime.now(datetime.UTC).date(),
        "labels": labels,
        "files": {file: file_sha256(folder / file) for file in files},
        "input": {"size": size.size, "channels": size.channels},
        "calibration": {"temperature": temperature},
        "thresholds": {"confidence": threshold},
        "accuracy": {"public_test": figures},
    }


def drawings() -> NDArray[np.uint8]:
    """Generated pictures for the known-answer test, u8 [12, 48, 48]: drawn faces and patterns, no
    person among them."""
    pictures = []
    for mouth, brow in ((-6, 0), (-3, 3), (0, 0), (4, -2), (7, 0), (0, 4)):
        face = np.full((48, 48), 40, np.uint8)
        cv2.ellipse(face, (24, 25), (17, 21), 0, 0, 360, [180], -1)
        for eye, outer in ((17, -4), (31, 4)):
            cv2.circle(face, (eye, 20), 3, [60], -1)
            cv2.line(face, (eye - outer, 13 + brow), (eye + outer, 13), [70], 2)
        curve = [(x, 37 - round(mouth * ((x - 24) / 8) ** 2)) for x in range(16, 33, 2)]
        cv2.polylines(face, [np.array(curve, np.int32)], False, [60], 2)
        pictures.append(face)
    ramp = np.tile(np.linspace(0, 255, 48), (48, 1))
    board = (np.indices((48, 48)) // 6).sum(axis=0) % 2 * 255
    noise = np.random.default_rng(7).integers(0, 256, (48, 48))
    grey = np.zeros((48, 48))
    pictures += [p.astype(np.uint8) for p in (grey, grey + 255, ramp, ramp.T, board, noise)]
    return np.stack(pictures)


def _lineage(run: Run, operations: list[str]) -> dict[str, Any]:
    return {
        "data": "FER-2013 with the votes of FER+",
        "data_sha256": run.data_sha256,
        "pictures": run.pictures,
        "left_out": run.left_out,
        "preset": run.preset_name,
        "seed": run.seed,
        "epochs": len(run.history),
        "commit": _commit(),
        "keras": require("keras").__version__,
        "tensorflow": require("tensorflow").__version__,
        "parameters": run.parameters,
        "multiply_adds": run.multiply_adds,
        "operations": operations,
    }


def _commit() -> str:
    """The commit the workshop was run from, or "unknown" outside a git checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()


def _toml(document: dict[str, Any], table: str = "") -> str:
    """TOML of nested tables, numbers, strings, dates and lists; None is left out."""
    lines, tables = [], []
    for key, value in document.items():
        name = key if key.replace("_", "").isalnum() else json.dumps(key)
        if isinstance(value, dict):
            tables.append(_toml(value, f"{table}.{name}" if table else name))
        elif isinstance(value, datetime.date):
            lines.append(f"{name} = {value.isoformat()}")
        elif isinstance(value, float):
            lines.append(f"{name} = {round(value, 4)}")
        elif value is not None:
            lines.append(f"{name} = {json.dumps(value, ensure_ascii=False)}")
    head = [f"[{table}]"] if table and (lines or not tables) else []
    return "\n".join([*head, *lines, ""]) + ("\n" if lines and tables else "") + "\n".join(tables)
