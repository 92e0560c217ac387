"""What earlier runs of this service have shown to be normal."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

from opentelemetry.instrumentation.memory._detection.levels import LIVE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.instrumentation.memory.model import Segment

STATE_VERSION: Final = 1
HOURS: Final = 168

# Two runs of one program differ by some percent, and so do two days.
_TOLERANCE: Final = 0.05
# An hour counts once it was seen on so many days: before that its level may be the run's, not the
# hour's.
_LEAST_VISITS: Final = 2
_LEAST_VISITS_OF_HOUR_OF_DAY: Final = 3
# Neighbours that differ by more than this share of the highest level: load comes or goes.
_TRANSITION: Final = 0.1
_MOST_BYTES: Final = 2**60
_MOST_SECONDS: Final = 1e10
_MOST_VISITS: Final = 1000
_HOURS_OF_DAY: Final = 24
# 1 January 1970 was a Thursday; weeks begin on Monday.
_HOURS_BEFORE_EPOCH: Final = 72


def hour_of_week(epoch_seconds: float) -> int:
    """Return the hour of the week in UTC: 0 is Monday from midnight to one."""
    return int(epoch_seconds // 3600 + _HOURS_BEFORE_EPOCH) % HOURS


@dataclass(frozen=True, slots=True)
class SegmentBaseline:
    """What is normal for one segment.

    Attributes:
        level_bytes: The median level after warm-up.
        warm_up_seconds: How long it took to get there.
        low_bytes: What the level is seldom below, after warm-up.
        high_bytes: What the level is seldom above.
        hour_high_bytes: The same for each hour of the week, Monday midnight UTC first; 0: unseen.
        hour_visits: On how many days that hour was seen.
    """

    level_bytes: int
    warm_up_seconds: float
    low_bytes: int
    high_bytes: int
    hour_high_bytes: tuple[int, ...] = (0,) * HOURS
    hour_visits: tuple[int, ...] = (0,) * HOURS

    def __post_init__(self) -> None:
        hours = (*self.hour_high_bytes, *self.hour_visits)
        figures = (self.level_bytes, self.low_bytes, self.high_bytes, *hours)
        is_valid = (
            all(type(each) is int and 0 <= each <= _MOST_BYTES for each in figures)
            and self.low_bytes <= self.level_bytes <= self.high_bytes
            and len(self.hour_high_bytes) == len(self.hour_visits) == HOURS
            and max(self.hour_high_bytes) <= self.high_bytes
            and max(self.hour_visits) <= _MOST_VISITS
            and type(self.warm_up_seconds) is float
            and 0 <= self.warm_up_seconds <= _MOST_SECONDS
        )
        if not is_valid:
            raise ValueError("a figure is missing, or outside of what is possible")

    def merged(self, other: SegmentBaseline) -> SegmentBaseline:
        """Return what is normal when both are: the wider range, the higher levels."""
        return SegmentBaseline(
            level_bytes=max(self.level_bytes, other.level_bytes),
            warm_up_seconds=max(self.warm_up_seconds, other.warm_up_seconds),
            low_bytes=min(self.low_bytes, other.low_bytes),
            high_bytes=max(self.high_bytes, other.high_bytes),
            hour_high_bytes=_highest(self.hour_high_bytes, other.hour_high_bytes),
            hour_visits=_highest(self.hour_visits, other.hour_visits),
        )

    def season(self) -> tuple[int | None, ...]:
        """Return the normal high at each hour of the week.

        An hour of the week that is not known well enough counts as that hour of any day, and an
        hour of the day that is not either as any hour. None marks an hour in which the level is on
        its way up or down. Where that is most of them there is no season: then any hour is like any
        other.
        """
        known = [self._known_high(hour) for hour in range(HOURS)]
        step = _TRANSITION * self.high_bytes
        levels = tuple(
            level
            if max(abs(level - known[hour - 1]), abs(level - known[(hour + 1) % HOURS])) <= step
            else None
            for hour, level in enumerate(known)
        )
        return levels if levels.count(None) <= HOURS // 2 else (self.high_bytes,) * HOURS

    def _known_high(self, hour: int) -> int:
        if self.hour_visits[hour] >= _LEAST_VISITS:
            return self.hour_high_bytes[hour]
        same_hours = slice(hour % _HOURS_OF_DAY, None, _HOURS_OF_DAY)
        if sum(self.hour_visits[same_hours]) >= _LEAST_VISITS_OF_HOUR_OF_DAY:
            return max(self.hour_high_bytes[same_hours])
        return self.high_bytes


@dataclass(frozen=True, slots=True)
class Baseline:
    """What is normal for each segment of live bytes; those that nothing is known of are absent."""

    segments: Mapping[Segment, SegmentBaseline]
    _seasons: dict[Segment, tuple[int | None, ...]] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        self._seasons.update({name: each.season() for name, each in self.segments.items()})

    def excess(self, segment: Segment, value_bytes: float, hour: int | None) -> float | None:
        """Return a level in which everything normal looks flat; O(1).

        That is the normal high, plus what exceeds the high of this hour: growth counts from where
        it leaves what earlier runs have reached and kept. A segment that nothing is known of is
        returned as it is. None: load comes or goes at this hour, so the level says nothing.

        Args:
            segment: The segment.
            value_bytes: Its level.
            hour: The hour of the week, 0 to 167; None when that is not known.
        """
        known = self.segments.get(segment)
        if known is None:
            return value_bytes
        high = known.high_bytes
        normal = high if hour is None else self._seasons[segment][hour % HOURS]
        if normal is None:
            return None
        return high + max(0.0, value_bytes - normal - _TOLERANCE * high)

    def merged(self, other: Baseline) -> Baseline:
        """Return what is normal when both are; commutative, associative and idempotent."""
        segments = {**self.segments, **other.segments}
        for name in self.segments.keys() & other.segments.keys():
            segments[name] = self.segments[name].merged(other.segments[name])
        return Baseline(segments)

    def to_state(self) -> dict[str, Any]:
        """Return everything as plain values, for JSON: at most 20 KiB."""
        segments = {name: asdict(each) for name, each in self.segments.items()}
        return {"version": STATE_VERSION, "segments": segments}

    @classmethod
    def from_state(cls, state: object) -> Baseline:
        """Return the baseline that `to_state` described.

        Raises:
            ValueError: Another version wrote the state, or it is damaged.
        """
        if not isinstance(state, dict) or not _is_version(state.get("version")):
            raise ValueError("not a baseline of this version")
        segments = state.get("segments")
        if not isinstance(segments, dict) or not segments.keys() <= set(LIVE):
            raise ValueError("not the segments of a baseline")
        return cls({cast("Segment", name): _segment(each) for name, each in segments.items()})


def _is_version(version: object) -> bool:
    return type(version) is int and version == STATE_VERSION


def _segment(state: object) -> SegmentBaseline:
    try:
        fields = dict(cast("dict[str, Any]", state))
        fields["hour_high_bytes"] = tuple(fields["hour_high_bytes"])
        fields["hour_visits"] = tuple(fields["hour_visits"])
        return SegmentBaseline(**fields)
    except (KeyError, TypeError) as error:
        raise ValueError(f"damaged: {error}") from error


def _highest(some: tuple[int, ...], others: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(map(max, some, others))


def as_bytes(value: float) -> int:
    """Return a level as a whole number of bytes within what a baseline can hold."""
    return min(math.ceil(max(value, 0.0)), _MOST_BYTES)
