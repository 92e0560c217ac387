"""Learns on line what is normal, and is slow to believe it."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from opentelemetry.instrumentation.memory._detection.baseline import (
    HOURS,
    Baseline,
    SegmentBaseline,
    as_bytes,
)
from opentelemetry.instrumentation.memory._detection.levels import LIVE, fresh_levels

if TYPE_CHECKING:
    from opentelemetry.instrumentation.memory.model import LeakVerdict, MemorySample, Segment

# A stretch lasts a quarter of the run so far, so that what a late leak gains before it is suspected
# is still waiting then; and at least as many samples as the detector needs to see anything.
_SHARE_OF_AGE: Final = 0.25
_LEAST_SAMPLES: Final = 64
# From the second day on it is at least a day: part of one is higher than another by the hour alone.
_DAY_SECONDS: Final = 86_400.0
# A dear source is read seldom: so few fresh figures tell nothing.
_LEAST_VALUES: Final = 4
# A level is kept when the next stretch, as long again, is no higher than this.
_KEPT: Final = 1.02
_SELDOM_BELOW: Final = 0.05
_SELDOM_ABOVE: Final = 0.95
_ARRIVED: Final = 0.95
# Less of an hour is no visit of it.
_LEAST_VISIT_SECONDS: Final = 1800.0
_MOST_NEW_VISITS: Final = 500
# The sampler at most doubles its interval; a longer gap (a suspended machine) says no more.
_LONGEST_GAP: Final = 2.0
_BIN_GROWTH: Final = math.log(1.01)
_LEAST_BYTES: Final = 4096.0


class Distribution:
    """For how long a level was where: bins of one percent, of which a process uses some hundred."""

    def __init__(self) -> None:
        self._seconds: dict[int, float] = {}
        self.total_seconds = 0.0
        self.count = 0

    def add(self, bin_: int, seconds: float) -> None:
        """Count one level for as long as it lasted; O(1)."""
        self._seconds[bin_] = self._seconds.get(bin_, 0.0) + seconds
        self.total_seconds += seconds
        self.count += 1

    def quantile(self, share: float) -> int:
        """Return the level that was not exceeded for this share of the time; O(bins)."""
        passed, bin_ = 0.0, 0
        for bin_ in sorted(self._seconds):
            passed += self._seconds[bin_]
            if passed >= share * self.total_seconds:
                break
        return as_bytes(math.exp((bin_ + 1) * _BIN_GROWTH))


def level_bin(value: float) -> int:
    """Return the number of the bin that a level is in."""
    return int(math.log(max(value, _LEAST_BYTES)) / _BIN_GROWTH)


class Arrival:
    """When the level came to where it is: every new high that was no spike, with its time; O(1)."""

    def __init__(self) -> None:
        self._recent: deque[int] = deque(maxlen=3)
        self._bins: list[int] = []
        self._ages: list[float] = []

    def add(self, bin_: int, age_seconds: float) -> None:
        """Take the next level into account."""
        self._recent.append(bin_)
        bin_ = min(self._recent)
        if not self._bins or bin_ > self._bins[-1]:
            self._bins.append(bin_)
            self._ages.append(age_seconds)

    def age_seconds_at(self, level: float) -> float:
        """Return how old the run was when it first reached this level."""
        index = bisect_left(self._bins, level_bin(level))
        return self._ages[min(index, len(self._ages) - 1)]


@dataclass(slots=True)
class _Visit:
    """One hour of the week, while it lasts."""

    hour: int
    levels: dict[Segment, Distribution] = field(default_factory=dict)


@dataclass(slots=True)
class _Stretch:
    """A part of the run that is believed once as long again has stayed quiet."""

    began_age_seconds: float
    samples: int = 0
    levels: dict[Segment, Distribution] = field(default_factory=dict)
    highs: dict[Segment, list[int]] = field(default_factory=dict)
    visits: dict[Segment, list[int]] = field(default_factory=dict)

    def is_over(self, age_seconds: float) -> bool:
        began = self.began_age_seconds
        least_seconds = _DAY_SECONDS if began >= _DAY_SECONDS else 0.0
        is_long = age_seconds - began >= max(least_seconds, _SHARE_OF_AGE * began)
        return is_long and self.samples >= _LEAST_SAMPLES

    def close_visit(self, visit: _Visit) -> None:
        for name, levels in visit.levels.items():
            if levels.total_seconds >= _LEAST_VISIT_SECONDS:
                highs = self.highs.setdefault(name, [0] * HOURS)
                visits = self.visits.setdefault(name, [0] * HOURS)
                highs[visit.hour] = max(highs[visit.hour], levels.quantile(_SELDOM_ABOVE))
                visits[visit.hour] = min(visits[visit.hour] + 1, _MOST_NEW_VISITS)


class BaselineLearner:
    """Learns from one run what is normal, beside what earlier runs have shown.

    The run is cut into stretches, each a quarter of the age at which it begins. What a stretch has
    shown is kept waiting until as long again has passed without suspicion, and becomes part of the
    baseline only if the level had all but stopped rising by then. So growth of more than 2 % from
    one stretch to the next adds nothing. A slower leak does, until the stretches have become long
    enough to show it: at 1 % a day about a tenth, and once, however often the service restarts. A
    suspicion throws away all that waits; a leak that is confirmed, by `forget`, all that was
    learnt before.

    Costs about 8 µs a sample, and some 100 KiB whatever the uptime.

    Args:
        known: What earlier runs have learnt.
    """

    def __init__(self, known: Baseline | None = None) -> None:
        self.baseline = known
        self._began_seconds: float | None = None
        self._waiting: _Stretch | None = None
        self._filling: _Stretch | None = None
        self._visit: _Visit | None = None
        self._arrivals = {name: Arrival() for name in LIVE}
        # When each segment was last fresh, and how long before that.
        self._seen: dict[Segment, tuple[float, float]] = {}

    def learn(self, sample: MemorySample, hour: int, verdict: LeakVerdict) -> bool:
        """Take one sample into account; return whether `baseline` has changed.

        It changes ever more seldom: about ten times while a run grows ten times as old.

        Args:
            sample: The sample.
            hour: The hour of the week, 0 to 167, in UTC.
            verdict: What the detector thinks after that sample.
        """
        now = sample.taken_at_seconds
        if self._began_seconds is None:
            self._began_seconds = now
        age_seconds = float(now - self._began_seconds)
        fresh = fresh_levels(sample)
        bins = {name: level_bin(fresh[name]) for name in LIVE if name in fresh}
        lasted = {name: self._lasted_seconds(name, now) for name in bins}
        for name, bin_ in bins.items():
            self._arrivals[name].add(bin_, age_seconds)
        if verdict.state in ("suspected", "confirmed"):
            self._waiting = self._filling = self._visit = None
            return False
        if self._filling is None:
            self._filling = _Stretch(age_seconds)
        if self._visit is not None and self._visit.hour != hour % HOURS:
            self._filling.close_visit(self._visit)
            self._visit = None
        if self._visit is None:
            self._visit = _Visit(hour % HOURS)
        self._filling.samples += 1
        for levels in (self._filling.levels, self._visit.levels):
            for name, bin_ in bins.items():
                if name not in levels:
                    levels[name] = Distribution()
                levels[name].add(bin_, lasted[name])
        return self._filling.is_over(age_seconds) and self._turn(age_seconds)

    def forget(self) -> None:
        """Drop all that this run and earlier ones have shown; only what comes later counts."""
        self.baseline = None
        self._waiting = self._filling = self._visit = None

    def _lasted_seconds(self, segment: Segment, now: float) -> float:
        last, gap = self._seen.get(segment, (now, 0.0))
        lasted = max(now - last, 0.0)
        self._seen[segment] = (now, lasted)
        return min(lasted, _LONGEST_GAP * gap) if gap > 0 else lasted

    def _turn(self, age_seconds: float) -> bool:
        waiting, ended = self._waiting, self._filling
        self._waiting, self._filling = ended, _Stretch(age_seconds)
        if waiting is None or ended is None:
            return False
        shown = {}
        for name, levels in waiting.levels.items():
            later = ended.levels.get(name)
            if later is not None and _is_kept(levels, later):
                shown[name] = self._describe(name, waiting)
        if not shown:
            return False
        before = self.baseline
        learnt = Baseline(shown)
        self.baseline = learnt if before is None else before.merged(learnt)
        return self.baseline != before

    def _describe(self, segment: Segment, stretch: _Stretch) -> SegmentBaseline:
        levels = stretch.levels[segment]
        level, high = levels.quantile(0.5), levels.quantile(_SELDOM_ABOVE)
        warm_up_seconds = self._arrivals[segment].age_seconds_at(_ARRIVED * level)
        if stretch.began_age_seconds < warm_up_seconds:
            return SegmentBaseline(level, warm_up_seconds, level, high)
        highs = stretch.highs.get(segment, [0] * HOURS)
        visits = stretch.visits.get(segment, [0] * HOURS)
        return SegmentBaseline(
            level_bytes=level,
            warm_up_seconds=warm_up_seconds,
            low_bytes=levels.quantile(_SELDOM_BELOW),
            high_bytes=max(high, *highs),
            hour_high_bytes=tuple(highs),
            hour_visits=self._add_visits(segment, visits),
        )

    def _add_visits(self, segment: Segment, visits: list[int]) -> tuple[int, ...]:
        known = None if self.baseline is None else self.baseline.segments.get(segment)
        if known is None:
            return tuple(visits)
        return tuple(
            min(before + now, _MOST_NEW_VISITS)
            for before, now in zip(known.hour_visits, visits, strict=True)
        )


def _is_kept(levels: Distribution, later: Distribution) -> bool:
    if min(levels.count, later.count) < _LEAST_VALUES:
        return False
    return all(
        later.quantile(share) <= _KEPT * levels.quantile(share) for share in (0.5, _SELDOM_ABOVE)
    )
