"""Feeds one process's samples to the detector, and tells when its mind has changed."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from opentelemetry.instrumentation.memory._detection.detector import LeakDetector

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.instrumentation.memory.model import LeakVerdict, MemorySample

_logger = logging.getLogger(__name__)


class Judge:
    """The detector of one process, and its latest verdict.

    `verdict` is published by plain assignment and may be read from any thread without a lock.

    Args:
        minimum_tick_seconds: The pace at which samples count as evidence. A process that is sampled
            more often because it is busy is not judged sooner for it.
        on_change: Called with each verdict whose state differs from the one before.
    """

    def __init__(
        self, minimum_tick_seconds: float, on_change: Callable[[LeakVerdict], None] | None
    ) -> None:
        self._detector = LeakDetector(minimum_tick_seconds)
        self._on_change = on_change
        self.verdict: LeakVerdict | None = None

    def consider(self, sample: MemorySample) -> LeakVerdict:
        """Take a sample into account; costs about 20 µs."""
        verdict = self._detector.update(sample)
        before, self.verdict = self.verdict, verdict
        if self._on_change is not None and before is not None and before.state != verdict.state:
            try:
                self._on_change(verdict)
            except Exception:
                _logger.exception("a change of the memory verdict could not be told")
        return verdict
