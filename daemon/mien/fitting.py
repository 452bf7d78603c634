"""Fitting a personal head: `python -m mien.fitting`, a process of its own, because numpy reckons
here for seconds; the page and the daemon go on. It opens no file but the bundle it is told of.

The network stays as it is; only its last layer, from the embedding to the seven logits, is fitted
to what a person said of captures of one client. It is multinomial logistic regression with a
Gaussian prior around the bundle's own layer: maximum a posteriori adaptation (Gauvain and Lee 1994,
"Maximum a posteriori estimation for multivariate Gaussian mixture observations of Markov chains"),
or, seen as a penalty, L2-SP (Li, Grandvalet and Davoine 2018, "Explicit inductive bias for transfer
learning with convolutional networks"). With no captures it gives the bundle's layer itself.
"""

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from mien import layer
from mien.bundle import Bundle, load_bundle
from mien.events import EXPRESSIONS, MienError
from mien.heads import Example, Fitted, Result, Settings, Task

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
CLASSES = len(EXPRESSIONS)
FOLDS = 5
ENOUGH_SESSIONS = 3
"""With so many sessions, whole ones are held out: faces of one session resemble each other."""
NEAR = 1e-4
"""How far above its minimum, in nats, the loss may end."""


class Layer(NamedTuple):
    """A last layer: logits = embedding @ weights + bias."""

    weights: Floats
    """[C, 7]"""
    bias: Floats
    """[7]"""

    def logits(self, embeddings: Floats) -> Floats:
        """[N, 7] from [N, C]."""
        return np.asarray(embeddings @ self.weights + self.bias)


class Examples(NamedTuple):
    """Labelled embeddings."""

    embeddings: Floats
    """[N, C]"""
    labels: Ints
    """[N], places in `EXPRESSIONS`."""

    def of(self, rows: NDArray[np.bool_]) -> "Examples":
        return Examples(self.embeddings[rows], self.labels[rows])


def fit(
    own: Layer,
    captures: Examples,
    ballast: Examples,
    *,
    temperature: float,
    settings: Settings,
) -> tuple[Layer, bool]:
    """The layer that explains the labels best while it stays near the bundle's `own`, and whether
    the iterations sufficed to find it.

    Minimises the summed cross-entropy of the calibrated probabilities, softmax(logits /
    temperature), plus strength / 2 times the squared distance of weights and bias from `own`. All
    of the ballast together weighs as much as the captures. The problem is strongly convex, so
    Nesterov's accelerated gradient with constant momentum finds its one minimum (Nesterov 2004,
    "Introductory Lectures on Convex Optimization", 2.2); the step is from the bound ½·XᵀX on the
    curvature of the softmax (Böhning 1992, "Multinomial logistic regression algorithm").
    """
    strength = settings.strength
    share = len(captures.labels) / len(ballast.labels) if len(ballast.labels) else 0.0
    embeddings = np.vstack([captures.embeddings, ballast.embeddings])
    inputs = np.hstack([embeddings, np.ones((len(embeddings), 1))])
    truth = np.eye(CLASSES)[np.concatenate([captures.labels, ballast.labels])]
    weight = np.concatenate([np.ones(len(captures.labels)), np.full(len(ballast.labels), share)])[
        :, None
    ]

    start = np.vstack([own.weights, own.bias])
    curvature = 0.5 * np.linalg.norm(np.sqrt(weight) * inputs, 2) ** 2 / temperature**2 + strength
    ratio = np.sqrt(strength / curvature)
    momentum = (1 - ratio) / (1 + ratio)
    here = before = start
    for _ in range(settings.iterations):
        ahead = here + momentum * (here - before)
        wrong = _softmax(inputs @ ahead / temperature) - truth
        slope = inputs.T @ (weight * wrong) / temperature + strength * (ahead - start)
        before, here = here, ahead - slope / curvature
        # The loss is at most |slope|² / (2·strength) above its minimum.
        if float((slope**2).sum()) / (2 * strength) < NEAR:
            return Layer(here[:-1], here[-1]), True
    return Layer(here[:-1], here[-1]), False


def parts(labels: Ints, groups: Sequence[str]) -> tuple[Ints, Literal["session", "capture"]]:
    """To which of the parts each capture belongs that is held out in turn, [N], and what stays
    together: sessions where there are enough, else the captures are dealt out by expression."""
    sizes = {group: groups.count(group) for group in dict.fromkeys(groups)}
    if len(sizes) < ENOUGH_SESSIONS:
        places = np.empty(len(labels), np.int64)
        places[np.argsort(labels, kind="stable")] = np.arange(len(labels)) % FOLDS
        return places, "capture"
    filled = [0] * min(FOLDS, len(sizes))
    place = {}
    for group in sorted(sizes, key=lambda group: -sizes[group]):
        place[group] = filled.index(min(filled))
        filled[place[group]] += sizes[group]
    return np.array([place[group] for group in groups]), "session"


def _softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def own_layer(bundle: Bundle) -> Layer:
    """The last layer of a bundle. Raises BundleError."""
    found = layer.own(bundle)
    return Layer(found.weights.astype(np.float64), found.bias.astype(np.float64))


def work(task: Task, progress: Callable[[int, int], None]) -> Fitted:
    """Fit, and measure on held-out captures. `progress` gets the steps done and their number.

    Raises:
        MienError: the bundle or a crop cannot be read.
    """
    started = time.monotonic()
    bundle = load_bundle(Path(task.bundle))
    own, temperature = own_layer(bundle), bundle.calibration.temperature
    captures = _embedded(task.captures, bundle, len(own.weights))
    groups = [example.group for example in task.captures]
    places, by = parts(captures.labels, groups)
    folds = int(places.max()) + 1
    steps = folds + 2
    progress(0, steps)
    ballast = _embedded(task.ballast, bundle, len(own.weights))
    progress(1, steps)

    before = own.logits(captures.embeddings).argmax(axis=1)
    after = np.empty_like(before)
    for fold in range(folds):
        held = places == fold
        fitted, _ = fit(
            own, captures.of(~held), ballast, temperature=temperature, settings=task.settings
        )
        after[held] = fitted.logits(captures.embeddings[held]).argmax(axis=1)
        progress(fold + 2, steps)
    fitted, settled = fit(own, captures, ballast, temperature=temperature, settings=task.settings)
    progress(steps, steps)

    right_before, right_after = before == captures.labels, after == captures.labels
    result = Result(
        captures=len(groups),
        sessions=len(set(groups)),
        ballast=len(ballast.labels),
        folds=folds,
        by=by,
        before=_counts(captures.labels, before),
        after=_counts(captures.labels, after),
        gained=int((right_after & ~right_before).sum()),
        lost=int((right_before & ~right_after).sum()),
        seconds=round(time.monotonic() - started, 1),
        settled=settled,
    )
    return Fitted(np.vstack([fitted.weights, fitted.bias]).astype("<f4").tobytes(), result)


def _embedded(examples: Sequence[Example], bundle: Bundle, channels: int) -> Examples:
    """The embeddings that came along; where there is none, the network reads the crop."""
    rows = np.empty((len(examples), channels))
    unread = []
    for number, example in enumerate(examples):
        if example.embedding is not None and len(example.embedding) == 4 * channels:
            rows[number] = np.frombuffer(example.embedding, "<f4")
        else:
            unread.append(number)
    if unread:
        from mien.predicting import outputs  # opens the network, which most often is not needed

        read = outputs(bundle, (examples[number].crop for number in unread))
        for number, (_, embedding) in zip(unread, read, strict=True):
            rows[number] = embedding
    return Examples(rows, np.array([example.expression for example in examples], np.int64))


def _counts(labels: Ints, answers: Ints) -> list[list[int]]:
    table = np.zeros((CLASSES, CLASSES), int)
    np.add.at(table, (labels, answers), 1)
    return [[int(count) for count in row] for row in table]


def main() -> int:
    """A `Task` on standard input; on standard output lines of JSON, `[steps done, steps]` and at
    last the `Fitted`. What went wrong is a sentence on standard error."""
    try:
        task = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)
        _say(work(task, lambda *step: _say(step)))
    except (MienError, msgspec.MsgspecError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _say(line: object) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(line) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    os.nice(10)  # the camera's pictures are read meanwhile
    raise SystemExit(main())
