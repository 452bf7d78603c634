"""`make bench`: what is fast and what it costs, as a table and `bench/results.json`.

Machines are noisy, so each stage stands beside a baseline measured in the same run, turn
by turn: a 256×256 matrix product of NumPy's. Compare ratios between runs, not milliseconds.
"""

import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # the baseline's, which would spin in between

import numpy as np

from bench import appliance, home, scene, tablets, year
from mien.bundle import load_bundle, shipped_bundle
from mien.camera import Frame
from mien.classifier import open_classifier, probabilities
from mien.config import Config
from mien.crop import crop
from mien.faces import open_finder
from mien.pipeline import Pipeline
from mien.pose import turn
from mien.reading import look

TURNS = 300

# What the box must keep to on a machine of this kind, one thread, 1280×720.
GOALS = {
    "faces + expression, ms CPU": ("<=", 6.0),
    "overhead beside the networks": ("<=", 0.30),
    "frames a second, flat out": (">=", 120.0),
    "frame → subscriber p99, ms": ("<=", 60.0),
    "daemon RSS peak, MB": ("<=", 140.0),
    "page RSS peak, MB": ("<=", 70.0),
    "20 tablets, p95 of an answer, ms": ("<=", 150.0),
    "slowest page over a year, ms": ("<=", 100.0),
    "largest page over a year, kB": ("<=", 200.0),
    "three years at home, year page, ms": ("<=", 100.0),
    "three years at home, day page, ms": ("<=", 50.0),
    "twelve months as long as one, times": ("<=", 12.0),
    "16 h at home, MB to the card": ("<=", 30.0),
    "start to first reading, s": ("<=", 2.0),
}


def main() -> int:
    results: dict[str, Any] = {
        "machine": f"{platform.machine()}, Python {platform.python_version()}"
    }
    print("stages, one thread, 1280×720 …", file=sys.stderr)
    results["stages"] = stages()
    with tempfile.TemporaryDirectory(prefix="mien-bench-") as folder:
        clip = Path(folder) / "scene.mp4"
        scene.video(clip, seconds=20)
        print("flat out …", file=sys.stderr)
        results["flat_out"] = appliance.flat_out(clip)
        print("the daemon and the page at 15 frames/s, over a real broker …", file=sys.stderr)
        results["appliance"] = appliance.measure(clip, Path(folder))
        print("twenty tablets on a store with a year in it …", file=sys.stderr)
        results["tablets"] = tablets.measure(clip, Path(folder))
        results["pages"] = pages(Path(folder) / "year")
        print("three years of a home log …", file=sys.stderr)
        results["home"] = home.measure(Path(folder))
    results["figures"] = figures(results)
    (Path(__file__).parent / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    show(results)
    return 0


def stages() -> dict[str, dict[str, float]]:
    """Each stage alone, in turn with the baseline: ms median and p95, CPU ms, ratio to it."""
    config = Config()
    bundle = load_bundle(shipped_bundle())
    finder, _ = open_finder(config.faces, models_dir=config.state_dir / "models")
    classifier, _ = open_classifier(bundle, "cpu")
    pipeline = Pipeline(config, finder, classifier, bundle)
    pictures = scene.frames(30)
    faces = [finder.find(picture)[0] for picture in pictures]
    crops = [crop(picture, face) for picture, face in zip(pictures, faces, strict=True)]
    square = np.random.default_rng(1).standard_normal((256, 256)).astype(np.float32)

    def whole(turn_: int) -> None:
        pipeline.see(Frame(pictures[turn_ % 30], turn_ / 15, turn_))

    def reading(turn_: int) -> None:
        face = faces[turn_ % 30]
        look(crops[turn_ % 30], face.box[2], turn(face.keypoints, face.box))

    def network(turn_: int) -> None:
        probabilities(classifier.classify(crops[turn_ % 30]).logits, 1.0)

    return _in_turn(
        {
            "baseline": lambda _: square @ square,
            "faces": lambda i: finder.find(pictures[i % 30]),
            "crop": lambda i: crop(pictures[i % 30], faces[i % 30]),
            "expression": network,
            "reading": reading,
            "whole": whole,
        }
    )


def pages(state: Path) -> dict[str, dict[str, float]]:
    """Each page over a year of daily sessions: median ms in the server, and kB."""
    return {url: {"ms": ms, "kb": kb} for url, _, ms, _, _, kb in year.measure(state)}


def _in_turn(works: dict[str, Callable[[int], Any]]) -> dict[str, dict[str, float]]:
    wall: dict[str, list[float]] = {name: [] for name in works}
    cpu: dict[str, list[float]] = {name: [] for name in works}
    for index in range(TURNS + 20):
        for name, work in works.items():
            began, began_cpu = time.perf_counter(), time.process_time()
            work(index)
            if index >= 20:  # the first turns fill caches
                cpu[name].append((time.process_time() - began_cpu) * 1e3)
                wall[name].append((time.perf_counter() - began) * 1e3)
    base = statistics.median(wall["baseline"])
    return {
        name: {
            "median_ms": statistics.median(wall[name]),
            "p95_ms": statistics.quantiles(wall[name], n=20)[18],
            "cpu_ms": statistics.median(cpu[name]),
            "ratio": statistics.median(wall[name]) / base,
        }
        for name in works
    }


def figures(results: dict[str, Any]) -> dict[str, float]:
    stage, box, at_home = results["stages"], results["appliance"], results["home"]
    log = {name: page["ms"] for name, page in at_home["pages"].items()}
    networks = stage["faces"]["cpu_ms"] + stage["expression"]["cpu_ms"]
    return {
        "faces + expression, ms CPU": networks + stage["crop"]["cpu_ms"],
        "overhead beside the networks": stage["whole"]["cpu_ms"] / networks - 1,
        "frames a second, flat out": results["flat_out"]["frames_per_second"],
        "CPU share at 15 frames/s": box["cpu_share"],
        "frame → subscriber p50, ms": box["latency_p50_ms"],
        "frame → subscriber p99, ms": box["latency_p99_ms"],
        "daemon RSS peak, MB": box["daemon_rss_mb"],
        "page RSS peak, MB": max(box["page_rss_mb"], results["tablets"]["page_rss_mb"]),
        "20 tablets, p50 of an answer, ms": results["tablets"]["p50_ms"],
        "20 tablets, p95 of an answer, ms": results["tablets"]["p95_ms"],
        "frames a second beside 20 tablets": results["tablets"]["frames_per_second"],
        "slowest page over a year, ms": max(page["ms"] for page in results["pages"].values()),
        "largest page over a year, kB": max(page["kb"] for page in results["pages"].values()),
        "three years at home, year page, ms": log["year"],
        "three years at home, day page, ms": log["day"],
        "twelve months as long as one, times": log["year"] / log["month"],
        "three years at home, MB": at_home["store"]["mb"],
        "16 h at home, MB to the card": at_home["written_mb"]["with a broker"],
        "start to first reading, s": box["first_reading_s"],
        "written to disk, MB an hour": box["written_mb_per_hour"],
    }


def show(results: dict[str, Any]) -> None:
    print(f"\n{results['machine']}\n")
    print(f"{'stage':12} {'median ms':>10} {'p95 ms':>8} {'CPU ms':>8} {'× baseline':>11}")
    for name, row in results["stages"].items():
        print(
            f"{name:12} {row['median_ms']:10.3f} {row['p95_ms']:8.3f} {row['cpu_ms']:8.3f} "
            f"{row['ratio']:11.2f}"
        )
    print(f"\n{'figure':36} {'measured':>9}  goal")
    for name, value in results["figures"].items():
        goal = ""
        if name in GOALS:
            sign, limit = GOALS[name]
            kept = value <= limit if sign == "<=" else value >= limit
            goal = f"{sign} {limit:g}  {'kept' if kept else 'MISSED'}"
        print(f"{name:36} {value:9.2f}  {goal}")


if __name__ == "__main__":
    raise SystemExit(main())
