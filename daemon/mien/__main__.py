"""The command line: `mien COMMAND`."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence

from mien import __version__
from mien.commands import (
    backup,
    check,
    demo,
    doctor,
    events,
    likeness,
    models,
    mood,
    mqtt,
    replay,
    restore,
    run,
    update,
    users,
)
from mien.config import ConfigError
from mien.events import MienError
from mien.filenames import printable, write_as_written

EX_CONFIG = 78  # sysexits.h: something is wrong in a configuration file


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status."""
    write_as_written()
    words = sys.argv[1:] if argv is None else list(argv)
    if sorted(words) == ["--json", "--version"]:
        print(_build())
        return 0
    args = _parser().parse_args(words)
    _log(logging.DEBUG if args.verbose else logging.INFO)
    try:
        status: int = args.run(args)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return EX_CONFIG
    except MienError as error:
        print(f"mien: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of a pipe (`mien events | head`) went away, which is its right.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return status


def _build() -> str:
    import msgspec

    from mien import build
    from mien.config import load

    # An installed box keeps its state where install.sh put it, whoever asks.
    state = build.INSTALLED_STATE if build.RECORD.exists() else load(None).state_dir
    return msgspec.json.encode(build.this(state)).decode()


def _log(level: int) -> None:
    """To the journal with its levels where stderr leads there (systemd.exec(5)), else to stderr."""
    errors = os.fstat(2)
    if os.environ.get("JOURNAL_STREAM") == f"{errors.st_dev}:{errors.st_ino}":
        try:
            from systemd.journal import JournalHandler
        except ImportError:
            pass  # python3-systemd is missing: stderr reaches the journal too, without the levels
        else:
            journal = JournalHandler(SYSLOG_IDENTIFIER="mien")
            journal.setFormatter(_Printable("%(message)s"))
            logging.basicConfig(level=level, handlers=[journal])
            return
    name = " %(name)s" if level == logging.DEBUG else ""
    logging.basicConfig(level=level, format=f"%(levelname)s{name}: %(message)s")


class _Printable(logging.Formatter):
    """For the journal, which takes nothing but UTF-8."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mien",
        description="Reads facial expressions on this device: what a face looks like, never what "
        "somebody feels. No picture is written or sent.",
    )
    parser.add_argument(
        "--version",
        action="version",
        version=f"mien {__version__}",
        help="print the version; with --json the build and all its parts",
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="log details")
    subcommands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in (
        demo,
        run,
        replay,
        check,
        doctor,
        models,
        users,
        backup,
        restore,
        events,
        mqtt,
        mood,
        update,
        likeness,
    ):
        command.add(subcommands)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
