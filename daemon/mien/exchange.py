"""The zip in which a box hands faces to the workshop: its manifest, and the consent it rests on.

One file `manifest.json`, a `Manifest`, and beside it the PNGs that it names. A box writes a picture
only when the person shown has agreed to `IMPROVE`; the workshop looks again and refuses any other.
"""

from typing import Annotated, Final, Literal

import msgspec

from mien.events import Expression

FORMAT: Final = "mien faces"
VERSION: Final = 1
MANIFEST = "manifest.json"
IMPROVE = "improve the model"
"""The purpose that a person agrees to when their faces may be learnt from."""

MAX_PICTURES = 100_000
MAX_PICTURE_BYTES = 4 << 20
MAX_PIXELS = 1 << 20
"""A face is cut out before it is written; anything larger than 1024×1024 is no face crop."""


class ExportedFace(msgspec.Struct, frozen=True, kw_only=True):
    """One captured face."""

    file: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    """Name of the PNG in the zip; 48×48 and grey if it is the crop that the network got."""
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    label: Expression | None = None
    """What a person corrected or confirmed the expression to; None when nobody looked."""
    person: Annotated[str, msgspec.Meta(max_length=100)] | None = None
    """A pseudonym, the same in every export of this box; never a name."""
    captured: str | None = None
    """UTC, ISO 8601."""
    consents: list[str] = []
    """Purposes that the person agreed to, in force when the zip was written."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    format: Literal["mien faces"] = FORMAT
    v: Literal[1] = VERSION
    box: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    created: str
    """UTC, ISO 8601."""
    faces: Annotated[list[ExportedFace], msgspec.Meta(max_length=MAX_PICTURES)]
