"""The short report that `mien-convert evaluate --out` writes beside its figures."""

from collections.abc import Sequence
from typing import Any

from mien_convert.dataset import LABELS


def report(figures: dict[str, Any], asked: str) -> str:
    """Markdown that ties the figures together; `asked` says what was read."""
    ranges = figures["intervals"]
    rows = [
        ("accuracy", figures["accuracy"], ranges["accuracy"]),
        ("accuracy balanced over the expressions", figures["balanced_accuracy"],
         ranges["balanced_accuracy"]),
        ("accuracy against the FER+ majority", figures.get("fer_plus_accuracy"),
         ranges["fer_plus_accuracy"]),
        ("macro F1", figures["macro_f1"], ranges["macro_f1"]),
        ("expected calibration error", figures["ece"], ranges["ece"]),
    ]  # fmt: skip
    parts = [
        f"# {figures['bundle']}: how right it is",
        f"{asked} {figures['n']} faces, one look at each, by the int8 file as the box runs it. "
        f"Ranges: 95 % of {ranges['resamples']} bootstrap resamples.",
        _table(
            ("", "figure", "range"),
            [(name, f"{value:.3f}", _range(span)) for name, value, span in rows
             if value is not None],
        ),
        *_answer(figures.get("answer")),
        _threshold(figures["at_threshold"]),
        "![confusion](confusion.png)",
        _per_class(figures),
        "![reliability](reliability.png) ![coverage](coverage.png)",
    ]  # fmt: skip
    if "photographs" in figures:
        parts.append(_photographs(figures["photographs"]))
    if "restricted" in figures:
        parts.append(_restricted(figures["restricted"]))
    if "against" in figures:
        parts.append(_against(figures))
    if "conditions" in figures:
        parts += ["## Worse pictures", "![robustness](robustness.png)", condition_table(figures)]
    if "sources" in figures:
        parts += ["## By source", _sources(figures["sources"])]
    if "sides" in figures:
        parts += ["## Side by side", _sides(figures["sides"])]
    parts += ["## Cost", _speed(figures["speed"])]
    return "\n\n".join(parts) + "\n"


def condition_table(figures: dict[str, Any]) -> str:
    """The table of conditions in Markdown; with `against` each cell goes from the other bundle's
    figure to this one's."""
    known = figures["conditions"][0]["fer_plus_accuracy"] is not None
    tables = [figures["conditions"]]
    if "against" in figures:
        tables.insert(0, figures["against"]["conditions"])

    def cells(row: dict[str, Any]) -> list[str]:
        change = f"{round(100 * row['change'], 1) + 0.0:+.1f}".replace("-", "−")
        fer_plus = [percent(row["fer_plus_accuracy"])] if known else []
        return [percent(row["accuracy"]), change, *fer_plus, percent(row["cannot_tell"]),
                f"{row['ece']:.3f}"]  # fmt: skip

    lines = []
    for rows in zip(*tables, strict=True):
        both = zip(*(cells(row) for row in rows), strict=True)
        name = f"{rows[0]['group']} {rows[0]['name']}".strip()
        lines.append((name, *(" → ".join(cell).replace(" % →", " →") for cell in both)))
    head = ("condition", "accuracy", "change", *(["FER+"] if known else []), "cannot tell", "ECE")
    return _table(head, lines)


def percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *rows))


def _range(span: Sequence[float] | None) -> str:
    return "–" if span is None else f"{span[0]:.3f} to {span[1]:.3f}"


def _answer(said: dict[str, float | None] | None) -> list[str]:
    if said is None:
        return []
    text = (
        "Each head of the network is held against what it learnt: the label, or the majority of "
        f"the votes. What the box says is a mixture of both: {percent(said['accuracy'])} by the "
        "label"
    )
    if said.get("fer_plus_accuracy") is not None:
        text += f", {percent(said['fer_plus_accuracy'])} by the FER+ majority"
    return [f"{text}."]


def _threshold(left: dict[str, float | None]) -> str:
    text = (
        f"Below a confidence of {left['threshold']:g} the answer is “cannot tell”. "
        f"{percent(left['coverage'])} of the pictures stay labelled; {percent(left['right'])} of "
        "these have the label of the data."
    )
    if "fer_plus_right" in left:
        text += (
            f" Of the pictures with a FER+ majority {percent(left['fer_plus_coverage'])} stay "
            f"labelled, {percent(left['fer_plus_right'])} of these as most voters saw them."
        )
    return text


def _per_class(figures: dict[str, Any]) -> str:
    def cells(label: str) -> list[str]:
        one = figures["per_class"][label]
        values = (one[name] for name in ("precision", "f1"))
        return [label, str(one["n"]), "–" if one["recall"] is None else f"{one['recall']:.3f}",
                _range(figures["intervals"]["recall"][label]),
                *("–" if value is None else f"{value:.3f}" for value in values)]  # fmt: skip

    head = ("expression", "pictures", "recall", "range", "precision", "F1")
    return _table(head, [cells(label) for label in LABELS])


def _photographs(found: dict[str, Any]) -> str:
    reasons = ", ".join(f"{reason} {n}" for reason, n in found["cannot_tell"].items())
    return (
        f"## Photographs\n\nA face was found in {found['with_face']} of {found['n']} photographs, "
        f"more than one in {found['several']} (the widest was read); "
        f"{len(found['skipped'])} files could not be read. Counting a face not found as wrong, the "
        f"balanced accuracy is {found['balanced_accuracy_of_all']:.3f}. With its default limits "
        f"the box would have said “cannot tell” for: {reasons or 'none'}."
    )


def _restricted(narrow: dict[str, Any]) -> str:
    return (
        f"Chosen only among {', '.join(narrow['classes'])}: accuracy {narrow['accuracy']:.3f} "
        f"({_range(narrow['intervals']['accuracy'])}), balanced {narrow['balanced_accuracy']:.3f} "
        f"({_range(narrow['intervals']['balanced_accuracy'])})."
    )


def _against(figures: dict[str, Any]) -> str:
    other = figures["against"]
    names = ("accuracy", "fer_plus_accuracy", "balanced_accuracy", "macro_f1", "ece")
    rows = [
        (name.replace("_", " "), f"{other[name]:.3f}", f"{figures[name]:.3f}")
        for name in names
        if figures.get(name) is not None
    ]
    gain = other["difference"]
    text = (
        f"Accuracy gained on the same pictures: {gain['accuracy']:+.3f} "
        f"({_range(gain['interval'])}); both answer the same for {percent(gain['agreement'])}."
    )
    if (gain := other.get("fer_plus_difference")) and gain["accuracy"] is not None:
        text += f" Against the FER+ majority: {gain['accuracy']:+.3f} ({_range(gain['interval'])})."
    head = f"## {other['bundle']} before, {figures['bundle']} after"
    return "\n\n".join((head, _table(("", "before", "after"), rows), text))


def _sources(sources: dict[str, dict[str, Any]]) -> str:
    names = ("accuracy", "fer_plus_accuracy", "macro_f1", "ece")
    rows = [
        (source, str(one["n"]),
         *("–" if one.get(name) is None else f"{one[name]:.3f}" for name in names))
        for source, one in sources.items()
    ]  # fmt: skip
    return _table(("source", "pictures", "accuracy", "FER+", "macro F1", "ECE"), rows)


def _sides(sides: dict[str, Any]) -> str:
    accuracies = [
        (side, percent(value), percent(sides["fer_plus_accuracy"][side]))
        for side, value in sides["accuracy"].items()
    ]
    pairs = [
        (" – ".join(pair["sides"]), percent(pair["agreement"]), f"{pair['mean_difference']:.4f}",
         f"{pair['largest_difference']:.3f}")
        for pair in sides["pairs"]
    ]  # fmt: skip
    head = ("pair", "same answer", "mean difference of logits", "largest")
    return _table(("", "accuracy", "FER+"), accuracies) + "\n\n" + _table(head, pairs)


def _speed(speed: dict[str, Any]) -> str:
    text = (
        f"{speed['ms']:.2f} ms an inference on one thread of this machine (median): "
        f"{speed['multiply_adds'] / 1e6:.1f} million multiply-adds, "
        f"{speed['parameters'] / 1e6:.2f} million parameters, {speed['gmacs']:.0f}·10⁹ "
        "multiply-adds a second"
    )
    if speed["share_of_peak"] is None:
        return f"{text}; {speed['peak_note']}."
    return (
        f"{text}, {percent(speed['share_of_peak'])} of what a large int8 matrix product reaches "
        f"here ({speed['peak_gmacs']:.0f}·10⁹; {speed['peak_note']})."
    )
