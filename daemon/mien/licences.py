"""The licence of a Python package, read from its core metadata.

It imports nothing of Mien, so that the bill of materials of a release can be made without it.
"""

from typing import Any, Protocol


class Metadata(Protocol):
    """The fields of a METADATA file: importlib.metadata's, or a parsed message."""

    def get_all(self, name: str, /) -> list[Any] | None: ...


def of(metadata: Metadata) -> str:
    """Return the licence that a package's core metadata names, and "not stated" without one.

    The fields, from the most to the least exact:
    https://packaging.python.org/en/latest/specifications/core-metadata/.
    """
    if expression := _first(metadata, "License-Expression"):
        return expression
    if known := _STATED_IN_ITS_FILES.get(_first(metadata, "Name")):
        return known
    # Some put the whole text into this field.
    words = _first(metadata, "License").strip().split("\n")[0]
    if not words or len(words) > 60 or "Copyright" in words or words == "UNKNOWN":
        classifiers = metadata.get_all("Classifier") or []
        named = [each.rsplit(" :: ", 1)[1] for each in classifiers if "License ::" in each]
        words = " AND ".join(_SPDX.get(each, each) for each in named if each != "OSI Approved")
    return _SPDX.get(words, words) or "not stated"


def _first(metadata: Metadata, name: str) -> str:
    return str((metadata.get_all(name) or [""])[0])


# What some packages write for it, as SPDX has it (https://spdx.org/licenses/).
_SPDX = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD 3-Clause License": "BSD-3-Clause",
    "BSD License": "BSD-3-Clause",
    "MIT License": "MIT",
    "PSFL": "PSF-2.0",
    "ZPL 2.1": "ZPL-2.1",
}
# Their metadata name none; their files do.
_STATED_IN_ITS_FILES = {"pympi-ling": "MIT", "sqlcipher3": "Zlib"}
