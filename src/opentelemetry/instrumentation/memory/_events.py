"""A verdict as an OpenTelemetry event (a log record with a name)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from opentelemetry._logs import SeverityNumber, get_logger

from opentelemetry.instrumentation.memory.version import __version__

if TYPE_CHECKING:
    from opentelemetry._logs import Logger, LoggerProvider

    from opentelemetry.instrumentation.memory.model import LeakState, LeakVerdict

EVENT_NAME: Final = "process.memory.leak"
SCOPE_NAME: Final = "opentelemetry.instrumentation.memory"

_SEVERITY: Final[dict[LeakState, SeverityNumber]] = {
    "suspected": SeverityNumber.WARN,
    "confirmed": SeverityNumber.ERROR,
    "recovered": SeverityNumber.INFO,
}


class LeakEvents:
    """Emits `process.memory.leak` on each change to suspected, confirmed or recovered.

    Called by the sampling thread; only where that is switched off, by the metric collection. A
    suspicion that comes to nothing is `recovered` as well, so that every alarm has its end.
    """

    def __init__(self, provider: LoggerProvider | None = None) -> None:
        self._logger: Logger = get_logger(SCOPE_NAME, __version__, logger_provider=provider)
        self._told: LeakState = "quiet"
        self._pid = os.getpid()

    def notice(self, verdict: LeakVerdict) -> None:
        """Emit an event if the verdict's state is news."""
        if self._pid != os.getpid():
            # What was told of the parent is no news of a forked child.
            self._told, self._pid = "quiet", os.getpid()
        state = verdict.state
        if state == "quiet" and self._told in ("suspected", "confirmed"):
            state = "recovered"
        if state == self._told or state not in _SEVERITY:
            return
        self._told = state
        attributes: dict[str, str | float] = {
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
        self._logger.emit(
            event_name=EVENT_NAME,
            severity_number=_SEVERITY[state],
            severity_text=_SEVERITY[state].name,
            body=verdict.reason,
            attributes=attributes,
        )
