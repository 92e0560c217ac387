"""Tells when one process's verdicts call for casework, which is loaded only then."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.instrumentation.memory.responders.near_limit import NearLimit

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from opentelemetry.instrumentation.memory._casework import Casework
    from opentelemetry.instrumentation.memory._investigator import Occasion
    from opentelemetry.instrumentation.memory._surroundings import Surroundings
    from opentelemetry.instrumentation.memory.evidence import Evidence, RouteGrowth
    from opentelemetry.instrumentation.memory.model import LeakVerdict, MemorySample

# From here on samples come often.
_RAISED_RISK: Final = 0.5


class Response:
    """Does what one process's verdicts call for: nothing, while all is well.

    Args:
        surroundings: Of that process.

    Attributes:
        without_forks: Lets forks wait while a lock is held that a child could not release.
    """

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._config = surroundings.config
        self._near_limit = NearLimit()
        self._is_confirmed = False
        self._requests: set[Occasion] = set()
        self._casework: Casework | None = None
        self._is_stopped = False
        self.without_forks: Callable[[], AbstractContextManager[None]] = nullcontext

    @property
    def evidence(self) -> Evidence | None:
        """What the last investigation found."""
        return None if self._casework is None else self._casework.investigator.evidence

    @property
    def cpu_seconds(self) -> float:
        """The CPU time that investigations have used."""
        return 0.0 if self._casework is None else self._casework.investigator.cpu_seconds

    @property
    def least_risk(self) -> float:
        """The risk that the sampler reckons with at least: a look on demand needs samples, too."""
        is_looking = self._casework is not None and self._casework.investigator.is_under_way()
        return _RAISED_RISK if is_looking else 0.0

    @property
    def is_distorting(self) -> bool:
        """Whether an investigation's own memory distorts the process's figures just now."""
        return self._casework is not None and self._casework.investigator.is_holding

    def route_growth(self) -> tuple[RouteGrowth, ...]:
        """Return the routes that keep memory, as far as is known while risk is raised."""
        return () if self._casework is None else self._casework.route_growth()

    def request(self, occasion: Occasion) -> None:
        """Ask for an investigation, whatever the risk; it begins with the next sample.

        Takes no lock, so that a signal handler may call it.
        """
        self._requests.add(occasion)

    def is_loading_due(self, verdict: LeakVerdict) -> bool:
        """Tell whether this verdict is the first that calls for casework."""
        if self._casework is not None:
            return False
        is_alarming = verdict.state in ("suspected", "confirmed") or verdict.segment == "retained"
        return (
            bool(self._requests)
            or self._config.request_watch_bytes is not None
            or (self._config.evidence and is_alarming)
        )

    def load(self) -> Casework:
        """Return the casework; the first time its modules are imported, in about 30 ms."""
        if self._casework is not None:
            return self._casework
        # The lock of a module that is being imported is never released in a forked child.
        with self.without_forks():
            from opentelemetry.instrumentation.memory._casework import (  # noqa: PLC0415 - see above
                Casework,
            )

            # Another thread may have been here first.
            if self._casework is None:
                self._casework = Casework(self._surroundings, self.without_forks)
                if self._is_stopped:
                    # Meanwhile, or before: a snapshot may still be wanted, but nothing that runs.
                    self._casework.stop(0.0)
            return self._casework

    def notice(self, verdict: LeakVerdict, sample: MemorySample) -> None:
        """Do what a verdict calls for; called by the thread that samples."""
        if self._casework is not None:
            while self._requests:
                self._casework.investigator.request(self._requests.pop())
            self._casework.notice(verdict, sample)
        was_confirmed, self._is_confirmed = self._is_confirmed, verdict.state == "confirmed"
        if self._config.snapshot_directory is None:
            return
        if self._is_confirmed and not was_confirmed and not self._config.evidence:
            # There will be none to wait for; the verdict and the history are something as well.
            self.load().snapshot("confirmed")
        if self._near_limit.is_crossed(sample):
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
        self._is_stopped = True
        if self._casework is not None:
            self._casework.stop(timeout_seconds)
