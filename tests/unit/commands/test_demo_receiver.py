"""OTLP into plain values, and the receiver that takes it in."""

from __future__ import annotations

import http.client
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

from opentelemetry.instrumentation.memory import MemoryInstrumentor
from opentelemetry.instrumentation.memory._commands.demo.receiver import (
    Receiver,
    decode,
    decode_events,
)
from opentelemetry.instrumentation.memory._commands.demo.recording import Export, LeakEvent
from opentelemetry.instrumentation.memory._events import LeakEvents
from opentelemetry.instrumentation.memory._metrics import SCOPE_NAME
from opentelemetry.instrumentation.memory.model import Growth, LeakVerdict

if TYPE_CHECKING:
    from collections.abc import Callable

DEADLINE_SECONDS = 20.0


def request_of(scope_name: str, pid: int = 7) -> ExportMetricsServiceRequest:
    request = ExportMetricsServiceRequest()
    resource = request.resource_metrics.add()
    attribute = resource.resource.attributes.add(key="process.pid")
    attribute.value.int_value = pid
    scope = resource.scope_metrics.add()
    scope.scope.name = scope_name
    usage = scope.metrics.add(name="process.memory.usage")
    usage.sum.data_points.add(as_int=30)
    for segment, value in (("python_heap", 10), ("file", 20)):
        metric = scope.metrics.add(name="process.memory.resident")
        point = metric.gauge.data_points.add(as_int=value)
        point.attributes.add(key="process.memory.segment").value.string_value = segment
    scope.metrics.add(name="process.memory.limit.utilization").gauge.data_points.add(as_double=0.5)
    return request


def test_gauges_and_sums_become_values_by_metric_and_segment() -> None:
    (export,) = decode(request_of(SCOPE_NAME).SerializeToString(), 4.0)
    assert export.arrived_at_seconds == 4.0
    assert export.pid == 7
    assert export.value("process.memory.usage") == 30
    assert export.value("process.memory.limit.utilization") == 0.5
    assert export.value("process.memory.limit") is None
    assert export.segments() == {"python_heap": 10, "file": 20}
    assert export.is_exact


def test_metrics_of_other_packages_are_not_taken_for_ours() -> None:
    body = request_of("opentelemetry.instrumentation.system_metrics").SerializeToString()
    assert decode(body, 0.0) == []


def test_two_processes_in_one_request_stay_apart() -> None:
    request = request_of(SCOPE_NAME, pid=1)
    request.MergeFrom(request_of(SCOPE_NAME, pid=2))
    assert [export.pid for export in decode(request.SerializeToString(), 0.0)] == [1, 2]


def test_an_export_without_a_pid_is_kept() -> None:
    request = request_of(SCOPE_NAME)
    del request.resource_metrics[0].resource.attributes[:]
    (export,) = decode(request.SerializeToString(), 0.0)
    assert export.pid is None


def test_histograms_are_left_out() -> None:
    request = request_of(SCOPE_NAME)
    scope = request.resource_metrics[0].scope_metrics[0]
    scope.metrics.add(name="a.histogram").histogram.data_points.add(count=1)
    (export,) = decode(request.SerializeToString(), 0.0)
    assert all(point.metric != "a.histogram" for point in export.points)


@pytest.mark.parametrize("body", [b"\xff\xff", b"not protobuf at all"])
@pytest.mark.parametrize("read", [decode, decode_events])
def test_what_is_no_otlp_request_is_refused(
    read: Callable[[bytes, float], object], body: bytes
) -> None:
    with pytest.raises(ValueError, match="OTLP"):
        read(body, 0.0)


def test_a_real_event_is_understood() -> None:
    with Receiver() as receiver:
        exporter = OTLPLogExporter(endpoint=f"http://127.0.0.1:{receiver.port}/v1/logs")
        provider = LoggerProvider(Resource({"process.pid": 42}), shutdown_on_exit=False)
        provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
        provider.get_logger("another").emit(event_name="another.event", body="not ours")
        growth = (Growth("python_heap", 5.5),)
        LeakEvents(provider).notice(LeakVerdict("confirmed", 0.93, "python_heap", growth, 60, "y"))
        event = receiver.next_arrival(DEADLINE_SECONDS)
        provider.shutdown()
    assert isinstance(event, LeakEvent)
    assert replace(event, arrived_at_seconds=0.0) == LeakEvent(
        0.0, 42, "confirmed", 0.93, "y", "python_heap", 5.5, 60.0
    )


def test_an_event_without_growth_has_none() -> None:
    request = ExportLogsServiceRequest()
    record = request.resource_logs.add().scope_logs.add().log_records.add()
    record.event_name = "process.memory.leak"
    record.attributes.add(key="process.memory.leak.state").value.string_value = "recovered"
    (event,) = decode_events(request.SerializeToString(), 2.0)
    assert event == LeakEvent(2.0, None, "recovered", 0.0, "")


def test_a_real_exporter_is_understood() -> None:
    with Receiver() as receiver:
        exporter = OTLPMetricExporter(endpoint=f"http://127.0.0.1:{receiver.port}/v1/metrics")
        reader = PeriodicExportingMetricReader(exporter, export_interval_millis=60_000)
        provider = MeterProvider([reader], resource=Resource({"process.pid": 42}))
        instrumentor = MemoryInstrumentor()
        instrumentor.instrument(meter_provider=provider, background_sampling=False)
        try:
            assert provider.force_flush()
            export = receiver.next_arrival(DEADLINE_SECONDS)
        finally:
            instrumentor.uninstrument()
            provider.shutdown()
    assert isinstance(export, Export)
    assert export.pid == 42
    assert export.is_exact


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/metrics", b"\xff\xff", 400),
        ("/v1/logs", b"\xff\xff", 400),
        ("/v1/traces", b"", 404),
        ("/v1/metrics", b"", 200),
        ("/v1/logs", b"", 200),
    ],
)
def test_the_receiver_answers_bad_requests_and_goes_on(path: str, body: bytes, status: int) -> None:
    with Receiver() as receiver:
        for _ in range(2):
            connection = http.client.HTTPConnection("127.0.0.1", receiver.port, timeout=10)
            try:
                connection.request("POST", path, body)
                assert connection.getresponse().status == status
            finally:
                connection.close()


def test_nothing_received_is_none() -> None:
    with Receiver() as receiver:
        assert receiver.next_arrival(0.0) is None
