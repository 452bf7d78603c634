"""From a trained network to a full-int8 TFLite file that both the CPU and the Edge TPU take."""

import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from mien.classifier import interpreter
from mien_convert.errors import DatasetError, WorkshopError
from mien_convert.network import SIZE, require
from mien_convert.train import as_input

# A part of coral.ai/docs/edgetpu/models-intro "Supported operations": what this network needs.
EDGE_TPU_OPERATIONS = {
    "ADD",
    "AVERAGE_POOL_2D",
    "CONV_2D",
    "DEPTHWISE_CONV_2D",
    "FULLY_CONNECTED",
    "QUANTIZE",
    "RESHAPE",
}
REPRESENTATIVES = 500


def load_network(checkpoint: Path) -> Any:
    """The averaged float32 network of a checkpoint, in TensorFlow. Raises WorkshopError."""
    keras = require("keras")
    if keras.backend.backend() != "tensorflow":
        raise WorkshopError(
            f"Quantising needs Keras on TensorFlow, not on {keras.backend.backend()}; "
            "set KERAS_BACKEND=tensorflow."
        )
    try:
        return keras.saving.load_model(checkpoint / "averaged.keras", compile=False)
    except (OSError, ValueError) as error:
        raise WorkshopError(f"{checkpoint} is not a whole checkpoint: {error}.") from error


def quantize(model: Any, images: NDArray[np.uint8], out: Path) -> list[str]:
    """Convert a keras.Model to the int8 file `out`, with up to 500 of `images` to set the ranges.

    `images` are u8 [N, 48, 48]. The file takes int8 [1, 48, 48, 1], which is pixel − 128, and gives
    logits int8 [1, 7] and the last feature map int8 [1, h, w, C]. Returns its operations.
    Raises DatasetError when the pictures cannot set ranges, WorkshopError when what comes out is
    not what the box needs.
    """
    if len(images) == 0 or np.ptp(images) == 0:
        raise DatasetError(
            "The representative pictures are all of one grey; ranges need pictures of faces."
        )
    tf, keras = require("tensorflow"), require("keras")
    chosen = images[:: max(len(images) // REPRESENTATIVES, 1)][:REPRESENTATIVES].copy()
    # Black and white are both shown, so that the input's scale is exactly 1/255.
    chosen[0, 0, :2] = 0, 255

    def representatives() -> Iterator[list[NDArray[np.float32]]]:
        for image in tqdm(chosen, "setting ranges", leave=False, disable=None):
            yield [as_input(image[None])]

    image = tf.TensorSpec((1, SIZE, SIZE, 1), tf.float32, "image")
    both = keras.Model(model.inputs, [model.output, model.get_layer("features").output])
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # The converter warns of its own settings, none of which is ours to change.
        warnings.simplefilter("ignore")
        both.export(folder, "tf_saved_model", verbose=False, input_signature=[image])
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = representatives
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
        # The Edge TPU compiler takes fully-connected weights only with one scale for all of them.
        converter._experimental_disable_per_channel_quantization_for_dense_layers = True
        out.write_bytes(converter.convert())
    return _operations(out)


def _operations(file: Path) -> list[str]:
    """The operations of the file, once each.

    Raises WorkshopError for one that the Edge TPU lacks, or when int8 is not pixel − 128.
    """
    net = interpreter(file)
    names = sorted({operation["op_name"] for operation in net._get_ops_details()} - {"DELEGATE"})
    foreign = [name for name in names if name not in EDGE_TPU_OPERATIONS]
    if foreign:
        raise WorkshopError(f"The Edge TPU does not know {', '.join(foreign)}; change the network.")
    scale, zero = net.get_input_details()[0]["quantization"]
    if abs(scale * 255 - 1) > 1e-3 or zero != -128:
        raise WorkshopError(
            f"The input was quantised with scale {scale} and zero point {zero}; "
            "expected 1/255 and −128."
        )
    return names


def float_logits(model: Any, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Logits f32 [N, 7] of the network before quantising."""
    return np.asarray(model.predict(as_input(images), batch_size=512, verbose=0), np.float32)
