"""From the layers of a preset to a Keras network.

Only operations that the Edge TPU compiler knows: `same` padding needs no PAD, a pooling window over
the whole map needs no MEAN. The input is grey / 255, so that the int8 input of the converted
network is simply pixel − 128.
"""

import importlib
import math
import os
from types import ModuleType
from typing import Any

import msgspec

from mien_convert.errors import WorkshopError
from mien_convert.preset import (
    Convolution,
    Dense,
    Dropout,
    Layer,
    MaxPooling,
    MobileNetV2,
    Preset,
    Residual,
)

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
    """A keras.Model from f32 [N, 48, 48, 1] in 0…1 to the logits f32 [N, classes] of each head.

    The outputs are `logits`, for the word of FER-2013, and where the preset has a second head
    `votes`, for those of FER+. The layer `features` gives the last map. `fast` computes in bfloat16
    with float32 weights and takes pictures of any size where no layer is dense; both forms have the
    same weights in the same order.
    """
    layers = require("keras.layers")
    dtype = "mixed_bfloat16" if fast else "float32"
    last_map = _last_map(preset)
    any_size = fast and not any(isinstance(form, Dense) for form in preset.layers)
    side = None if any_size else SIZE
    image = layers.Input((side, side, 1), name="image")
    x = image
    for form in preset.layers:
        name = "features" if form is last_map else None
        if isinstance(form, Dense | Dropout):
            x = _flat(x, form, dtype)
        else:
            x = _map(x, form, dtype, name, fast)
    if len(x.shape) == 4:
        if any_size:
            x = layers.GlobalAveragePooling2D(dtype=dtype)(x)
        else:
            x = layers.AveragePooling2D(x.shape[1:3], dtype=dtype)(x)
            x = layers.Reshape((x.shape[-1],), dtype=dtype)(x)
    names = ["logits", "votes"] if preset.label_weight < 1 else ["logits"]
    heads = [layers.Dense(len(preset.classes), dtype="float32", name=name)(x) for name in names]
    return require("keras").Model(image, heads)


def answering(model: Any, preset: Preset) -> Any:
    """The network of `model` with one head, `logits`: where it has two, their weighted mean, which
    is again one dense layer."""
    if len(model.outputs) == 1:
        return model
    single = build(msgspec.structs.replace(preset, label_weight=1.0))
    share = preset.answer_weight
    word, votes = (model.get_layer(name).get_weights() for name in ("logits", "votes"))
    mixed = [share * a + (1 - share) * b for a, b in zip(word, votes, strict=True)]
    before = [weight for layer in model.layers[:-2] for weight in layer.get_weights()]
    single.set_weights(before + mixed)
    return single


def _last_map(preset: Preset) -> Layer | None:
    """The layer before the average or the first dense one."""
    last = None
    for form in preset.layers:
        if isinstance(form, Dense):
            break
        if not isinstance(form, Dropout):
            last = form
    return last


def _map(x: Any, form: Layer, dtype: str, name: str | None, fast: bool) -> Any:
    layers = require("keras.layers")
    normalisation = _fused_batch_normalisation() if fast else layers.BatchNormalization

    def convolution(x: Any, filters: int, kernel: int, stride: int, normalised: bool) -> Any:
        x = layers.Conv2D(
            filters, kernel, stride, padding="same", use_bias=not normalised,
            kernel_initializer="he_normal", dtype=dtype,
        )(x)  # fmt: skip
        return normalisation(dtype=dtype)(x) if normalised else x

    match form:
        case Convolution():
            x = convolution(x, form.filters, form.kernel, form.stride, form.normalised)
            return layers.Activation(form.activation, dtype=dtype, name=name)(x)
        case Residual():
            y = convolution(x, form.filters, form.kernel, 1, True)
            y = convolution(layers.ReLU(dtype=dtype)(y), form.filters, form.kernel, 1, True)
            return layers.ReLU(dtype=dtype, name=name)(layers.Add(dtype=dtype)([x, y]))
        case MaxPooling():
            return layers.MaxPooling2D(form.size, dtype=dtype, name=name)(x)
        case MobileNetV2():
            network = require("keras.applications").MobileNetV2(
                (SIZE, SIZE, x.shape[-1]), form.width, include_top=False, weights=None
            )
            return layers.Activation("linear", dtype=dtype, name=name)(network(x))
    raise TypeError(f"{form} makes no map")


def _flat(x: Any, form: Dense | Dropout, dtype: str) -> Any:
    layers = require("keras.layers")
    if isinstance(form, Dropout):
        return layers.Dropout(form.share, dtype=dtype)(x)
    if len(x.shape) == 4:
        x = layers.Flatten(dtype=dtype)(x)
    return layers.Dense(form.units, form.activation, dtype=dtype)(x)


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
        kind = type(layer).__name__
        if hasattr(layer, "layers"):
            total += multiply_adds(layer)
        elif kind in ("Conv2D", "DepthwiseConv2D"):
            total += math.prod(layer.output.shape[1:3]) * math.prod(layer.kernel.shape)
        elif kind == "Dense":
            total += math.prod(layer.kernel.shape)
    return total
