"""Looks into one process's alarms, tells what is found, and writes it down.

Loaded with the first alarm: most processes never need it.
"""

from __future__ import annotations

import logging
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final, get_args

from opentelemetry.instrumentation.memory._attribution import collections, holding, sites
from opentelemetry.instrumentation.memory._attribution.allocator import AllocatorInquiry
from opentelemetry.instrumentation.memory._attribution.containers import ContainerInquiry
from opentelemetry.instrumentation.memory._attribution.live_bytes import live_bytes_reader
from opentelemetry.instrumentation.memory._attribution.mappings import MappingInquiry
from opentelemetry.instrumentation.memory._attribution.request_watch import RequestWatch
from opentelemetry.instrumentation.memory._attribution.route_counter import RouteCounter
from opentelemetry.instrumentation.memory._attribution.route_inquiry import RouteInquiry
from opentelemetry.instrumentation.memory._attribution.sites import SiteInquiry
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
    from contextlib import AbstractContextManager

    from opentelemetry.instrumentation.memory._attribution.inquiry import Inquiry
    from opentelemetry.instrumentation.memory._investigator import Occasion
    from opentelemetry.instrumentation.memory._sampling.clock import Clock
    from opentelemetry.instrumentation.memory._sampling.sampler import Sampler
    from opentelemetry.instrumentation.memory._surroundings import Surroundings
    from opentelemetry.instrumentation.memory.config import MemoryConfig
    from opentelemetry.instrumentation.memory.evidence import Evidence, RouteGrowth
    from opentelemetry.instrumentation.memory.model import LeakVerdict, MemorySample

_logger = logging.getLogger(__name__)

_WRITTEN: Final[tuple[SnapshotReason, ...]] = get_args(SnapshotReason)


class Casework:
    """The investigations and snapshots of one process.

    Args:
        surroundings: Of that process.
        without_forks: Lets forks wait while a lock is held that a child could not release.
    """

    def __init__(
        self,
        surroundings: Surroundings,
        without_forks: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        config, clock = surroundings.config, surroundings.clock
        self._clock = clock
        self._sampler = sampler = surroundings.sampler
        self._judge = surroundings.judge
        self._outlets = outlets = surroundings.outlets
        directory = config.snapshot_directory
        self._writer = None if directory is None else SnapshotWriter(directory)
        self._is_automatic = config.evidence
        self._routes = RouteCounter(clock)
        self._routes.attach(outlets.tracer_provider())
        # Counts of another moment than the bytes' would make routes look better than they are.
        sampler.before_reading = self._routes.mark
        if config.request_watch_bytes is not None:
            self._routes.watch_requests(
                RequestWatch(
                    config.request_watch_bytes, live_bytes_reader(), outlets.record_request, clock
                )
            )
        self.investigator = Investigator(
            _inquiries(config, clock, sampler, self._routes, without_forks),
            clock,
            config.evidence_budget_percent / 100,
            lambda: sampler.latest,
            self._deliver,
        )

    def notice(self, verdict: LeakVerdict, sample: MemorySample) -> None:
        """Do what a verdict calls for; called by the thread that samples."""
        # The application may have set its provider since.
        self._routes.attach(self._outlets.tracer_provider())
        self.investigator.notice(verdict, sample, is_automatic=self._is_automatic)
        if self._is_automatic and verdict.state in ("suspected", "confirmed"):
            # Requests count for both heaps alike.
            is_mapped = verdict.segment == "other_anonymous"
            self._routes.start("other_anonymous" if is_mapped else None)
        elif self._routes.is_watching and not self.investigator.is_under_way():
            self._routes.stop()
        if not self.investigator.is_holding:
            self._routes.observe(sample)

    def route_growth(self) -> tuple[RouteGrowth, ...]:
        """Return the routes that keep memory, as far as is known while risk is raised."""
        return self._routes.growth()

    def stop(self, timeout_seconds: float) -> None:
        """End what is under way, for good."""
        self._sampler.before_reading = None
        # First: it takes no time, while the thread of an investigation may.
        self._routes.detach()
        self.investigator.stop(timeout_seconds)

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
        """End what a forked child has inherited of tracing, counting and looking."""
        sites.end_in_child()
        collections.end_in_child()
        holding.end_in_child()
        self._routes.detach()

    def _deliver(self, evidence: Evidence, occasions: frozenset[Occasion]) -> None:
        verdict = self._judge.verdict
        if verdict is not None:
            self._outlets.on_evidence(verdict, evidence)
        for reason in _WRITTEN:
            if reason in occasions:
                self.snapshot(reason)


def _inquiries(
    config: MemoryConfig,
    clock: Clock,
    sampler: Sampler,
    routes: RouteCounter,
    without_forks: Callable[[], AbstractContextManager[None]],
) -> Sequence[Inquiry]:
    return (
        MappingInquiry(clock),
        AllocatorInquiry(clock, lambda: sampler.native_cost_seconds),
        RouteInquiry(routes),
        ContainerInquiry(clock, longest_pause_seconds=config.evidence_pause_seconds),
        SiteInquiry(
            clock,
            config.evidence_frames,
            config.evidence_budget_percent / 100,
            config.snapshot_directory,
            without_forks=without_forks,
        ),
    )
