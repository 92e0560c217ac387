"""Spans become counts by route; sampled ones stand for more; idle counts nothing."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased, TraceIdRatioBased
from opentelemetry.trace import (
    NonRecordingSpan,
    ProxyTracerProvider,
    SpanContext,
    SpanKind,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from opentelemetry.instrumentation.memory._attribution.inquiry import Case
from opentelemetry.instrumentation.memory._attribution.requests import REQUESTS, Tally
from opentelemetry.instrumentation.memory._attribution.route_counter import RouteCounter
from opentelemetry.instrumentation.memory._attribution.route_inquiry import (
    RouteInquiry,
    growth_by_route,
)
from opentelemetry.instrumentation.memory._attribution.route_names import (
    MOST_NAMES,
    OTHER,
    route_name,
)
from opentelemetry.instrumentation.memory._attribution.route_record import (
    MOST_INTERVALS,
    Finished,
    RouteRecord,
)
from opentelemetry.instrumentation.memory._attribution.routes import (
    SpanCounter,
    _probability_of,
    sampling_probability,
)
from opentelemetry.instrumentation.memory._sampling.clock import SystemClock
from opentelemetry.instrumentation.memory.middleware import MemoryWsgiMiddleware
from opentelemetry.instrumentation.memory.model import MemorySample, Partition
from opentelemetry.instrumentation.memory.track import track

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def provider() -> Iterator[TracerProvider]:
    provider = TracerProvider(sampler=ALWAYS_ON)
    yield provider
    provider.shutdown()


@pytest.fixture
def counter(provider: TracerProvider) -> Iterator[RouteCounter]:
    REQUESTS.has_middleware = False
    counter = RouteCounter(SystemClock())
    counter.attach(provider)
    yield counter
    counter.detach()


def serve(provider: TracerProvider, route: str | None, **attributes: Any) -> None:
    span = provider.get_tracer("test").start_span("request", kind=SpanKind.SERVER)
    if route is not None:
        span.set_attribute("http.route", route)
    span.set_attributes({name.replace("_", "."): value for name, value in attributes.items()})
    span.end()


def run_once(route: str) -> None:
    next(REQUESTS.begun.ticks)
    REQUESTS.finished.add((None, route, 1.0))


def counted() -> dict[str, int]:
    return REQUESTS.finished.take()[0]


def sample(seconds: float, live_bytes: int, *, age: float = 0.0, pid: int = 1) -> MemorySample:
    return MemorySample(
        seconds,
        pid,
        partition=Partition(live_bytes, 0, 0, 77),
        python_heap_age_seconds=age,
        native_heap_age_seconds=0.0,
    )


def marked(counter: RouteCounter, seconds: float, live_bytes: int) -> MemorySample:
    """Return a sample read as the sampler reads it."""
    tell, read = counter.mark(), sample(seconds, live_bytes)
    assert tell is not None
    tell(read)
    return read


def test_server_spans_are_counted_by_method_and_route(
    provider: TracerProvider, counter: RouteCounter
) -> None:
    counter.start()
    for _ in range(3):
        serve(provider, "/users/{id}", http_method="GET")
    serve(provider, "/users/{id}", http_method="POST")
    serve(provider, "/users/{id}", http_method="BREW")
    assert counted() == {
        "GET /users/{id}": 3,
        "POST /users/{id}": 1,
        "_OTHER /users/{id}": 1,
    }


def test_nothing_is_counted_before_start_nor_after_stop(
    provider: TracerProvider, counter: RouteCounter
) -> None:
    serve(provider, "/a")
    counter.start()
    counter.stop()
    serve(provider, "/a")
    assert counted() == {}


def test_a_span_within_a_server_span_is_the_same_request(
    provider: TracerProvider, counter: RouteCounter
) -> None:
    counter.start()
    tracer = provider.get_tracer("test")
    outer = tracer.start_span("outer", kind=SpanKind.SERVER, attributes={"http.route": "/a"})
    inner = tracer.start_span("in", kind=SpanKind.SERVER, context=set_span_in_context(outer))
    inner.end()
    outer.end()
    assert counted() == {"/a": 1}


def test_other_kinds_of_spans_are_no_requests(
    provider: TracerProvider, counter: RouteCounter
) -> None:
    counter.start()
    for kind in (SpanKind.CLIENT, SpanKind.INTERNAL, SpanKind.PRODUCER):
        provider.get_tracer("test").start_span("x", kind=kind).end()
    assert counted() == {}


def test_a_consumer_span_is_counted_by_its_task(
    provider: TracerProvider, counter: RouteCounter
) -> None:
    counter.start()
    span = provider.get_tracer("test").start_span("run", kind=SpanKind.CONSUMER)
    span.set_attribute("celery.task_name", "shop.tasks.export")
    span.end()
    assert counted() == {"shop.tasks.export": 1}


@pytest.mark.parametrize("name", ["messaging.destination.name", "messaging.destination"])
def test_the_name_of_a_reply_queue_is_not_told(
    provider: TracerProvider, counter: RouteCounter, name: str
) -> None:
    counter.start()
    span = provider.get_tracer("test").start_span("run", kind=SpanKind.CONSUMER)
    span.set_attribute(name, "reply.alice.smith")
    span.end()
    assert counted() == {"_other": 1}


def test_a_request_without_a_route_is_one_of_the_others(
    provider: TracerProvider, counter: RouteCounter
) -> None:
    counter.start()
    serve(provider, None, http_method="GET", url_path="/wp-admin/secret")
    assert counted() == {OTHER: 1}


def test_after_detach_the_provider_is_as_before(
    provider: TracerProvider, counter: RouteCounter
) -> None:
    before = provider._active_span_processor._span_processors
    counter.start()
    assert provider._active_span_processor._span_processors != before
    counter.detach()
    assert provider._active_span_processor._span_processors == before


def test_an_sdk_that_does_not_let_go_is_no_error() -> None:
    class Provider:
        def add_span_processor(self, _: object) -> None: ...

    spans = SpanCounter()
    assert spans.attach(Provider())
    spans.detach()


def test_a_provider_without_processors_gives_nothing() -> None:
    assert not SpanCounter().attach(ProxyTracerProvider())


@pytest.mark.parametrize(
    ("sampler", "probability"),
    [
        (ALWAYS_ON, 1.0),
        (TraceIdRatioBased(0.1), 0.1),
        (ParentBased(TraceIdRatioBased(0.25)), 0.25),
        (None, 1.0),
    ],
)
def test_the_sampler_tells_the_probability(sampler: Any, probability: float) -> None:
    assert sampling_probability(sampler) == probability


@pytest.mark.parametrize(
    ("state", "probability"),
    [
        ("th:0", 1.0),
        ("th:8", 0.5),
        ("rv:1;th:c", 0.25),
        ("th:aaaaaaaaaaaaab", 0.33),
        ("th:fff", 0.00024),
        ("th:ffffffffffffff", None),
        ("th:zz", None),
        ("th:-1", None),
        ("th:+8", None),
        ("th:1_0", None),
        ("th: 8", None),
        ("th:", None),
        ("th:000000000000000", None),
        ("rv:1", None),
    ],
)
def test_the_trace_state_tells_the_probability(state: str, probability: float | None) -> None:
    assert _probability_of(state) == probability


def test_a_sampled_span_stands_for_several() -> None:
    tally = Tally()
    for _ in range(3):
        tally.add(("GET", "/a", 0.25))
    assert tally.take() == ({"GET /a": 3}, 12.0)


def test_a_tally_counts_between_takes() -> None:
    tally = Tally()
    tally.add((None, "a", 1.0))
    tally.take()
    assert tally.take()[0] == {}
    tally.add((None, "a", 1.0))
    assert tally.take()[0] == {"a": 1}


def test_names_are_bounded() -> None:
    tally = Tally()
    names = [f"{a}{b}" for a in "abcdefghijklmnop" for b in "qrstuvwxyz"]
    for name in names:
        tally.add((None, name, 1.0))
    taken, _ = tally.take()
    assert len(taken) <= MOST_NAMES + 1
    assert sum(taken.values()) == len(names)
    assert taken[OTHER] > 0


@pytest.mark.parametrize(
    ("route", "name"),
    [
        ("/users/{id}", "/users/{id}"),
        ("/users/<int:id>", "/users/<int:id>"),
        ("/v1/users", "/v1/users"),
        ("/users/42", "/users/{…}"),
        ("/users/8c1f2a9e-9d1b-4b7e-9f4e-0a1b2c3d4e5f/x", "/users/{…}/x"),
        ("/reset/eyJhbGciOiJIUzI1NiIsInR5cCI6", "/reset/{…}"),
        ("/mail/ann@example.org", "/mail/{…}"),
        ("/find?name=ann", "/find"),
        ("shop.tasks.export", "shop.tasks.export"),
        ("tenant-12", "tenant-{…}"),
    ],
)
def test_what_belongs_to_one_request_is_cut_from_a_name(route: str, name: str) -> None:
    assert route_name(None, route) == name


def test_only_a_known_method_is_put_before_a_route() -> None:
    assert route_name("GET", "/a") == "GET /a"
    assert route_name("ann@example.org", "/a") == "_OTHER /a"
    assert route_name("ANN", "/a") == "_OTHER /a"


def test_what_a_client_chooses_makes_few_keys(
    provider: TracerProvider, counter: RouteCounter
) -> None:
    counter.start()
    remote = set_span_in_context(
        NonRecordingSpan(
            SpanContext(
                1,
                1,
                is_remote=True,
                trace_flags=TraceFlags(1),
                trace_state=TraceState([("ot", "th:ffffffffffffff")]),
            )
        )
    )
    for index in range(50):
        span = provider.get_tracer("test").start_span("x", remote, kind=SpanKind.SERVER)
        span.set_attributes({"http.route": "/a", "http.method": f"X{index}"})
        span.end()
    assert len(REQUESTS.finished._by_key) == 1
    assert REQUESTS.finished.take() == ({"_OTHER /a": 50}, 50.0)


def test_what_was_counted_is_forgotten_at_the_end(
    provider: TracerProvider, counter: RouteCounter
) -> None:
    counter.start()
    serve(provider, "/a")
    with track("export"):
        pass
    counter.stop()
    assert not REQUESTS.finished._by_key
    assert not REQUESTS.tracked._by_key


def test_a_span_of_another_kind_of_sdk_is_no_error(counter: RouteCounter) -> None:
    counter.start()
    counter._spans.on_start(object())
    counter._spans.on_end(object())


def test_an_interval_has_growth_and_counts(counter: RouteCounter) -> None:
    counter.start()
    counter.observe(sample(0.0, 1000))
    run_once("/a")
    counter.observe(sample(0.5, 1500))
    record, _ = counter.records()
    assert list(record.growth) == [500]
    assert list(record.columns["/a"]) == [1]


def test_figures_that_are_reused_make_no_interval(counter: RouteCounter) -> None:
    counter.start()
    counter.observe(sample(0.0, 1000))
    counter.observe(sample(0.5, 1000, age=0.5))
    assert len(counter.records()[0].growth) == 0


def test_another_segment_has_other_bytes(counter: RouteCounter) -> None:
    counter.start("other_anonymous")
    counter.observe(sample(0.0, 1000))
    counter.observe(sample(0.5, 5000))
    assert list(counter.records()[0].growth) == [0]


def test_a_forked_child_begins_empty(counter: RouteCounter) -> None:
    counter.start()
    counter.observe(sample(0.0, 1000))
    counter.observe(sample(0.5, 1500))
    counter.observe(sample(1.0, 9000, pid=2))
    assert len(counter.records()[0].growth) == 0


def test_a_full_record_keeps_what_it_saw_in_half_the_intervals(counter: RouteCounter) -> None:
    counter.start()
    for index in range(MOST_INTERVALS + 1):
        counter.observe(sample(index / 2, 10 * index))
    record, _ = counter.records()
    assert len(record.growth) == MOST_INTERVALS // 2
    assert sum(record.growth) == 10 * MOST_INTERVALS
    assert record.watched_seconds() == MOST_INTERVALS / 2


def test_a_name_that_comes_late_was_at_zero_before() -> None:
    record = RouteRecord()
    record.append(1.0, 0.0, Finished())
    record.append(1.0, 0.0, Finished(Counter({"/a": 2}), 2.0, begun=2))
    assert list(record.columns["/a"]) == [0.0, 2.0]


def test_counts_are_those_of_the_moment_before_the_sample(counter: RouteCounter) -> None:
    counter.start()
    counter.observe(sample(0.0, 1000))
    run_once("/a")
    own = marked(counter, 0.5, 1500)
    run_once("/a")  # while the sample is read
    counter.observe(own)
    counter.observe(sample(1.0, 2000))
    assert list(counter.records()[0].columns["/a"]) == [1, 1]


def test_counts_until_a_later_sample_are_not_put_beside_an_earlier_one(
    counter: RouteCounter,
) -> None:
    counter.start()
    counter.observe(sample(0.0, 1000))
    run_once("/a")
    own = marked(counter, 0.5, 1500)
    run_once("/a")
    marked(counter, 0.6, 9000)  # by a metric reader
    counter.observe(own)
    assert list(counter.records()[0].columns["/a"]) == [1]
    run_once("/a")
    counter.observe(marked(counter, 1.0, 2000))
    assert list(counter.records()[0].columns["/a"]) == [1, 2]


def test_counts_of_a_sample_that_could_not_be_read_are_not_lost(counter: RouteCounter) -> None:
    counter.start()
    counter.observe(sample(0.0, 1000))
    run_once("/a")
    counter.mark()
    run_once("/a")
    counter.observe(marked(counter, 0.5, 1500))
    assert list(counter.records()[0].columns["/a"]) == [2]


def test_counts_while_nobody_observes_are_kept_in_bounded_space(counter: RouteCounter) -> None:
    counter.start()
    counter.observe(sample(0.0, 1000))
    for index in range(100):
        run_once("/a")
        last = marked(counter, 0.5 + index, 1500)
    assert len(counter._marks) < 20
    counter.observe(last)
    assert list(counter.records()[0].columns["/a"]) == [100]


def test_counts_do_not_change_while_they_are_put_beside_bytes(
    counter: RouteCounter, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = RouteRecord.append
    added: list[Counter[str]] = []

    def append_while_a_reader_marks(
        record: RouteRecord, seconds: float, growth: float, finished: Finished, era: int
    ) -> None:
        before = Counter(finished.counts)
        run_once("/new")
        reader = threading.Thread(target=counter.mark)
        reader.start()
        reader.join()
        added.append(finished.counts - before)
        append(record, seconds, growth, finished, era)

    monkeypatch.setattr(RouteRecord, "append", append_while_a_reader_marks)
    counter.start()
    counter.observe(sample(0.0, 1000))
    run_once("/a")
    counter.observe(sample(0.5, 1500))
    assert added == [Counter(), Counter()]


def test_what_has_ended_counts_nothing_again(
    provider: TracerProvider, counter: RouteCounter
) -> None:
    before = provider._active_span_processor._span_processors
    counter.detach()
    counter.attach(provider)
    counter.start()
    counter.attach(provider)
    counter.observe(sample(0.0, 1000))
    assert counter.mark() is None
    assert not REQUESTS.is_counting
    assert provider._active_span_processor._span_processors == before


def test_an_end_while_counting_starts_is_an_end(
    counter: RouteCounter, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = REQUESTS.start_counting

    def end_meanwhile() -> None:
        ending = threading.Thread(target=counter.detach)
        ending.start()
        ending.join()
        start()

    monkeypatch.setattr(REQUESTS, "start_counting", end_meanwhile)
    counter.start()
    assert not REQUESTS.is_counting
    assert not counter.is_watching


def test_two_threads_that_attach_add_one_processor(counter: RouteCounter) -> None:
    class Slow:
        def __init__(self) -> None:
            self.added: list[object] = []
            self.is_asked = threading.Event()

        @property
        def sampler(self) -> None:
            if self.is_asked.is_set():
                return
            self.is_asked.set()
            # The other one goes first, as far as it is let.
            other = threading.Thread(target=counter.attach, args=(self,))
            other.start()
            other.join()

        def add_span_processor(self, processor: object) -> None:
            self.added.append(processor)

    slow = Slow()
    counter.detach()
    counter = RouteCounter(SystemClock())
    counter.start()
    counter.attach(slow)
    assert len(slow.added) == 1
    counter.detach()


def test_a_request_is_in_flight_until_it_ends(
    provider: TracerProvider, counter: RouteCounter
) -> None:
    counter.start()
    counter.observe(sample(0.0, 1000))
    span = provider.get_tracer("test").start_span("request", kind=SpanKind.SERVER)
    counter.observe(sample(0.5, 2000))
    assert list(counter.records()[0].in_flight) == [1]
    counter.observe(sample(1.0, 2000))
    span.set_attribute("http.route", "/slow")
    span.end()
    counter.observe(sample(1.5, 1000))
    record, _ = counter.records()
    assert list(record.in_flight) == [1, 0, -1]
    assert list(record.carried["/slow"]) == [1, 0, -1]


def test_a_request_that_began_before_the_watch_only_ends_in_it(
    provider: TracerProvider, counter: RouteCounter
) -> None:
    counter.start()
    span = provider.get_tracer("test").start_span("request", kind=SpanKind.SERVER)
    counter.observe(sample(0.0, 1000))
    span.set_attribute("http.route", "/slow")
    span.end()
    counter.observe(sample(0.5, 1000))
    assert list(counter.records()[0].carried["/slow"]) == [-1]


def test_what_middleware_sees_in_flight_has_its_route(counter: RouteCounter) -> None:
    def application(_: Any, __: Any) -> list[bytes]:
        counter.observe(sample(0.5, 2000))
        return [b""]

    served = MemoryWsgiMiddleware(application, route=lambda _: "/slow")
    counter.start()
    counter.observe(sample(0.0, 1000))
    body: Any = served({"REQUEST_METHOD": "GET"}, lambda *_: None)
    body.close()
    counter.observe(sample(1.0, 1000))
    record, _ = counter.records()
    assert list(record.in_flight) == [1, -1]
    assert list(record.carried["GET /slow"]) == [1, -1]


def test_what_track_names_is_in_flight_while_it_runs(counter: RouteCounter) -> None:
    counter.start()
    counter.observe(sample(0.0, 1000))
    with track("export"):
        counter.observe(sample(0.5, 2000))
    counter.observe(sample(1.0, 1000))
    assert list(counter.records()[1].in_flight) == [1, -1]


def test_intervals_put_together_know_what_was_in_flight() -> None:
    record = RouteRecord(first_era=1)
    for era in range(1, 5):
        record.append(1.0, 0.0, Finished(Counter({"/a": 1}), 1.0, begun=1), era)
    half = record.halved()
    half.append(2.0, 0.0, Finished(Counter({"/a": 1}), 1.0, 0, [("/a", 3)]), 5)
    assert list(half.carried["/a"]) == [0, 1, -1]
    assert list(half.in_flight) == [0, 0, -1]


def finish(steps: Any) -> Any:
    def whole() -> Any:
        answers.append((yield from steps))

    answers: list[Any] = []
    list(whole())
    return answers[0]


def test_routes_that_always_go_together_are_told_together() -> None:
    record = RouteRecord()
    for index in range(200):
        number = index * 7919 % 11
        other = index * 104729 % 13
        counts = Counter({"/cart": number, "/prices": 2 * number, "/home": other})
        finished = Finished(counts, counts.total(), counts.total())
        record.append(0.5, 30_000.0 * number, finished)
    (found,) = finish(growth_by_route(record))
    assert set(found.route.split(" + ")) == {"/cart", "/prices"}
    assert found.bytes_per_request == pytest.approx(10_000, rel=0.05)


def test_an_interval_in_which_another_inquiry_held_memory_hides_no_leak() -> None:
    record = RouteRecord()
    for index in range(200):
        cart, home = index * 7919 % 11, index * 104729 % 13
        counts = Counter({"/cart": cart, "/home": home})
        growth, seconds = 10_000.0 * cart + 500 * (index * 31 % 7), 0.5
        if index == 100:
            counts, growth, seconds = Counter({"/cart": 300, "/home": 400}), -20e6, 38.0
        record.append(seconds, growth, Finished(counts, counts.total(), counts.total()))
    (found,) = finish(growth_by_route(record))
    assert found.route == "/cart"
    assert found.bytes_per_request == pytest.approx(10_000, rel=0.05)


def looks(
    counter: RouteCounter, columns: Any, most_looks: int, meanwhile: Any = None
) -> tuple[Any, int]:
    """Gather while samples come in, one each half second, that grow as `columns` says.

    What the inquiry tells meanwhile is noted with the number of the look.
    """
    counter.start()
    inquiry = RouteInquiry(counter)
    steps = inquiry.gather(Case("python_heap", 1000.0, sample(0.0, 0)))
    level, index, waits = 0, 0, 0
    counter.observe(sample(0.0, 0))
    while True:
        try:
            waited = next(steps)
        except StopIteration as end:
            return end.value, waits
        if waited:
            if meanwhile is not None:
                meanwhile.append(inquiry.interim)
            waits += 1
            assert waits < most_looks, "the inquiry should have ended by now"
            for _ in range(40):
                index += 1
                level += columns(index)
                counter.observe(sample(index / 2, level))


def test_an_inquiry_that_finds_nothing_ends_after_three_minutes(counter: RouteCounter) -> None:
    def alike(_: int) -> int:
        run_once("/a")
        return 1000

    findings, waits = looks(counter, alike, 15)
    assert findings.routes == ()
    assert waits == 9


def test_a_route_that_two_looks_have_found_is_told_before_the_end(counter: RouteCounter) -> None:
    def noisy(index: int) -> int:
        number = index * 7919 % 11
        for _ in range(number):
            run_once("/cart")
        for _ in range(index * 104729 % 13):
            run_once("/home")
        # As much again that no request explains, so that the looks go on.
        return 10_000 * number + index * 6151 % 97 * 1_500

    told: list[Any] = []
    findings, waits = looks(counter, noisy, 15, told)
    first = next(look for look, each in enumerate(told) if each is not None)
    assert 2 <= first < waits - 1
    assert [each.route for each in told[first].routes] == ["/cart"]
    # One object for one piece of news.
    assert told[first] is told[-1]
    assert [each.route for each in findings.routes] == ["/cart"]


def test_routes_that_go_together_are_evidence_and_no_series(counter: RouteCounter) -> None:
    def together(index: int) -> int:
        number = index * 7919 % 11
        for _ in range(number):
            run_once("/cart")
            run_once("/prices")
        return 30_000 * number

    findings, _ = looks(counter, together, 15)
    assert len(findings.routes) == 1
    assert counter.growth() == ()


def test_an_inquiry_without_requests_says_why_it_found_nothing(counter: RouteCounter) -> None:
    case = Case("python_heap", 1000.0, sample(0.0, 0))
    findings = finish(RouteInquiry(counter).gather(case))
    assert findings.routes == ()
    assert "no request or task" in findings.skipped[0].why
