"""Answers of Prometheus' `query_range`: a matrix of series, each a list of (time, value)."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.instrumentation.memory._commands.analyze.naming import (
    FIELDS,
    SEGMENT_ATTRIBUTE,
    SEGMENT_METRIC,
)
from opentelemetry.instrumentation.memory._commands.analyze.problems import (
    InputError,
    Problem,
    Problems,
    quoted,
)
from opentelemetry.instrumentation.memory._commands.sample import (
    Labels,
    sample_from_metrics,
    whole_bytes,
)
from opentelemetry.instrumentation.memory.model import SEGMENTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.instrumentation.memory.model import MemorySample

# An answer is one JSON value, which has to be held whole.
LONGEST_ANSWER_BYTES: Final = 512 * 2**20
_EXPECTED: Final = 'an answer of /api/v1/query_range, {"status": "success", "data": {"result": …}}'
_NAME: Final = "__name__"


def _spellings(name: str) -> tuple[str, ...]:
    """Return a metric's names in Prometheus: translated, without the unit, not translated."""
    translated = name.replace(".", "_")
    return f"{translated}_bytes", translated, name


_FIELDS: Final = {
    **{spelling: field for name, field in FIELDS.items() for spelling in _spellings(name)},
    "process_resident_memory_bytes": "rss",  # of Prometheus' own client libraries
}
_SEGMENT_METRICS: Final = frozenset(_spellings(SEGMENT_METRIC))
_SEGMENT_LABELS: Final = (SEGMENT_ATTRIBUTE.replace(".", "_"), SEGMENT_ATTRIBUTE)


class MatrixReader:
    """Turns one answer after the other, in the order of their time, into samples.

    Series that differ only in metric and segment are of one process. When none of the metrics is
    known, each series is taken for the resident set size of something.
    """

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._has_known: bool | None = None
        self._ends: dict[Labels, float] = {}

    def read(self, text: str) -> Iterator[tuple[Labels, MemorySample]]:
        """Yield the samples of an answer, series by series.

        Raises:
            InputError: It is no answer of `query_range`.
        """
        matrix = _matrix(text)
        if self._has_known is None and matrix:
            self._has_known = any(_is_known(labels) for labels, _ in matrix)
        moments: dict[Labels, dict[float, dict[str, int]]] = {}
        for index, (labels, values) in enumerate(matrix):
            key, process = self._place(labels)
            if key is None:
                self._problems.foreign += 1
                continue
            of_process = moments.setdefault(process, {})
            for time, size in self._points(values, f"data.result[{index}].values"):
                of_process.setdefault(time, {})[key] = size
        for process, by_time in moments.items():
            yield from self._samples(process, by_time)

    def _samples(
        self, process: Labels, by_time: dict[float, dict[str, int]]
    ) -> Iterator[tuple[Labels, MemorySample]]:
        for time in sorted(by_time):
            sample = sample_from_metrics(time, by_time[time])
            if time <= self._ends.get(process, -math.inf):
                self._problems.late += 1
            elif sample is None:
                self._problems.missing += 1
            else:
                self._ends[process] = time
                yield process, sample

    def _place(self, labels: dict[str, str]) -> tuple[str | None, Labels]:
        """Return which figure a series is, and of which process."""
        rest = dict(labels)
        name = rest.pop(_NAME, "")
        if not self._has_known:
            return "rss", tuple(sorted(labels.items()))
        key = _FIELDS.get(name)
        if key is None and _is_known(labels):
            segments = [rest.pop(each) for each in _SEGMENT_LABELS if each in rest]
            key = segments[0] if segments[0] in SEGMENTS else None
        return key, tuple(sorted(rest.items()))

    def _points(self, values: Any, path: str) -> Iterator[tuple[float, int]]:
        if not isinstance(values, list):
            self._problems.add(Problem(quoted(values), "a list", column=path))
            return
        for index, point in enumerate(values):
            match point:
                case [int() | float() as time, str() as text] if _is_time(time):
                    size = whole_bytes(text)
                    if size is not None:
                        yield float(time), size
                        continue
                    if text in {"NaN", "+Inf", "-Inf"}:
                        continue  # unknown at that moment
            expected = 'a moment, [seconds, "bytes"]'
            self._problems.add(Problem(quoted(point), expected, column=f"{path}[{index}]"))


def _is_time(time: float) -> bool:
    return not isinstance(time, bool) and abs(time) < 2**62 and math.isfinite(time)


def _is_known(labels: dict[str, str]) -> bool:
    name = labels.get(_NAME, "")
    # Without a name it is an expression's result, such as a sum by segment.
    has_segment = any(each in labels for each in _SEGMENT_LABELS)
    return name in _FIELDS or (has_segment and (name in _SEGMENT_METRICS or not name))


def _matrix(text: str) -> list[tuple[dict[str, str], Any]]:
    try:
        answer = json.loads(text)
    except json.JSONDecodeError as error:
        found = text[error.pos : error.pos + 20].strip() or "the end"
        problem = Problem(quoted(found), f"JSON ({error.msg})", error.lineno, str(error.colno))
        raise InputError(problem) from error
    except (ValueError, RecursionError) as error:
        raise InputError(Problem(quoted(text[:40]), _EXPECTED)) from error
    if isinstance(answer, dict) and answer.get("status") == "error":
        said = f"{answer.get('errorType')}: {answer.get('error')}"
        raise InputError(Problem(f"the error {quoted(said)}", "an answer with data"))
    try:
        data = answer["data"]
        kind, result = data.get("resultType", "matrix"), data["result"]
        if kind == "matrix":
            return [(_labels(each["metric"]), each["values"]) for each in result]
    except (AttributeError, KeyError, TypeError) as error:
        raise InputError(Problem(quoted(text[:60]), _EXPECTED)) from error
    raise InputError(Problem(f"a {quoted(kind)}", f"a matrix: {_EXPECTED}"))


def _labels(metric: dict[str, str]) -> dict[str, str]:
    return {str(name): str(value) for name, value in metric.items()}
