"""Answers of `query_range`, and the arguments that ask for them."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opentelemetry.instrumentation.memory._commands.analyze import server
from opentelemetry.instrumentation.memory._commands.analyze.naming import series_names
from opentelemetry.instrumentation.memory._commands.analyze.problems import InputError, Problems
from opentelemetry.instrumentation.memory._commands.analyze.prometheus import MatrixReader
from opentelemetry.instrumentation.memory.model import MemorySample, Partition


def answer(*series: tuple[dict[str, str], list[Any]]) -> str:
    result = [{"metric": labels, "values": values} for labels, values in series]
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}})


def read(*texts: str) -> tuple[dict[str, list[MemorySample]], list[str]]:
    problems = Problems()
    found: dict[Any, list[MemorySample]] = {}
    reader = MatrixReader(problems)
    for text in texts:
        for labels, sample in reader.read(text):
            found.setdefault(labels, []).append(sample)
    keys = list(found)
    named = dict(zip(series_names(keys), (found[key] for key in keys), strict=True))
    return named, problems.lines("f")


def of(name: str, **labels: str) -> dict[str, str]:
    return {"__name__": name, "job": "shop", **labels}


def test_metrics_of_one_process_are_one_series() -> None:
    by_name, said = read(
        answer(
            (of("process_memory_usage_bytes", instance="a"), [[1, "100"], [2, "110"]]),
            (of("cpython_memory_heap_used_bytes", instance="a"), [[1, "40"], [2, "45"]]),
            (of("cpython_memory_heap_committed_bytes", instance="a"), [[1, "50"], [2, "50"]]),
            (of("process_memory_limit_bytes", instance="a"), [[2, "1000"]]),
            (of("process_memory_usage_bytes", instance="b"), [[1, "7"]]),
            (of("up", instance="b"), [[1, "1"]]),
        )
    )
    assert by_name["shop/a"] == [
        MemorySample(1.0, 0, 100, None, Partition(40, None, 10, 50), 40, 50, None),
        MemorySample(2.0, 0, 110, None, Partition(45, None, 5, 60), 45, 50, 1000),
    ]
    assert [each.resident_bytes for each in by_name["shop/b"]] == [7]
    assert said == ["f: note: left out series that are not memory of a process: 1"]


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("process_memory_resident_bytes", "process_memory_segment"),
        ("process.memory.resident", "process.memory.segment"),
        ("", "process_memory_segment"),
    ],
)
def test_segments_become_a_partition_however_they_are_spelled(name: str, label: str) -> None:
    parts = {"python_heap": "5", "native_heap": "6", "other_anonymous": "7", "file": "8"}
    by_name, _ = read(
        answer(*(({**of(name), label: part}, [[1, size]]) for part, size in parts.items()))
    )
    ((sample,),) = by_name.values()
    assert sample.resident_bytes == 26
    assert sample.partition == Partition(5, 6, None, 7, 8)


def test_series_of_an_unknown_metric_are_taken_for_resident_sets() -> None:
    by_name, _ = read(
        answer(
            (of("container_memory_working_set_bytes", pod="x"), [[1.5, "7"]]),
            (of("container_memory_working_set_bytes", pod="y"), [[1.5, "8"], [2, "NaN"]]),
        )
    )
    assert {name: len(samples) for name, samples in by_name.items()} == {
        'shop{pod="x"}': 1,
        'shop{pod="y"}': 1,
    }


def test_pages_follow_on_each_other() -> None:
    usage = of("process_memory_usage_bytes")
    by_name, said = read(
        answer((usage, [[1, "1"], [2, "2"]])), answer(), answer((usage, [[2, "2"], [3, "3"]]))
    )
    ((samples),) = by_name.values()
    assert [each.taken_at_seconds for each in samples] == [1, 2, 3]
    assert said == ["f: note: left out values that came after newer ones of the same series: 1"]


@pytest.mark.parametrize("point", [3, [1], ["1", "2"], [1, 2], [1, "x"], [1, "-1"], [True, "1"]])
def test_a_malformed_point_is_named_and_the_others_are_read(point: Any) -> None:
    usage = of("process_memory_usage_bytes")
    by_name, said = read(answer((usage, [[1, "1"], point, [2, "2"]])))
    ((samples),) = by_name.values()
    assert [each.taken_at_seconds for each in samples] == [1, 2]
    (text,) = said
    assert text.startswith(
        f"f: column data.result[0].values[1]: found {point!r}, expected a moment"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"data":\n x}', "f:2: column 2: found 'x}', expected JSON"),
        ('{"status": "error", "errorType": "bad_data", "error": "no"}', "error 'bad_data: no'"),
        ('{"data": {"resultType": "vector", "result": []}}', "found a 'vector', expected a matrix"),
        ('{"data": {"result": 3}}', "an answer of /api/v1/query_range"),
        ('{"data": {"result": [{"metric": {}}]}}', "an answer of /api/v1/query_range"),
        ("[" * 100_000, "an answer of /api/v1/query_range"),
        ("3", "an answer of /api/v1/query_range"),
    ],
)  # fmt: skip
def test_what_is_no_matrix_is_refused(text: str, expected: str) -> None:
    with pytest.raises(InputError) as refused:
        read(text)
    assert expected in refused.value.problem.text("f")


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=4),
    st.sampled_from(["matrix", "process_memory_usage_bytes", "NaN", "12", "python_heap"]),
)  # fmt: skip
KEYS = st.sampled_from(
    ["status", "data", "resultType", "result", "metric", "values", "__name__", "error",
     "process_memory_segment"]
)  # fmt: skip
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4)
)
SERIES = st.tuples(
    st.dictionaries(KEYS, st.sampled_from(["process_memory_usage_bytes", "file", ""])),
    st.lists(st.tuples(st.floats() | st.integers(), st.sampled_from(["1", "2", "NaN"])) | ANYTHING),
)


@given(st.lists(st.lists(SERIES, max_size=3).map(lambda all_: answer(*all_)), max_size=3))
def test_whatever_the_points_are_nothing_is_raised_and_each_series_ascends(
    texts: list[str],
) -> None:
    by_name, _ = read(*texts)
    for samples in by_name.values():
        times = [each.taken_at_seconds for each in samples]
        assert times == sorted(set(times))


@given(ANYTHING.map(json.dumps) | st.text())
def test_whatever_an_answer_is_only_the_documented_error_is_raised(text: str) -> None:
    with contextlib.suppress(InputError):
        read(text)


@pytest.mark.parametrize(
    ("text", "expected"), [("15", 15), ("90s", 90), ("1.5h", 5400), ("2d", 172800), ("500ms", 0.5)]
)
def test_durations(text: str, expected: float) -> None:
    assert server.seconds(text) == expected
    if not text.isdecimal():
        assert server.Start(text).before(1_000_000) == 1_000_000 - expected


@pytest.mark.parametrize("text", ["0s", "-5m", "", "5y", "h"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a duration such as"):
        server.seconds(text)


def test_moments() -> None:
    assert server.moment("1700000000.5") == 1700000000.5
    assert server.moment("2023-11-14T22:13:20Z") == 1700000000
    assert server.moment("2023-11-14T22:13:20") == 1700000000
    assert server.Start("2023-11-14T22:13:20Z").before(0) == 1700000000
    with pytest.raises(ValueError, match="expected seconds since 1970 or a time such as"):
        server.moment("yesterday")


def test_a_password_is_never_shown() -> None:
    assert server.without_password("https://me:s3cret@host/p") == "https://host/p"
