"""OTLP JSON lines, well formed and not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opentelemetry.instrumentation.memory._commands.analyze.naming import METRICS, series_names
from opentelemetry.instrumentation.memory._commands.analyze.otlp import read_otlp
from opentelemetry.instrumentation.memory._commands.analyze.problems import Problems
from opentelemetry.instrumentation.memory.model import SEGMENTS, MemorySample, Partition

Read = tuple[dict[str, list[MemorySample]], list[str]]
SECOND = 10**9


def read(*lines: str) -> Read:
    """Return the samples by series name, and what was wrong."""
    problems = Problems()
    found: dict[Any, list[MemorySample]] = {}
    for labels, sample in read_otlp(iter(lines), problems):
        found.setdefault(labels, []).append(sample)
    keys = list(found)
    named = dict(zip(series_names(keys), (found[key] for key in keys), strict=True))
    return named, problems.lines("f")


def metric(name: str, *points: tuple[int, float, str | None], kind: str = "gauge") -> Any:
    """Return a metric with points of (seconds, bytes, segment)."""
    return {
        "name": name,
        kind: {
            "dataPoints": [
                {
                    "timeUnixNano": str(time * SECOND),
                    "asInt": str(value),
                    **({"attributes": strings({"process.memory.segment": of})} if of else {}),
                }
                for time, value, of in points
            ]
        },
    }


def strings(attributes: dict[str, str]) -> list[Any]:
    return [{"key": key, "value": {"stringValue": value}} for key, value in attributes.items()]


def line(*metrics: Any, scope: str = "ours", **resource: str) -> str:
    attributes = strings({key.replace("_", "."): value for key, value in resource.items()})
    scopes = [{"scope": {"name": scope}, "metrics": metrics}]
    of_resource = {"resource": {"attributes": attributes}, "scopeMetrics": scopes}
    return json.dumps({"resourceMetrics": [of_resource]}) + "\n"


def test_segments_of_one_moment_are_one_sample() -> None:
    segments = [
        (1, value, name) for value, name in zip((40, 20, 10, 5, 4, 3), SEGMENTS, strict=True)
    ]
    by_name, said = read(
        line(
            metric("process.memory.usage", (1, 82, None), kind="sum"),
            metric("process.memory.resident", *segments),
            metric("cpython.memory.heap.used", (1, 40, None)),
            metric("cpython.memory.heap.committed", (1, 50, None)),
            metric("process.memory.limit", (1, 1000, None)),
            metric("something.else", (1, 7, None)),
        )
    )
    (samples,) = by_name.values()
    assert said == []
    assert samples == [
        MemorySample(
            taken_at_seconds=1.0,
            pid=0,
            resident_bytes=82,
            partition=Partition(40, 20, 10, 5, 4, 3),
            heap_used_bytes=40,
            heap_committed_bytes=50,
            limit_bytes=1000,
        )
    ]


def test_each_process_is_a_series_of_its_own() -> None:
    usage = metric("process.memory.usage", (1, 7, None))
    by_name, _ = read(
        line(usage, service_name="shop", service_instance_id="a"),
        line(usage, service_name="shop", service_instance_id="b"),
        line(usage, process_executable_name="nginx", process_pid="12"),
    )
    assert set(by_name) == {"shop/a", "shop/b", "nginx/12"}


def test_a_name_that_two_processes_share_is_told_apart_by_what_differs() -> None:
    usage = metric("process.memory.usage", (1, 7, None))
    by_name, _ = read(
        line(usage, service_name="shop", service_instance_id="a", host_id="1", zone="x"),
        line(usage, service_name="shop", service_instance_id="a", host_id="2", zone="x"),
    )
    assert set(by_name) == {'shop/a{host.id="1"}', 'shop/a{host.id="2"}'}


def test_a_moment_may_be_spread_over_lines_and_one_line_may_hold_many() -> None:
    by_name, said = read(
        line(metric("process.memory.usage", (1, 10, None), (2, 20, None))),
        line(metric("process.memory.limit", (2, 99, None), (3, 99, None))),
        line(metric("process.memory.usage", (3, 30, None))),
    )
    (samples,) = by_name.values()
    assert [(each.taken_at_seconds, each.resident_bytes, each.limit_bytes) for each in samples] == [
        (1, 10, None), (2, 20, 99), (3, 30, 99),
    ]  # fmt: skip
    assert said == []


def test_what_comes_after_newer_values_is_left_out_and_said() -> None:
    usage = "process.memory.usage"
    by_name, said = read(
        *(line(metric(usage, (time, 10 * time, None))) for time in (1, 2, 3, 1, 4))
    )
    (samples,) = by_name.values()
    assert [each.taken_at_seconds for each in samples] == [1, 2, 3, 4]
    assert said == ["f: note: left out values that came after newer ones of the same series: 1"]


def test_a_process_that_two_instrumentations_report_is_one_series() -> None:
    by_name, _ = read(
        line(metric("process.memory.resident", (1, 60, "other_anonymous"), (1, 9, "file"))),
        line(metric("process.memory.usage", (1, 5000, None)), scope="parent's"),
    )
    (samples,) = by_name.values()
    assert [each.resident_bytes for each in samples] == [69]


def test_logs_spans_empty_lines_and_flagged_points_are_passed_over() -> None:
    flagged = metric("process.memory.usage", (1, 7, None))
    flagged["gauge"]["dataPoints"][0].update(flags=1)
    assert read('{"resourceLogs": []}', '{"resourceSpans": [1]}', "\n", line(flagged)) == ({}, [])


GOOD = line(metric("process.memory.usage", (1, 7, None)))


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        ("x", "column 1: found 'x', expected one OTLP JSON request a line"),
        (GOOD[:50], "column "),
        ("[" * 100_000, "column 1: found '[[["),
        ("[]", "column 1: found '[]', expected one OTLP JSON request a line, with"),
        ('{"resourceMetrics": 3}', "column resourceMetrics: found 3, expected a list"),
        ('{"resourceMetrics": [3]}', "column resourceMetrics[0]: found 3, expected an object"),
        (GOOD.replace('"7"', '"x"'), "column resourceMetrics[0].scopeMetrics[0].metrics[0]"),
        (GOOD.replace('"7"', '"-7"'), "column resourceMetrics[0].scopeMetrics[0].metrics[0]"),
        (GOOD.replace(f'"{SECOND}"', "0"), "column resourceMetrics[0].scopeMetrics[0].metrics[0]."),
        (GOOD.replace(f'"{SECOND}"', f'"{"9" * 5000}"'), "column resourceMetrics[0]."),
        (GOOD.replace("gauge", "histogram"), "column resourceMetrics[0]."),
        (line(metric("process.memory.resident", (1, 1, "heap"))), "column resourceMetrics[0]."),
    ],
)  # fmt: skip
def test_a_malformed_line_is_named_and_the_others_are_read(bad: str, expected: str) -> None:
    by_name, said = read(GOOD, bad, line(metric("process.memory.usage", (2, 8, None))))
    (samples,) = by_name.values()
    assert [each.resident_bytes for each in samples] == [7, 8]
    assert len(said) == 1
    assert said[0].startswith(f"f:2: {expected}")
    assert len(said[0]) < 400


KEYS = st.sampled_from(
    [
        "resourceMetrics", "resource", "attributes", "scopeMetrics", "metrics", "name", "gauge",
        "sum", "dataPoints", "timeUnixNano", "asInt", "asDouble", "key", "value", "stringValue",
        "scope",
    ]
)  # fmt: skip
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5),
    st.sampled_from([*METRICS, *SEGMENTS, "1700000000000000000", "process.memory.segment"]),
)  # fmt: skip
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4)
)


@st.composite
def almost_requests(draw: st.DrawFn) -> str:
    """Draw a request of which one part is something else."""
    request = json.loads(
        line(metric("process.memory.resident", (1, 7, "file"), (1, 8, "other_anonymous")), a="b")
    )
    at: Any = request
    while isinstance(at, (dict, list)) and at:
        key = draw(st.sampled_from(sorted(at) if isinstance(at, dict) else range(len(at))))
        if draw(st.booleans()):
            at[key] = draw(ANYTHING)
            break
        at = at[key]
    return json.dumps(request)


@given(st.lists(st.one_of(almost_requests(), ANYTHING.map(json.dumps), st.text()), max_size=5))
def test_whatever_the_lines_are_nothing_is_raised_and_each_series_ascends(lines: list[str]) -> None:
    by_name, _ = read(*lines)
    for samples in by_name.values():
        times = [each.taken_at_seconds for each in samples]
        assert times == sorted(times)
        assert all((each.resident_bytes or 0) >= 0 for each in samples)
