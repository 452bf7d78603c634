"""No ghosts: whatever happens, nothing lies at the broker that the file does not know, and in the
end nothing of a former name."""

import contextlib
import logging
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.broker import Acknowledged, BrokerEvent, Connected, Lost, MemoryBroker
from mien.clock import ManualClock
from mien.retained import BROKERS, FILE, LATE_WILL_S, Ledger, Retained, replace_file
from mien.topics import Topics

OLD, NEW = Topics("old", "homeassistant", "mien-abc234"), Topics("new", "ha", "mien-abc234")


class PulledPlug(Exception):
    """The process ends here."""


class Run:
    """One run of a box: its line, in one thread, against what lay at the broker before."""

    def __init__(
        self, folder: Path, topics: Topics, lying: dict[str, bytes], plug: Callable[[], None]
    ) -> None:
        self.clock = ManualClock()
        self.topics = topics
        self.inbox: list[BrokerEvent] = []
        self.broker = Wired(topics, plug)
        self.broker.retained = lying
        ledger = WiredLedger(folder / FILE, "memory", plug)
        self.retained = Retained(self.broker, topics, ledger, self.clock)

    def begin(self) -> None:
        self.retained.begin()
        self.broker.start(self.inbox.append)
        self.pump()

    def pump(self) -> None:
        self.retained.beat()
        while self.inbox:
            match self.inbox.pop(0):
                case Connected():
                    self.retained.connected()
                case Lost():
                    self.retained.lost()
                case Acknowledged(mid):
                    self.retained.acknowledged(mid)


class Wired(MemoryBroker):
    """The plug may be pulled before or after every message."""

    def __init__(self, topics: Topics, plug: Callable[[], None]) -> None:
        super().__init__(topics)
        self.plug = plug

    def publish(self, topic: str, payload: bytes, **how: Any) -> int | None:
        self.plug()
        mid = super().publish(topic, payload, **how)
        self.plug()
        return mid


class WiredLedger(Ledger):
    """And before or after every time that the file is written."""

    def __init__(self, path: Path, broker: str, plug: Callable[[], None]) -> None:
        super().__init__(path, broker)
        self.plug = plug

    def _write(self, topics: set[str]) -> None:
        self.plug()
        super()._write(topics)
        self.plug()


def never() -> None:
    pass


def known(folder: Path) -> set[str]:
    return Ledger(folder / FILE, "memory").topics


NAMES = [
    Topics("old", "homeassistant", "mien-abc234"),
    Topics("new", "homeassistant", "mien-abc234"),
    Topics("new", "ha", "mien-abc234"),
    Topics("new"),
]
DOINGS = ["today", "no today", "discovery", "no discovery", "cut", "accept", "deaf", "minute"]


def do(run: Run, doing: str) -> None:
    topics = run.topics
    match doing:
        case "today":
            run.retained.put(topics.today, b"today")
        case "no today":
            run.retained.put(topics.today, b"")
        case "discovery" if topics.discovery:
            run.retained.put(topics.discovery, b"{}")
        case "no discovery" if topics.discovery:
            run.retained.put(topics.discovery, b"")
        case "cut":
            run.broker.cut()
        case "accept":
            run.broker.accept()
        case "deaf":
            run.broker.lose_acknowledgements(2)
        case "minute":
            run.clock.advance(LATE_WILL_S)
    run.pump()


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(NAMES), st.lists(st.sampled_from(DOINGS)), st.integers(0, 40)),
        max_size=6,
    ),
    st.sampled_from(NAMES),
    st.booleans(),
)
def test_nothing_lies_there_unknown_and_in_the_end_nothing_of_a_former_name(
    runs: list[tuple[Topics, list[str], int]], last: Topics, home: bool
) -> None:
    lying: dict[str, bytes] = {}
    with TemporaryDirectory() as name:
        folder = Path(name)
        for topics, doings, fuse in runs:
            left = [fuse]

            def plug(left: list[int] = left) -> None:
                left[0] -= 1
                if left[0] < 0:
                    raise PulledPlug

            run = Run(folder, topics, lying, plug)
            with contextlib.suppress(PulledPlug):
                run.begin()
                run.retained.put(topics.state, b"state")
                for doing in doings:
                    do(run, doing)
                    assert lying.keys() <= known(folder)
            run.plug = run.broker.plug = never  # type: ignore[attr-defined]
            run.broker.cut()  # its will, which comes when it pleases, but not after a minute
            assert lying.keys() <= known(folder)

        run = Run(folder, last, lying, never)
        run.begin()
        wanted = {last.availability, last.state}
        run.retained.put(last.state, b"state")
        run.retained.put(last.today, b"today" if home else b"")
        wanted |= {last.today} if home else set()
        if last.discovery:
            run.retained.put(last.discovery, b"{}" if home else b"")
            wanted |= {last.discovery} if home else set()
        run.broker.send("mien/old/availability", b"offline", retain=True)  # a late will
        if "mien/old/availability" not in known(folder):
            lying.pop("mien/old/availability")  # that name never was, or is long gone
        do(run, "minute")
        assert lying.keys() == wanted
        assert known(folder) == wanted


def test_renaming_empties_everything_of_the_old_name(tmp_path: Path) -> None:
    lying: dict[str, bytes] = {}
    before = Run(tmp_path, OLD, lying, never)
    before.begin()
    for topic in (OLD.state, OLD.health, OLD.today, OLD.discovery):
        before.retained.put(str(topic), b"{}")
    assert lying.keys() == OLD.retained
    before.broker.stop(0)
    after = Run(tmp_path, NEW, lying, never)
    after.begin()
    assert lying == {NEW.availability: b"online"}
    # The will of a line that broke shortly before comes late.
    after.broker.send(OLD.availability, b"offline", retain=True)
    assert OLD.availability in known(tmp_path)
    do(after, "minute")
    assert lying == {NEW.availability: b"online"}
    assert known(tmp_path) == {NEW.availability}


def test_what_is_not_acknowledged_is_not_forgotten(tmp_path: Path) -> None:
    lying: dict[str, bytes] = {}
    Ledger(tmp_path / FILE, "memory").add([OLD.state])
    run = Run(tmp_path, NEW, lying, never)
    run.broker.lose_acknowledgements(1)
    run.begin()
    assert OLD.state in known(tmp_path)
    run.broker.cut()
    run.broker.accept()  # which sends it again
    run.pump()
    assert OLD.state not in known(tmp_path)


def test_what_is_wanted_again_stays_though_its_clearing_comes_late(tmp_path: Path) -> None:
    lying: dict[str, bytes] = {}
    run = Run(tmp_path, OLD, lying, never)
    run.begin()
    run.retained.put(OLD.today, b"yesterday")
    run.broker.lose_acknowledgements(1)
    run.retained.put(OLD.today, b"")
    run.retained.put(OLD.today, b"today")
    run.broker.cut()
    run.broker.accept()
    run.pump()
    assert lying[OLD.today] == b"today"
    assert OLD.today in known(tmp_path)


def test_another_broker_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Ledger(tmp_path / FILE, "attic:1883").add(OLD.retained)
    Run(tmp_path, OLD, {}, never).begin()
    assert "5 retained messages of this box may still lie there" in caplog.text
    assert "mien mqtt clear --broker attic:1883" in caplog.text
    caplog.clear()
    Run(tmp_path, OLD, {}, never).begin()  # once is enough
    assert caplog.text == ""
    assert Ledger(tmp_path / FILE, "attic:1883").topics == OLD.retained


def test_only_the_newest_brokers_are_remembered(tmp_path: Path) -> None:
    for port in range(BROKERS + 2):
        Ledger(tmp_path / FILE, f"localhost:{port}").add(["mien/a/state"])
    kept = msgspec.json.decode((tmp_path / FILE).read_bytes())["brokers"]
    assert list(kept) == [f"localhost:{port}" for port in range(2, BROKERS + 2)]


@pytest.mark.parametrize("content", [b"", b"[]", b'{"brokers": {"a": 1}}', b"\xff\x00", b'{"\xff"'])
def test_a_damaged_file_is_told_and_begun_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    (tmp_path / FILE).write_bytes(content)
    ledger = Ledger(tmp_path / FILE, "memory")
    assert "cannot be read" in caplog.text
    ledger.add([OLD.state])
    assert known(tmp_path) == {OLD.state}


def test_a_file_that_cannot_be_written_silences_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "gone"
    with caplog.at_level(logging.WARNING):
        run = Run(folder, OLD, lying := {}, never)
        run.begin()
        run.retained.put(OLD.state, b"state")
    assert lying == {OLD.availability: b"online", OLD.state: b"state"}
    assert caplog.text.count("cannot be noted") == 1


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    replace_file(tmp_path / "file", b"old")
    replace_file(tmp_path / "file", b"new")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file", b"new")]
