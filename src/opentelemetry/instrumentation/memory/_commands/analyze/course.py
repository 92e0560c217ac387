"""The course of a series for drawing: so many points at most, however long it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from opentelemetry.instrumentation.memory.model import (
        LeakState,
        LeakVerdict,
        MemorySample,
        Segment,
    )

_MOST_POINTS: Final = 4096
_MOST_CHANGES: Final = 4096


@dataclass(slots=True)
class Point:
    """A stretch of the series: the segments of its last sample, the highest risk in it."""

    time: float
    resident: float
    segments: dict[Segment, int]
    limit: int | None
    risk: float


class Course:
    """Keeps a point for each stretch of samples; stretches double when there are too many."""

    def __init__(self) -> None:
        self.points: list[Point] = []
        self.changes: list[tuple[float, LeakState]] = []
        self._samples_a_point = 1
        self._samples_in_point = 0
        self.verdict: LeakVerdict | None = None

    def add(self, sample: MemorySample, verdict: LeakVerdict) -> None:
        """Take in the next sample and what was thought after it."""
        is_change = not self.changes or self.changes[-1][1] != verdict.state
        if is_change and len(self.changes) < _MOST_CHANGES:
            self.changes.append((sample.taken_at_seconds, verdict.state))
        self.verdict = verdict
        point = Point(
            sample.taken_at_seconds,
            float(sample.resident_bytes or 0),
            dict(sample.partition.present()),
            sample.limit_bytes,
            verdict.risk,
        )
        if self._samples_in_point and self._samples_in_point < self._samples_a_point:
            point.risk = max(point.risk, self.points.pop().risk)
            self._samples_in_point += 1
        else:
            self._samples_in_point = 1
        self.points.append(point)
        if len(self.points) >= _MOST_POINTS and self._samples_in_point == self._samples_a_point:
            self._halve()

    def _halve(self) -> None:
        kept = []
        for first, second in zip(self.points[::2], self.points[1::2], strict=True):
            second.risk = max(first.risk, second.risk)
            kept.append(second)
        self.points = kept
        self._samples_a_point *= 2
        self._samples_in_point = self._samples_a_point
