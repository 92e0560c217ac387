"""The live parts of one process, which a forked child makes anew."""

from __future__ import annotations

import contextlib
import logging
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.instrumentation.memory._investigator import Occasion
    from opentelemetry.instrumentation.memory._judge import Judge
    from opentelemetry.instrumentation.memory._response import Response
    from opentelemetry.instrumentation.memory._sampling.sampler import Sampler
    from opentelemetry.instrumentation.memory._sampling.thread import SamplingThread
    from opentelemetry.instrumentation.memory.model import LeakVerdict, MemorySample
    from opentelemetry.instrumentation.memory.responders.snapshot_signal import SnapshotSignal

_logger = logging.getLogger(__name__)

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
    response: Response
    signal: SnapshotSignal | None = None
    thread: SamplingThread | None = None
    collection_cpu_seconds: float = 0.0
    is_responding: bool = True
    guard: Any = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self.response.without_forks = self.without_forks

    def consider(self, sample: MemorySample) -> None:
        """Judge a sample that a collection took; sample more often the higher the risk."""
        self.sampler.risk = self.judge.consider(sample).risk

    def consider_and_learn(self, sample: MemorySample) -> None:
        """Judge a sample that the thread took, and do what follows.

        Here files may be read and written, and an investigation started.
        """
        verdict = self.judge.verdict
        if verdict is None or not self.response.is_distorting:
            verdict = self.judge.consider_and_learn(sample)
        self.sampler.risk = verdict.risk
        if self.is_responding:
            self._respond(verdict, sample)
        if self.signal is not None:
            self.signal.keep_in_place()

    def _respond(self, verdict: LeakVerdict, sample: MemorySample) -> None:
        try:
            if self.response.is_loading_due(verdict):
                self.response.load()
            self.response.notice(verdict, sample)
            self.sampler.risk = max(verdict.risk, self.response.least_risk)
        except Exception:
            # Samples and verdicts go on without it.
            self.is_responding = False
            _logger.exception("no more evidence is gathered in this process")
            # Nobody would end what it has begun: requests are counted for a reader.
            with contextlib.suppress(Exception):
                self.response.stop(0.0)

    def is_sampled(self) -> bool:
        """Tell whether a thread takes samples."""
        return self.thread is not None and self.thread.is_alive()

    def thread_cpu_seconds(self) -> float:
        """Return the CPU time that the sampling thread has used."""
        return 0.0 if self.thread is None else self.thread.cpu_seconds

    def cpu_seconds(self) -> float:
        """Return the CPU time that this package has used in this process."""
        threads = self.thread_cpu_seconds() + self.response.cpu_seconds
        return threads + self.collection_cpu_seconds

    @contextlib.contextmanager
    def without_forks(self) -> Iterator[None]:
        """Let forks of this process wait, for a moment, until this ends."""
        is_held = self.acquire_guard()
        try:
            yield
        finally:
            if is_held:
                self.guard.release()

    def request(self, occasion: Occasion) -> None:
        """Ask for an investigation, now; takes no lock."""
        self.response.request(occasion)
        if self.thread is not None:
            self.thread.wake()

    def end_threads(self, timeout_seconds: float) -> None:
        """End the thread that samples and the one that investigates."""
        if self.thread is not None:
            self.thread.stop(timeout_seconds)
        self.response.stop(timeout_seconds)

    def acquire_guard(self, timeout_seconds: float = GUARD_TIMEOUT_SECONDS) -> bool:
        """Take the guard, and tell whether it could be had in time."""
        return bool(self.guard.acquire(timeout=timeout_seconds))
