"""The daemon: composes the parts, owns their order, and tells how they are."""

import logging
import queue
import threading
import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec
from msgspec.structs import replace

from mien import __version__, backup, discovery, firstrun, metrics, restore, settings, users
from mien.address import shown
from mien.camera import Reopening, Source, open_source
from mien.clock import Clock, SystemClock, synchronised
from mien.config import Config, control_socket
from mien.control import ControlError, ControlServer, NoPicture, Picture
from mien.doorkeeper import Doorkeeper
from mien.events import (
    Capture,
    Done,
    Episode,
    Errand,
    Health,
    Live,
    MienError,
    Neighbourhood,
    Part,
    Quarter,
    Stretch,
    worst,
)
from mien.light import Button, Light, Lit
from mien.line import PahoBroker
from mien.neighbours import Neighbours
from mien.notify import beat, sd_notify
from mien.orders import Orders
from mien.pipeline import Seen
from mien.preview import Preview
from mien.publisher import Publisher
from mien.recording import Recording
from mien.replay import ReplaySource
from mien.retained import FILE as RETAINED
from mien.retained import Ledger
from mien.seeing import Seeing, Watch, open_pipeline
from mien.smart_home import SmartHome
from mien.stage import Stage
from mien.store import Store, StoreError
from mien.topics import Topics

log = logging.getLogger(__name__)

TICK_S = 1.0
HEALTH_EVERY_S = 60.0
HOUSEKEEPING_EVERY_S = 600.0


class Service:
    """One box. `run` starts everything in order, waits, and stops it in reverse."""

    def __init__(
        self,
        config: Config,
        *,
        clock: Clock | None = None,
        source: Callable[[], Source] | None = None,
        note: str | None = None,
    ) -> None:
        """
        Args:
            source: opens what to read from instead of what the config names, such as the demo.
            note: a sentence about it that the page shows.
        """
        self._config = config
        self._clock = clock or SystemClock()
        self._given_source = source
        self._note = note
        self._publisher: Publisher | None = None
        self._smart_home: SmartHome | None = None
        self._orders: Orders | None = None
        self._neighbours = Neighbours(self._clock)
        self._obeying: Stage | None = None
        self._failure: queue.SimpleQueue[tuple[str, Exception]] = queue.SimpleQueue()
        self._light: Light | None = None
        self._told: list[Part] = []
        self._clock_was_ok = False
        self._restoring = threading.Lock()
        self._health_due = self._next_housekeeping = self._clock.monotonic()

    def run(self, stop: threading.Event) -> int:
        """Run until `stop` is set (exit status 0) or a stage fails (1), which systemd mends.

        Raises:
            MienError: it cannot start.
        """
        with ExitStack() as running:
            self._start(running)
            sd_notify("READY=1")
            log.info("box %s runs; %s", self._box, words(self._health()))
            self._tick()
            try:
                while not stop.wait(TICK_S):
                    if not self._failure.empty():
                        stage, error = self._failure.get()
                        log.critical("the %s stage failed: %s", stage, error, exc_info=error)
                        return 1
                    self._tick()
            finally:
                sd_notify("STOPPING=1")
        log.info("stopped")
        return 0

    # ── starting, in order ───────────────────────────────────────────────────────────────────

    def _start(self, running: ExitStack) -> None:
        config, clock = self._config, self._clock
        # First of all, so that a second daemon leaves the first one's store and broker alone.
        control = ControlServer(control_socket(config), self)
        control.claim()
        running.callback(control.stop)

        self._store = Store.open(config.state_dir, clock, config.store)
        running.callback(self._store.close)
        self._box = config.box.id or self._store.box_id()
        self._invite()
        pipeline, self._models = open_pipeline(config)
        self._bundle, self._began = pipeline.bundle, clock.stamp()
        for part in self._models:
            if part.status == "ok":  # the summary of the start tells only what is not
                log.info("%s: %s", part.name, part.text)

        if line := self._broker_line():
            self._publisher, self._smart_home, self._orders = line
            self._publisher.start()
            running.callback(self._publisher.stop)

        self._recording = Recording(
            self._store,
            self._box,
            set_state=self._publisher.set_state if self._publisher else _ignore,
            stored=self._publisher.wake if self._publisher else _nothing,
            failed=self._failed,
            clock=clock,
            at_once=self._publisher is not None,
        )
        self._recording.start()
        running.callback(self._recording.stop)

        if config.light.led is not None:
            self._light = Light(config.light.led)
            running.callback(self._light.close)
        self._preview = Preview(config.page.viewers, clock)
        self._seeing = Seeing(
            self._open_camera,
            pipeline,
            self._preview,
            seen=self._was_seen,
            lost=self._was_lost,
            failed=self._failed,
            clock=clock,
            fps=config.camera.fps,
            note=self._note,
        )
        self._door = Doorkeeper(
            self._store,
            self._seeing,
            pipeline,
            seat=config.seat,
            paused_file=config.state_dir / "paused",
            told=self._tell_nobody,
            clock=clock,
        )
        self._tell_nobody()  # what the broker retains may be of a daemon that was killed
        self._door.refresh()
        self._seeing.start()
        running.callback(self._seeing.stop)

        if self._orders:  # what came meanwhile waits
            self._obeying = Stage("orders", self._orders.turn, self._failed, clock)
            self._obeying.start()
            running.callback(self._obeying.stop)

        if config.light.button is not None:
            running.callback(Button(config.light.button, self._pressed).close)
        control.start()
        running.callback(control.stop)  # what it asks must still be there, so it goes first

    def _invite(self) -> None:
        """While nobody can sign in, say the code by which the first user sets the box up."""
        if self._store.read(lambda db: users.set_up(db) or settings.setting(db) == "demo"):
            return
        try:
            code = firstrun.code(self._config.state_dir)
        except OSError as error:
            log.warning("cannot write the one-time code of the first user: %s", error)
            return
        log.info("this box is not set up yet; its page asks for the one-time code %s", code)

    def _broker_line(self) -> tuple[Publisher, SmartHome, Orders] | None:
        mqtt, state_dir = self._config.mqtt, self._config.state_dir
        if not mqtt.enabled:
            return None
        topics = Topics.of(mqtt, self._box, self._store.box_id())
        broker = PahoBroker(mqtt, topics)
        orders = Orders(
            topics,
            self._store.read,
            self.set_paused,
            lambda topic, payload: publisher.say(topic, payload),
            self._clock,
        )
        publisher = Publisher(
            self._store,
            broker,
            topics,
            self._clock,
            self._failed,
            on_message=orders.take,
            ledger=Ledger(state_dir / RETAINED, broker.address),
            neighbours=self._neighbours,
        )
        introduction = discovery.payload(topics, __version__, self._config.box.room)
        home = SmartHome(self._store, publisher, topics, self._clock, state_dir, introduction)
        return publisher, home, orders

    def _open_camera(self) -> Reopening:
        camera = self._config.camera
        source = self._given_source

        def open_it() -> Source:
            if source is not None:
                return source()
            opened = open_source(camera.source, camera, self._clock)
            # A file plays in its own time and begins anew, so that it can stand for a camera.
            return opened if opened.live else ReplaySource(opened, self._clock)

        def lit() -> Source:
            return Lit(open_it, self._light) if self._light else open_it()

        name = shown(camera.source) if source is None else "the demo"
        return Reopening(lit, self._clock, name=name, stall_s=camera.stall_s)

    def _pressed(self) -> None:
        try:
            self.set_paused(not self._door.paused)
        except OSError as error:  # which would end the thread that hears the button
            log.error("the button: %s", error)

    def _failed(self, stage: str, error: Exception) -> None:
        self._failure.put((stage, error))

    def _tell_nobody(self) -> None:
        self._recording.lost([], paused=self._door.paused)

    def _was_seen(self, seen: Seen, live: Live, watch: Watch) -> None:
        if watch.keep:
            self._recording.seen(seen, live)

    def _was_lost(self, ended: list[Episode], watch: Watch) -> None:
        self._recording.lost(ended if watch.keep else [], paused=self._door.paused)

    # ── while it runs ────────────────────────────────────────────────────────────────────────

    def _tick(self) -> None:
        self._door.refresh()
        self._recording.hurry = self._door.word == "session"
        now, clock_ok = self._clock.monotonic(), self._clock.stamp().clock_ok
        if now >= self._next_housekeeping or (clock_ok and not self._clock_was_ok):
            self._next_housekeeping = now + HOUSEKEEPING_EVERY_S
            self._keep_house()
        self._clock_was_ok = clock_ok
        health = self._health()
        if self._publisher and (now >= self._health_due or health.parts != self._told):
            self._health_due = now + HEALTH_EVERY_S
            self._told = health.parts
            # Whose session it is stays in the house.
            self._publisher.set_health(msgspec.json.encode(replace(health, session=None)))
        if self._smart_home:
            self._smart_home.tick()
        if self._alive():
            sd_notify("WATCHDOG=1\nSTATUS=" + words(health))
        else:
            log.error("a stage is stuck; the watchdog will restart the service")

    def _keep_house(self) -> None:
        backup.sweep(self._config.state_dir, self._clock.stamp().utc)
        bundle = self._bundle
        try:
            # Each time, for the first may find the disk full, and a damaged database begins anew.
            self._store.add_model(self._began, bundle.name, bundle.files[bundle.model.name])
            self._store.backfill()
            self._recording.erase_asked(beat=beat)
            self._store.retain()
            if self._store.roll(beat):
                self._next_housekeeping = self._clock.monotonic()  # years are done bit by bit
        except StoreError as error:
            log.warning("%s", error)

    def _alive(self) -> bool:
        stages = [*self._seeing.stages, self._recording.stage]
        if self._obeying:
            stages.append(self._obeying)
        line = self._publisher
        return all(stage.fresh for stage in stages) and (line is None or line.fresh)

    def _health(self) -> Health:
        parts = [
            self._seeing.part,
            self._door.part,
            *self._models,
            self._recording.part,
            self._publisher.part if self._publisher else Part("broker", "ok", "not in use"),
            _clock_part(),
        ]
        return Health(
            id=str(uuid.uuid4()),
            box=self._box,
            time=self._clock.stamp().iso,
            status=worst(parts),
            paused=self._door.paused,
            version=__version__,
            parts=parts,
            mandate=self._door.word,
            session=self._door.session,
            room=self._config.box.room,
        )

    # ── what the control socket asks: `control.Daemon` ───────────────────────────────────────

    def status(self) -> bytes:
        return msgspec.json.encode(self._health())

    def neighbours(self) -> bytes:
        mqtt = self._config.mqtt
        listens = mqtt.enabled and mqtt.neighbours
        return msgspec.json.encode(self._neighbours.known() if listens else Neighbourhood(on=False))

    def preview(self, after: int, timeout: float) -> Picture | None:
        if self._door.word is None or self._seeing.part.status != "ok":
            raise NoPicture(self._seeing.part.text)
        return self._preview.wait(after, timeout)

    def set_paused(self, paused: bool) -> None:
        if paused:
            self._door.pause()
        else:
            self._door.resume()

    def refresh(self) -> None:
        self._door.refresh()

    def aim(self, seconds: float) -> None:
        self._door.aim(seconds)

    def capture(self) -> Capture:
        return self._door.capture()

    def erase(self, stretches: Sequence[Stretch]) -> int:
        self._door.refresh()  # nothing of it may be on its way
        return self._recording.erase(stretches)

    def errand(self, timeout: float) -> Errand | None:
        if self._orders is None:
            raise ControlError("no broker is in use here, so no commands come by MQTT")
        return self._orders.errand(timeout)

    def errand_done(self, done: Done) -> None:
        if self._orders:
            self._orders.errand_done(done)

    def import_log(self, quarters: Sequence[Quarter]) -> int:
        try:
            return self._store.take_over(quarters)
        except StoreError:
            raise
        except MienError as error:
            raise ControlError(str(error)) from None

    def restore(self, file: Path) -> None:
        if not self._restoring.acquire(blocking=False):
            raise ControlError("a backup is being restored already; wait until that is done")
        try:
            with self._door.shut("a backup is being restored, so the camera is off"):
                self._recording.forget()
                done = restore.replace(self._config.state_dir, self._clock, file, beat)
                log.info("a backup of %s was restored: %s", done.content.box, done.counts)
                try:
                    self._recording.erase_asked(beat)  # before anybody sees it again
                except StoreError as error:
                    log.warning("%s; the erasures are done with the next housekeeping", error)
                self._next_housekeeping = self._clock.monotonic()
        finally:
            self._restoring.release()

    def metrics(self) -> str:
        seeing, camera = self._seeing, self._seeing.camera
        counters: dict[str, float] = {
            "mien_frames_total": seeing.frames,
            "mien_frames_with_face_total": seeing.faces,
            "mien_frames_skipped_total": seeing.skipped,
            "mien_camera_stalls_total": camera.stalls if camera else 0,
            "mien_camera_reconnects_total": camera.reconnects if camera else 0,
            "mien_readings_dropped_total": self._recording.dropped,
            "process_cpu_seconds_total": metrics.cpu_seconds(),
        }
        for stage, seconds in seeing.seconds.items():
            counters[f'mien_stage_seconds_total{{stage="{stage}"}}'] = seconds
        gauges: dict[str, float] = {
            "mien_paused": self._door.paused,
            "mien_outbox_rows": self._store.outbox_size(),
            "process_resident_memory_bytes": metrics.resident_bytes(),
        }
        for part in self._health().parts:
            gauges[f'mien_part_ok{{part="{part.name}"}}'] = part.status == "ok"
        return metrics.exposition(counters, gauges)


def words(health: Health) -> str:
    """Health in one line."""
    parts = [f"{part.name}: {part.text}" for part in health.parts if part.status != "ok"]
    return f"{health.status}; {'; '.join(parts)}" if parts else "everything works"


def _clock_part() -> Part:
    if synchronised():
        return Part("clock", "ok", "set by the network")
    cure = "connect the network; times are mended once it is"
    return Part("clock", "degraded", "not set by the network yet", cure)


def _ignore(_: bytes) -> None:
    pass


def _nothing() -> None:
    pass
