"""A space: what a tuning varies of a preset, and how far, one TOML file each."""

import math
import re
import tomllib
from typing import Annotated, Any, Literal

import msgspec

from mien_convert.errors import WorkshopError
from mien_convert.preset import Preset, load_preset, read_text, shipped_names

Number = int | float
Value = int | float | str

SCHEDULE = {"rate": ("rate", "final_rate"), "augmentation": ("augmentation",)}
"""Names for a whole schedule, and the fields of its phases."""
PLAIN = [
    name for name in Preset.__struct_fields__ if name not in ("phases", "layers", "classes")
]  # fmt: skip
LAYERS = re.compile(r"layers\.(\d+)(?:-(\d+))?\.(\w+)")


class Field(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Either `choices`, or from `low` to `high`, both included; whole numbers where both are whole.

    `step` is the distance of two values. On the scale `log` each order of magnitude is as likely.
    """

    low: Number | None = None
    high: Number | None = None
    step: Number | None = None
    scale: Literal["linear", "log"] = "linear"
    choices: list[Value] | None = None

    def __post_init__(self) -> None:
        if self.choices is not None:
            if (self.low, self.high, self.step, self.scale) != (None, None, None, "linear"):
                raise ValueError("a field has either `choices` or `low` and `high`")
            if len(set(self.choices)) < max(2, len(self.choices)):
                raise ValueError("`choices` are two or more, each once")
            if len({type(choice) for choice in self.choices}) > 1:
                raise ValueError("`choices` are all words, all whole numbers or all with a point")
            return
        if self.low is None or self.high is None:
            raise ValueError("a field has `low` and `high`, or `choices`")
        if not self.low < self.high:
            raise ValueError(f"`low` is {self.low}, expected less than `high`, {self.high}")
        if self.scale == "log" and (self.low <= 0 or self.step is not None):
            raise ValueError("the scale log needs a `low` above 0 and takes no `step`")
        if self.step is not None and not 0 < self.step <= self.high - self.low:
            raise ValueError(f"`step` is {self.step}, expected more than 0 and no more than all")

    @property
    def whole(self) -> bool:
        """Whether the range is one of whole numbers."""
        return all(isinstance(n, int) for n in (self.low, self.high, self.step or 1))

    @property
    def ends(self) -> list[Value]:
        """The choices, or the ends of the range."""
        if self.choices is not None:
            return self.choices
        return [end for end in (self.low, self.high) if end is not None]

    @property
    def count(self) -> float:
        """How many values there are; infinitely many in a range without steps."""
        if self.choices is not None:
            return len(self.choices)
        assert self.low is not None
        assert self.high is not None
        if self.step is None and not self.whole:
            return math.inf
        return (self.high - self.low) // (self.step or 1) + 1


class Space(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The preset that is varied, and its fields by name, see `vary`."""

    preset: str
    fields: Annotated[dict[str, Field], msgspec.Meta(min_length=1)]

    @property
    def count(self) -> float:
        """How many presets there are in it."""
        return math.prod(field.count for field in self.fields.values())


def space_names() -> list[str]:
    """The spaces that come with the workshop."""
    return shipped_names("space")


def load_space(name: str) -> tuple[Space, Preset]:
    """Read a space by its name, or the file `name` if that ends in .toml, and its preset.

    Raises WorkshopError for an unknown name, a file that is no space, and where a value at the end
    of a range makes no preset.
    """
    text = read_text("space", name)
    try:
        space = msgspec.convert(tomllib.loads(text), Space)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise WorkshopError(f"The space {name} cannot be used: {error}.") from error
    preset = load_preset(space.preset)
    for field, range_ in space.fields.items():
        for value in range_.ends:
            try:
                vary(preset, {field: value})
            except WorkshopError as error:
                raise WorkshopError(f"The space {name}, field {field}: {error}") from error
    return space, preset


def vary(preset: Preset, values: dict[str, Value]) -> Preset:
    """The preset with other values. A name is

    - that of a plain field, such as `weight_decay`;
    - `rate` or `augmentation`, the highest of the schedule: all phases keep their proportion to it;
    - `layers.5.filters` or, for several at once, `layers.5-7.filters`, counted from 1;
    - `layers.7.repeat`, how often this layer stands there, 0 for not at all.

    Raises WorkshopError for another name and where the outcome is no preset.
    """
    document = msgspec.to_builtins(preset)
    # Layers are counted as in the preset, so they are repeated last, and from the end.
    for name in sorted(values, key=_position):
        value = values[name]
        if isinstance(value, float):
            # As many digits as a person would write; they also survive keras-tuner's protocol,
            # which sends numbers in single precision.
            value = float(f"{value:.4g}")
        if name in SCHEDULE:
            _scale(document["phases"], SCHEDULE[name], name, value)
        elif name in PLAIN:
            document[name] = value
        else:
            _set_layers(document["layers"], name, value)
    try:
        return msgspec.convert(document, Preset)
    except msgspec.ValidationError as error:
        raise WorkshopError(f"These values make no preset: {error}.") from error


def _position(name: str) -> tuple[bool, int]:
    found = LAYERS.fullmatch(name)
    return (True, -int(found[1])) if found and found[3] == "repeat" else (False, 0)


def _scale(phases: list[dict[str, Any]], fields: tuple[str, ...], name: str, value: Value) -> None:
    highest = max(phase[field] for phase in phases for field in fields)
    if isinstance(value, str) or highest == 0:
        raise WorkshopError(f"{name} is {value!r}, but that of the preset {highest}.")
    for phase in phases:
        for field in fields:
            phase[field] = float(f"{phase[field] / highest * value:.6g}")


def _set_layers(layers: list[dict[str, Any]], name: str, value: Value) -> None:
    found = LAYERS.fullmatch(name)
    if found is None:
        raise WorkshopError(
            f"A preset has no field {name!r}; expected {', '.join(SCHEDULE)}, {', '.join(PLAIN)}, "
            "or one of a layer, such as layers.5.filters, layers.5-7.filters, layers.7.repeat."
        )
    first, last, field = int(found[1]), int(found[2] or found[1]), found[3]
    if not 1 <= first <= last <= len(layers):
        raise WorkshopError(f"{name}: the preset has the layers 1 to {len(layers)}.")
    if field == "repeat":
        if not isinstance(value, int) or value < 0:
            raise WorkshopError(f"{name} is {value!r}; expected a whole number, 0 or more.")
        layers[first - 1 : last] = [dict(x) for x in layers[first - 1 : last] * value]
        return
    for number, layer in enumerate(layers[first - 1 : last], first):
        if field not in layer or field == "type":
            raise WorkshopError(
                f"{name}: layer {number} is a {layer['type']} layer and has no field {field!r}."
            )
        layer[field] = value
