"""`mien mood analyse`: how often which everyday emotions are reported, in a file of reports."""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mien import moodplot
from mien.csvfile import CsvError, Table
from mien.filenames import printable
from mien.moodanalysis import FEW, Analysis, Ratio, Share, analyse
from mien.moodcsv import Reports, Row
from mien.moodplot import WEEKDAYS

_SHARES = {
    "any_emotion_share": "any emotion",
    "positive_share": "a positive one",
    "negative_share": "a negative one",
    "only_positive_share": "only positive ones",
    "only_negative_share": "only negative ones",
    "both_share": "both",
}
_ROWS_A_STEP = 4096


def add(subcommands: Any) -> None:
    parser = subcommands.add_parser(
        "mood",
        help="what reports of everyday emotions tell",
        description="Analyse reports of everyday emotions. They are what people say of "
        "themselves, not what a camera saw.",
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    action = actions.add_parser(
        "analyse",
        help="shares by hour and weekday, positive to negative",
        description="Analyse FILE, a CSV with the columns id, Hours, Day and eighteen emotions of "
        "0 and 1, in any order. Prints a table and draws a picture.",
    )
    action.add_argument("file", metavar="FILE.csv", type=Path)
    action.add_argument("--json", action="store_true", help="print JSON, and draw no picture")
    action.add_argument(
        "--svg", type=Path, metavar="OUT", help="where to draw; by default FILE.svg in this folder"
    )
    action.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    drawn = args.svg or (None if args.json else Path(f"{args.file.stem}.svg"))
    if drawn and drawn.resolve() == args.file.resolve():
        raise CsvError(f"The picture would replace {args.file}. Name another place with --svg.")
    with Table.opened(args.file) as table:
        reports = Reports(table)
        found = analyse(reports, _watched(reports, args.file))
    problems = reports.problems()
    for problem in problems:
        print(f"mien: {args.file.name}, {problem}; dropped", file=sys.stderr)
    if found is None:
        why = "none of its rows can be used" if problems else "it has a header and no rows"
        raise CsvError(f"{args.file.name}: {why}. Name a file with reports.")
    if drawn:
        _draw(drawn, moodplot.svg(found, printable(args.file.name)))
    if args.json:
        print(json.dumps(found.line()))
    else:
        print("\n".join(_table(found)))
        print(f"\nDrawn: {drawn}")
    return 0


def _watched(reports: Reports, file: Path) -> Iterator[Row]:
    """The rows, with a bar where somebody watches and it may take a moment."""
    with tqdm(
        total=file.stat().st_size, unit="B", unit_scale=True, disable=None, delay=1, leave=False
    ) as bar:
        for n, row in enumerate(reports):
            if not n % _ROWS_A_STEP:
                bar.update(reports.table.position - bar.n)
            yield row


def _draw(path: Path, picture: str) -> None:
    draft = path.with_name(f"{path.name}.new")
    try:
        draft.write_text(picture, encoding="utf-8")
        os.replace(draft, path)
    except OSError as error:
        reason = (error.strerror or str(error)).rstrip(".").lower()
        raise CsvError(
            f"The picture {path} cannot be written: {reason}. Name another place with --svg."
        ) from None


def _table(found: Analysis) -> Iterator[str]:
    yield moodplot.whose(found)
    if dropped := sum(found.dropped.values()):
        yield f"{dropped:,} rows dropped: " + ", ".join(
            f"{count:,} for a {'missing value' if fault == 'missing' else f'wrong {fault}'}"
            for fault, count in found.dropped.items()
            if count
        )
    if 1 < found.people < found.reports:
        yield "The 95 % intervals count people, for the reports of one resemble each other."
    yield ""
    yield "Reports with"
    for name, words in _SHARES.items():
        yield f"  {words:20} {_words(found.shares[name])}{_few(found.shares[name])}"
    few = " *" if found.reports < FEW else ""
    yield f"positive to negative            {_times(found.positive_to_negative)}{few}"
    yield f"only positive to only negative  {_times(found.only_positive_to_only_negative)}{few}"
    yield "\nEmotions, the most reported first"
    for emotion, one in sorted(found.emotions.items(), key=lambda item: -item[1].share):
        yield f"  {emotion:20} {_words(one)}{_few(one)}"
    yield "\nPositive by weekday (day 1 is taken as Monday)"
    for day, one in found.by_weekday.items():
        yield f"  {day} {WEEKDAYS[day - 1]:18} {_words(one)}  {_reports(one)}{_few(one)}"
    yield "\nPositive by hour"
    for hour, one in found.by_hour.items():
        yield f"  {hour:2} h{'':16} {_words(one)}  {_reports(one)}{_few(one)}"
    if any(one.few for one in (*found.by_weekday.values(), *found.by_hour.values())):
        yield f"\n* under {FEW} reports: too little to tell"


def _words(one: Share) -> str:
    return f"{100 * one.share:5.1f} %  ({100 * one.low:5.1f}–{100 * one.high:5.1f})"


def _reports(one: Share) -> str:
    return f"{one.reports:9,} report{'s' * (one.reports > 1)}"


def _times(one: Ratio | None) -> str:
    return f"{one.ratio:.2f} ({one.low:.2f}–{one.high:.2f})" if one else "cannot tell"


def _few(one: Share) -> str:
    return " *" if one.few else ""
