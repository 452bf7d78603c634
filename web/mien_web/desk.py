"""What every page works with: the store, the time, the daemon, and who is signed in."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from flask import current_app, g

from mien import database
from mien.clock import Clock, Stamp
from mien.config import Config
from mien.control import ControlClient
from mien.database import Database
from mien.users import User

_T = TypeVar("_T")


def open_store(config: Config, clock: Clock) -> Database:
    """The daemon's database, for the page's own tables. Raises StoreError."""
    return database.open_for_people(config.state_dir, clock)


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


def box() -> str:
    """The name of this box; empty while it has none."""
    with suppress(database.StoreError):
        return database.box_name(config())
    return ""


def control() -> ControlClient:
    """The line to the daemon."""
    found: ControlClient = current_app.extensions["mien.control"]
    return found


def user() -> User:
    """Who is signed in; only within a request that `door.needs` let in."""
    found: User = g.user
    return found
