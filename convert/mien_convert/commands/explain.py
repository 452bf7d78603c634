"""`mien-convert explain`: where in a picture an answer comes from."""

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.bundle import load_bundle
from mien.classifier import LiteRTClassifier, probabilities
from mien.filenames import printable
from mien_convert import plots
from mien_convert.commands import EVALUATION_DATA, add_command, positive
from mien_convert.dataset import LABELS, USAGES, load_dataset
from mien_convert.errors import WorkshopError
from mien_convert.explain import (
    activation_maps,
    average_maps,
    average_pictures,
    cell_centres,
    check_head,
    check_network,
    write_overlay,
)
from mien_convert.photographs import box_finder, photographs_at, read_faces
from mien_convert.report import percent
from mien_convert.sides import open_run

UNKNOWN = -1


def add(subcommands: Any) -> None:
    parser = add_command(
        subcommands, "explain", run, show, "where in a picture an answer comes from"
    )
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="folder of a bundle")
    parser.add_argument(
        "pictures", type=Path, nargs="*", metavar="PICTURES",
        help="photographs, crops of 48×48, or folders of them (plain, with labels.csv, or a folder "
        "for each expression)",
    )  # fmt: skip
    parser.add_argument("--data", type=Path, metavar="FILE", help=EVALUATION_DATA)
    parser.add_argument("--usage", choices=USAGES, help="only this part of FILE")
    parser.add_argument(
        "--overlays", type=positive, default=50, metavar="N",
        help="pictures to draw one by one, the first ones; averages are over all (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--run", dest="run_folder", type=Path, metavar="RUN",
        help="folder of the training run: the sanity check with a random network too (needs "
        "TensorFlow)",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FOLDER", help="for the pictures"
    )


def run(arguments: argparse.Namespace) -> Any:
    out: Path = arguments.out
    if bool(arguments.pictures) == bool(arguments.data):
        raise WorkshopError("Name pictures or folders, or a file with --data; one of the two.")
    if arguments.usage and not arguments.data:
        raise WorkshopError("--usage chooses a part of the file given with --data.")
    bundle = load_bundle(arguments.bundle)
    classifier = LiteRTClassifier(bundle)
    model = open_run(bundle, arguments.run_folder) if arguments.run_folder else None
    images, labels, names, left_out = _pictures(arguments)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WorkshopError(f"The folder {out} cannot be made: {error.strerror}.") from error

    logits, maps = activation_maps(classifier, images)
    answers = logits.argmax(axis=1)
    confidence = probabilities(logits, bundle.calibration.temperature).max(axis=1)
    centres = cell_centres(bundle)
    drawn = []
    for row, name in enumerate(names[: arguments.overlays]):
        answer = int(answers[row])
        file = f"{row + 1:04}-{name}-{LABELS[answer]}.png"
        write_overlay(
            out / file, images[row], plots.overlay(images[row], maps[row, answer], centres)
        )
        drawn.append(
            {
                "picture": name,
                "answer": LABELS[answer],
                "confidence": round(float(confidence[row]), 4),
                "label": None if labels[row] == UNKNOWN else LABELS[labels[row]],
                "overlay": file,
            }
        )
    averages = {"answered": average_maps(maps, answers)}
    if (labels != UNKNOWN).any():
        averages["labelled"] = average_maps(maps, labels)
    means = {
        kind: average_pictures(images, classes)
        for kind, classes in (("answered", answers), ("labelled", labels))
    }
    files = plots.save(plots.averages(means, averages, centres), out, "averages")
    counts = Counter(LABELS[answer] for answer in answers)
    result = {
        "bundle": bundle.name,
        "n": len(images),
        "cell_centres": list(centres),
        "answered": {label: counts[label] for label in LABELS},
        "pictures": drawn,
        "averages": averages,
        "sanity": {
            "head": check_head(classifier, images),
            "network": None if model is None else check_network(classifier, images, model),
        },
        **left_out,
    }
    try:
        text = json.dumps(result, ensure_ascii=False, indent=1)
        (out / "explain.json").write_text(text, "utf-8")
    except OSError as error:
        raise WorkshopError(f"{out} cannot be written to: {error.strerror}.") from error
    return result | {"files": [*(one["overlay"] for one in drawn), *files, "explain.json"]}


def _pictures(
    arguments: argparse.Namespace,
) -> tuple[NDArray[np.uint8], NDArray[np.int64], list[str], dict[str, Any]]:
    """Crops [N, 48, 48], labels [N], names, and what could not be used."""
    if arguments.data:
        dataset = load_dataset(arguments.data, arguments.usage)
        names = [f"picture{row}" for row in range(len(dataset))]
        nothing: dict[str, Any] = {"without_face": [], "skipped": [], "notice": None}
        return dataset.images, dataset.labels.astype(np.int64), names, nothing
    photographs = [one for path in arguments.pictures for one in photographs_at(path)]
    finder, notice = box_finder()
    faces = read_faces(photographs, finder)
    labels = [UNKNOWN if one.label is None else one.label for one in faces.photographs]
    return (
        faces.crops,
        np.array(labels, np.int64),
        [printable(one.file.stem) for one in faces.photographs],
        {
            "without_face": [printable(one.file.name) for one in faces.without_face],
            "skipped": faces.skipped,
            "notice": notice,
        },
    )


def show(result: dict[str, Any]) -> None:
    print(f"faces read by {result['bundle']}: {result['n']}")
    for one in result["pictures"][:10]:
        print(f"  {one['picture']}: looks like {one['answer']}, {percent(one['confidence'])}")
    if len(result["pictures"]) > 10:
        print(f"  and {len(result['pictures']) - 10} more")
    if result["without_face"]:
        print(f"no face found in {', '.join(result['without_face'])}")
    for name, what in (("head", "a random last layer"), ("network", "all weights random")):
        if check := result["sanity"][name]:
            verdict = (
                "the map is lost, as it must be"
                if check["passed"]
                else "THE MAP STAYS: it shows the picture, not what the network learnt"
            )
            print(
                f"with {what}: rank correlation {check['rank_correlation']:+.2f} (size "
                f"{check['rank_correlation_size']:.2f}, limit {check['limit']}), "
                f"SSIM {check['ssim']:.2f}: {verdict}"
            )
