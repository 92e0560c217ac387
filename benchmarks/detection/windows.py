"""What the rivals keep of the past: a sliding window with its sums, or all of it in blocks."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


class SlidingLine:
    """Least squares over the last so many seconds, O(1) a sample."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, float]] = deque()
        self._origin: tuple[float, float] | None = None
        self._x = self._y = self._xx = self._xy = 0.0

    def add(self, time: float, value: float, seconds: float) -> None:
        """Take a point in, and let go of those older than `seconds`."""
        if self._origin is None:
            self._origin = (time, value)
        self._count(time, value, 1.0)
        self._points.append((time, value))
        while self._points[0][0] < time - seconds:
            self._count(*self._points.popleft(), -1.0)

    def _count(self, time: float, value: float, sign: float) -> None:
        assert self._origin is not None  # noqa: S101  set by the first point
        x, y = time - self._origin[0], value - self._origin[1]
        self._x += sign * x
        self._y += sign * y
        self._xx += sign * x * x
        self._xy += sign * x * y

    def slope(self) -> float | None:
        """Return units a second, or None below two points."""
        n = len(self._points)
        spread = n * self._xx - self._x * self._x
        if n < 2 or spread <= 0:
            return None
        return (n * self._xy - self._x * self._y) / spread

    def predict(self, seconds_ahead: float) -> float | None:
        """Return the line's value so long after the last point, as `predict_linear` does."""
        slope = self.slope()
        if slope is None or self._origin is None:
            return None
        n = len(self._points)
        ahead = self._points[-1][0] - self._origin[0] + seconds_ahead
        return self._origin[1] + (self._y - slope * self._x) / n + slope * ahead

    @property
    def span(self) -> float:
        """Seconds between the first point in the window and the last."""
        return self._points[-1][0] - self._points[0][0]


class Blocks:
    """The whole history as between `size` and twice as many equal blocks: means and middles."""

    def __init__(self, size: int) -> None:
        self._capacity = 2 * size
        self._samples_a_block = 1
        self._sums: list[tuple[float, float]] = []
        self._open = (0.0, 0.0, 0)

    def add(self, time: float, value: float) -> bool:
        """Take a sample in; return whether it completed a block."""
        x, y, n = self._open
        x, y, n = x + time, y + value, n + 1
        if n < self._samples_a_block:
            self._open = (x, y, n)
            return False
        self._open = (0.0, 0.0, 0)
        self._sums.append((x / n, y / n))
        if len(self._sums) == self._capacity:
            pairs = zip(self._sums[::2], self._sums[1::2], strict=True)
            self._sums = [((a + c) / 2, (b + d) / 2) for (a, b), (c, d) in pairs]
            self._samples_a_block *= 2
        return True

    def arrays(self) -> tuple[Array, Array]:
        """Return the blocks' times and values."""
        both = np.array(self._sums)
        return both[:, 0], both[:, 1]

    def __len__(self) -> int:
        return len(self._sums)


class BackwardLines:
    """Least squares over every window that ends with the last point, all at once."""

    def __init__(self, time: Array, value: Array) -> None:
        x, y = time - time[-1], value - value[-1]

        def tail(values: Array) -> Array:
            return np.cumsum(values[::-1])[::-1]

        n = np.arange(len(x), 0, -1.0)
        sx, sy = tail(x), tail(y)
        xx = tail(x * x) - sx * sx / n
        xy = tail(x * y) - sx * sy / n
        yy = tail(y * y) - sy * sy / n
        with np.errstate(divide="ignore", invalid="ignore"):
            self.slope = np.where(xx > 0, xy / xx, 0.0)
            self.r_squared = np.where((xx > 0) & (yy > 1e-12), xy * xy / (xx * yy), 0.0)
        self.now = value[-1] + (sy - self.slope * sx) / n
        self.duration = -x

    def exit_seconds(self, ceiling: float) -> Array:
        """Return when each line reaches the ceiling; infinity where it does not rise."""
        with np.errstate(divide="ignore", invalid="ignore"):
            away = np.maximum(ceiling - self.now, 0.0) / self.slope
        return np.where(self.slope > 0, away, np.inf)
