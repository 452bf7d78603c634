"""What the box says: readings, episodes, state and health, as immutable values with a JSON form.

Everything here is plain data. Field names are the names on MQTT, in `--json` outputs and on the
control socket; change them only together with `VERSION`.
"""

from typing import Literal

import msgspec

VERSION = 1
ROOM = 40
"""Letters that `Health.room` has at most."""

Expression = Literal["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"]
EXPRESSIONS: tuple[Expression, ...] = (
    "anger",
    "disgust",
    "fear",
    "happiness",
    "sadness",
    "surprise",
    "neutral",
)

Reason = Literal[
    "several people in the seat",
    "too small",
    "turned away",
    "too dark",
    "too bright",
    "blurred",
    "low confidence",
    "does not move",
]
"""Why a face got no label. Rows hold places in this list: append, never reorder."""

Status = Literal["ok", "degraded", "failed"]

Mandate = Literal["session", "home", "demo", "aim"]
"""What the camera is open for, see `Health.mandate`."""


Hearing = Literal["heard", "waiting", "silent", "offline"]
"""Of another box: heard lately; not heard as yet; not heard for longer than a box is silent; said
to be off, by itself or the broker."""


class MienError(Exception):
    """Root of every error that Mien raises for people: its text is a sentence with the cure."""


class Turn(msgspec.Struct, frozen=True):
    """Head turn in degrees. Yaw > 0: towards the picture's right; pitch > 0: up; roll > 0: the
    head is tilted clockwise as seen in the picture."""

    yaw: float
    pitch: float
    roll: float


class Reading(msgspec.Struct, frozen=True):
    """What one face in one frame looked like."""

    box: tuple[int, int, int, int]
    """x, y, width, height in pixels of the frame."""
    score: float
    """The face finder's own confidence, 0–1."""
    track: int
    """Number of the track by overlap; it is no identity and ends when the face leaves."""
    quality: float
    """0–1: the worst of size, turn, light and sharpness, each 1 when it does not matter."""
    label: Expression | None
    """What the expression looks like, or None when it cannot tell."""
    reason: Reason | None
    """Why it cannot tell; None when there is a label, or when the camera is only being aimed."""
    confidence: float
    """Calibrated probability of the most likely expression, 0–1."""
    probabilities: dict[Expression, float]
    """Calibrated, over the seven expressions, summing to 1."""
    valence: float
    """Expected pleasantness of the expression, −1 to 1 (see `reading.VALENCE`)."""
    turn: Turn
    facing: bool
    """Whether the head is turned to the camera enough to be read."""


class Episode(msgspec.Struct, frozen=True):
    """A stretch in which the smoothed expression stayed the same. Times are seconds, monotonic."""

    expression: Expression
    start: float = msgspec.field(name="from")
    end: float = msgspec.field(name="to")
    peak: float
    """Highest smoothed probability of the expression in it."""


class Live(msgspec.Struct, frozen=True):
    """The newest frame as the live page shows it; never stored, never on MQTT."""

    frame: int
    width: int
    height: int
    """Size in pixels of the frame that the boxes refer to."""
    readings: list[Reading]
    expression: Expression | None
    """Smoothed expression of the seat, None when it cannot tell."""
    reason: Reason | None
    probabilities: dict[Expression, float]
    """Smoothed; all zero while there is nobody to read."""
    valence: float | None
    facing_share: float | None
    """Share of the last minute's seconds with a face in which it was facing."""
    episode: Expression | None
    episode_s: float | None
    """Expression and length in seconds of the episode going on, if there is one."""
    note: str | None = None
    """A sentence about the source, such as that the demo portrait is playing."""


class Capture(msgspec.Struct, frozen=True):
    """The seat's face in one frame, because somebody pressed "capture"; the daemon keeps none."""

    frame: int
    boot: str
    """Boot id, and whole milliseconds since that boot."""
    boot_ms: int
    face: bytes
    """JPEG in colour: the face with a margin, masked zones black, at most 320 pixels a side."""
    crop: bytes
    """PNG, 48×48 grey: what the network saw."""
    expression: Expression | None
    """As read in this very frame, not smoothed; None when it cannot tell."""
    reason: Reason | None
    probabilities: dict[Expression, float]
    embedding: bytes
    """f32 little-endian, [C]: the mean of the last feature map."""
    maps: bytes
    """u8 [7, side, side]: class-activation maps in the order of `EXPRESSIONS`."""
    side: int
    bundle: str
    quality: float
    """As `Reading.quality`."""


class Stretch(msgspec.Struct, frozen=True):
    """A stretch of time within one boot, in whole milliseconds since it: from ≤ t < to."""

    boot: str
    from_ms: int
    to_ms: int


class Quarter(msgspec.Struct, frozen=True):
    """What was seen in a quarter of an hour of UTC: seconds of each kind. `valence` is the sum over
    the seconds read, in thousandths."""

    quarter: int
    """Milliseconds of UTC // 900,000."""
    seconds: int
    seen: int
    facing: int
    read: int
    several: int
    expressions: dict[Expression, int]
    valence: int


class Errand(msgspec.Struct, frozen=True):
    """A command that came by MQTT and that only the page may carry out."""

    id: str
    """Made up by the daemon; the answer names it."""
    name: str
    """The last part of the topic: `start`, `stop`, `tag`, …"""
    body: bytes
    """The payload as it came."""


class Done(msgspec.Struct, frozen=True):
    """How an errand went: `error` is None or a sentence."""

    id: str
    error: str | None = None
    result: dict[str, str | int | float | bool | None] | None = None


# ── MQTT payloads: each carries the version, an id to know a duplicate by, and the box ───────────


class State(msgspec.Struct, frozen=True, kw_only=True):
    """Retained on `state`: the newest second."""

    v: int = VERSION
    id: str
    box: str
    time: str
    """UTC, ISO 8601."""
    clock_ok: bool
    paused: bool
    watching: bool = True
    """Whether the camera was looking; if not, nobody knows who is there."""
    people: int
    expression: Expression | None
    reason: Reason | None
    confidence: float | None
    valence: float | None
    probabilities: dict[Expression, float] | None
    facing: bool | None


class EpisodeEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Sent once on `event` when an episode ended; at least once, so know it by its id."""

    v: int = VERSION
    id: str
    box: str
    kind: Literal["episode"] = "episode"
    expression: Expression
    start: str = msgspec.field(name="from")
    end: str = msgspec.field(name="to")
    """UTC, ISO 8601."""
    seconds: float
    peak: float
    clock_ok: bool


class Today(msgspec.Struct, frozen=True, kw_only=True):
    """Retained on `today`, at home: how the day went so far, by the box's own time zone."""

    v: int = VERSION
    id: str
    box: str
    time: str
    date: str
    """ISO 8601."""
    watched_minutes: int
    seen_minutes: int
    """With a face in the seat."""
    read_minutes: int
    """With an expression."""
    expression: Expression | None
    """The one read most, None under `moodlog.ENOUGH_S`."""
    valence: float | None
    checkins: int | None
    """What the person said of themselves today; None unless they share it."""
    mood: float | None
    """Mean of today's check-ins, 1–5; None likewise."""


class Reminder(msgspec.Struct, frozen=True, kw_only=True):
    """Sent on `event` when the time of a check-in has come that the person chose; never late."""

    v: int = VERSION
    id: str
    box: str
    kind: Literal["reminder"] = "reminder"
    time: str


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """Sent once on `response/<command>`."""

    v: int = VERSION
    id: str
    box: str
    command: str
    request: str | None
    """The `id` of the command, if it had one."""
    ok: bool
    error: str | None = None
    """A sentence: why not, and what to do."""
    result: dict[str, str | int | float | bool | None] | None = None


class Part(msgspec.Struct, frozen=True):
    """One part of the box and how it is."""

    name: str
    status: Status
    text: str
    cure: str | None = None


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """Retained on `health`: how each part is, in words, with the cure."""

    v: int = VERSION
    id: str
    box: str
    time: str
    status: Status
    paused: bool
    version: str
    parts: list[Part]
    mandate: Mandate | None = None
    """On whose word the camera is open: a session's, the home log's, as a demo, or only to aim it
    at the seat. None: it is closed."""
    session: str | None = None
    """Id of the session that is read; never on MQTT."""
    room: str | None = None
    """What people call the place, [box] room."""


class Neighbour(msgspec.Struct, frozen=True):
    """Another box, by what it said of itself last; never on MQTT."""

    box: str
    room: str | None
    state: Hearing
    unheard_s: float
    """Seconds for which it has been so; when waiting or silent, for which nothing was heard."""
    witnessed: bool
    """Whether this box heard it come, so that `unheard_s` is true and not only "at least"."""
    said: str
    """UTC of its last word by its own clock, ISO 8601 if it keeps to the format."""
    status: Status
    paused: bool
    open: bool
    """Whether its camera is, or would be if it worked: what the camera's part says."""
    version: str
    parts: list[Part]


class Neighbourhood(msgspec.Struct, frozen=True):
    """What this box knows of the others at its broker."""

    on: bool
    """Whether it listens for them, [mqtt] neighbours."""
    connected: bool = False
    """Whether it hears them now; if not, their silence says nothing."""
    boxes: list[Neighbour] = []
    ignored: int = 0
    """Messages that were no health of a box, or of more boxes than are kept."""


def worst(parts: list[Part]) -> Status:
    """The status of the whole: that of its worst part."""
    for status in ("failed", "degraded"):
        if any(part.status == status for part in parts):
            return status
    return "ok"
