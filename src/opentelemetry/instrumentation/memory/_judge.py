"""Feeds one process's samples to the detector, and tells when its mind has changed."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from opentelemetry.instrumentation.memory._detection.baseline import hour_of_week
from opentelemetry.instrumentation.memory._detection.detector import LeakDetector
from opentelemetry.instrumentation.memory._detection.learning import BaselineLearner

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.instrumentation.memory._baseline_store import BaselineStore
    from opentelemetry.instrumentation.memory.model import LeakVerdict, MemorySample

_logger = logging.getLogger(__name__)


class Judge:
    """The detector of one process, and its latest verdict.

    A leak that is confirmed puts in doubt all that was learnt, which may have hidden it: what is
    stored is forgotten, and what this run has shown with it. The detector goes on with what it
    knew; the next run begins without.

    `verdict` is published by plain assignment and may be read from any thread without a lock.

    Args:
        minimum_tick_seconds: The pace at which samples count as evidence. A process that is sampled
            more often because it is busy is not judged sooner for it.
        on_change: Called with each verdict whose state differs from the one before.
        store: Where earlier runs have left what is normal, if anywhere.
        epoch: Returns the time of day, in seconds since 1970 (UTC); needed with a store.
    """

    def __init__(
        self,
        minimum_tick_seconds: float,
        on_change: Callable[[LeakVerdict], None] | None = None,
        store: BaselineStore | None = None,
        epoch: Callable[[], float] | None = None,
    ) -> None:
        self._minimum_tick_seconds = minimum_tick_seconds
        self._detector = LeakDetector(minimum_tick_seconds)
        self._on_change = on_change
        self._store = store
        self._epoch = epoch
        self._learner: BaselineLearner | None = None
        self._is_forgotten = False
        self._forgotten_at_hour: int | None = None
        self.verdict: LeakVerdict | None = None

    def consider(self, sample: MemorySample) -> LeakVerdict:
        """Take a sample into account; costs about 20 µs."""
        return self._tell(self._detector.update(sample))

    def consider_and_learn(self, sample: MemorySample) -> LeakVerdict:
        """Do the same by the light of the baseline, and add to it; reads and writes files.

        Only for the sampling thread.
        """
        if self._store is None or self._epoch is None:
            return self.consider(sample)
        if self._learner is None:
            known = self._store.load()
            self._detector = LeakDetector(self._minimum_tick_seconds, known)
            self._learner = BaselineLearner(known)
        hour = hour_of_week(self._epoch())
        verdict = self._tell(self._detector.update(sample, hour))
        is_news = self._learner.learn(sample, hour, verdict)
        if verdict.state == "confirmed":
            self._learner.forget()
            if not self._is_forgotten and self._store.forget():
                self._is_forgotten, self._forgotten_at_hour = True, hour
        else:
            self._is_forgotten = False
            if is_news and self._learner.baseline is not None:
                self._store.save(self._learner.baseline)
        if self._forgotten_at_hour not in (None, hour):
            self._forgotten_at_hour = hour
            self._store.keep_forgotten()
        return verdict

    def _tell(self, verdict: LeakVerdict) -> LeakVerdict:
        before, self.verdict = self.verdict, verdict
        if self._on_change is not None and before is not None and before.state != verdict.state:
            try:
                self._on_change(verdict)
            except Exception:
                _logger.exception("a change of the memory verdict could not be told")
        return verdict
