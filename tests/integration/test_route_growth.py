"""A real service under concurrent load: the routes that keep memory are told, and no other."""

from __future__ import annotations

import random
import threading
import time
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import SpanKind

from opentelemetry.instrumentation.memory import MemoryConfig
from opentelemetry.instrumentation.memory._attribution.requests import REQUESTS
from opentelemetry.instrumentation.memory._attribution.route_counter import RouteCounter
from opentelemetry.instrumentation.memory._attribution.route_inquiry import growth_by_route
from opentelemetry.instrumentation.memory._probes import platform_probes
from opentelemetry.instrumentation.memory._sampling.clock import SystemClock
from opentelemetry.instrumentation.memory._sampling.sampler import Sampler

# As an investigation does: a look now and then, until the route is told.
SECONDS_BETWEEN_LOOKS = 20.0
DEADLINE_SECONDS = 300.0
CLIENTS = 20
ROUTES = tuple(f"/{name}" for name in ("a", "b", "c", "d", "e", "f", "g", "h", "i"))
KEPT_BYTES = {"/c": 60_000, "/g": 40_000}


@pytest.mark.timeout(400)
def test_two_leaking_routes_of_nine_are_told_under_concurrent_load() -> None:
    REQUESTS.has_middleware = False
    provider = TracerProvider(sampler=ALWAYS_ON)
    tracer = provider.get_tracer("test")
    kept: list[bytes] = []
    over = threading.Event()

    def client(seed: int) -> None:
        rnd = random.Random(seed)  # noqa: S311 - a seed, not a secret
        while not over.wait(rnd.expovariate(20)):
            route = rnd.choice(ROUTES)
            attributes = {"http.route": route}
            with tracer.start_as_current_span("r", kind=SpanKind.SERVER, attributes=attributes):
                passing = [bytes(rnd.randrange(2_000)) for _ in range(20)]
                over.wait(rnd.expovariate(50))
                if route in KEPT_BYTES:
                    kept.append(b"x" * KEPT_BYTES[route])  # touched, so resident
                del passing

    counter = RouteCounter(SystemClock())
    counter.attach(provider)
    sampler = Sampler(MemoryConfig(), platform_probes(), SystemClock())
    sampler.risk = 1.0
    sampler.before_reading = counter.mark
    threads = [threading.Thread(target=client, args=(seed,)) for seed in range(CLIENTS)]
    counter.start("native_heap")
    for thread in threads:
        thread.start()
    found: list[Any] = []

    def fit() -> Any:
        found[:] = yield from growth_by_route(counter.records()[0])

    began = looked_at = time.monotonic()
    try:
        while "/c" not in {each.route for each in found}:
            assert time.monotonic() - began < DEADLINE_SECONDS, f"only {found} told"
            assert not over.wait(0.5)
            sample = sampler.take()
            assert sample is not None
            counter.observe(sample)
            if time.monotonic() - looked_at > SECONDS_BETWEEN_LOOKS:
                list(fit())
                looked_at = time.monotonic()
    finally:
        over.set()
        for thread in threads:
            thread.join()
        counter.detach()
        provider.shutdown()
    assert {each.route for each in found} <= set(KEPT_BYTES)
    for each in found:
        half = (each.most_bytes - each.least_bytes) / 2
        # Twice the 95 % interval: a test must hold every time.
        assert abs(each.bytes_per_request - KEPT_BYTES[each.route]) <= 2 * half
