"""Whatever arrives: what is right is taken, what is wrong is counted, nothing is raised."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.metrics.v1.metrics_pb2 import ResourceMetrics
from tests.unit.commands.watch.building import NOW, SECOND, Built, new_fleet, rejections

from opentelemetry.instrumentation.memory._commands.watch.intake import REASONS, Span, read
from opentelemetry.instrumentation.memory._commands.watch.vocabulary import BY_METRIC, UNITS

SPAN = Span(earliest=(NOW - 60) * SECOND, latest=(NOW + 60) * SECOND)


def taken(built: Built) -> tuple[list[int], dict[str, int]]:
    rejected: Counter[Any] = Counter()
    report = read(built.request.resource_metrics[0], SPAN, rejected)
    return [point.value for point in report.points], dict(rejected)


@pytest.mark.parametrize(
    ("seconds", "judged_at"), [(0, NOW * SECOND), (-61, 0), (61, 0), (-NOW, 0)]
)
def test_a_verdict_of_its_own_counts_as_of_its_time_if_that_can_be(
    seconds: int, judged_at: int
) -> None:
    built = Built().size(0.1, "process.memory.leak.risk", seconds=seconds, unit="1")
    report = read(built.request.resource_metrics[0], SPAN, Counter())
    assert report.judged_itself_at == judged_at


@pytest.mark.parametrize("unit", ["By", "", "byte", "bytes"])
def test_bytes_are_understood_as_each_language_writes_them(unit: str) -> None:
    assert taken(Built().size(7, unit=unit)) == ([7], {})


def test_larger_units_are_converted() -> None:
    assert taken(Built().size(1.5, unit="MiBy")) == ([3 * 2**19], {})


def test_a_unit_that_is_no_size_is_rejected() -> None:
    assert taken(Built().size(7, unit="ms")) == ([], {"unit": 1})


def test_a_counter_is_rejected() -> None:
    built = Built()
    metric = built.metric("process.memory.usage")
    metric.sum.is_monotonic = True
    metric.sum.data_points.add(as_int=1, time_unix_nano=NOW * SECOND)
    assert taken(built) == ([], {"counter": 1})


def test_an_up_down_counter_is_a_size() -> None:
    built = Built()
    metric = built.metric("process.memory.usage")
    metric.sum.aggregation_temporality = 2
    metric.sum.data_points.add(as_int=1, time_unix_nano=NOW * SECOND)
    assert taken(built) == ([1], {})


def test_differences_are_rejected() -> None:
    built = Built()
    metric = built.metric("jvm.buffer.memory.used")
    metric.sum.aggregation_temporality = 1
    metric.sum.data_points.add(as_int=1, time_unix_nano=NOW * SECOND)
    assert taken(built) == ([], {"delta": 1})


def test_a_histogram_under_a_known_name_is_rejected_point_by_point() -> None:
    built = Built()
    metric = built.metric("process.memory.usage")
    metric.histogram.data_points.add()
    metric.histogram.data_points.add()
    assert taken(built) == ([], {"wrong_type": 2})


def test_a_metric_of_an_unknown_name_is_passed_over() -> None:
    assert taken(Built().size(-1, "http.server.duration", unit="s")) == ([], {})


@pytest.mark.parametrize("value", [-1, math.nan, math.inf, -math.inf, 2**62, 1e300])
def test_what_is_no_size_of_memory_is_rejected(value: float) -> None:
    assert taken(Built().size(value)) == ([], {"value": 1})


@pytest.mark.parametrize("value", [-1, 2**63 - 1])
def test_a_limit_that_says_there_is_none_is_no_mistake(value: int) -> None:
    assert taken(Built().size(value, "go.memory.limit")) == ([], {})


@pytest.mark.parametrize(("seconds", "reason"), [(61, "future"), (-61, "too_old"), (-NOW, "time")])
def test_a_time_that_cannot_be_is_rejected(seconds: float, reason: str) -> None:
    assert taken(Built().size(7, seconds=seconds)) == ([], {reason: 1})


def test_an_unknown_segment_is_rejected() -> None:
    built = Built().size(7, "process.memory.resident", process_memory_segment="attic")
    assert taken(built) == ([], {"segment": 1})


def test_a_part_that_is_not_of_the_heap_is_passed_over() -> None:
    built = Built().size(7, "jvm.memory.used", jvm_memory_type="non_heap")
    assert taken(built) == ([], {})


def test_a_point_without_a_value_is_the_end_of_a_series_and_no_mistake() -> None:
    built = Built()
    built.metric("process.memory.usage").gauge.data_points.add(flags=1)
    assert taken(built) == ([], {})


def test_of_a_point_with_very_many_or_long_attributes_little_is_kept() -> None:
    labels = {f"x{number:05}": "y" * 1000 for number in range(1000)}
    built = Built().size(7, "v8js.memory.heap.used", **labels)
    (point,) = read(built.request.resource_metrics[0], SPAN, Counter()).points
    attributes = point.keys[0].attributes
    assert len(attributes) == 64
    assert max(len(text) for _, text in attributes) == 255


def test_a_resource_that_is_nobody_is_rejected() -> None:
    fleet = new_fleet()
    assert rejections(fleet, Built({"service.namespace": "x"}).size(7)) == {"no_identity": 1}


SCALARS = st.one_of(
    st.text(max_size=8), st.integers(-(2**63), 2**63 - 1), st.floats(), st.booleans()
)
NAMES = st.one_of(st.sampled_from(sorted(BY_METRIC)), st.text(max_size=8))


@st.composite
def resources(draw: st.DrawFn) -> tuple[ResourceMetrics, int]:
    """Return anything that protobuf allows, and how many points it has."""
    built, count = ResourceMetrics(), 0
    for _ in range(draw(st.integers(0, 3))):
        value = built.resource.attributes.add(
            key=draw(st.sampled_from(["service.name", "x"]))
        ).value
        scalar = draw(SCALARS)
        kind = {str: "string_value", int: "int_value", float: "double_value", bool: "bool_value"}
        setattr(value, kind[type(scalar)], scalar)
    scope = built.scope_metrics.add()
    for _ in range(draw(st.integers(0, 4))):
        unit = draw(st.one_of(st.sampled_from(sorted(UNITS)), st.text(max_size=3)))
        metric = scope.metrics.add(name=draw(NAMES), unit=unit)
        shape = draw(st.sampled_from(["gauge", "sum", "histogram", "summary", "none"]))
        if shape == "none":
            continue
        if shape == "sum":
            metric.sum.is_monotonic = draw(st.booleans())
            metric.sum.aggregation_temporality = draw(st.integers(0, 2))
        points = getattr(metric, shape).data_points
        for _ in range(draw(st.integers(0, 3))):
            point = points.add(
                time_unix_nano=draw(st.sampled_from([0, NOW * SECOND, 2**64 - 1])),
                start_time_unix_nano=draw(st.integers(0, 2**64 - 1)),
                flags=draw(st.integers(0, 1)),
            )
            count += metric.name in BY_METRIC
            if shape in {"gauge", "sum"}:
                if draw(st.booleans()):
                    point.as_int = draw(st.integers(-(2**63), 2**63 - 1))
                else:
                    point.as_double = draw(st.floats())
            for _ in range(draw(st.integers(0, 2))):
                key = draw(st.sampled_from(["process.memory.segment", "jvm.memory.type"]))
                point.attributes.add(key=key).value.string_value = draw(
                    st.sampled_from(["python_heap", "heap", "?"])
                )
    return built, count


@given(resources())
def test_every_point_is_taken_or_counted_at_most_once(given: tuple[ResourceMetrics, int]) -> None:
    resource, count = given
    rejected: Counter[Any] = Counter()
    report = read(resource, SPAN, rejected)
    assert len(report.points) + rejected.total() <= count
    assert rejected.keys() <= REASONS.keys()
    assert all(0 <= point.value < 2**62 for point in report.points)


@given(st.lists(resources(), max_size=5))
def test_a_fleet_takes_anything(given: list[tuple[ResourceMetrics, int]]) -> None:
    fleet = new_fleet()
    whole = Built().request
    whole.ClearField("resource_metrics")
    for resource, _ in given:
        whole.resource_metrics.append(resource)
    rejected = fleet.take(whole, NOW)
    fleet.settle(math.inf)
    assert rejected.total() <= sum(count for _, count in given)
