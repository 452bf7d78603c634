"""Which operations of a TFLite file the Coral Edge TPU takes, and its compiler.

The table is that of "Supported operations" in coral.ai/docs/edgetpu/models-intro, for the last
compiler, 16.0, with runtime 14. The compiler itself has the last word; this says beforehand what
it will say, on machines that cannot run it.
"""

import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from mien_convert.errors import WorkshopError

COMPILER = "edgetpu_compiler"
COMPILER_S = 300.0  # its own limit is 180 s
INSTALL = (
    f"{COMPILER} runs on x86-64 Linux only: there, install the package edgetpu-compiler from "
    "Coral's apt repository (coral.ai/docs/edgetpu/compiler), then run "
    "mien-convert bundle BUNDLE --refresh --data FILE. Without it the bundle runs on the CPU."
)


class Operation(msgspec.Struct, frozen=True):
    """Operations of one kind in a file that share a verdict."""

    operation: str
    version: int
    count: int
    verdict: Literal["edge tpu", "cpu"]
    reason: str | None
    """Why it stays on the CPU; None on the Edge TPU."""


@dataclass(frozen=True)
class _Node:
    """One operation as it stands in the file: TensorT of the schema, None where optional."""

    inputs: Sequence[Any]
    outputs: Sequence[Any]
    options: Any
    constants: Sequence[Any]
    """Beside each input its values as bytes, None when it is computed."""

    def integers(self, place: int) -> list[int]:
        """The int32 values of a constant input, none when it is computed or not there."""
        values = self.constants[place] if place < len(self.constants) else None
        return [] if values is None else [int(v) for v in np.frombuffer(values, np.int32)]


Limit = Callable[[_Node], str | None]
"""Why this operation stays on the CPU, or None."""


@dataclass(frozen=True)
class _Supported:
    version: int | None = None
    """The newest version known to have been compiled for int8; None: not known, not judged."""
    limits: tuple[Limit, ...] = ()


def _no_activation(node: _Node) -> str | None:
    fused = node.options is not None and node.options.fusedActivationFunction
    return "it has a fused activation function; make that a layer of its own" if fused else None


def _one_dilation(node: _Node) -> str | None:
    options = node.options
    same = options is None or options.dilationWFactor == options.dilationHFactor
    return None if same else "it is dilated differently in width and height"


def _constant_weights(node: _Node) -> str | None:
    return "its weights are computed, not constant" if node.constants[1] is None else None


def _plain_weights(node: _Node) -> str | None:
    if len(_scales(node.inputs[1])) > 1:
        return (
            "its weights have a scale per channel; it takes one for all of them "
            "(_experimental_disable_per_channel_quantization_for_dense_layers)"
        )
    if node.options is not None and node.options.weightsFormat:
        return "its weights are not in the default format"
    if sum(size > 1 for size in node.outputs[0].shape) > 1:
        return "its output has more than one dimension"
    return None


def _no_batch_axis(place: int) -> Limit:
    def limit(node: _Node) -> str | None:
        rank = len(node.inputs[0].shape)
        axes = {axis % rank for axis in node.integers(place)}
        return "it works along the batch" if rank > 1 and 0 in axes else None

    return limit


def _mean_of_whole_fours(node: _Node) -> str | None:
    shape = node.inputs[0].shape
    axes = {axis % len(shape) for axis in node.integers(1)}
    if len(shape) - 1 in axes and shape[-1] % 4:
        return "it averages over channels whose number is no multiple of 4"
    return None


def _no_batch_padding(node: _Node) -> str | None:
    return "it pads the batch" if any(node.integers(1)[:2]) else None


def _no_batch_packing(node: _Node) -> str | None:
    axis = node.options.axis if node.options is not None else 0
    return "it packs along the batch" if axis == 0 else None


def _short_softmax(node: _Node) -> str | None:
    shape = node.inputs[0].shape
    if sum(size > 1 for size in shape) > 1 or int(np.prod(shape)) > 16_000:
        return "it takes one dimension of at most 16,000 elements"
    return None


def _plain_stride(node: _Node) -> str | None:
    options = node.options
    if any(stride != 1 for stride in node.integers(3)):
        return "its strides are not all 1"
    if options is not None and (options.ellipsisMask or options.newAxisMask):
        return "it uses an ellipsis or a new axis"
    return None


def _leading_ones(node: _Node) -> str | None:
    shape = list(node.inputs[0].shape)
    while shape and shape[0] == 1:
        shape.pop(0)
    return "it takes out a dimension between others" if 1 in shape[:-1] else None


def _shared_slopes(node: _Node) -> str | None:
    slopes = node.inputs[1].shape[:-1]
    return "its slopes differ within a channel" if any(n > 1 for n in slopes) else None


_WEIGHTS = (_constant_weights, _one_dilation)
SUPPORTED: dict[str, _Supported] = {
    "ADD": _Supported(2),
    "AVERAGE_POOL_2D": _Supported(2, (_no_activation,)),
    "CONCATENATION": _Supported(2, (_no_activation,)),
    "CONV_2D": _Supported(3, _WEIGHTS),
    "DEPTHWISE_CONV_2D": _Supported(3, _WEIGHTS),
    "EXPAND_DIMS": _Supported(),
    # Version 5, which keeps dimensions, is refused as "Operation version not supported".
    "FULLY_CONNECTED": _Supported(4, (_constant_weights, _plain_weights)),
    "L2_NORMALIZATION": _Supported(2),
    "LOGISTIC": _Supported(2),
    "MAXIMUM": _Supported(2),
    "MAX_POOL_2D": _Supported(2, (_no_activation,)),
    "MEAN": _Supported(2, (_no_batch_axis(1), _mean_of_whole_fours)),
    "MINIMUM": _Supported(2),
    "MUL": _Supported(2),
    "PACK": _Supported(2, (_no_batch_packing,)),
    "PAD": _Supported(2, (_no_batch_padding,)),
    "PRELU": _Supported(1, (_shared_slopes,)),
    "QUANTIZE": _Supported(1),
    "REDUCE_MAX": _Supported(2, (_no_batch_axis(1),)),
    "REDUCE_MIN": _Supported(2, (_no_batch_axis(1),)),
    "RELU": _Supported(2),
    "RELU6": _Supported(2),
    "RELU_N1_TO_1": _Supported(),
    "RESHAPE": _Supported(1),
    # Both may stay on the CPU for some sizes, to keep precision; version 3 moved the half pixel.
    "RESIZE_BILINEAR": _Supported(2),
    "RESIZE_NEAREST_NEIGHBOR": _Supported(2),
    "RSQRT": _Supported(),
    "SLICE": _Supported(2),
    "SOFTMAX": _Supported(2, (_short_softmax,)),
    "SPACE_TO_DEPTH": _Supported(2),
    "SPLIT": _Supported(2, (_no_batch_axis(0),)),
    "SQUARED_DIFFERENCE": _Supported(),
    "SQUEEZE": _Supported(1, (_leading_ones,)),
    "STRIDED_SLICE": _Supported(2, (_plain_stride,)),
    "SUB": _Supported(2),
    "SUM": _Supported(None, (_no_batch_axis(1),)),
    "TANH": _Supported(2),
    "TRANSPOSE": _Supported(2),
    "TRANSPOSE_CONV": _Supported(3, ()),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _Supported(),
}


def examine(model: Path) -> list[Operation]:
    """The operations of a TFLite file, in the order they first come, each with a verdict.

    The compiler maps one stretch: what comes after an operation that stays on the CPU stays too.
    Raises WorkshopError when the file is no TFLite file.
    """
    from ai_edge_litert import schema_py_generated as schema

    try:
        content = model.read_bytes()
    except OSError as error:
        raise WorkshopError(f"{model} cannot be read: {error.strerror}.") from error
    if content[4:8] != b"TFL3":
        raise WorkshopError(f"{model} is not a TFLite file.")
    net = schema.ModelT.InitFromPackedBuf(content, 0)
    names = {code: name for name, code in vars(schema.BuiltinOperator).items()}
    types = {code: name.lower() for name, code in vars(schema.TensorType).items()}
    graph = net.subgraphs[0]
    constants = [None if (b := net.buffers[t.buffer].data) is None else bytes(b)
                 for t in graph.tensors]  # fmt: skip
    found: Counter[tuple[str, int, str | None]] = Counter()
    blocker = None
    for operator in graph.operators:
        code = net.operatorCodes[operator.opcodeIndex]
        name = names[max(code.builtinCode, code.deprecatedBuiltinCode)]
        name = code.customCode.decode() if name == "CUSTOM" else name
        node = _Node(
            [graph.tensors[i] if i >= 0 else None for i in operator.inputs],
            [graph.tensors[i] for i in operator.outputs],
            operator.builtinOptions,
            [constants[i] if i >= 0 else None for i in operator.inputs],
        )
        reason = _reason(name, code.version, node, types)
        if reason is None and len(net.subgraphs) > 1:
            reason = "the file has several subgraphs (control flow)"
        if reason is None and blocker:
            reason = f"it comes after {blocker}, which stays on the CPU"
        elif reason is not None:
            blocker = blocker or name
        found[name, code.version, reason] += 1
    return [
        Operation(name, version, count, "cpu" if reason else "edge tpu", reason)
        for (name, version, reason), count in found.items()
    ]


def _reason(name: str, version: int, node: _Node, types: dict[int, str]) -> str | None:
    """Why this operation stays on the CPU, or None."""
    supported = SUPPORTED.get(name)
    if supported is None:
        return "the Edge TPU does not know it"
    if supported.version is not None and version > supported.version:
        return f"versions up to {supported.version} are known to compile"
    computed = [t for t, values in zip(node.inputs, node.constants, strict=True)
                if t is not None and values is None]  # fmt: skip
    for tensor in [*computed, *node.outputs]:
        if tensor.shapeSignature is not None and any(n < 0 for n in tensor.shapeSignature):
            return f"its size is not fixed: {[int(n) for n in tensor.shapeSignature]}"
        if any(size > 1 for size in tensor.shape[:-3]):
            return f"its batch is not 1: {list(tensor.shape)}"
        if types[tensor.type] not in ("int8", "uint8"):
            return f"it works on {types[tensor.type]}, not on 8-bit integers"
    return next((why for limit in supported.limits if (why := limit(node))), None)


def _scales(tensor: Any) -> Sequence[float]:
    quantised = tensor.quantization
    return () if quantised is None or quantised.scale is None else tuple(quantised.scale)


def compile_model(model: Path, log_file: Path) -> tuple[Path | None, str]:
    """Run `edgetpu_compiler` on a TFLite file; its words go to `log_file`.

    Returns the compiled file, which lies beside `model` with `_edgetpu` after its stem, or None,
    and the sentence that says how it went. A compiler that is not there or fails is no error, for
    the bundle runs on the CPU without it, and changes nothing but the log.
    """
    program = shutil.which(COMPILER)
    if program is None:
        return None, f"Not compiled for the Edge TPU: {COMPILER} is not on the PATH."
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(model, folder)
        # By its name alone, so that no path of this machine gets into the log.
        said, trouble = _run([str(Path(program).absolute()), "-s", "-o", ".", model.name], folder)
        log_file.write_text(said, "utf-8")
        made = Path(folder, f"{model.stem}_edgetpu.tflite")
        if trouble := trouble or _not_compiled(made):
            return (
                None,
                f"Not compiled for the Edge TPU: {COMPILER} {trouble}; see {log_file.name}.",
            )
        compiled = model.with_name(made.name)
        unfinished = compiled.with_name(f"{compiled.name}.unfinished")
        shutil.copy(made, unfinished)
        unfinished.replace(compiled)
    left = next((line for line in said.splitlines() if "will run on CPU" in line), "")
    count = left.rpartition(":")[2].strip()
    if count.isdecimal() and int(count):
        return compiled, f"Compiled for the Edge TPU, but {count} operations stay on the CPU."
    return compiled, "Compiled for the Edge TPU."


def _run(command: list[str], folder: str) -> tuple[str, str | None]:
    """What a program says, and what went wrong with it."""
    try:
        done = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=COMPILER_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        return _text(error.stdout), f"did not end within {COMPILER_S:.0f} s"
    except OSError as error:
        return "", f"cannot be run: {error.strerror}"
    return _text(done.stdout), f"ended with {done.returncode}" if done.returncode else None


def _not_compiled(file: Path) -> str | None:
    """What is wrong with what the compiler wrote, or None."""
    if not file.exists():
        return "wrote no file"
    content = file.read_bytes()
    if content[4:8] != b"TFL3":
        return "wrote something that is not a TFLite file"
    return None if b"edgetpu-custom-op" in content else "mapped no operation"


def _text(output: bytes | None) -> str:
    return (output or b"").decode("utf-8", "replace")
