"""The one-time code by which the first user proves to be in charge of the box.

The daemon makes it while nobody can sign in; who reads its log or the state folder can read it.
"""

import hmac
import os
import secrets
from contextlib import suppress
from pathlib import Path

FILE = "first-run-code"
_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # nothing that looks like something else


def code(state_dir: Path) -> str:
    """The code, made if there is none, such as `K7RM-2QXA`.

    Raises:
        OSError: the state folder cannot be written.
    """
    path = state_dir / FILE
    with suppress(FileNotFoundError):
        if kept := path.read_text().strip():
            return kept
    path.unlink(missing_ok=True)
    letters = "".join(secrets.choice(_ALPHABET) for _ in range(8))
    new = f"{letters[:4]}-{letters[4:]}"
    with suppress(FileExistsError):  # page and daemon at once: the first one's counts
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(new + "\n")
        return new
    return path.read_text().strip()


def fits(state_dir: Path, said: str) -> bool:
    """Whether this is the code; small letters, spaces and hyphens do not matter."""
    try:
        kept = (state_dir / FILE).read_text()
    except OSError:
        return False
    return bool(_bare(kept)) and hmac.compare_digest(_bare(kept).encode(), _bare(said).encode())


def used(state_dir: Path) -> None:
    """Remove it; where that may not be, it still counts for nothing once somebody can sign in."""
    with suppress(OSError):
        (state_dir / FILE).unlink()


def _bare(text: str) -> str:
    return "".join(letter for letter in text.upper() if letter.isalnum())
