"""A source that is read as often as its own cost allows."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from opentelemetry.instrumentation.memory._probes.base import SourceHidden
from opentelemetry.instrumentation.memory.exceptions import SourceUnavailable

if TYPE_CHECKING:
    from opentelemetry.instrumentation.memory._probes.base import Probe
    from opentelemetry.instrumentation.memory._sampling.clock import Clock

_logger = logging.getLogger(__name__)

Reading = TypeVar("Reading")

DROP_HIDDEN_AFTER_SECONDS: Final = 300.0
RETRY_AFTER_SECONDS: Final = 60.0
# Longer than this nobody wants a request to wait for a child's first figures.
DEAR_SECONDS: Final = 0.005

_warned: Final[set[tuple[str, str]]] = set()


class MeteredSource(Generic[Reading]):
    """One probe whose reads are timed, and which rests in proportion to what they cost.

    A read that took `cost` seconds of CPU is followed by a rest of `cost / share_of_core`, so that
    no source takes a larger share than that. mallinfo2 is why: 1 µs on a clean heap, 170 ms when a
    million chunks are free. CPU time is what counts, since waiting for the GIL is no fault of the
    source, and nobody asks for the CPU time of one that may have a whole core. While a source rests
    its last reading is reused, with its age; while it is hidden, for five minutes.
    """

    def __init__(
        self, probe: Probe[Reading], clock: Clock, minimum_rest_seconds: float = 0.0
    ) -> None:
        self._probe = probe
        self._clock = clock
        self._minimum_rest_seconds = minimum_rest_seconds
        self._read_at: float | None = None
        self._tried_at: float | None = None
        self._has_failed = False
        self._is_absent = False
        self.last: Reading | None = None
        self.cost_seconds = 0.0

    def read(self, now: float, share_of_core: float, *, is_outdated: bool = True) -> Reading | None:
        """Return the present reading, a former one while the source rests, or None.

        Args:
            now: Monotonic time in seconds.
            share_of_core: What the source may cost, between 0 and 1.
            is_outdated: False when the caller knows that nothing changed since the last read.
        """
        if self._is_absent or (self.last is not None and not is_outdated):
            return self.last
        if self._is_resting(now, share_of_core):
            return self.last
        is_timed = share_of_core < 1
        started = self._clock.thread_cpu() if is_timed else 0.0
        try:
            self.last = self._probe.read()
        except SourceHidden as error:
            self._drop_when_older(now, DROP_HIDDEN_AFTER_SECONDS)
            if self.last is None:
                self._fail(error)
        except SourceUnavailable as error:
            self._is_absent = True
            self._fail(error)
        except (OSError, ValueError) as error:
            self._fail(error)
        else:
            self._read_at = now
            self._has_failed = False
        self._tried_at = now
        self.cost_seconds = self._clock.thread_cpu() - started if is_timed else 0.0
        return self.last

    def age_seconds(self, now: float) -> float | None:
        """Return how old the last reading is, or None when there is none."""
        if self.last is None or self._read_at is None:
            return None
        return now - self._read_at

    def rest_like(
        self, other: MeteredSource[Reading], now: float, *, is_common: bool = False
    ) -> None:
        """Begin with the rest that the last read of another process's source calls for, if dear.

        A forked child has its parent's heap, and reading it costs as much. Until then there is no
        reading, since the parent's would be taken for the child's own; save for what is common to
        both, which is handed on.
        """
        if other.cost_seconds <= DEAR_SECONDS:
            return
        self._tried_at = now
        self.cost_seconds = other.cost_seconds
        if is_common:
            self.last, self._read_at = other.last, other._read_at

    def _is_resting(self, now: float, share_of_core: float) -> bool:
        if self._tried_at is None:
            return False
        rested = now - self._tried_at
        if self._has_failed and rested < RETRY_AFTER_SECONDS:
            return True
        return rested < self._minimum_rest_seconds or rested * share_of_core < self.cost_seconds

    def _drop_when_older(self, now: float, limit_seconds: float) -> None:
        age_seconds = self.age_seconds(now)
        if age_seconds is not None and age_seconds > limit_seconds:
            self.last = None

    def _fail(self, error: Exception) -> None:
        self.last = None
        self._has_failed = True
        cause = (self._probe.name, type(error).__name__)
        if cause not in _warned:
            # Once a process for each source and kind of error, however often it is instrumented.
            _warned.add(cause)
            _logger.warning(
                "memory source %s is absent: %s (`opentelemetry-memory doctor` shows all sources)",
                self._probe.name,
                error,
            )
