"""How the home log is just now, in words: whose it is, whether it runs, and why not."""

from typing import Any, Literal

from flask_babel import gettext
from msgspec import Struct

from mien import clients, mandate, quiet, settings
from mien.clients import Client
from mien.control import ControlError
from mien_web import desk, languages, words

Whose = Literal["another's", "nobody's"]


class State(Struct, frozen=True):
    """`kind`: on, off, or lost where the service does not answer."""

    kind: Literal["on", "off", "lost"]
    title: str
    text: str


def whose(person: Client) -> Whose | None:
    """Whose the box's log is, where it is not this person's; None in the demo."""

    def work(db: Any) -> Whose | None:
        owner = mandate.resident(db)
        if settings.setting(db) == "demo" or owner == person.id:
            return None
        return "another's" if owner else "nobody's"

    return desk.read(work)


def state(person: Client) -> State:
    """Whether the log runs now; if not, why not and what to do."""
    now_ms, where = round(desk.now().utc * 1000), languages.zone()
    try:
        health = desk.control().status()
    except ControlError as error:
        return State("lost", gettext("The service does not answer"), words.sentence(error))
    if health.paused:
        return State(
            "off",
            gettext("Paused – the camera is off"),
            gettext("Somebody paused the box. Resume it on the live view."),
        )
    end = desk.read(lambda db: quiet.until(quiet.of(db), now_ms, where))
    if end is not None:
        return State(
            "off",
            gettext("Quiet until %(moment)s", moment=languages.moment(end)),
            gettext("The camera is closed in the quiet hours, and opens by itself afterwards."),
        )
    owner = whose(person)
    if owner == "nobody's":
        gone = _withdrawn(person)
        title = gettext("The log does not run: nobody of the house has agreed to it")
        if gone:
            return State(
                "off", title,
                gettext("The consent was withdrawn on %(day)s.", day=languages.day(gone)),
            )  # fmt: skip
        return State("off", title, gettext("It begins once the consent to it is recorded."))
    if health.mandate == "session":
        return State(
            "off",
            gettext("A session is running"),
            gettext("The home log goes on when it has ended."),
        )
    if health.mandate in ("home", "demo"):
        return _running(person, owner, health.mandate)
    wrong = next((part for part in health.parts if part.status != "ok"), None)
    told = wrong or next((part for part in health.parts if part.name == "consent"), None)
    text = words.sentence(told.text) if told else ""
    return State("off", gettext("The camera is closed"), text)


def _running(person: Client, owner: Whose | None, word: str) -> State:
    if word == "demo":
        return State(
            "on",
            gettext("The log runs, as a demo"),
            gettext("Whoever sits there is read and kept, until the box is set up."),
        )
    if owner:
        return State(
            "on",
            gettext("The log runs"),
            gettext("The camera is open, and what it sees belongs to that log."),
        )
    given = desk.read(lambda db: clients.standing(db, person.id)).get("home")
    text = (
        gettext("With the consent of %(day)s.", day=languages.day(given.given_utc)) if given else ""
    )
    return State("on", gettext("The log runs"), text)


def _withdrawn(person: Client) -> int | None:
    """When this person last took back the consent to the log, ms of UTC."""
    held = desk.read(lambda db: clients.history(db, person.id))
    times = [one.withdrawn_utc for one in held if one.kind == "home" and one.withdrawn_utc]
    return max(times, default=None)
