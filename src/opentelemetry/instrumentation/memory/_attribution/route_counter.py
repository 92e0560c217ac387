"""Notes how memory grew and what finished meanwhile, sample by sample, while somebody asks."""

from __future__ import annotations

from collections import Counter, deque
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.instrumentation.memory._attribution.requests import MOST_CARRIED, REQUESTS
from opentelemetry.instrumentation.memory._attribution.route_record import Finished, RouteRecord
from opentelemetry.instrumentation.memory._attribution.routes import SpanCounter
from opentelemetry.instrumentation.memory._sampling.background import allocate_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from opentelemetry.instrumentation.memory._attribution.request_watch import RequestWatch
    from opentelemetry.instrumentation.memory._attribution.requests import Counter as Ticks
    from opentelemetry.instrumentation.memory._attribution.requests import Tally
    from opentelemetry.instrumentation.memory._sampling.clock import Clock
    from opentelemetry.instrumentation.memory.evidence import RouteGrowth
    from opentelemetry.instrumentation.memory.model import MemorySample, Segment

_FIRST_INTERVAL_SECONDS: Final = 0.45
_LONGEST_INTERVAL_SECONDS: Final = 16.0
# Figures that a resting source told before are taken for those of now when they are this much
# younger than the interval is long.
_OLDEST_PART: Final = 0.1
_LOCK_TIMEOUT_SECONDS: Final = 0.1
# Collections take samples that nobody observes, and while another inquiry holds memory nobody
# observes any.
_MOST_MARKS: Final = 16


@dataclass(slots=True)
class _Mark:
    """What was counted between the mark before and this one, just before a sample was read."""

    requests: Finished
    tracked: Finished
    era: int
    sample: MemorySample | None = None

    def belong_to(self, sample: MemorySample) -> None:
        self.sample = sample

    def add_to(self, requests: Finished, tracked: Finished) -> None:
        requests.add(self.requests, MOST_CARRIED)
        tracked.add(self.tracked, MOST_CARRIED)


class RouteCounter:
    """The watch over routes of one process.

    Between `start` and `stop`, requests and tracked tasks are counted, and `observe` puts growth
    beside them. Everything is of the calling process: a forked child begins empty.

    A lock keeps apart the thread that samples, the one that investigates, those of metric readers,
    which take samples too, and whoever ends all this. Who cannot have it soon leaves the turn out;
    an end happens anyway. No request ever takes it.

    Args:
        clock: The time of day, by which spans tell when they began.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._spans = SpanCounter()
        self._provider: Any = None
        self._lock = allocate_lock()
        self._is_closed = False
        self._is_watching = False
        self._segment: Segment | None = None
        self._pid = 0
        self._level: int | None = None
        self._noted_at = 0.0
        self._interval_seconds = _FIRST_INTERVAL_SECONDS
        self._marks: deque[_Mark] = deque()
        self._requests_since, self._tracked_since = Finished(), Finished()
        self._requests, self._tracked = RouteRecord(), RouteRecord()
        self._growth: tuple[RouteGrowth, ...] = ()

    def attach(self, tracer_provider: Any) -> None:
        """Remember the provider whose spans are counted; it is told when counting starts."""
        with self._held() as is_held:
            if not is_held or self._is_closed:
                return
            self._provider = tracer_provider
            if self._is_watching or REQUESTS.watch is not None:
                self._spans.attach(tracer_provider)
            self._end_if_closed()

    def detach(self) -> None:
        """Stop for good, and let go of the provider and of single requests."""
        # Before the lock: who waits for it, or holds it for too long, finds this afterwards.
        self._is_closed = True
        with self._held():
            self._end()

    def watch_requests(self, watch: RequestWatch) -> None:
        """Have single requests watched from now on."""
        with self._held() as is_held:
            if not is_held or self._is_closed:
                return
            REQUESTS.watch = watch
            if self._provider is not None:
                self._spans.attach(self._provider)
            self._end_if_closed()

    def start(self, segment: Segment | None = None) -> None:
        """Count from now on, and look at the segment under suspicion; harmless when repeated."""
        if self._is_watching and segment == self._segment:
            return
        with self._held() as is_held:
            if not is_held or self._is_closed:
                return
            if self._provider is not None:
                self._spans.attach(self._provider)
            self._begin(segment)
            self._is_watching = True
            REQUESTS.start_counting()
            self._end_if_closed()

    def stop(self) -> None:
        """Count no more, and forget."""
        with self._held():
            self._stop()

    @property
    def is_watching(self) -> bool:
        """Tell whether requests are counted."""
        return self._is_watching

    def mark(self) -> Callable[[MemorySample], None] | None:
        """Take the counts of this moment; called just before a sample is read, by any thread.

        Afterwards would be too late: to read malloc's figures lets other threads run, and it may be
        long until the last of them gives the GIL back.

        Returns:
            What to call with the sample, so that `observe` puts these counts beside its bytes and
            no others; None while nothing is counted.
        """
        if not self._is_watching:
            return None
        with self._held() as is_held:
            return self._mark().belong_to if is_held and self._is_watching else None

    def observe(self, sample: MemorySample) -> None:
        """Note a sample; called by the sampling thread after each.

        With `mark` it takes under 100 µs with 100 routes.
        """
        if not self._is_watching:
            return
        with self._held() as is_held:
            # Who ended the watch may have had the lock before.
            if is_held and self._is_watching:
                self._observe(sample)

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

    @contextmanager
    def _held(self) -> Iterator[bool]:
        is_held = self._lock.acquire(timeout=_LOCK_TIMEOUT_SECONDS)
        try:
            yield is_held
        finally:
            if is_held:
                self._lock.release()

    def _begin(self, segment: Segment | None) -> None:
        self._segment = segment
        self._pid = 0
        self._level = None
        self._marks = deque()
        self._requests_since, self._tracked_since = Finished(), Finished()
        self._interval_seconds = _FIRST_INTERVAL_SECONDS
        self._requests, self._tracked = RouteRecord(), RouteRecord()
        self._growth = ()

    def _stop(self) -> None:
        self._is_watching = False
        REQUESTS.stop_counting()
        self._begin(None)

    def _end(self) -> None:
        self._stop()
        REQUESTS.watch = None
        self._provider = None
        self._spans.detach()

    def _end_if_closed(self) -> None:
        # By who could not wait for the lock.
        if self._is_closed:
            self._end()

    def _mark(self) -> _Mark:
        mark = _Mark(
            _taken(REQUESTS.finished, REQUESTS.begun),
            _taken(REQUESTS.tracked, REQUESTS.track_begun),
            REQUESTS.era,
        )
        REQUESTS.close_era(int(self._clock.epoch() * 1e9))
        if len(self._marks) >= _MOST_MARKS:
            self._marks.popleft().add_to(self._requests_since, self._tracked_since)
        self._marks.append(mark)
        return mark

    def _observe(self, sample: MemorySample) -> None:
        if sample.pid != self._pid:
            # The first one, or the first one after a fork.
            self._begin(self._segment)
            self._pid = sample.pid
            REQUESTS.start_counting()
            self._end_if_closed()
        era = self._take_marks(sample)
        level = live_bytes(sample, self._segment)
        if era is None or level is None:
            return
        elapsed = sample.taken_at_seconds - self._noted_at
        if self._level is not None:
            if elapsed < self._interval_seconds or _age(sample) > _OLDEST_PART * elapsed:
                return
        elif _age(sample) > 0:
            return
        if self._level is None:
            self._requests, self._tracked = RouteRecord(era + 1), RouteRecord(era + 1)
        else:
            growth = level - self._level
            self._requests.append(elapsed, growth, self._requests_since, era)
            self._tracked.append(elapsed, growth, self._tracked_since, era)
            if self._requests.is_full():
                self._make_room(era + 1)
        self._requests_since, self._tracked_since = Finished(), Finished()
        self._level, self._noted_at = level, sample.taken_at_seconds

    def _take_marks(self, sample: MemorySample) -> int | None:
        """Add up what was counted until the sample, and return the era that ended with it.

        None when that is not known: its counts belong to a later sample.
        """
        if not self._marks:
            # Nobody marks, or this sample was read before the watch began.
            self._mark().belong_to(sample)
        if all(mark.sample is not sample for mark in self._marks):
            return None
        while True:
            mark = self._marks.popleft()
            mark.add_to(self._requests_since, self._tracked_since)
            if mark.sample is sample:
                return mark.era

    def _make_room(self, era: int) -> None:
        if self._interval_seconds > _LONGEST_INTERVAL_SECONDS:
            # Hours have passed: what was watched first says nothing about now.
            self._requests, self._tracked = RouteRecord(era), RouteRecord(era)
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


def _taken(finished: Tally, begun: Ticks) -> Finished:
    counts, stands_for = finished.take()
    return Finished(Counter(counts), stands_for, begun.take(), finished.take_carried())


def _age(sample: MemorySample) -> float:
    return max(sample.python_heap_age_seconds or 0.0, sample.native_heap_age_seconds or 0.0)
