"""Samplers to measure: one that reads everything each time, one that lives a day in seconds."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from opentelemetry.instrumentation.memory._probes import platform_probes
from opentelemetry.instrumentation.memory._sampling.clock import SystemClock
from opentelemetry.instrumentation.memory._sampling.sampler import Sampler
from opentelemetry.instrumentation.memory.config import MemoryConfig

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.instrumentation.memory.model import MemorySample

# The thread's own: `SamplingThread` smooths what a sample costs.
_COST_SMOOTHING = 0.2


class LeapingClock(SystemClock):
    """Each look at the time is an hour after the last: no source is still at rest."""

    def __init__(self) -> None:
        self._now = 0.0

    def now(self) -> float:
        """Return a time one hour later than before."""
        self._now += 3600.0
        return self._now


class SimulatedClock(SystemClock):
    """Time stands still until it is moved; CPU time is real, and the process itself idle."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> float:
        """Return the simulated time."""
        return self.seconds

    def process_cpu(self) -> float:
        """Return no CPU time: nothing but the sampler runs."""
        return 0.0


def full_sample() -> Callable[[], MemorySample | None]:
    """Return a function that takes one sample for which every source is read, limits too."""
    return _with_status(LeapingClock())


def sample_without_limits() -> Callable[[], MemorySample | None]:
    """Return a function that takes one sample for which every source but the limits is read."""
    return _with_status(_RestedSoon())


def _with_status(clock: LeapingClock) -> Callable[[], MemorySample | None]:
    sampler = Sampler(MemoryConfig(budget_percent=100), platform_probes(), clock)

    def take() -> MemorySample | None:
        # Else the kernel's status is read only after mapped files have come or gone.
        sampler._mapped_at_split = None  # noqa: SLF001
        return sampler.take()

    return take


def usual_sample() -> Callable[[], MemorySample | None]:
    """Return a function that takes one sample while limits and shared memory are not due."""
    sampler = Sampler(MemoryConfig(budget_percent=100), platform_probes(), _RestedSoon())
    return sampler.take


def simulated_share_of_core(hours: float) -> float:
    """Return the share of a core that samples at the defaults use in so many simulated hours.

    Real reads of this process, real CPU time, the real schedule; only the waiting is skipped, and
    with it the price of waking up.
    """
    clock = SimulatedClock()
    sampler = Sampler(MemoryConfig(), platform_probes(), clock)
    cost_seconds: float | None = None
    began = time.thread_time()
    while clock.seconds < hours * 3600:
        started = time.thread_time()
        sampler.take()
        spent_seconds = time.thread_time() - started
        if cost_seconds is None:
            cost_seconds = spent_seconds
        cost_seconds += _COST_SMOOTHING * (spent_seconds - cost_seconds)
        clock.seconds += sampler.next_interval_seconds(cost_seconds)
    return (time.thread_time() - began) / (hours * 3600)


class _RestedSoon(LeapingClock):
    """Each look is 50 ms later: long enough for every source except the limits."""

    def now(self) -> float:
        self._now += 0.05
        return self._now
