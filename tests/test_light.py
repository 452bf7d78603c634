"""The privacy light and the pause button, at gpiozero's pins that behave."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gpiozero
import numpy as np
import pytest
from gpiozero.pins.mock import MockFactory

from mien import config
from mien.camera import CameraError, Frame
from mien.clock import SystemClock
from mien.config import Box, Config, Mqtt
from mien.config import Light as Pins
from mien.control import ControlClient, ControlError
from mien.light import Button, Light, LightError, Lit
from mien.service import Service
from mien.store import Store

LED, BUTTON = 17, 27


@pytest.fixture
def pins() -> Iterator[Any]:
    factory = MockFactory()
    yield factory
    factory.close()


class Film:
    """A source that notes whether the light was on whenever it was open."""

    name, live, still = "film", True, False

    def __init__(self, pin: Any) -> None:
        self._pin = pin
        self._next = threading.Event()
        self.seen = [pin.state]

    def read(self, timeout: float) -> Frame | None:
        self.seen.append(self._pin.state)
        self._next.wait(0.05)
        return Frame(np.zeros((120, 160, 3), np.uint8), SystemClock().monotonic(), 0)

    def close(self) -> None:
        self.seen.append(self._pin.state)


def test_it_is_on_before_the_camera_opens_and_until_it_is_closed(pins: Any) -> None:
    lamp, pin = Light(LED, pins), pins.pin(LED)
    assert not pin.state
    film = Film.__new__(Film)

    def opener() -> Film:
        film.__init__(pin)  # type: ignore[misc]
        return film

    lit = Lit(opener, lamp)
    lit.read(1.0)
    lit.close()
    assert film.seen == [True, True, True]
    assert not pin.state


def test_it_stays_on_while_one_closes_and_the_next_is_open(pins: Any) -> None:
    lamp, pin = Light(LED, pins), pins.pin(LED)
    first, second = (Lit(lambda: Film(pin), lamp) for _ in range(2))
    first.close()
    first.close()  # twice is once
    assert pin.state
    second.close()
    assert not pin.state


def test_a_camera_that_does_not_open_leaves_it_dark(pins: Any) -> None:
    def opener() -> Film:
        raise CameraError("no camera")

    lamp = Light(LED, pins)
    with pytest.raises(CameraError, match="no camera"):
        Lit(opener, lamp)
    assert not pins.pin(LED).state


def test_without_light_no_camera(pins: Any) -> None:
    lamp = Light(LED, pins)
    lamp.close()  # the pin is gone
    opened = []
    with pytest.raises(CameraError, match=r"privacy light cannot be lit.*stays closed"):
        Lit(lambda: opened.append(1) or Film(pins.pin(LED)), lamp)  # type: ignore[func-returns-value]
    assert not opened


def test_a_pin_that_failed_once_does_not_burn_for_ever(
    pins: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lamp, pin = Light(LED, pins), pins.pin(LED)
    with monkeypatch.context() as broken:
        broken.setattr(type(pin), "_set_state", lambda *_: 1 / 0)
        with pytest.raises(CameraError, match="cannot be lit"):
            Lit(lambda: Film(pin), lamp)
    lit = Lit(lambda: Film(pin), lamp)
    assert pin.state
    lit.close()
    assert not pin.state


def test_closing_darkens(pins: Any) -> None:
    lamp = Light(LED, pins)
    lamp.on()
    lamp.close()
    assert not pins.pin(LED).state


def test_a_press_of_the_button_is_told_once(pins: Any) -> None:
    told = threading.Event()
    button = Button(BUTTON, told.set, pins)
    pins.pin(BUTTON).drive_low()
    assert told.wait(5)
    button.close()


def test_a_machine_without_pins_is_told_in_words() -> None:
    with pytest.raises(LightError, match=r"GPIO 17 cannot be used .*take the pin out of \[light\]"):
        Light(LED, object())


def test_the_box_lights_it_while_frames_are_read_and_the_button_ends_that(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    pins: Any,
) -> None:
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    monkeypatch.setattr(gpiozero.Device, "pin_factory", pins)
    store = Store.open(tmp_path, SystemClock(), config.Store())
    store.set_up("demo")
    store.close()
    service = Service(
        Config(
            box=Box(state_dir=str(tmp_path)),
            mqtt=Mqtt(enabled=False),
            light=Pins(led=LED, button=BUTTON),
        ),
        source=lambda: Film(pins.pin(LED)),
    )
    stop, codes = threading.Event(), []
    running = threading.Thread(target=lambda: codes.append(service.run(stop)))
    running.start()
    try:
        assert becomes(lambda: answers(tmp_path / "control.sock"))  # the last thing to start
        assert becomes(lambda: pins.pin(LED).state)
        pins.pin(BUTTON).drive_low()
        assert becomes(lambda: not pins.pin(LED).state)
        # A disk that keeps the pause does not deafen the box to its button.
        (tmp_path / "paused").unlink()
        (tmp_path / "paused").mkdir()
        press(pins.pin(BUTTON))
        assert "the button: the box stays paused" in caplog.text
        (tmp_path / "paused").rmdir()
        press(pins.pin(BUTTON))
        assert becomes(lambda: pins.pin(LED).state)
    finally:
        stop.set()
        running.join(30)
    assert codes == [0]
    assert not pins.pin(LED).state


def press(pin: Any) -> None:
    pin.drive_high()
    pin.drive_low()


def answers(socket: Path) -> bool:
    client = ControlClient(socket)
    try:
        return client.status().version != ""
    except ControlError:
        return False
    finally:
        client.close()


def becomes(condition: Callable[[], bool]) -> bool:
    """Whether it holds within 20 s."""
    waiting = threading.Event()
    return any(condition() or waiting.wait(0.02) for _ in range(1000))
