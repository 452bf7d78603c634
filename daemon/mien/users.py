"""Who may use the page, and as what; their log-ins. SQL only: `passphrase` tells right from wrong.

Times are milliseconds of UTC, for a log-in outlives the boot it began in.
"""

from typing import Any, Literal, get_args

from msgspec import Struct

from mien import settings
from mien.events import MienError

Role = Literal["therapist", "administrator", "home"]
ROLES: tuple[Role, ...] = get_args(Role)
Theme = Literal["light", "dark", "night"]

DEMO = "!"
"""In place of a hash: the user of the demo, who has no passphrase and never signs in."""
DEMO_NAME = "demo"

ENDS_MS = 12 * 3_600_000
"""A log-in ends after this, however busy."""
SESSION_IDLE_MS = 90 * 60_000
"""While the user's session runs, the tablet may lie still for this long before it locks."""
IDLE_MINUTES = 10
WRONG_PINS = 5
"""After so many the log-in ends, and only the passphrase helps."""
_GRACE_MS = 60_000  # a clock that is set back by less than this ends no log-in


class User(Struct, frozen=True):
    """A person with a log-in. `language` is `en`, `de` or None for the browser's; `theme` is
    `light`, `dark`, `night` or None for the device's."""

    id: int
    name: str
    roles: frozenset[str]
    language: str | None
    theme: str | None


class Account(Struct, frozen=True):
    """A user with what the administrator and the door need to know."""

    user: User
    passphrase: str
    pin: str | None
    created_utc: int
    disabled: bool


class Login(Struct, frozen=True):
    """A browser in which somebody signed in."""

    id: str
    user: User
    created_utc: int
    seen_utc: int
    locked: bool
    in_session: bool
    """Whether a session of this user runs."""
    once: bool
    """Whether the passphrase was made up by somebody else and is to be changed at once."""

    def ended(self, now: int) -> bool:
        """Too old; or begun in what is now the future, which a clock set back makes of it."""
        return not -_GRACE_MS <= now - self.created_utc < ENDS_MS

    def left_ms(self, now: int, idle_ms: int) -> int:
        """Milliseconds until the screen locks, if nobody touches it."""
        limit = max(idle_ms, SESSION_IDLE_MS) if self.in_session else idle_ms
        return limit - max(0, now - self.seen_utc)


class UserError(MienError, ValueError):
    """What was asked of a user cannot be done; the text says why."""


_USER = "u.id, u.name, u.roles, u.language, u.theme"


def _user(row: Any) -> User:
    return User(row[0], row[1], frozenset(row[2].split()), row[3], row[4])


# ── users ────────────────────────────────────────────────────────────────────────────────────────


def accounts(db: Any) -> list[Account]:
    """Everybody, by name."""
    rows = db.execute(
        f"SELECT {_USER}, u.passphrase, u.pin, u.created_utc, u.disabled FROM users u "
        "ORDER BY u.name"
    )
    return [Account(_user(row), row[5], row[6], row[7], bool(row[8])) for row in rows]


def account(db: Any, key: int | str) -> Account | None:
    """By id or by name, in which capitals do not count."""
    column = "u.id" if isinstance(key, int) else "u.name"
    row = db.execute(
        f"SELECT {_USER}, u.passphrase, u.pin, u.created_utc, u.disabled FROM users u "
        f"WHERE {column} = ?",
        (key,),
    ).fetchone()
    return Account(_user(row), row[5], row[6], row[7], bool(row[8])) if row else None


def add(db: Any, utc_ms: int, name: str, roles: set[Role], passphrase: str) -> int:
    """A new user, with the hash of a passphrase; its id.

    Raises:
        UserError: there is one of this name, or no role.
    """
    if account(db, name):
        raise UserError(f"there is a user {name!r} already")
    return int(
        db.execute(
            "INSERT INTO users (name, roles, passphrase, created_utc) VALUES (?, ?, ?, ?)",
            (name, _written(roles), passphrase, utc_ms),
        ).lastrowid
    )


def name_of(text: str) -> str | None:
    """A name as it is kept, without spaces around; None where it cannot be one."""
    name = " ".join(text.split())
    return name if 1 <= len(name) <= 40 and name.isprintable() else None


def set_roles(db: Any, user: int, roles: set[Role]) -> None:
    """Raises UserError: no role, or nobody would be administrator any more."""
    db.execute("UPDATE users SET roles = ? WHERE id = ?", (_written(roles), user))
    _still_administered(db)


def set_disabled(db: Any, user: int, disabled: bool) -> None:
    """A disabled user's log-ins end. Raises UserError: nobody would be administrator any more."""
    db.execute("UPDATE users SET disabled = ? WHERE id = ?", (disabled, user))
    if disabled:
        end_logins(db, user)
        _still_administered(db)


def set_passphrase(db: Any, user: int, hashed: str, *, once: bool = False) -> None:
    """`once`: it was made up by somebody else, so its first use is to choose another."""
    db.execute("UPDATE users SET passphrase = ?, once = ? WHERE id = ?", (hashed, once, user))


def set_pin(db: Any, user: int, hashed: str | None) -> None:
    db.execute("UPDATE users SET pin = ? WHERE id = ?", (hashed, user))


def prefer(db: Any, user: int, language: str | None, theme: str | None) -> None:
    db.execute("UPDATE users SET language = ?, theme = ? WHERE id = ?", (language, theme, user))


def set_up(db: Any) -> bool:
    """Whether anybody can sign in here; the demo's user does not count."""
    return bool(
        db.execute("SELECT EXISTS (SELECT 1 FROM users WHERE passphrase <> ?)", (DEMO,)).fetchone()[
            0
        ]
    )


def demo(db: Any) -> User | None:
    """The demo's user, where `mien demo` set the box up and nobody else did."""
    if settings.setting(db) != "demo" or set_up(db):
        return None
    row = db.execute(f"SELECT {_USER} FROM users u WHERE u.passphrase = ?", (DEMO,)).fetchone()
    return _user(row) if row else None


def make_demo(db: Any, utc_ms: int) -> User | None:
    """The same, made at its first visit."""
    if settings.setting(db) == "demo" and not set_up(db) and demo(db) is None:
        add(db, utc_ms, DEMO_NAME, set(ROLES), DEMO)
    return demo(db)


def end_demo(db: Any) -> None:
    """Its name is free again; what it made in the demo stays with it, behind no log-in."""
    db.execute("UPDATE users SET name = 'demo (ended)', disabled = 1 WHERE passphrase = ?", (DEMO,))


def _written(roles: set[Role]) -> str:
    if not roles:
        raise UserError("a user needs at least one role")
    return " ".join(role for role in ROLES if role in roles)


def _still_administered(db: Any) -> None:
    for (roles,) in db.execute("SELECT roles FROM users WHERE NOT disabled"):
        if "administrator" in roles.split():
            return
    raise UserError("somebody must stay administrator")


# ── log-ins ──────────────────────────────────────────────────────────────────────────────────────


def login(db: Any, key: str, boot_id: str) -> Login | None:
    """By the SHA-256 of its cookie; None when there is none or the user is disabled."""
    row = db.execute(
        f"SELECT {_USER}, l.created_utc, l.seen_utc, l.locked, EXISTS (SELECT 1 FROM sessions s "
        "WHERE s.boot = ? AND s.length_ms IS NULL AND s.user = u.id), u.once "
        "FROM logins l JOIN users u ON u.id = l.user WHERE l.id = ? AND NOT u.disabled",
        (boot_id, key),
    ).fetchone()
    if row is None:
        return None
    return Login(key, _user(row), row[5], row[6], bool(row[7]), bool(row[8]), bool(row[9]))


def begin_login(db: Any, key: str, user: int, utc_ms: int) -> None:
    """Also sweeps log-ins that ended by themselves."""
    db.execute(
        "DELETE FROM logins WHERE created_utc NOT BETWEEN ? AND ?",
        (utc_ms - ENDS_MS, utc_ms + _GRACE_MS),
    )
    db.execute(
        "INSERT INTO logins (id, user, created_utc, seen_utc) VALUES (?, ?, ?, ?)",
        (key, user, utc_ms, utc_ms),
    )


def touch(db: Any, key: str, utc_ms: int) -> None:
    """Somebody was here."""
    db.execute("UPDATE logins SET seen_utc = ? WHERE id = ?", (utc_ms, key))


def lock(db: Any, key: str) -> None:
    db.execute("UPDATE logins SET locked = max(locked, 1) WHERE id = ?", (key,))


def try_pin(db: Any, key: str) -> bool:
    """Count a PIN as wrong before it is looked at; False once there were too many."""
    db.execute("UPDATE logins SET locked = locked + 1 WHERE id = ? AND locked > 0", (key,))
    row = db.execute("SELECT locked FROM logins WHERE id = ?", (key,)).fetchone()
    return row is not None and row[0] <= 1 + WRONG_PINS


def pins_left(db: Any, key: str) -> int:
    row = db.execute("SELECT locked FROM logins WHERE id = ?", (key,)).fetchone()
    return max(0, 1 + WRONG_PINS - row[0]) if row else 0


def unlock(db: Any, key: str, utc_ms: int) -> None:
    db.execute("UPDATE logins SET locked = 0, seen_utc = ? WHERE id = ?", (utc_ms, key))


def end_login(db: Any, key: str) -> None:
    db.execute("DELETE FROM logins WHERE id = ?", (key,))


def end_logins(db: Any, user: int, but: str = "") -> int:
    """All of a user, but one; how many."""
    return int(db.execute("DELETE FROM logins WHERE user = ? AND id <> ?", (user, but)).rowcount)


def logins(db: Any, utc_ms: int) -> dict[int, int]:
    """How many browsers each user is signed in on."""
    rows = db.execute(
        "SELECT user, count(*) FROM logins WHERE created_utc BETWEEN ? AND ? GROUP BY user",
        (utc_ms - ENDS_MS, utc_ms + _GRACE_MS),
    )
    return dict(rows.fetchall())
