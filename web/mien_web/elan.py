"""A session for ELAN (https://archive.mpi.nl/tla/elan): one tier for what was seen, one a topic."""

import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

GAP_MS = 1500
"""Seconds at most this far apart belong to one annotation."""

_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML cannot hold (https://www.w3.org/TR/xml/#charsets)."""


class Annotation(NamedTuple):
    """A stretch of a tier, in milliseconds since the session's start."""

    from_ms: int
    to_ms: int
    value: str


def runs(moments: Iterable[tuple[int, str | None]]) -> Iterator[Annotation]:
    """Seconds with the same value, one after the other, as stretches; None begins no stretch.

    Args:
        moments: the start of each second in milliseconds, in order, with its value.
    """
    begun: Annotation | None = None
    for at_ms, value in moments:
        if begun and (value != begun.value or at_ms - begun.to_ms + 1000 > GAP_MS):
            yield begun._replace(to_ms=min(begun.to_ms, at_ms))
            begun = None
        if value is not None:
            begun = Annotation(begun.from_ms if begun else at_ms, at_ms + 1000, value)
    if begun:
        yield begun


def eaf(tiers: dict[str, list[Annotation]], author: str) -> bytes:
    """The file. The annotations of a tier must not overlap and have a length."""
    # An import of a second, for something exported once in a while.
    from pympi.Elan import Eaf

    file = Eaf(author=author)
    file.remove_tier("default")
    for name, annotations in tiers.items():
        name = _ILLEGAL.sub(" ", name)
        file.add_tier(name)
        for from_ms, to_ms, value in annotations:
            file.add_annotation(name, from_ms, to_ms, _ILLEGAL.sub(" ", value))
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None  # what is private touches no disk
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        path = Path(folder) / "session.eaf"
        file.to_file(str(path))
        return path.read_bytes()
