"""`mien.layer`: the last layer, the bundle's own and a client's."""

from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from numpy.typing import NDArray

from mien.bundle import BundleError, load_bundle, shipped_bundle
from mien.classifier import LiteRTClassifier
from mien.events import EXPRESSIONS
from mien.layer import Layer, LayerError, own, personal
from mien.mandate import Head
from test_pipeline import BUNDLE

OWN = Layer(np.zeros((3, 7), np.float32), np.zeros(7, np.float32))


def head(numbers: NDArray[np.float64], bundle: str = "scripted") -> Head:
    return Head("h-1", bundle, numbers.astype("<f4").tobytes())


def test_the_shipped_bundles_layer_gives_what_its_network_gives() -> None:
    bundle = load_bundle(shipped_bundle())
    layer = own(bundle)
    classifier = LiteRTClassifier(bundle)
    picture = np.random.default_rng(1).integers(0, 256, (48, 48)).astype(np.uint8)
    output = classifier.classify(picture)
    assert layer.logits(output.features) == pytest.approx(output.logits, abs=0.25)


def test_a_bundle_that_does_not_tell_its_layer(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="scripted does not tell its last layer"):
        own(replace(BUNDLE, path=tmp_path))


def test_a_personal_head_is_weights_and_bias_in_this_order() -> None:
    layer = personal(head(np.arange(28.0)), BUNDLE, OWN)
    assert layer.weights.tolist() == np.arange(21.0).reshape(3, 7).tolist()
    assert layer.bias.tolist() == [21.0, 22.0, 23.0, 24.0, 25.0, 26.0, 27.0]
    features = np.ones((2, 2, 3), np.float32)
    assert layer.logits(features).tolist() == [42.0, 46.0, 50.0, 54.0, 58.0, 62.0, 66.0]


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (head(np.zeros(28), bundle="mien-fer-1"), "fitted to bundle mien-fer-1, and scripted is"),
        (head(np.zeros(27)), "must be 28 finite numbers"),
        (head(np.full(28, np.nan)), "must be 28 finite numbers"),
        (Head("h-1", "scripted", b"123"), "must be 28 finite numbers"),
        (Head("h-1", "scripted", b""), "must be 28 finite numbers"),
    ],
)
def test_a_head_that_does_not_fit_is_refused_with_a_sentence(given: Head, why: str) -> None:
    with pytest.raises(LayerError, match=why):
        personal(given, BUNDLE, OWN)


def test_the_maps_show_where_what_speaks_for_an_expression_was_seen() -> None:
    weights = np.zeros((2, 7), np.float32)
    weights[0, EXPRESSIONS.index("fear")] = 2
    weights[1, EXPRESSIONS.index("anger")] = 1
    weights[1, EXPRESSIONS.index("neutral")] = -3
    features = np.zeros((4, 4, 2), np.float32)
    features[0, 3] = (10, 0)
    features[2, 1] = (0, 10)
    maps = Layer(weights, np.ones(7, np.float32)).maps(features)
    assert (maps.shape, maps.dtype) == ((7, 4, 4), np.uint8)
    assert maps[EXPRESSIONS.index("fear"), 0, 3] == 255
    assert maps[EXPRESSIONS.index("anger"), 2, 1] == 128, "a common scale: half as much"
    assert np.count_nonzero(maps) == 2, "what speaks against is left out"


def test_nothing_speaks_for_anything() -> None:
    assert not OWN.maps(np.ones((4, 4, 3), np.float32)).any()
