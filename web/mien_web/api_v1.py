"""The API, version 1: the box's data for programs that hold a token. Described in docs/api.md and,
for programs, by /api/v1/openapi.json; resources are in the modules `api_v1_…`."""

from typing import NoReturn

from flask import Response, abort, g
from msgspec import Struct
from msgspec.structs import replace

from mien.control import ControlError
from mien.events import Health
from mien_web import (
    api_v1_checkins,
    api_v1_description,
    api_v1_log,
    api_v1_sessions,
    desk,
    snoozing,
    words,
)
from mien_web.api_v1_gate import json, offer, page

__all__ = ["page"]

PARTS = (api_v1_log, api_v1_checkins, api_v1_sessions)
"""Their views are offered as soon as they are imported."""


class Paused(Struct, frozen=True):
    paused: bool


class Snoozed(Struct, frozen=True):
    """For how many people reminders were put off."""

    people: int


@offer("GET", "/status", "status", "How the box is", answer=Health)
def status() -> Health:
    try:
        health = desk.control().status()
    except ControlError as error:
        _silent(error)
    # Which session runs is for those who lead sessions.
    return health if "sessions" in g.held.scopes else replace(health, session=None)


@offer(
    "GET", "/metrics", "status", "Counters and gauges of the box in Prometheus’ text format",
    answer="text/plain",
)  # fmt: skip
def metrics() -> Response:
    try:
        text = desk.control().metrics()
    except ControlError as error:
        _silent(error)
    return Response(text, content_type="text/plain; version=0.0.4; charset=utf-8")


@offer("POST", "/pause", "control", "Close the camera", answer=Paused)
def pause() -> Paused:
    return _switch(True)


@offer("POST", "/resume", "control", "Open it again, where consent allows", answer=Paused)
def resume() -> Paused:
    return _switch(False)


@offer("POST", "/snooze", "control", "Put reminders of check-ins off", answer=Snoozed,
       problems=(409,))  # fmt: skip
def snooze() -> Snoozed:
    return Snoozed(snoozing.snooze(desk.user().id))


@offer("GET", "/openapi.json", None, "This document", answer="application/json")
def openapi() -> Response:
    return json(api_v1_description.document())


def _switch(paused: bool) -> Paused:
    try:
        desk.control().pause() if paused else desk.control().resume()
    except ControlError as error:
        _silent(error)
    return Paused(paused)


def _silent(error: Exception) -> NoReturn:
    abort(503, words.sentence(str(error)))
