"""An expression bundle: the folder that carries a network and all that is known about it.

`expression.tflite` (and `expression_edgetpu.tflite` where it was compiled), `head.npz` (weights and
bias of the last layer, for class-activation maps and personal heads, and of the heads it was mixed
from), `known_answer.npz` (generated
pictures and the logits they must give), `MODEL_CARD.md`, and `bundle.toml`, which names the labels,
input, temperature, thresholds, measured accuracy, lineage and the SHA-256 of each file.
"""

import hashlib
import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from mien.events import EXPRESSIONS, MienError
from mien.filenames import quoted, reason

FORMAT = 1
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
NAME_WORDS = "a name has 1 to 64 letters, digits, hyphens, dots and underscores, no dot first"
LOOSE_FILES = ("MODEL_CARD.md", "edgetpu_compiler.log")
"""What a bundle may hold beside the files it names: for people to read, and not hashed."""
_SHIPPED = Path(__file__).parent / "models"


class BundleError(MienError, ValueError):
    """A bundle cannot be trusted: it is damaged, incomplete or of another kind."""


class Input(msgspec.Struct, frozen=True):
    size: int
    """Width and height in pixels of the crop."""
    channels: int


class Calibration(msgspec.Struct, frozen=True):
    temperature: float
    """What logits are divided by before the softmax (Guo et al. 2017), fitted after quantising."""
    word_temperature: float | None = None
    """The same for the head that learnt the words of FER-2013, which the box does not ask."""


class Thresholds(msgspec.Struct, frozen=True):
    confidence: float
    """Calibrated probability under which the answer is "cannot tell: low confidence"."""


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    format: int
    name: str
    labels: list[str]
    files: dict[str, str]
    """File name → SHA-256."""
    input: Input
    calibration: Calibration
    thresholds: Thresholds
    accuracy: dict[str, Any] = {}
    lineage: dict[str, Any] = {}
    path: Path = Path()

    @property
    def model(self) -> Path:
        return self.path / "expression.tflite"

    @property
    def edgetpu_model(self) -> Path | None:
        """The file compiled for the Edge TPU, if the bundle has one."""
        name = "expression_edgetpu.tflite"
        return self.path / name if name in self.files else None


def shipped_bundle() -> Path:
    """The folder of the bundle that this version ships.

    Raises:
        BundleError: when the installation lost it.
    """
    folders = sorted(_SHIPPED.glob("*/bundle.toml"))
    if not folders:
        raise BundleError(f"no bundle was installed under {_SHIPPED}; reinstall mien")
    return folders[-1].parent


def load_bundle(path: Path) -> Bundle:
    """Read and verify a bundle.

    Raises:
        BundleError: with what is wrong, in which file, and what was expected.
    """
    toml = path / "bundle.toml"
    try:
        document = tomllib.loads(toml.read_text(encoding="utf-8"))
        bundle = replace(msgspec.convert(document, Bundle), path=path)
    except FileNotFoundError:
        raise BundleError(f"{path} is no bundle: it has no bundle.toml") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BundleError(f"{toml} cannot be read: {reason(error)}") from None
    except msgspec.ValidationError as error:
        raise BundleError(f"{toml} is not complete: {error}") from None
    if bundle.format != FORMAT:
        raise BundleError(f"{toml} has format {bundle.format}, this version reads {FORMAT}")
    if not NAME.fullmatch(bundle.name):
        raise BundleError(f"{toml}: its name is {quoted(bundle.name)}; {NAME_WORDS}")
    if bundle.labels != list(EXPRESSIONS):
        raise BundleError(
            f"{toml}: labels are {', '.join(bundle.labels)}; Mien needs {', '.join(EXPRESSIONS)}"
        )
    if not bundle.calibration.temperature > 0:
        raise BundleError(f"{toml}: temperature must be above 0")
    for needed in ("expression.tflite", "known_answer.npz"):
        if needed not in bundle.files:
            raise BundleError(f"{toml}: [files] does not name {needed}")
    for name, expected in bundle.files.items():
        if Path(name).name != name:
            raise BundleError(
                f"{toml}: [files] names {quoted(name)}, which lies outside its bundle"
            )
        _verify(path / name, expected)
    return bundle


def _verify(file: Path, expected: str) -> None:
    try:
        with file.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise BundleError(f"{file} cannot be read: {error.strerror}") from None
    if digest != expected.lower():
        raise BundleError(
            f"{file} is damaged: its SHA-256 is {digest[:12]}…, the bundle says {expected[:12]}…; "
            "copy the bundle again"
        )
