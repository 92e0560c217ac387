"""The one thread of this package: one wake-up a sample."""

from __future__ import annotations

import contextlib
import logging
import threading
from typing import TYPE_CHECKING, Final

from opentelemetry.instrumentation.memory._sampling.background import allocate_lock, background

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.instrumentation.memory._sampling.clock import Clock
    from opentelemetry.instrumentation.memory._sampling.sampler import Sampler
    from opentelemetry.instrumentation.memory.model import MemorySample

_logger = logging.getLogger(__name__)

THREAD_NAME: Final = "opentelemetry-memory"
_COST_SMOOTHING: Final = 0.2


class SamplingThread:
    """Takes samples until it is stopped, and keeps count of the CPU time it uses.

    It is not reniced: a thread at a lower priority keeps the GIL while it is descheduled, which
    stalls the application. It costs little by doing little.
    """

    def __init__(
        self,
        sampler: Sampler,
        clock: Clock,
        first_interval_seconds: float = 0.0,
        on_sample: Callable[[MemorySample], None] | None = None,
    ) -> None:
        self._sampler = sampler
        self._clock = clock
        self._on_sample = on_sample
        # A child just forked often closes every descriptor, or becomes another program. A thread
        # that opens files meanwhile may find its numbers closed, or close what took them over.
        self._first_interval_seconds = first_interval_seconds
        # Waiting for a lock that only this thread takes costs half of Event.wait.
        self._bell = allocate_lock()
        self._bell.acquire()
        self._is_stopping = False
        self._creator_native_id = threading.get_native_id()
        self._thread = background(self._run, THREAD_NAME)
        self.cpu_seconds = 0.0

    def start(self) -> None:
        """Begin sampling."""
        self._thread.start()

    def is_alive(self) -> bool:
        """Tell whether the thread runs."""
        return self._thread.is_alive()

    def stop(self, timeout_seconds: float) -> None:
        """End sampling, and wait until it has ended; harmless when called twice."""
        self._is_stopping = True
        self.wake()
        self._thread.join(timeout_seconds)

    def wake(self) -> None:
        """Take the next sample now; takes no lock, so that a signal handler may call it."""
        # RuntimeError: it has just been woken.
        with contextlib.suppress(RuntimeError):
            self._bell.release()

    def _run(self) -> None:
        # Where gevent has patched threads before this package was loaded, a "thread" is a greenlet
        # of its creator's, whose CPU time is the application's: then only the time between waking
        # and waiting again is ours.
        is_greenlet = threading.get_native_id() == self._creator_native_id
        has_failed = False
        cost_seconds: float | None = None
        before = 0.0
        interval_seconds = self._first_interval_seconds
        while True:
            self._bell.acquire(timeout=interval_seconds)
            if self._is_stopping:
                return
            if is_greenlet:
                before = self._clock.thread_cpu()
            try:
                sample = self._sampler.take()
                if sample is not None and self._on_sample is not None:
                    self._on_sample(sample)
                interval_seconds = self._sampler.next_interval_seconds(cost_seconds or 0.0)
            except Exception:
                # The edge of the thread: nothing escapes into the host, nothing floods its log.
                if not has_failed:
                    _logger.exception("sampling memory failed; trying again, silently")
                has_failed, interval_seconds = True, 10.0
            after = self._clock.thread_cpu()
            spent_seconds = after - before
            if cost_seconds is None:
                cost_seconds = spent_seconds
            cost_seconds += _COST_SMOOTHING * (spent_seconds - cost_seconds)
            self.cpu_seconds += spent_seconds
            before = after
