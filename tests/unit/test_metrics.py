from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.metrics import NoOpMeterProvider, Observation
from opentelemetry.sdk.metrics import Meter, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.metrics.view import DropAggregation, View
from opentelemetry.semconv._incubating.metrics import cpython_metrics, process_metrics

from opentelemetry.instrumentation.memory._metrics import (
    INSTRUMENTS,
    SCHEMA_URL,
    SCOPE_NAME,
    reporter_for,
)
from opentelemetry.instrumentation.memory.evidence import RouteGrowth
from opentelemetry.instrumentation.memory.model import (
    GcGeneration,
    Growth,
    LeakVerdict,
    MemorySample,
    Partition,
)
from opentelemetry.instrumentation.memory.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable


Points = dict[str, dict[tuple[tuple[str, Any], ...], float]]

# The contract, row by row: instrument, unit, attribute.
TABLE = {
    "process.memory.usage": ("observable_up_down_counter", "By", None),
    "process.memory.virtual": ("observable_up_down_counter", "By", None),
    "process.memory.resident": ("observable_gauge", "By", "process.memory.segment"),
    "cpython.memory.heap.used": ("observable_gauge", "By", None),
    "cpython.memory.heap.committed": ("observable_gauge", "By", None),
    "cpython.memory.external": ("observable_gauge", "By", None),
    "process.memory.limit": ("observable_gauge", "By", None),
    "process.memory.limit.utilization": ("observable_gauge", "1", None),
    "process.memory.leak.risk": ("observable_gauge", "1", None),
    "process.memory.leak.growth": ("observable_gauge", "By/s", "process.memory.segment"),
    "process.memory.leak.time_to_exhaustion": ("observable_gauge", "s", None),
    "process.memory.route.growth": ("observable_gauge", "By", "http.route"),
    "process.memory.monitor.cpu.time": ("observable_counter", "s", None),
    "cpython.gc.collections": ("observable_counter", "{collection}", "cpython.gc.generation"),
    "cpython.gc.collected_objects": ("observable_counter", "{object}", "cpython.gc.generation"),
    "cpython.gc.uncollectable_objects": ("observable_counter", "{object}", "cpython.gc.generation"),
}

CONVENTIONS: list[Callable[[Meter], Any]] = [
    process_metrics.create_process_memory_usage,
    process_metrics.create_process_memory_virtual,
    cpython_metrics.create_cpython_gc_collections,
    cpython_metrics.create_cpython_gc_collected_objects,
    cpython_metrics.create_cpython_gc_uncollectable_objects,
]


def sample_of(resident_bytes: int = 210) -> MemorySample:
    return MemorySample(
        taken_at_seconds=1.0,
        pid=0,
        resident_bytes=resident_bytes,
        virtual_bytes=900,
        partition=Partition(10, 20, 30, 40, 50, resident_bytes - 150),
        heap_used_bytes=11,
        heap_committed_bytes=12,
        limit_bytes=420,
        gc_generations=(GcGeneration(3, 30, 0), GcGeneration(2, 20, 0), GcGeneration(1, 10, 1)),
    )


ACCUSED = LeakVerdict(
    state="confirmed",
    risk=0.93,
    segment="python_heap",
    growth=(Growth("python_heap", 1200.0), Growth("native_heap", 300.0)),
    time_to_exhaustion_seconds=1800.0,
    reason="python heap rises",
)


class StubSource:
    """Gives a sample for each collection, each larger than the one before."""

    def __init__(self, sample: MemorySample | None, verdict: LeakVerdict | None = ACCUSED) -> None:
        self.sample = sample
        self.verdict = verdict
        self.routes: tuple[RouteGrowth, ...] = (
            RouteGrowth("GET /cart", 1000, 1200.0, 1100.0, 1300.0),
        )
        self.collections = 0
        self.spent_seconds = 0.0

    def sample_for_collection(self) -> MemorySample | None:
        self.collections += 1
        if self.sample is not None:
            grown = (self.sample.resident_bytes or 0) + 4096
            self.sample = replace(sample_of(grown), limit_bytes=self.sample.limit_bytes)
        return self.sample

    def latest_verdict(self) -> LeakVerdict | None:
        return self.verdict

    def route_growth(self) -> tuple[RouteGrowth, ...]:
        return self.routes

    def cpu_seconds(self) -> float:
        return 1.5

    def thread_cpu(self) -> float:
        return 0.0

    def add_collection_cpu_seconds(self, seconds: float) -> None:
        self.spent_seconds += seconds


class FixedSource(StubSource):
    """Gives the same sample for ever."""

    def sample_for_collection(self) -> MemorySample | None:
        self.collections += 1
        return self.sample


def collect(reader: InMemoryMetricReader) -> Points:
    collected = reader.get_metrics_data()
    if collected is None:
        return {}
    return {
        metric.name: {
            tuple(sorted((point.attributes or {}).items())): point.value
            for point in metric.data.data_points
        }
        for resource in collected.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.data.data_points
    }


@pytest.fixture
def reader() -> InMemoryMetricReader:
    return InMemoryMetricReader()


@pytest.fixture
def provider(reader: InMemoryMetricReader) -> MeterProvider:
    return MeterProvider([reader], shutdown_on_exit=False)


@pytest.fixture(autouse=True)
def _every_sample_is_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getpid", lambda: 0)


def attached(
    provider: MeterProvider, source: StubSource, *, has_process_metrics: bool = True
) -> Any:
    reporter = reporter_for(provider)
    assert reporter is not None
    reporter.attach(source, has_process_metrics=has_process_metrics)
    return reporter


def test_table_is_the_contract() -> None:
    assert {each.name: (each.kind, each.unit) for each in INSTRUMENTS} == {
        name: (kind, unit) for name, (kind, unit, _) in TABLE.items()
    }


@pytest.mark.parametrize("create", CONVENTIONS)
def test_names_units_and_descriptions_are_those_of_the_semantic_conventions(
    create: Callable[[Meter], Any], provider: MeterProvider
) -> None:
    convention = create(provider.get_meter("conventions"))
    ours = next(each for each in INSTRUMENTS if each.name == convention.name)
    assert (ours.unit, ours.description) == (convention.unit, convention.description)
    assert (
        ours.kind.replace("observable_", "")
        == {
            "_Counter": "counter",
            "_UpDownCounter": "up_down_counter",
            "Counter": "counter",
            "UpDownCounter": "up_down_counter",
        }[type(convention).__name__]
    )


def test_each_row_becomes_the_right_kind_of_metric(
    provider: MeterProvider, reader: InMemoryMetricReader
) -> None:
    attached(provider, FixedSource(sample_of()))
    collected = reader.get_metrics_data()
    assert collected is not None
    (scope,) = collected.resource_metrics[0].scope_metrics
    assert (scope.scope.name, scope.scope.version) == (SCOPE_NAME, __version__)
    assert scope.schema_url == SCHEMA_URL
    kinds = {}
    for metric in scope.metrics:
        if hasattr(metric.data, "is_monotonic"):
            assert metric.data.aggregation_temporality is AggregationTemporality.CUMULATIVE
            kind = (
                "observable_counter" if metric.data.is_monotonic else "observable_up_down_counter"
            )
        else:
            kind = "observable_gauge"
        keys = {key for point in metric.data.data_points for key in point.attributes}
        assert len(keys) <= 1
        kinds[metric.name] = (kind, metric.unit, next(iter(keys), None))
    assert kinds == TABLE


def test_each_value_is_the_sample_s(provider: MeterProvider, reader: InMemoryMetricReader) -> None:
    attached(provider, FixedSource(sample_of()))
    points = collect(reader)
    segment, generation = "process.memory.segment", "cpython.gc.generation"
    assert points == {
        "process.memory.usage": {(): 210},
        "process.memory.virtual": {(): 900},
        "process.memory.resident": {
            ((segment, "python_heap"),): 10,
            ((segment, "native_heap"),): 20,
            ((segment, "retained"),): 30,
            ((segment, "other_anonymous"),): 40,
            ((segment, "file"),): 50,
            ((segment, "shared"),): 60,
        },
        "cpython.memory.heap.used": {(): 11},
        "cpython.memory.heap.committed": {(): 12},
        "cpython.memory.external": {(): 60},
        "process.memory.limit": {(): 420},
        "process.memory.limit.utilization": {(): 0.5},
        "process.memory.leak.risk": {(): 0.93},
        "process.memory.leak.growth": {
            ((segment, "python_heap"),): 1200.0,
            ((segment, "native_heap"),): 300.0,
        },
        "process.memory.leak.time_to_exhaustion": {(): 1800.0},
        "process.memory.route.growth": {(("http.route", "GET /cart"),): 1200.0},
        "process.memory.monitor.cpu.time": {(): 1.5},
        "cpython.gc.collections": {((generation, n),): 3 - n for n in range(3)},
        "cpython.gc.collected_objects": {((generation, n),): 30 - 10 * n for n in range(3)},
        "cpython.gc.uncollectable_objects": {((generation, n),): int(n == 2) for n in range(3)},
    }


def test_unknown_values_make_no_data_point(
    provider: MeterProvider, reader: InMemoryMetricReader
) -> None:
    source = FixedSource(MemorySample(taken_at_seconds=0.0, pid=0), verdict=None)
    source.routes = ()
    attached(provider, source)
    assert collect(reader) == {"process.memory.monitor.cpu.time": {(): 1.5}}


def test_quiet_verdict_reports_its_risk_and_neither_growth_nor_time_left(
    provider: MeterProvider, reader: InMemoryMetricReader
) -> None:
    attached(provider, FixedSource(sample_of(), LeakVerdict(state="quiet", risk=0.1)))
    leak = {name: value for name, value in collect(reader).items() if ".leak." in name}
    assert leak == {"process.memory.leak.risk": {(): 0.1}}


def test_segment_of_an_absent_source_makes_no_data_point(
    provider: MeterProvider, reader: InMemoryMetricReader
) -> None:
    split = Partition(native_heap_bytes=0, other_anonymous_bytes=7)
    attached(provider, FixedSource(MemorySample(0.0, 0, resident_bytes=7, partition=split)))
    assert collect(reader)["process.memory.resident"] == {
        (("process.memory.segment", "native_heap"),): 0,
        (("process.memory.segment", "other_anonymous"),): 7,
    }


def test_limit_and_utilization_go_when_the_limit_goes(
    provider: MeterProvider, reader: InMemoryMetricReader
) -> None:
    source = FixedSource(sample_of())
    attached(provider, source)
    assert "process.memory.limit" in collect(reader)
    source.sample = replace(sample_of(), limit_bytes=None)
    assert not {"process.memory.limit", "process.memory.limit.utilization"} & set(collect(reader))


def test_without_a_sample_nothing_is_reported(
    provider: MeterProvider, reader: InMemoryMetricReader
) -> None:
    attached(provider, FixedSource(None))
    assert collect(reader) == {}


def test_without_process_metrics_usage_and_virtual_are_left_to_others(
    provider: MeterProvider, reader: InMemoryMetricReader
) -> None:
    attached(provider, FixedSource(sample_of()), has_process_metrics=False)
    assert set(collect(reader)) == set(TABLE) - {"process.memory.usage", "process.memory.virtual"}


def assert_adds_up(points: Points) -> float:
    usage = points["process.memory.usage"][()]
    assert sum(points["process.memory.resident"].values()) == usage
    return usage


def test_one_collection_takes_one_sample_and_adds_up(
    provider: MeterProvider, reader: InMemoryMetricReader
) -> None:
    source = StubSource(sample_of())
    attached(provider, source)
    usages = [assert_adds_up(collect(reader)) for _ in range(3)]
    assert source.collections == 3
    assert usages == sorted(set(usages))


def test_two_readers_each_get_a_sample_of_their_own_that_adds_up() -> None:
    readers = [InMemoryMetricReader(), InMemoryMetricReader()]
    provider = MeterProvider(readers, shutdown_on_exit=False)
    source = StubSource(sample_of())
    attached(provider, source)
    for _ in range(3):
        first, second = (assert_adds_up(collect(reader)) for reader in readers)
        assert first < second
    assert source.collections == 6


def test_dropping_a_metric_by_a_view_does_not_mix_collections(
    reader: InMemoryMetricReader,
) -> None:
    views = [View(instrument_name="cpython.*", aggregation=DropAggregation())]
    provider = MeterProvider([reader], views=views, shutdown_on_exit=False)
    source = StubSource(sample_of())
    attached(provider, source)
    for expected in (1, 2, 3):
        assert_adds_up(collect(reader))
        assert source.collections == expected


def test_sample_of_another_process_is_not_reported_for_this_one(
    provider: MeterProvider, reader: InMemoryMetricReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    reporter = attached(provider, FixedSource(sample_of()))
    collect(reader)
    own = FixedSource(replace(sample_of(999), pid=7))
    reporter._source = own
    monkeypatch.setattr("os.getpid", lambda: 7)
    assert assert_adds_up(collect(reader)) == 999


def test_detached_reporter_goes_quiet_and_can_be_attached_again(
    provider: MeterProvider, reader: InMemoryMetricReader
) -> None:
    reporter = attached(provider, FixedSource(sample_of()))
    collect(reader)
    reporter.detach()
    assert collect(reader) == {}
    attached(provider, FixedSource(sample_of(500)))
    assert assert_adds_up(collect(reader)) == 500


def test_same_provider_is_registered_once(
    provider: MeterProvider, caplog: pytest.LogCaptureFixture
) -> None:
    assert reporter_for(provider) is reporter_for(provider)
    assert not caplog.records


def test_provider_that_reports_nothing_gets_no_reporter(monkeypatch: pytest.MonkeyPatch) -> None:
    assert reporter_for(NoOpMeterProvider()) is None
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert reporter_for(MeterProvider(shutdown_on_exit=False)) is None


def test_shut_down_provider_gets_no_reporter(provider: MeterProvider) -> None:
    provider.shutdown()
    assert reporter_for(provider) is None


def test_failing_source_is_logged_once_and_disturbs_nobody(
    provider: MeterProvider, reader: InMemoryMetricReader, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(FixedSource):
        def sample_for_collection(self) -> MemorySample | None:
            raise RuntimeError("broken")

    attached(provider, Failing(sample_of()))
    provider.get_meter("application").create_observable_gauge("app", callbacks=[lambda _: [_one()]])
    with caplog.at_level(logging.DEBUG):
        for _ in range(3):
            assert set(collect(reader)) == {"app"}
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def _one() -> Observation:
    return Observation(1)


def test_no_metric_carries_a_pid_or_a_path(
    provider: MeterProvider, reader: InMemoryMetricReader
) -> None:
    attached(provider, FixedSource(sample_of()))
    attributes = {key for series in collect(reader).values() for keys in series for key, _ in keys}
    assert attributes == {"process.memory.segment", "cpython.gc.generation", "http.route"}
