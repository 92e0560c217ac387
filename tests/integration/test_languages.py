"""What each language's instrumentation sends becomes one family, in a real collector."""

from __future__ import annotations

import contextlib
import re
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from tests.language_samples import (
    EXTERNAL,
    FAMILY,
    LANGUAGES,
    RESIDENT,
    USED,
    Attributes,
    Sent,
    gauge,
)
from tests.otlp_sink import OtlpSink, Point
from tests.pipeline import Collector
from tests.tools import eventually, free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT = Path(__file__).resolve().parents[2]
SCRAPE = ROOT / "examples" / "mixed_languages" / "scrape.yaml"
DOCUMENT = ROOT / "docs" / "languages.md"


def key_values(attributes: Mapping[str, Any]) -> list[KeyValue]:
    return [
        KeyValue(
            key=key,
            value=AnyValue(int_value=value)
            if isinstance(value, int)
            else AnyValue(string_value=value),
        )
        for key, value in attributes.items()
    ]


def request_of(resource: Attributes, metrics: Sequence[Sent]) -> ExportMetricsServiceRequest:
    request = ExportMetricsServiceRequest()
    mine = request.resource_metrics.add()
    mine.resource.attributes.extend(key_values(resource))
    now = time.time_ns()
    for each in metrics:
        scope = mine.scope_metrics.add()
        scope.scope.name = each.scope
        metric = scope.metrics.add(name=each.name, unit=each.unit, description=f"by {each.scope}")
        if each.kind == "sum":
            metric.sum.aggregation_temporality = 2  # type: ignore[assignment]
        for attributes, value in each.points:
            point = getattr(metric, each.kind).data_points.add(
                time_unix_nano=now, attributes=key_values(attributes)
            )
            point.as_double = value
    return request


def send(collector: Collector, service: str, resource: Attributes, metrics: Sequence[Sent]) -> None:
    request = request_of({**resource, "service.name": service}, metrics)
    post = urllib.request.Request(  # noqa: S310 - always http to loopback
        f"{collector.url('OTLP_HTTP_PORT')}/v1/metrics",
        data=request.SerializeToString(),
        headers={"Content-Type": "application/x-protobuf"},
    )
    with urllib.request.urlopen(post, timeout=10):  # noqa: S310
        pass


@contextlib.contextmanager
def view(folder: Path, sink: OtlpSink, **env: str) -> Iterator[Collector]:
    """Run the gateway with the view, forwarding to a backend."""
    collector = Collector.on_free_ports(
        folder,
        "languages.yaml",
        "forward.yaml",
        env={"BACKEND_OTLP_ENDPOINT": sink.endpoint, **env},
    )
    with collector.running():
        yield collector


def points_of(sink: OtlpSink, service: str) -> list[Point]:
    """Return what a service's single export has become, once it is there."""
    return sink.wait_for(
        lambda: [each for each in sink._points if each.resource.get("service.name") == service]
    )


@pytest.fixture(scope="module")
def backend() -> Iterator[OtlpSink]:
    with OtlpSink() as each:
        yield each


@pytest.fixture(scope="module")
def seen(
    backend: OtlpSink, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Collector, dict[str, list[Point]]]]:
    """Send one export of each language, and return what a backend sees of each."""
    with view(tmp_path_factory.mktemp("view"), backend) as collector:
        for name, language in LANGUAGES.items():
            send(collector, name, language.resource, language.metrics)
        yield collector, {name: points_of(backend, name) for name in LANGUAGES}


Seen = tuple[Collector, dict[str, list[Point]]]
each_language = pytest.mark.parametrize("name", LANGUAGES)


@each_language
def test_every_language_has_the_same_family(seen: Seen, name: str) -> None:
    points = [each for each in seen[1][name] if each.metric in FAMILY]
    assert {each.metric: each.value for each in points} == LANGUAGES[name].family
    assert len(points) == len(LANGUAGES[name].family)


@each_language
def test_family_is_in_bytes_and_one_series_a_process(seen: Seen, name: str) -> None:
    points = [each for each in seen[1][name] if each.metric in FAMILY]
    assert {(each.unit, *each.attributes) for each in points} == {("By",)}


@each_language
def test_family_says_runtime_service_and_instance(seen: Seen, name: str) -> None:
    for point in seen[1][name]:
        assert point.resource["process.runtime.name"] == LANGUAGES[name].runtime
        assert point.resource["service.name"] == name
        assert point.resource["service.instance.id"] == LANGUAGES[name].instance


@each_language
def test_original_metrics_pass_through(seen: Seen, name: str) -> None:
    # Those that are of the family already are mended in place.
    sent = {
        (metric.name, tuple(attributes.items()), value)
        for metric in LANGUAGES[name].metrics
        if metric.name not in FAMILY
        for attributes, value in metric.points
    }
    arrived = {(each.metric, tuple(each.attributes.items()), each.value) for each in seen[1][name]}
    assert sent <= arrived
    made = {each.metric for each in seen[1][name]} - {metric for metric, *_ in sent}
    assert made == set(LANGUAGES[name].family)


def test_prometheus_is_shown_one_name_for_all_languages(seen: Seen) -> None:
    collector, _ = seen

    def all_are_there() -> None:
        lines = [
            line
            for line in collector.scrape().splitlines()
            if line.startswith("process_memory_usage_bytes{")
        ]
        runtimes = {line.partition('process_runtime_name="')[2].partition('"')[0] for line in lines}
        assert runtimes == {each.runtime for each in LANGUAGES.values() if RESIDENT in each.family}

    eventually(all_are_there, seconds=20)


def test_documented_names_are_what_a_backend_and_prometheus_see(seen: Seen) -> None:
    collector, points = seen
    documented = dict(
        re.findall(r"^\| `([a-z.]+)` \| `([a-z_]+)` \|", DOCUMENT.read_text(), re.MULTILINE)
    )
    assert set(documented) == FAMILY
    assert set(documented) <= {each.metric for several in points.values() for each in several}

    def all_are_there() -> None:
        page = collector.scrape()
        assert [name for name in documented.values() if f"\n{name}{{" not in page] == []

    eventually(all_are_there, seconds=20)


def test_command_line_of_rust_is_in_no_point(seen: Seen) -> None:
    assert [each for each in seen[1]["rust"] if "secret" in str(each.attributes)] == []


def test_originals_can_be_left_out(tmp_path: Path) -> None:
    with (
        OtlpSink() as sink,
        view(tmp_path, sink, LANGUAGES_KEEP_ORIGINALS="false") as collector,
    ):
        for name, language in LANGUAGES.items():
            send(collector, name, language.resource, language.metrics)
        for name, language in LANGUAGES.items():
            values = {each.metric: each.value for each in points_of(sink, name)}
            assert values == language.family


def test_external_is_never_negative(seen: Seen, backend: OtlpSink) -> None:
    collector, _ = seen
    node = LANGUAGES["node"]
    small = [each for each in node.metrics if each.name != RESIDENT]
    small.append(gauge(RESIDENT, "", ({}, 30e6)))
    send(collector, "small", node.resource, small)
    values = {each.metric: each.value for each in points_of(backend, "small")}
    assert values[EXTERNAL] == 0


def test_external_is_not_guessed_where_it_is_unclear_which_values_belong_together(
    seen: Seen, backend: OtlpSink
) -> None:
    collector, _ = seen
    node = LANGUAGES["node"]
    unclear = [each for each in node.metrics if each.name != RESIDENT]
    unclear.append(gauge(RESIDENT, "", ({"which": "a"}, 60e6), ({"which": "b"}, 90e6)))
    send(collector, "unclear", node.resource, unclear)
    assert EXTERNAL not in {each.metric for each in points_of(backend, "unclear")}


def test_unknown_unit_is_left_as_it_is(seen: Seen, backend: OtlpSink) -> None:
    collector, _ = seen
    pages = [gauge(RESIDENT, "{page}", ({}, 1000))]
    send(collector, "pages", {"process.pid": 1}, pages)
    (point,) = points_of(backend, "pages")
    assert (point.unit, point.value) == ("{page}", 1000)


def test_instances_in_pods_are_told_apart_where_hosts_and_pids_are_the_same(
    seen: Seen, backend: OtlpSink
) -> None:
    collector, _ = seen
    same = {"host.id": "node-7", "process.pid": 1}
    for pod in ("a", "b"):
        one = [gauge(RESIDENT, "", ({}, 1e6))]
        send(collector, "pods", {**same, "k8s.pod.uid": pod}, one)
    instances = backend.wait_for(
        lambda: (
            (found := {each.instance for each in points_of(backend, "pods")})
            and len(found) == 2
            and found
        )
    )
    assert instances == {"a-1", "b-1"}


def test_what_does_not_say_who_it_is_gets_no_made_up_instance(
    seen: Seen, backend: OtlpSink
) -> None:
    collector, _ = seen
    one = [gauge(RESIDENT, "", ({}, 1e6))]
    send(collector, "nobody", {"host.name": "vm"}, one)
    (point,) = points_of(backend, "nobody")
    assert "service.instance.id" not in point.resource


# --- scraped: C++ with prometheus-cpp ------------------------------------------------------

PAGE = b"""\
# HELP process_resident_memory_bytes Resident memory size in bytes.
# TYPE process_resident_memory_bytes gauge
process_resident_memory_bytes 9000000
# HELP process_heap_bytes Live bytes of malloc.
# TYPE process_heap_bytes gauge
process_heap_bytes 4000000
"""


@contextlib.contextmanager
def page(port: int) -> Iterator[None]:
    """Serve what a C++ service with prometheus-cpp serves."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(PAGE)))
            self.end_headers()
            self.wfile.write(PAGE)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_scraped_process_joins_the_family(tmp_path: Path) -> None:
    ports = free_ports(2)
    targets = {
        "SCRAPE_HEALTHY": f"127.0.0.1:{ports[0]}",
        "SCRAPE_LEAKING": f"127.0.0.1:{ports[1]}",
        "SCRAPE_INTERVAL": "500ms",
    }
    with OtlpSink() as sink, page(ports[0]), page(ports[1]):
        collector = Collector.on_free_ports(
            tmp_path,
            "languages.yaml",
            "forward.yaml",
            str(SCRAPE),
            env={"BACKEND_OTLP_ENDPOINT": sink.endpoint, **targets},
        )
        with collector.running():
            for service, address in (
                ("cpp-healthy", targets["SCRAPE_HEALTHY"]),
                ("cpp-leaking", targets["SCRAPE_LEAKING"]),
            ):
                points = [each for each in points_of(sink, service) if each.metric in FAMILY]
                assert {each.metric: each.value for each in points} == {RESIDENT: 9e6, USED: 4e6}
                assert {each.unit for each in points} == {"By"}
                (resource,) = {tuple(sorted(each.resource.items())) for each in points}
                named = dict(resource)
                assert named["process.runtime.name"] == "cpp"
                assert named["service.instance.id"] == address
