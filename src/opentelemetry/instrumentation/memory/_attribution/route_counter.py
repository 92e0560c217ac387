"""Notes how memory grew and what finished meanwhile, sample by sample, while somebody asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from opentelemetry.instrumentation.memory._attribution.requests import MOST_CARRIED, REQUESTS
from opentelemetry.instrumentation.memory._attribution.route_record import Finished, RouteRecord
from opentelemetry.instrumentation.memory._attribution.routes import SpanCounter

if TYPE_CHECKING:
    from opentelemetry.instrumentation.memory._attribution.request_watch import RequestWatch
    from opentelemetry.instrumentation.memory._sampling.clock import Clock
    from opentelemetry.instrumentation.memory.evidence import RouteGrowth
    from opentelemetry.instrumentation.memory.model import MemorySample, Segment

_FIRST_INTERVAL_SECONDS: Final = 0.45
_LONGEST_INTERVAL_SECONDS: Final = 16.0
# Figures that a resting source told before are taken for those of now when they are this much
# younger than the interval is long.
_OLDEST_PART: Final = 0.1


class RouteCounter:
    """The watch over routes of one process.

    Between `start` and `stop`, requests and tracked tasks are counted, and `observe` puts growth
    beside them. Everything is of the calling process: a forked child begins empty.

    Args:
        clock: The time of day, by which spans tell when they began.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._spans = SpanCounter()
        self._provider: Any = None
        self._is_watching = False
        self._segment: Segment | None = None
        self._pid = 0
        self._level: int | None = None
        self._noted_at = 0.0
        self._interval_seconds = _FIRST_INTERVAL_SECONDS
        self._is_marked = False
        self._requests_since, self._tracked_since = Finished(), Finished()
        self._requests, self._tracked = RouteRecord(), RouteRecord()
        self._growth: tuple[RouteGrowth, ...] = ()

    def attach(self, tracer_provider: Any) -> None:
        """Remember the provider whose spans are counted; it is told when counting starts."""
        self._provider = tracer_provider
        if self._is_watching or REQUESTS.watch is not None:
            self._spans.attach(tracer_provider)

    def detach(self) -> None:
        """Stop, and let go of the provider and of single requests."""
        self.stop()
        REQUESTS.watch = None
        self._provider = None
        self._spans.detach()

    def watch_requests(self, watch: RequestWatch | None) -> None:
        """Have single requests watched from now on, or no more."""
        REQUESTS.watch = watch
        if watch is not None and self._provider is not None:
            self._spans.attach(self._provider)

    def start(self, segment: Segment | None = None) -> None:
        """Count from now on, and look at the segment under suspicion; harmless when repeated."""
        if self._is_watching and segment == self._segment:
            return
        if self._provider is not None:
            self._spans.attach(self._provider)
        self._begin(segment)
        REQUESTS.start_counting()
        self._is_watching = True

    def stop(self) -> None:
        """Count no more, and forget."""
        self._is_watching = False
        REQUESTS.stop_counting()
        self._begin(None)

    @property
    def is_watching(self) -> bool:
        """Tell whether requests are counted."""
        return self._is_watching

    def mark(self) -> None:
        """Take the counts of this moment; called just before a sample is read.

        Afterwards would be too late: to read malloc's figures lets other threads run, and it may be
        long until the last of them gives the GIL back.
        """
        if not self._is_watching:
            return
        for finished, tally, begun in (
            (self._requests_since, REQUESTS.finished, REQUESTS.begun),
            (self._tracked_since, REQUESTS.tracked, REQUESTS.track_begun),
        ):
            counts, stands_for = tally.take()
            finished.counts.update(counts)
            finished.stands_for += stands_for
            finished.begun += begun.take()
            finished.carried = [*finished.carried, *tally.take_carried()][-MOST_CARRIED:]
        REQUESTS.close_era(int(self._clock.epoch() * 1e9))
        self._is_marked = True

    def observe(self, sample: MemorySample) -> None:
        """Note a sample; called by the sampling thread after each.

        With `mark` it takes under 100 µs with 100 routes.
        """
        if not self._is_watching:
            return
        if sample.pid != self._pid:
            # The first one, or the first one after a fork.
            self._begin(self._segment)
            REQUESTS.start_counting()
            self._pid = sample.pid
        if not self._is_marked:
            self.mark()
        self._is_marked = False
        level = live_bytes(sample, self._segment)
        if level is None:
            return
        elapsed = sample.taken_at_seconds - self._noted_at
        if self._level is not None:
            if elapsed < self._interval_seconds or _age(sample) > _OLDEST_PART * elapsed:
                return
        elif _age(sample) > 0:
            return
        era = REQUESTS.era - 1
        if self._level is None:
            self._requests, self._tracked = RouteRecord(era + 1), RouteRecord(era + 1)
        else:
            growth = level - self._level
            self._requests.append(elapsed, growth, self._requests_since, era)
            self._tracked.append(elapsed, growth, self._tracked_since, era)
            if self._requests.is_full():
                self._make_room()
        self._requests_since, self._tracked_since = Finished(), Finished()
        self._level, self._noted_at = level, sample.taken_at_seconds

    def records(self) -> tuple[RouteRecord, RouteRecord]:
        """Return copies of what was noted: of requests, and of what `track` names."""
        requests, tracked = self._requests, self._tracked
        length = min(len(requests.growth), len(tracked.growth))
        return requests.copy(length), tracked.copy(length)

    def growth(self) -> tuple[RouteGrowth, ...]:
        """Return what was last found, for the metric; empty while nothing is watched."""
        return self._growth if self._is_watching else ()

    def publish(self, growth: tuple[RouteGrowth, ...]) -> None:
        """Keep what was found for `growth`."""
        self._growth = growth

    def _begin(self, segment: Segment | None) -> None:
        self._segment = segment
        self._pid = 0
        self._level = None
        self._is_marked = False
        self._requests_since, self._tracked_since = Finished(), Finished()
        self._interval_seconds = _FIRST_INTERVAL_SECONDS
        self._requests, self._tracked = RouteRecord(), RouteRecord()
        self._growth = ()

    def _make_room(self) -> None:
        if self._interval_seconds > _LONGEST_INTERVAL_SECONDS:
            # Hours have passed: what was watched first says nothing about now.
            self._requests, self._tracked = RouteRecord(REQUESTS.era), RouteRecord(REQUESTS.era)
            return
        self._interval_seconds *= 2
        self._requests, self._tracked = self._requests.halved(), self._tracked.halved()


def live_bytes(sample: MemorySample, segment: Segment | None) -> int | None:
    """Return the bytes in use that a leak of this segment adds to, or None when unknown."""
    parts = sample.partition
    heaps = [
        each for each in (parts.python_heap_bytes, parts.native_heap_bytes) if each is not None
    ]
    if segment == "other_anonymous" or not heaps:
        return parts.other_anonymous_bytes
    return sum(heaps)


def _age(sample: MemorySample) -> float:
    return max(sample.python_heap_age_seconds or 0.0, sample.native_heap_age_seconds or 0.0)
