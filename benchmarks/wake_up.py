"""What the thread really costs: awake for one sample, caches cold, then asleep again."""

from __future__ import annotations

import time

from harness import MICRO, PERCENT, Effort, Line, Task, column, fresh

from opentelemetry.instrumentation.memory._probes import platform_probes
from opentelemetry.instrumentation.memory._sampling.clock import SystemClock
from opentelemetry.instrumentation.memory._sampling.sampler import Sampler
from opentelemetry.instrumentation.memory._sampling.thread import SamplingThread
from opentelemetry.instrumentation.memory.config import MemoryConfig

TITLE = "The thread, with cold caches"

_INTERVAL_SECONDS = 0.5
_SECONDS = 15.0
_SETTLING_SECONDS = 5.0
# The first sample is the dearest, and the average that the schedule goes by begins with it.
_BUSY_SETTLING_SECONDS = 45.0
_EVICTING_BYTES = 2**26


def measure(effort: Effort) -> list[Line]:
    """Return CPU per wake-up at half a second, and what a busy process pays at the defaults."""
    kinds = {
        "a thread that wakes up and does nothing": False,
        "with one sample": True,
    }
    tasks = [
        (what, Task(wake_ups, takes_samples))
        for _ in range(effort.rounds)
        for what, takes_samples in kinds.items()
    ]
    found: dict[str, list[float]] = {what: [] for what in kinds}
    for what, task in tasks:
        found[what].append(task.result())
    lines = []
    for what, seconds in found.items():
        shares = [PERCENT * each / _INTERVAL_SECONDS for each in seconds]
        lines += [
            Line(f"{what}: CPU per wake-up", [MICRO * each for each in seconds], "µs"),
            Line(f"{what}: at {_INTERVAL_SECONDS} s", shares, "% of a core"),
        ]
    busy = [fresh(busy_at_defaults) for _ in range(effort.rounds)]
    return [
        *lines,
        Line("a busy process at the defaults", column(busy, "share", PERCENT), "% of a core", 0.03),
        Line("the interval there", column(busy, "interval"), "s"),
    ]


class _Counted(Sampler):
    """Counts its samples; each is complete, or none is taken at all."""

    def __init__(self, config: MemoryConfig, *, takes_samples: bool = True) -> None:
        super().__init__(config, platform_probes(), SystemClock())
        self._takes_samples = takes_samples
        self.wake_ups = 0

    def take(self) -> None:
        self.wake_ups += 1
        if self._takes_samples:
            super().take()


def wake_ups(takes_samples: bool) -> float:  # noqa: FBT001 - passed by position as JSON
    """Return CPU seconds per wake-up while the main thread turns the caches over."""
    config = MemoryConfig(
        min_interval_seconds=_INTERVAL_SECONDS,
        max_interval_seconds=_INTERVAL_SECONDS,
        budget_percent=100,
    )
    evicting = bytearray(_EVICTING_BYTES)
    sampler = _Counted(config, takes_samples=takes_samples)
    thread = SamplingThread(sampler, SystemClock())
    thread.start()
    time.sleep(_SETTLING_SECONDS)
    wake_ups_before, cpu_before = sampler.wake_ups, thread.cpu_seconds
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        evicting.count(1)
        time.sleep(_INTERVAL_SECONDS / 4)
    seconds = thread.cpu_seconds - cpu_before
    return seconds / (sampler.wake_ups - wake_ups_before)


def busy_at_defaults() -> dict[str, float]:
    """Return the thread's share of a core, and its mean interval, beside a busy main thread."""
    sampler = _Counted(MemoryConfig())
    thread = SamplingThread(sampler, SystemClock())
    thread.start()
    _work(_BUSY_SETTLING_SECONDS)
    wake_ups_before, cpu_before = sampler.wake_ups, thread.cpu_seconds
    _work(_SECONDS)
    count = sampler.wake_ups - wake_ups_before
    share = (thread.cpu_seconds - cpu_before) / _SECONDS
    return {"share": share, "interval": _SECONDS / max(count, 1)}


def _work(seconds: float) -> None:
    deadline = time.monotonic() + seconds
    held: dict[int, str] = {}
    while time.monotonic() < deadline:
        for key in range(10_000):
            held[key] = str(key)
