"""`mien.doorkeeper`: whom the camera is open for, with a real store, camera and pipeline."""

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from hypothesis import settings as hypothesis
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from mien.bundle import load_bundle, shipped_bundle
from mien.camera import Reopening
from mien.clock import ManualClock, SystemClock
from mien.config import Seat
from mien.config import Store as StoreConfig
from mien.control import ControlError, NoPicture
from mien.doorkeeper import Doorkeeper
from mien.events import EXPRESSIONS, Episode, Live
from mien.pipeline import Pipeline, Seen
from mien.preview import Preview
from mien.replay import ReplaySource
from mien.seeing import Seeing, Watch
from mien.store import Store, StoreError
from people import People
from test_pipeline import SHARP, face, pipeline

ALL = ("live", "numbers", "pictures")


class House:
    """A doorkeeper with everything that it opens and closes."""

    def __init__(self, folder: Path) -> None:
        self.clock = SystemClock()
        self.aside = 0.0
        self.store = Store.open(folder, self.clock, StoreConfig(min_free_mb=1))
        self.people = People(folder, self.clock)
        self.pipeline: Pipeline
        self.pipeline, self.finder = pipeline([face()])
        self.pipeline.bundle = load_bundle(shipped_bundle())
        camera = ReplaySource([SHARP], self.clock, fps=100)
        self.seen: list[tuple[Live, Watch]] = []
        self.lost: list[tuple[list[Episode], bool]] = []
        self.told = 0
        self.seeing = Seeing(
            lambda: Reopening(camera.open, self.clock, name="camera", stall_s=0.5),
            self.pipeline,
            Preview(2, self.clock),
            seen=self._seen,
            lost=lambda ended, watch: self.lost.append((ended, watch.keep)),
            failed=lambda *_: None,
            clock=self.clock,
            fps=60,
        )
        self.door = self.another(folder)
        self.seeing.start()

    def another(self, folder: Path) -> Doorkeeper:
        return Doorkeeper(
            self.store,
            self.seeing,
            self.pipeline,
            seat=Seat(),
            paused_file=folder / "paused",
            told=self._told,
            clock=self.clock,
        )

    def _seen(self, seen: Seen, live: Live, watch: Watch) -> None:
        self.seen.append((live, watch))

    def _told(self) -> None:
        self.told += 1

    def wait(self, what: Callable[[], Any]) -> None:
        """Until this holds; each wait is for a frame or a turn of the inference thread."""
        deadline = self.clock.monotonic() + 10
        while not what():
            assert self.clock.monotonic() < deadline
            self.seeing.face(0.02)

    def reads(self) -> bool:
        """Whether a frame is read now."""
        before = len(self.seen)
        self.seeing.face(0.1)
        return len(self.seen) > before

    def close(self) -> None:
        self.seeing.stop()
        self.people.close()
        self.store.close()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    made.people.put("setting", "clinic")
    made.door.refresh()
    yield made
    made.close()


@pytest.fixture
def session(house: House) -> str:
    """A session that runs, of the client a."""
    made = house.people.session("s", house.people.client("a", *ALL))
    house.door.refresh()
    return made


def test_without_a_session_the_camera_is_closed(house: House) -> None:
    assert house.seeing.camera is None
    assert not house.reads()
    assert (house.door.word, house.door.session) == (None, None)
    assert house.seeing.part.text == house.door.part.text
    assert house.door.part.status == "ok"


def test_a_box_that_was_not_set_up_is_degraded_with_the_cure(house: House) -> None:
    house.people.put("setting", None)
    house.door.refresh()
    assert (house.door.part.status, house.door.part.text) == (
        "degraded",
        "not set up yet: open the page",
    )
    assert house.door.part.cure


def test_a_session_opens_it_and_its_end_closes_it(house: House, session: str) -> None:
    assert (house.door.word, house.door.session) == ("session", "s")
    house.wait(lambda: any(live.episode for live, _ in house.seen))
    assert house.seen[-1][1].keep
    house.people.stop(session)
    house.door.refresh()
    assert house.seeing.camera is None
    house.wait(lambda: house.lost)
    ((ended, keep),) = house.lost
    assert ([episode.expression for episode in ended], keep) == (["neutral"], True)


def test_what_goes_on_when_consent_is_withdrawn_is_not_kept(house: House, session: str) -> None:
    house.wait(lambda: any(live.episode for live, _ in house.seen))
    house.people.withdraw("a", "live")
    house.door.refresh()
    assert not house.reads()
    house.wait(lambda: house.lost)
    assert [keep for _, keep in house.lost] == [False]


def test_without_consent_to_numbers_it_is_shown_but_not_kept(house: House, session: str) -> None:
    house.wait(lambda: house.seen)
    house.people.withdraw("a", "numbers")
    house.door.refresh()
    house.seen.clear()
    house.wait(lambda: house.seen)
    assert not any(watch.keep for _, watch in house.seen)
    assert house.door.word == "session"


def test_the_next_client_begins_anew(house: House, session: str) -> None:
    house.wait(lambda: any(live.episode for live, _ in house.seen))
    first = house.seen[-1][1]
    house.people.stop(session)
    house.people.session("t", house.people.client("b", *ALL))
    house.door.refresh()
    house.wait(lambda: house.seen[-1][1] is not first)
    begun = next(live for live, watch in house.seen if watch is not first)
    assert begun.episode is None
    assert len(house.lost) == 1


def test_a_look_that_changes_nothing_disturbs_nothing(house: House, session: str) -> None:
    house.wait(lambda: house.seen)
    for _ in range(3):
        house.door.refresh()
    assert house.reads()
    assert house.lost == []
    assert len({id(watch) for _, watch in house.seen}) == 1


def test_a_pause_wins_and_outlives_a_restart(house: House, session: str, tmp_path: Path) -> None:
    house.door.pause()
    assert house.seeing.camera is None
    assert house.seeing.part.text == "paused, the camera is off"
    house.door.refresh()
    assert not house.reads()
    again = house.another(tmp_path)
    again.refresh()
    assert again.paused
    assert again.word is None
    again.resume()
    assert again.word == "session"


def test_a_pause_closes_the_camera_also_where_the_disk_fails(
    house: House, session: str, tmp_path: Path
) -> None:
    house.door = house.another(tmp_path / "no folder")
    house.door.refresh()
    assert house.seeing.camera is not None
    house.door.pause()
    assert house.seeing.camera is None
    house.door.refresh()
    assert (house.door.paused, house.seeing.camera) == (True, None)
    house.door.resume()
    assert house.door.word == "session"


def test_a_pause_that_cannot_be_removed_stays(house: House, session: str, tmp_path: Path) -> None:
    (tmp_path / "paused").mkdir()  # a file that `unlink` refuses
    with pytest.raises(ControlError, match=r"stays paused.*cannot be removed"):
        house.door.resume()
    assert house.door.paused


def test_a_pause_without_a_session_is_told_once(house: House) -> None:
    house.door.pause()
    house.door.refresh()
    assert house.told == 1
    house.door.resume()
    house.door.refresh()
    assert house.told == 2
    assert house.seeing.camera is None


# ── aiming ───────────────────────────────────────────────────────────────────────────────────────


def test_aiming_reads_nobody_and_ends_by_itself(house: House) -> None:
    house.door.aim(100)
    assert (house.door.word, house.door.session) == ("aim", None)
    house.wait(lambda: house.seen)
    assert all(live.expression is None and not watch.keep for live, watch in house.seen)
    with pytest.raises(ControlError, match="consents to pictures"):
        house.door.capture()
    house.door.aim(0.01)
    house.wait(lambda: house.door.refresh() or house.door.word is None)
    assert house.seeing.camera is None


def test_aiming_can_be_ended(house: House) -> None:
    house.door.aim(100)
    house.door.aim(0)
    assert house.door.word is None
    house.door.pause()
    house.door.aim(0)


def test_no_aiming_while_paused_or_in_a_session(house: House, session: str) -> None:
    with pytest.raises(ControlError, match="a session is running"):
        house.door.aim(10)
    house.people.withdraw("a", "live")
    with pytest.raises(ControlError, match="a session is running"):
        house.door.aim(10)
    house.people.stop(session)
    house.door.pause()
    with pytest.raises(ControlError, match="paused"):
        house.door.aim(10)


def test_a_session_ends_the_aiming(house: House) -> None:
    house.door.aim(100)
    house.people.session("s", house.people.client("a", *ALL))
    house.door.refresh()
    assert house.door.word == "session"
    house.people.stop("s")
    house.door.refresh()
    assert house.door.word is None, "it is not taken up again"


# ── captures ─────────────────────────────────────────────────────────────────────────────────────


def test_a_capture_in_a_session_with_consent(house: House, session: str) -> None:
    # The scripted network gives another feature map than the shipped bundle's layer is for.
    house.door._own_layer = None
    taken = house.door.capture()
    assert taken.expression == "neutral"
    assert taken.boot == house.clock.stamp().boot_id
    assert abs(taken.boot_ms / 1000 - house.clock.monotonic()) < 5


def test_no_capture_without_consent_to_pictures(house: House, session: str) -> None:
    house.people.withdraw("a", "pictures")
    with pytest.raises(ControlError, match="consents to pictures") as refused:
        house.door.capture()
    assert not isinstance(refused.value, NoPicture)


def test_no_capture_of_nobody(house: House, session: str) -> None:
    house.door.pause()  # so that no frame is half read by the finder as it was
    house.finder.find = lambda image, thorough=False: []  # type: ignore[method-assign]
    house.door.resume()
    with pytest.raises(NoPicture, match="no face is in the seat"):
        house.door.capture()
    house.people.stop(session)
    with pytest.raises(NoPicture, match="no session is running"):
        house.door.capture()


def test_a_consent_withdrawn_while_the_face_is_waited_for(house: House, session: str) -> None:
    wait = house.seeing.face

    def slow(timeout: float) -> Seen | None:
        seen = wait(timeout)
        house.people.withdraw("a", "pictures")
        return seen

    house.seeing.face = slow  # type: ignore[method-assign]
    with pytest.raises(ControlError, match="consents to pictures"):
        house.door.capture()


# ── what it reads with ───────────────────────────────────────────────────────────────────────────


def add_head(house: House, bundle: str, numbers: int) -> None:
    bias = np.zeros(numbers, "<f4")
    bias[EXPRESSIONS.index("disgust") - 7] = 9
    house.people.write(
        "INSERT INTO heads (id, client, bundle, utc, weights, settings, result, active) "
        "VALUES ('h', 'a', ?, 0, ?, '', '', 1)",
        bundle, bias.tobytes(),
    )  # fmt: skip


def test_the_clients_own_head_reads_in_the_clients_session(house: House, session: str) -> None:
    bundle = house.pipeline.bundle
    add_head(house, bundle.name, 225 * 7)
    house.door.refresh()
    assert house.pipeline.layer is not None
    assert house.pipeline.layer.bias.argmax() == EXPRESSIONS.index("disgust")
    assert house.door.part.status == "ok"
    house.people.write("UPDATE heads SET active = 0")
    house.door.refresh()
    assert house.pipeline.layer is None
    house.people.write("UPDATE heads SET active = 1")
    house.door.refresh()
    house.people.stop(session)
    house.door.refresh()
    assert house.pipeline.layer is None


@pytest.mark.parametrize(
    ("bundle", "numbers", "why"),
    [("mien-fer-1", 225 * 7, "fitted to bundle mien-fer-1"), (None, 224 * 7, "is damaged")],
)
def test_a_head_that_does_not_fit_is_left_out_and_told(
    house: House, session: str, bundle: str | None, numbers: int, why: str
) -> None:
    add_head(house, bundle or house.pipeline.bundle.name, numbers)
    house.door.refresh()
    assert house.pipeline.layer is None
    assert house.door.part.status == "degraded"
    assert why in house.door.part.text
    assert house.reads()


def test_the_seat_of_the_store_wins_and_counts_at_once(house: House, session: str) -> None:
    right = [(0.5, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 1.0)]
    house.people.put("seat", Seat(client=right))
    house.door.refresh()
    house.wait(lambda: not house.finder.shown[:, :310].any())
    house.people.put("seat", {"client": "nonsense"})
    house.door.refresh()
    house.wait(lambda: house.finder.shown[:, :310].any())


def test_a_store_that_cannot_be_read_closes_the_camera(house: House, session: str) -> None:
    house.wait(lambda: house.seen)
    read = house.store.read

    def broken(work: Any) -> Any:
        raise StoreError("Cannot use the file.")

    house.store.read = broken  # type: ignore[method-assign]
    house.door.refresh()
    assert house.seeing.camera is None
    part = house.door.part
    assert (part.status, part.cure) == ("degraded", "Cannot use the file.")
    house.store.read = read  # type: ignore[method-assign]
    house.door.refresh()
    assert house.door.word == "session"
    assert house.door.part.status == "ok"


# ── whatever happens, in whatever order ──────────────────────────────────────────────────────────

KINDS = st.sampled_from(["live", "numbers", "pictures", "home"])


class Days(RuleBasedStateMachine):
    """One client, who is also a resident, and all that people may do; no frame ever comes."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        folder = Path(self.folder.name)
        self.clock = ManualClock()
        self.store = Store.open(folder, self.clock, StoreConfig(min_free_mb=1))
        self.people = People(folder, self.clock)
        self.people.client("a", resident=True)
        pipe, _ = pipeline([])
        self.seeing = Seeing(
            lambda: Reopening(lambda: ReplaySource([SHARP], self.clock), self.clock, name="it"),
            pipe,
            Preview(2, self.clock),
            seen=lambda *_: None,
            lost=lambda *_: None,
            failed=lambda *_: None,
            clock=self.clock,
            fps=60,
        )
        self.door = Doorkeeper(
            self.store,
            self.seeing,
            pipe,
            seat=Seat(),
            paused_file=folder / "paused",
            told=lambda: None,
            clock=self.clock,
        )
        self.valid: set[str] = set()
        self.setting: str | None = None
        self.session: str | None = None
        self.aims_until = 0.0
        self.paused = False

    @rule(setting=st.sampled_from([None, "clinic", "home"]))
    def set_up(self, setting: str | None) -> None:
        self.people.put("setting", setting)
        self.setting = setting

    @rule(kind=KINDS)
    def consent(self, kind: str) -> None:
        self.people.write(
            "INSERT INTO consents (client, kind, version, given_utc, user) "
            "VALUES ('a', ?, 1, 0, 'anna')",
            kind,
        )
        self.valid.add(kind)

    @rule(kind=KINDS)
    def withdraw(self, kind: str) -> None:
        self.people.withdraw("a", kind)
        self.valid.discard(kind)

    @rule()
    def begin(self) -> None:
        if self.session is None:
            self.session = self.people.session(str(uuid4()), "a")

    @rule()
    def end(self) -> None:
        if self.session:
            self.people.stop(self.session)
            self.session = None

    @rule(seconds=st.floats(0, 20))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule()
    def pause(self) -> None:
        self.door.pause()
        self.paused = True

    @rule()
    def resume(self) -> None:
        self.door.resume()
        self.paused = False

    @rule()
    def aim(self) -> None:
        refused = self.paused or (self.session and self.setting)
        try:
            self.door.aim(10)
        except ControlError:
            assert refused
        else:
            assert not refused
            self.aims_until = self.clock.monotonic() + 10

    @rule()
    def reboot(self) -> None:
        """The session that ran is one of an older boot now."""
        self.clock.boot_id = str(uuid4())
        self.session = None

    @invariant()
    def nobody_is_read_without_consent(self) -> None:
        self.door.refresh()
        if self.session and self.setting:
            self.aims_until = 0.0
        word = None
        if self.setting and self.session:
            word = "session" if "live" in self.valid else None
        elif self.setting == "home" and "home" in self.valid:
            word = "home"
        if self.clock.monotonic() < self.aims_until:
            word = "aim"
        if self.paused:
            word = None
        assert self.door.word == word
        assert (self.seeing.camera is not None) == (word is not None)
        assert self.door.session == (self.session if word == "session" else None)

    def teardown(self) -> None:
        self.seeing.close("the end")
        self.people.close()
        self.store.close()
        self.folder.cleanup()


Days.TestCase.settings = hypothesis(max_examples=30, stateful_step_count=25, deadline=None)
TestDays = Days.TestCase


def test_while_the_store_becomes_another_nobody_is_read(house: House, session: str) -> None:
    house.wait(lambda: house.seen)
    with house.door.shut("a backup is being restored, so the camera is off"):
        assert house.seeing.camera is None
        assert not house.seen[-1][1].keep, "what is on its way is not kept"
        assert (house.door.word, house.door.session) == (None, None)
        assert house.seeing.part.text == "a backup is being restored, so the camera is off"
        house.door.refresh()  # as each second
        assert house.seeing.camera is None
        with pytest.raises(ControlError, match="is being restored"):
            house.door.aim(10)
        with pytest.raises(NoPicture):
            house.door.capture()
        house.people.stop(session)
    assert house.door.part.text == "no session is running, so the camera is off"
    assert house.seeing.camera is None
