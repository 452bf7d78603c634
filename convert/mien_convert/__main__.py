"""`mien-convert`: from pictures to a verified bundle, and how right a bundle is."""

import argparse
import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from mien.events import MienError
from mien.filenames import write_as_written
from mien_convert.commands import (
    bundle,
    evaluate,
    experiments,
    explain,
    import_,
    library,
    make,
    quantize,
    train,
    tune,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns 0, or 2 after a sentence on stderr, or 130 when interrupted."""
    write_as_written()
    arguments = _parser().parse_args(argv)
    # TensorFlow tells much at INFO that helps nobody here.
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.getLogger("mien_convert").setLevel(logging.INFO)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    run: Callable[[argparse.Namespace], Any] = arguments.run
    try:
        result = msgspec.to_builtins(run(arguments))
    except MienError as error:
        print(f"mien-convert: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("mien-convert: stopped; what was saved is kept.", file=sys.stderr)
        return 130
    try:
        if arguments.json:
            # The name of a file may hold bytes that are not UTF-8; JSON has a way to write these.
            told = json.dumps(result, ensure_ascii=False)
            print(told.encode("utf-8", "backslashreplace").decode())
        else:
            arguments.show(result)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of a pipe (`mien-convert … | head`) went away, which is its right.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("mien-convert", description=__doc__)
    subcommands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (
        import_,
        library,
        make,
        train,
        experiments,
        tune,
        quantize,
        bundle,
        evaluate,
        explain,
    ):
        command.add(subcommands)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
