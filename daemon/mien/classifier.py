"""The expression network behind one seam: a crop in, logits and the last feature map out.

`LiteRTClassifier` runs it on the CPU (ai-edge-litert, or the older tflite-runtime) or on a Coral
Edge TPU; `ScriptedClassifier` answers what a test tells it to.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from mien.bundle import Bundle, BundleError, load_bundle
from mien.events import EXPRESSIONS, Expression, MienError
from mien.filenames import openable, printable

EDGETPU = "libedgetpu.so.1"
PROBE_S = 30.0  # a first delegate load uploads firmware to the stick, which takes seconds


class ClassifierError(MienError, RuntimeError):
    """A network cannot be run."""


@dataclass(frozen=True, slots=True)
class Output:
    logits: NDArray[np.float32]
    """[7], before the softmax, in the order of `events.EXPRESSIONS`."""
    features: NDArray[np.float32]
    """[h, w, C], the last feature map: its mean over h and w is the embedding."""


class Classifier(Protocol):
    name: str

    def classify(self, crop: NDArray[np.uint8]) -> Output:
        """Read one levelled grey crop, u8 [48, 48]."""
        ...


def interpreter(path: Path, threads: int = 1, delegate: Any = None) -> Any:
    """A TFLite interpreter with its tensors allocated, from whichever runtime is installed.

    Raises:
        ClassifierError: no runtime, or one that cannot run the file.
    """
    delegates = [delegate] if delegate else None
    try:
        with openable(path) as name:
            made = _runtime().Interpreter(
                model_path=name, num_threads=threads, experimental_delegates=delegates
            )
        made.allocate_tensors()
    except (OSError, ValueError, RuntimeError) as error:
        raise ClassifierError(f"{printable(path)} cannot be run: {error}") from None
    return made


def _runtime() -> Any:
    try:
        from ai_edge_litert import interpreter
    except ImportError:
        try:
            from tflite_runtime import interpreter
        except ImportError:
            raise ClassifierError(
                "there is no TFLite runtime; install ai-edge-litert, or on Python 3.11 the extra "
                "tflite-runtime"
            ) from None
    return interpreter


class LiteRTClassifier:
    """A bundle's int8 network on the CPU or, given `delegate`, on an accelerator.

    Raises:
        BundleError: the network does not have the shape that Mien needs.
        ClassifierError: it cannot be run.
    """

    def __init__(self, bundle: Bundle, threads: int = 1, edgetpu: str | None = None) -> None:
        self.bundle = bundle
        if edgetpu is None:
            self.name = "CPU"
            self._net = interpreter(bundle.model, threads)
        else:
            self.name = "Edge TPU"
            if bundle.edgetpu_model is None:
                raise ClassifierError(f"bundle {bundle.name} has no file compiled for the Edge TPU")
            try:
                delegate = _runtime().load_delegate(edgetpu)
            except (ValueError, OSError, RuntimeError) as error:
                said = " ".join(
                    str(error).split()
                )  # the library's own words have lines of their own
                raise ClassifierError(f"{edgetpu} cannot be loaded: {said}") from None
            self._net = interpreter(bundle.edgetpu_model, delegate=delegate)
        self._bind()

    def _bind(self) -> None:
        inputs, outputs = self._net.get_input_details(), self._net.get_output_details()
        size = self.bundle.input.size
        shape = [1, size, size, 1]
        if len(inputs) != 1 or list(inputs[0]["shape"]) != shape:
            raise BundleError(
                f"{self.bundle.model} takes {[list(i['shape']) for i in inputs]}, not {shape}"
            )
        logits = [o for o in outputs if list(o["shape"]) == [1, len(EXPRESSIONS)]]
        features = [o for o in outputs if len(o["shape"]) == 4]
        if len(outputs) != 2 or len(logits) != 1 or len(features) != 1:
            raise BundleError(
                f"{self.bundle.model} gives {[list(o['shape']) for o in outputs]}, not logits "
                f"[1, {len(EXPRESSIONS)}] and a feature map [1, h, w, C]"
            )
        if inputs[0]["dtype"] not in (np.int8, np.uint8):
            raise BundleError(f"{self.bundle.model} is not quantised: its input is not 8-bit")
        self._input, self._logits, self._features = inputs[0], logits[0], features[0]

    def classify(self, crop: NDArray[np.uint8]) -> Output:
        size = self.bundle.input.size
        if crop.shape != (size, size) or crop.dtype != np.uint8:
            raise ValueError(f"a crop must be u8 [{size}, {size}], not {crop.dtype} {crop.shape}")
        # Rescaling is inside the network: int8 is the pixel − 128, which flips the top bit.
        pixels = crop if self._input["dtype"] == np.uint8 else (crop ^ 0x80).view(np.int8)
        try:
            self._net.set_tensor(self._input["index"], pixels[None, :, :, None])
            self._net.invoke()
        except RuntimeError as error:
            raise ClassifierError(f"the {self.name} stopped answering: {error}") from None
        return Output(self._float(self._logits)[0], self._float(self._features)[0])

    def _float(self, detail: dict[str, Any]) -> NDArray[np.float32]:
        raw: NDArray[Any] = self._net.get_tensor(detail["index"])
        scale, zero = detail["quantization"]
        if not scale:
            return raw.astype(np.float32)
        return (raw.astype(np.float32) - np.float32(zero)) * np.float32(scale)


class ScriptedClassifier:
    """Answers expressions in turn, or what a function makes of the crop; the last one stays."""

    name = "script"

    def __init__(
        self, script: Sequence[Expression] | Callable[[NDArray[np.uint8]], Expression]
    ) -> None:
        self._answer = script if callable(script) else self._in_turn(list(script))

    @staticmethod
    def _in_turn(script: list[Expression]) -> Callable[[NDArray[np.uint8]], Expression]:
        return lambda _: script.pop(0) if len(script) > 1 else script[0]

    def classify(self, crop: NDArray[np.uint8]) -> Output:
        logits = np.zeros(len(EXPRESSIONS), np.float32)
        logits[EXPRESSIONS.index(self._answer(crop))] = 6.0
        return Output(logits, np.zeros((1, 1, 1), np.float32))


def probabilities(logits: NDArray[np.float32], temperature: float) -> NDArray[np.float64]:
    """Calibrated probabilities: the softmax of `logits / temperature` (Guo et al. 2017)."""
    scaled = logits.astype(np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def known_answer(classifier: LiteRTClassifier) -> None:
    """Run the bundle's generated pictures and compare with the answers measured when it was made.

    Kernels round differently, so a logit may be off by 5 % of the range of all answers.

    Raises:
        ClassifierError: it computes something else.
    """
    with np.load(classifier.bundle.path / "known_answer.npz", allow_pickle=False) as data:
        images, expected = data["images"], data["logits"]
    got = np.stack([classifier.classify(image).logits for image in images])
    error = float(np.abs(got - expected).max() / np.ptp(expected))
    if not error <= 0.05:
        raise ClassifierError(
            f"the {classifier.name} fails its known-answer test: logits are off by {error:.0%}"
        )


def open_classifier(
    bundle: Bundle,
    accelerator: Literal["auto", "cpu", "edgetpu"] = "auto",
    threads: int = 1,
    library: str = EDGETPU,
) -> tuple[LiteRTClassifier, str | None]:
    """The classifier to use and, where it is not what was asked for, the sentence that says why.

    The Edge TPU is tried in a child process first: a bad libedgetpu can crash the process that
    loads it.
    """
    notice = None
    if accelerator != "cpu":
        trouble = (
            _probe(bundle, library)
            if bundle.edgetpu_model
            else f"bundle {bundle.name} has no file compiled for it"
        )
        if trouble is None:
            return LiteRTClassifier(bundle, edgetpu=library), None
        if accelerator == "edgetpu":
            notice = f"the Edge TPU cannot be used, the CPU reads instead: {trouble}"
    classifier = LiteRTClassifier(bundle, threads)
    known_answer(classifier)
    return classifier, notice


def _probe(bundle: Bundle, library: str) -> str | None:
    """Why the Edge TPU cannot run this bundle, or None when it can."""
    command = [sys.executable, "-m", "mien.classifier", str(bundle.path), library]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_S, check=False)
    except subprocess.TimeoutExpired:
        return f"it did not answer within {PROBE_S:.0f} s; unplug it and plug it in again"
    if done.returncode < 0:
        return f"{library} crashed (signal {-done.returncode}); reinstall libedgetpu1-std"
    try:
        trouble: str | None = json.loads(done.stdout)["trouble"]
    except (ValueError, KeyError):
        return f"its probe failed: {done.stderr.strip().splitlines()[-1:] or done.returncode}"
    return trouble


def _probe_child(path: str, library: str) -> int:
    trouble = None
    try:
        known_answer(LiteRTClassifier(load_bundle(Path(path)), edgetpu=library))
    except MienError as error:
        trouble = str(error)
    print(json.dumps({"trouble": trouble}))
    return 0


if __name__ == "__main__":
    raise SystemExit(_probe_child(*sys.argv[1:]))
