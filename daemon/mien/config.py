"""The configuration: one TOML file, read once, every problem in it told at once.

Each section is a frozen struct whose annotations are at once the types, the limits and the words
for both; `mien check` prints what is wrong, where, and what is allowed.
"""

import os
import re
import tomllib
import types
import typing
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from mien.events import ROOM, MienError
from mien.filenames import quoted

Point = tuple[Annotated[float, Meta(ge=0, le=1)], Annotated[float, Meta(ge=0, le=1)]]
Polygon = Annotated[list[Point], Meta(min_length=3)]
"""Corners as fractions of the picture's width and height, from its upper left."""

BoxId = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,31}\Z")]
Room = Annotated[str, Meta(min_length=1, max_length=ROOM)]


def _doc(text: str, **limits: Any) -> Meta:
    return Meta(description=text, **limits)


class Box(Struct, frozen=True):
    id: Annotated[BoxId | None, _doc("name on MQTT; made up at the first start when left out")] = (
        None
    )
    room: Annotated[Room | None, _doc("what people call the place, such as Room 2")] = None
    state_dir: Annotated[str | None, _doc("folder for the database, key and fetched models")] = None


class Camera(Struct, frozen=True):
    source: Annotated[
        str, _doc("auto, picamera2, a device, a URL, a video, a picture or folder")
    ] = "auto"
    width: Annotated[int, _doc("pixels", ge=160, le=4096)] = 1280
    height: Annotated[int, _doc("pixels", ge=120, le=4096)] = 720
    fps: Annotated[float, _doc("frames a second at most", gt=0, le=60)] = 15.0
    stall_s: Annotated[float, _doc("seconds without a frame before reopening", ge=0.5, le=60)] = 5.0
    rotate: Annotated[Literal[0, 90, 180, 270], _doc("degrees clockwise to turn the picture")] = 0
    mirror: Annotated[bool, _doc("swap left and right, after turning")] = False


class Seat(Struct, frozen=True):
    client: Annotated[Polygon | None, _doc("the client's seat; the whole picture if left out")] = (
        None
    )
    masked: Annotated[list[Polygon], _doc("seats blacked out before any detection")] = []
    far: Annotated[bool, _doc("look in two tiles, for a seat beyond two metres")] = False
    drawn: Annotated[
        str | None,
        _doc("the picture it was drawn on, such as 1280x720; the first one met if left out"),
    ] = None


class Faces(Struct, frozen=True):
    finder: Annotated[
        Literal["auto", "blazeface", "yunet", "haar"], _doc("auto: blazeface, else haar")
    ] = "auto"
    yunet_model: Annotated[str | None, _doc("path of a YuNet .onnx file, for finder = yunet")] = (
        None
    )
    min_score: Annotated[float, _doc("face score to count as a face", ge=0.1, le=0.99)] = 0.5


class ExpressionModel(Struct, frozen=True):
    bundle: Annotated[str | None, _doc("path of a bundle folder; the shipped one if left out")] = (
        None
    )
    accelerator: Annotated[Literal["auto", "cpu", "edgetpu"], _doc("where the network runs")] = (
        "auto"
    )
    threads: Annotated[int, _doc("CPU threads a network may use", ge=1, le=4)] = 1


class Limits(Struct, frozen=True):
    """When a face can be read; see `reading`."""

    min_face_px: Annotated[float, _doc("width of a face in pixels", ge=8, le=400)] = 24.0
    max_yaw: Annotated[float, _doc("degrees to either side", ge=10, le=90)] = 40.0
    max_pitch: Annotated[float, _doc("degrees up or down", ge=10, le=90)] = 35.0
    min_light: Annotated[float, _doc("mean grey of the face, 0–255", ge=0, le=255)] = 30.0
    max_light: Annotated[float, _doc("mean grey of the face, 0–255", ge=0, le=255)] = 225.0
    min_sharpness: Annotated[float, _doc("1 minus blur, see reading.sharpness", ge=0, le=1)] = 0.30
    still_s: Annotated[
        float, _doc("seconds after which a face that has not moved is not read", ge=5, le=86_400)
    ] = 30.0
    min_confidence: Annotated[
        float | None, _doc("calibrated probability; the bundle's own if left out", ge=0, le=1)
    ] = None


class Smoothing(Struct, frozen=True):
    window_s: Annotated[float, _doc("time constant of the average, seconds", ge=0, le=30)] = 0.5
    enter: Annotated[float, _doc("smoothed probability that begins an episode", gt=0, le=1)] = 0.5
    leave: Annotated[float, _doc("smoothed probability that ends it", ge=0, lt=1)] = 0.35
    # Expressions on faces last from half a second to four (D. Matsumoto and H. S. Hwang, "Evidence
    # for training the ability to read microexpressions", Motivation and Emotion 35, 2011).
    min_dwell_s: Annotated[float, _doc("shortest episode, seconds", ge=0, le=60)] = 0.5
    max_gap_s: Annotated[float, _doc("unread time that ends an episode", ge=0.1, le=60)] = 2.0


class Mqtt(Struct, frozen=True):
    enabled: bool = True
    host: Annotated[str, _doc("name or address of the broker", min_length=1)] = "localhost"
    port: Annotated[int, _doc("1–65535", ge=1, le=65535)] = 1883
    username: str | None = None
    password_file: Annotated[str | None, _doc("file whose first line is the password")] = None
    tls: Annotated[bool, _doc("encrypt; needed off this machine")] = False
    ca_file: Annotated[str | None, _doc("certificate authority, PEM")] = None
    neighbours: Annotated[bool, _doc("listen how other boxes at this broker are")] = False
    discovery: Annotated[bool, _doc("at home, tell Home Assistant of this box by itself")] = True
    discovery_prefix: Annotated[str, _doc("Home Assistant's own", min_length=1)] = "homeassistant"


class Store(Struct, frozen=True):
    readings_days: Annotated[int, _doc("days that one-second readings are kept", ge=1, le=366)] = 14
    min_free_mb: Annotated[int, _doc("free MB under which readings stop", ge=1, le=100_000)] = 200
    outbox_rows: Annotated[int, _doc("unsent events kept at most", ge=100, le=1_000_000)] = 50_000


class Page(Struct, frozen=True):
    host: Annotated[
        Literal["127.0.0.1", "::1", "localhost"],
        _doc("loopback only; what speaks TLS stands before it"),
    ] = "127.0.0.1"
    port: Annotated[int, _doc("1–65535", ge=1, le=65535)] = 8080
    hosts: Annotated[
        list[str], _doc("names of this box that are answered, besides its own and all addresses")
    ] = []
    ca_file: Annotated[
        str | None, _doc("the box's own certificate authority, which /trust offers to tablets")
    ] = None
    viewers: Annotated[int, _doc("live pictures at once", ge=1, le=32)] = 4


class Light(Struct, frozen=True):
    led: Annotated[
        int | None, _doc("GPIO number of a light that is on while the camera is", ge=0, le=27)
    ] = None
    button: Annotated[
        int | None, _doc("GPIO number of a button to ground that pauses and resumes", ge=0, le=27)
    ] = None


class Config(Struct, frozen=True):
    box: Box = Box()
    camera: Camera = Camera()
    seat: Seat = Seat()
    faces: Faces = Faces()
    expression: ExpressionModel = ExpressionModel()
    limits: Limits = Limits()
    smoothing: Smoothing = Smoothing()
    mqtt: Mqtt = Mqtt()
    store: Store = Store()
    page: Page = Page()
    light: Light = Light()

    @property
    def state_dir(self) -> Path:
        """Where this box keeps its database, key and fetched models."""
        return Path(self.box.state_dir).expanduser() if self.box.state_dir else default_state_dir()


def default_state_dir() -> Path:
    """systemd's `STATE_DIRECTORY`, else `$XDG_DATA_HOME/mien`, else `~/.local/share/mien`."""
    if state := os.environ.get("STATE_DIRECTORY"):
        return Path(state.split(":")[0])
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(data).expanduser() / "mien"


def control_socket(config: Config) -> Path:
    """The daemon's unix socket: in `RUNTIME_DIRECTORY` under systemd, else in the state folder."""
    if runtime := os.environ.get("RUNTIME_DIRECTORY"):
        return Path(runtime.split(":")[0]) / "control.sock"
    return config.state_dir / "control.sock"


class Problem(Struct, frozen=True):
    """One thing wrong with a config file."""

    file: str
    line: int | None
    section: str | None
    key: str | None
    value: Any
    message: str

    def __str__(self) -> str:
        place = self.file + (f":{self.line}" if self.line else "")
        name = ".".join(part for part in (self.section, self.key) if part)
        return f"{place}: {name + ': ' if name else ''}{self.message}"


class ConfigError(MienError, ValueError):
    """The config cannot be used; `problems` holds every reason."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def load(path: Path | None) -> Config:
    """Read a config file; without a path, the defaults.

    Raises:
        ConfigError: with every problem in the file, not only the first.
    """
    if path is None:
        return Config()
    try:
        text = path.read_text(encoding="utf-8")
        document = tomllib.loads(text)
    except FileNotFoundError:
        raise ConfigError([_file_problem(path, "there is no such file")]) from None
    except OSError as error:
        raise ConfigError([_file_problem(path, f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError:
        raise ConfigError([_file_problem(path, "is no text in UTF-8")]) from None
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        raise ConfigError(
            [_file_problem(path, f"is not TOML: {error}", int(line[1]) if line else None)]
        ) from None
    return _Reader(str(path), text).config(document)


def _file_problem(path: Path, message: str, line: int | None = None) -> Problem:
    return Problem(str(path), line, None, None, None, message)


class _Reader:
    def __init__(self, file: str, text: str) -> None:
        self._file = file
        self._lines = text.splitlines()
        self._problems: list[Problem] = []

    def config(self, document: dict[str, Any]) -> Config:
        sections = typing.get_type_hints(Config)
        given = {}
        for name, table in document.items():
            if name not in sections:
                self._problem(name, None, table, f"unknown section{_meant(name, sections)}")
            elif not isinstance(table, dict):
                self._problem(name, None, table, f"must be a section, [{name}], not a value")
            else:
                given[name] = self._section(name, sections[name], table)
        self._across(given)
        if self._problems:
            raise ConfigError(self._problems)
        return Config(**given)

    def _section(self, name: str, section: type[Struct], table: dict[str, Any]) -> Any:
        hints = typing.get_type_hints(section, include_extras=True)
        values = {}
        for key, value in table.items():
            if key not in hints:
                self._problem(name, key, value, f"unknown key{_meant(key, hints)}")
                continue
            try:
                values[key] = msgspec.convert(value, hints[key])
            except msgspec.ValidationError:
                self._problem(name, key, value, f"must be {allowed(hints[key])}, not {value!r}")
        return section(**values)

    def _across(self, given: dict[str, Any]) -> None:
        """What no single key can know."""
        smoothing = given.get("smoothing", Smoothing())
        if smoothing.leave > smoothing.enter:
            self._problem(
                "smoothing", "leave", smoothing.leave, f"must not exceed enter = {smoothing.enter}"
            )
        limits = given.get("limits", Limits())
        if limits.min_light >= limits.max_light:
            self._problem(
                "limits",
                "min_light",
                limits.min_light,
                f"must be below max_light = {limits.max_light}",
            )
        room = given.get("box", Box()).room
        if room and not (room.isprintable() and room.strip()):
            self._problem("box", "room", room, f"must be one line of letters, not {room!r}")
        prefix = given.get("mqtt", Mqtt()).discovery_prefix
        if set(prefix) & set("+#\0") or "" in prefix.split("/"):
            self._problem(
                "mqtt",
                "discovery_prefix",
                prefix,
                f"must be the beginning of a topic, such as homeassistant, not {prefix!r}",
            )
        faces = given.get("faces", Faces())
        if faces.finder == "yunet" and not faces.yunet_model:
            self._problem(
                "faces", "yunet_model", None, "must name the model file of finder = yunet"
            )
        for section, key in (
            ("faces", "yunet_model"),
            ("expression", "bundle"),
            ("mqtt", "password_file"),
            ("mqtt", "ca_file"),
            ("page", "ca_file"),
        ):
            value = getattr(given[section], key) if section in given else None
            if value and not Path(value).expanduser().exists():
                self._problem(section, key, value, f"there is no file {quoted(value)}")

    def _problem(self, section: str, key: str | None, value: Any, message: str) -> None:
        line = self._line(section, key)
        self._problems.append(Problem(self._file, line, section, key, value, message))

    def _line(self, section: str, key: str | None) -> int | None:
        """Where it stands in the text; tomllib does not tell."""
        inside = False
        for number, line in enumerate(self._lines, 1):
            if header := re.match(r"\s*\[\s*([\w-]+)", line):
                inside = header[1] == section
            name = re.match(r"\s*\[?\s*([\w-]+)", line)
            if name and (inside and name[1] == key if key else name[1] == section):
                return number
        return None


def _meant(name: str, known: typing.Iterable[str]) -> str:
    known = sorted(known)
    close = get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(known)}"


_WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


def allowed(hint: Any) -> str:
    """What a value of this annotation may be, in words."""
    if typing.get_origin(hint) is Annotated:
        base, *metas = typing.get_args(hint)
        if base == list[Point]:
            return "a list of at least 3 corners [x, y], each from 0 to 1"
        words = allowed(base)
        for meta in metas:
            words += _limits(meta) if isinstance(meta, Meta) else ""
        return words
    if typing.get_origin(hint) is Literal:
        return "one of " + ", ".join(repr(choice) for choice in typing.get_args(hint))
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return " or ".join(allowed(arm) for arm in typing.get_args(hint) if arm is not type(None))
    if typing.get_origin(hint) is list:
        return f"a list, each {allowed(typing.get_args(hint)[0])}"
    return _WORDS.get(hint, str(hint))


def _limits(meta: Meta) -> str:
    if meta.pattern:
        return " of small letters, digits and hyphens, 1 to 32 long"
    if meta.max_length:
        return f", {meta.min_length or 0} to {meta.max_length} letters long"
    if meta.min_length:
        return ", not empty"
    low = meta.ge if meta.ge is not None else meta.gt
    high = meta.le if meta.le is not None else meta.lt
    if low is None or high is None:
        return ""
    return f" {'from' if meta.ge is not None else 'above'} {low} to {high}"
