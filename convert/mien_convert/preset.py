"""A preset: the network's blocks and the numbers of its training, one TOML file each."""

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


class Preset(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is built and how it is trained; the comments stand in presets/mien.toml."""

    epochs: Positive
    batch: Positive
    learning_rate: float
    warm_up_epochs: float
    weight_decay: float
    average_decay: Share
    label_weight: Share
    label_smoothing: Share
    blocks: list[Block]


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
