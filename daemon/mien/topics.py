"""MQTT topic names: `mien/<box>/…`, and Home Assistant's for this box."""

from dataclasses import dataclass

from mien.config import Mqtt

_OF_NEIGHBOURS = ("availability", "health")


@dataclass(frozen=True)
class Topics:
    """The topics of the box with this id.

    Args:
        discovery_prefix: Home Assistant's, None where it is not told about this box.
        neighbours: whether it listens how other boxes are.
        serial: what the box is called for ever, see `Store.box_id`; by it Home Assistant knows the
            box again when `box` changes.
    """

    box: str
    discovery_prefix: str | None = None
    serial: str = ""
    neighbours: bool = False

    @classmethod
    def of(cls, config: Mqtt, box: str, serial: str) -> "Topics":
        """As the config has it."""
        prefix = config.discovery_prefix if config.discovery else None
        return cls(box, prefix, serial, config.neighbours)

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

    @property
    def today(self) -> str:
        return self._of("today")

    def command(self, name: str) -> str:
        return self._of(f"command/{name}")

    def response(self, name: str) -> str:
        return self._of(f"response/{name}")

    def commanded(self, topic: str) -> str | None:
        """The name of the command that this topic carries, None when it carries none."""
        start = self.command("")
        return topic.removeprefix(start) or None if topic.startswith(start) else None

    def neighbour(self, topic: str) -> tuple[str, str] | None:
        """The box whose `health` or `availability` this topic carries, and which of them; None
        where it carries neither. This box's own come, too."""
        if not self.neighbours:
            return None
        root, _, rest = topic.partition("/")
        box, _, leaf = rest.partition("/")
        if root != "mien" or leaf not in _OF_NEIGHBOURS:
            return None
        return box, leaf

    @property
    def discovery(self) -> str | None:
        """Where Home Assistant looks for the document that describes this box."""
        prefix = self.discovery_prefix
        return f"{prefix}/device/{self.serial}/config" if prefix else None

    @property
    def home_assistant(self) -> str | None:
        """Where Home Assistant says that it came up."""
        return f"{self.discovery_prefix}/status" if self.discovery_prefix else None

    @property
    def heard(self) -> list[str]:
        """What the box subscribes to, and nothing else."""
        others = [f"mien/+/{leaf}" for leaf in _OF_NEIGHBOURS] if self.neighbours else []
        return [self.command("#"), *filter(None, [self.home_assistant]), *others]

    @property
    def retained(self) -> frozenset[str]:
        """Every topic on which something of this box may lie at the broker."""
        own = (self.availability, self.state, self.health, self.today)
        return frozenset([*own, *filter(None, [self.discovery])])
