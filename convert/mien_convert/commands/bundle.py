"""`mien-convert bundle`: verify a bundle and pack it for the box, or measure it again."""

import argparse
from pathlib import Path
from typing import Any

from mien_convert.bundle import pack, refresh
from mien_convert.commands import add_command
from mien_convert.commands.quantize import show as show_document
from mien_convert.errors import WorkshopError


def add(subcommands: Any) -> None:
    parser = add_command(
        subcommands, "bundle", run, show, "verify a bundle and pack it into one file for the box"
    )
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="folder of a bundle")
    parser.add_argument("--out", type=Path, metavar="FILE.zip", help="the zip to write")
    parser.add_argument(
        "--refresh", action="store_true", help="measure again, rewrite figures and model card"
    )
    parser.add_argument(
        "--data", type=Path, metavar="FILE", help="with --refresh: the file it was trained on"
    )
    parser.add_argument(
        "--figures", type=Path, nargs="+", default=[], metavar="FILE.json",
        help="with --refresh: what `mien-convert evaluate --json` printed, for its conditions "
        "and photographs",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> Any:
    if not (arguments.refresh or arguments.out):
        raise WorkshopError("Say what to do: --out FILE.zip to pack, --refresh to measure again.")
    if arguments.refresh != (arguments.data is not None):
        raise WorkshopError("--refresh and --data FILE go together.")
    if arguments.figures and not arguments.refresh:
        raise WorkshopError("--figures goes with --refresh.")
    result = {}
    if arguments.refresh:
        document = refresh(arguments.bundle, arguments.data, arguments.figures)
        result["refreshed"] = document
    if arguments.out:
        result["packed"] = pack(arguments.bundle, arguments.out)
    return result


def show(result: dict[str, Any]) -> None:
    if document := result.get("refreshed"):
        show_document(document)
    if packed := result.get("packed"):
        print(f"{packed['zip']}: bundle {packed['name']}, hashes and known answers right")
        print(f"  {packed['bytes']} bytes, SHA-256 {packed['sha256']}")
        print(f"  on the box: sudo mien models install {Path(packed['zip']).name}")
