"""Where in a picture an answer comes from, and whether that explanation can be trusted.

Class-activation maps: B. Zhou et al., "Learning deep features for discriminative localization",
CVPR 2016. The network ends in an average over its last feature map and one dense layer, so a logit
is the mean of a map: at each place the features weighted by the layer's weights for that class.

Sanity check: J. Adebayo et al., "Sanity checks for saliency maps", NeurIPS 2018. A map that stays
the same when the weights are replaced by random ones shows the picture, not the network.
"""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from mien.bundle import Bundle
from mien.classifier import LiteRTClassifier, interpreter
from mien_convert.dataset import LABELS
from mien_convert.errors import WorkshopError
from mien_convert.network import SIZE, require

HEADS = 10  # random heads, for one alone may fall out like the trained one by chance
CHECKED = 200  # pictures of the sanity check
SEED = 1
ALIKE = 0.5
"""Mean likeness, without regard to sign, from which two maps count as the same map."""
Maps = NDArray[np.float32]


def activation_maps(
    classifier: LiteRTClassifier, images: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], Maps]:
    """Logits f32 [N, 7] of pictures u8 [N, 48, 48], and their maps f32 [N, 7, h, w].

    Raises WorkshopError when the bundle's head.npz is missing or is not the network's last layer.
    """
    weights, bias = read_head(classifier.bundle)
    logits, maps = [], []
    for image in tqdm(images, "reading pictures", leave=False, disable=None):
        output = classifier.classify(image)
        if output.features.shape[-1] != len(weights):
            raise _foreign_head(classifier.bundle)
        logits.append(output.logits)
        maps.append((output.features @ weights).transpose(2, 0, 1))
    told, shown = np.stack(logits), np.stack(maps).astype(np.float32)
    # The mean of a map and the bias make the logit, but for rounding to 8 bits and for logits of
    # unusual pictures that lie beyond their range.
    if np.median(np.abs(shown.mean(axis=(2, 3)) + bias - told)) > 0.05 * np.ptp(told):
        raise _foreign_head(classifier.bundle)
    return told, shown


def read_head(bundle: Bundle) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weights f32 [C, 7] and bias f32 [7] of the last layer. Raises WorkshopError."""
    try:
        with np.load(bundle.path / "head.npz", allow_pickle=False) as head:
            weights, bias = head["weights"], head["bias"]
    except (OSError, ValueError, KeyError) as error:
        raise WorkshopError(
            f"{bundle.path / 'head.npz'} cannot be read ({error}); a map needs the weights and "
            "bias of the last layer, which `mien-convert quantize` writes."
        ) from error
    if weights.ndim != 2 or weights.shape[1] != len(LABELS) or bias.shape != (len(LABELS),):
        raise _foreign_head(bundle)
    return weights, bias


def _foreign_head(bundle: Bundle) -> WorkshopError:
    return WorkshopError(
        f"head.npz of {bundle.name} is not the last layer of its network, so a map would explain "
        "something else; make the bundle again with mien-convert quantize."
    )


def cell_centres(bundle: Bundle) -> tuple[float, float]:
    """Where the cells of the last feature map lie in the picture: the middle of the first one, in
    pixels from the middle of the first pixel, and the distance from one to the next.

    `same` padding puts the odd row and column at the end, so each halving moves the cells a little
    to the lower right; without this a map lies up to half a cell beside what it is about.
    Follows Araujo et al., "Computing receptive fields of convolutional neural networks", Distill
    (2019), with strides and padding taken from the shapes; a pooling window is its stride wide.
    """
    net = interpreter(bundle.model)
    shapes = {tensor["index"]: tensor["shape"].tolist() for tensor in net.get_tensor_details()}
    places = {net.get_input_details()[0]["index"]: (0.0, 1.0)}
    for operation in net._get_ops_details():
        source, target = operation["inputs"][0], operation["outputs"][0]
        before, after = shapes[source], shapes[target]
        flat = len(before) != 4 or len(after) != 4
        if source not in places or flat or operation["op_name"] == "DELEGATE":
            continue
        start, jump = places[source]
        stride = -(-before[1] // after[1])
        window = stride
        if operation["op_name"] in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            window = shapes[operation["inputs"][1]][1]
        padding = max((after[1] - 1) * stride + window - before[1], 0) // 2
        places[target] = start + ((window - 1) / 2 - padding) * jump, jump * stride
    features = next(o["index"] for o in net.get_output_details() if len(o["shape"]) == 4)
    return places[features]


def average_maps(maps: Maps, classes: NDArray[np.integer[Any]]) -> dict[str, dict[str, Any]]:
    """For each label the number of pictures of that class and the mean of their maps for it, None
    where there are none."""
    table: dict[str, dict[str, Any]] = {}
    for row, label in enumerate(LABELS):
        chosen = maps[classes == row, row]
        mean = chosen.mean(axis=0).round(4).tolist() if len(chosen) else None
        table[label] = {"n": len(chosen), "map": mean}
    return table


def average_pictures(
    images: NDArray[np.uint8], classes: NDArray[np.integer[Any]]
) -> NDArray[np.float64]:
    """The mean picture of each class, [7, 48, 48]; of all pictures where a class has none."""
    return np.stack(
        [images[classes == row if (classes == row).any() else slice(None)].mean(axis=0)
         for row in range(len(LABELS))]
    )  # fmt: skip


def check_head(classifier: LiteRTClassifier, images: NDArray[np.uint8]) -> dict[str, Any]:
    """Likeness of the maps of the answers to those under random last layers, whose weights have the
    trained ones' mean and spread."""
    weights, _ = read_head(classifier.bundle)
    random = np.random.default_rng(SEED)
    heads = random.normal(weights.mean(), weights.std(), (HEADS, *weights.shape))
    alike = []
    for image in images[:CHECKED]:
        output = classifier.classify(image)
        answer = int(output.logits.argmax())
        trained = output.features @ weights[:, answer]
        alike += [likeness(trained, output.features @ head[:, answer]) for head in heads]
    return _verdict(alike, min(len(images), CHECKED))


def check_network(
    classifier: LiteRTClassifier, images: NDArray[np.uint8], model: Any
) -> dict[str, Any]:
    """Likeness of the maps of the answers to those of a network of the same form with all weights
    random; `model` is the float network, a keras.Model."""
    keras = require("keras")
    keras.utils.set_random_seed(SEED)
    random = keras.models.clone_model(model)
    both = keras.Model(random.inputs, [random.output, random.get_layer("features").output])
    chosen = images[:CHECKED]
    _, features = both.predict(chosen[..., None].astype(np.float32) / 255, verbose=0)
    weights = np.asarray(random.get_layer("logits").get_weights()[0])
    logits, maps = activation_maps(classifier, chosen)
    alike = [
        likeness(maps[row, answer], features[row] @ weights[:, answer])
        for row, answer in enumerate(logits.argmax(axis=1))
    ]
    return _verdict(alike, len(chosen))


def _verdict(alike: list[tuple[float, float]], pictures: int) -> dict[str, Any]:
    correlation, similarity = np.array(alike).T
    size = float(np.abs(correlation).mean())
    return {
        "pictures": pictures,
        "rank_correlation": float(correlation.mean()),
        "rank_correlation_size": size,
        "ssim": float(similarity.mean()),
        "limit": ALIKE,
        "passed": bool(size < ALIKE),
    }


def likeness(one: NDArray[Any], other: NDArray[Any]) -> tuple[float, float]:
    """Spearman's rank correlation over the places of two maps [h, w], and their SSIM (Wang et al.
    2004, a Gaussian window of σ 1.5) as pictures of 48×48, each stretched to 0…1.

    Both are 1 for the same map; a map of one value has no likeness, 0, to any.
    """
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0, 0.0
    ranks = np.stack([m.ravel().argsort(kind="stable").argsort() for m in (one, other)])
    x, y = _stretched(one), _stretched(other)
    mean_x, mean_y = _window(x), _window(y)
    spread = _window(x * x) - mean_x**2 + _window(y * y) - mean_y**2
    shared = _window(x * y) - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    ssim = (2 * mean_x * mean_y + c1) * (2 * shared + c2)
    ssim /= (mean_x**2 + mean_y**2 + c1) * (spread + c2)
    rank = np.corrcoef(ranks[0], ranks[1])
    return float(np.asarray(rank)[0, 1]), float(ssim.mean())


def _stretched(evidence: NDArray[Any]) -> NDArray[np.float64]:
    large = cv2.resize(evidence.astype(np.float64), (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
    return np.asarray((large - large.min()) / np.ptp(large), np.float64)


def _window(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(cv2.GaussianBlur(values, (11, 11), 1.5), np.float64)


def write_overlay(file: Path, picture: NDArray[np.uint8], drawn: NDArray[np.uint8]) -> None:
    """Write a picture [h, w] and beside it, larger, what was drawn on it [H, W, 3] as a PNG."""
    plain = cv2.resize(picture, drawn.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    both = np.hstack([cv2.cvtColor(plain, cv2.COLOR_GRAY2BGR), drawn])
    try:
        file.write_bytes(cv2.imencode(".png", both)[1].tobytes())
    except OSError as error:
        raise WorkshopError(f"{file} cannot be written: {error.strerror}.") from error
