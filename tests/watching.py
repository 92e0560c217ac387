"""The watch for tests, as a process of its own: a fleet to send to it, a sink for what it says."""

from __future__ import annotations

import contextlib
import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.fleet.generator import RUNTIMES, Process, request
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from tests.tools import Server, eventually, free_ports, running

from opentelemetry.instrumentation.memory._commands.watch.fleet import Fleet
from opentelemetry.instrumentation.memory._commands.watch.settings import WatchSettings
from opentelemetry.instrumentation.memory._commands.watch.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

COMMAND = Path(sys.executable).parent / "opentelemetry-memory"
# Their time is in their points: a working day is sent within seconds.
BEGAN = 1_700_000_000.0
INTERVAL_SECONDS = 15.0
MOMENTS = 900
MOMENTS_A_REQUEST = 25
ANY_TIME = ("--max-age-seconds=1000000000", "--max-future-seconds=1000000000")
HEALTHY = [Process(number, runtime) for number, runtime in enumerate(RUNTIMES)]
LEAKING = [
    Process(100 + number, runtime, leak_bytes_per_second=30_000)
    for number, runtime in enumerate(RUNTIMES)
]
FLEET = [*HEALTHY, *LEAKING]


class Event(NamedTuple):
    """A change of state, as it arrived."""

    instance: str
    state: str
    time: int


class Sink:
    """Receives what a watch sends, over HTTP on loopback."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.risks: dict[str, float] = {}
        self.resources: dict[str, dict[str, str]] = {}
        self.own: dict[str, int] = {}
        self.own_resource: dict[str, str] = {}
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                sink.receive(self.path, body)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Sink:  # noqa: PYI034 - Self needs 3.11
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def receive(self, path: str, body: bytes) -> None:
        """Take one request."""
        if path == "/v1/logs":
            for of_resource in ExportLogsServiceRequest.FromString(body).resource_logs:
                resource = texts(of_resource.resource)
                for record in of_resource.scope_logs[0].log_records:
                    state = texts(record)["process.memory.leak.state"]
                    name = resource["service.instance.id"]
                    self.events.append(Event(name, state, record.time_unix_nano))
            return
        for of_metrics in ExportMetricsServiceRequest.FromString(body).resource_metrics:
            resource = texts(of_metrics.resource)
            for metric in of_metrics.scope_metrics[0].metrics:
                if metric.name == "process.memory.leak.risk":
                    name = resource["service.instance.id"]
                    self.resources[name] = resource
                    self.risks[name] = metric.gauge.data_points[-1].as_double
                elif metric.name.startswith("memory.watch."):
                    self.own_resource = resource
                    points = metric.gauge.data_points or metric.sum.data_points
                    self.own[metric.name] = sum(point.as_int for point in points)

    def confirmed(self) -> set[str]:
        """Return the processes of which a leak was confirmed."""
        return {event.instance for event in self.events if event.state == "confirmed"}


def texts(owner: object) -> dict[str, str]:
    """Return the attributes that are texts."""
    return {each.key: each.value.string_value for each in owner.attributes}  # type: ignore[attr-defined]


@contextlib.contextmanager
def watch(folder: Path, sink: Sink, *options: str, name: str = "watch") -> Iterator[Watched]:
    """Run the command, which sends to this sink."""
    grpc, http = free_ports(2)
    command = [
        COMMAND, "watch", f"--grpc=127.0.0.1:{grpc}", f"--http=127.0.0.1:{http}",
        *ANY_TIME, *options,
    ]  # fmt: skip
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint, "OTEL_METRIC_EXPORT_INTERVAL": "300"}
    with running(name, command, folder, env) as server:
        eventually(lambda: urllib.request.urlopen(f"http://127.0.0.1:{http}/healthz"), server)
        yield Watched(server, f"127.0.0.1:{grpc}", f"http://127.0.0.1:{http}/v1/metrics")


class Watched(NamedTuple):
    """A watch that runs."""

    server: Server
    grpc: str
    url: str


def post(url: str, moments: range, fleet: Sequence[Process] = FLEET) -> None:
    """Send these moments of the fleet, several in a request."""
    for first in moments[::MOMENTS_A_REQUEST]:
        whole = ExportMetricsServiceRequest()
        for moment in range(first, min(first + MOMENTS_A_REQUEST, moments.stop)):
            whole.MergeFrom(request(fleet, BEGAN, moment * INTERVAL_SECONDS))
        send(url, whole.SerializeToString())


def send(url: str, content: bytes) -> None:
    """Send one request."""
    sent = urllib.request.Request(  # noqa: S310 - always http to loopback
        url, content, {"Content-Type": "application/x-protobuf"}
    )
    with urllib.request.urlopen(sent, timeout=30) as answer:  # noqa: S310
        assert answer.status == 200


def expected_events() -> set[Event]:
    """Return what one fleet in this process says to the same samples."""
    events: set[Event] = set()
    settings = WatchSettings(max_age_seconds=1e9, max_future_seconds=1e9)
    fleet = Fleet(settings, Tally())
    for moment in range(MOMENTS):
        fleet.take(request(FLEET, BEGAN, moment * INTERVAL_SECONDS), BEGAN)
    fleet.settle(float("inf"))
    for found in fleet.events(1000):
        news = found.outcome.news
        assert news is not None
        events.add(Event(_instance(found.resource), news, found.outcome.time))
    return events


def _instance(resource: bytes) -> str:
    found = ExportMetricsServiceRequest().resource_metrics.add()
    found.resource.ParseFromString(resource)
    return texts(found.resource)["service.instance.id"]


def same(found: set[Event], expected: set[Event]) -> None:
    """Fail while these differ."""
    assert found == expected
