"""Who may see the camera's picture and what is read in it: during a session its therapist alone.

Every page asks here for a picture; a test sees to that.
"""

from mien import sessions
from mien.control import ControlError, Picture
from mien_web import desk


class InUse(ControlError):
    """A session of somebody else is running, so picture and reading are not for this user."""


def preview(after: int, wait: float) -> Picture | None:
    """Return the newest picture after a frame, as `ControlClient.preview` does.

    Raises:
        InUse: It shows a client of somebody else.
        ControlError: There is no picture; see there.
    """
    check()
    shown = desk.control().preview(after, wait)
    check()  # a session may have begun meanwhile
    return shown


def check() -> None:
    """Raise InUse where the camera sees a client of somebody else."""
    if in_use():
        raise InUse("a session is running")


def in_use() -> bool:
    """Return whether the camera sees a client whose therapist this user is not."""
    now = desk.now()
    found = desk.read(lambda db: sessions.in_sight(db, now.boot_id, round(now.boot_time * 1000)))
    return found is not None and found.user != desk.user().id
