"""`mien doctor`: looks at everything the box needs, and says the cure for what is missing."""

import argparse
import grp
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
from msgspec.structs import replace

from mien import backup, database, facemodel, mandate
from mien.blankness import LASTS_S, blank
from mien.camera import Frame, Source, find_camera, open_source
from mien.clock import Stamp, SystemClock, iso, synchronised
from mien.commands.run import load_config
from mien.config import Config, ConfigError
from mien.events import MienError, Part, worst
from mien.mandate import NOT_SET_UP
from mien.seeing import BLANK_CURE, open_expression

_T = TypeVar("_T")

MARKS = {"ok": "ok      ", "degraded": "degraded", "failed": "FAILED  "}


def add(subcommands: Any) -> None:
    parser = subcommands.add_parser(
        "doctor",
        help="look for what is wrong, with the cure",
        description="Look at camera, networks, broker, firewall, disk, clock, accelerator, "
        "permissions, consent and backup. "
        "Exits 1 when something failed.",
    )
    parser.add_argument("--config", type=Path, help="config file")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    parts = examine(args.config)
    if args.json:
        print(json.dumps({"status": worst(parts), "parts": msgspec.to_builtins(parts)}))
    else:
        for part in parts:
            print(f"{MARKS[part.status]}  {part.name}: {part.text}")
            if part.cure:
                print(f"{'':10}→ {part.cure}")
    return 1 if worst(parts) == "failed" else 0


def examine(path: Path | None) -> list[Part]:
    """Every part in turn; one that breaks does not hide the next."""
    try:
        config = load_config(path)
    except ConfigError as error:
        first, *more = error.problems
        text = str(first) + (f" (and {len(more)} more)" if more else "")
        return [Part("config", "failed", text, "run `mien check` and mend the file")]
    return [
        Part("config", "ok", "no problem found"),
        _guarded(box, config),
        *(_guarded(look, config) for look in (camera, faces, expression, accelerator)),
        *(_guarded(look, config) for look in (broker, firewall, disk, clock, permissions)),
        *(_guarded(look, config) for look in (consent, last_backup)),
    ]


def _guarded(look: Callable[[Config], Part], config: Config) -> Part:
    try:
        return look(config)
    except MienError as error:
        return Part(look.__name__, "failed", str(error))


def box(config: Config) -> Part:
    """What it is called, by people and at the broker."""
    name = config.box.id
    if name is None:
        try:
            name = database.box_id(config.state_dir, make=False)
        except OSError:
            name = "its name is made up at the first start"
    return Part("box", "ok", f"{config.box.room} ({name})" if config.box.room else name)


def camera(config: Config) -> Part:
    spec = config.camera.source
    if spec == "auto":
        found = find_camera()
        if found is None:
            cure = "plug one in; until then the box waits for it (`mien demo` needs none)"
            return Part("camera", "degraded", "there is no camera", cure)
        spec = found
    source = open_source(spec, config.camera, SystemClock())
    try:
        frame = _telling(source)
    finally:
        source.close()
    if frame is None:
        return Part("camera", "failed", f"{source.name} gave no picture")
    if trouble := blank(frame.image):
        return Part("camera", "degraded", trouble, BLANK_CURE)
    height, width = frame.image.shape[:2]
    return Part("camera", "ok", f"{source.name} gives pictures of {width}×{height}")


def _telling(source: Source) -> Frame | None:
    """The first frame that shows something, else the last one within `LASTS_S`."""
    first = frame = source.read(timeout=10.0)
    while first and frame and blank(frame.image) and frame.t - first.t < LASTS_S:
        newest = source.read(timeout=10.0)
        if newest is None:
            break
        frame = newest
    return frame


def faces(config: Config) -> Part:
    folder = config.state_dir / "models"
    if config.faces.finder == "haar":
        return Part("faces", "ok", "Haar cascades, as the config asks")
    if config.faces.finder == "yunet":
        return Part("faces", "ok", f"YuNet from {config.faces.yunet_model}")
    try:
        facemodel.verify(folder)
    except MienError as error:
        cure = "run `mien models fetch`; until then the slower Haar cascades find faces"
        return Part("faces", "degraded", str(error), cure)
    return Part("faces", "ok", f"BlazeFace, verified, in {folder}")


def expression(config: Config) -> Part:
    part = open_expression(with_accelerator(config, "cpu"))[2]
    text = f"bundle {part.text}, passes its known-answer test"
    return replace(part, text=text) if part.status == "ok" else part


def accelerator(config: Config) -> Part:
    asked = config.expression.accelerator
    if asked == "cpu":
        return Part("accelerator", "ok", "not asked for")
    _, classifier, _ = open_expression(with_accelerator(config, "edgetpu"))
    if classifier.name == "Edge TPU":
        return Part("accelerator", "ok", "the Edge TPU passes the known-answer test")
    if asked == "auto":
        return Part("accelerator", "ok", "no Edge TPU in use; the CPU is fast enough")
    return Part("accelerator", "degraded", "the Edge TPU cannot be used; the CPU reads instead")


def with_accelerator(config: Config, accelerator: Literal["cpu", "edgetpu"]) -> Config:
    return replace(config, expression=replace(config.expression, accelerator=accelerator))


def broker(config: Config) -> Part:
    mqtt = config.mqtt
    if not mqtt.enabled:
        return Part("broker", "ok", "not in use")
    try:
        socket.create_connection((mqtt.host, mqtt.port), timeout=3).close()
    except OSError as error:
        text = f"nothing answers at {mqtt.host}:{mqtt.port} ({error.strerror or error})"
        cure = "start the broker (`systemctl start mosquitto`); events wait in the store until then"
        return Part("broker", "degraded", text, cure)
    return Part("broker", "ok", f"{mqtt.host}:{mqtt.port} accepts connections")


def firewall(config: Config) -> Part:
    """Whether the box's own doors are the only ones open; install.sh lays the file."""
    if not Path("/etc/mien/firewall.nft").exists():
        return Part("firewall", "ok", "left to you")
    unit = "mien-firewall.service"
    if subprocess.run(["systemctl", "is-active", "--quiet", unit], check=False).returncode:
        cure = f"see `systemctl status {unit}`, then `sudo systemctl restart {unit}`"
        return Part("firewall", "degraded", "off: every port of the box can be reached", cure)
    return Part("firewall", "ok", "only the box's own doors are open")


def disk(config: Config) -> Part:
    folder = config.state_dir
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free // 2**20
    text = f"{free} MB free at {config.state_dir}"
    if free < config.store.min_free_mb:
        cure = f"free some space: under {config.store.min_free_mb} MB readings are not kept"
        return Part("disk", "degraded", text, cure)
    return Part("disk", "ok", text)


def clock(config: Config) -> Part:
    if synchronised():
        return Part("clock", "ok", "set by the network")
    cure = "connect the network, or see `timedatectl`; times are mended once the clock is right"
    return Part("clock", "degraded", "not set by the network yet", cure)


def permissions(config: Config) -> Part:
    folder = config.state_dir
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        return Part(
            "permissions", "failed", f"{folder} cannot be written", f"chown it to {_user()}"
        )
    devices = [path for path in Path("/dev").glob("video*") if not os.access(path, os.R_OK)]
    if devices:
        group = grp.getgrgid(devices[0].stat().st_gid).gr_name
        cure = f"add the user to its group: `sudo usermod -aG {group} {_user()}`, then log in again"
        return Part("permissions", "degraded", f"{devices[0]} cannot be read", cure)
    return Part("permissions", "ok", f"{folder} can be written")


def consent(config: Config) -> Part:
    """Who may be read now, by the store: what the service does, if it runs."""
    if not (config.state_dir / database.FILE).exists():
        return Part("consent", "degraded", NOT_SET_UP, "start the service, then open its page")
    ruled = _in_store(config, lambda db, now: mandate.mandate(db, now))
    if ruled.text == NOT_SET_UP:
        return Part("consent", "degraded", ruled.text, "say there where the box stands")
    if (config.state_dir / "paused").exists():
        return Part("consent", "ok", f"paused, the camera is off; else: {ruled.text}")
    return Part("consent", "ok", ruled.text)


def last_backup(config: Config) -> Part:
    if not (config.state_dir / database.FILE).exists():
        return Part("backup", "ok", "nothing to back up yet")
    made, stale = _in_store(config, lambda db, now: (backup.last_utc(db), backup.stale(db, now)))
    text = f"the last one was made on {iso(made / 1000)[:10]}" if made else "none was made yet"
    if stale:
        cure = f"make one on the page (Box, Backup) or with `mien backup box{backup.SUFFIX}`"
        return Part("backup", "degraded", text, cure)
    return Part("backup", "ok", text)


def _in_store(config: Config, work: Callable[[Any, Stamp], _T]) -> _T:
    clock = SystemClock()
    base = database.open_for_people(config.state_dir, clock, "reader")
    try:
        return base.read(lambda db: work(db, clock.stamp()))
    finally:
        base.close()


def _user() -> str:
    return os.environ.get("USER") or f"user {os.getuid()}"
