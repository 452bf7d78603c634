"""Writing a bundle: the folder that the box reads (see `mien.bundle`)."""

import datetime
import json
import logging
import shutil
import subprocess
import tomllib
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from mien.bundle import (
    FORMAT,
    LOOSE_FILES,
    NAME,
    NAME_WORDS,
    Bundle,
    Calibration,
    Input,
    Thresholds,
    load_bundle,
)
from mien.classifier import LiteRTClassifier, known_answer
from mien.filenames import quoted, reason
from mien_convert.card import model_card
from mien_convert.cleaning import clean
from mien_convert.dataset import (
    LABELS,
    Dataset,
    file_sha256,
    load_dataset,
    vote_majority,
)
from mien_convert.edgetpu import Operation, compile_model, examine
from mien_convert.errors import DatasetError, WorkshopError
from mien_convert.evaluate import (
    choose_threshold,
    confusion,
    evaluate,
    fit_temperature,
    read_logits,
)
from mien_convert.heads import HEADS, Answers, read_answers
from mien_convert.network import SIZE, answering, require
from mien_convert.quantize import float_logits, parity, quantize
from mien_convert.run import Run, chosen_checkpoint, load_averaged, read_run
from mien_convert.train import split

log = logging.getLogger(__name__)

WANTED_RIGHT = 0.85  # of what is labelled at all
MODEL = "expression.tflite"
EDGETPU_MODEL = "expression_edgetpu.tflite"
COMPILER_LOG = "edgetpu_compiler.log"


def make_bundle(run_folder: Path, data: Path, out: Path) -> dict[str, Any]:
    """Quantise the epoch of a run that counts and write the bundle `out`, named as its folder.

    Temperature and confidence threshold are chosen on PublicTest, through the int8 file as the box
    runs it. Returns the document of `bundle.toml`.
    Raises DatasetError, TrainingError or WorkshopError when something is missing, when the run
    tells other classes apart than the box, and when there is already something at `out`.
    """
    checkpoint = chosen_checkpoint(run_folder)
    run = read_run(checkpoint)
    if list(run.preset.classes) != list(LABELS):
        raise WorkshopError(
            f"{run_folder} was trained to tell {', '.join(run.preset.classes)}; the box reads "
            f"{', '.join(LABELS)}, so a bundle needs all of these. Train without --classes."
        )
    if not NAME.fullmatch(out.name):
        raise WorkshopError(
            f"A bundle cannot be called {quoted(out.name)}: {NAME_WORDS}. "
            "Name the folder otherwise."
        )
    training, held_out = _split(data, run.data_sha256, f"{run_folder} was")
    if out.exists() and (out.is_file() or any(out.iterdir())):
        raise WorkshopError(f"{out} is not an empty folder; name another, or remove it first.")

    averaged = load_averaged(checkpoint)
    model = answering(averaged, run.preset)
    unfinished = out.with_name(out.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        unfinished.mkdir(parents=True)
        images = clean(training, held_out)[0].images
        quantised = quantize(model, images, unfinished / MODEL)
        _write_head(model, averaged, unfinished / "head.npz")
        document = _written(unfinished, out.name, averaged, held_out)
        document["parity"]["layers"] = msgspec.to_builtins(quantised.layers)
        document["edgetpu"] = _compiled(unfinished, document)
        document["lineage"] = _lineage(run, quantised.operations)
        _write(unfinished, document)
        load_bundle(unfinished)
        if out.exists():
            out.rmdir()
        unfinished.rename(out)
    except OSError as error:
        raise WorkshopError(f"The bundle {out} cannot be written: {reason(error)}.") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    if warning := document["parity"]["warning"]:
        log.warning("WARNING: %s", warning)
    return document


def refresh(folder: Path, data: Path, figures: Sequence[Path] = ()) -> dict[str, Any]:
    """Measure a bundle again on PublicTest, compile it if that is possible now, and rewrite its
    `bundle.toml` and model card.

    `figures` hold what `mien-convert evaluate --json` printed: the conditions and the photographs
    go into the bundle. What only the float network can tell stays as it was.
    Raises BundleError, DatasetError or WorkshopError.
    """
    bundle = load_bundle(folder)
    document = tomllib.loads((folder / "bundle.toml").read_text("utf-8"))
    held_out = _split(data, bundle.lineage.get("data_sha256"), f"bundle {bundle.name} was")[1]
    classifier = LiteRTClassifier(bundle)
    known_answer(classifier)
    fresh = _measured(read_answers(classifier, held_out.images), held_out, bundle)
    before = document.get("accuracy", {}).get("public_test", {})
    kept = ("float_accuracy", "agreement_with_float")
    fresh["accuracy"]["public_test"] |= {name: before[name] for name in kept if name in before}
    document["accuracy"] = document.get("accuracy", {}) | fresh.pop("accuracy")
    document |= fresh
    for file in figures:
        document["accuracy"] |= _elsewhere(file, bundle.name, len(held_out))
    try:
        document["edgetpu"] = _compiled(folder, document)
        _write(folder, document)
    except OSError as error:
        raise WorkshopError(f"The bundle {folder} cannot be written: {reason(error)}.") from error
    load_bundle(folder)
    return document


def pack(folder: Path, out: Path) -> dict[str, Any]:
    """Verify a bundle, hashes and known answers, and pack it into the zip `out` for the box.

    The same bundle gives the same bytes: order and dates are fixed and nothing is compressed.
    Returns name, zip, bytes, sha256 and files.
    Raises BundleError or ClassifierError when it does not verify, WorkshopError when there is
    something at `out` or it cannot be written.
    """
    bundle = load_bundle(folder)
    known_answer(LiteRTClassifier(bundle))
    if out.exists():
        raise WorkshopError(f"There is already a {out}; name another, or remove it first.")
    files = ["bundle.toml", *sorted(bundle.files)]
    files += [name for name in LOOSE_FILES if (folder / name).is_file()]
    unfinished = out.with_name(out.name + ".unfinished")
    try:
        with zipfile.ZipFile(unfinished, "w") as archive:
            for name in files:
                entry = zipfile.ZipInfo(f"{bundle.name}/{name}", date_time=(1980, 1, 1, 0, 0, 0))
                entry.create_system, entry.external_attr = 3, 0o100644 << 16  # as on Unix
                archive.writestr(entry, (folder / name).read_bytes())
        unfinished.rename(out)
    except OSError as error:
        raise WorkshopError(f"The zip {out} cannot be written: {reason(error)}.") from error
    finally:
        unfinished.unlink(missing_ok=True)
    size, digest = out.stat().st_size, file_sha256(out)
    return {
        "name": bundle.name, "zip": str(out), "bytes": size, "sha256": digest, "files": files,
    }  # fmt: skip


def _split(data: Path, sha256: str | None, whose: str) -> tuple[Dataset, Dataset]:
    """The parts Training and PublicTest. Raises DatasetError for another file."""
    training, held_out = split(load_dataset(data))
    if file_sha256(data) != sha256:
        raise DatasetError(f"{data} is not the file that {whose} trained on.")
    if held_out is None:
        raise DatasetError(f"{data} has no part PublicTest to choose temperature and threshold on.")
    return training, held_out


def _write_head(model: Any, averaged: Any, file: Path) -> None:
    """The last layer, and the heads it was mixed from where there are two.

    Raises WorkshopError when it does not stand on the average of the map.
    """
    weights, bias = model.get_layer("logits").get_weights()
    channels = model.get_layer("features").output.shape[-1]
    if weights.shape != (channels, len(LABELS)):
        raise WorkshopError(
            "The box needs a network that ends in the average of its last map and one dense "
            f"layer; this one's last layer takes {weights.shape[0]} values, its last map has "
            f"{channels} channels. Its figures can be had from mien-convert experiments."
        )
    arrays = {"weights": weights, "bias": bias}
    if len(averaged.outputs) > 1:
        for name, layer in zip(HEADS, ("logits", "votes"), strict=True):
            values = averaged.get_layer(layer).get_weights()
            arrays |= {f"{name}_weights": values[0], f"{name}_bias": values[1]}
    np.savez_compressed(file, **arrays)


def _written(folder: Path, name: str, averaged: Any, held_out: Dataset) -> dict[str, Any]:
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
    answers = read_answers(classifier, held_out.images)
    # The first head of the network is the one that learnt the labels.
    exact = float_logits(averaged, held_out.images)
    compared = parity(exact, answers.word, held_out.labels)
    measured = _measured(answers, held_out, draft)
    measured["accuracy"]["public_test"] |= {
        "float_accuracy": compared["float_accuracy"],
        "agreement_with_float": compared["agreement"],
    }
    files = (MODEL, "head.npz", "known_answer.npz")
    return {
        "format": FORMAT,
        "name": name,
        "created": datetime.datetime.now(datetime.UTC).date(),
        "labels": labels,
        "files": {file: file_sha256(folder / file) for file in files},
        "input": {"size": size.size, "channels": size.channels},
        **measured,
        "parity": compared,
    }


def _measured(answers: Answers, held_out: Dataset, bundle: Bundle) -> dict[str, Any]:
    """Temperatures, threshold and figures of the int8 answers: three tables of `bundle.toml`.

    What the box says is calibrated on what most voters saw, where there are votes, and counted
    against it in `accuracy.confusion`.
    """
    seen, said = held_out, answers.said
    if answers.are_apart and held_out.votes is not None:
        majority = vote_majority(held_out.votes)
        clear = majority >= 0
        seen = Dataset(held_out.images[clear], majority[clear].astype(np.uint8))
        said = said[clear]
    calibration = Calibration(fit_temperature(said, seen.labels))
    if answers.are_apart:
        word = fit_temperature(answers.word, held_out.labels)
        calibration = Calibration(calibration.temperature, word)
    threshold, coverage, right = choose_threshold(
        answers.said, held_out, calibration.temperature, WANTED_RIGHT
    )
    figures = evaluate(
        answers, held_out,
        replace(bundle, calibration=calibration, thresholds=Thresholds(threshold)),
    )  # fmt: skip
    kept = ("n", "accuracy", "macro_f1", "ece", "fer_plus_accuracy", "balanced_accuracy", "answer")
    public_test = {name: figures[name] for name in kept if name in figures}
    public_test |= {"coverage": coverage, "right_of_labelled": right}
    public_test |= {
        name: {label: figures["per_class"][label][name] for label in LABELS}
        for name in ("recall", "precision", "f1")
    }
    return {
        "calibration": msgspec.to_builtins(calibration),
        "thresholds": {"confidence": threshold},
        "accuracy": {
            "public_test": public_test | {"confusion": figures["confusion"]},
            "confusion": confusion(seen.labels, said.argmax(axis=1)).tolist(),
        },
    }


def _compiled(folder: Path, document: dict[str, Any]) -> dict[str, Any]:
    """Compile for the Edge TPU if that is possible; what is said of it in `bundle.toml`."""
    operations = msgspec.to_builtins(examine(folder / MODEL))
    compiled, text = compile_model(folder / MODEL, folder / COMPILER_LOG)
    if compiled is not None:
        document["files"][compiled.name] = file_sha256(compiled)
    elif EDGETPU_MODEL in document["files"]:
        text = f"{text} The file that was compiled before stays."
    return {
        "compiled": EDGETPU_MODEL in document["files"],
        "text": text,
        "operations": operations,
    }


def _elsewhere(file: Path, name: str, n: int) -> dict[str, Any]:
    """What `mien-convert evaluate --json` measured beside the clean PublicTest, as `bundle.toml`
    keeps it: its conditions, and as `natural` its photographs.

    Raises WorkshopError when the file is no such JSON, or tells of another bundle or of other
    pictures than the `n` of PublicTest.
    """
    found: dict[str, Any] = {}
    try:
        told = json.loads(file.read_text("utf-8"))
        if told["bundle"] != name:
            raise WorkshopError(f"{file} tells of bundle {told['bundle']}, not of {name}.")
        if rows := told.get("conditions"):
            if told["n"] != n:
                raise WorkshopError(
                    f"{file} has conditions of {told['n']} pictures, PublicTest has {n}; "
                    "measure with --usage PublicTest."
                )
            found["conditions"] = [
                {
                    "condition": row["group"],
                    "level": row["name"],
                    "accuracy": row["accuracy"],
                    "change": row["change"],
                }
                for row in rows
            ]
        if seen := told.get("photographs"):
            among = told.get("restricted", {"classes": list(LABELS)})
            found["natural"] = {
                "n": seen["n"],
                "with_face": seen["with_face"],
                "classes": among["classes"],
                "balanced_accuracy": told["balanced_accuracy"],
                "balanced_accuracy_of_all": seen["balanced_accuracy_of_all"],
                "balanced_accuracy_among_these": among.get("balanced_accuracy"),
            }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WorkshopError(
            f"{file} is not what mien-convert evaluate --json printed: {error!r}."
        ) from error
    return found


def _write(folder: Path, document: dict[str, Any]) -> None:
    """`bundle.toml` and the card, each at once or not at all."""
    for name, text in (("MODEL_CARD.md", model_card(document)), ("bundle.toml", _toml(document))):
        unfinished = folder / f"{name}.unfinished"
        unfinished.write_text(text, "utf-8")
        unfinished.replace(folder / name)


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


def _lineage(run: Run, operations: list[Operation]) -> dict[str, Any]:
    return {
        "data": "FER-2013 with the votes of FER+",
        "data_sha256": run.data_sha256,
        "pictures": run.pictures,
        "left_out": run.left_out,
        "preset": run.preset_name,
        "seed": run.seed,
        "epochs": run.chosen.epoch if run.chosen else 0,
        "teachers": run.teachers,
        "commit": _commit(),
        "keras": require("keras").__version__,
        "tensorflow": require("tensorflow").__version__,
        "parameters": run.parameters,
        "multiply_adds": run.multiply_adds,
        "operations": sorted({one.operation for one in operations}),
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
    """TOML of nested tables, lists of tables, numbers, strings, dates; None is left out."""
    lines, tables = [], []
    for key, value in document.items():
        name = _key(key)
        path = f"{table}.{name}" if table else name
        if isinstance(value, dict):
            tables.append(_toml(value, path))
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            rows = "".join(f"    {_value(row)},\n" for row in value)
            lines.append(f"{name} = [\n{rows}]")
        elif value is not None:
            lines.append(f"{name} = {_value(value)}")
    head = [f"[{table}]"] if table and (lines or not tables) else []
    return "\n".join([*head, *lines, ""]) + ("\n" if lines and tables else "") + "\n".join(tables)


def _key(key: str) -> str:
    return key if key.replace("_", "").isalnum() else json.dumps(key)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        pairs = (f"{_key(k)} = {_value(v)}" for k, v in value.items() if v is not None)
        return f"{{ {', '.join(pairs)} }}"
    if isinstance(value, datetime.date):
        return value.isoformat()
    return (
        str(round(value, 4)) if isinstance(value, float) else json.dumps(value, ensure_ascii=False)
    )
