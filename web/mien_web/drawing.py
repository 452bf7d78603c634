"""The timeline's shapes as SVG paths: a stacked band of expressions, and a strip of attention."""

from collections.abc import Sequence

from mien.events import EXPRESSIONS, Expression
from mien.timeline import Column

ORDER: tuple[Expression, ...] = (
    "neutral",
    "happiness",
    "surprise",
    "sadness",
    "fear",
    "anger",
    "disgust",
)
"""From the bottom of the band to its top; what cannot be told lies above."""

HEIGHT = 100


def band(columns: Sequence[Column]) -> dict[str, str]:
    """A path for each expression, and for `unknown`, in a box of one unit a column by `HEIGHT`.

    The height of a piece is its share of the column's time; what is missing is empty.
    """
    places = [EXPRESSIONS.index(name) for name in ORDER]
    return _stacked(
        (*ORDER, "unknown"),
        [
            ([column.expressions[place] for place in places] + [column.unread], _room(column))
            for column in columns
        ],
    )


def attention(columns: Sequence[Column]) -> dict[str, str]:
    """Paths `facing` and `away`, in a box as that of `band`."""
    return _stacked(
        ("facing", "away"), [([column.facing, column.away], _room(column)) for column in columns]
    )


def _room(column: Column) -> int:
    return column.seconds + column.unwatched


def _stacked(names: Sequence[str], columns: Sequence[tuple[list[int], int]]) -> dict[str, str]:
    pieces: dict[str, list[str]] = {name: [] for name in names}
    # What goes on unchanged from column to column is one rectangle.
    open_: dict[str, tuple[int, int, int]] = {}
    for x, (counts, room) in enumerate([*columns, ([0] * len(names), 0)]):
        below = 0
        for name, count in zip(names, counts, strict=True):
            y0 = HEIGHT - round(HEIGHT * below / room) if room else HEIGHT
            below += count
            y1 = HEIGHT - round(HEIGHT * below / room) if room else HEIGHT
            start, top, bottom = open_.get(name, (0, 0, 0))
            if (top, bottom) == (y1, y0) and bottom > top:
                continue
            if bottom > top:
                pieces[name].append(f"M{start} {top}H{x}V{bottom}H{start}z")
            open_[name] = (x, y1, y0)
    return {name: "".join(drawn) for name, drawn in pieces.items()}
