"""Server and consumer spans as a source of finished requests.

Needs the OpenTelemetry API alone. A span processor cannot be taken back officially: while nobody
wants to know, this one looks at one attribute and is done.
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.trace import NonRecordingSpan, SpanKind, set_span_in_context

from opentelemetry.instrumentation.memory._attribution.requests import REQUESTS
from opentelemetry.instrumentation.memory._attribution.route_names import (
    OTHER,
    known_method,
    route_name,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

# To look up a member of an enumeration costs more than a name.
_SERVER: Final = SpanKind.SERVER
_CONSUMER: Final = SpanKind.CONSUMER
_MOST_DEEP: Final = 4
_THRESHOLD_DIGITS: Final = 14
_THRESHOLDS: Final = 16**_THRESHOLD_DIGITS
_IS_THRESHOLD: Final = re.compile(r"[0-9a-f]{1,14}", re.ASCII)
# The trace state comes with the request. One that claims to stand for more than this is not
# believed: it would outweigh all others.
_LEAST_PROBABILITY: Final = 1e-4
_LOCK_TIMEOUT_SECONDS: Final = 0.1
_TASK_NAMES: Final = (
    "celery.task_name",
    # A destination's name may be a person's reply queue; its template is not.
    "messaging.destination.template",
)


class SpanCounter:
    """A span processor that counts requests and tasks by their route.

    Only spans without a parent in this process count: two instrumentations of one request make two
    server spans, one in the other. Spans that head sampling dropped never get here; `probability`
    says how many each stands for.
    """

    def __init__(self) -> None:
        self._provider: Any = None
        self.probability = 1.0

    def attach(self, provider: Any) -> bool:
        """Get the spans of this provider, and tell whether it has any to give."""
        if self._provider is provider:
            return True
        add = getattr(provider, "add_span_processor", None)
        if add is None:
            return False
        self.detach()
        self.probability = sampling_probability(getattr(provider, "sampler", None))
        self._provider = provider
        add(self)
        return True

    def detach(self) -> None:
        """Get no more spans, as far as the SDK lets go."""
        provider, self._provider = self._provider, None
        # There is no official way. Where the SDK looks different by now the processor stays, idle.
        with contextlib.suppress(Exception):
            several = provider._active_span_processor  # noqa: SLF001 - as said
            if several._lock.acquire(timeout=_LOCK_TIMEOUT_SECONDS):  # noqa: SLF001
                try:
                    several._span_processors = tuple(  # noqa: SLF001
                        each
                        for each in several._span_processors  # noqa: SLF001
                        if each is not self
                    )
                finally:
                    several._lock.release()  # noqa: SLF001

    def on_start(self, span: Any, parent_context: Any = None) -> None:  # noqa: ARG002 - SDK's signature
        """Note that a request begins; its route is known at its end. 60 ns while nobody asks."""
        watch = REQUESTS.watch
        if not REQUESTS.is_counting and watch is None:
            return
        # Never raise into the application; `try` is free, unlike contextlib.suppress.
        try:
            if self._provider is None or not _is_request(span):
                return
            if REQUESTS.is_counting:
                next(REQUESTS.begun.ticks)
            if watch is not None:
                watch.begin(span.context.span_id, span)
        except Exception:  # noqa: BLE001, S110 - as said
            pass

    def on_end(self, span: Any) -> None:
        """Count a span that has ended; its route may have been set as late as now."""
        watch = REQUESTS.watch
        if not REQUESTS.is_counting and watch is None:
            return
        # As above.
        try:
            if self._provider is None or not _is_request(span):
                return
            if REQUESTS.is_counting:
                key = self._key(span)
                finished = REQUESTS.finished
                finished.add(key)
                if span.start_time < REQUESTS.era_began_ns:
                    finished.carry(key, REQUESTS.era_at(span.start_time))
            if watch is not None:
                here = set_span_in_context(NonRecordingSpan(span.context))
                watch.end(span.context.span_id, lambda: self._name(span), here)
        except Exception:  # noqa: BLE001, S110 - as said
            pass

    def _on_ending(self, span: Any) -> None:
        """Part of the SDK's protocol since 1.31."""

    def shutdown(self) -> None:
        """Hold nothing."""

    def force_flush(self, timeout_millis: int = 30000) -> bool:  # noqa: ARG002 - as above
        """Keep nothing back."""
        return True

    def _key(self, span: Any) -> tuple[str | None, str, float]:
        attributes = span.attributes
        state = span.context.trace_state
        probability = _probability_of(state.get("ot")) if state else None
        if probability is None:
            probability = self.probability
        if span.kind is _CONSUMER:
            return None, _task(attributes), probability
        # The SDK's attributes are a Python mapping, which takes a lock at each look.
        route = attributes.get("http.route")
        if route is None:
            return None, attributes.get("rpc.method") or OTHER, probability
        method = attributes.get("http.request.method") or attributes.get("http.method")
        return method and known_method(method), route, probability

    def _name(self, span: Any) -> str:
        method, route, _ = self._key(span)
        return route_name(method, route)


def _is_request(span: Any) -> bool:
    kind = span.kind
    if kind is _SERVER:
        if REQUESTS.has_middleware:
            return False
    elif kind is not _CONSUMER:
        return False
    parent = span.parent
    return parent is None or parent.is_remote


def _task(attributes: Mapping[str, Any]) -> str:
    for name in _TASK_NAMES:
        value = attributes.get(name)
        if value:
            return str(value)
    return OTHER


def sampling_probability(sampler: Any) -> float:
    """Return how likely a root span is kept by this sampler, as far as it tells; else 1."""
    for _ in range(_MOST_DEEP):
        rate = getattr(sampler, "rate", None)
        if isinstance(rate, float) and 0 < rate <= 1:
            return rate
        sampler = getattr(sampler, "_root", None) or getattr(sampler, "_delegate", None)
    return 1.0


def _probability_of(state: str | None) -> float | None:
    """Return the probability that `ot=th:…` of a trace state tells (OpenTelemetry, sampling)."""
    for pair in (state or "").split(";"):
        name, _, value = pair.partition(":")
        if name == "th" and _IS_THRESHOLD.fullmatch(value):
            rejected = int(value.ljust(_THRESHOLD_DIGITS, "0"), 16)
            probability = (_THRESHOLDS - rejected) / _THRESHOLDS
            if probability < _LEAST_PROBABILITY:
                return None
            # Two digits: it is part of a key, and there must not be many of those.
            return float(f"{probability:.2g}")
    return None
