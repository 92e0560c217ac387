"""Samples at whatever pace they come, as values at an even pace."""

from __future__ import annotations

from collections import deque
from typing import Any, Final

_CADENCE_SAMPLES: Final = 16
# Timers are not exact: a sample a little early still completes its tick.
_TOLERANCE: Final = 0.9


class Ticks:
    """Averages samples into ticks, so that looking more often is not taken for more evidence.

    The sampler looks twenty times as often while it suspects something. A tick lasts at least
    `minimum_seconds`, and as long as the shortest of the last sixteen intervals when that is
    longer: it grows with a pace that persists, and a single gap does not change it.
    """

    def __init__(self, minimum_seconds: float) -> None:
        self._tick_seconds = minimum_seconds
        self._intervals: deque[float] = deque(maxlen=_CADENCE_SAMPLES)
        self._last: float | None = None
        self._ended: float | None = None
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}
        self._times = 0.0
        self._samples = 0

    def add(self, time: float, values: dict[str, float]) -> tuple[float, dict[str, float]] | None:
        """Add one sample; return (time, means) when it completes a tick."""
        if self._last is not None:
            self._intervals.append(time - self._last)
            if len(self._intervals) == _CADENCE_SAMPLES:
                self._tick_seconds = max(self._tick_seconds, min(self._intervals))
        self._last = time
        if self._ended is None:
            self._ended = time - self._tick_seconds
        self._samples += 1
        self._times += time
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
            self._counts[name] = self._counts.get(name, 0) + 1
        if time - self._ended < self._tick_seconds * _TOLERANCE:
            return None
        self._ended = time
        means = {name: total / self._counts[name] for name, total in self._sums.items()}
        tick = (self._times / self._samples, means)
        self._sums, self._counts = {}, {}
        self._times, self._samples = 0.0, 0
        return tick

    def to_state(self) -> dict[str, Any]:
        """Return everything as plain values."""
        state = {name: getattr(self, name) for name in _FIELDS}
        return {**state, "_intervals": list(self._intervals)}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Ticks:
        """Return what `to_state` described."""
        ticks = cls(0.0)
        for name in _FIELDS:
            setattr(ticks, name, state[name])
        ticks._intervals.extend(state["_intervals"])
        return ticks


_FIELDS: Final = ("_tick_seconds", "_last", "_ended", "_sums", "_counts", "_times", "_samples")
