"""Only a request that was alone is told, with its own trace as the exemplar."""

from __future__ import annotations

import gc
import os
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind
from tests.fakes import FakeClock

from opentelemetry.instrumentation.memory._attribution.request_watch import RequestWatch
from opentelemetry.instrumentation.memory._attribution.requests import REQUESTS
from opentelemetry.instrumentation.memory._attribution.route_counter import RouteCounter
from opentelemetry.instrumentation.memory._sampling.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Iterator

THRESHOLD = 1000


class Heap:
    def __init__(self, clock: FakeClock) -> None:
        self.live_bytes: int | None = 0
        self.reads = 0
        self.cost_seconds = 0.0
        self._clock = clock

    def read(self) -> int | None:
        self.reads += 1
        self._clock.work(self.cost_seconds)
        return self.live_bytes

    def grow(self, number: int) -> None:
        assert self.live_bytes is not None
        self.live_bytes += number


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def heap(clock: FakeClock) -> Heap:
    return Heap(clock)


@pytest.fixture
def told() -> list[tuple[int, str]]:
    return []


@pytest.fixture
def watch(heap: Heap, clock: FakeClock, told: list[tuple[int, str]]) -> RequestWatch:
    return RequestWatch(
        THRESHOLD, heap.read, lambda size, route, _: told.append((size, route)), clock
    )


def test_a_request_alone_is_told_with_what_it_keeps(
    watch: RequestWatch, heap: Heap, told: list[Any]
) -> None:
    watch.begin(1)
    heap.grow(5000)
    watch.end(1, lambda: "/a")
    assert told == [(5000, "/a")]


def test_less_than_the_threshold_is_not_told(
    watch: RequestWatch, heap: Heap, told: list[Any]
) -> None:
    watch.begin(1)
    heap.grow(THRESHOLD - 1)
    watch.end(1, lambda: "/a")
    assert told == []


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_requests_that_overlap_are_not_told(
    watch: RequestWatch, heap: Heap, told: list[Any], order: tuple[int, int]
) -> None:
    watch.begin(1)
    watch.begin(2)
    heap.grow(5000)
    for key in order:
        watch.end(key, lambda: "/a")
    assert told == []


def test_the_next_one_alone_is_told_again(watch: RequestWatch, heap: Heap, told: list[Any]) -> None:
    for key in (1, 2):
        watch.begin(key)
    for key in (1, 2):
        watch.end(key, lambda: "/a")
    watch.begin(3)
    heap.grow(2000)
    watch.end(3, lambda: "/b")
    assert told == [(2000, "/b")]


def test_a_request_that_is_lost_does_not_blind_the_watch(
    watch: RequestWatch, heap: Heap, told: list[Any]
) -> None:
    class Span: ...

    lost = Span()
    watch.begin(1, lost)
    del lost
    gc.collect()
    watch.begin(2)
    heap.grow(2000)
    watch.end(2, lambda: "/a")
    assert told == [(2000, "/a")]


def test_a_dear_source_is_left_alone_for_a_minute(
    watch: RequestWatch, heap: Heap, clock: FakeClock
) -> None:
    heap.cost_seconds = 0.001
    watch.begin(1)
    watch.end(1, lambda: "/a")
    assert heap.reads == 1
    clock.wait(61)
    watch.begin(2)
    assert heap.reads == 2


def test_unknown_live_bytes_tell_nothing(watch: RequestWatch, heap: Heap, told: list[Any]) -> None:
    heap.live_bytes = None
    watch.begin(1)
    watch.end(1, lambda: "/a")
    assert told == []


def test_what_was_under_way_at_a_fork_does_not_count_in_the_child(
    watch: RequestWatch, heap: Heap, told: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    watch.begin(1)
    monkeypatch.setattr(os, "getpid", lambda: -1)
    watch.begin(2)
    heap.grow(2000)
    watch.end(2, lambda: "/a")
    assert told == [(2000, "/a")]


@pytest.fixture
def counter() -> Iterator[RouteCounter]:
    REQUESTS.has_middleware = False
    counter = RouteCounter(SystemClock())
    yield counter
    counter.detach()


def test_the_exemplar_carries_the_trace_of_the_request(
    counter: RouteCounter, heap: Heap, clock: FakeClock
) -> None:
    reader = InMemoryMetricReader()
    meters = MeterProvider(metric_readers=[reader])
    histogram = meters.get_meter("test").create_histogram("process.memory.request.growth")

    def record(size: int, route: str, context: Any) -> None:
        histogram.record(size, {"http.route": route}, context=context)

    spans = TracerProvider()
    counter.attach(spans)
    counter.watch_requests(RequestWatch(THRESHOLD, heap.read, record, clock))
    span = spans.get_tracer("test").start_span("x", kind=SpanKind.SERVER)
    span.set_attribute("http.route", "/orders/{id}")
    heap.grow(5000)
    span.end()
    data = reader.get_metrics_data()
    assert data is not None
    (point,) = data.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points
    assert point.attributes == {"http.route": "/orders/{id}"}
    assert [each.trace_id for each in point.exemplars] == [span.get_span_context().trace_id]
    spans.shutdown()
    meters.shutdown()
