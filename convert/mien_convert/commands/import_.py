"""`mien-convert import`: pictures into a library."""

import argparse
import os
from pathlib import Path
from typing import Any

import msgspec

from mien.events import EXPRESSIONS, Expression
from mien.filenames import quoted
from mien_convert.commands import add_command, positive
from mien_convert.commands.library import counts, show_counts
from mien_convert.duplicates import mark
from mien_convert.errors import WorkshopError
from mien_convert.exported import BoxZip
from mien_convert.ferplus import FerPlusFolders, is_list, lists_in
from mien_convert.intake import Intake
from mien_convert.library import Library
from mien_convert.search import PIXABAY, DuckDuckGo, Pace, Pixabay, SearchSource, Service
from mien_convert.sources import FolderSource, NpzSource, Source, SourceError
from mien_convert.spelling import Classes
from mien_convert.tables import FerTable, ListTable, columns, is_votes, join_votes

KINDS = {".csv": "csv", ".tsv": "csv", ".txt": "csv", ".npz": "npz", ".zip": "zip"}
KEY = "MIEN_PIXABAY_KEY"


def add(subcommands: Any) -> None:
    parser = add_command(
        subcommands, "import", run, show,
        "pictures into a library: folders by class, FER-2013, FER+, a list, a box's zip, a search",
    )  # fmt: skip
    parser.add_argument("library", type=Path, metavar="LIBRARY", help="folder, made if need be")
    parser.add_argument("source", metavar="SOURCE", help="a folder, a file, or words to search for")
    parser.add_argument(
        "--kind", choices=["folders", "csv", "npz", "zip", "search"],
        help="default: by what SOURCE is",
    )  # fmt: skip
    parser.add_argument(
        "--class", dest="classes", action="append", default=[], metavar="NAME=EXPRESSION",
        type=_meaning, help="what a class name of your own means; `other` leaves it out",
    )  # fmt: skip
    parser.add_argument(
        "--cropped", action="store_true",
        help="the pictures are faces already, framed as FER-2013 frames them",
    )  # fmt: skip
    parser.add_argument(
        "--no-persons", action="store_true",
        help="folders besides classes and parts are not the persons shown",
    )  # fmt: skip
    parser.add_argument("--licence", default="not stated", metavar="TEXT")
    parser.add_argument("--consent", default="not stated", metavar="TEXT", help="of those shown")
    search = parser.add_argument_group("search")
    search.add_argument("--service", choices=["pixabay", "duckduckgo"], default="pixabay")
    search.add_argument("--label", choices=EXPRESSIONS, help="default: from the words")
    search.add_argument(
        "--count", type=positive, default=50, metavar="N", help="hits; default: %(default)s"
    )
    search.add_argument("--key", metavar="KEY", help=f"Pixabay's; better in {KEY}")
    search.add_argument("--address", default=PIXABAY, metavar="URL", help="of Pixabay's API")


def run(arguments: argparse.Namespace) -> Any:
    if arguments.kind != "search" and not Path(arguments.source).exists():
        raise SourceError(
            f"There is no {arguments.source}; expected a folder or a file. To search a picture "
            "service for these words, add --kind search."
        )
    kind = arguments.kind or _kind(Path(arguments.source))
    with Library.open(arguments.library, make=True) as library:
        if kind == "csv" and is_votes(Path(arguments.source)):
            result = {"votes": join_votes(library, Path(arguments.source))}
            mark(library)  # what is no face cannot be the one that is kept
        else:
            source = _source(arguments, kind, library)
            result = {"imported": msgspec.to_builtins(Intake(library).take(source))}
        return {**result, **counts(library)}


def show(result: dict[str, Any]) -> None:
    if votes := result.get("votes"):
        print(
            f"{votes['source']}: votes for {votes['votes']} rows, "
            f"of which {votes['not_a_face']} are no face to most voters\n"
        )
    if done := result.get("imported"):
        refused = f", {done['refused']} refused for want of consent" if done["refused"] else ""
        print(f"{done['source']}: {done['added']} added, {done['known']} known before{refused}")
        for notice in done["notices"]:
            print(f"Note: {notice}.")
        print()
    show_counts(result)


def _meaning(text: str) -> tuple[str, str]:
    name, equals, meaning = text.partition("=")
    if not (name and equals and meaning):
        raise argparse.ArgumentTypeError(f"{quoted(text)} is not of the form NAME=EXPRESSION")
    return name, meaning


def _kind(path: Path) -> str:
    if path.is_dir():
        return "folders"
    if kind := KINDS.get(path.suffix.lower()):
        return kind
    raise SourceError(
        f"{path} is neither a folder nor a .csv, .npz or .zip file; say what it is with --kind."
    )


def _source(arguments: argparse.Namespace, kind: str, library: Library) -> Source:
    path = Path(arguments.source)
    terms = {"licence": arguments.licence, "consent": arguments.consent}
    classes = Classes(dict(arguments.classes))
    if kind == "search":
        return _search(arguments, classes, library)
    if kind == "folders" and lists_in(path):
        return FerPlusFolders(path, **terms)
    if kind == "folders":
        return FolderSource(
            path, classes, cropped=arguments.cropped, persons=not arguments.no_persons, **terms
        )
    if kind == "npz":
        return NpzSource(path, **terms)
    if kind == "zip":
        return BoxZip(path)
    if is_list(path):
        return FerPlusFolders(path, **terms)
    if "pixels" in columns(path):
        return FerTable(path, classes, **terms)
    return ListTable(path, classes, cropped=arguments.cropped, **terms)


def _search(arguments: argparse.Namespace, classes: Classes, library: Library) -> Source:
    words = [classes.find(word) for word in arguments.source.split()]
    named = (word for word in words if word is not None and word != "other")
    label: Expression | None = arguments.label or next(named, None)
    if label is None:
        raise SourceError(
            f"The words {quoted(arguments.source)} name no expression; say what the pictures "
            f"shall be taken for with --label, one of {', '.join(EXPRESSIONS)}."
        )
    pace = Pace()
    service: Service
    if arguments.service == "duckduckgo":
        service = DuckDuckGo(pace)
    else:
        key = arguments.key or os.environ.get(KEY)
        if not key:
            raise WorkshopError(
                f"Pixabay's API needs a key of your own; set {KEY} to it. It is free: "
                "https://pixabay.com/api/docs/ shows it once you are logged in."
            )
        service = Pixabay(key, library, pace, arguments.address)
    return SearchSource(service, arguments.source, label, arguments.count, pace)
