"""Readings over time: smoothed probabilities, episodes and attention. Pure; time comes in."""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.config import Smoothing
from mien.events import EXPRESSIONS, Episode, Expression


class Smoother:
    """Exponential average with hysteresis and minimum dwell, which cuts time into episodes.

    The average forgets with time constant `window_s` (after one window a step has reached
    1 − 1/e = 63 %), whatever the frame rate. An expression begins when its smoothed probability
    reaches `enter`, goes on while it is at least `leave` and no other has entered above it, and
    counts from its first moment once it has lasted `min_dwell_s`: a flicker shorter than that
    interrupts nothing. A gap in what could be read longer than `max_gap_s` ends everything.
    """

    def __init__(self, config: Smoothing) -> None:
        self._config = config
        self._smoothed: NDArray[np.float64] | None = None
        self._last = -math.inf
        self._current: _Stretch | None = None
        self._next: _Stretch | None = None  # about to replace the current one, until it has dwelt

    @property
    def probabilities(self) -> NDArray[np.float64] | None:
        """Smoothed, [7]; None while nothing was read lately."""
        return self._smoothed

    def episode(self, t: float) -> tuple[Expression, float] | None:
        """The expression of the episode going on and its length in seconds at `t`."""
        current = self._current
        return (current.expression, t - current.start) if current and current.expression else None

    def add(self, t: float, probabilities: Sequence[float] | NDArray[np.float64]) -> list[Episode]:
        """Take a reading at `t` seconds, [7]; gives the episodes that ended by it."""
        ended = self.idle(t)
        new = np.asarray(probabilities, np.float64)
        if self._smoothed is None:
            self._smoothed = new.copy()
        else:
            window = self._config.window_s
            keep = math.exp(-(t - self._last) / window) if window else 0.0
            self._smoothed = keep * self._smoothed + (1 - keep) * new
        self._last = t
        return ended + self._decide(t, self._smoothed)

    def idle(self, t: float) -> list[Episode]:
        """Nothing could be read at `t`: ends the episode once the gap is too long.

        Raises:
            ValueError: time went back.
        """
        if t < self._last:
            raise ValueError(f"time went back from {self._last} s to {t} s")
        return self.end() if t - self._last > self._config.max_gap_s else []

    def end(self) -> list[Episode]:
        """End what goes on, at the last moment that was read, and forget the average."""
        self._smoothed = self._next = None
        return self._close(self._last)

    def _decide(self, t: float, smoothed: NDArray[np.float64]) -> list[Episode]:
        wanted = self._wanted(smoothed)
        peak = float(smoothed[EXPRESSIONS.index(wanted)]) if wanted else 0.0
        current = self._current
        if wanted == (current.expression if current else None):
            self._next = None
            if current:
                current.peak = max(current.peak, peak)
            return []
        if self._next is None or self._next.expression != wanted:
            self._next = _Stretch(wanted, t, peak)
        self._next.peak = max(self._next.peak, peak)
        if t - self._next.start < self._config.min_dwell_s:
            return []
        ended = self._close(self._next.start)
        self._current, self._next = self._next, None
        return ended

    def _wanted(self, smoothed: NDArray[np.float64]) -> Expression | None:
        """The expression that these probabilities speak for; None is "none of them enough"."""
        top = int(smoothed.argmax())
        if smoothed[top] >= self._config.enter:
            return EXPRESSIONS[top]
        current = self._current.expression if self._current else None
        if current and smoothed[EXPRESSIONS.index(current)] >= self._config.leave:
            return current
        return None

    def _close(self, t: float) -> list[Episode]:
        stretch, self._current = self._current, None
        if stretch is None or stretch.expression is None:
            return []
        return [Episode(stretch.expression, stretch.start, t, stretch.peak)]


@dataclass
class _Stretch:
    expression: Expression | None
    start: float
    peak: float


class Attention:
    """Share of time in which a seen face was turned to the camera, over a sliding window."""

    def __init__(self, window_s: float = 60.0) -> None:
        self._window_s = window_s
        self._seen: deque[tuple[float, bool]] = deque()
        self._facing = 0

    def add(self, t: float, facing: bool) -> None:
        """A face was seen at `t` seconds."""
        self._seen.append((t, facing))
        self._facing += facing
        self._forget(t)

    def share(self, t: float) -> float | None:
        """0–1 over the window that ends at `t`; None when no face was seen in it."""
        self._forget(t)
        return self._facing / len(self._seen) if self._seen else None

    def _forget(self, t: float) -> None:
        while self._seen and self._seen[0][0] <= t - self._window_s:
            self._facing -= self._seen.popleft()[1]
