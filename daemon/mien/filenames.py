"""Names of files that are not UTF-8, as old sticks and foreign archives bring them.

Python holds the bytes of such a name as lone surrogates (PEP 383). No encoder takes these, and
libraries in C that are handed one end the whole process.
"""

import codecs
import io
import os
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

AS_WRITTEN = "mien.as_written"
"""How streams write such names: byte for byte, and a question mark for what they cannot say."""


def _as_written(error: UnicodeError) -> tuple[bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = error.object[error.start : error.end]
    told = (bytes([ord(one) - 0xDC00]) if "\udc80" <= one <= "\udcff" else b"?" for one in letters)
    return b"".join(told), error.end


codecs.register_error(AS_WRITTEN, _as_written)


def printable(name: object) -> str:
    r"""A name as text that every encoder takes. A byte that is not UTF-8 reads `\xfc`."""
    return str(name).encode("utf-8", AS_WRITTEN).decode("utf-8", "backslashreplace")


def write_as_written() -> None:
    """Let this process print any name, whatever the terminal's encoding is."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=AS_WRITTEN)


@contextmanager
def openable(path: Path) -> Iterator[str]:
    """A name of a file that a library in C may open meanwhile.

    Raises:
        OSError: the file cannot be opened.
    """
    name = str(path.absolute())
    if printable(name) == name:
        yield name
        return
    with path.open("rb") as file:
        yield f"/proc/{os.getpid()}/fd/{file.fileno()}"


def quoted(text: object) -> str:
    """What a user wrote, letter by letter, but for signs that steer a terminal. `repr` would double
    backslashes and hide letters."""
    told = (
        one.encode("unicode_escape").decode() if unicodedata.category(one) == "Cc" else one
        for one in printable(text)
    )
    return f"'{''.join(told)}'"


def reason(error: Exception) -> str:
    """Why something failed, in the system's words, without the file's name as `repr` writes it."""
    return (error.strerror if isinstance(error, OSError) else None) or printable(error)
