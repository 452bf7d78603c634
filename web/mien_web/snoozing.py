"""Putting reminders off, for who asks from outside the page."""

from typing import Any

from flask import abort
from flask_babel import gettext

from mien import reminders
from mien_web import desk


def snooze(user: int | None) -> int:
    """Ask everybody whom this user takes care of (None: everybody at home) later; how many."""
    now = desk.now()

    def work(db: Any) -> int:
        rows = db.execute(
            "SELECT id, owner FROM clients WHERE resident AND NOT archived"
        ).fetchall()
        wanted = [id for id, owner in rows if user in (None, owner) and reminders.plan(db, id).on]
        for id in wanted:
            reminders.snooze(db, id, now)
        return len(wanted)

    count = desk.write(work)
    if not count:
        abort(409, gettext("Nobody is reminded here, so there is nothing to put off."))
    return count
