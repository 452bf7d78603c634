"""From a trained network to a full-int8 TFLite file that both the CPU and the Edge TPU take."""

import csv
import io
import math
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from mien.classifier import interpreter
from mien_convert.edgetpu import Operation, examine
from mien_convert.errors import DatasetError, WorkshopError
from mien_convert.network import SIZE, require
from mien_convert.train import as_input

REPRESENTATIVES = 500
LEAST = 100  # ranges of fewer pictures leave out what the next one brings
LAYERS_SEEN_ON = 50

ALLOWED_LOSS = 0.003
WANTED_AGREEMENT = 0.98


class LayerError(msgspec.Struct, frozen=True):
    """How far a layer of the int8 file is from the float one when given the same input."""

    layer: int
    """From 1, in the order of the file."""
    operation: str
    error: float
    """Root mean square, in steps of its output; 0.29 is rounding alone."""


class Quantised(msgspec.Struct, frozen=True):
    """What is known of an int8 file: its operations and how exact each of its layers is."""

    operations: list[Operation]
    layers: list[LayerError]


def quantize(model: Any, images: NDArray[np.uint8], out: Path) -> Quantised:
    """Convert a keras.Model to the int8 file `out`, with up to 500 of `images` to set the ranges.

    `images` are u8 [N, 48, 48]. The file takes int8 [1, 48, 48, 1], which is pixel − 128, and gives
    logits int8 [1, 7] and the last feature map int8 [1, h, w, C].
    Raises DatasetError when the pictures cannot set ranges, WorkshopError when what comes out is
    not what the box and the Edge TPU need.
    """
    chosen = representative(images)
    tf, keras = require("tensorflow"), require("keras")

    def shown(pictures: NDArray[np.uint8], text: str) -> Iterator[list[NDArray[np.float32]]]:
        for picture in tqdm(pictures, text, leave=False, disable=None):
            yield [as_input(picture[None])]

    names = [layer.name for layer in model.layers]
    if "features" not in names:
        raise WorkshopError(
            "This network has no layer called features, the last map the box needs."
        )
    image = tf.TensorSpec((1, SIZE, SIZE, 1), tf.float32, "image")
    outputs = [model.get_layer(name).output for name in ("logits", "features")]
    both = keras.Model(model.inputs, outputs)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # The converter warns of its own settings, none of which is ours to change.
        warnings.simplefilter("ignore")
        both.export(folder, "tf_saved_model", verbose=False, input_signature=[image])
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: shown(chosen, "setting ranges")
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
        # The Edge TPU compiler takes fully-connected weights only with one scale for all of them.
        converter._experimental_disable_per_channel_quantization_for_dense_layers = True
        out.write_bytes(converter.convert())
        operations = _accepted(out)
        debugger = tf.lite.experimental.QuantizationDebugger(
            converter=converter,
            debug_dataset=lambda: shown(chosen[:LAYERS_SEEN_ON], "comparing layers"),
        )
        debugger.run()
        rows = io.StringIO()
        debugger.layer_statistics_dump(rows)
    return Quantised(operations, _layers(rows.getvalue()))


def representative(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Up to 500 of the pictures u8 [N, 48, 48], evenly chosen, for the ranges of the layers.

    Raises DatasetError when they are blank, too few, or too few of them differ.
    """
    if len(images) == 0 or np.ptp(images) == 0:
        raise DatasetError(
            "The representative pictures are all of one grey; ranges need pictures of faces."
        )
    chosen = images[:: max(len(images) // REPRESENTATIVES, 1)][:REPRESENTATIVES].copy()
    flat = chosen.reshape(len(chosen), -1)
    useful = len(np.unique(flat[np.ptp(flat, axis=1) > 0], axis=0))
    if useful < LEAST:
        raise DatasetError(
            f"Of the {len(chosen)} representative pictures only {useful} are not blank and differ "
            f"from each other; ranges need at least {LEAST} pictures of faces."
        )
    # Black and white are both shown, so that the input's scale is exactly 1/255.
    chosen[0, 0, :2] = 0, 255
    return chosen


def _accepted(file: Path) -> list[Operation]:
    """The operations of the file.

    Raises WorkshopError when one would not run on the Edge TPU, or int8 is not pixel − 128.
    """
    operations = examine(file)
    if foreign := [one for one in operations if one.verdict == "cpu"]:
        told = "; ".join(f"{one.operation} version {one.version}: {one.reason}" for one in foreign)
        raise WorkshopError(f"A part would not run on the Edge TPU; change the network. {told}.")
    scale, zero = interpreter(file).get_input_details()[0]["quantization"]
    if abs(scale * 255 - 1) > 1e-3 or zero != -128:
        raise WorkshopError(
            f"The input was quantised with scale {scale} and zero point {zero}; "
            "expected 1/255 and −128."
        )
    return operations


def _layers(statistics: str) -> list[LayerError]:
    """From the table of TensorFlow's QuantizationDebugger."""
    rows = csv.DictReader(io.StringIO(statistics))
    return [
        LayerError(number, row["op_name"], _steps(row)) for number, row in enumerate(rows, start=1)
    ]


def _steps(row: dict[str, str]) -> float:
    return round(math.sqrt(float(row["mean_squared_error"])) / float(row["scale"]), 3)


def parity(
    before: NDArray[np.float32], after: NDArray[np.float32], labels: NDArray[np.uint8]
) -> dict[str, Any]:
    """Float against int8: logits f32 [N, 7] of both on the same pictures, labels u8 [N].

    `lost` is the accuracy lost, negative where int8 is better; `logit_difference` is the absolute
    difference, in units of logits. `warning` says what is wrong and what to do, or is None.
    """
    right_before = float((before.argmax(axis=1) == labels).mean())
    right_after = float((after.argmax(axis=1) == labels).mean())
    agreement = float((before.argmax(axis=1) == after.argmax(axis=1)).mean())
    lost = right_before - right_after
    difference = np.abs(before - after)
    troubles = []
    if lost > ALLOWED_LOSS:
        troubles.append(f"int8 is {lost * 100:.1f} points less accurate than float")
    if agreement < WANTED_AGREEMENT:
        troubles.append(f"int8 and float agree on only {agreement:.1%} of the pictures")
    cure = (
        "look at the layers with the largest error, take pictures that are more like those the "
        "box sees, or train some epochs more with a smaller rate, which draws the weights together"
    )
    return {
        "n": len(labels),
        "float_accuracy": right_before,
        "int8_accuracy": right_after,
        "lost": lost,
        "agreement": agreement,
        "logit_difference": {"mean": float(difference.mean()), "max": float(difference.max())},
        "warning": f"{' and '.join(troubles)}; {cure}." if troubles else None,
    }


def float_logits(model: Any, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Logits f32 [N, 7] of the network before quantising, for pictures u8 [N, 48, 48]."""
    single = require("keras").Model(model.inputs, model.get_layer("logits").output)
    return np.asarray(single.predict(as_input(images), batch_size=512, verbose=0), np.float32)
