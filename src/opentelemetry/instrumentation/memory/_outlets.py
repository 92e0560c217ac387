"""What the upper rooms hand down: where to tell things, and whose requests to count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.instrumentation.memory.evidence import Evidence
    from opentelemetry.instrumentation.memory.model import LeakVerdict


def _to_nobody(*_: Any) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Outlets:
    """Callables of OpenTelemetry's side, which the rooms below know nothing else of.

    Attributes:
        on_change: Called with each verdict whose state differs from the one before.
        on_evidence: Called with the verdict that holds by then and with what was found.
        tracer_provider: Returns the provider whose server spans are counted, or None.
        record_request: Called with the bytes that one request kept, its route and its context.
    """

    on_change: Callable[[LeakVerdict], None] = _to_nobody
    on_evidence: Callable[[LeakVerdict, Evidence], None] = _to_nobody
    tracer_provider: Callable[[], Any] = _to_nobody
    record_request: Callable[[int, str, Any], None] = _to_nobody
