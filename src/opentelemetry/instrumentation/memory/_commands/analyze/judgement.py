"""What the detector thought of a whole series, as it would have while the series was recorded."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opentelemetry.instrumentation.memory._detection.detector import LeakDetector
from opentelemetry.instrumentation.memory.model import LeakVerdict

if TYPE_CHECKING:
    from opentelemetry.instrumentation.memory._commands.analyze.course import Course
    from opentelemetry.instrumentation.memory.model import LeakState, MemorySample, Segment


@dataclass(frozen=True, slots=True)
class Judgement:
    """The outcome of one series; times are the recording's own.

    Attributes:
        leak: Whether the series ends confirmed.
        declared_at_seconds: When the present leak was confirmed; of a series that does not end
            confirmed, when the first one was. None when there never was one.
        alarms_seconds: Every time that a leak was confirmed.
        segment: Where the leak is, or was when it was declared; else what the last verdict names.
        growth_bytes_per_second: Of all segments under suspicion at the end.
    """

    leak: bool
    state: LeakState
    declared_at_seconds: float | None
    alarms_seconds: tuple[float, ...]
    segment: Segment | None
    max_risk: float
    growth_bytes_per_second: float | None
    time_to_exhaustion_seconds: float | None
    reason: str
    samples: int
    first_seconds: float
    last_seconds: float

    def to_json(self) -> dict[str, object]:
        """Return what `--json` promises."""
        return {
            "leak": self.leak,
            "declared_at_s": self.declared_at_seconds,
            "alarms_s": list(self.alarms_seconds),
            "segment": self.segment,
            "max_risk": round(self.max_risk, 6),
            "growth_bytes_per_second": self.growth_bytes_per_second,
            "time_to_exhaustion_s": self.time_to_exhaustion_seconds,
            "reason": self.reason,
        }


def unreadable(reason: str) -> Judgement:
    """Return what there is to say of an input without a series: nothing, and why."""
    return dataclasses.replace(SeriesJudge().judgement(), reason=reason)


class SeriesJudge:
    """Feeds one series to a detector and keeps what became of it; bounded but for the alarms."""

    def __init__(self, course: Course | None = None) -> None:
        self.course = course
        self._detector = LeakDetector()
        self._verdict = LeakVerdict()
        self._alarms: list[tuple[float, Segment | None]] = []
        self._max_risk = 0.0
        self._samples = 0
        self._first = math.nan
        self._last = math.nan

    def add(self, sample: MemorySample) -> None:
        """Judge the next sample."""
        if not self._samples:
            self._first = sample.taken_at_seconds
        self._samples += 1
        self._last = sample.taken_at_seconds
        before = self._verdict
        verdict = self._verdict = self._detector.update(sample)
        if verdict is not before:
            self._max_risk = max(self._max_risk, verdict.risk)
            if verdict.state == "confirmed" != before.state:
                self._alarms.append((self._last, verdict.segment))
        if self.course is not None:
            self.course.add(sample, verdict)

    def judgement(self) -> Judgement:
        """Return the outcome so far."""
        verdict = self._verdict
        is_leak = verdict.state == "confirmed"
        declared: tuple[float | None, Segment | None] = (None, verdict.segment)
        if is_leak:
            onset, segment = self._alarms[-1]
            declared = (onset, verdict.segment or segment)
        elif self._alarms:
            declared = self._alarms[0]
        growth = math.fsum(each.bytes_per_second for each in verdict.growth)
        return Judgement(
            leak=is_leak,
            state=verdict.state,
            declared_at_seconds=declared[0],
            alarms_seconds=tuple(time for time, _ in self._alarms),
            segment=declared[1],
            max_risk=self._max_risk,
            growth_bytes_per_second=_finite(growth) if verdict.growth else None,
            time_to_exhaustion_seconds=_finite(verdict.time_to_exhaustion_seconds),
            reason=verdict.reason,
            samples=self._samples,
            first_seconds=self._first,
            last_seconds=self._last,
        )


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
