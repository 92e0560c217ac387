"""Verdicts as OTLP requests, each attributed to the resource that it is about."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, get_args

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.logs.v1.logs_pb2 import SeverityNumber
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality

from opentelemetry.instrumentation.memory._commands.watch.intake import REASONS
from opentelemetry.instrumentation.memory._commands.watch.tally import REQUEST_OUTCOMES
from opentelemetry.instrumentation.memory._commands.watch.vocabulary import (
    RISK_METRIC,
    SEGMENT_ATTRIBUTE,
    WATCH_SCOPE,
)
from opentelemetry.instrumentation.memory._events import EVENT_NAME
from opentelemetry.instrumentation.memory.model import LeakState
from opentelemetry.instrumentation.memory.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
    from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric, NumberDataPoint, ScopeMetrics

    from opentelemetry.instrumentation.memory._commands.watch.fleet import Finding
    from opentelemetry.instrumentation.memory._commands.watch.tally import Tally

_GROWTH_METRIC: Final = "process.memory.leak.growth"
_EXHAUSTION_METRIC: Final = "process.memory.leak.time_to_exhaustion"
# A receiver takes 4 MiB a message unless told otherwise; a resource may be large itself.
_LARGEST_REQUEST_BYTES: Final = 2 * 2**20
_STATES: Final = (*get_args(LeakState), "judges_itself")
_SEVERITY: Final[Mapping[LeakState, SeverityNumber.ValueType]] = {
    "suspected": SeverityNumber.SEVERITY_NUMBER_WARN,
    "confirmed": SeverityNumber.SEVERITY_NUMBER_ERROR,
    "recovered": SeverityNumber.SEVERITY_NUMBER_INFO,
}


def metric_requests(findings: Sequence[Finding]) -> Iterator[ExportMetricsServiceRequest]:
    """Yield the verdicts as metrics, in requests of a size that receivers take."""
    request, size = ExportMetricsServiceRequest(), 0
    for finding in findings:
        if size >= _LARGEST_REQUEST_BYTES:
            yield request
            request, size = ExportMetricsServiceRequest(), 0
        size += _add_metrics(request, finding)
    if request.resource_metrics:
        yield request


def _add_metrics(request: ExportMetricsServiceRequest, finding: Finding) -> int:
    outcome = finding.outcome
    of_resource = request.resource_metrics.add(schema_url=finding.schema_url)
    of_resource.resource.ParseFromString(finding.resource)
    of_scope = of_resource.scope_metrics.add()
    _name_scope(of_scope.scope)
    _gauge(of_scope, RISK_METRIC, "1", outcome.time, outcome.verdict.risk)
    for growth in outcome.verdict.growth:
        point = _gauge(of_scope, _GROWTH_METRIC, "By/s", outcome.time, growth.bytes_per_second)
        segment = point.attributes.add(key=SEGMENT_ATTRIBUTE)
        segment.value.string_value = outcome.moment.wording.name(growth.segment)
    seconds = outcome.moment.time_to_exhaustion(outcome.verdict)
    if seconds is not None:
        _gauge(of_scope, _EXHAUSTION_METRIC, "s", outcome.time, seconds)
    return int(of_resource.ByteSize())


def _gauge(of_scope: ScopeMetrics, name: str, unit: str, at: int, value: float) -> NumberDataPoint:
    last = of_scope.metrics[-1] if of_scope.metrics else None
    metric = (
        last
        if last is not None and last.name == name
        else of_scope.metrics.add(name=name, unit=unit)
    )
    point: NumberDataPoint = metric.gauge.data_points.add(time_unix_nano=at, as_double=value)
    return point


def log_request(events: Sequence[Finding]) -> ExportLogsServiceRequest:
    """Return changes of state as events."""
    request = ExportLogsServiceRequest()
    for event in events:
        outcome = event.outcome
        state, verdict = outcome.news or outcome.verdict.state, outcome.verdict
        of_resource = request.resource_logs.add(schema_url=event.schema_url)
        of_resource.resource.ParseFromString(event.resource)
        of_scope = of_resource.scope_logs.add()
        _name_scope(of_scope.scope)
        reason = outcome.moment.wording.reason(verdict)
        severity = _SEVERITY[state]
        record = of_scope.log_records.add(
            time_unix_nano=outcome.time,
            observed_time_unix_nano=time.time_ns(),
            event_name=EVENT_NAME,
            severity_number=severity,
            severity_text=SeverityNumber.Name(severity).removeprefix("SEVERITY_NUMBER_"),
        )
        record.body.string_value = reason
        texts = {f"{EVENT_NAME}.state": state, f"{EVENT_NAME}.reason": reason}
        if verdict.segment is not None:
            texts[SEGMENT_ATTRIBUTE] = outcome.moment.wording.name(verdict.segment)
        numbers = {f"{EVENT_NAME}.risk": verdict.risk}
        if verdict.growth:
            numbers[f"{EVENT_NAME}.growth"] = verdict.growth[0].bytes_per_second
        seconds = outcome.moment.time_to_exhaustion(verdict)
        if seconds is not None:
            numbers[f"{EVENT_NAME}.time_to_exhaustion"] = seconds
        for name, text in texts.items():
            record.attributes.add(key=name).value.string_value = text
        for name, number in numbers.items():
            record.attributes.add(key=name).value.double_value = number
    return request


class OwnMetrics:
    """What the watch says about itself.

    Args:
        resource: The attributes of its own resource.
        started: When it started, in nanoseconds since 1970: counts are since then.
    """

    def __init__(self, resource: Mapping[str, str], started: int) -> None:
        self._resource = resource
        self._started = started

    def request(
        self, tally: Tally, states: Mapping[str, int], bounds: Mapping[str, tuple[str, int]]
    ) -> ExportMetricsServiceRequest:
        """Return everything counted so far.

        Args:
            tally: The counts.
            states: How many processes there are in each state.
            bounds: Levels that are told as they are: unit and value by metric.
        """
        request = ExportMetricsServiceRequest()
        of_resource = request.resource_metrics.add()
        for name, text in self._resource.items():
            of_resource.resource.attributes.add(key=name).value.string_value = text
        of_scope = of_resource.scope_metrics.add()
        _name_scope(of_scope.scope)
        now = time.time_ns()
        for metric, (unit, level) in bounds.items():
            of_scope.metrics.add(name=metric, unit=unit).gauge.data_points.add(
                time_unix_nano=now, as_int=level
            )
        # All states, also those that no process is in: a backend goes on for minutes with what it
        # heard last of one, and the sum would be too large. All reasons and outcomes: the first of
        # a kind is seen as a rise only where there was a zero before.
        series = of_scope.metrics.add(name="memory.watch.series", unit="{process}")
        for state in _STATES:
            point = series.gauge.data_points.add(time_unix_nano=now, as_int=states.get(state, 0))
            point.attributes.add(key="process.memory.leak.state").value.string_value = state
        for metric, unit, value in (
            ("memory.watch.points", "{point}", tally.points),
            ("memory.watch.samples", "{sample}", tally.samples),
            ("memory.watch.series.expired", "{process}", tally.expired),
            ("memory.watch.events", "{event}", tally.events),
            ("memory.watch.events.dropped", "{event}", tally.events_dropped),
            ("memory.watch.exports.failed", "{request}", tally.exports_failed),
            ("memory.watch.saves.failed", "{save}", tally.saves_failed),
        ):
            self._count(_counter(of_scope, metric, unit), now, value)
        rejected = _counter(of_scope, "memory.watch.points.rejected", "{point}")
        for reason in REASONS:
            self._count(rejected, now, tally.rejected[reason], ("reason", reason))
        requests = _counter(of_scope, "memory.watch.requests", "{request}")
        for outcome in REQUEST_OUTCOMES:
            self._count(requests, now, tally.requests[outcome], ("outcome", outcome))
        cpu = _counter(of_scope, "memory.watch.cpu.time", "s")
        cpu.sum.data_points.add(
            start_time_unix_nano=self._started, time_unix_nano=now, as_double=time.process_time()
        )
        return request

    def _count(
        self, metric: Metric, now: int, value: int, attribute: tuple[str, str] | None = None
    ) -> None:
        point = metric.sum.data_points.add(
            start_time_unix_nano=self._started, time_unix_nano=now, as_int=value
        )
        if attribute is not None:
            point.attributes.add(key=attribute[0]).value.string_value = attribute[1]


def _counter(of_scope: ScopeMetrics, name: str, unit: str) -> Metric:
    metric: Metric = of_scope.metrics.add(name=name, unit=unit)
    metric.sum.is_monotonic = True
    metric.sum.aggregation_temporality = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
    return metric


def _name_scope(scope: InstrumentationScope) -> None:
    scope.name, scope.version = WATCH_SCOPE, __version__
