"""Is this process leaking, and why do we think so: time and samples in, verdict out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast, get_args

from opentelemetry.instrumentation.memory._detection import risk
from opentelemetry.instrumentation.memory._detection.segment import Judgement, SegmentWatch
from opentelemetry.instrumentation.memory._detection.ticks import Ticks
from opentelemetry.instrumentation.memory._detection.words import bytes_in_words, seconds_in_words
from opentelemetry.instrumentation.memory.model import (
    Growth,
    LeakState,
    LeakVerdict,
    MemorySample,
    Segment,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

STATE_VERSION: Final = 1

_LIVE: Final[tuple[Segment, ...]] = ("python_heap", "native_heap", "other_anonymous")
_RECOVERED_TICKS: Final = 64


class LeakDetector:
    """Judges the memory of one process, one sample after the other.

    For each segment it keeps the floor that was never given back (`envelope`), at block lengths
    that grow by four, and asks what else than a leak explains a rise of it: a cache that slows
    down, a single step, a size that was given back before, growth too small to matter (`risk`).
    What nothing else explains is weighed by how long it has lasted. Time comes from the samples
    alone, and no length of time is built in: the code that judges a minute judges a year.

    Costs about 20 µs a sample and 4 to 160 KiB, whatever the uptime.

    Args:
        minimum_tick_seconds: Samples closer together than this are averaged.
    """

    def __init__(self, minimum_tick_seconds: float = 0.0) -> None:
        self._ticks = Ticks(minimum_tick_seconds)
        self._watches: dict[Segment, SegmentWatch] = {}
        self._raised: set[Segment] = set()
        self._tick_count = 0
        self._recovered_at = 0
        self._state: LeakState = "warming_up"
        self._verdict = LeakVerdict()

    def update(self, sample: MemorySample) -> LeakVerdict:
        """Take the next sample into account and return the verdict after it."""
        tick = self._ticks.add(sample.taken_at_seconds, _values(sample))
        if tick is None or sample.resident_bytes is None:
            return self._verdict
        self._tick_count += 1
        time, means = tick
        is_judged = False
        for name, value in means.items():
            watch = self._watch(cast("Segment", name))
            is_judged |= watch.add(time, value, sample.resident_bytes, sample.limit_bytes)
        if is_judged:
            self._verdict = self._judge(sample)
        return self._verdict

    def to_state(self) -> dict[str, Any]:
        """Return everything as plain values, for JSON; `from_state` goes on where this stopped."""
        return {
            "version": STATE_VERSION,
            "ticks": self._ticks.to_state(),
            "watches": {name: watch.to_state() for name, watch in self._watches.items()},
            "raised": sorted(self._raised),
            "tick_count": self._tick_count,
            "recovered_at": self._recovered_at,
            "state": self._state,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> LeakDetector:
        """Return the detector that `to_state` described.

        Raises:
            ValueError: Another version wrote the state, or it is damaged.
        """
        if state.get("version") != STATE_VERSION or state.get("state") not in get_args(LeakState):
            raise ValueError("not a state of this detector")
        try:
            detector = cls()
            detector._ticks = Ticks.from_state(state["ticks"])
            detector._watches = {
                name: SegmentWatch.from_state(watch) for name, watch in state["watches"].items()
            }
            detector._raised = set(state["raised"])
            detector._tick_count = int(state["tick_count"])
            detector._recovered_at = int(state["recovered_at"])
            detector._state = state["state"]
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"damaged detector state: {error!r}") from error
        return detector

    def _watch(self, segment: Segment) -> SegmentWatch:
        watch = self._watches.get(segment)
        if watch is None:
            watch = self._watches[segment] = SegmentWatch()
        return watch

    def _judge(self, sample: MemorySample) -> LeakVerdict:
        risks: dict[Segment, float] = {}
        firm = 0.0
        for segment in _LIVE:
            watch = self._watches.get(segment)
            if watch is None:
                continue
            to_raise = risk.risk(watch.best(is_raised=False).raise_score)
            firm = max(firm, to_raise)
            if to_raise >= risk.SUSPECTED_RISK:
                self._raised.add(segment)
            risks[segment] = to_raise
            if segment in self._raised:
                risks[segment] = risk.risk(watch.best(is_raised=True).hold_score)
                if risks[segment] < risk.WITHDRAWN_RISK:
                    self._raised.discard(segment)
        self._step_state(firm)
        return self._describe(sample, risks)

    def _step_state(self, firm_risk: float) -> None:
        if self._state == "warming_up":
            self._state = "quiet"
        if firm_risk >= risk.CONFIRMED_RISK:
            self._state = "confirmed"
        elif self._raised and self._state != "confirmed":
            self._state = "suspected"
        elif not self._raised and self._state == "confirmed":
            self._state, self._recovered_at = "recovered", self._tick_count
        elif (self._state == "suspected" and not self._raised) or self._is_long_recovered():
            self._state = "quiet"

    def _is_long_recovered(self) -> bool:
        is_long = self._tick_count - self._recovered_at >= _RECOVERED_TICKS
        return self._state == "recovered" and is_long

    def _describe(self, sample: MemorySample, risks: Mapping[Segment, float]) -> LeakVerdict:
        suspects = sorted(self._raised, key=lambda name: -risks[name])
        if not suspects:
            return self._describe_innocence(max(risks.values(), default=0.0))
        growth = tuple(Growth(name, self._held(name).bytes_per_second) for name in suspects)
        return LeakVerdict(
            self._state,
            risks[suspects[0]],
            suspects[0],
            growth,
            _time_to_exhaustion(sample, growth),
            _accusation(suspects[0], self._held(suspects[0])),
        )

    def _describe_innocence(self, highest_risk: float) -> LeakVerdict:
        retained = self._watches.get("retained")
        if retained is not None:
            kept = retained.best(is_raised=False)
            if risk.risk(kept.raise_score) >= risk.SUSPECTED_RISK:
                reason = (
                    f"fragmentation, not a leak: memory that was freed and is kept by allocators "
                    f"grows by {_rate(kept)}, live bytes do not"
                )
                return LeakVerdict(self._state, highest_risk, "retained", (), None, reason)
        grown = {
            name: watch.obstacle()
            for name, watch in self._watches.items()
            if name in _LIVE and watch.obstacle() is not None
        }
        reason = "no segment keeps growing"
        if grown:
            name = max(grown, key=lambda each: self._held(each).height_bytes)
            reason = f"{_in_words(name)} grew, but {grown[name]}"
        return LeakVerdict(self._state, highest_risk, reason=reason)

    def _held(self, segment: Segment) -> Judgement:
        return self._watches[segment].best(is_raised=True)


def _values(sample: MemorySample) -> dict[str, float]:
    """Return the segments' fresh figures; one that an allocator has not updated says nothing."""
    parts = sample.partition
    is_python_fresh = not sample.python_heap_age_seconds
    is_native_fresh = not sample.native_heap_age_seconds
    used = sample.heap_used_bytes if sample.heap_used_bytes is not None else parts.python_heap_bytes
    is_all_fresh = is_python_fresh and is_native_fresh
    known = {
        "python_heap": used if is_python_fresh else None,
        "native_heap": parts.native_heap_bytes if is_native_fresh else None,
        "other_anonymous": parts.other_anonymous_bytes if is_all_fresh else None,
        "retained": parts.retained_bytes if is_all_fresh else None,
    }
    return {name: float(value) for name, value in known.items() if value is not None}


def _time_to_exhaustion(sample: MemorySample, growth: tuple[Growth, ...]) -> float | None:
    pace = sum(each.bytes_per_second for each in growth)
    if sample.limit_bytes is None or sample.resident_bytes is None or pace <= 0:
        return None
    return max(sample.limit_bytes - sample.resident_bytes, 0) / pace


def _accusation(segment: Segment, judgement: Judgement) -> str:
    return (
        f"{_in_words(segment)} has grown by {bytes_in_words(judgement.height_bytes)} in "
        f"{seconds_in_words(judgement.seconds)} ({_rate(judgement)}), keeps its pace, "
        f"and gave nothing back"
    )


def _rate(judgement: Judgement) -> str:
    return f"{bytes_in_words(judgement.bytes_per_second * 3600)}/h"


def _in_words(segment: str) -> str:
    return "other anonymous memory" if segment == "other_anonymous" else segment.replace("_", " ")
