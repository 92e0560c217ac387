"""One investigation: every kind of evidence that fits the segment, within one budget."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from opentelemetry.instrumentation.memory._attribution.advice import advice
from opentelemetry.instrumentation.memory._attribution.collections import CollectionsMeanwhile
from opentelemetry.instrumentation.memory._attribution.conclusion import conclude
from opentelemetry.instrumentation.memory.evidence import (
    Conclusion,
    Cost,
    Evidence,
    Findings,
    Skipped,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from opentelemetry.instrumentation.memory._attribution.inquiry import Case, Inquiry
    from opentelemetry.instrumentation.memory._sampling.clock import Clock
    from opentelemetry.instrumentation.memory.evidence import EvidenceKind
    from opentelemetry.instrumentation.memory.model import MemorySample, Segment

_logger = logging.getLogger(__name__)

# Cheapest first. What is free is of no interest to a census, and allocates nowhere.
_KINDS: Final[dict[Segment | None, tuple[EvidenceKind, ...]]] = {
    "python_heap": ("mappings", "routes", "containers", "sites"),
    "native_heap": ("mappings", "allocator", "routes", "containers", "sites"),
    "other_anonymous": ("mappings", "routes", "containers", "sites"),
    "retained": ("mappings", "allocator"),
    None: ("mappings", "allocator", "routes", "containers", "sites"),
}
# Allocations are watched last and alone: watching them slows down what the others would measure.
_LAST: Final[EvidenceKind] = "sites"
# It only waits, and need not be waited for.
_SLOWEST: Final[EvidenceKind] = "routes"
_LONGEST_SECONDS: Final = 1800.0
# Between two pieces of one piece of work others get their turn; a longer rest is asked for.
_TURN_SECONDS: Final = 0.001
# What may be spent in one go before it must be made up for by resting.
_LARGEST_DEBT_SECONDS: Final = 1.0


@dataclass(slots=True)
class _Course:
    """One inquiry under way."""

    inquiry: Inquiry
    steps: Generator[float, None, Findings]
    due_at: float
    cpu_seconds: float = 0.0
    longest_step_seconds: float = 0.0


class Investigation:
    """Runs inquiries side by side, one step at a time, and draws the conclusion.

    `step` is called again and again, with the rest between that it asks for. The CPU time of all
    steps keeps to the budget: work is done in one go only where the inquiry says that it must be,
    and is made up for by the rest that follows. Nothing is raised: an inquiry that fails is among
    what was skipped.

    Args:
        inquiries: One a kind; those that do not fit the segment are not asked.
        case: What is known.
        clock: The time, and what steps cost.
        share_of_core: What an investigation may cost, between 0 and 1.
        latest: Returns the newest sample, to see how much the segment grew meanwhile.
    """

    def __init__(
        self,
        inquiries: Sequence[Inquiry],
        case: Case,
        clock: Clock,
        share_of_core: float,
        latest: Callable[[], MemorySample | None],
    ) -> None:
        self._case = case
        self._clock = clock
        self._share_of_core = share_of_core
        self._latest = latest
        self._began_at = clock.now()
        self._resting_until = self._began_at
        self._collections = CollectionsMeanwhile(clock)
        self._debt_seconds = 0.0
        by_kind = {inquiry.kind: inquiry for inquiry in inquiries}
        kinds = [kind for kind in _KINDS[case.segment] if kind in by_kind]
        self._waiting = [by_kind[kind] for kind in kinds if kind == _LAST]
        self._under_way = [self._begin(by_kind[kind]) for kind in kinds if kind != _LAST]
        self._findings: dict[EvidenceKind, Findings] = {}
        self._costs: list[Cost] = []
        self._skipped: list[Skipped] = []
        self.interim: Evidence | None = None
        self.evidence: Evidence | None = None

    def step(self) -> float | None:
        """Do the next piece of work; return the seconds to wait, or None when all is done."""
        now = self._clock.now()
        if now - self._began_at > _LONGEST_SECONDS:
            self._give_up("the investigation had taken too long by then")
        if not [each for each in self._under_way if each.inquiry.kind != _SLOWEST]:
            self._under_way += [self._begin(inquiry) for inquiry in self._waiting]
            self._waiting = []
        if not self._under_way:
            if self.evidence is None:
                self.evidence = self._draw_conclusion()
            return None
        course = min(self._under_way, key=lambda each: each.due_at)
        wait_seconds = max(course.due_at, self._resting_until) - now
        if wait_seconds > 0:
            return wait_seconds
        return self._advance(course)

    @property
    def is_nearly_done(self) -> bool:
        """Whether nothing is missing but what takes longest."""
        left = [each.inquiry.kind for each in tuple(self._under_way)]
        return not self._waiting and all(kind == _SLOWEST for kind in left)

    @property
    def is_holding(self) -> bool:
        """Whether its own memory is too much for the process's figures to be judged just now."""
        return any(course.inquiry.is_holding for course in tuple(self._under_way))

    def close(self) -> None:
        """Stop where it is, and leave nothing behind."""
        self._waiting = []
        self._give_up("the investigation was ended")

    def _begin(self, inquiry: Inquiry) -> _Course:
        return _Course(inquiry, inquiry.gather(self._case), self._clock.now())

    def _advance(self, course: _Course) -> float:
        started = self._clock.thread_cpu()
        with self._collections:
            findings, wish_seconds = self._next(course)
        spent_seconds = self._clock.thread_cpu() - started
        course.cpu_seconds += spent_seconds
        course.longest_step_seconds = max(
            course.longest_step_seconds, spent_seconds - self._collections.seconds
        )
        self._debt_seconds += spent_seconds
        now = self._clock.now()
        if findings is not None:
            self._end(course, findings)
        elif wish_seconds <= 0 and self._debt_seconds < _LARGEST_DEBT_SECONDS:
            # It holds something that it must let go of soon, so nobody else comes first.
            course.due_at = -math.inf
            return _TURN_SECONDS
        else:
            course.due_at = now + wish_seconds
        # What was spent in one go is made up for before anything else begins.
        self._resting_until = now + self._debt_seconds * (1 / self._share_of_core - 1)
        self._debt_seconds = 0.0
        return _TURN_SECONDS

    def _next(self, course: _Course) -> tuple[Findings | None, float]:
        """Let an inquiry go on; return its answer, or how long it wants to rest."""
        try:
            wish_seconds = next(course.steps)
            self._tell_meanwhile(course.inquiry)
        except StopIteration as end:
            findings: Findings = end.value
            return findings, 0.0
        except Exception as error:
            _logger.debug("evidence of kind %s failed", course.inquiry.kind, exc_info=True)
            # The type alone: a message may hold a value of the application.
            why = f"failed with {type(error).__name__}"
            return Findings(skipped=(Skipped(course.inquiry.kind, why),)), 0.0
        return None, wish_seconds

    def _tell_meanwhile(self, inquiry: Inquiry) -> None:
        """Add what is certain already to what is known."""
        interim = inquiry.interim
        if interim is not None and interim is not self._findings.get(inquiry.kind):
            self._findings[inquiry.kind] = interim
            self.interim = self._draw_conclusion()

    def _end(self, course: _Course, findings: Findings) -> None:
        self._under_way.remove(course)
        kind = course.inquiry.kind
        self._findings[kind] = findings
        self._skipped += findings.skipped
        self._costs.append(
            Cost(
                kind,
                course.cpu_seconds + findings.slowdown_cpu_seconds,
                max(course.longest_step_seconds, findings.longest_pause_seconds),
                findings.memory_bytes,
            )
        )
        if self._under_way or self._waiting:
            # What is known is not kept back for what takes longer: there may be little time.
            self.interim = self._draw_conclusion()

    def _give_up(self, why: str) -> None:
        for course in self._under_way:
            try:
                course.steps.close()
            except Exception:
                _logger.debug("an inquiry could not be closed", exc_info=True)
            self._skipped.append(Skipped(course.inquiry.kind, why))
        self._skipped += [Skipped(inquiry.kind, why) for inquiry in self._waiting]
        self._under_way, self._waiting = [], []

    def _draw_conclusion(self) -> Evidence:
        found = self._findings.values()
        evidence = Evidence(
            segment=self._case.segment,
            segment_bytes_grown=self._growth(),
            seconds=self._clock.now() - self._began_at,
            conclusion=_UNSURE,
            types=tuple(each for one in found for each in one.types),
            containers=tuple(each for one in found for each in one.containers),
            sites=tuple(each for one in found for each in one.sites),
            routes=tuple(each for one in found for each in one.routes),
            mappings=tuple(each for one in found for each in one.mappings),
            allocator=next((one.allocator for one in found if one.allocator is not None), None),
            advice=tuple(each for one in found for each in one.advice),
            costs=tuple(self._costs),
            skipped=tuple(self._skipped),
        )
        seconds = self._seconds_by_kind()
        return replace(
            evidence,
            conclusion=conclude(self._case, evidence, seconds),
            advice=(*evidence.advice, *advice(self._case, evidence, seconds, self._latest())),
        )

    def _seconds_by_kind(self) -> dict[EvidenceKind, float]:
        return {
            kind: findings.seconds
            for kind, findings in self._findings.items()
            if findings.seconds is not None
        }

    def _growth(self) -> int | None:
        sample = self._latest()
        if sample is None or self._case.segment is None:
            return None
        before = dict(self._case.sample.partition.present()).get(self._case.segment)
        after = dict(sample.partition.present()).get(self._case.segment)
        return None if before is None or after is None else after - before


_UNSURE: Final = Conclusion("unsure", None, 0.0, "nothing was looked at")
