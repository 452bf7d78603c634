"""`mien-convert evaluate`: how right a bundle is."""

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.bundle import load_bundle
from mien.classifier import LiteRTClassifier, probabilities
from mien.config import Config
from mien.filenames import printable
from mien.reading import read
from mien_convert import plots
from mien_convert.commands import EVALUATION_DATA, add_command
from mien_convert.conditions import robustness
from mien_convert.dataset import LABELS, USAGES, Dataset, load_dataset, vote_majority
from mien_convert.errors import WorkshopError
from mien_convert.evaluate import by_source, difference, evaluate, read_sources
from mien_convert.heads import Answers, alone, read_answers
from mien_convert.network import require
from mien_convert.photographs import Faces, box_finder, labelled_photographs, read_faces
from mien_convert.report import condition_table, percent, report
from mien_convert.sides import open_run, sides
from mien_convert.speed import speed


def add(subcommands: Any) -> None:
    parser = add_command(
        subcommands, "evaluate", run, show, "how right a bundle is on labelled faces"
    )
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="folder of a bundle")
    pictures = parser.add_mutually_exclusive_group(required=True)
    pictures.add_argument("--data", type=Path, metavar="FILE", help=EVALUATION_DATA)
    pictures.add_argument(
        "--folder", type=Path, metavar="PICTURES",
        help="photographs, a folder for each expression or with labels.csv: found and cropped as "
        "on the box",
    )  # fmt: skip
    parser.add_argument("--usage", choices=USAGES, help="only this part of FILE")
    parser.add_argument(
        "--labels", type=Path, metavar="CSV", help="a file name and an expression in each line"
    )
    parser.add_argument(
        "--conditions", action="store_true",
        help="also on the same pictures made small, blurred, dim, covered, turned, moved …",
    )  # fmt: skip
    parser.add_argument(
        "--against", type=Path, metavar="BUNDLE", help="another bundle, to be compared with"
    )
    parser.add_argument(
        "--sides", action="store_true", help="also by TFLite's reference kernels, which is slow"
    )
    parser.add_argument(
        "--run", dest="run_folder", type=Path, metavar="RUN",
        help="folder of the training run: --sides, with the float network (needs TensorFlow)",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="write figures, figures.json and report.md"
    )


def run(arguments: argparse.Namespace) -> Any:
    if arguments.usage and not arguments.data:
        raise WorkshopError("--usage chooses a part of the file given with --data.")
    if arguments.labels and not arguments.folder:
        raise WorkshopError("--labels names the pictures of a folder; add --folder PICTURES.")
    bundle = load_bundle(arguments.bundle)
    other = load_bundle(arguments.against) if arguments.against else None
    classifier = LiteRTClassifier(bundle)
    # What may be missing is found out before minutes of work, not after.
    if arguments.out:
        _prepare(arguments.out)
    model = open_run(bundle, arguments.run_folder) if arguments.run_folder else None
    faces = None
    if arguments.folder:
        dataset, faces, notice = _photographed(arguments.folder, arguments.labels)
    else:
        dataset = load_dataset(arguments.data, arguments.usage)
    answers = _read(classifier, dataset, faces)
    figures = evaluate(answers, dataset, bundle)
    if faces:
        found = _found(faces, figures, answers.said, classifier)
        figures["photographs"] = found | {"notice": notice}
    elif (sources := read_sources(arguments.data, arguments.usage)) is not None:
        figures["sources"] = by_source(answers, dataset, sources, bundle)
    figures["speed"] = speed(classifier, dataset.images)
    if arguments.sides or model:
        figures["sides"] = sides(bundle, answers.said, dataset, model)
    classifiers = [classifier]
    if other:
        classifiers.append(LiteRTClassifier(other))
        others = _read(classifiers[1], dataset, faces)
        against = figures["against"] = evaluate(others, dataset, other)
        labels = dataset.labels.astype(int)
        against["difference"] = difference(answers.word, others.word, labels)
        if dataset.votes is not None:
            majority = vote_majority(dataset.votes)
            against["fer_plus_difference"] = difference(answers.votes, others.votes, majority)
    if arguments.conditions:
        tables = robustness(classifiers, dataset)
        figures["conditions"] = tables[0]
        if other:
            figures["against"]["conditions"] = tables[1]
    if arguments.out:
        figures["files"] = _write(arguments.out, figures, arguments)
    return figures


def _read(classifier: LiteRTClassifier, dataset: Dataset, faces: Faces | None) -> Answers:
    """Photographs have words of their own, so there the box's answer is asked, not the heads."""
    answers = read_answers(classifier, dataset.images)
    return alone(answers.said) if faces else answers


def _photographed(folder: Path, labels: Path | None) -> tuple[Dataset, Faces, str | None]:
    photographs = labelled_photographs(folder, labels)
    finder, notice = box_finder()
    faces = read_faces(photographs, finder)
    return (
        Dataset(faces.crops, np.array([p.label for p in faces.photographs], np.uint8)),
        faces,
        notice,
    )


def _found(
    faces: Faces, figures: dict[str, Any], logits: NDArray[np.float32], classifier: LiteRTClassifier
) -> dict[str, Any]:
    """What became of the photographs on their way to the network, and what the box would withhold.

    `balanced_accuracy_of_all` counts a face that was not found as answered wrongly.
    """
    missed = Counter(
        str(LABELS[photo.label]) for photo in faces.without_face if photo.label is not None
    )
    per_class = figures["per_class"]

    def of_all(recall: dict[str, float]) -> float:
        hits = {label: value * per_class[label]["n"] for label, value in recall.items()}
        occur = {*hits, *missed}
        shares = [hits.get(name, 0) / (per_class[name]["n"] + missed[name]) for name in occur]
        return float(np.mean(shares))

    if narrow := figures.get("restricted"):
        narrow["balanced_accuracy_of_all"] = of_all(narrow["recall"])
    bundle = classifier.bundle
    answers = probabilities(logits, bundle.calibration.temperature)
    readings = [
        read(
            box=(0, 0, 0, 0), score=1.0, track=0, look=look, probabilities=answer,
            limits=Config().limits, min_confidence=bundle.thresholds.confidence,
        )
        for look, answer in zip(faces.looks, answers, strict=True) if look
    ]  # fmt: skip
    return {
        "n": len(faces.crops) + len(faces.without_face),
        "with_face": len(faces.crops),
        "several": faces.several,
        "cropped_already": faces.looks.count(None),
        "without_face": [printable(photo.file.name) for photo in faces.without_face],
        "missed": {label: missed[label] for label in LABELS if missed[label]},
        "skipped": faces.skipped,
        "balanced_accuracy_of_all": of_all(
            {name: one["recall"] for name, one in per_class.items() if one["n"]}
        ),
        "cannot_tell": dict(Counter(r.reason for r in readings if r.reason).most_common()),
    }


def _prepare(folder: Path) -> None:
    require("matplotlib")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WorkshopError(f"The folder {folder} cannot be made: {error.strerror}.") from error


def _write(folder: Path, figures: dict[str, Any], arguments: argparse.Namespace) -> list[str]:
    files = []
    for draw in (plots.confusion, plots.reliability, plots.coverage):
        files += plots.save(draw(figures), folder, draw.__name__)
    if "conditions" in figures:
        tables = [(figures["bundle"], figures["conditions"])]
        if "against" in figures:
            tables.append((figures["against"]["bundle"], figures["against"]["conditions"]))
        files += plots.save(plots.robustness(tables), folder, "robustness")
    read = f"{arguments.usage} of {printable(arguments.data.name)}:" if arguments.usage else "Read:"
    try:
        text = json.dumps(figures, ensure_ascii=False, indent=1)
        (folder / "figures.json").write_text(text, "utf-8")
        (folder / "report.md").write_text(report(figures, read), "utf-8")
    except OSError as error:
        raise WorkshopError(f"{folder} cannot be written to: {error.strerror}.") from error
    return [*files, "figures.json", "report.md"]


def show(figures: dict[str, Any]) -> None:
    for name in (
        "n", "accuracy", "balanced_accuracy", "macro_f1", "ece", "fer_plus_accuracy"
    ):  # fmt: skip
        if figures.get(name) is not None:
            line = f"{name.replace('_', ' '):18} {figures[name]:<8.4g} {_span(figures, name)}"
            print(line.rstrip())
    if said := figures.get("answer"):
        votes = said.get("fer_plus_accuracy")
        print(
            f"{'the box says':18} accuracy {said['accuracy']:.4g}"
            + (f", by the FER+ majority {votes:.4g}" if votes is not None else "")
        )
    left = figures["at_threshold"]
    if left.get("fer_plus_right") is not None:
        coverage, right, whose = left["fer_plus_coverage"], left["fer_plus_right"], "FER+ majority"
    else:
        coverage, right, whose = left["coverage"], left["right"], "label"
    print(
        f"{'at confidence ≥':18} {left['threshold']:g}: {percent(coverage)} labelled, "
        f"{percent(right)} of these right by the {whose}"
    )
    cost = figures["speed"]
    millions = cost["multiply_adds"] / 1e6
    print(f"{'an inference':18} {cost['ms']:.2f} ms, {millions:.1f} million multiply-adds")
    _show_table(figures)
    if narrow := figures.get("restricted"):
        print(
            f"\namong {', '.join(narrow['classes'])} only: accuracy {narrow['accuracy']:.4g}, "
            f"balanced {narrow['balanced_accuracy']:.4g}"
        )
    if found := figures.get("photographs"):
        print(
            f"\nfaces found in {found['with_face']} of {found['n']} photographs; missing ones "
            f"counted as wrong: balanced {found['balanced_accuracy_of_all']:.4g}"
        )
    for source, one in figures.get("sources", {}).items():
        print(f"source {source}: {one['n']} pictures, accuracy {one['accuracy']:.4g}")
    for pair in figures.get("sides", {}).get("pairs", []):
        print(f"{' – '.join(pair['sides'])}: same answer for {percent(pair['agreement'])}")
    if other := figures.get("against"):
        gain = other["difference"]
        low, high = gain["interval"]
        print(
            f"\nagainst {other['bundle']} ({other['accuracy']:.4g}): accuracy "
            f"{gain['accuracy']:+.4f} ({low:+.4f} to {high:+.4f})"
        )
    if "conditions" in figures:
        print(f"\n{condition_table(figures)}")


def _show_table(figures: dict[str, Any]) -> None:
    print(f"\n{'':10} recall precision     f1     n   answered as {' '.join(LABELS)}")
    for label, row in zip(LABELS, figures["confusion"], strict=True):
        one = figures["per_class"][label]
        recall, precision, f1 = (
            "–" if one[name] is None else f"{one[name]:.3f}"
            for name in ("recall", "precision", "f1")
        )
        counts = " ".join(f"{n:>{len(name)}}" for n, name in zip(row, LABELS, strict=True))
        print(f"{label:10} {recall:>6} {precision:>9} {f1:>6} {one['n']:5}   {'':11} {counts}")


def _span(figures: dict[str, Any], name: str) -> str:
    span = figures["intervals"].get(name)
    return f"({span[0]:.3f} to {span[1]:.3f})" if span else ""
