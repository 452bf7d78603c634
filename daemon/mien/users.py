"""Who may use the page, and as what."""

from typing import Any, Literal, get_args

from msgspec import Struct

Role = Literal["therapist", "administrator", "home"]
ROLES: tuple[Role, ...] = get_args(Role)


class User(Struct, frozen=True):
    """A person with a log-in. `language` is `en`, `de` or None for the browser's; `theme` is
    `light`, `dark`, `night` or None for the device's."""

    id: int
    name: str
    roles: frozenset[str]
    language: str | None
    theme: str | None


def user_of(db: Any, login: str) -> User | None:
    """Whose log-in this is, by the SHA-256 of its cookie; None when it ended or is disabled."""
    row = db.execute(
        "SELECT u.id, u.name, u.roles, u.language, u.theme FROM logins l "
        "JOIN users u ON u.id = l.user WHERE l.id = ? AND NOT u.disabled",
        (login,),
    ).fetchone()
    return User(row[0], row[1], frozenset(row[2].split()), row[3], row[4]) if row else None
