"""A preset: the network's layers and the numbers of its training, one TOML file each."""

import math
import tomllib
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from mien.filenames import quoted, reason
from mien_convert.dataset import LABELS
from mien_convert.errors import WorkshopError

Positive = Annotated[int, msgspec.Meta(ge=1)]
Rate = Annotated[float, msgspec.Meta(ge=0)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Activation = Literal["relu", "sigmoid", "tanh", "elu", "selu", "linear"]


class Convolution(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="convolution"):
    """A convolution with `same` padding, batch normalisation if `normalised`, an activation."""

    filters: Positive
    kernel: Positive = 3
    stride: Positive = 1
    normalised: bool = True
    activation: Activation = "relu"


class Residual(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="residual"):
    """Two normalised convolutions with a shortcut past them (He et al. 2016)."""

    filters: Positive
    kernel: Positive = 3


class MaxPooling(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="max_pooling"):
    """The largest of each `size` × `size` pixels."""

    size: Positive = 2


class Dense(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="dense"):
    """A fully-connected layer; a map before it is laid out flat."""

    units: Positive
    activation: Activation = "relu"


class Dropout(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="dropout"):
    """Leaves out a share of the values while training."""

    share: Share


class MobileNetV2(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="mobilenetv2"):
    """The convolutions of MobileNetV2 (Sandler et al. 2018), as keras.applications builds them."""

    width: float = 1.0


Layer = Convolution | Residual | MaxPooling | Dense | Dropout | MobileNetV2


class Phase(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Epochs whose learning rate goes in a line from `rate` to `final_rate`.

    Pictures are `size` × `size` pixels; `augmentation` 0…1 is how much they are changed.
    """

    epochs: Positive
    rate: Rate
    final_rate: Rate
    augmentation: Share
    size: Positive = 48


class Preset(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is built and how it is trained; the comments stand in presets/mien.toml.

    `classes` are those told apart, all seven unless named. `label_weight` is the part of the
    FER-2013 word in the loss; the rest belongs to a second head, which learns the FER+ votes.
    `answer_weight` is the part of the first head in the answer. `teacher_weight` is the part of the
    teachers' answers in what is learnt, where a run has teachers. `mixup` is the parameter of the
    Beta distribution after which two pictures and their targets are mixed, 0 for none.
    `average_decay` a step is that of the running average of the weights, 0 for none. With
    `patience` the run stops after as many epochs without a better accuracy on PublicTest, and the
    best epoch is the one that counts.
    """

    batch: Positive
    phases: Annotated[list[Phase], msgspec.Meta(min_length=1)]
    layers: Annotated[list[Layer], msgspec.Meta(min_length=1)]
    classes: Annotated[list[str], msgspec.Meta(min_length=2)] = msgspec.field(
        default_factory=lambda: list(LABELS)
    )
    optimizer: Literal["sgd", "adam", "rmsprop"] = "sgd"
    weight_decay: Rate = 0.0
    average_decay: Share = 0.0
    label_weight: Share = 1.0
    answer_weight: Share = 1.0
    label_smoothing: Share = 0.0
    teacher_weight: Share = 0.7
    mixup: Share = 0.0
    class_weights: Literal["equal", "balanced"] = "equal"
    patience: Positive | None = None

    def __post_init__(self) -> None:
        strangers = [name for name in self.classes if name not in LABELS]
        if strangers or len(set(self.classes)) < max(2, len(self.classes)):
            raise ValueError(
                f"classes are {', '.join(self.classes)}; expected two or more, each at most once, "
                f"out of: {', '.join(LABELS)}"
            )

        before, flat = 1, 0
        for number, layer in enumerate(self.layers, 1):
            if flat and not isinstance(layer, Dense | Dropout):
                raise ValueError(
                    f"layer {number} needs a map, but the dense layer {flat} laid it out flat"
                )
            flat = number if isinstance(layer, Dense) else flat
            if isinstance(layer, Residual) and layer.filters != before:
                raise ValueError(
                    f"layer {number} is a residual block of {layer.filters} filters after a map of "
                    f"{before}; it adds up maps, so give both as many"
                )
            before = getattr(layer, "filters", before)

    @property
    def epochs(self) -> int:
        return sum(phase.epochs for phase in self.phases)

    def phase_of(self, epoch: int) -> tuple[Phase, int]:
        """The phase of `epoch`, counted from 1, and how many of its epochs are over."""
        first = 1
        for phase in self.phases:
            if epoch < first + phase.epochs:
                return phase, epoch - first
            first += phase.epochs
        raise ValueError(f"epoch {epoch} is beyond the last, {self.epochs}")

    def lasting(self, epochs: int) -> "Preset":
        """The same with `epochs` in all, shared among the phases in proportion."""
        phases, done, given = [], 0, 0
        for phase in self.phases:
            done += phase.epochs
            share = math.ceil(epochs * done / self.epochs) - given
            given += share
            if share:
                phases.append(msgspec.structs.replace(phase, epochs=share))
        return msgspec.structs.replace(self, phases=phases)


def shipped_names(kind: str) -> list[str]:
    """The TOML files of a kind, "preset" or "space", that come with the workshop."""
    folder = resources.files("mien_convert") / f"{kind}s"
    return sorted(
        f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml")
    )


def read_text(kind: str, name: str) -> str:
    """The text of the shipped `name` of a kind, or of the file `name` if that ends in .toml.

    Raises WorkshopError for an unknown name and for a file that cannot be read.
    """
    if name.endswith(".toml"):
        try:
            return Path(name).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise WorkshopError(f"The {kind} {name} cannot be read: {reason(error)}.") from error
    names = shipped_names(kind)
    if name not in names:
        raise WorkshopError(
            f"There is no {kind} called {quoted(name)}; there are: {', '.join(names)}; "
            "or name a file that ends in .toml."
        )
    return (resources.files("mien_convert") / f"{kind}s" / f"{name}.toml").read_text("utf-8")


def preset_names() -> list[str]:
    """The presets that come with the workshop."""
    return shipped_names("preset")


def load_preset(name: str) -> Preset:
    """Read a preset by its name, or the file `name` if that ends in .toml.

    Raises WorkshopError for an unknown name and for a file that is no preset.
    """
    text = read_text("preset", name)
    try:
        return msgspec.convert(tomllib.loads(text), Preset)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise WorkshopError(f"The preset {name} is not complete: {error}.") from error


def with_classes(preset: Preset, classes: list[str]) -> Preset:
    """The same for other classes. Raises WorkshopError when these are not among the seven."""
    try:
        return msgspec.structs.replace(preset, classes=classes)
    except ValueError as error:
        raise WorkshopError(f"These {error}.") from error
