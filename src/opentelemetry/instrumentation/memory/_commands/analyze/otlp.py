"""OTLP JSON lines, as the collector's file exporter writes them: one request a line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.instrumentation.memory._commands.analyze.naming import (
    FIELDS,
    METRICS,
    SEGMENT_ATTRIBUTE,
    SEGMENT_METRIC,
)
from opentelemetry.instrumentation.memory._commands.analyze.problems import (
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
    from collections.abc import Iterator, Mapping

    from opentelemetry.instrumentation.memory.model import MemorySample

LONGEST_LINE_BYTES: Final = 64 * 2**20
_NANOSECONDS: Final = 1e9
_LONGEST_TIME: Final = len(str(2**64))
_SIGNALS: Final = ("resourceMetrics", "resourceLogs", "resourceSpans", "resourceProfiles")


class _MalformedLineError(Exception):
    def __init__(self, found: object, expected: str, path: str) -> None:
        super().__init__(path)
        self.found, self.expected, self.path = found, expected, path


class _Series:
    """The moments of one series that may still be incomplete."""

    def __init__(self) -> None:
        self.moments: dict[int, dict[str, int]] = {}
        self.judged_until = 0

    def complete(self, *, is_end: bool = False) -> Iterator[MemorySample | None]:
        """Yield all moments but the newest, to which the next line may add; at the end, all."""
        times = sorted(self.moments)
        for time in times if is_end else times[:-1]:
            self.judged_until = time
            yield sample_from_metrics(time / _NANOSECONDS, self.moments.pop(time))


class _Reader:
    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._series: dict[Labels, _Series] = {}
        # Which scope is believed about a metric of a series: the first that was seen to report it.
        self._scopes: dict[tuple[Labels, str], str] = {}

    def add_line(self, line: str) -> Iterator[tuple[Labels, MemorySample]]:
        """Yield what a line has completed."""
        # Judged as a whole or not at all: half a line would look like memory that came or went.
        touched = set()
        for labels, time, key, value in list(self._points(_request(line))):
            series = self._series.setdefault(labels, _Series())
            if time <= series.judged_until:
                self._problems.late += 1
                continue
            series.moments.setdefault(time, {})[key] = value
            touched.add(labels)
        for labels in sorted(touched):
            yield from self._complete(labels, is_end=False)

    def end(self) -> Iterator[tuple[Labels, MemorySample]]:
        """Yield the last sample of each series."""
        for labels in self._series:
            yield from self._complete(labels, is_end=True)

    def _complete(self, labels: Labels, *, is_end: bool) -> Iterator[tuple[Labels, MemorySample]]:
        for sample in self._series[labels].complete(is_end=is_end):
            if sample is None:
                self._problems.missing += 1
            else:
                yield labels, sample

    def _points(self, request: Any) -> Iterator[tuple[Labels, int, str, int]]:
        for resource_path, of_resource in _items(request, "resourceMetrics", ""):
            resource = _mapping(of_resource.get("resource", {}), f"{resource_path}.resource")
            attributes = _attributes(resource, f"{resource_path}.resource")
            for scope_path, of_scope in _items(of_resource, "scopeMetrics", resource_path):
                scope = _mapping(of_scope.get("scope", {}), f"{scope_path}.scope").get("name")
                for path, metric in _items(of_scope, "metrics", scope_path):
                    if metric.get("name") in METRICS:
                        yield from self._metric_points(attributes, str(scope), metric, path)

    def _metric_points(
        self, resource: Labels, scope: str, metric: Mapping[str, Any], path: str
    ) -> Iterator[tuple[Labels, int, str, int]]:
        name = str(metric["name"])
        kind = next((each for each in ("gauge", "sum") if each in metric), None)
        if kind is None:
            raise _MalformedLineError(sorted(metric), "a gauge or a sum", path)
        content = _mapping(metric[kind], f"{path}.{kind}")
        for point_path, point in _items(content, "dataPoints", f"{path}.{kind}"):
            attributes = dict(_attributes(point, point_path))
            key = FIELDS.get(name)
            if name == SEGMENT_METRIC:
                key = attributes.pop(SEGMENT_ATTRIBUTE, None)
                if key not in SEGMENTS:
                    raise _MalformedLineError(key, f"one of {', '.join(SEGMENTS)}", point_path)
            labels = tuple(sorted({**dict(resource), **attributes}.items()))
            if self._scopes.setdefault((labels, name), scope) != scope or point.get("flags"):
                continue  # flagged: a point without a value
            yield labels, _time(point, point_path), str(key), _value(point, point_path)


def read_otlp(lines: Iterator[str], problems: Problems) -> Iterator[tuple[Labels, MemorySample]]:
    """Yield the samples of all series, each series in the order of its time.

    A moment is what one resource reports with one timestamp, in as many lines as it takes.
    Lines that are malformed are put down as problems and left out; logs and spans are passed over.
    """
    reader = _Reader(problems)
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield from reader.add_line(line)
        except _MalformedLineError as error:
            problem = Problem(quoted(error.found), error.expected, number, error.path)
            problems.add(problem)
    yield from reader.end()


def _request(line: str) -> Any:
    expected = "one OTLP JSON request a line"
    try:
        request = json.loads(line.rstrip())
    except json.JSONDecodeError as error:
        found = error.doc[error.pos : error.pos + 20] or "the end of the line"
        raise _MalformedLineError(found, f"{expected} ({error.msg})", str(error.colno)) from error
    except (ValueError, RecursionError) as error:
        raise _MalformedLineError(line[:40], expected, "1") from error
    if not isinstance(request, dict) or not any(signal in request for signal in _SIGNALS):
        raise _MalformedLineError(line[:40], f"{expected}, with resourceMetrics", "1")
    return request


def _mapping(value: Any, path: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _MalformedLineError(value, "an object", path)
    return value


def _items(of: Mapping[str, Any], name: str, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    path = f"{path}.{name}".lstrip(".")
    found = of.get(name, [])
    if not isinstance(found, list):
        raise _MalformedLineError(found, "a list", path)
    for index, item in enumerate(found):
        yield f"{path}[{index}]", _mapping(item, f"{path}[{index}]")


def _attributes(of: Mapping[str, Any], path: str) -> Labels:
    labels = {}
    for item_path, item in _items(of, "attributes", path):
        value = _mapping(item.get("value", {}), f"{item_path}.value")
        scalar = next(iter(value.values()), "")
        if isinstance(scalar, (str, int, float)):  # no list or map tells processes apart
            labels[str(item.get("key"))] = str(scalar)
    return tuple(sorted(labels.items()))


def _time(point: Mapping[str, Any], path: str) -> int:
    found = point.get("timeUnixNano")
    digits = str(found) if isinstance(found, (int, str)) else ""
    time = int(digits) if digits.isdecimal() and len(digits) <= _LONGEST_TIME else 0
    if time == 0:
        raise _MalformedLineError(found, "nanoseconds since 1970", f"{path}.timeUnixNano")
    return time


def _value(point: Mapping[str, Any], path: str) -> int:
    found = point.get("asInt", point.get("asDouble"))
    size = whole_bytes(found)
    if size is None:
        raise _MalformedLineError(found, "bytes, 0 or more, in asInt or asDouble", path)
    return size
