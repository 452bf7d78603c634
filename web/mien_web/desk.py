"""What every page works with: the store, the time, the daemon, and who is signed in."""

from collections.abc import Callable
from typing import Any, TypeVar

from flask import current_app, g

from mien import database
from mien.clock import Clock, Stamp
from mien.config import Config
from mien.control import ControlClient
from mien.database import Database, StoreError
from mien.users import User

_T = TypeVar("_T")


def open_store(config: Config, clock: Clock) -> Database:
    """The daemon's database, for the page's own tables. The file is opened at the first question.

    Raises:
        StoreError: the daemon has not made it yet, or this user may not read it.
    """
    try:
        key = database.key(config.state_dir, make=False)
    except OSError as error:
        raise StoreError(
            f"Cannot use the state folder {config.state_dir}: {error}. Start the daemon first, "
            "as a user whose files this one may read and write."
        ) from None
    return Database(config.state_dir / database.FILE, key, clock, "page")


def _store() -> Database:
    opened = current_app.extensions.get("mien.store")
    if opened is None:
        opened = current_app.extensions["mien.store"] = open_store(config(), clock())
    store: Database = opened
    return store


def read(work: Callable[[Any], _T]) -> _T:
    """What `work`, a function of the connection, finds. Raises StoreError."""
    return _store().read(work)


def write(work: Callable[[Any], _T]) -> _T:
    """`work` in one transaction; once it returns, it is on the disk. Raises StoreError."""
    return _store().write(work)


def clock() -> Clock:
    found: Clock = current_app.extensions["mien.clock"]
    return found


def now() -> Stamp:
    return clock().stamp()


def config() -> Config:
    found: Config = current_app.extensions["mien.config"]
    return found


def control() -> ControlClient:
    """The line to the daemon."""
    found: ControlClient = current_app.extensions["mien.control"]
    return found


def user() -> User:
    """Who is signed in; only within a request that `door.needs` let in."""
    found: User = g.user
    return found
