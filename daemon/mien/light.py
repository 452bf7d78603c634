"""The privacy light: on exactly while a camera is open. And the button that pauses the box."""

import logging
from collections.abc import Callable
from threading import Lock
from typing import Any

from mien.camera import CameraError, Frame, Source
from mien.events import MienError

log = logging.getLogger(__name__)


class LightError(MienError, RuntimeError):
    """The light or the button cannot be used; without the light no camera is opened."""


class Light:
    """A lamp at a GPIO pin. It counts who needs it: while one camera is being given back and the
    next one opens already, it stays on.

    Args:
        factory: gpiozero's pins; those of this machine when left out.

    Raises:
        LightError: there are no such pins.
    """

    def __init__(self, pin: int, factory: Any = None) -> None:
        self._lamp = _device("LED", pin, factory)
        self._lock = Lock()
        self._users = 0

    def on(self) -> None:
        with self._lock:
            self._lamp.on()
            self._users += 1

    def off(self) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                self._lamp.off()

    def close(self) -> None:
        """Dark, and the pin free."""
        self._lamp.off()
        self._lamp.close()


class Lit:
    """A source with the light: on before it is opened, off after it was closed.

    Args:
        opener: opens the source; what it raises is raised, and the light is off again.
    """

    def __init__(self, opener: Callable[[], Source], light: Light) -> None:
        try:
            light.on()
        except Exception as error:  # whatever a pin may do: no camera without its light
            raise CameraError(
                f"the privacy light cannot be lit ({error}), so the camera stays closed"
            ) from error
        self._light: Light | None = light
        self._lock = Lock()
        try:
            self._source = opener()
        except BaseException:
            light.off()
            raise

    @property
    def name(self) -> str:
        return self._source.name

    @property
    def live(self) -> bool:
        return self._source.live

    @property
    def still(self) -> bool:
        return self._source.still

    def read(self, timeout: float) -> Frame | None:
        return self._source.read(timeout)

    def close(self) -> None:
        self._source.close()
        with self._lock:
            light, self._light = self._light, None
        if light:
            light.off()


class Button:
    """A button between a GPIO pin and ground; `pressed` is called in a thread of its own.

    Raises:
        LightError: there are no such pins.
    """

    def __init__(self, pin: int, pressed: Callable[[], None], factory: Any = None) -> None:
        self._button = _device("Button", pin, factory, bounce_time=0.05)
        self._button.when_pressed = pressed

    def close(self) -> None:
        self._button.close()


def _device(kind: str, pin: int, factory: Any, **more: Any) -> Any:
    try:
        import gpiozero

        return getattr(gpiozero, kind)(pin, pin_factory=factory, **more)
    except Exception as error:  # each kind of pin has its own
        raise LightError(
            f"GPIO {pin} cannot be used ({error or type(error).__name__}); on a Raspberry Pi "
            "install python3-gpiozero and python3-lgpio, or take the pin out of [light]"
        ) from error
