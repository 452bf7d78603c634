"""The session page: topics, excluded stretches, captures and notes, tapped while listening."""

import math
import time
from contextlib import suppress
from typing import Any

import msgspec
from flask import (
    Blueprint,
    Flask,
    Response,
    abort,
    current_app,
    redirect,
    render_template,
    request,
    url_for,
)
from flask_babel import gettext
from msgspec import Struct
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as Answer

from mien import captures, clients, sessions, taps
from mien.clients import Client
from mien.control import Busy, ControlError, NoPicture
from mien.database import StoreError
from mien.events import EXPRESSIONS, Live
from mien.sessions import Session
from mien.taps import Done, Tap
from mien_web import clients as client_page
from mien_web import desk, door, labels, leading, session_words, sight, words

page = Blueprint("session", __name__)
door.needs(page, "therapist", "home")

MOST_TAPS = 500
TIDY_S = 60.0
LOOK_S = 0.2
"""Seconds that a look may wait for a frame."""


# ── beginning ────────────────────────────────────────────────────────────────────────────────────


@page.post("/clients/<client>/session")
def start(client: str) -> Answer:
    found = client_page.find(client)
    tidy()
    begun = leading.begin(found)
    return redirect(url_for("session.live", session=begun.id), 303)


@page.get("/sessions/<session>/live")
def live(session: str) -> str:
    found, client = find(session)
    return render_template(
        "session/live.html",
        session=found,
        client=client,
        state=_state(found),
        words=session_words.browser(),
        expressions=EXPRESSIONS,
        names=labels.names(),
        keyword_characters=sessions.KEYWORD_CHARACTERS,
        note_characters=taps.NOTE_CHARACTERS,
    )


def find(session: str) -> tuple[Session, Client]:
    """A session of one of this user's clients; 404 for any other."""
    owner = desk.user().id

    def work(db: Any) -> tuple[Session, Client] | None:
        found = sessions.find(db, session, owner)
        client = clients.find(db, found.client, owner) if found else None
        return (found, client) if found and client else None

    return desk.read(work) or abort(404, gettext("There is no such session of yours."))


# ── taps ─────────────────────────────────────────────────────────────────────────────────────────


class _Batch(Struct):
    taps: list[msgspec.Raw]


@page.post("/sessions/<session>/taps", endpoint="taps")
def tap(session: str) -> Response:
    """JSON {"taps": [{"id", "kind", "age_ms", …}]}, see `taps.Tap`, done in their order and in one
    transaction; {"answers": [one for each], "state": as `state` gives it}."""
    found, client = find(session)
    try:
        raw = msgspec.json.decode(request.get_data(), type=_Batch).taps
    except (msgspec.MsgspecError, UnicodeDecodeError):
        abort(400, gettext("The taps must be a JSON object with the list taps."))
    if len(raw) > MOST_TAPS:
        abort(
            400,
            gettext(
                "At most %(most)s taps may be sent at once, not %(count)s. Send them in parts.",
                most=MOST_TAPS,
                count=len(raw),
            ),
        )
    sent = [_tap(one) for one in raw]
    answers = leading.perform(found, client, sent)
    after, _ = find(session)
    body = {"answers": [_answer(one) for one in answers], "state": _state(after)}
    return Response(msgspec.json.encode(body), mimetype="application/json")


def _tap(raw: msgspec.Raw) -> Tap:
    """A tap as it was sent; what is none keeps its id, so that it can be refused by it."""
    with suppress(msgspec.MsgspecError, UnicodeDecodeError):
        return msgspec.json.decode(raw, type=Tap)
    with suppress(msgspec.MsgspecError, UnicodeDecodeError):
        return Tap(msgspec.json.decode(raw, type=dict[str, Any]).get("id", ""), "")
    return Tap("", "")


def _answer(done: Done) -> dict[str, Any]:
    answer: dict[str, Any] = {"id": done.id, "ok": done.fault is None, "at_ms": done.at_ms}
    if done.fault:
        answer["said"] = str(session_words.FAULTS[done.fault])
    elif done.clamped:
        answer["said"] = str(
            gettext("The tablet's clock was set meanwhile: the time of a tap may be wrong.")
        )
    if done.keyword:
        answer["keyword"] = done.keyword
    return answer


@page.get("/sessions/<session>/state")
def state(session: str) -> Response:
    """What the page shows, but for what the camera sees: the same for every tablet."""
    found, _ = find(session)
    return Response(msgspec.json.encode(_state(found)), mimetype="application/json")


def _state(session: Session) -> dict[str, Any]:
    now, owner = desk.now(), desk.user().id

    def work(db: Any) -> tuple[Any, ...]:
        return (
            sessions.keywords(db, owner),
            sessions.tags(db, session.id),
            sessions.exclusions(db, session.id),
            sessions.notes(db, session.id),
            captures.count(db, session.id),
            session.numbers and clients.valid(db, session.client, "numbers"),
            session.pictures and clients.valid(db, session.client, "pictures"),
        )

    keywords, tags, exclusions, notes, faces, numbers, pictures = desk.read(work)
    elapsed = sessions.now_ms(session, now)
    counts: dict[str, int] = {}
    for tag in tags:
        counts[tag.keyword] = counts.get(tag.keyword, 0) + 1
    return {
        "running": session.length_ms is None,
        "ended": session.ended,
        "elapsed_ms": elapsed,
        "left_ms": session.active_ms + sessions.FORGOTTEN_MS - elapsed,
        "asks": elapsed - session.active_ms >= sessions.QUIET_MS,
        "keywords": [{"id": one.id, "text": one.text, "hidden": one.hidden} for one in keywords],
        "on": {tag.keyword: tag.from_ms for tag in tags if tag.to_ms is None},
        "counts": counts,
        "excluded": next((one.from_ms for one in exclusions if one.to_ms is None), None),
        "notes": [{"id": one.id, "at_ms": one.at_ms, "text": one.text} for one in notes],
        "captures": faces,
        "numbers": numbers,
        "pictures": pictures,
    }


# ── the camera ───────────────────────────────────────────────────────────────────────────────────


@page.get("/sessions/<session>/look")
def look(session: str) -> Response:
    """What the camera sees now, in words: no picture, and nothing is kept of it."""
    found, _ = find(session)
    return Response(msgspec.json.encode(_look(found)), mimetype="application/json")


def _look(session: Session) -> dict[str, Any]:
    if session.length_ms is not None:
        return {"state": "ended"}
    try:
        shown = sight.preview(0, LOOK_S)
        if shown is None:
            return session_words.unseen("paused" if desk.control().status().paused else "starting")
    except Busy:
        return session_words.unseen("busy")
    except NoPicture as error:
        paused = False
        with suppress(ControlError):
            paused = desk.control().status().paused
        return (
            session_words.unseen("paused")
            if paused
            else session_words.unseen("no-picture", str(error))
        )
    except ControlError:
        return session_words.unseen("lost")
    return {"state": "live", **session_words.seen(msgspec.json.decode(shown.live, type=Live))}


@page.post("/sessions/<session>/capture")
def capture(session: str) -> Answer:
    """JSON {"id"}: keep the face as it is now, under this id; sent twice, it is kept once."""
    found, _ = find(session)
    id = (request.get_json(silent=True) or {}).get("id", "")
    try:
        leading.capture(found, str(id))
    except HTTPException as error:
        return _refuse(error.code or 500, error.description or error.name)
    return _captured(found, str(id))


def _captured(session: Session, id: str) -> Answer:
    kept = desk.read(lambda db: captures.find(db, id, desk.user().id))
    if kept is None:
        return _refuse(409, gettext("This capture was erased meanwhile."))
    if kept.expression is None:
        said = words.cannot_tell(kept.reason)
    else:
        said = words.looks(EXPRESSIONS[kept.expression], kept.probabilities[kept.expression])
    body = {
        "id": id,
        "at_ms": kept.at_ms,
        "said": said,
        "face": url_for("review.face", id=id),
        "state": _state(session),
    }
    return Response(msgspec.json.encode(body), mimetype="application/json")


def _refuse(status: int, sentence: str) -> Answer:
    body = msgspec.json.encode({"error": str(sentence)})
    return Response(body, status, mimetype="application/json")


# ── sessions that nobody stops ───────────────────────────────────────────────────────────────────


def tidy() -> None:
    """End what was forgotten, and what a restart of the box cut off; see `sessions.tidy`."""
    now = desk.now()

    def work(db: Any) -> bool:
        ended = sessions.tidy(db, now)
        for one in ended:
            code = db.execute("SELECT code FROM clients WHERE id = ?", (one.client,)).fetchone()[0]
            after = sessions.find(db, one.id, _owner(db, one.client))
            assert after is not None
            leading.note_end(db, after, "mien", code)
        return bool(ended)

    if desk.write(work):
        client_page.refresh()


def _owner(db: Any, client: str) -> int:
    return int(db.execute("SELECT owner FROM clients WHERE id = ?", (client,)).fetchone()[0])


def mind(app: Flask) -> None:
    """Tidy up each minute, for ever: in a thread of its own."""
    while True:
        time.sleep(TIDY_S)
        with app.app_context(), suppress(StoreError):  # a full disk is told where somebody asks
            tidy()


@page.before_app_request
def _now_and_then() -> None:
    """Also without the thread of `__main__`, as long as anybody asks anything."""
    if request.endpoint == "static":
        return
    now = desk.clock().monotonic()
    if now - current_app.extensions.get("mien.tidied", -math.inf) < TIDY_S:
        return
    current_app.extensions["mien.tidied"] = now
    with suppress(StoreError):  # who has asked is told by what they asked for
        tidy()
