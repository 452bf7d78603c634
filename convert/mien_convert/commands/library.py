"""`mien-convert library`: what a library holds, its doubles, its parts, the file to train on."""

import argparse
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mien_convert import duplicates, split
from mien_convert.commands import add_command, positive
from mien_convert.dataset import LABELS, USAGES
from mien_convert.export import export
from mien_convert.library import STAGES, Library
from mien_convert.sheets import write_sheets

NO_LABEL = "no label"


def add(subcommands: Any) -> None:
    text = "what a library holds, its doubles, its parts, and the file to train on"
    parser = subcommands.add_parser("library", help=text, description=text)
    parser.add_argument("library", type=Path, metavar="LIBRARY", help="folder of the library")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    add_command(
        actions, "counts", _with(counts), show_counts, "pictures at each stage, class and source"
    )
    add_command(
        actions, "duplicates", _with(duplicates.report), show_duplicates,
        "pictures that are the same, and those of them whose labels differ",
    )  # fmt: skip
    sheets = add_command(
        actions, "sheets", _sheets, show_sheets, "a PNG of faces for each class and each fault"
    )
    sheets.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    sheets.add_argument("--count", type=positive, default=400, metavar="N", help="faces a sheet")
    parts = add_command(
        actions, "split", _split, show_split,
        "put the faces into parts that share neither pictures nor persons",
    )  # fmt: skip
    how = parts.add_mutually_exclusive_group()
    how.add_argument(
        "--shares", type=_shares, default=(0.8, 0.1, 0.1), metavar="A,B,C",
        help="of Training, PublicTest, PrivateTest; default: 0.8,0.1,0.1",
    )  # fmt: skip
    how.add_argument(
        "--keep", action="store_true",
        help="the parts of the sources, without the Training faces that occur in another",
    )  # fmt: skip
    parts.add_argument("--seed", type=int, default=1, metavar="S", help="default: %(default)s")
    crossing = add_command(actions, "leaks", _leaks, show_leaks, "what occurs in two parts")
    crossing.add_argument(
        "--against", type=Path, metavar="FILE", help="in the library and in this npz file"
    )
    out = add_command(
        actions, "export", _export, show_export, "the npz file that `train` takes, and its origin"
    )
    out.add_argument("--out", type=Path, required=True, metavar="FILE", help="data.npz")


@contextmanager
def _opened(arguments: argparse.Namespace) -> Iterator[Library]:
    with Library.open(arguments.library) as library:
        duplicates.mark(library)  # where an import was broken off
        yield library


def _with(work: Callable[[Library], Any]) -> Callable[[argparse.Namespace], Any]:
    def run(arguments: argparse.Namespace) -> Any:
        with _opened(arguments) as library:
            return work(library)

    return run


# ── counts ───────────────────────────────────────────────────────────────────────────────────────


def counts(library: Library) -> dict[str, Any]:
    """Pictures that reached each stage, in all, by class and by source, and why others did not."""

    def reached(rows: list[Any]) -> dict[str, int]:
        return {
            stage: sum(row[-1] for row in rows if row[3] >= i) for i, stage in enumerate(STAGES)
        }

    rows = library.counts()
    names = [*LABELS, NO_LABEL]

    def by_class(rows: list[Any]) -> dict[str, dict[str, int]]:
        of = {name: [row for row in rows if _name(row[1]) == name] for name in names}
        return {name: reached(found) for name, found in of.items() if found}

    dropped: Counter[str] = Counter()
    colours: Counter[str] = Counter()
    for _, _, why, _, colour, count in rows:
        if why:
            dropped[why] += count
        colours[colour or "unknown"] += count
    sources = []
    for source in library.sources():
        own = [row for row in rows if row[0] == source["id"]]
        sources.append({**source, **reached(own), "by_class": by_class(own)})
    return {
        "library": str(library.folder),
        "total": reached(rows),
        "by_class": by_class(rows),
        "by_source": sources,
        "dropped": dict(dropped.most_common()),
        "colours": dict(colours.most_common()),
    }


def _name(label: int | None) -> str:
    return NO_LABEL if label is None else LABELS[label]


def show_counts(result: dict[str, Any]) -> None:
    width = max([10, *(len(source["name"]) for source in result["by_source"])])
    print(f"{'':{width}} {'found':>8} {'selected':>9} {'face':>8}")
    for name, row in [*result["by_class"].items(), ("all", result["total"])]:
        print(f"{name:{width}} {row['found']:>8} {row['selected']:>9} {row['face']:>8}")
    print()
    for row in result["by_source"]:
        refused = f", {row['refused']} refused" if row["refused"] else ""
        print(
            f"{row['name']:{width}} {row['found']:>8} {row['selected']:>9} {row['face']:>8}  "
            f"{row['kind']}; licence: {row['licence']}; consent: {row['consent']}{refused}"
        )
    for title, found in (("Left out", result["dropped"]), ("Colour", result["colours"])):
        if found:
            print(f"{title}: {', '.join(f'{name} {count}' for name, count in found.items())}")


# ── duplicates, sheets ───────────────────────────────────────────────────────────────────────────


def show_duplicates(result: dict[str, Any]) -> None:
    print(
        f"{result['pictures']} pictures are in {result['alike']} families of the same picture, "
        f"{result['alike_conflicts']} of them with labels that differ."
    )
    print(
        f"Of equal pixels: {result['identical']} families, "
        f"{result['identical_conflicts']} of them with labels that differ."
    )
    for family in result["families"]:
        if family["conflict"]:
            print("equal pixels:" if family["identical"] else "alike:")
            for picture in family["pictures"]:
                part = picture["usage"] or ""
                print(
                    f"  {picture['id']:>7} {picture['label']:10} {part:12} "
                    f"{picture['source']}: {picture['address']}"
                )


def _sheets(arguments: argparse.Namespace) -> Any:
    with _opened(arguments) as library:
        paths = write_sheets(library, arguments.out, arguments.count)
    return {"sheets": [str(path) for path in paths]}


def show_sheets(result: dict[str, Any]) -> None:
    for path in result["sheets"]:
        print(path)


# ── split, leaks, export ─────────────────────────────────────────────────────────────────────────


def _shares(text: str) -> tuple[float, ...]:
    try:
        shares = tuple(float(part) for part in text.split(","))
    except ValueError:
        shares = ()
    if len(shares) != len(USAGES) or min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
        raise argparse.ArgumentTypeError(f"{text!r} is not three shares that sum to 1")
    return shares


def _split(arguments: argparse.Namespace) -> Any:
    with _opened(arguments) as library:
        if arguments.keep:
            return split.keep_parts(library)
        return split.split(library, arguments.shares, arguments.seed)


def show_split(result: dict[str, Any]) -> None:
    parts = result["parts"]
    print(f"{'':12}" + "".join(f"{name:>11}" for name in LABELS) + f"{'all':>9}")
    for name, row in parts.items():
        cells = "".join(f"{row[label]:>11}" for label in LABELS)
        print(f"{name:12}{cells}{sum(row.values()):>9}")


def _leaks(arguments: argparse.Namespace) -> Any:
    with _opened(arguments) as library:
        if arguments.against:
            return split.leaks_against(library, arguments.against)
        return split.leaks(library)


def show_leaks(result: dict[str, Any]) -> None:
    print(f"{result['faces']} faces; parts by {result['by']}")
    for row in result["crossing"]:
        first, second = row["parts"]
        print(f"{first} and {second}:")
        for name in ("identical", "alike"):
            a, b = row[name]
            print(f"  {name:9} {a} of {first} in {second}, {b} of {second} in {first}")
        if row["persons"] is not None:
            print(f"  persons   {row['persons']} in both")


def _export(arguments: argparse.Namespace) -> Any:
    with _opened(arguments) as library:
        return export(library, arguments.out)


def show_export(result: dict[str, Any]) -> None:
    print(f"{result['data']}: {result['pictures']} faces, SHA-256 {result['sha256']}")
    show_split(result)
    for source in result["sources"]:
        print(f"{source['pictures']:>7} from {source['name']}; licence: {source['licence']}")
