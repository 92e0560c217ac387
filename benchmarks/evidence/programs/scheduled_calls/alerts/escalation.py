from __future__ import annotations

import asyncio
from contextvars import ContextVar
from dataclasses import dataclass

_alert: ContextVar[Alert | None] = ContextVar("alert", default=None)


@dataclass
class Alert:
    number: int
    told: list[str]


class Escalation:
    """Calls again an hour later, unless somebody has acknowledged."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._due: dict[int, asyncio.TimerHandle] = {}
        self.escalated = 0

    def raise_alert(self, number: int) -> None:
        alert = Alert(number, ["on call", "team", f"group-{number % 9}"])  # culprit
        token = _alert.set(alert)
        # Acknowledgements come by the number modulo 1,000 only: later alerts take their place.
        self._due[number % 1_000] = self._loop.call_later(3_600, self._escalate)  # culprit
        _alert.reset(token)

    def acknowledge(self, number: int) -> None:
        self._due.pop(number % 1_000).cancel()

    def _escalate(self) -> None:
        alert = _alert.get()
        self.escalated += len(alert.told) if alert else 0
