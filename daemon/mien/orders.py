"""Commands by MQTT: who may give them, who carries them out, and what is answered.

A command is a message on `mien/<box>/command/<name>`: a JSON object with `id` (answered with, and a
sign of the same command sent twice), `token` and arguments, or anything else, which says no more
than the topic does: Home Assistant's buttons and switches send such words.
The service itself closes and opens the camera. All else is an errand for the page, which alone
writes what people enter, with the same checks as if somebody had tapped there. See
docs/smart-home.md.
"""

import logging
import queue
import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, get_args

import msgspec
from msgspec import Struct

from mien import settings, tokens
from mien.clock import Clock
from mien.database import StoreError
from mien.events import Done, Errand, MienError, Response
from mien.rate import Rate
from mien.tokens import Held, Scope
from mien.topics import Topics

log = logging.getLogger(__name__)

SETTING = "smart_home"
"""Of the settings: the commands that whoever is at the broker may give, without a token."""
DEFAULT = ("pause", "snooze")
TICKABLE = ("pause", "resume", "snooze", "capture")
"""Those that may be among them. `resume` opens the camera and `capture` keeps a picture, so an
administrator has to tick them."""
SCOPES: dict[str, Scope] = {
    "pause": "control",
    "resume": "control",
    "snooze": "control",
    "start": "sessions",
    "stop": "sessions",
    "tag": "sessions",
    "capture": "sessions",
    "checkin": "checkins",
}
"""The commands, and what a token must allow for each."""
OWN = ("pause", "resume")
"""Those that the service does itself."""

LONGEST = 4096
"""Bytes of a payload."""
LONGEST_ID = 100
LONGEST_NAME = 40
"""Letters that are kept of what somebody took for a command; no command has so many."""
ASKED_WITHIN_S = 5.0
"""An errand that no page asks for within this is not carried out any more."""
DONE_WITHIN_S = 30.0
"""How long a page may take for one."""
MOST, WITHIN_S = 20, 10.0
"""So many commands are taken within so many seconds."""
REMEMBERED = 200
"""Answers kept, to give them again."""


class Order(Struct, frozen=True):
    """What a message says."""

    name: str
    id: str | None
    token: str | None
    arguments: dict[str, Any]


class OrderError(MienError, ValueError):
    """A command that is not obeyed; the text says why and what to do."""


class _Pending(Struct):
    name: str
    request: str | None
    errand: Errand
    until: float
    answered: bool
    """By the service already; the page only notes that the token was used."""


def parse(name: str, payload: bytes) -> Order:
    """What a command says.

    Raises:
        OrderError: it is too large or broken, or its `id` or `token` is no text.
    """
    if len(payload) > LONGEST:
        raise OrderError(f"a command has up to {LONGEST} bytes, this one has more")
    said: dict[str, Any] = {}
    if payload.lstrip().startswith(b"{"):
        try:
            said = msgspec.json.decode(payload, type=dict[str, Any])
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise OrderError(f"it begins as a JSON object but is none: {error}") from None
    for field in ("id", "token"):
        if not isinstance(said.get(field, ""), str):
            raise OrderError(f"{field!r} must be a text")
    id, token = said.pop("id", None) or None, said.pop("token", None) or None
    if id is not None and len(id) > LONGEST_ID:
        raise OrderError(f"'id' may have {LONGEST_ID} characters, not {len(id)}")
    return Order(name, id, token, said)


def allowed(db: Any, order: Order) -> Held | None:
    """By which token a command may be carried out; None: it needs none.

    Raises:
        OrderError: it may not; the sentence says why.
    """
    right = _right(order)
    if order.token is None:
        ticked = settings.get(db, SETTING, list[str])
        if right in TICKABLE and right in (DEFAULT if ticked is None else ticked):
            return None
        raise OrderError(
            f'{right!r} needs a token that allows {SCOPES[right]!r}: send it as "token" in a '
            "JSON object; tokens are made on the page, under the user's name"
        )
    held = tokens.find(db, order.token)
    if held is None:
        raise OrderError("this token is not known; perhaps it was revoked. Make a new one")
    if SCOPES[right] not in held.scopes:
        raise OrderError(f"this token does not allow {SCOPES[right]!r}; make one that does")
    return held


def _right(order: Order) -> str:
    """Home Assistant's switches have one topic for both: `pause` with `paused` false resumes."""
    if order.name not in OWN:
        return order.name
    paused = order.arguments.get("paused", order.name == "pause")
    if not isinstance(paused, bool):
        raise OrderError("'paused' must be true or false")
    return "pause" if paused else "resume"


class Orders:
    """Takes commands, decides, and answers. `take`, `errand` and `errand_done` are called from any
    thread; `turn` by one that does nothing else, again and again.

    Args:
        read: looks something up in the store; raises StoreError.
        pause: closes the camera (True) or opens it again.
        say: publishes an answer: topic and payload.
    """

    def __init__(
        self,
        topics: Topics,
        read: Callable[[Callable[[Any], Any]], Any],
        pause: Callable[[bool], None],
        say: Callable[[str, bytes], None],
        clock: Clock,
    ) -> None:
        self._topics = topics
        self._read = read
        self._pause = pause
        self._say = say
        self._clock = clock
        self._inbox: queue.SimpleQueue[tuple[str, bytes] | None] = queue.SimpleQueue()
        self._rate = Rate(MOST, WITHIN_S)
        self._flooded = False
        self._changed = threading.Condition()  # guards all that follows
        self._waiting: OrderedDict[str, _Pending] = OrderedDict()
        self._under_way: OrderedDict[str, _Pending] = OrderedDict()
        self._answers: OrderedDict[tuple[str, str], Response] = OrderedDict()

    def take(self, topic: str, payload: bytes) -> None:
        """A message came; returns at once."""
        name = self._topics.commanded(topic)
        if name is None:
            return
        name = name[:LONGEST_NAME]
        if self._rate.over(self._clock.monotonic()):
            # Not answered each, or the box would flood the broker in turn.
            if not self._flooded:
                self._flooded = True
                sentence = f"more than {MOST} commands came within {WITHIN_S:.0f} s; send fewer"
                self._answer(name, None, sentence)
            return
        self._flooded = False
        self._inbox.put((name, payload))

    def turn(self, timeout: float = 0.5) -> None:
        """Obey what came, and give up what nobody did."""
        try:
            came = self._inbox.get(timeout=timeout)
            while came is not None:
                self._obey(*came)
                came = self._inbox.get_nowait()
        except queue.Empty:
            pass
        self._give_up()

    # ── the page's side: `control.Daemon` ────────────────────────────────────────────────────

    def errand(self, timeout: float) -> Errand | None:
        """The next command that the page is to carry out, None when none came in time."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._waiting), timeout)
            if not self._waiting:
                return None
            id, pending = self._waiting.popitem(last=False)
            pending.until = self._clock.monotonic() + DONE_WITHIN_S
            self._under_way[id] = pending
            return pending.errand

    def errand_done(self, done: Done) -> None:
        """How it went; one that nobody waits for any more is ignored."""
        with self._changed:
            pending = self._under_way.pop(done.id, None)
            if pending and not pending.answered:
                self._answer(pending.name, pending.request, done.error, done.result)

    # ── within ───────────────────────────────────────────────────────────────────────────────

    def _obey(self, name: str, payload: bytes) -> None:
        request = None
        try:
            if name not in SCOPES:
                raise OrderError(
                    f"there is no command {name!r}; there are {', '.join(sorted(SCOPES))}"
                )
            order = parse(name, payload)
            request = order.id
            if request is not None and self._known(name, request):
                return
            held: Held | None = self._read(lambda db: allowed(db, order))
            if name not in OWN:
                self._send(name, request, payload)
                return
            paused = _right(order) == "pause"
            self._pause(paused)
            self._answer(name, request, None, {"paused": paused})
            if held:
                self._send(name, request, payload, answered=True)
        except StoreError as error:
            self._answer(name, request, f"the store cannot be read: {error}")
        except OSError as error:
            self._answer(name, request, f"it cannot be done: {error}")
        except OrderError as error:
            self._answer(name, request, str(error))

    def _known(self, name: str, request: str) -> bool:
        """Whether this very command came before; what was answered is said again."""
        with self._changed:
            if before := self._answers.get((name, request)):
                self._publish(before)
                return True
            pending = [*self._waiting.values(), *self._under_way.values()]
            return any((one.name, one.request) == (name, request) for one in pending)

    def _send(
        self, name: str, request: str | None, payload: bytes, *, answered: bool = False
    ) -> None:
        errand = Errand(str(uuid.uuid4()), name, payload)
        until = self._clock.monotonic() + ASKED_WITHIN_S
        with self._changed:
            self._waiting[errand.id] = _Pending(name, request, errand, until, answered)
            self._changed.notify()

    def _give_up(self) -> None:
        now = self._clock.monotonic()
        late = (
            (self._waiting, "Mien's page does not run, and it alone can do this; start mien-web"),
            (
                self._under_way,
                "the page did not say in time how it went; look there before you try again",
            ),
        )
        with self._changed:
            for pile, sentence in late:
                for id, pending in list(pile.items()):
                    if pending.until <= now:
                        del pile[id]
                        if not pending.answered:
                            self._answer(pending.name, pending.request, sentence)

    def _answer(
        self, name: str, request: str | None, error: str | None = None, result: Any = None
    ) -> None:
        if error:
            log.warning("The command %r by MQTT was refused: %s", name, error)
        else:
            log.info("The command %r came by MQTT and was obeyed.", name)
        response = Response(
            id=str(uuid.uuid4()),
            box=self._topics.box,
            command=name,
            request=request,
            ok=error is None,
            error=error,
            result=result,
        )
        if request is not None:
            with self._changed:
                self._answers[name, request] = response
                while len(self._answers) > REMEMBERED:
                    self._answers.popitem(last=False)
        self._publish(response)

    def _publish(self, response: Response) -> None:
        # A name that is no command may be no topic either.
        leaf = response.command if response.command in SCOPES else "unknown"
        self._say(self._topics.response(leaf), msgspec.json.encode(response))


assert set(SCOPES.values()) <= set(get_args(Scope))
