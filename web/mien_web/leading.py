"""Leading a session: begin, tap, capture. The same for pages, the API and commands by MQTT; what
cannot be done ends in an HTTP error whose text is a sentence for people."""

import uuid
from typing import Any

from flask import abort
from flask_babel import gettext

from mien import audit, captures, clients, sessions, taps
from mien.clients import Client
from mien.control import ControlError, NoPicture
from mien.sessions import Session
from mien.taps import Back, Done, Tap
from mien_web import clients as client_page
from mien_web import desk, words


def begin(client: Client) -> Session:
    """A session with this client, by this user: a new one, or the one that runs already."""
    me = desk.user()
    if why_not := client_page.why_not(client.id):
        abort(409, " ".join([gettext("The session was not started."), *why_not]))
    if going := desk.read(lambda db: sessions.running_here(db, desk.now().boot_id)):
        return _joined(going, client)
    try:
        desk.control().status()
    except ControlError as error:
        abort(
            503,
            gettext(
                "The session was not started, for the service that reads the camera does not "
                "answer: %(why)s",
                why=words.sentence(str(error)),
            ),
        )
    now, key = desk.now(), str(uuid.uuid4())

    def work(db: Any) -> Session | None:
        # Asked again: another tablet may have been quicker, or a consent been withdrawn.
        if going := sessions.running_here(db, now.boot_id):
            return going
        if not clients.may_start(db, client.id):
            return None
        sessions.sweep(db, me.id)
        sessions.start(
            db, key, client.id, me.id, now,
            numbers=clients.valid(db, client.id, "numbers"),
            pictures=clients.valid(db, client.id, "pictures"),
        )  # fmt: skip
        audit.note(db, now.utc, me.name, "session.started", client.code, session=key)
        return sessions.find(db, key, me.id)

    begun = desk.write(work)
    if begun is None:
        why_not = client_page.why_not(client.id)
        abort(409, " ".join([gettext("The session was not started."), *why_not]))
    if begun.id == key:
        client_page.refresh()
    return _joined(begun, client)


def _joined(going: Session, client: Client) -> Session:
    """The session that runs, if it is this client's; two tablets may share one."""
    if going.client != client.id and going.user == desk.user().id:
        abort(
            409,
            gettext(
                "The session was not started, for one with another client is running. Stop that "
                "one first."
            ),
        )
    if going.client != client.id:
        abort(
            409,
            gettext(
                "The session was not started, for a colleague's session is running here. It must "
                "be stopped first; it stops by itself after %(minutes)s minutes without a tap.",
                minutes=sessions.FORGOTTEN_MS // 60_000,
            ),
        )
    return going


def perform(session: Session, client: Client, sent: list[Tap]) -> list[Done]:
    """Do taps, in one transaction; what became of each."""
    me, now = desk.user(), desk.now()

    def work(db: Any) -> tuple[list[Done], bool]:
        done = taps.perform(db, session.id, me.id, sent, now)
        after = sessions.find(db, session.id, me.id)
        ended = session.length_ms is None and after is not None and after.length_ms is not None
        if ended:
            assert after is not None
            note_end(db, after, me.name, client.code)
        return done, ended

    answers, ended = desk.write(work)
    if ended:
        client_page.refresh()
    return answers


def note_end(db: Any, session: Session, user: str, code: str) -> None:
    """In the audit list."""
    audit.note(
        db, desk.now().utc, user, "session.ended", code,
        session=session.id, how=session.ended, length_ms=session.length_ms,
    )  # fmt: skip


def capture(session: Session, id: str) -> None:
    """Keep the face as it is now, under this id; asked twice, it is kept once."""
    if not taps.is_id(id):
        abort(400, gettext("The capture has no valid id. Load the page again."))
    if desk.read(lambda db: taps.known(db, session.id, id)):
        return
    if session.length_ms is not None:
        abort(409, gettext("The session has ended, so nothing was captured."))
    if not desk.read(lambda db: _pictures(db, session)):
        abort(403, gettext("There is no consent to keep pictures, so nothing was captured."))
    try:
        face = desk.control().capture()
    except NoPicture as error:
        abort(503, words.sentence(str(error)))
    except ControlError as error:
        abort(502, words.sentence(str(error)))

    def work(db: Any) -> bool:
        still = sessions.find(db, session.id, desk.user().id)
        if still is None or still.length_ms is not None or not _pictures(db, still):
            return False
        at_ms = max(0, face.boot_ms - still.boot_ms) if face.boot == still.boot else still.active_ms
        if captures.add(db, id, session.id, at_ms, face):
            back = Back("captures", id, "deleted", 1)
            taps.keep(db, session.id, Done(id, at_ms=at_ms, back=(back,)))
            db.execute(
                "UPDATE sessions SET active_ms = max(active_ms, ?) WHERE id = ?",
                (at_ms, session.id),
            )
        return True

    if not desk.write(work):
        abort(409, gettext("The session or the consent ended, so nothing was captured."))


def _pictures(db: Any, session: Session) -> bool:
    """Whether faces may be kept now."""
    return session.pictures and clients.valid(db, session.client, "pictures")
