"""Fitting a personal head: the reckoning itself, and the process that does it."""

import subprocess
import sys
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien import fitting, layer
from mien.bundle import BundleError, load_bundle, shipped_bundle
from mien.events import EXPRESSIONS
from mien.fitting import Examples, Floats, Ints, Layer, fit, own_layer, parts
from mien.heads import Example, Fitted, Settings, Task
from mien.mandate import Head

BUNDLE = load_bundle(shipped_bundle())
SADNESS, NEUTRAL = EXPRESSIONS.index("sadness"), EXPRESSIONS.index("neutral")
NONE = Examples(np.empty((0, 4)), np.empty(0, np.int64))


def small(n: int, seed: int = 0) -> tuple[Layer, Examples]:
    random = np.random.default_rng(seed)
    own = Layer(random.normal(size=(4, 7)), random.normal(size=7))
    return own, Examples(random.normal(size=(n, 4)), random.integers(0, 7, n))


def loss(
    layer: Layer, own: Layer, examples: Examples, temperature: float, strength: float
) -> float:
    logits = layer.logits(examples.embeddings) / temperature
    log_sum = np.log(np.exp(logits).sum(axis=1))
    entropy = (log_sum - logits[np.arange(len(logits)), examples.labels]).sum()
    away = ((layer.weights - own.weights) ** 2).sum() + ((layer.bias - own.bias) ** 2).sum()
    return float(entropy + strength / 2 * away)


class TestFit:
    @pytest.mark.parametrize("strength", [0.3, 3.0, 100.0])
    def test_finds_the_minimum(self, strength: float) -> None:
        own, examples = small(30)
        settings = Settings(strength, iterations=5000)
        found, settled = fit(own, examples, NONE, temperature=0.7, settings=settings)
        assert settled
        least = loss(found, own, examples, 0.7, strength)
        assert least < loss(own, own, examples, 0.7, strength)
        random = np.random.default_rng(1)
        for scale in (0.3, 0.03):
            other = Layer(
                found.weights + scale * random.normal(size=(4, 7)),
                found.bias + scale * random.normal(size=7),
            )
            assert loss(other, own, examples, 0.7, strength) > least

    def test_stays_near_the_own_layer(self) -> None:
        own, examples = small(30)
        near, _ = fit(own, examples, NONE, temperature=1, settings=Settings(1e6))
        assert np.allclose(near.weights, own.weights, atol=1e-3)

    def test_ballast_weighs_as_much_as_the_captures_whatever_its_number(self) -> None:
        own, captures = small(12)
        _, ballast = small(20, seed=2)
        twice = Examples(np.tile(ballast.embeddings, (2, 1)), np.tile(ballast.labels, 2))
        settings = Settings(1.0, iterations=5000)
        once, _ = fit(own, captures, ballast, temperature=1, settings=settings)
        again, _ = fit(own, captures, twice, temperature=1, settings=settings)
        alone, _ = fit(own, captures, NONE, temperature=1, settings=settings)
        assert np.allclose(once.weights, again.weights, atol=0.02)
        assert not np.allclose(once.weights, alone.weights, atol=0.02)

    def test_says_when_it_was_cut_short(self) -> None:
        own, examples = small(30)
        assert not fit(own, examples, NONE, temperature=1, settings=Settings(1, iterations=2))[1]


class TestParts:
    @given(st.lists(st.tuples(st.integers(0, 6), st.sampled_from("abcdefgh")), min_size=10))
    def test_nothing_is_on_both_sides(self, found: list[tuple[int, str]]) -> None:
        labels: Ints = np.array([label for label, _ in found])
        groups = [group for _, group in found]
        places, by = parts(labels, groups)
        assert set(places) == set(range(max(places) + 1))  # every part holds something
        assert len(set(places)) > 1
        assert by == ("session" if len(set(groups)) >= 3 else "capture")
        if by == "session":
            for group in set(groups):
                assert len({p for p, g in zip(places, groups, strict=True) if g == group}) == 1
        else:  # every expression is dealt out evenly
            for label in range(7):
                counts = np.bincount(places[labels == label], minlength=5)
                assert counts.max() - counts.min() <= 1


def quiet_faces(n: int, sessions: int) -> list[Example]:
    """Embeddings that the bundle finds most like sadness, called neutral, and clear happiness."""
    own = own_layer(BUNDLE)
    random = np.random.default_rng(3)
    found = []
    for number in range(n):
        label = NEUTRAL if number % 2 else EXPRESSIONS.index("happiness")
        towards = own.weights[:, SADNESS if number % 2 else label]
        embedding = np.maximum(0.1 + 0.5 * towards + random.normal(0, 0.05, len(towards)), 0)
        found.append(
            Example(label, b"", embedding.astype("<f4").tobytes(), f"session-{number % sessions}")
        )
    return found


def task(captures: list[Example], **settings: object) -> Task:
    return Task(str(BUNDLE.path), msgspec.convert(settings, Settings), captures, [])


class TestWork:
    def test_a_habit_of_the_bundle_is_unlearnt(self) -> None:
        steps: list[tuple[int, int]] = []
        done = fitting.work(task(quiet_faces(24, 4)), lambda *step: steps.append(step))
        result = done.result
        assert (result.captures, result.sessions, result.folds, result.by) == (24, 4, 4, "session")
        assert result.before[NEUTRAL][SADNESS] == 12
        assert result.right_before == 12
        assert result.after[NEUTRAL][NEUTRAL] == result.gained > 9
        assert (result.lost, result.better, result.settled) == (0, True, True)
        assert result.luck < 0.001
        assert steps == [(step, 6) for step in range(7)]
        layer = np.frombuffer(done.weights, "<f4").reshape(-1, 7)
        assert layer.shape == (len(own_layer(BUNDLE).weights) + 1, 7)

    def test_the_daemon_can_read_with_it(self) -> None:
        captures = quiet_faces(12, 3)
        done = fitting.work(task(captures), lambda *_: None)
        own = layer.own(BUNDLE)
        fitted = layer.personal(Head("h", BUNDLE.name, done.weights), BUNDLE, own)
        features = np.frombuffer(captures[1].embedding or b"", "<f4")[None, None, :]
        assert own.logits(features).argmax() == SADNESS
        assert fitted.logits(features).argmax() == NEUTRAL

    def test_a_crop_without_an_embedding_is_read(self) -> None:
        with np.load(BUNDLE.path / "known_answer.npz") as known:
            images = known["images"]
        crops = [cv2.imencode(".png", image)[1].tobytes() for image in images]
        captures = [Example(n % 2, crop, None, "s") for n, crop in enumerate(crops)]
        done = fitting.work(Task(str(BUNDLE.path), Settings(), captures, captures), lambda *_: None)
        assert (done.result.captures, done.result.ballast, done.result.by) == (12, 12, "capture")

    def test_a_bundle_without_its_layer(self, tmp_path: Path) -> None:
        with pytest.raises(BundleError, match="does not tell its last layer"):
            own_layer(msgspec.structs.replace(BUNDLE, path=tmp_path))

    def test_the_process(self) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "mien.fitting"],
            input=msgspec.json.encode(task(quiet_faces(12, 3))),
            capture_output=True,
            check=True,
        )
        *steps, last = done.stdout.splitlines()
        assert [msgspec.json.decode(step) for step in steps] == [[n, 5] for n in range(6)]
        assert msgspec.json.decode(last, type=Fitted).result.captures == 12

    def test_the_process_says_what_is_wrong(self) -> None:
        wrong = msgspec.structs.replace(task(quiet_faces(12, 3)), bundle="/nowhere")
        done = subprocess.run(
            [sys.executable, "-m", "mien.fitting"],
            input=msgspec.json.encode(wrong), capture_output=True, check=False,
        )  # fmt: skip
        assert done.returncode == 1
        assert "is no bundle" in done.stderr.decode()


def test_a_layer_reckons_logits() -> None:
    weights: Floats = np.eye(7)
    assert Layer(weights, np.ones(7)).logits(np.eye(7)[:1]).tolist() == [[2, 1, 1, 1, 1, 1, 1]]
