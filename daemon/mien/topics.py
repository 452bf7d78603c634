"""MQTT topic names: `mien/<box>/…`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Topics:
    """The topics of the box with this id."""

    box: str

    def _of(self, leaf: str) -> str:
        return f"mien/{self.box}/{leaf}"

    @property
    def availability(self) -> str:
        return self._of("availability")

    @property
    def state(self) -> str:
        return self._of("state")

    @property
    def event(self) -> str:
        return self._of("event")

    @property
    def health(self) -> str:
        return self._of("health")
