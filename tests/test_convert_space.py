"""Spaces: what may be varied of a preset, and what is said when it cannot be."""

from pathlib import Path

import pytest

from mien_convert.errors import WorkshopError
from mien_convert.preset import Convolution, Residual, load_preset
from mien_convert.space import Field, load_space, space_names, vary


@pytest.mark.parametrize("name", space_names())
def test_the_spaces_that_come_along_can_be_used(name: str) -> None:
    space, preset = load_space(name)
    assert preset == load_preset(space.preset)
    assert space.count > 1000


def test_the_whole_schedule_keeps_its_proportions() -> None:
    preset = load_preset("mien")
    varied = vary(preset, {"rate": 0.03, "augmentation": 0.4})
    assert [(p.rate, p.final_rate) for p in varied.phases] == [
        (p.rate / 2, p.final_rate / 2) for p in preset.phases
    ]
    assert [p.augmentation for p in varied.phases] == pytest.approx(
        [p.augmentation / 2 for p in preset.phases]
    )
    assert varied.epochs == preset.epochs


def test_plain_fields_and_layers() -> None:
    varied = vary(
        load_preset("mien"),
        {"batch": 64, "layers.7.repeat": 2, "layers.5-7.filters": 160, "layers.1.kernel": 3},
    )
    assert varied.batch == 64
    assert varied.layers[0] == Convolution(32, 3, 2)
    assert varied.layers[4] == Convolution(160, 3, 2)
    assert varied.layers[5:] == [Residual(160)] * 3


def test_layers_are_counted_as_in_the_preset() -> None:
    preset = load_preset("mien")
    varied = vary(preset, {"layers.2.repeat": 0, "layers.4.repeat": 3, "layers.6.repeat": 0})
    before = preset.layers
    assert varied.layers == [before[0], before[2], *[before[3]] * 3, before[4], before[6]]


def test_a_value_is_the_same_in_single_precision() -> None:
    varied = vary(load_preset("mien"), {"weight_decay": 0.0012344567890123})
    assert varied.weight_decay == 0.001234
    assert vary(load_preset("mien"), {"weight_decay": 0.0012344567924737930}) == varied


def test_a_space_may_be_a_file(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text('preset = "cnn3"\n[fields.batch]\nchoices = [32, 64]\n[fields.rate]\n'
                    "low = 0.001\nhigh = 0.002\nstep = 0.0005\n")  # fmt: skip
    space, preset = load_space(str(file))
    assert preset == load_preset("cnn3")
    assert space.count == 6


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ("[fields.speed]\nchoices = [1, 2]", "field speed: A preset has no field 'speed'"),
        ("[fields.classes]\nchoices = ['anger', 'fear']", "no field 'classes'"),
        ("[fields.rate]\nlow = 0.2\nhigh = 0.1", "`low` is 0.2, expected less than `high`, 0.1"),
        ("[fields.rate]\nlow = 0.0\nhigh = 0.1\nscale = 'log'", "needs a `low` above 0"),
        ("[fields.rate]\nlow = 0.1\nhigh = 0.2\nstep = 1", "`step` is 1"),
        ("[fields.rate]\nlow = 0.1", "has `low` and `high`, or `choices`"),
        ("[fields.rate]\nlow = 0.1\nhigh = 1\nchoices = [1, 2]", "either `choices` or"),
        ("[fields.rate]\nchoices = [1, 1]", "two or more, each once"),
        ("[fields.rate]\nchoices = [1, 0.5]", "all whole numbers"),
        ("[fields.rate]\nlowest = 0.1", "unknown field `lowest`"),
        ("[fields.label_weight]\nlow = 0.5\nhigh = 1.5", "<= 1"),
        ("[fields.batch]\nlow = 16.0\nhigh = 64.0", "These values make no preset: Expected `int`"),
        ("[fields.optimizer]\nchoices = ['sgd', 'magic']", "'magic'"),
        ("[fields.'layers.9.filters']\nlow = 8\nhigh = 16", "has the layers 1 to 7"),
        ("[fields.'layers.4.stride']\nchoices = [1, 2]", "layer 4 is a residual layer and has no"),
        ("[fields.'layers.5.filters']\nchoices = [160, 224]", "give both as many"),
        ("[fields.'layers.7.repeat']\nlow = -1\nhigh = 2", "0 or more"),
        ("[fields]", "length >= 1"),
        ("fields = 3", "Expected `object`"),
        ("[fields", "cannot be used"),
    ],
)
def test_a_space_says_what_is_wrong_in_it(tmp_path: Path, fields: str, told: str) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text(f'preset = "mien"\n{fields}\n')
    with pytest.raises(WorkshopError, match=r"wrong\.toml") as caught:
        load_space(str(file))
    assert told in str(caught.value)


def test_an_unknown_space_or_preset_is_told(tmp_path: Path) -> None:
    with pytest.raises(WorkshopError, match=r"no space called 'x'; there are: .*mien"):
        load_space("x")
    with pytest.raises(WorkshopError, match="cannot be read"):
        load_space(str(tmp_path / "none.toml"))
    (tmp_path / "lost.toml").write_text('preset = "none"\n[fields.batch]\nchoices = [1, 2]\n')
    with pytest.raises(WorkshopError, match="no preset called 'none'"):
        load_space(str(tmp_path / "lost.toml"))


@pytest.mark.parametrize(
    ("field", "count", "whole"),
    [
        (Field(low=1, high=8), 8, True),
        (Field(low=160, high=256, step=32), 4, True),
        (Field(low=0.0, high=1.0, step=0.25), 5, False),
        (Field(low=0.0, high=1.0), float("inf"), False),
    ],
)
def test_the_values_of_a_range_are_counted(field: Field, count: float, whole: bool) -> None:
    assert (field.count, field.whole) == (count, whole)
