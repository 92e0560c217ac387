"""Sends the requests of each phase, from a thread of the demo."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from opentelemetry.instrumentation.memory._commands.demo.phases import PHASES

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from opentelemetry.instrumentation.memory._commands.demo.launch import Service
    from opentelemetry.instrumentation.memory._commands.demo.phases import Phase

_PAUSE_SECONDS: Final = 0.05
_VERDICT_SECONDS: Final = 0.3


def requests_due(phase: Phase, elapsed_seconds: float, duration_seconds: float) -> int:
    """Return how many requests of a phase should have been sent by now."""
    done_share = elapsed_seconds / (phase.working_share * duration_seconds)
    return min(phase.requests, math.ceil(phase.requests * done_share))


@dataclass(frozen=True, slots=True)
class PhaseStart:
    """When a phase began, on the monotonic clock."""

    phase: Phase
    at_seconds: float


@dataclass(frozen=True, slots=True)
class Opinion:
    """What the detector in the service thinks; metrics tell its numbers, but not its reason."""

    state: str
    reason: str


class Load:
    """One visitor who goes through all phases, and looks at the front page in between.

    Every now and then the visitor asks what the service thinks of its own memory.
    """

    def __init__(self, service: Service, seconds: float) -> None:
        self._service = service
        self._seconds = seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)
        self.starts: tuple[PhaseStart, ...] = ()
        self._asked_at_seconds = 0.0
        self.opinion: Opinion | None = None
        self.error: OSError | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # A request that hangs is not waited for: it ends with the service.
        self._stop.set()

    @property
    def is_done(self) -> bool:
        """Tell whether all phases are over, or sending has failed."""
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            for phase in PHASES:
                if self._stop.is_set():
                    return
                self.starts = (*self.starts, PhaseStart(phase, time.monotonic()))
                self._play(phase, phase.share * self._seconds)
        except OSError as error:
            self.error = error

    def _play(self, phase: Phase, duration_seconds: float) -> None:
        began_at_seconds = time.monotonic()
        sent = 0
        while not self._stop.is_set():
            now = time.monotonic()
            elapsed_seconds = now - began_at_seconds
            if now - self._asked_at_seconds > _VERDICT_SECONDS:
                self._ask(now)
            elif sent < requests_due(phase, elapsed_seconds, duration_seconds):
                self._service.send("POST", phase.path)
                sent += 1
            elif elapsed_seconds >= duration_seconds:
                return
            else:
                self._service.send("GET", "/")
                self._stop.wait(_PAUSE_SECONDS)

    def _ask(self, now: float) -> None:
        self._asked_at_seconds = now
        answer = self._service.send("GET", "/verdict")
        if "reason" in answer:
            self.opinion = Opinion(str(answer["state"]), str(answer["reason"]))
