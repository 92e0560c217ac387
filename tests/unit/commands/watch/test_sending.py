"""What goes out: attributed to its resource, to where the usual settings say, again if need be."""

from __future__ import annotations

import math
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from tests.unit.commands.watch.building import NODE, NOW, SECOND, Built, new_fleet

from opentelemetry.instrumentation.memory._commands.watch.exporting import Exporter
from opentelemetry.instrumentation.memory._commands.watch.intake import REASONS
from opentelemetry.instrumentation.memory._commands.watch.outgoing import (
    OwnMetrics,
    log_request,
    metric_requests,
)
from opentelemetry.instrumentation.memory._commands.watch.sender import SendError, sender
from opentelemetry.instrumentation.memory._commands.watch.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.instrumentation.memory._commands.watch.fleet import Fleet

MIB = 2**20


def leaking(**attributes: str) -> Fleet:
    """Return a fleet of one confirmed leak of a process that has a limit."""
    fleet = new_fleet()
    for number in range(600):
        built = Built({**NODE, **attributes}).size((200 + number) * MIB, seconds=15.0 * number)
        fleet.take(
            built.size(1000 * MIB, "process.memory.limit", seconds=15.0 * number).request, NOW
        )
    fleet.settle(math.inf)
    return fleet


def texts(owner: Any) -> dict[str, str]:
    return {each.key: each.value.string_value for each in owner.attributes}


def test_metrics_are_of_the_original_resource_and_of_the_moment_that_was_judged() -> None:
    fleet = leaking(extra="kept")
    (request,) = metric_requests(fleet.fresh_findings())
    (of_resource,) = request.resource_metrics
    assert texts(of_resource.resource) == {**NODE, "extra": "kept"}
    metrics = {each.name: each for each in of_resource.scope_metrics[0].metrics}
    assert {name: each.unit for name, each in metrics.items()} == {
        "process.memory.leak.risk": "1",
        "process.memory.leak.growth": "By/s",
        "process.memory.leak.time_to_exhaustion": "s",
    }
    times = {each.gauge.data_points[0].time_unix_nano for each in metrics.values()}
    assert times == {(NOW + 599 * 15) * SECOND}
    growth = metrics["process.memory.leak.growth"].gauge.data_points[0]
    assert texts(growth) == {"process.memory.segment": "resident"}
    assert growth.as_double == pytest.approx(MIB / 15, rel=0.01)
    left = metrics["process.memory.leak.time_to_exhaustion"].gauge.data_points[0].as_double
    # From the last judgement on, which is a few samples ago.
    assert left == pytest.approx(15 * 201, rel=0.08)


def test_a_verdict_is_sent_once() -> None:
    fleet = leaking()
    assert len(fleet.fresh_findings()) == 1
    assert not fleet.fresh_findings()


def test_an_event_says_what_a_python_process_would_say() -> None:
    request = log_request(leaking().events(9))
    records = [each.scope_logs[0].log_records[0] for each in request.resource_logs]
    assert [each.severity_text for each in records] == ["WARN", "ERROR"]
    assert {each.event_name for each in records} == {"process.memory.leak"}
    confirmed = texts(records[-1])
    assert confirmed["process.memory.leak.state"] == "confirmed"
    assert confirmed["process.memory.segment"] == "resident"
    assert confirmed["process.memory.leak.reason"].startswith("resident set has grown by")
    assert {"process.memory.leak.risk", "process.memory.leak.growth"} < confirmed.keys()
    assert texts(request.resource_logs[0].resource) == NODE


def test_many_verdicts_are_sent_in_requests_that_receivers_take() -> None:
    fleet = new_fleet()
    for number in range(80):
        resource = {"service.instance.id": str(number), "large": "x" * 100_000}
        fleet.take(Built(resource).size(7).request, NOW)
    fleet.settle(math.inf)
    sizes = [each.ByteSize() for each in metric_requests(fleet.fresh_findings())]
    assert len(sizes) > 3
    assert max(sizes) < 4 * MIB


def own(tally: Tally, states: dict[str, int]) -> dict[str, Any]:
    request = OwnMetrics({"service.name": "w"}, 1).request(tally, states, {})
    return {each.name: each for each in request.resource_metrics[0].scope_metrics[0].metrics}


def test_own_metrics_count_every_reason() -> None:
    tally = Tally()
    expected = {reason: number for number, reason in enumerate(REASONS)}
    tally.rejected.update(expected)
    points = own(tally, {})["memory.watch.points.rejected"].sum.data_points
    assert {texts(point)["reason"]: point.as_int for point in points} == expected


def test_own_metrics_say_of_every_state_how_many_are_in_it() -> None:
    points = own(Tally(), {"quiet": 2})["memory.watch.series"].gauge.data_points
    assert {texts(point)["process.memory.leak.state"]: point.as_int for point in points} == {
        "warming_up": 0,
        "quiet": 2,
        "suspected": 0,
        "confirmed": 0,
        "recovered": 0,
        "judges_itself": 0,
    }


def test_no_own_metric_is_sent_without_a_kind_while_nothing_is_known() -> None:
    metrics = own(Tally(), {}).values()
    assert all(each.WhichOneof("data") is not None for each in metrics)


class Heard:
    """Listens on loopback, and remembers the last request."""

    def __init__(self) -> None:
        self.status = 200
        self.path = ""
        self.headers: dict[str, str] = {}
        heard = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                heard.path = self.path
                heard.headers = {name.lower(): text for name, text in self.headers.items()}
                self.send_response(heard.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def heard() -> Iterator[Heard]:
    listening = Heard()
    thread = threading.Thread(target=listening.server.serve_forever, args=(0.05,))
    thread.start()
    yield listening
    listening.server.shutdown()
    listening.server.server_close()
    thread.join()


def key_value(text: str) -> KeyValue:
    return KeyValue(key="process.command_line", value=AnyValue(string_value=text))


class Recorder:
    """Remembers what is sent; fails as often as told."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.contents: list[bytes] = []
        self.has_sent = threading.Event()

    def send(self, content: bytes) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.contents.append(content)
        self.has_sent.set()

    def close(self) -> None:
        pass


def exported(fleet: Fleet, logs: Recorder, tally: Tally) -> None:
    exporter = Exporter(fleet, ExportMetricsServiceRequest, (Recorder(), logs), 3600, tally)
    exporter.start()
    assert logs.has_sent.wait(30)
    exporter.end(30)


def test_an_event_is_sent_at_once_and_once() -> None:
    logs = Recorder()
    exported(leaking(), logs, Tally())
    assert len(logs.contents) == 1


def test_many_events_are_sent_in_requests_that_receivers_take() -> None:
    fleet = leaking()
    known = fleet.events(9)
    large = Resource(attributes=[key_value("x" * 100_000)]).SerializeToString()
    for _ in range(99):
        fleet._queue(known[0]._replace(resource=large))
    logs = Recorder()
    exported(fleet, logs, Tally())
    assert max(map(len, logs.contents)) < 4 * MIB
    requests = map(ExportLogsServiceRequest.FromString, logs.contents)
    assert sum(len(request.resource_logs) for request in requests) == 99 + len(known)


@pytest.mark.parametrize(
    "failure",
    [
        SendError("away", is_retryable=True),
        # What the library for HTTP says of a certificate's file that is being replaced.
        OSError("Could not find a suitable TLS CA certificate bundle"),
    ],
    ids=["refused", "unforeseen"],
)
def test_an_event_that_did_not_arrive_is_sent_again(failure: Exception) -> None:
    logs, tally = Recorder(failure), Tally()
    exported(leaking(), logs, tally)
    assert len(logs.contents) == 1
    assert tally.exports_failed == 1


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, "OTEL_EXPORTER_OTLP_PROTOCOL"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"}, "http:// or https://"),
        ({"OTEL_EXPORTER_OTLP_TIMEOUT": "soon"}, "OTEL_EXPORTER_OTLP_TIMEOUT"),
        ({"OTEL_EXPORTER_OTLP_COMPRESSION": "zip"}, "OTEL_EXPORTER_OTLP_COMPRESSION"),
        *(
            ({f"OTEL_EXPORTER_OTLP_{name}": "/nowhere"}, f"OTEL_EXPORTER_OTLP_{name}=")
            for name in ("CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY")
        ),
    ],
)
def test_a_bad_setting_of_the_exporter_is_named(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], message: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=message):
        sender("metrics")


def test_headers_and_compression_are_sent(monkeypatch: pytest.MonkeyPatch, heard: Heard) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", heard.endpoint)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20secret")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    sending = sender("logs")
    sending.send(b"hello")
    sending.close()
    assert heard.path == "/v1/logs"
    assert heard.headers["authorization"] == "Bearer secret"
    assert heard.headers["content-encoding"] == "gzip"


@pytest.mark.parametrize(("status", "is_retryable"), [(503, True), (429, True), (400, False)])
def test_a_refusal_says_whether_to_try_again(
    monkeypatch: pytest.MonkeyPatch, heard: Heard, status: int, *, is_retryable: bool
) -> None:
    heard.status = status
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", f"{heard.endpoint}/here")
    sending = sender("metrics")
    with pytest.raises(SendError) as caught:
        sending.send(b"hello")
    sending.close()
    assert caught.value.is_retryable is is_retryable
    assert heard.path == "/here"


def test_grpc_is_spoken_when_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    sending = sender("metrics")
    with pytest.raises(SendError, match="UNAVAILABLE") as caught:
        sending.send(b"")
    sending.close()
    assert caught.value.is_retryable
