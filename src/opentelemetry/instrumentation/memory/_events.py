"""A verdict as an OpenTelemetry event (a log record with a name)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from opentelemetry._logs import SeverityNumber, get_logger

from opentelemetry.instrumentation.memory.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry._logs import Logger, LoggerProvider

    from opentelemetry.instrumentation.memory.evidence import Evidence
    from opentelemetry.instrumentation.memory.model import LeakState, LeakVerdict

EVENT_NAME: Final = "process.memory.leak"
SCOPE_NAME: Final = "opentelemetry.instrumentation.memory"

_SEVERITY: Final[dict[LeakState, SeverityNumber]] = {
    "suspected": SeverityNumber.WARN,
    "confirmed": SeverityNumber.ERROR,
    "recovered": SeverityNumber.INFO,
}


_MOST_NAMED: Final = 5

Attributes = dict[str, "str | float | Sequence[str]"]


class LeakEvents:
    """Emits `process.memory.leak` on each change to suspected, confirmed or recovered.

    Called by the sampling thread; only where that is switched off, by the metric collection. A
    suspicion that comes to nothing is `recovered` as well, so that every alarm has its end. What an
    investigation finds follows in an event of its own, under the state that holds by then.
    """

    def __init__(self, provider: LoggerProvider | None = None) -> None:
        self._logger: Logger = get_logger(SCOPE_NAME, __version__, logger_provider=provider)
        self._told: LeakState = "quiet"
        self._evidence: Evidence | None = None
        self._pid = os.getpid()

    def notice(self, verdict: LeakVerdict) -> None:
        """Emit an event if the verdict's state is news."""
        self._forget_parent()
        state = verdict.state
        if state == "quiet" and self._told in ("suspected", "confirmed"):
            state = "recovered"
        if state == self._told or state not in _SEVERITY:
            return
        if state == "recovered":
            self._evidence = None
        self._told = state
        self._emit(state, verdict)

    def add(self, verdict: LeakVerdict, evidence: Evidence) -> None:
        """Emit what was found, if an alarm is on and it has not been told already."""
        self._forget_parent()
        if self._told not in ("suspected", "confirmed") or evidence is self._evidence:
            return
        self._evidence = evidence
        self._emit(self._told, verdict)

    def _forget_parent(self) -> None:
        if self._pid != os.getpid():
            # What was told of the parent is no news of a forked child.
            self._told, self._evidence, self._pid = "quiet", None, os.getpid()

    def _emit(self, state: LeakState, verdict: LeakVerdict) -> None:
        attributes: Attributes = {
            "process.memory.leak.state": state,
            "process.memory.leak.risk": verdict.risk,
            "process.memory.leak.reason": verdict.reason,
        }
        if verdict.segment is not None:
            attributes["process.memory.segment"] = verdict.segment
        if verdict.growth:
            attributes["process.memory.leak.growth"] = verdict.growth[0].bytes_per_second
        if verdict.time_to_exhaustion_seconds is not None:
            attributes["process.memory.leak.time_to_exhaustion"] = (
                verdict.time_to_exhaustion_seconds
            )
        body = verdict.reason
        if self._evidence is not None:
            attributes.update(evidence_attributes(self._evidence))
            body = f"{body}; {self._evidence.conclusion.sentence}"
        self._logger.emit(
            event_name=EVENT_NAME,
            severity_number=_SEVERITY[state],
            severity_text=_SEVERITY[state].name,
            body=body,
            attributes=attributes,
        )


def evidence_attributes(evidence: Evidence) -> Attributes:
    """Return an event's attributes for what was found; what was not found has none."""
    conclusion = evidence.conclusion
    attributes: Attributes = {
        "process.memory.leak.culprit.kind": conclusion.kind,
        "process.memory.leak.culprit.confidence": conclusion.confidence,
        "process.memory.leak.conclusion": conclusion.sentence,
    }
    if conclusion.culprit is not None:
        attributes["process.memory.leak.culprit"] = conclusion.culprit
    lists: dict[str, list[str]] = {
        "containers": [
            f"{each.path or each.held_by or 'unknown'} ({each.container_type}): "
            f"{each.entries_before} -> {each.entries_after} entries"
            for each in evidence.containers
        ],
        "types": [
            f"{each.type_name}: {each.count_before} -> {each.count_after}"
            for each in evidence.types
        ],
        "sites": [f"{each.site}: {each.bytes_per_second:.0f} By/s" for each in evidence.sites],
        "routes": [
            f"{each.route}: {each.bytes_per_request:.0f} By a request" for each in evidence.routes
        ],
        "mappings": [
            f"{each.mapping}: {each.bytes_before} -> {each.bytes_after} By, "
            f"{each.count_before} -> {each.count_after} mappings"
            for each in evidence.mappings
        ],
        "advice": [each.text for each in evidence.advice],
    }
    for name, texts in lists.items():
        if texts:
            attributes[f"process.memory.leak.{name}"] = texts[:_MOST_NAMED]
    return attributes
