"""The network: convolutions, two residual blocks, an average, one dense layer.

Only operations that the Edge TPU compiler knows; `same` padding needs no PAD, a pooling window over
the whole map needs no MEAN. The input is grey / 255, so that the int8 input of the converted
network is simply pixel − 128.
"""

import importlib
import math
import os
from types import ModuleType
from typing import Any

from mien_convert.dataset import LABELS
from mien_convert.errors import WorkshopError
from mien_convert.preset import Block, Preset

SIZE = 48


def require(name: str) -> ModuleType:
    """Import keras or tensorflow, or say what to install. Raises WorkshopError."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise WorkshopError(
            f"This step needs {name}, which is not installed ({error}); "
            "run: pip install 'mien[convert]'"
        ) from error


def build(preset: Preset, fast: bool = False) -> Any:
    """A keras.Model from f32 [N, 48, 48, 1] in 0…1 to logits f32 [N, 7].

    The layer `features` gives the last feature map. `fast` computes in bfloat16 with float32
    weights; both forms have the same weights in the same order.
    """
    layers = require("keras.layers")
    dtype = "mixed_bfloat16" if fast else "float32"
    normalisation = _fused_batch_normalisation() if fast else layers.BatchNormalization

    def convolution(x: Any, filters: int, kernel: int, stride: int) -> Any:
        x = layers.Conv2D(
            filters, kernel, stride, padding="same", use_bias=False,
            kernel_initializer="he_normal", dtype=dtype,
        )(x)  # fmt: skip
        return normalisation(dtype=dtype)(x)

    def block(x: Any, form: Block, name: str | None) -> Any:
        y = convolution(x, form.filters, form.kernel, form.stride)
        if form.kind == "residual":
            y = layers.ReLU(dtype=dtype)(y)
            y = convolution(y, form.filters, form.kernel, 1)
            y = layers.Add(dtype=dtype)([x, y])
        return layers.ReLU(dtype=dtype, name=name)(y)

    image = layers.Input((SIZE, SIZE, 1), name="image")
    x = image
    for form in preset.blocks:
        x = block(x, form, "features" if form is preset.blocks[-1] else None)
    x = layers.AveragePooling2D(x.shape[1:3], dtype=dtype)(x)
    x = layers.Reshape((x.shape[-1],), dtype=dtype)(x)
    logits = layers.Dense(len(LABELS), dtype="float32", name="logits")(x)
    return require("keras").Model(image, logits)


def _fused_batch_normalisation() -> Any:
    """Keras computes batch normalisation in float32, step by step; TensorFlow's fused form took a
    fifth off the time of an epoch on a CPU with bfloat16."""
    keras = require("keras")
    if keras.backend.backend() != "tensorflow":
        return keras.layers.BatchNormalization
    layer: Any = keras.layers.BatchNormalization
    fused = require("tensorflow").compat.v1.nn.fused_batch_norm

    @keras.saving.register_keras_serializable("mien")
    class FusedBatchNormalization(layer):  # type: ignore[misc]
        def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
            if not training:
                return super().call(inputs, training=False)
            output, mean, variance = fused(
                inputs, self.gamma.value, self.beta.value, epsilon=self.epsilon, is_training=True
            )
            for moving, now in ((self.moving_mean, mean), (self.moving_variance, variance)):
                moving.assign(moving * self.momentum + now * (1 - self.momentum))
            return output

    return FusedBatchNormalization


def multiply_adds(model: Any) -> int:
    """Multiplications of one inference, in the convolutions and the dense layer."""
    total = 0
    for layer in model.layers:
        if type(layer).__name__ == "Conv2D":
            total += math.prod(layer.output.shape[1:3]) * math.prod(layer.kernel.shape)
        elif type(layer).__name__ == "Dense":
            total += math.prod(layer.kernel.shape)
    return total
