"""Writes an ONNX network of YuNet's form that sees a face wherever it is bright.

YuNet's own file may not be shipped here. This one has its twelve outputs (class, objectness, box
and landmarks at strides 8, 16 and 32), so that OpenCV's real `FaceDetectorYN` decodes it: at stride
8 the score of a cell is its mean brightness, its box is 48 pixels wide and 64 high around the
cell's corner, and its landmarks lie at `LANDMARKS`, in pixels from that corner.
"""

import struct
from collections.abc import Iterable, Sequence
from math import log
from pathlib import Path

BOX = (48, 64)
LANDMARKS = ((-10, -12), (10, -12), (0, 0), (-7, 14), (7, 14))
"""Right eye, left eye, nose tip, right and left corner of the mouth."""

FLOAT, INT64 = 1, 7  # TensorProto.DataType
INT, INTS = 2, 7  # AttributeProto.AttributeType


def write(path: Path) -> Path:
    nodes, weights, outputs = [], [], []
    for stride in (8, 16, 32):
        seen = 1 / 255 if stride == 8 else 0
        box = [0, 0, log(BOX[0] / stride), log(BOX[1] / stride)]
        points = [value / stride for point in LANDMARKS for value in point]
        for name, gain, bias in (
            ("cls", seen, [0]),
            ("obj", seen, [0]),
            ("bbox", 0, box),
            ("kps", 0, points),
        ):
            out = f"{name}_{stride}"
            weights += [
                _tensor(f"{out}_w", (len(bias), 3, 1, 1), [gain / 3] * 3 * len(bias)),
                _tensor(f"{out}_b", (len(bias),), bias),
                _tensor(f"{out}_shape", (3,), [1, -1, len(bias)], INT64),
            ]
            cells = {"kernel_shape": [stride] * 2, "strides": [stride] * 2}
            nodes += [
                _node("AveragePool", ["input"], f"{out}_pooled", **cells),
                _node(
                    "Conv",
                    [f"{out}_pooled", f"{out}_w", f"{out}_b"],
                    f"{out}_map",
                    kernel_shape=[1, 1],
                ),
                _node("Transpose", [f"{out}_map"], f"{out}_last", perm=[0, 2, 3, 1]),
                _node("Reshape", [f"{out}_last", f"{out}_shape"], out),
            ]
            outputs.append(_value(out, (1, (640 // stride) ** 2, len(bias))))
    graph = b"".join(_bytes(1, node) for node in nodes) + _bytes(2, b"bright")
    graph += b"".join(_bytes(5, weight) for weight in weights)
    graph += _bytes(11, _value("input", (1, 3, 640, 640)))
    graph += b"".join(_bytes(12, output) for output in outputs)
    opset = _bytes(8, _number(2, 11))
    path.write_bytes(_number(1, 6) + _bytes(7, graph) + opset)
    return path


# ── just enough protocol buffers: https://protobuf.dev/programming-guides/encoding ───────────────


def _varint(value: int) -> bytes:
    value &= 2**64 - 1
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _tensor(name: str, shape: Iterable[int], values: Sequence[float], kind: int = FLOAT) -> bytes:
    raw = struct.pack(f"<{len(values)}{'f' if kind == FLOAT else 'q'}", *values)
    dims = b"".join(_number(1, length) for length in shape)
    return dims + _number(2, kind) + _bytes(8, name.encode()) + _bytes(9, raw)


def _node(operation: str, inputs: list[str], output: str, **attributes: list[int]) -> bytes:
    node = b"".join(_bytes(1, name.encode()) for name in inputs) + _bytes(2, output.encode())
    node += _bytes(4, operation.encode())
    for name, values in attributes.items():
        ints = b"".join(_number(8, value) for value in values)
        node += _bytes(5, _bytes(1, name.encode()) + ints + _number(20, INTS))
    return node


def _value(name: str, shape: Iterable[int]) -> bytes:
    dims = b"".join(_bytes(1, _number(1, length)) for length in shape)
    tensor = _bytes(1, _number(1, FLOAT) + _bytes(2, dims))
    return _bytes(1, name.encode()) + _bytes(2, tensor)
