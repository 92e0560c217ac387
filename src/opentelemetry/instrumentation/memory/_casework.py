"""Looks into one process's alarms, tells what is found, and writes it down.

Loaded with the first alarm: most processes never need it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, get_args

from opentelemetry.instrumentation.memory._attribution.allocator import AllocatorInquiry
from opentelemetry.instrumentation.memory._attribution.mappings import MappingInquiry
from opentelemetry.instrumentation.memory._attribution.sites import SiteInquiry, end_in_child
from opentelemetry.instrumentation.memory._investigator import Investigator
from opentelemetry.instrumentation.memory.config import service_identity
from opentelemetry.instrumentation.memory.responders.identity import this_process
from opentelemetry.instrumentation.memory.responders.snapshot import SnapshotWriter
from opentelemetry.instrumentation.memory.responders.snapshot_document import (
    Moment,
    SnapshotReason,
    document,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.instrumentation.memory._attribution.inquiry import Inquiry
    from opentelemetry.instrumentation.memory._investigator import Occasion
    from opentelemetry.instrumentation.memory._judge import Judge
    from opentelemetry.instrumentation.memory._sampling.clock import Clock
    from opentelemetry.instrumentation.memory._sampling.sampler import Sampler
    from opentelemetry.instrumentation.memory.config import MemoryConfig
    from opentelemetry.instrumentation.memory.evidence import Evidence
    from opentelemetry.instrumentation.memory.model import LeakVerdict, MemorySample

_logger = logging.getLogger(__name__)

_WRITTEN: Final[tuple[SnapshotReason, ...]] = get_args(SnapshotReason)


class Casework:
    """The investigations and snapshots of one process.

    Args:
        config: Whether to look, what it may cost, and where snapshots go.
        clock: The time, and what looking costs.
        sampler: Of the same process.
        judge: Of the same process.
        on_evidence: Called with the verdict that holds by then and with what was found.
    """

    def __init__(
        self,
        config: MemoryConfig,
        clock: Clock,
        sampler: Sampler,
        judge: Judge,
        on_evidence: Callable[[LeakVerdict, Evidence], None] | None = None,
    ) -> None:
        self._clock = clock
        self._sampler = sampler
        self._judge = judge
        self._on_evidence = on_evidence
        directory = config.snapshot_directory
        self._writer = None if directory is None else SnapshotWriter(directory)
        self._is_automatic = config.evidence
        self.investigator = Investigator(
            _inquiries(config, clock, sampler),
            clock,
            config.evidence_budget_percent / 100,
            lambda: sampler.latest,
            self._deliver,
        )

    def notice(self, verdict: LeakVerdict, sample: MemorySample) -> None:
        """Do what a verdict calls for; called by the thread that samples."""
        self.investigator.notice(verdict, sample, is_automatic=self._is_automatic)

    def snapshot(self, reason: SnapshotReason) -> dict[str, Any]:
        """Return a snapshot's document of what is known now; write it where a directory is set."""
        told = self.document(reason)
        if self._writer is not None:
            self._writer.write(told)
        return told

    def document(self, reason: SnapshotReason) -> dict[str, Any]:
        """Return what is known now, as a snapshot's document."""
        name, version, instance = service_identity()
        return document(
            reason,
            sample=self._sampler.latest,
            verdict=self._judge.verdict,
            history=self._sampler.history.samples(),
            evidence=self.investigator.evidence,
            identity=this_process(name, version, instance),
            now=Moment(self._clock.epoch(), self._clock.now()),
            why_no_evidence=self._why_no_evidence(),
        )

    def _why_no_evidence(self) -> str:
        if self.investigator.is_under_way():
            return "written while the investigation was still under way"
        if not self._is_automatic:
            return "evidence is switched off"
        return "nothing was investigated since the process began"

    def end_in_child(self) -> None:
        """End the tracing of allocations that a forked child has inherited."""
        end_in_child()

    def _deliver(self, evidence: Evidence, occasions: frozenset[Occasion]) -> None:
        verdict = self._judge.verdict
        if self._on_evidence is not None and verdict is not None:
            self._on_evidence(verdict, evidence)
        for reason in _WRITTEN:
            if reason in occasions:
                self.snapshot(reason)


def _inquiries(config: MemoryConfig, clock: Clock, sampler: Sampler) -> Sequence[Inquiry]:
    return (
        MappingInquiry(clock),
        AllocatorInquiry(clock, lambda: sampler.native_cost_seconds),
        SiteInquiry(
            clock,
            config.evidence_frames,
            config.evidence_budget_percent / 100,
            config.snapshot_directory,
        ),
    )
