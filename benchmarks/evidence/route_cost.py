"""What a request pays while routes are counted, and while they are not, in CPU time.

That of both hooks of the span processor, and what a middleware adds to an application that does
nothing, whose route is known at once.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind

from opentelemetry.instrumentation.memory._attribution.requests import REQUESTS
from opentelemetry.instrumentation.memory._attribution.route_counter import RouteCounter
from opentelemetry.instrumentation.memory._sampling.clock import SystemClock
from opentelemetry.instrumentation.memory.middleware import (
    MemoryAsgiMiddleware,
    MemoryWsgiMiddleware,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_CALLS = 5_000
_ROUNDS = 60
# How many eras end while an application serves one request.
_OUTLASTED = [0]


def _microseconds(call: Callable[[], object]) -> float:
    """Return the CPU time of one call: that of the fastest of many rounds."""
    fastest = float("inf")
    for _ in range(_ROUNDS):
        began = time.thread_time()
        for _ in range(_CALLS):
            call()
        fastest = min(fastest, time.thread_time() - began)
    return 1e6 * fastest / _CALLS


def _wsgi(_: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    REQUESTS.era += _OUTLASTED[0]
    return [b"fine"]


async def _asgi(_: Any, __: Any, ___: Any) -> None:
    REQUESTS.era += _OUTLASTED[0]


def _served_by_wsgi(application: Any) -> Callable[[], None]:
    """Return what serves one request, as a WSGI server does."""
    environ = {"REQUEST_METHOD": "GET"}

    def serve() -> None:
        body = application(environ, lambda *_: None)
        for _ in body:
            pass
        close = getattr(body, "close", None)
        if close is not None:
            close()

    return serve


def _served_by_asgi(application: Any) -> Callable[[], None]:
    scope = {"type": "http", "method": "GET"}

    def serve() -> None:
        with suppress(StopIteration):
            application(scope, None, None).send(None)

    return serve


def _added(served: Callable[[Any], Callable[[], None]], bare: Any, wrapped: Any) -> float:
    return _microseconds(served(wrapped)) - _microseconds(served(bare))


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
    wsgi = MemoryWsgiMiddleware(_wsgi, route=lambda _: "/cart/{id}")
    asgi = MemoryAsgiMiddleware(_asgi, route=lambda _: "/cart/{id}")

    def request() -> None:
        hooks.on_start(span)
        hooks.on_end(ended)

    def measure(state: str) -> None:
        # A middleware that has seen a request takes the spans' place.
        REQUESTS.has_middleware = False
        costs = (
            _microseconds(request),
            _added(_served_by_wsgi, _wsgi, wsgi),
            _added(_served_by_asgi, _asgi, asgi),
        )
        print(f"| {state} | " + " | ".join(f"{cost:.2f}" for cost in costs) + " |")

    print("| a request, µs | spans | WSGI middleware | ASGI middleware |")
    print("| --- | ---: | ---: | ---: |")
    measure("while nobody asks")
    counter.start()
    measure("while routes are counted")
    # From here on each span began before the last sample, and each other request ends after one.
    REQUESTS.close_era(time.time_ns())
    _OUTLASTED[0] = 1
    measure("the same, begun before the last sample")
    counter.detach()
    provider.shutdown()


if __name__ == "__main__":
    main()
