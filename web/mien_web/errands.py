"""Commands by MQTT that the page carries out for the service, with the same checks as if somebody
had tapped here: rights, consents, the audit list. See `mien.orders`."""

import logging
import uuid
from collections.abc import Callable
from typing import NoReturn

import msgspec
from flask import Flask, abort, g
from flask_babel import gettext
from werkzeug.exceptions import HTTPException

from mien import orders, sessions, tokens, users
from mien.control import ControlError
from mien.events import Done, Errand, MienError
from mien.orders import Order
from mien.tokens import Held
from mien_web import (
    api_v1_checkins,
    api_v1_log,
    api_v1_sessions,
    desk,
    door,
    leading,
    session,
    snoozing,
    words,
)

log = logging.getLogger(__name__)

WAIT_S = 20.0
"""How long one question for an errand may stay open."""
AGAIN_S = 5.0
"""After so long the service is asked again when it did not answer, or uses no broker."""

Result = dict[str, str | int | float | bool | None] | None


def mind(app: Flask, rest: Callable[[float], object]) -> None:
    """Ask for errands for ever, in a thread of its own; `rest` waits for some seconds."""
    while True:
        if not turn(app):
            rest(AGAIN_S)


def turn(app: Flask) -> bool:
    """Wait for an errand and carry it out; False where the service could not be asked."""
    with app.test_request_context("/errand"):  # sentences need a language, and that a request
        try:
            errand = desk.control().errand(WAIT_S)
            if errand is not None:
                desk.control().errand_done(carry_out(errand))
        except ControlError:
            return False
        return True


def carry_out(errand: Errand) -> Done:
    """Do it once more only if its `id` is new; how it went."""
    try:
        order = orders.parse(errand.name, errand.body)
        # Asked again: since the service did, a token may have been revoked.
        held = desk.read(lambda db: orders.allowed(db, order))
        g.login, g.user = None, held.user if held else None
        if held and tokens.stale(held, door.now_ms()):
            desk.write(lambda db: tokens.used(db, held.id, door.now_ms()))
        work = _WORK.get(errand.name)
        return Done(errand.id, None, work(order, held) if work else None)
    except HTTPException as error:
        return Done(errand.id, error.description or error.name)
    except MienError as error:
        return Done(errand.id, words.sentence(str(error)))
    except Exception:
        log.exception("The command %r by MQTT could not be carried out.", errand.name)
        return Done(errand.id, gettext("Something unexpected went wrong; see the page’s log."))


# ── what each does ───────────────────────────────────────────────────────────────────────────────


def _snooze(order: Order, held: Held | None) -> Result:
    return {"people": snoozing.snooze(held.user.id if held else None)}


def _start(order: Order, held: Held | None) -> Result:
    api_v1_sessions.start(_text(order, "client", gettext("the code name of a client")))
    return {"running": True}


def _stop(order: Order, held: Held | None) -> Result:
    told = api_v1_sessions.stop(*api_v1_sessions.running(), _key(order, held))
    return {"running": told.running, "length_s": told.length_s}


def _tag(order: Order, held: Held | None) -> Result:
    text = _text(order, "text", gettext("a topic"))
    try:
        how = msgspec.convert(order.arguments.get("how", "on"), api_v1_sessions.How)
    except msgspec.ValidationError:
        abort(422, gettext("“how” must be one of on, off, moment."))
    found, client = api_v1_sessions.running()
    return {"at_s": api_v1_sessions.tag(found, client, text, how, _key(order, held)).at_s}


def _capture(order: Order, held: Held | None) -> Result:
    if held is None:  # of whoever's session runs
        here = desk.read(lambda db: sessions.running_here(db, desk.now().boot_id))
        account = desk.read(lambda db: users.account(db, here.user)) if here else None
        g.user = account.user if account else _no_session()
    found, _ = api_v1_sessions.running()
    leading.capture(found, _key(order, held))
    return None


def _checkin(order: Order, held: Held | None) -> Result:
    try:
        said = msgspec.convert(order.arguments, api_v1_checkins.Said)
    except msgspec.ValidationError as error:
        abort(422, gettext("The check-in is not as it should be: %(why)s.", why=error))
    who = api_v1_log.whom(said.person)
    told = api_v1_checkins.keep(who, said, _key(order, held), "mqtt")
    return {"mood": told.mood}


_WORK: dict[str, Callable[[Order, Held | None], Result]] = {
    "snooze": _snooze,
    "start": _start,
    "stop": _stop,
    "tag": _tag,
    "capture": _capture,
    "checkin": _checkin,
}


def _no_session() -> NoReturn:
    session.tidy()
    abort(409, gettext("No session runs, so nothing was captured."))


def _text(order: Order, name: str, what: str) -> str:
    said = order.arguments.get(name)
    if isinstance(said, bool) or not isinstance(said, str | int) or not str(said).strip():
        abort(422, gettext("“%(name)s” must be %(what)s.", name=name, what=what))
    return str(said)


_SPACE = uuid.UUID("6b1f6f0e-4df0-4b52-9d0c-5d1a2f3f7c11")


def _key(order: Order, held: Held | None) -> str:
    """The id of what a command makes: the same for the same command, however often it comes and
    whatever was restarted meanwhile."""
    if order.id is None:
        return str(uuid.uuid4())
    return str(uuid.uuid5(_SPACE, f"{held.id if held else ''}/{order.name}/{order.id}"))
