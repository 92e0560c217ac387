"""What a request pays while routes are counted, and while they are not: CPU time of both hooks."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind

from opentelemetry.instrumentation.memory._attribution.requests import REQUESTS
from opentelemetry.instrumentation.memory._attribution.route_counter import RouteCounter
from opentelemetry.instrumentation.memory._sampling.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable

_CALLS = 5_000
_ROUNDS = 60


def _microseconds(call: Callable[[], object]) -> float:
    """Return the CPU time of one call: that of the fastest of many rounds."""
    fastest = float("inf")
    for _ in range(_ROUNDS):
        began = time.thread_time()
        for _ in range(_CALLS):
            call()
        fastest = min(fastest, time.thread_time() - began)
    return 1e6 * fastest / _CALLS


def main() -> None:
    """Measure and print a Markdown table."""
    provider = TracerProvider()
    counter = RouteCounter(SystemClock())
    counter.attach(provider)
    hooks = counter._spans  # noqa: SLF001 - called as the SDK calls it
    attributes = {"http.route": "/cart/{id}", "http.request.method": "GET"}
    span = provider.get_tracer("cost").start_span(
        "request", kind=SpanKind.SERVER, attributes=attributes
    )
    ended = span._readable_span()  # type: ignore[attr-defined]  # noqa: SLF001 - what the SDK hands on

    def request() -> None:
        hooks.on_start(span)
        hooks.on_end(ended)

    print("| a request | µs |\n| --- | ---: |")
    print(f"| while nobody asks | {_microseconds(request):.2f} |")
    counter.start()
    print(f"| while routes are counted | {_microseconds(request):.2f} |")
    REQUESTS.close_era(time.time_ns())
    print(f"| the same, begun before the last sample | {_microseconds(request):.2f} |")
    counter.detach()
    provider.shutdown()


if __name__ == "__main__":
    main()
