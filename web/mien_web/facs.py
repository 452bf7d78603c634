"""The Facial Action Coding System as a table to look things up in: single action units, and the
expressions that are described by them. Mien itself reads no action units.

Codes and muscles after P. Ekman and W. V. Friesen, "Facial Action Coding System" (Consulting
Psychologists Press, 1978), as revised by P. Ekman, W. V. Friesen and J. C. Hager (2002).
"""

from collections.abc import Callable
from typing import Any, Literal, cast, get_args

from flask import Blueprint, abort, render_template, request
from flask_babel import gettext, lazy_gettext
from msgspec import Struct

from mien_web import door, labels

page = Blueprint("facs", __name__)
door.needs(page)

Region = Literal["upper face", "lower face", "whole face", "eyes", "head"]


class Unit(Struct, frozen=True):
    """An action unit or descriptor. `muscle`: what moves it, where the manual names one."""

    code: int
    name: str
    muscle: str | None
    region: Region


class Member(Struct, frozen=True):
    """A unit within an expression. `intensity`: from A, a trace, to E, the most there is; `side`:
    on one side of the face only."""

    code: int
    name: str
    muscle: str | None
    intensity: Literal["A", "B", "C", "D", "E"] | None
    side: Literal["right or left"] | None


class Prototype(Struct, frozen=True):
    """An expression as it is commonly described. `read`: whether it is among those that Mien names
    (by comparing pictures, not by these units)."""

    expression: str
    formula: str
    units: list[Member]
    read: bool


class Table(Struct, frozen=True):
    """All of it. `note` says what Mien does with it: nothing."""

    note: str
    sources: list[str]
    units: list[Unit]
    expressions: list[Prototype]


def N_(text: str) -> str:
    """Marks a text for translation where it is shown."""
    return text


_UNITS: tuple[tuple[int, str, str | None, Region], ...] = (
    (0, N_("Neutral face"), None, "whole face"),
    (1, N_("Inner brow raiser"), "frontalis, pars medialis", "upper face"),
    (2, N_("Outer brow raiser"), "frontalis, pars lateralis", "upper face"),
    (4, N_("Brow lowerer"),
     "depressor glabellae, depressor supercilii, corrugator supercilii", "upper face"),
    (5, N_("Upper lid raiser"), "levator palpebrae superioris", "upper face"),
    (6, N_("Cheek raiser"), "orbicularis oculi, pars orbitalis", "upper face"),
    (7, N_("Lid tightener"), "orbicularis oculi, pars palpebralis", "upper face"),
    (8, N_("Lips toward each other"), "orbicularis oris", "lower face"),
    (9, N_("Nose wrinkler"), "levator labii superioris alaeque nasi", "lower face"),
    (10, N_("Upper lip raiser"), "levator labii superioris, caput infraorbitale", "lower face"),
    (11, N_("Nasolabial deepener"), "zygomaticus minor", "lower face"),
    (12, N_("Lip corner puller"), "zygomaticus major", "lower face"),
    (13, N_("Sharp lip puller"), "levator anguli oris (caninus)", "lower face"),
    (14, N_("Dimpler"), "buccinator", "lower face"),
    (15, N_("Lip corner depressor"), "depressor anguli oris (triangularis)", "lower face"),
    (16, N_("Lower lip depressor"), "depressor labii inferioris", "lower face"),
    (17, N_("Chin raiser"), "mentalis", "lower face"),
    (18, N_("Lip pucker"), "incisivii labii superioris, incisivii labii inferioris", "lower face"),
    (19, N_("Tongue show"), None, "lower face"),
    (20, N_("Lip stretcher"), "risorius, platysma", "lower face"),
    (21, N_("Neck tightener"), "platysma", "lower face"),
    (22, N_("Lip funneler"), "orbicularis oris", "lower face"),
    (23, N_("Lip tightener"), "orbicularis oris", "lower face"),
    (24, N_("Lip pressor"), "orbicularis oris", "lower face"),
    (25, N_("Lips part"),
     "depressor labii inferioris, or relaxation of mentalis or orbicularis oris", "lower face"),
    (26, N_("Jaw drop"), "masseter, temporalis and internal pterygoid relaxed", "lower face"),
    (27, N_("Mouth stretch"), "pterygoids, digastric", "lower face"),
    (28, N_("Lip suck"), "orbicularis oris", "lower face"),
    (29, N_("Jaw thrust"), None, "lower face"),
    (30, N_("Jaw sideways"), None, "lower face"),
    (31, N_("Jaw clencher"), "masseter", "lower face"),
    (32, N_("Lip bite"), None, "lower face"),
    (33, N_("Cheek blow"), None, "lower face"),
    (34, N_("Cheek puff"), None, "lower face"),
    (35, N_("Cheek suck"), None, "lower face"),
    (36, N_("Tongue bulge"), None, "lower face"),
    (37, N_("Lip wipe"), None, "lower face"),
    (38, N_("Nostril dilator"), "nasalis, pars alaris", "lower face"),
    (39, N_("Nostril compressor"), "nasalis, pars transversa, depressor septi nasi", "lower face"),
    (41, N_("Lid droop"), "levator palpebrae superioris relaxed", "upper face"),
    (42, N_("Slit"), "orbicularis oculi", "upper face"),
    (43, N_("Eyes closed"),
     "levator palpebrae superioris relaxed; orbicularis oculi, pars palpebralis", "upper face"),
    (44, N_("Squint"), "orbicularis oculi, pars palpebralis", "upper face"),
    (45, N_("Blink"),
     "levator palpebrae superioris relaxed; orbicularis oculi, pars palpebralis", "upper face"),
    (46, N_("Wink"), "orbicularis oculi", "upper face"),
    (51, N_("Head turn left"), None, "head"),
    (52, N_("Head turn right"), None, "head"),
    (53, N_("Head up"), None, "head"),
    (54, N_("Head down"), None, "head"),
    (55, N_("Head tilt left"), None, "head"),
    (56, N_("Head tilt right"), None, "head"),
    (57, N_("Head forward"), None, "head"),
    (58, N_("Head back"), None, "head"),
    (61, N_("Eyes turn left"), None, "eyes"),
    (62, N_("Eyes turn right"), None, "eyes"),
    (63, N_("Eyes up"), None, "eyes"),
    (64, N_("Eyes down"), None, "eyes"),
)  # fmt: skip

_PROTOTYPES = {
    "anger": "4+5+7+23",
    "disgust": "9+15+16",
    "fear": "1+2+4+5+7+20+26",
    "happiness": "6+12",
    "sadness": "1+4+15",
    "surprise": "1+2+5B+26",
    "neutral": "0",
    "contempt": "R12A+R14A",
}


def _members(formula: str) -> list[Member]:
    """`R12A` is unit 12, a trace of it, on one side."""
    found = []
    for part in formula.split("+"):
        code = int(part.strip("RLABCDE"))
        unit = next(unit for unit in _UNITS if unit[0] == code)
        found.append(
            Member(
                code,
                unit[1],
                unit[2],
                part[-1] if part[-1] in "ABCDE" else None,  # type: ignore[arg-type]
                "right or left" if part[0] in "RL" else None,
            )
        )
    return found


TABLE = Table(
    N_("Mien reads no action units. It compares whole faces with labelled pictures."),
    [
        "P. Ekman, W. V. Friesen: Facial Action Coding System. Consulting Psychologists Press, "
        "Palo Alto 1978.",
        "P. Ekman, W. V. Friesen, J. C. Hager: Facial Action Coding System. The Manual; "
        "Investigator's Guide. Research Nexus, Salt Lake City 2002.",
        "W. V. Friesen, P. Ekman: EMFACS-7, Emotional Facial Action Coding System. University of "
        "California, San Francisco 1983 (unpublished).",
    ],
    [Unit(*unit) for unit in _UNITS],
    [
        Prototype(name, formula, _members(formula), name != "contempt")
        for name, formula in _PROTOTYPES.items()
    ],
)

NAMES: dict[str, Any] = {
    **{str(k): v for k, v in labels.NAMES.items()},
    "contempt": lazy_gettext("contempt"),
}
REGIONS: dict[Region, Any] = {
    "upper face": lazy_gettext("upper face"),
    "lower face": lazy_gettext("lower face"),
    "whole face": lazy_gettext("whole face"),
    "eyes": lazy_gettext("eyes"),
    "head": lazy_gettext("head"),
}

Order = Literal["code", "name", "muscle", "region"]


@page.get("/facs")
def show() -> str:
    order, text = request.args.get("sort", "code"), request.args.get("q", "").strip()[:100]
    if order not in get_args(Order):
        abort(
            400,
            gettext(
                "“%(name)s” must be one of %(choices)s.",
                name="sort",
                choices=", ".join(get_args(Order)),
            ),
        )
    return render_template(
        "facs/show.html",
        table=TABLE,
        units=_ordered(_found(text), cast(Order, order)),
        order=order,
        text=text,
        used=_used(),
        names=NAMES,
        regions=REGIONS,
    )


def _found(text: str) -> list[Unit]:
    words = text.lower().split()
    return [
        unit
        for unit in TABLE.units
        if all(
            word == str(unit.code)
            or word == f"au{unit.code}"
            or word in f"{unit.name} {gettext(unit.name)} {unit.muscle or ''}".lower()
            for word in words
        )
    ]


def _ordered(units: list[Unit], order: Order) -> list[Unit]:
    keys: dict[Order, Callable[[Unit], Any]] = {
        "code": lambda unit: "",
        "name": lambda unit: gettext(unit.name).lower(),
        "muscle": lambda unit: (unit.muscle is None, unit.muscle or ""),
        "region": lambda unit: unit.region,
    }
    return sorted(units, key=lambda unit: (keys[order](unit), unit.code))


def _used() -> dict[int, list[str]]:
    """The expressions that a unit is part of."""
    return {
        unit.code: [
            prototype.expression
            for prototype in TABLE.expressions
            if any(member.code == unit.code for member in prototype.units)
        ]
        for unit in TABLE.units
    }
