"""The workshop's figures, drawn from the JSON of its commands, each as PNG and SVG."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.filenames import reason
from mien_convert.dataset import LABELS
from mien_convert.errors import WorkshopError
from mien_convert.network import require

# Apart for every kind of colour vision: Okabe and Ito, "Color Universal Design" (2008).
OURS, OTHER, GREY = "#0072b2", "#d55e00", "#8a8a8a"
STYLE = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": "medium",
    "font.size": 9,
    "svg.fonttype": "none",
    "svg.hashsalt": "mien",  # the same figure gives the same file
}


def save(figure: Any, folder: Path, name: str) -> list[str]:
    """Write `name`.png and `name`.svg. Raises WorkshopError when they cannot be written."""
    files = [f"{name}.png", f"{name}.svg"]
    try:
        with require("matplotlib").rc_context(STYLE):
            figure.savefig(folder / files[0], dpi=150)
            figure.savefig(folder / files[1], metadata={"Date": None})
    except OSError as error:
        raise WorkshopError(f"{folder} cannot be written to: {reason(error)}.") from error
    return files


def _figure(width: float, height: float, rows: int = 1, columns: int = 1, **layout: Any) -> Any:
    """A figure, inches, and its axes [rows, columns]; without pyplot, which keeps every figure."""
    with require("matplotlib").rc_context(STYLE):
        figure = require("matplotlib.figure").Figure((width, height), layout="constrained")
        return figure, figure.subplots(rows, columns, squeeze=False, **layout)


def confusion(figures: dict[str, Any]) -> Any:
    """How often each expression was answered as each: counts, and shares of the row."""
    counts = np.array(figures["confusion"])
    rows = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, rows, out=np.zeros(counts.shape), where=rows > 0)
    figure, axes = _figure(11, 4.9, 1, 2)
    for axis, texts, title in (
        (axes[0, 0], np.vectorize(str)(counts), "pictures"),
        (axes[0, 1], np.vectorize(lambda share: f"{100 * share:.0f}")(shares), "% of the row"),
    ):
        axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for (row, column), text in np.ndenumerate(texts):
            dark = shares[row, column] > 0.5
            axis.text(
                column, row, text, ha="center", va="center", color="white" if dark else "#222222"
            )
        axis.set_xticks(range(len(LABELS)), LABELS, rotation=35, ha="right")
        axis.set_yticks(range(len(LABELS)), LABELS)
        axis.set(xlabel="answered", ylabel="labelled", title=title)
        axis.spines[:].set_visible(False)
        axis.tick_params(length=0)
    return figure


def reliability(figures: dict[str, Any]) -> Any:
    """How right the answers are against how sure they are, above how many are how sure."""
    bins = [one for one in figures["reliability"] if one["n"]]
    middles = [(one["from"] + one["to"]) / 2 for one in bins]
    width = bins[0]["to"] - bins[0]["from"]
    figure, axes = _figure(4.8, 5.6, 2, 1, sharex=True, height_ratios=(3, 1))
    above, below = axes[:, 0]
    above.bar(middles, [one["right"] for one in bins], width * 0.94, color=OURS, label="right")
    above.plot([0, 1], [0, 1], "--", color=GREY, linewidth=1, label="as sure as right")
    above.plot(
        [one["confidence"] for one in bins], [one["right"] for one in bins],
        "o", color=OTHER, markersize=4, label="at the bin’s mean confidence",
    )  # fmt: skip
    low, high = figures["intervals"]["ece"]
    above.set(
        xlim=(0, 1), ylim=(0, 1), ylabel="share right",
        title=f"expected calibration error {figures['ece']:.3f} ({low:.3f} to {high:.3f})",
    )  # fmt: skip
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize="small")
    below.bar(middles, [one["n"] for one in bins], width * 0.94, color=GREY)
    below.set(xlabel="confidence", ylabel="pictures")
    return figure


def coverage(figures: dict[str, Any]) -> Any:
    """How right what is labelled is, against how much is labelled."""
    figure, axes = _figure(5.6, 4.4)
    axis = axes[0, 0]
    chosen = figures["at_threshold"]
    # The votes' curve lies above the label's: its number above it, the other's below.
    for prefix, colour, text, place in (
        ("", OURS, "label", {"xytext": (-6, -4), "ha": "right", "va": "top"}),
        ("fer_plus_", OTHER, "FER+ majority", {"xytext": (5, 5)}),
    ):
        # Of a handful of pictures a share says little.
        points = [p for p in figures["coverage_curve"] if (p.get(f"{prefix}coverage") or 0) > 0.02]
        if not points:
            continue
        axis.plot(
            [p[f"{prefix}coverage"] for p in points], [p[f"{prefix}right"] for p in points],
            color=colour, label=f"right by the {text}",
        )  # fmt: skip
        if chosen[f"{prefix}right"] is not None:
            x, y = chosen[f"{prefix}coverage"], chosen[f"{prefix}right"]
            axis.plot([x], [y], "o", color=colour)
            axis.annotate(
                f"{100 * y:.0f} % of {100 * x:.0f} %", (x, y), textcoords="offset points",
                color=colour, **place,
            )  # fmt: skip
    axis.set(
        xlim=(0, 1.02), xlabel="share of pictures labelled", ylabel="share of these right",
        title=f"dots: “cannot tell” below {chosen['threshold']:g}",
    )  # fmt: skip
    axis.set_ylim(top=1.01)
    axis.grid(color="#e4e4e4", linewidth=0.6)
    axis.legend(loc="lower left", frameon=False)
    return figure


def robustness(tables: Sequence[tuple[str, list[dict[str, Any]]]]) -> Any:
    """Accuracy under each group of conditions, a line for each (name of a bundle, its table)."""
    groups = [
        (name, [row["name"] for row in rows])
        for name, rows in ((g, list(r)) for g, r in groupby(tables[0][1][1:], lambda r: r["group"]))
    ]
    columns = 4
    lines = -(-len(groups) // columns)
    figure, axes = _figure(12.5, 2.5 * lines + 0.5, lines, columns, sharey=True)
    for (bundle, table), colour, mark in zip(tables, (OURS, OTHER), "os", strict=False):
        for axis, (group, names) in zip(axes.flat, groups, strict=False):
            values = [row["accuracy"] for row in table if row["group"] == group]
            axis.axhline(table[0]["accuracy"], color=colour, linewidth=0.8, linestyle=":")
            joined = "" if group == "occlusion" else "-"  # kinds, not degrees
            axis.plot(
                range(len(names)), values, f"{mark}{joined}", color=colour, markersize=4,
                label=f"{bundle} (dotted: clean pictures)",
            )  # fmt: skip
            axis.set_xticks(range(len(names)), names, rotation=30, ha="right")
            axis.set_xlim(-0.4, len(names) - 0.6)
            axis.set_title(group)
            axis.grid(axis="y", color="#e4e4e4", linewidth=0.6)
    for axis in axes.flat[len(groups) :]:
        axis.set_visible(False)
    for axis in axes[:, 0]:
        axis.set_ylabel("accuracy")
    handles, texts = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, texts, loc="outside upper center", ncols=2, frameon=False)
    return figure


def averages(
    pictures: dict[str, NDArray[np.float64]],
    maps: dict[str, dict[str, dict[str, Any]]],
    centres: tuple[float, float],
) -> Any:
    """A line for each kind of maps, such as `answered`: for each expression the mean map over the
    mean of its pictures [7, 48, 48]."""
    figure, axes = _figure(11.5, 1.95 * len(maps) + 0.1, len(maps), len(LABELS))
    for line, (kind, table) in zip(axes, maps.items(), strict=True):
        for axis, label, picture in zip(line, LABELS, pictures[kind], strict=True):
            one = table[label]
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
            axis.set_title(f"{label}, {one['n']}" if one["n"] else f"{label}, none", fontsize=9)
            if one["map"] is None:
                axis.set_facecolor("#f2f2f2")
                axis.set_aspect(1)
                continue
            drawn = overlay(picture.astype(np.uint8), np.array(one["map"]), centres)
            axis.imshow(drawn[..., ::-1])
        line[0].set_ylabel(kind)
    return figure


def overlay(
    picture: NDArray[np.uint8], evidence: NDArray[Any], centres: tuple[float, float]
) -> NDArray[np.uint8]:
    """A grey picture [h, w] six times enlarged, BGR, and on it what speaks for the class, bright
    where most; what speaks against it, below 0, stays grey.

    `centres` says where the cells of `evidence` lie, see `explain.cell_centres`.
    """
    scale, (start, jump) = 6, centres
    size = (picture.shape[1] * scale, picture.shape[0] * scale)
    ground = cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC)
    step, first = 1 / (scale * jump), (0.5 / scale - 0.5 - start) / jump
    heat = cv2.warpAffine(
        evidence.astype(np.float32), np.array([[step, 0, first], [0, step, first]]), size,
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    heat = np.clip(heat / max(float(heat.max()), 1e-9), 0, 1)
    colour = cv2.applyColorMap((255 * heat).astype(np.uint8), cv2.COLORMAP_INFERNO)
    share = (0.65 * heat**0.7)[..., None]
    mixed = (1 - share) * ground[..., None] + share * colour
    return np.asarray(np.clip(mixed, 0, 255), np.uint8)
