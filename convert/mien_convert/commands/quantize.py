"""`mien-convert quantize`: the epoch of a run that counts, as an int8 bundle."""

import argparse
from pathlib import Path
from typing import Any

from mien_convert.bundle import make_bundle
from mien_convert.commands import add_command, add_data
from mien_convert.edgetpu import INSTALL


def add(subcommands: Any) -> None:
    parser = add_command(subcommands, "quantize", run, show, "make a run an int8 bundle")
    parser.add_argument("run_folder", type=Path, metavar="RUN", help="folder of a training run")
    add_data(parser, "the file it was trained on")
    parser.add_argument("--out", type=Path, required=True, metavar="BUNDLE", help="a new folder")


def run(arguments: argparse.Namespace) -> Any:
    return make_bundle(arguments.run_folder, arguments.data, arguments.out)


def show(document: dict[str, Any]) -> None:
    print(f"bundle {document['name']}, on PublicTest:")
    for name, value in document["accuracy"]["public_test"].items():
        if isinstance(value, float | int):
            print(f"  {name.replace('_', ' '):22} {value:.4g}")
    if parity := document.get("parity"):
        _show_parity(parity)
    edgetpu = document["edgetpu"]
    print("\noperation                 version  count  runs on")
    for one in edgetpu["operations"]:
        why = f"  ({one['reason']})" if one.get("reason") else ""
        place = {"edge tpu": "Edge TPU", "cpu": "CPU"}[one["verdict"]] + why
        print(f"{one['operation']:25} {one['version']:7} {one['count']:6}  {place}")
    print(edgetpu["text"])
    if not edgetpu["compiled"]:
        print(f"  {INSTALL}")


def _show_parity(parity: dict[str, Any]) -> None:
    difference = parity["logit_difference"]
    print(
        f"\nfloat {parity['float_accuracy']:.2%}, int8 {parity['int8_accuracy']:.2%}: "
        f"{-parity['lost'] * 100:+.2f} points; same answer {parity['agreement']:.2%}; "
        f"logits differ by {difference['mean']:.3f}, at most {difference['max']:.3f}"
    )
    print("error of each layer in steps of its output (rounding alone: 0.29):")
    print("  " + ", ".join(f"{one['operation']} {one['error']:.2f}" for one in parity["layers"]))
    if warning := parity.get("warning"):
        print(f"WARNING: {warning}")
