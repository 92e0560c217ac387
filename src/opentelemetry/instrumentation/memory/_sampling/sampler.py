"""Takes one sample of the calling process, and says when the next is due."""

from __future__ import annotations

import logging
import os
from threading import Lock
from typing import TYPE_CHECKING, Final

from opentelemetry.instrumentation.memory._sampling.history import History
from opentelemetry.instrumentation.memory._sampling.metering import MeteredSource
from opentelemetry.instrumentation.memory._sampling.partition import partition
from opentelemetry.instrumentation.memory._sampling.schedule import Circumstances, Schedule
from opentelemetry.instrumentation.memory.model import MemorySample, Partition

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.instrumentation.memory._probes import Probes
    from opentelemetry.instrumentation.memory._probes.base import Limit, Resident
    from opentelemetry.instrumentation.memory._sampling.clock import Clock
    from opentelemetry.instrumentation.memory.config import MemoryConfig

_logger = logging.getLogger(__name__)

# Four sources can be dear (pymalloc, malloc, limits, status); together they keep the budget.
_METERED_SOURCES: Final = 4
# Limits are changed by people, not by the millisecond.
_LIMIT_REST_SECONDS: Final = 60.0
_TAKING_TIMEOUT_SECONDS: Final = 0.1


class Sampler:
    """The sources of one process, read together.

    `latest` is published by plain assignment and may be read from any thread without a lock.
    `before_reading` is called just before the sources are read, so that counts may be noted that
    are of the same moment; what it returns is called with the sample. When it fails, samples go on
    without it.

    Args:
        config: Intervals and budget.
        probes: What is read.
        clock: The time, and what reads cost.
        parent: The sampler of the process that this one was forked from. A source that was dear
            there rests first.
    """

    def __init__(
        self, config: MemoryConfig, probes: Probes, clock: Clock, parent: Sampler | None = None
    ) -> None:
        self._probes = probes
        self._clock = clock
        self._schedule = Schedule(
            config.min_interval_seconds, config.max_interval_seconds, config.budget_percent / 100
        )
        self._resident = MeteredSource(probes.resident, clock)
        self._shared = MeteredSource(probes.shared, clock)
        self._objects = MeteredSource(probes.objects, clock)
        self._native = MeteredSource(probes.native, clock)
        self._gc = MeteredSource(probes.gc, clock)
        self._limit = MeteredSource(probes.limit, clock, _LIMIT_REST_SECONDS)
        if parent is not None:
            self._rest_like(parent)
        self._taking = Lock()
        self._is_closed = False
        self._mapped_at_split: int | None = None
        self._process_cpu_seconds = clock.process_cpu()
        self._resident_change = 0.0
        self._cpu_share = 0.0
        self.history = History()
        self.latest: MemorySample | None = None
        self.risk = 0.0
        self.before_reading: Callable[[], Callable[[MemorySample], None] | None] | None = None

    def take(self) -> MemorySample | None:
        """Read every source that may be read now, publish the sample and return it.

        When another thread is taking one, its sample is returned, or the one before if that takes
        too long. None only when there is none yet, or no more.
        """
        before = self.latest
        if not self._taking.acquire(timeout=_TAKING_TIMEOUT_SECONDS):
            return self.latest
        try:
            if self._is_closed or self.latest is not before:
                return self.latest
            tell = self._note_moment()
            sample = self._read()
            if tell is not None:
                tell(sample)
            self._observe_pace(sample)
            self.history.append(sample)
            self.latest = sample
            return sample
        finally:
            self._taking.release()

    def next_interval_seconds(self, sample_cost_seconds: float) -> float:
        """Return the time until the next sample is due, in seconds.

        Args:
            sample_cost_seconds: CPU time of one sample, with its wake-up.
        """
        return self._schedule.next_interval_seconds(
            Circumstances(
                cpu_share=self._cpu_share,
                resident_change=self._resident_change,
                limit_utilization=_used_share_of_limit(self.latest),
                risk=self.risk,
                sample_cost_seconds=sample_cost_seconds,
            )
        )

    @property
    def native_cost_seconds(self) -> float:
        """What the last read of malloc's figures cost, in seconds of CPU time."""
        return self._native.cost_seconds

    def close(self) -> None:
        """Take no more samples, and give back what the probes hold open.

        A sample that is being taken ends first. If it does not, what it reads from is left to it:
        a descriptor lost is better than one closed under a reader.
        """
        self._is_closed = True
        if not self._taking.acquire(timeout=_TAKING_TIMEOUT_SECONDS):
            return
        try:
            self._probes.close()
        finally:
            self._taking.release()

    def _rest_like(self, parent: Sampler) -> None:
        # Reads the parent's attributes only: a lock of its may have been held at the fork.
        now = self._clock.now()
        self._shared.rest_like(parent._shared, now)
        self._objects.rest_like(parent._objects, now)
        self._native.rest_like(parent._native, now)
        self._limit.rest_like(parent._limit, now, is_common=True)

    def _note_moment(self) -> Callable[[MemorySample], None] | None:
        note = self.before_reading
        if note is None:
            return None
        try:
            return note()
        except Exception:
            self.before_reading = None
            _logger.exception("requests are no longer counted beside samples of the memory")
            return None

    def _read(self) -> MemorySample:
        now = self._clock.now()
        share = self._schedule.share_of_core(self.risk) / _METERED_SOURCES
        # The resident set is read last of the three that must fit each other: what the others
        # claim was touched by then.
        objects = self._objects.read(now, share)
        native = self._native.read(now, share)
        resident = self._resident.read(now, 1.0)
        limit = self._limit.read(now, share)
        split = Partition()
        if resident is not None:
            is_moved = resident.mapped_bytes != self._mapped_at_split
            shared = self._shared.read(now, share, is_outdated=is_moved)
            if self._shared.age_seconds(now) == 0:
                self._mapped_at_split = resident.mapped_bytes
            split = partition(resident, objects, native, shared)
        return MemorySample(
            taken_at_seconds=now,
            pid=os.getpid(),
            resident_bytes=None if resident is None else resident.resident_bytes,
            virtual_bytes=None if resident is None else resident.virtual_bytes,
            partition=split,
            heap_used_bytes=None if objects is None else objects.used_bytes,
            heap_committed_bytes=None if objects is None else objects.committed_bytes,
            limit_bytes=None if limit is None else limit.bytes,
            gc_generations=self._gc.read(now, 1.0) or (),
            python_heap_age_seconds=self._objects.age_seconds(now),
            native_heap_age_seconds=self._native.age_seconds(now),
            limit_usage_bytes=_limit_usage(limit, resident),
        )

    def _observe_pace(self, sample: MemorySample) -> None:
        process_cpu_seconds = self._clock.process_cpu()
        before = self.latest
        if before is not None:
            elapsed = max(sample.taken_at_seconds - before.taken_at_seconds, 1e-3)
            self._cpu_share = (process_cpu_seconds - self._process_cpu_seconds) / elapsed
            self._resident_change = 0.0
            if before.resident_bytes and sample.resident_bytes is not None:
                change = sample.resident_bytes - before.resident_bytes
                self._resident_change = abs(change) / before.resident_bytes
        self._process_cpu_seconds = process_cpu_seconds


def _limit_usage(limit: Limit | None, resident: Resident | None) -> int | None:
    if limit is None or not limit.is_of_virtual_size:
        return None if limit is None else limit.usage_bytes
    return None if resident is None else resident.virtual_bytes


def _used_share_of_limit(sample: MemorySample | None) -> float:
    if sample is None or not sample.limit_bytes or sample.headroom_bytes is None:
        return 0.0
    return 1 - sample.headroom_bytes / sample.limit_bytes
