"""What has arrived from the sample service, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

SEGMENT_METRIC: Final = "process.memory.resident"
SEGMENT_ATTRIBUTE: Final = "process.memory.segment"
USAGE_METRIC: Final = "process.memory.usage"
CPU_METRIC: Final = "process.memory.monitor.cpu.time"
RISK_METRIC: Final = "process.memory.leak.risk"
GROWTH_METRIC: Final = "process.memory.leak.growth"
EXHAUSTION_METRIC: Final = "process.memory.leak.time_to_exhaustion"
LIMIT_METRIC: Final = "process.memory.limit"


@dataclass(frozen=True, slots=True)
class Point:
    """One number of one metric."""

    metric: str
    value: float
    attributes: Mapping[str, str | int | float]


@dataclass(frozen=True, slots=True)
class Export:
    """One export of one process.

    Attributes:
        arrived_at_seconds: Monotonic clock of the receiver.
        pid: The process that sent it, or None when it does not say.
        points: Everything that this package's scope reported.
    """

    arrived_at_seconds: float
    pid: int | None
    points: tuple[Point, ...]

    def value(self, metric: str) -> float | None:
        """Return the number of a metric that has no attributes, or None when it is absent."""
        for point in self.points:
            if point.metric == metric:
                return point.value
        return None

    def segments(self) -> dict[str, float]:
        """Return the bytes of each segment that is present, in the order they were sent."""
        return {
            str(point.attributes[SEGMENT_ATTRIBUTE]): point.value
            for point in self.points
            if point.metric == SEGMENT_METRIC and SEGMENT_ATTRIBUTE in point.attributes
        }

    @property
    def is_exact(self) -> bool:
        """Tell whether the segments add up to the resident set size."""
        segments = self.segments()
        return bool(segments) and sum(segments.values()) == self.value(USAGE_METRIC)

    def growth(self) -> dict[str, float]:
        """Return the growth of each segment under suspicion, in bytes per second."""
        return {
            str(point.attributes.get(SEGMENT_ATTRIBUTE)): point.value
            for point in self.points
            if point.metric == GROWTH_METRIC
        }


@dataclass(frozen=True, slots=True)
class LeakEvent:
    """One `process.memory.leak` event of one process.

    Attributes:
        arrived_at_seconds: Monotonic clock of the receiver.
        pid: The process that sent it, or None when it does not say.
        state: What the detector thinks from now on.
        risk: Between 0 and 1.
        reason: One sentence.
        segment: The segment that grows, or None.
        growth_bytes_per_second: How fast, or None.
        time_to_exhaustion_seconds: Until the limit, or None.
    """

    arrived_at_seconds: float
    pid: int | None
    state: str
    risk: float
    reason: str
    segment: str | None = None
    growth_bytes_per_second: float | None = None
    time_to_exhaustion_seconds: float | None = None


@dataclass
class Recording:
    """The exports and the events of one process, oldest first."""

    exports: list[Export] = field(default_factory=list)
    events: list[LeakEvent] = field(default_factory=list)

    @property
    def latest(self) -> Export | None:
        """Return the newest export, or None before the first."""
        return self.exports[-1] if self.exports else None

    def series(self, metric: str) -> list[float]:
        """Return a metric over time, without the exports that lack it."""
        values = (export.value(metric) for export in self.exports)
        return [value for value in values if value is not None]

    def segment_series(self, segment: str) -> list[float]:
        """Return a segment over time, without the exports that lack it."""
        values = (export.segments().get(segment) for export in self.exports)
        return [value for value in values if value is not None]

    @property
    def exact_exports(self) -> int:
        """Return in how many exports the segments add up."""
        return sum(export.is_exact for export in self.exports)

    @property
    def monitor_cpu_seconds(self) -> float | None:
        """Return the CPU time that the monitor used between the first and the last export."""
        values = self.series(CPU_METRIC)
        return values[-1] - values[0] if len(values) > 1 else None

    @property
    def monitor_cpu_share(self) -> float | None:
        """Return the same as a share of one core."""
        cpu_seconds = self.monitor_cpu_seconds
        if cpu_seconds is None:
            return None
        span_seconds = self.exports[-1].arrived_at_seconds - self.exports[0].arrived_at_seconds
        return cpu_seconds / span_seconds if span_seconds > 0 else None
