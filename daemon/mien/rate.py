"""How often something may come: what tells a flood from many."""

from collections import deque


class Rate:
    """At most `most` within any `within_s` seconds. Of one thread."""

    def __init__(self, most: int, within_s: float) -> None:
        self._within_s = within_s
        self._times: deque[float] = deque(maxlen=most)

    def over(self, now: float) -> bool:
        """Whether one more is too many; if not, it counts."""
        full = len(self._times) == self._times.maxlen
        if full and now - self._times[0] < self._within_s:
            return True
        self._times.append(now)
        return False
