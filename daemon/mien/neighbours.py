"""How the other boxes at this broker are, by what they say of themselves: their newest health, and
since when nothing came.

Whoever may publish there may write anything, so nothing of it is believed to be more than text of
a decent length. Only in memory: after a restart the broker hands the newest over again.
"""

import logging
import threading
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from mien.broker import OFFLINE, ONLINE
from mien.clock import Clock
from mien.config import BoxId
from mien.events import ROOM, Hearing, Neighbour, Neighbourhood, Part, worst

log = logging.getLogger(__name__)

SILENT_S = 180.0
"""A box speaks once a minute."""
FORGOTTEN_S = 24 * 3600.0
MOST = 64
LARGEST = 16 * 1024
"""Bytes of a payload; that of a real box has about two thousand."""
MOST_PARTS = 16
SENTENCE, WORD = 400, 40
"""Letters that are kept of a sentence and of a word: the page looks each up among those it knows,
which takes the longer the longer it is."""


class _Said(Struct, frozen=True):
    """What is read of `events.Health`; a later version may say more, and open the camera for
    other reasons."""

    id: str
    box: BoxId
    time: str
    paused: bool
    version: str
    parts: Annotated[list[Part], Meta(max_length=MOST_PARTS)]
    mandate: str | None = None
    room: str | None = None


class _Box(Struct):
    at: float
    """When its last word came, by the monotonic clock, and whether it was news or lay there."""
    news: bool = False
    said: _Said | None = None
    off: float | None = None
    """When it was said to be off, and whether that was news."""
    off_news: bool = False


class Neighbours:
    """Told by the publisher, in its thread; asked from any."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._boxes: dict[str, _Box] = {}
        self._connected: float | None = None
        self._ignored = 0

    def connected(self) -> None:
        """From now on everything is heard, and the broker hands over what lies there."""
        with self._lock:
            self._connected = self._clock.monotonic()

    def lost(self) -> None:
        """From now on nothing is."""
        with self._lock:
            self._connected = None

    def heard(self, box: str, leaf: str, payload: bytes, retained: bool) -> None:
        """A message on a topic of another box; `retained`: it lay there, so is no sign of life."""
        with self._lock:
            self._forget()
            if leaf == "health":
                taken = self._health(box, payload, retained)
            else:
                taken = self._availability(box, payload, retained)
            if not taken:
                self._ignored += 1
                if self._ignored == 1:
                    log.warning("what came as the %s of another box was ignored", leaf)

    def known(self) -> Neighbourhood:
        """The boxes by name, as they are now."""
        with self._lock:
            self._forget()
            boxes = [
                self._told(box, box.said)
                for _, box in sorted(self._boxes.items())
                if box.said is not None
            ]
            return Neighbourhood(True, self._connected is not None, boxes, self._ignored)

    # ── with the lock held ───────────────────────────────────────────────────────────────────

    def _health(self, name: str, payload: bytes, retained: bool) -> bool:
        if not payload:  # it was cleared from the broker
            self._boxes.pop(name, None)
            return True
        said = _read(payload)
        if said is None or said.box != name:
            return False
        box = self._box(name, known_by_health=True)
        if box is None:
            return False
        # A broker that is joined to another hands over what lay there as if it were new.
        if box.said is None or box.said.id != said.id:
            box.at, box.news, box.said = self._clock.monotonic(), not retained, said
            if not retained:
                box.off = None
        return True

    def _availability(self, name: str, payload: bytes, retained: bool) -> bool:
        if not payload:
            return True
        if payload not in (ONLINE, OFFLINE) or not _named(name):
            return False
        box = self._box(name)
        if box is None:
            return False
        now = self._clock.monotonic()
        if payload == OFFLINE and box.off is None:
            box.off, box.off_news = now, not retained
        elif payload == ONLINE and box.off is not None:
            box.off, box.at, box.news = None, now, False  # how it is it says within a minute
        return True

    def _box(self, name: str, known_by_health: bool = False) -> _Box | None:
        """The box of this name, a new one if need be; None where there is no room for it. One
        that says how it is comes before one of which only the name is known."""
        if name not in self._boxes:
            if known_by_health and len(self._boxes) >= MOST:
                mute = (other for other, box in self._boxes.items() if box.said is None)
                self._boxes.pop(next(mute, ""), None)
            if len(self._boxes) >= MOST:
                return None
            self._boxes[name] = _Box(self._clock.monotonic())
        return self._boxes[name]

    def _forget(self) -> None:
        before = self._clock.monotonic() - FORGOTTEN_S
        for name, box in list(self._boxes.items()):
            if max(box.at, box.off or 0.0) < before:
                del self._boxes[name]

    def _told(self, box: _Box, said: _Said) -> Neighbour:
        now = self._clock.monotonic()
        quiet, witnessed = now - box.at, box.news
        state: Hearing
        if box.off is not None:
            state, quiet, witnessed = "offline", now - box.off, box.off_news
        elif box.news and quiet <= SILENT_S:
            state = "heard"
        elif self._connected is None or now - max(box.at, self._connected) <= SILENT_S:
            state = "waiting"  # who does not listen cannot say that somebody is silent
        else:
            state = "silent"
        parts = [_tidy(part) for part in said.parts]
        return Neighbour(
            box=said.box,
            room=_text(said.room or "", ROOM).strip() or None,
            state=state,
            unheard_s=round(quiet, 1),
            witnessed=witnessed,
            said=_text(said.time, WORD),
            status=worst(parts),
            paused=said.paused,
            open=said.mandate is not None and not said.paused,
            version=_text(said.version, WORD),
            parts=parts,
        )


def _read(payload: bytes) -> _Said | None:
    if len(payload) > LARGEST:
        return None
    try:
        return msgspec.json.decode(payload, type=_Said)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _named(box: str) -> bool:
    try:
        msgspec.convert(box, BoxId)
    except msgspec.ValidationError:
        return False
    return True


def _tidy(part: Part) -> Part:
    cure = _text(part.cure, SENTENCE) if part.cure else None
    return Part(_text(part.name, WORD), part.status, _text(part.text, SENTENCE), cure)


def _text(said: str, most: int) -> str:
    """At most so many letters of it, and nothing that steers a screen or turns it around."""
    short = said if len(said) <= most else said[: most - 1] + "…"
    return "".join(letter if letter.isprintable() else " " for letter in short)
