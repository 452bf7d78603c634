"""What one inference costs here: time, multiply-adds, and how near that is to a core's best."""

import math
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.bundle import Bundle
from mien.classifier import LiteRTClassifier, interpreter

TIMED = 300
# The fastest of the shapes tried on an AVX-512 VNNI core: a product of 576×1024 and 1024×128, as
# the 1×1 convolution by which TFLite does it, with its weights in the second-level cache.
PEAK_SIDE, PEAK_IN, PEAK_OUT = 24, 1024, 128
WEIGHTED = {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"}


def speed(classifier: LiteRTClassifier, images: NDArray[np.uint8]) -> dict[str, Any]:
    """Median milliseconds of an inference on one thread, with what it computes.

    `peak_gmacs` is the speed, in 10⁹ multiply-adds a second, that the same runtime reaches here in
    a large int8 matrix product; `share_of_peak` the network's speed over that. Both are None, with
    the reason in `peak_note`, where ai-edge-litert is not there to build the product.
    """
    pictures = images[np.arange(TIMED) % len(images)]
    turns = iter(pictures)
    milliseconds = _median_ms(lambda: classifier.classify(next(turns)), TIMED)
    multiply_adds, parameters = cost(classifier.bundle)
    gmacs = multiply_adds / milliseconds / 1e6
    try:
        peak, note = _peak_gmacs(), "int8 product 576×1024×128 in the same runtime, one thread"
    except ImportError as error:
        peak, note = None, f"no peak was measured, for the runtime is another ({error})"
    return {
        "ms": milliseconds,
        "multiply_adds": multiply_adds,
        "parameters": parameters,
        "gmacs": gmacs,
        "peak_gmacs": peak,
        "share_of_peak": gmacs / peak if peak else None,
        "peak_note": note,
    }


def cost(bundle: Bundle) -> tuple[int, int]:
    """Multiply-adds of one inference, and weights with biases, of the bundle's int8 file."""
    net = interpreter(bundle.model)
    shapes = {tensor["index"]: tensor["shape"].tolist() for tensor in net.get_tensor_details()}
    multiply_adds = parameters = 0
    for operation in net._get_ops_details():
        if operation["op_name"] in WEIGHTED:
            _, weights, *bias = (shapes[index] for index in operation["inputs"] if index >= 0)
            out = shapes[operation["outputs"][0]]
            parameters += math.prod(weights) + sum(math.prod(shape) for shape in bias)
            # Weights are [out, h, w, in], of a depthwise convolution [1, h, w, out], of a dense
            # layer [out, in]; all of them are used once at each place of the output.
            multiply_adds += math.prod(out[1:-1]) * math.prod(weights)
    return multiply_adds, parameters


def _median_ms(call: Callable[[], Any], times: int) -> float:
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken) * 1e3


def _peak_gmacs() -> float:
    from ai_edge_litert.interpreter import Interpreter

    net = Interpreter(model_content=_product(), num_threads=1)
    net.allocate_tensors()
    net.invoke()
    return PEAK_SIDE**2 * PEAK_IN * PEAK_OUT / _median_ms(net.invoke, 50) / 1e6


def _product() -> bytes:
    """A TFLite file of one int8 1×1 convolution whose weights are all 1."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    def tensor(shape: list[int], kind: int, buffer: int, scales: int) -> Any:
        made, quantization = schema.TensorT(), schema.QuantizationParametersT()
        quantization.scale = np.full(scales, 0.01, np.float32)
        quantization.zeroPoint = np.zeros(scales, np.int64)
        made.shape, made.type = np.array(shape, np.int32), kind
        made.buffer, made.quantization = buffer, quantization
        return made

    weights = np.ones(PEAK_OUT * PEAK_IN, np.int8)
    buffers = [schema.BufferT() for _ in range(3)]
    buffers[1].data = weights.view(np.uint8)
    buffers[2].data = np.zeros(4 * PEAK_OUT, np.uint8)

    options, operator = schema.Conv2DOptionsT(), schema.OperatorT()
    options.padding = schema.Padding.VALID
    options.strideW = options.strideH = 1
    operator.inputs, operator.outputs = np.array([0, 1, 2], np.int32), np.array([3], np.int32)
    operator.builtinOptionsType = schema.BuiltinOptions.Conv2DOptions
    operator.builtinOptions = options

    graph, model, code = schema.SubGraphT(), schema.ModelT(), schema.OperatorCodeT()
    int8, int32 = schema.TensorType.INT8, schema.TensorType.INT32
    graph.tensors = [
        tensor([1, PEAK_SIDE, PEAK_SIDE, PEAK_IN], int8, 0, 1),
        tensor([PEAK_OUT, 1, 1, PEAK_IN], int8, 1, PEAK_OUT),
        tensor([PEAK_OUT], int32, 2, PEAK_OUT),
        tensor([1, PEAK_SIDE, PEAK_SIDE, PEAK_OUT], int8, 0, 1),
    ]
    graph.inputs, graph.outputs = operator.inputs[:1], operator.outputs
    graph.operators = [operator]
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CONV_2D
    code.version = 3
    model.version, model.operatorCodes = 3, [code]
    model.subgraphs, model.buffers = [graph], buffers
    builder = flatbuffers.Builder(1 << 18)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
