"""A preset: the network's blocks and the numbers of its training, one TOML file each."""

import math
import tomllib
from importlib import resources
from typing import Annotated, Literal

import msgspec

from mien_convert.errors import WorkshopError

Positive = Annotated[int, msgspec.Meta(ge=1)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Block(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`convolution`: convolution, batch normalisation, ReLU. `residual`: two, with a shortcut."""

    kind: Literal["convolution", "residual"]
    filters: Positive
    kernel: Positive = 3
    stride: Positive = 1


class Cycle(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Epochs under one warm-up and cosine; `augmentation` 0…1 is how much pictures are changed."""

    epochs: Positive
    learning_rate: float
    warm_up_epochs: float
    augmentation: Share


class Preset(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is built and how it is trained; the comments stand in presets/mien.toml."""

    batch: Positive
    weight_decay: float
    average_decay: Share
    label_weight: Share
    label_smoothing: Share
    cycles: Annotated[list[Cycle], msgspec.Meta(min_length=1)]
    blocks: Annotated[list[Block], msgspec.Meta(min_length=1)]

    @property
    def epochs(self) -> int:
        return sum(cycle.epochs for cycle in self.cycles)

    def cycle_of(self, epoch: int) -> tuple[Cycle, bool]:
        """The cycle that `epoch`, counted from 1, belongs to, and whether it is the first in it."""
        first = 1
        for cycle in self.cycles:
            if epoch < first + cycle.epochs:
                return cycle, epoch == first
            first += cycle.epochs
        raise ValueError(f"epoch {epoch} is beyond the last, {self.epochs}")

    def lasting(self, epochs: int) -> "Preset":
        """The same with `epochs` in all, shared among the cycles in proportion."""
        cycles, done, given = [], 0, 0
        for cycle in self.cycles:
            done += cycle.epochs
            share = math.ceil(epochs * done / self.epochs) - given
            given += share
            if share:
                cycles.append(msgspec.structs.replace(cycle, epochs=share))
        return msgspec.structs.replace(self, cycles=cycles)


def preset_names() -> list[str]:
    """The presets that come with the workshop."""
    folder = resources.files("mien_convert") / "presets"
    return sorted(
        f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml")
    )


def load_preset(name: str) -> Preset:
    """Read a preset by name. Raises WorkshopError for an unknown name."""
    if name not in preset_names():
        raise WorkshopError(
            f"There is no preset called {name!r}; there are: {', '.join(preset_names())}."
        )
    text = (resources.files("mien_convert") / "presets" / f"{name}.toml").read_text("utf-8")
    return msgspec.convert(tomllib.loads(text), Preset)
