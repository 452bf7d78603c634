"""What the page remembers for the whole box: its setting, the seat, and the like. Each a JSON value
under a key of the table `settings`; the page writes, the daemon reads."""

from typing import Any, Literal, TypeVar, get_args

import msgspec

Setting = Literal["clinic", "home", "demo"]
"""Where the box stands. `demo` is what `mien demo` sets on a box that was not set up: it reads
whoever started it. Without a setting nothing is read at all."""

_T = TypeVar("_T")


def get(db: Any, key: str, kind: type[_T]) -> _T | None:
    """The value under a key, None where there is none or it is no `kind`."""
    found = db.execute("SELECT value FROM settings WHERE key = ?", (key,)).fetchone()
    if not found:
        return None
    try:
        return msgspec.json.decode(found[0], type=kind)
    except msgspec.MsgspecError:
        return None


def put(db: Any, key: str, value: Any) -> None:
    """Keep a value under a key; None removes it."""
    if value is None:
        db.execute("DELETE FROM settings WHERE key = ?", (key,))
        return
    db.execute(
        "INSERT INTO settings VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        (key, msgspec.json.encode(value).decode()),
    )


def setting(db: Any) -> Setting | None:
    """Where the box stands, None before the first set-up."""
    found = get(db, "setting", str)
    return next((known for known in get_args(Setting) if known == found), None)
