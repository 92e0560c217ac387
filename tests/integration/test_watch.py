"""The watch beside a real collector: a fleet of several languages in, verdicts out."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from benchmarks.fleet.generator import RUNTIMES, Process, request
from examples.mixed_languages.languages import LANGUAGES
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from scripts.tools import ToolUnavailableError
from tests import tools
from tests.pipeline import Collector
from tests.tools import Server, eventually, free_ports, running

from opentelemetry.instrumentation.memory._commands.watch.fleet import Fleet
from opentelemetry.instrumentation.memory._commands.watch.grpc_server import GrpcServer
from opentelemetry.instrumentation.memory._commands.watch.receiving import Receiver
from opentelemetry.instrumentation.memory._commands.watch.settings import Address, WatchSettings
from opentelemetry.instrumentation.memory._commands.watch.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from opentelemetry.instrumentation.memory._commands.watch.tally import RequestOutcome

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
        if path == "/v1/logs":
            for of_resource in ExportLogsServiceRequest.FromString(body).resource_logs:
                resource = _texts(of_resource.resource)
                for record in of_resource.scope_logs[0].log_records:
                    state = _texts(record)["process.memory.leak.state"]
                    name = resource["service.instance.id"]
                    self.events.append(Event(name, state, record.time_unix_nano))
            return
        for of_metrics in ExportMetricsServiceRequest.FromString(body).resource_metrics:
            resource = _texts(of_metrics.resource)
            for metric in of_metrics.scope_metrics[0].metrics:
                if metric.name == "process.memory.leak.risk":
                    name = resource["service.instance.id"]
                    self.resources[name] = resource
                    self.risks[name] = metric.gauge.data_points[-1].as_double
                elif metric.name.startswith("memory.watch."):
                    points = metric.gauge.data_points or metric.sum.data_points
                    self.own[metric.name] = sum(point.as_int for point in points)

    def confirmed(self) -> set[str]:
        return {event.instance for event in self.events if event.state == "confirmed"}


def _texts(owner: object) -> dict[str, str]:
    return {each.key: each.value.string_value for each in owner.attributes}  # type: ignore[attr-defined]


@contextlib.contextmanager
def watch(folder: Path, sink: Sink, *options: str, name: str = "watch") -> Iterator[Watched]:
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
        sent = urllib.request.Request(  # noqa: S310 - always http to loopback
            url, whole.SerializeToString(), {"Content-Type": "application/x-protobuf"}
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
    return _texts(found.resource)["service.instance.id"]


@pytest.fixture(scope="module")
def expected() -> set[Event]:
    return expected_events()


def test_leaking_processes_of_every_runtime_are_confirmed_and_healthy_ones_are_not(
    expected: set[Event],
) -> None:
    confirmed = {event.instance for event in expected if event.state == "confirmed"}
    assert confirmed == {process.name for process in LEAKING}


def test_verdicts_come_back_by_way_of_a_collector(tmp_path: Path, expected: set[Event]) -> None:
    with Sink() as sink, watch(tmp_path, sink) as watched:
        env = {"WATCH_ENDPOINT": watched.grpc}
        collector = Collector.on_free_ports(tmp_path / "collector", "watch.yaml", env=env)
        with collector.running() as server:
            post(f"{collector.url('OTLP_HTTP_PORT')}/v1/metrics", range(MOMENTS))

            def all_have_arrived() -> None:
                assert set(sink.events) == expected
                assert len(sink.risks) == len(FLEET)

            eventually(all_have_arrived, server, watched.server)
    leaking = next(iter(LEAKING))
    assert sink.resources[leaking.name] == leaking.resource()


def test_one_family_of_all_languages_is_judged_alike(tmp_path: Path) -> None:
    with Sink() as sink, watch(tmp_path, sink) as watched:
        env = {"WATCH_ENDPOINT": watched.grpc, "LANGUAGES_KEEP_ORIGINALS": "false"}
        overlays = ("languages.yaml", "watch.yaml")
        collector = Collector.on_free_ports(tmp_path / "collector", *overlays, env=env)
        with collector.running() as server:
            post(f"{collector.url('OTLP_HTTP_PORT')}/v1/metrics", range(MOMENTS))

            def all_leaks_are_confirmed() -> None:
                assert sink.confirmed() == {process.name for process in LEAKING}
                assert len(sink.risks) == len(FLEET)

            eventually(all_leaks_are_confirmed, server, watched.server)


def test_two_instances_behind_a_load_balancer_judge_as_one_and_share_no_process(
    tmp_path: Path, expected: set[Event]
) -> None:
    with (
        Sink() as first,
        Sink() as second,
        watch(tmp_path, first, name="first") as one,
        watch(tmp_path, second, name="second") as two,
    ):
        env = {"WATCH_FIRST": one.grpc, "WATCH_SECOND": two.grpc}
        collector = Collector.on_free_ports(tmp_path / "collector", "load-balancing.yaml", env=env)
        with collector.running() as server:
            post(f"{collector.url('OTLP_HTTP_PORT')}/v1/metrics", range(MOMENTS))

            def all_have_arrived() -> None:
                assert {*first.events, *second.events} == expected
                assert len(first.risks) + len(second.risks) == len(FLEET)

            eventually(all_have_arrived, server, one.server, two.server)
    assert not first.risks.keys() & second.risks.keys()
    assert first.risks
    assert second.risks


def test_a_restart_goes_on_where_the_last_one_stopped(tmp_path: Path, expected: set[Event]) -> None:
    half = MOMENTS // 2
    state = f"--state-directory={tmp_path / 'state'}"
    with Sink() as sink:
        with watch(tmp_path, sink, state) as watched:
            post(watched.url, range(half))
            watched.server.process.send_signal(signal.SIGTERM)
            assert watched.server.process.wait(30) == 0
        with watch(tmp_path, sink, state) as watched:
            post(watched.url, range(half, MOMENTS))
            eventually(lambda: _same(set(sink.events), expected), watched.server)
    assert len(sink.events) == len(expected)


def test_a_crash_loses_nothing_that_was_saved(tmp_path: Path, expected: set[Event]) -> None:
    half = MOMENTS // 2
    folder = tmp_path / "state"
    options = (f"--state-directory={folder}", "--save-interval-seconds=1")

    def all_is_saved() -> None:
        files = [file.read_text() for file in folder.glob("*.jsonl")]
        lines = [json.loads(line) for text in files for line in text.splitlines()]
        latest = [line["latest"] for line in lines if "latest" in line]
        newest = round((BEGAN + (half - 1) * INTERVAL_SECONDS) * 10**9)
        assert latest == [newest] * len(FLEET)

    with Sink() as sink:
        with watch(tmp_path, sink, *options) as watched:
            post(watched.url, range(half))
            eventually(all_is_saved, watched.server)
            watched.server.process.kill()
            watched.server.process.wait(30)
        with watch(tmp_path, sink, *options) as watched:
            post(watched.url, range(half, MOMENTS))
            eventually(lambda: _same(set(sink.events), expected), watched.server)


def _same(found: set[Event], expected: set[Event]) -> None:
    assert found == expected


def test_a_second_instance_is_refused_the_same_state(tmp_path: Path) -> None:
    state = f"--state-directory={tmp_path / 'state'}"
    with Sink() as sink, watch(tmp_path, sink, state):
        result = subprocess.run(
            [COMMAND, "watch", "--grpc=off", "--http=127.0.0.1:0", state],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert result.returncode == 2
    assert "another instance" in result.stderr


def test_the_collector_keeps_what_the_watch_cannot_take_yet(
    tmp_path: Path, expected: set[Event]
) -> None:
    grpc, http = free_ports(2)
    env = {"WATCH_ENDPOINT": f"127.0.0.1:{grpc}"}
    collector = Collector.on_free_ports(tmp_path / "collector", "watch.yaml", env=env)
    with Sink() as sink, collector.running() as server:
        post(f"{collector.url('OTLP_HTTP_PORT')}/v1/metrics", range(MOMENTS))
        command = [COMMAND, "watch", f"--grpc=127.0.0.1:{grpc}", f"--http=127.0.0.1:{http}"]
        sent_to = {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint}
        with running("watch", [*command, *ANY_TIME], tmp_path, sent_to) as late:
            eventually(lambda: _same(set(sink.events), expected), server, late, seconds=120)


def test_the_collector_comes_back_when_it_is_told_to(tmp_path: Path) -> None:
    settings = WatchSettings(
        grpc=Address("127.0.0.1", 0), max_age_seconds=1e9, max_future_seconds=1e9
    )
    way_in = Receiver(Fleet(settings, Tally()), Tally(), settings.max_request_bytes, 1)
    way_in.enter()
    own = GrpcServer(settings, way_in)
    own.start()
    env = {"WATCH_ENDPOINT": f"127.0.0.1:{own.port}"}
    collector = Collector.on_free_ports(tmp_path / "collector", "watch.yaml", env=env)
    try:
        with collector.running() as server:
            post(f"{collector.url('OTLP_HTTP_PORT')}/v1/metrics", range(1))
            eventually(lambda: _counted(way_in, "busy"), server)
            way_in.leave()
            eventually(lambda: _counted(way_in, "accepted"), server)
    finally:
        own.stop(1)
    assert len(way_in.fleet.identities()) == len(FLEET)


def _counted(way_in: Receiver, outcome: RequestOutcome) -> None:
    assert way_in.tally.requests[outcome]


def test_a_service_may_send_to_the_watch_without_a_collector(tmp_path: Path) -> None:
    # Node.js sends its requests in chunks, of which no length is known before.
    (node,) = [each for each in LANGUAGES if each.name == "node"]
    try:
        starter = node.starter()
    except ToolUnavailableError as error:
        tools._missing(f"no service of Node.js: {error}")
    env = {
        "PORT": str(free_ports(1)[0]),
        "OTEL_TRACES_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_METRIC_EXPORT_INTERVAL": "300",
        "OTEL_METRIC_EXPORT_TIMEOUT": "300",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
        "OTEL_RESOURCE_ATTRIBUTES": "service.instance.id=on-its-own",
    }
    with Sink() as sink, watch(tmp_path, sink) as watched:
        env["OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"] = watched.url
        with running("node", [starter], tmp_path, env) as service:
            eventually(lambda: _is_judged(sink, "on-its-own"), watched.server, service)
        assert sink.own["memory.watch.points.rejected"] == 0


def _is_judged(sink: Sink, instance: str) -> None:
    assert instance in sink.risks
