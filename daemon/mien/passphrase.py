"""Passphrases and PINs: what may be one, and Argon2id to keep them by.

Length is what counts; there are no rules about capitals and digits (NIST SP 800-63B-4, 3.1.1.2).
"""

import secrets
import unicodedata
from itertools import pairwise
from threading import Lock
from typing import Literal

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

SHORTEST, LONGEST = 12, 200

# m = 19 MiB, t = 2, p = 1: OWASP, Password Storage Cheat Sheet, the least for Argon2id. About
# 0.1 s on a Raspberry Pi 4, and memory for one at a time on a box with 512 MB.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1, type=Type.ID)
_ONE_AT_A_TIME = Lock()
_NOBODYS = _HASHER.hash(secrets.token_hex(16))

Fault = Literal["short", "long", "name", "repeated"]

HINT = "at least 12 characters, such as four or five unrelated words; not your name"
"""What the shell says; the page has the same in two languages."""


def fault(text: str, name: str) -> Fault | None:
    """Why this cannot be the passphrase of a user of this name; None when it can."""
    text = _same(text)
    if len(text) < SHORTEST:
        return "short"
    if len(text) > LONGEST:
        return "long"
    if _bare(text) in (_bare(_same(name)), _bare(_same(name)) * 2):
        return "name"
    return "repeated" if len(set(text)) < 5 else None


def pin_fault(text: str) -> Literal["digits", "simple"] | None:
    """Why this cannot be a PIN: 4 to 8 digits, not all alike and not counting up or down."""
    if not (4 <= len(text) <= 8 and text.isascii() and text.isdecimal()):
        return "digits"
    steps = {int(b) - int(a) for a, b in pairwise(text)}
    return "simple" if len(steps) == 1 and steps <= {0, 1, -1} else None


def hashed(text: str) -> str:
    with _ONE_AT_A_TIME:
        return _HASHER.hash(_same(text))


def fits(kept: str | None, text: str) -> bool:
    """Whether this is it. Takes as long where there is none (unknown user, the demo's user)."""
    usable = kept is not None and kept.startswith("$argon2id$")
    with _ONE_AT_A_TIME:
        try:
            right = _HASHER.verify(kept if usable and kept else _NOBODYS, _same(text))
        except (VerificationError, InvalidHashError):
            return False
    return right and usable


def made_up() -> str:
    """A passphrase for once: 20 letters and digits in groups of five, some 99 bits."""
    alphabet = "abcdefghjkmnpqrstuvwxyz23456789"
    return "-".join("".join(secrets.choice(alphabet) for _ in range(5)) for _ in range(4))


def _same(text: str) -> str:
    """Keyboards write ü in two ways; NFKC makes them one (NIST SP 800-63B-4, 3.1.1.2)."""
    return unicodedata.normalize("NFKC", text)


def _bare(text: str) -> str:
    return "".join(text.casefold().split())
