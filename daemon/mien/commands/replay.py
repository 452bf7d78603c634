"""`mien replay`: the whole seeing pipeline over a file, as fast as it can go."""

import argparse
import json
import sys
from collections.abc import Iterator, Sized
from pathlib import Path
from statistics import fmean
from typing import Any

import msgspec
from tqdm import tqdm

from mien.camera import Source, open_source
from mien.clock import SystemClock
from mien.config import load
from mien.events import Episode
from mien.pipeline import Pipeline, Seen
from mien.seeing import open_pipeline


def add(subcommands: Any) -> None:
    parser = subcommands.add_parser(
        "replay",
        help="read a video, a picture or a folder of pictures",
        description="Run the seeing pipeline over SOURCE as fast as it goes; no broker, no store. "
        "Pictures of a folder are read each on its own, in name order.",
    )
    parser.add_argument("source", metavar="SOURCE", help="video, picture, folder, URL or camera")
    parser.add_argument("--config", type=Path, help="config file")
    parser.add_argument("--json", action="store_true", help="print a JSON line a frame")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    config = load(args.config)
    source = open_source(args.source, config.camera, SystemClock())
    try:
        pipeline, models = open_pipeline(config)
        for part in models:
            if part.status != "ok":
                print(f"mien: {part.text}", file=sys.stderr)
        summary = Summary()
        total = len(source) if isinstance(source, Sized) else None
        # `disable=None`: a bar only where somebody watches.
        for seen in tqdm(_seen(source, pipeline), total=total, unit=" frames", disable=None):
            summary.add(seen)
            line = frame_line(seen)
            tqdm.write(json.dumps(line) if args.json else _words(line))
        summary.episodes += pipeline.end()
    finally:
        source.close()
    print(json.dumps({"summary": summary.line()}) if args.json else summary.words())
    return 0


def frame_line(seen: Seen) -> dict[str, Any]:
    """A frame as the JSON line that `--json` promises."""
    frame = seen.frame
    where = {"t": round(frame.t, 3)} if frame.file is None else {"file": frame.file}
    return {"frame": frame.index, **where, "faces": msgspec.to_builtins(seen.readings)}


class Summary:
    """What the last line tells."""

    def __init__(self) -> None:
        self.frames = 0
        self.frames_with_face = 0
        self.episodes: list[Episode] = []
        self._ms: dict[str, list[float]] = {"faces": [], "expression": [], "total": []}

    def add(self, seen: Seen) -> None:
        self.frames += 1
        self.frames_with_face += bool(seen.readings)
        self.episodes += seen.ended
        for stage, ms in seen.ms.items():
            self._ms[stage].append(ms)

    def line(self) -> dict[str, Any]:
        return {
            "frames": self.frames,
            "frames_with_face": self.frames_with_face,
            "episodes": [
                {
                    "expression": episode.expression,
                    "from": round(episode.start, 3),
                    "to": round(episode.end, 3),
                    "peak": round(episode.peak, 3),
                }
                for episode in self.episodes
            ],
            "ms_per_frame": {
                stage: round(fmean(ms), 3) if ms else None for stage, ms in self._ms.items()
            },
        }

    def words(self) -> str:
        lines = [f"{self.frames_with_face} of {self.frames} frames with a face"]
        lines += [
            f"looked like {e.expression} from {e.start:.1f} s to {e.end:.1f} s, peak {e.peak:.0%}"
            for e in self.episodes
        ]
        return "\n".join(lines)


def _seen(source: Source, pipeline: Pipeline) -> Iterator[Seen]:
    see = pipeline.see_still if source.still else pipeline.see
    while (frame := source.read(timeout=10.0)) is not None:
        yield see(frame)


def _words(line: dict[str, Any]) -> str:
    where = line.get("file") or f"{line['t']:8.2f} s"
    if not line["faces"]:
        return f"{where}  no face"
    told = [
        f"looks like {face['label']}, {face['confidence']:.0%}"
        if face["label"]
        else f"cannot tell: {face['reason']}"
        for face in line["faces"]
    ]
    return f"{where}  " + " · ".join(told)
