"""The model card of a bundle (Mitchell et al. 2019, "Model cards for model reporting")."""

from typing import Any

from mien_convert.dataset import LABELS


def model_card(document: dict[str, Any]) -> str:
    """The card in Markdown, with the figures of `bundle.toml` given as `document`."""
    figures, lineage = document["accuracy"]["public_test"], document["lineage"]
    rows = "\n".join(
        f"| {label} | {sum(figures['confusion'][row])} | {_percent(figures['recall'][label])} "
        f"| {_percent(figures['precision'][label])} |"
        for row, label in enumerate(LABELS)
    )
    left_out = ", ".join(f"{count} {reason}" for reason, count in lineage["left_out"].items())
    votes = ""
    by_voters = ""
    if figures.get("fer_plus_accuracy") is not None:
        by_voters = " as most voters saw them (pictures without a majority left out)"
        votes = (
            f"\n| accuracy against the FER+ majority | {_percent(figures['fer_plus_accuracy'])} |"
        )
    pairs = "; ".join(
        f"{share:.0%} of {true} is taken for {answered}".replace("%", " %")
        for share, true, answered in _commonest_mistakes(figures["confusion"])
    )
    threshold = document["thresholds"]["confidence"]
    calibration = document["calibration"]
    temperature = calibration.get("word_temperature") or calibration["temperature"]
    expected = ["speaking, chewing and yawning look like expressions"]
    if not document["accuracy"].get("conditions"):
        expected.append("small, turned, blurred, dim or half covered faces are read worse")
    expected.append("a crop framed otherwise than FER-2013's shifts the answers")
    weakest = min(LABELS, key=lambda label: figures["recall"][label] or 0.0)
    return f"""# {document["name"]}

Reads a grey 48×48 crop of one face and gives scores for seven expressions:
{", ".join(LABELS)}.
Made on {document["created"]} with `mien-convert` from preset `{lineage["preset"]}`, \
{lineage["epochs"]} epochs, seed {lineage["seed"]}:
{lineage["parameters"] / 1e6:.2f} million parameters, {lineage["multiply_adds"] / 1e6:.0f} million \
multiply-adds, 8-bit integers throughout.

## What it is for

Saying what an expression *looks like* to somebody who has the person in front of them and can judge
for themselves, in a session both have agreed to, or in a log a person keeps of their own face.

## What it is not for

It does not know what anybody feels. Expressions and feelings go apart all the time. Not for
diagnosis, for deciding about a person, for judging people at work, at school or in public, for
telling who somebody is, for children, or for anybody who has not agreed.

## Data

FER-2013 (Goodfellow et al. 2013): faces from a web search by emotion words, and FER+ (Barsoum et
al. 2016): the votes of ten people on each.
Learnt from {lineage["pictures"]} pictures of the part Training; left out: {left_out}.
It learnt from both: the word of FER-2013 and the shares of the votes.
SHA-256 of the data file: `{lineage["data_sha256"]}`; of the network:
`{document["files"]["expression.tflite"]}`; made at commit `{lineage["commit"]}`.

## Terms

The code that made this network is under the Apache License 2.0. FER-2013 was published for
research, with pictures found on the web: the rights of the people shown were never cleared. FER+ is
under the MIT License. Whoever uses a network learnt from them has to decide whether that is enough;
for a product it cannot be taken for granted.

## Figures

On the part PublicTest ({figures["n"]} pictures), one look at each, without averaging over copies,
through the int8 file as the box runs it. Number of epochs, temperature and threshold were chosen on
these same pictures, so expect a little less elsewhere.

| | |
|---|---|
| accuracy against the FER-2013 label | {_percent(figures["accuracy"])} |{votes}
| macro F1 | {figures["macro_f1"]:.3f} |
| expected calibration error, 15 bins, temperature {temperature} | {figures["ece"]:.3f} |
| the same network before quantising | {_percent(figures["float_accuracy"])} |
| same answer before and after quantising | {_percent(figures["agreement_with_float"])} |
{_answer(document)}
Below a confidence of {threshold} the answer is "cannot tell". That leaves
{_percent(figures["coverage"])} of the pictures labelled, and of these
{_percent(figures["right_of_labelled"])} are right{by_voters}.

| expression | pictures | found of those there (recall) | right of those named (precision) |
|---|---|---|---|
{rows}

People agreed with the labels of FER-2013 in 65 ± 5 % of its pictures (Goodfellow et al. 2013).
{_natural(document["accuracy"].get("natural"))}{_conditions(document["accuracy"].get("conditions"))}
## Where it runs

On the CPU, and on a Coral Edge TPU where it was compiled for one. {_edge_tpu(document)}

## Groups not tested

FER-2013 says nothing of age, sex, skin colour, culture or illness, so nothing is known of how the
errors fall among them. Faces with facial palsy, Parkinson's disease, after surgery or with a beard,
glasses, a veil or a mask were not looked at apart. The pictures were found by emotion words, so the
quiet faces of daily life are likely too few.

## Known failures

- {weakest.capitalize()} is the expression it misses most.
- The commonest mistakes: {pairs}.
- Not measured, but to be expected: {"; ".join(expected)}.
"""


def _answer(document: dict[str, Any]) -> str:
    """What the box says, where the figures above are those of the heads it is mixed from."""
    said = document["accuracy"]["public_test"].get("answer")
    if not said:
        return ""
    told = [f"{_percent(said['accuracy'])} against the FER-2013 label"]
    if said.get("fer_plus_accuracy") is not None:
        told.append(
            f"{_percent(said['fer_plus_accuracy'])} against the FER+ majority, with a calibration "
            f"error of {said['fer_plus_ece']:.3f} at temperature {said['temperature']}"
        )
    return f"""
Label and majority agree on 72 % of the clear pictures, so one answer cannot be right by both. The
network has a head for each, and the figures above hold each head against what it learnt. What the
box says is a mixture of the two: {", ".join(told)}. The table of expressions below is that of the
head for the label.
"""


def _conditions(rows: list[dict[str, Any]] | None) -> str:
    """The table of pictures made worse on purpose, as `mien-convert evaluate` measures it."""
    if not rows:
        return ""
    lines = "\n".join(
        f"| {row['condition']} | {row['level']} | {_percent(row['accuracy'])} "
        f"| {row['change'] * 100:+.1f} |".replace("-", "−")
        for row in rows
    )
    return f"""
The same pictures made worse on purpose; the change is in points against the clean ones:

| condition | level | accuracy | change |
|---|---|---|---|
{lines}
"""


def _natural(figures: dict[str, Any] | None) -> str:
    """Photographs of another data set, from the whole photograph to the answer."""
    if not figures:
        return ""
    among = figures.get("balanced_accuracy_among_these")
    only = "" if among is None else f"; {_percent(among)} when only these may be answered"
    return f"""
On {figures["n"]} photographs of another data set ({", ".join(figures["classes"])}), from the whole
photograph through the box's own face finder, which found a face in {figures["with_face"]}, to the
answer: {_percent(figures["balanced_accuracy"])} right, as the mean over the expressions{only}; \
{_percent(figures["balanced_accuracy_of_all"])} when a face that was not found counts as wrong.
"""


def _edge_tpu(document: dict[str, Any]) -> str:
    edgetpu = document.get("edgetpu")
    if edgetpu is None:
        return "Whether it can be was not looked at when this card was written."
    here = [one for one in edgetpu["operations"] if one["verdict"] == "cpu"]
    if here:
        names = ", ".join(f"{one['operation']} ({one['reason']})" for one in here)
        return f"{edgetpu['text']} Operations that stay on the CPU: {names}."
    count = sum(one["count"] for one in edgetpu["operations"])
    return f"All of its {count} operations are among those the Edge TPU takes. {edgetpu['text']}"


def _commonest_mistakes(confusion: list[list[int]]) -> list[tuple[float, str, str]]:
    """The four largest shares of one expression answered as another: share, true, answered."""
    shares: list[tuple[float, str, str]] = [
        (count / max(sum(row), 1), true, answered)
        for true, row in zip(LABELS, confusion, strict=True)
        for answered, count in zip(LABELS, row, strict=True)
        if true != answered
    ]
    return sorted(shares, reverse=True)[:4]


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}".replace("%", " %")
