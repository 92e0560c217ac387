"""Starts an investigation when a verdict calls for one, and runs it in a thread of its own."""

from __future__ import annotations

import logging
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final, Literal

from opentelemetry.instrumentation.memory._attribution.inquiry import Case
from opentelemetry.instrumentation.memory._attribution.investigation import Investigation
from opentelemetry.instrumentation.memory._sampling.background import (
    allocate_lock,
    background,
    native_id,
)

if TYPE_CHECKING:
    from _thread import LockType
    from collections.abc import Callable, Sequence

    from opentelemetry.instrumentation.memory._attribution.inquiry import Inquiry
    from opentelemetry.instrumentation.memory._sampling.background import Background
    from opentelemetry.instrumentation.memory._sampling.clock import Clock
    from opentelemetry.instrumentation.memory.evidence import Evidence
    from opentelemetry.instrumentation.memory.model import (
        LeakState,
        LeakVerdict,
        MemorySample,
    )

_logger = logging.getLogger(__name__)

THREAD_NAME: Final = "opentelemetry-memory-evidence"
# One look at a suspicion, one when it is confirmed, and then no more often than this.
COOLDOWN_SECONDS: Final = 1800.0

Occasion = Literal["suspected", "confirmed", "fragmentation", "signal", "api"]
"""Why somebody looks, or why what was found is told."""

_RAISED: Final[frozenset[LeakState]] = frozenset({"suspected", "confirmed"})


class Investigator:
    """The investigations of one process: at most one at a time.

    `notice` is called with each verdict, by the thread that samples; while all is well it costs
    next to nothing. `evidence` is published by plain assignment.

    Args:
        inquiries: Every kind of evidence that may be gathered.
        clock: The time, and what steps cost.
        share_of_core: What an investigation may cost, between 0 and 1.
        latest: Returns the newest sample.
        deliver: Called with what was found and the occasions that it answers, in the thread of the
            investigation or in the one that samples.
    """

    def __init__(
        self,
        inquiries: Sequence[Inquiry],
        clock: Clock,
        share_of_core: float,
        latest: Callable[[], MemorySample | None],
        deliver: Callable[[Evidence, frozenset[Occasion]], None],
    ) -> None:
        self._inquiries = inquiries
        self._clock = clock
        self._share_of_core = share_of_core
        self._latest = latest
        self._deliver = deliver
        self._state: LeakState = "warming_up"
        self._is_fragmented = False
        self._began_at: float | None = None
        self._occasions: set[Occasion] = set()
        self._requests: set[Occasion] = set()
        self._answered: set[Occasion] = set()
        self._thread: Background | None = None
        self._investigation: Investigation | None = None
        self._stop: LockType | None = None
        self._is_looking = False
        self._is_told = False
        self._is_stopped = False
        self.cpu_seconds = 0.0
        self.evidence: Evidence | None = None

    def request(self, occasion: Occasion) -> None:
        """Ask for an investigation, whatever the risk; it begins with the next sample.

        Takes no lock, so that a signal handler may call it.
        """
        self._requests.add(occasion)

    def is_under_way(self) -> bool:
        """Tell whether an investigation is running."""
        return self._is_looking and self._thread is not None and self._thread.is_alive()

    @property
    def is_holding(self) -> bool:
        """Whether an investigation distorts the process's figures just now."""
        investigation = self._investigation
        return investigation is not None and investigation.is_holding

    def notice(
        self, verdict: LeakVerdict, sample: MemorySample, *, is_automatic: bool = True
    ) -> None:
        """Take note of a verdict, and look into it where that is called for.

        Args:
            verdict: The latest one.
            sample: What it is about.
            is_automatic: Whether verdicts call for it, or only requests do.
        """
        before, self._state = self._state, verdict.state
        was_fragmented, self._is_fragmented = self._is_fragmented, verdict.segment == "retained"
        occasions: set[Occasion] = set()
        while self._requests:
            occasions.add(self._requests.pop())
        if is_automatic:
            # A request that comes with a change of the state does not take its place.
            occasions |= self._called_for(verdict, sample, before, was_fragmented=was_fragmented)
        if occasions:
            self._look_into(verdict, sample, occasions)

    def stop(self, timeout_seconds: float) -> None:
        """End what is under way, for good; harmless when called twice."""
        self._is_stopped = True
        thread, stop = self._thread, self._stop
        if thread is None or stop is None:
            return
        with suppress(RuntimeError):
            stop.release()
        # RuntimeError: it is just being started, and will find its end as soon as it runs.
        with suppress(RuntimeError):
            thread.join(timeout_seconds)

    def _called_for(
        self, verdict: LeakVerdict, sample: MemorySample, before: LeakState, *, was_fragmented: bool
    ) -> set[Occasion]:
        """Return why a verdict calls for a look; an answer that is there already is told."""
        if verdict.state in _RAISED:
            if before == verdict.state and not self._is_rested(sample):
                return set()
            if verdict.state != "confirmed":
                return {"suspected"}
            has_all = not self.is_under_way() or self._is_nearly_done()
            if not (has_all and self._has_answer_of_this_alarm(before)):
                return {"confirmed"}
            if self.is_under_way():
                self._occasions.add("confirmed")
            self._tell(frozenset({"confirmed"}))
        elif self._is_fragmented and not was_fragmented and self._is_rested(sample):
            return {"fragmentation"}
        return set()

    def _is_rested(self, sample: MemorySample) -> bool:
        began_at = self._began_at
        return began_at is None or sample.taken_at_seconds - began_at >= COOLDOWN_SECONDS

    def _has_answer_of_this_alarm(self, before: LeakState) -> bool:
        evidence = self.evidence
        return (
            before == "suspected"
            and self._is_told
            and evidence is not None
            and evidence.conclusion.kind != "unsure"
        )

    def _look_into(
        self, verdict: LeakVerdict, sample: MemorySample, occasions: set[Occasion]
    ) -> None:
        self._occasions |= occasions
        if self.is_under_way() and self._is_told and self._is_nearly_done():
            # What is known by now is the answer; routes may follow.
            self._tell(frozenset(occasions))
        if self.is_under_way() or self._is_stopped:
            return
        self._began_at, self._is_told = sample.taken_at_seconds, False
        self._answered = set()
        investigation = Investigation(
            self._inquiries,
            _case(verdict, sample),
            self._clock,
            self._share_of_core,
            self._latest,
        )
        stop = allocate_lock()
        stop.acquire()
        self._investigation = investigation
        thread = background(partial(self._run, investigation, stop, native_id()), THREAD_NAME)
        self._thread, self._stop, self._is_looking = thread, stop, True
        if self._is_stopped:
            # By another thread, which may not have seen this one yet.
            self._thread = self._investigation = None
            return
        try:
            thread.start()
        except RuntimeError:
            # "can't start new thread", or the interpreter is shutting down.
            self._thread = None

    def _run(self, investigation: Investigation, stop: LockType, creator_native_id: int) -> None:
        # As in the sampling thread: what a greenlet's thread uses while it waits is not ours.
        is_greenlet = native_id() == creator_native_id
        try:
            wait_seconds: float | None = 0.0
            before = self._clock.thread_cpu()
            while not stop.acquire(timeout=wait_seconds or 0.0):
                if is_greenlet:
                    before = self._clock.thread_cpu()
                wait_seconds = investigation.step()
                if investigation.interim is not None and wait_seconds is not None:
                    self._tell_interim(investigation.interim)
                after = self._clock.thread_cpu()
                self.cpu_seconds += after - before
                before = after
                if wait_seconds is None:
                    break
            if investigation.evidence is not None:
                self._tell_end(investigation.evidence)
            elif self._is_told and self._occasions - self._answered:
                # It was ended: who waits for a snapshot gets what is known by now.
                self._tell(frozenset(self._occasions - self._answered))
        except Exception:
            _logger.exception("an investigation of the memory failed")
        finally:
            investigation.close()
            self._investigation = None

    def _tell_interim(self, evidence: Evidence) -> None:
        if evidence is self.evidence or evidence.conclusion.kind == "unsure":
            return
        # An event costs nothing; who asked for a snapshot wants all but what takes longest.
        occasions = frozenset(self._occasions) if self._is_nearly_done() else frozenset()
        if self._is_news(evidence, occasions):
            self.evidence = evidence
            self._tell(occasions)

    def _tell_end(self, evidence: Evidence) -> None:
        occasions, self._occasions = frozenset(self._occasions), set()
        is_news = self._is_news(evidence, occasions)
        # From here on the next may begin.
        self.evidence, self._is_looking = evidence, False
        if is_news:
            self._tell(occasions)

    def _is_nearly_done(self) -> bool:
        investigation = self._investigation
        return investigation is None or investigation.is_nearly_done

    def _is_news(self, evidence: Evidence, occasions: frozenset[Occasion]) -> bool:
        is_same = self._is_told and _answers(evidence) == _answers(self.evidence)
        return not is_same or bool(occasions - self._answered)

    def _tell(self, occasions: frozenset[Occasion]) -> None:
        evidence, self._is_told = self.evidence, True
        self._answered |= occasions
        if evidence is None:
            return
        try:
            self._deliver(evidence, occasions)
        except Exception:
            _logger.exception("evidence about the memory could not be told")


def _answers(evidence: Evidence | None) -> tuple[object, ...]:
    if evidence is None:
        return ()
    sites = tuple(each.site for each in evidence.sites[:1])
    return (evidence.conclusion.culprit, sites, tuple(each.route for each in evidence.routes))


def _case(verdict: LeakVerdict, sample: MemorySample) -> Case:
    growth = {each.segment: each.bytes_per_second for each in verdict.growth}
    if verdict.segment is None:
        return Case(None, 0.0, sample)
    return Case(verdict.segment, growth.get(verdict.segment, 0.0), sample)
