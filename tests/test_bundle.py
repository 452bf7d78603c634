"""`mien.bundle`: what is damaged, incomplete or of another kind is refused with a sentence."""

import hashlib
import shutil
from pathlib import Path

import pytest

from mien.bundle import BundleError, load_bundle, shipped_bundle
from mien.events import EXPRESSIONS


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A copy of the shipped bundle, to be spoilt."""
    return Path(shutil.copytree(shipped_bundle(), tmp_path / "bundle"))


def edit(bundle: Path, old: str, new: str) -> None:
    toml = bundle / "bundle.toml"
    text = toml.read_text()
    assert old in text
    toml.write_text(text.replace(old, new, 1))


def test_the_shipped_bundle_is_whole_and_small() -> None:
    bundle = load_bundle(shipped_bundle())
    assert tuple(bundle.labels) == EXPRESSIONS
    assert bundle.model.stat().st_size <= 5_000_000
    assert bundle.accuracy["public_test"]["accuracy"] >= 0.69


def test_a_changed_file(bundle: Path) -> None:
    with (bundle / "expression.tflite").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(BundleError, match=r"expression\.tflite is damaged: its SHA-256"):
        load_bundle(bundle)


def test_a_missing_file(bundle: Path) -> None:
    (bundle / "known_answer.npz").unlink()
    with pytest.raises(BundleError, match=r"known_answer\.npz cannot be read"):
        load_bundle(bundle)


def test_other_labels(bundle: Path) -> None:
    edit(bundle, '"disgust"', '"contempt"')
    with pytest.raises(BundleError, match="labels are anger, contempt"):
        load_bundle(bundle)


def test_another_format(bundle: Path) -> None:
    edit(bundle, "format = 1", "format = 2")
    with pytest.raises(BundleError, match="has format 2, this version reads 1"):
        load_bundle(bundle)


def test_a_file_outside_the_bundle(bundle: Path) -> None:
    outside = bundle.parent / "outside"
    outside.write_bytes(b"x")
    digest = hashlib.sha256(b"x").hexdigest()
    edit(bundle, "[files]\n", f'[files]\n"../outside" = "{digest}"\n')
    with pytest.raises(BundleError, match="lies outside its bundle"):
        load_bundle(bundle)


@pytest.mark.parametrize("text", ["", "format = 1", "format = 'x'", "[[["])
def test_a_toml_that_is_not_one_of_a_bundle(bundle: Path, text: str) -> None:
    (bundle / "bundle.toml").write_text(text)
    with pytest.raises(BundleError, match=r"bundle\.toml"):
        load_bundle(bundle)


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="is no bundle"):
        load_bundle(tmp_path / "nothing")
