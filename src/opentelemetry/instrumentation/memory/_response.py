"""Tells when one process's verdicts call for casework, which is loaded only then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.instrumentation.memory.responders.near_limit import NearLimit

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.instrumentation.memory._casework import Casework
    from opentelemetry.instrumentation.memory._investigator import Occasion
    from opentelemetry.instrumentation.memory._judge import Judge
    from opentelemetry.instrumentation.memory._sampling.clock import Clock
    from opentelemetry.instrumentation.memory._sampling.sampler import Sampler
    from opentelemetry.instrumentation.memory.config import MemoryConfig
    from opentelemetry.instrumentation.memory.evidence import Evidence
    from opentelemetry.instrumentation.memory.model import LeakVerdict, MemorySample


class Response:
    """Does what one process's verdicts call for: nothing, while all is well.

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
        self._config = config
        self._clock = clock
        self._sampler = sampler
        self._judge = judge
        self._on_evidence = on_evidence
        self._near_limit = NearLimit()
        self._requests: set[Occasion] = set()
        self._casework: Casework | None = None

    @property
    def evidence(self) -> Evidence | None:
        """What the last investigation found."""
        return None if self._casework is None else self._casework.investigator.evidence

    @property
    def cpu_seconds(self) -> float:
        """The CPU time that investigations have used."""
        return 0.0 if self._casework is None else self._casework.investigator.cpu_seconds

    def request(self, occasion: Occasion) -> None:
        """Ask for an investigation, whatever the risk; it begins with the next sample.

        Takes no lock, so that a signal handler may call it.
        """
        self._requests.add(occasion)

    def is_loading_due(self, verdict: LeakVerdict) -> bool:
        """Tell whether this verdict is the first that calls for casework."""
        is_alarming = verdict.state in ("suspected", "confirmed") or verdict.segment == "retained"
        is_called_for = bool(self._requests) or (self._config.evidence and is_alarming)
        return self._casework is None and is_called_for

    def load(self) -> Casework:
        """Return the casework; the first time its modules are imported, in about 30 ms."""
        if self._casework is None:
            from opentelemetry.instrumentation.memory._casework import (  # noqa: PLC0415 - see above
                Casework,
            )

            self._casework = Casework(
                self._config, self._clock, self._sampler, self._judge, self._on_evidence
            )
        return self._casework

    def notice(self, verdict: LeakVerdict, sample: MemorySample) -> None:
        """Do what a verdict calls for; called by the thread that samples."""
        if self._casework is not None:
            while self._requests:
                self._casework.investigator.request(self._requests.pop())
            self._casework.notice(verdict, sample)
        if self._near_limit.is_crossed(sample) and self._config.snapshot_directory is not None:
            # Without waiting for evidence: there may be no time for it.
            self.load().snapshot("near_limit")

    def snapshot(self) -> dict[str, Any]:
        """Return a snapshot's document of what is known now; write it where a directory is set."""
        return self.load().snapshot("api")

    def end_in_child(self) -> None:
        """End what a forked child has inherited of the investigation that its parent was in."""
        if self._casework is not None:
            self._casework.end_in_child()

    def stop(self, timeout_seconds: float) -> None:
        """End an investigation that is under way, for good."""
        if self._casework is not None:
            self._casework.investigator.stop(timeout_seconds)
