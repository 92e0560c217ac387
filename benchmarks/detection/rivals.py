"""The rules that people use instead, each asked at every sample.

Rules with fixed windows are as published or as found in alert collections. The *scaled* ones get
the same idea with windows that are shares of the history, because no fixed window can judge a
run of a minute and one of a month. Where a rule needs a limit and none is known, the Prometheus
rules have no data and stay silent; the regressions take twice the first level for it.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

import numpy as np
from windows import BackwardLines, Blocks, SlidingLine

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from opentelemetry.instrumentation.memory.model import MemorySample

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0


class Rival(Protocol):
    """Anything that looks at samples in order and says whether to wake somebody."""

    def update(self, sample: MemorySample) -> bool:
        """Return whether the alarm is on after this sample."""


class _Held:
    """Prometheus' `for`: a condition counts once it has held so long without a break."""

    def __init__(self) -> None:
        self._since: float | None = None

    def update(self, is_true: bool, now: float, seconds: float) -> bool:  # noqa: FBT001
        if not is_true:
            self._since = None
            return False
        if self._since is None:
            self._since = now
        return now - self._since >= seconds


class RatioRule:
    """Heap used / committed above 0.85 and rising, three times in five minutes."""

    def __init__(self) -> None:
        self._before = 1.0
        self._hits: deque[float] = deque()

    def update(self, sample: MemorySample) -> bool:
        """Count the hit, forget the old ones."""
        now = sample.taken_at_seconds
        if sample.heap_used_bytes is not None and sample.heap_committed_bytes:
            ratio = sample.heap_used_bytes / sample.heap_committed_bytes
            if ratio > 0.85 and ratio > self._before:
                self._hits.append(now)
            self._before = ratio
        while self._hits and self._hits[0] < now - 5 * MINUTE:
            self._hits.popleft()
        return len(self._hits) >= 3


class PredictLinear:
    """`predict_linear(rss[window], ahead) > limit`, held for a while."""

    def __init__(self, window: float, ahead: float, held: float) -> None:
        self._window, self._ahead, self._held_for = window, ahead, held
        self._line, self._held = SlidingLine(), _Held()

    def update(self, sample: MemorySample) -> bool:
        """Extend the line and compare it with the limit."""
        now = sample.taken_at_seconds
        self._line.add(now, float(sample.resident_bytes or 0), self._window)
        level = self._line.predict(self._ahead)
        is_over = level is not None and bool(sample.limit_bytes) and level > sample.limit_bytes
        return self._held.update(is_over, now, self._held_for)


class ScaledPredictLinear:
    """The same by the last quarter of the history, within one more history, held for 5 % of it."""

    def __init__(self) -> None:
        self._begin: float | None = None
        self._ceiling = 0.0
        self._line, self._held = SlidingLine(), _Held()

    def update(self, sample: MemorySample) -> bool:
        """Extend the line and compare it with the limit."""
        now, level = sample.taken_at_seconds, float(sample.resident_bytes or 0)
        if self._begin is None:
            self._begin, self._ceiling = now, 2 * level
        age = now - self._begin
        self._line.add(now, level, age / 4)
        ahead = self._line.predict(age)
        is_over = ahead is not None and ahead > (sample.limit_bytes or self._ceiling)
        return self._held.update(is_over, now, age / 20)


class Deriv:
    """`deriv(rss[window]) > threshold` in bytes a second, held for a while."""

    def __init__(self, window: float, threshold: float, held: float) -> None:
        self._window, self._threshold, self._held_for = window, threshold, held
        self._line, self._held = SlidingLine(), _Held()

    def update(self, sample: MemorySample) -> bool:
        """Take the slope of the window."""
        now = sample.taken_at_seconds
        self._line.add(now, float(sample.resident_bytes or 0), self._window)
        slope = self._line.slope()
        is_rising = slope is not None and slope > self._threshold
        return self._held.update(is_rising, now, self._held_for)


def resident(sample: MemorySample) -> float:
    """Return the resident set size."""
    return float(sample.resident_bytes or 0)


def live(sample: MemorySample) -> float:
    """Return live bytes where a source tells them, else the resident set size."""
    parts = sample.partition
    if parts.python_heap_bytes is None or parts.native_heap_bytes is None:
        return resident(sample)
    return float(parts.python_heap_bytes + parts.native_heap_bytes)


class MannKendall:
    """A rising Mann-Kendall trend (p < 0.01) whose Theil-Sen slope adds up to 5 % of the level.

    Looks at the last half of the history, or at a fixed window, in at most 60 block means.
    """

    def __init__(
        self, read: Callable[[MemorySample], float] = resident, window: float | None = None
    ) -> None:
        self._read, self._window = read, window
        self._blocks = Blocks(60)
        self._is_on = False

    def update(self, sample: MemorySample) -> bool:
        """Ask the test whenever a block is complete."""
        if self._blocks.add(sample.taken_at_seconds, self._read(sample)):
            times, values = self._blocks.arrays()
            seconds = self._window or (times[-1] - times[0]) / 2
            inside = times >= times[-1] - seconds
            self._is_on = bool(inside.sum() >= 8 and _is_trend(times[inside], values[inside]))
        return self._is_on


def _is_trend(times: NDArray[np.float64], values: NDArray[np.float64]) -> bool:
    n = len(values)
    older, newer = np.triu_indices(n, 1)
    rises = values[newer] - values[older]
    score = np.sign(rises).sum()
    deviation = np.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    if (score - 1) / deviation < 2.326:
        return False
    slope = np.median(rises / (times[newer] - times[older]))
    return bool(slope * (times[-1] - times[0]) >= 0.05 * np.median(values))


class _Regression:
    """What the algorithms of Jindal et al. share: utilisation, smoothed in blocks.

    A trend counts when R² is at least 0.75 and the limit is reached within the critical time:
    so many seconds, or (scaled) ten times as long as the process has been watched.
    """

    min_r_squared = 0.75

    def __init__(self, critical_seconds: float | None = None) -> None:
        self._critical = critical_seconds
        self._ceiling: float | None = None
        self._blocks = Blocks(120)
        self._is_on = False

    def update(self, sample: MemorySample) -> bool:
        """Ask the algorithm whenever a block is complete."""
        level = resident(sample)
        if self._ceiling is None:
            self._ceiling = sample.limit_bytes or 2 * level
        if self._blocks.add(sample.taken_at_seconds, level / self._ceiling):
            times, values = self._blocks.arrays()
            self._is_on = len(times) >= 16 and self._ask(times, values)
        return self._is_on

    def _ask(self, times: NDArray[np.float64], values: NDArray[np.float64]) -> bool:
        raise NotImplementedError

    def _trends(
        self, times: NDArray[np.float64], values: NDArray[np.float64], watched: float
    ) -> tuple[BackwardLines, NDArray[np.bool_]]:
        lines = BackwardLines(times, values)
        soon = lines.exit_seconds(1.0) <= (self._critical or 10 * watched)
        return lines, soon & (lines.r_squared >= self.min_r_squared) & (lines.slope > 0)


class BackwardRegression(_Regression):
    """Linear backward regression: any window that ends now and is an eighth or more of it all."""

    def _ask(self, times: NDArray[np.float64], values: NDArray[np.float64]) -> bool:
        watched = times[-1] - times[0]
        lines, is_trend = self._trends(times, values, watched)
        return bool((is_trend & (lines.duration >= watched / 8)).any())


class ChangePointRegression(_Regression):
    """The same with windows that begin at change points only (LBRCPD)."""

    def _ask(self, times: NDArray[np.float64], values: NDArray[np.float64]) -> bool:
        watched = times[-1] - times[0]
        lines, is_trend = self._trends(times, values, watched)
        begins = change_points(values)
        long_enough = lines.duration[begins] >= watched / 8
        return bool((is_trend[begins] & long_enough).any())


class Precog(_Regression):
    """A trend since a change point, longer and steeper than any that the process outlived."""

    def _ask(self, times: NDArray[np.float64], values: NDArray[np.float64]) -> bool:
        watched = times[-1] - times[0]
        begins = change_points(values)
        longest = steepest = 0.0
        for k, (begin, end) in enumerate(pairwise(begins)):
            if end - begin < 4:
                continue
            past = slice(begins[max(0, k - 3)], end)
            lines, is_trend = self._trends(times[past], values[past], watched)
            if is_trend.any():
                longest = max(longest, float(lines.duration[is_trend].max()))
                steepest = max(steepest, float(lines.slope[is_trend].max()))
        lines, is_trend = self._trends(times, values, watched)
        for begin in begins:
            if lines.duration[begin] < watched / 8 or not is_trend[begin]:
                continue
            if lines.duration[begin] > longest and lines.slope[begin] >= steepest:
                return True
        return False


def change_points(values: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return where first differences stand out by three deviations, the beginning included."""
    steps = np.diff(values)
    spread = steps.std()
    if spread == 0:
        return np.array([0])
    outside = np.abs(steps - steps.mean()) > 3 * spread
    return np.concatenate([[0], np.flatnonzero(outside) + 1])


RIVALS: dict[str, Callable[[], Rival]] = {
    "ratio rule": RatioRule,
    "predict_linear 1h, 30 min": partial(PredictLinear, HOUR, 30 * MINUTE, MINUTE),
    "predict_linear 1h, 4 h": partial(PredictLinear, HOUR, 4 * HOUR, 5 * MINUTE),
    "predict_linear, scaled": ScaledPredictLinear,
    "deriv 1h > 0": partial(Deriv, HOUR, 0.0, 10 * MINUTE),
    "deriv 30m > 10 KiB/s": partial(Deriv, 30 * MINUTE, 10 * 1024.0, MINUTE),
    "Mann-Kendall, 1 h": partial(MannKendall, resident, HOUR),
    "Mann-Kendall, scaled": MannKendall,
    "Mann-Kendall, scaled, live": partial(MannKendall, live),
    "LBR, 7 d": partial(BackwardRegression, 7 * DAY),
    "LBR, scaled": BackwardRegression,
    "LBRCPD, 7 d": partial(ChangePointRegression, 7 * DAY),
    "LBRCPD, scaled": ChangePointRegression,
    "Precog, 7 d": partial(Precog, 7 * DAY),
    "Precog, scaled": Precog,
}
