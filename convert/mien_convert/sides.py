"""The same network side by side: float, int8 by reference kernels, int8 as the box runs it."""

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from mien.bundle import Bundle
from mien.filenames import openable
from mien_convert.dataset import Dataset
from mien_convert.errors import WorkshopError
from mien_convert.evaluate import measure


def sides(
    bundle: Bundle, box: NDArray[np.float32], dataset: Dataset, model: Any = None
) -> dict[str, Any]:
    """Accuracy of each side, and how far apart each two are.

    `box` are the logits f32 [N, 7] that the box's classifier gave; `float` is there when `model`,
    the keras.Model before quantising, is given. Differences are of logits, and the largest one is
    of any logit of any picture.
    Raises WorkshopError where there are no reference kernels.
    """
    logits = {}
    if model is not None:
        from mien_convert.quantize import float_logits

        logits["float"] = float_logits(model, dataset.images)
    logits |= {"reference": _reference(bundle, dataset.images), "box": box}
    temperature = bundle.calibration.temperature
    figures = {side: measure(answers, dataset, temperature) for side, answers in logits.items()}
    return {
        "accuracy": {side: one["accuracy"] for side, one in figures.items()},
        "fer_plus_accuracy": {side: one.get("fer_plus_accuracy") for side, one in figures.items()},
        "pairs": [
            {
                "sides": [one, other],
                "agreement": float((logits[one].argmax(1) == logits[other].argmax(1)).mean()),
                "mean_difference": float(np.abs(logits[one] - logits[other]).mean()),
                "largest_difference": float(np.abs(logits[one] - logits[other]).max()),
            }
            for one, other in combinations(logits, 2)
        ],
    }


def open_run(bundle: Bundle, run: Path) -> Any:
    """The float network, a keras.Model, of the run that the bundle was made from.

    Raises TrainingError for a run without a whole epoch, WorkshopError for one of another bundle or
    where Keras is missing.
    """
    from mien_convert.run import chosen_checkpoint, load_network

    checkpoint = chosen_checkpoint(run)
    model = load_network(checkpoint)
    weights, bias = model.get_layer("logits").get_weights()
    with np.load(bundle.path / "head.npz") as head:
        same = all(
            given.shape == kept.shape and np.allclose(given, kept, atol=1e-5)
            for given, kept in ((weights, head["weights"]), (bias, head["bias"]))
        )
    if not same:
        raise WorkshopError(
            f"{checkpoint} is not the network that {bundle.name} was made from: its last layer has "
            "other weights; give the folder of that run."
        )
    return model


def _reference(bundle: Bundle, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Logits by TFLite's plain reference kernels: slow, without any delegate, and the definition of
    what an int8 operation gives."""
    try:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType
    except ImportError as error:
        raise WorkshopError(
            f"The reference kernels need ai-edge-litert, which is not installed ({error}); "
            "run: pip install ai-edge-litert"
        ) from error
    with openable(bundle.model) as name:
        net = Interpreter(model_path=name, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    net.allocate_tensors()
    given = net.get_input_details()[0]
    out = next(o for o in net.get_output_details() if len(o["shape"]) == 2)
    scale, zero = out["quantization"]
    logits = []
    for image in tqdm(images, "reference kernels", leave=False, disable=None):
        # int8 is pixel − 128, as in `mien.classifier`.
        pixels = image if given["dtype"] == np.uint8 else (image ^ 0x80).view(np.int8)
        net.set_tensor(given["index"], pixels[None, :, :, None])
        net.invoke()
        logits.append((net.get_tensor(out["index"])[0].astype(np.float32) - zero) * scale)
    return np.asarray(np.stack(logits), np.float32)
