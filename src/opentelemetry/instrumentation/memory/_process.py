"""The live parts of one process, which a forked child makes anew."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from opentelemetry.instrumentation.memory._judge import Judge
    from opentelemetry.instrumentation.memory._sampling.sampler import Sampler
    from opentelemetry.instrumentation.memory._sampling.thread import SamplingThread
    from opentelemetry.instrumentation.memory.model import MemorySample

# Longer than a collection takes, shorter than anybody notices.
GUARD_TIMEOUT_SECONDS: Final = 0.2


@dataclass(slots=True)
class Process:
    """What must not outlive a fork.

    `guard` is held while a collection takes its sample, while the thread is started or ended, and
    by the thread that forks: see `Runtime.hold_for_fork`.
    """

    pid: int
    sampler: Sampler
    judge: Judge
    thread: SamplingThread | None = None
    collection_cpu_seconds: float = 0.0
    guard: Any = field(default_factory=threading.RLock)

    def consider(self, sample: MemorySample) -> None:
        """Judge a sample that a collection took; sample more often the higher the risk."""
        self.sampler.risk = self.judge.consider(sample).risk

    def consider_and_learn(self, sample: MemorySample) -> None:
        """Judge a sample that the thread took, which may also read and write the baseline."""
        self.sampler.risk = self.judge.consider_and_learn(sample).risk

    def is_sampled(self) -> bool:
        """Tell whether a thread takes samples."""
        return self.thread is not None and self.thread.is_alive()

    def thread_cpu_seconds(self) -> float:
        """Return the CPU time that the thread has used."""
        return 0.0 if self.thread is None else self.thread.cpu_seconds

    def acquire_guard(self, timeout_seconds: float = GUARD_TIMEOUT_SECONDS) -> bool:
        """Take the guard, and tell whether it could be had in time."""
        return bool(self.guard.acquire(timeout=timeout_seconds))
