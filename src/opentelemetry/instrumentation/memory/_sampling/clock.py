"""The only place that reads a clock."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Time and CPU time, in seconds."""

    def now(self) -> float:
        """Return monotonic time."""
        ...

    def epoch(self) -> float:
        """Return the time of day, since 1970 (UTC); it may be set back."""
        ...

    def thread_cpu(self) -> float:
        """Return the CPU time of the calling thread."""
        ...

    def process_cpu(self) -> float:
        """Return the CPU time of the whole process."""
        ...


class SystemClock:
    """The real clocks; each call costs under 1 µs."""

    def now(self) -> float:
        """Return monotonic time."""
        return time.monotonic()

    def epoch(self) -> float:
        """Return the time of day."""
        return time.time()

    def thread_cpu(self) -> float:
        """Return the CPU time of the calling thread."""
        return time.thread_time()

    def process_cpu(self) -> float:
        """Return the CPU time of the whole process."""
        return time.process_time()
