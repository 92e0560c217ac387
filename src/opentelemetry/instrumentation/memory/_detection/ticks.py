"""Samples at whatever pace they come, as values at an even pace."""

from __future__ import annotations

import math
from collections import deque
from typing import Any, Final

from opentelemetry.instrumentation.memory._detection.state import items, members, number, whole

_CADENCE_SAMPLES: Final = 16
# Timers are not exact: a sample a little early still completes its tick.
_TOLERANCE: Final = 0.9


class Ticks:
    """Averages samples into ticks, so that looking more often is not taken for more evidence.

    The sampler looks twenty times as often while it suspects something. A tick lasts at least
    `minimum_seconds`, and as long as the shortest of the last sixteen intervals when that is
    longer: it grows with a pace that persists, and a single gap does not change it.

    Time counts from the first sample. A clock that is set back goes on from where it stood, and a
    second sample of the same moment belongs to the next tick.
    """

    def __init__(self, minimum_seconds: float) -> None:
        self._tick_seconds = minimum_seconds
        self._intervals: deque[float] = deque(maxlen=_CADENCE_SAMPLES)
        self._origin: float | None = None
        self._last = 0.0
        self._ended: float | None = None
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}
        self._time_sum = 0.0
        self._samples = 0

    def add(self, time: float, values: dict[str, float]) -> tuple[float, dict[str, float]] | None:
        """Add one sample; return (time, means) when it completes a tick."""
        if not math.isfinite(time):
            return None
        now = self._elapsed(time)
        self._samples += 1
        self._time_sum += now
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
            self._counts[name] = self._counts.get(name, 0) + 1
        if self._ended is not None:
            seconds = now - self._ended
            if seconds <= 0 or seconds < self._tick_seconds * _TOLERANCE:
                return None
        self._ended = now
        means = {name: total / self._counts[name] for name, total in self._sums.items()}
        tick = (self._time_sum / self._samples, means)
        self._sums, self._counts = {}, {}
        self._time_sum, self._samples = 0.0, 0
        return tick

    def to_state(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {
            "tick_seconds": self._tick_seconds,
            "intervals": list(self._intervals),
            "origin": self._origin,
            "last": self._last,
            "ended": self._ended,
            "partial": {name: [self._counts[name], total] for name, total in self._sums.items()},
            "samples": [self._samples, self._time_sum],
        }

    @classmethod
    def from_state(cls, saved: Any) -> Ticks:
        """Return what `to_state` described.

        Raises:
            ValueError: It described none.
        """
        state = members(saved)
        try:
            ticks = cls(number(state["tick_seconds"], least=0))
            intervals = items(state["intervals"], _CADENCE_SAMPLES)
            ticks._intervals.extend(number(each, least=0) for each in intervals)
            ticks._origin = None if state["origin"] is None else number(state["origin"])
            ticks._last = number(state["last"], least=0)
            ticks._ended = None if state["ended"] is None else number(state["ended"])
            samples, time_sum = items(state["samples"], 2)
            ticks._samples, ticks._time_sum = whole(samples), number(time_sum)
            for name, (count, total) in members(state["partial"]).items():
                ticks._counts[name], ticks._sums[name] = whole(count, 1), number(total)
        except (KeyError, TypeError) as error:
            raise ValueError(f"damaged detector state: {error!r}") from error
        if ticks._ended is not None and ticks._ended > ticks._last:
            raise ValueError("damaged detector state: a tick ended in the future")
        return ticks

    def _elapsed(self, time: float) -> float:
        if self._origin is None:
            self._origin = time
            return self._last
        now = time - self._origin
        if now < self._last:
            self._origin -= self._last - now
            return self._last
        if now > self._last:
            self._intervals.append(now - self._last)
            if len(self._intervals) == _CADENCE_SAMPLES:
                self._tick_seconds = max(self._tick_seconds, min(self._intervals))
        self._last = now
        return now
