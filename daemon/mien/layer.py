"""The last layer of the network, from the embedding to the seven logits: the bundle's own, or a
client's personal one. Pure."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mien.bundle import Bundle, BundleError
from mien.events import EXPRESSIONS, MienError
from mien.mandate import Head

CLASSES = len(EXPRESSIONS)


class LayerError(MienError, ValueError):
    """A personal head does not fit this bundle."""


class Layer(NamedTuple):
    """logits = embedding @ weights + bias; the embedding is the mean of the feature map."""

    weights: NDArray[np.float32]
    """[C, 7]"""
    bias: NDArray[np.float32]
    """[7]"""

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """[7], of a feature map [h, w, C]."""
        return embedding(features) @ self.weights + self.bias

    def maps(self, features: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Class-activation maps, [7, h, w], of a feature map [h, w, C]: where in the face what
        spoke for each expression was seen.

        M_k(x, y) = Σ_c w_ck f_c(x, y), of B. Zhou, A. Khosla, A. Lapedriza, A. Oliva and
        A. Torralba, "Learning deep features for discriminative localization", CVPR 2016; what
        speaks against an expression is left out, and 255 is the most that speaks for any.
        """
        maps = np.maximum(features @ self.weights, 0).transpose(2, 0, 1)
        most = float(maps.max())
        return np.asarray(np.rint(maps * (255 / most if most else 0.0)), np.uint8)


def embedding(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """[C], of a feature map [h, w, C]."""
    return np.asarray(features.mean(axis=(0, 1)), np.float32)


def own(bundle: Bundle) -> Layer:
    """The bundle's own.

    Raises:
        BundleError: the bundle does not tell it.
    """
    try:
        with np.load(bundle.path / "head.npz", allow_pickle=False) as head:
            weights, bias = head["weights"].astype(np.float32), head["bias"].astype(np.float32)
    except (OSError, KeyError, ValueError) as error:
        raise BundleError(f"bundle {bundle.name} does not tell its last layer: {error}") from None
    return Layer(weights, bias)


def personal(head: Head, bundle: Bundle, own: Layer) -> Layer:
    """A client's, as the table `heads` keeps it: f32 little-endian, weights [C, 7], then bias.

    Raises:
        LayerError: it was fitted to another bundle, or is damaged.
    """
    if head.bundle != bundle.name:
        raise LayerError(
            f"the personal head was fitted to bundle {head.bundle}, and {bundle.name} is running"
        )
    channels = own.weights.shape[0]
    numbers = np.frombuffer(head.weights[: len(head.weights) // 4 * 4], "<f4").astype(np.float32)
    if len(head.weights) != 4 * (channels + 1) * CLASSES or not np.isfinite(numbers).all():
        raise LayerError(
            f"the personal head is damaged: it must be {(channels + 1) * CLASSES} finite numbers"
        )
    return Layer(numbers[:-CLASSES].reshape(channels, CLASSES), numbers[-CLASSES:])
