"""From one OTLP request to the numbers that matter, and the count of those that are wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from opentelemetry.instrumentation.memory._commands.sample import LARGEST_BYTES
from opentelemetry.instrumentation.memory._commands.watch.identity import scalar_text
from opentelemetry.instrumentation.memory._commands.watch.vocabulary import (
    BY_METRIC,
    RISK_METRIC,
    SEGMENT_METRIC,
    UNITS,
    WATCH_SCOPE,
    Attributes,
    Key,
    Meaning,
)

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator, Sequence

    from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric, NumberDataPoint, ResourceMetrics

Reason = Literal[
    "wrong_type", "counter", "delta", "unit", "value", "segment", "time", "future", "too_old",
    "no_identity", "resource_size", "series_limit", "too_many_points", "out_of_order", "duplicate",
    "collision", "late",
]  # fmt: skip

REASONS: Final[dict[Reason, str]] = {
    "wrong_type": "neither a gauge nor a sum",
    "counter": "a counter (a monotonic sum) where a size is expected",
    "delta": "a sum of differences (delta temporality) where a size is expected",
    "unit": "a unit that is not one of bytes",
    "value": "not a number, negative, or larger than any memory",
    "segment": "a segment of `process.memory.resident` that does not exist",
    "time": "no timestamp",
    "future": "later than the clock here by more than `--max-future-seconds`",
    "too_old": "older than `--max-age-seconds`",
    "no_identity": "a resource that does not say which process it is",
    "resource_size": "a resource of more than 128 KiB",
    "series_limit": "a new process while `--max-series` are known already",
    "too_many_points": "more parts in one moment of one process than any runtime has",
    "out_of_order": "older than what was judged before",
    "duplicate": "the same number twice",
    "collision": "two numbers where one process has one: two processes look like one",
    "late": "the rest of a moment that was judged already",
}
"""Why a point is not taken, in the words of the documentation."""

_LIMITS: Final = ("limit", "heap_limit")
_DELTA: Final = 1
_NO_VALUE: Final = 1
_LONGEST_NAME: Final = 255
_MOST_ATTRIBUTES: Final = 64


class Point(NamedTuple):
    """One number that is right by itself; `keys` is what it says, at least one thing."""

    keys: tuple[Key, ...]
    time: int
    start: int
    value: int


@dataclass(frozen=True, slots=True)
class Span:
    """The time, in nanoseconds since 1970, that points may be of."""

    earliest: int
    latest: int


@dataclass(slots=True)
class Report:
    """What one resource says.

    Attributes:
        points: Its numbers.
        judged_itself_at: When the process judged itself last, in nanoseconds since 1970; 0: nothing
            here says that it did.
    """

    points: list[Point] = field(default_factory=list)
    judged_itself_at: int = 0


def read(resource_metrics: ResourceMetrics, span: Span, rejected: Counter[Reason]) -> Report:
    """Return what one resource says, and count what is wrong; never raises.

    Metrics that are not understood are none of our business: they are passed over, not rejected.
    """
    report = Report()
    for scope_metrics in resource_metrics.scope_metrics:
        scope = scope_metrics.scope.name[:_LONGEST_NAME]
        if scope == WATCH_SCOPE:
            continue  # a verdict from here or from another instance that was sent in a circle
        for metric in scope_metrics.metrics:
            if metric.name == RISK_METRIC:
                report.judged_itself_at = max(report.judged_itself_at, _newest(metric, span))
            meanings = BY_METRIC.get(metric.name)
            if meanings is not None:
                report.points.extend(_points(metric, meanings, scope, span, rejected))
    return report


def _newest(metric: Metric, span: Span) -> int:
    """Return the time of a metric's newest point, of those that have a number and are of now."""
    times = [
        point.time_unix_nano
        for point in _kind(metric)[0]
        if not point.flags & _NO_VALUE and _untimely(point.time_unix_nano, span) is None
    ]
    return max(times, default=0)


def _points(
    metric: Metric,
    meanings: Sequence[Meaning],
    scope: str,
    span: Span,
    rejected: Counter[Reason],
) -> Iterator[Point]:
    factor = UNITS.get(metric.unit)
    found, wrong = _kind(metric)
    if wrong is None and factor is None:
        wrong = "unit"
    if wrong is not None or factor is None:
        rejected[wrong or "unit"] += len(found)
        return
    for point in found:
        if point.flags & _NO_VALUE:
            continue  # says that the series has ended, and has no number
        attributes = _attributes(point)
        keys = _keys(meanings, scope, attributes)
        if not keys:
            if metric.name == SEGMENT_METRIC:
                rejected["segment"] += 1
            continue  # the part of a metric that is no memory of the heap
        value = _whole_bytes(point, factor)
        # Runtimes tell "no limit" as -1 or as the largest integer there is.
        if value is None and meanings[0].role in _LIMITS:
            continue
        wrong = "value" if value is None else _untimely(point.time_unix_nano, span)
        if wrong is not None or value is None:
            rejected[wrong or "value"] += 1
            continue
        yield Point(keys, point.time_unix_nano, point.start_time_unix_nano, value)


def _untimely(time: int, span: Span) -> Reason | None:
    if span.earliest <= time <= span.latest:
        return None
    if time == 0:
        return "time"
    return "future" if time > span.latest else "too_old"


def _keys(meanings: Sequence[Meaning], scope: str, attributes: Attributes) -> tuple[Key, ...]:
    fitting = [each for each in meanings if each.fits(attributes)]
    return tuple([_key(each, scope, attributes if each.is_summed else ()) for each in fitting])


@lru_cache(maxsize=4096)
def _key(meaning: Meaning, scope: str, attributes: Attributes) -> Key:
    """Return the same key for all processes that report the same metric."""
    return Key(meaning, scope, attributes)


def _kind(metric: Metric) -> tuple[Sequence[NumberDataPoint], Reason | None]:
    """Return a metric's points, and what is wrong with all of them."""
    kind = metric.WhichOneof("data")
    if kind == "gauge":
        return metric.gauge.data_points, None
    if kind == "sum":
        points = metric.sum.data_points
        if metric.sum.is_monotonic:
            return points, "counter"
        return points, "delta" if metric.sum.aggregation_temporality == _DELTA else None
    return () if kind is None else getattr(metric, kind).data_points, "wrong_type"


def _attributes(point: NumberDataPoint) -> Attributes:
    if not point.attributes:
        return ()
    pairs = [(each.key[:_LONGEST_NAME], scalar_text(each.value)) for each in point.attributes]
    return tuple(sorted((name, text[:_LONGEST_NAME]) for name, text in pairs)[:_MOST_ATTRIBUTES])


def _whole_bytes(point: NumberDataPoint, factor: int) -> int | None:
    kind = point.WhichOneof("value")
    if kind is None:
        return None
    value = point.as_int if kind == "as_int" else point.as_double
    if not math.isfinite(value) or not 0 <= value * factor < LARGEST_BYTES:
        return None
    return round(value * factor)
