"""Captured faces: what the network said of each, what a person says, and how often both agree."""

from typing import Any

import msgspec
from flask import Response, abort, flash, redirect, render_template, request, url_for
from flask import session as cookie
from flask_babel import gettext
from msgspec import Struct
from werkzeug.wrappers import Response as Answer

from mien import agreement, audit, captures, clients, sessions, timeline
from mien.agreement import Agreement
from mien.captures import Capture, Judged
from mien.clients import Client
from mien.events import EXPRESSIONS
from mien_web import desk, labels, review
from mien_web.clients import find as find_client
from mien_web.session import find as find_session

page = review.page

PER_PAGE = 20
ENOUGH = 10
"""Labelled captures below which no agreement is shown."""
CANNOT_TELL = len(EXPRESSIONS)
"""The eighth answer in the tables."""


class View(Struct, frozen=True):
    """Which captures are shown, and how; lives in the address of the page."""

    session: str | None = None
    client: str | None = None
    page: int = 1
    open: int = 0
    """1: only those that nobody has labelled."""
    blind: int = 0
    """1: what the network said is hidden until a person has said it."""

    def url(self, anchor: str | None = None, **changed: int) -> str:
        """The address of this view, or of one that differs in something."""
        new = msgspec.structs.replace(self, **changed)
        given: dict[str, Any] = {"page": new.page if new.page > 1 else None}
        given |= {"open": new.open or None, "blind": new.blind or None, "_anchor": anchor}
        if new.session:
            return url_for("review.captures", session=new.session, **given)
        return url_for("review.client_captures", client=new.client, **given)


@page.get("/sessions/<session>/captures", endpoint="captures")
def of_session(session: str) -> str:
    found, client = find_session(session)
    all_ = desk.read(lambda db: captures.of_session(db, found.id))
    return _list(all_, client, _view(session=found.id), session=found)


@page.get("/clients/<client>/captures", endpoint="client_captures")
def of_client(client: str) -> str:
    found = find_client(client)
    all_ = desk.read(lambda db: captures.of_client(db, found.id))
    return _list(all_, found, _view(client=found.id), session=None)


@page.get("/captures/<id>/face.jpg")
def face(id: str) -> Response:
    return _picture(id, captures.face, "image/jpeg")


@page.get("/captures/<id>/crop.png")
def crop(id: str) -> Response:
    return _picture(id, captures.crop, "image/png")


@page.get("/captures/<id>/maps")
def maps(id: str) -> Response:
    """The class-activation maps, u8 [7, side, side], as they are."""
    return _picture(id, captures.maps, "application/octet-stream")


@page.post("/captures/<id>/label")
def label(id: str) -> Answer:
    """What a person says a capture looks like: a place in `EXPRESSIONS`, or `none`."""
    capture = _find(id)
    said = request.form.get("expression", "")
    places = {str(place): place for place in range(len(EXPRESSIONS))}
    if said not in {*places, "none"}:
        abort(400, gettext("This form names no expression. Load the page again."))
    expression = places.get(said)
    blind = request.form.get("blind") == "1" and capture.correction is None
    owner, user, now = desk.user().id, desk.user().name, desk.now().utc

    def work(db: Any) -> None:
        captures.sweep(db, owner)
        captures.correct(db, id, expression, user, now, blind=blind)

    desk.write(work)
    cookie.pop("deleted", None)
    cookie["relabelled"] = id
    flash(
        gettext("Capture at %(time)s: noted that you cannot tell.", time=_time(capture))
        if expression is None
        else gettext(
            "Capture at %(time)s: noted as looking like %(name)s.",
            time=_time(capture),
            name=labels.name(expression),
        )
    )
    return _back(capture)


@page.post("/captures/<id>/unlabel")
def unlabel(id: str) -> Answer:
    """Take the newest label of a person back."""
    capture = _find(id)
    if not desk.write(lambda db: captures.take_back(db, id)):
        abort(409, gettext("There is no label of yours to take back any more."))
    cookie.pop("relabelled", None)
    flash(gettext("Capture at %(time)s: your label was taken back.", time=_time(capture)))
    return _back(capture)


@page.post("/captures/<id>/<any(delete, restore):wish>")
def delete(id: str, wish: str) -> Answer:
    """Delete a capture, or put it back; it can be until the next is deleted or labelled."""
    capture = _find(id)
    gone = wish == "delete"
    owner, user, now = desk.user().id, desk.user().name, desk.now().utc

    def work(db: Any) -> None:
        if gone:
            captures.sweep(db, owner)
        captures.delete(db, id, deleted=gone)
        audit.note(db, now, user, f"capture.{wish}d", id, session=capture.session)

    desk.write(work)
    if gone:
        cookie.pop("relabelled", None)
        cookie["deleted"] = id
        flash(gettext("The capture at %(time)s was deleted.", time=_time(capture)))
    else:
        cookie.pop("deleted", None)
        flash(gettext("The capture at %(time)s is back.", time=_time(capture)))
    return _back(capture)


@page.get("/agreement", endpoint="agreement")
def agree() -> str:
    owner = desk.user().id
    chosen = request.args.get("client")
    client = find_client(chosen) if chosen else None
    found, own = desk.read(
        lambda db: (
            captures.judged(db, owner, client.id if client else None),
            clients.of(db, owner),
        )
    )
    said = [one for one in found if one.labelled]
    return render_template(
        "review/agreement.html",
        client=client,
        clients=own,
        count=len(found),
        labelled=len(said),
        bundles=sorted({one.bundle for one in said}),
        parts=[
            (blind, _measure([one for one in said if one.blind == blind]))
            for blind in (True, False)
        ],
        classes=agreement.classes,
        ENOUGH=ENOUGH,
        answers=[*range(CANNOT_TELL), None],
        **review.PICTURE,
    )


def _list(all_: list[Capture], client: Client, view: View, session: Any) -> str:
    waiting = sum(capture.correction is None for capture in all_)
    wanted = [capture for capture in all_ if not (view.open and capture.correction)]
    pages = max(1, -(-len(wanted) // PER_PAGE))
    view = msgspec.structs.replace(view, page=min(view.page, pages))
    start = (view.page - 1) * PER_PAGE
    owner = desk.user().id
    started = desk.read(
        lambda db: {
            key: sessions.find(db, key, owner)
            for key in {capture.session for capture in wanted[start : start + PER_PAGE]}
        }
    )
    return render_template(
        "review/captures.html",
        session=session,
        client=client,
        view=view,
        pages=pages,
        shown=wanted[start : start + PER_PAGE],
        count=len(all_),
        waiting=waiting,
        started=started,
        pictures=desk.read(lambda db: clients.valid(db, client.id, "pictures")),
        relabelled=_mine(all_, cookie.get("relabelled")),
        deleted=_deleted(view),
        **review.PICTURE,
    )


def _measure(said: list[Judged]) -> Agreement:
    """Between the newest word of a person and the network's, over eight answers."""

    def place(expression: int | None) -> int:
        return CANNOT_TELL if expression is None else expression

    return agreement.measure(
        ((place(one.person), place(one.network)) for one in said), CANNOT_TELL + 1
    )


def _view(session: str | None = None, client: str | None = None) -> View:
    def flag(name: str) -> int:
        return int(request.values.get(name) == "1")

    number = max(1, request.values.get("page", 1, type=int))
    return View(session, client, number, flag("open"), flag("blind"))


def _mine(all_: list[Capture], id: object) -> Capture | None:
    """The capture that was labelled last in this browser, to take that back."""
    return next((capture for capture in all_ if capture.id == id and capture.correction), None)


def _deleted(view: View) -> Capture | None:
    """The capture that was deleted last in this browser, to put it back."""
    id = cookie.get("deleted")
    owner = desk.user().id
    found = desk.read(lambda db: captures.find(db, id, owner)) if isinstance(id, str) else None
    here = found and (view.client is not None or found.session == view.session)
    return found if found and here and found.deleted else None


def _find(id: str) -> Capture:
    owner = desk.user().id
    return desk.read(lambda db: captures.find(db, id, owner)) or abort(404)


def _picture(id: str, which: Any, kind: str) -> Response:
    capture = _find(id)
    data = b"" if capture.deleted else desk.read(lambda db: which(db, id))
    if not data:
        abort(404)
    return Response(data, mimetype=kind, headers={"Cache-Control": "private, no-store"})


def _time(capture: Capture) -> str:
    return timeline.clock(capture.at_ms)


def _back(capture: Capture) -> Answer:
    """To the list that the form came from, at the next capture if the form names one."""
    client = request.form.get("client")
    view = _view(client=client) if client else _view(session=capture.session)
    following = request.form.get("next")
    return redirect(view.url(f"capture-{following}" if following else None), 303)
