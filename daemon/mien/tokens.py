"""Tokens: what a program shows in place of a log-in, over the API and by MQTT. Each is a user's,
may never do more than that user, and is kept as a hash only."""

import hashlib
import secrets
from collections.abc import Collection
from typing import Any, Literal, get_args

from msgspec import Struct

from mien.events import MienError
from mien.users import User

Scope = Literal["status", "log", "checkins", "sessions", "control"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
"""How the box is and its metrics · the log, to read · check-ins, to read and to write · sessions,
to start, tag and stop, and captures in them · pause, resume, snooze."""

NEEDS: dict[Scope, frozenset[str]] = {
    "log": frozenset({"home"}),
    "checkins": frozenset({"home"}),
    "sessions": frozenset({"therapist", "home"}),
}
"""Roles of which a user needs one to give a scope; the others anybody may give."""

PREFIX = "mien_"
"""Begins every token, so that one that got into a log or a repository is known for what it is."""
LONGEST_NAME = 60
MOST = 50
"""Tokens of one user."""
USED_EVERY_MS = 3_600_000
"""How exactly it is known when a token was used last: a program that asks each second should not
write to the card each second."""


class Token(Struct, frozen=True):
    """`id` is the SHA-256 of the token; `used_utc` is None while it never was."""

    id: str
    name: str
    scopes: frozenset[str]
    created_utc: int
    used_utc: int | None


class Held(Struct, frozen=True):
    """A token that is good: whose it is, and what it may do by the roles that user has now."""

    id: str
    name: str
    user: User
    scopes: frozenset[str]
    used_utc: int | None


class TokenError(MienError, ValueError):
    """A token cannot be made so; the text says why."""


def allowed(roles: Collection[str]) -> tuple[Scope, ...]:
    """The scopes that a user with these roles may give."""
    return tuple(one for one in SCOPES if one not in NEEDS or NEEDS[one].intersection(roles))


def make(db: Any, user: User, name: str, scopes: Collection[str], utc_ms: int) -> str:
    """A new token, to be shown once: it is kept nowhere.

    Raises:
        TokenError: it has no name or no scope, one that the user may not give, or there are many.
    """
    name = " ".join(name.split())
    if not name or not name.isprintable():
        raise TokenError("give the token a name, such as that of the program it is for")
    if len(name) > LONGEST_NAME:
        raise TokenError(f"a token's name may have {LONGEST_NAME} characters, not {len(name)}")
    may = allowed(user.roles)
    if not scopes:
        raise TokenError("tick at least one thing that the token may do")
    if strange := sorted(set(scopes) - set(may)):
        raise TokenError(f"your roles do not allow to give away {strange[0]!r}")
    (count,) = db.execute("SELECT count(*) FROM tokens WHERE user = ?", (user.id,)).fetchone()
    if count >= MOST:
        raise TokenError(f"you have {count} tokens, which is the most; revoke one first")
    made = PREFIX + secrets.token_urlsafe(32)
    db.execute(
        "INSERT INTO tokens (id, user, name, scopes, created_utc) VALUES (?, ?, ?, ?, ?)",
        (fingerprint(made), user.id, name, " ".join(s for s in SCOPES if s in scopes), utc_ms),
    )
    return made


def find(db: Any, token: str) -> Held | None:
    """Whose token this is, None where it is none or its user is disabled."""
    row = db.execute(
        "SELECT u.id, u.name, u.roles, u.language, u.theme, t.id, t.name, t.scopes, t.used_utc "
        "FROM tokens t JOIN users u ON u.id = t.user WHERE t.id = ? AND NOT u.disabled",
        (fingerprint(token),),
    ).fetchone()
    if row is None:
        return None
    user = User(row[0], row[1], frozenset(row[2].split()), row[3], row[4])
    scopes = frozenset(row[7].split()).intersection(allowed(user.roles))
    return Held(row[5], row[6], user, scopes, row[8])


def stale(held: Held, utc_ms: int) -> bool:
    """Whether its last use is to be noted anew, see `used`."""
    return held.used_utc is None or not 0 <= utc_ms - held.used_utc < USED_EVERY_MS


def used(db: Any, id: str, utc_ms: int) -> None:
    """Note that a token was used."""
    db.execute("UPDATE tokens SET used_utc = ? WHERE id = ?", (utc_ms, id))


def of(db: Any, user: int) -> list[Token]:
    """A user's tokens, the newest first."""
    rows = db.execute(
        "SELECT id, name, scopes, created_utc, used_utc FROM tokens WHERE user = ? "
        "ORDER BY created_utc DESC, name",
        (user,),
    )
    return [Token(row[0], row[1], frozenset(row[2].split()), row[3], row[4]) for row in rows]


def revoke(db: Any, user: int, id: str) -> str | None:
    """End a user's token for good; its name, None where there is none."""
    row = db.execute(
        "DELETE FROM tokens WHERE user = ? AND id = ? RETURNING name", (user, id)
    ).fetchone()
    return row[0] if row else None


def fingerprint(token: str) -> str:
    """As it is kept. A plain hash will do: the token is random and long, not a passphrase."""
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()
